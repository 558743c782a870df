"""What a file was made from is in it, or beside a csv; it is never that of another file, and tells no secrets."""

import ast
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import NASTY, Elements, json_scripts, structure

import geomob_dask
from geomob_dask.errors import InputError, RunError
from geomob_dask.outputs import tables
from geomob_dask.outputs.page import Section, report, write_page
from geomob_dask.outputs.provenance import NOT_RECORDED, harmless, record, result_record
from geomob_dask.outputs.provenance_words import difference_lines, grouped, in_words, lines
from geomob_dask.outputs.tables import SUFFIXES, export
from geomob_dask.store import Part, Snapshot

KEYS = pd.Index(["18001000100", "39001000200"], name="geoid")
TABLE = pd.DataFrame({"value": [1.5, 2.0], "number": [1, 2], "name": ["=1+1", "b"]}, index=KEYS)


def polygons() -> gpd.GeoSeries:
    return gpd.GeoSeries([shapely.box(x, 0, x + 1, 1) for x in range(2)], index=KEYS, crs=4326)


def run(job: str = "opportunity", **options: Any) -> dict[str, Any]:
    inputs = {"measures/acs/2018": "ab" * 32, "tracts/2010": "cd" * 32}
    chosen = {"dataset": "acs", "year": 2018, "norm": "selected", "definition": {"name": "mine", "scale": 23.0}}
    versions = {"geomob-dask": "0.3.0", "numpy": "2.0"}
    return {"job": job, "inputs": inputs, "options": {**chosen, **options}, "versions": versions, "report": {}}


def snapshot(runs: Mapping[str, Mapping[str, Any]], collection: str = "results/a", **attributes: Any) -> Snapshot:
    """Return a snapshot with a part by run."""
    parts = {
        f"{place:02d}": Part(f"k{place}", f"{place:064d}", 1, 1, "a", "b", run=run_id)
        for place, run_id in enumerate(runs, 1)
    }
    recorded = {run_id: what for run_id, what in runs.items() if what}
    return Snapshot(collection, parts, recorded, {"vintage": "2010", **attributes})


def record_with(text: str = "plain", **options: Any) -> dict[str, Any]:
    runs = {"0123456789abcdef": run(**options, title=text)}
    return record([result_record(snapshot(runs, text))], option="--export", choices={text: text}, inputs={text: "ef"})


# In the file ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["plain", NASTY, "ä € 漢 \u2028 \x00 \x1b[2J \udc80"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_table_gives_back_what_it_was_written_with(tmp_path: Path, suffix: str, text: str) -> None:
    file = tmp_path / f"t{suffix}"
    written = record_with(text, weight=0.1, tiny=1e-300, large=2**60, none=None, many=["x" * 200] * 400)
    export(TABLE, str(file), polygons, record=written)
    found = geomob_dask.provenance_of(file)
    about = found.pop("file", None)
    assert found == written
    assert (about is not None) == (suffix in tables.CSV)
    read = gpd.read_file(file).drop(columns="geometry") if suffix in tables.WITH_GEOMETRY else None
    if read is not None:
        assert read.set_index("geoid")["value"].tolist() == [1.5, 2.0]
    plain = tmp_path / f"plain{suffix}"
    export(TABLE, str(plain), polygons)
    if suffix in tables.CSV:
        assert plain.read_bytes() == file.read_bytes()
    with pytest.raises(InputError, match=r"found no provenance.*expected a file that version"):
        geomob_dask.provenance_of(plain)


def test_parquet_keeps_what_pandas_says_of_its_columns(tmp_path: Path) -> None:
    export(TABLE.astype({"number": "int8"}), str(tmp_path / "t.parquet"), record=record_with())
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), TABLE.astype({"number": "int8"}))
    assert {b"pandas", b"geomob_dask"} <= pq.read_schema(tmp_path / "t.parquet").metadata.keys()


def test_what_stands_beside_a_csv_describes_it_as_a_table_on_the_web(tmp_path: Path) -> None:
    table = TABLE.rename(columns={"name": "=name"})
    export(table, str(tmp_path / "t.csv"), record=record_with())
    about = json.loads((tmp_path / "t.csv-metadata.json").read_text())
    assert (about["@context"], about["url"]) == ("http://www.w3.org/ns/csvw", "t.csv")
    columns = {column["titles"]: column["datatype"] for column in about["tableSchema"]["columns"]}
    header = (tmp_path / "t.csv").read_text().splitlines()[0]
    assert header == ",".join(columns)
    assert columns == {"geoid": "string", "value": "double", "number": "integer", "'=name": "string"}


