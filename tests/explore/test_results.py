"""What the results page answers: the store's own values on real tracts, every tract in view, and nothing else."""

import json
import struct
import threading
import zlib
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from stores import DEFINITION, INDEX, QUIET, build_graph, build_index, ingest_sample, make

from geomob_dask.errors import GeomobError, InputError
from geomob_dask.explore import results
from geomob_dask.explore.drawn import NotPreparedError
from geomob_dask.explore.geometry import LEVELS, collection_of, prepare
from geomob_dask.explore.serving import Cache, Explorer, Request, UnknownError
from geomob_dask.outputs.reasons import is_suppressed
from geomob_dask.products import exposure, intervals
from geomob_dask.runs.landing import ingest
from geomob_dask.sources.sample_survey import write_survey
from geomob_dask.store import Provenance, Store

ROUTES = {route.pattern.removeprefix("results/"): route.answer for route in results.PART.routes}


class Page:
    """The page of one store, without a scheduler."""

    def __init__(self, store: Store) -> None:
        self.explorer = Explorer(None)
        self.explorer.add_store(store.url)

    def bytes(self, route: str, **query: object) -> bytes:
        plain = {name.removesuffix("_"): str(value) for name, value in query.items()}
        return ROUTES[route](Request(self.explorer, (), plain)).plain()

    def json(self, route: str, **query: object):
        return json.loads(self.bytes(route, **query))

    def values(self, **query: object) -> dict:
        return arrays(self.bytes("values", **query))

    def bounds(self, **query: object) -> dict:
        return arrays(self.bytes("bounds", **query))

    def packs(self, **query: object) -> list[bytes]:
        body, found = self.bytes("polygons", **query), []
        while body:
            (length,) = struct.unpack("<I", body[:4])
            found.append(body[4 : 4 + length])
            body = body[4 + length :]
        return found


