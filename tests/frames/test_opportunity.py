"""Every step of the index on the made-up grid, and the same bits however tracts are partitioned."""

from pathlib import Path

import dask.dataframe as dd
import numpy as np
import oracles_opportunity as oracle
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geomob_dask.definition import Definition, Parameters, read_definition
from geomob_dask.errors import DefinitionError
from geomob_dask.frames.opportunity import NO_MEASURES, NO_POLYGON, opportunity, opportunity_index

GRID = Path(__file__).parents[1] / "data" / "opportunity_grid"


def grid_csv(name: str) -> pd.DataFrame:
    return pd.read_csv(GRID / f"{name}.csv", dtype={"GEOID": str}).set_index("GEOID").sort_index()


@pytest.fixture(scope="module")
def measures() -> pd.DataFrame:
    return grid_csv("ooi_measures").rename_axis("geoid").drop(columns="tag")


@pytest.fixture(scope="module")
def edges() -> pd.DataFrame:
    near = grid_csv("neighbours")["near1"].fillna("").str.split()
    return near[near.str.len() > 0].explode().rename("neighbor").rename_axis("focal").to_frame()


def grid_definition(**parameters: object) -> Definition:
    definition = read_definition(str(GRID / "ooi_domains.csv"), population="Pop")
    return definition.model_copy(update={"parameters": Parameters(**parameters)})


def partitioned(frame: pd.DataFrame, part_of: dict[str, str]) -> dd.DataFrame:
    """Return a frame with its rows in the given partitions, whatever the order of their keys."""
    names = sorted(set(part_of.values()))
    parts = [frame[[part_of[key] == name for key in frame.index]] for name in names]
    return dd.from_map(lambda part: part, parts, meta=frame.iloc[:0], divisions=(*names, "~"))


def run(measures, edges, definition, part_of, *, scheduler="synchronous", **options) -> pd.DataFrame:
    """Compute the index with tracts in the given partitions."""
    rows = partitioned(measures, part_of)
    table = opportunity(rows, rows, partitioned(edges, part_of), definition, **options)
    return table.compute(scheduler=scheduler).sort_index()


def in_parts(keys, count: int, seed: int = 0) -> dict[str, str]:
    return dict(zip(keys, np.random.default_rng(seed).integers(0, count, len(keys)).astype(str), strict=True))


def assert_close(found: pd.DataFrame, expected: pd.DataFrame, atol: float = 1e-9) -> None:
    np.testing.assert_allclose(found.to_numpy(float), expected.to_numpy(float), rtol=0, atol=atol, equal_nan=True)


@pytest.fixture(scope="module")
def stepwise(measures, edges) -> pd.DataFrame:
    # The file's sums are 80-bit ones, not tied: neither are ours with the tolerance at zero.
    return run(measures, edges, grid_definition(tie_tolerance=0), in_parts(measures.index, 5), steps=True)


def test_every_step_equals_the_file(stepwise, measures):
    names = list(grid_definition().measures)
    domains = list(grid_definition().domains)
    assert_close(stepwise[[f"standard_{name}" for name in names]], grid_csv("zscores")[names])
    assert_close(stepwise[[f"sum_{name}" for name in domains]], grid_csv("domain_sums")[domains])
    assert_close(stepwise[[f"before_{name}" for name in domains]], grid_csv("domain_scores_before_fill")[domains])
    expected = grid_csv("ooi")
    assert_close(stepwise[domains], expected[domains])
    assert_close(stepwise[["deprivation", "opportunity"]], expected[["DI", "OOI"]])


def test_imputed_cells_are_those_of_the_file_and_flagged(stepwise):
    expected = pd.read_csv(GRID / "imputed.csv", dtype={"GEOID": str})
    flags = {"first": "imputed_direct", "second": "imputed_once_removed"}
    assert set(expected["how"]) >= set(flags)
    for how, column in flags.items():
        rows = expected[expected["how"] == how]
        wanted = {(row.GEOID, row.measure) for row in rows.itertuples()}
        named = stepwise[column][stepwise[column] != ""].str.split("; ")
        assert {(key, name) for key, cell in named.items() for name in cell} == wanted
    filled = expected[expected["how"].isin(list(flags))]
    for row in filled.itertuples():
        found = stepwise.loc[row.GEOID, f"value_{row.measure}"]
        # An empty tract's values serve its neighbors, then it is blanked.
        assert stepwise.loc[row.GEOID, "population_zero"] or found == pytest.approx(row.value, abs=1e-9)


