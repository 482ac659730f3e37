"""Requirements: what the pods of a request do not declare as they must, as findings."""

from kube_headroom.admission.decision import Finding
from kube_headroom.admission.message import violation_finding
from kube_headroom.admission.subject import Subject
from kube_headroom.policy.checks import Violation, requirement_violations
from kube_headroom.policy.scope import Scope
from kube_headroom.resources.pod import EffectivePod


def requirement_findings(subject: Subject, scope: Scope) -> tuple[Finding, ...]:
    """Return every violation; what was there before the update is said again, not refused."""
    if subject.pod is None:
        return ()
    found = _violations(subject.pod, subject, scope)
    if not found:
        return ()
    before = set()
    if subject.old_pod is not None:
        before = {_key(each) for each in _violations(subject.old_pod, subject, scope)}
    findings = (
        violation_finding(each, scope.cap(each.action), existed=_key(each) in before)
        for each in found
    )
    return tuple(finding for finding in findings if finding.effect != "off")


def _violations(pod: EffectivePod, subject: Subject, scope: Scope) -> tuple[Violation, ...]:
    return requirement_violations(
        pod, scope.requirements, path=subject.path, exempt_images=scope.exempt_images
    )


def _key(violation: Violation) -> tuple[str, str | None, str]:
    """Return what makes two violations the same: code, container by name, field below it."""
    field = violation.path
    if violation.container is not None:
        field = field.partition("].")[2]
    return (violation.code, violation.container, field)
