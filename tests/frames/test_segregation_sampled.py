"""Draws of regions whose counts are estimates: from margins of error, a rate, or numbers of interviews."""

import dask
import dask.dataframe as dd
import numpy as np
import oracles_segregation as oracle
import pandas as pd
import pytest

from geomob_dask.errors import CountsError, DefinitionError, InputError
from geomob_dask.frames.region_reasons import NO_MARGIN
from geomob_dask.frames.segregation import segregation
from geomob_dask.metrics.effective_interviews import without_noise
from geomob_dask.metrics.segregation_draws import DrawKey, Sampler, sampled_evenness, sampled_people
from geomob_dask.metrics.segregation_intervals import inverted
from geomob_dask.sources.brackets import Brackets

GROUPS = ["a", "b", "c"]
INDICES = ["information_theory", "mutual_information", "dissimilarity"]
OPTIONS = {"groups": GROUPS, "by": "zone", "indices": INDICES, "draws": 12, "seed": 3}


@pytest.fixture(autouse=True)
def in_this_process():
    with dask.config.set(scheduler="synchronous"):
        yield


def estimates(n: int = 24, seed: int = 0) -> pd.DataFrame:
    """Return tracts of three zones with margins of weights of about 20."""
    rng = np.random.default_rng(seed)
    keys = pd.Index([f"{k // 6:05d}{k:06d}" for k in range(n)], dtype="str", name="geoid")
    people = rng.integers(0, 60, (n, 3)) * rng.choice([20.0, 2.0], n)[:, None]
    people[rng.random(n) < 0.1] = 0
    people[0] = 100
    table = pd.DataFrame(people, index=keys, columns=GROUPS)
    table["zone"] = [f"r{code}" for code in rng.integers(0, 3, n)]
    for name in GROUPS:
        table[f"{name}_moe"] = np.round(1.645 * np.sqrt(rng.uniform(10, 30, n) * np.maximum(table[name], 2)))
    return table


def interviews(table: pd.DataFrame, rate: float) -> pd.DataFrame:
    return table.drop(columns=[f"{name}_moe" for name in GROUPS]).assign(asked=rate * table[GROUPS].sum(axis=1))


@pytest.mark.parametrize("cuts", [[], [7], [3, 9, 20]])
@pytest.mark.parametrize("sampled", ["auto", "0.2", "asked"])
def test_partitions_change_no_bit(cuts: list[int], sampled: str) -> None:
    table = estimates()
    table = table if sampled == "auto" else interviews(table, 0.1)
    whole = segregation(table, **OPTIONS, sampled=sampled)
    divisions = [table.index[0], *(table.index[cut] for cut in cuts), table.index[-1]]
    lazy = dd.from_pandas(table, npartitions=1).repartition(divisions=divisions, force=True)
    found = segregation(lazy, **OPTIONS, sampled=sampled, draws_a_task=5)
    pd.testing.assert_frame_equal(found.compute(), whole, check_exact=True)
    pd.testing.assert_frame_equal(found._meta, whole.iloc[:0])
    assert (whole["sampled"] == {"auto": "margins"}.get(sampled, sampled)).all()
    assert (whole["interviews"] < whole["people"] / 3).all()
    lower, corrected, upper = (whole[f"information_theory_corrected{end}"] for end in ("_lower", "", "_upper"))
    assert ((lower <= corrected) & (corrected < upper)).all()


def test_draws_of_one_region_by_hand() -> None:
    counts = np.array([[300.0, 50], [45, 285], [105, 120], [0, 0]])
    frame = pd.DataFrame(counts, columns=["a", "b"])
    row = segregation(frame, groups=["a", "b"], indices=["information_theory"], draws=40, seed=1, sampled=0.1).iloc[0]
    asked, H = counts.sum(axis=1) / 10, oracle.information_theory(counts.tolist())
    worlds = [without_noise(counts, asked, errors=errors) for errors in (-2.5, 0, 2.5)]
    centers = np.array([oracle.information_theory(world.tolist()) for world in worlds])

    def drawn(sampler: Sampler, key: str) -> np.ndarray:
        tables = [sampler(DrawKey(1, key, 0).generator(number)) for number in range(40)]
        return np.array([oracle.information_theory(table.tolist()) for table in tables])

    null = drawn(sampled_evenness(counts, asked), "nation")
    around = np.stack([drawn(sampled_people(world, asked), "nation/interval") for world in worlds], axis=-1)
    corrected, lower, upper = inverted(np.array(H), around, centers)
    assert row["interviews"] == pytest.approx(asked.sum())
    assert row["information_theory_p"] == (1 + (null >= H).sum()) / 41
    assert row["information_theory_null"] == pytest.approx(null.mean())
    assert row["information_theory_corrected"] == pytest.approx(corrected)
    assert row["information_theory_corrected_lower"] == pytest.approx(max(lower, 0))
    assert row["information_theory_corrected_upper"] == pytest.approx(min(upper, 1))
    assert 0 <= row["information_theory_corrected_lower"] < corrected < H


def test_a_rate_is_that_many_interviews() -> None:
    table = interviews(estimates(), 0.25)
    rate, column = (segregation(table, **OPTIONS, sampled=sampled) for sampled in (0.25, "asked"))
    pd.testing.assert_frame_equal(rate.drop(columns="sampled"), column.drop(columns="sampled"))
    fewer = segregation(table, **OPTIONS, sampled=0.05)
    assert (fewer["mutual_information_bias"] > rate["mutual_information_bias"]).all()
    assert (fewer["information_theory_null"] > rate["information_theory_null"]).all()
    assert (fewer["information_theory_corrected"] < rate["information_theory_corrected"]).all()
    # Everybody is a full count.
    pd.testing.assert_frame_equal(
        segregation(table, **OPTIONS, sampled=1), segregation(table, **OPTIONS, sampled="complete")
    )


