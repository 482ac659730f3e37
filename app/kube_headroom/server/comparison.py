"""Comparing on demand: SIGUSR1, or a timer if switched on, holds the view against fresh lists.

A signal and not a URL: the metrics port asks nobody who he is, and a comparison lists the cluster.
Differences in a busy cluster are mostly news that the list does not know yet. So a difference
counts only if the next comparison finds the very same again: what the view knew before that list
began, the list would show.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import msgspec

from kube_headroom.capacity.comparer import COMPARED, Comparer, Difference, Report, sums
from kube_headroom.capacity.rows import version_number
from kube_headroom.capacity.view import View
from kube_headroom.errors import ClusterUnavailable
from kube_headroom.resources.objects import KubeObject
from kube_headroom.server.logging import FIELDS

ROUNDS: Final = 3
LEAST_SECONDS_BETWEEN: Final = 1.0
CATCH_UP_SECONDS: Final = 20.0
LOOK_SECONDS: Final = 0.1
MAX_LOGGED: Final = 20
STEPS_AT_ONCE: Final = 20

_log = logging.getLogger("kube_headroom.comparison")


class Lists(Protocol):
    """Whoever can list a type anew."""

    async def list_all(self, plural: str, show: Callable[[str, KubeObject], None]) -> str:
        """Show every object; return the list's version. Raises ClusterUnavailable."""
        ...


class Hurry(Protocol):
    """Whoever can let the API server say soon how far a watch is."""

    def hurry(self, plural: str) -> None:
        """Let it say so."""
        ...


class Comparison:
    """Compares one view with one cluster."""

    def __init__(
        self, view: View, lists: Lists, watches: Hurry, clock: Callable[[], float]
    ) -> None:
        self._view = view
        self._lists = lists
        self._watches = watches
        self._clock = clock

    async def compare(self) -> Report:
        """Return the differences that last, and the sums that are off. Raises ClusterUnavailable."""
        report = await self._rows()
        for _ in range(ROUNDS - 1):
            if report.exact:
                break
            again = await self._rows()
            lasting = set(report.differences).intersection(again.differences)
            found = tuple(each for each in again.differences if each in lasting)
            report = msgspec.structs.replace(again, differences=found)
        off = await _all(sums(self._view, self._clock))
        return msgspec.structs.replace(report, differences=report.differences + off)

    async def _rows(self) -> Report:
        """Return the differences between the view and lists that it has reached."""
        comparer = Comparer(self._view)
        versions = {}
        for resource in COMPARED:
            version = await self._lists.list_all(resource, comparer.show)
            versions[resource] = version_number(version)
        found = await _all(comparer.rows())
        if found:  # where all agrees, it is no matter how far the view is
            await self._catch_up(versions)
            found = await _all(comparer.rows())
        return Report(comparer.listed, found)

    async def _catch_up(self, versions: dict[str, int]) -> None:
        """Wait until the view is as far as the lists; one that stays behind is off."""
        deadline = self._clock() + CATCH_UP_SECONDS
        hurried: set[str] = set()
        while (behind := self._view.behind(versions)) and self._clock() < deadline:
            for resource in set(behind) - hurried:
                self._watches.hurry(resource)
            hurried.update(behind)
            await asyncio.sleep(LOOK_SECONDS)


async def _all(steps: Iterator[Difference | None]) -> tuple[Difference, ...]:
    """Go through the steps and let reviews in between."""
    found = []
    for step, each in enumerate(steps):
        if each is not None:
            found.append(each)
        if step % STEPS_AT_ONCE == 0:
            await asyncio.sleep(0)
    return tuple(found)


async def compare_on_demand(comparison: Comparison, every_seconds: float) -> None:
    """Compare at each SIGUSR1, and after every so many seconds unless that is 0; log what is found."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, asked.set)
    try:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(every_seconds or None):
                    await asked.wait()
            asked.clear()
            await _compare_and_log(comparison)
            await asyncio.sleep(LEAST_SECONDS_BETWEEN)
    finally:
        loop.remove_signal_handler(signal.SIGUSR1)


async def _compare_and_log(comparison: Comparison) -> None:
    try:
        report = await comparison.compare()
    except ClusterUnavailable as error:
        _log.warning("no comparison: %s", error)
        return
    except Exception:  # noqa: BLE001 - a check that fails must not end what it checks
        _log.exception("the comparison failed")
        return
    fields: dict[str, object] = {"rows": report.rows, "differences": len(report.differences)}
    if report.exact:
        _log.info("comparison: exact", extra={FIELDS: fields})
        return
    # Names alone: what objects contain is nobody's business here.
    fields["named"] = [
        f"{each.what} {each.resource} {each.identity}".rstrip()
        for each in report.differences[:MAX_LOGGED]
    ]
    _log.error("comparison: the view is off", extra={FIELDS: fields})
