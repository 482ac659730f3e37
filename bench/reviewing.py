"""What a review costs over HTTPS, beside a server that decides nothing.

Rounds are interleaved: each measures E and every case once, so that a machine that is busy with
other things is so for all of them; a ratio is of two runs of one round.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from bench.load import Loads
from bench.machine import Server, two_cores
from kube_headroom.tls.issue import issue

CASES: Final = {
    "pod": "a bare pod, dry-run",
    "charged": "a bare pod, promised",
    "deployment": "a Deployment, dry-run",
    "skip": "a pod of a controller's (not ours to judge)",
}
BASELINE: Final = "E"
_WARM_SECONDS: Final = 1.0


class Run(NamedTuple):
    """One server under one load."""

    per_second: float
    cpu_us: float
    p50_ms: float
    p99_ms: float


class Row(NamedTuple):
    """One case over all rounds."""

    name: str
    ratios: tuple[float, ...]
    cpu_ratio: float
    run: Run


class Result(NamedTuple):
    """The table, and what the server weighed."""

    rows: tuple[Row, ...]
    rss_mb: float
    rss_after_mb: float


def measure(*, rounds: int, seconds: float, pods: int, nodes: int) -> Result:
    """Measure every case."""
    with TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        core, load_core = two_cores()
        servers: dict[str, Server] = {}
        for module, arguments in (
            ("bench.baseline", ()),
            ("bench.server", (f"--nodes={nodes}", f"--pods={pods}")),
        ):
            place = folder / module
            place.mkdir()
            _certificate(place)
            servers[module] = stack.enter_context(Server(module, place, core, arguments))
        baseline, ours = servers.values()
        loads = Loads(folder, load_core)
        plan = [(BASELINE, "pod", baseline), *((case, case, ours) for case in CASES)]
        for _, case, server in plan:
            loads.prepare(case, server.port)
            loads.run(case, server.port, _WARM_SECONDS)
        rss = ours.rss_mb
        done: dict[str, list[Run]] = {name: [] for name, _, _ in plan}
        for number in range(rounds):
            for name, case, server in plan:
                done[name].append(_loaded(loads, server, case, seconds))
                print(f"round {number + 1} {name}: {_shown(done[name][-1])}", flush=True)
        return Result(_rows(done), rss, ours.rss_mb)


def _loaded(loads: Loads, server: Server, case: str, seconds: float) -> Run:
    before = server.cpu_seconds
    told = loads.run(case, server.port, seconds)
    return Run(
        per_second=told["requests"] / told["seconds"],
        cpu_us=(server.cpu_seconds - before) / told["requests"] * 1e6,
        p50_ms=told["p50"] * 1e3,
        p99_ms=told["p99"] * 1e3,
    )


def _rows(done: dict[str, list[Run]]) -> tuple[Row, ...]:
    base = done[BASELINE]
    titles = {BASELINE: "E: reads the body, answers a fixed allow", **CASES}
    return tuple(
        Row(
            titles[name],
            tuple(
                sorted(run.per_second / one.per_second for run, one in zip(runs, base, strict=True))
            ),
            median(one.cpu_us / run.cpu_us for run, one in zip(runs, base, strict=True)),
            _middle(runs),
        )
        for name, runs in done.items()
    )


def _middle(runs: Sequence[Run]) -> Run:
    return Run(*(median(values) for values in zip(*runs, strict=True)))


def _shown(run: Run) -> str:
    return f"{run.per_second:,.0f}/s, {run.cpu_us:.0f} us, p99 {run.p99_ms:.1f} ms"


def _certificate(folder: Path) -> None:
    pair = issue(["localhost"], ["127.0.0.1"], ca_days=2, leaf_days=1, now=datetime.now(UTC))
    (folder / "cert.pem").write_bytes(pair.cert_pem)
    (folder / "key.pem").write_bytes(pair.key_pem)
