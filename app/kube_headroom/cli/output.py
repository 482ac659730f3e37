"""What commands print for people: aligned tables; errors and warnings on stderr.

Texts come from other people's manifests: whatever could steer a terminal is made visible instead.
"""

import os
import sys
from collections.abc import Sequence
from typing import Final, TextIO

import click

FORMATS: Final = ("table", "json", "yaml")

_BOLD: Final = "1"
_RED: Final = "31"
_YELLOW: Final = "33"


def output_option(*formats: str) -> click.Option:
    """Return the option -o with these formats, the first being the default."""
    return click.Option(
        ["-o", "--output", "form"],
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help="Output format.",
    )


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under a header, columns two spaces apart as kubectl has them."""
    lines = [[printable(cell) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for index, line in enumerate(lines):
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        text = "  ".join(cells).rstrip()
        click.echo(_styled(text, _BOLD, sys.stdout) if index == 0 else text)


def print_error(text: str) -> None:
    """Print an error on stderr."""
    click.echo(f"{_styled('error:', _RED, sys.stderr)} {printable(text)}", err=True)


def print_warning(text: str) -> None:
    """Print a warning on stderr."""
    click.echo(f"{_styled('warning:', _YELLOW, sys.stderr)} {printable(text)}", err=True)


def printable(text: str) -> str:
    """Return the text with control and other invisible characters written out."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def _styled(text: str, code: str, stream: TextIO) -> str:
    if os.environ.get("NO_COLOR") or not stream.isatty():
        return text
    return f"\x1b[{code}m{text}\x1b[0m"
