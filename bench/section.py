"""What one of the benches in a cluster found: a table, and a sentence on what was done."""

import argparse
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple


class Section(NamedTuple):
    """One table of the page."""

    title: str
    text: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def show(self) -> None:
        """Print it."""
        print(f"\n{self.title}: {self.text}")
        for row in (self.head, *self.rows):
            print("  " + " | ".join(row))


def spread(values: Sequence[float], form: str = ".2f") -> str:
    """Return the median, and from where to where they go."""
    return f"{median(values):{form}} ({min(values):{form}}-{max(values):{form}})"


def run_alone(measure: Callable[[bool], Sequence[Section]], description: str | None) -> None:
    """Measure and print, as `python -m bench.NAME` does."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="small and short")
    for section in measure(parser.parse_args().quick):
        section.show()
