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


def contact_of(people):
    """Share of the members of the first of (group, met, rest) times those met, per tract: x z / t."""
    x, z, rest = people
    return x * z / (x + z + rest)


def second_derivatives(x, z, rest):
    """Of x z / t by (x, z, rest), by central differences: another route than the formulas'."""
    step = 1e-3 * max(x + z + rest, 1.0)
    point = np.array([x, z, rest])
    unit = np.eye(3) * step
    return [
        [
            (
                contact_of(point + unit[i] + unit[j])
                - contact_of(point + unit[i] - unit[j])
                - contact_of(point - unit[i] + unit[j])
                + contact_of(point - unit[i] - unit[j])
            )
            / (4 * step**2)
            for j in range(3)
        ]
        for i in range(3)
    ]


def corrected_interaction(counts, moes, total, share, rows, group, met):
    """The contact of a group with those of `met` (a set of groups), less its bias; and the bias of the variance."""
    rest = [other for other in range(len(counts[0])) if other != group and other not in met]
    others = [other for other in range(len(counts[0])) if other != group]
    people = math.fsum(share[row] * counts[row][group] for row in rows)
    published = (np.asarray(moes) / Z) ** 2
    variance = np.where(np.asarray(counts) > 0, published, 0.0)
    plain = math.fsum(
        share[row] * counts[row][group] * sum(counts[row][one] for one in met) / total[row] / people
        for row in rows
        if total[row] > 0
    )
    bias, second, ratio = [], [], []
    for row in rows:
        if total[row] == 0:
            continue
        x, t = counts[row][group], total[row]
        z = sum(counts[row][one] for one in met)
        noise = [variance[row][group], sum(variance[row][list(met)]), sum(variance[row][rest])]
        hessian = second_derivatives(x, z, t - x - z)
        whole = ((t - x) ** 2 * noise[0] + x**2 * sum(variance[row][others])) / t**3
        held = min(1.0, x / whole) if whole > 0 else 1.0
        bias.append(share[row] * held * sum(hessian[k][k] * noise[k] for k in range(3)) / 2)
        squares = sum(hessian[k][m] ** 2 * noise[k] * noise[m] for k in range(3) for m in range(3)) / 2
        second.append(share[row] ** 2 * held * squares)
        ratio.append(share[row] ** 2 * published[row][group] * (z / t * (1 - x / t) - plain))
    count_variance = math.fsum(share[row] ** 2 * published[row][group] for row in rows if total[row] > 0)
    correction = -math.fsum(bias) / people + math.fsum(ratio) / max(people**2, count_variance)
    return min(max(plain + correction, 0.0), 1.0), math.sqrt(math.fsum(second)) / people


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
