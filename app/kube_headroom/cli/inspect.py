"""`kube-headroom inspect`: what the engine sees in manifests, without a cluster."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import click

from kube_headroom.cli.inputs import read_inputs, shown_fault
from kube_headroom.cli.inspection import Inspection, Item, inspect_objects, is_read
from kube_headroom.cli.options import filename_option, namespace_option, policy_option
from kube_headroom.cli.output import (
    FORMATS,
    output_option,
    print_error,
    print_table,
    print_warning,
    printable,
)
from kube_headroom.cli.policy_file import read_policy
from kube_headroom.cli.serialized import print_json, print_yaml
from kube_headroom.policy.load import DEFAULT_POLICY
from kube_headroom.resources.manifest import Document, Fault, UnreadableObject, to_object
from kube_headroom.resources.objects import KubeObject
from kube_headroom.resources.quantity import show

_HEADER = (
    "NAMESPACE",
    "NAME",
    "PODS",
    "CPU",
    "CPU LIMIT",
    "MEMORY",
    "MEMORY LIMIT",
    "QOS",
    "FOUND",
)
_CLUSTER_KINDS = frozenset({"Namespace", "Node", "RuntimeClass"})


def _inspect(names: tuple[str, ...], form: str, policy: str | None, namespace: str) -> int:
    rules = DEFAULT_POLICY if policy is None else read_policy(policy)
    objects: list[KubeObject] = []
    broken = 0
    for found in _objects(names, namespace):
        if isinstance(found, KubeObject):
            objects.append(found)
        else:
            print_error(found)
            broken += 1
    _print(inspect_objects(objects, rules, today=datetime.now(UTC).date()), form)
    return 2 if broken else 0


def _objects(names: Sequence[str], namespace: str) -> Iterator[KubeObject | str]:
    """Yield what is to be looked at, and the text of each fault in its place."""
    for found in read_inputs(names):
        if isinstance(found, Fault):
            yield shown_fault(found)
            continue
        for finding in found.findings:
            print_warning(str(finding))
        if is_read(found):
            yield _object(found, namespace)


def _object(document: Document, namespace: str) -> KubeObject | str:
    try:
        obj = to_object(document)
    except UnreadableObject as error:
        return str(error)
    if not obj.metadata.namespace and obj.kind not in _CLUSTER_KINDS:
        obj.metadata.namespace = namespace
    return obj


def _print(inspection: Inspection, form: str) -> None:
    if form == "json":
        print_json(inspection)
    elif form == "yaml":
        print_yaml(inspection)
    elif not inspection.items:
        click.echo("no workloads found", err=True)
    else:
        print_table(_HEADER, [_row(item) for item in inspection.items])
        _print_violations(inspection)


def _row(item: Item) -> tuple[str, ...]:
    peak = f" (peak {item.pods.peak})" if item.pods.peak != item.pods.declared else ""
    amounts = [
        show(name, values[name], up=True) if name in values else "-"
        for name in ("cpu", "memory")
        for values in (item.pod.requests, item.pod.limits)
    ]
    return (
        item.namespace,
        f"{item.kind.lower()}/{item.name}",
        f"{item.pods.declared}{peak}",
        *amounts,
        item.pod.qos_class,
        str(len(item.violations) or "-"),
    )


def _print_violations(inspection: Inspection) -> None:
    for item in inspection.items:
        if item.violations:
            click.echo(printable(f"\n{item.kind} {item.namespace}/{item.name}:"))
        for found in item.violations:
            where = f'container "{found.container}"' if found.container is not None else "pod"
            click.echo(printable(f"  [{found.code}] {where}: {found.message}"))


inspect = click.Command(
    "inspect",
    params=[
        filename_option(),
        output_option(*FORMATS),
        policy_option(),
        namespace_option(),
    ],
    callback=_inspect,
    help="Show what manifests ask for: pods, requests and limits as Kubernetes will see them, and "
    "what is missing. LimitRanges, RuntimeClasses, Nodes and Namespaces in the input apply. Exit "
    "code 0 even with violations, 2 if a document is broken.",
)
