"""Figures of income mixing: what the page is given to draw."""

import json

import numpy as np
import pandas as pd
import pytest
from bokeh.models import FactorRange
from pages import unpacked

from geomob_dask.frames.mixing import mixing
from geomob_dask.outputs.maps import Layer
from geomob_dask.outputs.mixing_figures import correlation, drawn_regions, figure_sections, region_pairs
from geomob_dask.outputs.mixing_map import index_layers
from geomob_dask.outputs.palette import INCOMES

CUTS = (0.3, 0.7)
DECILES = [f"decile {k}" for k in range(1, 11)]


def region(number: int = 60, seed: int = 0, labels: list[str] = DECILES) -> pd.DataFrame:
    """Tracts whose people are drawn from shares of their own."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(len(labels), 8.0), number)
    people = rng.integers(500, 3000, number)
    counts = [rng.multinomial(size, share) for size, share in zip(people, shares, strict=True)]
    keys = pd.Index([f"39001{k:06d}" for k in range(number)], name="geoid")
    return pd.DataFrame(counts, columns=labels, index=keys, dtype=float)


def sections_of(counts: pd.DataFrame, name: str = "metro") -> tuple[list, pd.DataFrame]:
    table = mixing(counts, brackets=list(counts.columns)).assign(region=name)
    return figure_sections({2020: table}, {2020: {name: counts}}, CUTS), table


def test_scatters_have_the_indices_of_tracts() -> None:
    counts = region()
    sections, table = sections_of(counts)
    data = sections[1].script.data
    found = data["regions"]["metro, 2020"]
    assert found["geoid"] == counts.index.tolist()
    columns = {"D": "divergence", "D5": "divergence_quintiles", "H": "entropy_index", "W": "wasserstein"}
    for name, column in columns.items():
        np.testing.assert_array_equal(unpacked(found["values"][name]), table[column].to_numpy(np.float32))
    fine, fifths, thirds = (unpacked(found["values"][name]) for name in ("D", "D5", "D3"))
    assert (fifths <= fine + 1e-6).all()
    assert (thirds <= fine + 1e-6).all()
    classes = [data["names"][code] for code in unpacked(found["class"])]
    assert classes == table["modal_class"].tolist()
    r = table["divergence"].corr(table["wasserstein"])
    assert found["r"]["W"] == f"{r:.3f}"
    even = -(counts.sum() / counts.sum().sum() * np.log(counts.sum() / counts.sum().sum())).sum()
    assert found["entropy"] == pytest.approx(even)
    assert set(sections[1].table[0].texts) == {"metro"}


def test_pairs_are_alike_in_one_index_and_are_named() -> None:
    counts = region()
    sections, table = sections_of(counts)
    found = sections[1].script.data["regions"]["metro, 2020"]
    for section, alike, other in (
        (sections[2], "divergence", "wasserstein"),
        (sections[3], "wasserstein", "divergence"),
    ):
        pairs = found["pairs"][alike]
        assert len(pairs) == 3
        low, high = table[alike].quantile([0.25, 0.75])
        for pair in pairs:
            first, second = table.loc[pair["tracts"][0]], table.loc[pair["tracts"][1]]
            assert abs(first[alike] - second[alike]) <= 0.02 * (high - low)
            assert first[other] < second[other]
            own = counts.loc[pair["tracts"]]
            np.testing.assert_allclose(pair["brackets"], own.div(own.sum(axis=1), axis=0), atol=1e-5)
        # The table beside the bars names the tracts of all pairs.
        named = {column.title: list(column.texts) for column in section.table}
        assert named["tract"] == [key for pair in pairs for key in pair["tracts"]]


def test_tracts_with_few_people_are_in_no_pair() -> None:
    W = {"a": 9.0, "b": 0.0, "c": 2.0, "d": 1.0, "e": 1.5, "f": 1.2, "g": 3.0}
    tracts = pd.DataFrame({"divergence": 0.1, "wasserstein": W, "people": 1000.0})
    tracts.loc["a", "people"] = 499.0
    named = [[tracts.index[place] for place in pair] for pair in region_pairs(tracts, "divergence", "wasserstein")]
    # Bands of as many tracts, in the order of keys.
    assert named == [["b", "c"], ["d", "e"], ["f", "g"]]
    tracts.loc["a", "people"] = 500.0
    named = [[tracts.index[place] for place in pair] for pair in region_pairs(tracts, "divergence", "wasserstein")]
    assert named == [["b", "a"], ["d", "e"], ["f", "g"]]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_regions_of_few_tracts(number: int) -> None:
    sections, _ = sections_of(region(number, labels=["low", "high"]))
    found = sections[1].script.data["regions"]["metro, 2020"]
    assert len(found["geoid"]) == number
    # Thirds of one tract each have nothing to compare.
    assert found["pairs"]["divergence"] == found["pairs"]["wasserstein"] == []
    assert (found["r"]["W"] == "—") == (number < 3)


def test_nothing_is_drawn_where_no_tract_has_values() -> None:
    table = mixing(region(2) * 0.0, brackets=DECILES).assign(region="metro")
    assert figure_sections({2020: table}, {2020: {"metro": region(2) * 0.0}}, CUTS) == []


def test_brackets_of_one_label_are_numbered() -> None:
    counts = region()
    table = mixing(counts, brackets=DECILES).assign(region="metro")
    same = counts.set_axis(["same"] * 10, axis=1)
    sections = figure_sections({2020: table}, {2020: {"metro": same}}, CUTS)
    axes = [one.factors for drawn in sections[2].plots for one in drawn.plot.select({"type": FactorRange})]
    assert [f"{number}: same" for number in range(1, 11)] in axes


def test_the_largest_regions_are_drawn_and_their_data_stay_small() -> None:
    rng = np.random.default_rng(1)
    counts = region(1500)
    table = mixing(counts, brackets=DECILES)
    table["region"] = [f"r{k:03d}" for k in rng.integers(0, 300, len(table))]
    regions = drawn_regions({2020: table})[2020]
    people = table.groupby("region")["people"].sum()
    assert people[regions].tolist() == people.nlargest(25).tolist()
    found = {2020: {name: counts[(table["region"] == name).to_numpy()] for name in regions}}
    sections = figure_sections({2020: table}, found, CUTS)
    assert "25 regions with most people" in sections[0].text
    tracts = table["region"].isin(regions).sum()
    assert len(json.dumps(sections[1].script.data)) < 50 * tracts + 5_000 * len(regions)


def test_correlations_need_three_units_that_vary() -> None:
    nan = np.nan
    assert correlation(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0])) == pytest.approx(1)
    for x, y in (([1.0, 2.0], [1.0, 2.0]), ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]), ([1.0, 2.0, nan], [1.0, 2.0, 3.0])):
        assert np.isnan(correlation(np.array(x), np.array(y)))


def test_layers_have_round_ends_for_all_years() -> None:
    low = pd.DataFrame({"divergence": np.linspace(0, 0.1, 101), "entropy_index": np.linspace(-0.02, 0.1, 101)})
    low["wasserstein"], low["wasserstein_signed"] = np.linspace(0, 2, 101), np.linspace(-2, 1, 101)
    layers = {
        layer.column: (layer.scale.edges[0], layer.scale.edges[-1])
        for layer in index_layers({2020: low, 2021: 2 * low})
    }
    assert layers["divergence"][0] == 0
    assert 0.18 < layers["divergence"][1] <= 0.2
    assert layers["entropy_index"][0] < 0
    signed = layers["wasserstein_signed"]
    assert signed[0] == -signed[1]
    nothing = low.iloc[:0]
    assert all(layer.scale.edges[0] < layer.scale.edges[-1] for layer in index_layers({2020: nothing, 2021: 0 * low}))
    # W is in brackets, or in the unit of the positions that were given.
    texts = [layer.label for layer in index_layers({2020: low}, "distance between positions")]
    assert [("brackets" in text, "positions" in text) for text in texts[2:]] == [(False, True), (False, True)]
    assert "brackets moved" in layers_of(low)["wasserstein"].label


def layers_of(table: pd.DataFrame) -> dict[str, Layer]:
    return {layer.column: layer for layer in index_layers({2020: table})}


# Deuteranopia and protanopia at full strength, in linear RGB: Machado, Oliveira & Fernandes (2009).
BLIND = {
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
}


@pytest.mark.parametrize("kind", BLIND)
def test_colors_of_classes_are_told_apart_by_color_blind_readers(kind: str) -> None:
    rgb = np.array([[int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)] for color in INCOMES])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(BLIND[kind]).T, 0, 1)
    xyz = seen @ np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]).T
    cube = np.cbrt(xyz / [0.95047, 1.0, 1.08883])
    lab = np.column_stack([116 * cube[:, 1] - 16, 500 * (cube[:, 0] - cube[:, 1]), 200 * (cube[:, 1] - cube[:, 2])])
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert np.linalg.norm(lab[first] - lab[second]) > 25
