"""What a backfill file may say, and what a plan of one finds."""

import pickle
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml
from backfill_country import QUIET, backfill_of, fill, ingest_year, receipts_in, write_file

from geomob_dask.errors import DefinitionError, GeomobError, InputError
from geomob_dask.runs.backfill.file import read_backfill
from geomob_dask.runs.backfill.plan import Asked, plan_backfill
from geomob_dask.runs.engine import execute
from geomob_dask.runs.journal import Journal
from geomob_dask.runs.landing import ingest
from geomob_dask.runs.planning import REPROCESS, Standing
from geomob_dask.store import Store

ASKED = Asked(years=(2019, 2020, 2021))


@pytest.fixture
def store(tmp_path):
    return fill(str(tmp_path / "store"), tmp_path)


def standings(plan):
    return {group.name(place): str(how) for group in plan.groups for place, how in enumerate(group.standings)}


def due(plan):
    """Return group and place of the outputs that are due."""
    return [(plan.groups[number], place) for number, place in plan.due()]


def test_every_output_is_planned_once_in_the_order_asked_for(store, tmp_path):
    plan = plan_backfill(store, backfill_of(tmp_path), ASKED)
    assert len(standings(plan)) == plan.counts()[Standing.MISSING] == 3 * (4 * 3 + 2)
    years = [group.year for group, _ in due(plan)]
    assert years == sorted(years, reverse=True)
    sizes = [group.sizes[place] for group, place in due(plan) if group.year == 2020]
    assert sizes == sorted(sizes, reverse=True)
    oldest = plan_backfill(store, backfill_of(tmp_path), replace(ASKED, order="oldest"))
    assert [group.year for group, _ in due(oldest)] == sorted(years)


def test_the_identity_of_a_plan_is_that_of_the_provenance(store, tmp_path):
    plan = plan_backfill(store, backfill_of(tmp_path), ASKED)
    for group in plan.groups:
        for place, (identity, size) in enumerate(zip(group.identities, group.sizes, strict=True)):
            made = group.output(place)
            assert made.provenance.identity == identity
            assert made.collection == group.collection
            assert made.size() == size


def test_an_output_of_a_state_travels_with_its_own_state_only(store, tmp_path):
    plan = plan_backfill(store, backfill_of(tmp_path), ASKED)
    for group in plan.groups:
        if group.by_state:
            sent = pickle.dumps(group.output(group.states.index("18")))
            for key in (part.key for state, part in store.snapshot("measures/made/2020").parts.items()):
                assert (key.encode() in sent) == ("/18-" in key and group.year == 2020)


def test_a_pinned_store_looks_once(store, tmp_path, monkeypatch):
    looked = []
    found = Store.find
    monkeypatch.setattr(Store, "find", lambda self, name: looked.append(name) or found(self, name))
    plan_backfill(store, backfill_of(tmp_path), ASKED)
    assert len(looked) == len(set(looked))
    pinned = store.pinned()
    assert pinned.find("measures/made/2030") is None
    ingest_year(store, tmp_path, 2030)
    assert pinned.find("measures/made/2030") is None
    assert store.find("measures/made/2030") is not None
    assert type(pickle.loads(pickle.dumps(pinned))) is Store


def test_what_stands_in_which_way(store, tmp_path):
    """Missing, done, stale by an input, stale by a definition, failed, refused; and what each choice computes."""
    backfill = backfill_of(tmp_path, "index", "mixed", "areas")
    execute(store, plan_backfill(store, backfill, replace(ASKED, years=(2020, 2021))), None, QUIET)
    now = standings(plan_backfill(store, backfill, ASKED))
    assert {how for name, how in now.items() if "2019" in name} == {"missing"}
    assert {how for name, how in now.items() if "2019" not in name} == {"done"}
    # An input of one year changes: only what reads it is stale; a definition changes: all of its product is.
    ingest_year(store, tmp_path, 2021, seed=99)
    changed = backfill_of(tmp_path, "index", "mixed", "areas", mixed={"weight": 0.25, "positions": "unit"})
    now = standings(plan_backfill(store, backfill, ASKED))
    assert {name for name, how in now.items() if how == "stale"} == {name for name in now if "2021" in name}
    now = standings(plan_backfill(store, changed, ASKED))
    assert {how for name, how in now.items() if "mixed" in name} == {"missing"}
    Journal(store, "night").fail("mixed-2019-18", "x", "its data are bad", 1)
    now = standings(plan_backfill(store, backfill, ASKED))
    assert now["mixed-2019-18"] == "failed"
    assert now["mixed-2019-17"] == "missing"
    for reprocess, ways in REPROCESS.items():
        plan = plan_backfill(store, backfill, replace(ASKED, reprocess=reprocess))
        assert {group.name(place) for group, place in due(plan)} == {name for name, how in now.items() if how in ways}
    sizes = [sum(1 for _ in plan_backfill(store, backfill, replace(ASKED, reprocess=way)).due()) for way in REPROCESS]
    assert sizes == [6, 7, 14, 21]


