"""The reviewer: one function from an AdmissionReview to the answer. No HTTP and no client.

What needs no book is decided without it, so that it is never unavailable; what needs the book is
judged on a view that is current, or not answered at all (ClusterUnavailable).
"""

import time
from collections.abc import Callable, Coroutine
from datetime import UTC, date, datetime
from typing import Any, Final

import msgspec

from kube_headroom.admission.capacity import CapacityJudge, Outcome, Terms
from kube_headroom.admission.decision import Decision, Finding, OutcomeName, Recorder
from kube_headroom.admission.forecast import forecast_findings
from kube_headroom.admission.ours import (
    Identity,
    forged_owner,
    is_autoscaler,
    is_child,
    is_ours,
    is_policy,
    kind_of,
)
from kube_headroom.admission.policy_review import policy_findings
from kube_headroom.admission.promiser import Promiser
from kube_headroom.admission.remedy import remedy_for
from kube_headroom.admission.requirements import requirement_findings
from kube_headroom.admission.response import write_answer
from kube_headroom.admission.review import Request, read_review
from kube_headroom.admission.subject import Subject, subject_of
from kube_headroom.capacity.asked import is_made_elsewhere
from kube_headroom.capacity.rules import TOO_MANY, Rules, capacity_rules
from kube_headroom.capacity.view import View
from kube_headroom.errors import ClusterUnavailable
from kube_headroom.policy.load import policy_hash
from kube_headroom.policy.model import Policy
from kube_headroom.policy.scope import Scope, Scopes
from kube_headroom.resources.objects import ObjectMeta

DEFAULT_TIMEOUT_SECONDS: Final = 10.0  # what kube-apiserver waits if nothing else is said
_NO_METADATA: Final = ObjectMeta()


class InForce(msgspec.Struct, frozen=True):
    """A policy with what is derived from it; swapped as one."""

    policy: Policy
    hash: str
    scopes: Scopes
    rules: Rules

    @classmethod
    def of(cls, policy: Policy) -> "InForce":
        """Derive what decisions need."""
        return cls(policy, policy_hash(policy), Scopes(policy), capacity_rules(policy.headroom))


