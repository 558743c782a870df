"""Mixing and segregation over partitions: the same bits whichever partitions and region blocks the units lie in."""

import json
import zipfile
from pathlib import Path

import numpy as np
import oracles_segregation as oracle
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_array

from geomob_dask.errors import DefinitionError, InputError
from geomob_dask.lift import segregation as lift
from geomob_dask.lift.halo import Edges
from geomob_dask.metrics.segregation_catalog import INDICES, chosen
from geomob_dask.metrics.segregation_spatial import environment, neighborhood_weights
from geomob_dask.metrics.segregation_sums import RegionSums

SUMS = chosen(name for name, index in INDICES.items() if index.needs == "sums")
SPATIAL = chosen(name for name, index in INDICES.items() if index.needs == "environment")
GATHERED = chosen(name for name, index in INDICES.items() if index.needs in ("units", "areas", "proximity", "paths"))
DRAWN = chosen(["information_theory", "multigroup_gini", "dissimilarity", "delta", "spatial_information_theory"])


def country(n_units: int, seed: int = 0, *, groups: int = 3, regions: int = 3) -> lift.Block:
    """Units in a row, neighbours of those before and after; regions in no order; fractions of people."""
    rng = np.random.default_rng(seed)
    keys = np.array([f"{k:011d}" for k in range(n_units)], dtype=object)
    region = np.array([f"r{code}" for code in rng.integers(0, regions, n_units)], dtype=object)
    people = rng.integers(0, 40, (n_units, groups)) * rng.choice([1.0, 0.1], n_units)[:, None]
    people[rng.random(n_units) < 0.1] = 0
    pairs = [(a, b) for a in range(n_units) for b in (a - 1, a + 1) if 0 <= b < n_units]
    edges = Edges(keys[[a for a, _ in pairs]], keys[[b for _, b in pairs]])
    return lift.Block(
        geoids=keys,
        region=region,
        counts=people,
        standard_errors=people * 0.1 + 1,
        land=rng.random(n_units) + 0.5,
        points=np.column_stack([rng.random(n_units) * 0.05 - 80, rng.random(n_units) * 0.05 + 40]),
        levels=np.array([[key[-3:-1]] for key in keys], dtype=object),
        edges=edges,
    )


def parts_of(block: lift.Block, partition: np.ndarray) -> dict[str, lift.Block]:
    return {str(p): block.where(partition == p) for p in np.unique(partition)}


def reaches(parts: dict[str, lift.Block]) -> dict[str, list[str]]:
    """Every partition reaches every other: more than is needed changes nothing."""
    return {name: [other for other in parts if other != name] for name in parts}


def everything(parts: dict[str, lift.Block], block_units: int) -> dict[str, np.ndarray]:
    """Return all indices of all regions, as a run computes them."""
    tallies = {name: lift.tally(part) for name, part in parts.items()}
    totals = lift.merge_tallies(list(tallies.values()))
    found = lift.evaluate_sums(totals, [lift.partition_sums(part, totals, SUMS) for part in parts.values()], SUMS)
    offers = {name: lift.offer(part, totals) for name, part in parts.items()}
    around = [
        lift.environment_sums(part, [offers[other] for other in reaches(parts)[name]], totals, SPATIAL)
        for name, part in parts.items()
    ]
    found |= lift.evaluate_sums(totals, around, SPATIAL)
    asked = lift.Draws("null", "units", 3, 2020, DRAWN)
    for block in lift.region_blocks(tallies, block_units):
        gathered = lift.gather(block.regions, [lift.select(parts[state], block.regions) for state in block.states])
        values = lift.evaluate_gathered(gathered, GATHERED, 15.0)
        values |= {
            f"drawn {name}": np.swapaxes(one, 0, 1) for name, one in lift.draw(gathered, asked, range(4)).items()
        }
        values["bias"] = lift.bias(gathered)
        places = totals.codes(np.array(block.regions, dtype=object))
        for name, value in values.items():
            found.setdefault(name, np.full((len(totals.regions), *value.shape[1:]), np.nan))[places] = value
    return found


