"""A machine within the machine: mounts, process numbers and /run of their own.

Its first process holds everything: when that is killed the kernel ends every other one (shims and
containers too) and drops every mount, so that no cleaning has to know what a kubelet leaves.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
from pathlib import Path

from tests.controlplane.programs import Launcher, Program
from tests.controlplane.shell import Shell
from tests.controlplane.waiting import wait_until
from tests.node.packages import environment

CGROUPS = Path("/sys/fs/cgroup")

# Fixed paths of containerd, CNI and kubelet: each machine sees empty ones instead of the real.
PRIVATE_FOLDERS = ("/run", "/var/log", "/var/lib/cni", "/var/lib/kubelet")

# $1 is the file that says "up". Kubelets want shared mounts; on a machine with both cgroup
# versions the second is hidden, as kubelet and runc must agree on one. `wait` reaps orphans.
_FIRST_PROCESS = """
set -eu
up=$1; shift
mount --make-rshared /
for folder in "$@"; do mount -t tmpfs tmpfs "$folder"; done
if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi
touch "$up"
sleep infinity & wait
"""


class Machine:
    """Private namespaces in which programs run until `close`."""

    def __init__(self, folder: Path, network_prefix: tuple[str, ...], path: str) -> None:
        self.cgroup = f"kube-headroom-{secrets.token_hex(3)}"
        self._folder = folder
        self._environment = {**environment(), "PATH": path, "HOME": str(folder)}
        self._outer = Launcher(network_prefix, self._environment)
        self._inner: Launcher | None = None
        self._made_folders: list[Path] = []
        self._programs: list[Program] = []
        self._first = Program("first process", self._command(), self._outer, folder / "machine.log")

    def start(self) -> None:
        """Make the namespaces; return when programs can be started in them."""
        for name in PRIVATE_FOLDERS:
            if not Path(name).exists():
                Path(name).mkdir(parents=True)
                self._made_folders.append(Path(name))
        self._make_cgroups()
        self._first.start()
        wait_until(self._is_up, 20, "the namespaces of the node")
        self._inner = Launcher(self._enter_prefix(), self._environment)

    def run_program(self, name: str, *command: str | Path) -> Program:
        """Start a program that runs until the machine ends."""
        assert self._inner is not None, "the machine was not started"
        program = Program(name, command, self._inner, self._folder / f"{name}.log")
        program.start()
        self._programs.append(program)
        return program

    @property
    def shell(self) -> Shell:
        """Runs short commands inside."""
        return Shell(self._enter_prefix(), self._environment)

    def close(self) -> None:
        """End every process of the machine, then remove its cgroups."""
        self._kill_first()
        # Each ends by itself when its child is gone; killed earlier it would leave that child a
        # zombie to whatever is process 1 outside.
        wait_until(self._all_ended, 20, "the node's programs to end")
        for launcher in (self._inner, self._outer):
            if launcher is not None:
                launcher.close()
        wait_until(self._cgroups_are_gone, 20, f"the cgroups {self.cgroup} to be empty")
        for folder in reversed(self._made_folders):
            with contextlib.suppress(OSError):  # someone else uses it by now
                folder.rmdir()

    def _make_cgroups(self) -> None:
        for top in _hierarchies():
            offered = top / "cgroup.controllers"
            if offered.exists():  # version 2: children have only what their parent passes on
                wanted = " ".join(f"+{name}" for name in offered.read_text().split())
                (top / "cgroup.subtree_control").write_text(wanted)
            (top / self.cgroup).mkdir()

    def _kill_first(self) -> None:
        pids = self._first_pids() if self._first.is_running else []
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        if not pids:  # it never came so far; unshare itself goes
            self._first.kill()

    def _all_ended(self) -> bool:
        return not any(program.is_running for program in (self._first, *self._programs))

    def _command(self) -> tuple[str | Path, ...]:
        return (
            *("unshare", "--mount", "--propagation=private", "--pid", "--fork"),
            *("--kill-child=KILL", "--mount-proc", "sh", "-c", _FIRST_PROCESS, "sh"),
            *(self._folder / "up", *PRIVATE_FOLDERS),
        )

    def _is_up(self) -> bool:
        self._first.assert_running()
        return (self._folder / "up").exists()

    def _enter_prefix(self) -> tuple[str, ...]:
        (target,) = self._first_pids()
        return ("nsenter", f"--target={target}", "--mount", "--pid", "--net", "--")

    def _first_pids(self) -> list[int]:
        """Return the number, outside, of what is number 1 inside: the only child of unshare."""
        outer = self._first.pid
        return [
            int(pid) for pid in Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
        ]

    def _cgroups_are_gone(self) -> bool:
        """Remove the machine's cgroups in every hierarchy; tell whether none is left."""
        for top in _hierarchies():
            for folder, _, _ in os.walk(top / self.cgroup, topdown=False):
                with contextlib.suppress(OSError):  # a process in it is still ending
                    Path(folder).rmdir()
        return not any((top / self.cgroup).exists() for top in _hierarchies())


def _hierarchies() -> list[Path]:
    """Return the roots of the machine's cgroup trees: one (v2) or one per controller (v1)."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [top for top in CGROUPS.iterdir() if (top / "cgroup.procs").exists()]