def test_margins_are_used_where_every_group_has_them() -> None:
    table = estimates()
    some = segregation(table.drop(columns="b_moe"), **OPTIONS)
    assert (some["sampled"] == "complete").all()
    assert (some["interviews"] == some["people"]).all()
    pd.testing.assert_frame_equal(some, segregation(table, **OPTIONS, sampled="complete"))
    with pytest.raises(DefinitionError, match="b has no column of margins of error, expected one such as b_moe"):
        segregation(table.drop(columns="b_moe"), **OPTIONS, sampled="margins")
    # Brackets name theirs; merged, they were sampled as before.
    brackets = {"name": "three", "title": "", "brackets": [{"column": name, "moe": f"{name}_moe"} for name in GROUPS]}
    ordered = {**OPTIONS, "groups": Brackets.model_validate(brackets)}
    whole, merged = (segregation(table, **ordered, merge=merge) for merge in (None, "0,0,1"))
    np.testing.assert_array_equal(whole["interviews"], merged["interviews"])
    np.testing.assert_array_equal(whole["interviews"], segregation(table, **OPTIONS)["interviews"])


def test_a_remainder_is_sampled_as_the_other_groups() -> None:
    rng = np.random.default_rng(2)
    counts = rng.integers(50, 900, (30, 4)) * 1.0
    total = counts.sum(axis=1)
    moe = 1.645 * np.sqrt(25.0 * counts)
    table = pd.DataFrame({"totraceE": total, "totraceM": 1.645 * np.sqrt(25.0 * total)})
    for place, name in enumerate(("Black", "Latinx", "White")):
        table[f"{name}E"], table[f"{name}M"] = counts[:, place], moe[:, place]
    found = segregation(table, groups="b03002_four", indices=INDICES, draws=20, year=2018).iloc[0]
    assert found["sampled"] == "margins"
    assert found["interviews"] == pytest.approx(total.sum() / 25)
    # As the Bureau's own columns, in which the fourth group has margins.
    names = {"Black": "B03002_004", "Latinx": "B03002_012", "White": "B03002_003", "totrace": "B03002_001"}
    own = table.rename(columns={f"{name}{end}": f"{code}{end}" for name, code in names.items() for end in "EM"})
    own["B03002_005E"], own["B03002_005M"] = counts[:, 3], moe[:, 3]
    own = own.assign(**{f"B03002_00{line}{end}": 0.0 for line in range(6, 10) for end in "EM"})
    other = segregation(own, groups="b03002_four", indices=INDICES, draws=20, year=2018).iloc[0]
    assert found["mutual_information_bias"] == pytest.approx(other["mutual_information_bias"], rel=0.02)


def test_a_region_without_margins_says_so() -> None:
    table = estimates()
    table.loc[table["zone"] == "r1", [f"{name}_moe" for name in GROUPS]] = np.nan
    table.loc[table.index[table["zone"] == "r0"][0], "a_moe"] = np.nan
    found = segregation(table, **OPTIONS)
    drawn = found.filter(regex="_(p|null|corrected|lower|upper|bias)$")
    assert drawn.loc["r1"].isna().all()
    assert drawn.loc[["r0", "r2"]].notna().all(axis=None)
    assert found["information_theory"].notna().all()
    assert found["reason"].tolist() == ["", NO_MARGIN, ""]
    # Counts can be drawn one by one only where each has its own.
    with pytest.raises(CountsError, match="margin of a"):
        segregation(table, **OPTIONS, interval="moe")


def test_a_group_that_no_sample_holds_is_told() -> None:
    table = pd.DataFrame({"a": [400.0, 300, 350], "b": [300.0, 350, 420], "c": [0.0, 4, 0]})
    row = segregation(table, **{**OPTIONS, "by": "nation"}, sampled=0.05).iloc[0]
    assert np.isnan(row["dissimilarity_c_corrected"])
    assert row["dissimilarity_c"] > 0
    assert row["dissimilarity_a_corrected"] >= 0
    assert row["reason"] == "some draws hold nobody of a group: dissimilarity_c"


def test_a_tract_shared_out_has_the_interviews_of_its_whole() -> None:
    table = estimates().assign(zone="r0")
    half = pd.DataFrame(
        {"region": "h", "region_name": "", "afact": 0.5, "afact2": np.nan}, index=table.index.rename("geoid")
    )
    options = {**OPTIONS, "indices": ["information_theory"]}
    whole, shared = segregation(table, **options), segregation(table, **{**options, "by": half})
    assert shared["interviews"].iloc[0] == pytest.approx(whole["interviews"].iloc[0])
    assert shared["people"].iloc[0] == whole["people"].iloc[0] / 2


def test_how_counts_were_taken_is_checked() -> None:
    table = estimates()
    for sampled, message in (("tenth", "sampled 'tenth': expected auto, margins"), (1.5, "above 0 and at most 1")):
        with pytest.raises(InputError, match=message):
            segregation(table, **OPTIONS, sampled=sampled)
    with pytest.raises(CountsError, match=r"column asked: found nan, expected a number of interviews"):
        segregation(interviews(table, np.nan), **OPTIONS, sampled="asked")
    # Without draws nothing is asked.
    assert "sampled" not in segregation(table, **{**OPTIONS, "draws": 0})
