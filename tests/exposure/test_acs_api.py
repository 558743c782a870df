"""The client against a local server that answers, and fails, in the shapes recorded of the Census API."""

import json
import re
import threading
import time
from email.utils import formatdate

import pytest
from census_server import BUSY_PAGE, TRACTS, broken_json, half_an_answer, serving, silence, status

from geomob_dask.errors import InputError, RunError, SettingsError
from geomob_dask.sources.acs_api import fetch
from geomob_dask.sources.download import Downloader, Politeness
from geomob_dask.store.objects import Objects


@pytest.fixture
def server():
    with serving() as server:
        yield server


@pytest.fixture
def landing(tmp_path):
    return Objects(str(tmp_path / "landing"))


class Waits:
    """A clock that only sleeping moves; the client's own, so that tests do not wait."""

    def __init__(self):
        self.now = 0.0
        self.waits = []
        self.lines = []
        self.lock = threading.Lock()

    def sleep(self, seconds):
        with self.lock:
            self.waits.append(seconds)
            self.now += seconds

    def clock(self):
        return self.now


@pytest.fixture
def waits():
    return Waits()


@pytest.fixture
def ask(server, landing, waits, monkeypatch):
    monkeypatch.delenv("CENSUS_API_KEY", raising=False)

    def ask(states, *, secret="", by="state", table="B01003", **politeness):
        polite = Politeness(**{"concurrency": 2, "attempts": 4, "timeout": 0.4, **politeness})
        client = Downloader(polite, secret=secret, say=waits.lines.append, sleep=waits.sleep, clock=waits.clock)
        return fetch(table, 2020, states, landing, by=by, base_url=server.url, politeness=polite, downloader=client)

    return ask


def test_states_come_as_one_table_in_order(ask, server):
    table = ask(["53", "39"])
    assert table.tracts["geoid"].tolist() == ["39001000100", "39001000200", "39003000100", "53001950100"]
    assert table.tracts["B01003_001E"].tolist() == [12] * 4
    assert table.tracts["B01003_001M"].tolist() == [0] * 4
    assert len(table.reasons) == 4
    assert {path for path, _, _ in server.asked} == {"/data/2020/acs/acs5"}


def test_counties_one_by_one_are_the_same_table(ask, server, tmp_path, landing):
    whole = ask(["39"])
    landing.__init__(str(tmp_path / "other"))
    assert ask(["39"], by="county").tracts.equals(whole.tracts)
    asked = [place for _, place, _ in server.asked]
    assert asked[:2] == ["39", "39"]
    assert sorted(asked[2:]) == ["39001", "39003"], "two at a time reach the server in either order"


def test_annotations_are_asked_for_where_a_table_has_them(ask, server):
    ask(["53"], table="B19113")
    assert server.asked[0][2]["get"] == "B19113_001E,B19113_001M,B19113_001EA,B19113_001MA"


def test_a_bottom_code_has_the_number_of_its_annotation(ask, server):
    header = ["B19113_001E", "B19113_001M", "B19113_001EA", "B19113_001MA", "state", "county", "tract"]
    rows = [
        ["0", "-333333333", "2,500-", "***", "39", "001", "000100"],
        ["60000", "9", None, None, "39", "001", "000200"],
    ]
    server.failures = {"39": [status(200, json.dumps([header, *rows]).encode())]}
    table = ask(["39"], table="B19113")
    assert table.tracts["B19113_001E"].tolist() == [2499, 60000]
    assert table.reasons["reason"].str.startswith("bottom-coded").tolist() == [True, False]


def test_no_more_requests_at_once_than_allowed(ask, server):
    server.failures = {state: [lambda handler: (time.sleep(0.1), handler.reply(500, b""))] for state in TRACTS}
    ask(list(TRACTS))
    assert server.most_at_once == 2


@pytest.mark.parametrize(
    "failure",
    [status(500), status(502), half_an_answer, broken_json, silence, status(200, BUSY_PAGE.encode())],
    ids=["500", "502", "half", "json", "timeout", "html"],
)
def test_a_passing_failure_is_asked_again_after_longer_and_longer_waits(ask, server, waits, failure):
    server.failures = {"39": [failure, failure]}
    assert len(ask(["39"]).tracts) == 3
    assert waits.waits == [1, 2]


def test_a_busy_server_is_left_alone_as_long_as_it_says(ask, server, waits):
    server.failures = {"39": [status(429, b"", [("Retry-After", "7")]), status(503)]}
    assert len(ask(["39"]).tracts) == 3
    assert waits.waits == [7, 2]