def test_minmax_reading_of_reversed(measures, edges):
    definition = grid_definition(tie_tolerance=0, reverse="minmax")
    found = run(measures, edges, definition, in_parts(measures.index, 4))
    assert_close(found[["opportunity"]], grid_csv("ooi")[["OOI_minmax"]])
    assert found["opportunity"].min() == 0
    assert found["opportunity"].max() == 100


def test_near_ties_are_ties_by_the_stated_rule(measures, edges):
    """Education's sums are permutations of the same five numbers: equal on paper, apart by an ulp in the file."""
    sums = grid_csv("domain_sums")["ED"]
    ordered = np.sort(sums.dropna())
    assert ((np.diff(ordered) > 0) & (np.diff(ordered) < 1e-14)).any()
    found = run(measures, edges, grid_definition(), in_parts(measures.index, 3), steps=True)
    tied = sums.round(9)
    expected = [-23 * np.log(1 - rank * (1 - np.exp(-100 / 23))) for rank in oracle.scaled_rank(tied.tolist())]
    np.testing.assert_allclose(found["before_ED"], expected, rtol=0, atol=1e-9)
    others = [name for name in grid_definition().domains if name != "ED"]
    assert_close(found[others], grid_csv("ooi")[others])


@pytest.mark.parametrize("count", [1, 2, 3, 50])
def test_same_bits_in_any_partitioning(measures, edges, stepwise, count):
    found = run(
        measures, edges, grid_definition(tie_tolerance=0), in_parts(measures.index, count, seed=count), steps=True
    )
    pd.testing.assert_frame_equal(found, stepwise, check_exact=True)


def test_same_bits_on_a_cluster(measures, edges, stepwise, client):
    found = run(
        measures,
        edges,
        grid_definition(tie_tolerance=0),
        in_parts(measures.index, 7),
        steps=True,
        scheduler=client,
    )
    pd.testing.assert_frame_equal(found, stepwise, check_exact=True)


def test_nothing_is_read_or_computed_until_asked(measures, edges):
    def explode(part):
        raise AssertionError("read too early")

    def unread(frame):
        return dd.from_map(explode, [0, 1], meta=frame.iloc[:0], divisions=("0", "4", "~"))

    table = opportunity(unread(measures), unread(measures), unread(edges), grid_definition())
    assert list(table.columns[:-7]) == list(grid_definition().domains)
    with pytest.raises(AssertionError, match="too early"):
        table.compute(scheduler="synchronous")


def test_tracts_without_polygon_or_row_are_listed(measures, edges):
    no_row, no_polygon = measures.index[3], measures.index[150]
    table = opportunity(measures.drop(no_polygon), measures.drop(no_row), edges, grid_definition())
    assert list(table.index) == list(measures.index)
    assert table.loc[no_row, "reason"] == NO_MEASURES
    assert table.loc[no_polygon, "reason"] == NO_POLYGON
    assert table.loc[[no_row, no_polygon], "opportunity"].isna().all()
    assert (table.loc[table["opportunity"].notna(), "reason"] == "").all()
    assert (table.loc[table["opportunity"].isna(), "reason"] != "").all()


def test_keys_may_be_any_text_or_numbers(measures, edges):
    """Results are those of codes of 11 digits, under the keys that were given."""
    expected = opportunity(measures, measures, edges, grid_definition())
    number = {key: place for place, key in enumerate(measures.index)}
    for named in (lambda key: f"tract {number[key]:04d}", lambda key: number[key]):
        rows = measures.set_axis([named(key) for key in measures.index])
        pairs = pd.DataFrame({"neighbor": edges["neighbor"].map(named)}).set_axis([named(key) for key in edges.index])
        found = opportunity(rows, rows, pairs, grid_definition())
        assert found.index.tolist() == rows.index.tolist()
        pd.testing.assert_frame_equal(found.set_axis(expected.index), expected, check_exact=True)


