"""Lines about what a job is doing, where there is no terminal."""

import threading
import time

import pytest
from rich.console import Console

from geomob_dask import activity
from geomob_dask.errors import SettingsError
from geomob_dask.runs.progress import Progress


class Heard:
    """Lines that were said, and a wait for one that holds a text."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._more = threading.Condition()

    def say(self, line: str) -> None:
        with self._more:
            self.lines.append(line)
            self._more.notify_all()

    def wait_for(self, *texts: str) -> str:
        """Return the first line that holds all of these texts."""

        def found() -> str | None:
            return next((line for line in self.lines if all(text in line for text in texts)), None)

        with self._more:
            assert self._more.wait_for(found, timeout=60), (texts, self.lines)
            return found() or ""

    def wait_for_count(self, count: int) -> None:
        """Wait until so many lines were said."""
        with self._more:
            assert self._more.wait_for(lambda: len(self.lines) >= count, timeout=60), self.lines


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


def test_what_lasts_is_said_while_it_lasts():
    heard = Heard()
    with activity.heard(heard.say, every=0.02):
        heard.wait_for("working")
        with activity.doing("planning"):
            heard.wait_for("planning, for ")
            with activity.doing(lambda: ["2020: 3 of 4 outputs", "stage match: 1 of 9"]):
                heard.wait_for("stage match: 1 of 9")
            count = len(heard.lines)
            heard.wait_for_count(count + 5)
            assert not any("stage match" in line for line in heard.lines[count + 2 :])
    said = list(heard.lines)
    time.sleep(0.1)
    assert heard.lines == said


def test_no_line_comes_after_an_interrupt():
    heard = Heard()

    def interrupted() -> None:
        with activity.heard(heard.say, every=0.02), activity.doing("computing"):
            heard.wait_for("computing")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    said = list(heard.lines)
    time.sleep(0.1)
    assert heard.lines == said


def test_what_has_nothing_to_say_is_asked_again():
    heard, asked = Heard(), []

    def sometimes() -> list[str]:
        asked.append(1)
        return ["now"] if len(asked) > 3 else []

    with activity.doing(sometimes), activity.heard(heard.say, every=0.02):
        heard.wait_for("now")
    assert set(heard.lines) == {"now"}


def test_nothing_is_said_while_other_lines_are_printed(monkeypatch):
    heard, clock = Heard(), Clock()
    monkeypatch.setattr(activity, "time", clock)
    with activity.doing("computing"), activity.heard(heard.say, every=0.05):
        for _ in range(5):
            # The thread looks meanwhile, several times.
            time.sleep(0.2)
            clock.now += 0.04
            activity.spoke()
        assert heard.lines == []
        clock.now += 0.06
        heard.wait_for("computing")


@pytest.mark.parametrize("given", ["often", "-1", "inf"])
def test_a_wrong_interval_is_refused(given, monkeypatch):
    monkeypatch.setenv("GEOMOB_PROGRESS", given)
    with pytest.raises(SettingsError, match="GEOMOB_PROGRESS"), activity.heard(print):
        pass


def test_no_lines_are_made_where_none_are_wanted(monkeypatch):
    monkeypatch.setenv("GEOMOB_PROGRESS", "0")
    heard, before = Heard(), set(threading.enumerate())
    with activity.heard(heard.say), activity.doing("computing"):
        # Those of other tests may be ending just now.
        assert "geomob-activity" not in {thread.name for thread in set(threading.enumerate()) - before}


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr("geomob_dask.runs.progress.time", made)
    return made


@pytest.fixture
def progress():
    with Progress(Console(file=open("/dev/null", "w"))) as made:
        yield made


def test_a_line_per_year_with_counts_and_time_left_by_size(progress, clock):
    progress.expect("2021", 4, 400.0)
    progress.expect("2020", 2, 200.0)
    progress.active([("2021", "06"), ("2021", "48")])
    assert progress.lines()[0] == "2021: 0 of 4 outputs, for 1 s, running 06 48"
    clock.now += 60
    progress.done("2021", 200.0)
    progress.active([("2021", "48")])
    assert "left" not in progress.lines()[0], "one output says little about the others"
    progress.done("2021", 100.0)
    # 300 of 400 bytes took 60 s.
    assert progress.lines() == [
        "2021: 2 of 4 outputs, about 20 s left, running 48",
        "in all: 2 of 6 outputs, about 60 s left",
    ]


def test_what_was_found_whole_says_nothing_about_the_time_left(progress, clock):
    progress.expect("2021", 4, 400.0)
    progress.active([("2021", "06")])
    clock.now += 60
    for _ in range(2):
        progress.done("2021", 100.0, found=True)
    assert progress.lines() == ["2021: 2 of 4 outputs, for 60 s, running 06"]
    progress.done("2021", 100.0)
    assert progress.lines() == ["2021: 3 of 4 outputs, about 60 s left, running 06"]


def test_a_year_that_ended_is_told_once(progress, clock):
    progress.expect("2021", 1, 1.0)
    progress.expect("2020", 1, 1.0)
    progress.active([("2021", "all")])
    progress.done("2021", 1.0)
    progress.active([("2020", "all")])
    assert [line.split(":")[0] for line in progress.lines()] == ["2021", "2020", "in all"]
    assert [line.split(":")[0] for line in progress.lines()] == ["2020", "in all"]


def test_a_line_per_stage_that_runs(progress, clock):
    progress.expect("2021", 1, 1.0)
    progress.stages({"read": (0, 10), "match": (0, 10), "merge": (0, 1)})
    clock.now += 10
    progress.stages({"read": (5, 10), "match": (1, 10), "merge": (0, 1)})
    assert progress.lines() == ["read: 5 of 10 tasks, about 10 s left", "match: 1 of 10 tasks, for 1 s"]
    progress.stages({"read": (10, 10), "match": (1, 10), "merge": (0, 1)})
    assert progress.lines()[0] == "read: 10 of 10 tasks"
    assert [line.split(":")[0] for line in progress.lines()] == ["match"]


def test_failures_are_counted_once_each(progress, clock):
    progress.expect("2021", 2, 2.0)
    progress.active([("2021", "06")])
    progress.done("2021", 1.0)
    progress.done("2021", 1.0)
    progress.failed("2021", 1.0)
    assert progress.lines() == ["2021: 2 of 2 outputs, 1 failed"]
