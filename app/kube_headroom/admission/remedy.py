"""Remedies: the one command or step that would let a refused object in."""

import re
from collections.abc import Sequence
from typing import Final

from kube_headroom.admission.decision import Finding
from kube_headroom.admission.review import Request
from kube_headroom.capacity.rows import known_owner

_MISSING: Final = frozenset({"HR101", "HR102", "HR103", "HR104", "HR105"})
_SETTABLE: Final = frozenset(
    {
        *("deployments", "replicasets", "statefulsets", "daemonsets", "cronjobs", "jobs"),
        "replicationcontrollers",
    }
)
LET_GO: Final = "its controller lets go of it and makes another pod: scale that down first"
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
"""What goes into a command that people paste; the API server lets no other name through."""


def remedy_for(request: Request, findings: Sequence[Finding]) -> str:
    """Return how to set what is missing in the first container that lacks something, if that helps.

    On a create there is no object yet to set it on, so the command works on the file.
    """
    if _lets_go(request) and any(each.code.startswith("HR2") for each in findings):
        return LET_GO
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


def _lets_go(request: Request) -> bool:
    """Tell whether it changes labels or owner of a pod that has a controller: sizes it cannot."""
    obj, old = request.object, request.old_object
    if request.resource.resource != "pods" or request.sub_resource or obj is None or old is None:
        return False
    return known_owner(old.metadata)[0] != ""


def _field(finding: Finding) -> tuple[str, str]:
    basis, _, name = finding.path.rpartition(".")
    return basis.rpartition(".")[2], name
