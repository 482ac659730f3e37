"""A private authority and one server certificate signed by it, made in memory.

The authority's key is used once and dropped: nothing can be signed with it later, so a
renewal is a new authority, published beside the old one before the server switches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# A client whose clock is behind must not find the certificate "not yet valid".
CLOCK_SKEW = timedelta(hours=1)
# RFC 5280's upper bound for a common name.
MAX_COMMON_NAME = 64


@dataclass(frozen=True, slots=True)
class Issued:
    """What was made, as PEM: the authority's certificate, the server's, and its key."""

    ca_pem: bytes
    cert_pem: bytes
    key_pem: bytes


@dataclass(frozen=True, slots=True)
class _Authority:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def issue(
    dns_names: Sequence[str],
    ip_addresses: Sequence[str] = (),
    *,
    ca_days: int,
    leaf_days: int,
    now: datetime,
) -> Issued:
    """Make an authority and a server certificate for these names; `now` must know its zone."""
    if not dns_names and not ip_addresses:
        raise ValueError("a server certificate needs at least one DNS name or IP address")
    if not 0 < leaf_days <= ca_days:
        raise ValueError("the certificate must live at least a day and not outlive its authority")
    authority = _authority(now, days=ca_days)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _leaf(authority, key, _names(dns_names, ip_addresses), now, days=leaf_days)
    return Issued(
        ca_pem=authority.certificate.public_bytes(serialization.Encoding.PEM),
        cert_pem=certificate.public_bytes(serialization.Encoding.PEM),
        key_pem=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def _names(dns_names: Sequence[str], ip_addresses: Sequence[str]) -> x509.SubjectAlternativeName:
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in dns_names]
    names += [x509.IPAddress(ip_address(address)) for address in ip_addresses]
    return x509.SubjectAlternativeName(names)


def _authority(now: datetime, *, days: int) -> _Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    # Each authority has a name of its own: two of them stand in one bundle during a renewal.
    name = _common_name(f"kube-headroom authority {serial:x}"[:MAX_COMMON_NAME])
    builder = (
        _certificate(name, key.public_key(), now, days=days)
        .issuer_name(name)
        .serial_number(serial)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
        )
    )
    return _Authority(key=key, certificate=builder.sign(key, hashes.SHA256()))


def _leaf(
    authority: _Authority,
    key: ec.EllipticCurvePrivateKey,
    names: x509.SubjectAlternativeName,
    now: datetime,
    *,
    days: int,
) -> x509.Certificate:
    first = str(next(iter(names)).value)
    subject = _common_name(first if len(first) <= MAX_COMMON_NAME else "kube-headroom")
    builder = (
        _certificate(subject, key.public_key(), now, days=days)
        .issuer_name(authority.certificate.subject)
        .serial_number(x509.random_serial_number())
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
    )
    return builder.sign(authority.key, hashes.SHA256())


def _certificate(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, *, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