def arrays(body: bytes) -> dict:
    (length,) = struct.unpack("<I", body[:4])
    found = json.loads(body[4 : 4 + length])
    at = 4 + length
    for name, about in found.pop("arrays").items():
        array = np.frombuffer(body, about["type"], about["length"], at)
        found[name] = array
        at += -(-array.nbytes // 8) * 8
    return found


def rows_of(pack: bytes) -> list[int]:
    """Return the rows that packed polygons name."""
    data = zlib.decompress(pack) if pack[0] == 0x78 else pack
    count = struct.unpack("<I", data[8:12])[0]
    rows, at, row = [], 44, 0
    for _ in range(count):
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        row += (value >> 1) ^ -(value & 1)
        rows.append(row)
    return rows


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> Store:
    """Return the sample country with an index and its intervals; its polygons are not prepared."""
    folder = tmp_path_factory.mktemp("sample")
    store = ingest_sample(str(folder / "store"), folder)
    build_graph(store)
    build_drawn(store, folder)
    return store


def build_drawn(store: Store, folder: Path) -> None:
    """Compute an index of the sample's survey, with its intervals."""
    ingest(store, "measures", file=str(write_survey(folder)), dataset="survey", year=2020, vintage="sample")
    build_index(store, options=INDEX.model_copy(update={"dataset": "survey"}))
    make(store, "intervals", drawn_of(6))


def drawn_of(draws: int) -> intervals.Options:
    return intervals.Options(definition=DEFINITION, dataset="survey", year=2020, draws=draws)


@pytest.fixture(scope="module")
def ohio(tmp_path_factory, real_data) -> Store:
    """Return real tracts of Ohio and Indiana, measures of 2018, and exposures by county."""
    folder = tmp_path_factory.mktemp("ohio")
    store = Store(str(folder / "store"))
    tracts = gpd.read_parquet(real_data / "tracts" / "cb500k_2010_vintage.parquet")
    tracts[tracts["GEOID"].str[:2].isin(["18", "39"])].to_parquet(folder / "tracts.parquet")
    ingest(store, "tracts", files=[str(folder / "tracts.parquet")], vintage="2010")
    measures = pd.read_csv(real_data / "opportunity_2018" / "measures.csv.gz", dtype={"GEOID": str, "geoid": str})
    key = "geoid" if "geoid" in measures else "GEOID"
    measures[key] = measures[key].str.zfill(11)
    measures[measures[key].str[:2] == "39"].to_parquet(folder / "measures.parquet")
    ingest(store, "measures", file=str(folder / "measures.parquet"), dataset="acs", year=2018, vintage="2010")
    race = str(real_data / "exposure" / "acs5_2018_race_10_states.csv.gz")
    ingest(store, "measures", file=race, dataset="race", year=2018, vintage="2010")
    make(store, "exposure", exposure.Options(dataset="race", year=2018, by="county", states=("39",), threshold=200))
    return store


@pytest.fixture(scope="module")
def prepared(ohio) -> Store:
    prepare(ohio, "2010", console=QUIET)
    return ohio


def entry_of(page: Page, product: str, **more: str) -> str:
    entries = page.json("catalog")["entries"]
    return next(
        one["id"]
        for one in entries
        if one["product"] == product and all(one[name] == value for name, value in more.items())
    )


# What there is ----------------------------------------------------------------------------------


def test_the_catalog_names_results_with_their_years_measures_and_labels(sample) -> None:
    page = Page(sample)
    entries = {one["product"]: one for one in page.json("catalog")["entries"]}
    assert list(entries) == ["opportunity", "measures"]
    assert entries["opportunity"]["years"] == [2020]
    details = page.json("details", entry=entries["opportunity"]["id"])
    assert (details["vintage"], details["unit"]) == ("sample", "tract")
    first = details["measures"][0]
    assert first == {"id": "opportunity", "label": "Opportunity", "unit": "0 to 100", "better": 1, "bounds": True}
    assert all(one["better"] == -1 for one in details["measures"] if one["label"].startswith("Deprivation"))


def test_values_are_those_of_the_store_with_their_intervals_and_reasons(sample) -> None:
    page = Page(sample)
    entry = entry_of(page, "opportunity")
    stored = sample.frame(entry.replace("{year}", "2020")).compute().sort_index()
    bounds = sample.frame(drawn_of(6).collection()).compute()
    units = page.json("units", entry=entry)
    codes = [
        county + own[place : place + 6] for county, own in units["tracts"].items() for place in range(0, len(own), 6)
    ]
    assert codes == sorted(codes)
    assert len(codes) == units["count"]
    found = page.values(entry=entry, year=2020, measure="opportunity")
    expected = stored["opportunity"].reindex(codes)
    np.testing.assert_array_equal(found["values"], expected.to_numpy(np.float32))
    reasons = [found["reasons"][flag] for flag in found["flags"]]
    for code, reason, value in zip(codes, reasons, expected, strict=True):
        if np.isnan(value):
            assert reason == (stored["reason"].get(code) or reason) != "value as computed"
    between = page.bounds(entry=entry, year=2020, measure="opportunity")
    # An interval has the value that it lies about with it: the published one is outside of some.
    for name, column in {
        "lower": "opportunity_lb",
        "corrected": "opportunity_corrected",
        "upper": "opportunity_ub",
    }.items():
        np.testing.assert_array_equal(between[name], bounds[column].reindex(codes).to_numpy(np.float32))
    outside = (expected < bounds["opportunity_lb"].reindex(codes)) | (
        expected > bounds["opportunity_ub"].reindex(codes)
    )
    assert outside.any()
    known = np.isfinite(between["corrected"])
    assert known.any()
    assert np.all((between["lower"] <= between["corrected"])[known] & (between["corrected"] <= between["upper"])[known])
    code = outside.idxmax()
    [year] = page.json("series", entry=entry, year=2020, measure="opportunity", unit=code)["rows"]
    assert (year["value"], year["corrected"]) == pytest.approx((expected[code], bounds["opportunity_corrected"][code]))


def test_bounds_of_a_state_are_read_from_its_part_alone_and_are_those_of_its_rows(sample, monkeypatch) -> None:
    page = Page(sample)
    one = {"entry": entry_of(page, "opportunity"), "year": 2020, "measure": "opportunity"}
    everything = page.bounds(**one)
    assert everything["first"] == 0
    codes = results._Asked(Request(page.explorer, (), {})).drawn("sample", "tract").codes
    states = sorted({code[:2] for code in codes.tolist()})
    read = []
    original = Store.read
    monkeypatch.setattr(Store, "read", lambda self, part, *rest: read.append(part.key) or original(self, part, *rest))
    for state in states:
        own = page.bounds(**one, within=state)
        rows = slice(own["first"], own["first"] + len(own["lower"]))
        assert {code[:2] for code in codes[rows].tolist()} == {state}
        assert len(own["lower"]) == sum(code[:2] == state for code in codes.tolist())
        for name in ("lower", "upper"):
            np.testing.assert_array_equal(own[name], everything[name][rows])
        assert {key.split("/")[-1][:2] for key in read} == {state}, read
        # Of the index and of its intervals.
        assert len(read) == 2
        read.clear()


def test_the_bounds_of_a_ranking_are_those_of_its_rows(sample) -> None:
    page = Page(sample)
    one = {"entry": entry_of(page, "opportunity"), "year": 2020, "measure": "opportunity"}
    everything = page.bounds(**one)
    ranked = page.json("table", **one, limit=20)["rows"]
    assert len(ranked) == 20
    assert [row["value"] for row in ranked] == sorted((row["value"] for row in ranked), reverse=True)
    for row in ranked:
        assert row["lower"] == pytest.approx(everything["lower"][row["row"]], rel=1e-6)
        assert row["upper"] == pytest.approx(everything["upper"][row["row"]], rel=1e-6)
        assert row["lower"] <= row["corrected"] == pytest.approx(everything["corrected"][row["row"]], rel=1e-6)


def test_intervals_come_with_the_index_that_they_were_drawn_of(tmp_path) -> None:
    store = ingest_sample(str(tmp_path / "store"), tmp_path)
    build_graph(store)
    build_drawn(store, tmp_path)
    page = Page(store)
    one = {"entry": entry_of(page, "opportunity"), "year": 2020}

    def shown() -> str:
        # As it is seen some seconds later.
        page.explorer.memory.clear()
        for key in [key for key in page.explorer.cache._kept if key[0] == "intervals"]:
            del page.explorer.cache._kept[key]
        asked = results._Asked(Request(page.explorer, (), {name: str(value) for name, value in one.items()}))
        return asked.contents(asked.entry(), 2020).measures["opportunity"].intervals

    assert shown() == drawn_of(6).collection()
    # Of more draws, made while somebody looks.
    make(store, "intervals", drawn_of(7))
    assert shown() == drawn_of(7).collection()
    assert page.json("details", **one)["measures"][0]["bounds"]
    # Of other measures: the index is computed again, its intervals are not.
    measures = store.snapshot("measures/survey/2020")
    other = {
        state: store.put(
            measures.collection, state, store.read(part).assign(poverty_pct=lambda table: 100 - table["poverty_pct"])
        )
        for state, part in measures.parts.items()
    }
    store.commit(measures.collection, other, Provenance("test", {}), measures.attributes)
    build_index(store, options=INDEX.model_copy(update={"dataset": "survey"}))
    assert shown() == ""
    assert not page.json("details", **one)["measures"][0]["bounds"]
    assert set(page.bounds(**one, measure="opportunity")) == {"version", "first"}
    make(store, "intervals", drawn_of(5))
    assert shown() == drawn_of(5).collection()
    # Of another definition of the same name.
    other = DEFINITION.model_copy(update={"title": "Another index"})
    build_index(store, options=INDEX.model_copy(update={"dataset": "survey", "definition": other}))
    assert shown() == ""


def test_bounds_say_which_values_they_belong_to(tmp_path) -> None:
    store = ingest_sample(str(tmp_path / "store"), tmp_path)
    name, states = "measures/bounded/2020", list(store.snapshot("tracts/sample").parts.items())

    def write(value: float) -> None:
        parts = {}
        for state, part in states:
            keys = store.read(part, ["aland"]).index
            table = pd.DataFrame({"people": value, "people_moe": value / 10}, index=keys)
            parts[state] = store.put(name, state, table)
        store.commit(name, parts, Provenance(str(value), {}), {"vintage": "sample"})

    write(100.0)
    page = Page(store)
    one = {"entry": entry_of(page, "measures", dataset="bounded"), "year": 2020, "measure": "people"}
    before = page.values(**one)
    assert page.bounds(**one, within=states[0][0])["version"] == before["version"]
    write(200.0)
    # As it is seen some seconds later, when snapshots are looked up again.
    page.explorer.memory.clear()
    bounds = page.bounds(**one, within=states[0][0])
    assert set(bounds["upper"]) == {220.0}
    assert bounds["version"] != before["version"]
    assert page.values(**one)["version"] == bounds["version"]


def test_real_tracts_have_their_known_values_in_every_answer(ohio) -> None:
    page = Page(ohio)
    entry = entry_of(page, "measures", dataset="acs")
    table = ohio.frame("measures/acs/2018").compute()
    measure = next(
        one["id"] for one in page.json("details", entry=entry)["measures"] if table[one["id"]].notna().sum() > 2900
    )
    code = table[measure].idxmax()
    top = page.json("table", entry=entry, year=2018, measure=measure, limit=1)
    assert top["rows"][0]["code"] == code
    assert top["rows"][0]["value"] == pytest.approx(table.loc[code, measure], rel=1e-6)
    series = page.json("series", entry=entry, year=2018, measure=measure, unit=code)
    assert [row["value"] for row in series["rows"]] == [top["rows"][0]["value"]]
    assert series["name"].endswith("Ohio")
    histogram = page.json("histogram", entry=entry, year=2018, measure=measure, within="39")
    drawn = table.index.isin(ohio.frame("tracts/2010").compute().index)
    assert sum(histogram["counts"]) == histogram["known"] == int(table.loc[drawn, measure].notna().sum())
    counties = page.json("table", entry=entry, year=2018, measure=measure, by="county", limit=200)["rows"]
    franklin = next(row for row in counties if row["code"] == "39049")
    own = table.loc[drawn & np.asarray(table.index.str.startswith("39049")), measure]
    assert franklin["name"] == "Franklin County, Ohio"
    assert franklin["value"] == pytest.approx(own.median(), rel=1e-6)


def test_suppressed_is_told_from_missing_and_from_what_a_result_has_not(ohio) -> None:
    page = Page(ohio)
    entry = entry_of(page, "exposure")
    details = page.json("details", entry=entry)
    assert details["unit"] == "county"
    stored = ohio.frame(entry.replace("{year}", "2018")).compute()
    seen = set()
    for one in details["measures"]:
        column = f"{one['id']}_reason"
        if not one["id"].endswith("_exposure"):
            continue
        found = page.values(entry=entry, year=2018, measure=one["id"])
        codes = page.json("units", entry=entry)["codes"]
        reasons = pd.Series([found["reasons"][flag] for flag in found["flags"]], codes)
        kinds = pd.Series([found["kinds"][flag] for flag in found["flags"]], codes)
        missing = pd.Series(found["values"], codes).isna()
        assert (reasons[[code for code in codes if code[:2] == "18"]] == "no row of this year").all()
        own = stored[column][stored[f"{one['id']}_corrected"].isna() & (stored[column] != "")]
        assert (reasons[own.index] == own).all()
        assert (kinds[own.index] == [2 if is_suppressed(text) else 1 for text in own]).all()
        seen |= set(kinds[missing])
        # The value that bounds belong to.
        shown = stored[f"{one['id']}_corrected"].fillna(stored[one["id"]])
        np.testing.assert_array_equal(found["values"], shown.reindex(codes).to_numpy(np.float32))
    assert seen == {1, 2}
    # Counties of Indiana have no row in it.
    ranked = page.json("table", entry=entry, year=2018, measure=details["measures"][0]["id"], limit=200)
    assert {row["code"][:2] for row in ranked["rows"]} == {"39"}
    assert ranked["count"] == len(stored)


# Where it is ------------------------------------------------------------------------------------


def test_the_cells_of_any_view_hold_all_tracts_in_it(prepared) -> None:
    page = Page(prepared)
    entry = entry_of(page, "measures", dataset="acs")
    assert prepared.find(collection_of("tract", "2010")) is not None
    kept = page.explorer.cache
    codes = prepared.frame("tracts/2010", columns=["aland"]).compute().index
    asked = results._Asked(Request(page.explorer, (), {}))
    on = asked.drawn("2010", "tract")
    assert on.codes.tolist() == codes.tolist()
    rng = np.random.default_rng(0)
    left, bottom, right, top = on.attributes["extent"]
    for level in range(len(LEVELS)):
        for _ in range(3):
            x, y = sorted(rng.uniform(left, right, 2).astype(int)), sorted(rng.uniform(bottom, top, 2).astype(int))
            cells = page.json("cells", entry=entry, level=level, left=x[0], right=x[1], bottom=y[0], top=y[1])[
                "polygons"
            ]
            rows: set[int] = set()
            for place in range(0, len(cells), 40):
                some = ",".join(cells[place : place + 40])
                rows |= {row for pack in page.packs(entry=entry, level=level, cells=some) for row in rows_of(pack)}
            box = on.boxes
            inside = (box[:, 0] < x[1]) & (box[:, 2] > x[0]) & (box[:, 1] < y[1]) & (box[:, 3] > y[0])
            assert set(np.flatnonzero(inside)) <= rows
    everything = {row for pack in page.packs(entry=entry, level=0) for row in rows_of(pack)}
    assert everything == set(range(len(codes)))
    assert kept.size <= kept.limit


def test_a_prepared_vintage_is_prepared_once_and_again_when_its_polygons_change(tmp_path, client) -> None:
    store = ingest_sample(str(tmp_path / "store"), tmp_path)
    lines = prepare(store, "sample", client)
    names = [collection_of(unit, "sample") for unit in ("county", "state", "tract")]
    assert store.collections("display") == names
    assert "up to date" not in lines[-1]
    before = [store.snapshot(name) for name in names]
    assert "up to date" in prepare(store, "sample", client)[-1]
    assert [store.snapshot(name) for name in names] == before
    alone = ingest_sample(str(tmp_path / "alone"), tmp_path)
    prepare(alone, "sample")
    assert [alone.snapshot(name).checksum() for name in names] == [one.checksum() for one in before]
    part = store.snapshot("tracts/sample").parts
    state, first = next(iter(part.items()))
    moved = store.read(first)
    moved["geometry"] = moved.geometry.translate(0.001)
    store.commit(
        "tracts/sample",
        {state: store.put("tracts/sample", state, moved)},
        Provenance("test", {}),
        store.snapshot("tracts/sample").attributes,
        keep_others=True,
    )
    assert "up to date" not in prepare(store, "sample")[-1]


def test_a_small_vintage_is_drawn_without_preparing_and_a_large_one_names_the_command(sample, monkeypatch) -> None:
    page = Page(sample)
    entry = entry_of(page, "opportunity")
    assert len(page.packs(entry=entry, level=0)) == len(sample.snapshot("tracts/sample").parts)
    monkeypatch.setattr("geomob_dask.explore.drawn.SMALL", 10)
    with pytest.raises(NotPreparedError, match=r"jobs/explore\.py .*--prepare sample"):
        Page(sample).json("units", entry=entry)


def test_regions_of_a_table_are_drawn_as_regions(ohio, tmp_path) -> None:
    rows = ohio.frame("tracts/2010", columns=["aland"]).compute().index
    zone = np.where(rows.str[:2] == "39", np.where(rows.str[2:5] < "100", "z1", "z2"), "z2")
    file = tmp_path / "zones.csv"
    pd.DataFrame({"geoid": rows, "region": zone}).to_csv(file, index=False)
    store = Store(str(tmp_path / "store"))
    tracts = ohio.frame("tracts/2010").compute()
    tracts.rename_axis("GEOID").reset_index().to_parquet(tmp_path / "tracts.parquet")
    ingest(store, "tracts", files=[str(tmp_path / "tracts.parquet")], vintage="2010")
    ingest(store, "regions", file=str(file), name="zones", vintage="2010")
    prepare(store, "2010")
    explorer = Explorer(None)
    explorer.add_store(store.url)
    on = results._Asked(Request(explorer, (), {})).drawn("2010", "zones")
    assert on.codes.tolist() == ["z1", "z2"]
    level = {cell[:2] for cell in on.of_level(1)}
    assert level == {"18", "39"}


def test_regions_of_a_column_are_drawn_as_regions(tmp_path) -> None:
    store = ingest_sample(str(tmp_path / "store"), tmp_path)
    about = {"vintage": "sample"}
    for state, part in store.snapshot("tracts/sample").parts.items():
        keys = store.read(part, ["aland"]).index
        table = pd.DataFrame({"people": 1.0, "zone": np.where(np.arange(len(keys)) % 2, "b", "a")}, index=keys)
        one = {state: store.put("measures/zoned/2020", state, table.astype({"zone": "str"}))}
        store.commit("measures/zoned/2020", one, Provenance("test", {}), about, keep_others=True)
    name = "results/segregation/two/zoned/2020/zone-00000000"
    table = pd.DataFrame({"people": [3.0, 4.0], "dissimilarity": [0.25, 0.5]}, pd.Index(["a", "b"], name="region"))
    run = Provenance("segregation", {}, {"by": "zone", "dataset": "zoned", "year": 2020})
    store.commit(name, {"all": store.put(name, "all", table)}, run, about)
    for ready in (False, True):
        if ready:
            prepare(store, "sample")
            assert store.find(collection_of("zone", "sample")) is not None
            assert "up to date" in prepare(store, "sample")[-1]
        page = Page(store)
        entry = entry_of(page, "segregation")
        assert page.json("details", entry=entry)["measures"][0]["id"] == "dissimilarity"
        assert page.json("units", entry=entry)["codes"] == ["a", "b"]
        assert page.values(entry=entry, year=2020, measure="dissimilarity")["values"].tolist() == [0.25, 0.5]


# Names ------------------------------------------------------------------------------------------


def test_places_are_found_by_name_with_accents_and_without(ohio) -> None:
    page = Page(ohio)
    entry = entry_of(page, "measures", dataset="acs")
    found = page.json("search", entry=entry, q="franklin county")["places"]
    assert (found[0]["code"], found[0]["name"], found[0]["count"]) == ("39049", "Franklin County, Ohio", 284)
    assert page.json("search", entry=entry, q="COLUMBUS")["places"][0]["name"].startswith("Columbus")
    tract = page.json("search", entry=entry, q="39049001000")["places"]
    assert tract[0]["name"] == "Census Tract 10, Franklin County, Ohio"
    assert page.json("search", entry=entry, q="<script>")["places"] == []


# What nobody may ask ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("route", "query"),
    [
        ("values", {"entry": "../../etc/passwd"}),
        ("bounds", {"within": "../39"}),
        ("bounds", {"measure": "geometry"}),
        ("values", {"entry": "measures/sample/../../{year}"}),
        ("values", {"year": "../2020"}),
        ("values", {"measure": "__class__"}),
        ("values", {"measure": "geometry"}),
        ("scale", {"method": "exec"}),
        ("scale", {"classes": "1000000"}),
        ("table", {"limit": "100000000"}),
        ("table", {"offset": "-1"}),
        ("table", {"offset": "--5"}),
        ("table", {"within": "../39"}),
        ("cells", {"level": "9", "left": 0, "bottom": 0, "right": 1, "top": 1}),
        ("cells", {"level": "1", "left": "1e308", "bottom": 0, "right": 1, "top": 1}),
        ("polygons", {"level": 1, "cells": ",".join(["91-1-0000"] * 41)}),
        ("polygons", {"level": 1, "cells": "../../tracts"}),
        ("polygons", {"level": 1, "of": "measures"}),
        ("series", {"unit": "../../39"}),
        ("values", {"minus_entry": "results/x", "minus_year": 2020, "minus_measure": "a"}),
    ],
)
def test_what_is_not_of_the_catalog_or_out_of_bounds_is_refused(sample, route, query) -> None:
    page = Page(sample)
    good = {"entry": entry_of(page, "opportunity"), "year": 2020, "measure": "opportunity"}
    with pytest.raises((UnknownError, InputError)):
        page.bytes(route, **{**good, **query})


