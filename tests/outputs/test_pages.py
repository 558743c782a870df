"""Reports are files that need nothing else; text of data is text in them, and plots hold what they were given."""

import base64
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from bokeh.models import ColumnDataSource, Select
from browser import Visit
from markupsafe import Markup
from matplotlib.colors import to_hex
from pages import Elements, block, data_of, drawn, json_of, numbers

from geomob_dask.errors import InputError
from geomob_dask.outputs import page as page_module
from geomob_dask.outputs import palette
from geomob_dask.outputs.exposure_map import exposure_map
from geomob_dask.outputs.mixing_colors import composition_colors
from geomob_dask.outputs.mixing_map import index_layers, map_sections, picture
from geomob_dask.outputs.mobility_map import actual_and_predicted
from geomob_dask.outputs.mobility_report import card_html, map_content
from geomob_dask.outputs.page import Choice, Figure, Section, report, sortable, write_page
from geomob_dask.outputs.plots import choose_data, plain_figure
from geomob_dask.outputs.print_map import print_map
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
        plots = {name: [Figure(plain_figure(), "rises", title=name)] for name in ("one", "two")}
        for (figure,) in plots.values():
            figure.plot.line([0, 1], [0, 1])
        return report("A", "b", [Section("Plots", "", [Choice("Which", plots), plain_figure()])])

    once = page()
    assert once == page()
    elements = Elements(once).found
    assert not {"link", "img", "iframe", "object", "embed", "base"} & {tag for tag, _ in elements}
    assert not [item for item in elements if {"src", "href", "srcset", "data", "action"} & set(item[1])]
    places = set(json.loads(plotted(once))["places"].values())
    ids = {attributes.get("id") for _, attributes in elements}
    assert places == {"plot-1-1", "plot-1-2", "plot-1-3"} <= ids
    images = [found["aria-label"] for _, found in elements if found.get("role") == "img"]
    assert images == ["one: rises", "two: rises"]


def test_widgets_are_inlined_only_where_they_are_used() -> None:
    bare = report("A", "b", [Section("Table", "", table=sortable(pd.DataFrame({"a": [1.0]})))])
    plain = report("A", "b", [Section("Plot", "", [plain_figure()])])
    assert len(bare) < 30_000 < len(plain) < len(report("A", "b", [Section("Lists", "", [Select()])])) - 300_000
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
    assert '<td class="short">no &lt;one&gt;</td>' in page


def test_the_first_option_is_shown_and_the_others_wait() -> None:
    source = ColumnDataSource({"color": ["#000000"]})
    options = {name: {"it": {"x": [number]}} for number, name in enumerate(("a", "b"))}
    findings = {name: {"figure": f"{name} is shown"} for name in options}
    listed, script = choose_data("Which", "chosen", options, {"it": source}, findings)
    assert (listed.id, listed.options) == ("chosen", ["a", "b"])
    assert source.data == {"color": ["#000000"], "x": [0]}
    assert source.name == "chosen it"
    wanted = [{"sources": {"chosen it": {"x": [k]}}, "findings": findings[name]} for k, name in enumerate(("a", "b"))]
    assert script.data == {"list": "chosen", "options": wanted}
    page = report("A", "b", [Section("Plots", "", [listed, Figure(plain_figure(), "", id="figure")], script=script)])
    assert {"figure", "chosen"} <= {attributes.get("id") for _, attributes in Elements(page).found}


def test_categories_have_distinct_colors() -> None:
    assert len(set(palette.categories(8))) == 8
    assert len(set(palette.categories(16))) == 16


MIXED = boxes(["39001000100", "39001000200", "39003000100"])


def mixing_table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "region": ["east", "east", "west"],
            "people": [10.0, 20.0, 5.0],
            "low": [0.5, 0.2, 0.3],
            "middle": [0.3, 0.3, 0.4],
            "high": [0.2, 0.5, 0.3],
            "modal_class": ["low", "high", ""],
            **dict.fromkeys(("divergence", "entropy_index", "wasserstein", "wasserstein_signed"), 0.25),
        },
        index=MIXED.index,
    )


def test_the_three_color_map_holds_each_region_and_year() -> None:
    shapes, table = MIXED.geometry, mixing_table()
    sections = map_sections({2020: table, 2021: table.iloc[:2]}, {2020: shapes, 2021: shapes}, [0.3, 0.7])
    page = data_of(report("A", "b", sections))
    data = page["regions"]
    columns = ["divergence", "entropy_index", "wasserstein", "wasserstein_signed"]
    assert [layer["label"] for layer in data["east, 2020"]["layers"]] == [
        layer.label for layer in index_layers({2020: table})
    ]
    assert len(data["east, 2020"]["layers"]) == len(columns)
    assert numbers(data["east, 2020"]["class"]) == [0, 2]
    assert np.isnan(numbers(data["west, 2020"]["class"])).all()
    assert list(data) == ["east, 2020", "west, 2020", "east, 2021"]
    east = data["east, 2020"]
    assert json_of(east["geoid"]) == ["39001000100", "39001000200"]
    assert numbers(east["shares"][0]) == [0.5, 0.2]
    (first,), (second,) = block(base64.b64decode(east["tracts"])).rings
    width, height = east["extent"]["right"], east["extent"]["top"]
    assert max(x for x, _ in second) == pytest.approx(width, rel=1e-3)
    assert shapely.Polygon(first).area == pytest.approx(width * height / 2, rel=3e-3)
    with pytest.raises(InputError, match="polygon"):
        map_sections({2020: table}, {2020: shapes.iloc[:0]}, [0.3, 0.7])


