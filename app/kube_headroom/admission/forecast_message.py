"""Forecast messages: what is told of pods that others will judge later, one line each."""

from collections.abc import Mapping
from typing import Final

from kube_headroom.capacity.forecast import NoRoom
from kube_headroom.capacity.load import Load
from kube_headroom.capacity.quota import TRACKED, Quota, QuotaShortage
from kube_headroom.resources.amounts import KUBERNETES_NAMES
from kube_headroom.resources.quantity import show

_SHOWN_NODES: Final = 3


def quota_message(short: QuotaShortage) -> str:
    """Return how many pods a quota lets in, and its figures in the order of the API server's own."""
    pods = "1 pod" if short.count == 1 else f"{short.count} pods"
    others = f" (short of {', '.join(short.others)} too)" if short.others else ""
    return (
        f"ResourceQuota {short.quota} lets in {short.lets_in} of {pods}: {_figures(short)}{others}"
    )


def surge_quota_message(short: QuotaShortage) -> str:
    """Return why a rollout would stop at its first pod."""
    return (
        f"needs 1 extra pod to roll, which ResourceQuota {short.quota} does not let in:"
        f" {_figures(short)}; set maxUnavailable: 1"
    )


def unsaid_message(quota: Quota, lacking: Mapping[str, tuple[str, ...]]) -> str:
    """Return what a quota wants every container to declare."""
    parts = (f"{name} for: {','.join(containers)}" for name, containers in lacking.items())
    return f"ResourceQuota {quota.name} lets in no pod: must specify {'; '.join(parts)}"


def rollout_message(unit: Load) -> str:
    """Return why a rollout would stand still until there is room."""
    return (
        f"needs 1 extra pod of {_size(unit)} to roll, and no node has room; set maxUnavailable: 1"
    )


def daemon_message(found: NoRoom, unit: Load) -> str:
    """Return on how many nodes a DaemonSet's pod would stay Pending, and on which."""
    names = [f"{name} ({KUBERNETES_NAMES[resource]})" for name, resource in found.nodes]
    more = f" and {len(names) - _SHOWN_NODES} more" if len(names) > _SHOWN_NODES else ""
    nodes = f"{found.eligible} eligible node{'' if found.eligible == 1 else 's'}"
    have = "has" if len(names) == 1 else "have"
    return (
        f"{len(names)} of {nodes} {have} no room for its pod of {_size(unit)}:"
        f" {', '.join(names[:_SHOWN_NODES])}{more}"
    )


def _figures(short: QuotaShortage) -> str:
    """Return requested, used and limited, as the API server words its refusal."""
    field = KUBERNETES_NAMES[TRACKED[short.resource][1]]
    requested, used = (show(field, amount, up=True) for amount in (short.asked, short.used))
    limited = show(field, short.hard, up=False)
    name = short.resource
    return f"requested: {name}={requested}, used: {name}={used}, limited: {name}={limited}"


def _size(unit: Load) -> str:
    """Return what one pod asks for: `1Gi`, with its cpu where that is all or as well."""
    parts = [
        f"{'' if name == 'memory' else f'{KUBERNETES_NAMES[name]} '}"
        f"{show(KUBERNETES_NAMES[name], amount, up=True)}"
        for name in ("memory", "cpu", "ephemeral_storage")
        if (amount := getattr(unit.requests, name))
    ]
    return " and ".join(parts) or "no requests"
