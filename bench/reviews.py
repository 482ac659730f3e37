"""The reviews that are sent: what a real API server sent, a thousand times different.

Text replaces text in the recorded bytes, so that nothing about their form is ours. No two bodies
have the same names, uids, images and env; the sizes are twenty, as teams copy them.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from uuid import UUID

from bench.cluster import NAMESPACES, namespace

BODIES: Final = 1000
SIZES: Final = 20
UID: Final = b"@@uid@@"
"""Stands for the object's uid where every single request must have its own."""

_FOLDER: Final = Path(__file__).parent / "reviews"
_CONTROLLER: Final = b"system:serviceaccount:kube-system:replicaset-controller"


def bodies(case: str) -> list[bytes]:
    """Return the bodies of one case."""
    return list(_CASES[case]())


def _pods() -> Iterator[bytes]:
    return _varied((_FOLDER / "pod.json").read_bytes())


def _deployments() -> Iterator[bytes]:
    return _varied((_FOLDER / "deployment.json").read_bytes())


def _charged() -> Iterator[bytes]:
    for body in _pods():
        wet = body.replace(b'"dryRun":true', b'"dryRun":false').replace(b'"dryRun":["All"],', b"")
        head, generation, tail = wet.partition(b'"generation":1')
        fresh = head[: head.rindex(b'"uid":"') + 7] + UID + b'",' + generation + tail
        yield re.sub(rb'"name":"web-\d+","namespace"', b'"name":"web-%s","namespace"' % UID, fresh)


def _skipped() -> Iterator[bytes]:
    for body in _pods():
        yield body.replace(b'"username":"admin"', b'"username":"' + _CONTROLLER + b'"')


def _varied(recorded: bytes) -> Iterator[bytes]:
    object_uid = recorded.partition(b'"object":')[2].partition(b'"uid":"')[2][:36]
    request_uid = recorded.partition(b'"uid":"')[2][:36]
    for number in range(BODIES):
        yield (
            recorded.replace(object_uid, str(UUID(int=number + 1)).encode())
            .replace(request_uid, str(UUID(int=number + 1_000_001)).encode())
            .replace(b'"shop"', b'"' + namespace(number % NAMESPACES).encode() + b'"')
            .replace(b'"name":"web","namespace"', b'"name":"web-%04d","namespace"' % number)
            .replace(b"web:2.14.0", b"web:2.14.%d" % number)
            .replace(b"postgres-primary", b"postgres-%d" % number)
            .replace(b'"memory":"256Mi"', b'"memory":"%dMi"' % (160 + number % SIZES * 8))
        )


_CASES: Final = {
    "pod": _pods,
    "charged": _charged,
    "deployment": _deployments,
    "skip": _skipped,
}
