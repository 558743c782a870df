"""What looks like a secret in a section, which a file that is shared is no place for."""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from geomob_dask.messages import shown, without_passwords

# Parts of names of variables that hold secrets, and last parts of those that say where one is.
_SECRET = {"SECRET", "SECRETS", "PASSWORD", "PASSWD", "PASS", "PASSPHRASE", "TOKEN", "CREDENTIAL", "CREDENTIALS"}
_KEYS = {"KEY", "KEYS", "APIKEY"}
_WHERE = {"FILE", "FILES", "PATH", "DIR", "FOLDER", "TTL", "EXPIRATION", "NAME"}
_INSIDE = re.compile(r"SECRET|PASSW|PASSPHRASE|CREDENTIAL|APIKEY|ACCESSKEY")
# Values that are secrets whatever they are called: keys in PEM, of Amazon, GitHub and Slack, and signed tokens.
_VALUES = re.compile(
    r"-----BEGIN|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_\w{20,}|\bgithub_pat_\w{20,}|\bxox[abprs]-|\beyJ[\w-]{10,}\.[\w-]+\.|"
    r"\bBearer\s+\S{8,}"
)
_ASSIGNED = re.compile(r"(?:^|[\s;&|(])(?:export\s+|set\s+)?([A-Za-z_]\w*)=('[^']*'|\"[^\"]*\"|[^\s;&|)]*)")
_INSTEAD = (
    "looks like a secret, which does not belong into this file; expected the workers to find it where they run: in "
    "their account's ~/.aws/credentials (AWS_PROFILE or AWS_SHARED_CREDENTIALS_FILE may be named here), or in a secret "
    "of the site"
)


def is_secret(name: str, value: str) -> bool:
    """Return whether a variable of this name and value looks like a secret.

    Examples
    --------
    >>> is_secret("AWS_SECRET_ACCESS_KEY", "x"), is_secret("AWS_SHARED_CREDENTIALS_FILE", "/home/me/aws")
    (True, False)
    """
    words = [word for word in re.split(r"[^A-Z0-9]+", name.upper()) if word]
    if _VALUES.search(value) or without_passwords(value) != value:
        return True
    if not words or words[-1] in _WHERE:
        return False
    named = bool(_SECRET & set(words)) or words[-1] in _KEYS or bool(_INSIDE.search("".join(words)))
    return named and bool(value)


def refuse_secrets_in(text: str) -> None:
    """Raise an error of pydantic if a line of a script sets a variable that looks like a secret, or holds one."""
    for name, value in _ASSIGNED.findall(text):
        given = value.strip("'\"")
        # A variable that is set to another one gives nothing away.
        if is_secret(name, given) and not given.startswith("$"):
            raise _refusal(name)
    if _VALUES.search(text):
        raise _refusal("")


def _refusal(name: str) -> PydanticCustomError:
    return PydanticCustomError("secret", "{what}", {"what": f"{shown(name)} {_INSTEAD}" if name else _INSTEAD})


def _environment(given: Any) -> Any:
    """Return variables as text; the error about one never shows its value."""
    if not isinstance(given, Mapping):
        raise PydanticCustomError("secret", "expected variables, a name and a value each")
    found = {}
    for name, value in given.items():
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
            what = f"{shown(name)} is no name of a variable"
            raise PydanticCustomError("secret", "{what}", {"what": what})
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            what = f"{name}: found no text; expected text or a number, in quotes if need be"
            raise PydanticCustomError("secret", "{what}", {"what": what})
        if "\n" in str(value) or "\0" in str(value):
            raise PydanticCustomError("secret", "{what}", {"what": f"{name}: found several lines, expected one"})
        if is_secret(name, str(value)):
            raise _refusal(name)
        found[name] = str(value)
    return found


def _lines(given: Any) -> Any:
    lines = [given] if isinstance(given, str) else given
    if isinstance(lines, Iterable):
        lines = list(lines)
        for line in lines:
            if isinstance(line, str):
                refuse_secrets_in(line)
    return lines


Environment = Annotated[dict[str, str], BeforeValidator(_environment)]
"""Variables of the workers; those that look like secrets are refused, and never shown."""
ScriptLines = Annotated[tuple[str, ...], BeforeValidator(_lines)]
"""Lines of a shell script, or options of a command; those with secrets are refused."""
