"""What a store says that it holds, and what it says of what it does not hold."""

import pandas as pd
import pytest
from stores import rename

from geomob_dask.errors import StoreError
from geomob_dask.store import Provenance, Store
from geomob_dask.store.listing import absent_message, html_of, listing, text_of

RESULT = "results/opportunity/sample/acs/2020/all"


def frame(state: str, n: int) -> pd.DataFrame:
    keys = pd.Index([f"{state}001{number:06d}" for number in range(n)], name="geoid", dtype="str")
    return pd.DataFrame({"people": range(n)}, index=keys)


def commit(store: Store, collection: str, job: str, states=("18", "39"), n: int = 3) -> None:
    parts = {state: store.put(collection, state, frame(state, n)) for state in states}
    store.commit(collection, parts, Provenance(job, {}), {}, keep_others=True)


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path) -> Store:
    return Store(str(tmp_path / "store") if request.param == "folder" else request.getfixturevalue("bucket"))


@pytest.fixture
def filled(store: Store) -> Store:
    commit(store, "tracts/2020", "ingest")
    commit(store, "measures/acs/2019", "ingest", ("18",))
    commit(store, "measures/acs/2019", "join", ("39",))
    commit(store, "measures/acs/2020", "ingest")
    commit(store, RESULT, "opportunity")
    commit(store, "norms/sample", "opportunity", ("all",), 1)
    store.objects.put("cubes/deprivation/chunks/a", b"12345")
    store.objects.put("cubes/deprivation/repo", b"123")
    store.objects.put("cubes/.deprivation.lock", b"")
    return store


def test_a_store_lists_its_collections_and_cubes(filled: Store):
    table = listing(filled).set_index("collection")
    assert list(table.columns) == ["kind", "states", "rows", "size", "commits", "made_by"]
    assert list(table.index) == [
        "cubes/deprivation",
        "measures/acs/2019",
        "measures/acs/2020",
        "norms/sample",
        RESULT,
        "tracts/2020",
    ]
    acs = table.loc["measures/acs/2019"]
    size = sum(part.size for part in filled.snapshot("measures/acs/2019").parts.values())
    assert list(acs) == ["measures", 2, 6, size, 2, "ingest, join"]
    cube = table.loc["cubes/deprivation"]
    assert (cube["kind"], cube["size"]) == ("cubes", 8)
    assert cube[["states", "rows", "commits"]].isna().all()


def test_a_prefix_selects_whole_path_elements(filled: Store):
    assert list(listing(filled, "measures/acs")["collection"]) == ["measures/acs/2019", "measures/acs/2020"]
    assert listing(filled, "measures/ac").empty


def test_an_empty_list_has_the_same_columns_and_types(store: Store, filled: Store):
    some = listing(filled)
    none = listing(filled, "nothing")
    assert none.empty
    assert none.dtypes.to_dict() == some.dtypes.to_dict()


def test_the_text_of_a_store_names_what_it_holds_by_kind(filled: Store):
    head, *lines = text_of(filled).splitlines()
    assert filled.url in head
    assert dict(line.split(maxsplit=1) for line in lines) == {
        "tracts": "2020",
        "measures": "acs (2019, 2020)",
        "results": "opportunity/sample/acs (2020)",
        "cubes": "deprivation",
        "norms": "sample",
    }
    assert [line.split()[0] for line in lines][:3] == ["tracts", "measures", "results"]


def test_many_names_are_counted(tmp_path):
    store = Store(str(tmp_path))
    for number in range(40):
        store.objects.put(f"measures/set{number:02d}/2020/_snapshots/00000001.json", b"")
    assert "(40 in total)" in text_of(store)
    assert len(text_of(store)) < 500


def test_text_in_html_is_escaped(tmp_path):
    store = Store(str(tmp_path / "<b>&"))
    commit(store, "measures/acs/2020", "ingest")
    rename(store, "measures/acs/2020", "measures/<script>/2020")
    page = html_of(store)
    assert "<script>" not in page
    assert "<b>" not in page
    assert "&lt;script&gt; (2020)" in page
    assert "&lt;b&gt;&amp;" in page


def test_an_empty_or_unreachable_store_has_a_text(tmp_path, monkeypatch):
    store = Store(str(tmp_path / "none"))
    assert "empty" in text_of(store)
    assert "empty" in html_of(store)

    def fails(prefix: str = "") -> None:
        raise StoreError("no <route>")

    monkeypatch.setattr(store.objects, "listing", fails)
    assert "no <route>" in text_of(store)
    assert "no &lt;route&gt;" in html_of(store)


AVAILABLE = ["measures/acs/2019", "measures/acs/2020", "measures/opportunity/2018", "tracts/2020"]


@pytest.mark.parametrize(
    ("collection", "says"),
    [
        (
            "measures/oportunity/2018",
            "no dataset 'oportunity' of measures; did you mean 'opportunity'? Available: acs, ",
        ),
        ("measures/zzz/2018", "no dataset 'zzz' of measures; available: acs, opportunity"),
        ("measures/acs/2018", "no year 2018 of measures/acs; available: 2019, 2020"),
        ("measures/acs", "available: measures/acs/2019, measures/acs/2020"),
        ("tracts/2010", "no vintage 2010 of tracts; available: 2020"),
        ("tracts/2020/x", "available: tracts/2020"),
        ("neighbors/2020", "available: measures, tracts"),
    ],
)
def test_what_is_absent_is_named_with_what_is_there(collection: str, says: str):
    message = absent_message("/data", collection, AVAILABLE)
    assert message.startswith(f"store /data: no {collection}")
    assert says in message


def test_nothing_is_available_in_an_empty_store():
    assert absent_message("/data", "measures/a/2010", []) == "store /data: no measures/a/2010; available: nothing yet"


@pytest.mark.parametrize(
    ("collection", "command"),
    [
        ("tracts/2010", "jobs/ingest.py tracts FILE --vintage 2010"),
        ("neighbors/2020", "jobs/neighbors.py --vintage 2020"),
        ("regions/place/2020", "jobs/ingest.py regions FILE --name place --vintage 2020"),
    ],
)
def test_what_is_absent_is_named_with_the_command_that_writes_it(collection: str, command: str):
    assert absent_message("/data", collection, AVAILABLE).endswith(f" ({command} writes it)")
    assert absent_message("/data", collection, []).endswith(f"available: nothing yet ({command} writes it)")
