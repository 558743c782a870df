"""Every source goes one way into the store: options, reader, parts, commit, provenance."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from stores import contents

from geomob_dask.errors import InputError, StoreError
from geomob_dask.outputs.ingest import ingested_lines
from geomob_dask.runs.landing import Ingested, ingest, land
from geomob_dask.runs.sources import SOURCES, find_source
from geomob_dask.sources.tables import Table, Tables, file_checksums, split_by_state
from geomob_dask.store import Store

MEASURES = "GEOID,poor_count\n18001000100,1\n39001000100,2\n39001000200,3\n"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def saved(path: Path, text: str = MEASURES) -> str:
    path.write_text(text)
    return str(path)


def rows(*geoids: str, **columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns or {"a": 1.0}, index=pd.Index(geoids, dtype="str", name="geoid"))


def test_the_catalog_describes_every_source() -> None:
    for name, source in SOURCES.items():
        assert source.name == name
        assert source.title
        assert source.key
        assert source.collection
        assert {field.description for field in source.options.model_fields.values()} - {None}
    with pytest.raises(InputError, match=r"'tract'.*tracts"):
        find_source("tract")


def test_measures_are_parts_by_state_with_their_provenance(store: Store, tmp_path: Path) -> None:
    file = saved(tmp_path / "m.csv")
    done = ingest(store, "measures", file=file, dataset="made", year=2020, vintage="2020", columns="poor_count")
    assert (done.collection, done.rows) == ("measures/made/2020", {"18": 1, "39": 2})
    snapshot = store.snapshot("measures/made/2020")
    assert snapshot.attributes == {"vintage": "2020"}
    (run,) = snapshot.runs.values()
    assert run["inputs"] == file_checksums([file])
    assert run["options"] == {
        "dataset": "made",
        "year": 2020,
        "vintage": "2020",
        "columns": ["poor_count"],
        "infinite": "refuse",
        "layer": None,
        "missing": None,
        "sentinels": "refuse",
        "key_column": None,
    }


def test_a_dry_run_reads_and_writes_nothing(store: Store, tmp_path: Path) -> None:
    file = saved(tmp_path / "m.csv")
    done = ingest(store, "measures", file=file, dataset="made", year=2020, vintage="2020", dry_run=True)
    assert done.rows == {"18": 1, "39": 2}
    assert contents(store) == {}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"year": 2020}, ["file", "dataset", "vintage"]),
        ({"file": "m.csv", "dataset": "d", "year": 2020, "vintage": "2020", "colour": "red"}, ["colour"]),
        ({"file": "m.csv", "dataset": "d", "year": "soon", "vintage": "2020"}, ["year", "soon"]),
        ({"file": "m.csv", "dataset": "d", "year": 2020, "vintage": "2020", "infinite": "zero"}, ["infinite", "zero"]),
        ({"file": "m.csv", "dataset": "d", "year": 2020, "vintage": "2020", "sentinels": "no"}, ["sentinels", "no"]),
    ],
)
def test_options_are_checked_before_files(store: Store, options: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InputError) as error:
        ingest(store, "measures", **options)
    assert all(word in str(error.value) for word in words)


def test_states_of_other_files_stay_or_leave(store: Store) -> None:
    land(store, Tables("results/x", split_by_state(rows("18001000100"))))
    land(store, Tables("results/x", split_by_state(rows("39001000100"))))
    assert set(store.snapshot("results/x").parts) == {"18", "39"}
    land(store, Tables("results/x", split_by_state(rows("18001000100")), keep_others=False))
    assert set(store.snapshot("results/x").parts) == {"18"}


def test_collections_are_committed_together_or_not_at_all(store: Store) -> None:
    land(store, Tables("results/x", {"18": rows("18001000100")}, {"crs": "one"}))
    before = contents(store)
    beside = Table("results/beside", {"18": rows("18001000100", why="no reason")})
    # Attributes that contradict those of a state that stays.
    with pytest.raises(StoreError):
        land(store, Tables("results/x", {"39": rows("39001000100")}, {"crs": "other"}, beside=[beside]))
    assert {key for key in contents(store) if key.startswith("results/x/")} == set(before)
    land(store, Tables("results/y", {"18": rows("18001000100")}, beside=[beside]))
    runs = [set(store.snapshot(name).runs) for name in ("results/y", "results/beside")]
    assert runs[0] == runs[1]


def test_measures_are_compared_with_the_polygons_of_their_vintage(store: Store) -> None:
    made = Tables("measures/x/2020", split_by_state(rows("18001000100", "39001000100")), {"vintage": "2020"})
    assert "no polygons of vintage 2020" in land(store, made, dry_run=True).lines[-1]
    land(store, Tables("tracts/2020", split_by_state(rows("18001000100", "18001000200", aland=1.0))))
    lines = "\n".join(land(store, made).lines)
    assert "39001000100" in lines
    assert "18001000200" in lines
    assert "18001000100" not in lines


def test_a_summary_lists_a_few_states_and_the_extremes_of_many(store: Store) -> None:
    few = Ingested("measures/x/2020", {"18": 1_500, "39": 2}, ("a line",))
    lines = ingested_lines(few, store)
    assert lines[0] == f"1,502 tracts in 2 states are in {store.url}/measures/x/2020"
    assert "Indiana 1,500, Ohio 2" in lines[-1]
    many = Ingested("x", {f"{code:02d}": code for code in (1, 2, 4, 5, 6, 8, 9, 10, 11)}, ())
    last = ingested_lines(many, store, dry_run=True)[-1]
    assert "1 in Alabama to 11 in District of Columbia" in last
    assert "Alaska" not in last
    assert "Alaska 2" in ingested_lines(many, store, verbose=True)[-1]
    tables = Ingested("zones/1990", {"outcomes": 3, "counties": 9}, (), unit="commuting zone", count=3)
    first, last = ingested_lines(tables, store)
    assert first.startswith("3 commuting zones are in ")
    assert "outcomes 3, counties 9" in last
