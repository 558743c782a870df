"""What is in a page: its elements, and the data of its scripts."""

import base64
import json
import re
import struct
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from browser import Visit


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


def json_of(packed: str) -> Any:
    """Return a value that `pack_json` packed."""
    return json.loads(zlib.decompress(base64.b64decode(packed)))


def numbers(packed: dict[str, Any]) -> list[float]:
    """Return numbers that `pack_numbers` packed, by plain loops; NaN is missing."""
    planes = zlib.decompress(base64.b64decode(packed["bytes"]))
    count = len(planes) // packed["size"]
    codes = [sum(planes[k * count + i] << 8 * k for k in range(packed["size"])) for i in range(count)]
    return [(code - 1 + packed["low"]) / 10.0 ** packed["decimals"] if code else np.nan for code in codes]


class Block(NamedTuple):
    """Packed polygons or lines, read by plain loops: rows, and rings of points in meters."""

    rows: list[int]
    rings: list[list[list[tuple[float, float]]]]
    step: float
    closed: bool


def block(packed: bytes) -> Block:
    """Return packed polygons or lines."""
    inside = zlib.decompress(packed)
    version, closed, count, ring_count, point_count = struct.unpack("<5I", inside[:20])
    step, *origin = struct.unpack("<3d", inside[20:44])
    assert version == 1
    numbers, value, shift = [], 0, 0
    for byte in inside[44:]:
        value += (byte & 127) << shift
        shift += 7
        if byte < 128:
            numbers.append(value)
            value = shift = 0
    of = iter(numbers)

    def summed(length: int) -> list[int]:
        signs = [next(of) for _ in range(length)]
        return np.cumsum([-(one + 1) // 2 if one % 2 else one // 2 for one in signs], dtype=int).tolist()

    rows = summed(count)
    rings, points = [next(of) for _ in range(count)], [next(of) for _ in range(ring_count)]
    xs, ys = summed(point_count), summed(point_count)
    assert next(of, None) is None
    xy = iter([(origin[0] + step * x, origin[1] + step * y) for x, y in zip(xs, ys, strict=True)])
    lengths = iter(points)
    shapes = [[[next(xy) for _ in range(next(lengths))] for _ in range(number)] for number in rings]
    return Block(rows, shapes, step, bool(closed))


def drawn(page: str) -> Block:
    """Return the polygons of a page of a map."""
    return block(base64.b64decode(data_of(page)["polygons"]))


def lines(page: str, kind: str) -> Block:
    """Return the lines of a kind on a page of a map."""
    (packed,) = [one["lines"] for one in data_of(page)["borders"] if one["kind"] == kind]
    return block(base64.b64decode(packed))


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
async () => {
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  for (let k = 0; k < 200 && document.body.dataset.ready !== "yes"; k++) await wait(50);
  const all = (root, found = []) => {
    for (const one of root.querySelectorAll("*")) { found.push(one); if (one.shadowRoot) all(one.shadowRoot, found); }
    return found;
  };
  const seen = {tooltips: 0, injected: 0, computed: 0};
  const isTooltip = (one) =>
    one.classList.contains("bk-Tooltip") || (one.getAttribute("role") === "tooltip" && !one.hidden);
  const look = () => {
    const elements = all(document).filter((one) => !["SCRIPT", "STYLE"].includes(one.tagName));
    seen.tooltips = Math.max(seen.tooltips, elements.filter(isTooltip).length);
    seen.injected += elements.filter((one) => one.hasAttribute("onpointerover") || one.hasAttribute("onerror")).length;
    seen.computed += elements.filter((one) =>
      [...one.childNodes].some((node) => node.nodeType === 3 && node.data.includes("1337"))).length;
  };
  for (const area of all(document).filter((one) => one.classList.contains("bk-events") || one.tagName === "CANVAS")) {
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
  return {ran: window.textRan === true, ...seen};
}
"""
_LISTENS = "addEventListener('message', ({data}) => { if (data === 'ran') window.textRan = true; });"


def structure(page: str) -> list[tuple[str, list[str]]]:
    """Return the elements of a page with the names of their attributes: text of data must not change them."""
    return [(tag, sorted(attributes)) for tag, attributes in Elements(page).found]


def json_scripts(page: str) -> list[str]:
    """Return the text of the scripts of data."""
    return re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)


def seen_in(visit: Visit, file: Path) -> dict[str, Any]:
    """Return what a browser saw in a page while everything in it was pointed at.

    Whether text of data ``ran``; how many ``tooltips`` there were, elements or attributes that text had ``injected``,
    and elements that show what text would be ``computed`` to.
    """
    seen: dict[str, Any] = visit(file, before=_LISTENS).evaluate(_DRIVER)
    return seen