def test_texts_of_a_store_stay_texts(tmp_path) -> None:
    store = ingest_sample(str(tmp_path / "store"), tmp_path)
    geoids = store.frame("tracts/sample", columns=["aland"]).compute().index
    table = pd.DataFrame(
        {"<img src=x onerror=alert(1)>": np.nan, "reason": "<script>alert(1)</script> suppressed"}, geoids
    )
    for state, own in table.groupby(table.index.str[:2]):
        part = store.put("measures/odd/2020", state, own)
        store.commit("measures/odd/2020", {state: part}, Provenance("t", {}), {"vintage": "sample"}, keep_others=True)
    page = Page(store)
    entry = entry_of(page, "measures", dataset="odd")
    measure = page.json("details", entry=entry)["measures"][0]["id"]
    found = page.values(entry=entry, year=2020, measure=measure)
    assert "<script>alert(1)</script> suppressed" in found["reasons"]
    assert {found["kinds"][flag] for flag in found["flags"]} == {2}
    assert page.json("scale", entry=entry, year=2020, measure=measure) is None
    assert page.json("histogram", entry=entry, year=2020, measure=measure)["counts"] == []


def put_measures(store: Store, name: str, values: object, year: int = 2020, **attributes: str) -> dict[str, object]:
    """Write a measure of the sample's tracts; return what a request asks for."""
    collection = f"measures/{name}/{year}"
    table = pd.DataFrame({"x": values}, store.frame("tracts/sample", columns=["aland"]).compute().index)
    for state, own in table.groupby(table.index.str[:2]):
        part = store.put(collection, state, own)
        store.commit(collection, {state: part}, Provenance("t", {}), attributes, keep_others=True)
    return {"entry": f"measures/{name}/{{year}}", "year": year, "measure": "x"}


