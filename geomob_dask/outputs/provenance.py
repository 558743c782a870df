"""The provenance of a file: of which results it is, with all choices, inputs, checksums and versions.

It is read from the snapshots that a file is made from, so it tells how the numbers were computed, not what was asked
for last. It holds no time, no host and no address of a store: the same results give the same bytes, and nothing of the
machine travels with them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from geomob_dask.messages import printable, without_passwords
from geomob_dask.outputs.titles import title_of
from geomob_dask.products.product import NOTES, Prepared
from geomob_dask.sources.measure_names import labels_in_use
from geomob_dask.store import Part, Snapshot, Store
from geomob_dask.store.paths import is_collection
from geomob_dask.store.provenance import canonical_json, sha256

FORMAT = 1
NOT_RECORDED = "not recorded"
Record = dict[str, Any]

# Choices that most products have, under the names by which results are told apart.
CHOICES = ("dataset", "year", "by", "norm", "mode", "null", "interval", "sampled", "draws", "seed", "states")
# Options that say what is counted or measured, and what they are called.
_DEFINITIONS = ("definition", "categories", "groups", "edition")
# Attributes of a collection that describe each of its columns: as long as the table is wide.
_BY_COLUMN = ("kinds",)
# The folders of a path in a text; an address begins with a scheme, and names of collections with a letter.
_FOLDERS = re.compile(r"(?<![\w:/.\\])(?:~[\w-]*|[A-Za-z]:|\.\.?)?[/\\](?:[^/\\\s'\",;:<>|]+[/\\])+")
_WHOLE_PATH = re.compile(r"(?:~|\.\.?[/\\]|[A-Za-z]:[/\\]|[/\\]).*", re.DOTALL)
_FILE_SCHEME = re.compile(r"\bfile:/+", re.IGNORECASE)
_QUERY = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s?#'\"]*)[?#][^\s'\"]*")


def record_of(
    store: Store,
    prepared: Sequence[Prepared],
    *,
    option: str,
    role: str | None = None,
    choices: Mapping[str, Any] | None = None,
    inputs: Mapping[str, str] | None = None,
) -> Record:
    """Return the provenance of a file that shows results in the store.

    Parameters
    ----------
    store : Store
    prepared : sequence of Prepared
        The runs of the results.
    option : str
        That asked for the file, such as ``--export``.
    role : str, optional
        Of the target that is shown; the result itself by default.
    choices : mapping, optional
        What the file was asked for besides the options of its results.
    inputs : mapping of str to str, optional
        What the file is made from besides its results, with SHA-256.
    """
    results = []
    for item in prepared:
        target = item.targets.get(role or "") or next(iter(item.targets.values()))
        snapshot = store.find(target.collection)
        if snapshot is not None:
            results.append(result_record(snapshot, parts_of(snapshot, item)))
    return record(results, option=option, choices=choices, inputs=inputs, sources=sources_of(store, results))


def record(
    results: Sequence[Record],
    *,
    option: str,
    choices: Mapping[str, Any] | None = None,
    inputs: Mapping[str, str] | None = None,
    sources: Mapping[str, Mapping[str, str]] | None = None,
) -> Record:
    """Return the provenance of a file from that of its results; see `record_of` and `sources_of`."""
    found: Record = {
        "geomob_dask": FORMAT,
        "written_by": f"geomob-dask {version('geomob-dask')}",
        "option": option,
    }
    chosen = {name: value for name, value in (choices or {}).items() if value not in (None, "", (), [])}
    if chosen:
        found["choices"] = chosen
    named = {**(inputs or {}), **labels_in_use().checksums}
    if named:
        found["inputs"] = named
    whole: Record = harmless({**found, "results": list(results), **({"sources": sources} if sources else {})})
    title = title_of(option)
    if title:
        # As it is in the file.
        whole["choices"] = {**whole.get("choices", {}), "title": printable(title)}
    return whole


def sources_of(store: Store, results: Sequence[Record]) -> dict[str, dict[str, str]]:
    """Return what the inputs of results were made from in turn, down to files outside of the store, with SHA-256.

    A collection that has changed since a run read it is left out: it would tell of other numbers.
    """
    found: dict[str, dict[str, str]] = {}
    seen: set[tuple[str, str]] = set()
    snapshots: dict[str, Snapshot | None] = {}
    waiting: list[tuple[str, str, tuple[Any, ...]]] = [
        (name, checksum, (None, one["parts"], result["options"].get("states")))
        for result in results
        for one in result["runs"].values()
        if isinstance(one["inputs"], Mapping) and isinstance(result["options"], Mapping)
        for name, checksum in one["inputs"].items()
    ]
    while waiting:
        name, checksum, choices = waiting.pop()
        if (name, checksum) in seen or not is_collection(name):
            continue
        seen.add((name, checksum))
        if name not in snapshots:
            snapshots[name] = store.find(name)
        snapshot = snapshots[name]
        states = None if snapshot is None else _states_read(snapshot, checksum, choices)
        if snapshot is None or states is None:
            continue
        runs = {part.run for state, part in snapshot.parts.items() if state in states} & snapshot.runs.keys()
        for run in sorted(runs):
            inputs = snapshot.runs[run].get("inputs", {})
            found.setdefault(name, {}).update(inputs)
            waiting += [(one, found[name][one], (None, states)) for one in inputs]
    return {name: found[name] for name in sorted(found)}


def _states_read(snapshot: Snapshot, checksum: str, choices: Sequence[Any]) -> list[str] | None:
    """Return which states of a collection have a checksum, of some choices of them; None if none has it."""
    for states in choices:
        chosen = None if states is None else [states] if isinstance(states, str) else list(states)
        if snapshot.checksum(chosen) == checksum:
            return [state for state in snapshot.parts if chosen is None or state in chosen]
    return None


def parts_of(snapshot: Snapshot, prepared: Prepared) -> dict[str, Part]:
    """Return the parts of a result; other parts of the collection may belong to another run."""
    return {name: part for name, part in snapshot.parts.items() if name in (*prepared.written, prepared.part)}


def result_record(snapshot: Snapshot, parts: Mapping[str, Part] | None = None) -> Record:
    """Return the provenance of parts of a collection, by default of all of it.

    Returns
    -------
    dict
        ``collection``, ``product``; ``vintage``, ``definition`` (name and SHA-256) and `CHOICES` as far as the product
        has them; ``options``, ``attributes``, ``versions``; ``parts`` and ``runs``, each run with its inputs, and with
        options in which it differs from the others; ``notes``. Where a run is not recorded, the text `NOT_RECORDED`
        stands for what it chose.
    """
    chosen = snapshot.parts if parts is None else parts
    names: dict[str, list[str]] = {}
    for name, part in chosen.items():
        names.setdefault(part.run, []).append(name)
    contents = {name: part.sha256 for name, part in chosen.items()}
    return runs_record(snapshot.collection, contents, names, snapshot.runs, snapshot.attributes)


def runs_record(
    collection: str,
    contents: Mapping[str, str],
    names: Mapping[str, Sequence[str]],
    runs: Mapping[str, Mapping[str, Any]],
    attributes: Mapping[str, Any],
) -> Record:
    """Return the provenance of parts; see `result_record`.

    Parameters
    ----------
    contents : mapping of str to str
        The SHA-256 of each part, or its beginning.
    names : mapping of str to sequence of str
        The parts that each run made.
    runs : mapping of str to mapping
        Runs that are recorded, as plain data of `store.Provenance`.
    attributes : mapping
        Of the collection.
    """
    found = {run: runs[run] for run in sorted(names) if run in runs}
    options = _common([one.get("options", {}) for one in found.values()])
    versions = _common([one.get("versions", {}) for one in found.values()])
    jobs = sorted({str(one.get("job", NOT_RECORDED)) for one in found.values()})
    every: dict[str, Record] = {}
    for run in sorted(names):
        one = found.get(run)
        own: Record = {"parts": list(names[run])}
        if one is None:
            own["inputs"] = NOT_RECORDED
        else:
            own |= {"inputs": dict(one.get("inputs", {}))} | _apart("options", one, options)
            own |= _apart("versions", one, versions)
        every[run or NOT_RECORDED] = own
    missing = len(found) < len(names)
    choices = {name: options[name] for name in CHOICES if options.get(name) is not None}
    if missing and not found:
        choices = dict.fromkeys((*CHOICES, "definition"), NOT_RECORDED)
    vintage = attributes.get("vintage", options.get("vintage", options.get("to")))
    definition = _definition(options)
    notes = [line for one in found.values() for line in one.get("report", {}).get(NOTES, [])]
    return {
        "collection": collection,
        "product": ", ".join(jobs) or NOT_RECORDED,
        **({} if vintage is None else {"vintage": vintage}),
        **choices,
        **({} if definition is None else {"definition": definition}),
        "options": options if found else NOT_RECORDED,
        "attributes": {name: value for name, value in attributes.items() if name not in _BY_COLUMN},
        "versions": versions if found else NOT_RECORDED,
        "parts": dict(contents),
        "runs": every,
        **({"notes": list(dict.fromkeys(notes))} if notes else {}),
    }


def _common(every: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what is the same in all mappings."""
    if not every:
        return {}
    first, *others = every
    return {name: value for name, value in first.items() if all(name in one and one[name] == value for one in others)}


