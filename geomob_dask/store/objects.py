"""Objects under one URL: a folder or ``s3://bucket/prefix``.

An object is written completely or not at all. Of several writers that `create` an object, one succeeds: in a folder by
a temporary file and a hard link, in a bucket by a put with ``If-None-Match: *``. Multipart uploads are not conditional
everywhere, so these objects must stay small.
"""

import contextlib
import email.utils
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

import fsspec

from geomob_dask.errors import GeomobError, SettingsError, StoreError, StoreFailedError, StoreTimeoutError
from geomob_dask.messages import one_line, shown, shown_path
from geomob_dask.settings import DEFAULT_STORE_TIMEOUT
from geomob_dask.store.address import parse_address
from geomob_dask.store.bucket import Bucket, SilentError, status_of
from geomob_dask.store.paths import check_path, is_path

_T = TypeVar("_T")
_U = TypeVar("_U")

# Storage far away answers slowly but many requests at a time.
_AT_ONCE = 16

# Errors of botocore, by name: a store in a folder need not import it.
_CREDENTIAL_ERRORS = {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"}


@dataclass(frozen=True)
class StoredObject:
    """An object of a listing.

    Parameters
    ----------
    key : str
    size : int
        Bytes.
    modified : float
        When it was written, in seconds since 1970 by the storage's clock.
    """

    key: str
    size: int
    modified: float


class Objects:
    """Objects below a URL, by relative key.

    Parameters
    ----------
    url : str or path
        A folder, ``file://`` or ``s3://bucket/prefix``. Endpoint and credentials of a bucket come from
        the usual AWS variables or profile.
    timeout : float, optional
        Seconds that a request to a bucket may take, all attempts together; by default ``GEOMOB_STORE_TIMEOUT``.
    """

    def __init__(self, url: str | os.PathLike[str], timeout: float | None = None) -> None:
        address = parse_address(url)
        self.local, self.root, self.url = address.local, address.root, address.url
        self.timeout = _default_timeout() if timeout is None else timeout
        self._fs: Any
        if self.local:
            if os.path.exists(self.root) and not os.path.isdir(self.root):
                raise StoreError(
                    f"store {shown_path(self.root)}: found a file, expected a folder or s3://bucket/prefix"
                )
            self._fs = fsspec.filesystem("file")
        else:
            self._fs = self._explained("open", "", lambda: Bucket(self.url, self.timeout))

    def __reduce__(self) -> tuple[type["Objects"], tuple[str, float]]:
        return type(self), (self.url, self.timeout)

    def path(self, key: str) -> str:
        """Return the full path of a key.

        Raises
        ------
        InputError
            If the key leads out of the store.
        """
        return f"{self.root}/{check_path(key)}" if key else self.root

    def get(self, key: str) -> bytes:
        """Return the bytes of an object."""
        return self._explained("read", key, lambda: bytes(self._fs.cat_file(self.path(key))))

    def find(self, key: str) -> bytes | None:
        """Return the bytes of an object, None if there is none."""
        try:
            return self.get(key)
        except StoreError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise

    @contextlib.contextmanager
    def open(self, key: str) -> Iterator[IO[bytes]]:
        """Open an object; only the ranges that are read are transferred."""
        with self._explained("read", key, lambda: self._fs.open(self.path(key), "rb")) as stream:
            yield stream

    def exists(self, key: str) -> bool:
        """Return whether an object exists.

        Raises
        ------
        StoreError
            If the storage does not answer: an object out of reach is not an absent one.
        """

        def look() -> bool:
            # `isfile` would take every failure for an absence.
            try:
                return bool(self._fs.info(self.path(key))["type"] == "file")
            except (FileNotFoundError, NotADirectoryError):
                return False

        return self._explained("look for", key, look)

    def put(self, key: str, data: bytes) -> None:
        """Write an object; one with the same key is replaced."""
        if self.local:
            self._explained("write", key, lambda: self._put_file(key, data, os.replace))
        else:
            self._explained("write", key, lambda: self._fs.pipe_file(self.path(key), data))

    def create(self, key: str, data: bytes) -> bool:
        """Write an object if its key is free; return whether this call wrote it."""

        def write() -> bool:
            try:
                if self.local:
                    self._put_file(key, data, _link)
                else:
                    self._fs.pipe_file(self.path(key), data, mode="create")
            except FileExistsError:
                return False
            except OSError as error:
                if status_of(error) in _ALREADY_WRITTEN:
                    return False
                raise
            return True

        return self._explained("write", key, write)

    def delete(self, key: str) -> None:
        """Remove an object, if it exists."""
        with contextlib.suppress(FileNotFoundError):
            self._explained("remove", key, lambda: self._fs.rm_file(self.path(key)), missing_is_error=False)

    def names(self, prefix: str) -> list[str]:
        """Return the sorted names directly below a prefix; empty if there are none."""

        def ls() -> list[str]:
            names = (path.rstrip("/").rsplit("/", 1)[-1] for path in self._below(prefix, detail=False))
            return sorted(name for name in names if name and not name.startswith("."))

        return self._explained("list", prefix, ls)

    def folders(self, prefix: str) -> list[str]:
        """Return the sorted names of the folders directly below a prefix; empty if there are none."""

        def ls() -> list[str]:
            found = (one["name"] for one in self._below(prefix, detail=True) if one["type"] == "directory")
            names = (path.rstrip("/").rsplit("/", 1)[-1] for path in found)
            return sorted(name for name in names if is_path(name) and name and not name.startswith("."))

        return self._explained("list", prefix, ls)

    def _below(self, prefix: str, *, detail: bool) -> list[Any]:
        """Return what the storage lists below a prefix; nothing is below an object, in a folder as in a bucket."""
        try:
            found = list(self._fs.ls(self.path(prefix), detail=detail))
            # A bucket lists an object as if it were below itself.
            return [one for one in found if self._is_below(one["name"] if detail else one, prefix)]
        except FileNotFoundError:
            self._bucket_must_exist()
        except NotADirectoryError:
            if not os.path.isdir(self.root):
                raise
        return []

    def _is_below(self, path: str, prefix: str) -> bool:
        return path.startswith(f"{self.path(prefix)}/")

    def listing(self, prefix: str = "") -> list[StoredObject]:
        """Return every object below a prefix, sorted by key, including unfinished ones."""
        return self._explained("list", prefix, lambda: sorted(self._listing(prefix), key=lambda item: item.key))

    def _listing(self, prefix: str) -> Iterator[StoredObject]:
        if self.local:
            for folder, _, names in os.walk(self.path(prefix), onerror=_unless_absent):
                for name in names:
                    path = os.path.join(folder, name)
                    # A temporary file is renamed while the folder is read.
                    with contextlib.suppress(FileNotFoundError):
                        about = os.stat(path)
                        yield StoredObject(os.path.relpath(path, self.root), about.st_size, about.st_mtime)
            return
        self._bucket_must_exist()
        for path, about in self._fs.find(self.path(prefix), detail=True).items():
            # Some clients write an empty object for a folder. The prefix itself is listed, without a time, when its
            # first object is written between two requests of one listing.
            if self._is_below(path, prefix) and not path.endswith("/"):
                yield StoredObject(path.removeprefix(f"{self.root}/"), about["size"], about["LastModified"].timestamp())

    def modified(self, key: str) -> float | None:
        """Return when an object was written, in seconds since 1970 by the storage's clock; None if it is gone."""

        def look() -> float | None:
            try:
                about = self._fs.info(self.path(key))
            except FileNotFoundError:
                return None
            if self.local:
                return float(about["mtime"])
            # A prefix has no time: the object is gone, and others are below its name.
            return float(about["LastModified"].timestamp()) if about["type"] == "file" else None

        return self._explained("look for", key, look)

    def clock(self) -> float:
        """Return the time by the storage's clock, in seconds since 1970."""
        if self.local:
            return time.time()
        date = self._explained("reach", "", self._fs.head)["ResponseMetadata"]["HTTPHeaders"].get("date")
        # The header has whole seconds: an object written before the answer must not look newer.
        return email.utils.parsedate_to_datetime(date).timestamp() + 1.0 if date else time.time()

    def reach(self) -> None:
        """Raise StoreError if a bucket does not answer or does not exist; of a folder nothing is asked."""
        self._explained("reach", "", self._bucket_must_exist)

    def _bucket_must_exist(self) -> None:
        if self.local:
            return
        try:
            self._fs.head()
        except FileNotFoundError as error:
            bucket = self.root.split("/", 1)[0]
            raise FileNotFoundError(f"the bucket {bucket!r} does not exist") from error
        except PermissionError:
            # Rights to its objects do not include those to the bucket everywhere.
            pass

    def _put_file(self, key: str, data: bytes, place: Callable[[str, str], None]) -> None:
        target = Path(self.path(key))
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = str(target.parent / f".{target.name}.{uuid.uuid4().hex}")
        try:
            with open(temporary, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            place(temporary, str(target))
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)

    def _explained(self, doing: str, key: str, act: Callable[[], _T], *, missing_is_error: bool = True) -> _T:
        """Run `act`; an error names the store and object, what went wrong and what is needed."""
        try:
            return act()
        except GeomobError:
            raise
        except Exception as error:
            if isinstance(error, FileNotFoundError) and not missing_is_error:
                raise
            if not isinstance(error, OSError) and not _of_client(error):
                raise
            where = f"{self.url}/{key}" if key else self.url
            message = f"cannot {doing} {where}: {_reason(error)}; expected {_expected(error)}"
            raise _class_of(error, doing)(message) from error


def _default_timeout() -> float:
    # A store that is opened without settings, and one that a worker opens.
    given = os.environ.get("GEOMOB_STORE_TIMEOUT", "")
    try:
        seconds = float(given) if given else DEFAULT_STORE_TIMEOUT
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise SettingsError(f"GEOMOB_STORE_TIMEOUT {shown(given)}: expected seconds above 0")
    return seconds


# 412: the object exists. 409: another conditional put is under way, and the caller reads again.
_ALREADY_WRITTEN = (409, 412)


def _unless_absent(error: OSError) -> None:
    """Raise an error of a walk over folders: what cannot be listed is not absent, and cleaning trusts a listing."""
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise error


def _link(temporary: str, target: str) -> None:
    os.link(temporary, target)


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error.__cause__ or error) or type(error).__name__
    # The library counts its own attempts, which are not the only ones.
    return re.sub(r" \(reached max retries: \d+\)", "", one_line(text))


