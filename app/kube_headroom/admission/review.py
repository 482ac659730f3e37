"""Reviews: AdmissionReview bytes into a Request, and what makes a body none.

The whole review is decoded in one typed pass, only into the fields that are read. Anybody who
reaches the port may send anything: what is no AdmissionReview is MalformedReview, an object inside
a sound envelope that does not have the form of its kind keeps its uid and is judged unreadable.
"""

from typing import Final

import msgspec

from kube_headroom.errors import MalformedReview
from kube_headroom.resources.manifest import type_problem
from kube_headroom.resources.objects import KubeObject, Spec, Wire

API_VERSION: Final = "admission.k8s.io/v1"
MAX_CONTAINERS: Final = 1000  # kubelets stop at 110 pods a node; no real pod comes near
MAX_UID_LENGTH: Final = 128
MAX_NAME_LENGTH: Final = 253
MAX_COUNT: Final = 2**31 - 1
_OPERATIONS: Final = frozenset({"CREATE", "UPDATE", "DELETE", "CONNECT"})


class UserInfo(Wire):
    """request.userInfo."""

    username: str | None = None
    groups: list[str] | None = None


class GroupKind(Wire):
    """request.kind and request.resource: one has a kind, the other a resource."""

    group: str = ""
    kind: str = ""
    resource: str = ""


class _Envelope(Wire):
    """Of a request whose object cannot be read: all that is needed to answer it."""

    uid: str
    operation: str
    kind: GroupKind
    resource: GroupKind
    sub_resource: str | None = None
    name: str | None = None
    namespace: str | None = None
    user_info: UserInfo = msgspec.field(default_factory=UserInfo)
    dry_run: bool | None = None


class Request(_Envelope):
    """request: what is asked, by whom."""

    object: KubeObject | None = None
    old_object: KubeObject | None = None
    unreadable: str = ""
    """Why the object could not be read; never on the wire."""
    body: bytes = b""
    """The review as it came, for the few who must compare what is not read; never on the wire."""


class _Review(Wire):
    api_version: str
    kind: str
    request: Request


class _EnvelopeReview(Wire):
    api_version: str
    kind: str
    request: _Envelope


_decode = msgspec.json.Decoder(_Review).decode
_decode_envelope = msgspec.json.Decoder(_EnvelopeReview).decode


def read_review(body: bytes) -> Request:
    """Return the request in a review. Raises MalformedReview."""
    if not body.isascii():
        _check_text(body)
    try:
        review = _decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        return _without_object(body, error)
    _check(review.api_version, review.kind, review.request)
    request = review.request
    request.unreadable = _not_to_be_read(request)
    request.body = body
    return request


def _check_text(body: bytes) -> None:
    """The decoder skips what nobody reads; but JSON is UTF-8 in every place."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise MalformedReview(f"not UTF-8: {error.reason} at byte {error.start}") from error


def _without_object(body: bytes, cause: Exception) -> Request:
    """Return a request whose object cannot be read, if all else can."""
    try:
        review = _decode_envelope(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedReview(f"not an AdmissionReview: {error}") from error
    _check(review.api_version, review.kind, review.request)
    fields = msgspec.structs.asdict(review.request)
    return Request(**fields, unreadable=_why_unreadable(cause))


def _why_unreadable(cause: Exception) -> str:
    if isinstance(cause, msgspec.ValidationError):
        return type_problem(cause).removeprefix("request.")
    return "nested too deep" if isinstance(cause, RecursionError) else str(cause)


def _check(api_version: str, kind: str, request: Request | _Envelope) -> None:
    if (api_version, kind) != (API_VERSION, "AdmissionReview"):
        raise MalformedReview(
            f"expected {API_VERSION} AdmissionReview, not {api_version[:64]} {kind[:64]}"
        )
    if not request.uid or len(request.uid) > MAX_UID_LENGTH:
        raise MalformedReview(f"request.uid must have 1 to {MAX_UID_LENGTH} characters")
    if len(request.namespace or "") > MAX_NAME_LENGTH or len(request.name or "") > MAX_NAME_LENGTH:
        raise MalformedReview(f"no name in Kubernetes is longer than {MAX_NAME_LENGTH} characters")
    if request.operation not in _OPERATIONS:
        raise MalformedReview("request.operation must be CREATE, UPDATE, DELETE or CONNECT")
    if request.operation in {"CREATE", "UPDATE"} and isinstance(request, Request):
        if request.object is None:
            raise MalformedReview("request.object is missing")
        if request.operation == "UPDATE" and request.old_object is None:
            raise MalformedReview("request.oldObject is missing")


def _not_to_be_read(request: Request) -> str:
    """Return why an object that was decoded is not taken at its word, if it is not."""
    for obj in (request.object, request.old_object):
        if obj is None:
            continue
        group = obj.api_version.rpartition("/")[0]
        if request.sub_resource != "scale" and group != request.resource.group:
            expected = request.resource.group or "core"
            return f"apiVersion {obj.api_version[:64]!r}, where the group {expected} is expected"
        if obj.spec is not None:
            problem = _too_large(obj.spec)
            if problem:
                return problem
    return ""


def _too_large(spec: Spec) -> str:
    """Return what no cluster could run of a spec, if anything."""
    jobs = spec.job_template
    for each in (spec, jobs.spec) if jobs is not None and jobs.spec is not None else (spec,):
        pods = each.template.spec if each.template is not None else None
        for pod in (each, pods) if pods is not None else (each,):
            count = len(pod.containers or ()) + len(pod.init_containers or ())
            if count > MAX_CONTAINERS:
                return f"{count} containers; at most {MAX_CONTAINERS} are read"
        # Kubernetes counts pods in 32 bits; the API server lets nothing larger through.
        if max(each.replicas or 0, each.parallelism or 0, each.completions or 0) > MAX_COUNT:
            return f"a number of pods above {MAX_COUNT}"
    return ""
