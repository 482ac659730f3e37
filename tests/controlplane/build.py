"""Build the control plane's programs from source and keep them in the user's cache.

`python -m tests.controlplane.build` takes minutes the first time and nothing afterwards; each
finished program stays, so an interrupted build goes on where it was. The versions are pinned in
the go.mod beside this file. `KUBEBUILDER_ASSETS=DIR` takes the programs found in DIR instead.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TextIO

from tests.controlplane.progress import Progress
from tests.controlplane.toolchain import GoMissingError, Toolchain, find_go

MODULE = Path(__file__).parent

# Ours first name, then the Go package; the slowest common parts come early and are shared.
TOOLS: Mapping[str, str] = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    "kwok": "sigs.k8s.io/kwok/cmd/kwok",
    "helm": "helm.sh/helm/v4/cmd/helm",
    "kubelet": "k8s.io/kubernetes/cmd/kubelet",
}

# What kwok does with nodes and pods; it exits without any. Nodes live by their lease.
STAGES = (
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
)


class BuildError(RuntimeError):
    """A program could not be built; the message ends with what Go said."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """Where the programs are."""

    home: Path
    programs: Mapping[str, Path]

    @property
    def stages(self) -> tuple[Path, ...]:
        """The kwok stage files."""
        return tuple(self.home / "stages" / Path(stage).name for stage in STAGES)


def cache_dir() -> Path:
    """Return the folder that belongs to exactly these pinned versions and flags."""
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum"):
        digest.update((MODULE / name).read_bytes())
    digest.update(_linker_flags().encode())
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "kube-headroom" / f"controlplane-{digest.hexdigest()[:16]}"


def obtain(out: TextIO = sys.stderr) -> Binaries:
    """Return all programs, building those that are neither given nor cached.

    Raises GoMissingError or BuildError.
    """
    home = cache_dir()
    programs = {name: home / name for name in TOOLS} | _given()
    if _missing(programs) or not (home / "stages").is_dir():
        home.mkdir(parents=True, exist_ok=True)
        with _only_builder(home, out):
            _build_missing(home, programs, out)
    return Binaries(home, programs)


def _given() -> dict[str, Path]:
    """Return the programs in KUBEBUILDER_ASSETS, if that folder holds an API server."""
    folder = Path(os.environ.get("KUBEBUILDER_ASSETS") or "/nonexistent")
    if not (folder / "kube-apiserver").exists():
        return {}
    return {name: folder / name for name in TOOLS if (folder / name).exists()}


def _missing(programs: Mapping[str, Path]) -> list[str]:
    return [name for name, path in programs.items() if not path.exists()]


@contextmanager
def _only_builder(home: Path, out: TextIO) -> Iterator[None]:
    """Hold the lock of this folder: a second run waits and then finds everything done."""
    with (home / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            out.write(f"another run builds into {home}: waiting for it\n")
            out.flush()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build_missing(home: Path, programs: Mapping[str, Path], out: TextIO) -> None:
    toolchain = find_go()
    missing = _missing(programs)
    progress = Progress(out, total=len(missing))
    if missing:
        progress.say(
            f"building {len(missing)} programs with Go {toolchain.version} into {home}"
            " (about 8 minutes on 2 cores, once)"
        )
    for position, name in enumerate(missing, start=1):
        _build(toolchain, name, home / name, progress, position)
    if not (home / "stages").is_dir():
        _copy_stages(toolchain, home)


def _build(
    toolchain: Toolchain, name: str, target: Path, progress: Progress, position: int
) -> None:
    """Build one program beside its place and move it there when it is whole."""
    started = time.monotonic()
    unfinished = target.with_name(f".{name}.unfinished")
    command: list[str | Path] = [toolchain.go, "build", "-trimpath", "-ldflags", _linker_flags()]
    progress.begin(position, name)
    with tempfile.TemporaryFile("w+") as log:
        code = _run(
            [*command, "-o", unfinished, TOOLS[name]],
            toolchain,
            log=log,
            tick=lambda: progress.tick(position, name),
        )
        if code != 0:
            log.seek(0)
            raise BuildError(f"go build {TOOLS[name]} failed:\n{log.read()[-4000:]}")
    unfinished.replace(target)
    progress.end(position, name, time.monotonic() - started)


def _run(
    command: Sequence[str | Path], toolchain: Toolchain, *, log: IO[str], tick: Callable[[], None]
) -> int:
    """Run a long command, ticking every second; an interrupt ends the command too."""
    with subprocess.Popen(
        command, cwd=MODULE, env=toolchain.environment(), stdout=log, stderr=log
    ) as process:
        try:
            while True:
                try:
                    return process.wait(timeout=1)
                except subprocess.TimeoutExpired:
                    tick()
        finally:
            process.kill()


def _copy_stages(toolchain: Toolchain, home: Path) -> None:
    """Copy kwok's own stage files out of its module."""
    done = subprocess.run(
        [toolchain.go, "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kwok"],
        cwd=MODULE,
        env=toolchain.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 or not done.stdout.strip():
        raise BuildError(f"kwok's module folder cannot be found: {done.stderr}")
    unfinished = Path(tempfile.mkdtemp(prefix=".stages-", dir=home))
    for stage in STAGES:
        # Not copy2: files in Go's module cache are read-only.
        source = Path(done.stdout.strip()) / "kustomize" / "stage" / stage
        shutil.copyfile(source, unfinished / source.name)
    unfinished.rename(home / "stages")


def _linker_flags() -> str:
    """Return flags that strip the programs and tell them their version, from go.mod."""
    kubernetes = _pinned("k8s.io/kubernetes")
    major, minor, _ = kubernetes.removeprefix("v").split(".", 2)
    versions = {
        "k8s.io/component-base/version.gitVersion": kubernetes,
        "k8s.io/component-base/version.gitMajor": major,
        "k8s.io/component-base/version.gitMinor": minor,
        "helm.sh/helm/v4/internal/version.version": _pinned("helm.sh/helm/v4"),
    }
    return " ".join(["-s -w", *(f"-X {name}={value}" for name, value in versions.items())])


def _pinned(module: str) -> str:
    found = re.search(
        rf"^\s*{re.escape(module)} (v\S+)", (MODULE / "go.mod").read_text(), re.MULTILINE
    )
    if found is None:
        raise BuildError(f"go.mod does not require {module}")
    return found[1]


def main() -> int:
    """Build what is missing; 1 when that is impossible."""
    parser = argparse.ArgumentParser(prog="python -m tests.controlplane.build", description=__doc__)
    parser.add_argument("--print-dir", action="store_true", help="print the folder on stdout")
    arguments = parser.parse_args()
    try:
        binaries = obtain()
    except (GoMissingError, BuildError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if arguments.print_dir:
        sys.stdout.write(f"{binaries.home}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
