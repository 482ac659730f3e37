"""Keeps the caBundle of our webhook configuration equal to the CA that signs our certificate.

Whoever else writes that object (an upgrade, a GitOps controller, a hand) may drop it, and then
every call of the API server fails. So it is compared every few seconds and written only where it
differs. Needs get and patch on that one name, nothing else.
"""

import asyncio
import base64
import logging
import time
from collections.abc import Callable
from typing import Final

import msgspec

from kube_headroom.cluster.api_error import ApiError, ServerUnreachable
from kube_headroom.cluster.backoff import Backoff, BackoffSettings
from kube_headroom.cluster.client import JSON_PATCH, Client
from kube_headroom.errors import ClusterUnavailable

log = logging.getLogger(__name__)

FIELD_MANAGER: Final = "kube-headroom-ca-bundle"
"""A name of its own: who owns caBundle is visible, and a Helm upgrade does not fight over it."""

COLLECTION: Final = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"


class _ClientConfig(msgspec.Struct, rename={"ca_bundle": "caBundle"}):
    ca_bundle: str | None = None


class _Webhook(msgspec.Struct, rename={"client_config": "clientConfig"}):
    name: str
    client_config: _ClientConfig = msgspec.field(default_factory=_ClientConfig)


class _Configuration(msgspec.Struct):
    webhooks: list[_Webhook] | None = None


class CaBundle:
    """Heals one ValidatingWebhookConfiguration. run() never returns; cancel it."""

    def __init__(
        self,
        client: Client,
        name: str,
        pem: Callable[[], bytes],
        *,
        interval_seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._path = f"{COLLECTION}/{name}"
        self._pem = pem
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._backoff = Backoff(BackoffSettings(most_seconds=interval_seconds))
        self._changed = asyncio.Event()
        self.writes = 0
        self.last_error: str | None = None

    def changed(self) -> None:
        """Say that pem() now returns something else: it is written at once."""
        self._changed.set()

    async def run(self) -> None:
        """Compare, write where needed, wait, for ever."""
        while True:
            seconds = await self._attempt()
            try:
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()

    async def _attempt(self) -> float:
        """Heal once; return the seconds until the next look."""
        try:
            await self.heal()
        except ClusterUnavailable as error:
            self.last_error = str(error)
            seconds = self._backoff.after_failure(
                self._clock(), unreachable=isinstance(error, ServerUnreachable)
            )
            log.warning("caBundle: %s; next attempt in %.1f s", error, seconds)
            return seconds
        self.last_error = None
        return self._interval_seconds

    async def heal(self) -> bool:
        """Write our bundle into each webhook that has another; say whether there was one."""
        text = await self._client.get(self._path)
        try:
            found = msgspec.json.decode(text, type=_Configuration)
        except msgspec.DecodeError as error:
            raise ClusterUnavailable(f"GET {self._path}: unreadable: {error}") from error
        patch = _patch(found, base64.b64encode(self._pem()).decode())
        if not patch:
            return False
        await self._write(patch)
        return True

    async def _write(self, patch: list[dict[str, str]]) -> None:
        body = msgspec.json.encode(patch)
        try:
            await self._client.patch(self._path, body, JSON_PATCH, fieldManager=FIELD_MANAGER)
        except ApiError as error:
            if error.status == 422:  # its webhooks are no longer in the order that was read
                raise ClusterUnavailable(f"{self._path} changed meanwhile: {error}") from error
            raise
        self.writes += 1
        log.info("caBundle of %s set in %d webhooks", self._path, len(patch) // 2)


def _patch(found: _Configuration, bundle: str) -> list[dict[str, str]]:
    """Return the JSON patch; positions are guarded by a test of the name that stood there."""
    steps: list[dict[str, str]] = []
    for index, webhook in enumerate(found.webhooks or ()):
        if webhook.client_config.ca_bundle != bundle:
            at = f"/webhooks/{index}"
            steps.append({"op": "test", "path": f"{at}/name", "value": webhook.name})
            steps.append({"op": "add", "path": f"{at}/clientConfig/caBundle", "value": bundle})
    return steps
