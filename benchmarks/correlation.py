"""Correlations in space: how often p-values are below 0.05 without association, coverage of intervals, and cost.

Pairs of made-up fields lie on random points of a square of side 1; their correlation between two points is
exp(-distance/reach). Sizes: 5 % of pairs without association should have p below 0.05, and 95 % of intervals should
hold the true correlation. Every figure comes from this run.

    python benchmarks/correlation.py
    python benchmarks/correlation.py --units 150 --samples 100 --large 5000
"""

import argparse
import resource
import time
from collections.abc import Sequence

import numpy as np
import pandas as pd

from geomob_dask.metrics.modified_t_test import effective_sizes, fisher_intervals, p_values

REACHES = (0.0, 0.05, 0.1, 0.3, 1.0)
TRUTHS = (0.0, 0.6)


def fields(n: int, reach: float, samples: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return points, shape (n, 2), and two independent fields on them, shape (n, samples)."""
    draws = np.random.default_rng(seed)
    points = draws.uniform(size=(n, 2))
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    root = np.linalg.cholesky(np.exp(-apart / reach) + 1e-9 * np.eye(n)) if reach else np.eye(n)
    return points, root @ draws.normal(size=(n, samples)), root @ draws.normal(size=(n, samples))


def sizes_and_coverage(n: int, reaches: Sequence[float], samples: int, seed: int) -> pd.DataFrame:
    """Return, by reach and true correlation, shares of p below 0.05 and of intervals that hold the truth."""
    rows = []
    for reach in reaches:
        points, one, other = fields(n, reach, samples, seed)
        for truth in TRUTHS:
            mixed = truth * one + np.sqrt(1 - truth**2) * other
            pairs = list(zip(one.T, mixed.T, strict=True))
            r = np.array([np.corrcoef(x, y)[0, 1] for x, y in pairs])
            effective = np.array([effective_sizes(x, y[:, None], points)[0] for x, y in pairs])
            row = {"reach": reach, "true r": truth, "effective n (median)": np.median(effective)}
            for name, size in (("unadjusted", np.full(samples, float(n))), ("adjusted", effective)):
                lower, upper = fisher_intervals(r, size)
                row[f"p < 0.05, {name}"] = (p_values(r, size) < 0.05).mean()
                row[f"coverage, {name}"] = ((lower <= truth) & (truth <= upper)).mean()
            rows.append(row)
    return pd.DataFrame(rows)


def cost(n: int, columns: int, seed: int) -> tuple[float, float]:
    """Return the seconds of one index with some columns on n points, and the peak memory of the process in MB."""
    draws = np.random.default_rng(seed)
    points = draws.uniform(size=(n, 2))
    waves = np.sin(points @ draws.normal(0, 9, size=(2, columns + 1)))
    start = time.perf_counter()
    effective_sizes(waves[:, 0], waves[:, 1:], points)
    return time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=200, help="Points of each field.")
    parser.add_argument("--samples", type=int, default=1000, help="Pairs of fields for each row.")
    parser.add_argument("--large", type=int, default=70_000, help="Points of the timed run.")
    parser.add_argument("--columns", type=int, default=5, help="Columns of the timed run.")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    table = sizes_and_coverage(options.units, REACHES, options.samples, options.seed)
    print(table.round(3).to_string(index=False))
    seconds, peak = cost(options.large, options.columns, options.seed)
    print(f"{options.large:,} points, {options.columns} columns: {seconds:.1f} s, peak memory {peak:,.0f} MB")


if __name__ == "__main__":
    main()
