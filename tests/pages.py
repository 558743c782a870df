"""What is in a page: its elements, and the data of its scripts."""

import base64
import json
from html.parser import HTMLParser
from typing import Any

import numpy as np


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
