"""Creates through a real API server, with our webhook beside one that does nothing and beside none.

All three in turn in each round: what a webhook costs there is mostly the API server's own work.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from bench.api import Api, api_server, pods
from bench.load import LoadError, Loads
from bench.machine import Server, cpu_seconds
from bench.section import Section, run_alone, spread
from tests.chart.render import webhook_configuration
from tests.controlplane.waiting import wait_until
from tests.e2e.webhook import WebhookProcess

BODIES: Final = 1000
WAYS: Final = {
    "none": "no webhook",
    "nothing": "a webhook that does nothing (E)",
    "ours": "our webhook",
}
_HEAD: Final = ("creates", "a second", "x no webhook", "x E", "API server us", "webhook us")


class Run(NamedTuple):
    """One way for one round."""

    per_second: float
    server_us: float
    webhook_us: float


def measure(quick: bool) -> list[Section]:  # noqa: FBT001 - as all of them are called
    """Return creates a second by way."""
    rounds, seconds = (2, 2) if quick else (5, 5)
    done: dict[str, list[Run]] = {way: [] for way in WAYS}
    with api_server() as api, TemporaryDirectory() as temporary, ExitStack() as stack:
        api.large_node()
        loads = Loads(Path(temporary), None)
        processes = _webhooks(api, Path(temporary), stack)
        for way in WAYS:
            path = f"/api/v1/namespaces/{way}/pods?dryRun=All"
            loads.write(way, (api.post(path, body) for body in pods(way, BODIES, "web-#")))
        for way in WAYS:
            _loaded(api, loads, way, processes[way], 2)
        for number in range(rounds):
            for way in WAYS:
                run = _loaded(api, loads, way, processes[way], seconds)
                done[way].append(run)
                print(f"round {number + 1} {way}: {run.per_second:,.0f}/s", flush=True)
    text = (
        f"Pods of pod.yaml created in a dry run by 16 connections, {rounds} rounds of {seconds} s;"
        " everything on the same two cores. Microseconds are of CPU for one create."
    )
    return [Section("Through the API server", text, _HEAD, _rows(done))]


def _rows(done: dict[str, list[Run]]) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (
            WAYS[way],
            f"{median(run.per_second for run in runs):,.0f}",
            _ratios(runs, done["none"]),
            "" if way == "none" else _ratios(runs, done["nothing"]),
            f"{median(run.server_us for run in runs):,.0f}",
            "" if way == "none" else f"{median(run.webhook_us for run in runs):,.0f}",
        )
        for way, runs in done.items()
    )


def _ratios(runs: Sequence[Run], base: Sequence[Run]) -> str:
    return spread([a.per_second / b.per_second for a, b in zip(runs, base, strict=True)])


def _webhooks(api: Api, folder: Path, stack: ExitStack) -> dict[str, Callable[[], float]]:
    """Install both; return how to ask for the CPU time of each."""
    for way in WAYS:
        api.namespace(way)
    nothing = stack.enter_context(_nothing(api, folder))
    ours = stack.enter_context(WebhookProcess(api.cluster, only_namespaces=["ours"]))
    return {
        "none": lambda: 0.0,
        "nothing": lambda: nothing.cpu_seconds,
        "ours": lambda: cpu_seconds(ours.program.pid),
    }


@contextmanager
def _nothing(api: Api, folder: Path) -> Iterator[Server]:
    """Install E under the rules and conditions of ours."""
    pair = api.cluster.ca.issue_server("nothing", ["127.0.0.1"])
    (folder / "cert.pem").write_bytes(pair.cert_path.read_bytes())
    (folder / "key.pem").write_bytes(pair.key_path.read_bytes())
    with Server("bench.nothing", folder, None) as server:
        configuration = webhook_configuration(
            f"https://127.0.0.1:{server.port}/validate",
            api.cluster.ca_pem.encode(),
            release="nothing",
            only_namespaces=["nothing"],
        )
        api.cluster.apply({**configuration, "webhooks": configuration["webhooks"][:1]})
        (body,) = pods("nothing", 1, "web")
        before = server.cpu_seconds

        def asked() -> bool:
            api.cluster.apply(body, "--dry-run=server")
            return server.cpu_seconds > before

        wait_until(asked, 60, "the API server to ask the webhook that does nothing")
        yield server


def _loaded(api: Api, loads: Loads, way: str, webhook: Callable[[], float], seconds: float) -> Run:
    server_before, webhook_before = cpu_seconds(api.pid), webhook()
    told = loads.drive(way, api.cluster.url, seconds)
    if told["errors"]:
        raise LoadError(f"{way}: {told['errors']:.0f} creates failed")
    creates = told["requests"]
    return Run(
        per_second=creates / told["seconds"],
        server_us=(cpu_seconds(api.pid) - server_before) / creates * 1e6,
        webhook_us=(webhook() - webhook_before) / creates * 1e6,
    )


if __name__ == "__main__":
    run_alone(measure, __doc__)
