"""Days of pages, and of the results that they show."""

import os
from pathlib import Path

import pandas as pd
import pytest

from geomob_dask.outputs.days import days_stored, today
from geomob_dask.outputs.provenance import record, result_record
from geomob_dask.outputs.provenance_words import source_line
from geomob_dask.store import Provenance, Store

DAY = 86400.0


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "store"))
    parts = {
        state: store.put(
            "results/a",
            state,
            pd.DataFrame({"x": [1.0]}, index=pd.Index([f"{state}001000100"], name="geoid", dtype="str")),
        )
        for state in ("18", "39")
    }
    store.commit("results/a", parts, Provenance("opportunity", {}, {"dataset": "acs", "year": 2018}))
    for part, days in zip(parts.values(), (10, 12), strict=True):
        os.utime(store.objects.path(part.key), (days * DAY, days * DAY))
    return store


def test_a_source_line_has_the_days_on_which_its_parts_were_stored(store: Store) -> None:
    whole = record([result_record(store.snapshot("results/a"))], option="--map")
    days = days_stored(store, whole)
    assert days == ("1970-01-11", "1970-01-13")
    assert "year 2018. Result stored 1970-01-11 to 1970-01-13. geomob-dask" in source_line(whole, days)
    one = dict(list(store.snapshot("results/a").parts.items())[:1])
    assert days_stored(store, record([result_record(store.snapshot("results/a"), one)], option="--map")) == days[:1]
    # As the record of a cube has it.
    whole["results"][0]["parts"] = {name: content[:16] for name, content in whole["results"][0]["parts"].items()}
    assert days_stored(store, whole) == days


def test_a_store_that_holds_another_result_now_does_not_tell_of_this_one(store: Store) -> None:
    whole = record([result_record(store.snapshot("results/a"))], option="--map")
    whole["results"][0]["parts"]["39"] = "0" * 64
    assert days_stored(store, whole) == ()
    assert "stored" not in source_line(whole, ())
    whole["results"][0]["collection"] = "results/b"
    assert days_stored(store, whole) == ()


def test_no_day_is_later_than_that_of_the_build(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(int(11 * DAY)))
    assert today() == "1970-01-12"
    assert days_stored(store, record([result_record(store.snapshot("results/a"))], option="--map")) == (
        "1970-01-11",
        "1970-01-12",
    )