def _apart(name: str, run: Mapping[str, Any], common: Mapping[str, Any]) -> Record:
    own = {key: value for key, value in run.get(name, {}).items() if key not in common}
    return {name: own} if own else {}


def _definition(options: Mapping[str, Any]) -> Record | None:
    """Return the name of what is measured or counted, and the checksum of all that it says."""
    for option in _DEFINITIONS:
        value = options.get(option)
        if isinstance(value, Mapping):
            name = value.get("name") or options.get("grouping") or option
            return {"name": name, "sha256": sha256(canonical_json(value))}
    return None


def harmless(value: Any) -> Any:
    """Return plain data that may leave the machine: no password, no query of an address, of paths the file alone.

    Control characters and what no file can encode are written out.

    Examples
    --------
    >>> harmless({"s3://me:secret@bucket/a": ["/home/jo/private/index.yaml", "https://host/data?key=1", "measures/a"]})
    {'s3://…@bucket/a': ['index.yaml', 'https://host/data', 'measures/a']}
    """
    if isinstance(value, Mapping):
        return {_harmless_text(str(key)): harmless(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [harmless(one) for one in value]
    return _harmless_text(value) if isinstance(value, str) else value


def _harmless_text(text: str) -> str:
    text = _FILE_SCHEME.sub("/", text)
    if _WHOLE_PATH.fullmatch(text):
        kind = PureWindowsPath if "\\" in text else PurePosixPath
        text = kind(text).name or text
    return printable(_QUERY.sub(r"\1", _FOLDERS.sub("", without_passwords(text))))
