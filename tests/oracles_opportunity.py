"""The opportunity index again, in slow plain loops over dictionaries."""

import math

import numpy as np


def neighbor_means(key, around, observed, measures):
    found = {}
    for measure in measures:
        values = [observed[other][measure] for other in sorted(around[key]) if not math.isnan(observed[other][measure])]
        found[measure] = sum(values) / len(values) if values else math.nan
    return found


def two_steps(neighbors):
    return {key: {far for near in neighbors[key] for far in neighbors[near]} for key in neighbors}


def imputed(neighbors, observed, measures):
    once_removed = two_steps(neighbors)
    filled, how = {}, {}
    for key in observed:
        direct = neighbor_means(key, neighbors, observed, measures)
        further = neighbor_means(key, once_removed, observed, measures)
        for measure in measures:
            value, flag = observed[key][measure], 0
            if math.isnan(value):
                value, flag = direct[measure], 1
            if math.isnan(value):
                value, flag = further[measure], 2
            filled[key, measure] = value
            how[key, measure] = 3 if math.isnan(value) else flag
    return filled, how


def scaled_rank(values):
    """(rank - 1) / max over non-missing values, ranks of ties averaged: by counting."""
    known = [value for value in values if not math.isnan(value)]
    ranks = []
    for value in values:
        if math.isnan(value):
            ranks.append(math.nan)
        else:
            below = sum(other < value for other in known)
            equal = sum(other == value for other in known)
            ranks.append(below + (equal - 1) / 2)
    largest = max((rank for rank in ranks if not math.isnan(rank)), default=math.nan)
    return [rank / largest if largest else math.nan for rank in ranks]


def tied(values, tolerance):
    """Each value replaced by the smallest that a chain of steps within the tolerance leads to."""
    known = sorted(value for value in values if not math.isnan(value))
    reach = tolerance * max((abs(value) for value in known), default=0.0)
    least = {}
    for number, value in enumerate(known):
        joins = number > 0 and value - known[number - 1] <= reach
        least[value] = least[known[number - 1]] if joins else value
    return [least.get(value, value) for value in values]


def index(neighbors, observed, population, domains, scale=23.0, tolerance=0.0):
    """Return scores by (key, domain) before and after filling, and deprivation by key."""
    measures = [measure for names in domains.values() for measure in names]
    filled, _ = imputed(neighbors, observed, measures)
    keys = list(observed)
    for key in keys:
        if population[key] == 0:
            for measure in measures:
                filled[key, measure] = math.nan
    z = {}
    for measure in measures:
        known = [filled[key, measure] for key in keys if not math.isnan(filled[key, measure])]
        mean = math.fsum(known) / len(known)
        deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in known) / (len(known) - 1))
        for key in keys:
            z[key, measure] = (filled[key, measure] - mean) / deviation
    before, after, deprived = {}, {}, {}
    for domain, names in domains.items():
        sums = [math.fsum(z[key, name] for name in names) for key in keys]
        for key, rank in zip(keys, scaled_rank(tied(sums, tolerance)), strict=True):
            before[key, domain] = -scale * math.log(1 - rank * (1 - math.exp(-100 / scale)))
    for key in keys:
        for domain in domains:
            near = [before[other, domain] for other in neighbors[key] if not math.isnan(before[other, domain])]
            hole = math.isnan(before[key, domain])
            after[key, domain] = (float(np.mean(near)) if near else math.nan) if hole else before[key, domain]
        deprived[key] = sum(after[key, domain] for domain in domains) / len(domains)
    return before, after, deprived
