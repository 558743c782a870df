"""What the harness of the browser tests finds: nothing of it may pass by."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
from browser import DESKTOP, PHONE, There, Visit, expect, overflow, pinch, pixels, seen_without_green, swipe

HEAD = "<!doctype html><meta name=viewport content='width=device-width'>"


def written(folder: Path, body: str) -> Path:
    file = folder / "page.html"
    file.write_text(HEAD + body, encoding="utf-8")
    return file


def test_faults_are_recorded(chromium: There, tmp_path: Path) -> None:
    visit = Visit(chromium)
    page = visit(
        written(
            tmp_path,
            "<script>console.error('said'); setTimeout(() => { throw new Error('thrown'); });</script>"
            "<img src='http://tiles.example/1.png'><img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>",
        )
    )
    page.wait_for_timeout(200)
    faults = visit.end()
    assert any("said" in one for one in faults)
    assert any("thrown" in one for one in faults)
    assert any("asked for http://tiles.example/1.png" in one for one in faults)
    assert not any("data:" in one for one in faults)


def test_what_is_too_wide_is_found(visit: Visit, tmp_path: Path, seen: dict[str, Any]) -> None:
    wide = visit(written(tmp_path, "<p id=wide style='width:1500px'>x</p>"), seen)
    assert any("p#wide" in one for one in overflow(wide))
    inside = visit(written(tmp_path, "<div style='overflow:auto'><p style='width:1500px'>x</p></div>"), seen)
    assert overflow(inside) == []


def test_the_loop_of_this_thread_is_free(visit: Visit, tmp_path: Path) -> None:
    page = visit(written(tmp_path, "<button>Go</button>"))
    expect(page.get_by_role("button")).to_have_text("Go")
    assert asyncio.run(asyncio.sleep(0, "ran")) == "ran"


def test_fingers_scroll_and_zoom(visit: Visit, tmp_path: Path) -> None:
    page = visit(written(tmp_path, "<div style='height:5000px'>x</div>"), PHONE)
    swipe(page, 200, 600, up=300)
    page.wait_for_function("scrollY > 100")
    page.evaluate(
        "() => { window.most = 0; addEventListener('touchmove', (e) => most = Math.max(most, e.touches.length)); }"
    )
    pinch(page, 200, 400, 2)
    assert page.evaluate("most") == 2


def test_red_and_green_look_alike_without_green(visit: Visit, tmp_path: Path) -> None:
    page = visit(
        written(
            tmp_path, "<body style='margin:0;height:100vh;background:linear-gradient(90deg,#c03030 50%,#707000 50%)'>"
        )
    )

    def apart() -> int:
        shown = pixels(page).astype(int)
        return int(np.abs(shown[400, 100] - shown[400, 1100]).sum())

    before = apart()
    seen_without_green(page)
    assert DESKTOP["viewport"]["width"] == pixels(page).shape[1]
    assert apart() < before / 2
