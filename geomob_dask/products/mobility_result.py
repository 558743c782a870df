"""A mobility result in the store: tables, model files and cards, each a part of one collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from geomob_dask.errors import InputError
from geomob_dask.models.study import Study
from geomob_dask.store import Part, Store
from geomob_dask.store.provenance import sha256

MODEL, CARD = "model_", "card_"
# Mappings of the report whose order means something, which JSON would sort.
_IN_ORDER = ("baselines", "class_counts", "folds", "models")


@dataclass(frozen=True)
class Result:
    """A mobility result.

    Parameters
    ----------
    about : mapping
        ``study``, ``outcome`` (in words), ``outcome_name``, ``units``, ``classes`` (names from low to high),
        ``class_counts``, ``edges``, ``features`` (name, title, domain, unit, missing share), ``models``, ``baselines``
        and ``folds`` (titles by name), ``settings`` (by model), ``data`` (lines), ``seed``, ``run``, ``inputs``,
        ``versions``.
    tables : mapping of str to DataFrame
        ``units``, ``predictions``, ``scores``, ``importance``, …; see `models.mobility_results.result_tables`.
    models : mapping of str to Part
        Model files.
    cards : mapping of str to str
        Model cards, Markdown.
    """

    about: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]
    models: Mapping[str, Part]
    cards: Mapping[str, str]


def read_result(store: Store, collection: str) -> Result:
    """Return a result in the store.

    Raises
    ------
    InputError
        If there is none.
    """
    snapshot = store.snapshot(collection)
    about = ordered(next(iter(snapshot.runs.values()))["report"])
    tables, models, cards = {}, {}, {}
    for name, part in snapshot.parts.items():
        if name.startswith(MODEL):
            models[name.removeprefix(MODEL)] = part
        elif name.startswith(CARD):
            cards[name.removeprefix(CARD)] = store.objects.get(part.key).decode()
        else:
            tables[name] = store.read(part)
    return Result(about, tables, models, cards)


def model_part(store: Store, collection: str, name: str) -> Part:
    """Return the part of a result that is the file of a fitted model.

    Raises
    ------
    InputError
        If the result or the model is not there.
    """
    snapshot = store.snapshot(collection)
    part = snapshot.parts.get(f"{MODEL}{name}")
    if part is None:
        available = [one.removeprefix(MODEL) for one in snapshot.parts if one.startswith(MODEL)]
        raise InputError(f"{store.url}/{collection}: no model {name!r}; expected one of: {', '.join(available)}")
    return part


def put_file(store: Store, collection: str, name: str, suffix: str, data: bytes, study: Study) -> Part:
    """Write a file beside the tables of a collection, and return its part."""
    checksum = sha256(data)
    key = f"{collection}/{name}-{checksum[:16]}.{suffix}"
    store.objects.put(key, data)
    return Part(key, checksum, len(data), len(study.keys), str(study.keys[0]), str(study.keys[-1]))


def as_pairs(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return a report as JSON keeps it: mappings whose order means something as lists of pairs."""
    return {name: list(map(list, value.items())) if name in _IN_ORDER else value for name, value in about.items()}


def ordered(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report again; see `as_pairs`."""
    return {name: dict(value) if name in _IN_ORDER else value for name, value in about.items()}
