"""Negative people and numbers too large to be computed with are refused by tract and column, in every product."""

import numpy as np
import pandas as pd
import pytest

from geomob_dask.definition import Definition
from geomob_dask.errors import CountsError
from geomob_dask.frames.exposure import exposure
from geomob_dask.frames.harmonize import harmonize
from geomob_dask.frames.interpolation import Rate, interpolate
from geomob_dask.frames.local_segregation import local
from geomob_dask.frames.mixing import mixing
from geomob_dask.frames.numbers import LARGEST, check_numbers
from geomob_dask.frames.opportunity import opportunity
from geomob_dask.frames.segregation import segregation

KEYS = ["39001000100", "39001000200", "39003000100"]
NO_EDGES = pd.DataFrame({"neighbor": []}, index=pd.Index([], dtype="str", name="focal"), dtype=object)
LINKS = pd.DataFrame({"region": ["x"] * 3, "afact": [1.0] * 3}, index=KEYS)
DEFINITION = Definition.model_validate(
    {
        "name": "poor",
        "population": "people",
        "domains": {"one": [{"measure": "rate"}]},
        "parameters": {"recipe": "z_mean"},
    }
)
KINDS = {"a": "count", "b": "count", "people": "count", "rate": "index", "a_moe": {"kind": "moe", "of": "a"}}
CALLS = {
    "opportunity": (lambda table: opportunity(table, table, NO_EDGES, DEFINITION), ["people"], ["people", "rate"]),
    "segregation": (lambda table: segregation(table, groups=["a", "b"]), ["a"], ["a"]),
    "local": (lambda table: local(table, groups=["a", "b"]), ["b"], ["b"]),
    "mixing": (lambda table: mixing(table, brackets=["a", "b"]), ["a"], ["a"]),
    "exposure": (lambda table: exposure(table, groups=["a", "b"], by="nation"), ["a", "a_moe"], ["a", "a_moe"]),
    "harmonize": (
        lambda table: harmonize(table, source="2020", to="2022", kinds=KINDS),
        ["a", "a_moe"],
        ["b", "rate"],
    ),
    "interpolate": (
        lambda table: interpolate(table, LINKS, extensive=["a"], intensive={"rate": Rate("people")}),
        ["a", "a_moe", "people"],
        ["a", "rate"],
    ),
}


def rows(**changed: float) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "a": [5.0, 3.0, 8.0],
            "b": [2.0, 7.0, 1.0],
            "a_moe": [1.0, 1.0, 2.0],
            "people": [7.0, 10.0, 9.0],
            "rate": [0.1, -0.3, 0.2],
        },
        index=pd.Index(KEYS, name="geoid"),
    )
    for column, value in changed.items():
        table.loc[KEYS[1], column] = value
    return table


@pytest.mark.parametrize("product", CALLS)
def test_negative_people_and_margins_are_named(product: str) -> None:
    call, counts, _ = CALLS[product]
    call(rows())
    for column in counts:
        with pytest.raises(CountsError, match=column) as caught:
            call(rows(**{column: -1.0}))
        assert KEYS[1] in str(caught.value)


@pytest.mark.parametrize("product", CALLS)
@pytest.mark.parametrize("value", [1e308, np.inf])
def test_numbers_that_overflow_are_named(product: str, value: float) -> None:
    call, _, numbers = CALLS[product]
    for column in numbers:
        with pytest.raises(CountsError, match=column) as caught:
            call(rows(**{column: value}))
        assert KEYS[1] in str(caught.value)


def test_large_numbers_that_fit_and_missing_ones_pass() -> None:
    check_numbers(rows(a=np.nan, rate=-LARGEST), ["a", "rate"], counts=["a"])
    found = opportunity(rows(rate=-1e149), rows(rate=-1e149), NO_EDGES, DEFINITION)
    assert np.isfinite(found["opportunity"]).all()