def test_a_date_to_come_back_at_is_understood(ask, server, waits):
    server.failures = {"39": [status(429, b"", [("Retry-After", formatdate(time.time() + 30, usegmt=True))])]}
    ask(["39"])
    assert waits.waits == [pytest.approx(30, abs=2)]


def test_patience_ends_with_the_budget(ask, server, waits):
    server.failures = {"39": [status(429, b"", [("Retry-After", "86400")])]}
    with pytest.raises(RunError, match=r"state 39: 127.0.0.1:[0-9]+: status 429; the next attempt would be in 86400 s"):
        ask(["39"])
    assert waits.waits == []


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (status(500), r"state 39: .*: status 500, 4 times; gave up"),
        (broken_json, r"state 39: .*: found text that is not JSON or breaks off \(69 bytes\), expected JSON, 4 times"),
        (half_an_answer, r"state 39: .*: the answer broke off, 4 times"),
        (silence, r"state 39: .*: no answer in time, 4 times"),
        (status(200, BUSY_PAGE.encode()), r"state 39: .*: found a web page \('Service Unavailable'\) .*, 4 times"),
    ],
    ids=["500", "json", "half", "timeout", "html"],
)
def test_patience_ends_with_the_attempts(ask, server, failure, message):
    server.failures = {"39": [failure] * 4}
    with pytest.raises(RunError, match=message):
        ask(["39"], timeout=0.2)


@pytest.mark.parametrize(
    ("failure", "error", "message"),
    [
        (status(400, b"error: unknown variable 'B01003_001E'"), InputError, r"status 400: error: unknown variable"),
        (status(404, b"<title>404 Not Found</title>"), InputError, r"status 404: 404 Not Found"),
        (status(204), InputError, r"state 39: the server has nothing for it"),
        (status(403, b"no"), SettingsError, r"the server refuses the key"),
        (status(418, b"teapot"), RunError, r"status 418 \(teapot\), expected 200"),
        (status(200, b'[["B01003_001E","state","county","tract"]]'), InputError, r"has no column B01003_001M"),
        (status(200, b'[["B01003_001E","B01003_001M","state","county","tract"]]'), InputError, r"has no rows"),
        (
            status(200, b'[["B01003_001E","B01003_001M","state","county","tract"],["1","2","40","001","000100"]]'),
            InputError,
            r"state 39: the answer holds tract 40001000100, expected those of 39 only",
        ),
    ],
)
def test_final_answers_are_not_asked_again(ask, server, waits, failure, error, message):
    server.failures = {"39": [failure]}
    with pytest.raises(error, match=message):
        ask(["39"])
    assert len(server.asked) == 1
    assert waits.waits == []


def test_a_refused_key_is_told_from_a_busy_page_and_never_shown(ask, server):
    with pytest.raises(SettingsError, match=r"the server refuses the key \(Invalid Key\); .* CENSUS_API_KEY"):
        ask(["39"], secret="wrong")
    server.failures = {"39": [status(400, b"error: bad key hush in request")]}
    with pytest.raises(InputError) as caught:
        ask(["39"], secret="hush")
    assert "hush" not in str(caught.value)


def test_the_key_comes_from_the_environment_and_stays_out_of_what_is_kept(server, landing, tmp_path, monkeypatch):
    monkeypatch.setenv("CENSUS_API_KEY", "0123456789abcdef")
    fetch("B01003", 2020, ["53"], landing, base_url=server.url)
    assert server.asked[0][2]["key"] == "0123456789abcdef"
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(kept) == 2
    assert not any(b"0123456789abcdef" in body for body in kept)


def test_a_stopped_run_goes_on_at_the_state_that_failed(ask, server):
    server.failures = {"53": [status(500)] * 4}
    with pytest.raises(RunError, match=r"state 53: .*: status 500, 4 times; .* \(2 of 3 parts are here\)"):
        ask(["08", "39", "53"])
    server.asked.clear()
    assert len(ask(["08", "39", "53"]).tracts) == 5
    assert [place for _, place, _ in server.asked] == ["53"]
    server.asked.clear()
    assert len(ask(["08", "39", "53"]).tracts) == 5
    assert server.asked == []


