"""Segregation and mixing as functions of frames: the same bits in memory and over any partitions."""

import json
import zipfile
from pathlib import Path

import dask
import dask.dataframe as dd
import dask_geopandas
import geopandas as gpd
import numpy as np
import oracles_segregation as oracle
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from geomob_dask.errors import CountsError, DefinitionError, GeometryError, InputError
from geomob_dask.frames.local_segregation import local
from geomob_dask.frames.mixing import mixing
from geomob_dask.frames.region_blocks import whole_regions
from geomob_dask.frames.region_totals import totals_of
from geomob_dask.frames.regions import regions_of
from geomob_dask.frames.segregation import segregation
from geomob_dask.frames.units import People, units_of
from geomob_dask.metrics.segregation_catalog import INDICES
from geomob_dask.metrics.segregation_draws import DrawKey, evenness, resampled_persons
from geomob_dask.metrics.segregation_multi_group import information_theory
from geomob_dask.metrics.segregation_spatial import environment, neighborhood_weights
from geomob_dask.metrics.segregation_sums import RegionSums
from geomob_dask.sources.brackets import Brackets, categories_of

GROUPS = ["a", "b", "c"]
DRAWN = ["information_theory", "multigroup_gini", "dissimilarity", "delta", "spatial_information_theory"]


@pytest.fixture(autouse=True)
def in_this_process():
    with dask.config.set(scheduler="synchronous"):
        yield


class Country:
    """Tracts in a row, neighbors of those before and after; regions in no order; fractions of people."""

    def __init__(self, n: int, seed: int = 0, *, regions: int = 3) -> None:
        rng = np.random.default_rng(seed)
        keys = pd.Index([f"{k // 5:05d}{k:06d}" for k in range(n)], dtype="str", name="geoid")
        people = rng.integers(0, 40, (n, 3)) * rng.choice([1.0, 0.1], n)[:, None]
        people[rng.random(n) < 0.1] = 0
        people[0] = 1
        self.measures = pd.DataFrame(people, index=keys, columns=GROUPS)
        self.measures["zone"] = [f"r{code}" for code in rng.integers(0, regions, n)]
        x = np.arange(n) * 400.0
        boxes = shapely.box(x, 0, x + 400, rng.integers(200, 900, n).astype(float))
        self.tracts = gpd.GeoDataFrame({"aland": rng.random(n) * 1e6}, geometry=boxes, index=keys, crs="EPSG:5070")
        pairs = [(one, other) for one in range(n) for other in (one - 1, one + 1) if 0 <= other < n]
        focal, neighbor = (keys[[pair[side] for pair in pairs]] for side in (0, 1))
        self.edges = pd.DataFrame({"neighbor": neighbor}, index=focal.rename("focal"))

    def lazy(self, cuts: list[int]) -> dict:
        """Return the frames on Dask, cut before these rows; partitions may be empty of edges."""
        keys = self.measures.index
        divisions = [keys[0], *(keys[cut] for cut in cuts), keys[-1]]

        def split(frame):
            maker = dask_geopandas.from_geopandas if isinstance(frame, gpd.GeoDataFrame) else dd.from_pandas
            return maker(frame, npartitions=1).repartition(divisions=divisions, force=True)

        return {"measures": split(self.measures), "tracts": split(self.tracts), "edges": split(self.edges)}

    def __call__(self, **options) -> pd.DataFrame:
        frames = {"tracts": self.tracts, "edges": self.edges}
        return segregation(self.measures, **{"groups": GROUPS, "by": "zone", **frames, **options})


