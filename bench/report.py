"""bench/README.md: written by the command, never by hand.

The last run in full; of those before it one line each, taken over from the file itself.
"""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Final

from bench.parts import TITLES
from bench.reviewing import Result, Row
from bench.section import Section

PATH: Final = Path(__file__).parent / "README.md"
_RUN: Final = "| 20"
_IN_CLUSTER: Final = "## In a cluster"
_ALL_RUNS: Final = "## All runs: a bare pod, dry-run"
_HEAD: Final = """\
# What it costs

Written by `make bench`; changed by nothing else. `/validate` is measured over TLS 1.3 with 16
keep-alive connections, server and load on one core each, by wrk. The
reviews are what a real API server sent for [pod.yaml](pod.yaml) (`reviews/`), about 10 KB each, a
thousand different ones. **E** is a bare ASGI function on the same uvicorn, uvloop and httptools that
reads the body and answers a fixed allow: what is left when nothing is decided. The server is the
real one over a generated cluster; it answers an ordinary review on uvicorn's connection, before there
is a request, and so leaves out a part of what E does. Ratios are of runs that follow one another in one round; CPU is
user and system time of the server's process, and the ratio to trust where the machine was busy with
other things. The goal is 0.70 of E for a pod in dry-run, at least
0.60.
"""


def write(
    result: Result, parts: dict[str, float], *, shape: str, stamp: tuple[str, str], machine: str
) -> None:
    """Write the page: `stamp` is date and commit, `shape` says how large the cluster is."""
    earlier = [line for line in _old_lines() if not line.startswith(f"| {stamp[0]} | {stamp[1]} |")]
    pod = next(row for row in result.rows if row.name.startswith("a bare pod, dry"))
    this = _line(
        (*stamp, shape, _ratio(pod), f"{pod.cpu_ratio:.2f}", f"{pod.run.cpu_us:.0f}"),
    )
    PATH.write_text(
        "\n".join(
            [
                _HEAD,
                f"## {stamp[0]}, {stamp[1]}\n\n{machine}; a book of {shape}.\n",
                *_table(
                    ("server", "x E (min-max)", "x E by CPU", "CPU us", "p50 ms", "p99 ms"),
                    [_cells(row) for row in result.rows],
                ),
                f"\nResident memory: {result.rss_mb:.0f} MB with that book,"
                f" {result.rss_after_mb:.0f} MB after all rounds.\n",
                *_table(
                    ("part, alone", "CPU us"),
                    [(TITLES[name], f"{value:.1f}") for name, value in parts.items()],
                ),
                *([f"\n{_in_cluster()}"] if _in_cluster() else []),
                f"\n{_ALL_RUNS}\n",
                *_table(("date", "commit", "book", "x E (min-max)", "x E by CPU", "CPU us"), []),
                this,
                *earlier,
                "",
            ]
        )
    )


def write_in_cluster(section: Section, *, stamp: tuple[str, str], machine: str) -> None:
    """Write what one bench over a real API server found, in the place of what it found before."""
    title = f"### {section.title}"
    table = _table(section.head, section.rows)
    written = "\n".join(
        [title, "", f"{stamp[0]}, {stamp[1]}; {machine}. {section.text}", "", *table]
    )
    old = _in_cluster()
    head, *rest = (old or _IN_CLUSTER).split("\n\n### ")
    others = {each.partition("\n")[0]: f"### {each}" for each in rest}
    new = "\n\n".join([head, *{**others, section.title: written}.values()])
    before, mark, after = PATH.read_text().partition(old or _ALL_RUNS)
    PATH.write_text(before + new + ("" if old else f"\n\n{mark}") + after)


def _in_cluster() -> str:
    """Return what the page says of it, up to the next heading."""
    text = PATH.read_text() if PATH.exists() else ""
    _, mark, rest = text.partition(f"\n{_IN_CLUSTER}")
    return (_IN_CLUSTER + rest.partition("\n## ")[0]).rstrip() if mark else ""


def today() -> str:
    """Return the date of a run."""
    return date.today().isoformat()  # noqa: DTZ011 - where it runs


def _old_lines() -> list[str]:
    lines = PATH.read_text().splitlines() if PATH.exists() else []
    return [line for line in lines if line.startswith(_RUN)]


def _cells(row: Row) -> tuple[str, ...]:
    run = row.run
    return (
        row.name,
        _ratio(row),
        f"{row.cpu_ratio:.2f}",
        f"{run.cpu_us:.0f}",
        f"{run.p50_ms:.1f}",
        f"{run.p99_ms:.1f}",
    )


def _ratio(row: Row) -> str:
    ratios = row.ratios
    return f"{ratios[len(ratios) // 2]:.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [_line(head), "|" + "---|" * len(head), *map(_line, rows)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
