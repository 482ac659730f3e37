"""The control plane's long-running programs as child processes that cannot outlive the tests.

A `Launcher` starts them; each writes its own log, whose tail is shown when something fails.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import SystemRandom

# Below Linux's range for outgoing connections (32768 and up): a client that reconnects while the
# API server is down can otherwise be given the very port it dials, and meets itself there.
_PORTS = range(20_000, 32_000)


class ProgramError(RuntimeError):
    """A program ended or never became ready; the message carries the end of its log."""


class Program:
    """One program that can be started, stopped, killed, paused, and started again."""

    def __init__(
        self, name: str, command: Sequence[str | Path], launcher: Launcher, log: Path
    ) -> None:
        self.name = name
        self.log = log
        self._command = tuple(command)
        self._launcher = launcher
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id while it runs."""
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it; the log goes on where it was."""
        assert not self.is_running, f"{self.name} runs already"
        self._process = self._launcher.start(self._command, self.log)

    def assert_running(self) -> None:
        """Fail with the end of the log when it is not running."""
        if not self.is_running:
            code = None if self._process is None else self._process.returncode
            raise ProgramError(f"{self.name} ended with {code}; {self.tail()}")

    def stop(self, timeout: float = 60) -> None:
        """End it in good order (SIGTERM); kill it when that takes longer than `timeout`."""
        self._end(signal.SIGTERM, timeout)

    def kill(self) -> None:
        """End it at once (SIGKILL), also when it is paused."""
        self._end(signal.SIGKILL, timeout=30)

    def pause(self) -> None:
        """Let it hang: it keeps its connections and answers nothing (SIGSTOP)."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after a pause (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    def tail(self, lines: int = 25) -> str:
        """Return the end of the log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return f"end of {self.log}:\n" + "\n".join(text.splitlines()[-lines:])

    def _end(self, number: signal.Signals, timeout: float) -> None:
        process = self._process
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Launcher:
    """Starts child processes that the kernel kills when this process dies.

    The kernel means the *thread* that started the child, so one thread of our own starts them all
    and lives as long as the launcher: a test may restart a program from any thread.
    """

    def __init__(self, prefix: Sequence[str], environment: Mapping[str, str]) -> None:
        # setpriv sets the death signal and becomes the program, so the pid is the program's own.
        self._prefix = ("setpriv", "--pdeathsig", "KILL", "--", *prefix)
        self._environment = dict(environment)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="launcher")

    def start(self, command: Sequence[str | Path], log: Path) -> subprocess.Popen[bytes]:
        """Start `command` with its output appended to `log`."""
        return self._thread.submit(self._popen, command, log).result()

    def close(self) -> None:
        """End the launching thread, and with it whatever was not stopped."""
        self._thread.shutdown()

    def _popen(self, command: Sequence[str | Path], log: Path) -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            # A group of its own: Ctrl-C reaches us first, and we end the programs in order.
            return subprocess.Popen(
                [*self._prefix, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment,
                process_group=0,
            )


def free_port(address: str = "127.0.0.1") -> int:
    """Return a TCP port on which nothing listens now."""
    random = SystemRandom()
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                continue
            return port
