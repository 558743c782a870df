"""The job of mobility: from zones in the store to table, report, map, model file and card; reruns and bad input."""

import json
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import distributed
import numpy as np
import pandas as pd
import pytest
from mobility_grid import FEATURES, QUIET, add_tracts, zones_store, zones_tables
from pages import NASTY, json_of, json_scripts, structure
from stores import contents, plan_of
from stores import done as is_done

from geomob_dask.errors import InputError, RunError
from geomob_dask.models.model_card import model_card, over_folds
from geomob_dask.models.model_files import from_bytes
from geomob_dask.models.predictions import calibration_rows
from geomob_dask.outputs.mobility import applied_options, polygons
from geomob_dask.outputs.mobility_report import map_page, report_page, write_report
from geomob_dask.products import mobility as product
from geomob_dask.products.mobility import Options
from geomob_dask.products.mobility_applied import model_file
from geomob_dask.products.mobility_result import Result, read_result
from geomob_dask.runs.engine import run
from geomob_dask.runs.planning import Request, make_plan
from geomob_dask.store import Provenance, Store

NAMES = ",".join(FEATURES)
FOLDS = "stratified:3,states:3,contiguity:3:1"


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return zones_store(str(tmp_path_factory.mktemp("store")))


def arguments(store: Store, *more: str) -> list[str]:
    given = {option for option in more if option.startswith("--")}
    defaults = {
        "--model": "elastic_net",
        "--grid": "small",
        "--folds": "stratified:3",
        "--repeats": "1",
        "--features": NAMES,
        "--cluster": "serial",
    }
    chosen = [text for option, value in defaults.items() if option not in given for text in (option, value)]
    return ["--store", store.url, *chosen, *more]


def asked(**changes: object) -> Options:
    """Return options of a quick study of a few features."""
    return Options(**{"features": FEATURES, "folds": ("stratified:3",), "repeats": 1, "grid": "small", **changes})


def execute(store: Store, options: Options, client=None) -> None:
    run(store, plan_of(store, options, "mobility"), client, QUIET)


