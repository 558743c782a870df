"""The colors of all pages, maps and plots, as #rrggbb."""

from collections.abc import Mapping, Sequence

import numpy as np
from bokeh.palettes import RdBu11, Viridis256

INK, SOFT, LINE, GRID = "#1c2733", "#5b6977", "#dde3e9", "#e6eaee"
ACCENT = "#1d5b8f"
SEA = "#f1f4f7"
MISSING = "#989da3"
# As `static/tract_map.js` draws areas without a value, and those whose value is known and not shown.
NO_VALUE, SUPPRESSED = f"hatch {MISSING}", "cross #5c6168"
# What the style sheets use, as variables.
STYLE = {"ink": INK, "soft": SOFT, "line": LINE, "grid": GRID, "accent": ACCENT, "sea": SEA, "missing": MISSING}

# Colors have one meaning on all maps: blue is more opportunity, red more deprivation, whether levels or changes; violet
# and orange say neither. Neighboring classes, missing values and the background are told apart by readers who cannot
# distinguish red from green (tests/outputs/test_palette.py).
# Low to high, light to dark.
OPPORTUNITY = ("#ffffd9", "#def2b9", "#ace0bd", "#73c4d0", "#45a0d2", "#2c7bbd", "#2359a5", "#1f2f86")
DEPRIVATION = ("#ffffcc", "#fee799", "#fdc96d", "#fba34b", "#f47834", "#e44927", "#c31b20", "#8f0026")
NEUTRAL = ("#fdebd3", "#f3d3d6", "#dcb0d6", "#b98bd0", "#9464bd", "#713e9e", "#4b1a78")
# Below zero, about zero, above: toward deprivation and toward opportunity; fell and rose where neither is meant.
CHANGE = ("#b2182b", "#e0583c", "#f9a969", "#fff2a8", "#9fd0ea", "#4a93c8", "#1f4f99")
NEUTRAL_CHANGE = ("#8c4a06", "#cf7f22", "#f2b967", "#fbf3b5", "#c3b6e0", "#8b6fbb", "#542788")
# Of a measure of which more is opportunity (1) or deprivation (-1), or which says neither: its levels, and its changes.
LEVELS: Mapping[int, Sequence[str]] = {1: OPPORTUNITY, -1: DEPRIVATION, 0: NEUTRAL}
CHANGES: Mapping[int, Sequence[str]] = {1: CHANGE, -1: CHANGE[::-1], 0: NEUTRAL_CHANGE}
# Red is below zero, blue above.
CORRELATION = tuple(reversed(RdBu11))
# Shares from 0 to 1; text is legible on all of them.
SHARES = tuple(f"#{255 - 190 * k // 20:02x}{255 - 130 * k // 20:02x}{255 - 80 * k // 20:02x}" for k in range(21))
# Classes of an outcome, low to high, by their number.
CLASSES = {2: ("#b4532a", "#2a6ea3"), 4: ("#a63f1f", "#e3a36f", "#8db9d8", "#1f5f99")}
# Okabe and Ito (2008), distinct for color-blind readers; their yellow is darker here, to be seen on white.
CATEGORIES = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#8A7A00", "#000000")
# Low, middle and high incomes: near those of the three-color map, and distinct for color-blind readers.
INCOMES = (CATEGORIES[3], CATEGORIES[2], CATEGORIES[0])


def categories(number: int) -> list[str]:
    """Return a color per category: distinct ones, or steps from dark to light for more than eight."""
    if number <= len(CATEGORIES):
        return list(CATEGORIES[:number])
    return [Viridis256[place] for place in np.linspace(0, 235, number).astype(int)]


def shades(palette: Sequence[str], number: int) -> tuple[str, ...]:
    """Return a number of colors at equal steps from the first to the last of a palette; of one, that in the middle.

    Examples
    --------
    >>> shades(("#000000", "#ffffff"), 3)
    ('#000000', '#808080', '#ffffff')
    """
    known = np.array([[int(color[place : place + 2], 16) for place in (1, 3, 5)] for color in palette])
    steps = np.linspace(0, len(palette) - 1, number) if number > 1 else np.array([(len(palette) - 1) / 2])
    mixed = np.column_stack([np.interp(steps, np.arange(len(palette)), channel) for channel in known.T])
    return tuple(f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in np.floor(mixed + 0.5).astype(int).tolist())
