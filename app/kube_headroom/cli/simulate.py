"""`kube-headroom simulate`: what a manifest would meet in a cluster that is a file."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import click
import msgspec

from kube_headroom.admission.decision import Finding
from kube_headroom.admission.simulation import Simulated, Simulator, is_simulated
from kube_headroom.capacity.view import COMPLETING, RESOURCES
from kube_headroom.cli.inputs import read_inputs, shown_fault
from kube_headroom.cli.options import filename_option, namespace_option, policy_option
from kube_headroom.cli.output import (
    output_option,
    print_error,
    print_table,
    print_warning,
    printable,
)
from kube_headroom.cli.policy_file import read_policy
from kube_headroom.cli.serialized import print_json
from kube_headroom.cluster.snapshot import fill_view, load_snapshot, plural_of
from kube_headroom.errors import MalformedReview
from kube_headroom.policy.load import DEFAULT_POLICY
from kube_headroom.resources.manifest import Document, Fault, UnreadableObject, to_object
from kube_headroom.resources.objects import KubeObject

_HEADER: Final = ("NAMESPACE", "NAME", "VERDICT", "MAX", "FITS", "FOUND")
_SHOWN_NODES: Final = 10
_CLUSTER_KINDS: Final = frozenset({"Namespace", "PriorityClass", "RuntimeClass"})


class Violation(msgspec.Struct, frozen=True):
    """One finding of the decision, refused or told."""

    code: str
    container: str | None
    path: str
    message: str


class Answer(msgspec.Struct, frozen=True, rename="camel"):
    """The stable answer about one object."""

    fits: tuple[str, ...]
    reasons: dict[str, str]
    max_replicas: int
    verdict: str
    violations: tuple[Violation, ...]


def _simulate(
    snapshot: str, names: tuple[str, ...], form: str, policy: str | None, namespace: str
) -> int:
    simulator = Simulator(DEFAULT_POLICY if policy is None else read_policy(policy))
    present = load_snapshot(snapshot)
    fill_view(simulator.view, present, resources=RESOURCES)
    simulator.present(present)
    objects, broken = _read(names, namespace)
    for obj in objects:
        if not is_simulated(obj):  # what it says of others applies wherever it stands
            simulator.view.put(str(plural_of(obj.api_version, obj.kind)), obj)
    found = []
    for obj in filter(is_simulated, objects):
        try:
            found.append(asyncio.run(simulator.simulate(obj)))
        except MalformedReview as error:
            print_error(f"{obj.kind} {str(obj.metadata.name)[:64]}: {error}")
            broken = True
    _print(found, form)
    denied = any(not each.decision.allowed for each in found)
    return 2 if broken else 1 if denied else 0


def _read(names: Sequence[str], namespace: str) -> tuple[list[KubeObject], bool]:
    """Return what is to be looked at; name what is broken, and tell whether anything is."""
    objects: list[KubeObject] = []
    broken = False
    for found in _objects(names, namespace):
        if isinstance(found, KubeObject):
            objects.append(found)
        else:
            print_error(found)
            broken = True
    return objects, broken


def _objects(names: Sequence[str], namespace: str) -> Iterator[KubeObject | str]:
    for found in read_inputs(names):
        if isinstance(found, Fault):
            yield shown_fault(found)
            continue
        for finding in found.findings:
            print_warning(str(finding))
        if _is_read(found):
            yield _object(found, namespace)


def _is_read(document: Document) -> bool:
    """Objects of kinds that say nothing here may have any shape."""
    version, kind = document.data.get("apiVersion"), document.data.get("kind")
    if not isinstance(version, str) or not isinstance(kind, str):
        return True  # to_object says what is missing
    obj = KubeObject(api_version=version, kind=kind)
    return is_simulated(obj) or plural_of(version, kind) in COMPLETING


def _object(document: Document, namespace: str) -> KubeObject | str:
    try:
        obj = to_object(document)
    except UnreadableObject as error:
        return str(error)
    if not obj.metadata.namespace and obj.kind not in _CLUSTER_KINDS:
        obj.metadata.namespace = namespace
    return obj


def _answer(found: Simulated) -> Answer:
    return Answer(
        fits=found.fits.nodes,
        reasons=dict(found.fits.reasons),
        max_replicas=found.max_replicas,
        verdict=_verdict(found),
        violations=tuple(map(_violation, found.decision.findings)),
    )


def _violation(finding: Finding) -> Violation:
    return Violation(finding.code, finding.container, finding.path, finding.message)


def _verdict(found: Simulated) -> str:
    return "allow" if found.decision.allowed else "deny"


def _item(found: Simulated) -> dict[str, object]:
    """Return one of several answers: it says what it is about."""
    decision = found.decision
    about = {"kind": decision.kind, "namespace": decision.namespace, "name": decision.name}
    return {**about, **msgspec.to_builtins(_answer(found))}


def _print(found: Sequence[Simulated], form: str) -> None:
    if form == "json":
        print_json(_answer(found[0]) if len(found) == 1 else {"items": list(map(_item, found))})
    elif not found:
        click.echo("no workloads found", err=True)
    else:
        print_table(_HEADER, [_row(each) for each in found])
        for each in found:
            _print_details(each)


def _row(found: Simulated) -> tuple[str, ...]:
    decision, nodes = found.decision, found.fits.nodes
    return (
        decision.namespace,
        f"{decision.kind.lower()}/{decision.name}",
        _verdict(found),
        str(found.max_replicas),
        f"{len(nodes)}/{len(nodes) + len(found.fits.reasons)}",
        str(len(decision.findings) or "-"),
    )


def _print_details(found: Simulated) -> None:
    decision, fits = found.decision, found.fits
    click.echo(printable(f"\n{decision.kind} {decision.namespace}/{decision.name}:"))
    for finding in decision.findings:
        where = f'container "{finding.container}": ' if finding.container is not None else ""
        told = "" if finding.effect == "enforce" and not finding.existed else " (only told)"
        head = f"  [{finding.code}] "
        click.echo(printable(f"{head}{where}{finding.message}{told}"))
        for line in finding.more:
            click.echo(printable(" " * len(head) + line))
    names = ", ".join(fits.nodes[:_SHOWN_NODES])
    more = f" and {len(fits.nodes) - _SHOWN_NODES} more" if len(fits.nodes) > _SHOWN_NODES else ""
    click.echo(printable(f"  fits on: {names or 'no node'}{more}"))
    for reason, count in Counter(fits.reasons.values()).most_common():
        click.echo(printable(f"  {count} {'node' if count == 1 else 'nodes'}: {reason}"))


simulate = click.Command(
    "simulate",
    params=[
        click.Option(
            ["--snapshot"],
            required=True,
            metavar="FILE",
            help="The cluster: what `kubectl get nodes,pods,... -A -o json` printed.",
        ),
        filename_option(),
        output_option("table", "json"),
        policy_option(),
        namespace_option(),
    ],
    callback=_simulate,
    help="Show what the webhook would decide on pods and workloads, which nodes would take such a "
    "pod now, and how many would be let in: more pods for a pod, replicas in all for a workload. "
    "Each object is judged beside the snapshot alone; one of the same name there would be updated. "
    "Exit code 1 if one is denied, 2 if a document is broken.",
)
