"""The map is one file that needs nothing else, and holds what it was given."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from pages import Elements, data_of, polygons, unpacked

from geomob_dask.errors import InputError
from geomob_dask.frames.display import simplify
from geomob_dask.outputs.maps import Layer, index_map
from geomob_dask.outputs.page import write_page
from geomob_dask.outputs.palette import DEPRIVATION, OPPORTUNITY
from geomob_dask.sources.sample import sample_country
from geomob_dask.transforms.display import display_tolerance, simplify_for_display

INDEX = Layer("opportunity", "Opportunity index", "0 to 100", OPPORTUNITY, 0, 100, "More is better.")
INCOME = Layer("income", "Income", "deprivation", DEPRIVATION, 0, 80)
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
    page = index_map(tracts, values, [INDEX, INCOME], **TEXT)
    elements = Elements(page).found
    assert {"script", "style", "input"} <= {tag for tag, _ in elements}
    assert not {"link", "img", "iframe", "object", "embed", "base"} & {tag for tag, _ in elements}
    assert not [item for item in elements if {"src", "href", "srcset", "data", "action"} & set(item[1])]
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    assert "@import" not in style[1]
    assert "url(" not in style[1]


def test_every_layer_is_there_with_its_values_and_legend(tracts: gpd.GeoDataFrame, values: pd.DataFrame) -> None:
    data = data_of(index_map(tracts, values, [INDEX, INCOME], **TEXT, details={"reason": "Why missing"}))
    assert data["geoids"] == GEOIDS
    assert [layer["label"] for layer in data["layers"]] == ["Opportunity index", "Income"]
    for layer, given in zip(data["layers"], (INDEX, INCOME), strict=True):
        np.testing.assert_array_equal(unpacked(layer["values"]), values[given.column].to_numpy(np.float32))
        assert (layer["low"], layer["high"]) == (given.low, given.high)
        assert layer["palette"] == list(given.palette)
    assert data["state_names"] == {"18": "Indiana", "39": "Ohio"}
    (reason,) = data["details"]
    assert [reason["texts"][code] for code in unpacked(reason["codes"])] == ["—", "empty", "—", "—"]


def test_under_the_pointer_are_code_state_county_layers_and_details(
    tracts: gpd.GeoDataFrame, values: pd.DataFrame
) -> None:
    page = index_map(tracts, values, [INDEX, INCOME], **TEXT, details={"reason": "Why missing"})
    shown = Elements(page).scripts["figures"]
    for label in ("Tract", "State", "County", "Opportunity index", "Income", "Why missing"):
        assert f'["{label}","@' in shown


def test_holes_and_several_parts_survive() -> None:
    whole = shapely.box(0, 0, 9000, 9000)
    ring = shapely.difference(whole, shapely.box(3000, 3000, 6000, 6000))
    two = shapely.MultiPolygon([shapely.box(20000, 0, 21000, 1000), shapely.box(25000, 5000, 26000, 7000)])
    tracts = gpd.GeoDataFrame(geometry=[ring, two], index=GEOIDS[:2], crs="EPSG:5070")
    values = pd.DataFrame({"opportunity": [1.0, 2.0]}, index=GEOIDS[:2])
    first, second = polygons(data_of(index_map(tracts, values, [INDEX], **TEXT))["tracts"])
    assert len(first) == 2
    assert shapely.Polygon(first[0], [first[1]]).area == pytest.approx(81 - 9, rel=1e-3)
    assert [shapely.Polygon(part).area for part in second] == pytest.approx([1.0, 2.0], rel=1e-3)


def test_outlines_are_those_of_counties_and_states(tracts: gpd.GeoDataFrame, values: pd.DataFrame) -> None:
    outlines = data_of(index_map(tracts, values, [INDEX], **TEXT))["outlines"]
    areas = {
        name: [sum(shapely.Polygon(ring).area for ring in rings) for rings in polygons(packed)]
        for name, packed in outlines.items()
    }
    assert areas["counties"] == pytest.approx([1.0, 2.0, 1.0], rel=1e-3)
    assert areas["states"] == pytest.approx([1.0, 3.0], rel=1e-3)


def test_outlines_of_overlapping_tracts_are_found_too(values: pd.DataFrame) -> None:
    tracts = squares(GEOIDS)
    tracts.geometry = [shapely.buffer(shape, 10.0, join_style="mitre") for shape in tracts.geometry]
    (indiana, ohio) = polygons(data_of(index_map(tracts, values, [INDEX], **TEXT))["outlines"]["states"])
    assert shapely.Polygon(ohio[0]).area == pytest.approx(3.02 * 1.02, rel=1e-3)
    assert len(indiana) == len(ohio) == 1


def test_the_same_input_gives_the_same_page(tracts: gpd.GeoDataFrame, values: pd.DataFrame) -> None:
    once = index_map(tracts, values, [INDEX, INCOME], **TEXT)
    assert once == index_map(tracts, values, [INDEX, INCOME], **TEXT)


def test_a_layer_without_any_value_is_drawn_as_missing(tracts: gpd.GeoDataFrame, values: pd.DataFrame) -> None:
    data = data_of(index_map(tracts, values.assign(opportunity=np.nan), [INDEX], **TEXT))
    assert np.isnan(unpacked(data["layers"][0]["values"])).all()


def test_tracts_without_a_row_are_missing_and_rows_without_a_tract_are_counted(
    tracts: gpd.GeoDataFrame, values: pd.DataFrame
) -> None:
    page = index_map(tracts.iloc[:3], values.iloc[1:], [INCOME], **TEXT)
    np.testing.assert_array_equal(unpacked(data_of(page)["layers"][0]["values"]), np.float32([np.nan, 2, 3]))
    assert "no polygon): 1 of the 3 tracts in the table" in page


def test_text_cannot_end_the_script(tracts: gpd.GeoDataFrame, values: pd.DataFrame) -> None:
    nasty = "</script><b>bold</b> & 100%"
    layer = Layer("income", nasty, nasty, DEPRIVATION, 0, 1, nasty)
    page = index_map(tracts, values, [layer], title=nasty, subtitle=nasty, missing_note=nasty)
    assert [attributes for tag, attributes in Elements(page).found if tag == "b"] == [{"id": "missing-count"}]
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
    page = index_map(tracts, values, [INDEX], **TEXT)
    data = data_of(page)
    bounds = dict(zip(data["geoids"], unpacked(data["tracts"]["bounds"]).reshape(-1, 4), strict=True))
    assert "15003981200" not in bounds
    assert "Northwestern Hawaiian Islands are not drawn" in page
    for geoid in ("02001000100", "15001000100", "72001000100"):
        left, bottom, right, top = bounds[geoid]
        assert -1500 <= left < right <= 1500
        assert top < 500
        assert bottom > -500
    assert bounds["02001000100"][2] < bounds["15001000100"][0] < bounds["72001000100"][0]
    assert data["extent"]["left"] == -1500
    figure = Elements(page).scripts["figures"]
    assert all(name in figure for name in ("Alaska", "Hawaii", "Puerto Rico"))


def test_one_far_area_alone_fills_the_map() -> None:
    tracts = squares(["02001000100"], "EPSG:4269", x=-152.0, y=63.0, size=4.0)
    page = index_map(tracts, pd.DataFrame({"opportunity": [1.0]}, index=tracts.index), [INDEX], **TEXT)
    assert "Insets:" not in page
    ((ring,),) = polygons(data_of(page)["tracts"])
    # 4 by 4 degrees around 65° north, on the sphere.
    area = np.radians(4) * (np.sin(np.radians(67)) - np.sin(np.radians(63))) * 6371.0**2
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
    layer = Layer("poverty_pct", "Poverty", "%", DEPRIVATION, 0, 50)
    data = data_of(index_map(parts, values, [layer], **TEXT, tolerance=0))
    assert len(data["geoids"]) == len(tracts)
    drawn = polygons(data["tracts"])
    for rings, shape in zip(drawn[::50], parts.geometry.iloc[::50], strict=True):
        assert shapely.Polygon(rings[0]).area == pytest.approx(shape.area / 1e6, rel=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tracts": slice(0, 0)}, "found no tracts"),
        ({"layers": []}, "found no layers"),
        ({"crs": None}, "no coordinate system"),
        ({"column": "absent"}, "column 'absent' is absent; found opportunity"),
        ({"column": "reason"}, "expected numbers"),
        ({"low": 100.0}, "expected two or more from a lower to a higher"),
        ({"palette": ["#000000"]}, "found 1 colors"),
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
        change.get("palette", INDEX.palette),
        change.get("low", 0.0),
        100.0,
    )
    if "crs" in change:
        tracts = tracts.set_crs(None, allow_override=True)
    if "geoids" in change:
        tracts = tracts.set_axis(change["geoids"])
    if "geometry" in change:
        tracts = tracts.set_geometry(gpd.GeoSeries(change["geometry"], index=tracts.index, crs=tracts.crs))
    with pytest.raises(InputError, match=re.escape(message)):
        index_map(tracts.iloc[change.get("tracts", slice(None))], values, change.get("layers", [layer]), **TEXT)


def test_a_map_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write_page("--map", str(tmp_path / "map.html"), "ä page")
    assert (tmp_path / "map.html").read_text(encoding="utf-8") == "ä page"
    (tmp_path / "taken.html").mkdir()
    with pytest.raises(InputError, match=r"taken\.html"):
        write_page("--map", str(tmp_path / "taken.html"), "a page")
    with pytest.raises(InputError, match="absent"):
        write_page("--map", str(tmp_path / "absent" / "map.html"), "a page")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.html", "taken.html"]


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_a_browser_draws_the_legend_offline(tmp_path: Path, tracts: gpd.GeoDataFrame, values: pd.DataFrame) -> None:
    write_page("--map", str(tmp_path / "map.html"), index_map(tracts, values, [INCOME, INDEX], **TEXT))
    run = subprocess.run(
        [
            *("chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"),
            *("--virtual-time-budget=20000", "--dump-dom", (tmp_path / "map.html").as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert 'data-ready="yes"' in run.stdout
    assert '<b id="missing-count">0 tracts</b>' in run.stdout
    assert "≥ 80" in run.stdout


@pytest.mark.real_data
def test_ohio(real_data: Path) -> None:
    every = gpd.read_parquet(real_data / "tracts" / "cb500k_2010_vintage.parquet").set_index("GEOID")
    ohio = every[every.index.str.startswith("39")]
    measures = pd.read_csv(real_data / "opportunity_2018" / "measures.csv.gz", dtype={"GEOID": str}).set_index("GEOID")
    layer = Layer("povP", "Poverty", "% of people", DEPRIVATION, 0, 50)
    page = index_map(ohio, measures[measures.index.str.startswith("39")], [layer], **TEXT)
    data = data_of(page)
    assert len(data["geoids"]) == len(ohio)
    assert "no polygon): 4 of the 2,952 tracts in the table" in page
    assert len(page.encode()) < 3_000_000
    areas = [
        shapely.Polygon(rings[0]).area
        for rings, shape in zip(polygons(data["tracts"]), ohio.geometry, strict=True)
        if len(rings) == 1
    ]
    assert sum(areas) == pytest.approx(ohio[ohio.geom_type == "Polygon"].to_crs(5070).area.sum() / 1e6, rel=0.02)


def test_a_part_without_an_area_is_left_out():
    square = shapely.box(0, 0, 100, 100)
    line = shapely.Polygon([(491, 547), (493, 550), (491, 547)])
    both = np.array([shapely.MultiPolygon([square, line]), shapely.box(100, 0, 200, 100), None], dtype=object)
    left, right, nothing = simplify_for_display(both, 1.0)
    assert left.equals(square)
    assert right.equals(shapely.box(100, 0, 200, 100))
    assert nothing is None
