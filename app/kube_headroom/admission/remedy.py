"""Remedies: the one command that would give a refused object what it lacks."""

import re
from collections.abc import Sequence
from typing import Final

from kube_headroom.admission.decision import Finding
from kube_headroom.admission.review import Request

_MISSING: Final = frozenset({"HR101", "HR102", "HR103", "HR104", "HR105"})
_SETTABLE: Final = frozenset(
    {
        *("deployments", "replicasets", "statefulsets", "daemonsets", "cronjobs", "jobs"),
        "replicationcontrollers",
    }
)
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
"""What goes into a command that people paste; the API server lets no other name through."""


def remedy_for(request: Request, findings: Sequence[Finding]) -> str:
    """Return how to set what is missing in the first container that lacks something, or nothing.

    On a create there is no object yet to set it on, so the command works on the file.
    """
    missing = [
        each for each in findings if each.code in _MISSING and not each.existed and each.container
    ]
    if not missing or request.resource.resource not in _SETTABLE:
        return ""
    container = missing[0].container or ""
    if not all(map(_NAME.fullmatch, (container, request.name or "a", request.namespace or "a"))):
        return ""
    fields = sorted({_field(each) for each in missing if each.container == container})
    flags = " ".join(
        f"--{basis}={','.join(f'{name}=...' for kind, name in fields if kind == basis)}"
        for basis in ("requests", "limits")
        if any(kind == basis for kind, _ in fields)
    )
    if request.operation == "CREATE":
        return f"set: kubectl set resources -f FILE --local -o yaml -c {container} {flags}"
    target = f"{request.kind.kind.lower()} {request.name} -n {request.namespace}"
    return f"set: kubectl set resources {target} -c {container} {flags}"


def _field(finding: Finding) -> tuple[str, str]:
    basis, _, name = finding.path.rpartition(".")
    return basis.rpartition(".")[2], name
