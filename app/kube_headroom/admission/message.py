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
MAX_LINE: Final = 512  # objects that a stranger sends may carry names of any length
MAX_FINDINGS: Final = 50  # in one denial: a person mends the first ones and asks again
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
        lines.append(f"  {clean(decision.remedy)}")
    return "\n".join(map(_short, lines))


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
    return _short(clean(f"{decision.kind} {name}".strip()))


def clean(text: str) -> str:
    """Return the text without control characters: terminals and logs take them as commands."""
    return "".join(each if each.isprintable() else "?" for each in text)


def _short(line: str) -> str:
    return line if len(line) <= MAX_LINE else line[: MAX_LINE - 3] + "..."


def _lines(findings: Sequence[Finding]) -> Iterable[str]:
    said: set[str] = set()
    for finding in findings[:MAX_FINDINGS]:
        head = f"  [{finding.code}] "
        yield clean(head + _headline(finding))
        yield from (clean(" " * len(head) + line) for line in finding.more if line not in said)
        said.update(finding.more)
    if len(findings) > MAX_FINDINGS:
        yield f"  and {len(findings) - MAX_FINDINGS} more"


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
    held = (
        ("reserve", shortfall.reserve, figures.reserve),
        ("still to come", shortfall.coming, figures.coming),
        ("promised", shortfall.promised, figures.promised),
    )
    parts = [f"free {figures.free}", *(f"{name} {text}" for name, amount, text in held if amount)]
    where = _nodes(shortfall.nodes, eligible=shortfall.eligible_only)
    return (
        f"{_label(shortfall)}: {_asked(shortfall)},"
        f" headroom is {figures.room} on {where} ({' - '.join(parts)})"
    )


def _asked(shortfall: Shortfall) -> str:
    """Return what is asked for: `3 pods x 2Gi = 6Gi`, an equation only where it is exact."""
    resource, pods = shortfall.resource, shortfall.pods
    need = _size(shortfall, shortfall.need)
    if not pods or resource == "pods":
        return f"{need} more"
    if pods == 1:
        return f"1 pod of {need}"
    unit = _size(shortfall, shortfall.unit)
    if _is_exact(resource, shortfall.unit) and _is_exact(resource, shortfall.need):
        return f"{pods} pods x {unit} = {need}"
    return f"{pods} pods of about {unit} each, {need} in all"


def _is_exact(resource: str, amount: int) -> bool:
    name = KUBERNETES_NAMES[resource]
    return show(name, amount, up=True) == show(name, amount, up=False)


def _too_many(shortfall: Shortfall) -> str:
    others = shortfall.need - shortfall.pods
    beside = f" beside {_pods(others)} still to come" if others else ""
    each = " each" if shortfall.pods > 1 else ""
    size = "" if shortfall.resource == "pods" else f" of {_size(shortfall, shortfall.unit)}{each}"
    where = _nodes(shortfall.nodes, eligible=True)
    have = "has" if shortfall.nodes == 1 else "have"
    pods = "pod" if shortfall.room == 1 else "pods"
    return (
        f"{_label(shortfall)}: {_pods(shortfall.pods)}{size}{beside},"
        f" but {where} {have} room for {shortfall.room} whole {pods} of that size"
    )


def _too_large(shortfall: Shortfall) -> str:
    if shortfall.nodes == 0:
        reason = next(iter(_reasons(shortfall)), "")
        return f"no node is eligible: {reason}" if reason else "the cluster has no node"
    where = _nodes(shortfall.nodes, eligible=True)
    label = f"{KUBERNETES_NAMES[shortfall.resource]} request"
    size = _size(shortfall, shortfall.unit)
    if shortfall.largest >= shortfall.unit:
        return f"none of {where} has all that one pod asks for, even if it were empty"
    largest = show(KUBERNETES_NAMES[shortfall.resource], shortfall.largest, up=False)
    if shortfall.nodes == 1:
        return f"{label} {size} of one pod: the only eligible node has {largest} in all"
    return f"{label} {size} of one pod: the largest of {where} has {largest} in all"


def _reasons(shortfall: Shortfall) -> list[str]:
    """Return why nodes are not eligible, and how many each reason keeps out."""
    return [f"{reason} ({_nodes(count, eligible=False)})" for reason, count in shortfall.why]


def _advice(shortfall: Shortfall, *, replicas: bool) -> tuple[str, ...]:
    if shortfall.code == TOO_LARGE:
        return tuple(_reasons(shortfall)[1:])
    name = KUBERNETES_NAMES[shortfall.resource]
    largest = f"the largest free node has {show(name, shortfall.largest, up=False)}"
    if shortfall.basis == "limits":
        largest = ""
    advice = (_at_most(shortfall.at_most) if replicas else "", largest)
    text = "; ".join(part for part in advice if part)
    return (text,) if text else ()


def _at_most(count: int) -> str:
    if count == 0:
        return "no replica of this size fits"
    if count == 1:
        return "at most 1 replica of this size fits"
    return f"at most {count} replicas of this size fit"
