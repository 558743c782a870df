"""Pairs of cells, and what is known of each: the rules that find it and the kind of contact."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Flags = NDArray[np.uint8]

NOTHING = np.uint8(0)
# By what rule a pair is found. A near miss is no rule: it is reported, not joined.
VERTEX, INTERSECTS, GAP, NEAREST, NEAR_MISS = (np.uint8(1 << bit) for bit in range(5))
# What kind of contact it is.
ROOK, OVERLAP = np.uint8(1 << 5), np.uint8(1 << 6)

_RULE_NAMES = {
    VERTEX: "vertex",
    INTERSECTS: "intersects",
    VERTEX | INTERSECTS: "vertex+intersects",
    GAP: "gap",
    NEAREST: "nearest",
    NEAR_MISS: "near miss",
}
RULE = pd.CategoricalDtype(list(_RULE_NAMES.values()))
_ANY_RULE = VERTEX | INTERSECTS | GAP | NEAREST | NEAR_MISS


def _code(first: Ints, second: Ints) -> Ints:
    return np.minimum(first, second) << 32 | np.maximum(first, second)


@dataclass(frozen=True)
class Pairs:
    """Pairs of cells, each once, in ascending order.

    Parameters
    ----------
    code : shape (n_pairs,)
        The lower cell number in the upper 32 bits, the higher in the lower ones.
    flags : shape (n_pairs,)
        Rules that find the pair, and its kind of contact.
    """

    code: Ints
    flags: Flags

    @classmethod
    def of(cls, first: Ints, second: Ints, flags: Flags) -> "Pairs":
        """Bring pairs that may repeat, either way round, into order."""
        return cls._distinct(_code(first, second), flags)

    @classmethod
    def union(cls, *pairs: "Pairs") -> "Pairs":
        """Return all pairs, each with all that is known of it."""
        none = cls(np.zeros(0, np.int64), np.zeros(0, np.uint8))
        return cls._distinct(
            np.concatenate([none.code, *(some.code for some in pairs)]),
            np.concatenate([none.flags, *(some.flags for some in pairs)]),
        )

    @classmethod
    def _distinct(cls, code: Ints, flags: Flags) -> "Pairs":
        # Runs of sorted codes, which the stable sort merges.
        order = np.argsort(code, kind="stable")
        code, flags = code[order], flags[order]
        start = np.flatnonzero(np.diff(code, prepend=-1))
        return cls(code[start], np.bitwise_or.reduceat(flags, start) if len(start) else flags)

    @property
    def low(self) -> Ints:
        """Lower cell number of each pair."""
        return self.code >> 32

    @property
    def high(self) -> Ints:
        """Higher cell number of each pair."""
        return self.code & 0xFFFFFFFF

    def shifted(self, offset: int) -> "Pairs":
        """Return the same pairs of cells numbered from `offset`."""
        return Pairs(self.code + (offset << 32 | offset), self.flags)

    def where(self, keep: Bools) -> "Pairs":
        """Return some of the pairs."""
        return Pairs(self.code[keep], self.flags[keep])

    def has(self, flag: np.uint8) -> Bools:
        """Return which pairs have one of these flags."""
        return (self.flags & flag) > 0

    def neighbors(self) -> "Pairs":
        """Return the pairs that some rule joins."""
        return self.where(self.has(VERTEX | INTERSECTS | GAP | NEAREST))

    def known(self, first: Ints, second: Ints) -> Flags:
        """Return the flags of these pairs of cells, zero for those that are not here."""
        code = _code(first, second)
        place = np.searchsorted(self.code, code)
        found = np.append(self.code, -1)[place] == code
        return np.where(found, np.append(self.flags, NOTHING)[place], NOTHING)


def table(first: Ints, second: Ints, flags: Flags, geoid: "pd.Series[str]") -> pd.DataFrame:
    """Return pairs of cells with their names.

    Parameters
    ----------
    first, second : shape (n_pairs,)
        Cell numbers.
    flags : shape (n_pairs,)
        Rules and kind of contact.
    geoid : pd.Series
        Geoid of at least these cells, by number, in ascending order.

    Returns
    -------
    pd.DataFrame
        Columns focal and neighbor (str), rook and overlap (bool), rule (categorical).
    """
    place = np.full(int(_ANY_RULE) + 1, -1)
    place[list(_RULE_NAMES)] = np.arange(len(_RULE_NAMES))
    names, number = geoid.array, geoid.index.to_numpy()
    return pd.DataFrame(
        {
            "focal": names.take(np.searchsorted(number, first)),
            "neighbor": names.take(np.searchsorted(number, second)),
            "rook": (flags & ROOK) > 0,
            "overlap": (flags & OVERLAP) > 0,
            "rule": pd.Categorical.from_codes(place[flags & _ANY_RULE], dtype=RULE),
        }
    )


def differences(pairs: Pairs, geoid: "pd.Series[str]") -> pd.DataFrame:
    """Return the pairs on which the rules, or other ways to find neighbours, differ.

    Those that only one rule finds, those whose interiors overlap (which the predicate `touches` drops),
    and the near misses.

    Parameters
    ----------
    pairs : Pairs
        All pairs.
    geoid : pd.Series
        Geoid of at least these cells, by number, in ascending order.

    Returns
    -------
    pd.DataFrame
        As `table`, with focal < neighbor.
    """
    both = VERTEX | INTERSECTS
    differing = pairs.where(((pairs.flags & both) != both) | pairs.has(OVERLAP))
    return table(differing.low, differing.high, differing.flags, geoid)
