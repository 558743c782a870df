"""A map as people use it: with a mouse, with keys alone, with a finger."""

import re
from pathlib import Path

import pandas as pd
import pytest
from browser import DESKTOP, OLDER_CLICKS, PHONE, There, Visit, expect, pinch, pixels, screenshot, swipe

# In Franklin County.
KNOWN = "39049000200"


@pytest.fixture(scope="module")
def index(pages: Path) -> pd.DataFrame:
    return pd.read_csv(pages / "ohio_index.csv", dtype={"geoid": str}).set_index("geoid")


def found(page: There, text: str) -> There:
    """Search for a text, and return what the page says of it."""
    page.get_by_role("searchbox").fill(text)
    page.get_by_role("searchbox").press("Enter")
    return page.locator("#found")


def middle(page: There) -> tuple[float, float]:
    box = page.get_by_role("application").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def inside(page: There, one: There) -> bool:
    box, window = one.bounding_box(), page.viewport_size
    right, bottom = box["x"] + box["width"], box["y"] + box["height"]
    return box["x"] >= 0 and box["y"] >= 0 and right <= window["width"] and bottom <= window["height"]


def test_a_tract_that_was_found_shows_its_value(
    pages: Path, index: pd.DataFrame, visit: Visit, screenshots: Path
) -> None:
    page = visit(pages / "ohio.html")
    expect(found(page, KNOWN)).to_have_text("1 tract")
    tip = page.get_by_role("tooltip")
    page.mouse.move(5, 5)
    page.mouse.move(*middle(page))
    value = f"{index.loc[KNOWN, 'opportunity']:.1f}"
    expect(tip).to_contain_text("Census Tract 2, Franklin County, Ohio")
    expect(tip).to_contain_text(re.compile(rf"Opportunity.*{re.escape(value)}"))
    assert inside(page, tip)
    screenshot(page, screenshots, "map-found")


def test_a_place_is_found_by_name(pages: Path, index: pd.DataFrame, visit: Visit) -> None:
    page = visit(pages / "ohio.html")
    page.get_by_role("searchbox").press_sequentially("franklin c")
    expect(page.locator("#matches")).to_contain_text("Franklin County, Ohio")
    tracts = index.index.str.startswith("39049").sum()
    expect(found(page, "Franklin County")).to_have_text(f"Franklin County, Ohio: {tracts} tracts")
    expect(found(page, "Columbus")).to_contain_text("Columbus, OH")
    expect(found(page, "Atlantis")).to_contain_text("Nothing")


def test_a_tract_without_a_value_says_why(pages: Path, index: pd.DataFrame, visit: Visit) -> None:
    empty = index.index[index["opportunity"].isna()][0]
    page = visit(pages / "ohio.html")
    expect(found(page, empty)).to_have_text("1 tract")
    page.mouse.move(*middle(page))
    expect(page.get_by_role("tooltip")).to_contain_text(index.loc[empty, "reason"])


def test_a_search_before_the_map_is_drawn(pages: Path, visit: Visit) -> None:
    slow = """const whole = Response.prototype.arrayBuffer;
      Response.prototype.arrayBuffer = async function () {
        await new Promise((done) => setTimeout(done, 1000));
        return whole.call(this);
      };"""
    page = visit(pages / "ohio.html", before=slow, ready=False)
    expect(page.get_by_role("searchbox")).to_be_disabled()
    expect(found(page, KNOWN)).to_have_text("1 tract")
    expect(page.get_by_role("tooltip")).to_contain_text("Census Tract 2, Franklin County, Ohio")


def test_another_layer_is_drawn_in_its_own_classes(pages: Path, visit: Visit) -> None:
    page = visit(pages / "ohio.html")
    before = pixels(page)
    page.get_by_role("radio", name="Deprivation").check()
    expect(page.locator("#legend")).to_contain_text("Deprivation")
    assert (pixels(page) != before).any(axis=2).mean() > 0.05
    # By keys: the next layer of the group.
    page.get_by_role("radio", name="Deprivation").press("ArrowDown")
    expect(page.get_by_role("radio", checked=True)).not_to_have_accessible_name("Deprivation")


def test_a_map_by_keyboard(pages: Path, visit: Visit, screenshots: Path) -> None:
    page = visit(pages / "ohio.html")
    canvas, scale = page.get_by_role("application"), page.locator(".tract-map-bar")
    for _ in range(10):
        page.keyboard.press("Tab")
        if canvas.evaluate("one => one === document.activeElement"):
            break
    whole = scale.inner_text()
    page.keyboard.press("+")
    page.keyboard.press("+")
    page.keyboard.press("+")
    expect(scale).not_to_have_text(whole)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    tip = page.get_by_role("tooltip")
    expect(tip).to_contain_text("Census Tract")
    expect(page.locator(".tract-map-said")).to_contain_text("Census Tract")
    screenshot(page, screenshots, "map-keyboard")
    page.keyboard.press("0")
    expect(scale).to_have_text(whole)


def test_a_finger_scrolls_and_two_zoom(pages: Path, visit: Visit, screenshots: Path) -> None:
    page = visit(pages / "ohio.html", PHONE)
    scale, x, y = page.locator(".tract-map-bar"), *middle(page)
    whole = scale.inner_text()
    page.touchscreen.tap(x, y)
    tip = page.get_by_role("tooltip")
    expect(tip).to_contain_text("Census Tract")
    assert inside(page, tip)
    screenshot(page, screenshots, "map-tapped")
    pinch(page, x, y, 2.5)
    expect(scale).not_to_have_text(whole)
    assert page.evaluate("scrollY") == 0
    swipe(page, x, y, up=200)
    page.wait_for_function("scrollY > 100")


@pytest.mark.parametrize("before", OLDER_CLICKS, ids=["nothing", "mouse"])
def test_a_tap_shows_a_value_in_older_browsers(before: str, pages: Path, visit: Visit) -> None:
    page = visit(pages / "ohio.html", PHONE, before)
    tip, at = page.get_by_role("tooltip"), middle(page)
    page.touchscreen.tap(*at)
    expect(tip).to_contain_text("Census Tract")
    page.touchscreen.tap(*at)
    expect(tip).to_be_hidden()


@pytest.mark.parametrize("kind", ["png", "svg", "csv"])
def test_what_is_in_view_is_saved(kind: str, pages: Path, index: pd.DataFrame, visit: Visit, tmp_path: Path) -> None:
    page = visit(pages / "ohio.html", DESKTOP)
    expect(found(page, KNOWN)).to_have_text("1 tract")
    with page.expect_download() as download:
        page.get_by_role("button", name=kind.upper(), exact=True).click()
    file = tmp_path / f"view.{kind}"
    download.value.save_as(str(file))
    data = file.read_bytes()
    if kind == "png":
        assert data.startswith(b"\x89PNG")
    elif kind == "svg":
        assert b"<svg" in data
    else:
        saved = set(pd.read_csv(file, dtype=str)["key"])
        cleveland = {key for key in index.index if key.startswith("39035")}
        assert KNOWN in saved
        assert cleveland
        assert not cleveland & saved
