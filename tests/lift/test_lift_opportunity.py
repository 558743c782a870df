"""Every step of the index on the made-up grid, and the same bits however tracts are partitioned."""

from pathlib import Path

import dask
import numpy as np
import oracles_opportunity as oracle
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geomob_dask.definition import Definition, Parameters, read_definition
from geomob_dask.errors import DefinitionError
from geomob_dask.lift import opportunity as lift
from geomob_dask.lift.halo import Edges, partition_contacts
from geomob_dask.lift.tasks import Run

GRID = Path(__file__).parents[1] / "data" / "opportunity_grid"


def grid_csv(name: str) -> pd.DataFrame:
    return pd.read_csv(GRID / f"{name}.csv", dtype={"GEOID": str}).set_index("GEOID").sort_index()


@pytest.fixture(scope="module")
def measures() -> pd.DataFrame:
    return grid_csv("ooi_measures").rename_axis("geoid").drop(columns="tag")


@pytest.fixture(scope="module")
def edges() -> Edges:
    near = grid_csv("neighbours")["near1"].fillna("").str.split()
    pairs = near[near.str.len() > 0].explode()
    return Edges(pairs.index.to_numpy(object), pairs.to_numpy(object))


def grid_definition(**parameters: object) -> Definition:
    definition = read_definition(str(GRID / "ooi_domains.csv"), population="Pop")
    return definition.model_copy(update={"parameters": Parameters(**parameters)})


def run(measures, edges, definition, part_of, **options) -> pd.DataFrame:
    """Compute the index with tracts in the given partitions."""
    here = np.array([part_of[key] for key in edges.focal], dtype=object)
    there = np.array([part_of[key] for key in edges.neighbor], dtype=object)
    reach: dict[str, list[str]] = {}
    for one, other in partition_contacts(edges.focal, here, there):
        reach.setdefault(one, []).append(other)
    named = Run("test")
    partition = measures.index.map(part_of)
    blocks = {
        name: named.task("load", name, lift.block, rows.index, rows, edges.where(here == name), definition)
        for name, rows in measures.groupby(partition)
    }
    scheduler = options.pop("scheduler", "synchronous")
    lifted = lift.opportunity(blocks, reach, definition, run=named, **options)
    (tables,) = dask.compute(lifted.results, scheduler=scheduler)
    return pd.concat(tables.values()).sort_index()


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
        # An empty tract's values serve its neighbours, then it is blanked.
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


def test_nothing_is_computed_until_asked(measures, edges):
    def explode(*_):
        raise AssertionError("computed too early")

    named = Run("test")
    lifted = lift.opportunity({"a": named.task("load", "a", explode)}, {}, grid_definition(), run=named)
    with pytest.raises(AssertionError, match="too early"):
        lifted.results["a"].compute(scheduler="synchronous")


def test_tracts_without_polygon_or_row_are_listed(measures, edges):
    definition = grid_definition()
    no_row, no_polygon = measures.index[3], measures.index[150]
    keys = measures.index.drop(no_polygon)
    block = lift.block(keys, measures.drop(no_row), edges, definition)
    lifted = lift.opportunity({"a": Run("x").task("load", "a", lambda: block)}, {}, definition)
    table = lifted.results["a"].compute(scheduler="synchronous")
    assert list(table.index) == list(measures.index)
    assert table.loc[no_row, "reason"] == lift.NO_MEASURES
    assert table.loc[no_polygon, "reason"] == lift.NO_POLYGON
    assert table.loc[[no_row, no_polygon], "opportunity"].isna().all()
    assert (table.loc[table["opportunity"].notna(), "reason"] == "").all()
    assert (table.loc[table["opportunity"].isna(), "reason"] != "").all()


def test_a_measure_without_variance_is_named(measures, edges):
    flat = measures.assign(TR_2=1.5)
    with pytest.raises(DefinitionError, match=r"measure without variance.*: TR_2 \(\d+ values, all equal\)"):
        run(flat, edges, grid_definition(), in_parts(measures.index, 3))


def test_an_absent_column_is_named(measures, edges):
    with pytest.raises(DefinitionError, match="no column TR_2 in the measures; expected one of: Pop, TR_1, TR_3"):
        lift.block(measures.index, measures.drop(columns="TR_2"), edges, grid_definition())
    with pytest.raises(DefinitionError, match="column TR_2 holds text, expected numbers"):
        lift.block(measures.index, measures.assign(TR_2="many"), edges, grid_definition())


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


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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
    edges = Edges(np.array([a for a, _ in both], dtype=object), np.array([b for _, b in both], dtype=object))
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
    named = Run("test")
    block = named.task("load", "a", lift.block, measures.index, measures, edges, definition)
    (reference,) = dask.compute(
        lift.opportunity({"a": block}, {}, definition, run=named).reference, scheduler="synchronous"
    )
    again = run(measures, edges, definition, part_of, reference=reference)
    pd.testing.assert_frame_equal(again, own, check_exact=True)
    worse = measures.copy()
    worse[list(definition.measures)] += 100 * measures[list(definition.measures)].std()
    shifted = run(worse, edges, definition, part_of, reference=reference)
    np.testing.assert_allclose(shifted["deprivation"].dropna(), 100, rtol=1e-12)
