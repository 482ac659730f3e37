"""A cluster with the webhook in it, to try by hand: `make cluster`, end it with Ctrl-C.

A real control plane with simulated nodes, and the real server as the chart installs it. The two
printed `export` lines make kubectl in another terminal speak to it.
"""

from __future__ import annotations

import argparse
import signal
import sys

from tests.controlplane.build import BuildError, obtain
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.programs import ProgramError
from tests.controlplane.toolchain import GoMissingError
from tests.e2e.webhook import WebhookProcess

SPARE_LINES = """\
# now, in another terminal with these two lines:
#   kubectl create namespace shop
#   kubectl apply -n shop -f examples/demo/1-web.yaml
#   kubectl create deployment bare -n shop --image=nginx
#   kubectl edit configmap -n {namespace} {policy}
"""


def main() -> int:
    """Run a cluster with the webhook until a signal ends it."""
    parser = argparse.ArgumentParser(prog="make cluster", description=__doc__)
    parser.add_argument("--nodes", type=int, default=3, help="simulated nodes (default 3)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ControlPlane(binaries=obtain()) as cluster:
            cluster.add_nodes(arguments.nodes)
            with WebhookProcess(cluster) as webhook:
                _announce(cluster, webhook)
                signal.pause()
    except KeyboardInterrupt:
        return 0
    except (GoMissingError, BuildError, ProgramError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _announce(cluster: ControlPlane, webhook: WebhookProcess) -> None:
    tools = cluster.binaries.programs["kubectl"].parent
    sys.stdout.write(f"export KUBECONFIG={cluster.kubeconfig}\nexport PATH={tools}:$PATH\n")
    sys.stdout.write(SPARE_LINES.format(namespace=webhook.namespace, policy=webhook.policy_name))
    sys.stdout.flush()
    sys.stderr.write(f"logs in {cluster.folder}; Ctrl-C ends it\n")


if __name__ == "__main__":
    sys.exit(main())
