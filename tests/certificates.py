"""Authorities and certificates for tests of TLS, as files in PEM."""

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_NOW = datetime.datetime.now(datetime.UTC)
_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Files:
    """Paths of an authority's certificate, of a certificate that it issued, and of the key of that."""

    ca: str
    certificate: str
    key: str

    def section(self) -> dict[str, str]:
        """Return the key `tls` of a section."""
        return {"ca": self.ca, "certificate": self.certificate, "key": self.key}


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _signed(name: str, issuer: str, key, signer, valid: tuple[float, float], ca: bool) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOW + valid[0] * _DAY)
        .not_valid_after(_NOW + valid[1] * _DAY)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .sign(signer, hashes.SHA256())
    )


def make_files(
    folder: Path, name: str, valid: tuple[float, float] = (-1, 30), passphrase: bytes | None = None
) -> Files:
    """Return files of a new authority and a certificate of it, valid between two days from now."""
    authority, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca = _signed(f"{name} ca", f"{name} ca", authority, authority, (-400, 400), True)
    certificate = _signed(name, f"{name} ca", own, authority, valid, False)
    hidden = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    data = {
        "ca": ca.public_bytes(pem),
        "certificate": certificate.public_bytes(pem),
        "key": own.private_bytes(pem, serialization.PrivateFormat.PKCS8, hidden),
    }
    paths = {kind: folder / f"{name}-{kind}.pem" for kind in data}
    for kind, path in paths.items():
        path.write_bytes(data[kind])
        path.chmod(0o600)
    return Files(*map(str, paths.values()))
