"""Colors of maps are told apart, also by readers who cannot distinguish red from green."""

import itertools
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from geomob_dask.outputs.mixing_colors import composition_colors
from geomob_dask.outputs.palette import (
    CHANGE,
    DEPRIVATION,
    INCOMES,
    MISSING,
    NEUTRAL,
    NEUTRAL_CHANGE,
    OPPORTUNITY,
    SEA,
    shades,
)

# Machado, Oliveira & Fernandes (2009), severity 1.0, on linear RGB.
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
)
PROTANOPIA = np.array(
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
)
SIGHTS = {"all colors": np.eye(3), "deuteranopia": DEUTERANOPIA, "protanopia": PROTANOPIA}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
RAMPS = {"opportunity": OPPORTUNITY, "deprivation": DEPRIVATION, "neutral": NEUTRAL}
CHANGES = {"change": CHANGE, "neutral change": NEUTRAL_CHANGE}


def lab(color: str, sight: str) -> NDArray[np.float64]:
    """Return a color in CIELAB (D65), as a reader sees it."""
    rgb = np.array([int(color[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(SIGHTS[sight] @ linear, 0, 1) / np.array([0.95047, 1.0, 1.08883])
    cubes = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * cubes[1] - 16, 500 * (cubes[0] - cubes[1]), 200 * (cubes[1] - cubes[2])])


def apart(one: str, other: str, sight: str) -> float:
    """Return CIE 1976 ΔE of two colors; 2.3 is just seen side by side."""
    return float(np.linalg.norm(lab(one, sight) - lab(other, sight)))


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("name", [*RAMPS, *CHANGES])
@pytest.mark.parametrize("classes", [5, 7])
def test_classes_are_told_apart(name: str, classes: int, sight: str) -> None:
    colors = shades((RAMPS | CHANGES)[name], classes)
    assert min(apart(*pair, sight) for pair in pairwise(colors)) > 8
    assert min(apart(color, MISSING, sight) for color in colors) > 13
    assert min(apart(color, SEA, sight) for color in colors) > 9


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("name", RAMPS)
def test_more_is_darker(name: str, sight: str) -> None:
    lightness = [lab(color, sight)[0] for color in shades(RAMPS[name], 7)]
    assert all(low > high + 5 for low, high in pairwise(lightness))


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("name", CHANGES)
def test_rising_falling_and_no_change_are_told_apart(name: str, sight: str) -> None:
    colors = CHANGES[name]
    for place in range(3):
        assert apart(colors[place], colors[-1 - place], sight) > 35
    assert min(apart(colors[3], color, sight) for color in (MISSING, SEA)) > 25


def test_blue_is_more_opportunity_on_all_maps() -> None:
    for blue, red in ((OPPORTUNITY[-1], DEPRIVATION[-1]), (CHANGE[-1], CHANGE[0])):
        assert lab(blue, "all colors")[2] < -40
        assert lab(red, "all colors")[1] > 40


@pytest.mark.parametrize("sight", SIGHTS)
def test_classes_of_incomes_are_told_apart(sight: str) -> None:
    assert min(apart(one, other, sight) for one, other in ((INCOMES[0], INCOMES[1]), *pairwise(INCOMES))) > 25


@pytest.mark.parametrize("sight", SIGHTS)
def test_corners_of_the_three_color_map_are_told_apart_and_so_are_mixes_on_the_way(sight: str) -> None:
    corners = composition_colors(np.eye(3), np.full(3, 1 / 3))
    halfway = composition_colors(0.4 * np.eye(3) + 0.2, np.full(3, 1 / 3))
    for colors, least in ((corners, 40), (halfway, 15)):
        for one, other in itertools.combinations(colors, 2):
            assert apart(one, other, sight) > least


def test_shades_keep_the_ends() -> None:
    assert shades(OPPORTUNITY, 8) == OPPORTUNITY
    assert shades(OPPORTUNITY, 3)[::2] == (OPPORTUNITY[0], OPPORTUNITY[-1])
    assert len(shades(OPPORTUNITY, 1)) == 1
