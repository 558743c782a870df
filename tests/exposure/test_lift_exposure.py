"""Exposure and interpolation over partitions: the same bits as on one array, for any partitions."""

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from exposure_sample import race_table

from geomob_dask.errors import CountsError, InputError, RunError, SettingsError
from geomob_dask.frames.groups import group_counts
from geomob_dask.lift import crosswalk as lift_crosswalk
from geomob_dask.lift import exposure as lift
from geomob_dask.metrics.exposure import Mode, exposure_by_region, interactions_by_region, plain_sums
from geomob_dask.sources.groups import find_grouping
from geomob_dask.transforms.crosswalk import Links, interpolate_extensive
from geomob_dask.transforms.exact_sums import region_sums


@pytest.fixture(scope="module")
def table():
    return race_table()


@pytest.fixture(scope="module")
def edition(table):
    return find_grouping(table.columns)[1]


@pytest.fixture(scope="module")
def links(table):
    """Return tracts parted at random among regions that do not heed state lines, some of them in none."""
    random = np.random.default_rng(1)
    rows = []
    for geoid in table.index:
        regions = random.choice(6, size=2, replace=False)
        shares = random.dirichlet([1, 1, 1])[:2]
        rows += [(geoid, f"r{region}", share, 0.1) for region, share in zip(regions, shares, strict=True)]
    frame = pd.DataFrame(rows, columns=["geoid", "region", "afact", "afact2"])
    return frame.set_index("geoid").sort_index()


def partitioned(table, kind):
    random = np.random.default_rng(3)
    if kind == "shuffled":
        table = table.iloc[random.permutation(len(table))]
        return dd.from_pandas(table, npartitions=5, sort=False)
    return dd.from_pandas(table, npartitions=kind)


@pytest.mark.parametrize("mode", list(Mode))
def test_any_partitions_give_the_bits_of_one_array(table, edition, links, mode):
    groups = group_counts(table, edition, table.index)
    rows = table.index.get_indexer(links.index)
    codes, names = pd.factorize(links["region"], sort=True)
    given = (groups.counts[rows], groups.moes[rows], groups.total[rows], codes, len(names))
    share = links["afact"].to_numpy()
    expected = exposure_by_region(*given, share=share, overlap=links["afact2"].to_numpy(), mode=mode)
    pairs = interactions_by_region(*given, share=share, mode=mode)
    for kind in (1, 3, 40, "shuffled"):
        options = lift.Options(mode, interactions=True)
        found = lift.exposure(partitioned(table, kind), edition, links, options).compute(scheduler="synchronous")
        assert found.names.index.tolist() == list(names)
        for field in expected.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(found.exposures, field), getattr(expected, field))
        np.testing.assert_array_equal(found.interactions.value, pairs.value)
        np.testing.assert_array_equal(found.interactions.se, pairs.se)


