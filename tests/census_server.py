"""A local server that answers, and fails, in the shapes recorded of the Census API."""

import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

TRACTS = {"39": ["001000100", "001000200", "003000100"], "53": ["001950100"], "08": ["001007801"]}
INVALID_KEY = (
    "<html>\n<head>\n<title>Invalid Key</title>\n</head>\n<body><p>A valid <em>key</em> must be included</body></html>"
)
BUSY_PAGE = "<!DOCTYPE html><html><head><title>Service Unavailable</title></head></html>"


class Server(ThreadingHTTPServer):
    """Answers as the API does, after any failures scripted for a state (or state and county)."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.failures = {}
        self.asked = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/data"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def reply(self, status, body, headers=(), promised=None):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if promised is None else promised))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        server = self.server
        with server.lock:
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
        try:
            self.answer(server)
        finally:
            with server.lock:
                server.at_once -= 1

    def answer(self, server):
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path.endswith("invalid_key.html"):
            return self.reply(200, INVALID_KEY.encode())
        within = dict(part.split(":") for part in query["in"].split())
        place = within["state"] + ("" if within.get("county", "*") == "*" else within["county"])
        with server.lock:
            server.asked.append((parts.path, place, query))
            script = server.failures.get(place, [])
            failure = script.pop(0) if script else None
        if failure:
            return failure(self)
        if query.get("key") == "wrong":
            return self.reply(302, b"", [("Location", "/data/invalid_key.html")])
        return self.reply(200, json.dumps(rows_for(query, within)).encode())


def rows_for(query, within):
    variables = query["get"].split(",")
    if query["for"] == "county:*":
        counties = sorted({tract[:3] for tract in TRACTS[within["state"]]})
        return [[*variables, "state", "county"], *([*("1" for _ in variables), within["state"], c] for c in counties)]
    tracts = [tract for tract in TRACTS[within["state"]] if within["county"] in ("*", tract[:3])]
    number = {"E": "12", "M": "-555555555", "A": None}
    cells = [number[variable[-1]] for variable in variables]
    return [[*variables, "state", "county", "tract"], *([*cells, within["state"], t[:3], t[3:]] for t in tracts)]


def status(code, body=b"", headers=()):
    return lambda handler: handler.reply(code, body, headers)


def half_an_answer(handler):
    handler.reply(200, b'[["B01003_001E","B01003_001M","state","county","tract"],["1', promised=4000)


def broken_json(handler):
    handler.reply(200, b'[["B01003_001E","B01003_001M","state","county","tract"],["1","2","39"')


def silence(_):
    time.sleep(1.0)


@contextlib.contextmanager
def serving():
    """Serve until the block ends."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
