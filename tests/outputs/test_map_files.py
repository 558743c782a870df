"""Maps in files: pictures for print and pages, their titles, source lines, layers and provenance."""

import re
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from pages import data_of, numbers

from geomob_dask.definition import read_definition
from geomob_dask.errors import InputError, SettingsError
from geomob_dask.outputs.change_maps import change_map, direction_of
from geomob_dask.outputs.classes import fixed
from geomob_dask.outputs.map_files import MapContent, write_map
from geomob_dask.outputs.maps import Layer, first_layer
from geomob_dask.outputs.opportunity_map import opportunity_map
from geomob_dask.outputs.page import report
from geomob_dask.outputs.palette import CHANGE, MISSING, NEUTRAL_CHANGE, OPPORTUNITY
from geomob_dask.outputs.print_map import print_map
from geomob_dask.outputs.provenance import record
from geomob_dask.outputs.provenance_files import provenance_of
from geomob_dask.outputs.provenance_words import source_line
from geomob_dask.outputs.titles import using_title

KEYS = ["39001000100", "39001000200", "18003000100", "02001000100"]
PLACES = [(-83.0, 40.0), (-82.9, 40.0), (-86.0, 40.0), (-150.0, 64.0)]
SHAPES = gpd.GeoDataFrame(
    geometry=[shapely.box(x, y, x + 0.1, y + 0.1) for x, y in PLACES], index=KEYS, crs="EPSG:4269"
).to_crs("EPSG:5070")
RECORD = record(
    [
        {
            "collection": "results/a",
            "product": "opportunity",
            "dataset": "acs",
            "year": 2018,
            "vintage": "2010",
            "norm": "state",
            "definition": {"name": "mine", "sha256": "ab" * 32},
            "options": {
                "definition": {"domains": {"work": [{"measure": "jobs", "direction": -1}, {"measure": "idle"}]}},
                "norm": "state",
            },
            "attributes": {},
            "versions": {},
            "parts": {},
            "runs": {},
        }
    ],
    option="--map",
)
NASTY = "$x$ </svg><b>&amp; \N{GREEK SMALL LETTER ALPHA} --> ]]>"


def content(title: str = "A map") -> MapContent:
    values = pd.DataFrame({"one": [10.0, 60.0, np.nan, 90.0], "two": [1.0, 2.0, 3.0, 4.0]}, index=KEYS)
    layers = [
        Layer(name, f"Layer {name}", "USD", fixed([0, 50, 80, 100], OPPORTUNITY, unit="USD"), "more is better")
        for name in ("one", "two")
    ]
    return MapContent(SHAPES, values, layers, title=title, missing_note="without a value", source="Source: acs.")


@pytest.mark.parametrize("suffix", [".png", ".svg", ".html"])
def test_the_same_map_has_the_same_bytes_and_its_provenance(tmp_path: Path, suffix: str) -> None:
    files = [tmp_path / f"{name}{suffix}" for name in ("a", "b")]
    for file in files:
        write_map(content(NASTY), str(file), RECORD)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert provenance_of(files[0]) == RECORD


