"""Whether client and workers see one store, and whether it keeps what commits rely on."""

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import distributed

from geomob_dask.doctor import trial
from geomob_dask.doctor.asked import NoAnswerError, ask_workers, in_a_thread
from geomob_dask.doctor.clocks import Reading, reading
from geomob_dask.doctor.findings import Finding, Level, skipped, unless_found, well
from geomob_dask.doctor.machines import CLIENT, named
from geomob_dask.doctor.trial import Done, Trial
from geomob_dask.errors import GeomobError
from geomob_dask.messages import counted, listed, one_line, reason
from geomob_dask.runs.other_thread import in_other_thread

# Objects of other workers that each worker reads.
_NEIGHBORS = 16
# Keys that are raced for, writers at least, workers at most, and seconds until the first and between two of them.
_ROUNDS, _WRITERS, _RACERS, _BEGINS, _GAP = 20, 8, 16, 0.5, 0.03
_LARGE = 8 * 2**20
# Of a question to a worker beyond the time of its requests: seconds.
_MORE = 10.0

_CHECKSUMS = "AWS_REQUEST_CHECKSUM_CALCULATION=when_required AWS_RESPONSE_CHECKSUM_VALIDATION=when_required"
# What gateways that know no checksums in trailers answer.
_NO_TRAILERS = ("411", "MissingContentLength", "Length Required", "XAmzContentSHA256Mismatch", "trailer")


def visible(
    tried: Trial, client: distributed.Client | None, workers: Sequence[str], seconds: float
) -> tuple[list[Finding], list[str]]:
    """Return whether the store can be read and written, and the workers that share it with the client."""
    url = tried.objects.url
    data = tried.token.encode()
    here = _within(lambda: trial.tried(lambda: _write_and_read(tried, data)), seconds)
    if here.error:
        return [_unusable(here.error, CLIENT, tried)], []
    if client is None or not workers:
        return [well("store", f"{url} can be read and written from the client")], []
    own = {worker: tried.key(f"worker-{place}") for place, worker in enumerate(workers)}
    calls = {
        worker: in_a_thread(trial.see_and_write, url, seconds, tried.key(CLIENT), key, data)
        for worker, key in own.items()
    }
    answers = ask_workers(client, calls, seconds + _MORE)
    sharing = [worker for worker, answer in answers.items() if isinstance(answer, Done) and answer.value]
    tried.unsure |= any(isinstance(answer, NoAnswerError) for answer in answers.values())
    found = [_not_shared(named(worker), answer, tried) for worker, answer in answers.items() if worker not in sharing]
    found += _others(tried, client, {worker: own[worker] for worker in sharing}, data, seconds)
    text = f"{url}: {counted(len(sharing), 'worker')} and the client read and write what the others do"
    return unless_found(found, well("store", text)), sharing


def _write_and_read(tried: Trial, data: bytes) -> None:
    key = tried.key(CLIENT)
    tried.objects.put(key, data)
    if tried.objects.get(key) != data:
        raise GeomobError(f"{tried.objects.url}/{key}: found other bytes than were written; expected the same")


def _within(act: Callable[[], Done], seconds: float) -> Done:
    """Return what came of an action of this process, within a time: a folder may hang in the system."""
    try:
        done: Done = in_other_thread(act, seconds + _MORE)
        return done
    except TimeoutError:
        return Done(error=f"no answer within {seconds + _MORE:g} s")


def _unusable(error: str, where: str, tried: Trial) -> Finding:
    expected = "a store that can be read and written"
    return Finding("store", Level.WRONG, one_line(error), expected, _advice(error, tried), where)