# What it writes ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(country: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run once with all outputs; the tests below read them."""
    folder = tmp_path_factory.mktemp("files")
    script = str(Path(__file__).parents[2] / "jobs" / "mobility.py")
    files = ["--export", folder / "z.csv", "--report", folder / "r.html", "--map", folder / "m.html", "--save", folder]
    more = ["--model", "elastic_net,ordinal", "--folds", FOLDS, *map(str, files)]
    done = subprocess.run(
        [sys.executable, "-W", "error", script, *arguments(country, *more)], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    (folder / "out.txt").write_text(done.stdout)
    return folder


def test_every_unit_has_its_class_and_what_each_model_says_of_it(written: Path) -> None:
    found = pd.read_csv(written / "z.csv", dtype={"zone": str}).set_index("zone")
    tables = zones_tables()
    outcome = tables["outcomes"]["upward_mobility_1980_82_rank"]
    # One zone has no outcome, another no minority tract.
    assert found.index.tolist() == [zone for zone in outcome.index if zone not in ("00105", "00107")]
    np.testing.assert_array_equal(found["upward_mobility_1980_82_rank"], outcome.loc[found.index])
    above = outcome.loc[found.index] > outcome.loc[found.index].mean()
    assert found["actual_class"].tolist() == np.where(above, "above_mean", "below_mean").tolist()
    for model in ("elastic_net", "ordinal"):
        for folds in ("stratified_3", "states_3", "contiguity_3_1"):
            what = f"{model}_{folds}"
            shares = found[[f"{what}_{name}_probability" for name in ("below_mean", "above_mean")]].to_numpy()
            np.testing.assert_allclose(shares.sum(axis=1), 1.0)
            likelier = np.where(shares[:, 1] > shares[:, 0], "above_mean", "below_mean")
            assert found[f"{what}_class"].tolist() == likelier.tolist()
            # The signal that was planted is found in units held out.
            assert (found[f"{what}_class"] == found["actual_class"]).mean() > 0.75


def test_the_summary_names_scores_and_the_cohort(written: Path) -> None:
    out = (written / "out.txt").read_text()
    assert "119 of 120 commuting zones have a minority tract" in out
    assert "118 of them the outcome" in out
    assert "contiguity: 3 folds of connected blocks, units within 1 step left out:" in out
    assert out.count("Elastic-net logistic regression") == 3
    assert "Always the commonest class" in out
    # Settings are said as they are chosen.
    assert "elastic_net, states:3, fold 2 of repeat 1: C = " in out


def test_the_page_is_whole_and_needs_no_network(written: Path) -> None:
    page = (written / "r.html").read_text()
    for heading in (
        "Cross-validated scores",
        "Actual and predicted classes",
        "Permutation importance",
        "Attributes one at a time",
        "Correlations between attributes",
        "Distribution of the outcome",
        "Calibration",
        "Confusion matrices",
        "Clusters of units",
        "Effect of leakage in the published study",
        "Model cards",
    ):
        assert f"<h2>{heading}</h2>" in page, heading
    # Chosen features are not those that scores were published of.
    assert "Comparison with published scores" not in page
    (maps,) = [one for text in json_scripts(page) if "labels" in (one := json.loads(text)) and "polygons" in one]
    assert "Town 0, OH" in json_of(maps["labels"])
    # Published numbers, a leak and a card.
    for text in ("the target in the table that is clustered", "Not for"):
        assert text in page, text
    for name in ("r.html", "m.html"):
        text = (written / name).read_text()
        assert "<script src" not in text
        assert "<link" not in text
    assert "Actual and predicted classes" in (written / "m.html").read_text()


def test_model_file_and_card_say_what_the_model_is(written: Path, country: Store) -> None:
    model = from_bytes((written / "elastic_net.model").read_bytes(), "elastic_net.model")
    assert model.feature_names == FEATURES
    assert model.classes == ("below_mean", "above_mean")
    table = zones_tables()["characteristics"]
    shares = model.predict(model.values(table))
    assert shares.shape == (120, 2)
    card = (written / "elastic_net.md").read_text()
    for heading in ("Intended use", "Not for", "Data", "Features", "Folds", "Scores", "Calibration", "Limits"):
        assert f"\n## {heading}\n" in card
    assert "118 of them the outcome" in card
    assert "Children with single mothers" in card
    assert f"Run {model.run}" in card


# Reruns --------------------------------------------------------------------------------------


def test_a_rerun_computes_nothing_and_leaves_every_byte(country: Store, job, monkeypatch) -> None:
    assert job("mobility", *arguments(country)).code == 0
    before = contents(country)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("computed")

    monkeypatch.setattr(product, "evaluate", refuse)
    done = job("mobility", *arguments(country))
    assert (done.code, done.err) == (0, "")
    assert "cluster:" not in done.out
    assert contents(country) == before
    # Model files and cards are no tables, and whole all the same.
    done = job("store", "verify", "--store", country.url, "--cluster", "serial")
    assert (done.code, done.err) == (0, "")
    assert "0 damaged, 0 stale" in done.out


def test_a_dry_run_writes_nothing(country: Store, job) -> None:
    before = contents(country)
    done = job("mobility", *arguments(country, "--seed", "99", "--dry-run"))
    assert (done.code, done.err) == (0, "")
    assert "to be computed" in done.out
    assert "zones/1990" in done.out
    assert contents(country) == before


def test_the_same_bytes_from_any_number_of_workers(client, tmp_path: Path) -> None:
    options = asked(features=FEATURES[:3], model=("elastic_net", "ordinal"), folds=("states:2",), seed=3)
    stores = [zones_store(str(tmp_path / name)) for name in ("serial", "one", "two", "three")]
    execute(stores[0], options)
    execute(stores[2], options, client)
    for store, workers in ((stores[1], 1), (stores[3], 3)):
        with (
            distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=False,
                dashboard_address="127.0.0.1:0",
                memory_limit=0,
            ) as cluster,
            distributed.Client(cluster) as other,
        ):
            execute(store, options, other)
    serial, *others = (contents(store, options.collection) for store in stores)
    assert sum(key.endswith(".model") for key in serial) == 2
    for other in others:
        assert other == serial
    # What was kept for a run that is broken off is gone.
    assert not stores[0].objects.listing("fits")


