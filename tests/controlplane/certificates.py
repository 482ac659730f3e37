"""The control plane's certificate authority: one CA for servers, clients and kubelets.

Written on `cryptography` itself because client certificates need several organisations: Kubernetes
reads the groups of a user there.
"""

from __future__ import annotations

import datetime
import ipaddress
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

# An hour back for clocks that differ, a day ahead because no test runs longer.
_BEFORE = datetime.timedelta(hours=1)
_AFTER = datetime.timedelta(days=1)


class IssuedPair(NamedTuple):
    """A certificate and its private key, as PEM files."""

    cert_path: Path
    key_path: Path


class Authority:
    """A certificate authority that keeps what it issues as files in one folder."""

    def __init__(self, folder: Path, common_name: str = "control plane of the tests") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._numbers = itertools.count(1)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = _name(common_name, ())
        self._certificate = self._sign_itself()
        self.ca_file = folder / "ca.crt"
        self.ca_file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    @property
    def ca_pem(self) -> str:
        """The CA certificate."""
        return self.ca_file.read_text()

    def issue_client(self, common_name: str, organisations: Iterable[str] = ()) -> IssuedPair:
        """Issue a client certificate: the user's name and groups, as Kubernetes reads them."""
        return self._issue(_name(common_name, organisations), ExtendedKeyUsageOID.CLIENT_AUTH, ())

    def issue_server(self, common_name: str, names: Iterable[str]) -> IssuedPair:
        """Issue a serving certificate for these DNS names and IP addresses."""
        alternatives = [_alternative(name) for name in names]
        return self._issue(_name(common_name, ()), ExtendedKeyUsageOID.SERVER_AUTH, alternatives)

    def new_key(self, name: str) -> IssuedPair:
        """Write a bare key pair (public part first), as service-account tokens are signed with."""
        key = ec.generate_private_key(ec.SECP256R1())
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return self._write(name, public, key)

    def _issue(
        self, subject: x509.Name, usage: ObjectIdentifier, names: Sequence[x509.GeneralName]
    ) -> IssuedPair:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(subject, self._subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        return self._write(f"issued-{next(self._numbers)}", pem, key)

    def _write(self, name: str, public: bytes, key: ec.EllipticCurvePrivateKey) -> IssuedPair:
        pair = IssuedPair(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        pair.cert_path.write_bytes(public)
        pair.key_path.touch(mode=0o600)
        pair.key_path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return pair

    def _sign_itself(self) -> x509.Certificate:
        usage = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        return (
            _builder(self._subject, self._subject, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + _AFTER)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _name(common_name: str, organisations: Iterable[str]) -> x509.Name:
    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in organisations]
    return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
