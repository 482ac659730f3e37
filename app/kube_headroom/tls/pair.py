"""Reading certificates: what a pair says about itself, and whether it can be served.

Apart from issuing, because a pair may come from anyone: cert-manager, a file, ourselves.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from kube_headroom.errors import AppError


class UnusableCertificate(AppError):  # noqa: N818 - named for what it is
    """A certificate or key that cannot be served; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate chain (server certificate first) and its private key, as PEM."""

    cert_pem: bytes
    key_pem: bytes


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What people ask of a certificate."""

    dns_names: tuple[str, ...]
    ip_addresses: tuple[str, ...]
    not_before: datetime
    not_after: datetime


def read_pair(cert_path: Path, key_path: Path) -> Pair:
    """Both files as one moment had them.

    kubelet replaces a mounted Secret by swapping the link `..data`; it is resolved once, so that
    the certificate and the key come from the same side of a swap.
    """
    try:
        return Pair(_settled(cert_path).read_bytes(), _settled(key_path).read_bytes())
    except FileNotFoundError:
        # Swapped away between resolving and reading; whoever polls comes again.
        raise UnusableCertificate(f"{cert_path} or {key_path} is not there") from None
    except OSError as error:
        raise UnusableCertificate(f"cannot read {cert_path} and {key_path}: {error}") from error


def facts_of(cert_pem: bytes) -> CertificateFacts:
    """The names and dates of the first certificate in this PEM."""
    certificate = _first_certificate(cert_pem)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = x509.SubjectAlternativeName([])
    return CertificateFacts(
        dns_names=tuple(names.get_values_for_type(x509.DNSName)),
        ip_addresses=tuple(str(ip) for ip in names.get_values_for_type(x509.IPAddress)),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


def pair_faults(pair: Pair, *, ca_pem: bytes | None, now: datetime) -> tuple[str, ...]:
    """Everything that would keep a client from trusting this pair; empty when nothing would."""
    certificate = _first_certificate(pair.cert_pem)
    faults: list[str] = []
    if not _belongs_to(certificate, pair.key_pem):
        faults.append("the key does not belong to the certificate")
    if now < certificate.not_valid_before_utc:
        faults.append(f"not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC")
    if now > certificate.not_valid_after_utc:
        faults.append(f"expired {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")
    found = facts_of(pair.cert_pem)
    if not found.dns_names and not found.ip_addresses:
        faults.append("no subject alternative name: clients ignore the common name")
    if ca_pem is not None and not _signed_by(certificate, _first_certificate(ca_pem)):
        faults.append("not signed by the given authority")
    return tuple(faults)


def _settled(path: Path) -> Path:
    link = path.parent / "..data"
    return link.resolve(strict=True) / path.name if link.is_symlink() else path


def _first_certificate(pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(pem)[0]
    except (ValueError, IndexError) as error:
        raise UnusableCertificate(f"no PEM certificate: {error}") from error


def _belongs_to(certificate: x509.Certificate, key_pem: bytes) -> bool:
    try:
        key = serialization.load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UnusableCertificate(f"no usable PEM private key: {error}") from error
    return key.public_key() == certificate.public_key()


def _signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
