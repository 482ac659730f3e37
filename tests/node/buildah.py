"""Buildah without a daemon, a registry or the machine's own image store.

Separate because the base image and ours are made with the same store and the same isolation.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.controlplane.build import BuildError
from tests.node.build import cache_home
from tests.node.packages import environment

# Making an image copies a root file system several times and fetches the dependencies once.
TIMEOUT_SECONDS = 900


def buildah(*arguments: str | Path, cwd: Path | None = None) -> str:
    """Run buildah on our own store and return what it said; raise BuildError otherwise."""
    store = cache_home() / "containers"
    return run(
        *("buildah", "--root", store / "storage", "--runroot", store / "run"),
        *("--storage-driver", "vfs", *arguments),
        cwd=cwd,
    )


def has_image(name: str) -> bool:
    """Tell whether the store holds an image of this name."""
    return bool(buildah("images", "-q", "--filter", f"reference={name}").strip())


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command to its end and return its output; raise BuildError with both streams."""
    done = subprocess.run(
        command,
        cwd=cwd,
        # chroot isolation asks for nothing that a container on a test machine may lack.
        env={**environment(), "BUILDAH_ISOLATION": "chroot"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_SECONDS,
    )
    if done.returncode != 0:
        raise BuildError(f"{command[0]} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return done.stdout