@settings(max_examples=25, deadline=None)
@given(st.integers(4, 24), st.integers(0, 1000), st.data())
def test_partitions_and_region_blocks_change_no_bit(n_units: int, seed: int, data: st.DataObject) -> None:
    whole = country(n_units, seed)
    expected = everything({"0": whole}, 1000)
    partition = data.draw(arrays(np.int64, n_units, elements=st.integers(0, 3)))
    found = everything(parts_of(whole, partition), data.draw(st.sampled_from([1, 8, 1000])))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_indices_of_partitions_are_those_of_kernels() -> None:
    block = country(30, 5)
    found = everything(parts_of(block, np.arange(30) % 4), 8)
    names, codes = np.unique(block.region.astype(str), return_inverse=True)
    sums = RegionSums.of(block.counts, codes)
    for index in SUMS:
        np.testing.assert_array_equal(found[index.name], index.evaluate(sums), err_msg=index.name)
    position = {key: place for place, key in enumerate(block.geoids)}
    at = [position[key] for key in block.edges.focal], [position[key] for key in block.edges.neighbor]
    weights = neighborhood_weights(csr_array((np.ones(len(at[0])), at), shape=(30, 30)), codes)
    around = RegionSums.of(block.counts, codes, environment=environment(block.counts, weights))
    for index in SPATIAL:
        np.testing.assert_allclose(found[index.name], index.evaluate(around), rtol=1e-12, err_msg=index.name)
    for region in range(len(names)):
        table = block.counts[codes == region].tolist()
        assert found["multigroup_gini"][region] == pytest.approx(oracle.multigroup_gini(table), abs=1e-12)
        assert found["nested_mutual_information"][region].sum() == pytest.approx(
            oracle.mutual_information(table), abs=1e-12
        )
        assert found["nested_information_theory"][region].sum() == pytest.approx(
            oracle.information_theory(table), abs=1e-12
        )


def test_draws_in_parts_are_those_in_one() -> None:
    block = country(18, 2)
    gathered = lift.gather(["r0", "r1", "r2"], [block])
    for purpose, kind in [("null", "units"), ("interval", "units"), ("interval", "moe")]:
        asked = lift.Draws(purpose, kind, 1, 2020, DRAWN)
        whole = lift.draw(gathered, asked, range(10))
        pieces = [lift.draw(gathered, asked, range(first, first + 5)) for first in (0, 5)]
        for name, value in whole.items():
            np.testing.assert_array_equal(np.concatenate([piece[name] for piece in pieces]), value, err_msg=name)
    null = lift.draw(gathered, lift.Draws("null", "units", 1, 2020, DRAWN), range(3))
    around = lift.draw(gathered, lift.Draws("interval", "units", 1, 2020, DRAWN), range(3))
    other = lift.draw(gathered, lift.Draws("null", "units", 2, 2020, DRAWN), range(3))
    for different in (around, other):
        assert not np.array_equal(null["spatial_information_theory"], different["spatial_information_theory"])


def test_inference_of_one_region_by_hand() -> None:
    whole = np.array([[30.0, 5], [4, 28], [10, 12]])
    keys = np.array(["a", "b", "c"], dtype=object)
    block = lift.Block(keys, np.array(["r"] * 3, dtype=object), whole)
    gathered = lift.gather(["r"], [block])
    indices = chosen(["information_theory"])
    null = lift.draw(gathered, lift.Draws("null", "evenness", 1, 0, indices), range(50))
    around = lift.draw(gathered, lift.Draws("interval", "persons", 1, 0, indices), range(50))
    found = lift.infer(gathered, [null], [around], indices, "evenness")["information_theory"]
    H = oracle.information_theory(whole.tolist())
    values, drawn = null["information_theory"][:, 0], around["information_theory"][:, 0]
    assert found["p"][0] == (1 + (values >= H).sum()) / 51
    assert found["null"][0] == pytest.approx(values.mean())
    assert found["excess"][0] == pytest.approx((H - values.mean()) / (1 - values.mean()))
    assert found["corrected"][0] == pytest.approx(2 * H - drawn.mean())
    low, high = np.quantile(drawn, [0.05, 0.95])
    assert (found["lower"][0], found["upper"][0]) == pytest.approx((2 * H - high, 2 * H - low))


def test_a_change_of_places_leaves_the_same_index_a_p_value_of_one() -> None:
    block = country(20, 3, regions=1)
    gathered = lift.gather(["r0"], [block])
    indices = chosen(["information_theory"])
    null = lift.draw(gathered, lift.Draws("null", "units", 1, 0, indices), range(20))
    assert lift.infer(gathered, [null], [], indices, "units")["information_theory"]["p"][0] == 1.0


