"""The certificate that is served, from files or our own, and the tasks that keep it good."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from kube_headroom.server.settings import Settings, SettingsError
from kube_headroom.tls.own import OwnCertificate
from kube_headroom.tls.serve import CertificateFiles

FILE_POLL_SECONDS = 5.0
RENEWAL_LOOK_SECONDS = 600.0
# An API server has seen a change of the webhook configuration long before.
PROPAGATION_SECONDS = 120.0

_log = logging.getLogger("kube_headroom.certificates")


class Served(Protocol):
    """What both kinds of certificate have in common."""

    @property
    def context(self) -> ssl.SSLContext:
        """The live context."""
        ...

    @property
    def not_after(self) -> datetime:
        """When the served certificate expires."""
        ...


def open_certificate(settings: Settings) -> CertificateFiles | OwnCertificate:
    """The certificate the settings ask for."""
    client_ca = _read(settings.client_ca_file) if settings.client_ca_file else None
    if settings.tls_cert_file and settings.tls_key_file:
        return CertificateFiles.open(
            settings.tls_cert_file, settings.tls_key_file, client_ca=client_ca
        )
    return OwnCertificate(
        settings.dns_names, settings.ip_addresses, datetime.now(UTC), client_ca=client_ca
    )


async def follow_files(files: CertificateFiles) -> None:
    """Serve what others renew on disk."""
    while True:
        await asyncio.sleep(FILE_POLL_SECONDS)
        before = files.failures
        if files.poll():
            _log.info("renewed certificate in use until %s", files.not_after)
        elif files.failures > before:
            _log.error("the certificate on disk cannot be used: %s", files.last_error)


async def renew_own(own: OwnCertificate, changed: Callable[[], None]) -> None:
    """Renew in three steps, each told to the API servers before the next."""
    while True:
        await asyncio.sleep(RENEWAL_LOOK_SECONDS)
        if not own.renewal_due(datetime.now(UTC)):
            continue
        own.prepare(datetime.now(UTC))
        changed()
        await asyncio.sleep(PROPAGATION_SECONDS)
        own.switch()
        _log.info("renewed certificate in use until %s", own.not_after)
        await asyncio.sleep(PROPAGATION_SECONDS)
        own.finish()
        changed()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError((f"cannot read {path}: {error.strerror}",)) from error
