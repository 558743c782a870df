"""Pieces of messages: values, lists of names, counts and errors, each on one line of bounded length."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from typing import Any

LONGEST_PATH = 1000
# Of a name in a list, which may be the path of a file.
_LONGEST_NAME = 300
_LONGEST_VALUE, _LONGEST_REASON = 80, 300
_MOST_NAMES = 6
# A message of more characters is cut: it may list every column of a wide table.
_LONGEST_MESSAGE = 2000
_WHOLE = "GEOMOB_FULL_ERRORS"
# Names from files go to the terminal: a control character could move its cursor, color what follows or turn it around.
_CONTROLS = {
    code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
    for code in (*range(32), *range(127, 160), *range(0x2028, 0x202F), *range(0x2066, 0x206A), *range(0xD800, 0xE000))
    if chr(code) not in "\n\t"
}
# What stands before an @, and in it a scheme, a user and a password. Each begins at one place alone and gives nothing
# back: names from files have millions of characters, which a search from everywhere to the end would take squared.
_BEFORE_AT = re.compile(r"(?<![^\s@'\"])[^\s@'\"]*+@")
_PASSWORD = re.compile(r"(?<![A-Za-z0-9+.-])(?=[0-9+.-]*[A-Za-z])([A-Za-z0-9+.-]++://?)[^/:]*+:.*")


def shown(value: Any, longest: int = _LONGEST_VALUE) -> str:
    """Return a value as a message shows it: quoted, on one line, and cut where it is long."""
    text = repr(value)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def shown_path(path: Any) -> str:
    r"""Return the path of a file as a message shows it: as it is, or quoted where it is long or has odd characters.

    It is cut later than other values, since its end is the file's name.

    Examples
    --------
    >>> shown_path("a.csv"), shown_path("a\n.csv")
    ('a.csv', "'a\\n.csv'")
    """
    text = str(path)
    return text if text.isprintable() and len(text) < LONGEST_PATH else shown(text, LONGEST_PATH)


def listed(names: Iterable[Any], most: int = _MOST_NAMES, *, total: int | None = None) -> str:
    """Return names separated by commas: the first few and, if there are more, how many there are.

    Parameters
    ----------
    names : iterable
    most : int
        How many are shown.
    total : int, optional
        How many there are, where `names` has only the first of them.

    Examples
    --------
    >>> listed(["a", "b", "c"], most=2)
    'a, b, … (3 in total)'
    """
    given = list(names)
    first, count = [str(name) for name in given[:most]], len(given) if total is None else total
    more = f", … ({count:,} in total)" if count > len(first) else ""
    return ", ".join(text if len(text) <= _LONGEST_NAME else shown(text) for text in first) + more


def and_more(count: int) -> str:
    """Return the number of further cases besides the one in a message; empty if there is none."""
    return f" (and {count - 1:,} more)" if count > 1 else ""


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Return a count with its noun in the singular or plural.

    Parameters
    ----------
    count : int
    noun : str
        In the singular.
    plural : str, optional
        By default with an s, or -ies for a consonant and y.

    Examples
    --------
    >>> counted(1, "tract"), counted(1200, "tract"), counted(0, "county"), counted(2, "index", "indices")
    ('1 tract', '1,200 tracts', '0 counties', '2 indices')
    """
    if count == 1:
        return f"1 {noun}"
    if plural is None:
        plural = f"{noun[:-1]}ies" if noun[-1] == "y" and noun[-2] not in "aeiou" else f"{noun}s"
    return f"{count:,} {plural}"


def one_line(text: Any) -> str:
    """Return the text of a value or an error in one line, without characters that cannot be printed."""
    words = " ".join(str(text).split())
    return "".join(letter if letter.isprintable() else "?" for letter in words)


def reason(error: BaseException) -> str:
    """Return what an error says, in one line of bounded length; its class if it says nothing."""
    text = one_line(getattr(error, "strerror", None) or error) or type(error).__name__
    return text if len(text) < _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"


def bounded(message: str, longest: int = _LONGEST_MESSAGE) -> str:
    """Return a message as long as a reader can take in: its beginning, and how to see the rest.

    Examples
    --------
    >>> bounded("no column 'a'; found b, c, d", longest=13)
    "no column 'a' … (15 more characters; GEOMOB_FULL_ERRORS=1 shows them)"
    """
    if len(message) <= longest or os.environ.get(_WHOLE):
        return message
    return f"{message[:longest].rstrip()} … ({len(message) - longest:,} more characters; {_WHOLE}=1 shows them)"


def without_passwords(text: str) -> str:
    """Return a text whose addresses have no user and password.

    Examples
    --------
    >>> without_passwords("--export s3://user:secret@bucket/a.csv: no folder /home/s3:/user:secret@bucket")
    '--export s3://…@bucket/a.csv: no folder /home/s3:/…@bucket'
    """
    return _BEFORE_AT.sub(lambda found: _PASSWORD.sub(r"\1…@", found[0]), text)


def tell(line: str) -> None:
    """Print a line on standard error at once."""
    print(printable(line), file=sys.stderr, flush=True)


def printable(text: str) -> str:
    r"""Return a text with its control characters, and what no terminal can encode, written out.

    Examples
    --------
    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return text.translate(_CONTROLS)
