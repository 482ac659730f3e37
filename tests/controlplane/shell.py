"""Running kubectl and helm against one control plane, as a person at a terminal would."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Done = subprocess.CompletedProcess[str]

# The exit code of timeout(1).
TIMED_OUT = 124


class CommandError(AssertionError):
    """A command ended with an error; the message is what it said."""

    def __init__(self, done: Done) -> None:
        words = " ".join(str(word) for word in done.args)
        super().__init__(f"`{words}` ended with {done.returncode}: {done.stderr or done.stdout}")
        self.done = done


@dataclass(frozen=True, slots=True)
class Shell:
    """Runs short commands with a fixed environment and prefix."""

    prefix: tuple[str, ...]
    environment: Mapping[str, str]

    def run(
        self,
        command: Sequence[str | Path],
        *,
        text: str | None = None,
        check: bool = True,
        timeout: float = 60,
    ) -> Done:
        """Run to the end with `text` on its standard input; CommandError when that fails."""
        words = [*self.prefix, *command]
        try:
            done = subprocess.run(
                words,
                # Never our own standard input: a command that reads it would wait for a person.
                input=text or "",
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout,
                env=dict(self.environment),
            )
        except subprocess.TimeoutExpired:
            done = Done(words, TIMED_OUT, "", f"no end after {timeout:g} s, so it was killed")
        if check and done.returncode != 0:
            raise CommandError(done)
        return done
