"""The API server, as bytes in and bytes out.

The official asynchronous client carries authentication, TLS and the connection pool; its models
are never loaded (they cost 70 MB and a hundred times the CPU), so only its bare ApiClient is used.
"""

import json
import socket
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config.config_exception import ConfigException

from kube_headroom.cluster.api_error import ApiError, ServerUnreachable, WatchSilent
from kube_headroom.cluster.configuration import load_configuration
from kube_headroom.cluster.decoding import page_head
from kube_headroom.errors import ClusterUnavailable

JSON: Final = "application/json"
JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"
MAX_LINE_BYTES: Final = 32 * 1024 * 1024
"""Far above the largest object etcd takes: a line that long is no watch event."""

KEEPALIVE_OPTIONS: Final = (
    # A peer that vanished without a word is noticed after 40 s of silence.
    ("TCP_KEEPIDLE", 20),
    ("TCP_KEEPINTVL", 5),
    ("TCP_KEEPCNT", 4),
    ("TCP_USER_TIMEOUT", 40_000),
)
AddressFacts = tuple[int, int, int, str, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait for what, in seconds."""

    connect_seconds: float = 5.0
    request_seconds: float = 60.0
    """A whole request; the API server gives up on its side after as long."""
    watch_silence_seconds: float = 75.0
    """Silence that ends a watch. Bookmarks come about every 60 s, but not where nothing happened
    since the list; what is then asked must be answered before the view is stale (100 s)."""


class Client:
    """Requests to one API server. Raises ClusterUnavailable and its kinds, nothing else."""

    def __init__(self, api: ApiClient, timeouts: Timeouts = Timeouts()) -> None:
        self._api = api
        self._request = aiohttp.ClientTimeout(
            total=timeouts.request_seconds, sock_connect=timeouts.connect_seconds
        )
        self._timeouts = timeouts

    @classmethod
    async def connect(
        cls,
        kubeconfig: str | None = None,
        context: str | None = None,
        *,
        timeouts: Timeouts = Timeouts(),
    ) -> "Client":
        """Return a client for the cluster that is meant; nothing is sent yet."""
        configuration = await load_configuration(kubeconfig, context)
        try:
            api = ApiClient(configuration)
            api.rest_client = _KeepaliveRest(configuration)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise ClusterUnavailable(f"unusable certificates: {error}") from error
        api.user_agent = f"kube-headroom/{version('kube-headroom')}"
        return cls(api, timeouts)

    async def close(self) -> None:
        """Close all connections."""
        await self._api.close()  # type: ignore[no-untyped-call]

    async def get(self, path: str, **query: str) -> bytes:
        """GET."""
        return bytes(await self._whole("GET", path, query))

    async def list_page(
        self, path: str, limit: int, continue_: str = "", **query: str
    ) -> bytearray:
        """GET one page of a consistent list: no resourceVersion, so never an older state."""
        query["limit"] = str(limit)
        if continue_:
            query["continue"] = continue_
        return await self._whole("GET", path, query)

    async def current_version(self, path: str, **query: str) -> str:
        """Return the resourceVersion that a consistent list of this collection has now."""
        return page_head(await self.list_page(path, 1, **query)).resource_version or ""

    async def post(self, path: str, body: bytes, content_type: str = JSON, **query: str) -> bytes:
        """POST."""
        return bytes(await self._whole("POST", path, query, body, content_type))

    async def put(self, path: str, body: bytes, content_type: str = JSON, **query: str) -> bytes:
        """PUT."""
        return bytes(await self._whole("PUT", path, query, body, content_type))

    async def patch(self, path: str, body: bytes, content_type: str, **query: str) -> bytes:
        """PATCH."""
        return bytes(await self._whole("PATCH", path, query, body, content_type))

    async def watch(
        self, path: str, resource_version: str, timeout_seconds: int, **query: str
    ) -> AsyncGenerator[bytes]:
        """Yield the events since resource_version as blocks of whole lines, until the server ends.

        What is behind the last newline is dropped: it is a cut event, and comes again.
        """
        query |= {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(timeout_seconds),
        }
        # A server that does not end a watch when it should is as gone as a silent one.
        silence_seconds = min(self._timeouts.watch_silence_seconds, timeout_seconds + 5)
        patience = aiohttp.ClientTimeout(
            total=None, sock_connect=self._timeouts.connect_seconds, sock_read=silence_seconds
        )
        response = await self._send("GET", path, query, timeout=patience)
        try:
            if response.status >= 400:
                raise await _failed(f"watch {path}", response)
            async for block in _lines(response):
                yield block
        except TimeoutError as error:
            raise WatchSilent(f"watch {path}: silent for too long") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ClusterUnavailable(f"watch {path}: {_words(error)}") from error
        finally:
            response.close()

    async def _whole(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: bytes | None = None,
        content_type: str = JSON,
    ) -> bytearray:
        attempted = f"{method} {path}"
        response = await self._send(
            method, path, query, body=body, content_type=content_type, timeout=self._request
        )
        try:
            if response.status >= 400:
                raise await _failed(attempted, response)
            # Not read(): to join the 4 MB of a page at once would hold the loop for 2 ms.
            text = bytearray()
            async for chunk in response.content.iter_any():
                text += chunk
        except (aiohttp.ClientError, OSError) as error:
            raise ClusterUnavailable(f"{attempted}: {_words(error)}") from error
        else:
            return text
        finally:
            response.release()

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        *,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's own
        body: bytes | None = None,
        content_type: str = JSON,
    ) -> aiohttp.ClientResponse:
        # Uncompressed: gzip would cost the API server more time than the cluster's network does.
        headers = {"Accept": JSON, "Accept-Encoding": "identity", "Content-Type": content_type}
        attempted = f"{method} {path}"
        try:
            arguments = await self._api.param_serialize(
                method,
                path,
                query_params=list(query.items()),
                header_params=headers,
                auth_settings=["BearerToken"],
            )
            method, url, headers, _, _ = arguments
            # The official client encodes JSON bodies itself, so it wants the value, not the text.
            value = None if body is None else json.loads(body)
            answer = await self._api.call_api(method, url, headers, value, _request_timeout=timeout)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise ServerUnreachable(f"{attempted}: {_words(error)}") from error
        except (aiohttp.ClientError, OSError, ConfigException) as error:
            raise ClusterUnavailable(f"{attempted}: {_words(error)}") from error
        response: aiohttp.ClientResponse = answer.response
        return response


class _KeepaliveRest(RESTClientObject):
    """The official transport, on sockets that notice when the other side is gone."""

    def _create_connector(self) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(
            limit=self.maxsize, ssl=self.ssl_context, socket_factory=_keepalive_socket
        )


def _keepalive_socket(address: AddressFacts) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family=family, type=kind, proto=protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE_OPTIONS:
        option = getattr(socket, name, None)
        if option is not None:  # each system knows its own
            made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made


async def _lines(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes]:
    """Yield what arrives, cut after the last newline."""
    rest = bytearray()
    async for chunk in response.content.iter_any():
        cut = chunk.rfind(b"\n") + 1
        if cut == 0:
            rest += chunk
            if len(rest) > MAX_LINE_BYTES:
                raise aiohttp.ClientPayloadError(f"a line longer than {MAX_LINE_BYTES} bytes")
            continue
        yield bytes(rest) + chunk[:cut] if rest else chunk[:cut]
        rest[:] = chunk[cut:]


async def _failed(attempted: str, response: aiohttp.ClientResponse) -> ApiError:
    asked = response.headers.get("Retry-After", "")
    return ApiError(
        attempted,
        response.status,
        await response.read(),
        retry_after_seconds=float(asked) if asked.isdecimal() else 0.0,
    )


def _words(error: BaseException) -> str:
    """Return the error's text; some have none but their name."""
    return str(error) or type(error).__name__
