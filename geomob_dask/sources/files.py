"""Files as input: regular files within limits, and what is in a .gz or .zip, counted while it is unpacked."""

from __future__ import annotations

import gzip
import io
import stat
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO

from geomob_dask.errors import GeomobError, InputError
from geomob_dask.messages import listed, reason, shown_path
from geomob_dask.settings import Limits, limits_in_use

GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
_CONTAINERS = (".gz", ".zip")
_CHUNK = 1 << 20
# Larger files are counted to their end before any of it is kept: those beyond the limit never fill the memory.
_KEPT_AT_ONCE = 1 << 27
# Other methods unpack without a bound on what one piece becomes.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1


@dataclass(frozen=True)
class Content:
    """Bytes of a file, or of a member of a container.

    Attributes
    ----------
    label : str
        For messages: the file, and the member if there is one.
    name : str
        Without its folders and without ``.gz``: its suffix says what it is.
    data : bytes
    """

    label: str
    name: str
    data: bytes


@contextmanager
def explained(label: str, expected: str) -> Iterator[None]:
    """Turn whatever a library says about damaged content into an InputError that names the file.

    Parameters
    ----------
    label : str
        The file, and the member or sheet.
    expected : str
        What it should be.
    """
    try:
        yield
    except GeomobError:
        raise
    except Exception as error:
        # Parsers of Parquet, Excel and zip raise errors of any class on bytes that somebody has changed.
        raise InputError(f"{label}: cannot be read ({reason(error)}); expected {expected}") from error


def regular_file(path: str | Path, expected: str = "a file") -> Path:
    """Return the path of a regular file, or of a link to one.

    Raises
    ------
    InputError
        If it is missing, a folder, a pipe, a device, or a name that no file can have; nothing is opened before.
    """
    found = Path(path)
    try:
        mode = found.stat().st_mode
    except (OSError, ValueError) as error:
        raise InputError(f"{shown_path(path)}: cannot be read ({reason(error)}); expected {expected}") from error
    if stat.S_ISDIR(mode):
        raise InputError(f"{path}: cannot be read (Is a directory); expected {expected}")
    if not stat.S_ISREG(mode):
        raise InputError(f"{path}: cannot be read (a pipe, socket or device); expected {expected}")
    return found


def read_bytes(path: str | Path, *, expected: str = "a file", limits: Limits | None = None) -> bytes:
    """Return the bytes of a file as they are.

    Raises
    ------
    InputError
        If it is no regular file, cannot be read, or is larger than the limit.
    """
    found, most = regular_file(path, expected), limits or limits_in_use()
    with explained(str(path), expected):
        if found.stat().st_size > most.bytes:
            raise too_large(str(path), "bytes", found.stat().st_size, most)
        return found.read_bytes()


def too_large(label: str, limit: str, count: int | None, limits: Limits) -> InputError:
    """Return the error about what exceeds a limit, with the setting that raises it.

    Parameters
    ----------
    limit : str
        Field of `Limits`.
    count : int, optional
        What was found; None if only that it is more.
    """
    most = getattr(limits, limit)
    what = {"bytes": "decompressed bytes", "depth": "containers within one another"}.get(limit, limit)
    found = f"more than {most:,}" if count is None else f"{count:,}"
    return InputError(
        f"{label}: found {found} {what}, expected at most {most:,} (to raise it: GEOMOB_LIMIT_{limit.upper()}, or "
        f"limits: {limit} in cluster.yaml)"
    )


def unpacked(
    path: str | Path,
    suffixes: Sequence[str],
    *,
    member: str | None = None,
    flag: str = "",
    expected: str = "a table",
    limits: Limits | None = None,
) -> Content:
    """Return the one file of a kind that a path leads to, unpacked from .gz and .zip.

    Parameters
    ----------
    path : str or Path
    suffixes : sequence of str
        What the content may be named, in lower case, such as ``.csv``; each may be in a ``.gz`` or ``.zip``.
    member : str, optional
        Name of the file in a .zip, with or without its folder, where there are several.
    flag : str
        The flag that names it, if the user has one.
    expected : str
        For messages.
    limits : Limits, optional
        Those in use by default.

    Raises
    ------
    InputError
        If there is no such file, or several and none is named; if a container is damaged, encrypted, nested too deep
        or unpacks to more than the limit, or a member of a .zip would lie outside of it.
    """
    most = limits or limits_in_use()
    name = Path(path).name
    if not _is_kind(name, suffixes):
        kinds = ", ".join([*suffixes, *_CONTAINERS])
        raise InputError(f"{shown_path(path)}: suffix {Path(path).suffix!r}; expected one of {kinds}")
    data = read_bytes(path, expected=expected, limits=most)
    return _opened(Content(str(path), name, data), _Wanted(suffixes, member, flag, expected), most, depth=0)