class Reviewer:
    """Decides reviews, all on one event loop."""

    def __init__(
        self,
        identity: Identity,
        view: View,
        promiser: Promiser,
        recorder: Recorder,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._identity = identity
        self._view = view
        self._capacity = CapacityJudge(view, promiser, clock)
        self._promises_wait = promiser.waits
        self._recorder = recorder
        self._clock = clock
        self._in_force: InForce | None = None

    @property
    def policy(self) -> Policy | None:
        """The policy in force; None until the first valid one."""
        return self._in_force.policy if self._in_force else None

    @policy.setter
    def policy(self, policy: Policy) -> None:
        self._in_force = InForce.of(policy)
        self._view.pending_hold_seconds = float(policy.headroom.pending_hold_seconds)

    @property
    def policy_hash(self) -> str:
        """The hash of the policy in force, empty before the first."""
        return self._in_force.hash if self._in_force else ""

    def review(
        self, body: bytes, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    ) -> bytes | Coroutine[Any, Any, bytes]:
        """Return the answer to a review, for a caller who waits this long.

        An answer that must be promised before it is given comes later, all others at once.
        Raises MalformedReview for what is none, ClusterUnavailable when nobody can know.
        """
        started = self._clock()
        request = read_review(body)
        decision = self._decide(request, timeout_seconds)
        if isinstance(decision, _Unpromised):
            later = self._answer_later(decision, started)
            return later if self._promises_wait else _ended(later)
        return self._answer(decision, started)

    async def decide(
        self, request: Request, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    ) -> Decision:
        """Return the decision on a request. Raises ClusterUnavailable."""
        decision = self._decide(request, timeout_seconds)
        return await self._promised(decision) if isinstance(decision, _Unpromised) else decision

    async def _answer_later(self, unpromised: "_Unpromised", started: float) -> bytes:
        return self._answer(await self._promised(unpromised), started)

    def _answer(self, decision: Decision, started: float) -> bytes:
        self._recorder.decided(decision, self._clock() - started)
        return write_answer(decision)

    def _decide(self, request: Request, timeout_seconds: float) -> "Decision | _Unpromised":
        if is_policy(request, self._identity):
            return self._decision(request, None, policy_findings(request))
        if not is_ours(request, self._identity):
            return self._decision(request, None)
        in_force = self._in_force
        if in_force is None:
            raise ClusterUnavailable("no valid policy was loaded yet")
        scope = self._scope(request, in_force)
        unreadable = request.unreadable or _wrong_kind(request)
        if unreadable:
            text = f"unreadable: {unreadable}"[:1024]
            return self._decision(request, scope, (Finding("HR303", scope.cap("enforce"), text),))
        return self._consider(request, scope, timeout_seconds)

    def _consider(
        self, request: Request, scope: Scope, timeout_seconds: float
    ) -> "Decision | _Unpromised":
        self._view.tick(self._clock())
        subject = subject_of(request, self._view)
        if subject is None:
            return self._unknown_parent(request, scope)
        child = is_child(request)
        # A controller carries out what was told before.
        findings = () if child else self._required(request, subject, scope)
        told = () if child else self._forecast(request, subject, scope)
        if not subject.declares_more:
            return self._decision(request, scope, findings + told)
        if self._is_carried_out(request, subject):
            if request.dry_run or _refuses(findings, scope):
                return self._decision(request, scope, findings + told)
            return _Unpromised(request, subject, scope, findings, told, None)
        terms = self._terms(request, scope, findings, timeout_seconds)
        if terms.promise:
            return _Unpromised(request, subject, scope, findings, told, terms)
        outcome = self._capacity.judge(subject, terms)
        return self._judged(request, scope, findings, told, outcome)

    async def _promised(self, asked: "_Unpromised") -> Decision:
        if asked.terms is None:
            outcome = await self._capacity.record(asked.subject)
        else:
            outcome = await self._capacity.promise(asked.subject, asked.terms)
        return self._judged(asked.request, asked.scope, asked.findings, asked.told, outcome)

    def _judged(
        self,
        request: Request,
        scope: Scope,
        findings: tuple[Finding, ...],
        told: tuple[Finding, ...],
        outcome: Outcome,
    ) -> Decision:
        if told and _refuses(outcome.findings, scope):
            told = tuple(each for each in told if each.code != TOO_MANY)
        return self._decision(request, scope, findings + outcome.findings + told, outcome)

    def _is_carried_out(self, request: Request, subject: Subject) -> bool:
        """Tell whether it is a rollout's step, of a Deployment or of an owner of an unknown kind."""
        if subject.promise.resource != "replicasets":
            return False
        assert self._in_force is not None
        surge = self._in_force.policy.headroom.surge
        return is_child(request) or self._view.book.owners.is_surge(subject.promise, surge)

    def _forecast(self, request: Request, subject: Subject, scope: Scope) -> tuple[Finding, ...]:
        """Return what is told to people only."""
        if request.resource.resource == "pods":
            return ()
        assert self._in_force is not None
        effect, now = scope.cap("warn"), self._clock()
        return forecast_findings(
            request, subject, self._view, self._in_force.rules, effect, now=now
        )

    def _scope(self, request: Request, in_force: InForce) -> Scope:
        namespace = request.namespace or ""
        return in_force.scopes.scope_for(
            namespace=namespace,
            namespace_labels=self._view.completion.namespaces.get(namespace, {}),
            user=request.user_info.username or "",
            groups=request.user_info.groups or (),
            today=_today,
        )

    def _required(self, request: Request, subject: Subject, scope: Scope) -> tuple[Finding, ...]:
        findings = requirement_findings(subject, scope)
        owner = forged_owner(request)
        if owner is not None and not is_made_elsewhere(self._view, owner.uid):
            text = f"it names {owner.kind} {owner.name} as its controller, which did not send it"
            effect = scope.cap("enforce")
            findings += (Finding("HR301", effect, text, None, "metadata.ownerReferences"),)
        if _refuses(findings, scope):
            self._check_known(request)
        return findings

    def _check_known(self, request: Request) -> None:
        """Raise ClusterUnavailable if what the view lacks could free this request of its faults."""
        from_template = request.resource.resource != "pods"
        if from_template and not self._view.listed("limitranges"):
            raise ClusterUnavailable("the namespace's LimitRanges are not in the view yet")
        assert self._in_force is not None
        may_loosen = self._in_force.policy.allow_namespaces_to_loosen
        if may_loosen and not self._view.listed("namespaces"):
            raise ClusterUnavailable("the namespace's labels are not in the view yet")

    def _terms(
        self,
        request: Request,
        scope: Scope,
        findings: tuple[Finding, ...],
        timeout_seconds: float,
    ) -> Terms:
        assert self._in_force is not None
        calls = self._in_force.policy.headroom.autoscalers.calls
        lenient = is_autoscaler(request) and calls == "warn"
        refused = _refuses(findings, scope)
        binding, promise = scope.exemption is None and not lenient, not (request.dry_run or refused)
        return Terms(scope, self._in_force.rules, binding, promise, refused, timeout_seconds)

    def _unknown_parent(self, request: Request, scope: Scope) -> Decision:
        """Decide on a Scale whose parent the view does not show: it may have been made just now."""
        old, new = request.old_object, request.object
        replicas = [(each.spec.replicas or 0) if each and each.spec else 0 for each in (old, new)]
        if replicas[1] <= replicas[0]:
            return self._decision(request, scope)
        terms = self._terms(request, scope, (), timeout_seconds=0.0)
        outcome = self._capacity.unjudged(
            terms, "the workload of this Scale is not in the view yet"
        )
        return self._decision(request, scope, (), outcome)

    def _decision(
        self,
        request: Request,
        scope: Scope | None,
        findings: tuple[Finding, ...] = (),
        outcome: Outcome | None = None,
    ) -> Decision:
        exemption = (scope.exemption if scope is not None else None) or ""
        allowed = not findings or not any(map(_is_refusal, findings)) or bool(exemption)
        metadata = request.object.metadata if request.object is not None else _NO_METADATA
        return Decision(  # by position: by name it takes twice as long
            request.uid,
            request.operation,
            kind_of(request) or request.kind.kind,
            request.sub_resource or "",
            request.namespace or "",
            request.name or metadata.name or "",
            metadata.uid or "",
            allowed,
            _outcome(scope, findings, allowed=allowed),
            bool(request.dry_run),
            scope.mode if scope is not None else "",
            findings,
            "" if allowed else remedy_for(request, findings),
            exemption,
            outcome.charge if outcome is not None else "",
            self._in_force.hash if self._in_force else "",
        )


class _Unpromised(msgspec.Struct, frozen=True):
    """A request that is judged and promised as one step, when the ledger has time for it."""

    request: Request
    subject: Subject
    scope: Scope
    findings: tuple[Finding, ...]
    told: tuple[Finding, ...]
    terms: Terms | None
    """None for what a controller carries out: it is recorded, not judged."""


def _ended(answer: Coroutine[Any, Any, bytes]) -> bytes:
    """Return what a coroutine that waits for nothing comes to; whatever it raises is raised."""
    try:
        answer.send(None)
    except StopIteration as end:
        result: bytes = end.value
        return result
    answer.close()
    raise AssertionError("a promise waited that was not to wait")


def _today() -> date:
    return datetime.now(UTC).date()


def _wrong_kind(request: Request) -> str:
    """Return what is wrong if the object is not of the kind that its resource says."""
    expected = "Scale" if request.sub_resource == "scale" else kind_of(request)
    for obj in (request.object, request.old_object):
        if obj is not None and obj.kind != expected:
            return f"the object is of kind {obj.kind[:64] or 'none'}, expected is {expected}"
    return ""


def _is_refusal(finding: Finding) -> bool:
    return finding.effect == "enforce" and not finding.existed


def _refuses(findings: tuple[Finding, ...], scope: Scope) -> bool:
    return bool(findings) and scope.exemption is None and any(map(_is_refusal, findings))


def _outcome(scope: Scope | None, findings: tuple[Finding, ...], *, allowed: bool) -> OutcomeName:
    if not allowed:
        return "deny"
    if scope is None:
        return "skip"
    if scope.exemption is not None and any(_is_refusal(each) for each in findings):
        return "exempt"
    return "warn" if findings else "allow"
