"""Jobs run in a process that notes every file it opens, makes, moves or removes, and every address it asks.

``python tests/watched.py`` reads command lines as JSON (lists of a job and its arguments) and prints, for each, its
exit code, its message, and what Python was told to touch. Libraries in C are not heard: for them, see what is around.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import runpy
import sys
import warnings
from pathlib import Path
from typing import Any

JOBS = Path(__file__).parents[1] / "jobs"
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGING = (
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.chmod",
    "os.truncate",
    "os.utime",
)
_PATHS = {"os.rename": 2, "os.link": 2, "os.symlink": 2}
_RUNNING = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork")
_ASKING = ("socket.connect", "socket.sendto", "socket.getaddrinfo")

events: list[tuple[str, str]] = []


def _absolute(path: Any, folder: int) -> str:
    name = os.fsdecode(path)
    beside = os.readlink(f"/proc/self/fd/{folder}") if folder > 2 and os.path.exists("/proc/self/fd") else ""
    return os.path.abspath(os.path.join(beside, name))


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open":
        path, _, flags = arguments
        if isinstance(path, (str, bytes)):
            events.append(("write" if (flags or 0) & _WRITING else "read", os.path.abspath(os.fsdecode(path))))
    elif event in _CHANGING:
        paths = arguments[: _PATHS.get(event, 1)]
        # Folders are emptied by names within an open folder.
        folders = [one for one in arguments[len(paths) :] if isinstance(one, int)][-len(paths) :]
        for path, folder in zip(paths, folders or [-1] * len(paths), strict=False):
            if isinstance(path, (str, bytes, os.PathLike)):
                events.append(("write", _absolute(path, folder)))
    elif event in _ASKING:
        address = arguments[:2] if event == "socket.getaddrinfo" else arguments[-1]
        events.append(("ask", json.dumps(address, default=str)))
    elif event in _RUNNING:
        events.append(("run", str(arguments)[:300]))


def run(line: list[str]) -> dict[str, Any]:
    """Return how one job ended and what it touched."""
    events.clear()
    printed = io.StringIO()
    sys.argv, code = [f"jobs/{line[0]}.py", *line[1:]], 0
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            runpy.run_path(str(JOBS / f"{line[0]}.py"), run_name="__main__")
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
    return {"code": code, "said": printed.getvalue()[-2000:], "events": list(dict.fromkeys(events))}


def main() -> None:
    """Run the command lines of standard input."""
    lines = json.load(sys.stdin)
    answers = os.fdopen(os.dup(1), "w")
    warnings.simplefilter("ignore")
    sys.addaudithook(_watch)
    for line in lines:
        answers.write(json.dumps(run(line)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
