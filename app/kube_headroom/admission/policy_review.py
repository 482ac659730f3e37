"""The policy review: a broken edit of our own ConfigMap is refused where it is made."""

from kube_headroom.admission.decision import Finding
from kube_headroom.admission.review import Request
from kube_headroom.errors import PolicyError
from kube_headroom.policy.load import DATA_KEY, load_policy


def policy_findings(request: Request) -> tuple[Finding, ...]:
    """Return every fault of the policy that a ConfigMap would bring."""
    data = (request.object.data if request.object is not None else None) or {}
    if request.unreadable:
        return (Finding("HR303", "enforce", f"unreadable: {request.unreadable}"[:1024]),)
    if DATA_KEY not in data:
        return (Finding("HR302", "enforce", f"data has no key {DATA_KEY}", None, "data"),)
    try:
        load_policy(data[DATA_KEY])
    except PolicyError as error:
        path = f"data[{DATA_KEY}]"
        return tuple(Finding("HR302", "enforce", fault, None, path) for fault in error.faults)
    return ()
