"""The map is one file that needs nothing else, and holds what it was given."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from browser import PHONE, Visit, expect
from pages import Block, Elements, data_of, drawn, json_of, lines, numbers
from PIL import Image

from geomob_dask.errors import InputError
from geomob_dask.frames.display import simplify
from geomob_dask.outputs.classes import Scale, even
from geomob_dask.outputs.maps import Layer, map_page
from geomob_dask.outputs.packing import pack_numbers
from geomob_dask.outputs.page import write_page
from geomob_dask.outputs.palette import DEPRIVATION, MISSING, OPPORTUNITY
from geomob_dask.sources.sample import sample_country
from geomob_dask.transforms.display import display_tolerance, simplify_for_display

INDEX = Layer("opportunity", "Opportunity index", "0 to 100", even(OPPORTUNITY, 0, 100), "More is better.")
INCOME = Layer("income", "Income", "deprivation", even(DEPRIVATION, 0, 80))
TEXT = {"title": "A title", "subtitle": "made up, 2020", "missing_note": "have no value"}


def squares(geoids: list[str], crs: str = "EPSG:5070", *, x: float = 0.0, y: float = 0.0, size: float = 1000.0) -> Any:
    boxes = [shapely.box(x + i * size, y, x + (i + 1) * size, y + size) for i in range(len(geoids))]
    return gpd.GeoDataFrame(geometry=boxes, index=pd.Index(geoids, name="geoid"), crs=crs)


GEOIDS = ["39001000100", "39001000200", "39003000100", "18001000100"]


@pytest.fixture
def tracts() -> gpd.GeoDataFrame:
    return squares(GEOIDS)


@pytest.fixture
def values() -> pd.DataFrame:
    return pd.DataFrame(
        {"opportunity": [10.0, np.nan, 55.5, 100.0], "income": [1.0, 2.0, 3.0, 90.0], "reason": ["", "empty", "", ""]},
        index=pd.Index(GEOIDS, name="geoid"),
    )


def test_the_page_loads_nothing_from_elsewhere(tracts: gpd.GeoDataFrame, values: pd.DataFrame) -> None:
    page = map_page(tracts, values, [INDEX, INCOME], **TEXT)
    elements = Elements(page).found
    assert {"script", "style", "input"} <= {tag for tag, _ in elements}
    assert not {"link", "img", "iframe", "object", "embed", "base"} & {tag for tag, _ in elements}
    assert not [item for item in elements if {"src", "href", "srcset", "data", "action"} & set(item[1])]
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    assert "@import" not in style[1]
    assert "url(" not in style[1]


def test_every_layer_is_there_with_its_values_and_legend(tracts: gpd.GeoDataFrame, values: pd.DataFrame) -> None:
    data = data_of(map_page(tracts, values, [INDEX, INCOME], **TEXT, details={"reason": "Why missing"}))
    assert json_of(data["keys"]) == GEOIDS
    assert [layer["label"] for layer in data["layers"]] == ["Opportunity index", "Income"]
    for layer, given in zip(data["layers"], (INDEX, INCOME), strict=True):
        np.testing.assert_array_equal(numbers(layer["values"]), values[given.column])
        assert layer["scale"]["edges"] == list(given.scale.edges)
        assert layer["scale"]["colors"] == list(given.scale.colors)
    assert data["county_names"]["39001"] == "Adams County, Ohio"
    (reason,) = data["details"]
    assert [reason["texts"][int(code)] for code in numbers(reason["codes"])] == ["—", "empty", "—", "—"]


def test_values_are_rounded_once_and_stay_in_their_class(tracts: gpd.GeoDataFrame) -> None:
    exact = [19.96, 20.0, 0.04999, 33.349]
    values = pd.DataFrame({"opportunity": exact}, index=GEOIDS)
    scale = Scale((0, 20, 40, 60), ("#000000", "#111111", "#222222"), ("a", "b", "c"))
    (layer,) = data_of(map_page(tracts, values, [Layer("opportunity", "x", "", scale)], **TEXT))["layers"]
    shown = numbers(layer["values"])
    assert [f"{one:.1f}" for one in shown] == [f"{one:.1f}" for one in exact] == ["20.0", "20.0", "0.0", "33.3"]
    # The first is below 20, and looks like 20.
    assert layer["fixes"] == [[0, 0]]


@pytest.mark.parametrize(
    ("given", "decimals", "size"),
    [
        ([0.123456, 1.0], 3, 2),
        ([-1.5, np.nan], 1, 1),
        ([np.nan, np.nan], 2, 1),
        ([0.0, 3e9], 0, 4),
        ([1e12, 1.0], 0, 5),
        ([1e20, -1e20], 2, 6),
    ],
)
def test_numbers_survive_in_the_fewest_bytes(given: list[float], decimals: int, size: int) -> None:
    packed = pack_numbers(np.array(given), decimals)
    assert packed["size"] == size
    np.testing.assert_allclose(numbers(packed), given, rtol=1e-12, atol=0.5 * 10.0**-decimals)


def test_intervals_and_notes_come_with_their_layer(tracts: gpd.GeoDataFrame, values: pd.DataFrame) -> None:
    layer = replace(INDEX, bounds=("low", "high"), note="reason")
    more = values.assign(low=values["opportunity"] - 1.26, high=np.inf)
    (found,) = data_of(map_page(tracts, more, [layer], **TEXT))["layers"]
    low, high = map(numbers, found["bounds"])
    np.testing.assert_allclose(low, [8.7, np.nan, 54.2, 98.7])
    assert np.isnan(high).all()
    assert found["note"]["texts"] == ["—", "empty"]
    with pytest.raises(InputError, match="column 'low' is absent"):
        map_page(tracts, values, [layer], **TEXT)


def test_holes_and_several_parts_survive() -> None:
    whole = shapely.box(0, 0, 9000, 9000)
    ring = shapely.difference(whole, shapely.box(3000, 3000, 6000, 6000))
    two = shapely.MultiPolygon([shapely.box(20000, 0, 21000, 1000), shapely.box(25000, 5000, 26000, 7000)])
    tracts = gpd.GeoDataFrame(geometry=[ring, two], index=GEOIDS[:2], crs="EPSG:5070")
    values = pd.DataFrame({"opportunity": [1.0, 2.0]}, index=GEOIDS[:2])
    first, second = drawn(map_page(tracts, values, [INDEX], **TEXT)).rings
    assert len(first) == 2
    assert shapely.Polygon(first[0], [first[1]]).area == pytest.approx(72e6, rel=1e-3)
    assert [shapely.Polygon(part).area for part in second] == pytest.approx([1e6, 2e6], rel=1e-3)


def lengths(packed: Block) -> float:
    return sum(shapely.LineString(line).length for (line,) in packed.rings)


def test_lines_are_borders_of_counties_and_states(tracts: gpd.GeoDataFrame, values: pd.DataFrame) -> None:
    page = map_page(tracts, values, [INDEX], **TEXT)
    assert lengths(lines(page, "state")) == pytest.approx(8000 + 2 * 1000 + 1000, rel=1e-3)
    assert lengths(lines(page, "county")) == pytest.approx(1000, rel=1e-3)


def test_lines_of_overlapping_tracts_are_found_too(values: pd.DataFrame) -> None:
    tracts = squares(GEOIDS)
    tracts.geometry = [shapely.buffer(shape, 10.0, join_style="mitre") for shape in tracts.geometry]
    ohio, indiana = 2 * (3020 + 1020), 2 * (1020 + 1020)
    page = map_page(tracts, values, [INDEX], **TEXT)
    assert lengths(lines(page, "state")) == pytest.approx(ohio + indiana, rel=2e-3)


def test_regions_are_drawn_by_name_with_their_own_borders() -> None:
    codes = ["39001", "39003", "18001"]
    values = pd.DataFrame({"share": [0.1, 0.25, np.nan]}, index=codes)
    layer = Layer("share", "Share", "0 to 1", even(OPPORTUNITY, 0, 1))
    page = map_page(squares(codes), values, [layer], **TEXT, level="region", names={"39001": "Adams"})
    data = data_of(page)
    assert (json_of(data["keys"]), json_of(data["names"])) == (codes, ["Adams", "39003", "18001"])
    assert (data["noun"], data["places"]) == ("region", [])
    assert lengths(lines(page, "region")) == pytest.approx(10_000, rel=1e-3)
    assert lengths(lines(page, "state")) == pytest.approx(9_000, rel=1e-3)


def test_regions_far_off_are_found_by_where_they_lie() -> None:
    frames = [
        squares(["A", "B"], size=1_500_000.0, x=-1_500_000.0, y=500_000.0),
        squares(["C"], "EPSG:4269", x=-152.0, y=63.0, size=4.0).to_crs(5070),
    ]
    shapes = pd.concat(frames)
    values = pd.DataFrame({"opportunity": 1.0}, index=shapes.index)
    page = map_page(shapes, values, [INDEX], **TEXT, level="region")
    assert [inset["label"] for inset in data_of(page)["insets"]] == ["Alaska"]


def test_the_same_input_gives_the_same_page(tracts: gpd.GeoDataFrame, values: pd.DataFrame) -> None:
    once = map_page(tracts, values, [INDEX, INCOME], **TEXT)
    assert once == map_page(tracts, values, [INDEX, INCOME], **TEXT)


def test_a_layer_without_any_value_is_drawn_as_missing(tracts: gpd.GeoDataFrame, values: pd.DataFrame) -> None:
    data = data_of(map_page(tracts, values.assign(opportunity=np.nan), [INDEX], **TEXT))
    assert np.isnan(numbers(data["layers"][0]["values"])).all()


def test_tracts_without_a_row_are_missing_and_rows_without_a_tract_are_counted(
    tracts: gpd.GeoDataFrame, values: pd.DataFrame
) -> None:
    page = map_page(tracts.iloc[:3], values.iloc[1:], [INCOME], **TEXT)
    np.testing.assert_array_equal(numbers(data_of(page)["layers"][0]["values"]), [np.nan, 2, 3])
    assert "no polygon): 1 of the 3 tracts in the table" in page


def test_text_cannot_end_the_script(tracts: gpd.GeoDataFrame, values: pd.DataFrame) -> None:
    nasty = "</script><b>bold</b> & 100%"
    layer = Layer("income", nasty, nasty, even(DEPRIVATION, 0, 1), nasty)
    page = map_page(tracts, values, [layer], title=nasty, subtitle=nasty, missing_note=nasty)
    assert not [tag for tag, _ in Elements(page).found if tag == "b"]
    assert data_of(page)["layers"][0]["label"] == nasty


def test_areas_far_off_stand_beside_the_rest() -> None:
    frames = [
        squares(["39001000100", "48001000100"], size=1_500_000.0, x=-1_500_000.0, y=500_000.0),
        squares(["02001000100"], "EPSG:4269", x=-152.0, y=63.0, size=4.0).to_crs(5070),
        squares(["15001000100", "15003981200"], "EPSG:4269", x=-156.0, y=20.0, size=0.5).to_crs(5070),
        squares(["72001000100"], "EPSG:4269", x=-66.5, y=18.0, size=0.5).to_crs(5070),
    ]
    midway = gpd.GeoSeries([shapely.box(-177.5, 28.1, -177.3, 28.3)], crs=4269).to_crs(5070).iloc[0]
    tracts = pd.concat(frames)
    tracts.loc["15003981200", "geometry"] = midway
    values = pd.DataFrame({"opportunity": 1.0}, index=tracts.index)
    page = map_page(tracts, values, [INDEX], **TEXT)
    data = data_of(page)
    bounds = {
        geoid: shapely.MultiPoint([point for ring in rings for point in ring]).bounds
        for geoid, rings in zip(json_of(data["keys"]), drawn(page).rings, strict=True)
    }
    assert "15003981200" not in bounds
    assert "Northwestern Hawaiian Islands are not drawn" in page
    for geoid in ("02001000100", "15001000100", "72001000100"):
        left, bottom, right, top = bounds[geoid]
        assert -1_500_000 <= left < right <= 1_500_000
        assert top < 500_000
        assert bottom > -500_000
    assert bounds["02001000100"][2] < bounds["15001000100"][0] < bounds["72001000100"][0]
    assert data["extent"]["left"] == -1_500_000
    labels = [inset["label"] for inset in data["insets"]]
    assert labels == ["Alaska", "Hawaii", "Puerto Rico, Virgin Islands"]


def test_one_far_area_alone_fills_the_map() -> None:
    tracts = squares(["02001000100"], "EPSG:4269", x=-152.0, y=63.0, size=4.0)
    page = map_page(tracts, pd.DataFrame({"opportunity": [1.0]}, index=tracts.index), [INDEX], **TEXT)
    assert "Insets:" not in page
    ((ring,),) = drawn(page).rings
    # 4 by 4 degrees around 65° north, on the sphere.
    area = np.radians(4) * (np.sin(np.radians(67)) - np.sin(np.radians(63))) * 6_371_000.0**2
    assert shapely.Polygon(ring).area == pytest.approx(area, rel=0.03)


def test_simplifying_keeps_shared_borders_and_what_is_not_there() -> None:
    tracts, _ = sample_country()
    geometry = np.append(tracts.geometry.to_numpy(), [None, shapely.Polygon()])
    simple = simplify_for_display(geometry, 1000.0)
    assert simple[-2] is None
    assert shapely.is_empty(simple[-1])
    assert shapely.coverage_is_valid(simple[:-2])
    assert shapely.get_num_coordinates(simple).sum() < 0.5 * shapely.get_num_coordinates(geometry).sum()
    assert shapely.area(simple[:-2]).sum() == pytest.approx(tracts.area.sum(), rel=1e-3)


def test_tracts_simplified_by_state_need_no_more() -> None:
    tracts, measures = sample_country()
    tracts, values = tracts.set_index("GEOID"), measures.set_index("GEOID")
    tolerance = display_tolerance(tracts.total_bounds)
    parts = pd.concat([simplify(part, tolerance=tolerance) for _, part in tracts.groupby(tracts.index.str[:2])])
    layer = Layer("poverty_pct", "Poverty", "%", even(DEPRIVATION, 0, 50))
    shapes = drawn(map_page(parts, values, [layer], **TEXT, tolerance=0)).rings
    assert len(shapes) == len(tracts)
    for rings, shape in zip(shapes[::50], parts.geometry.iloc[::50], strict=True):
        assert shapely.Polygon(rings[0]).area == pytest.approx(shape.area, rel=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tracts": slice(0, 0)}, "found no tracts"),
        ({"layers": []}, "found no layers"),
        ({"crs": None}, "no coordinate system"),
        ({"column": "absent"}, "column 'absent' is absent; found opportunity"),
        ({"column": "reason"}, "expected numbers"),
        ({"geoids": [*GEOIDS[:3], GEOIDS[0]]}, "'39001000100' twice"),
        ({"geoids": [1, 2, 3, 4]}, "expected geoids as text"),
        ({"geometry": [None] * 4}, "no tract with a polygon"),
    ],
)
def test_bad_input_is_explained(
    change: dict[str, Any], message: str, tracts: gpd.GeoDataFrame, values: pd.DataFrame
) -> None:
    layer = Layer(
        change.get("column", "opportunity"),
        "x",
        "",
        INDEX.scale,
    )
    if "crs" in change:
        tracts = tracts.set_crs(None, allow_override=True)
    if "geoids" in change:
        tracts = tracts.set_axis(change["geoids"])
    if "geometry" in change:
        tracts = tracts.set_geometry(gpd.GeoSeries(change["geometry"], index=tracts.index, crs=tracts.crs))
    with pytest.raises(InputError, match=re.escape(message)):
        map_page(tracts.iloc[change.get("tracts", slice(None))], values, change.get("layers", [layer]), **TEXT)


def test_a_map_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write_page("--map", str(tmp_path / "map.html"), "ä page")
    assert (tmp_path / "map.html").read_text(encoding="utf-8") == "ä page"
    (tmp_path / "taken.html").mkdir()
    with pytest.raises(InputError, match=r"taken\.html"):
        write_page("--map", str(tmp_path / "taken.html"), "a page")
    with pytest.raises(InputError, match="absent"):
        write_page("--map", str(tmp_path / "absent" / "map.html"), "a page")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.html", "taken.html"]


def test_a_browser_draws_the_legend_offline(opened: Any, tracts: gpd.GeoDataFrame, values: pd.DataFrame) -> None:
    page = opened(map_page(tracts, values, [INCOME, INDEX], **TEXT))
    legend = page.locator("#legend li")
    assert legend.all_text_contents()[-1] == "have no value0"
    assert legend.all_text_contents()[0] == f"{INCOME.scale.labels[-1]}1"
    page.get_by_label("Opportunity index").check()
    assert legend.all_text_contents()[-1] == "have no value1"


@pytest.fixture
def opened(visit: Visit, tmp_path: Path) -> Any:
    """Return a function that opens a map in a browser, perhaps on a phone."""

    def function(text: str, *device: dict[str, Any]) -> Any:
        write_page("--map", str(tmp_path / "map.html"), text)
        return visit(tmp_path / "map.html", *device)

    return function


def saved(page: Any, kind: str, folder: Path) -> Path:
    """Return the file that a button of a map saves."""
    with page.expect_download() as waiting:
        page.locator(f"#save-{kind}").click()
    waiting.value.save_as(folder / f"saved.{kind}")
    return folder / f"saved.{kind}"


def color_at(page: Any, x: float, y: float) -> list[int]:
    """Return the color that a map shows at a place of its element."""
    found: list[int] = page.evaluate(
        "([x, y]) => Array.from(tractMap.canvas.getContext('2d').getImageData(x, y, 1, 1).data.slice(0, 3))", [x, y]
    )
    return found


# Lines of a darker shade on a lighter one.
HATCHED, CROSSED = {"#72767b", "#cbced1"}, {"#45494e", "#adb0b3"}


def colors_around(page: Any, x: float, y: float, wide: int = 12) -> list[str]:
    """Return the colors of a square around a place, row by row."""
    found = page.evaluate(
        """([x, y, wide]) => Array.from(tractMap.canvas.getContext('2d').getImageData(
            Math.round(x) - wide / 2, Math.round(y) - wide / 2, wide, wide).data)""",
        [x, y, wide],
    )
    rows = np.array(found, dtype=np.uint8).reshape(-1, 4)
    assert (rows[:, 3] == 255).all()
    return ["#%02x%02x%02x" % tuple(row) for row in rows[:, :3].tolist()]  # noqa: UP031


def test_values_that_are_missing_and_that_are_suppressed_have_patterns_and_rows_of_their_own(
    opened: Any, tmp_path: Path, tracts: gpd.GeoDataFrame
) -> None:
    table = pd.DataFrame(
        {"opportunity": [10.0, np.nan, np.nan, 100.0], "hidden": [True, True, False, False]}, index=GEOIDS
    )
    layer = replace(INDEX, suppressed="hidden")
    text = map_page(tracts, table.iloc[:3], [layer], **TEXT, hint="tooltips tell why")
    assert data_of(text)["layers"][0]["suppressed"] == [1]
    page = opened(text)
    box = page.locator("#map").bounding_box()
    places = [(box["width"] * (0.5 + 0.95 * (k - 1.5) / 4), box["height"] / 2 + 30) for k in range(4)]
    plain, crossed, *hatched = (colors_around(page, *place) for place in places)
    assert set(plain) == {INDEX.scale.colors[0]}
    assert (set(crossed), *map(set, hatched)) == (CROSSED, HATCHED, HATCHED)
    lines = [colors.count(min(colors)) / len(colors) for colors in (crossed, *hatched)]
    assert lines == pytest.approx([5 / 9, 1 / 3, 1 / 3])
    rows = page.locator("#legend li")
    assert rows.all_text_contents()[-2:] == ["suppressed1", "have no value; tooltips tell why2"]
    shown = [rows.nth(k).locator("i").first.evaluate("one => getComputedStyle(one).backgroundImage") for k in (-2, -1)]
    assert [one.count("repeating-linear-gradient") for one in shown] == [2, 1]
    drawing = saved(page, "svg", tmp_path).read_text("utf-8")
    assert ">have no value<" in drawing
    assert "tooltips" not in drawing
    # Of the map, and of the legend.
    for name in ("cross-5c6168", f"hatch-{MISSING[1:]}"):
        assert (drawing.count(f'<pattern id="{name}"'), drawing.count(f'fill="url(#{name})"')) == (1, 2)
    with Image.open(saved(page, "png", tmp_path)) as picture:
        there = {
            f"#{red:02x}{green:02x}{blue:02x}" for _, (red, green, blue) in picture.convert("RGB").getcolors(1 << 20)
        }
    assert there >= HATCHED | CROSSED


def test_a_browser_shows_classes_values_and_intervals(
    opened: Any, tracts: gpd.GeoDataFrame, values: pd.DataFrame
) -> None:
    layer = replace(INDEX, bounds=("low", "high"), note="reason")
    more = values.assign(low=values["opportunity"] - 1.25, high=values["opportunity"] + 2)
    page = opened(map_page(tracts, more, [layer, INCOME], **TEXT))
    box = page.locator("#map").bounding_box()
    # Four squares in a row fill the width; none is sought on its own border.
    places = [(box["width"] * (0.5 + 0.95 * (k - 1.5) / 4), box["height"] / 2) for k in range(4)]
    shown = ["#%02x%02x%02x" % tuple(color_at(page, *place)) for place in places]  # noqa: UP031
    colors = layer.scale.colors
    assert [shown[0], *shown[2:]] == [colors[0], colors[len(colors) * 555 // 1000], colors[-1]]
    assert set(colors_around(page, *places[1])) == HATCHED
    page.mouse.move(box["x"] + places[0][0], box["y"] + places[0][1])
    tip = page.get_by_role("tooltip")
    expect(tip).to_contain_text("Census Tract 1, Adams County, Ohio")
    expect(tip).to_contain_text("10.0 (8.8 to 12.0)")
    page.mouse.move(box["x"] + places[1][0], box["y"] + places[1][1])
    expect(tip).to_contain_text("no value")
    expect(tip).to_contain_text("empty")
    page.get_by_label("Income").check()
    assert "#%02x%02x%02x" % tuple(color_at(page, *places[1])) == INCOME.scale.colors[0]  # noqa: UP031


def test_keys_move_the_map_and_say_what_is_in_the_middle(
    opened: Any, tracts: gpd.GeoDataFrame, values: pd.DataFrame
) -> None:
    page = opened(map_page(tracts, values, [INDEX], **TEXT))
    scale = "tractMap.view().scale"
    before = page.evaluate(scale)
    page.locator("#map canvas").first.focus()
    page.keyboard.press("+")
    assert page.evaluate(scale) == pytest.approx(1.5 * before)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#map [aria-live]")).to_contain_text("Census Tract 1, Allen County, Ohio. Code: 39003000100")
    page.keyboard.press("0")
    assert page.evaluate(scale) == pytest.approx(before)


def test_files_hold_what_is_in_view(
    opened: Any, tmp_path: Path, tracts: gpd.GeoDataFrame, values: pd.DataFrame
) -> None:
    text = {**TEXT, "title": "=A <title> & more", "source": "Made up, 2020."}
    page_text = map_page(tracts, values, [INDEX], **text, details={"reason": "Why missing"})
    page = opened(page_text)

    table = pd.read_csv(saved(page, "csv", tmp_path), dtype={"key": str})
    assert table["key"].tolist() == GEOIDS
    assert table["name"].iloc[3] == "Census Tract 1, Adams County, Indiana"
    np.testing.assert_array_equal(table["Opportunity index (0 to 100)"], values["opportunity"])
    assert table["Why missing"].tolist() == ["—", "empty", "—", "—"]
    drawing = ElementTree.parse(saved(page, "svg", tmp_path)).getroot()
    texts = [one.text for one in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert {"=A <title> & more", "made up, 2020", "Made up, 2020.", *INDEX.scale.labels} <= set(texts)
    fills = {one.get("fill") for one in drawing.iter("{http://www.w3.org/2000/svg}path")}
    assert {INDEX.scale.colors[0], INDEX.scale.colors[-1], f"url(#hatch-{MISSING[1:]})"} <= fills
    with Image.open(saved(page, "png", tmp_path)) as picture:
        assert picture.width > 2 * page.locator("#map").bounding_box()["width"]
        assert picture.getpixel((0, 0))[:3] == (255, 255, 255)


def test_on_paper_the_map_is_drawn_anew(opened: Any, tracts: gpd.GeoDataFrame, values: pd.DataFrame) -> None:
    page = opened(map_page(tracts, values, [INDEX], **TEXT))
    width, view = page.evaluate("tractMap.size.width"), page.evaluate("tractMap.view()")
    sizes = []
    for name in ("beforeprint", "afterprint"):
        page.evaluate("name => { dispatchEvent(new Event(name)); }", name)
        sizes.append(page.evaluate("[tractMap.size.width, tractMap.canvas.width]"))
    assert sizes == [[700, 2100], [width, width]]
    assert page.evaluate("tractMap.view()") == pytest.approx(view)


def test_the_table_ranks_what_is_in_view(opened: Any, tracts: gpd.GeoDataFrame, values: pd.DataFrame) -> None:
    page = opened(map_page(tracts, values, [INDEX], **TEXT))
    page.get_by_text("Table of what is in view").click()
    rows = page.locator("#rows tr")
    expect(rows).to_have_count(3)
    assert rows.locator("td:nth-child(4)").all_text_contents() == ["100.0", "55.5", "10.0"]
    page.locator("#order").select_option("low")
    assert rows.locator("td:nth-child(4)").all_text_contents() == ["10.0", "55.5", "100.0"]


def test_on_a_phone_a_tap_shows_values_and_nothing_overflows(
    opened: Any, tracts: gpd.GeoDataFrame, values: pd.DataFrame
) -> None:
    page = opened(map_page(tracts, values, [INDEX, INCOME], **TEXT), PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    box = page.locator("#map").bounding_box()
    page.touchscreen.tap(box["x"] + 0.9 * box["width"], box["y"] + box["height"] / 2 + 26)
    tip = page.get_by_role("tooltip")
    expect(tip).to_contain_text("Indiana")
    shown = tip.bounding_box()
    assert shown["x"] >= 0
    assert shown["x"] + shown["width"] <= 390


def test_one_finger_scrolls_the_page_and_two_move_the_map(
    opened: Any, tracts: gpd.GeoDataFrame, values: pd.DataFrame
) -> None:
    page = opened(map_page(tracts, values, [INDEX, INCOME], **TEXT), PHONE)
    box, session = page.locator("#map").bounding_box(), page.context.new_cdp_session(page)
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    def touch(kind: str, *fingers: tuple[float, float]) -> None:
        points = [{"x": middle[0] + x, "y": middle[1] + y, "id": number} for number, (x, y) in enumerate(fingers)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    before = page.evaluate("tractMap.view()")
    touch("touchStart", (0, 60))
    for k in range(12):
        touch("touchMove", (0, 60 - 12 * k))
    touch("touchEnd")
    page.wait_for_function("scrollY > 0")
    assert page.evaluate("tractMap.view()") == before
    # A page goes on scrolling for a while after the finger has left it.
    page.wait_for_function("new Promise(done => { const y = scrollY; setTimeout(() => done(scrollY === y), 300); })")
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_function("scrollY === 0")
    touch("touchStart", (-40, 0))
    touch("touchStart", (-40, 0), (40, 0))
    for k in range(9):
        touch("touchMove", (-40 - 10 * k, 0), (40 + 10 * k, 0))
    touch("touchEnd")
    assert page.evaluate("tractMap.view().scale") == pytest.approx(3 * before["scale"], rel=0.02)
    assert page.evaluate("[scrollY, visualViewport.scale]") == [0, 1]


@pytest.mark.real_data
def test_ohio(real_data: Path) -> None:
    every = gpd.read_parquet(real_data / "tracts" / "cb500k_2010_vintage.parquet").set_index("GEOID")
    ohio = every[every.index.str.startswith("39")]
    measures = pd.read_csv(real_data / "opportunity_2018" / "measures.csv.gz", dtype={"GEOID": str}).set_index("GEOID")
    layer = Layer("povP", "Poverty", "% of people", even(DEPRIVATION, 0, 50))
    page = map_page(ohio, measures[measures.index.str.startswith("39")], [layer], **TEXT)
    data = data_of(page)
    assert len(json_of(data["keys"])) == len(ohio)
    assert "no polygon): 4 of the 2,952 tracts in the table" in page
    assert len(page.encode()) < 450_000
    areas = [
        shapely.Polygon(rings[0]).area
        for rings, shape in zip(drawn(page).rings, ohio.geometry, strict=True)
        if len(rings) == 1 and shape.geom_type == "Polygon"
    ]
    assert sum(areas) == pytest.approx(ohio[ohio.geom_type == "Polygon"].to_crs(5070).area.sum(), rel=0.02)


def test_a_part_without_an_area_is_left_out():
    square = shapely.box(0, 0, 100, 100)
    line = shapely.Polygon([(491, 547), (493, 550), (491, 547)])
    both = np.array([shapely.MultiPolygon([square, line]), shapely.box(100, 0, 200, 100), None], dtype=object)
    left, right, nothing = simplify_for_display(both, 1.0)
    assert left.equals(square)
    assert right.equals(shapely.box(100, 0, 200, 100))
    assert nothing is None
