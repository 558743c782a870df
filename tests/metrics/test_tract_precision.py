"""Precision of tracts' counts against plain loops; parts of the tracts, however they are cut, give the whole."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomob_dask.metrics.tract_precision import COUNT_STEP, ERROR_STEP, Cells, cv_tallies

_NUMBERS = st.one_of(st.just(0.0), st.just(math.nan), st.integers(0, 20_000).map(float))
_TRACTS = st.lists(st.tuples(_NUMBERS, _NUMBERS, st.sampled_from([0.0, 4000.0, 20_000.0])), min_size=1, max_size=40)


def arrays(tracts: list[tuple[float, float, float]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    counts, moes, total = np.array(tracts).T
    return counts, moes, total


@given(_TRACTS)
def test_tallies_are_those_of_plain_loops(tracts: list[tuple[float, float, float]]) -> None:
    expected = [0, 0, 0, 0, 0]
    for count, moe, total in tracts:
        if total == 0:
            continue
        if math.isnan(count) or math.isnan(moe) or (count == 0 and moe == 0):
            expected[4] += 1
            continue
        cv = math.inf if count == 0 else moe / 1.645 / count
        expected[0] += 1
        expected[1] += count == 0
        expected[2] += cv >= 0.2
        expected[3] += cv >= 0.4
    counts, moes, total = arrays(tracts)
    found = cv_tallies(np.column_stack([counts, counts]), np.column_stack([moes, moes]), total)
    assert found.tolist() == [expected, expected]


def squares(tracts: list[tuple[float, float, float]], level: int) -> dict[tuple[int, int], int]:
    """Return the tracts in each cell of a level, counted one by one."""
    found: dict[tuple[int, int], int] = {}
    for count, moe, total in tracts:
        if total > 0 and not math.isnan(count) and not math.isnan(moe):
            sides = COUNT_STEP * 2**level, ERROR_STEP * 2**level
            cell = math.floor(math.sqrt(count) / sides[0]), math.floor(math.sqrt(moe / 1.645) / sides[1])
            found[cell] = found.get(cell, 0) + 1
    return found


@given(_TRACTS, st.lists(st.integers(0, 40), max_size=5), st.integers(1, 12))
def test_any_parts_give_the_finest_cells_that_are_few_enough(
    tracts: list[tuple[float, float, float]], cuts: list[int], most: int
) -> None:
    counts, moes, total = arrays(tracts)
    whole = Cells.of(counts, moes, total, most=most)
    level = next(level for level in range(40) if len(squares(tracts, level)) <= most)
    found = dict(zip(zip(whole.count.tolist(), whole.error.tolist(), strict=True), whole.tracts.tolist(), strict=True))
    assert (whole.level, found) == (level, squares(tracts, level))
    pieces = np.split(np.arange(len(tracts)), sorted(min(cut, len(tracts)) for cut in cuts))
    parts = [Cells.of(counts[piece], moes[piece], total[piece], most=most) for piece in pieces[::-1]]
    merged = Cells.merged(parts, most=most)
    assert merged.level == whole.level
    for name in ("count", "error", "tracts"):
        np.testing.assert_array_equal(getattr(merged, name), getattr(whole, name))


def test_edges_are_those_of_the_squares_in_people() -> None:
    # 50 people of standard error 10: between 36 and 64, and between 9 and 12.25.
    cells = Cells.of(np.array([50.0]), np.array([16.45]), np.array([4000.0]))
    assert [ends.tolist() for ends in cells.edges()] == [[36.0], [64.0], [9.0], [12.25]]
    coarse = Cells(1, cells.count >> 1, cells.error >> 1, cells.tracts)
    assert [ends.tolist() for ends in coarse.edges()] == [[16.0], [64.0], [9.0], [16.0]]


def test_a_negative_margin_is_refused() -> None:
    with pytest.raises(ValueError, match="margin"):
        cv_tallies(np.array([[5.0]]), np.array([[-1.0]]), np.array([10.0]))
