"""Models of what users write: unknown keys are refused with the nearest known one, and errors fit in one line."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from geomob_dask.messages import listed, shown
from geomob_dask.names import nearest

_MOST_ERRORS = 5
_MOST_KEYS = 3


class Checked(BaseModel):
    """A frozen model that refuses unknown keys: one error for all of them, however many there are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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
        return given


def explain(error: ValidationError, root: str = "file", *, flags: bool = False) -> str:
    """Return in one line which keys are wrong, what was found and what was expected; the first few of many.

    Parameters
    ----------
    root : str
        Name of the whole, for what no single key is to blame for.
    flags : bool
        Whether keys are named as the flags of a job.
    """
    errors = error.errors(include_url=False)
    lines = [_explained(item, root, flags) for item in errors[:_MOST_ERRORS]]
    more = [f"… ({len(errors):,} errors in total)"] if len(errors) > _MOST_ERRORS else []
    return "; ".join([*lines, *more])


def _explained(item: Mapping[str, Any], root: str, flags: bool) -> str:
    steps = [str(step) if len(str(step)) <= 40 else shown(str(step)) for step in item["loc"]]
    where = ".".join(steps) or root
    if flags and item["loc"]:
        where = _flag(where)
    if item["type"] == "unknown_keys":
        inside = ".".join(steps)
        return f"{inside}: {_unknown(item['ctx'], flags)}" if inside else _unknown(item["ctx"], flags)
    # A whole mapping is not what was found wrong: the message names the key.
    found = "" if item["type"] == "missing" or isinstance(item["input"], dict) else f", found {shown(item['input'])}"
    return f"{where}: {item['msg'].removeprefix('Value error, ')}{found}".removeprefix(": ")


def _unknown(about: Mapping[str, Any], flags: bool) -> str:
    keys, count = about["keys"], about["count"]
    named = ", ".join(_flag(str(key)) if flags else shown(key) for key in keys)
    what = ("flag" if flags else "key") + ("" if count == 1 else "s")
    more = f", … ({count:,} in total)" if count > len(keys) else ""
    known = [_flag(name) if flags else name for name in about["known"]]
    close = nearest(_flag(str(keys[0])) if flags else str(keys[0]), known)
    guess = f"did you mean {close!r}? " if close else ""
    return f"unknown {what} {named}{more}; {guess}{'Expected' if guess else 'expected'} some of {listed(known, 12)}"


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