def test_a_measure_without_variance_is_named(measures, edges):
    flat = measures.assign(TR_2=1.5)
    with pytest.raises(DefinitionError, match=r"measure without variance.*: TR_2 \(\d+ values, all equal\)"):
        run(flat, edges, grid_definition(), in_parts(measures.index, 3))


def test_an_absent_column_is_named(measures, edges):
    with pytest.raises(DefinitionError, match=r"no column TR_2 in the measures; did you mean 'TR_\d'"):
        opportunity(measures, measures.drop(columns="TR_2"), edges, grid_definition())
    with pytest.raises(DefinitionError, match="column TR_2 holds text, expected numbers"):
        opportunity(measures, measures.assign(TR_2="many"), edges, grid_definition())


@st.composite
def countries(draw):
    n = draw(st.integers(4, 14))
    pairs = draw(
        st.sets(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda pair: pair[0] < pair[1]))
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = rng.normal(size=(n, 4)).round(draw(st.integers(0, 3)))
    values[:2] = [[1.0, 2.0, 3.0, 4.0], [2.0, 1.0, 5.0, 6.0]]  # every measure varies
    values[2:][rng.random((n - 2, 4)) < 0.4] = np.nan
    population = rng.integers(0, 3, n).astype(float)
    population[:2] = 7.0
    return n, pairs, values, population, draw(st.integers(1, 4))


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(countries())
def test_index_equals_the_plain_loops(country):
    n, pairs, values, population, parts = country
    keys = [f"39001{number:06d}" for number in range(n)]
    names = ["a", "b", "c", "d"]
    table = pd.DataFrame(values, index=pd.Index(keys, name="geoid"), columns=names).assign(population=population)
    definition = Definition(
        name="t",
        domains={
            "one": [{"measure": "a"}, {"measure": "b"}],
            "two": [{"measure": "c", "direction": -1}, {"measure": "d"}],
        },
        parameters={"tie_tolerance": 1e-9},
    )
    both = sorted({(keys[i], keys[j]) for i, j in pairs} | {(keys[j], keys[i]) for i, j in pairs})
    focal = pd.Index([a for a, _ in both], dtype=object, name="focal")
    edges = pd.DataFrame({"neighbor": [b for _, b in both]}, index=focal, dtype=object)
    found = run(table, edges, definition, in_parts(keys, parts))
    neighbors = {key: {b for a, b in both if a == key} for key in keys}
    coded = table[names] * [1, 1, -1, 1]
    observed = {key: coded.loc[key].to_dict() for key in keys}
    _, after, deprived = oracle.index(
        neighbors,
        observed,
        table["population"].to_dict(),
        {"one": ["a", "b"], "two": ["c", "d"]},
        tolerance=definition.parameters.tie_tolerance,
    )
    for domain in ("one", "two"):
        np.testing.assert_allclose(found[domain], [after[key, domain] for key in keys], rtol=0, atol=1e-9)
    np.testing.assert_allclose(found["deprivation"], [deprived[key] for key in keys], rtol=0, atol=1e-9)


def test_ranks_against_a_frozen_reference_are_those_of_its_year(measures, edges):
    definition = grid_definition(tie_tolerance=0)
    part_of = in_parts(measures.index, 3)
    own = run(measures, edges, definition, part_of)
    reference = opportunity_index(measures, measures, edges, definition).norms
    again = run(measures, edges, definition, part_of, reference=reference)
    pd.testing.assert_frame_equal(again, own, check_exact=True)
    worse = measures.copy()
    worse[list(definition.measures)] += 100 * measures[list(definition.measures)].std()
    shifted = run(worse, edges, definition, part_of, reference=reference)
    np.testing.assert_allclose(shifted["deprivation"].dropna(), 100, rtol=1e-12)