def _not_shared(worker: str, answer: Any, tried: Trial) -> Finding:
    if isinstance(answer, Exception):
        why = str(answer) if isinstance(answer, NoAnswerError) else f"cannot try the store ({reason(answer)})"
        return Finding("store", Level.WRONG, why, "an answer", "see the findings above on this worker", worker)
    if answer.error:
        return _unusable(answer.error, worker, tried)
    if tried.objects.local:
        advice = "use a folder that all machines share at this path, or a bucket (--store s3://bucket/prefix)"
    else:
        advice = "give the worker the endpoint and credentials of the client (AWS_ENDPOINT_URL, AWS_PROFILE, …)"
    return Finding(
        "store",
        Level.WRONG,
        f"does not see {tried.objects.url}: what the client has just written is not there",
        "one store for client and workers",
        advice,
        worker,
    )


def _others(
    tried: Trial, client: distributed.Client, own: Mapping[str, str], data: bytes, seconds: float
) -> list[Finding]:
    """Return which workers do not see what others wrote; each looks for that of those after it."""
    workers = list(own)
    after = {
        worker: [own[other] for other in (workers[place + 1 :] + workers[:place])[:_NEIGHBORS]]
        for place, worker in enumerate(workers)
    }
    calls = {
        worker: in_a_thread(trial.not_seen, tried.objects.url, seconds, keys, data) for worker, keys in after.items()
    }
    found = []
    for worker, answer in ask_workers(client, calls, seconds + _MORE).items():
        if not isinstance(answer, Done) or answer.error:
            found.append(_unusable(_error(answer), named(worker), tried))
        elif answer.value:
            writers = [named(other) for other, key in own.items() if key in answer.value]
            found.append(
                Finding(
                    "store",
                    Level.WRONG,
                    f"does not see what {listed(writers)} wrote",
                    "storage that shows at once what was written",
                    "mount the shared folder without caches of attributes (actimeo=0), or use a bucket",
                    named(worker),
                )
            )
    missing = _within(lambda: trial.not_seen(tried.objects.url, seconds, list(own.values()), data), seconds)
    if missing.value:
        writers = [named(other) for other, key in own.items() if key in missing.value]
        text = f"does not see what {listed(writers)} wrote"
        found.append(Finding("store", Level.WRONG, text, "one store for client and workers", "as above", CLIENT))
    return found


def _advice(error: str, tried: Trial) -> str:
    if any(sign in error for sign in _NO_TRAILERS):
        return f"set {_CHECKSUMS} where client and workers run: this gateway knows no checksums in trailers"
    if "Skewed" in error or "skew" in error:
        return "set the clock of this machine: storage refuses signatures that are 15 minutes off"
    if tried.objects.local:
        return "give this user the right to read and write there, or another --store"
    return (
        "set AWS_ENDPOINT_URL and the credentials (AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) "
        "where this machine's process starts, or another --store"
    )


