"""Sums per region that are the same in any order and under any partitioning.

A floating-point sum depends on its order, so an index would change in its last bits with the
partitions its tracts lie in. Here a sum is kept as a fixed-point number: every finite double is a
multiple of 2**-1074, hence an integer combination of the powers 2**(32 j), and integers add
exactly in any order. Rounding happens once, at the end, to the nearest double (ties to even), so
the result is the correctly rounded sum, the one `math.fsum` gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from geomob_dask.errors import InputError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_BITS = 32
# A digit is below 2**32: the float64 sum of 2**20 of them stays below 2**53, hence exact.
_BLOCK = 1 << 20
# A double is below 2**1024 and a multiple of 2**-1074.
_HIGHEST_DIGIT = 1023 // _BITS
_LOWEST_DIGIT = -(1074 // _BITS) - 1


@dataclass(frozen=True)
class ExactSums:
    """Sums of many regions and columns, exact, to be merged by ``+`` and then rounded once.

    Attributes
    ----------
    digits : shape (n_regions, n_columns, n_digits), int64
        Column sums in base 2**32: the sum is ``Σ_j digits[..., j] · 2**(32·(lowest + j))``.
        Digits may be negative or exceed the base; 2**31 rows can be added before one overflows.
    lowest : int
        Exponent of the first digit, in units of 32 bits.

    Notes
    -----
    *Exactness.* A double x is split from the top by ``d_j = trunc(x / 2**(32j))``,
    ``x ← x − d_j·2**(32j)``. Scaling by a power of two, truncation and the removal of leading bits
    are exact in binary floating point, and after the digit that holds its last bit x is zero;
    the digits used reach from the largest to the smallest bit among all values, so no bit is
    lost. Each ``|d_j|`` is an integer below 2**32, so blocks of 2**20 rows add exactly in float64 and
    blocks add exactly in int64. The digits of a sum therefore depend on the set of rows alone.
    """

    digits: Integers
    lowest: int

    @classmethod
    def of(cls, values: Floats, region: Integers, n_regions: int) -> ExactSums:
        """Add the rows of each region.

        Parameters
        ----------
        values : shape (n_rows, n_columns) or (n_rows,)
            Finite numbers.
        region : shape (n_rows,), integers in [0, n_regions)
            The region of each row, in any order.
        n_regions : int
            Number of regions; those without rows have the sum zero.

        Raises
        ------
        InputError
            If a value is NaN or infinite: it names the row and the column.
        """
        columns = np.asarray(values, dtype=np.float64)
        columns = columns[:, None] if columns.ndim == 1 else columns
        finite = np.isfinite(columns)
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            raise InputError(f"cannot add row {row}, column {column}: found {columns[row, column]}, expected a number")
        lowest, highest = _digit_range(columns)
        digits = np.zeros((n_regions, columns.shape[1], highest - lowest + 1), dtype=np.int64)
        for start in range(0, len(columns), _BLOCK):
            rows = slice(start, start + _BLOCK)
            _add_block(digits, lowest, columns[rows], region[rows])
        return cls(digits, lowest)

    def __add__(self, other: ExactSums) -> ExactSums:
        """Merge the sums of two sets of rows over the same regions and columns."""
        if self.digits.shape[:2] != other.digits.shape[:2]:
            raise InputError(
                f"cannot merge sums of {other.digits.shape[:2]} regions and columns into {self.digits.shape[:2]}"
            )
        lowest = min(self.lowest, other.lowest)
        highest = max(part.lowest + part.digits.shape[2] for part in (self, other))
        merged = np.zeros((*self.digits.shape[:2], highest - lowest), dtype=np.int64)
        for part in (self, other):
            start = part.lowest - lowest
            merged[..., start : start + part.digits.shape[2]] += part.digits
        return ExactSums(merged, lowest)

    def rounded(self) -> Floats:
        """Return the sums, each rounded once to the nearest double, shape (n_regions, n_columns).

        Beyond the largest double the result is infinite.
        """
        n_regions, n_columns, n_digits = self.digits.shape
        sums_in_digits = self.digits.reshape(n_regions * n_columns, n_digits)
        digits, overflow = _carried(sums_in_digits)
        negative = overflow < 0
        # A negative sum is minus the carried digits of its opposite: rounding is symmetric.
        opposite, opposite_overflow = _carried(-sums_in_digits[negative])
        digits[negative], overflow[negative] = opposite, opposite_overflow
        # The overflow is below 2**31 · n_digits: two more digits hold it, two zeros pad the bottom.
        zeros = np.zeros((len(digits), 2), dtype=np.int64)
        padded = np.column_stack([zeros, digits, overflow & _MASK, overflow >> _BITS]).astype(np.uint64)
        sums = _nearest_double(padded, self.lowest - 2)
        return np.where(negative, -sums, sums).reshape(n_regions, n_columns)


def merged(parts: Iterable[ExactSums]) -> ExactSums:
    """Merge the sums of several partitions, in any order."""
    return reduce(ExactSums.__add__, parts)


def merged_regions(parts: Sequence[ExactSums], regions: Sequence[Integers], n_regions: int) -> ExactSums:
    """Merge sums over different regions.

    Parameters
    ----------
    parts : sequence of ExactSums
        Of the same columns.
    regions : sequence of shape (n_regions of the part,), integers in [0, n_regions)
        For each part, the places of its regions among all; each occurs once in a part.
    n_regions : int
    """
    lowest = min(part.lowest for part in parts)
    n_digits = max(part.lowest + part.digits.shape[2] for part in parts) - lowest
    digits = np.zeros((n_regions, parts[0].digits.shape[1], n_digits), dtype=np.int64)
    for part, region in zip(parts, regions, strict=True):
        start = part.lowest - lowest
        digits[region, :, start : start + part.digits.shape[2]] += part.digits
    return ExactSums(digits, lowest)


def region_sums(values: Floats, region: Integers, n_regions: int) -> Floats:
    """Return the correctly rounded sum of each region's rows.

    Parameters are those of `ExactSums.of`.

    Returns
    -------
    shape (n_regions, n_columns), or (n_regions,) where `values` has one dimension

    Examples
    --------
    >>> region_sums(np.array([1e16, 1.0, -1e16, 0.1]), np.array([0, 0, 0, 1]), 2)
    array([1. , 0.1])
    """
    sums = ExactSums.of(values, region, n_regions).rounded()
    return sums[:, 0] if np.ndim(values) == 1 else sums


_MASK = np.int64((1 << _BITS) - 1)


def _digit_range(columns: Floats) -> tuple[int, int]:
    """Return the lowest and the highest digit that a bit of any value falls in."""
    magnitudes = np.abs(columns)
    largest = magnitudes.max(initial=0.0)
    if largest == 0:
        return 0, 0
    # frexp: magnitude = m · 2**e with 1/2 <= m < 1, so its bits lie in [e − 53, e − 1].
    highest_bit = int(np.frexp(largest)[1]) - 1
    whole = (magnitudes == np.floor(magnitudes)).all()
    smallest = magnitudes.min(where=magnitudes > 0, initial=np.inf)
    lowest_bit = 0 if whole else int(np.frexp(smallest)[1]) - 53
    return max(lowest_bit // _BITS, _LOWEST_DIGIT), min(highest_bit // _BITS, _HIGHEST_DIGIT)


def _add_block(digits: Integers, lowest: int, columns: Floats, region: Integers) -> None:
    n_regions, n_columns, n_digits = digits.shape
    for column in range(n_columns):
        rest = columns[:, column].copy()
        for digit in reversed(range(n_digits)):
            exponent = _BITS * (lowest + digit)
            integers = np.trunc(_scaled(rest, -exponent))
            if digit > 0:
                rest -= _scaled(integers, exponent)
            sums = np.bincount(region, weights=integers, minlength=n_regions)
            digits[:, column, digit] += sums.astype(np.int64)


def _scaled(values: Floats, exponent: int) -> Floats:
    """Return values · 2**exponent: by a product, which is faster, where that power is a double."""
    scaled: Floats = values * 2.0**exponent if abs(exponent) < 1000 else np.ldexp(values, exponent)
    return scaled


def _carried(digits: Integers) -> tuple[Integers, Integers]:
    """Bring each digit into [0, 2**32) and return what is carried beyond the last."""
    digits = digits.copy()
    carry = np.zeros(len(digits), dtype=np.int64)
    for place in range(digits.shape[1]):
        total = digits[:, place] + carry
        digits[:, place] = total & _MASK
        carry = total >> _BITS
    return digits, carry


def _nearest_double(digits: NDArray[np.uint64], lowest: int) -> Floats:
    """Round non-negative digits (two zeros at the bottom) to the nearest double, ties to even.

    The 64 bits from the leading one on are converted, their last bit set if any bit below is: this
    leaves the direction of rounding at bit 53 as it is, and the conversion of an unsigned integer
    rounds to nearest even. Sums below the normal range need no more than 53 bits (all doubles are
    multiples of 2**-1074), so scaling does not round a second time.
    """
    rows = np.arange(len(digits))
    present = digits != 0
    leading = np.maximum(digits.shape[1] - 1 - np.argmax(present[:, ::-1], axis=1), 2)
    first, second, third = (digits[rows, leading - place] for place in range(3))
    below = np.cumsum(present, axis=1)[rows, leading - 2] - (third != 0) > 0
    # Digits are below 2**32, so their conversion is exact and frexp counts their bits.
    shift = (_BITS - np.frexp(first.astype(np.float64))[1]).astype(np.uint64)
    bits = np.uint64(_BITS)
    window = (first << (bits + shift)) | (second << shift) | (third >> (bits - shift))
    lost = (third << shift) & np.uint64(_MASK)
    window |= ((lost != 0) | below).astype(np.uint64)
    exponent = _BITS * (leading + lowest - 1) - shift.astype(np.int64)
    with np.errstate(over="ignore"):
        sums: Floats = np.ldexp(window.astype(np.float64), exponent)
    return sums
