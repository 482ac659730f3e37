"""Build the node's programs from source and keep them in the user's cache.

`python -m tests.node.build` takes about two minutes the first time and nothing afterwards. The
versions are pinned in the go.mod files beside this file: containerd, the CNI plugins and a pause
process, each in a module of its own so that none decides another's dependencies.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from tests.controlplane.build import BuildError
from tests.controlplane.progress import Progress
from tests.controlplane.toolchain import Toolchain, find_go

MODULES = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Module:
    """A Go module beside this file and what is built from it."""

    name: str
    programs: tuple[str, ...]
    package: str = "tool"
    tags: str = ""
    version_variable: str = ""
    versioned_by: str = ""


# Snapshotters that need C libraries or kernel parts no test uses stay out of containerd.
CONTAINERD = Module(
    "containerd",
    programs=("containerd", "containerd-shim-runc-v2", "ctr"),
    tags="no_btrfs no_zfs no_aufs no_devmapper",
    version_variable="github.com/containerd/containerd/v2/version.Version",
    versioned_by="github.com/containerd/containerd/v2",
)
PLUGINS = Module("plugins", programs=("bridge", "host-local", "loopback"))
PAUSE = Module("pause", programs=("pause",), package=".")
ALL = (PLUGINS, PAUSE, CONTAINERD)


def cache_home() -> Path:
    """Return the folder in the user's cache that is ours."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "kube-headroom"


def cache_dir() -> Path:
    """Return the folder that belongs to exactly these sources, versions and flags."""
    digest = hashlib.sha256()
    for module in ALL:
        digest.update(repr(module).encode())
        for path in sorted((MODULES / module.name).iterdir()):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return cache_home() / f"node-{digest.hexdigest()[:16]}"


def obtain(out: TextIO = sys.stderr) -> Path:
    """Return the folder with all programs, building those that are not cached.

    Raises GoMissingError or BuildError.
    """
    home = cache_dir()
    if _is_whole(home):
        return home
    home.mkdir(parents=True, exist_ok=True)
    with (home / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = [module for module in ALL if not _has(home, module)]
        toolchain = find_go()
        progress = Progress(out, total=len(missing))
        for position, module in enumerate(missing, start=1):
            _build(toolchain, module, home, progress, position)
    return home


def _is_whole(home: Path) -> bool:
    return all(_has(home, module) for module in ALL)


def _has(home: Path, module: Module) -> bool:
    return all((home / program).exists() for program in module.programs)


def _build(
    toolchain: Toolchain, module: Module, home: Path, progress: Progress, position: int
) -> None:
    """Build a module's programs beside their place and move them there when they are whole."""
    started = time.monotonic()
    progress.begin(position, module.name)
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=home) as unfinished:
        done = subprocess.run(
            [
                *(toolchain.go, "build", "-trimpath", "-tags", module.tags),
                *("-ldflags", _linker_flags(module), "-o", f"{unfinished}/", module.package),
            ],
            cwd=MODULES / module.name,
            env=toolchain.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise BuildError(f"go build in {module.name} failed:\n{done.stderr[-4000:]}")
        for program in module.programs:
            (Path(unfinished) / program).replace(home / program)
    progress.end(position, module.name, time.monotonic() - started)


def _linker_flags(module: Module) -> str:
    """Return flags that strip the programs and tell containerd its version, from go.mod."""
    if not module.versioned_by:
        return "-s -w"
    text = (MODULES / module.name / "go.mod").read_text()
    found = re.search(rf"{re.escape(module.versioned_by)} (v\S+)", text)
    if found is None:
        raise BuildError(f"{module.name}/go.mod does not require {module.versioned_by}")
    return f"-s -w -X {module.version_variable}={found[1]}"


if __name__ == "__main__":
    print(obtain())
