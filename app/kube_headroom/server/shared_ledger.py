"""The ledger that replicas share, connected: its own client, its watch, its committer.

A client of its own, so that a write never waits behind the pages of a list.
"""

from collections.abc import Callable
from typing import Final

from kube_headroom.admission.committer import Committer
from kube_headroom.capacity.view import View
from kube_headroom.cluster.client import Client, Timeouts
from kube_headroom.cluster.ledger_store import ConfigMapLedgerStore, LedgerWatch
from kube_headroom.server.lifecycle import Condition
from kube_headroom.server.origin import OpenLedger
from kube_headroom.server.settings import Settings

REQUEST_SECONDS: Final = 3.0
"""A write that hangs holds up all others, so it is soon looked for in the ledger itself."""
LAG_SECONDS: Final = 3.0
"""A replica behind the ledger for so long answers nothing that is charged: let others be asked."""


async def shared_ledger(settings: Settings, view: View, clock: Callable[[], float]) -> OpenLedger:
    """Connect and prepare; nothing is sent before the tasks run."""
    client = await Client.connect(
        settings.kubeconfig or None,
        settings.context or None,
        timeouts=Timeouts(connect_seconds=1.0, request_seconds=REQUEST_SECONDS),
    )
    place = (settings.namespace, settings.ledger_configmap)
    committer = Committer(view, ConfigMapLedgerStore(client, *place), clock)
    watch = LedgerWatch(client, *place, committer.heard, committer.deleted, clock=clock)
    lag = _Lag(committer.lagging, clock)
    return OpenLedger(
        promiser=committer,
        lagging=committer.lagging,
        figures=committer.figures,
        conditions=(Condition("ledger", lambda: committer.missing or lag.missing()),),
        background=(committer.run, watch.run),
        close=client.close,
    )


class _Lag:
    """For how long the view has been behind what other replicas have seen."""

    def __init__(self, lagging: Callable[[], tuple[str, ...]], clock: Callable[[], float]) -> None:
        self._lagging = lagging
        self._clock = clock
        self._since: float | None = None

    def missing(self) -> str | None:
        """Say so once it lasts; probes ask every few seconds."""
        lagging, now = self._lagging(), self._clock()
        if not lagging:
            self._since = None
            return None
        if self._since is None:
            self._since = now
        long = now - self._since >= LAG_SECONDS
        return f"the view is behind the ledger: {', '.join(lagging)}" if long else None
