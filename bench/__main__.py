"""`make bench`, or `python -m bench --quick` for a look that writes nothing.

Reviews alone, without an API server, and then what needs one, stage by stage.
"""

import argparse
import sys
from collections.abc import Iterable

from bench import report
from bench.in_cluster import STAGES
from bench.machine import commit, description, first_in_line, run_on, two_cores
from bench.parts import TITLES
from bench.reviewing import measure
from bench.section import Section

REVIEWS = "reviews"


def main() -> int:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=3.0, help="of load a run (default 3)")
    parser.add_argument("--pods", type=int, default=150_000)
    parser.add_argument("--nodes", type=int, default=5_000)
    parser.add_argument("--quick", action="store_true", help="small and short; writes nothing")
    parser.add_argument("--only", choices=(REVIEWS, *STAGES), help="this stage alone")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.rounds, chosen.seconds, chosen.pods, chosen.nodes = 3, 1.0, 3_000, 100
    machine = description()
    first_in_line()
    if chosen.only in {None, REVIEWS}:
        _reviews(chosen, machine)
    for stage, measured in STAGES.items():
        if chosen.only in {None, stage}:
            _in_cluster(measured(chosen.quick), machine, write=not chosen.quick)
    return 0


def _reviews(chosen: argparse.Namespace, machine: str) -> None:
    """Measure reviews by themselves."""
    size = (f"--pods={chosen.pods}", f"--nodes={chosen.nodes}")
    parts = run_on(two_cores()[0], "bench.parts", size)
    for name, value in parts.items():
        print(f"{TITLES[name]}: {value:.1f} us")
    result = measure(
        rounds=chosen.rounds, seconds=chosen.seconds, pods=chosen.pods, nodes=chosen.nodes
    )
    for row in result.rows:
        print(
            f"{row.name}: {row.ratios[len(row.ratios) // 2]:.2f} x E"
            f" ({row.ratios[0]:.2f}-{row.ratios[-1]:.2f}), {row.cpu_ratio:.2f} by CPU,"
            f" {row.run.cpu_us:.0f} us"
        )
    print(f"resident: {result.rss_mb:.0f} MB")
    if not chosen.quick:
        shape = f"{chosen.pods:,} pods on {chosen.nodes:,} nodes"
        stamp = (report.today(), commit())
        report.write(result, parts, shape=shape, stamp=stamp, machine=machine)


def _in_cluster(sections: Iterable[Section], machine: str, *, write: bool) -> None:
    """Measure what needs an API server; what one found is written before the next begins."""
    for section in sections:
        section.show()
        if write:
            report.write_in_cluster(section, stamp=(report.today(), commit()), machine=machine)


if __name__ == "__main__":
    sys.exit(main())