def test_a_run_that_was_broken_off_takes_up_its_fits(tmp_path: Path, monkeypatch) -> None:
    import geomob_dask.frames.model_search as searches

    store, fresh = zones_store(str(tmp_path / "broken")), zones_store(str(tmp_path / "fresh"))
    options = asked()
    with monkeypatch.context() as broken:

        def fail(*_: object, **__: object) -> None:
            raise RunError("broken off")

        broken.setattr(product, "evaluate", fail)
        with pytest.raises(RunError, match="broken off"):
            execute(store, options)
    assert store.objects.listing("fits/mobility")
    assert store.find(options.collection) is None
    fitted = []
    searched = searches.path_scores
    monkeypatch.setattr(searches, "path_scores", lambda *given: fitted.append(1) or searched(*given))
    execute(store, options)
    assert not fitted
    assert not store.objects.listing("fits")
    execute(fresh, options)
    assert fitted
    assert contents(store, options.collection) == contents(fresh, options.collection)


def test_a_second_interrupt_stops_a_search_and_keeps_its_fits(tmp_path: Path) -> None:
    store = zones_store(str(tmp_path))
    script = str(Path(__file__).parents[2] / "jobs" / "mobility.py")
    command = [sys.executable, script, *arguments(store, "--grid", "full", "--repeats", "9")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 300
    while not store.objects.listing("fits") and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
    _, err = process.communicate(timeout=60)
    said, error = err.splitlines()
    assert (process.returncode, said[:13], error[:7]) == (1, "interrupted: ", "error: ")
    assert store.objects.listing("fits/mobility")
    assert "results" not in store.objects.names("")


@pytest.mark.parametrize("study", ["zones", "tracts"])
def test_a_run_computes_from_the_inputs_of_its_plan(study: str, client, tmp_path: Path) -> None:
    of_tracts = {"study": "tracts", "features": None, "measures": ("made:2018",)}
    options = asked(**(of_tracts if study == "tracts" else {}))

    def filled(name: str, seed: int = 0) -> Store:
        store = zones_store(str(tmp_path / name), zones_tables(seed))
        add_tracts(store, seed=seed + 1)
        return store

    expected, store, other = filled("expected"), filled("planned"), filled("other", seed=7)
    execute(expected, options)
    plan = plan_of(store, options, "mobility")
    # Commits between plan and execution: the run must not see them.
    filled("planned", seed=7)
    run(store, plan, client, QUIET)
    assert contents(store, options.collection) == contents(expected, options.collection)
    assert not is_done(plan_of(store, options, "mobility"))
    execute(other, options)
    assert contents(other, options.collection) != contents(expected, options.collection)


# Tracts --------------------------------------------------------------------------------------


def test_tracts_are_studied_and_a_model_is_applied_over_partitions(client, tmp_path: Path, job) -> None:
    store = Store(str(tmp_path / "store"))
    table = add_tracts(store)
    files = {name: tmp_path / name for name in ("t.csv", "applied.csv", "page.html")}
    common = ["--store", store.url, "--cluster", "serial"]
    asked = [*common, "--study", "tracts", "--measures", "made:2018", "--grid", "small", "--folds", "states:3"]
    done = job("mobility", *asked, "--repeats", "1", "--export", files["t.csv"], "--save", tmp_path)
    assert (done.code, done.err) == (0, "")
    found = pd.read_csv(files["t.csv"], dtype={"geoid": str}).set_index("geoid")
    assert found.index.tolist() == table.index.tolist()
    assert (found["elastic_net_states_3_class"] == found["actual_class"]).mean() > 0.75
    model = str(tmp_path / "elastic_net.model")
    done = job("mobility", *common, "--with-model", model, "--apply", "made:2018", "--export", files["applied.csv"])
    assert (done.code, done.err) == (0, "")
    assert "1 tract without any of its attributes" in done.out
    applied = pd.read_csv(files["applied.csv"], dtype={"geoid": str}).set_index("geoid")
    shares = applied[["below_mean_probability", "above_mean_probability"]]
    # The model by itself, without partitions.
    fitted = model_file(store, model).read()
    whole = fitted.predict(fitted.values(table))
    whole[3] = np.nan
    np.testing.assert_allclose(shares, whole, rtol=1e-12)
    assert applied["predicted_class"].isna().sum() == 1
    # A dry run writes nothing and says what there is; forced, the same bytes are written again.
    before = contents(store)
    applying = [*common, "--with-model", model, "--apply", "made:2018"]
    done = job("mobility", *applying, "--dry-run")
    assert (done.code, "up to date" in done.out) == (0, True)
    fresh = Store(str(tmp_path / "fresh"))
    add_tracts(fresh)
    untouched = contents(fresh)
    applying[1] = fresh.url
    done = job("mobility", *applying, "--dry-run")
    assert (done.code, done.err, "to be computed" in done.out) == (0, "", True)
    assert contents(fresh) == untouched
    options = applied_options(model, "made:2018")
    assert is_done(plan_of(store, options, "mobility_applied"))
    applying.append("--force")
    applying[1] = store.url
    done = job("mobility", *applying)
    assert (done.code, done.err) == (0, "")
    assert contents(store) == before
    # On a cluster, the same bytes; of what the plan names, whatever is committed before it is executed.
    other = Store(str(tmp_path / "other"))
    add_tracts(other)
    plan = plan_of(other, options, "mobility_applied")
    add_tracts(other, seed=9)
    run(other, plan, client, QUIET)
    (collection,) = plan.groups[0].collections
    assert contents(other, collection) == contents(store, collection)
    assert not is_done(plan_of(other, options, "mobility_applied"))
    # A model in the store is the same model, and each state by itself has the same predictions.
    study = Options(study="tracts", measures=("made:2018",), grid="small", folds=("states:3",), repeats=1)
    options = applied_options(f"{study.collection}/elastic_net", "made:2018")
    assert is_done(plan_of(store, options, "mobility_applied"))
    request = Request("mobility_applied", options, by_state=True)
    run(store, make_plan(store, [request]), client, QUIET)
    assert {key: sum for key, sum in contents(store, collection).items() if key.endswith("parquet")} == {
        key: sum for key, sum in contents(other, collection).items() if key.endswith("parquet")
    }


def test_a_model_is_applied_to_several_years_by_a_backfill(tmp_path: Path, job) -> None:
    store = Store(str(tmp_path / "store"))
    table = add_tracts(store)
    common = ["--store", store.url, "--cluster", "serial"]
    study = ["--study", "tracts", "--measures", "made:2018", "--grid", "small", "--folds", "states:3", "--repeats", "1"]
    assert job("mobility", *common, *study, "--save", tmp_path).code == 0
    for year, part in ((2019, table[["jobs", "age"]] + 1), (2020, table[["jobs", "age"]] - 1)):
        parts = {
            state: store.put(f"measures/made/{year}", state, part[part.index.str[:2] == state]) for state in ("18",)
        }
        store.commit(f"measures/made/{year}", parts, Provenance("ingest", {}), {"vintage": "2010"})
    model = tmp_path / "elastic_net.model"
    products = f"products:\n  predicted: {{job: mobility_applied, dataset: made, model: {model}}}\n"
    (tmp_path / "night.yaml").write_text(f"name: night\nyears: 2018-2020\n{products}")
    done = job("backfill", tmp_path / "night.yaml", *common)
    assert done.code == 0, done.err
    options = [applied_options(str(model), f"made:{year}") for year in (2018, 2019, 2020)]
    plans = [plan_of(store, one, "mobility_applied") for one in options]
    rows = [sum(part.rows for part in store.snapshot(plan.groups[0].collection).parts.values()) for plan in plans]
    assert rows == [120, 40, 40]
    later, earlier = (store.frame(plan.groups[0].collection).compute()["above_mean_probability"] for plan in plans[1:])
    assert (later > earlier).all()


def test_a_model_file_of_another_version_is_refused(written: Path, country: Store, tmp_path: Path, job) -> None:
    with zipfile.ZipFile(written / "elastic_net.model") as file:
        found = {name: file.read(name) for name in file.namelist()}
    about = json.loads(found["about.json"])
    found["about.json"] = json.dumps({**about, "format": about["format"] + 1}).encode()
    with zipfile.ZipFile(tmp_path / "newer.model", "w") as file:
        for name, data in found.items():
            file.writestr(name, data)
    before = contents(country)
    done = job(
        "mobility", "--store", country.url, "--with-model", tmp_path / "newer.model", "--apply", "made:2018",
        "--cluster", "serial",
    )  # fmt: skip
    assert done.code == 2
    assert "newer.model: a model file of version 2, expected version 1; train the model again" in done.err
    assert contents(country) == before


def test_a_model_of_other_features_is_refused(written: Path, tmp_path: Path, job) -> None:
    store = Store(str(tmp_path))
    add_tracts(store)
    done = job(
        "mobility", "--store", store.url, "--cluster", "serial", "--with-model", written / "elastic_net.model",
        "--apply", "made:2018",
    )  # fmt: skip
    assert done.code == 2
    assert "measures/made/2018: no column 'single_mothers_share', which the model elastic_net was fitted on" in done.err


# Bad input -----------------------------------------------------------------------------------

BAD = {
    "unknown model": (["--model", "oracle"], "model 'oracle': no such model; expected one of: logistic"),
    "no model": (["--model", ","], "model"),
    "three classes": (["--classes", "3"], "classes 3: expected one of 2, 4"),
    "unknown folds": (["--folds", "rings:3"], "folds 'rings': no such folds"),
    "one fold": (["--folds", "states:1"], "found 1 folds, expected 2 or more"),
    "folds twice": (["--folds", "states:3,states:3"], "one is named twice"),
    "too many numbers": (["--folds", "states:3:1"], "expected stratified:FOLDS, states:FOLDS"),
    "more folds than states": (["--folds", "states:9"], "found 6 states"),
    "no repeats": (["--repeats", "0"], "expected at least 1 repeat"),
    "unknown grid": (["--grid", "huge"], "grid 'huge': expected one of: full, small"),
    "unknown study": (["--study", "towns"], "--study towns: expected one of: zones, tracts"),
    "target among features": (["--features", "married_share,upward_mobility_1980_82_rank"], "target is among the"),
    "unknown feature": (["--features", "wealth"], "feature 'wealth': not in the table"),
    "unknown outcome": (["--outcome", "happiness"], "outcome 'happiness': not in the table"),
    "other zones": (["--vintage", "2000"], "no zones/2000"),
    "tracts without measures": (["--study", "tracts"], "--measures: none named"),
    "measures of zones": (["--measures", "a:2018"], "--measures: found --study zones"),
    "measures without a year": (["--study", "tracts", "--measures", "a"], "--measures 'a': expected NAME:YEAR"),
    "model without a dataset": (["--with-model", "x.model"], "--with-model: found no --apply"),
    "model file absent": (["--with-model", "x.model", "--apply", "a:2018"], "x.model: cannot be read"),
    "folder absent": (["--save", "/nowhere/at/all"], "--save /nowhere/at/all"),
    "export of another kind": (["--export", "z.xyz"], "found the suffix '.xyz'"),
}


@pytest.mark.parametrize("case", list(BAD))
def test_bad_input_is_told_and_nothing_is_written(case: str, country: Store, job) -> None:
    before = contents(country)
    more, said = BAD[case]
    done = job("mobility", *arguments(country, *more))
    assert done.code == 2, done.err
    assert said in done.err
    assert done.err.startswith("error: ")
    assert contents(country) == before


def test_a_class_with_fewer_members_than_folds(tmp_path: Path) -> None:
    tables = zones_tables()
    outcome = tables["outcomes"]["upward_mobility_1980_82_rank"]
    # One zone far above all others: it alone is above the mean.
    flat = np.where(np.isnan(outcome), np.nan, 40.0 + np.arange(len(outcome)) / 1e6)
    flat[20] = 1e6
    tables["outcomes"]["upward_mobility_1980_82_rank"] = flat
    store = zones_store(str(tmp_path), tables)
    with pytest.raises(InputError, match="class 1: found 1 units, expected at least as many as the 3 folds"):
        execute(store, asked())


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_what_a_run_would_fail_at_late_is_refused_first(more: list[str], tmp_path: Path, job, monkeypatch) -> None:
    monkeypatch.setattr(product, "choose_settings", lambda *_, **__: pytest.fail("searched"))
    tables = zones_tables()
    outcome = tables["outcomes"]["upward_mobility_1980_82_rank"].to_numpy()
    # Seven zones above the mean: enough for folds and folds inside them, too few for the mutual information.
    flat = np.where(np.isnan(outcome), np.nan, 40.0 + np.arange(len(outcome)) / 1e6)
    flat[20:27] = 1e3 + np.arange(7)
    tables["outcomes"]["upward_mobility_1980_82_rank"] = flat
    store = zones_store(str(tmp_path / "few"), tables)
    done = job("mobility", *arguments(store, *more))
    assert done.code == 2
    assert "found 7 units of class above_mean that have it, expected 8 or more for its mutual information" in done.err
    # Three above it: folds can be made, folds inside them cannot.
    flat[20:24] = 40.0
    tables["outcomes"]["upward_mobility_1980_82_rank"] = flat
    store = zones_store(str(tmp_path / "inside"), tables)
    done = job("mobility", *arguments(store, *more))
    assert done.code == 2
    assert "training rows of fold 1 of repeat 1: class 1: found 2 units" in done.err
    # A dataset that models would be applied to in the end.
    store = zones_store(str(tmp_path / "apply"))
    done = job("mobility", *arguments(store, "--apply", "made:2018", *more))
    assert (done.code, "measures/made/2018" in done.err) == (2, True)
    add_tracts(store)
    done = job("mobility", *arguments(store, "--apply", "made:2018", *more))
    assert (done.code, "--apply made:2018: measures/made/2018: no column 'single_moth" in done.err) == (2, True)


def test_a_feature_that_is_missing_in_all_of_a_fold(tmp_path: Path) -> None:
    tables = zones_tables()
    tables["characteristics"]["married_share"] = np.nan
    tables["characteristics"].loc["00100", "married_share"] = 1.0
    tables["characteristics"].loc["00101", "married_share"] = 2.0
    store = zones_store(str(tmp_path), tables)
    with pytest.raises(InputError, match=r"fold . of repeat 1: feature 'married_share' is"):
        execute(store, asked())
    assert "results" not in store.objects.names("")


def test_a_model_file_of_another_version_in_the_store(tmp_path: Path, monkeypatch) -> None:
    import geomob_dask.models.model_files as files

    store = zones_store(str(tmp_path))
    options = asked()
    execute(store, options)
    assert model_file(store, f"{options.collection}/elastic_net").read().name == "elastic_net"
    with pytest.raises(InputError, match="no model 'forest'; expected one of: elastic_net"):
        model_file(store, f"{options.collection}/forest")
    monkeypatch.setattr(files, "FORMAT", 2)
    with pytest.raises(InputError, match="a model file of version 1, expected version 2; train the model again"):
        model_file(store, f"{options.collection}/elastic_net").read()


def test_what_the_run_says_of_itself_is_plain(country: Store, job) -> None:
    assert job("mobility", *arguments(country)).code == 0
    found = read_result(country, asked().collection)
    json.dumps(found.about, allow_nan=False)
    assert list(found.about["class_counts"]) == ["below_mean", "above_mean"]
    assert found.tables["units"]["actual"].sum() == found.about["class_counts"]["above_mean"]
    confusion = found.tables["confusion"]
    assert confusion["units"].sum() == pytest.approx(118)
    settings = found.tables["settings"]
    assert (settings["train_units"] + settings["test_units"] == 118).all()


def test_published_scores_stand_beside_what_they_are_of(country: Store, job, tmp_path: Path) -> None:
    assert job("mobility", *arguments(country)).code == 0
    found = read_result(country, asked().collection)
    assert found.about["as_published"] is False
    same = Result({**found.about, "as_published": True}, found.tables, found.models, found.cards)
    write_report(same, None, str(tmp_path / "r.html"))
    page = (tmp_path / "r.html").read_text()
    assert "<h2>Comparison with published scores</h2>" in page
    assert "0.851 (5 folds)" in page


def test_calibration_is_of_what_models_say_and_a_unit_counts_once() -> None:
    codes = np.array([0, 1])
    # Two repeats, sure of opposite things: their mean says one half, which neither says.
    sure = np.array([[1.0, 0.0], [0.0, 1.0]])
    parts = [(np.arange(2), sure), (np.arange(2), sure[::-1])]
    table = calibration_rows(parts, codes, ("low", "high"), 2)
    assert set(table["predicted"]) == {0.0, 1.0}
    assert table.groupby("class")["units"].sum().tolist() == [2, 2]
    once = calibration_rows(parts[:1] * 2, codes, ("low", "high"), 2)
    pd.testing.assert_frame_equal(once, calibration_rows(parts[:1], codes, ("low", "high"), 1))


def test_a_score_of_fewer_folds_says_so() -> None:
    row = {"value": 0.5, "lower": 0.4, "upper": 0.6, "scored_folds": 2, "all_folds": 3}
    assert over_folds(row) == ", 2 of 3 folds"
    assert over_folds({**row, "scored_folds": 3}) == ""


@pytest.mark.real_data
def test_the_zones_are_481_and_single_mothers_come_first(real_data: Path, tmp_path: Path, job) -> None:
    mobility = real_data / "mobility"
    store = ["--store", tmp_path / "store", "--cluster", "serial"]
    done = job(
        "ingest", "zones", mobility / "online_data_tables-8.xls", *store,
        "--county-zones", mobility / "opportunity_atlas_cz_county_crosswalk.csv",
        "--cohort-counts", real_data / "tracts" / "census_2000_race_counts.csv.gz",
    )  # fmt: skip
    assert done.code == 0, done.err
    done = job("mobility", *store, "--grid", "small", "--repeats", "1", "--export", tmp_path / "zones.csv")
    assert done.code == 0, done.err
    assert "488 of 741 commuting zones have a minority tract" in done.out
    assert "481 zones: below_mean 245, above_mean 236" in done.out
    assert "mutual information's first: Children with single mothers" in done.out
    found = pd.read_csv(tmp_path / "zones.csv", dtype={"zone": str})
    assert len(found) == 481
    # Far from both chance and the training score that was published.
    assert 0.75 < (found["elastic_net_stratified_5_class"] == found["actual_class"]).mean() < 0.92


# Text of data --------------------------------------------------------------------------------


def test_pages_show_text_of_data_as_text(country: Store) -> None:
    execute(country, asked())
    found = read_result(country, asked().collection)
    (group,) = plan_of(country, asked(), "mobility").groups
    shapes = polygons(country, group.prepared, found)

    def pages(text: str) -> list[str]:
        titled = [{**feature, "title": f"{text} {k}"} for k, feature in enumerate(found.about["features"])]
        models = {name: f"{text} {title}" for name, title in found.about["models"].items()}
        about = {**found.about, "features": titled, "models": models, "outcome": text, "data": [text]}
        tables = {**found.tables, "units": found.tables["units"].assign(label=text)}
        cards = {model: model_card(model, {**about, "models": found.about["models"]}, tables) for model in models}
        return [report_page(about, tables, cards, shapes), map_page(about, tables, shapes)]

    for nasty, plain in zip(pages(NASTY), pages("plain"), strict=True):
        assert structure(nasty) == structure(plain)
        assert not [text for text in json_scripts(nasty) if "<" in text]
