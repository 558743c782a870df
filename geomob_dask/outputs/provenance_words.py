"""The provenance of a file in words: for the footer of a page, for a terminal, and the differences of two files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from geomob_dask.messages import counted, listed
from geomob_dask.outputs.provenance import CHOICES, NOT_RECORDED, Record
from geomob_dask.products.catalog import CATALOG, product_named

# What a page says of a choice, where its name alone would not tell.
_NAMES = {
    "by": "regions by",
    "null": "p-values against",
    "interval": "intervals by",
    "sampled": "counts taken as",
    "cutoff": "pairs within",
    "cutoff_km": "pairs within",
    "to": "converted to vintage",
    "csv_text": "text in csv",
    "least": "links of at least",
}
_UNITS = {"cutoff": " km", "cutoff_km": " km", "threshold": " people", "snap": " map units", "gap": " map units"}
# Said in the first sentence.
_SAID = frozenset({"dataset", "year", "vintage", "title", "label", "labels"})
_SHORT = 12
_MOST = 12
_LONGEST = 160
_MOST_ROWS = 200


def grouped(results: Sequence[Record]) -> list[list[Record]]:
    """Return results in groups that differ in their year alone, as one command makes them."""
    groups: dict[str, list[Record]] = {}
    for result in results:
        options = result["options"]
        same = {key: value for key, value in options.items() if key != "year"} if isinstance(options, dict) else options
        groups.setdefault(repr((result["product"], same)), []).append(result)
    return list(groups.values())


def in_words(group: Sequence[Record]) -> str:
    """Return what results are, in sentences.

    Parameters
    ----------
    group : sequence of dict
        Results that differ in their year alone.
    """
    first = group[0]
    pieces = [f"{_title(first['product'])}: {_data(group)}"]
    chosen = _choices(first)
    if chosen:
        pieces.append(f"Choices: {'; '.join(chosen)}")
    weights = [f"{name.replace('_', ' ')} {_text(value)}" for name, value in _own_attributes(first)]
    if weights:
        pieces.append(f"Data: {'; '.join(weights)}")
    pieces.append(f"Computed by {_version(group)}")
    return ". ".join(pieces) + "."


def source_line(record: Record, days: Sequence[str] = ()) -> str:
    """Return in one line what a map shows: datasets, years, vintage, definition, and the choices that results have.

    Parameters
    ----------
    days : sequence of str
        On which the results were stored, the first and the last; see `days.days_stored`.
    """
    groups = grouped(record["results"])
    shown = [name for name in CHOICES if name not in (*_SAID, "states")]
    data = [
        "; ".join(
            [
                _data(group),
                *(
                    f"{_NAMES.get(name, name)} {_text(group[0][name])}{_UNITS.get(name, '')}"
                    for name in shown
                    # Of a study the seed is one of many settings.
                    if group[0].get(name) is not None and (name != "seed" or group[0].get("draws"))
                ),
            ]
        )
        for group in groups
    ]
    # An index and its intervals are of the same data: the longer text says both.
    said = [one for one in dict.fromkeys(data) if not any(other != one and other.startswith(one) for other in data)]
    stored = f" Result stored {' to '.join(days)}." if days else ""
    return f"Source: {' | '.join(said)}.{stored} {record['written_by']}." if said else ""


def _title(product: str) -> str:
    if product == NOT_RECORDED:
        return "A result whose run is not recorded"
    titles = [product_named(one).title if one in CATALOG else f"{one} of tables" for one in product.split(", ")]
    short = [title.split(":")[0].rstrip(".") for title in titles]
    return " and ".join(title[:1].upper() + title[1:] for title in short)


def _data(group: Sequence[Record]) -> str:
    first = group[0]
    years = list(dict.fromkeys(str(one["year"]) for one in group if one.get("year") is not None))
    vintages = list(dict.fromkeys(str(one["vintage"]) for one in group if one.get("vintage") is not None))
    study = first["options"].get("study") if isinstance(first["options"], Mapping) else None
    pieces = []
    if first.get("dataset") is not None:
        pieces.append(f"dataset {first['dataset']}")
    elif study:
        # Of several datasets.
        runs = [run["inputs"] for one in group for run in one["runs"].values() if isinstance(run["inputs"], Mapping)]
        pieces.append(f"data {listed(sorted({name for inputs in runs for name in inputs}), _MOST) or NOT_RECORDED}")
    if years:
        pieces.append(f"{'year' if len(years) == 1 else 'years'} {', '.join(years)}")
    if vintages:
        pieces.append(f"{'zones' if study == 'zones' else 'tracts'} of vintage {', '.join(vintages)}")
    definition = first.get("definition")
    if isinstance(definition, Mapping):
        pieces.append(f"definition {definition['name']} (checksum {definition['sha256'][:_SHORT]})")
    return ", ".join(pieces) or first["collection"]


def _choices(result: Record) -> list[str]:
    options = result["options"]
    if not isinstance(options, Mapping):
        return [NOT_RECORDED]
    # What tells results apart first.
    names = [*(name for name in CHOICES if name in options), *(name for name in options if name not in CHOICES)]
    return [
        f"{_NAMES.get(name, name.replace('_', ' '))} {_text(options[name])}{_UNITS.get(name, '')}"
        for name in names
        if name not in _SAID and options[name] is not None and _is_short(options[name])
    ]


def _own_attributes(result: Record) -> list[tuple[str, Any]]:
    """Return attributes of a result that its choices do not say already, such as the period of an estimate."""
    options = result["options"] if isinstance(result["options"], Mapping) else {}
    return [
        (name, value)
        for name, value in result["attributes"].items()
        if name not in _SAID and name not in options and value is not None and _is_short(value)
    ]


def _is_short(value: Any) -> bool:
    several = isinstance(value, list) and all(isinstance(one, str | int | float) for one in value)
    return several or isinstance(value, str | int | float)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return listed([_text(one) for one in value], _MOST) or "none"
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _version(group: Sequence[Record]) -> str:
    known = [one["versions"].get("geomob-dask") for one in group if isinstance(one["versions"], Mapping)]
    numbers = list(dict.fromkeys(number for number in known if number))
    package = f"geomob-dask {', '.join(numbers)}" if numbers else f"a version of geomob-dask that is {NOT_RECORDED}"
    runs = list(dict.fromkeys(run for one in group for run in one["runs"]))
    return f"{package}, {'run' if len(runs) == 1 else counted(len(runs), 'run') + ':'} {listed(runs, 3)}"


def facts(record: Record) -> list[str]:
    """Return what the file itself was asked for, and what wrote it."""
    asked = [
        f"{_NAMES.get(name, name.replace('_', ' '))} {_text(value)}"
        for name, value in record.get("choices", {}).items()
        if name not in _SAID and _is_short(value)
    ]
    more = f", with {'; '.join(asked)}" if asked else ""
    lines = [f"Written by {record['written_by']} for {record['option']}{more}."]
    return lines + [f"Note: {line}" for result in record["results"] for line in result.get("notes", [])]


def details(record: Record) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return tables of two columns with their titles: all choices, inputs and versions of each result."""
    tables = []
    for group in grouped(record["results"]):
        first, *others = group
        where = first["collection"] + (f" and {len(others)} more" if others else "")
        tables.append((f"Choices of {where}", _distinct(_rows(one["options"]) for one in group)))
        inputs = [
            run["inputs"].items() for one in group for run in one["runs"].values() if isinstance(run["inputs"], Mapping)
        ]
        tables.append((f"Inputs of {where}, with their SHA-256", _distinct(inputs) or [("inputs", NOT_RECORDED)]))
        tables.append((f"Versions of packages for {where}", _distinct(_rows(one["versions"]) for one in group)))
    if record.get("inputs"):
        tables.append(("Further inputs of this file, with their SHA-256", list(record["inputs"].items())))
    for name, made_from in record.get("sources", {}).items():
        tables.append((f"What {name} was made from, with SHA-256", list(made_from.items())))
    return [(title, _cut(rows)) for title, rows in tables]