def test_numbers_that_no_color_stands_for_are_missing(tmp_path) -> None:
    store = ingest_sample(str(tmp_path / "store"), tmp_path)
    count = len(store.frame("tracts/sample", columns=["aland"]).compute())
    values = np.resize([np.inf, 1e300, -1e300, 5.0], count)
    ask, page = put_measures(store, "odd", values, vintage="sample"), Page(store)
    found = page.values(**ask)
    np.testing.assert_array_equal(found["values"], np.where(values == 5, 5, np.nan))
    assert {found["reasons"][flag] for flag in found["flags"][values != 5]} == {"no value, and no reason given"}
    assert page.json("histogram", **ask)["known"] == int((values == 5).sum())


@pytest.mark.parametrize("value", [0.0, 1e-12, -7.0, 1e20])
def test_a_histogram_of_one_value_has_all_of_it(tmp_path, value) -> None:
    store = ingest_sample(str(tmp_path / "store"), tmp_path)
    ask, page = put_measures(store, "same", value, vintage="sample"), Page(store)
    found = page.json("histogram", **ask)
    assert sum(found["counts"]) == found["known"] == found["all"] > 0
    assert found["edges"][0] < value < found["edges"][-1]


def test_what_has_no_map_says_why(tmp_path) -> None:
    store = ingest_sample(str(tmp_path / "store"), tmp_path)
    for name, attributes in (("bare", {}), ("beyond", {"vintage": "../../../etc"}), ("other", {"vintage": "1990"})):
        ask = put_measures(store, name, 1.0, **attributes)
        with pytest.raises(InputError, match="no vintage" if name == "bare" else "1990|expected names"):
            Page(store).bytes("values", **ask)


