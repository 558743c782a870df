"""Datasets joined into one: every tract of any, columns of all, and what cannot be joined."""

import numpy as np
import pandas as pd
import pytest
from stores import QUIET, done, make, plan_of

from geomob_dask.errors import InputError
from geomob_dask.products.join import Options
from geomob_dask.runs.engine import run
from geomob_dask.store import Provenance, Store


def put(store, dataset, table, vintage="2020", **more):
    collection = f"measures/{dataset}/2021"
    parts = {state: store.put(collection, state, rows) for state, rows in table.groupby(table.index.str[:2])}
    store.commit(collection, parts, Provenance("test", {}), {"vintage": vintage, **more})


def rows(keys, **columns):
    return pd.DataFrame(columns, index=pd.Index(keys, dtype="str", name="geoid"))


@pytest.fixture
def store(tmp_path):
    store = Store(str(tmp_path / "store"))
    put(store, "people", rows(["01001000100", "01001000200", "39001000100"], people=[1.0, 2.0, 3.0]))
    put(store, "homes", rows(["01001000200", "01001000300", "48001000100"], homes=[20.0, 30.0, 40.0]))
    put(store, "again", rows(["01001000200"], people=[9.0]))
    put(store, "older", rows(["01001000200"], cars=[9.0]), vintage="2010")
    return store


def options(*datasets, name="both"):
    return Options(datasets=datasets, name=name, year=2021)


def is_done(store, *datasets):
    return done(plan_of(store, options(*datasets), "join"))


def joined(store, client=None):
    make(store, "join", options("people", "homes"), client=client)
    return store.frame("measures/both/2021").compute(scheduler="threads")


def test_a_dataset_is_not_overwritten_by_its_own_join():
    with pytest.raises(InputError, match="--as a"):
        Options.of(datasets=("a", "b"), name="a", year=2020)


def test_every_tract_of_any_dataset_has_a_row(store):
    found = joined(store)
    expected = rows(
        ["01001000100", "01001000200", "01001000300", "39001000100", "48001000100"],
        people=[1.0, 2.0, np.nan, 3.0, np.nan],
        homes=[np.nan, 20.0, 30.0, np.nan, 40.0],
    )
    pd.testing.assert_frame_equal(found, expected)
    assert store.snapshot("measures/both/2021").attributes == {"vintage": "2020"}


def test_joined_on_a_cluster_and_not_joined_again(store, client):
    here = joined(store)
    before = store.snapshot("measures/both/2021").to_bytes()
    pd.testing.assert_frame_equal(joined(store, client), here)
    assert store.snapshot("measures/both/2021").to_bytes() == before
    assert is_done(store, "people", "homes")
    assert not is_done(store, "homes", "people")


def test_a_run_computes_from_the_inputs_of_its_plan(store, client):
    plan = plan_of(store, options("people", "homes"), "join")
    put(store, "people", rows(["01001000100"], people=[99.0]))
    run(store, plan, client, QUIET)
    assert store.frame("measures/both/2021").compute()["people"].dropna().tolist() == [1.0, 2.0, 3.0]
    assert not is_done(store, "people", "homes")


def explain(store, dataset, *told):
    """Store reasons: (tract, column, reason)."""
    table = pd.DataFrame(told, columns=["geoid", "column", "reason"], dtype="str").set_index("geoid")
    collection = f"reasons/{dataset}/2021"
    parts = {state: store.put(collection, state, rows) for state, rows in table.groupby(table.index.str[:2])}
    store.commit(collection, parts, Provenance("test", {}), {"vintage": "2020"})


def test_reasons_are_joined_too(store):
    joined(store)
    assert store.find("reasons/both/2021") is None
    explain(store, "homes", ("01001000200", "homes", "top-coded"), ("48001000100", "homes", "too few"))
    explain(store, "people", ("01001000200", "people", "no sample"), ("01001000100", "people", "too few"))
    assert not is_done(store, "people", "homes")
    joined(store)
    told = store.frame("reasons/both/2021").compute(scheduler="threads")
    assert list(told.itertuples(name=None)) == [
        ("01001000100", "people", "too few"),
        ("01001000200", "people", "no sample"),
        ("01001000200", "homes", "top-coded"),
        ("48001000100", "homes", "too few"),
    ]
    assert is_done(store, "people", "homes")
    # Joined anew of datasets without any, none of these stays.
    put(store, "cars", rows(["01001000200"], cars=[1.0]))
    make(store, "join", options("again", "cars"))
    assert [part.rows for part in store.snapshot("reasons/both/2021").parts.values()] == [0]


def test_dollars_are_carried_and_those_of_two_years_refused(store):
    put(store, "rent", rows(["01001000200"], rent_usd_2023=[9.0]), dollars=2023, prices="cpi_u")
    put(store, "value", rows(["01001000200"], value_usd_2020=[9.0]), dollars=2020, prices="cpi_u")
    make(store, "join", options("people", "rent"))
    assert store.snapshot("measures/both/2021").attributes == {"vintage": "2020", "dollars": 2023, "prices": "cpi_u"}
    with pytest.raises(InputError, match=r"rent/2021.*2023, measures/value/2021.*2020; .*--dollars"):
        plan_of(store, options("rent", "value", name="other"), "join")


@pytest.mark.parametrize(
    ("datasets", "why"),
    [
        (["people"], "datasets people: expected two or more"),
        (["people", "people"], "expected two or more, each once"),
        (["people", "nobody"], "no measures/nobody/2021"),
        (["people", "again"], "column 'people': found in measures/people/2021 and measures/again/2021"),
        (
            ["people", "older"],
            "measures/people/2021 is on tracts of vintage 2020, measures/older/2021 on those of 2010; .*harmonize",
        ),
    ],
)
def test_what_cannot_be_joined(store, datasets, why):
    with pytest.raises(InputError, match=why):
        plan_of(store, Options.of(datasets=datasets, name="both", year=2021), "join")
    assert store.find("measures/both/2021") is None


def test_joined_as_a_user_types_it(store, job):
    done = job(
        "ingest", "join", "people", "homes", "--as", "both", "--years", "2021", "--store", store.url, "--dry-run"
    )
    assert (done.code, store.find("measures/both/2021")) == (0, None)
    assert "join: 3 outputs to measures/both/2021" in done.out
    done = job(
        "ingest",
        "join",
        "people",
        "homes",
        "--as",
        "both",
        "--years",
        "2021",
        "--store",
        store.url,
        "--cluster",
        "serial",
    )
    assert done.code == 0, done.err
    assert "5 tracts in 3 states are in" in done.out