def _distinct(several: Iterable[Iterable[tuple[str, str]]]) -> list[tuple[str, str]]:
    """Return the rows of several tables, each once."""
    return list(dict.fromkeys(row for rows in several for row in rows))


def _cut(rows: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    shown = [(name, text) for name, text in rows[:_MOST_ROWS]]
    more = len(rows) - len(shown)
    return [*shown, ("…", f"{counted(more, 'more row')} in the block of data of this page")] if more else shown


def _rows(value: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(value, Mapping):
        yield "all", str(value)
        return
    yield from flat(value).items()


def flat(value: Any, path: str = "") -> dict[str, str]:
    """Return the leaves of plain data as text, by the path to each.

    Examples
    --------
    >>> flat({"norm": "state", "domains": {"income": [{"measure": "povP"}]}})
    {'norm': 'state', 'domains.income.1.measure': 'povP'}
    """
    if isinstance(value, Mapping) and value:
        return {key: leaf for name, one in value.items() for key, leaf in flat(one, _joined(path, name)).items()}
    if isinstance(value, list) and any(isinstance(one, Mapping | list) for one in value):
        pairs = enumerate(value, 1)
        return {key: leaf for place, one in pairs for key, leaf in flat(one, _joined(path, str(place))).items()}
    if isinstance(value, list):
        return {path: ", ".join(map(str, value)) or "none"}
    return {path: "none" if value is None or value == {} else str(value)}


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def lines(record: Record) -> list[str]:
    """Return the provenance of a file for a terminal."""
    found = [in_words(group) for group in grouped(record["results"])]
    found += facts(record)
    for title, rows in details(record):
        found.append(f"{title}:")
        found += [f"  {name}: {text}" for name, text in rows]
    return found


def difference_lines(one: Record, other: Record) -> list[str]:
    """Return in what two files differ: their choices, inputs and versions, then what follows from them."""
    left, right = (flat(_comparable(record)) for record in (one, other))
    names = [name for name in dict.fromkeys((*left, *right)) if left.get(name) != right.get(name)]
    return [f"{name}: {left.get(name, 'absent')} | {right.get(name, 'absent')}" for name in names] or ["no difference"]


def _comparable(record: Record) -> Record:
    """Return what a file was made from; the identities of runs and contents of parts follow from it."""
    results = [
        {key: value for key, value in result.items() if key not in ("runs", "parts")}
        | {"inputs": [run["inputs"] for run in result["runs"].values()]}
        for result in record["results"]
    ]
    return {**{key: value for key, value in record.items() if key not in ("file", "results")}, "results": results}
