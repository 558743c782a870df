"""Pairs of cells with flags: the rules by which they are neighbors, and the kind of contact."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Flags = NDArray[np.uint8]

NOTHING = np.uint8(0)
# Rules. A near miss is reported and joins nothing.
VERTEX, INTERSECTS, GAP, NEAREST, NEAR_MISS = (np.uint8(1 << bit) for bit in range(5))
# Kinds of contact.
ROOK, OVERLAP = np.uint8(1 << 5), np.uint8(1 << 6)

RULES = {
    VERTEX: "vertex",
    INTERSECTS: "intersects",
    VERTEX | INTERSECTS: "vertex+intersects",
    GAP: "gap",
    NEAREST: "nearest",
    NEAR_MISS: "near miss",
}


def rule_number(flags: Flags) -> NDArray[np.int8]:
    """Return the place in `RULES` of each pair's rule; an island's nearest cell may be a near miss too.

    Examples
    --------
    >>> rule_number(np.array([VERTEX | INTERSECTS | ROOK, GAP]))
    array([2, 3], dtype=int8)
    """
    place = np.full(int(VERTEX | INTERSECTS | GAP | NEAREST | NEAR_MISS) + 1, list(RULES).index(NEAREST), dtype=np.int8)
    place[list(RULES)] = np.arange(len(RULES))
    numbers: NDArray[np.int8] = place[flags & np.uint8(len(place) - 1)]
    return numbers


@dataclass(frozen=True)
class Pairs:
    """Pairs of cells, each once, in ascending order.

    Attributes
    ----------
    code : shape (n_pairs,)
        The lower cell number in the upper 32 bits, the higher one in the lower bits.
    flags : shape (n_pairs,)
        Rules and kind of contact.
    """

    code: Ints
    flags: Flags

    @classmethod
    def of(cls, first: Ints, second: Ints, flags: Flags) -> "Pairs":
        """Return pairs in order; they may repeat, either way round."""
        return cls._distinct(_code(first, second), flags)

    @classmethod
    def none(cls) -> "Pairs":
        """Return no pairs."""
        return cls(np.zeros(0, np.int64), np.zeros(0, np.uint8))

    @classmethod
    def union(cls, *parts: "Pairs") -> "Pairs":
        """Return all pairs, each with the flags of all its occurrences."""
        parts = (cls.none(), *parts)
        return cls._distinct(
            np.concatenate([part.code for part in parts]), np.concatenate([part.flags for part in parts])
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
        """Return the pairs that a mask keeps."""
        return Pairs(self.code[keep], self.flags[keep])

    def has(self, flag: np.uint8) -> Bools:
        """Return which pairs have one of these flags."""
        return (self.flags & flag) > 0

    def neighbors(self, *, rook: bool = False) -> "Pairs":
        """Return the pairs that are neighbors: by any rule, or as rook."""
        return self.where(self.has(ROOK | NEAREST if rook else VERTEX | INTERSECTS | GAP | NEAREST))

    def differing(self) -> "Pairs":
        """Return the pairs that only one rule finds, that overlap, or that are near misses."""
        both = VERTEX | INTERSECTS
        return self.where(((self.flags & both) != both) | self.has(OVERLAP))

    def flags_of(self, first: Ints, second: Ints) -> Flags:
        """Return the flags of pairs of cells, zero for those that are not here."""
        code = _code(first, second)
        place = np.searchsorted(self.code, code)
        found = np.append(self.code, -1)[place] == code
        return np.where(found, np.append(self.flags, NOTHING)[place], NOTHING)

    def directed(self, first: int, last: int) -> tuple[Ints, Ints, Flags]:
        """Return both directions of the pairs, sorted, those that start in the cells from `first` to before `last`."""
        focal, neighbor = np.concatenate([self.low, self.high]), np.concatenate([self.high, self.low])
        flags = np.concatenate([self.flags, self.flags])
        here = np.flatnonzero((first <= focal) & (focal < last))
        here = here[np.argsort(focal[here] << 32 | neighbor[here], kind="stable")]
        return focal[here], neighbor[here], flags[here]


def _code(first: Ints, second: Ints) -> Ints:
    return np.minimum(first, second) << 32 | np.maximum(first, second)