@dataclass(frozen=True)
class _Wanted:
    """What a path should lead to: a file of one of these suffixes, perhaps of a name that a flag gives."""

    suffixes: Sequence[str]
    member: str | None
    flag: str
    expected: str


def _opened(content: Content, wanted: _Wanted, limits: Limits, depth: int) -> Content:
    suffix, expected = PurePosixPath(content.name).suffix.lower(), wanted.expected
    if suffix not in _CONTAINERS or suffix in wanted.suffixes:
        return content
    if depth == limits.depth:
        raise too_large(content.label, "depth", depth + 1, limits)
    if not content.data:
        raise InputError(f"{content.label}: is empty; expected {expected}")
    if suffix == ".gz":
        # What the last bytes state as the length is unknown bytes in a file that was cut: it is unpacked to be judged.
        with explained(content.label, expected):
            data = _bounded(lambda: gzip.GzipFile(fileobj=io.BytesIO(content.data)), content.label, limits)
        inner = Content(content.label, content.name[: -len(suffix)], data)
    else:
        archive = Archive(content.label, content.data, expected=expected, limits=limits)
        chosen = archive.only(lambda name: _is_kind(name, wanted.suffixes), expected, wanted.member, flag=wanted.flag)
        label = f"{content.label}, member {chosen}"
        inner = Content(label, PurePosixPath(chosen).name, archive.read(chosen))
        # The name has served: a .zip in the .zip has members of its own.
        wanted = replace(wanted, member=None, flag="")
    return _opened(inner, wanted, limits, depth + 1)


def choice(flag: str) -> str:
    """Return what is expected of several: that a flag names one, or that there is only one."""
    return f"the name of one of them ({flag})" if flag else "a single one"


def _is_kind(name: str, suffixes: Sequence[str]) -> bool:
    lower = name.lower()
    if lower.endswith(".zip"):
        return True
    return lower.removesuffix(".gz").endswith(tuple(suffixes))


def _bounded(opened: Callable[[], IO[bytes] | gzip.GzipFile], label: str, limits: Limits) -> bytes:
    """Return what a stream gives, if that is within the limit."""
    parts, count = [], 0
    with opened() as stream:
        while chunk := stream.read(_CHUNK):
            count += len(chunk)
            if count > limits.bytes:
                raise too_large(label, "bytes", None, limits)
            if count <= _KEPT_AT_ONCE:
                parts.append(chunk)
            else:
                parts.clear()
    if count <= _KEPT_AT_ONCE:
        return b"".join(parts)
    with opened() as stream:
        return stream.read()


