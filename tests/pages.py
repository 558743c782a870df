"""What is in a page: its elements, and the data of its scripts."""

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest


class Elements(HTMLParser):
    """The elements of a page and the text of its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self.inside: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self.inside = dict(attrs).get("id") if tag == "script" else None

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.scripts[self.inside] = self.scripts.get(self.inside, "") + data


def data_of(page: str, script: int = 1) -> dict[str, Any]:
    """Return the data that a page gives to one of its scripts."""
    found: dict[str, Any] = json.loads(Elements(page).scripts[f"data-{script}"])
    return found


def unpacked(packed: dict[str, str]) -> np.ndarray:
    """Return a packed array."""
    return np.frombuffer(base64.b64decode(packed["bytes"]), np.dtype(packed["type"]).newbyteorder("<"))


def polygons(packed: dict[str, Any]) -> list[list[list[tuple[float, float]]]]:
    """Return the rings of each polygon in km, by plain loops."""
    points, bounds = iter(unpacked(packed["points"])), unpacked(packed["bounds"]).reshape(-1, 4).astype(float)
    xy = zip(unpacked(packed["x"]), unpacked(packed["y"]), strict=True)
    result = []
    for count, (left, bottom, right, top) in zip(unpacked(packed["rings"]), bounds, strict=True):
        rings = []
        for _ in range(count):
            steps = [next(xy) for _ in range(next(points))]
            rings.append([(left + (right - left) * x / 65535, bottom + (top - bottom) * y / 65535) for x, y in steps])
        result.append(rings)
    assert next(points, None) is None
    assert next(xy, None) is None
    return result


# What runs in a browser ---------------------------------------------------------------------

_RUN = "top.postMessage('ran', '*')"
# Text that a page must show as text: it would end a script, add elements or attributes, or be computed (1337).
NASTY = (
    f"</script></title></style><script>{_RUN}</script>"
    f'"><img src=x onerror="{_RUN}">'
    f'\' onpointerover="{_RUN}" <a href="javascript:{_RUN}">x</a>'
    "{{ 7 * 191 }}${7 * 191}<%= 7 * 191 %> & <!-- \u2028 \\"
)
# Points at every plot and chooses every option, so that what is shown only then is shown; then tells what it saw.
_DRIVER = """
<script>
addEventListener("load", async () => {
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  for (let k = 0; k < 100 && document.body.dataset.ready !== "yes"; k++) await wait(50);
  const all = (root, found = []) => {
    for (const one of root.querySelectorAll("*")) { found.push(one); if (one.shadowRoot) all(one.shadowRoot, found); }
    return found;
  };
  const seen = {tooltips: 0, injected: 0, computed: 0};
  const look = () => {
    const elements = all(document).filter((one) => !["SCRIPT", "STYLE"].includes(one.tagName));
    seen.tooltips = Math.max(seen.tooltips, elements.filter((one) => one.classList.contains("bk-Tooltip")).length);
    seen.injected += elements.filter((one) => one.hasAttribute("onpointerover") || one.hasAttribute("onerror")).length;
    seen.computed += elements.filter((one) =>
      [...one.childNodes].some((node) => node.nodeType === 3 && node.data.includes("1337"))).length;
  };
  for (const area of all(document).filter((one) => one.classList.contains("bk-events"))) {
    const box = area.getBoundingClientRect(), point = (type, x, y) => area.dispatchEvent(new PointerEvent(type,
      {clientX: x, clientY: y, bubbles: true, composed: true, pointerType: "mouse", pointerId: 1, isPrimary: true}));
    for (let i = 1; i < 10; i++) for (let j = 1; j < 10; j++) {
      const [x, y] = [box.left + box.width * i / 10, box.top + box.height * j / 10];
      point("pointerover", x, y);
      point("pointermove", x, y);
      if (j === 5) { await wait(1); look(); }
    }
    point("pointerout", 0, 0);
  }
  for (const select of all(document).filter((one) => one.tagName === "SELECT")) {
    for (let k = 0; k < Math.min(select.options.length, 3); k++) {
      select.selectedIndex = k;
      select.dispatchEvent(new Event("change", {bubbles: true}));
      await wait(1);
    }
  }
  for (const one of all(document).filter((one) => one.tagName === "SUMMARY" || one.tagName === "TH")) one.click();
  await wait(20);
  look();
  top.postMessage(seen, "*");
});
</script>
"""
_FRAMES = """
<html><body><pre id="seen">{}</pre><script>
const frames = new Map(), seen = {};
addEventListener("message", ({data, source}) => {
  const found = seen[frames.get(source)] ??= {ran: false};
  Object.assign(found, data === "ran" ? {ran: true} : data);
  document.getElementById("seen").textContent = JSON.stringify(seen);
});
for (const name of NAMES) {
  const frame = document.createElement("iframe");
  // One over the other: a browser draws nothing in frames that are out of its window.
  Object.assign(frame.style, {position: "absolute", left: 0, top: 0, width: "1400px", height: "3000px"});
  document.body.append(frame);
  frames.set(frame.contentWindow, name);
  frame.src = name + ".html";
}
</script></body></html>
"""


def structure(page: str) -> list[tuple[str, list[str]]]:
    """Return the elements of a page with the names of their attributes: text of data must not change them."""
    return [(tag, sorted(attributes)) for tag, attributes in Elements(page).found]


def json_scripts(page: str) -> list[str]:
    """Return the text of the scripts of data."""
    return re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)


def seen_in_a_browser(pages: Mapping[str, str], folder: Path) -> dict[str, dict[str, Any]]:
    """Return what one browser saw in each page while everything in it was pointed at; skips without a browser.

    Whether text of data ``ran``; how many ``tooltips`` there were, elements or attributes that text had ``injected``,
    and elements that show what text would be ``computed`` to.
    """
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium is installed")
    for name, page in pages.items():
        (folder / f"{name}.html").write_text(f"{page}{_DRIVER}", encoding="utf-8")
    (folder / "frames.html").write_text(_FRAMES.replace("NAMES", json.dumps(list(pages))), encoding="utf-8")
    run = subprocess.run(
        [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"),
            *("--window-size=1500,3100", "--virtual-time-budget=600000", "--dump-dom"),
            (folder / "frames.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    (found,) = re.findall(r'<pre id="seen">(.*?)</pre>', run.stdout)
    seen: dict[str, dict[str, Any]] = json.loads(found)
    return seen
