"""No index depends on whether people are counted one by one, in thousands or in thousandths."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_array

from geomob_dask.errors import CountsError, DefinitionError, InputError, RunError
from geomob_dask.frames.categories import category_counts
from geomob_dask.frames.groups import find_groups, people_of_groups
from geomob_dask.metrics.composition import relative_composition
from geomob_dask.metrics.counts import Floats
from geomob_dask.metrics.divergence import divergence
from geomob_dask.metrics.entropy import entropy_index
from geomob_dask.metrics.exposure import exposure_by_region, interactions_by_region
from geomob_dask.metrics.location_quotient import location_quotient
from geomob_dask.metrics.segregation_catalog import INDICES, SegregationIndex
from geomob_dask.metrics.segregation_change import segregation_change
from geomob_dask.metrics.wasserstein import wasserstein, wasserstein_sign
from geomob_dask.sources.brackets import Brackets
from geomob_dask.transforms.crosswalk import check_mass_balance
from geomob_dask.transforms.harmonize import Balance
from geomob_dask.transforms.standardize import column_sums, means, squared_deviations, standard_deviations

counts = arrays(np.int64, (5, 3), elements=st.one_of(st.just(0), st.integers(0, 60))).map(lambda table: table * 1.0)
scales = st.integers(-6, 6).map(lambda power: 10.0**power)
CLOSE = {"rtol": 1e-8, "atol": 1e-10}
LINE = np.eye(5, k=1) + np.eye(5, k=-1)
INPUTS = {
    "polygons": {"land": [1.0, 3.0, 2.0, 1.0, 2.0], "points": [[-80 - place / 100, 40.0] for place in range(5)]},
    "levels": {"levels": [["a"], ["a"], ["a"], ["b"], ["b"]]},
    "neighbors": {"adjacency": csr_array(LINE)},
}


@settings(max_examples=12)
@given(counts, scales)
@pytest.mark.parametrize("index", INDICES.values(), ids=lambda index: index.name)
def test_indices_of_the_catalog(index: SegregationIndex, table: Floats, scale: float) -> None:
    inputs = {name: value for need in index.strategy.inputs for name, value in INPUTS[need].items()}
    if "points" in inputs and index.name != "spatial_proximity":
        inputs.pop("points")
    np.testing.assert_allclose(index(table * scale, **inputs), index(table, **inputs), **CLOSE)


@settings(max_examples=12)
@given(counts, counts, scales, scales)
def test_parts_of_a_change(first: Floats, second: Floats, scale: float, other: float) -> None:
    one, scaled = segregation_change(first, second), segregation_change(first * scale, second * other)
    for part, found in vars(scaled).items():
        np.testing.assert_allclose(found, getattr(one, part), rtol=1e-6, atol=1e-7, err_msg=part)


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e3, 1e9])
def test_the_structure_of_a_change_with_empty_cells(scale: float) -> None:
    # The paper's own example, with units and cells that one year lacks; the limit of ever smaller fills.
    first = np.array([[0.0, 30, 20, 10], [5, 10, 15, 20], [4, 3, 2, 1], [0, 0, 0, 0]])
    second = np.array([[40.0, 20, 20, 15], [5, 10, 10, 0], [0, 0, 0, 0], [1, 2, 3, 4]])
    found = segregation_change(first * scale, second * scale)
    assert found.structural[0] == pytest.approx(-0.0337658, abs=5e-8)
    assert found.unit_marginal[0] == pytest.approx(-0.1004832, abs=5e-8)


@settings(max_examples=25)
@given(counts, scales)
def test_mixing_and_location_quotients(table: Floats, scale: float) -> None:
    region = table.sum(axis=0)
    for kernel in (divergence, entropy_index, wasserstein, wasserstein_sign, location_quotient):
        found, expected = kernel(table * scale, region * scale), kernel(table, region)
        np.testing.assert_allclose(found, expected, **CLOSE, err_msg=kernel.__name__)
    one = np.zeros(5, dtype=np.int64)
    found, expected = (relative_composition(table * unit, region[None] * unit, one) for unit in (scale, 1.0))
    np.testing.assert_allclose(found, expected, **CLOSE)


@settings(max_examples=25)
@given(counts, counts, scales)
def test_exposures_and_their_errors(table: Floats, moes: Floats, scale: float) -> None:
    region = np.array([0, 0, 1, 1, 1])

    def found(unit: float) -> list[Floats]:
        people = table * unit
        given = (people, moes * unit, people.sum(axis=1), region, 2)
        exposures = exposure_by_region(*given, threshold=0)
        pairs = interactions_by_region(*given, threshold=0)
        return [exposures.value, exposures.se, exposures.count_cv, exposures.quality, pairs.value, pairs.se]

    for one, other in zip(found(1.0), found(scale), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-6])
def test_checks_of_sums_see_the_same_share_of_people(scale: float) -> None:
    with pytest.raises(InputError, match="lie in no target"):
        Balance(before=10 * scale, after=9 * scale, lost=1 * scale, withheld=0.0).check("people", 0.0, "x")
    with pytest.raises(RunError, match="do not add up"):
        Balance(before=10 * scale, after=9.9 * scale, lost=0.0, withheld=0.0).check("people", 0.0, "x")
    with pytest.raises(RunError, match="before"):
        check_mass_balance(np.array([10 * scale]), np.array([9.9 * scale]), np.zeros(1))
    brackets = Brackets.model_validate(
        {"name": "two", "title": "", "total": "all", "brackets": [{"column": "low"}, {"column": "high"}]}
    )
    with pytest.raises(CountsError, match="01001020100"):
        category_counts(pd.DataFrame({"low": [1.0], "high": [2.0], "all": [4.0]}, ["01001020100"]) * scale, brackets, 0)


@pytest.mark.parametrize("scale", [1.0, 1e-1, 1e-3])
def test_groups_of_fractions_make_up_their_people_but_for_rounding(scale: float) -> None:
    # In tenths, 1 + 2 exceeds 3 in the last bit, and 7 less 3 less 4 is not zero.
    tracts = ["01001020100", "01001020200"]
    table = pd.DataFrame({"a": [1.0, 3.0], "b": [2.0, 4.0], "people": [3.0, 7.0]}, tracts) * scale
    found = people_of_groups(table, find_groups(["a", "b"], table.columns, total="people"))
    assert found.counts[:, 2].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("value", [0.1, 1e-9, 123456.789, 0.0])
def test_equal_values_have_no_variance_in_any_unit(value: float) -> None:
    column = np.full((7, 1), value)
    mean = means([column_sums(column)])
    with pytest.raises(DefinitionError, match="flat"):
        standard_deviations([squared_deviations(column, mean)], mean, ["flat"])
    column[0] = value + 1e-9 * max(value, 1e-9)
    mean = means([column_sums(column)])
    assert standard_deviations([squared_deviations(column, mean)], mean, ["almost"])[0] > 0
