"""Attributes of collections of measures, and the collection of the reasons of their missing numbers."""

from collections.abc import Mapping
from typing import Any


def reasons_of(measures: str) -> str:
    """Return the collection of the reasons why numbers of a collection of measures are missing or coded."""
    return measures.replace("measures/", "reasons/", 1)


def money_of(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of money; empty if money is in dollars of the year of the measures."""
    return {key: attributes[key] for key in ("dollars", "prices") if key in attributes}
