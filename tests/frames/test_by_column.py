"""Ranks of a column that is spread over partitions: those of the whole column, to the last bit."""

import itertools
from functools import partial

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask.sizeof import sizeof
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from geomob_dask.definition import Definition
from geomob_dask.frames import recipes
from geomob_dask.frames.by_column import by_column
from geomob_dask.frames.own_rows import rows_of_values
from geomob_dask.frames.recipes import RECIPES
from geomob_dask.transforms import rank_exponential
from geomob_dask.transforms.rank_exponential import Ranking, joined, percentile_ranks, ranked, ranking, scaled_ranks

TOLERANCE = 1e-12
# A failing example of graphs takes minutes to shrink.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
# Few values and many ties, zeros of both signs, the largest and smallest magnitudes, missing ones.
values = st.one_of(
    st.integers(-4, 4).map(float),
    st.floats(-1e300, 1e300),
    st.sampled_from([np.nan, 0.0, -0.0, 5e-324, -5e-324, 0.1 + 0.2, 0.3, np.nextafter(1.0, 2.0)]),
)
rows = st.lists(st.tuples(values, values), min_size=1, max_size=60)


def lazy(table: pd.DataFrame, cuts: list[int]) -> dd.DataFrame:
    """Return rows cut at these places: partitions may be empty, and unequal."""
    ends = [0, *sorted(min(cut, len(table)) for cut in cuts), len(table)]
    parts = [table.iloc[start:end] for start, end in itertools.pairwise(ends)]
    return dd.from_map(lambda part: part, parts, meta=table.iloc[:0])


def ranks(column, place, given, *, pieces=1):
    return recipes._ranks(column, place, given, tolerance=TOLERANCE, pieces=pieces)


def scaled_by_pandas(column: pd.Series) -> pd.Series:
    found = column.rank(method="average") - 1
    with np.errstate(invalid="ignore"):
        return found / found.max()


@settings(max_examples=40, phases=PHASES)
@given(rows, st.lists(st.integers(0, 60), max_size=6))
def test_ranks_do_not_depend_on_partitions(cells, cuts):
    table = pd.DataFrame(cells, columns=["a", "b"], dtype=float)
    memory, rankings = by_column(ranks, table, further=1, options={"pieces": 1})
    found, further = by_column(ranks, lazy(table, cuts), further=1, options={"pieces": 1})
    found, further = (one.compute(scheduler="synchronous") for one in (found, further))
    pd.testing.assert_frame_equal(found, memory, check_exact=True)
    for one, other in zip(further["value"], rankings["value"], strict=True):
        for name in ("first", "last", "upto"):
            assert getattr(one, name).tobytes() == getattr(other, name).tobytes()


@settings(max_examples=40, phases=PHASES)
@given(rows, st.lists(st.integers(0, 60), max_size=6))
def test_ranks_without_tolerance_are_those_of_pandas_and_scipy(cells, cuts):
    table = pd.DataFrame(cells, columns=["a", "b"], dtype=float)
    found, _ = by_column(partial(recipes._ranks, tolerance=0.0, pieces=1), lazy(table, cuts))
    pd.testing.assert_frame_equal(
        found.compute(scheduler="synchronous"), table.apply(scaled_by_pandas), check_exact=True
    )
    options = {"tolerance": 0.0, "mirrored": (False, True)}
    found, _ = by_column(recipes._percentile_ranks, lazy(table, cuts), options=options)
    found = found.compute(scheduler="synchronous")
    for name, method in (("a", "min"), ("b", "max")):
        known = table[name].dropna()
        if len(known) < 2:
            assert found[name].isna().all()
            continue
        expected = np.round((rankdata(known, method=method) - 1) / (len(known) - 1), 4)
        if name == "b":
            expected = np.round(1 - np.round((rankdata(-known, method="min") - 1) / (len(known) - 1), 4), 4)
        np.testing.assert_array_equal(found[name].dropna(), expected)


