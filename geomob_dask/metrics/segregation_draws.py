"""Random tables of a region, for nulls, bootstraps and margins of error.

Every draw has a stream of its own, named by the seed, the region, the year and the number of the
draw. So a draw is the same on any worker, in any batch and under any partitioning, provided that the units
of a region are in one order: that of their identifiers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b

import numpy as np
from numpy.random import Generator, Philox, SeedSequence
from numpy.typing import ArrayLike, NDArray

from geomob_dask.errors import CountsError, DefinitionError
from geomob_dask.metrics.counts import Floats, checked_counts, quotient

# A sampler draws one table of shape (n_units, n_groups) from a generator.
Sampler = Callable[[Generator], Floats]


@dataclass(frozen=True)
class DrawKey:
    """Names the random streams of a region and year.

    Attributes
    ----------
    seed : int, 0 or more
    region : str
        Identifier of the region, not its position.
    year : int, 0 or more
    """

    seed: int
    region: str
    year: int

    @cached_property
    def _philox_key(self) -> NDArray[np.uint64]:
        name = np.frombuffer(blake2b(self.region.encode(), digest_size=16).digest(), dtype="<u4")
        sequence = SeedSequence(self.seed, spawn_key=(self.year, *name.tolist()))
        return sequence.generate_state(2, np.uint64).astype(np.uint64)

    def generator(self, draw: int) -> Generator:
        """Return the generator of one draw: the draw is the high word of the counter of 256 bits."""
        return Generator(Philox(key=self._philox_key, counter=np.array([0, 0, 0, draw], dtype=np.uint64)))


def evenness(counts: ArrayLike) -> Sampler:
    """Null of evenness: each unit's people are drawn from the region's shares (multinomial).

    Parameters
    ----------
    counts : shape (n_units, n_groups), whole persons

    Raises
    ------
    CountsError
        If a count is missing, negative or fractional.

    References
    ----------
    Boisso et al. (1994), "Occupational segregation in the multidimensional case".
    """
    table = checked_counts(counts, whole=True)
    people = table.sum(axis=1).astype(np.int64)
    totals = table.sum(axis=0)
    present = totals > 0

    def draw(generator: Generator) -> Floats:
        drawn = np.zeros(table.shape)
        if present.any():
            drawn[:, present] = generator.multinomial(people, totals[present] / totals.sum())
        return drawn

    return draw


def sampled_evenness(counts: ArrayLike, interviews: ArrayLike) -> Sampler:
    """Null of evenness where counts are estimates: an even region, sampled as they were.

    As many people as were interviewed in each unit are drawn from the region's shares (multinomial), and weighted up to
    the unit's people.

    Parameters
    ----------
    counts : shape (n_units, n_groups), persons or households
    interviews : shape (n_units,)
        Effective number, rounded to whole interviews, one at least where somebody lives.

    Raises
    ------
    CountsError
        If a count or a number of interviews is missing or negative, or shapes differ.
    """
    table = checked_counts(counts)
    totals = table.sum(axis=0)
    share = np.nan_to_num(quotient(totals, totals.sum()))
    return sampled_people(table.sum(axis=1, keepdims=True) * share, interviews)


def sampled_people(counts: ArrayLike, interviews: ArrayLike, total_errors: ArrayLike | None = None) -> Sampler:
    """Draws of a sample of the people of each unit (multinomial), weighted up to all of them.

    Parameters
    ----------
    counts : shape (n_units, n_groups), persons or households
        Of the people who are sampled; fractions are allowed.
    interviews : shape (n_units,)
        Effective number, rounded to whole interviews, one at least where somebody lives.
    total_errors : shape (n_units,), optional
        Standard errors of the units' people, which are drawn too (gamma); by default they are known.

    Raises
    ------
    CountsError
        If a count, a number of interviews or an error is missing or negative, or shapes differ.
    """
    table = checked_counts(counts)
    people = table.sum(axis=1)
    given = (interviews, np.zeros(len(table)) if total_errors is None else total_errors)
    columns = [checked_counts(np.reshape(values, (-1, 1))) for values in given]
    if any(len(values) != len(table) for values in columns):
        raise CountsError(f"found interviews of {len(columns[0])} units, expected {len(table)} as the counts")
    column = np.hstack(columns)
    number = np.where(people > 0, np.maximum(np.rint(column[:, 0]), 1.0), 0.0).astype(np.int64)
    share = np.where(people[:, None] > 0, table / np.where(people > 0, people, 1.0)[:, None], 1.0 / table.shape[1])
    uncertain = (people > 0) & (column[:, 1] > 0)
    shape = (people[uncertain] / column[uncertain, 1]) ** 2

    def draw(generator: Generator) -> Floats:
        drawn = generator.multinomial(number, share).astype(np.float64)
        total = people.copy()
        total[uncertain] = generator.gamma(shape, people[uncertain] / shape)
        weighted: Floats = drawn * (total / np.maximum(number, 1))[:, None]
        return weighted

    return draw


def permuted_persons(counts: ArrayLike) -> Sampler:
    """Null of persons changing places: units and groups keep their sizes (multivariate hypergeometric).

    The places a group takes are drawn from those the groups before have left, so nobody is listed
    one by one and a draw costs no more in a large region than in a small one with as many units.

    Parameters and errors are those of `evenness`.
    """
    table = checked_counts(counts, whole=True)
    people = table.sum(axis=1).astype(np.int64)
    totals = table.sum(axis=0).astype(np.int64)

    def draw(generator: Generator) -> Floats:
        drawn = np.zeros(table.shape)
        left = people.copy()
        for group, size in enumerate(totals[:-1]):
            taken = generator.multivariate_hypergeometric(left, size, method="marginals")
            drawn[:, group] = taken
            left -= taken
        drawn[:, -1] = left
        return drawn

    return draw


def permuted_units(counts: ArrayLike) -> Sampler:
    """Null of whole units changing places: for indices that look at where units lie.

    An index without geography is the same in every draw. Fractions are allowed.

    Raises
    ------
    CountsError
        If a count is missing or negative.
    """
    table = checked_counts(counts)
    return lambda generator: generator.permutation(table, axis=0)


def resampled_units(counts: ArrayLike) -> Sampler:
    """Bootstrap of units: as many units, drawn with replacement. Fractions are allowed.

    Raises
    ------
    CountsError
        If a count is missing or negative.
    """
    table = checked_counts(counts)
    return lambda generator: table[generator.integers(0, max(len(table), 1), len(table))]


def resampled_persons(counts: ArrayLike) -> Sampler:
    """Bootstrap of persons: as many, drawn from the shares of all cells (multinomial).

    Parameters and errors are those of `evenness`.

    References
    ----------
    Elbers (2021), on standard errors and bias.
    """
    table = checked_counts(counts, whole=True)
    cells = table > 0
    people = int(table.sum())

    def draw(generator: Generator) -> Floats:
        drawn = np.zeros(table.shape)
        if people:
            drawn[cells] = generator.multinomial(people, table[cells] / people)
        return drawn

    return draw


def margin_of_error_draws(counts: ArrayLike, standard_errors: ArrayLike, *, distribution: str = "normal") -> Sampler:
    """Draws of the counts from their standard errors, independent between cells.

    This is where fractional counts come from.

    Parameters
    ----------
    counts : shape (n_units, n_groups), persons or households
    standard_errors : shape (n_units, n_groups)
        MOE / 1.645; 0 where a count is controlled.
    distribution : {"normal", "gamma"}
        Normal draws below 0 become 0, which raises the mean of small counts. Gamma draws keep mean and
        standard error and are never below 0, but leave a count of 0 as it is.

    Raises
    ------
    CountsError
        If a count or an error is missing or negative, or their shapes differ.
    DefinitionError
        If the distribution is another one.
    """
    table, errors = checked_counts(counts), checked_counts(standard_errors)
    if errors.shape != table.shape:
        raise CountsError(f"the standard errors have shape {errors.shape}, expected {table.shape} as the counts")
    if distribution == "normal":
        return lambda generator: np.maximum(table + errors * generator.standard_normal(table.shape), 0.0)
    if distribution == "gamma":
        uncertain = (table > 0) & (errors > 0)
        shape = (table[uncertain] / errors[uncertain]) ** 2
        scale = table[uncertain] / shape

        def draw(generator: Generator) -> Floats:
            drawn = table.copy()
            drawn[uncertain] = generator.gamma(shape, scale)
            return drawn

        return draw
    raise DefinitionError(f"found the distribution {distribution!r}, expected 'normal' or 'gamma'")
