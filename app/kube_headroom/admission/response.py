"""Responses: a Decision as AdmissionReview bytes. The only writer of answers."""

from itertools import islice
from typing import Final

import msgspec

from kube_headroom.admission.decision import Decision
from kube_headroom.admission.message import MAX_FINDINGS, clean, denial, warnings
from kube_headroom.admission.review import API_VERSION

_encode = msgspec.json.Encoder().encode
_PREFIX: Final = (
    b'{"apiVersion":"' + API_VERSION.encode() + b'","kind":"AdmissionReview","response":{"uid":'
)


def write_answer(decision: Decision) -> bytes:
    """Return the answer to the API server, HTTP status 200 in every case."""
    uid = _encode(decision.uid)
    if decision.allowed and not decision.findings and not decision.exemption:
        policy = _encode(decision.policy)
        return _PREFIX + uid + b',"allowed":true,"auditAnnotations":{"policy":' + policy + b"}}}"
    response: dict[str, object] = {"allowed": decision.allowed}
    if not decision.allowed:
        response["status"] = {
            "code": 403,
            "reason": "Forbidden",
            "message": denial(decision),
            "details": {"causes": _causes(decision)},
        }
    said = warnings(decision)
    if said:
        response["warnings"] = said
    response["auditAnnotations"] = _annotations(decision)
    return _PREFIX + uid + b"," + _encode(response)[1:] + b"}"


def _causes(decision: Decision) -> list[dict[str, str]]:
    refused = (one for one in decision.findings if one.effect == "enforce" and not one.existed)
    return [
        {"reason": one.code, "field": one.path, "message": clean(one.message)[:512]}
        for one in islice(refused, MAX_FINDINGS)
    ]


def _annotations(decision: Decision) -> dict[str, str]:
    """Return what the audit log keeps; keys are stored as WEBHOOK/KEY."""
    annotations = {"policy": decision.policy, "mode": decision.mode}
    if decision.findings:
        annotations["codes"] = ",".join(decision.codes)
        first = decision.findings[0]
        annotations["finding"] = clean(first.message)[:512]
    if decision.exemption:
        annotations["exemption"] = clean(decision.exemption)
    return annotations