def one_winner(
    tried: Trial,
    client: distributed.Client | None,
    racers: Sequence[str],
    clocks: Mapping[str, Reading],
    seconds: float,
) -> list[Finding]:
    """Return whether, of several writers that create an object at the same time, exactly one succeeds."""
    keys = [tried.key(f"race-{place}") for place in range(_ROUNDS)]
    chosen = list(racers)[:_RACERS]
    each = -(-_WRITERS // max(len(chosen), 1))
    begins = time.time() + _BEGINS
    run = functools.partial(trial.race, tried.objects.url, seconds, keys)
    if client is None or not chosen:
        here = functools.partial(run, _WRITERS, begins, _GAP, CLIENT, tried.over)
        answers: dict[str, Any] = {CLIENT: _within(here, 2 * seconds)}
    else:
        # Each waits by its own clock for the same moment.
        calls = {
            worker: in_a_thread(run, each, begins + (clocks[worker].offset if worker in clocks else 0.0), _GAP, worker)
            for worker in chosen
        }
        answers = ask_workers(client, calls, 2 * seconds + _MORE)
    how = "a hard link" if tried.objects.local else "a put with If-None-Match: *"
    failed = {where: answer for where, answer in answers.items() if not isinstance(answer, Done) or answer.error}
    if failed:
        where, answer = next(iter(failed.items()))
        tried.unsure |= any(isinstance(one, NoAnswerError) for one in failed.values())
        return [
            _no_commits(f"{how} failed ({one_line(_error(answer))})", tried, where if where == CLIENT else named(where))
        ]
    won = [[name for answer in answers.values() for name in answer.value[place]] for place in range(_ROUNDS)]
    several = [names for names in won if len(names) > 1]
    nobody = [names for names in won if not names]
    writers = each * len(chosen) if chosen and client is not None else _WRITERS
    if several or nobody:
        text = f"{how}: of {writers} writers at once, {len(several or nobody)} times in {_ROUNDS} "
        return [_no_commits(text + (f"{len(several[0])} succeeded" if several else "none succeeded"), tried)]
    other = _within(lambda: trial.tried(lambda: _replaced(tried, keys, won)), seconds)
    if other.error or other.value:
        return [_no_commits(one_line(other.error or other.value), tried)]
    who = counted(len(chosen), "worker") if chosen and client is not None else "the client"
    text = f"{how}: of {writers} writers at once on {who}, exactly one succeeded, {_ROUNDS} times in {_ROUNDS}"
    return [well("commits", text)]


def _replaced(tried: Trial, keys: Sequence[str], won: Sequence[Sequence[str]]) -> str:
    """Return what is wrong with what the winners wrote; empty if nothing is."""
    for key, [name] in zip(keys, won, strict=True):
        if tried.objects.get(key) != name.encode():
            return "the object is not that of the writer that succeeded"
    if tried.objects.create(keys[0], b"once more"):
        return "an object that exists was created once more"
    return ""


def _no_commits(found: str, tried: Trial, where: str = "") -> Finding:
    advice = (
        "use a file system with hard links"
        if tried.objects.local
        else "use storage with conditional puts (Amazon S3, Ceph's gateway), or a folder that all machines share"
    )
    expected = "exactly one writer that succeeds: otherwise a commit of two jobs at once is lost in silence"
    return Finding("commits", Level.WRONG, found, expected, advice, where)


def clock_of_storage(tried: Trial, seconds: float) -> Reading | None:
    """Return how far the clock of a bucket's storage is ahead; None for a folder, or if it does not tell."""
    if tried.objects.local:
        return None

    def ask() -> Reading:
        sent = time.time()
        theirs = tried.objects.clock()
        one = reading(sent, theirs, time.time())
        # It tells whole seconds, and is rounded up.
        return Reading(one.offset - 0.5, one.within + 0.5)

    found = _within(lambda: trial.tried(ask), seconds)
    return None if found.error else found.value


def speed(tried: Trial, client: distributed.Client | None, workers: Sequence[str], seconds: float) -> list[Finding]:
    """Return how fast a worker, or the client without one, reads and writes the store: as information."""
    keys = (tried.key("large"), tried.key(CLIENT), _LARGE)
    measure = functools.partial(trial.speed, tried.objects.url, seconds, *keys)
    if client is None or not workers:
        where, answer = CLIENT, _within(measure, 3 * seconds)
    else:
        where = named(workers[0])
        answer = ask_workers(client, {workers[0]: in_a_thread(measure)}, 3 * seconds + _MORE)[workers[0]]
        tried.unsure |= isinstance(answer, NoAnswerError)
    if not isinstance(answer, Done) or answer.error:
        return [skipped("speed", f"not measured ({one_line(_error(answer))})")]
    latency, put, get = answer.value
    text = (
        f"{1000 * latency:,.1f} ms for a small object; 8 MiB written at {_rate(put)}, read at {_rate(get)} "
        f"(by {where}, alone)"
    )
    return [well("speed", text)]


def _error(answer: Any) -> str:
    """Return what went wrong where no value came back."""
    return answer.error if isinstance(answer, Done) else reason(answer)


def _rate(seconds: float) -> str:
    return f"{_LARGE / 2**20 / max(seconds, 1e-6):,.0f} MiB/s"
