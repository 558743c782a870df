"""Indices of income mixing and segregation again, in slow plain loops over one region.

A table is a list of units, each a list of counts by group. NaN where the index is undefined.
"""

import math
from collections.abc import Callable, Sequence

Table = Sequence[Sequence[float]]
NAN = math.nan


def people(table: Table) -> float:
    return sum(sum(unit) for unit in table)


def totals(table: Table) -> list[float]:
    return [sum(unit[k] for unit in table) for k in range(len(table[0]))]


def entropy(shares: Sequence[float]) -> float:
    return -sum(p * math.log(p) for p in shares if p > 0)


def shares(counts: Sequence[float]) -> list[float]:
    return [n / sum(counts) for n in counts] if sum(counts) else [0.0] * len(counts)


def divergence(own: Sequence[float], reference: Sequence[float]) -> float:
    if sum(own) == 0:
        return NAN
    p, q = shares(own), shares(reference)
    return sum(p[k] * math.log(p[k] / q[k]) for k in range(len(p)) if p[k] > 0)


def entropy_index(own: Sequence[float], reference: Sequence[float]) -> float:
    if sum(own) == 0 or entropy(shares(reference)) == 0:
        return NAN
    return 1 - entropy(shares(own)) / entropy(shares(reference))


def transport(own: Sequence[float], reference: Sequence[float], positions: Sequence[float]) -> float:
    """Move surplus to deficit greedily from the left: optimal on a line."""
    if sum(own) == 0:
        return NAN
    surplus = [a - b for a, b in zip(shares(own), shares(reference), strict=True)]
    cost = carried = 0.0
    for q in range(len(surplus) - 1):
        carried += surplus[q]
        cost += abs(carried) * (positions[q + 1] - positions[q])
    return cost


def nested_divergence(leaves: Sequence[tuple[tuple[int, ...], Sequence[float]]], reference: Sequence[float]) -> float:
    """Weighted divergence of the finest parts from the region: what the nested parts must add up to."""
    total = sum(sum(counts) for _, counts in leaves)
    if total == 0:
        return NAN
    return sum(sum(counts) / total * divergence(counts, reference) for _, counts in leaves if sum(counts))


def against_rest(table: Table, k: int) -> list[tuple[float, float]]:
    return [(unit[k], sum(unit) - unit[k]) for unit in table]


def _mixed(table: Table, k: int) -> bool:
    return 0 < totals(table)[k] < people(table)


def dissimilarity(table: Table, k: int) -> float:
    if not _mixed(table, k):
        return NAN
    pairs = against_rest(table, k)
    X, Y = sum(x for x, _ in pairs), sum(y for _, y in pairs)
    return 0.5 * sum(abs(x / X - y / Y) for x, y in pairs)


def minimum_maximum(table: Table, k: int) -> float:
    if not _mixed(table, k):
        return NAN
    pairs = against_rest(table, k)
    X, Y = sum(x for x, _ in pairs), sum(y for _, y in pairs)
    return 1 - sum(min(x / X, y / Y) for x, y in pairs) / sum(max(x / X, y / Y) for x, y in pairs)


def gini(table: Table, k: int) -> float:
    if not _mixed(table, k):
        return NAN
    P = totals(table)[k] / people(table)
    units = [(sum(unit), unit[k] / sum(unit)) for unit in table if sum(unit)]
    pairs = sum(t * s * abs(p - q) for t, p in units for s, q in units)
    return pairs / (2 * people(table) ** 2 * P * (1 - P))


def interaction(table: Table, k: int, other: int) -> float:
    X = totals(table)[k]
    if X == 0:
        return NAN
    return sum(unit[k] / X * unit[other] / sum(unit) for unit in table if sum(unit))


def isolation(table: Table, k: int) -> float:
    return interaction(table, k, k)


def correlation_ratio(table: Table, k: int) -> float:
    if not _mixed(table, k):
        return NAN
    P = totals(table)[k] / people(table)
    return (isolation(table, k) - P) / (1 - P)


def theil(table: Table, k: int) -> float:
    if not _mixed(table, k):
        return NAN
    return information_theory([list(pair) for pair in against_rest(table, k)])


