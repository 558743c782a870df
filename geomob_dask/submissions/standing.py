"""How a submission stands: from its records, and from what its place says where they do not tell."""

import time
from dataclasses import dataclass
from typing import Any, Literal

from geomob_dask.activity import about
from geomob_dask.submissions.driver import ALIVE
from geomob_dask.submissions.places import Place, State
from geomob_dask.submissions.records import Known, Records

Phase = Literal["queued", "running", "done", "failed", "cancelled", "lost"]
FINAL = ("done", "failed", "cancelled", "lost")
# Seconds within which a queue that started a script has started a driver too, imports and a slow storage included.
_STARTS = 300.0
_NUMBERLESS = "who submitted it ended before its place had answered"
# Seconds without a sign of life after which a driver is taken for lost whose place cannot be asked from here.
_GONE = 900.0


@dataclass(frozen=True)
class Standing:
    """How a submission stands.

    Parameters
    ----------
    phase : str
        ``lost`` where it ended without a word: it may be resumed.
    since : float
        Seconds since 1970.
    why : str
        Why it waits or ended.
    code : int
        Exit code of the driver, where it has ended.
    line : str
        What it last printed.
    recorded : bool
        Whether its records say how it ended, not its place.
    """

    phase: Phase
    since: float
    why: str = ""
    code: int = 0
    line: str = ""
    recorded: bool = False

    @property
    def is_final(self) -> bool:
        """Return whether nothing more happens by itself."""
        return self.phase in FINAL

    def words(self) -> str:
        """Return it in words, such as ``running since 10:30 UTC``."""
        at = when(self.since)
        text = f"{self.phase} since {at}" if self.phase in ("queued", "running") else f"{self.phase} at {at}"
        if self.phase == "failed":
            text += f", exit code {self.code}"
        return f"{text}: {self.why}" if self.why else text


def when(seconds: float) -> str:
    """Return a time as it is shown."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def standing_now(records: Records, place: Place) -> tuple[Known, Standing]:
    """Return the records of a submission, and how it stands by them and its place."""
    known = records.known()
    while True:
        stands = standing_of(known, place)
        if stands.recorded or not stands.is_final:
            return known, stands
        # The place was asked after the records were read: the driver may have begun and ended in between.
        again = records.known()
        if (again.events, again.life) == (known.events, known.life):
            return known, stands
        known = again


def standing_of(known: Known, place: Place) -> Standing:
    """Return how a submission stands; its place is asked only where its records do not tell."""
    sent, run = known.last("sent"), known.last("began")
    began = known.of("began").get(run, {})
    # Half a note is none.
    ended = known.of("ended").get(run) or None
    line = str(known.life.get("line", ""))
    final = ended is not None and ended.get("outcome") in ("done", "failed", "cancelled")
    # One that its place did not take again has no number.
    if not began or (known.sent_of_run < sent and not (final and sent not in known.of("number"))):
        return _not_begun(known, place, sent)
    if ended is not None and final:
        outcome: Any = ended["outcome"]
        return Standing(
            outcome, _time(ended), str(ended.get("error", "")), int(ended.get("code", 0)), line, recorded=True
        )
    if ended is None and known.age < ALIVE:
        return Standing("running", _time(began), _ending(known, run), line=line)
    return _ended_by_its_place(known, place.state(known.asked, known.number) if known.number else State("unknown"), run)


def _not_begun(known: Known, place: Place, sent: int) -> Standing:
    """Return the standing of what was handed to its place, and of which no driver has begun."""
    asked = _time(known.of("sent").get(sent, {})) or known.asked.asked
    cancelled = known.of("cancel").get(sent)
    fresh = time.time() - asked < _STARTS
    if known.number:
        state = place.state(known.asked, known.number)
    else:
        state = State("queued", "it is being submitted") if fresh else State("unknown", _NUMBERLESS)
    if state.phase == "queued" and cancelled is None:
        return Standing("queued", asked, state.reason)
    if cancelled is not None:
        return Standing(
            "cancelled", _time(cancelled), "before it began" if not known.of("began") else "between two jobs"
        )
    if state.phase == "running":
        return Standing("running", asked, "it starts")
    if state.phase == "ended":
        return Standing(
            "failed", asked, f"{place.title} {known.number} ended before the driver began: {state.reason}", 1
        )
    if state.phase == "not asked":
        # A queue may be long, and knows of it where it can be asked.
        return Standing("queued", asked, f"as far as is known from here: {state.reason}")
    if fresh:
        return Standing("queued", asked, state.reason)
    return Standing("lost", asked, f"no driver began; {state.reason}", 1)


def _ended_by_its_place(known: Known, state: State, run: int) -> Standing:
    """Return the standing of a run that gives no sign of life, or that its place has ended."""
    began, ended = known.of("began").get(run, {}), known.of("ended").get(run) or None
    ending = known.of("ending").get(run, {})
    line = str(known.life.get("line", ""))
    if state.phase == "queued":
        return Standing(
            "queued", _time(ended or ending or began), state.reason or "started again by the queue", line=line
        )
    if state.phase == "running" and (ended is None or ended.get("outcome") == "stopped"):
        # The queue may start again what it has stopped.
        starts = ended is not None or known.age == float("inf")
        silent = "it starts" if starts else f"no sign of life for {about(known.age)}"
        return Standing("running", _time(began), silent, line=line)
    silence = min(known.age, time.time() - _time(began))
    if state.phase == "not asked" and ended is None and silence < _GONE:
        silent = f"no sign of life for {about(silence)}, and its place does not tell: {state.reason}"
        return Standing("running", _time(began), silent, line=line)
    if known.last("cancel") >= known.sent_of_run or ending.get("reason") == "cancelled":
        return Standing("cancelled", _time(ended or ending or began), "", 1, line)
    code = int((ended or {}).get("code", 1)) or 1
    if (ended is not None and ended.get("outcome") == "stopped") or ending.get("reason") == "stopped":
        why = f"the queue, or a command of it, ended the driver{f': {state.reason}' if state.reason else ''}"
        return Standing("cancelled", _time(ended or ending), why, code, line)
    last = known.life.get("time", began.get("time", 0.0))
    why = state.reason or "its place does not know it any more"
    return Standing("lost", float(last), f"the driver ended without a word: {why}", code, line)


def _ending(known: Known, run: int) -> str:
    reason = str(known.of("ending").get(run, {}).get("reason", ""))
    return {"": "", "walltime": "it is interrupted, and submitted again"}.get(reason, "it is ending")


def _time(record: Any) -> float:
    return float(record.get("time", 0.0))