def test_maps_of_mixing_have_their_source_and_open_with_a_layer() -> None:
    given = {2020: mixing_table()}, {2020: MIXED.geometry}, [0.3, 0.7]
    sections = map_sections(*given, beside=True, source="Source: <made up>.", layer="wasserstein")
    page = report("A", "b", sections)
    assert page.count('<p class="source">Source: &lt;made up&gt;.</p>') == 2
    (listed,) = [part.options for part in sections[0].plots if getattr(part, "id", "") == "map-layer"]
    assert (listed[0].startswith("W, "), len(listed)) == (True, 6)
    with pytest.raises(InputError, match="--layer money: not a layer of this map; expected one of: mix, modal, div"):
        map_sections(*given, layer="money")


def test_maps_of_a_report_are_saved_with_legend_and_source(visit: Visit, tmp_path: Path) -> None:
    table = mixing_table()
    table.loc["39001000200", ["low", "middle", "high"]] = np.nan
    sections = map_sections({2020: table}, {2020: MIXED.geometry}, [0.3, 0.7], source="Source: <made> up.")
    write_page("--report", str(tmp_path / "page.html"), report("A title", "b", sections))
    page = visit(tmp_path / "page.html")
    found = {}
    for kind in ("PNG", "SVG"):
        with page.expect_download() as waiting:
            page.get_by_role("button", name=kind).click()
        assert waiting.value.suggested_filename == f"a-title-east-2020.{kind.lower()}"
        waiting.value.save_as(tmp_path / kind)
        found[kind] = (tmp_path / kind).read_bytes()
    assert found["PNG"].startswith(b"\x89PNG")
    texts = [one.text for one in ElementTree.fromstring(found["SVG"]).iter("{http://www.w3.org/2000/svg}text")]
    assert {"A title", "Source: <made> up.", "all low", "the region's own mix", "no value"} <= set(texts)
    page.get_by_label("Layer").select_option(label="H, entropy index")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="SVG").click()
    waiting.value.save_as(tmp_path / "SVG")
    assert "H, entropy index" in (tmp_path / "SVG").read_text("utf-8")


def test_a_picture_of_mixing_has_the_color_of_each_mix_and_its_triangle() -> None:
    table = mixing_table()
    table.loc["39001000200", ["low", "middle", "high"]] = np.nan
    own = np.array([0.3, 0.4, 0.3])
    found = picture(MIXED, {2020: table}, 2020, [0.3, 0.7], title="t", subtitle="s", source="Source: x.")
    figure = print_map(found)
    main, triangle = figure.axes
    filled = {to_hex(patch.get_facecolor()) for patch in main.patches if patch.get_fill() and not patch.get_hatch()}
    shares = table[["low", "middle", "high"]].dropna().to_numpy()
    assert filled == set(composition_colors(shares, own))
    assert len(filled) == 2
    assert len([patch for patch in main.patches if patch.get_hatch()]) == 1
    assert [text.get_text() for text in triangle.texts] == ["low", "middle", "high"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["no value: 1 tract"]
    # Lines below and above, around each region: that of east, of two tracts, and that of west.
    borders = [patch.get_path() for patch in main.patches if not patch.get_fill()][-2:]
    assert [len(path.to_polygons()) for path in borders] == [2, 2]
    assert "Source: x." in [text.get_text() for text in figure.texts]


def test_the_map_of_zones_has_a_layer_of_each_model() -> None:
    zones = boxes(["100", "200", "300"])
    about = {
        "study": "zones",
        "classes": ["below_mean", "above_mean"],
        "class_counts": {"below_mean": 1, "above_mean": 1},
        "features": [],
        "outcome": "Mobility",
        "units": 2,
        "models": {"tree": "Tree"},
        "folds": {"states": "whole states"},
    }
    units = pd.DataFrame(
        {"label": ["A", "B"], "state": "OH", "outcome": [40.0, 50.0], "actual": [0, 1]}, index=["100", "200"]
    )
    predicted = pd.DataFrame({"model": "tree", "folds": "states", "predicted": [1, 1]}, index=["100", "200"])
    found = map_content(about, {"units": units, "predictions": predicted}, zones, "Source: x.")
    assert [layer.label for layer in found.layers] == ["Actual class", "Predicted, held out: Tree, states", "Mobility"]
    assert found.layers[0].scale.labels == ("below mean", "above mean")
    assert "not in the study" in data_of(found.page())["missing_note"]
    figure = print_map(found)
    (border,) = [patch for patch in figure.axes[0].patches if not patch.get_fill()][-1:]
    assert border.get_path().get_extents().width == pytest.approx(2 / 3 * figure.axes[0].dataLim.width, rel=0.03)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "below mean   [1]",
        "above mean   [1]",
        "not in the study   [1]",
    ]