def test_values_say_of_which_units_they_are(tmp_path) -> None:
    store = ingest_sample(str(tmp_path / "store"), tmp_path)
    page = Page(store)
    ask = {"entry": "measures/sample/{year}", "year": 2020}
    measure = page.json("details", **ask)["measures"][0]["id"]
    assert page.values(**ask, measure=measure)["drawn"] == page.json("units", **ask)["drawn"]
    before = page.json("units", **ask)["drawn"]
    state, part = next(iter(store.snapshot("tracts/sample").parts.items()))
    fewer = store.read(part).iloc[1:]
    about = store.snapshot("tracts/sample").attributes
    put = {state: store.put("tracts/sample", state, fewer)}
    store.commit("tracts/sample", put, Provenance("t", {}), about, keep_others=True)
    again = Page(store)
    now = again.json("units", **ask)["drawn"]
    assert again.values(**ask, measure=measure)["drawn"] == now != before
    # Polygons name units by their places: those of now are not for a browser that has the values of others.
    view = {"level": 1, "left": -(10**7), "bottom": -(10**7), "right": 10**7, "top": 10**7}
    cells = again.json("cells", **ask, **view, drawn=now)
    assert cells == again.json("cells", **ask, **view)
    wanted = {"county": "borders", "tract": "polygons"}
    for of, what in wanted.items():
        one = {"level": 1, "of": of, "what": what, "cells": cells["polygons" if of == "tract" else of][0]}
        assert again.packs(**ask, **one, drawn=now) == again.packs(**ask, **one)
        with pytest.raises(UnknownError, match="replaced"):
            again.packs(**ask, **one, drawn=before)
    for query in (view, {**view, "level": 0}):
        with pytest.raises(UnknownError, match="replaced"):
            again.json("cells", **ask, **query, drawn=before)


