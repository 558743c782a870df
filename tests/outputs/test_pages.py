"""Reports are files that need nothing else; text of data is text in them, and plots hold what they were given."""

import json
import re

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from bokeh.models import ColumnDataSource
from markupsafe import Markup
from pages import Elements, data_of, polygons, unpacked

from geomob_dask.errors import InputError
from geomob_dask.outputs import palette
from geomob_dask.outputs.exposure_map import exposure_map
from geomob_dask.outputs.mixing_map import map_sections
from geomob_dask.outputs.mobility_map import actual_and_predicted
from geomob_dask.outputs.mobility_report import card_html
from geomob_dask.outputs.page import Section, report, sortable
from geomob_dask.outputs.plots import choose_data, choose_plot, plain_figure
from geomob_dask.outputs.segregation_report import curve_regions, report_page

NASTY = "</script><b onclick=x>bold</b> & 100% {{ 7 * 7 }}"


def plotted(page: str) -> str:
    return Elements(page).scripts["figures"]


def boxes(keys: list[str]) -> gpd.GeoDataFrame:
    shapes = [shapely.box(-84 + i, 40, -83 + i, 41) for i in range(len(keys))]
    return gpd.GeoDataFrame(geometry=shapes, index=pd.Index(keys), crs="EPSG:4269")


def test_markup_in_data_is_text() -> None:
    plot = plain_figure(title=NASTY)
    plot.scatter("x", "y", source=ColumnDataSource({"x": [1], "y": [2], "name": [NASTY]}))
    table = pd.DataFrame({NASTY: [NASTY]}, index=pd.Index([NASTY], name="key"))
    section = Section(
        NASTY, NASTY, [plot], table=sortable(table), keys={NASTY: "#000000"}, cards={NASTY: card_html(NASTY)}
    )
    page = report(NASTY, NASTY, [section], facts=[(NASTY, NASTY)], footer=NASTY)
    elements = Elements(page).found
    assert [attributes for tag, attributes in elements if tag == "b"] == [{}], "that of the facts"
    assert not any("onclick" in attributes for _, attributes in elements)
    assert "49" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert NASTY in json.loads(plotted(page))["doc"]["roots"][0]["attributes"]["title"]["attributes"]["text"]


def test_a_report_loads_nothing_and_is_the_same_every_time() -> None:
    def page() -> str:
        plots = {name: plain_figure(width=200, height=200, title=name) for name in ("one", "two")}
        for plot in plots.values():
            plot.line([0, 1], [0, 1])
        return report("A", "b", [Section("Plots", "", [choose_plot("Which", plots), plain_figure()])])

    once = page()
    assert once == page()
    elements = Elements(once).found
    assert not {"link", "img", "iframe", "object", "embed", "base"} & {tag for tag, _ in elements}
    assert not [item for item in elements if {"src", "href", "srcset", "data", "action"} & set(item[1])]
    places = set(json.loads(plotted(once))["places"].values())
    ids = {attributes.get("id") for _, attributes in elements}
    assert places == {"plot-1-1", "plot-1-2"} <= ids


def test_widgets_are_inlined_only_where_they_are_used() -> None:
    bare = report("A", "b", [Section("Table", "", table=sortable(pd.DataFrame({"a": [1.0]})))])
    plain = report("A", "b", [Section("Plot", "", [plain_figure()])])
    chosen = choose_plot("Which", {"one": plain_figure(), "two": plain_figure()})
    assert len(bare) < 10_000 < len(plain) < len(report("A", "b", [Section("Plots", "", [chosen])])) - 300_000
    assert json.loads(plotted(bare)) == {"doc": None, "places": {}}


def test_tables_show_numbers_and_sort_by_all_digits() -> None:
    table = pd.DataFrame(
        {"share": [0.123456, np.nan], "people": [1234.0, 5.0], "why": ["", "no <one>"]}, index=pd.Index(["x", "y"])
    )
    key, share, people, why = sortable(table, {"index": "Key", "people": "People"})
    assert (key.title, list(key.texts), key.numbers) == ("Key", ["x", "y"], False)
    assert share.cells() == [("0.1235", "0.123456"), ("—", "-Infinity")]
    assert (people.title, people.cells()) == ("People", [("1,234", "1234"), ("5", "5")])
    assert why.cells() == [("", None), ("no <one>", None)]
    page = report("A", "b", [Section("Table", "", table=sortable(table))])
    assert '<td data-value="0.123456">0.1235</td>' in page
    assert "<td>no &lt;one&gt;</td>" in page


def test_the_first_option_is_shown_and_the_others_wait() -> None:
    source = ColumnDataSource({"color": ["#000000"]})
    options = {name: {"it": {"row": [name], "x": [number]}} for number, name in enumerate(("a", "b"))}
    plot = plain_figure(y_range=["?"])
    select = choose_data("Which", options, {"it": source}, plot.y_range)
    assert (select.value, select.options) == ("a", ["a", "b"])
    assert source.data == {"color": ["#000000"], "row": ["a"], "x": [0]}
    assert plot.y_range.factors == ["a"]
    (callback,) = select.js_property_callbacks["change:value"]
    assert callback.args["options"] == options


def test_categories_have_distinct_colors() -> None:
    assert len(set(palette.categories(8))) == 8
    assert len(set(palette.categories(16))) == 16


