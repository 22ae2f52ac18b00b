"""Certificates for tests: an authority of our own, and one that it gave to this machine."""

import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """Files in PEM."""

    ca: Path
    cert: Path
    key: Path

    @property
    def believed(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca)


def make(folder: Path) -> Certificates:
    """Make an authority, and a certificate of it for 127.0.0.1."""
    made = Certificates(ca=folder / "ca.pem", cert=folder / "own.pem", key=folder / "own.key")
    ca_key, own_key = (ec.generate_private_key(ec.SECP256R1()) for _ in "12")
    ca = _signed("test authority", ca_key, ca_key, is_ca=True)
    own = _signed("unseen-test", own_key, ca_key, is_ca=False)
    made.ca.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    made.cert.write_bytes(own.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(
        own_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return made


def _signed(
    name: str, key: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey, *, is_ca: bool
) -> x509.Certificate:
    building = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
    )
    return building.sign(by, hashes.SHA256())
