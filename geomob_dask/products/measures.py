"""What collections of measures say of themselves, and where the reasons of missing numbers are."""

from collections.abc import Mapping
from typing import Any


def reasons_of(measures: str) -> str:
    """Return the collection of the reasons why numbers of a collection of measures are missing or coded."""
    return measures.replace("measures/", "reasons/", 1)


def money_of(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what measures say of the dollars of their money; nothing where money is in dollars of its year."""
    return {key: attributes[key] for key in ("dollars", "prices") if key in attributes}