# How often the store is asked --------------------------------------------------------------------


def test_the_store_is_listed_again_for_what_was_not_there_and_for_a_new_page(tmp_path, monkeypatch) -> None:
    store = ingest_sample(str(tmp_path / "store"), tmp_path)
    ask, page = put_measures(store, "own", 1.0, vintage="sample"), Page(store)
    page.json("catalog")
    walks = []
    original = Store.collections
    monkeypatch.setattr(Store, "collections", lambda self, *rest: walks.append(rest) or original(self, *rest))

    def pass_seconds() -> None:
        page.explorer.memory["listing", store.url]._until = -np.inf

    pass_seconds()
    for route in ("details", "units", "values", "scale", "histogram", "table", "bounds"):
        page.bytes(route, **ask)
    page.bytes("series", **ask, unit=page.json("table", **ask)["rows"][0]["code"])
    page.bytes("cubes")
    assert walks == []
    newer = put_measures(store, "own", 2.0, 2021, vintage="sample")
    assert set(page.values(**newer)["values"]) == {2.0}
    assert len(walks) == 2
    # Again only after some seconds, whatever is asked for.
    for _ in range(3):
        with pytest.raises(UnknownError, match="nowhere"):
            page.bytes("values", **{**ask, "entry": "nowhere"})
    assert len(walks) == 2
    pass_seconds()
    assert page.json("catalog")["entries"][0]["years"] == [2020, 2021]
    assert len(walks) == 4


