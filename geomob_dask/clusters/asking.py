"""Questions to a server by an asynchronous library, each answered within a stated time."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from geomob_dask import ending
from geomob_dask.runs.other_thread import in_other_thread

# Seconds beyond the question's own in which its thread is left to end.
_MORE = 5.0

Answer = TypeVar("Answer")


class Asking:
    """A thread with an event loop; what a library opens there lasts until the end."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        # What a connection makes of its end is nobody's concern: who uses it notices.
        self._loop.set_exception_handler(lambda loop, context: None)

    def answer(self, question: Callable[[], Coroutine[Any, Any, Answer]], seconds: float) -> Answer:
        """Return the answer to a question; the wait for it may be interrupted.

        Parameters
        ----------
        question : callable
            Called in the thread; returns the coroutine that asks.
        seconds : float

        Raises
        ------
        TimeoutError
            If it takes longer.
        """

        async def bounded() -> Answer:
            return await asyncio.wait_for(question(), seconds)

        future = asyncio.run_coroutine_threadsafe(bounded(), self._loop)
        try:
            found: Answer = in_other_thread(future.result, seconds + _MORE)
        except BaseException:
            future.cancel()
            raise
        return found

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run the thread until the block ends; what still happens there then is given up."""
        with ending.blocked():
            threading.Thread(target=self._run, daemon=True, name="geomob-asking").start()
        try:
            yield
        finally:
            with contextlib.suppress(Exception):
                self.answer(_given_up, _MORE)
            self._loop.call_soon_threadsafe(self._loop.stop)

    def _run(self) -> None:
        self._loop.run_forever()
        self._loop.close()


async def _given_up() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=_MORE / 2) if tasks else None
