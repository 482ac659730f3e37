"""The machine and its processes: which core runs what, and what it cost there."""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

START_SECONDS = 180.0
_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
ROOT = Path(__file__).parents[1]


class Server:
    """One server process, on one core unless that is None, gone at the end."""

    def __init__(
        self, module: str, folder: Path, core: int | None, arguments: Sequence[str] = ()
    ) -> None:
        self._ready = folder / "ready"
        self._ready.unlink(missing_ok=True)
        with (folder / f"{module}.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, f"--folder={folder}", *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
            )
        if core is not None:
            place(self._process.pid, core)
        self.port = self._wait_for_port()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def cpu_seconds(self) -> float:
        """User and system time so far."""
        return cpu_seconds(self._process.pid)

    @property
    def rss_mb(self) -> float:
        """Resident memory, in millions of bytes."""
        return rss_mb(self._process.pid)

    def _wait_for_port(self) -> int:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            text = self._ready.read_text() if self._ready.exists() else ""
            if text:
                ready = json.loads(text)
                return int(ready["port"] if isinstance(ready, dict) else ready)
            time.sleep(0.05)
        raise RuntimeError("the server did not start; see its log")


def cpu_seconds(pid: int) -> float:
    """Return a process's user and system time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_SECONDS


def rss_mb(pid: int) -> float:
    """Return a process's resident memory, in millions of bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def run_on(core: int, module: str, arguments: Sequence[str]) -> Any:  # noqa: ANN401 - JSON
    """Run a module on one core and return what it prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        check=True,
        cwd=ROOT,
        preexec_fn=partial(place, 0, core),
    )
    return json.loads(done.stdout)


def place(pid: int, core: int) -> None:
    """Bind a process to a core, before others there if that is allowed."""
    os.sched_setaffinity(pid, {core})
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, pid, -15)


def first_in_line() -> None:
    """Put this session before others on the machine, as far as that is allowed."""
    with suppress(OSError):
        os.setsid()
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text("-15")


def two_cores() -> tuple[int, int]:
    """Return a core for the server and one for the load."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[0], cores[-1]


def description() -> str:
    """Say what machine this is, without its name, and how busy it is with other things."""
    cpu = "unknown CPU"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
    busy = f"load average {os.getloadavg()[0]:.1f} before the run"
    return f"{os.cpu_count()} cores of {cpu}, Linux, Python {platform.python_version()}, {busy}"


def commit() -> str:
    """Return the commit that is measured, marked where files differ from it."""
    text = _git("rev-parse", "--short", "HEAD")
    return f"{text}+" if _git("status", "--porcelain", "--", "app") else text


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )
    return done.stdout.strip()