def test_the_years_of_a_series_are_read_at_once_and_kept(tmp_path, monkeypatch) -> None:
    store = ingest_sample(str(tmp_path / "store"), tmp_path)
    years = (2018, 2019, 2020)
    for year in years:
        ask = put_measures(store, "own", float(year), year, vintage="sample")
    page = Page(store)
    code = page.json("table", **ask)["rows"][0]["code"]
    together, read = threading.Barrier(len(years)), []
    original = Store.read

    def held(self, part, *rest):
        read.append(part.key)
        together.wait(20)
        return original(self, part, *rest)

    monkeypatch.setattr(Store, "read", held)
    expected = [(year, float(year)) for year in years]
    for _ in range(2):
        rows = page.json("series", **ask, unit=code)["rows"]
        assert [(row["year"], row["value"]) for row in rows] == expected
    assert len(read) == len(years)


# Memory -----------------------------------------------------------------------------------------


def test_what_is_kept_stays_within_its_bytes() -> None:
    class Held:
        def __init__(self, size: int) -> None:
            self.size = size

    cache = Cache(1000)
    for number in range(50):
        cache.of(number, lambda: Held(90))
        assert cache.size <= 1000
    assert cache.of("large", lambda: Held(400)).size == 400
    assert cache.size <= 1000
    made = []
    cache.of(49, lambda: made.append(1) or Held(90))
    assert not made


