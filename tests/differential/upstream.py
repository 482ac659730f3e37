"""Kubernetes' own answers: the Go program of this folder, built once and kept in the user's cache."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.controlplane.toolchain import find_go

MODULE = Path(__file__).parent
SOURCES = ("go.mod", "go.sum", "main.go")


def obtain() -> Path:
    """Return the program of exactly these sources, building it if it is not cached.

    Raises GoMissingError, or CalledProcessError with what Go said.
    """
    digest = hashlib.sha256()
    for name in SOURCES:
        digest.update((MODULE / name).read_bytes())
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = base / "kube-headroom" / f"differential-{digest.hexdigest()[:16]}"
    program = home / "differential"
    if not program.exists():
        home.mkdir(parents=True, exist_ok=True)
        # A name of our own: a second run builds beside this one, and the last rename wins.
        unfinished = home / f".unfinished-{os.getpid()}"
        toolchain = find_go()
        subprocess.run(
            [toolchain.go, "build", "-trimpath", "-o", unfinished, "."],
            cwd=MODULE,
            env=toolchain.environment(),
            check=True,
            capture_output=True,
            text=True,
        )
        unfinished.replace(program)
    return program


def ask(program: Path, questions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return one answer for each question."""
    done = subprocess.run(
        [program],
        input="".join(json.dumps(question) + "\n" for question in questions),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(questions)
    return answers
