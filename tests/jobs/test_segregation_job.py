"""The job of segregation: from files to the exported table, on a real cluster, with draws, years and bad input."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import oracles_segregation as oracle
import pandas as pd
import pytest
from income_country import JOBS, QUIET, counts, fill, listing, run_job
from stores import done, plan_of

from geomob_dask.metrics.segregation_catalog import INDICES
from geomob_dask.products.segregation import Options
from geomob_dask.runs.engine import run
from geomob_dask.runs.planning import Request, make_plan
from geomob_dask.store import Store

DECILES = [f"decile_{k}" for k in range(1, 11)]
FEW = ("information_theory", "multigroup_gini", "spatial_information_theory", "delta")


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return fill(str(tmp_path_factory.mktemp("store")), tmp_path_factory.mktemp("files"), years=(2020, 2021))


def arguments(store: Store, *more: str) -> list[str]:
    given = {option for option in more if option.startswith("--")}
    defaults = {"--year": "2020", "--by": "area", "--groups": "deciles", "--cluster": "serial"}
    chosen = [text for option, value in defaults.items() if option not in given for text in (option, value)]
    return ["--dataset", "made", "--store", store.url, *chosen, *more]


def test_every_index_is_a_column_and_right(country, tmp_path, monkeypatch, capsys) -> None:
    file, local = tmp_path / "segregation.csv", tmp_path / "local.csv"
    more = ["--merge", "quintiles", "--export", str(file), "--local", str(local)]
    code, out, err = run_job(monkeypatch, capsys, "segregation", *arguments(country, *more))
    assert (code, err) == (0, "")
    assert "2 regions, 36 tracts" in out
    found = pd.read_csv(file).set_index("region")
    for index in INDICES.values():
        assert any(name == index.name or name.startswith(f"{index.name}_") for name in found.columns), index.name
    table = counts()
    quintiles = table[DECILES].to_numpy().reshape(-1, 5, 2).sum(axis=2)
    for region in ("east", "west"):
        units = quintiles[(table["area"] == region).to_numpy()].tolist()
        row = found.loc[region]
        assert row["units"] == len(units)
        assert row["information_theory"] == pytest.approx(oracle.information_theory(units), abs=1e-12)
        assert row["multigroup_gini"] == pytest.approx(oracle.multigroup_gini(units), abs=1e-12)
        assert row["dissimilarity_class_2"] == pytest.approx(oracle.dissimilarity(units, 1), abs=1e-12)
        assert row["gini_class_5"] == pytest.approx(oracle.gini(units, 4), abs=1e-12)
        assert row["interaction_class_1_class_3"] == pytest.approx(oracle.interaction(units, 0, 2), abs=1e-12)
        parts = [f"nested_mutual_information_{level}" for level in ("state", "county", "tract")]
        assert row[parts].sum() == pytest.approx(oracle.mutual_information(units), abs=1e-12)
        # The mean of the local divergences, by people, is M.
        scores = pd.read_csv(local)
        scores = scores[scores["region"] == region]
        mean = np.nansum(scores["people"] * scores["local_divergence"]) / scores["people"].sum()
        assert mean == pytest.approx(row["mutual_information"], abs=1e-12)


def test_groups_without_an_order_have_no_ordinal_index(country, tmp_path, monkeypatch, capsys) -> None:
    file = tmp_path / "tenure.csv"
    more = ["--groups", "owners,renters", "--export", str(file)]
    code, out, _ = run_job(monkeypatch, capsys, "segregation", *arguments(country, *more))
    assert code == 0
    assert "ordinal_information_theory" in out
    assert "needs ordered brackets" in out
    found = pd.read_csv(file).set_index("region")
    assert not [name for name in found if name.startswith(("ordinal", "rank_order"))]
    table = counts()
    units = table.loc[table["area"] == "east", ["owners", "renters"]].to_numpy().tolist()
    assert found.loc["east", "dissimilarity_owners"] == pytest.approx(oracle.dissimilarity(units, 0), abs=1e-12)
    assert found.loc["east", "isolation_owners"] + found.loc["east", "interaction_owners_renters"] == pytest.approx(1)


def test_draws_are_the_same_at_any_number_of_workers(country, client, bucket, tmp_path) -> None:
    other = fill(bucket, tmp_path)
    drawn = {"draws": 12, "null": "units", "interval": "units", "seed": 5}
    options = Options(dataset="made", year=2020, groups="deciles", by="area", indices=FEW, local=True, **drawn)
    tables = []
    for store, workers in ((country, None), (country, client), (other, client)):
        plan = make_plan(store, [Request("segregation", options)], reprocess="all")
        run(store, plan, workers, QUIET)
        every = [store.snapshot(target.collection).parts for target in plan.groups[0].prepared.targets.values()]
        tables.append([part.sha256 for parts in every for part in parts.values()])
        assert done(plan_of(store, options, "segregation"))
    assert tables[0] == tables[1] == tables[2]
    assert len(tables[0]) == 4
    (part,) = every[0].values()
    found = other.read(part)
    for name in ("information_theory", "spatial_information_theory", "delta_decile_1"):
        assert (found[f"{name}_corrected_lower"] <= found[f"{name}_corrected_upper"]).all(), name
    # A change of places moves only what looks at places.
    assert "information_theory_p" not in found
    assert found["spatial_information_theory_p"].between(1 / 13, 1).all()


@pytest.mark.parametrize("null", ["evenness", "persons"])
def test_p_values_and_intervals_stand_beside_the_index(country, tmp_path, monkeypatch, capsys, null) -> None:
    file = tmp_path / "draws.csv"
    more = ["--indices", "mutual_information,information_theory", "--draws", "30", "--null", null, "--seed", "3"]
    code, _, err = run_job(monkeypatch, capsys, "segregation", *arguments(country, *more, "--export", str(file)))
    assert (code, err) == (0, "")
    found = pd.read_csv(file).set_index("region")
    assert (found["mutual_information_p"] == 1 / 31).all()
    assert (found["mutual_information_null"] < found["mutual_information"]).all()
    assert (found["mutual_information_bias"] > 0).all()
    assert (found["information_theory_corrected"] < found["information_theory"]).all()
    assert ("information_theory_excess" in found) == (null == "evenness")
    assert (found["sampled"] == "complete").all()


def test_summary_and_report_say_how_counts_were_taken(country, tmp_path, monkeypatch, capsys) -> None:
    report = tmp_path / "report.html"
    more = ["--indices", "information_theory", "--draws", "9", "--report", str(report)]
    for sampled, said, shown in (
        ([], "counts are taken as complete: p-values", "The counts are taken as complete"),
        (["--sampled", "0.1"], "from interviews with 0.1 of all people, 10.0 people behind", "from interviews (0.1)"),
        (
            ["--sampled", "0.5", "--null", "persons"],
            "--null persons: what is drawn takes the counts as complete",
            "from interviews (0.5)",
        ),
    ):
        code, out, err = run_job(monkeypatch, capsys, "segregation", *arguments(country, *more, *sampled))
        assert (code, err) == (0, "")
        assert said in out
        assert "information_theory_corrected" in out
        assert shown in report.read_text()


def test_years_side_by_side_with_their_change(country, tmp_path, monkeypatch, capsys) -> None:
    file, report = tmp_path / "years.csv", tmp_path / "report.html"
    more = ["--year", "2020,2021", "--indices", "mutual_information,dissimilarity", "--change"]
    more += ["--export", str(file), "--report", str(report)]
    code, _, err = run_job(monkeypatch, capsys, "segregation", *arguments(country, *more))
    assert (code, err) == (0, "")
    found = pd.read_csv(file).set_index(["region", "year"])
    for region in ("east", "west"):
        first, second = found.loc[(region, 2020)], found.loc[(region, 2021)]
        change = second["mutual_information"] - first["mutual_information"]
        assert second["mutual_information_change"] == pytest.approx(change, abs=1e-12)
        parts = ["removals", "additions", "unit_marginal", "group_marginal", "structural"]
        total = sum(second[f"mutual_information_change_{part}"] for part in parts)
        assert total == pytest.approx(change, abs=1e-9)
    text = report.read_text()
    for heading in ("Regions by index, years side", "Segregation curves, years side", "Indices by group"):
        assert heading in text
    assert "<script src" not in text


def test_dry_run_writes_nothing(country, monkeypatch, capsys) -> None:
    before = listing(Path(country.url))
    code, out, _ = run_job(monkeypatch, capsys, "segregation", *arguments(country, "--by", "county", "--dry-run"))
    assert code == 0
    assert "segregation: 1 output to results/segregation/deciles/made/2020/county-" in out
    assert listing(Path(country.url)) == before


OVERLAPPING = "name: tenure\ngroups:\n - {name: a, columns: [owners, renters]}\n - {name: b, columns: [renters]}\n"
BAD = [
    (["--indices", "gimi"], "found no index 'gimi', expected one of dissimilarity"),
    (["--groups", "owners,renters", "--indices", "rank_order_square_root"], "needs ordered brackets"),
    (["--groups", "owners,owners"], "owners used twice; groups must not overlap"),
    (["--groups", "OVERLAPPING"], "renters used twice; groups must not overlap"),
    (["--groups", "owners,area"], "column area holds text, expected counts"),
    (["--groups", "owners,cats"], "no column cats"),
    (["--groups", "b03002_four"], "the table has no column"),
    (["--groups", "owners,renters", "--merge", "2"], "listed has no order, expected brackets"),
    (["--merge", "7"], "10 brackets cannot be merged into 7"),
    (["--draws", "-1"], "expected 0 or more"),
    (["--draws", "9", "--null", "chance"], "expected one of evenness, units, persons"),
    (["--draws", "9", "--interval", "wide"], "expected one of sampled, persons, units, moe, none"),
    (["--draws", "9", "--interval", "moe"], "decile_1 names no column of margins of error"),
    (["--draws", "9", "--sampled", "margins"], "decile_1 names no column of margins of error"),
    (["--draws", "9", "--sampled", "tenth"], "sampled 'tenth': expected auto, margins, complete, a share"),
    (["--draws", "9", "--sampled", "2"], "sampled 2: expected a share of people interviewed"),
    (["--draws", "9", "--null", "units", "--indices", "gini"], "none of the indices looks at where"),
    (["--by", "cbsa"], "--by cbsa: expected county, state"),
    (["--regions", "north"], "lies in north"),
    (["--levels", "borough"], "--levels borough: expected county"),
    (["--cutoff", "0"], "cutoff 0.0: expected kilometers above 0"),
    (["--change"], "--change: found the year 2020 alone"),
    (["--year", "2019"], "no measures/made/2019"),
    (["--export", "table.txt"], "found the suffix '.txt'"),
]


@pytest.mark.parametrize(("bad", "message"), BAD, ids=[" ".join(bad) for bad, _ in BAD])
def test_bad_input_leaves_no_trace(country, tmp_path, monkeypatch, capsys, bad, message) -> None:
    (tmp_path / "groups.yaml").write_text(OVERLAPPING)
    before = listing(Path(country.url))
    more = [str(tmp_path / "groups.yaml") if text == "OVERLAPPING" else text for text in bad]
    code, _, err = run_job(monkeypatch, capsys, "segregation", *arguments(country, *more))
    assert code == 2
    assert message in err
    assert listing(Path(country.url)) == before


def test_fractions_of_persons_cannot_be_drawn(tmp_path, monkeypatch, capsys) -> None:
    table = pd.DataFrame({"geoid": ["39001000001", "39001000002"], "a": [1.5, 2], "b": [3.0, 4]})
    table.to_csv(tmp_path / "half.csv", index=False)
    store = str(tmp_path / "store")
    run_job(
        monkeypatch, capsys, "ingest", "measures", str(tmp_path / "half.csv"),
        "--dataset", "half", "--year", "2020", "--vintage", "toy", "--store", store,
    )  # fmt: skip
    given = ["--dataset", "half", "--year", "2020", "--by", "state", "--groups", "a,b", "--store", store]
    given += ["--cluster", "serial", "--indices", "information_theory"]
    assert run_job(monkeypatch, capsys, "segregation", *given)[0] == 0
    code, _, err = run_job(monkeypatch, capsys, "segregation", *given, "--draws", "5")
    assert code == 2
    assert "found 1.5, expected a whole number of persons" in err


def test_the_exit_code_of_a_process() -> None:
    command = [sys.executable, str(JOBS / "segregation.py"), "--dataset", "made", "--year", "2020", "--groups", "none"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "'none': neither a file" in done.stderr
