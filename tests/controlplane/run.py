"""Start a control plane by hand: `python -m tests.controlplane.run --nodes 3`, end it with Ctrl-C.

The two printed `export` lines make kubectl and helm in another terminal speak to it.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time

from tests.controlplane.build import Binaries, BuildError, obtain
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.programs import ProgramError
from tests.controlplane.toolchain import GoMissingError


def main() -> int:
    """Run a control plane until a signal ends it."""
    parser = argparse.ArgumentParser(prog="python -m tests.controlplane.run", description=__doc__)
    parser.add_argument("--nodes", type=int, default=3, help="simulated nodes to add (default 3)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _run(obtain(), arguments.nodes)
    except KeyboardInterrupt:
        return 0
    except (GoMissingError, BuildError, ProgramError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _run(binaries: Binaries, nodes: int) -> None:
    started = time.monotonic()
    with ControlPlane(binaries=binaries) as cluster:
        if nodes:
            cluster.add_nodes(nodes)
        _announce(cluster, time.monotonic() - started)
        signal.pause()


def _announce(cluster: ControlPlane, seconds: float) -> None:
    sys.stdout.write(f"export KUBECONFIG={cluster.kubeconfig}\n")
    sys.stdout.write(f"export PATH={cluster.binaries.programs['kubectl'].parent}:$PATH\n")
    sys.stdout.flush()
    sys.stderr.write(f"started in {seconds:.1f} s; logs in {cluster.folder}; Ctrl-C ends it\n")


if __name__ == "__main__":
    sys.exit(main())
