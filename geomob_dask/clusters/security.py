"""TLS between client, scheduler and workers: files, checked before anything starts, or a certificate made for a run.

Everything that takes part shows a certificate of the same authority. Without one, a process on the same network could
read results, or send tasks.
"""

import contextlib
import datetime
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import distributed

from geomob_dask.clusters.extras import library
from geomob_dask.errors import SettingsError
from geomob_dask.messages import reason, shown_path, tell
from geomob_dask.sections import AddressSection
from geomob_dask.sections.shared import Tls, WorkerOptions

_DAY = datetime.timedelta(days=1)
# Clocks of machines differ, and a run may wait for months in a queue.
_VALID = (_DAY, 365 * _DAY)
_NAMES = ("ca.pem", "certificate.pem", "key.pem")


@contextlib.contextmanager
def security_of(
    section: WorkerOptions | AddressSection, folder: str | None = None
) -> Iterator[distributed.Security | None]:
    """Yield what Dask needs to know of a section's TLS, as names of files; None for a section without.

    Parameters
    ----------
    section : section of cluster.yaml
    folder : str, optional
        Folder in which a temporary certificate is kept until the end: where workers are started by other programs, one
        that their machines see too; the system's temporary folder by default.

    Raises
    ------
    SettingsError
        If a file is missing, is not what it should be, has expired or does not belong to the others.
    """
    tls = section.tls
    if tls is None:
        yield None
    elif tls.temporary:
        with _temporary(section.where, folder) as (ca, certificate, key):
            yield _security(ca, certificate, key)
    else:
        check(tls, section.where)
        yield _security(tls.ca, tls.certificate, tls.key)


def tls_line(section: WorkerOptions | AddressSection) -> str:
    """Return what `--dry-run` prints of a section's TLS, after checking its files; never their content."""
    tls = section.tls
    if tls is None:
        return "tls: none, connections are not encrypted"
    if tls.temporary:
        _x509(section.where)
        return "tls: temporary, a certificate made for the run"
    until = check(tls, section.where)
    return f"tls: ca {tls.ca}, certificate {tls.certificate} (valid until {until:%Y-%m-%d}), key {tls.key}"


def _security(ca: str, certificate: str, key: str) -> distributed.Security:
    pairs = {f"tls_{role}_cert": certificate for role in ("client", "scheduler", "worker")}
    pairs |= {f"tls_{role}_key": key for role in ("client", "scheduler", "worker")}
    return distributed.Security(require_encryption=True, tls_ca_file=ca, **pairs)


def check(tls: Tls, section: str) -> datetime.datetime:
    """Return until when the certificate is valid, if the files fit each other.

    Parameters
    ----------
    tls : Tls
        With files.
    section : str
        File and name of the section, for messages.

    Raises
    ------
    SettingsError
        Naming the file: missing, no PEM, expired or not valid yet, a key with a passphrase or of another certificate, a
        certificate of another authority.
    """
    x509 = _x509(section)
    authorities = _certificates(x509, tls.ca, f"{section}: tls.ca {shown_path(tls.ca)}")
    own = f"{section}: tls.certificate {shown_path(tls.certificate)}"
    chain = _certificates(x509, tls.certificate, own)
    until: datetime.datetime = chain[0].not_valid_after_utc
    _in_time(chain[0], own)
    # Of several authorities, old ones may have expired.
    latest = max(authorities, key=lambda one: one.not_valid_after_utc)
    _in_time(latest, f"{section}: tls.ca {shown_path(tls.ca)}")
    _key_of(chain[0], tls, section)
    if not any(_issued(one, authority) for one in chain for authority in authorities):
        found = chain[-1].issuer.rfc4514_string()
        raise SettingsError(f"{own}: found a certificate issued by {found}, expected one of those in {tls.ca}")
    return until


def _x509(section: str) -> Any:
    return library("cryptography.x509", "tls", f"{section}: tls")


def _read(file: str, where: str) -> bytes:
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):
            raise SettingsError(f"{where}: found a folder, pipe or device, expected a file in PEM")
        return Path(file).read_bytes()
    except (OSError, ValueError) as error:
        if isinstance(error, SettingsError):
            raise
        raise SettingsError(f"{where}: cannot be read ({reason(error)}); expected a file in PEM") from error


def _certificates(x509: Any, file: str, where: str) -> list[Any]:
    try:
        found: list[Any] = x509.load_pem_x509_certificates(_read(file, where))
    except ValueError as error:
        if isinstance(error, SettingsError):
            raise
        raise SettingsError(f"{where}: holds no certificate in PEM ({reason(error)}); expected one") from error
    return found


def _in_time(certificate: Any, where: str) -> None:
    now = datetime.datetime.now(datetime.UTC)
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now > last:
        raise SettingsError(f"{where}: expired on {last:%Y-%m-%d %H:%M} UTC; expected a certificate that is valid now")
    if now < first:
        raise SettingsError(f"{where}: valid from {first:%Y-%m-%d %H:%M} UTC on; expected one that is valid now")


def _key_of(certificate: Any, tls: Tls, section: str) -> None:
    from cryptography.hazmat.primitives import serialization

    where = f"{section}: tls.key {shown_path(tls.key)}"
    data = _read(tls.key, where)
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except TypeError as error:
        raise SettingsError(f"{where}: needs a passphrase; expected a key without one") from error
    except Exception as error:
        raise SettingsError(f"{where}: holds no private key in PEM; expected the key of {tls.certificate}") from error
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
        raise SettingsError(f"{where}: found the key of another certificate, expected that of {tls.certificate}")
    others = stat.S_IMODE(os.stat(tls.key).st_mode) & 0o077
    if others:
        tell(f"{where}: others may read it; expected its owner alone: chmod 600 {shown_path(tls.key)}")


def _issued(certificate: Any, authority: Any) -> bool:
    if certificate == authority:
        return True
    try:
        certificate.verify_directly_issued_by(authority)
    except Exception:
        return False
    return True


@contextlib.contextmanager
def _temporary(section: str, folder: str | None) -> Iterator[tuple[str, str, str]]:
    """Yield the names of files, of authority, certificate and key, that nobody else reads and that go at the end."""
    try:
        # Its folder is this user's alone.
        own = tempfile.TemporaryDirectory(prefix="geomob-tls-", dir=folder)
    except OSError as error:
        raise SettingsError(f"{section}: tls: temporary: no folder for its files ({reason(error)})") from error
    with own as place:
        certificate, key = certificate_and_key(section)
        paths = [os.path.join(place, name) for name in _NAMES]
        for path, data in zip(paths, (certificate, certificate, key), strict=True):
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(data)
        yield paths[0], paths[1], paths[2]


def certificate_and_key(section: str) -> tuple[bytes, bytes]:
    """Return a new certificate that is its own authority, and its key, in PEM."""
    x509 = _x509(section)
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "geomob-dask")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _VALID[0])
        .not_valid_after(now + _VALID[1])
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = (
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(*form)
