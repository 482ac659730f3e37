"""Forecasts: what a workload's pods will run into later, told while somebody is looking.

Warnings only, whatever the policy enforces: the LimitRange (HR209) and ResourceQuota (HR210) of the
namespace judge the pods themselves, and so does the scheduler (HR208: a rollout's extra pod, a
DaemonSet's pods). Nothing here waits, and what the view does not show is not told.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from kube_headroom.admission.decision import Finding
from kube_headroom.admission.forecast_message import (
    daemon_message,
    quota_message,
    rollout_message,
    surge_quota_message,
    unsaid_message,
)
from kube_headroom.admission.review import Request
from kube_headroom.admission.subject import Subject
from kube_headroom.capacity.forecast import lacks_one_more, without_room
from kube_headroom.capacity.load import Load
from kube_headroom.capacity.promise import Version
from kube_headroom.capacity.quota import Demand, PodTraits, Quota, counts, shortage, unsaid
from kube_headroom.capacity.rules import TOO_MANY, Rules
from kube_headroom.capacity.view import View
from kube_headroom.policy.scope import Effect
from kube_headroom.resources.limit_range import LimitRangeFault, limit_range_faults
from kube_headroom.resources.objects import Wire
from kube_headroom.resources.placement import daemon_placement
from kube_headroom.resources.pod import EffectivePod
from kube_headroom.resources.workload import Workload, workload_of

LIMIT_RANGE: Final = "HR209"
QUOTA: Final = "HR210"


class _Spec(Wire):
    template: msgspec.Raw = msgspec.Raw(b"")


class _Object(Wire):
    spec: _Spec


class _Request(Wire):
    object: _Object
    old_object: _Object


class _Templates(Wire):
    """The templates of an update as they came: decoded objects lack what is not read."""

    request: _Request


_decode_templates = msgspec.json.Decoder(_Templates).decode


class _Asked(msgspec.Struct, frozen=True):
    """A workload, as the view completes its pods."""

    workload: Workload
    pod: EffectivePod
    version: Version
    rolls_with_extra: bool
    """Whether this update replaces its pods, and a new one must be there before an old one goes."""


def forecast_findings(
    request: Request, subject: Subject, view: View, rules: Rules, effect: Effect, *, now: float
) -> tuple[Finding, ...]:
    """Return what is to be told, with this effect, of a workload that somebody sends.

    To be asked before the request is promised: what it holds then is what it held before.
    """
    if effect == "off" or request.resource.resource == "pods":
        return ()
    asked = _asked(request, subject, view)
    if asked is None:
        return ()
    found = [
        *_limit_ranges(request, subject, asked.workload, view),
        *_quotas(asked, subject, view),
    ]
    if rules.fit != "off" and not view.stale(now):
        found += _nodes(asked, subject, view, rules)
    return tuple(msgspec.structs.replace(each, effect=effect) for each in found)


def _asked(request: Request, subject: Subject, view: View) -> _Asked | None:
    version = subject.promise.version
    if subject.pod is None:  # a Scale shows no template
        parent = view.workload(subject.promise.uid)
        if parent is None:
            return None
        pod = view.completion.effective_template(parent.template, parent.namespace)
        return _Asked(parent, pod, version, rolls_with_extra=False)
    workload = workload_of(request.object) if request.object is not None else None
    if workload is None:
        return None
    if workload.kind == "DaemonSet":
        placement = daemon_placement(workload.template)
        nodes = view.book.nodes.eligible(placement).bit_count()
        version = msgspec.structs.replace(version, placement=placement, count=nodes)
    elif workload.kind == "CronJob":
        version = msgspec.structs.replace(version, count=workload.peak)
    return _Asked(workload, subject.pod, version, _rolls_with_extra(request, workload))


def _rolls_with_extra(request: Request, workload: Workload) -> bool:
    if workload.kind != "Deployment" or workload.unavailable or not workload.surge:
        return False
    return request.operation == "UPDATE" and _is_new_template(request)


def _is_new_template(request: Request) -> bool:
    try:
        asked = _decode_templates(request.body).request
    except msgspec.MsgspecError:
        return False
    return asked.object.spec.template != asked.old_object.spec.template


def _limit_ranges(
    request: Request, subject: Subject, workload: Workload, view: View
) -> Iterator[Finding]:
    limit_ranges = view.namespace_limits.limit_ranges(workload.namespace)
    if not limit_ranges or subject.pod is None:
        return
    old = workload_of(request.old_object) if request.old_object is not None else None
    known = limit_range_faults(old.template, limit_ranges) if old is not None else ()
    before = {_key(each) for each in known}
    for fault in limit_range_faults(workload.template, limit_ranges):
        parts = (subject.path, fault.field, "resources", fault.basis, fault.resource)
        yield Finding(
            code=LIMIT_RANGE,
            effect="warn",
            message=f"{fault.message}; its pods would be refused",
            container=fault.container,
            path=".".join(part for part in parts if part),
            existed=_key(fault) in before,
        )


def _key(fault: LimitRangeFault) -> tuple[str, ...]:
    """Return what makes two faults the same, whatever their figures."""
    return (fault.limit_range, fault.demand, fault.basis, fault.resource, fault.container or "")


def _quotas(asked: _Asked, subject: Subject, view: View) -> Iterator[Finding]:
    quotas = view.namespace_limits.quotas(asked.workload.namespace)
    if not quotas or not asked.version.count:
        return
    traits = _traits(asked, view)
    present = view.book.present(subject.promise.uid)
    for quota in quotas:
        message = _quota_message(quota, asked, present) if counts(quota, traits) else ""
        if message:
            yield Finding(QUOTA, "warn", message)


def _quota_message(quota: Quota, asked: _Asked, present: Load) -> str:
    lacking = unsaid(quota, asked.pod)
    if lacking:
        return unsaid_message(quota, lacking)
    unit, count = asked.version.unit, asked.version.count
    if asked.workload.kind == "CronJob":  # its pods come later: only what can never be is told
        quota = msgspec.structs.replace(quota, used={})
    short = shortage(quota, Demand(count, unit, present))
    if short is not None:
        return quota_message(short)
    extra = shortage(quota, Demand(1, unit)) if asked.rolls_with_extra else None
    return surge_quota_message(extra) if extra is not None else ""


def _traits(asked: _Asked, view: View) -> PodTraits:
    template = asked.workload.template
    deadline = template.active_deadline_seconds
    return PodTraits(
        best_effort=asked.pod.qos_class == "BestEffort",
        terminating=deadline is not None and deadline >= 0,
        priority_class=view.completion.priority_class_name(template),
    )


def _nodes(asked: _Asked, subject: Subject, view: View, rules: Rules) -> Iterator[Finding]:
    if asked.workload.kind == "DaemonSet":
        found = without_room(view.book, subject.promise.uid, asked.version, rules)
        if found.nodes:
            yield Finding(TOO_MANY, "warn", daemon_message(found, asked.version.unit))
        return
    stuck = asked.rolls_with_extra and not rules.elastic
    if stuck and lacks_one_more(view.book, subject.promise, rules):
        yield Finding(TOO_MANY, "warn", rollout_message(asked.version.unit))