# Of few random tracts one group may have the people of another in every tract.
@pytest.mark.filterwarnings("ignore:groups. [abc] has at least")
@settings(max_examples=8)
@given(st.integers(6, 24), st.integers(0, 1000), st.data())
def test_partitions_change_no_bit(n: int, seed: int, data: st.DataObject) -> None:
    country, before = Country(n, seed), Country(n, seed + 1)
    chosen = data.draw(st.lists(st.integers(1, n - 2), max_size=4, unique=True).map(sorted))
    options = {
        "groups": GROUPS,
        "by": "zone",
        "levels": ("county",),
        "draws": 4,
        "null": "units",
        "interval": "units",
        "since": before.measures,
        "year": 2020,
        "seed": 3,
    }
    whole = country(**options)
    assert not [name for name in INDICES if not any(column.startswith(name) for column in whole) and "or" not in name]
    lazy = segregation(**country.lazy(chosen), **options, draws_a_task=data.draw(st.integers(1, 4)))
    assert lazy.npartitions == 1
    found = lazy.compute()
    pd.testing.assert_frame_equal(found, whole, check_exact=True)
    pd.testing.assert_frame_equal(lazy._meta, found.iloc[:0])


@pytest.mark.parametrize("cuts", [[], [3], [2, 5, 9]])
def test_tables_of_tracts_have_the_same_rows_in_any_partitions(cuts: list[int]) -> None:
    country = Country(12, 7)
    measures = country.lazy(cuts)["measures"]
    for function, options in ((mixing, {"brackets": GROUPS}), (local, {"groups": GROUPS})):
        whole = function(country.measures, by="zone", **options)
        lazy = function(measures, by="zone", **options)
        pd.testing.assert_frame_equal(lazy.compute(), whole, check_exact=True)
        pd.testing.assert_frame_equal(lazy._meta, whole.iloc[:0])


def test_nothing_is_read_to_build_a_graph() -> None:
    country, reads = Country(12), []

    def read(number: int, frame: pd.DataFrame) -> pd.DataFrame:
        reads.append(number)
        return frame.iloc[number * 4 : number * 4 + 4]

    def lazy(frame: pd.DataFrame):
        keys = country.measures.index
        divisions = (keys[0], keys[4], keys[8], keys[11])
        return dd.from_map(read, range(3), frame=frame, meta=frame.iloc[:0], divisions=divisions)

    measures = lazy(country.measures)
    tables = [
        segregation(
            measures, groups=GROUPS, by="zone", draws=2, interval="units", null="units", edges=lazy(country.edges)
        ),
        mixing(measures, brackets=GROUPS, by="zone"),
        local(measures, groups=GROUPS, by="zone"),
    ]
    assert reads == []
    tables[1].compute()
    assert set(reads) == {0, 1, 2}


def test_each_partition_and_chunk_of_draws_is_a_task() -> None:
    country = Country(12)
    frames = country.lazy([4, 8])
    found = segregation(
        **frames, groups=GROUPS, by="zone", indices=["delta"], draws=9, draws_a_task=4, null="units", interval="units"
    )
    stages = [str(key[0]).rsplit("-", 1)[0] for key in found.optimize().__dask_graph__()]
    assert {name: stages.count(name) for name in stages if "drawn" in name} == {"drawn-null": 9, "drawn-interval": 9}


def test_indices_are_those_of_kernels() -> None:
    country = Country(30, 5)
    found = country(levels=("county",))
    names, codes = np.unique(country.measures["zone"].to_numpy(str), return_inverse=True)
    counts = country.measures[GROUPS].to_numpy()
    for index in INDICES.values():
        if index.strategy.inputs or index.ordered:
            continue
        values = index(counts, codes).reshape(len(names), -1)
        np.testing.assert_array_equal(found[index.columns(GROUPS)], values, err_msg=index.name)
    chain = csr_array(np.diag(np.ones(29), 1) + np.diag(np.ones(29), -1))
    around = environment(counts, neighborhood_weights(chain, codes))
    sums = RegionSums.of(counts, codes, environment=around)
    for index in INDICES.values():
        if "neighbors" in index.strategy.inputs:
            values = index.function(sums).reshape(len(names), -1)
            np.testing.assert_allclose(found[index.columns(GROUPS)], values, rtol=1e-12, err_msg=index.name)
    for place, name in enumerate(names):
        table = counts[codes == place].tolist()
        parts = found.loc[name, INDICES["nested_mutual_information"].columns(GROUPS, ["county"])]
        assert parts.sum() == pytest.approx(oracle.mutual_information(table), abs=1e-12)


