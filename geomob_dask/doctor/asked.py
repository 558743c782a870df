"""Questions to workers and to the scheduler, each with an end: who does not answer is named, and not waited for."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from typing import Any

import distributed

# Seconds that the answers of all may take longer than that of one.
_MARGIN = 5.0


class NoAnswerError(Exception):
    """A machine that did not answer in time, or was lost meanwhile."""


def ask_workers(
    client: distributed.Client, calls: Mapping[str, Callable[..., Any]], seconds: float, *args: Any
) -> dict[str, Any]:
    """Return what each worker returns, by address; the error where it has none, `NoAnswerError` if it is silent.

    Parameters
    ----------
    calls : mapping of str to callable
        What each worker calls, by its address: in its event loop, or in a thread of its own by `in_a_thread`. Tasks
        that the worker computes are not waited for.
    seconds : float
        That each of them may take; they are asked at the same time.
    *args
        Given to the function.
    """

    async def one(worker: str) -> Any:
        found = await client._run(calls[worker], *args, workers=[worker], on_error="return")
        # A worker that has left meanwhile is not among the answers.
        return found.get(worker, NoAnswerError("it was lost"))

    return all_within(client, {worker: functools.partial(one, worker) for worker in calls}, seconds)


def ask_scheduler(client: distributed.Client, function: Callable[..., Any], seconds: float, *args: Any) -> Any:
    """Return what the scheduler returns; the error where it has none."""

    async def asked() -> Any:
        return await client._run_on_scheduler(function, *args)

    return all_within(client, {"scheduler": asked}, seconds)["scheduler"]


def all_within(
    client: distributed.Client, questions: Mapping[str, Callable[[], Awaitable[Any]]], seconds: float
) -> dict[str, Any]:
    """Return the answers to questions in the event loop of a client, by name; errors are answers too."""

    async def one(question: Callable[[], Awaitable[Any]]) -> Any:
        try:
            return await asyncio.wait_for(question(), seconds)
        except TimeoutError:
            return NoAnswerError(f"no answer within {seconds:g} s")
        except OSError as error:
            return NoAnswerError(f"it was lost ({error})")
        except Exception as error:
            return error

    async def every() -> list[Any]:
        return list(await asyncio.gather(*(one(question) for question in questions.values())))

    asked = asyncio.run_coroutine_threadsafe(every(), client.loop.asyncio_loop)
    try:
        answers: Sequence[Any] = asked.result(seconds + _MARGIN)
    except (TimeoutError, CancelledError):
        asked.cancel()
        answers = [NoAnswerError(f"no answer within {seconds:g} s")] * len(questions)
    return dict(zip(questions, answers, strict=True))


def in_a_thread(function: Callable[..., Any], *args: Any) -> Callable[..., Any]:
    """Return a call that a worker makes in a thread of its own: its event loop goes on meanwhile."""
    return functools.partial(_in_a_thread, function, *args)


async def _in_a_thread(function: Callable[..., Any], *args: Any) -> Any:
    return await asyncio.to_thread(function, *args)