def test_a_column_of_regions(table, edition):
    zones = table.assign(zone=["a", "b", None, "a"] * (len(table) // 4))
    found = lift.exposure(partitioned(zones, 4), edition, "zone").compute(scheduler="synchronous")
    assert found.names.index.tolist() == ["a", "b"]
    assert found.tracts_outside == len(table) // 4
    assert found.outside == zones.loc[zones["zone"].isna(), "B03002_001E"].sum()
    with pytest.raises(InputError, match="no column 'zoo' of regions"):
        lift.exposure(partitioned(zones, 4), edition, "zoo")


def test_a_tract_whose_groups_do_not_add_up_is_named(table, edition, links):
    wrong = table.copy()
    wrong.loc["92003000300", "B03002_003E"] += 1
    wrong.loc["92003000300", "B03002_001E"] += 5
    with pytest.raises(CountsError, match=r"tract 92003000300: groups .* sum to"):
        lift.exposure(partitioned(wrong, 3), edition, links).compute(scheduler="synchronous")


def test_people_that_vanish_on_the_way_fail_the_run(table, edition, links):
    options = lift.Options()
    partial = lift.partial(group_counts(table, edition, table.index), table.index, links, options)
    names = [group.name for group in edition.groups]
    lift.combine([partial], names, options)
    lost = lift.Partial(**{**partial.__dict__, "people": partial.people + 1})
    with pytest.raises(RunError, match=r"people before, .* after; expected the same to the last one"):
        lift.combine([lost], names, options)
    # Whole tracts are counted several times as published in 2023: nothing to balance.
    whole = lift.Options(Mode.PUBLISHED_2023)
    lift.combine([lost], names, whole)
    with pytest.raises(InputError, match=r"none of 144 tracts lies in a region"):
        lift.combine(
            [lift.partial(group_counts(table, edition, table.index), table.index, links.iloc[:0], options)],
            names,
            options,
        )


def test_thresholds_are_people():
    with pytest.raises(SettingsError, match="--threshold nan"):
        lift.Options(threshold=float("nan"))


# Areal interpolation -----------------------------------------------------------------------------


def test_interpolation_in_any_partitions_balances_and_equals_the_kernel(table, links):
    values = table.assign(
        rate=table["B03002_012E"] / table["B03002_001E"].where(table["B03002_001E"] > 0),
        rate_moe=0.01,
        kind=np.where(table["B03002_003E"] > table["B03002_004E"], "w", "b"),
    )
    rows = table.index.get_indexer(links.index)
    codes, names = pd.factorize(links["region"], sort=True)
    counts, moes = table[["B03002_001E"]].to_numpy(), table[["B03002_001M"]].to_numpy()
    expected = interpolate_extensive(counts, moes, Links(rows, codes, links["afact"].to_numpy()), len(names))
    results = []
    for kind in (1, 3, "shuffled"):
        results.append(
            lift_crosswalk.interpolate(
                partitioned(values, kind),
                links,
                extensive={"B03002_001E": "B03002_001M", "B03002_012E": None},
                intensive={"rate": lift_crosswalk.Rate("B03002_001E", "rate_moe")},
                categorical={"kind": lift_crosswalk.Classes(("b", "w"), "B03002_001E")},
            ).compute(scheduler="synchronous")
        )
    first = results[0]
    for other in results[1:]:
        pd.testing.assert_frame_equal(first, other, check_exact=True)
    np.testing.assert_array_equal(first["B03002_001E"], expected[0][:, 0])
    np.testing.assert_array_equal(first["B03002_001M"], expected[1][:, 0])
    # The rate of a region is the ratio of its counts.
    np.testing.assert_allclose(first["rate"], first["B03002_012E"] / first["B03002_001E"], rtol=1e-12)
    np.testing.assert_allclose(first["kind_b"] + first["kind_w"], 1)
    assert (first["rate_coverage"] == 1).all()
    assert set(first["kind"]) <= {"b", "w"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"extensive": {"nobody": None}}, "no column nobody"),
        ({}, "no column named"),
        ({"categorical": {"kind": lift_crosswalk.Classes(("b",), "B03002_001E")}}, "found 'w', expected one of b"),
    ],
)
def test_variables_that_are_not_there_are_named(table, links, change, message):
    values = partitioned(table.assign(kind="w"), 2)
    with pytest.raises(InputError, match=message):
        lift_crosswalk.interpolate(values, links, **change).compute(scheduler="synchronous")


def test_shares_above_one_are_refused(table, links):
    more = links.assign(afact=0.8)
    with pytest.raises(InputError, match=r"crosswalk, 91001000100: shares sum to 1.6"):
        lift_crosswalk.interpolate(partitioned(table, 2), more, extensive={"B03002_001E": None})


def test_plain_sums_differ_in_the_last_bits_only(table, edition, links):
    groups = group_counts(table, edition, table.index)
    rows = table.index.get_indexer(links.index)
    codes, names = pd.factorize(links["region"], sort=True)
    given = (groups.counts[rows], groups.moes[rows], groups.total[rows], codes, len(names))
    exact, plain = (exposure_by_region(*given, add=add) for add in (region_sums, plain_sums))
    for field in ("value", "se", "count", "count_se", "people"):
        np.testing.assert_allclose(getattr(plain, field), getattr(exact, field), rtol=1e-9)