def test_many_years_and_measures_leave_no_more_than_the_bound(sample) -> None:
    page = Page(sample)
    page.explorer.cache.limit = 300_000
    entry = entry_of(page, "opportunity")
    for one in page.json("details", entry=entry)["measures"]:
        page.values(entry=entry, year=2020, measure=one["id"])
        page.json("scale", entry=entry, year=2020, measure=one["id"], method="equal steps")
        assert page.explorer.cache.size <= 300_000


def test_a_difference_is_that_of_both_values(sample) -> None:
    page = Page(sample)
    entry = entry_of(page, "opportunity")
    minus = {"minus_entry": entry, "minus_year": 2020, "minus_measure": "deprivation"}
    one = page.values(entry=entry, year=2020, measure="opportunity")["values"]
    other = page.values(entry=entry, year=2020, measure="deprivation")["values"]
    both = page.values(entry=entry, year=2020, measure="opportunity", **minus)
    np.testing.assert_array_equal(both["values"], one - other)
    assert page.json("scale", entry=entry, year=2020, measure="opportunity", **minus)["kind"] == "diverging"
    with pytest.raises(GeomobError):
        page.json("scale", entry=entry, year=2021, measure="opportunity")
    income = {"minus_entry": "measures/survey/{year}", "minus_year": 2020, "minus_measure": "median_income_usd"}
    for route in ("values", "scale", "histogram", "table"):
        with pytest.raises(InputError, match="poverty_pct in % and median_income_usd in USD"):
            page.bytes(route, entry="measures/survey/{year}", year=2020, measure="poverty_pct", **income)


def test_the_job_prepares_a_vintage_and_refuses_one_that_is_not_there(tmp_path, job) -> None:
    store = ingest_sample(str(tmp_path / "store"), tmp_path)
    at = ("--store", store.url, "--cluster", "serial")
    done = job("explore", "--prepare", "sample", *at)
    assert (done.code, "4 zoom levels" in done.out) == (0, True), done
    assert store.find(collection_of("tract", "sample")) is not None
    assert "up to date" in job("explore", "--prepare", "sample", *at).out
    refused = job("explore", "--prepare", "nowhere", *at)
    assert (refused.code, "nowhere" in refused.err) == (2, True), refused
