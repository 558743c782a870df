"""Models of what users write: unknown keys are refused with the nearest known one, and errors fit in one line."""

import functools
from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from geomob_dask.messages import listed, shown
from geomob_dask.names import nearest

_MOST_ERRORS = 5
_MOST_KEYS = 3
# What pydantic says in the words of Python, by its name for the error.
_EXPECTED = {
    **dict.fromkeys(("bool_parsing", "bool_type"), "expected true or false"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "expected keys with their values"),
    **dict.fromkeys(("float_parsing", "float_type"), "expected a number"),
    **dict.fromkeys(("int_from_float", "int_parsing", "int_type"), "expected a whole number"),
    **dict.fromkeys(("list_type", "tuple_type"), "expected a list"),
    "greater_than": "expected more than {gt}",
    "greater_than_equal": "expected {ge} or more",
    "less_than": "expected less than {lt}",
    "less_than_equal": "expected {le} or less",
    "literal_error": "expected {expected}",
    "missing": "found nothing, expected a value",
    "string_type": "expected text",
}


class Checked(BaseModel):
    """A frozen model that refuses unknown keys: one error for all of them, however many there are."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, given: Any) -> Any:
        if not isinstance(given, dict) or cls.model_config.get("extra") != "forbid":
            return given
        fields = cls.model_fields
        known = {name: field.alias or name for name, field in fields.items()}
        names = {*known, *known.values()}
        unknown = [key for key in given if key not in names]
        if unknown:
            keys = {"keys": unknown[:_MOST_KEYS], "count": len(unknown), "known": list(known.values())}
            raise PydanticCustomError("unknown_keys", "unknown keys", keys)
        switched = [name for name in _numbers(cls) if isinstance(given.get(name), bool)]
        if switched:
            # YAML reads yes, on and true as one; it would count as 1.
            about = {"key": switched[0], "found": str(given[switched[0]]).lower()}
            raise PydanticCustomError("no_number", "expected a number", about)
        return given


@functools.cache
def _numbers(model: type[BaseModel]) -> frozenset[str]:
    """Return the names of a model's fields that take numbers, and no switch."""
    kinds = {name: _kinds(field.annotation) for name, field in model.model_fields.items()}
    return frozenset(name for name, found in kinds.items() if found & {int, float} and bool not in found)


def _kinds(annotation: Any) -> set[Any]:
    """Return the plain types of an annotation: of the first part of what is annotated, and of each of a union."""
    if get_origin(annotation) is Annotated:
        return _kinds(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return set().union(*(_kinds(one) for one in get_args(annotation)))
    return {annotation} if isinstance(annotation, type) else set()


def explain(error: ValidationError, root: str = "file", *, flags: bool = False, tagged: str = "") -> str:
    """Return in one line which keys are wrong, what was found and what was expected; the first few of many.

    Parameters
    ----------
    root : str
        Name of the whole, for what no single key is to blame for.
    flags : bool
        Whether keys are named as the flags of a job.
    tagged : str
        A key whose values are models of several kinds: below each, pydantic names the kind, which is no key.
    """
    errors = [{**item, "loc": _keys(item["loc"], tagged)} for item in error.errors(include_url=False)]
    lines = [_explained(item, root, flags) for item in errors[:_MOST_ERRORS]]
    more = [f"… ({len(errors):,} errors in total)"] if len(errors) > _MOST_ERRORS else []
    return "; ".join([*lines, *more])


def _keys(steps: tuple[int | str, ...], tagged: str) -> tuple[int | str, ...]:
    return (*steps[:2], *steps[3:]) if tagged and steps[:1] == (tagged,) else steps


def _explained(item: Mapping[str, Any], root: str, flags: bool) -> str:
    key = (item["ctx"]["key"],) if item["type"] == "no_number" else ()
    steps = [str(step) if len(str(step)) <= 40 else shown(str(step)) for step in (*item["loc"], *key)]
    where = ".".join(steps) or root
    if flags and steps:
        where = _flag(where)
    if key:
        return f"{where}: {item['msg']}, found {item['ctx']['found']}"
    if item["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return f"{where}: {_untold(item)}"
    if item["type"] == "unknown_keys":
        inside = ".".join(steps)
        return f"{inside}: {_unknown(item['ctx'], flags)}" if inside else _unknown(item["ctx"], flags)
    # A whole mapping is not what was found wrong: the message names the key. A secret is not shown.
    hidden = item["type"] in ("missing", "secret") or isinstance(item["input"], dict)
    found = "" if hidden else f", found {shown(item['input'])}"
    expected = _EXPECTED.get(item["type"], "")
    about = {name: f"{one:g}" if isinstance(one, float) else one for name, one in item.get("ctx", {}).items()}
    text = expected.format(**about) or item["msg"].removeprefix("Value error, ")
    return f"{where}: {text}{found}".removeprefix(": ")


def _untold(item: Mapping[str, Any]) -> str:
    """Return that a model of several kinds is of none."""
    key = item["ctx"]["discriminator"].strip("'")
    if item["type"] == "union_tag_not_found":
        return f"found no {key}; expected one, such as {key}: local"
    kinds = [kind.strip(" '") for kind in item["ctx"]["expected_tags"].split(",")]
    return f"unknown {key} {shown(item['ctx']['tag'])}; {_guess(str(item['ctx']['tag']), kinds)} {listed(kinds, 12)}"


def _unknown(about: Mapping[str, Any], flags: bool) -> str:
    keys, count = about["keys"], about["count"]
    named = ", ".join(_flag(str(key)) if flags else shown(key) for key in keys)
    what = ("flag" if flags else "key") + ("" if count == 1 else "s")
    more = f", … ({count:,} in total)" if count > len(keys) else ""
    known = [_flag(name) if flags else name for name in about["known"]]
    guess = _guess(_flag(str(keys[0])) if flags else str(keys[0]), known)
    return f"unknown {what} {named}{more}; {guess} some of {listed(known, 12)}"


def _guess(found: str, known: Sequence[str]) -> str:
    """Return the beginning of what was expected, after the nearest of it."""
    close = nearest(found, known)
    return f"did you mean {close!r}? Expected" if close else "expected"


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
