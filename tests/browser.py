"""A real browser for tests: headless Chromium, driven by Playwright in a thread of its own.

``visit`` opens pages, ``screenshot`` keeps what they show, and a page at which something failed (an error of a
script, a request to another host) fails its test. ``GEOMOB_SCREENSHOTS`` names the folder of the screenshots.
"""

import os
import queue
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from host_services import need
from waits import await_that

DESKTOP = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
# Before a page: clicks that do not say what made them, as where a click is no pointer event, or say of all "mouse".
OLDER_CLICKS = [
    f"""const told = Object.getOwnPropertyDescriptor(PointerEvent.prototype, "pointerType").get;
      Object.defineProperty(PointerEvent.prototype, "pointerType", {{
        get() {{ return this.type === "click" ? {said} : told.call(this); }} }});"""
    for said in ("undefined", '"mouse"')
]
# Milliseconds: a machine that is busy with other tests is slow.
_PATIENCE = 30_000
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    # No name is looked up: what a page would load from elsewhere fails, and is recorded.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)


class _Thread:
    """Playwright holds the event loop of its thread: in the thread of the tests, no job and no cluster could start."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="browser", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            future, function = call
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)

    def run(self, function: Callable[[], Any]) -> Any:
        """Return what a function returns in the thread; objects of Playwright come wrapped, to be used there."""
        if threading.current_thread() is self._thread:
            return function()
        future: Future[Any] = Future()
        self._calls.put((future, function))
        return self.wrapped(future.result())

    def wrapped(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.wrapped(one) for one in value]
        of_playwright = type(value).__module__.startswith("playwright.") and not isinstance(value, (dict, str))
        return There(self, value) if of_playwright or callable(value) else value

    def end(self) -> None:
        self._calls.put(None)
        self._thread.join(30)


class There:
    """An object of Playwright that is used in its thread: ``page``, ``locator``, what ``expect`` returns, and so on."""

    def __init__(self, thread: _Thread, inner: Any) -> None:
        self.__dict__.update(_thread=thread, _inner=inner)

    def __getattr__(self, name: str) -> Any:
        return self._thread.run(lambda: getattr(self._inner, name))

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        given = [_inner(one) for one in arguments], {name: _inner(one) for name, one in options.items()}
        return self._thread.run(lambda: self._inner(*given[0], **given[1]))

    def __enter__(self) -> Any:
        return self._thread.run(lambda: self._inner.__enter__())

    def __exit__(self, *error: Any) -> None:
        self._thread.run(lambda: self._inner.__exit__(*error))

    def __repr__(self) -> str:
        return f"There({self._inner!r})"


def _inner(value: Any) -> Any:
    return value._inner if isinstance(value, There) else value


class Visit:
    """Opens pages in contexts of their own, and records what fails in them."""

    def __init__(self, chromium: There) -> None:
        self.faults: list[str] = []
        # Texts of errors that a test brings about.
        self.expected: list[str] = []
        self._chromium = chromium
        self._contexts: list[There] = []

    def __call__(
        self, where: str | Path, seen: dict[str, Any] = DESKTOP, before: str = "", ready: bool = True, **options: Any
    ) -> There:
        """Open an address or a file in a browser of its own, as ``DESKTOP`` or ``PHONE``, and wait until it is loaded.

        A page of ours is waited for until it says that it is ready, unless ``ready`` is false. ``before`` is a script
        that runs before those of the page; ``options`` are those of ``new_context``.
        """
        address = where.absolute().as_uri() if isinstance(where, Path) else where
        context = self._chromium.new_context(**{**seen, **options})
        context.set_default_timeout(_PATIENCE)
        self._contexts.append(context)
        if before:
            context.add_init_script(before)
        page = context.new_page()
        self._watch(page, urlsplit(address).netloc)
        page.goto(address, wait_until="load")
        if ready:
            page.wait_for_selector("body:not([data-ready=no])", state="attached")
        return page

    def _watch(self, page: There, host: str) -> None:
        def requested(request: Any) -> None:
            found = urlsplit(request.url)
            if found.scheme not in ("data", "blob") and found.netloc != host:
                self.faults.append(f"{page.url}: asked for {request.url}")

        def said(message: Any) -> None:
            if message.type == "error" and not any(text in message.text for text in self.expected):
                self.faults.append(f"{page.url}: {message.text} ({message.location.get('url', '')})")

        page.on("request", requested)
        page.on("websocket", requested)
        page.on("console", said)
        page.on("pageerror", lambda error: self.faults.append(f"{page.url}: {error}"))

    def end(self) -> list[str]:
        """Close all pages; return what failed in them."""
        for context in self._contexts:
            context.close()
        return self.faults


class Held:
    """Requests of a page that are kept until a test lets them go."""

    def __init__(self, page: There, pattern: str) -> None:
        self.page, self.routes, self.open = page, [], False
        page.route(re.compile(pattern), self._asked)

    def _asked(self, route: Any) -> None:
        if self.open:
            route.continue_()
        else:
            self.routes.append(route)

    def await_one(self) -> None:
        def asked() -> bool:
            # Playwright hears of requests while it waits.
            self.page.wait_for_timeout(50)
            return bool(self.routes)

        await_that(asked, 30, lambda: "nothing was asked for")

    def let_go(self) -> None:
        self.open = True
        for route in self.routes:
            self.page._thread.run(route.continue_)


@pytest.fixture(scope="session")
def chromium() -> Iterator[There]:
    """Return the one browser of all tests; they are skipped by name where there is none."""
    need("browser")
    from playwright.sync_api import sync_playwright

    thread = _Thread()
    playwright = thread.run(lambda: sync_playwright().start())
    browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(_ARGUMENTS))
    yield browser
    browser.close()
    playwright.stop()
    thread.end()


@pytest.fixture
def visit(chromium: There) -> Iterator[Visit]:
    """Open pages: ``page = visit(file, PHONE)``. At the end of the test nothing may have failed in them."""
    pages = Visit(chromium)
    yield pages
    if faults := pages.end():
        pytest.fail("in the browser: " + "\n".join(faults))


@pytest.fixture(params=["desktop", "phone"])
def seen(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return each of the two windows in which pages are looked at."""
    return {"desktop": DESKTOP, "phone": PHONE}[request.param]


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which screenshots are kept."""
    given = os.environ.get("GEOMOB_SCREENSHOTS")
    folder = Path(given) if given else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def expect(found: There) -> There:
    """Return what is expected of a locator or a page: ``expect(page.get_by_role("status")).to_have_text("…")``."""
    from playwright.sync_api import expect

    expect.set_options(timeout=_PATIENCE)
    return There(found._thread, expect)(found)


@contextmanager
def answered(page: There, what: str | re.Pattern[str]) -> Iterator[None]:
    """Wait for an answer to a request that is let go meanwhile, and until the page has done what it does with it."""
    with page.expect_response(what) as found:
        yield
    # So far its head alone has come.
    found.value.finished()
    page.evaluate("new Promise((go) => requestAnimationFrame(() => setTimeout(go, 100)))")


def screenshot(page: There, folder: Path, name: str, *, whole: bool = False) -> Path:
    """Keep what a page shows, by name and width; ``whole`` shows what is below the window too."""
    file = folder / f"{name}-{page.viewport_size['width']}.png"
    page.screenshot(path=str(file), full_page=whole)
    return file


def pixels(page: There) -> np.ndarray:
    """Return what the window shows: rows by columns by red, green and blue."""
    from PIL import Image

    return np.asarray(Image.open(BytesIO(page.screenshot())).convert("RGB"))


_TOO_WIDE = """() => {
  const width = document.documentElement.clientWidth, found = [];
  if (document.documentElement.scrollWidth <= width + 1) return found;
  for (const one of document.querySelectorAll("body *")) {
    const box = one.getBoundingClientRect();
    if (box.width && box.right + scrollX > width + 1)
      found.push(`${one.tagName.toLowerCase()}#${one.id}.${one.className}: to ${Math.round(box.right)} of ${width}`);
  }
  return found.length ? found : ["the page"];
}"""


def overflow(page: There) -> list[str]:
    """Return the elements that reach out of the window to the right, if the page scrolls sideways for them."""
    return page.evaluate(_TOO_WIDE)


def devtools(page: There, command: str, **parameters: Any) -> Any:
    """Send a command of Chromium's own protocol to a page."""
    session = page.context.new_cdp_session(page)
    return session.send(command, parameters)


def seen_without_green(page: There) -> None:
    """Show a page as people with deuteranopia see it."""
    devtools(page, "Emulation.setEmulatedVisionDeficiency", type="deuteranopia")


def swipe(page: There, x: float, y: float, *, up: float = 0.0, left: float = 0.0) -> None:
    """Move one finger over a page by so many pixels."""
    session = page.context.new_cdp_session(page)
    steps = 10
    session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for k in range(1, steps + 1):
        at = {"x": x - left * k / steps, "y": y - up * k / steps}
        session.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [at]})
        page.wait_for_timeout(16)
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def pinch(page: There, x: float, y: float, factor: float, *, left: float = 0.0) -> None:
    """Put two fingers 80 px apart on a page, and spread them by a factor while they move to the left."""
    session = page.context.new_cdp_session(page)
    steps = 10

    def fingers(k: int) -> list[dict[str, float]]:
        half, middle = 40 * (1 + (factor - 1) * k / steps), x - left * k / steps
        return [{"x": middle - half, "y": y, "id": 0}, {"x": middle + half, "y": y, "id": 1}]

    session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": fingers(0)})
    for k in range(1, steps + 1):
        session.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": fingers(k)})
        page.wait_for_timeout(16)
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