class Archive:
    """A .zip whose members stay within it and within the limits.

    Parameters
    ----------
    label : str
        The file, for messages.
    data : bytes, optional
        Its content; read from `label` by default.
    expected : str
        For messages.
    limits : Limits, optional
        Those in use by default. The bytes of all members that are read count together.

    Attributes
    ----------
    names : list of str
        Its files, without folders and without what operating systems add.
    sizes : dict of str to int
        Bytes of every member by name, as the .zip states them.

    Raises
    ------
    InputError
        If it is no .zip; if a member has a path that leads outside, is a link, or has a name twice.
    """

    def __init__(
        self, label: str, data: bytes | None = None, *, expected: str = "a .zip", limits: Limits | None = None
    ):
        self.label, self.expected, self.limits = label, expected, limits or limits_in_use()
        content = read_bytes(label, expected=expected, limits=self.limits) if data is None else data
        with explained(label, expected):
            self._zip = zipfile.ZipFile(io.BytesIO(content))
        self._left = self.limits.bytes
        infos = [info for info in self._zip.infolist() if not info.filename.endswith("/")]
        for info in infos:
            self._check(info)
        self._infos = {info.filename: info for info in infos}
        if len(self._infos) < len(infos):
            raise InputError(f"{label}: found two members of one name; expected different names")
        self.names = [name for name in self._infos if not _is_added(name)]
        self.sizes = {info.filename: info.file_size for info in infos}

    def only(self, wanted: Callable[[str], bool], what: str, member: str | None = None, *, flag: str = "") -> str:
        """Return the name of the only member that is wanted; of several, that which is named, perhaps by a flag.

        Raises
        ------
        InputError
            If there is none, or there are several; it lists the members.
        """
        found = [name for name in self.names if wanted(name)]
        if member is not None:
            found = [name for name in found if member in (name, PurePosixPath(name).name, PurePosixPath(name).stem)]
        if len(found) == 1:
            return found[0]
        listing = listed(map(repr, found or self.names), 8) or "nothing"
        if member is not None and not found:
            raise InputError(f"{self.label}: no member {member!r}; found {listing}")
        if not found:
            raise InputError(f"{self.label}: found {listing} in it, expected {what}")
        raise InputError(f"{self.label}: found {listing} in it, expected {choice(flag)}")

    def read(self, name: str) -> bytes:
        """Return the content of a member.

        Raises
        ------
        InputError
            If it is damaged or encrypted, or exceeds the limit.
        """
        info, label = self._infos[name], f"{self.label}, member {name}"
        if info.file_size > self._left:
            raise too_large(label, "bytes", info.file_size, self.limits)
        with explained(label, self.expected):
            data = _bounded(lambda: self._opened(info, label), label, self.limits)
            if len(data) != info.file_size:
                raise InputError(f"{label}: ends after {len(data):,} of {info.file_size:,} bytes; expected all of them")
        self._left -= len(data)
        return data

    def head(self, name: str, count: int) -> bytes:
        """Return the first bytes of a member, without unpacking the rest.

        Raises
        ------
        InputError
            If they are damaged or encrypted.
        """
        info, label = self._infos[name], f"{self.label}, member {name}"
        with explained(label, self.expected), self._opened(info, label) as stream:
            return stream.read(count)

    def _opened(self, info: zipfile.ZipInfo, label: str) -> IO[bytes]:
        if info.flag_bits & _ENCRYPTED:
            raise InputError(f"{label}: is encrypted; expected a member without a password")
        if info.compress_type not in _METHODS:
            raise InputError(f"{label}: is compressed by method {info.compress_type}; expected stored or deflated")
        return self._zip.open(info)

    def check(self) -> None:
        """Unpack all members without keeping them.

        Raises
        ------
        InputError
            As `read`.
        """
        for name in self._infos:
            self.read(name)
        self._left = self.limits.bytes

    def extract(self, names: Sequence[str], folder: str | Path) -> list[Path]:
        """Return the paths of members written to a folder, each by its own name without folders."""
        paths = []
        for name in names:
            path = Path(folder) / PurePosixPath(name).name
            if path.exists():
                raise InputError(f"{self.label}, member {name}: another has the same name; expected different names")
            path.write_bytes(self.read(name))
            paths.append(path)
        return paths

    def _check(self, info: zipfile.ZipInfo) -> None:
        # `orig_filename` is what the file says, before separators are changed and a NUL cuts it.
        for name in {info.filename, info.orig_filename}:
            path = PurePosixPath(name)
            outside = path.is_absolute() or ".." in path.parts or not path.parts or path.parts[0][1:2] == ":"
            if outside or "\\" in name or "\0" in name:
                raise InputError(f"{self.label}: member {name!r} leads outside of the .zip; expected a plain name")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise InputError(f"{self.label}: member {info.filename!r} is a symbolic link; expected a file")


def _is_added(name: str) -> bool:
    """Return whether an operating system added a member: resource forks, thumbnails, hidden files."""
    parts = PurePosixPath(name).parts
    return "__MACOSX" in parts or parts[-1].startswith(".") or parts[-1].lower() in ("thumbs.db", "desktop.ini")