def test_the_same_table_and_choices_give_the_same_bytes(tmp_path: Path) -> None:
    for suffix in (*tables.TABLES, ".geojson"):
        (tmp_path / "1").mkdir(exist_ok=True)
        (tmp_path / "2").mkdir(exist_ok=True)
        for folder in ("1", "2"):
            export(TABLE, str(tmp_path / folder / f"t{suffix}"), polygons, record=record_with())
    one, two = ({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("1", "2"))
    assert one.keys() >= {"t.csv-metadata.json", "t.csv", "t.csv.gz", "t.parquet", "t.geojson"}
    assert one == two


# Beside a csv ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", tables.CSV)
def test_there_is_never_an_old_provenance_beside_a_new_csv(tmp_path: Path, suffix: str, monkeypatch) -> None:
    file = str(tmp_path / f"t{suffix}")
    export(TABLE, file, record=record_with(norm="selected"))
    done = []
    replace = os.replace

    def stopped(source: Any, target: Any) -> None:
        """Stop after so many files were put in place."""
        if len(done) == limit:
            raise OSError("stopped")
        done.append(target)
        replace(source, target)

    for limit in (0, 1):
        before = Path(file).read_bytes()
        done.clear()
        monkeypatch.setattr(os, "replace", stopped)
        with pytest.raises(RunError, match="stopped"):
            export(TABLE * 2, file, record=record_with(norm="state"))
        monkeypatch.undo()
        assert (Path(file).read_bytes() == before) == (limit == 0)
        with pytest.raises(InputError, match="found no provenance in"):
            geomob_dask.provenance_of(file)
        assert [path.name for path in tmp_path.iterdir()] == [f"t{suffix}"], "and nothing half-written is left"
        export(TABLE, file, record=record_with(norm="selected"))
    export(TABLE * 2, file)
    assert [path.name for path in tmp_path.iterdir()] == [f"t{suffix}"], "an export without one removes the old one"


def test_a_csv_that_has_changed_since_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    export(TABLE, str(file), record=record_with())
    file.write_text(file.read_text() + "39001000300,1,2,c\n")
    with pytest.raises(InputError, match="has changed since it was written"):
        geomob_dask.provenance_of(file)


# Pages ----------------------------------------------------------------------------------------------


def page(tmp_path: Path, text: str) -> str:
    file = tmp_path / "page.html"
    written = record_with(text)
    write_page("--report", str(file), report(text, text, [Section("A", text)]), written)
    assert geomob_dask.provenance_of(file) == written
    return file.read_text(encoding="utf-8")


def test_a_page_says_where_its_numbers_come_from_and_runs_no_text_of_it(tmp_path: Path) -> None:
    nasty = page(tmp_path, NASTY)
    assert structure(nasty) == structure(page(tmp_path, "plain"))
    assert not [text for text in json_scripts(nasty) if "<" in text]
    assert [item for item in Elements(nasty).found if item[1].get("id") == "provenance"]
    shown = page(tmp_path, "plain")
    for words in ("dataset acs, year 2018, tracts of vintage 2010", "norm selected", "definition mine (checksum "):
        assert words in shown
    assert "geomob-dask 0.3.0, run 0123456789abcdef" in shown
    assert "<td>" + "ab" * 32 + "</td>" in shown


def test_a_page_without_provenance_shows_none(tmp_path: Path) -> None:
    write_page("--report", str(tmp_path / "p.html"), report("a", "b", []))
    text = (tmp_path / "p.html").read_text()
    assert "provenance -->" not in text
    assert '<footer class="provenance"' not in text
    with pytest.raises(InputError, match="found no provenance"):
        geomob_dask.provenance_of(tmp_path / "p.html")


# Records --------------------------------------------------------------------------------------------


def test_states_computed_by_themselves_share_what_they_share() -> None:
    whole = record([result_record(snapshot({"a" * 16: run(states=["18"]), "b" * 16: run(states=["39"])}))], option="x")
    (result,) = whole["results"]
    assert result["options"] == run()["options"]
    assert {name: one["options"] for name, one in result["runs"].items()} == {
        "a" * 16: {"states": ["18"]},
        "b" * 16: {"states": ["39"]},
    }
    assert "2 runs" in in_words([result])


def test_what_an_old_store_does_not_record_is_named_so() -> None:
    whole = record([result_record(snapshot({"": {}}))], option="--export")
    (result,) = whole["results"]
    assert {result[name] for name in ("product", "dataset", "norm", "mode", "seed", "definition", "options")} == {
        NOT_RECORDED
    }
    assert result["parts"] == {"01": f"{1:064d}"}
    assert result["runs"][NOT_RECORDED]["inputs"] == NOT_RECORDED
    assert any(NOT_RECORDED in line for line in lines(whole))


def test_one_choice_is_the_difference_of_two_files() -> None:
    one, other = record_with(), record_with(norm="state")
    assert difference_lines(one, one) == ["no difference"]
    assert difference_lines(one, other) == [
        "results.1.norm: selected | state",
        "results.1.options.norm: selected | state",
    ]


def test_years_of_one_command_are_one_sentence() -> None:
    runs = [result_record(snapshot({f"{year:016d}": run(year=year)})) for year in (2018, 2019)]
    (group,) = grouped(record(runs, option="--report")["results"])
    assert "years 2018, 2019" in in_words(group)


SECRETS = ("s3cret", "home", "private", "jo")


@pytest.mark.parametrize(
    "text",
    [
        "s3://jo:s3cret@bucket/prefix/index.csv",
        "https://host/data?key=s3cret&get=B01003",
        "/home/jo/private/index.csv",
        "~/private/index.csv",
        "~jo/index.csv",
        "../private/index.csv",
        "C:\\home\\jo\\index.csv",
        "file:///home/jo/index.csv",
        "read from /home/jo/private/index.csv, which is old",
        "(/home/jo/private/index.csv)",
        "--reported '/home/jo/private/index.csv'",
    ],
)
def test_no_password_and_no_folder_of_a_user_travels(text: str, tmp_path: Path) -> None:
    written = record_with(text, file=text, more={text: [text]})
    export(TABLE, str(tmp_path / "t.csv"), record=written)
    (tmp_path / "t.csv").unlink()
    told = next(tmp_path.iterdir()).read_text() + "\n".join(lines(written))
    assert not [secret for secret in SECRETS if secret in told]
    assert "index.csv" in told or "https://host/data" in told


def test_names_of_collections_and_addresses_stay() -> None:
    kept = ["measures/acs/2018", "https://www2.census.gov/a/b.zip", "18/19 tracts", "and/or", "a.b/c", "12 %"]
    assert harmless(kept) == kept


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20) | st.integers(), max_size=4))
@settings(max_examples=50)
def test_any_text_can_be_written(value: dict[str, Any]) -> None:
    text = json.dumps(harmless(value), ensure_ascii=False).encode().decode()
    assert not set(text) & {"\x00", "\x1b", "\x7f", "\u2028", "\u202e"}


