"""Options as frozen models: the flags of a command, the arguments of a function, and what provenance records."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError

from geomob_dask.checked import Checked, explain
from geomob_dask.errors import GeomobError, InputError
from geomob_dask.messages import shown
from geomob_dask.names import Name, as_text


def as_tuple(value: Any) -> Any:
    """Return a tuple of a list, or of texts separated by commas; other values as they are."""
    value = as_text(value)
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(as_text(item) for item in value) if isinstance(value, (list, tuple)) else value


def texts(value: Any) -> tuple[str, ...]:
    """Return a tuple of the texts in a text, a number, or a list of them; see `as_tuple`.

    Raises
    ------
    ValueError
        If it is something else: pydantic tells which option.
    """
    found = as_tuple(value)
    if not isinstance(found, tuple) or not all(isinstance(one, str) for one in found):
        raise ValueError(f"found {shown(value)}, expected text, or a list of texts")
    return found


Text = Annotated[str, BeforeValidator(as_text), Field(min_length=1)]
Listed = Annotated[tuple[Text, ...], BeforeValidator(as_tuple), Field(min_length=1)]
Names = Annotated[tuple[Name, ...], BeforeValidator(as_tuple), Field(min_length=1)]


# Marks the type of an option that names a file: a path in a backfill's file is relative to that file's folder.
FILE = "names a file"


class Options(Checked):
    """Options of a command. A field's description is the help of its flag; its alias is the flag's name."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @classmethod
    def of(cls, **given: Any) -> Self:
        """Return validated options.

        Raises
        ------
        InputError
            Naming the flag, what was found and what was expected.
        """
        try:
            # An error names the flag, which is the alias where a field has one.
            fields = cls.model_fields
            named = {name: fields[name].alias or name for name in given if name in fields}
            return cls.model_validate({named.get(name, name): value for name, value in given.items()})
        except ValidationError as error:
            for item in error.errors():
                cause = item.get("ctx", {}).get("error")
                if isinstance(cause, GeomobError):
                    raise cause from error
            raise InputError(explain(error, root="options", flags=True)) from error

    def plain(self) -> dict[str, Any]:
        """Return the options on which the result depends, as plain data: what the provenance keeps."""
        fields = type(self).model_fields
        left_out = {name for name, field in fields.items() if not extra(field).get("recorded", True)}
        return self.model_dump(mode="json", exclude=left_out)


def argument(description: str) -> Any:
    """Return a field for files: positional on the command line; their checksums are recorded, not their names."""
    return Field(description=description, json_schema_extra={"argument": True, "recorded": False})


def unrecorded(default: Any, description: str, *, env: str | None = None, alias: str | None = None) -> Any:
    """Return a field on which the result does not depend, such as a server's address; perhaps set by a variable."""
    return Field(default, alias=alias, description=description, json_schema_extra={"env": env, "recorded": False})


def extra(field: Any) -> Mapping[str, Any]:
    """Return what `argument` and `unrecorded` say of a field."""
    return field.json_schema_extra or {}
