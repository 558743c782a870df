"""Coverage of the intervals of an index and of its rank: how often they hold the truth, in made-up countries.

Tracts on a grid have true measures: smooth surfaces that share a common part, and deviations of each tract, also
correlated; two are skewed, one is a share near its end. What is observed has sampling errors with known margins, some
cells and some whole tracts are missing, and some margins are not given. The truth is the index of the complete true
measures. With --real the true measures are those of a state instead, as published, with margins made up.

Beside the intervals of the package stand two simpler ones from the same numbers of draws: `noise added`, quantiles of
the index of observed measures plus noise, and `basic`, these quantiles mirrored at the index (2·index - quantile, held
in its range). Both leave missing values to be imputed without error.

    python benchmarks/coverage_index.py
    python benchmarks/coverage_index.py --worlds 2 --side 14 --draws 30
    python benchmarks/coverage_index.py --real 39 --worlds 3
"""

import argparse
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from geomob_dask.definition import Definition, read_definition
from geomob_dask.frames.draws import intervals
from geomob_dask.frames.neighbors import neighbors
from geomob_dask.frames.opportunity import opportunity
from geomob_dask.sources.kinds import Kind
from geomob_dask.sources.tracts import read_tracts
from geomob_dask.transforms.rank_exponential import ranking, scaled_ranks

Floats = NDArray[np.float64]

MADE = Definition.model_validate(
    {
        "name": "made",
        "domains": {
            "income": [{"measure": "poverty_pct"}, {"measure": "income_usd", "direction": -1}],
            "work": [{"measure": "unemployed_pct"}, {"measure": "commute"}],
            "housing": [{"measure": "rent"}, {"measure": "crowded"}],
        },
    }
)
NAMES = ("noise added", "basic", "package")


@dataclass(frozen=True)
class World:
    """True measures, and what is observed of them, by tract."""

    truth: pd.DataFrame
    observed: pd.DataFrame
    edges: pd.DataFrame
    definition: Definition


def made(seed: int, side: int, noise: float) -> World:
    """Return a made-up country of `side` x `side` tracts; `noise`: median error over the standard deviation."""
    rng = np.random.default_rng([seed, side])
    n, measures = side * side, MADE.measures
    smooth = np.stack([gaussian_filter(rng.normal(size=(side, side)), 2.0) for _ in range(len(measures) + 1)], axis=-1)
    smooth = smooth.reshape(n, -1) / smooth.std()
    own = rng.normal(size=(n, len(measures) + 1))
    z = 0.6 * smooth[:, :1] + 0.5 * smooth[:, 1:] + 0.45 * own[:, :1] + 0.45 * own[:, 1:]
    z *= np.array(MADE.directions)
    true = pd.DataFrame(z, columns=list(measures), index=[f"01001{number:06d}" for number in range(n)])
    true["poverty_pct"] = 100 / (1 + np.exp(2.2 - 0.8 * true["poverty_pct"]))
    true["income_usd"] = 60_000 * np.exp(0.4 * true["income_usd"])
    true["unemployed_pct"] = 100 / (1 + np.exp(3.0 - 0.6 * true["unemployed_pct"]))
    row, column = np.divmod(np.arange(n), side)
    near = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)]
    pairs = [(i, i + a * side + b) for a, b in near for i in range(n) if 0 <= row[i] + a < side > column[i] + b >= 0]
    focal, other = (true.index[list(ends)] for ends in zip(*sorted(pairs), strict=True))
    return observed_of(true, pd.DataFrame({"neighbor": other}, index=focal), MADE, noise, rng)


def top_of(x: pd.Series) -> float:
    """Return the whole of a share (1 or 100), infinity for a positive measure, and 0 for one that may be negative."""
    return 0.0 if x.min() < 0 else next(top for top in (1.0, 100.0, np.inf) if x.max() <= top)


def observed_of(
    true: pd.DataFrame, edges: pd.DataFrame, definition: Definition, noise: float, rng: np.random.Generator
) -> World:
    """Return what a sample shows of true measures."""
    table = true.assign(population=1000)
    n, tops = len(true), {name: top_of(true[name]) for name in definition.measures}
    # Distances come from no sample.
    exact = [item.measure for item in definition.domains.get("access", ())]
    # Errors of one tract go together: its sample is small or large.
    size = np.exp(0.35 * rng.normal(size=n))
    gone = rng.random(n) < 0.02
    for name in definition.measures:
        x, top = true[name].to_numpy(), tops[name]
        own = size * np.exp(0.2 * rng.normal(size=n))
        # The error of a share is that of a sample of so many people.
        scale = np.sqrt(x * (top - x) / np.mean(x * (top - x))) if top < np.inf else x / x.mean() if top > 0 else 1.0
        error = noise * np.nanstd(x) * own * scale
        seen = x + error * rng.normal(size=n)
        seen = np.clip(seen, 0, top) if top > 0 else seen
        missing = gone | (rng.random(n) < 0.03)
        if name in exact:
            seen, error = x, np.zeros(n)
        table[name] = np.where(missing, np.nan, seen)
        table[f"{name}_moe"] = np.where(rng.random(n) < 0.01, np.nan, 1.645 * error)
    return World(true.assign(population=1000), table, edges, definition)


