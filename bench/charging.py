"""Charged creates a second: 1 and 3 replicas that share one ledger, beside a ResourceQuota.

Real creates, none in a dry run: each is promised in a ConfigMap before it is answered, as a quota is
charged in its status.
"""

from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from bench.api import Api, api_server, pods
from bench.load import UID, Loads
from bench.section import Section, run_alone, spread
from tests.ledger.installation import Installation

BODIES: Final = 200
CONNECTIONS: Final = 64
WAYS: Final = {
    "none": "nobody counts",
    "quota": "a ResourceQuota",
    "one": "1 replica, its promises in a ConfigMap",
    "three": "3 replicas, their promises in a ConfigMap",
}
REPLICAS: Final = {"one": 1, "three": 3}
_HEAD: Final = (
    "creates",
    "a second",
    "x ResourceQuota",
    "not answered with 201",
    "p50 ms",
    "p99 ms",
)
_LIMIT: Final = {"pods": "100000000", "requests.cpu": "1000000", "requests.memory": "1000Ti"}


class Run(NamedTuple):
    """One way for one round."""

    per_second: float
    failed: float
    p50_ms: float
    p99_ms: float


def measure(quick: bool) -> list[Section]:  # noqa: FBT001 - as all of them are called
    """Return creates a second by way."""
    rounds, seconds = (2, 2) if quick else (5, 4)
    done: dict[str, list[Run]] = {way: [] for way in WAYS}
    with api_server() as api, TemporaryDirectory() as temporary, ExitStack() as stack:
        api.large_node()
        # What wrk leaves unfinished was promised for nothing, and a namespace in which that happens
        # often is held back (ledger-protocol L17): each round has namespaces of its own.
        places = {way: [api.namespace(f"{way}-{n}") for n in range(rounds + 1)] for way in WAYS}
        for place in places["quota"]:
            _set_quota(api, place)
        installed = {
            way: stack.enter_context(Installation(api.cluster, count, only_namespaces=places[way]))
            for way, count in REPLICAS.items()
        }
        loads = Loads(Path(temporary), None)
        for number in range(rounds + 1):
            for way in WAYS:
                run = _loaded(api, loads, places[way][number], seconds)
                if number:  # the first one warms up
                    done[way].append(run)
                    print(f"round {number} {way}: {run.per_second:,.0f}/s", flush=True)
        commits = {
            way: each.total("kube_headroom_ledger_commits_total") for way, each in installed.items()
        }
        promised = {way: promises(each) for way, each in installed.items()}
    grouped = "; ".join(
        f"{WAYS[way]}: {promised[way] / commits[way]:.0f} creates a write" for way in REPLICAS
    )
    text = (
        f"Pods of pod.yaml created by {CONNECTIONS} connections, {rounds} rounds of {seconds} s;"
        f" everything on the same two cores. {grouped}."
    )
    return [Section("Charged creates", text, _HEAD, _rows(done))]


def promises(installation: Installation) -> float:
    """Return how many reviews ended in a promise."""
    name = "kube_headroom_review_seconds_count"
    figures = [replica.figures() for replica in installation.replicas]
    return sum(each.total(name, charge="promised") for each in figures)


def _rows(done: dict[str, list[Run]]) -> tuple[tuple[str, ...], ...]:
    quota = done["quota"]
    return tuple(
        (
            WAYS[way],
            f"{median(run.per_second for run in runs):,.0f}",
            spread([a.per_second / b.per_second for a, b in zip(runs, quota, strict=True)]),
            f"{sum(run.failed for run in runs):,.0f}",
            f"{median(run.p50_ms for run in runs):.0f}",
            f"{median(run.p99_ms for run in runs):.0f}",
        )
        for way, runs in done.items()
    )


def _set_quota(api: Api, namespace: str) -> None:
    """Do what the quota's controller does: show what is used, nothing."""
    path = f"/api/v1/namespaces/{namespace}/resourcequotas"
    metadata = {"name": "large", "namespace": namespace}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata}
    status = {"hard": _LIMIT, "used": dict.fromkeys(_LIMIT, "0")}
    with api.cluster.client() as http:
        made = http.post(path, json={**quota, "spec": {"hard": _LIMIT}}).raise_for_status().json()
        whole = {**made, "status": status}
        http.put(f"{path}/large/status", json=whole).raise_for_status()


def _loaded(api: Api, loads: Loads, namespace: str, seconds: float) -> Run:
    path = f"/api/v1/namespaces/{namespace}/pods"
    bodies = pods(namespace, BODIES, "web-#-" + UID.decode())
    loads.write(namespace, (api.post(path, body) for body in bodies))
    told = loads.drive(namespace, api.cluster.url, seconds, connections=CONNECTIONS)
    created = told["requests"] - told["errors"]
    return Run(created / told["seconds"], told["errors"], told["p50"] * 1e3, told["p99"] * 1e3)


if __name__ == "__main__":
    run_alone(measure, __doc__)