def test_a_kept_answer_that_changed_is_fetched_again(ask, server, landing):
    first = ask(["39"])
    key = "acs/2020/B01003/39.json"
    landing.put(key, landing.get(key).replace(b"12", b"13", 1))
    assert ask(["39"]).tracts.equals(first.tracts)
    assert len(server.asked) == 2


def test_an_answer_kept_without_its_checksum_is_fetched_again(ask, server, landing):
    ask(["39"])
    landing.delete("acs/2020/B01003/39.json.about")
    ask(["39"])
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("http://127.0.0.1:9/data", r"127\.0\.0\.1:9: no connection \(connection refused\)"),
        ("http://nowhere.invalid/data", r"nowhere\.invalid: no such host"),
    ],
)
def test_a_server_that_is_not_there_is_named_at_once(landing, waits, address, reason):
    client = Downloader(Politeness(attempts=5), sleep=waits.sleep, clock=waits.clock)
    with pytest.raises(RunError, match=rf"B01003 2020, state 39: {reason}; is there a connection"):
        fetch("B01003", 2020, ["39"], landing, base_url=address, downloader=client)
    assert waits.waits == []


def test_a_server_that_has_answered_is_asked_again_when_it_goes_away(landing, waits):
    polite = Politeness(attempts=3, timeout=5)
    client = Downloader(polite, sleep=waits.sleep, clock=waits.clock, say=waits.lines.append)
    with serving() as gone:
        fetch("B01003", 2020, ["53"], landing, base_url=gone.url, downloader=client)
    client._pool.clear()
    with pytest.raises(RunError, match=r"state 39: .*: no connection \(connection refused\), 3 times"):
        fetch("B01003", 2020, ["39"], landing, base_url=gone.url, downloader=client)
    assert waits.waits == [1, 2]


def test_every_further_request_is_said_with_its_reason(ask, server, waits):
    server.failures = {"39": [status(503, b"", [("Retry-After", "7")]), broken_json]}
    ask(["39"])
    assert len(waits.lines) == 2
    for line, words in zip(waits.lines, (("503", "7 s"), ("not JSON", "2 s")), strict=True):
        assert [word for word in ("B01003 2020, state 39", "127.0.0.1", *words) if word not in line] == []


def test_while_a_server_thinks_lines_say_how_far_it_is(server, landing):
    lines = []
    server.failures = {"39": [lambda handler: (time.sleep(0.4), handler.reply(200, ANSWER))]}
    client = Downloader(Politeness(concurrency=2), say=lines.append, line_every=0.05)
    fetch("B01003", 2020, ["39", "53"], landing, base_url=server.url, downloader=client)
    assert re.fullmatch(r"B01003 2020: [01] of 2 answers are here; waiting for the server", lines[-1])


ANSWER = b'[["B01003_001E","B01003_001M","state","county","tract"],["1","2","39","001","000100"]]'


def test_a_circle_of_redirects_is_named_at_once(ask, server, waits):
    def again(handler):
        server.failures["39"].append(again)
        handler.reply(302, b"", [("Location", handler.path)])

    server.failures = {"39": [again]}
    with pytest.raises(RunError, match=r"state 39: 127.0.0.1:[0-9]+ redirects 4 times, last to http:") as error:
        ask(["39"], secret="hush")
    assert "hush" not in str(error.value)
    assert waits.waits == []


def test_the_login_page_of_a_network_is_named_at_once(ask, server, waits):
    with serving() as portal:
        portal.failures = {"39": [status(200, b"<html><title>Hotel Wi-Fi</title></html>")]}
        login = f"http://localhost:{portal.server_port}"
        server.failures = {
            "39": [lambda handler: handler.reply(302, b"", [("Location", f"{login}{handler.path}")])],
        }
        with pytest.raises(RunError, match=r"redirects to localhost:[0-9]+, which sends a web page \('Hotel Wi-Fi'\)"):
            ask(["39"])
    assert waits.waits == []


def test_a_mirror_that_another_host_redirects_to_is_read(ask, server):
    mirror = f"http://localhost:{server.server_port}"
    server.failures = {"39": [lambda handler: handler.reply(302, b"", [("Location", f"{mirror}{handler.path}")])]}
    assert len(ask(["39"]).tracts) == 3


def test_states_that_are_none_are_named(ask):
    with pytest.raises(InputError, match=r"states: unknown state '97'"):
        ask(["39", "97"])


def test_politeness_must_leave_a_request():
    with pytest.raises(SettingsError, match=r"found concurrency 0"):
        Politeness(concurrency=0)