def real(state: str, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, Definition]:
    """Return complete true measures of a state, its edges and its definition."""
    definition = read_definition(str(folder / "opportunity_2018/definition.csv"))
    table = pd.read_csv(folder / "opportunity_2018/measures.csv.gz", dtype={"GEOID": str}).set_index("GEOID")
    tracts, _ = read_tracts([str(folder / "tracts/cb500k_2010_vintage.parquet")])
    tracts = tracts[tracts.index.str[:2] == state]
    table = table.loc[table.index.isin(tracts.index), list(definition.measures)].dropna()
    edges = neighbors(tracts[tracts.index.isin(table.index)])
    return table, edges, definition


def index_and_rank(world: World, table: pd.DataFrame) -> Floats:
    """Return index and rank of every tract, shape (2, n_tracts)."""
    found = opportunity(table[[]], table, world.edges, world.definition)["opportunity"].to_numpy()
    return np.stack([found, scaled_ranks(found, ranking(found, 1e-12))])


def bounds(world: World, draws: int, seed: int) -> Mapping[str, tuple[Floats, Floats]]:
    """Return lower and upper bounds of index and rank by each method, each of shape (2, n_tracts)."""
    rng = np.random.default_rng([7, seed])
    point = index_and_rank(world, world.observed)
    names = list(world.definition.measures)
    errors = world.observed[[f"{name}_moe" for name in names]].fillna(0).to_numpy() / 1.645
    noisy = []
    for _ in range(draws):
        table = world.observed.copy()
        table[names] += errors * rng.normal(size=errors.shape)
        noisy.append(index_and_rank(world, table))
    low, high = np.quantile(noisy, [0.05, 0.95], axis=0, method="weibull")
    top = np.array([[100.0], [1.0]])
    tops = {name: top_of(world.truth[name]) for name in names}
    kinds = {
        name: Kind(kind="share", of=("part", "whole"), scale=top) for name, top in tops.items() if 0 < top < np.inf
    }
    table = intervals(
        world.observed[[]], world.observed, world.edges, world.definition, draws=draws, seed=seed, kinds=kinds
    ).reindex(world.observed.index)
    ours = [table[[f"opportunity_{end}", f"rank_{end}"]].to_numpy().T for end in ("lb", "ub")]
    mirrored = np.clip(2 * point - high, 0, top), np.clip(2 * point - low, 0, top)
    return dict(zip(NAMES, ((low, high), mirrored, (ours[0], ours[1])), strict=True))


def held(world: World, draws: int, seed: int) -> Iterator[pd.DataFrame]:
    """Yield, for each method and for index and rank, whether each tract's truth is held, and its deciles."""
    truth, point = index_and_rank(world, world.truth), index_and_rank(world, world.observed)
    imputed = world.observed[list(world.definition.measures)].isna().any(axis=1).to_numpy()
    for method, (low, high) in bounds(world, draws, seed).items():
        for place, what in enumerate(("index", "rank")):
            yield pd.DataFrame(
                {
                    "method": method,
                    "what": what,
                    "held": (low[place] <= truth[place]) & (truth[place] <= high[place]),
                    "width": high[place] - low[place],
                    "imputed": imputed,
                    "published": np.minimum(point[1] * 10, 9).astype(int) + 1,
                    "true": np.minimum(truth[1] * 10, 9).astype(int) + 1,
                }
            )


def tables(rows: pd.DataFrame) -> str:
    """Return the coverage tables as text."""
    texts = []
    for by in ("published", "true"):
        shown = rows.pivot_table(index=by, columns=["what", "method"], values="held", sort=True)
        shown = shown.reindex(columns=[(what, name) for what in ("index", "rank") for name in NAMES])
        texts.append(f"coverage by decile of the {by} index (1: least opportunity)\n{shown.round(3).to_string()}")
    shown = rows[rows["method"] == "package"].pivot_table(index="published", columns=["what", "imputed"], values="held")
    texts.append(f"package, by decile of the published index, imputed or not\n{shown.round(3).to_string()}")
    shown = rows.pivot_table(index=["what", "imputed"], columns="method", values=["held", "width"])
    counts = rows[(rows["method"] == "package") & (rows["what"] == "rank")].groupby("imputed").size()
    texts.append(
        f"all tracts (complete: {counts.get(False, 0):,}; imputed: {counts.get(True, 0):,}), width in points "
        f"and ranks\n{shown.round(3).to_string()}"
    )
    return "\n\n".join(texts)


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line, run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=10, help="made-up countries")
    parser.add_argument("--side", type=int, default=30, help="tracts along a side of the grid")
    parser.add_argument("--draws", type=int, default=100, help="draws of each interval")
    parser.add_argument("--noise", type=float, default=0.4, help="median error over the measure's standard deviation")
    parser.add_argument("--real", metavar="STATE", help="true measures of a state, by its code (needs GEOMOB_DATA)")
    options = parser.parse_args(arguments)
    folder = os.environ.get("GEOMOB_DATA")
    if options.real and not folder:
        parser.error("GEOMOB_DATA is not set: no real tables")
    true = real(options.real, Path(folder or "")) if options.real else None
    rows = []
    for seed in range(options.worlds):
        if true is None:
            world = made(seed, options.side, options.noise)
        else:
            world = observed_of(*true, options.noise, np.random.default_rng([seed, 5]))
        rows += list(held(world, options.draws, seed))
    print(f"{options.worlds} worlds of {len(world.truth):,} tracts, {options.draws} draws, noise {options.noise:g}")
    print(tables(pd.concat(rows, ignore_index=True)))


if __name__ == "__main__":
    main()
