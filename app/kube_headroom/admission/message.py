"""The message: what people read. One formatter for the webhook, the commands and the dashboard."""

from collections.abc import Iterable, Sequence
from typing import Final

from kube_headroom.admission.decision import Decision, Finding
from kube_headroom.admission.figures import show_sum
from kube_headroom.capacity.headroom import Shortfall
from kube_headroom.capacity.rules import TOO_LARGE, TOO_MANY
from kube_headroom.policy.checks import Violation
from kube_headroom.policy.scope import Effect
from kube_headroom.resources.amounts import KUBERNETES_NAMES
from kube_headroom.resources.quantity import show

MAX_WARNING: Final = 256  # characters; the API server cuts longer ones when there are many
MAX_WARNINGS: Final = 1024  # in all, so that others' warnings keep their place
RETRIED: Final = "exceeded quota"
"""Tekton, Argo Workflows and Flyte wait and try again when they read these words."""


def violation_finding(violation: Violation, effect: Effect, *, existed: bool) -> Finding:
    """Return a requirement's violation as a finding."""
    return Finding(
        code=violation.code,
        effect=effect,
        message=violation.message,
        container=violation.container,
        path=violation.path,
        existed=existed,
    )


def shortfall_finding(shortfall: Shortfall, effect: Effect, *, replicas: bool) -> Finding:
    """Return a capacity shortfall as a finding; replicas: the object can ask for fewer pods."""
    words = {TOO_LARGE: _too_large, TOO_MANY: _too_many}.get(shortfall.code, _sum)
    message = words(shortfall)
    if not replicas:
        message = f"{RETRIED}: {message}"
    more = _advice(shortfall, replicas=replicas)
    return Finding(code=shortfall.code, effect=effect, message=message, more=more)


def denial(decision: Decision) -> str:
    """Return what kubectl prints after `denied the request: `."""
    refused = [one for one in decision.findings if one.effect == "enforce" and not one.existed]
    others = [one for one in decision.findings if one not in refused]
    count = "1 problem" if len(refused) == 1 else f"{len(refused)} problems"
    lines = [f"{subject(decision)}: {count}", *_lines(refused)]
    if others:
        lines += ["  beside it, as warnings:", *_lines(others)]
    if decision.remedy:
        lines.append(f"  {decision.remedy}")
    return "\n".join(lines)


def warnings(decision: Decision) -> tuple[str, ...]:
    """Return what kubectl prints as warnings: short single lines, the rest counted."""
    shown = [
        one
        for one in decision.findings
        if one.effect == "warn" or (one.effect == "enforce" and (one.existed or decision.allowed))
    ]
    if not decision.allowed:
        return ()  # the denial says it all
    result: list[str] = []
    room = MAX_WARNINGS
    for index, finding in enumerate(shown):
        text = _one_line(f"{subject(decision)}: [{finding.code}] {_headline(finding)}")
        if len(text) > room - 64 and index + 1 < len(shown):
            result.append(f"{subject(decision)[:128]}: and {len(shown) - index} more problems")
            break
        result.append(text)
        room -= len(text)
    return tuple(result)


def subject(decision: Decision) -> str:
    """Return what the request is about: `Deployment shop/web`."""
    name = f"{decision.namespace}/{decision.name}" if decision.namespace else decision.name
    return clean(f"{decision.kind} {name}".strip())


def clean(text: str) -> str:
    """Return the text without control characters: terminals and logs take them as commands."""
    return "".join(each if each.isprintable() else "?" for each in text)


def _lines(findings: Sequence[Finding]) -> Iterable[str]:
    said: set[str] = set()
    for finding in findings:
        head = f"  [{finding.code}] "
        yield clean(head + _headline(finding))
        yield from (clean(" " * len(head) + line) for line in finding.more if line not in said)
        said.update(finding.more)


def _headline(finding: Finding) -> str:
    prefix = f'container "{finding.container}": ' if finding.container is not None else ""
    return prefix + finding.message + (" (as before)" if finding.existed else "")


def _one_line(text: str) -> str:
    text = clean(text)
    return text if len(text) <= MAX_WARNING else text[: MAX_WARNING - 3] + "..."


def _label(shortfall: Shortfall) -> str:
    if shortfall.resource == "pods":
        return "pod slots"
    return f"{KUBERNETES_NAMES[shortfall.resource]} {shortfall.basis}"


def _nodes(count: int, *, eligible: bool) -> str:
    kind = "eligible node" if eligible else "node"
    return f"{count} {kind}" if count == 1 else f"{count} {kind}s"


def _size(shortfall: Shortfall, amount: int) -> str:
    return show(KUBERNETES_NAMES[shortfall.resource], amount, up=True)


def _pods(count: int) -> str:
    return "1 pod" if count == 1 else f"{count} pods"


def _sum(shortfall: Shortfall) -> str:
    figures = show_sum(
        shortfall.resource,
        (shortfall.free, shortfall.reserve, shortfall.coming, shortfall.promised),
    )
    need = _size(shortfall, shortfall.need)
    asked = f"{need} more"
    if shortfall.pods and shortfall.resource != "pods":
        asked = f"{_pods(shortfall.pods)} x {_size(shortfall, shortfall.unit)} = {need}"
    held = (
        ("reserve", shortfall.reserve, figures.reserve),
        ("still to come", shortfall.coming, figures.coming),
        ("promised", shortfall.promised, figures.promised),
    )
    parts = [f"free {figures.free}", *(f"{name} {text}" for name, amount, text in held if amount)]
    where = _nodes(shortfall.nodes, eligible=shortfall.eligible_only)
    return (
        f"{_label(shortfall)}: {asked}, headroom is {figures.room} on {where} ({' - '.join(parts)})"
    )


def _too_many(shortfall: Shortfall) -> str:
    others = shortfall.need - shortfall.pods
    beside = f" beside {_pods(others)} still to come" if others else ""
    where = _nodes(shortfall.nodes, eligible=True)
    takes = "takes" if shortfall.nodes == 1 else "take"
    size = _size(shortfall, shortfall.unit)
    return (
        f"{_label(shortfall)}: {_pods(shortfall.pods)} of {size} each{beside},"
        f" and {where} {takes} {shortfall.room} whole pods of that size"
    )


def _too_large(shortfall: Shortfall) -> str:
    if shortfall.nodes == 0:
        why = ", ".join(f"{count} because {reason}" for reason, count in shortfall.why)
        return f"no node is eligible: {why}" if why else "there is no node"
    label = _label(shortfall)
    size = _size(shortfall, shortfall.unit)
    largest = show(KUBERNETES_NAMES[shortfall.resource], shortfall.largest, up=False)
    where = _nodes(shortfall.nodes, eligible=True)
    return f"{label} {size} of one pod: no node is that large; the largest of {where} has {largest}"


def _advice(shortfall: Shortfall, *, replicas: bool) -> tuple[str, ...]:
    if shortfall.code == TOO_LARGE:
        return ()
    name = KUBERNETES_NAMES[shortfall.resource]
    largest = f"the largest free node has {show(name, shortfall.largest, up=False)}"
    if shortfall.basis == "limits":
        largest = ""
    if not replicas:
        return (largest,) if largest else ()
    count = shortfall.at_most
    most = f"at most {count} replica{'' if count == 1 else 's'} of this size fit{'s' if count == 1 else ''}"
    return (f"{most}; {largest}" if largest else most,)
