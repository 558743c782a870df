"""Classes of a map: bounds, colors and texts of the legend."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geomob_dask.errors import InputError
from geomob_dask.outputs.palette import shades

# Of more values than this, natural breaks are those of a sample: their time grows with the square.
SAMPLE = 1000
CLASSES = 7
MINUS = "\N{MINUS SIGN}"
# Numbers with more decimal places than this are written with four digits.
_MOST_PLACES = 7

Floats = NDArray[np.float64]
Kind = Literal["sequential", "diverging", "categories"]


@dataclass(frozen=True)
class Scale:
    """Classes of values, each with a color and a text of the legend.

    Parameters
    ----------
    edges : sequence of float, length k + 1
        Bounds of the classes, ascending. A value on an inner bound belongs to the class above it; values beyond the
        ends belong to the classes of the ends.
    colors : sequence of str, length k
        As #rrggbb.
    labels : sequence of str, length k
        Texts of the legend.
    kind : "sequential", "diverging" or "categories"
        Of a scale of categories, class i holds the value i, and a tooltip shows its label in place of a number.

    Raises
    ------
    InputError
        If bounds do not ascend, or their number does not fit those of colors and labels.
    """

    edges: tuple[float, ...]
    colors: tuple[str, ...]
    labels: tuple[str, ...]
    kind: Kind = "sequential"

    def __post_init__(self) -> None:
        _check(self.edges)
        for what, found in (("colors", self.colors), ("labels", self.labels)):
            if len(found) != len(self.edges) - 1:
                raise InputError(
                    f"scale: found {len(found)} {what}, expected {len(self.edges) - 1}, one for each class"
                )


def _check(edges: Sequence[float]) -> None:
    bounds = np.asarray(edges, dtype=np.float64)
    if len(bounds) < 2 or not np.isfinite(bounds).all() or not (np.diff(bounds) > 0).all():
        raise InputError(f"scale: found bounds {list(edges)}, expected two or more that ascend")


def fixed(edges: Sequence[float], palette: Sequence[str], *, unit: str = "", kind: Kind = "sequential") -> Scale:
    """Return classes between given bounds.

    Parameters
    ----------
    edges : sequence of float, length k + 1
        Ascending. The classes of the ends hold what is beyond as well, and their texts say so.
    palette : sequence of str
        Colors of the lowest and the highest class, and between.
    unit : str
        Of the values. What is written with a number, such as ``%`` and ``USD``, is in the texts of the classes.

    Raises
    ------
    InputError
        If there are fewer than two bounds, or they do not ascend.

    Examples
    --------
    >>> fixed([0, 20, 40, 100], ["#ffffff", "#0000ff"], unit="%").labels
    ('less than 20%', '20 to 40%', '40% or more')
    """
    bounds = tuple(map(float, edges))
    _check(bounds)
    return Scale(bounds, shades(palette, len(bounds) - 1), _texts(bounds, unit), kind)


def even(colors: Sequence[str], low: float, high: float, *, unit: str = "", kind: Kind = "sequential") -> Scale:
    """Return a class for each color, of equal width, between two values.

    Examples
    --------
    >>> even(["#ffffff", "#0000ff"], 0, 100).labels
    ('less than 50', '50 or more')
    """
    if not -np.inf < low < high < np.inf or len(colors) < 2:
        raise InputError(
            f"scale: found {len(colors)} colors from {low} to {high}, expected two or more from a lower to a higher "
            "number"
        )
    return fixed(np.linspace(low, high, len(colors) + 1).tolist(), colors, unit=unit, kind=kind)


def quantiles(values: ArrayLike, palette: Sequence[str], *, classes: int = CLASSES, unit: str = "") -> Scale:
    """Return classes that hold about the same number of values; bounds are rounded.

    See `natural_breaks` for parameters and for what is returned of few values.
    """

    def bounds(known: Floats) -> Floats:
        # As mapclassify's Quantiles, whose package takes seconds to import, in the process of a scheduler too.
        # Of values that are mostly equal there are fewer quantiles than classes.
        return np.unique(np.quantile(known, np.arange(1, classes + 1) / classes))

    return _classes(values, palette, classes, unit, bounds)


def natural_breaks(values: ArrayLike, palette: Sequence[str], *, classes: int = CLASSES, unit: str = "") -> Scale:
    """Return the classes within which values differ least (Fisher & Jenks); bounds are rounded.

    Of more than `SAMPLE` values, as many at equal steps of their order are used, the least and the greatest among them.

    Parameters
    ----------
    values : array-like of float
        NaN and infinite values are left out; an infinite one falls into the class of its end.
    palette : sequence of str
        Colors from the lowest to the highest class; see `palette.shades`.
    classes : int
        At least two. There are fewer where values are too few, or too many of them equal: each value of at most
        this number of distinct ones has its own class, with the value as its text. Without any value there is one
        class, which says so.
    unit : str
        See `fixed`.
    """

    def bounds(known: Floats) -> Floats:
        from mapclassify import FisherJenks

        ordered = np.sort(known)
        if len(ordered) > SAMPLE:
            ordered = ordered[np.linspace(0, len(ordered) - 1, SAMPLE).round().astype(int)]
        with warnings.catch_warnings():
            # That the package would be faster with numba is no matter of the reader's.
            warnings.simplefilter("ignore")
            return np.asarray(FisherJenks(ordered, k=classes).bins)

    return _classes(values, palette, classes, unit, bounds)


def equal_steps(values: ArrayLike, palette: Sequence[str], *, classes: int = CLASSES, unit: str = "") -> Scale:
    """Return classes of equal width with round bounds; a twentieth or so of the values lies beyond the inner ones.

    See `natural_breaks` for parameters and for what is returned of few values. The number of classes may differ by a
    few from what is asked for, so that bounds are round.
    """

    def bounds(known: Floats) -> Floats:
        low, high = np.quantile(known, [0.02, 0.98])
        if not high > low:
            low, high = known.min(), known.max()
        step = min(_steps((high - low) / classes), key=lambda one: (abs(_between(low, high, one) - classes), one))
        return step * np.arange(np.floor(low / step + 1e-9) + 1, np.ceil(high / step - 1e-9))

    return _classes(values, palette, classes, unit, bounds, closed=False)


def diverging(
    values: ArrayLike, palette: Sequence[str], *, unit: str = "", fell: str = "", rose: str = "", none: str = "about 0"
) -> Scale:
    """Return seven classes about zero, the middle one for what is nearly zero; both ends are as far from zero.

    The bounds are 1, 5 and 10 tenths of a round number near the largest values: the 98th percentile of their size.

    Parameters
    ----------
    values : array-like of float
        NaN and infinite values are left out.
    palette : sequence of str
        Colors below zero, about zero and above.
    unit : str
        See `fixed`.
    fell, rose : str, optional
        What texts say of values below and above zero, such as ``fell by``; numbers with a sign by default.
    none : str
        What the middle class is called.

    Examples
    --------
    >>> diverging([-9.0, 3.0, 10.0], ["#ff0000", "#ffffcc", "#0000ff"], fell="fell by", rose="rose by").labels[2:]
    ('fell by 1 to 5', 'about 0 (less than 1)', 'rose by 1 to 5', 'rose by 5 to 10', 'rose by 10 or more')
    """
    known = np.abs(_known(values))
    most = float(np.quantile(known, 0.98, method="higher")) if len(known) else 0.0
    if not most > 0:
        most = float(known.max(initial=0.0)) or 1.0
    # At the outer bound or beyond it lies a share of the values, not the greatest alone.
    reach = max(step for step in _steps(most) if step <= most * (1 + 1e-9))
    small, middle, large = (_exact(part * reach) for part in (0.1, 0.5, 1.0))
    beyond = max(_exact(2 * reach), _exact(float(known.max(initial=0.0))))
    # A fall by a bound belongs with larger ones, as a rise by it does.
    below_zero = (float(np.nextafter(-bound, 0)) for bound in (large, middle, small))
    edges = (-beyond, *below_zero, small, middle, large, beyond)
    shown = _Shown((small, middle, large), unit)
    one, five, ten = map(shown.plain, (small, middle, large))
    if fell and rose:
        sizes = (f"{shown.of(large)} or more", shown.range(five, ten), shown.range(one, five))
        texts = tuple(f"{fell} {size}" for size in sizes), tuple(f"{rose} {size}" for size in reversed(sizes))
    else:
        pairs = (f"{MINUS}{shown.of(large)} or less", f"{MINUS}{shown.range(ten, f'{MINUS}{five}')}")
        below = (*pairs, f"{MINUS}{shown.range(five, f'{MINUS}{one}')}")
        texts = below, (f"+{shown.range(one, five)}", f"+{shown.range(five, ten)}", f"+{shown.of(large)} or more")
    labels = (*texts[0], f"{none} (less than {shown.of(small)})", *texts[1])
    return Scale(edges, shades(palette, 7), labels, "diverging")


def categories(colors: Sequence[str], labels: Sequence[str]) -> Scale:
    """Return a class for each of the values 0, 1, 2 and so on."""
    edges = tuple(place - 0.5 for place in range(len(labels) + 1))
    return Scale(edges, tuple(colors), tuple(labels), "categories")


# How classes are made, by what a reader chooses.
METHODS: Mapping[str, Callable[..., Scale]] = {
    "quantiles": quantiles,
    "natural breaks": natural_breaks,
    "equal steps": equal_steps,
}


def _known(values: ArrayLike) -> Floats:
    found = np.asarray(values, dtype=np.float64).ravel()
    return found[np.isfinite(found)]


def _classes(
    values: ArrayLike,
    palette: Sequence[str],
    classes: int,
    unit: str,
    bounds: Callable[[Floats], Floats],
    *,
    closed: bool = True,
) -> Scale:
    """Return classes from the upper bounds that a method finds.

    Parameters
    ----------
    closed : bool
        Whether bounds belong to the class below, as in mapclassify; they are moved up to the next value, and rounded.
    """
    if classes < 2:
        raise InputError(f"classes of a map: found {classes}, expected two or more")
    known = _known(values)
    distinct = np.unique(known)
    if len(distinct) <= classes:
        return _few(distinct, palette, unit)
    low, high = float(distinct[0]), float(distinct[-1])
    upper = np.unique(bounds(known))
    if closed:
        after = np.searchsorted(distinct, upper, side="right")
        upper = _rounded(np.unique([low, *distinct[after[after < len(distinct)]], high]))
    inner = [_exact(float(edge)) for edge in upper if low < edge <= high]
    edges = [low, *inner, high if high > inner[-1] else inner[-1] + abs(inner[-1]) * 1e-6 + 1e-9]
    return fixed(edges, palette, unit=unit)


def _few(distinct: Floats, palette: Sequence[str], unit: str) -> Scale:
    """Return a class for each value; one without a value where there is none."""
    if not len(distinct):
        return Scale((0.0, 1.0), shades(palette, 1), ("no value",))
    middles = (distinct[1:] + distinct[:-1]) / 2
    reach = float(np.diff(distinct).min(initial=np.inf)) / 2 if len(distinct) > 1 else max(abs(distinct[0]) * 0.1, 0.5)
    edges = (float(distinct[0] - reach), *map(float, middles), float(distinct[-1] + reach))
    shown = _Shown(distinct.tolist(), unit)
    return Scale(edges, shades(palette, len(distinct)), tuple(map(shown.of, distinct.tolist())))


def _rounded(edges: Floats) -> Floats:
    """Return ascending bounds, the inner ones rounded by at most a tenth of the way to their neighbors."""
    inner = edges[1:-1]
    room = np.minimum(inner - edges[:-2], edges[2:] - inner)
    return np.array([_nearest_round(value, room / 10) for value, room in zip(inner, room, strict=True)])


def _nearest_round(value: float, within: float) -> float:
    step = max(one for one in _steps(2 * within) if one <= 2 * within * (1 + 1e-9))
    return float(step * np.round(value / step))


def _steps(near: float) -> list[float]:
    """Return round numbers: 1, 2 and 5 times powers of ten, from below `near` to above it."""
    power = int(np.floor(np.log10(near)))
    return [float(f"{factor}e{place}") for place in (power - 1, power, power + 1) for factor in (1, 2, 5)]


def _between(low: float, high: float, step: float) -> int:
    return int(np.ceil(high / step - 1e-9) - np.floor(low / step + 1e-9))


def _exact(value: float) -> float:
    """Return a number without the noise of its last digits, so that its text is short."""
    return float(f"{value:.12g}")


class _Shown:
    """How numbers of one legend are written: with no more decimal places than they have, and their unit."""

    def __init__(self, values: Sequence[float], unit: str) -> None:
        money = unit == "USD" or unit.startswith("USD of ")
        self.before, self.after = ("$" if money else ""), ("%" if unit == "%" else "")
        self.places = next(
            (
                places
                for places in range(_MOST_PLACES)
                if all(abs(round(value, places) - value) <= 1e-9 * max(abs(value), 1e-9) for value in values)
            ),
            None,
        )

    def plain(self, value: float) -> str:
        """Return a number without its unit."""
        text = f"{abs(value):,.{self.places}f}" if self.places is not None else f"{abs(value):,.4g}"
        text = text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text
        return f"{MINUS}{text}" if value < 0 and text.strip("0.,") else text

    def of(self, value: float) -> str:
        """Return a number with its unit."""
        text = f"{self.before}{self.plain(abs(value))}{self.after}"
        return f"{MINUS}{text}" if value < 0 else text

    def range(self, low: str, high: str) -> str:
        """Return a range of two numbers as `plain` returns them."""
        sign, digits = (MINUS, low[1:]) if low.startswith(MINUS) else ("", low)
        return f"{sign}{self.before}{digits} to {_with_sign(self.before, high)}{self.after}"


def _with_sign(before: str, number: str) -> str:
    return f"{MINUS}{before}{number[1:]}" if number.startswith(MINUS) else f"{before}{number}"


def _texts(edges: Sequence[float], unit: str) -> tuple[str, ...]:
    """Return the texts of classes; those of the ends name one bound."""
    inner = edges[1:-1]
    if not inner:
        shown = _Shown(edges, unit)
        return (shown.range(*map(shown.plain, edges)),)
    shown = _Shown(inner, unit)
    pairs = [shown.range(shown.plain(low), shown.plain(high)) for low, high in pairwise(inner)]
    return (f"less than {shown.of(inner[0])}", *pairs, f"{shown.of(inner[-1])} or more")