def test_a_picture_without_provenance_says_so(tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    for suffix in (".png", ".svg"):
        Figure().savefig(tmp_path / f"a{suffix}")
        with pytest.raises(InputError, match="found no provenance"):
            provenance_of(tmp_path / f"a{suffix}")
    (tmp_path / "b.png").write_text("no picture")
    with pytest.raises(InputError, match="cannot be read"):
        provenance_of(tmp_path / "b.png")


def test_a_picture_has_300_dots_per_inch_and_no_more_than_a_page(tmp_path: Path) -> None:
    write_map(content(), str(tmp_path / "a.png"), RECORD)
    head = (tmp_path / "a.png").read_bytes()
    width, height = (int.from_bytes(head[at : at + 4], "big") for at in (16, 20))
    assert width == 3000
    assert 900 < height < 3600
    assert round(int.from_bytes(head[head.index(b"pHYs") + 4 :][:4], "big") * 0.0254) == 300


def test_a_picture_shows_legend_missing_values_and_texts() -> None:
    figure = print_map(replace(content(NASTY), missing_note="none", source="S$"))
    (legend,) = figure.legends
    texts = [text.get_text().replace("\\$", "$") for text in legend.get_texts()]
    assert texts == ["$80 or more   [1]", "$50 to $80   [1]", "less than $50   [1]", "none   [1]"]
    missing = legend.get_patches()[-1]
    assert missing.get_hatch()
    drawn = [patch for patch in figure.axes[0].patches if patch.get_hatch()]
    assert len(drawn) == 1
    assert missing.get_edgecolor()[:3] == pytest.approx([int(MISSING[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    shown = " ".join(text.get_text() for text in figure.texts)
    assert "Insets: Alaska" in shown
    assert any("Alaska" in text.get_text() for text in figure.axes[0].texts)


def test_a_picture_and_a_page_put_values_on_and_beyond_bounds_in_the_same_classes() -> None:
    keys = [f"3900100{number}00" for number in range(1000, 1006)]
    shapes = gpd.GeoDataFrame(geometry=[shapely.box(k, 0, k + 1, 1) for k in range(6)], index=keys, crs="EPSG:5070")
    table = pd.DataFrame({"one": [-5.0, 50.0, 80.0, 100.0, 300.0, np.inf]}, index=keys)
    found = replace(content(), shapes=shapes, table=table, layers=[content().layers[0]])
    texts = [text.get_text() for text in print_map(found).legends[0].get_texts()]
    assert [text[-3:] for text in texts] == ["[3]", "[1]", "[1]", "[1]"]
    shown = numbers(data_of(found.page())["layers"][0]["values"])
    np.testing.assert_array_equal(shown, [-5, 50, 80, 100, 300, np.nan])


def test_a_picture_tells_suppressed_values_from_missing_ones() -> None:
    table = content().table.assign(one=[10.0, np.nan, np.nan, np.nan], hidden=[True, True, False, False])
    layer = replace(content().layers[0], suppressed="hidden")
    figure = print_map(replace(content(), table=table, layers=[layer]))
    patches, texts = figure.legends[0].get_patches()[-2:], figure.legends[0].get_texts()[-2:]
    assert [text.get_text() for text in texts] == ["suppressed   [1]", "without a value   [2]"]
    hatches = [patch.get_hatch() for patch in patches]
    assert len(set(hatches)) == 2
    drawn = [patch.get_hatch() for patch in figure.axes[0].patches if patch.get_hatch()]
    assert sorted(drawn) == sorted(hatches)


def test_a_picture_of_nothing_is_refused() -> None:
    empty = SHAPES.set_geometry([None] * 4)
    with pytest.raises(InputError, match="no polygon"):
        print_map(replace(content(), shapes=empty))


def test_a_layer_is_chosen_by_column_or_label(tmp_path: Path) -> None:
    for name in ("two", "layer TWO"):
        assert [layer.column for layer in first_layer(content().layers, name)] == ["two", "one"]
    with pytest.raises(
        InputError, match=re.escape("--layer three: not a layer of this map; expected one of: one, two")
    ):
        write_map(content(), str(tmp_path / "a.png"), RECORD, layer="three")
    assert not list(tmp_path.iterdir())


def test_a_title_is_given_to_maps_and_reports_as_text(tmp_path: Path) -> None:
    with using_title(f"  {NASTY}\n"):
        write_map(content(), str(tmp_path / "a.html"), RECORD)
        assert "<h1>$x$ &lt;/svg&gt;&lt;b&gt;&amp;amp;" in report("own", "", [])
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "<h1>$x$ &lt;/svg&gt;&lt;b&gt;&amp;amp;" in page
    assert "<h1>own</h1>" in report("own", "", [])


@pytest.mark.parametrize("text", ["", "  \n", "x" * 400])
def test_a_title_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="expected 1 to 300"), using_title(text):
        pass


def test_the_source_line_names_data_definition_and_norm() -> None:
    line = source_line(RECORD)
    assert line.startswith("Source: dataset acs, year 2018, tracts of vintage 2010, definition mine (checksum abababab")
    assert "; norm state" in line
    assert line.endswith(f". {RECORD['written_by']}.")


def test_the_source_line_of_a_study_names_its_data() -> None:
    inputs = {"inputs": {"zones/1990": "ab", "measures/own/2018": "cd"}}
    one = {**RECORD["results"][0], "options": {"study": "zones"}, "vintage": "1990", "seed": 0, "runs": {"a": inputs}}
    study = {name: value for name, value in one.items() if name not in ("dataset", "year", "definition", "norm")}
    line = source_line({**RECORD, "results": [study]})
    assert line.startswith("Source: data measures/own/2018, zones/1990, zones of vintage 1990. geomob")


# Colors with a meaning ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("measure", "direction"),
    [("opportunity", 1), ("rank", 1), ("deprivation", -1), ("work", -1), ("jobs", 1), ("idle", -1), ("other", 0)],
)
def test_the_direction_of_a_change_is_that_of_the_definition(measure: str, direction: int) -> None:
    assert direction_of(measure, RECORD) == direction
    assert direction_of(measure, {"results": [{"options": "not recorded"}]}) == 0


def change(direction: int) -> MapContent:
    numbers = {"before": [1.0, 2.0, 3.0, np.nan], "after": [2.0, 1.0, 3.0, 3.0], "margin": 0.5}
    table = pd.DataFrame({**numbers, "beyond": [1, 1, 0, -1], "reason": ["", "", "", "1: none"]}, index=KEYS)
    table["change"] = table["after"] - table["before"]
    return change_map(SHAPES, table, "score", 2015, 2020, subtitle="", direction=direction)  # type: ignore[arg-type]


def color_of(found: MapContent, value: float, layer: int = 0) -> str:
    scale = found.layers[layer].scale
    return scale.colors[int(np.clip(np.searchsorted(scale.edges, value, side="right") - 1, 0, len(scale.colors) - 1))]


def test_what_rose_is_blue_if_it_is_opportunity_and_red_if_it_is_deprivation() -> None:
    blue, red = CHANGE[-1], CHANGE[0]
    assert (color_of(change(1), 1.0), color_of(change(1), -1.0)) == (blue, red)
    assert (color_of(change(-1), 1.0), color_of(change(-1), -1.0)) == (red, blue)
    assert (color_of(change(0), 1.0), color_of(change(0), -1.0)) == (NEUTRAL_CHANGE[-1], NEUTRAL_CHANGE[0])
    assert "neither" in change(0).layers[0].explanation
    assert color_of(change(1), 0.0) == CHANGE[3]


def test_a_change_has_its_interval_and_both_years_one_scale() -> None:
    found = change(1)
    first, sure, before, after = found.layers
    assert found.table.loc[KEYS[0], [*first.bounds]].tolist() == [0.5, 1.5]
    assert found.table[sure.column].isna().tolist() == [False, False, True, True]
    assert before.scale == after.scale


# Intervals of an index ---------------------------------------------------------------------------


def index_table() -> tuple[pd.DataFrame, pd.DataFrame]:
    definition = read_definition("sample")
    scores = {name: [10.0, 50.0, 90.0, np.nan] for name in ("opportunity", "deprivation", *definition.domains)}
    texts = dict.fromkeys(["filled_domains", "imputed_direct", "imputed_once_removed", "reason"], "")
    table = pd.DataFrame({**scores, **texts}, index=KEYS)
    ends = {"opportunity_corrected": [12.0, 50.0, 88.0], "opportunity_lb": [8.0, 30.0, 80.0]}
    ends |= {"opportunity_ub": [20.0, 70.0, 95.0], "rank_corrected": [0.1, 0.5, 0.9]}
    ends |= {"rank_lb": [0.0, 0.3, 0.8], "rank_ub": [0.2, 0.7, 1.0], "reason": ""}
    return table, pd.DataFrame(ends, index=KEYS[:3]).reindex(KEYS).assign(reason=["", "", "", "no measures"])


def test_intervals_have_layers_and_stand_beside_their_value() -> None:
    table, intervals = index_table()
    found = opportunity_map(SHAPES, table, read_definition("sample"), title="t", subtitle="s", intervals=intervals)
    layers = {layer.column: layer for layer in found.layers}
    assert layers["opportunity_corrected"].bounds == ("opportunity_lb", "opportunity_ub")
    assert found.table["opportunity_width"].tolist()[:3] == [12.0, 40.0, 15.0]
    side = layers["side"]
    labels = [side.scale.labels[int(place)] for place in found.table["side"].dropna()]
    assert labels == ["below the median", "not distinguishable from the median", "above the median"]
    assert found.table[layers["opportunity"].note].tolist() == [
        "90% interval 8 to 20, about 12",
        "90% interval 30 to 70, about 50",
        "90% interval 80 to 95, about 88",
        "no interval: no measures",
    ]
    plain = opportunity_map(SHAPES, table, read_definition("sample"), title="t", subtitle="s")
    assert not {"side", "opportunity_width"} & {layer.column for layer in plain.layers}
    assert found.page().count("interval") > 3
