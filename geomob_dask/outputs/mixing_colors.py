"""Colors of the three-color map: shares of low, middle and high incomes as one color."""

import numpy as np
from numpy.typing import NDArray

from geomob_dask.outputs.palette import MISSING

Floats = NDArray[np.float64]

# CIELAB hue (degrees), chroma and lightness of all low, all middle, all high; the region's own mix is a light gray.
# Green leans to blue and lightness differs, for readers who cannot distinguish red from green.
_HUE = np.radians([45.0, 165.0, 265.0])
_CHROMA = np.array([72.0, 45.0, 52.0])
_LIGHTNESS = np.array([50.0, 80.0, 38.0])
_GREY = 93.0
# Compositions of tracts are close to their region's: this spreads them over the colors.
_SPREAD = 1.6
_WHITE_D65 = np.array([0.95047, 1.0, 1.08883])
_TO_RGB = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])


def composition_colors(composition: Floats, region: Floats) -> list[str]:
    """Return a color for each composition.

    Parameters
    ----------
    composition : shape (n_units, 3)
        Shares low, middle and high; NaN if nobody is counted.
    region : shape (3,)
        Shares of the region, which is gray; compositions further from it are more colorful.

    Returns
    -------
    list of #rrggbb, `MISSING` for a missing composition

    Examples
    --------
    >>> composition_colors(np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0.3, 0.4, 0.3]]), np.array([0.3, 0.4, 0.3]))
    ['#d04a20', '#66dbaf', '#0061ae', '#ebebeb']
    """
    weights = _centered(composition, region)
    strength = 1.5 * (weights.max(axis=1) - 1 / 3)
    toward = np.column_stack([weights @ (_CHROMA * np.cos(_HUE)), weights @ (_CHROMA * np.sin(_HUE))])
    neutral = np.array([(_CHROMA * np.cos(_HUE)).mean(), (_CHROMA * np.sin(_HUE)).mean()])
    lightness = (1 - strength) * _GREY + strength * (weights @ _LIGHTNESS)
    rgb = _rgb(np.column_stack([lightness, toward - neutral * (1 - strength)[:, None]]))
    missing = np.isnan(rgb @ np.ones(3)).tolist()
    codes = np.round(255 * np.nan_to_num(rgb)).astype(int)
    return [
        MISSING if lost else f"#{red:02x}{green:02x}{blue:02x}"
        for lost, (red, green, blue) in zip(missing, codes.tolist(), strict=True)
    ]


def _centered(composition: Floats, region: Floats) -> Floats:
    """Return compositions perturbed so that the region is in the middle, and stretched from there."""
    relative = (np.asarray(composition, dtype=np.float64) / region) ** _SPREAD
    centered: Floats = relative / relative.sum(axis=1, keepdims=True)
    return centered


def _rgb(lab: Floats) -> Floats:
    y = (lab[:, 0] + 16) / 116
    cubes = np.column_stack([y + lab[:, 1] / 500, y, y - lab[:, 2] / 200])
    xyz = np.where(cubes > 6 / 29, cubes**3, 3 * (6 / 29) ** 2 * (cubes - 4 / 29)) * _WHITE_D65
    linear = np.clip(xyz @ _TO_RGB.T, 0, 1)
    rgb: Floats = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return rgb