def test_the_three_color_map_holds_each_region_and_year() -> None:
    shapes = boxes(["39001000100", "39001000200", "39003000100"]).geometry
    table = pd.DataFrame(
        {
            "region": ["east", "east", "west"],
            "people": [10.0, 20.0, 5.0],
            "low": [0.5, 0.2, 0.3],
            "middle": [0.3, 0.3, 0.4],
            "high": [0.2, 0.5, 0.3],
            "modal_class": ["low", "high", ""],
            **dict.fromkeys(("divergence", "entropy_index", "wasserstein", "wasserstein_signed"), 0.25),
        },
        index=shapes.index,
    )
    sections = map_sections({2020: table, 2021: table.iloc[:2]}, {2020: shapes, 2021: shapes}, [0.3, 0.7])
    page = data_of(report("A", "b", sections))
    layers = {name: (layer["kind"], layer.get("column")) for name, layer in page["layers"].items()}
    assert list(layers.values()) == [
        ("mix", None),
        ("class", None),
        *(("number", name) for name in ("divergence", "entropy_index", "wasserstein", "wasserstein_signed")),
    ]
    data = page["regions"]
    assert unpacked(data["east, 2020"]["class"]).tolist() == [0, 2]
    assert unpacked(data["west, 2020"]["class"]).tolist() == [3]
    assert list(data) == ["east, 2020", "west, 2020", "east, 2021"]
    east = data["east, 2020"]
    assert east["geoid"] == ["39001000100", "39001000200"]
    np.testing.assert_array_equal(unpacked(east["measures"]["low"]), np.float32([0.5, 0.2]))
    (first,), (second,) = polygons(east["tracts"])
    width, height = east["extent"]
    assert max(x for x, _ in second) == pytest.approx(width, rel=1e-4)
    assert shapely.Polygon(first).area == pytest.approx(width * height / 2, rel=1e-3)
    with pytest.raises(InputError, match="polygon"):
        map_sections({2020: table}, {2020: shapes.iloc[:0]}, [0.3, 0.7])


@pytest.mark.parametrize("most", [4000, 1])
def test_the_map_of_classes_holds_units_and_predictions(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geomob_dask.outputs.mobility_map.MOST_POLYGONS", most)
    shapes = boxes(["a", "b", "c"]).assign(state="OH")
    units = pd.DataFrame(
        {"label": ["A", NASTY], "state": "OH", "outcome": [40.0, 50.0], "actual": [0, 1]}, index=["a", "b"]
    )
    predicted = pd.DataFrame({"predicted": [1, 1], "p_0": [0.4, 0.1], "p_1": [0.6, 0.9]}, index=["a", "b"])
    drawing, script = actual_and_predicted(shapes, units, {"Model, folds": predicted}, ["low", "high"], "Mobility")
    data = data_of(report("A", "b", [Section("Map", "", [drawing], script=script)]))
    assert (data["labels"], data["classes"]) == (["A", NASTY], ["low", "high"])
    assert unpacked(data["actual"]).tolist() == [0, 1]
    assert unpacked(data["choices"]["Model, folds"]["shares"]).tolist() == [40, 60, 10, 90]
    if most == 1:
        assert unpacked(data["x"]).size == unpacked(data["y"]).size == 2
        assert polygons(data["others"]) == []
    else:
        assert len(polygons(data["polygons"])) == 2
        assert len(polygons(data["others"])) == 1


def test_tracts_of_the_exposure_map_have_the_value_of_their_region() -> None:
    keys = ["39001000100", "39001000200", "39003000100"]
    table = pd.DataFrame(
        {
            "region_name": ["Adams", "Allen"],
            **{"g_exposure": [0.25, np.nan], "g_exposure_lb": [0.2, np.nan], "g_exposure_ub": [0.3, np.nan]},
            **{"g_exposure_quality": [1.0, np.nan], "g_exposure_reason": ["", "nobody of the group lives here"]},
            **{"g_exposure_corrected": [0.26, np.nan], "g_exposure_accuracy": [2.0, np.nan]},
            "bounds_of": "exposure_corrected",
        },
        index=["39001", "39003"],
    )
    regions = pd.Series(["39001", "39001", "39003"], index=keys)
    page = exposure_map(
        boxes(keys).to_crs(5070), table, regions, {"g": "Group <g>"}, by="county", title="A", subtitle="b"
    )
    data = data_of(page)
    np.testing.assert_array_equal(unpacked(data["layers"][0]["values"]), np.float32([0.26, 0.26, np.nan]))
    words = "0.260 (0.200 to 0.300), accuracy 2; uncorrected 0.250, quality of the count 1"
    assert data["details"][-1]["texts"] == [words, "nobody of the group lives here"]


def test_curves_are_drawn_for_regions_of_every_year_first() -> None:
    names = {"region_name": "", "units": 2, "theil": 0.5, "multigroup_dissimilarity": [0.1, 0.2]}
    table = pd.DataFrame({**names, "people": [10.0, 99.0]}, index=["a", "b"])
    tables = {2020: table.iloc[:1], 2021: table}
    assert curve_regions(tables) == ["a", "b"]
    counts = {2020: {"a": np.array([[1.0, 3.0], [3.0, 1.0]])}, 2021: {"a": np.eye(2), "b": np.ones((2, 2))}}
    page = report_page(tables, counts, {"g": NASTY, "h": "H"}, title="A", subtitle="b")
    for text in ("Segregation curves, years side by side", "Indices by region"):
        assert f"<h2>{text}</h2>" in page
    assert NASTY in json.dumps(json.loads(plotted(page)), ensure_ascii=False)


def test_a_card_is_markdown_without_markup_of_its_own() -> None:
    card = card_html(f"# Title\n\n- {NASTY}\n\n| a | b |\n|---|---|\n| 1 | <i>2</i> |\n")
    assert isinstance(card, Markup)
    assert "<h1>Title</h1>" in card
    assert "<td>&lt;i&gt;2&lt;/i&gt;</td>" in card
