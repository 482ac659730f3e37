"""What a thousand watch events a second cost a server that is otherwise left alone.

Pods of a big cluster change at that rate under a real API server; each change is one event.
"""

import time
from typing import Final

from bench.big import Big, big_cluster, size_of
from bench.cold_start import READY_SECONDS, installed
from bench.machine import cpu_seconds, rss_mb
from bench.section import Section, run_alone

PER_SECOND: Final = 1000
AT_ONCE: Final = 10
_HEAD: Final = (
    "pods",
    "events a second",
    "% of a core",
    "CPU us an event",
    "resident MB",
    "after it",
)


def measure(quick: bool) -> list[Section]:  # noqa: FBT001 - as all of them are called
    """Return what the events cost."""
    with big_cluster(size_of(quick=quick)) as big:
        return [measure_in(big, seconds(quick=quick))]


def seconds(*, quick: bool) -> int:
    """Return how long pods change."""
    return 5 if quick else 60


def measure_in(big: Big, seconds: int) -> Section:
    """Return what the events cost in a cluster that is there."""
    with installed(big) as webhook:
        webhook.start()
        webhook.wait_ready(READY_SECONDS)
        pid = webhook.program.pid
        rows = tuple(_row(big, pid, seconds, rate) for rate in (0, PER_SECOND))
    text = (
        f"{big.size.pods:,} pods on {big.size.nodes:,} nodes; for {seconds} s pods change in etcd,"
        f" {AT_ONCE} at a time, and a real API server on the same two cores tells of them."
        " The goal is 25 % of a core."
    )
    return Section("Watching", text, _HEAD, rows)


def _row(big: Big, pid: int, seconds: int, rate: int) -> tuple[str, ...]:
    before, rss, started = cpu_seconds(pid), rss_mb(pid), time.monotonic()
    events = _change(big, seconds, rate) if rate else 0
    time.sleep(max(0.0, started + seconds - time.monotonic()))
    spent, took = cpu_seconds(pid) - before, time.monotonic() - started
    each = f"{spent / events * 1e6:.0f}" if events else ""
    cells = ("change" if rate else "stay", f"{events / took:,.0f}", f"{spent / took * 100:.1f}")
    return (*cells, each, f"{rss:.0f}", f"{rss_mb(pid):.0f}")


def _change(big: Big, seconds: int, rate: int) -> int:
    """Change pods at a rate; return how many were."""
    started, done = time.monotonic(), 0
    while done < rate * seconds:
        time.sleep(max(0.0, started + done / rate - time.monotonic()))
        numbers = (n * 7919 % big.size.pods for n in range(done, done + AT_ONCE))
        big.etcd.put([big.pod(number, b"%d" % done) for number in numbers])
        done += AT_ONCE
    return done


if __name__ == "__main__":
    run_alone(measure, __doc__)
