r"""How often 90 % bounds of exposures hold the truth, by size of the group, where its count is good (quality 1).

A country whose people are known is counted again and again as a survey counts it, and each count goes through the
kernels. Two kinds of survey:

- `sample`: one household in twelve or so answers, of one to six people of one group, and counts are weighted up. The
  margin of a count comes from the same sample; that of nobody is 12, as published ones are.
- `margins`: counts have normal errors, of the size that a fixed margin says, and are not below zero.

Prints one table for each: bounds around the corrected value, and around the uncorrected one as published. Counts of
quality 2 or 3 are left out.

    python benchmarks/coverage_exposure.py
    python benchmarks/coverage_exposure.py --county 06059 \
        --table $GEOMOB_DATA/exposure/acs5_2018_B02001_all_states.zip --states 06
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from exposure import four_groups
from numpy.typing import NDArray

from geomob_dask.frames.groups import group_counts
from geomob_dask.metrics.exposure import exposure_from_sums, exposure_terms, plain_sums
from geomob_dask.metrics.exposure_terms import Mode
from geomob_dask.sources.acs_files import read_file
from geomob_dask.transforms.margins_of_error import Z_90

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

RATE = 0.08
SIZES = np.arange(1, 7)
SHARES_OF_SIZES = np.array([0.28, 0.34, 0.15, 0.13, 0.06, 0.04])
NOBODY_MOE = 12.0
# Replicate weights with which published margins are computed.
REPLICATES = 80
GROUPS = ("white", "black", "asian", "other")


@dataclass(frozen=True)
class World:
    """Households by tract, group and size, shape (n_tracts, n_groups, n_sizes), and the region of each tract.

    `moes`, shape (n_tracts, n_groups), are the margins of a table, if it is one's.
    """

    households: Integers
    region: Integers
    names: pd.Index
    moes: Floats | None = None

    @classmethod
    def of(cls, people: Floats, region: Integers, names: pd.Index, random: np.random.Generator) -> "World":
        """Return a world of about so many people, who live in households."""
        many = np.round(people / (SIZES @ SHARES_OF_SIZES)).astype(np.int64)
        return cls(random.multinomial(many, SHARES_OF_SIZES), region, names)

    @property
    def people(self) -> Floats:
        """Return the people of each tract and group."""
        return np.asarray(self.households @ SIZES, np.float64)


def made_up(random: np.random.Generator, n_regions: int) -> World:
    """Return regions of 3 to 250 tracts, with groups of all sizes, more and less evenly spread."""
    blocks, region = [], []
    for number in range(n_regions):
        tracts = int(np.exp(random.uniform(np.log(3), np.log(250))))
        shares = random.dirichlet([6.0, 1.2, 0.5, 0.8])
        spread = np.exp(random.uniform(np.log(2), np.log(40)))
        size = random.gamma(8, 500, size=tracts)
        blocks.append(random.dirichlet(np.maximum(shares * spread, 0.02), size=tracts) * size[:, None])
        region += [number] * tracts
    return World.of(np.vstack(blocks), np.array(region), pd.RangeIndex(n_regions).astype("str"), random)


def real(file: Path, states: tuple[str, ...], random: np.random.Generator) -> World:
    """Return a world with about as many people as a table of the survey counts in each tract."""
    table = read_file(file).tracts.set_index("geoid")
    table = table[table.index.str[:2].isin(states)]
    groups = group_counts(table, four_groups(), table.index)
    region, names = pd.factorize(table.index.str[:5], sort=True)
    world = World.of(groups.counts, region.astype(np.int64), pd.Index(names), random)
    return replace(world, moes=groups.moes)


def samples(world: World, random: np.random.Generator, draws: int) -> Iterator[tuple[Floats, Floats]]:
    """Yield counts and margins of a sample of households."""
    for _ in range(draws):
        answered = random.binomial(world.households, RATE)
        counts = np.round(answered @ SIZES / RATE)
        variance = answered @ SIZES**2 * (1 - RATE) / RATE**2
        variance *= random.chisquare(REPLICATES, size=variance.shape) / REPLICATES
        yield counts, np.where(counts > 0, np.round(Z_90 * np.sqrt(variance)), NOBODY_MOE)


def errors(world: World, random: np.random.Generator, draws: int) -> Iterator[tuple[Floats, Floats]]:
    """Yield counts with normal errors, and margins that stay the same: the table's, or the true ones of a sample."""
    moes = world.moes
    if moes is None:
        variance = world.households @ SIZES**2 * (1 - RATE) / RATE
        moes = np.where(variance > 0, np.round(Z_90 * np.sqrt(variance)), NOBODY_MOE)
    for _ in range(draws):
        yield np.maximum(np.round(random.normal(world.people, moes / Z_90)), 0.0), moes