@settings(max_examples=40, phases=PHASES)
@given(rows, rows, st.integers(1, 7), st.lists(st.integers(0, 60), max_size=4))
def test_ranks_among_another_column_in_pieces(cells, others, pieces, cuts):
    table, other = (pd.DataFrame(one, columns=["a", "b"], dtype=float) for one in (cells, others))
    _, norms = by_column(ranks, lazy(other, cuts), further=pieces, options={"pieces": pieces})
    found, _ = by_column(recipes._ranks_among, lazy(table, cuts), given=norms)
    again, _ = by_column(recipes._ranks_among, lazy(table, cuts), given=norms.compute(scheduler="synchronous"))
    for frame in (found, again):
        got = frame.compute(scheduler="synchronous")
        for name in ("a", "b"):
            among = ranking(other[name].to_numpy(), TOLERANCE)
            np.testing.assert_array_equal(got[name], scaled_ranks(table[name].to_numpy(), among))


@given(st.lists(values, max_size=80))
def test_columns_of_several_blocks_have_the_same_ranks(cells):
    column = np.array(cells, dtype=float)
    among = ranking(column, TOLERANCE)
    for rank in (partial(scaled_ranks, among=among), partial(percentile_ranks, among=among, mirrored=True)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rank_exponential, "_BLOCK", 7)
            found = ranked(column, rank)
        assert found.tobytes() == rank(column).tobytes()


@given(st.lists(values, max_size=30), st.integers(1, 9))
def test_a_ranking_in_pieces_is_the_same_ranking(cells, pieces):
    whole = ranking(np.array(cells, dtype=float), TOLERANCE)
    again = joined(whole.split(pieces))
    assert len(whole.split(pieces)) == pieces
    assert [value.tobytes() for value in (whole.first, whole.last, whole.upto)] == [
        value.tobytes() for value in (again.first, again.last, again.upto)
    ]


def test_no_task_has_more_than_one_column_of_all_rows():
    """By the graph of an index: what tasks of many rows take in and give back, and how often it is read."""
    n, partitions = 4000, 8
    measures = [f"m{number}" for number in range(6)]
    domains = {f"d{number}": [{"measure": name} for name in measures[number::3]] for number in range(3)}
    definition = Definition.model_validate({"name": "t", "domains": domains})
    rng = np.random.default_rng(3)
    table = pd.DataFrame(rng.normal(size=(n, len(measures))), columns=measures).assign(**{"population ": 1.0})
    frame = lazy(table, [n * cut // partitions for cut in range(1, partitions)])
    scored = RECIPES["opportunity"](frame, definition, None, 4)
    graph = {**scored.scores.optimize().dask, **scored.norms.rankings.optimize().dask}
    largest: dict[str, int] = {}
    results: dict = {}
    for key in dask_order(graph):
        inputs = {name: results[name] for name in graph[key].dependencies}
        results[key] = graph[key](inputs)
        size = max(sizeof(results[key]), sum(map(sizeof, inputs.values())))
        stage = key[0] if isinstance(key, tuple) else key
        largest[stage] = max(largest.get(stage, 0), size)
    column, ranking_of_column, own = 8 * n, 3 * 8 * n, len(measures) * 8 * n // partitions
    assert max(largest.values()) < column + ranking_of_column + own
    pieces = [size for stage, size in largest.items() if stage.startswith("further")]
    assert pieces
    # What a task of the norms writes is a piece of the ranking.
    assert sizeof(results[next(key for key in results if key[0].startswith("further"))]) < ranking_of_column / 3


def dask_order(graph):
    """Return the keys of a graph, those that others need first."""
    done: dict = {}

    def visit(key):
        if key not in done:
            for name in graph[key].dependencies:
                visit(name)
            done[key] = True

    for key in graph:
        visit(key)
    return list(done)


def test_values_are_given_to_their_column():
    given_values = rows_of_values([Ranking(*(np.array([one]) for one in (low, low, 1))) for low in (1.0, 5.0)])
    table = pd.DataFrame({"a": [0.0, 1.0, 2.0], "b": [4.0, 5.0, 6.0]})
    found, more = by_column(recipes._ranks_among, table, given=given_values)
    np.testing.assert_array_equal(found, [[0, 0], [np.nan, np.nan], [1, 1]])
    assert more.empty