def test_states_and_products_can_be_chosen(store, tmp_path):
    backfill = backfill_of(tmp_path)
    plan = plan_backfill(store, backfill, replace(ASKED, states=("18",), years=(2020,)))
    assert sorted(standings(plan)) == ["apart-2020-18", "counties-2020-18", "index-2020-18", "mixed-2020-18"]
    assert plan.left_out == ("nation, areas: of all states together, left out by --states",)
    plan = plan_backfill(store, backfill, replace(ASKED, products=("areas",), years=(2020,)))
    assert list(standings(plan)) == ["areas-2020-all"]


def test_a_year_without_neighbors_is_refused_and_others_are_computed(store, tmp_path):
    ingest_year(store, tmp_path, 2022, vintage="bare")
    plan = plan_backfill(store, backfill_of(tmp_path, "index", "mixed"), replace(ASKED, years=(2021, 2022)))
    now = standings(plan)
    assert {name for name, how in now.items() if how == "refused"} == {f"index-2022-{s}" for s in ("17", "18", "39")}
    result = execute(store, plan, None, QUIET)
    assert set(result.failed) == {f"index-2022-{s}" for s in ("17", "18", "39")}
    assert "bare" in result.failed["index-2022-17"]
    assert len(result.committed) == 9
    assert not result.fine
    assert Journal(store, "night").failed() == set(result.failed)
    # Once it has them, it is computed, and the notes are gone.
    ingest_year(store, tmp_path, 2022)
    result = execute(store, plan_backfill(store, backfill_of(tmp_path, "index", "mixed"),
                                      replace(ASKED, years=(2021, 2022))), None, QUIET)  # fmt: skip
    assert result.fine
    assert Journal(store, "night").failed() == set()


def test_missing_measures_are_told_or_skipped(store, tmp_path):
    backfill = backfill_of(tmp_path, "mixed")
    with pytest.raises(InputError, match=r"mixed: no measures/made of 2017, 2018 in store .*--skip-missing"):
        plan_backfill(store, backfill, replace(ASKED, years=(2017, 2018, 2019)))
    plan = plan_backfill(store, backfill, replace(ASKED, years=(2017, 2018, 2019), skip_missing=True))
    assert len(standings(plan)) == 3
    assert "2017, 2018: left out" in plan.left_out[0]
    # A product may say which years it has.
    limited = backfill_of(tmp_path, "mixed", mixed={"years": "2019:2020"})
    assert len(standings(plan_backfill(store, limited, replace(ASKED, years=(2017, 2018, 2019))))) == 3


