"""Exposure and its errors again, in plain loops over tracts and groups, by the delta method."""

from __future__ import annotations

import math

import numpy as np

Z = 1.645


def sum_moe(estimates, moes):
    squares = [moe**2 for estimate, moe in zip(estimates, moes, strict=True) if estimate != 0]
    zeros = [moe**2 for estimate, moe in zip(estimates, moes, strict=True) if estimate == 0]
    return math.sqrt(math.fsum(squares) + (max(zeros) if zeros else 0.0))


def region_rows(region, number):
    return [row for row in range(len(region)) if region[row] == number]


def exposure(counts, total, share, rows, group):
    """Steps 4 and 5 of the source: shares of the group, times the share of everybody else."""
    people = math.fsum(share[row] * counts[row][group] for row in rows)
    if people == 0:
        return math.nan
    return math.fsum(
        share[row] * counts[row][group] / people * (1 - counts[row][group] / total[row])
        for row in rows
        if total[row] > 0
    )


def interaction(counts, total, share, rows, group, met):
    people = math.fsum(share[row] * counts[row][group] for row in rows)
    if people == 0:
        return math.nan
    return math.fsum(
        share[row] * counts[row][group] / people * counts[row][met] / total[row] for row in rows if total[row] > 0
    )


def exposure_se(counts, moes, total, share, rows, group):
    """In two passes: X⁻² Σ a²[(2p − p² − P)² Var x + p⁴ Var y]."""
    people = math.fsum(share[row] * counts[row][group] for row in rows)
    if people == 0:
        return math.nan
    isolation = 1 - exposure(counts, total, share, rows, group)
    variance = []
    for row in rows:
        if total[row] == 0:
            continue
        p = counts[row][group] / total[row]
        var_x = (moes[row][group] / Z) ** 2
        var_y = math.fsum((moes[row][other] / Z) ** 2 for other in range(len(counts[row])) if other != group)
        variance.append(share[row] ** 2 * ((2 * p - p**2 - isolation) ** 2 * var_x + p**4 * var_y))
    return math.sqrt(math.fsum(variance)) / people


def count_se(moes, weights, rows, group):
    """`weights`: what multiplies each squared margin: 1, the share, or its square."""
    return math.sqrt(math.fsum(weights[row] * moes[row][group] ** 2 for row in rows)) / Z


def drawn(counts, moes, share, draws, seed):
    """Return draws of all counts with independent normal errors, shape (draws, rows, groups)."""
    random = np.random.default_rng(seed)
    return random.normal(counts, np.asarray(moes) / Z, size=(draws, *np.shape(counts)))


def extensive(values, moes, links, n_targets):
    """`links`: (source, target, share)."""
    sums, errors = [[] for _ in range(n_targets)], [[] for _ in range(n_targets)]
    for source, target, share in links:
        sums[target].append(share * values[source])
        errors[target].append((share * moes[source]) ** 2)
    return [math.fsum(part) for part in sums], [math.sqrt(math.fsum(part)) for part in errors]


def intensive(values, weights, links, n_targets):
    tops, bottoms = [[] for _ in range(n_targets)], [[] for _ in range(n_targets)]
    for source, target, share in links:
        tops[target].append(share * weights[source] * values[source])
        bottoms[target].append(share * weights[source])
    return [
        math.fsum(top) / math.fsum(bottom) if math.fsum(bottom) else math.nan
        for top, bottom in zip(tops, bottoms, strict=True)
    ]
