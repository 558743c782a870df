"""The command that makes a file again, from the file's provenance."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from geomob_dask.errors import GeomobError
from geomob_dask.options import extra
from geomob_dask.outputs.provenance import Record
from geomob_dask.outputs.provenance_words import grouped
from geomob_dask.products.catalog import product_named

# The jobs of products: others are made by a backfill, or beside one of these.
_JOBS = {
    "exposure": "exposure",
    "intervals": "opportunity",
    "location_quotients": "location_quotients",
    "mixing": "mixing",
    "mobility": "mobility",
    "opportunity": "opportunity",
    "segregation": "segregation",
}
# Under which name the provenance has what a flag says, where it is another.
_RECORDED = {
    "groups": ("categories", "grouping"),
    "brackets": ("categories",),
    "model": ("models",),
    "cutoff": ("cutoff_km",),
}
# What stands for a definition that is in a file of the user's.
_FILE = "DEFINITION.yaml"


def commands(record: Record) -> list[str]:
    """Return the commands that make a file again, one for each of its products; none where a choice is not recorded.

    Inputs are those of the store of the reader: the provenance has their checksums.

    Returns
    -------
    list of str
        With ``FILE`` for the file's name, and ``DEFINITION.yaml`` for a definition, groups or brackets that are in a
        file of the user's.
    """
    # Jobs that do not make the results name themselves.
    job = str(record["option"]).partition(" ")[0]
    found = {"cube": _of_cube, "explore": _of_view}.get(job, _of_products)(record)
    # What the file was asked for besides its results.
    more = [(f"--{name}", str(record.get("choices", {}).get(name) or "")) for name in ("layer", "title")]
    words = "".join(f" {flag} {shlex.quote(text)}" for flag, text in more if text)
    return [command + words for command in found if command]


def _of_products(record: Record) -> list[str]:
    results = record["results"]
    # Intervals are made with their index.
    if any(result["product"] == "intervals" for result in results):
        results = [result for result in results if result["product"] != "opportunity"]
    chained = _chained(results)
    groups = [results] if chained else grouped(results)
    return [_of_group(group, str(record["option"]), chained) for group in groups]


def _chained(results: Sequence[Record]) -> bool:
    """Return whether each year is compared with the year before, as one flag asks for."""
    since = [one["options"].get("since") for one in results if isinstance(one["options"], Mapping)]
    years = [one.get("year") for one in results]
    return len(results) > 1 and since == [None, *years[:-1]]


def _of_group(group: Sequence[Record], option: str, chained: bool) -> str:
    first = group[0]
    product, recorded = first["product"], first["options"]
    if product not in _JOBS or not isinstance(recorded, Mapping):
        return ""
    kind = product_named(product).options
    given: dict[str, Any] = {}
    for name, field in kind.model_fields.items():
        if name != "groups" and not extra(field).get("recorded", True):
            continue
        value = next((recorded[key] for key in (name, *_RECORDED.get(name, ())) if key in recorded), None)
        if value is None or value == [] or (name in ("regions", "states") and value == "all"):
            continue
        given[name] = _given(value)
    if "cohort" in recorded:
        given["every_zone"] = not recorded["cohort"]
    if given.get("groups", given.get("brackets")) is None and "categories" in recorded:
        return ""
    chosen = _resolved(kind, given, recorded)
    if chosen is None:
        return ""
    if chained:
        chosen["change"] = True
    years = list(dict.fromkeys(str(one["options"]["year"]) for one in group if "year" in one["options"]))
    words = ["python", f"jobs/{_JOBS[product]}.py"]
    for name, value in chosen.items():
        field = kind.model_fields[name]
        if value == field.default or (isinstance(value, tuple) and value == _tuple(field.default)):
            continue
        flag = f"--{(field.alias or name).replace('_', '-')}"
        text = ",".join(years) if name == "year" else ",".join(value) if isinstance(value, tuple) else str(value)
        words += [flag] if value is True else [flag, text]
    return shlex.join([*words, option, "FILE"])


def _given(value: Any) -> Any:
    """Return a recorded value as it is typed: of what is counted or measured its name."""
    if isinstance(value, Mapping):
        return value.get("name")
    return tuple(str(one) for one in value) if isinstance(value, list) else value


def _tuple(value: Any) -> Any:
    return tuple(str(one) for one in value) if isinstance(value, list | tuple) else value


def _resolved(kind: Any, given: Mapping[str, Any], recorded: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return options as typed, if they give the recorded ones; a definition that no name gives is a file of its own."""
    for name in ("definition", "groups", "brackets"):
        value = next((recorded[key] for key in (name, *_RECORDED.get(name, ())) if key in recorded), None)
        if name in given and isinstance(value, Mapping):
            again = _plain(kind, given)
            key = next(key for key in (name, *_RECORDED.get(name, ())) if key in recorded)
            if again is None or again.get(key) != value:
                return None if _plain(kind, {**given, name: value}) is None else {**given, name: _FILE}
    again = _plain(kind, given)
    same = again is not None and all(again[key] == recorded[key] for key in again.keys() & recorded.keys() - {"states"})
    return dict(given) if same else None


def _plain(kind: Any, given: Mapping[str, Any]) -> dict[str, Any] | None:
    try:
        return dict(kind.of(**given).plain())
    except (GeomobError, ValueError, TypeError):
        return None


def _of_view(record: Record) -> list[str]:
    choices = record["choices"]
    job, option = str(record["option"]).split(" ", 1)
    words = ["python", f"jobs/{job}.py"]
    for name in ("result", "year", "measure"):
        words += [f"--{name}", str(choices[name])]
    if choices.get("states"):
        words += ["--states", ",".join(map(str, choices["states"]))]
    return [shlex.join([*words, option, "FILE"])]


def _of_cube(record: Record) -> list[str]:
    choices = record.get("choices", {})
    _, command, option = str(record["option"]).split(" ", 2)
    years = [str(one["year"]) for one in record["results"] if "year" in one]
    words = ["python", "jobs/cube.py", command, str(choices["cube"]), "--measure", str(choices["measure"])]
    words += ["--years", ",".join(years)] if years else []
    words += ["--version", str(choices["version"])]
    words += ["--period", str(choices["period"])] if choices.get("period") else []
    for name in ("tracts", "states"):
        if choices.get(name):
            words += [f"--{name}", ",".join(map(str, choices[name]))]
    return [shlex.join([*words, option, "FILE"])]
