"""Showing that a long build is alive: a ticking line on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TextIO


@dataclass(slots=True)
class Progress:
    """Tells what is being built, which of how many, and for how long."""

    out: TextIO
    total: int
    started: float = field(default_factory=time.monotonic)

    def begin(self, position: int, name: str) -> None:
        """Say that the work on `name` begins."""
        self._write(f"[{position}/{self.total}] building {name} ...", lasting=not self._is_terminal)

    def tick(self, position: int, name: str) -> None:
        """Refresh the line on a terminal; a log gets one line per tool only."""
        if self._is_terminal:
            self._write(f"[{position}/{self.total}] building {name} ... {self._elapsed}")

    def end(self, position: int, name: str, seconds: float) -> None:
        """Say that `name` is there."""
        line = f"[{position}/{self.total}] {name} built in {seconds:.0f} s, {self._elapsed}"
        self._write(line, lasting=True)

    def say(self, message: str) -> None:
        """Print one line that stays."""
        self._write(message, lasting=True)

    @property
    def _is_terminal(self) -> bool:
        return self.out.isatty()

    @property
    def _elapsed(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self.started), 60)
        return f"{minutes}:{seconds:02} elapsed"

    def _write(self, text: str, *, lasting: bool = False) -> None:
        # On a terminal every write first clears the ticking line.
        prefix = "\r\x1b[K" if self._is_terminal else ""
        self.out.write(f"{prefix}{text}{chr(10) if lasting else ''}")
        self.out.flush()