BAD_FILES = {
    "an unknown key": ({"name": "n", "product": {}}, "unknown key 'product'; did you mean 'products'"),
    "no name": ({"products": {}}, "name: found nothing, expected a value"),
    "an unknown job": ({"name": "n", "products": {"a": {"job": "magic", "dataset": "d"}}}, "magic"),
    "an unknown option": (
        {"name": "n", "products": {"a": {"job": "mixing", "dataset": "d", "bracket": "deciles"}}},
        "unknown key 'bracket'; did you mean 'brackets'",
    ),
    "regions that cross": (
        {"name": "n", "products": {"a": {"job": "mixing", "dataset": "d", "by": "cbsa", "scope": "state"}}},
        "regions by cbsa, which may cross state lines",
    ),
    "norms of several states": (
        {
            "name": "n",
            "products": {
                "a": {"job": "opportunity", "dataset": "d", "definition": "sample", "scope": "state", "norm": "nation"}
            },
        },
        "norm: found nation, which belongs to several states",
    ),
    "overlapping years": (
        {"name": "n", "years": "2009:2015,2014:2018", "products": {"a": {"job": "mixing", "dataset": "d"}}},
        "found 2014-2015 twice",
    ),
    "years backwards": (
        {"name": "n", "years": "2015:2009", "products": {"a": {"job": "mixing", "dataset": "d"}}},
        "'2015:2009'",
    ),
    "an unknown state": ({"name": "n", "states": "99", "products": {"a": {"job": "mixing", "dataset": "d"}}}, "'99'"),
    "a name that is a path": ({"name": "../n", "products": {"a": {"job": "mixing", "dataset": "d"}}}, "name: "),
    "no products": ({"name": "n", "products": {}}, "products: "),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_refused_by_name_and_key(tmp_path, case):
    plain, message = BAD_FILES[case]
    file = tmp_path / "bad.yaml"
    file.write_text(yaml.safe_dump(plain))
    with pytest.raises(DefinitionError) as refused:
        read_backfill(str(file))
    assert message in str(refused.value)
    assert "bad.yaml" in str(refused.value)


def test_a_product_named_twice_and_files_that_are_none(tmp_path):
    file = tmp_path / "bad.yaml"
    entry = "{job: mixing, dataset: d}"
    file.write_text(f"name: n\nproducts:\n  a: {entry}\n  a: {entry}\n")
    with pytest.raises(DefinitionError, match="line 4: found 'a' twice"):
        read_backfill(str(file))
    file.write_text("- a list")
    with pytest.raises(DefinitionError, match="found a list"):
        read_backfill(str(file))
    with pytest.raises(DefinitionError, match="cannot be read"):
        read_backfill(str(tmp_path / "none.yaml"))


def test_two_products_of_one_place_are_refused(store, tmp_path):
    file = write_file(tmp_path, "mixed", "areas")
    plain = yaml.safe_load(Path(file).read_text())
    plain["products"]["again"] = {**plain["products"]["mixed"], "missing": "leave-out"}
    Path(file).write_text(yaml.safe_dump(plain))
    with pytest.raises(InputError, match="products again and mixed: both go to results/mixing"):
        plan_backfill(store, read_backfill(file), ASKED)


def test_other_bad_requests(store, tmp_path):
    backfill = backfill_of(tmp_path, "mixed")
    with pytest.raises(InputError, match="--products none: expected some of mixed"):
        plan_backfill(store, backfill, replace(ASKED, products=("none",)))
    with pytest.raises(InputError, match="no state 06"):
        plan_backfill(store, backfill, replace(ASKED, states=("06",)))
    with pytest.raises(InputError, match="--years: found none"):
        plan_backfill(store, backfill, Asked())
    with pytest.raises(DefinitionError, match="nowhere"):
        backfill_of(tmp_path, "index", index={"definition": "nowhere"})


def test_a_store_of_a_newer_version_is_left_alone(store, tmp_path):
    snapshot = store.objects.get("measures/made/2020/_snapshots/00000001.json")
    newer = snapshot.replace(b'"format": 1', b'"format": 9')
    store.objects.put("measures/made/2020/_snapshots/00000002.json", newer)
    with pytest.raises(GeomobError, match="newer version"):
        plan_backfill(store, backfill_of(tmp_path), ASKED)
    assert receipts_in(store) == []


def test_a_state_that_a_year_lacks_is_refused_for_that_year_alone(store, tmp_path):
    some = pd.read_parquet(tmp_path / "made_2020_None.parquet")
    file = tmp_path / "two_states.parquet"
    some[~some["geoid"].str.startswith("18")].to_parquet(file)
    columns = [column for column in some.columns if column != "geoid"]
    ingest(store, "measures", file=str(file), dataset="made", year=2022, vintage="toy", columns=columns)
    asked = replace(ASKED, years=(2020, 2022), states=("17", "18"))
    backfill = backfill_of(tmp_path, "mixed")
    plan = plan_backfill(store, backfill, asked)
    expected = {"mixed-2020-17": "missing", "mixed-2020-18": "missing", "mixed-2022-17": "missing"}
    assert standings(plan) == {**expected, "mixed-2022-18": "refused"}
    result = execute(store, plan, None, QUIET)
    assert result.failed == {"mixed-2022-18": "no state 18 in measures/made/2022; expected 17, 39"}
    assert len(result.committed) == 3
    skipped = plan_backfill(store, backfill, replace(asked, skip_missing=True))
    assert standings(skipped) == dict.fromkeys(expected, "done")
    assert skipped.left_out == ("mixed 2022: no state 18 in measures/made/2022; expected 17, 39: left out",)


def test_norms_of_another_year_that_are_due_themselves_are_not_used(store, tmp_path):
    frozen = {"definition": "nation.yaml", "norm": "frozen:2019", "scope": "state"}
    backfill = backfill_of(tmp_path, "index", "nation", index=frozen)
    first = replace(ASKED, years=(2019,), products=("nation",))
    both = replace(ASKED, years=(2019, 2020))
    assert execute(store, plan_backfill(store, backfill, first), None, QUIET).fine
    assert execute(store, plan_backfill(store, backfill, both), None, QUIET).fine
    ingest_year(store, tmp_path, 2019, seed=5)
    plan = plan_backfill(store, backfill, both)
    now = standings(plan)
    assert now["nation-2019-all"] == "stale"
    assert {how for name, how in now.items() if name.startswith("index")} == {"refused"}
    result = execute(store, plan, None, QUIET)
    assert len(result.failed) == 6
    norms = "norms/opportunity/nation/made/2019/all-selected"
    assert norms in result.failed["index-2020-17"]
    assert "nation 2019" in result.failed["index-2020-17"]
    # They are there now: the same command goes on, and what was made from the old ones is made anew.
    result = execute(store, plan_backfill(store, backfill, both), None, QUIET)
    assert (len(result.computed), result.fine) == (6, True)
    assert {run["inputs"][norms] for run in store.snapshot("results/opportunity/nation/made/2020/each-frozen-2019").runs
            .values()} == {store.snapshot(norms).checksum()}  # fmt: skip
