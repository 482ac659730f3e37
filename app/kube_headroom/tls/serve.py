"""What the server shows in a TLS handshake, and how it is exchanged while serving.

A `load_cert_chain` that fails leaves a live context broken: every later handshake is reset. So a
new pair is loaded into a scratch context first, and the live one only ever sees pairs that load.
"""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from kube_headroom.tls.pair import Pair, UnusableCertificate, facts_of, read_pair


def server_context(
    cert_pem: bytes, key_pem: bytes, *, client_ca: bytes | None = None
) -> ssl.SSLContext:
    """TLS 1.2 or newer, HTTP/1.1 only; with `client_ca` clients must show a certificate of it."""
    context = _bare_context()
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(cadata=client_ca.decode("ascii"))
        except (ssl.SSLError, UnicodeDecodeError, ValueError) as error:
            raise UnusableCertificate(f"the client authority cannot be used: {error}") from error
    exchange(context, Pair(cert_pem, key_pem))
    return context


def exchange(context: ssl.SSLContext, pair: Pair) -> None:
    """Serve `pair` from the next handshake on; a pair that does not load changes nothing."""
    with _as_file(pair.cert_pem + b"\n" + pair.key_pem) as path:
        try:
            _bare_context().load_cert_chain(path, password=_no_password)
        except (ssl.SSLError, OSError) as error:
            raise UnusableCertificate(
                f"certificate and key do not load as a pair: {error}"
            ) from error
        context.load_cert_chain(path, password=_no_password)


class CertificateFiles:
    """A pair on disk that others renew: polled, because a mounted Secret changes by a link."""

    def __init__(
        self, cert_path: Path, key_path: Path, context: ssl.SSLContext, pair: Pair
    ) -> None:
        self.cert_path = cert_path
        self.key_path = key_path
        self.failures = 0
        self.last_error: UnusableCertificate | None = None
        self._context = context
        self._serving = pair
        self._refused: Pair | None = None

    @classmethod
    def open(
        cls, cert_path: Path, key_path: Path, *, client_ca: bytes | None = None
    ) -> "CertificateFiles":
        """Read and load the pair; at start there is no last good one to fall back on."""
        pair = read_pair(cert_path, key_path)
        context = server_context(pair.cert_pem, pair.key_pem, client_ca=client_ca)
        return cls(cert_path, key_path, context, pair)

    @property
    def context(self) -> ssl.SSLContext:
        """The live context; it stays the same object over every renewal."""
        return self._context

    @property
    def not_after(self) -> datetime:
        """When the served certificate expires."""
        return facts_of(self._serving.cert_pem).not_after

    def poll(self) -> bool:
        """Look once; True when a new pair is served now. What does not load is counted, once."""
        try:
            pair = read_pair(self.cert_path, self.key_path)
            if pair in (self._serving, self._refused):
                return False
            self._refused = pair
            facts_of(pair.cert_pem)
            exchange(self._context, pair)
        except UnusableCertificate as error:
            self._count(error)
            return False
        self._serving, self._refused, self.last_error = pair, None, None
        return True

    def _count(self, error: UnusableCertificate) -> None:
        if str(error) != str(self.last_error):
            self.failures += 1
        self.last_error = error


def _bare_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _no_password() -> str:
    # Without this OpenSSL would ask at the terminal for the password of an encrypted key.
    raise UnusableCertificate("the private key is encrypted; store it without a password")


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """A path for `load_cert_chain`, which takes only paths: in memory, so no key meets a disk."""
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