def atkinson(table: Table, k: int, b: float) -> float:
    if not _mixed(table, k):
        return NAN
    T, P = people(table), totals(table)[k] / people(table)
    total = 0.0
    for unit in table:
        if sum(unit):
            p = unit[k] / sum(unit)
            total += (1 - p) ** (1 - b) * p**b * sum(unit) / (P * T)
    return 1 - P / (1 - P) * abs(total) ** (1 / (1 - b))


def _several(table: Table) -> bool:
    return sum(n > 0 for n in totals(table)) > 1


def simpson(table: Table) -> float:
    return sum(P * (1 - P) for P in shares(totals(table))) if people(table) else NAN


def multigroup_dissimilarity(table: Table) -> float:
    if not _several(table):
        return NAN
    P, T = shares(totals(table)), people(table)
    gaps = sum(sum(unit) * abs(shares(unit)[k] - P[k]) for unit in table if sum(unit) for k in range(len(P)))
    return gaps / (2 * T * simpson(table))


def multigroup_gini(table: Table) -> float:
    if not _several(table):
        return NAN
    units = [(sum(unit), shares(unit)) for unit in table if sum(unit)]
    pairs = sum(t * s * abs(p[k] - q[k]) for t, p in units for s, q in units for k in range(len(p)))
    return pairs / (2 * people(table) ** 2 * simpson(table))


def mutual_information(table: Table) -> float:
    """As the entropy that the units lack, not as divergence."""
    T = people(table)
    if T == 0:
        return NAN
    return entropy(shares(totals(table))) - sum(sum(unit) / T * entropy(shares(unit)) for unit in table)


def information_theory(table: Table) -> float:
    return mutual_information(table) / entropy(shares(totals(table))) if _several(table) else NAN


def relative_diversity(table: Table) -> float:
    """As the interaction that the units lack."""
    if not _several(table):
        return NAN
    within = sum(sum(unit) * sum(p * (1 - p) for p in shares(unit)) for unit in table)
    return 1 - within / (people(table) * simpson(table))


def normalized_exposure(table: Table) -> float:
    if not _several(table):
        return NAN
    P = shares(totals(table))
    return sum(P[k] * correlation_ratio(table, k) for k in range(len(P)) if P[k] > 0)


def squared_coefficient_of_variation(table: Table) -> float:
    if not _several(table):
        return NAN
    P, T = shares(totals(table)), people(table)
    present = [k for k in range(len(P)) if P[k] > 0]
    return sum(
        sum(unit) / T * (shares(unit)[k] - P[k]) ** 2 / ((len(present) - 1) * P[k])
        for unit in table
        if sum(unit)
        for k in present
    )


def diversity(table: Table) -> float:
    return entropy(shares(totals(table))) if people(table) else NAN


def group_mutual_information(table: Table, k: int) -> float:
    N = totals(table)[k]
    if N == 0:
        return NAN
    T = people(table)
    return sum(unit[k] / N * math.log((unit[k] / N) / (sum(unit) / T)) for unit in table if unit[k] > 0)


VARIATIONS: dict[str, Callable[[float], float]] = {
    "entropy": lambda c: entropy([c, 1 - c]) / math.log(2),
    "variance": lambda c: 4 * c * (1 - c),
    "deviation": lambda c: 2 * math.sqrt(c * (1 - c)),
    "difference": lambda c: 1 - abs(2 * c - 1),
}


def up_to(counts: Sequence[float], j: int) -> float:
    return sum(counts[: j + 1]) / sum(counts)


def ordinal(table: Table, variation: Callable[[float], float]) -> float:
    if not _several(table):
        return NAN
    J, T = len(table[0]), people(table)

    def spread(counts: Sequence[float]) -> float:
        return sum(variation(up_to(counts, j)) for j in range(J - 1)) / (J - 1)

    v = spread(totals(table))
    return sum(sum(unit) / (T * v) * (v - spread(unit)) for unit in table if sum(unit))


