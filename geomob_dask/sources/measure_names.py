"""Labels and units of measures, domains and groups for readers: from a file, a definition, or what the package knows.

Where several know a name, the first of these wins: the file of ``--labels``, the definition of an index, tables of the
American Community Survey (``definitions/acs/tables.yaml``), and the name itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from geomob_dask.definition import Definition
from geomob_dask.errors import InputError
from geomob_dask.messages import listed, one_line
from geomob_dask.sources.acs_tables import registry
from geomob_dask.sources.key_columns import first_column
from geomob_dask.sources.tables import file_checksums
from geomob_dask.sources.text_tables import read_texts

LABELS_HELP = (
    "Names to show, a table: columns name (of a measure, domain or group, or the code of a region), label and perhaps "
    "unit."
)
_NAMES, _LABELS, _UNITS = ("name", "measure", "variable", "code", "column"), ("label", "title"), ("unit", "units")
_ACS = re.compile(r"([A-Z]+[0-9]+[A-Z]*)_([0-9]{3,4})(E|M)")
# What the end of a name says of its unit.
_ENDINGS = (
    (re.compile(r"(.+)_usd_([0-9]{4})"), "USD of {}"),
    (re.compile(r"(.+)_usd"), "USD"),
    (re.compile(r"(.+)_(?:pct|percent)"), "%"),
    (re.compile(r"(.+)_share"), "share"),
)
_MARGIN = "margin of error"
# Lines of a table whose words say less than its title.
_PLAIN_LINES = ("Total", "Median", "Gini index")


class Label(NamedTuple):
    """What a reader sees in place of a name, and its unit (empty where none is known)."""

    text: str
    unit: str = ""

    @property
    def whole(self) -> str:
        """Return the label with its unit in brackets.

        Examples
        --------
        >>> Label("Median household income", "USD").whole
        'Median household income (USD)'
        """
        return f"{self.text} ({self.unit})" if self.unit else self.text


@dataclass(frozen=True)
class Labels:
    """Labels of a file.

    Attributes
    ----------
    given : mapping of str to Label
        By name.
    checksums : mapping of str to str
        Of the file.
    """

    given: Mapping[str, Label] = field(default_factory=lambda: MappingProxyType({}))
    checksums: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


_NONE = Labels()
_IN_USE: ContextVar[Labels] = ContextVar("labels", default=_NONE)


def read_labels(file: str | Path) -> Labels:
    """Return the labels of a table: a row per name, with its label and perhaps its unit.

    Raises
    ------
    InputError
        If the file cannot be read, has no such columns, or a name is there twice.
    """
    rows = read_texts(file)
    columns = list(map(str, rows))
    name, label, unit = (first_column(columns, usual) for usual in (_NAMES, _LABELS, _UNITS))
    if name is None or label is None:
        raise InputError(
            f"--labels {file}: found the columns {listed(columns, 12)}, expected name, label and perhaps unit"
        )
    names = rows[name].str.strip()
    twice = names[(names != "") & names.duplicated()]
    if len(twice):
        raise InputError(f"--labels {file}: column {name}: found {twice.iloc[0]!r} twice, expected each name once")
    units = [""] * len(rows) if unit is None else rows[unit].map(one_line).tolist()
    found = zip(names, rows[label].map(one_line), units, strict=True)
    return Labels({key: Label(text, of) for key, text, of in found if key and text}, file_checksums([str(file)]))


@contextmanager
def using_labels(file: str | Path | None) -> Iterator[None]:
    """Show the names that a file has labels for with these; without a file, as the package knows them.

    Raises
    ------
    InputError
        See `read_labels`.
    """
    token = _IN_USE.set(_NONE if file is None else read_labels(file))
    try:
        yield
    finally:
        _IN_USE.reset(token)


def labels_in_use() -> Labels:
    """Return the labels of `using_labels`; none by default."""
    return _IN_USE.get()


def definition_labels(definition: Definition) -> dict[str, Label]:
    """Return the labels and units that the definition of an index gives to its measures."""
    measures = (one for items in definition.domains.values() for one in items)
    return {
        one.measure: Label(one_line(one.label) or label_of(one.measure).text, one_line(one.unit))
        for one in measures
        if one.label or one.unit
    }


def label_of(name: str, own: Mapping[str, Label] | None = None) -> Label:
    """Return the label and unit of a measure, domain or group.

    Parameters
    ----------
    name : str
    own : mapping of str to Label, optional
        Those of a definition.

    Examples
    --------
    >>> label_of("B19013_001E"), label_of("B03002_012M").text
    (Label(text='Median household income', unit='USD'), \
'Hispanic or Latino origin by race: Hispanic or Latino, margin of error')
    >>> label_of("rent_burden_pct").whole, label_of("povP").whole, label_of("rent_usd_2023").whole
    ('rent burden (%)', 'povP', 'rent (USD of 2023)')
    """
    found = labels_in_use().given.get(name) or (own or {}).get(name) or _of_survey(name)
    if found is not None:
        return found
    for ending, unit in _ENDINGS:
        match = ending.fullmatch(name)
        if match:
            base = _of_survey(match[1])
            return Label(base.text if base else match[1].replace("_", " "), unit.format(*match.groups()[1:]))
    return Label(name.replace("_", " "))


def _of_survey(name: str) -> Label | None:
    """Return the label of a variable of the survey; None if its table or line is not known."""
    match = _ACS.fullmatch(name)
    table = registry().tables.get(match[1]) if match else None
    if match is None or table is None:
        return None
    for edition in table.editions:
        line = edition.lines.get(match[2])
        if line is not None:
            text = table.title if line in _PLAIN_LINES else f"{table.title}: {line}"
            return Label(text if match[3] == "E" else f"{text}, {_MARGIN}", table.unit)
    return None
