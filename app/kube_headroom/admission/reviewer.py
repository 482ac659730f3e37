"""The reviewer: one function from an AdmissionReview to the answer. No HTTP and no client.

What needs no book is decided without it, so that it is never unavailable; what needs the book is
judged on a view that is current, or not answered at all (ClusterUnavailable).
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

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

DEFAULT_TIMEOUT_SECONDS: Final = 10.0  # what kube-apiserver waits if nothing else is said


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

    async def review(
        self, body: bytes, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    ) -> bytes:
        """Return the answer to a review, for a caller who waits this long.

        Raises MalformedReview for what is none, ClusterUnavailable when nobody can know.
        """
        started = self._clock()
        decision = await self.decide(read_review(body), timeout_seconds=timeout_seconds)
        decision = msgspec.structs.replace(decision, seconds=self._clock() - started)
        self._recorder.decided(decision)
        return write_answer(decision)

    async def decide(
        self, request: Request, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    ) -> Decision:
        """Return the decision on a request. Raises ClusterUnavailable."""
        if is_policy(request, self._identity):
            return self._decision(request, None, policy_findings(request))
        if not is_ours(request, self._identity):
            return self._decision(request, None)
        if self._in_force is None:
            raise ClusterUnavailable("no valid policy was loaded yet")
        scope = self._scope(request, self._in_force)
        unreadable = request.unreadable or _wrong_kind(request)
        if unreadable:
            text = f"unreadable: {unreadable}"[:1024]
            return self._decision(request, scope, (Finding("HR303", scope.cap("enforce"), text),))
        self._view.tick(self._clock())
        subject = subject_of(request, self._view)
        if subject is None:
            return self._unknown_parent(request, scope)
        findings = () if is_child(request) else self._required(request, subject, scope)
        outcome, told = Outcome(), self._forecast(request, subject, scope)
        if subject.declares_more:
            if self._is_carried_out(request, subject):
                outcome = Outcome() if request.dry_run else await self._capacity.record(subject)
            else:
                terms = self._terms(request, scope, findings, timeout_seconds)
                outcome = await self._capacity.judge(subject, terms)
        if _refuses(outcome.findings, scope):
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
        """Return what is told to people only: a controller carries out what was told before."""
        if is_child(request):
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
            today=datetime.now(UTC).date(),
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
        return Terms(
            scope=scope,
            rules=self._in_force.rules,
            binding=scope.exemption is None and not lenient,
            promise=not request.dry_run and not refused,
            refused=refused,
            timeout_seconds=timeout_seconds,
        )

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
        allowed = not any(_is_refusal(each) for each in findings) or bool(exemption)
        obj = request.object
        return Decision(
            uid=request.uid,
            operation=request.operation,
            kind=kind_of(request) or request.kind.kind,
            subresource=request.sub_resource or "",
            namespace=request.namespace or "",
            name=request.name or (obj.metadata.name if obj else None) or "",
            object_uid=(obj.metadata.uid if obj else None) or "",
            allowed=allowed,
            outcome=_outcome(scope, findings, allowed=allowed),
            dry_run=bool(request.dry_run),
            mode=scope.mode if scope is not None else "",
            findings=findings,
            remedy="" if allowed else remedy_for(request, findings),
            exemption=exemption,
            charge=outcome.charge if outcome is not None else "",
            policy=self.policy_hash,
        )


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
    return scope.exemption is None and any(_is_refusal(each) for each in findings)


def _outcome(scope: Scope | None, findings: tuple[Finding, ...], *, allowed: bool) -> OutcomeName:
    if not allowed:
        return "deny"
    if scope is None:
        return "skip"
    if scope.exemption is not None and any(_is_refusal(each) for each in findings):
        return "exempt"
    return "warn" if findings else "allow"
