"""The colors of all pages, maps and plots, as #rrggbb."""

import numpy as np
from bokeh.palettes import RdBu11, Viridis256, YlGnBu9, YlOrRd9

INK, SOFT, LINE, GRID = "#1c2733", "#5b6977", "#dde3e9", "#e6eaee"
ACCENT = "#1d5b8f"
SEA = "#f1f4f7"
MISSING = "#a9afb5"
# What the style sheets use, as variables.
STYLE = {"ink": INK, "soft": SOFT, "line": LINE, "grid": GRID, "accent": ACCENT, "sea": SEA, "missing": MISSING}

# Low to high. The darkest step of each is left out: state lines would be lost on it.
OPPORTUNITY = tuple(reversed(YlGnBu9[1:]))
DEPRIVATION = tuple(reversed(YlOrRd9[1:]))
# Blue is below zero, red above; the middle color is about zero.
CHANGE = tuple(RdBu11[1:-1])
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