def covered(world: World, surveys: Iterator[tuple[Floats, Floats]]) -> pd.DataFrame:
    """Return one row for each region and group: times that the count was good, and that bounds held the truth."""
    n_regions, n_groups = len(world.names), len(GROUPS)
    people = world.people

    def found(counts: Floats, moes: Floats) -> Floats:
        terms = exposure_terms(counts, moes, counts.sum(axis=1))
        return plain_sums(terms, world.region, n_regions)

    truth = exposure_from_sums(found(people, np.zeros_like(people)), n_groups).value
    names = ("good", "uncorrected", "corrected", "bias", "left", "se")
    tally = {name: np.zeros((n_regions, n_groups)) for name in names}
    for counts, moes in surveys:
        sums = found(counts, moes)
        corrected = exposure_from_sums(sums, n_groups)
        published = exposure_from_sums(sums, n_groups, mode=Mode.PUBLISHED)
        good = (corrected.quality == 1) & ~np.isnan(truth)
        tally["good"] += good
        for name, one in (("uncorrected", published), ("corrected", corrected)):
            tally[name] += good & (one.lower <= truth) & (truth <= one.upper)
        for name, value in (("bias", published.value - truth), ("left", corrected.corrected - truth)):
            tally[name] += np.where(good, value, 0.0)
        tally["se"] += np.where(good, corrected.se, 0.0)
    rows = pd.DataFrame({name: column.ravel() for name, column in tally.items()})
    rows["people"] = plain_sums(people, world.region, n_regions).ravel()
    rows["region"] = np.repeat(world.names, n_groups)
    rows["group"] = np.tile(GROUPS, n_regions)
    return rows[rows["good"] > 0]


def by_decile(rows: pd.DataFrame) -> pd.DataFrame:
    """Return coverage and bias, in standard errors, of tenths of the regions' groups by size."""
    decile = pd.qcut(rows["people"].rank(method="first"), 10, labels=range(1, 11))
    sums = rows.groupby(decile, observed=True)[["good", "uncorrected", "corrected", "bias", "left", "se"]].sum()
    return pd.DataFrame(
        {
            "people, median": rows.groupby(decile, observed=True)["people"].median().round().astype(int),
            "counts": sums["good"].astype(int),
            "coverage, as published": sums["uncorrected"] / sums["good"],
            "coverage, corrected": sums["corrected"] / sums["good"],
            "bias / se, as published": sums["bias"] / sums["se"],
            "bias / se, corrected": sums["left"] / sums["se"],
        }
    ).rename_axis("decile")


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line, count and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--regions", type=int, default=200, help="regions of the made-up country")
    parser.add_argument("--draws", type=int, default=100, help="surveys of each kind")
    parser.add_argument("--table", help="a table B02001 of tracts, whose counts are taken for the people")
    parser.add_argument("--states", default="06", help="states of the table, separated by commas")
    parser.add_argument("--county", help="a county of the table that is printed by itself")
    given = parser.parse_args(arguments)
    random = np.random.default_rng(given.seed)
    if given.table:
        world = real(Path(given.table), tuple(given.states.split(",")), random)
    else:
        world = made_up(random, given.regions)
    print(f"{len(world.region):,} tracts in {len(world.names)} regions, {given.draws} surveys of each kind")
    for kind, survey in (("sample", samples), ("margins", errors)):
        rows = covered(world, survey(world, random, given.draws))
        print(f"\n{kind}: bounds of nominal 90 %, where the quality of the count is 1")
        print(by_decile(rows).round(3).to_string())
        if given.county:
            one = rows[rows["region"] == given.county].set_index("group")
            print(f"county {given.county}")
            print(
                pd.DataFrame(
                    {
                        "people": one["people"].astype(int),
                        "coverage, as published": one["uncorrected"] / one["good"],
                        "coverage, corrected": one["corrected"] / one["good"],
                        "bias / se, as published": one["bias"] / one["se"],
                        "bias / se, corrected": one["left"] / one["se"],
                    }
                )
                .round(3)
                .to_string()
            )


if __name__ == "__main__":
    main()
