"""Income mixing of tracts against their regions, as a function of frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from geomob_dask.errors import DefinitionError
from geomob_dask.frames.categories import merge_classes, read_positions
from geomob_dask.frames.keys import has_text_keys, to_codes, to_text
from geomob_dask.frames.notes import warn_of_overlaps
from geomob_dask.frames.own_rows import empty_of, own_rows, value_of
from geomob_dask.frames.region_totals import Totals, no_totals, totals_of
from geomob_dask.frames.regions import NATION, By, regions_of
from geomob_dask.frames.units import EMPTY, LEAF, People, counts_of, left_out, matrix, units_of
from geomob_dask.metrics.composition import QUINTILES, composition_divergence, modal_class, relative_composition
from geomob_dask.metrics.counts import Floats
from geomob_dask.metrics.divergence import divergence, nested_divergence, scaled_divergence
from geomob_dask.metrics.entropy import entropy_index
from geomob_dask.metrics.wasserstein import (
    divergence_wasserstein_mixture,
    scaled_wasserstein,
    wasserstein,
    wasserstein_sign,
)
from geomob_dask.sources.brackets import Brackets, brackets_of

ONE_BRACKET = "everybody of the region is in one bracket"
CLASSES = ("low", "middle", "high")


def mixing(
    measures: Any,
    *,
    brackets: str | Sequence[str] | Brackets = "b19001",
    by: By = NATION,
    merge: str | None = None,
    positions: str = "unit",
    weight: float = 0.5,
    regions: Sequence[str] | None = None,
    missing: str = "refuse",
) -> Any:
    """Return measures of income mixing of every tract against its region.

    Parameters
    ----------
    measures : DataFrame, in memory or on Dask
        One row per tract, indexed by keys of any kind, with counts of people or households by bracket.
    brackets : str, sequence of str, or Brackets
        The name of shipped brackets, a file of them, or columns of `measures` from low to high.
    by : str, DataFrame, or mapping of a name to a DataFrame
        Regions: ``nation`` (all tracts), ``county`` or ``state`` (from keys of tracts), a column of `measures`, or a
        table of regions; see `geomob_dask.frames.regions.regions_of`.
    merge : str, optional
        A rule that merges brackets: a named one, a number of equal classes, or the class of each bracket.
    positions : str
        Where brackets lie, for W: ``unit`` (1 apart), ``middle``, or rising numbers separated by commas.
    weight : float in [0, 1]
        Weight of D in the mixture of D and W.
    regions : sequence of str, optional
        Only these regions; all by default.
    missing : {"refuse", "leave-out"}
        What to do with a tract without one of its counts; one that is left out has a row with its reason.

    Returns
    -------
    DataFrame, in memory or on Dask as `measures`
        One row per tract and region: ``region``, ``people``, ``divergence`` (D, nats), ``divergence_scaled``,
        ``divergence_quintiles``, ``entropy_index``, ``wasserstein``, ``wasserstein_signed``, ``wasserstein_scaled``,
        ``mixture``, the shares ``low``, ``middle``, ``high``, and ``modal_class``, the largest of these; see
        docs/segregation.md. NaN (an empty text) where nobody is counted or a tract lies in no region, with its
        ``reason``.

    Raises
    ------
    CountsError
        If a count is missing or negative, or brackets do not add up to their total.
    DefinitionError
        If a column, the positions, the merging rule or the weight do not fit.
    InputError
        If a region has no tracts.

    Warns
    -----
    UserWarning
        If a bracket of frames in memory has at least the people of all others together in every tract, of five or more:
        it may be their total.

    Examples
    --------
    >>> tracts = pd.DataFrame({"low": [10, 30], "middle": [20, 20], "high": [30, 10]}, index=["a", "b"])
    >>> mixing(tracts, brackets=["low", "middle", "high"])["wasserstein_signed"].round(3).to_dict()
    {'a': 0.333, 'b': -0.333}
    """
    definition, only = brackets_of(brackets), None if regions is None else tuple(regions)
    people = People(definition, merge=merge, missing=missing, regions=only)
    mixture = Mixture.of(definition, merge, positions, weight)
    where = regions_of(measures, by)
    warn_of_overlaps(brackets, measures, where, people)
    units = units_of(measures, where, people)
    rest = left_out(measures, where, people)
    totals = totals_of(units, only)
    options: dict[str, Any] = {"mixture": mixture, "text": has_text_keys(measures)}
    empty = empty_of(units)
    return own_rows(
        _mixed, units, rest, totals, meta=lambda: _mixed(empty, empty_of(rest), no_totals(empty), **options), **options
    )


@dataclass(frozen=True)
class Mixture:
    """How mixing is measured.

    Attributes
    ----------
    n_brackets : int
        After merging.
    positions : tuple of float, optional
        Where the brackets lie; neighbors are 1 apart by default.
    cuts : quantiles of the region between low, middle and high.
    weight : of D in the mixture of D and W.
    paths : paths of the finest parts within a unit, one for each leaf; empty where units have no parts.
    """

    n_brackets: int
    positions: tuple[float, ...] | None
    cuts: tuple[float, float]
    weight: float
    paths: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def of(cls, brackets: Brackets, merge: str | None, positions: str, weight: float) -> Mixture:
        """Return it from options.

        Raises
        ------
        DefinitionError
            If positions, merging rule or weight do not fit.
        """
        if not 0.0 <= weight <= 1.0:
            raise DefinitionError(f"weight {weight}: expected a number between 0 and 1")
        n_brackets = len(brackets.brackets) if merge is None else int(merge_classes(brackets, merge)[-1]) + 1
        places = read_positions(brackets, positions, n_brackets)
        paths = tuple(leaf.path for leaf in brackets.parts)
        return cls(n_brackets, None if places is None else tuple(places.tolist()), brackets.cuts, weight, paths)


def _mixed(
    units: pd.DataFrame, rest: pd.DataFrame, totals: pd.DataFrame, *, mixture: Mixture, text: bool
) -> pd.DataFrame:
    """Return the rows of one partition, those of tracts that are left out included."""
    merged: Totals = value_of(totals)
    counts, region = counts_of(units), units["region"].to_numpy(object)
    codes = merged.codes(region)
    reference = merged.counts[codes]
    D = divergence(counts, reference)
    W = wasserstein(counts, reference, mixture.positions)
    composition = relative_composition(counts, merged.counts, codes, mixture.cuts)
    quintiles = relative_composition(counts, merged.counts, codes, QUINTILES)
    scaled_D = scaled_divergence(D, mixture.n_brackets)
    scaled_W = scaled_wasserstein(W, mixture.n_brackets, mixture.positions)
    people = counts.sum(axis=1)
    columns = {
        "region": pd.array(region, dtype="str"),
        "people": people,
        "divergence": D,
        **_parts(units, reference, mixture),
        "divergence_scaled": scaled_D,
        "divergence_quintiles": composition_divergence(quintiles, QUINTILES),
        "entropy_index": entropy_index(counts, reference),
        "wasserstein": W,
        "wasserstein_signed": W * wasserstein_sign(counts, reference, mixture.positions),
        "wasserstein_scaled": scaled_W,
        "mixture": divergence_wasserstein_mixture(scaled_D, scaled_W, mixture.weight),
        "low": composition[:, 0],
        "middle": composition[:, 1],
        "high": composition[:, 2],
        "modal_class": pd.array(_most_frequent(composition), dtype="str"),
        "reason": pd.array(_reasons(people, reference), dtype="str"),
    }
    table = pd.DataFrame(columns, index=units.index)
    if len(rest):
        more = rest.assign(region="", modal_class="").set_axis(to_codes(rest.index)).reindex(columns=table.columns)
        table = pd.concat([table, more.astype(table.dtypes)]).sort_index(kind="stable")
    return table.set_axis(to_text(table.index) if text else table.index).rename_axis("geoid")


def _most_frequent(composition: Floats) -> list[str]:
    """Return the class of income that most people of each tract are in; an empty text where nobody is counted."""
    return [("", *CLASSES)[place + 1] for place in modal_class(composition).tolist()]


def _reasons(people: Floats, reference: Floats) -> list[str]:
    """Return why values of tracts are missing: nobody lives there, or in the region nothing can be mixed."""
    alike = np.where((reference > 0).sum(axis=1) > 1, "", ONE_BRACKET)
    return list(np.where(people > 0, alike, EMPTY).astype(object))


def _parts(units: pd.DataFrame, reference: Floats, mixture: Mixture) -> dict[str, Floats]:
    """Return the term of each level of a unit's parts in D, and D of the finest parts."""
    leaves = matrix(units, LEAF)
    if leaves is None:
        return {}
    n_units, n_leaves = len(units), len(mixture.paths)
    depth = max(map(len, mixture.paths))
    # What is not divided further goes on as itself.
    padded = [(*path, *["/".join(path)] * (depth - len(path))) for path in mixture.paths]
    steps = np.stack([np.unique([path[level] for path in padded], return_inverse=True)[1] for level in range(depth)], 1)
    tract = np.repeat(np.arange(n_units), n_leaves)
    full = np.column_stack([tract, np.tile(steps, (n_units, 1))])
    parts = nested_divergence(leaves.reshape(-1, mixture.n_brackets), full, reference)
    names = [f"divergence_level_{level}" for level in range(1, depth + 1)]
    return {**dict(zip(names, parts[:, 1:].T, strict=True)), "divergence_nested": parts.sum(axis=1)}