def test_inference_of_one_region_by_hand() -> None:
    counts = np.array([[30.0, 5], [4, 28], [10, 12]])
    frame = pd.DataFrame(counts, columns=["a", "b"])
    found = segregation(frame, groups=["a", "b"], indices=["information_theory"], draws=50, seed=1, interval="persons")
    found = found.iloc[0]
    H = oracle.information_theory(counts.tolist())
    values, drawn = (
        np.array([information_theory(sampler(counts)(DrawKey(1, key, 0).generator(draw)))[0] for draw in range(50)])
        for sampler, key in ((evenness, "nation"), (resampled_persons, "nation/interval"))
    )
    assert found["information_theory_p"] == (1 + (values >= H).sum()) / 51
    assert found["information_theory_null"] == pytest.approx(values.mean())
    assert found["information_theory_excess"] == pytest.approx((H - values.mean()) / (1 - values.mean()))
    assert found["information_theory_corrected"] == pytest.approx(2 * H - drawn.mean())
    low, high = np.quantile(drawn, [0.05, 0.95])
    assert found["information_theory_corrected_lower"] == pytest.approx(2 * H - high)
    assert found["information_theory_corrected_upper"] == pytest.approx(2 * H - low)


def test_seeds_and_purposes_have_streams_of_their_own() -> None:
    country = Country(20, 2)
    options = {"indices": ["spatial_information_theory"], "draws": 6, "null": "units", "interval": "units"}
    one, same, other = (country(**options, seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one, same)
    assert not np.array_equal(one["spatial_information_theory_null"], other["spatial_information_theory_null"])
    # The mean of the interval's draws is not that of the null's.
    around = 2 * one["spatial_information_theory"] - one["spatial_information_theory_corrected"]
    assert not np.allclose(around, one["spatial_information_theory_null"])


def test_a_change_counts_tracts_of_either_year() -> None:
    now, before = Country(12, 1), Country(12, 1)
    before.measures = before.measures.iloc[:10]
    before.measures[GROUPS] = (before.measures[GROUPS] * [1.0, 0.5, 2.0]).round(1)
    table = now(indices=["diversity"], since=before.measures)
    for name in ("mutual_information", "information_theory"):
        parts = [column for column in table if column.startswith(f"{name}_change_")]
        assert len(parts) == 5
        np.testing.assert_allclose(table[parts].sum(axis=1), table[f"{name}_change"], atol=1e-12)
    none = now(indices=["diversity"], since=before.measures.assign(zone="elsewhere"))
    assert none["mutual_information_change"].isna().all()
    with pytest.raises(DefinitionError, match="no column c"):
        now(indices=["diversity"], since=before.measures.rename(columns={"c": "d"}))


def test_land_that_is_not_known_leaves_its_region_out() -> None:
    country = Country(12, 4, regions=2)
    peopled = (country.measures["zone"] == "r0") & (country.measures[GROUPS].sum(axis=1) > 0)
    here = country.measures.index[peopled][0]
    found = country(indices=["delta", "spatial_proximity"], tracts=country.tracts.drop(here))
    assert found.loc["r0"].filter(regex="delta|proximity").isna().all()
    assert found.loc["r1"].filter(regex="delta|proximity").notna().all()


def test_regions_come_together_in_their_first_partition() -> None:
    country = Country(12, 3)
    measures = country.lazy([4, 8])["measures"]
    units = units_of(measures, regions_of(measures, "zone"), People(categories_of(GROUPS)))
    whole = whole_regions(units, totals_of(units))
    homes = country.measures["zone"].iloc[[0, 4, 8]].index
    seen: set[str] = set()
    for number in range(3):
        part = whole.partitions[number].compute()
        own = country.measures.loc[homes[number] :, "zone"].iloc[:4]
        assert set(part["region"]) == set(own) - seen
        seen |= set(own)
        assert part.index.is_monotonic_increasing
    assert len(whole.compute()) == 12


@pytest.mark.parametrize(
    "index", [pd.RangeIndex(12), pd.Index([f"tract {k:02d}" for k in range(12)])], ids=["range", "text"]
)
def test_a_geodataframe_of_any_keys(index: pd.Index) -> None:
    country = Country(12, 6)
    frame = country.tracts.join(country.measures).set_index(index)
    named = ["dissimilarity", "spatial_information_theory", "delta", "spatial_proximity"]
    found = segregation(frame, groups=GROUPS, by="zone", indices=named)
    expected = country(indices=named)
    texts = ["region_name", "reason"]
    np.testing.assert_allclose(found.drop(columns=texts), expected.drop(columns=texts), rtol=1e-9)
    assert found["reason"].tolist() == expected["reason"].tolist()
    scores = local(frame, groups=GROUPS, by="zone")
    assert scores.index.tolist() == index.tolist()
    assert mixing(frame, brackets=GROUPS, by="zone").index.dtype == index.dtype
    # Without edges, those of all indices that need them are left out.
    every = segregation(frame, groups=GROUPS, by="zone")
    assert "delta_a" in every
    assert "spatial_information_theory" not in every
    without = segregation(pd.DataFrame(frame.drop(columns="geometry")), groups=GROUPS)
    assert "delta_a" not in without
    with pytest.raises(InputError, match="delta"):
        segregation(pd.DataFrame(frame.drop(columns="geometry")), groups=GROUPS, indices=["delta"])


def test_what_cannot_be_computed_is_named() -> None:
    country = Country(12, 8)
    with pytest.raises(CountsError, match=r"margins|fraction|whole"):
        country(draws=2, indices=["diversity"])
    with pytest.raises(InputError, match="north"):
        country(indices=["diversity"], regions=["north"])
    with pytest.raises(InputError, match="null"):
        country(indices=["diversity"], draws=2, null="units")
    with pytest.raises(InputError, match=r"cutoff 0\.0"):
        country(indices=["diversity"], cutoff=0.0)
    with pytest.raises(InputError, match="missing 'zero'"):
        country(indices=["diversity"], missing="zero")
    with pytest.raises(DefinitionError, match="gimi"):
        country(indices=["gimi"])
    with pytest.raises(GeometryError, match="coordinate system"):
        units_of(
            country.measures,
            regions_of(country.measures, "zone"),
            People(categories_of(GROUPS)),
            tracts=country.tracts.set_crs(None, allow_override=True),
        )
    with pytest.raises(InputError, match="twice"):
        segregation(pd.concat([country.measures, country.measures.iloc[:1]]), groups=GROUPS)
    shared = pd.DataFrame(
        {"region": ["r", "s"], "region_name": "", "afact": 0.5, "afact2": np.nan},
        index=pd.Index([country.measures.index[0]] * 2, name="geoid"),
    )
    with pytest.raises(InputError, match="regions r and s"):
        country(indices=["spatial_information_theory"], by=shared)
    assert "spatial_information_theory" not in country(by=shared)
    with pytest.raises(InputError, match="no tract lies in a region"):
        country(indices=["diversity"], by=shared.assign(region=""))


def test_counts_that_are_missing_are_refused_or_left_out() -> None:
    country = Country(12, 9)
    gap = country.measures.copy()
    gap.loc[gap.index[[0, 5]], "a"] = np.nan
    gap.loc[gap.index[3], "zone"] = np.nan
    with pytest.raises(CountsError, match=gap.index[0]):
        segregation(gap, groups=GROUPS, by="zone", indices=["diversity"])
    found = segregation(gap, groups=GROUPS, by="zone", indices=["diversity"], missing="leave-out")
    assert found["units"].sum() == 9
    rows = mixing(gap, brackets=GROUPS, by="zone", missing="leave-out")
    assert rows.index.tolist() == gap.index.tolist()
    reasons = rows.loc[rows.index[[0, 3, 5]], "reason"].tolist()
    assert reasons == ["a count is missing", "in no region", "a count is missing"]
    assert rows["people"].isna().sum() == 3


def test_brackets_are_merged_and_named() -> None:
    rng = np.random.default_rng(0)
    names = [f"decile_{k}" for k in range(1, 11)]
    frame = pd.DataFrame(rng.integers(1, 50, (8, 10)), columns=names)
    found = segregation(frame, groups="deciles", merge="quintiles", indices=["dissimilarity", "ordinal_square_root"])
    fifths = frame.to_numpy().reshape(8, 5, 2).sum(axis=2)
    assert found["dissimilarity_class_2"].iloc[0] == pytest.approx(oracle.dissimilarity(fifths.tolist(), 1))
    rows = mixing(frame, brackets="deciles", merge="5", positions="1,2,3,5,9", weight=0.25)
    np.testing.assert_allclose(rows["mixture"], 0.25 * rows["divergence_scaled"] + 0.75 * rows["wasserstein_scaled"])
    with pytest.raises(DefinitionError, match="without an order"):
        mixing(frame, brackets=categories_of(["owners", "renters"]))
    with pytest.raises(DefinitionError, match=r"weight 2\.0"):
        mixing(frame, brackets="deciles", weight=2.0)
    with pytest.raises(DefinitionError, match="merge"):
        segregation(frame, groups=names, merge="2")


def test_parts_within_tracts_add_up(tmp_path) -> None:
    columns = [f"{part}_{level}" for part in ("house", "tower") for level in ("low", "high")]
    plain = {
        "name": "homes",
        "title": "Homes",
        "brackets": [{"column": "low"}, {"column": "high"}],
        "parts": [
            {"path": ["houses"], "columns": columns[:2]},
            {"path": ["flats", "tower"], "columns": columns[2:]},
        ],
    }
    frame = pd.DataFrame(np.random.default_rng(1).integers(1, 30, (6, 4)), columns=columns)
    frame["zone"] = list("aabbab")
    rows = mixing(frame, brackets=Brackets.model_validate(plain), by="zone")
    parts = rows[["divergence", "divergence_level_1", "divergence_level_2"]]
    np.testing.assert_allclose(parts.sum(axis=1), rows["divergence_nested"], atol=1e-12)
    lazy = mixing(dd.from_pandas(frame, npartitions=3), brackets=Brackets.model_validate(plain), by="zone")
    pd.testing.assert_frame_equal(lazy.compute(), rows, check_exact=True)
    pd.testing.assert_frame_equal(lazy._meta, rows.iloc[:0])


@pytest.mark.real_data
def test_areas_across_state_lines_are_the_same_however_partitioned(real_data: Path) -> None:
    with zipfile.ZipFile(real_data / "income" / "B19001_2023_by_cbsa_json.zip") as source:
        areas = {name[:5]: json.loads(source.read(name)) for name in source.namelist()}
    crossing = {area: rows for area, rows in areas.items() if len({row[0][:2] for row in rows}) > 1}
    assert len(crossing) == 59
    rows = sorted((row[0], area, *row[2:]) for area, some in crossing.items() for row in some)
    table = pd.DataFrame(rows).set_index(0).rename(columns={1: "cbsa"})
    table.columns = ["cbsa", *(f"B19001_{number:03d}E" for number in range(2, 18))]
    table.index = pd.Index(table.index, dtype="str", name="geoid")
    indices = [index.name for index in INDICES.values() if not index.strategy.inputs and index.shape != "pair"]
    whole = segregation(table, groups="b19001", by="cbsa", indices=indices), mixing(table, by="cbsa")
    plain = pd.DataFrame({area: np.sum([row[2:] for row in some], axis=0) for area, some in crossing.items()}).T
    np.testing.assert_array_equal(whole[0].filter(like="count_").to_numpy(), plain.sort_index().to_numpy())
    states = table.index.str[:2].unique()
    for frame in (
        dd.from_pandas(table, npartitions=7),
        dd.from_pandas(table, npartitions=1).repartition(divisions=[*states, "~"], force=True),
    ):
        found = segregation(frame, groups="b19001", by="cbsa", indices=indices), mixing(frame, by="cbsa")
        for one, other in zip(found, whole, strict=True):
            pd.testing.assert_frame_equal(one.compute(), other, check_exact=True)
