"""The end of a job: Ctrl-C and SIGTERM from its first import on, exit codes, and leaving the process.

A job imports this module before all others. Importing it changes the handlers of signals only where the process was
started to run a script of its own, such as ``python jobs/exposure.py``; in a notebook or a test it changes nothing.
"""

import atexit
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn

INTERRUPTED = 1
"""Exit code of a run that was interrupted, as of every run that started and did not end."""

KEPT = "what was committed stays, nothing is half-written; run the same command again"

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

Handler = Callable[[int, FrameType | None], Any]


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM; no library takes it for an error of its own."""


def is_script() -> bool:
    """Return whether this process was started to run a script; not so for workers, tests and notebooks."""
    main = sys.modules.get("__main__")
    return (
        getattr(main, "__spec__", 1) is None
        and bool(getattr(main, "__file__", ""))
        and bool(getattr(main, "__loader__", None))
    )


def say(line: str) -> None:
    """Write a line to standard error at once; a handler of signals may call it in the middle of another output."""
    with contextlib.suppress(OSError):
        os.write(2, f"{line}\n".encode())


@contextlib.contextmanager
def handled(handler: Handler) -> Iterator[None]:
    """Have Ctrl-C and SIGTERM call a function; in the main thread only, other threads get no signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, known in before.items():
            signal.signal(number, known)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise `Interrupted` at the first Ctrl-C or SIGTERM; the second Ctrl-C does not wait for what is cleaned up."""
    asked = 0

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise Interrupted
        if number == signal.SIGINT:
            if is_script():
                say(f"error: interrupted twice: stopped at once; {KEPT}")
                _end(INTERRUPTED)
            raise Interrupted

    with handled(ask):
        yield


@contextlib.contextmanager
def blocked() -> Iterator[None]:
    """Block Ctrl-C and SIGTERM in this thread, in threads that it starts, and in processes that those start."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Return whether an error, or one that it came from, says that this process gets no more memory or threads."""
    # Python's message, and that of libraries in Rust.
    threads = ("can't start new thread", "can't spawn worker thread")
    while error is not None:
        if isinstance(error, MemoryError) or any(text in str(error) for text in threads):
            return True
        error = error.__cause__ or error.__context__
    return False


def leave(code: int, *, at_once: bool = False) -> NoReturn:
    """End the process with an exit code.

    The interpreter is not torn down: a thread of a library that is inside C++ at that moment (Arrow's, a storage
    client's) would be unwound there, and the process would abort after a good result.

    Parameters
    ----------
    at_once : bool
        Whether what is registered for the end of the process is left out: after an interrupt it may wait for a cluster.
    """
    if not is_script():
        sys.exit(code)
    # The job has ended: there is nothing more to interrupt.
    with handled(lambda *_: _end(code)):
        if not at_once:
            _end_children()
            atexit._run_exitfuncs()
        _end(code)


def _end(code: int) -> NoReturn:
    _end_children()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            # Who reads has seen enough.
            pass
        except Exception as error:
            say(f"error: {getattr(stream, 'name', 'output')}: {error}; what was printed is not whole")
            code = code or 1
    os._exit(code)


def _end_children() -> None:
    """Kill worker processes that are left, and release what they shared: its tracker would list it."""
    if "multiprocessing.util" not in sys.modules:
        return
    import multiprocessing.util

    _kill_children()
    multiprocessing.util._run_finalizers()  # type: ignore[attr-defined]
    # A thread may have started one meanwhile.
    _kill_children()


def _kill_children() -> None:
    """Kill child processes, also those that a thread is starting and multiprocessing does not list yet.

    Such a process would find the pipe that it reads from closed, and print a traceback after the last line of the job.
    """
    import psutil

    killed = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            # The tracker ends with this process, after it has released what the others leave.
            if "resource_tracker import" not in " ".join(child.cmdline()):
                child.kill()
                killed.append(child)
    psutil.wait_procs(killed, timeout=1.0)


def _before_anything(number: int, frame: FrameType | None) -> None:
    say("error: interrupted before anything began")
    os._exit(INTERRUPTED)


if is_script() and threading.current_thread() is threading.main_thread():
    # A semaphore that a thread makes while the process ends would be listed by the tracker of multiprocessing.
    sys.warnoptions.append("ignore:resource_tracker:UserWarning")
    # Imports take seconds, and nothing is written meanwhile.
    for _number in _SIGNALS:
        signal.signal(_number, _before_anything)