def test_land_that_is_not_known_leaves_its_region_out() -> None:
    block = country(12, 4, regions=2)
    here = np.flatnonzero((block.region == "r0") & (block.counts.sum(axis=1) > 0))[0]
    land = block.land.copy()
    land[here] = np.nan
    gathered = lift.gather(["r0", "r1"], [lift.replace(block, land=land)])
    for name, value in lift.evaluate_gathered(gathered, chosen(["delta", "spatial_proximity"]), 15.0).items():
        assert np.isnan(value[0]).all(), name
        assert not np.isnan(value[1]).any(), name


def test_change_of_two_years_counts_units_of_either() -> None:
    first, second = country(10, 1), country(12, 1)
    regions = sorted(set(first.region) | set(second.region))
    columns = lift.change(regions, [first], [second])
    for name in ("mutual_information", "information_theory"):
        parts = [part for part in columns if part.startswith(f"{name}_change_")]
        assert len(parts) == 5
        total = np.sum([columns[part] for part in parts], axis=0)
        np.testing.assert_allclose(total, columns[f"{name}_change"], atol=1e-12)
    shuffled = lift.change(regions, list(parts_of(first, np.arange(10) % 3).values()), [second])
    for name, value in columns.items():
        np.testing.assert_array_equal(shuffled[name], value)


def test_what_a_block_lacks_is_said() -> None:
    bare = lift.Block(*(getattr(country(6), name) for name in ("geoids", "region", "counts")))
    gathered = lift.gather(["r0", "r1", "r2"], [bare])
    totals = lift.merge_tallies([lift.tally(bare)])
    with pytest.raises(DefinitionError, match="need polygons"):
        lift.evaluate_gathered(gathered, chosen(["delta"]), 15.0)
    with pytest.raises(DefinitionError, match="need the neighbours"):
        lift.offer(bare, totals)
    with pytest.raises(DefinitionError, match="margins of error need them"):
        lift.draw(gathered, lift.Draws("interval", "moe", 0, 0, chosen(["information_theory"])), range(1))
    with pytest.raises(InputError, match="no tract lies in a region"):
        lift.merge_tallies([lift.tally(bare.where(np.zeros(6, dtype=bool)))])
    keys = np.array(["a", "a"], dtype=object)
    shared = lift.Block(keys, np.array(["r", "s"], dtype=object), np.ones((2, 2)), edges=Edges(keys[:0], keys[:0]))
    with pytest.raises(InputError, match="tract a lies in the regions r and s"):
        lift.offer(shared, lift.merge_tallies([lift.tally(shared)]))


@pytest.mark.real_data
def test_areas_across_state_lines_are_the_same_however_partitioned(real_data: Path) -> None:
    with zipfile.ZipFile(real_data / "income" / "B19001_2023_by_cbsa_json.zip") as source:
        areas = {name[:5]: json.loads(source.read(name)) for name in source.namelist()}
    crossing = {area: rows for area, rows in areas.items() if len({row[0][:2] for row in rows}) > 1}
    assert len(crossing) == 59
    rows = sorted((row[0], area, *row[2:]) for area, some in crossing.items() for row in some)
    table = pd.DataFrame(rows)
    block = lift.Block(table[0].to_numpy(object), table[1].to_numpy(object), table.iloc[:, 2:].to_numpy(float))
    indices = tuple(index for index in SUMS if index.shape != "pair")
    results = []
    rng = np.random.default_rng(0)
    for partition in (table[0].str[:2].to_numpy(), np.zeros(len(table)), rng.integers(0, 7, len(table))):
        parts = [block.where(partition == p) for p in np.unique(partition)]
        totals = lift.merge_tallies([lift.tally(part) for part in parts])
        for area, place in zip(totals.regions, range(len(totals.regions)), strict=True):
            plain = np.array([row[2:] for row in crossing[area]]).sum(axis=0)
            np.testing.assert_array_equal(totals.counts[place], plain)
        values = lift.evaluate_sums(totals, [lift.partition_sums(part, totals, indices) for part in parts], indices)
        asked = lift.Mixture(None, (0.3, 0.7), 0.5)
        mixed = pd.concat([lift.mixing(part, totals, asked) for part in parts]).sort_index()
        results.append((values, mixed))
    for values, mixed in results[1:]:
        pd.testing.assert_frame_equal(mixed, results[0][1], check_exact=True)
        for name, value in results[0][0].items():
            np.testing.assert_array_equal(values[name], value, err_msg=name)
