"""The job of income mixing: from files to the exported table, on a real cluster, in folder and bucket."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from income_country import JOBS, QUIET, counts, fill, listing, run_job
from pages import data_of
from stores import done, plan_of

from geomob_dask.metrics.composition import QUINTILES, composition_divergence, relative_composition
from geomob_dask.metrics.divergence import divergence
from geomob_dask.metrics.entropy import entropy_index
from geomob_dask.metrics.wasserstein import wasserstein, wasserstein_sign
from geomob_dask.products.mixing import Options
from geomob_dask.runs.engine import run
from geomob_dask.runs.planning import Request, make_plan
from geomob_dask.store import Store

DECILES = [f"decile_{k}" for k in range(1, 11)]


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return fill(str(tmp_path_factory.mktemp("store")), tmp_path_factory.mktemp("files"), years=(2020, 2021))


def arguments(store: Store, *more: str) -> list[str]:
    chosen = ["--dataset", "made", "--brackets", "deciles", "--store", store.url, "--cluster", "serial"]
    given = {option for option in more if option.startswith("--")}
    defaults = [] if "--year" in given else ["--year", "2020"]
    defaults += [] if "--by" in given else ["--by", "area"]
    return [*chosen, *defaults, *more]


def test_the_exported_table_holds_what_kernels_say(country, tmp_path, monkeypatch, capsys) -> None:
    file = tmp_path / "mixing.csv"
    code, out, err = run_job(monkeypatch, capsys, "mixing", *arguments(country, "--export", str(file)))
    assert (code, err) == (0, "")
    assert "35 of 36 tracts in 2 regions" in out
    assert "1 tract, nobody is counted here (17001000004)" in out
    found = pd.read_csv(file, dtype={"geoid": str}).set_index("geoid")
    table = counts()
    assert found.index.tolist() == table.index.tolist()
    region = table.groupby("area")[DECILES].sum().loc[table["area"]].to_numpy()
    own = table[DECILES].to_numpy()
    np.testing.assert_allclose(found["divergence"], divergence(own, region), atol=1e-12)
    np.testing.assert_allclose(found["entropy_index"], entropy_index(own, region), atol=1e-12)
    np.testing.assert_allclose(found["wasserstein"], wasserstein(own, region), atol=1e-12)
    signed = wasserstein(own, region) * wasserstein_sign(own, region)
    np.testing.assert_allclose(found["wasserstein_signed"], signed, atol=1e-12)
    shares = found[["low", "middle", "high"]]
    np.testing.assert_allclose(shares.dropna().sum(axis=1), 1.0)
    assert shares.isna().all(axis=1).sum() == 1
    assert found["region"].tolist() == table["area"].tolist()
    np.testing.assert_allclose(found["mixture"], 0.5 * found["divergence_scaled"] + 0.5 * found["wasserstein_scaled"])
    codes = pd.factorize(table["area"])[0]
    totals = np.stack([own[codes == code].sum(axis=0) for code in range(2)])
    fifths = relative_composition(own, totals, codes, QUINTILES)
    np.testing.assert_allclose(found["divergence_quintiles"], composition_divergence(fifths, QUINTILES), atol=1e-12)
    assert (found["divergence_quintiles"].dropna() <= found["divergence"].dropna() + 1e-12).all()
    largest = shares.dropna().idxmax(axis=1)
    assert found["modal_class"].dropna().to_dict() == largest.to_dict()
    assert pd.isna(found.loc["17001000004", "modal_class"])


def test_merging_and_positions(country, tmp_path, monkeypatch, capsys) -> None:
    files = [tmp_path / f"{name}.csv" for name in ("fine", "coarse")]
    run_job(monkeypatch, capsys, "mixing", *arguments(country, "--positions", "middle", "--export", str(files[0])))
    more = ["--merge", "quintiles", "--positions", "1,2,3,5,9", "--export", str(files[1])]
    code, _, err = run_job(monkeypatch, capsys, "mixing", *arguments(country, *more))
    assert (code, err) == (0, "")
    fine, coarse = (pd.read_csv(file, dtype={"geoid": str}) for file in files)
    assert (coarse["divergence"].dropna() <= fine["divergence"].dropna() + 1e-12).all()
    table = counts()
    region = table.groupby("area")[DECILES].sum().loc[table["area"]].to_numpy()
    own = table[DECILES].to_numpy()
    np.testing.assert_allclose(fine["wasserstein"], 10 * wasserstein(own, region), atol=1e-9)
    pairs = own.reshape(-1, 5, 2).sum(axis=2), region.reshape(-1, 5, 2).sum(axis=2)
    np.testing.assert_allclose(coarse["wasserstein"], wasserstein(*pairs, [1, 2, 3, 5, 9]), atol=1e-12)


def test_states_choose_rows_and_leave_regions_whole(country, tmp_path, monkeypatch, capsys) -> None:
    files = [tmp_path / f"{name}.csv" for name in ("all", "one")]
    run_job(monkeypatch, capsys, "mixing", *arguments(country, "--export", str(files[0])))
    run_job(monkeypatch, capsys, "mixing", *arguments(country, "--states", "IN", "--export", str(files[1])))
    whole, one = (pd.read_csv(file, dtype={"geoid": str}).set_index("geoid") for file in files)
    assert one.index.str[:2].unique().tolist() == ["18"]
    pd.testing.assert_frame_equal(one, whole.loc[one.index].astype(one.dtypes), check_exact=True)


def test_a_region_of_one_tract_is_like_itself(country, tmp_path, monkeypatch, capsys) -> None:
    file = tmp_path / "alone.csv"
    code, out, _ = run_job(monkeypatch, capsys, "mixing", *arguments(country, "--by", "alone", "--export", str(file)))
    assert code == 0
    assert "regions of one tract, which is like itself (D = 0): 1 (single" in out
    row = pd.read_csv(file, dtype={"geoid": str}).set_index("geoid").loc["17001000001"]
    assert (row["divergence"], row["wasserstein"], row["wasserstein_signed"]) == (0, 0, 0)
    np.testing.assert_allclose(row[["low", "middle", "high"]].astype(float), [0.3, 0.4, 0.3], atol=1e-12)


def test_missing_counts_are_refused_or_left_out(tmp_path, monkeypatch, capsys) -> None:
    store = fill(str(tmp_path / "store"), tmp_path, polygons=False)
    table = counts().drop(columns=["area", "alone"])
    table.iloc[5, 2] = np.nan
    (tmp_path / "gap.parquet").unlink(missing_ok=True)
    table.reset_index().to_parquet(tmp_path / "gap.parquet")
    run_job(
        monkeypatch, capsys, "ingest", "measures", str(tmp_path / "gap.parquet"),
        "--dataset", "gap", "--year", "2020", "--vintage", "toy", "--store", store.url,
    )  # fmt: skip
    given = ["--dataset", "gap", "--year", "2020", "--by", "state", "--brackets", "deciles", "--store", store.url]
    code, _, err = run_job(monkeypatch, capsys, "mixing", *given, "--cluster", "serial")
    assert code == 2
    assert "tract 17001000006, column decile_3: found nan, expected a count of 0 or more" in err
    file = tmp_path / "left.csv"
    more = ["--missing", "leave-out", "--cluster", "serial", "--export", str(file)]
    code, out, err = run_job(monkeypatch, capsys, "mixing", *given, *more)
    assert (code, err) == (0, "")
    assert "1 tract, a count is missing (17001000006)" in out
    left = pd.read_csv(file, dtype={"geoid": str}).set_index("geoid").loc["17001000006"]
    assert np.isnan(left["divergence"])
    assert left["reason"] == "a count is missing"


def test_nested_parts_add_up(tmp_path, monkeypatch, capsys) -> None:
    rng = np.random.default_rng(1)
    keys = [f"39001{number:06d}" for number in range(1, 9)]
    columns = [f"{part}_{level}" for part in ("houses", "tower_a", "tower_b") for level in ("low", "mid", "high")]
    table = pd.DataFrame(rng.integers(0, 30, (8, 9)), columns=columns, index=pd.Index(keys, name="geoid"))
    table.reset_index().to_csv(tmp_path / "homes.csv", index=False)
    (tmp_path / "homes.yaml").write_text(
        "name: homes\ntitle: Homes\nbrackets: [{column: low}, {column: mid}, {column: high}]\nparts:\n"
        "  - {path: [houses], columns: [houses_low, houses_mid, houses_high]}\n"
        "  - {path: [flats, a], columns: [tower_a_low, tower_a_mid, tower_a_high]}\n"
        "  - {path: [flats, b], columns: [tower_b_low, tower_b_mid, tower_b_high]}\n"
    )
    store = str(tmp_path / "store")
    run_job(
        monkeypatch, capsys, "ingest", "measures", str(tmp_path / "homes.csv"),
        "--dataset", "homes", "--year", "2020", "--vintage", "toy", "--store", store,
    )  # fmt: skip
    file = tmp_path / "parts.csv"
    code, _, err = run_job(
        monkeypatch, capsys, "mixing", "--dataset", "homes", "--year", "2020", "--by", "state",
        "--brackets", str(tmp_path / "homes.yaml"), "--store", store, "--cluster", "serial", "--export", str(file),
    )  # fmt: skip
    assert (code, err) == (0, "")
    found = pd.read_csv(file)
    parts = found[["divergence", "divergence_level_1", "divergence_level_2"]]
    np.testing.assert_allclose(parts.sum(axis=1), found["divergence_nested"], atol=1e-12)
    leaves = table.to_numpy().reshape(8, 3, 3)
    region = leaves.sum(axis=(0, 1))
    weights = leaves.sum(axis=2) / leaves.sum(axis=(1, 2))[:, None]
    whole = [np.nansum(weights[i] * divergence(leaves[i], region)) for i in range(8)]
    np.testing.assert_allclose(found["divergence_nested"], whole, atol=1e-12)


def test_same_bytes_on_a_cluster_in_folder_and_bucket(country, client, bucket, tmp_path) -> None:
    other = fill(bucket, tmp_path, years=(2020,), polygons=False)
    options = Options(dataset="made", year=2020, brackets="deciles", by="area")
    checksums = []
    for store, workers in ((country, None), (country, client), (other, client)):
        plan = make_plan(store, [Request("mixing", options)], reprocess="all")
        run(store, plan, workers, QUIET)
        parts = store.snapshot(options.collection(by_state=False)).parts
        checksums.append({state: part.sha256 for state, part in parts.items()})
        assert done(plan_of(store, options, "mixing"))
    assert checksums[0] == checksums[1] == checksums[2]


def test_map_and_report_open_without_a_network(country, tmp_path, monkeypatch, capsys) -> None:
    page, report = tmp_path / "map.html", tmp_path / "report.html"
    more = ["--year", "2020,2021", "--map", str(page), "--report", str(report)]
    code, _, err = run_job(monkeypatch, capsys, "mixing", *arguments(country, *more))
    assert (code, err) == (0, "")
    for text in (page.read_text(), report.read_text()):
        assert "Low, middle and high incomes by tract" in text
        assert "east, 2021" in text
        assert "<script src" not in text
        assert "<link" not in text
    text = report.read_text()
    assert "Means by region, years side by side" in text
    for title in (
        "D, H and W by tract",
        "D of fewer classes, D against H, D against W",
        "Tracts alike in D that differ in W",
        "Tracts alike in W that differ in D",
    ):
        assert f"<h2>{title}</h2>" in text
        assert f"<h2>{title}</h2>" not in page.read_text()


def test_a_report_without_polygons_has_the_figures(tmp_path, monkeypatch, capsys) -> None:
    store = fill(str(tmp_path / "store"), tmp_path, polygons=False)
    pages = {}
    for name, more in {
        "deciles": [],
        "classes": ["--merge", "0,0,0,0,1,1,1,2,2,2"],
        "some": ["--states", "IN"],
    }.items():
        page = tmp_path / f"{name}.html"
        code, _, err = run_job(monkeypatch, capsys, "mixing", *arguments(store, *more, "--report", str(page)))
        assert (code, err) == (0, "")
        pages[name] = data_of(page.read_text())["regions"]
    table = counts()
    for name, regions in pages.items():
        assert list(regions) == ["east, 2020", "west, 2020"]
        for region, found in regions.items():
            of_region = table[table["area"] == region.split(",")[0]][DECILES]
            if name == "classes":
                of_region = of_region.T.groupby([0] * 4 + [1] * 3 + [2] * 3).sum().T
            # The region's shares are those of all its tracts, whichever states are written.
            np.testing.assert_allclose(found["region"], of_region.sum() / of_region.sum().sum(), atol=1e-5)
            written = [key for key in of_region.index if name != "some" or key.startswith("18")]
            assert found["geoid"] == [key for key in written if of_region.loc[key].sum() > 0]
            for pair in (pair for pairs in found["pairs"].values() for pair in pairs):
                own = of_region.loc[pair["tracts"]].to_numpy()
                np.testing.assert_allclose(pair["brackets"], own / own.sum(axis=1, keepdims=True), atol=1e-5)
                np.testing.assert_allclose(np.sum(pair["quintiles"], axis=1), 1, atol=1e-4)


BAD = [
    (["--brackets", "nothing"], "'nothing': neither a file"),
    (["--brackets", "owners,renters"], "without an order"),
    (["--brackets", "b19001"], "no column B19001_002E"),
    (["--merge", "3"], "10 brackets cannot be merged into 3"),
    (["--merge", "1,0,2,3,4,5,6,7,8,9"], "out of order"),
    (["--merge", "0,0,0,0,0,0,0,0,0,0"], "leaves one bracket"),
    (["--positions", "1,2,3"], "found 3 positions, expected one for each of 10"),
    (["--positions", "9,8,7,6,5,4,3,2,1,0"], "rising"),
    (["--merge", "quintiles", "--positions", "middle"], "merged into 5"),
    (["--weight", "2"], "weight 2.0: expected a number between 0 and 1"),
    (["--by", "metro"], "metro: expected county, state"),
    (["--regions", "north"], "lies in north"),
    (["--regions", ","], "--regions"),
    (["--states", "CA"], "no state 06"),
    (["--year", "2019"], "no measures/made/2019"),
    (["--missing", "zero"], "expected refuse or leave-out"),
    (["--export", "mixing.xls"], "found the suffix '.xls'"),
    (["--export", "/nowhere/mixing.csv"], "no folder /nowhere"),
]


@pytest.mark.parametrize(("bad", "message"), BAD, ids=[" ".join(bad) for bad, _ in BAD])
def test_bad_input_leaves_no_trace(country, monkeypatch, capsys, bad, message) -> None:
    before = listing(Path(country.url))
    if "--brackets" in bad:
        given = [
            "--dataset",
            "made",
            "--year",
            "2020",
            "--by",
            "area",
            "--store",
            country.url,
            "--cluster",
            "serial",
            *bad,
        ]
    else:
        given = arguments(country, *bad)
    code, _, err = run_job(monkeypatch, capsys, "mixing", *given)
    assert code == 2
    assert message in err
    assert listing(Path(country.url)) == before


def test_the_exit_code_of_a_process() -> None:
    command = [sys.executable, str(JOBS / "mixing.py"), "--dataset", "made", "--year", "late"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "found 'late'" in done.stderr


@pytest.mark.real_data
def test_every_area_in_one_run(real_data: Path, tmp_path, monkeypatch, capsys) -> None:
    store = str(tmp_path / "store")
    file = str(real_data / "income" / "B19001_2023_by_cbsa_json.zip")
    more = ["--dataset", "income", "--year", "2023", "--store", store]
    assert run_job(monkeypatch, capsys, "ingest", "brackets", file, "--vintage", "2020", *more)[0] == 0
    export = tmp_path / "mixing.parquet"
    code, out, _ = run_job(
        monkeypatch, capsys, "mixing", *more, "--by", "cbsa", "--cluster", "serial", "--export", str(export)
    )
    assert code == 0
    assert "78,142 of 78,142 tracts in 935 regions" in out
    found = pd.read_parquet(export)
    assert len(found) == 78_142
    assert not found["divergence"].isna().any()
    # By construction a region's people are 30 %, 40 % and 30 % low, middle and high.
    people = found["people"]
    means = found[["low", "middle", "high"]].mul(people, axis=0).groupby(found["region"]).sum()
    means = means.div(people.groupby(found["region"]).sum(), axis=0)
    np.testing.assert_allclose(means.to_numpy(), np.tile([0.3, 0.4, 0.3], (935, 1)), atol=1e-12)
    # What docs/segregation.md compares with the source's scatters.
    assert (found["divergence_quintiles"] < found["divergence"]).all()
    assert round((found["divergence_quintiles"] < 0.5 * found["divergence"]).mean(), 2) == 0.63
    chicago = found[found["region"] == "16980"]
    D = chicago["divergence"]
    r = {name: round(D.corr(chicago[name]), 3) for name in ("divergence_quintiles", "entropy_index", "wasserstein")}
    assert r == {"divergence_quintiles": 0.925, "entropy_index": 0.41, "wasserstein": 0.869}
    pair = chicago.loc[["17031590700", "17031252202"], ["divergence", "wasserstein", "divergence_quintiles"]]
    assert pair.round(3).to_numpy().tolist() == [[0.27, 0.516, 0.022], [0.267, 2.848, 0.182]]