# Of these, a user must change the address, the rights or what is at the address.
_AT_THE_DOOR = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
_WRITING = ("write", "remove")


def _class_of(error: Exception, doing: str) -> type[StoreError]:
    """Return the class of the error of a store: bad input, or a run that failed."""
    if isinstance(error, SilentError):
        return StoreTimeoutError
    if isinstance(error, _AT_THE_DOOR) or type(error).__name__ in _CREDENTIAL_ERRORS:
        return StoreError
    refused = isinstance(error, PermissionError) or 400 <= (status_of(error) or 0) < 500
    # What could be read and cannot be written has failed in the middle of a run.
    return StoreError if refused and doing not in _WRITING else StoreFailedError


def _of_client(error: Exception) -> bool:
    """Return whether an error is of the libraries that ask a bucket."""
    return type(error).__module__.split(".")[0] in ("botocore", "aiobotocore", "aiohttp")


def _expected(error: Exception) -> str:
    if type(error).__name__ in _CREDENTIAL_ERRORS or isinstance(error, PermissionError):
        return "rights to this store (file permissions, or AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or AWS_PROFILE)"
    if isinstance(error, FileNotFoundError):
        return "an object, folder or bucket that exists"
    if isinstance(error, SilentError) or _of_client(error):
        return "a storage service that answers (AWS_ENDPOINT_URL, AWS_DEFAULT_REGION)"
    return "a store with room that can be read and written"


def concurrently(function: Callable[[_T], _U], values: Sequence[_T]) -> list[_U]:
    """Return the results of a function for each value, computed in several threads."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(function, values))
