"""What a browser gets of a dashboard, for tests of the page there."""

import json
import urllib.error
import urllib.request


class Site:
    """What a browser gets of a dashboard."""

    def __init__(self, base: str) -> None:
        self.base = base

    def get(self, path: str, method: str = "GET", **headers: str):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.base + path, headers=named, method=method)
        try:
            answer = urllib.request.urlopen(request, timeout=30)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return answer.status, answer.headers, answer.read()

    def json(self, path: str, status: int = 200):
        found, headers, body = self.get(path)
        assert found == status, body
        assert headers["Content-Type"].startswith("application/json")
        return json.loads(body)