def threshold_index(table: Table, j: int, variation: Callable[[float], float]) -> float:
    """Two-group index of those up to category j against those above."""
    pairs = [[sum(unit[: j + 1]), sum(unit[j + 1 :])] for unit in table]
    return ordinal(pairs, variation)


def delta(table: Table, areas: Sequence[float], k: int) -> float:
    X, A = totals(table)[k], sum(areas)
    if X == 0 or A == 0:
        return NAN
    return 0.5 * sum(abs(unit[k] / X - a / A) for unit, a in zip(table, areas, strict=True))


def mean_areas(table: Sequence[Sequence[int]], areas: Sequence[float], k: int) -> tuple[float, float, float, float]:
    """Every person is listed with the area of their unit."""
    X = totals(table)[k]
    group = [a for unit, a in zip(table, areas, strict=True) for _ in range(unit[k])]
    others = [a for unit, a in zip(table, areas, strict=True) for _ in range(sum(unit) - unit[k])]
    everybody = sorted(group + others)

    def mean(values: Sequence[float]) -> float:
        return sum(values) / len(values) if values else NAN

    return mean(group), mean(others), mean(everybody[:X]), mean(everybody[len(everybody) - X :])


def spatial_proximity(
    table: Table, points: Sequence[Sequence[float]], areas: Sequence[float], k: int, cutoff: float
) -> float:
    if not _mixed(table, k):
        return NAN

    def near(i: int, j: int) -> float:
        d = math.sqrt(0.6 * areas[i]) if i == j else math.dist(points[i], points[j])
        return math.exp(-d) if i == j or d <= cutoff else 0.0

    def average(of: Sequence[float]) -> float:
        n = range(len(of))
        return sum(of[i] * of[j] * near(i, j) for i in n for j in n) / sum(of) ** 2

    x, y = [pair[0] for pair in against_rest(table, k)], [pair[1] for pair in against_rest(table, k)]
    t = [sum(unit) for unit in table]
    return (sum(x) * average(x) + sum(y) * average(y)) / (sum(t) * average(t))


def environments(table: Table, neighbors: Sequence[set[int]]) -> list[list[float]]:
    around = []
    for i in range(len(table)):
        members = neighbors[i] | {i}
        around.append([sum(table[j][k] for j in members) for k in range(len(table[0]))])
    return around


def spatial_index(table: Table, around: Table, variation: Callable[[Sequence[float]], float]) -> float:
    if not _several(table):
        return NAN
    within = sum(sum(unit) * variation(shares(env)) for unit, env in zip(table, around, strict=True))
    return 1 - within / (people(table) * variation(shares(totals(table))))


def spatial_dissimilarity(table: Table, around: Table) -> float:
    if not _several(table):
        return NAN
    P, T = shares(totals(table)), people(table)
    gaps = 0.0
    for unit, env in zip(table, around, strict=True):
        gaps += sum(unit) * sum(abs(shares(env)[k] - P[k]) for k in range(len(P)))
    return gaps / (2 * T * simpson(table))


def fitted(table: Table, rows: Sequence[float], columns: Sequence[float], rounds: int = 4000) -> list[list[float]]:
    cells = [list(unit) for unit in table]
    for _ in range(rounds):
        for i, unit in enumerate(cells):
            scale = rows[i] / sum(unit) if sum(unit) else 0.0
            cells[i] = [n * scale for n in unit]
        for k in range(len(columns)):
            column = sum(unit[k] for unit in cells)
            for unit in cells:
                unit[k] *= columns[k] / column if column else 0.0
    return cells


def mutual_information_bias(table: Table, variances: Table) -> float:
    T = people(table)
    if T == 0:
        return NAN
    cells = [(i, k) for i, unit in enumerate(table) for k, n in enumerate(unit) if n > 0]
    excess = sum(variances[i][k] / table[i][k] for i, k in cells)
    for i, unit in enumerate(table):
        if sum(unit):
            excess -= sum(variances[i][k] for j, k in cells if j == i) / sum(unit)
    for k, N in enumerate(totals(table)):
        if N:
            excess -= sum(variances[i][m] for i, m in cells if m == k) / N
    return (excess + sum(variances[i][k] for i, k in cells) / T) / (2 * T)
