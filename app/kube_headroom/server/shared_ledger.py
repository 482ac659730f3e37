"""The ledger that replicas share, connected: its own client, its watch, its committer.

A client of its own, so that a write never waits behind the pages of a list.
"""

from collections.abc import Callable

from kube_headroom.admission.committer import Committer
from kube_headroom.capacity.view import View
from kube_headroom.cluster.client import Client
from kube_headroom.cluster.ledger_store import ConfigMapLedgerStore, LedgerWatch
from kube_headroom.server.lifecycle import Condition
from kube_headroom.server.origin import OpenLedger
from kube_headroom.server.settings import Settings


async def shared_ledger(settings: Settings, view: View, clock: Callable[[], float]) -> OpenLedger:
    """Connect and prepare; nothing is sent before the tasks run."""
    client = await Client.connect(settings.kubeconfig or None, settings.context or None)
    place = (settings.namespace, settings.ledger_configmap)
    committer = Committer(view, ConfigMapLedgerStore(client, *place), clock)
    watch = LedgerWatch(client, *place, committer.heard, clock=clock)
    return OpenLedger(
        promiser=committer,
        conditions=(Condition("ledger", lambda: committer.missing),),
        background=(committer.run, watch.run),
        close=client.close,
    )