def test_the_maps_of_classes_hold_units_and_predictions() -> None:
    shapes = boxes(["c", "a", "b"]).assign(state="OH")
    units = pd.DataFrame(
        {"label": ["A", NASTY], "state": "OH", "outcome": [40.0, 50.0], "actual": [0, 1]}, index=["a", "b"]
    )
    predicted = pd.DataFrame({"predicted": [1, 1], "p_0": [0.4, 0.1], "p_1": [0.6, 0.9]}, index=["a", "b"])
    parts, script = actual_and_predicted(shapes, units, {"Model, folds": predicted}, ["low", "high"], "Mobility")
    page = report("A", "b", [Section("Map", "", parts, script=script)])
    data = data_of(page)
    assert (json_of(data["labels"]), data["scale"]["labels"], data["count"]) == (["A", NASTY], ["low", "high"], 3)
    assert numbers(data["actual"]) == [0, 1]
    assert [numbers(one) for one in data["choices"]["Model, folds"]["shares"]] == [[0.4, 0.1], [0.6, 0.9]]
    assert len(drawn(page).rings) == 3
    with pytest.raises(InputError, match="polygon"):
        actual_and_predicted(shapes.iloc[:1], units, {}, ["low", "high"], "Mobility")


def test_regions_of_the_exposure_map_are_drawn_whole_with_their_bounds_and_grades() -> None:
    keys = ["39001000100", "39001000200", "39003000100", "39005000100"]
    table = pd.DataFrame(
        {
            "region_name": ["Adams", "Allen"],
            **{"people_count": [1234.0, 5.0], "tracts": [2, 1]},
            **{"g_exposure": [0.25, np.nan], "g_exposure_lb": [0.2, np.nan], "g_exposure_ub": [0.3, np.nan]},
            **{"g_exposure_quality": [1.0, np.nan], "g_exposure_reason": ["", "nobody of the group lives here"]},
            **{"g_exposure_corrected": [0.26, np.nan], "g_exposure_accuracy": [2.0, np.nan]},
            "bounds_of": "exposure_corrected",
        },
        index=["39001", "39003"],
    )
    regions = pd.Series(["39001", "39001", "39003"], index=keys[:3])
    content = exposure_map(
        boxes(keys).to_crs(5070), table, regions, {"g": "Group <g>"}, by="county", title="A", subtitle="b"
    )
    value, grade = content.layers
    assert content.shapes.index.tolist() == ["39001", "39003"]
    assert content.shapes.loc["39001", "geometry"].area == pytest.approx(
        boxes(keys[:2]).to_crs(5070).area.sum(), rel=1e-6
    )
    assert content.table.loc["39001", [value.column, *value.bounds]].tolist() == [0.26, 0.2, 0.3]
    assert np.isnan(content.table.loc["39003", value.column])
    assert content.table[value.suppressed].tolist() == [False, False]
    table["g_exposure_reason"] = ["", "suppressed: too few people of the group"]
    again = exposure_map(boxes(keys).to_crs(5070), table, regions, {"g": "G"}, by="county", title="A", subtitle="b")
    assert again.table[grade.suppressed].tolist() == [False, True]
    assert content.table[value.note].tolist() == [
        "accuracy 2, quality of the count 1 (1 to 3); uncorrected 0.250",
        "nobody of the group lives here",
    ]
    assert grade.scale.labels[int(content.table.loc["39001", grade.column])].startswith("2:")
    assert "Group &lt;g&gt;" in content.page() or "Group \\u003cg\\u003e" in content.page()


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
    assert "<h3>Title</h3>" in card
    assert "<td>&lt;i&gt;2&lt;/i&gt;</td>" in card


def test_scripts_of_one_page_declare_no_name_twice() -> None:
    declared: dict[str, list[str]] = {}
    for file in (Path(page_module.__file__).parent / "static").glob("*.js"):
        # These are bodies of callbacks, with names of their own.
        if file.name.startswith("choose_"):
            continue
        for kind, line in re.findall(
            r"^(const|let|class|(?:async )?function) (.*)$", file.read_text("utf-8"), re.MULTILINE
        ):
            # Of a function what follows are its parameters.
            for name in re.findall(r"^(\w+)" if kind.endswith("function") else r"^(\w+)|, (\w+) = ", line):
                declared.setdefault("".join(name), []).append(file.name)
    assert len(declared) > 30
    assert {name: files for name, files in declared.items() if len(files) > 1} == {}