# Every writer --------------------------------------------------------------------------------------


def calls() -> list[tuple[str, str, ast.Call]]:
    """Return the calls in outputs and jobs: file and line, name, call."""
    root = Path(__file__).parents[2]
    found = []
    for path in [*(root / "geomob_dask" / "outputs").glob("*.py"), *(root / "jobs").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                found.append((f"{path.name}:{node.lineno}", ast.unparse(node.func), node))
    return found


def test_no_table_and_no_page_is_written_without_provenance() -> None:
    writers = {"write_page": 4, "tables.export": 9, "export_table": 9}
    written = [(where, name, call) for where, name, call in calls() if name in writers]
    assert len(written) > 8
    without = [
        where
        for where, name, call in written
        if len(call.args) < writers[name] and "record" not in {word.arg for word in call.keywords}
    ]
    assert not without
    # What writes files by itself: tables, pages, pictures of maps, cubes, and models, which hold their run and inputs.
    by_itself = {where.partition(":")[0] for where, name, _ in calls() if name in ("written_whole", "write_csv")}
    pages = {"page.py", "print_map.py"}
    assert by_itself <= pages | {"tables.py", "cube_tables.py", "mobility.py", "csv_text.py", "doctor.py"}
    assert not [
        where for where, name, _ in calls() if name.endswith((".to_parquet", ".to_csv")) and "csv_text" not in where
    ]
