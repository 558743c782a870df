"""The address of a store: a folder, or a bucket and a prefix in it."""

import os
import re
from dataclasses import dataclass

from geomob_dask.errors import StoreError
from geomob_dask.messages import shown
from geomob_dask.store.paths import is_path

_EXPECTED = "expected a folder or s3://bucket/prefix"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(//?)?")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")


@dataclass(frozen=True)
class Address:
    """Where a store is.

    Attributes
    ----------
    url : str
        The folder's full path, or ``s3://bucket/prefix``.
    root : str
        The same without the scheme.
    local : bool
        Whether it is a folder.
    """

    url: str
    root: str
    local: bool


def parse_address(given: str | os.PathLike[str]) -> Address:
    """Return the address of a store from what a user wrote.

    Parameters
    ----------
    given : str or path
        A folder (``~`` is the home folder), ``file:///folder`` or ``s3://bucket/prefix``; a slash at the end is no part
        of it.

    Raises
    ------
    StoreError
        If it is neither; a password in it is not repeated.

    Examples
    --------
    >>> parse_address("s3://bucket/prefix/").url
    's3://bucket/prefix'
    """
    text = os.fspath(given) if isinstance(given, os.PathLike) else given
    if not isinstance(text, str):
        raise StoreError(f"store {shown(text)}: found no text, {_EXPECTED}")
    if not text.strip() or text != text.strip() or not text.isprintable():
        raise StoreError(f"store {shown(text)}: {_EXPECTED}, without spaces around it and without control characters")
    scheme = _SCHEME.match(text)
    if "://" in text[0 if scheme is None else scheme.end() :]:
        # Filters of other libraries, such as simplecache::s3://…; what follows may hold a password.
        raise StoreError(f"store {shown(text.partition(':')[0])}:…: found an address within an address, {_EXPECTED}")
    if scheme is None or (scheme[2] is None and scheme[1].lower() not in ("s3", "file")):
        return _folder(text, text)
    kind, rest = scheme[1].lower(), text[scheme.end() :]
    if scheme[2] != "//":
        raise StoreError(f"store {_named(text)}: found {scheme[0]!r}, {_EXPECTED}")
    if kind == "file":
        if not rest.startswith("/"):
            raise StoreError(f"store {shown(text)}: found no full path, expected file:///folder")
        return _folder(rest, text)
    if kind != "s3":
        raise StoreError(f"store {_named(text)}: found the protocol {kind!r}, {_EXPECTED}")
    return _bucket(rest)


def _folder(path: str, text: str) -> Address:
    full = os.path.expanduser(path)
    if full.startswith("~"):
        raise StoreError(f"store {shown(text)}: no such user, {_EXPECTED}")
    full = os.path.abspath(full)
    return Address(full, full, True)


def _bucket(rest: str) -> Address:
    if "@" in rest or ":" in rest.partition("/")[0]:
        # Whatever follows the scheme may be a part of the password.
        raise StoreError(
            "store s3://…: found a user, password or port in the address (not repeated here); expected "
            "s3://bucket/prefix, and AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL, or AWS_PROFILE"
        )
    root = rest.rstrip("/")
    bucket, _, prefix = root.partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise StoreError(f"store {shown(f's3://{rest}')}: found the bucket {shown(bucket)}, {_EXPECTED}")
    if not is_path(prefix):
        raise StoreError(f"store {shown(f's3://{rest}')}: found an empty part, '.' or '..' in its prefix, {_EXPECTED}")
    return Address(f"s3://{root}", root, False)


def _named(text: str) -> str:
    """Return an address for a message; only its scheme where a password may follow."""
    return shown(text) if "@" not in text else f"{text.partition(':')[0]}:…"
