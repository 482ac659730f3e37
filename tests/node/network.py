"""A network of its own for a whole cluster: a named network namespace with test addresses.

Everything a cluster says stays inside; on the machine itself nothing is configured. The addresses
are those reserved for documentation, so that a leak would lead nowhere.
"""

from __future__ import annotations

import secrets
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.node.packages import NodeMissingError, environment

API_SERVER_ADDRESS = "192.0.2.11"
NODE_ADDRESS = "192.0.2.12"
POD_RANGE = "192.0.2.128/25"
SERVICE_RANGE = "198.51.100.0/24"

# The `kubernetes` Service. No kube-proxy runs: its address is simply one of the machine's own.
SERVICE_ADDRESS = "198.51.100.1"
ADDRESSES = (API_SERVER_ADDRESS, NODE_ADDRESS, SERVICE_ADDRESS)


class Network:
    """A network namespace that exists as long as this context."""

    def __init__(self) -> None:
        self.name = f"kube-headroom-{secrets.token_hex(3)}"
        self.path = Path("/var/run/netns") / self.name

    @property
    def run_prefix(self) -> tuple[str, ...]:
        """What makes a command run inside; `ip netns exec` would hide the cgroups."""
        return ("nsenter", f"--net={self.path}", "--")

    def __enter__(self) -> Self:
        _ip("netns", "add", self.name)
        try:
            _ip("-n", self.name, "link", "set", "lo", "up")
            for address in ADDRESSES:
                _ip("-n", self.name, "address", "add", f"{address}/32", "dev", "lo")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the namespace; bridges and cables in it go with its last process."""
        _ip("netns", "delete", self.name)


def _ip(*arguments: str) -> None:
    done = subprocess.run(
        ("ip", *arguments),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    if done.returncode != 0:  # root in a container that may not make namespaces
        raise NodeMissingError(f"`ip {' '.join(arguments)}`: {done.stderr.strip()}")
