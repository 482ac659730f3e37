"""One resource type of the cluster, kept up to date in a view: list, then watch, for ever.

The official client has no asynchronous reflector. Lists are consistent (no resourceVersion), so a
view never goes back. While the connection is broken there is no progress, and the view gets stale
by itself: nothing here has to announce it.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from kube_headroom.cluster.api_error import (
    ApiError,
    Expired,
    ServerUnreachable,
    WatchSilent,
)
from kube_headroom.cluster.backoff import Backoff, BackoffSettings
from kube_headroom.cluster.client import Client
from kube_headroom.cluster.decoding import (
    Undecodable,
    WatchError,
    WatchEvent,
    line_pieces,
    page_head,
    page_items,
    watch_events,
)
from kube_headroom.cluster.resource_paths import ResourcePath
from kube_headroom.cluster.view import View
from kube_headroom.errors import ClusterUnavailable
from kube_headroom.resources.objects import KubeObject

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReflectorSettings:
    """Sizes and times of list and watch."""

    page_size: int = 500
    watch_least_seconds: int = 300
    watch_most_seconds: int = 600
    """The server ends each watch after a random time in between, so that they do not end at once."""
    backoff: BackoffSettings = field(default_factory=BackoffSettings)
    proof_seconds: int = 3
    """How long the first watch after a failure lasts. The server sends a bookmark 2 s before the
    end of a watch, so this one proves soon that the view is current, even if nothing happens."""
    slice_seconds: float = 0.0005
    """How long objects are handed to the view before the loop may do something else."""
    piece_bytes: int = 64 * 1024
    """How much JSON is decoded at a time."""


class Reflector:
    """Follows one resource type. run() never returns; cancel it."""

    def __init__(
        self,
        client: Client,
        resource: ResourcePath,
        view: View,
        settings: ReflectorSettings = ReflectorSettings(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.resource = resource
        self.lists = 0
        self.watches = 0
        self.events = 0
        self.undecodable = 0
        self.last_error: str | None = None
        self._client = client
        self._view = view
        self._settings = settings
        self._clock = clock
        self._backoff = Backoff(settings.backoff)
        self._query = {"fieldSelector": resource.field_selector} if resource.field_selector else {}
        self._version: str | None = None
        self._progress_at = clock()
        self._in_doubt = False
        self._hurried = False
        self._expired_at = float("-inf")
        self._expired_lists = 0
        self._watching: asyncio.Task[None] | None = None
        self._slice_ends = 0.0

    def seconds_since_progress(self, now: float) -> float:
        """Return the seconds since the last event, bookmark or completed list."""
        return now - self._progress_at

    def relist(self) -> None:
        """List anew at once, when the watch is suspected to lag (ledger rule L8)."""
        if self._watching is not None:
            self._version = None
            self._watching.cancel()

    def hurry(self) -> None:
        """Watch anew from here for a short time: the server then soon says how far it is."""
        if self._watching is not None and not self._hurried and not self._in_doubt:
            self._hurried = True
            self._watching.cancel()

    async def run(self) -> None:
        """Follow the cluster until cancelled."""
        while True:
            try:
                await self._list_then_watch()
            except Exception as error:  # noqa: BLE001 - whatever it is, the loop must go on
                await asyncio.sleep(self._seconds_after(error))

    async def _list_then_watch(self) -> None:
        if self._version is None:
            self._version = await self._list()
        started, events = self._clock(), self.events
        await self._watch_until_relist()
        if self._in_doubt:
            self._version = None  # that watch proved nothing: a list does
        elif self._hurried:
            return  # ended by us
        elif self._version is not None and self.events == events and self._clock() - started < 1:
            raise ClusterUnavailable(f"watch {self.resource.plural}: ended at once, empty")

    def _seconds_after(self, error: Exception) -> float:
        """Note the failure, decide whether a list is needed, and return how long to wait."""
        now = self._clock()
        self.last_error = str(error) or type(error).__name__
        self._in_doubt = True
        if not isinstance(error, ClusterUnavailable | msgspec.DecodeError):
            # A bug, and the view may have taken half of something.
            log.error("following %s failed", self.resource.plural, exc_info=error)
            self._version = None
        if isinstance(error, Expired):
            self._version = None
            last, self._expired_at = self._expired_at, now
            if now - last >= self._settings.backoff.healthy_seconds:
                log.info("%s: %s; listing anew", self.resource.plural, self.last_error)
                return 0.0  # in the ordinary course of events, as after a restart
        if isinstance(error, WatchSilent):
            # Nothing happens in a quiet cluster, and the silence was the wait: the view is to be
            # proven current before it counts as stale.
            log.info("%s: %s; asking at once", self.resource.plural, self.last_error)
            return 0.0
        seconds = self._backoff.after_failure(
            now,
            unreachable=isinstance(error, ServerUnreachable),
            at_least=error.retry_after_seconds if isinstance(error, ApiError) else 0.0,
        )
        log.warning(
            "%s: %s; next attempt in %.1f s", self.resource.plural, self.last_error, seconds
        )
        return seconds

    # --- list

    async def _list(self) -> str:
        """Show the view the whole collection; return its version."""
        self.lists += 1
        plural = self.resource.plural
        self._view.begin_list(plural)
        try:
            version = await self._pages()
        except ApiError as error:
            if error.status != 410:
                raise
            self._expired_lists += 1  # compacted faster than paged: fewer, larger pages next time
            raise Expired(str(error)) from error
        self._expired_lists = 0
        self._note_progress()
        self._view.end_list(plural, version, self._progress_at)
        return version

    async def _pages(self) -> str:
        limit = self._settings.page_size * 4 ** min(self._expired_lists, 3)
        coming: asyncio.Task[bytearray] | None = self._fetch(limit, "")
        version = ""
        try:
            while coming is not None:
                body = await coming
                head = page_head(body)
                version = head.resource_version or version
                # The server prepares the next page while this one is read.
                coming = self._fetch(limit, head.continue_) if head.continue_ else None
                await self._take_page(body)
        finally:
            if coming is not None and not coming.done():
                coming.cancel()
        return version

    def _fetch(self, limit: int, continue_: str) -> asyncio.Task[bytearray]:
        page = self._client.list_page(self.resource.path, limit, continue_, **self._query)
        return asyncio.ensure_future(page)

    async def _take_page(self, body: bytearray) -> None:
        for objects in page_items(body, self._settings.piece_bytes):
            for obj in objects:
                if isinstance(obj, Undecodable):
                    self._skip(obj)
                else:
                    self._name_kind(obj)
                    self._view.put(self.resource.plural, obj)
                await self._breathe()

    # --- watch

    async def _watch_until_relist(self) -> None:
        """Watch in a task of its own, so that relist() can end it and nothing else."""
        self._watching = asyncio.ensure_future(self._watch())
        try:
            await asyncio.wait({self._watching})
            if not self._watching.cancelled():
                self._watching.result()
        finally:
            self._watching.cancel()
            self._watching = None

    async def _watch(self) -> None:
        self.watches += 1
        seconds = self._watch_seconds()
        events = self.events
        blocks = self._client.watch(self.resource.path, self._version or "", seconds, **self._query)
        try:
            async with contextlib.aclosing(blocks):
                async for block in blocks:
                    for piece in line_pieces(block, self._settings.piece_bytes):
                        await self._take_events(watch_events(piece))
        except ApiError as error:
            if error.status in {400, 410}:
                raise Expired(str(error)) from error
            raise
        except WatchSilent:
            if self.events == events:
                # Not even a bookmark: after a restored backup our version may lie in the future.
                self._version = None
            raise

    def _watch_seconds(self) -> int:
        settings = self._settings
        if self._in_doubt or self._hurried:
            self._hurried = False
            return settings.proof_seconds
        return random.randint(  # noqa: S311 - spread, no secret
            settings.watch_least_seconds, settings.watch_most_seconds
        )

    async def _take_events(self, events: list[WatchEvent | Undecodable | WatchError]) -> None:
        version = self._version or ""
        for event in events:
            if isinstance(event, WatchEvent):
                self._take_event(event)
                version = event.object.metadata.resource_version or version
                # At once: if the watch breaks here, the next must not show older states again.
                self._version = version
                await self._breathe()
            elif isinstance(event, Undecodable):
                self._skip(event)
            else:
                self._raise_watch_error(event)
        self._note_progress()
        self._view.progress(self.resource.plural, version, self._progress_at)

    def _take_event(self, event: WatchEvent) -> None:
        self.events += 1
        self._name_kind(event.object)
        if event.type in {"ADDED", "MODIFIED"}:
            self._view.put(self.resource.plural, event.object)
        elif event.type == "DELETED":
            self._view.remove(self.resource.plural, event.object)
        elif event.type != "BOOKMARK":
            raise Expired(f"watch {self.resource.plural}: unknown event {event.type!r}")

    def _raise_watch_error(self, event: WatchError) -> None:
        words = f"watch {self.resource.plural}: {event}"
        if event.status.code == 410 or event.status.reason in {"Expired", "Gone"}:
            raise Expired(words)
        raise ClusterUnavailable(words)

    # --- both

    def _note_progress(self) -> None:
        self.last_error = None
        self._in_doubt = False
        self._progress_at = self._clock()

    def _name_kind(self, obj: KubeObject) -> None:
        """Items of a list leave their kind to the list."""
        obj.kind = self.resource.kind
        obj.api_version = self.resource.api_version

    def _skip(self, odd: Undecodable) -> None:
        """One odd object must not blind us to all others; it is counted and named."""
        self.undecodable += 1
        meta = odd.metadata
        log.error(
            "%s %s/%s cannot be read: %s",
            self.resource.plural,
            meta.namespace or "",
            meta.name or "",
            odd.fault,
        )

    async def _breathe(self) -> None:
        """Let the loop do something else when this slice of time is used up."""
        if self._clock() < self._slice_ends:
            return
        await asyncio.sleep(0)
        self._slice_ends = self._clock() + self._settings.slice_seconds
