"""A real node of a test's control plane: containerd, runc and kubelet, on this machine.

with Network() as network, ControlPlane(cluster_options(network)) as control_plane:
    with RealNode(control_plane, network) as node:
        node.import_image(archive)
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.nodes import is_ready
from tests.controlplane.programs import Program
from tests.controlplane.shell import CommandError
from tests.controlplane.waiting import wait_until
from tests.node import build
from tests.node.config import PAUSE_IMAGE, SOCKET, Layout
from tests.node.machine import Machine
from tests.node.network import NODE_ADDRESS, Network
from tests.node.packages import NODE_PACKAGES, environment, require
from tests.node.pause_image import write_pause_image

# Beside kwok's `type: kwok`: what a nodeSelector names to run for real.
LABEL = "type=real"

# 20 s were seen on 2 busy cores; importing our image takes about as long.
READY_SECONDS = 120
IMPORT_SECONDS = 300


class RealNode:
    """One node, Ready in its control plane for as long as this context lasts."""

    def __init__(self, control_plane: ControlPlane, network: Network, name: str = "real") -> None:
        require(NODE_PACKAGES)
        self.name = name
        self.folder = Path(tempfile.mkdtemp(prefix="node-"))
        self._control_plane = control_plane
        self._layout = Layout(self.folder, build.obtain())
        path = os.pathsep.join((str(self._layout.programs), environment()["PATH"]))
        self._machine = Machine(self.folder, network.run_prefix, path)
        self._programs: list[Program] = []

    def __enter__(self) -> Self:
        try:
            self._start()
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

    @property
    def cgroup(self) -> str:
        """The cgroup below which the pods' own are."""
        return self._machine.cgroup

    def import_image(self, archive: Path) -> None:
        """Load a docker-archive, so that pods can name its image without a registry."""
        self._ctr("images", "import", str(archive), timeout=IMPORT_SECONDS)

    def containers(self) -> list[str]:
        """Return the ids of the containers that exist here, pods' own processes included."""
        return self._ctr("containers", "list", "-q").split()

    def tail(self) -> str:
        """Return the ends of the node's logs, for a failing test."""
        return "\n".join(program.tail() for program in self._programs)

    def close(self) -> None:
        """End everything that runs here and remove every trace."""
        self._machine.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> None:
        self._layout.write(ca_file=self._control_plane.ca.ca_file, cgroup=self._machine.cgroup)
        self._machine.start()
        self._run("containerd", "--config", self._layout.containerd_config)
        wait_until(self._containerd_answers, 30, "containerd to answer")
        pause = self.folder / "pause.tar"
        write_pause_image(pause, self._layout.programs / "pause", PAUSE_IMAGE)
        self.import_image(pause)
        self._run_kubelet()
        wait_until(self._is_ready, READY_SECONDS, f"node {self.name} to be Ready")

    def _run_kubelet(self) -> None:
        kubeconfig = self._control_plane.kubeconfig_for(
            f"system:node:{self.name}", ["system:nodes"]
        )
        self._run(
            "kubelet",
            f"--config={self._layout.kubelet_config}",
            f"--kubeconfig={kubeconfig}",
            f"--root-dir={self.folder / 'kubelet'}",
            f"--cert-dir={self.folder / 'kubelet-pki'}",
            f"--hostname-override={self.name}",
            f"--node-ip={NODE_ADDRESS}",
            f"--node-labels={LABEL}",
        )

    def _run(self, name: str, *arguments: str | Path) -> None:
        given = self._control_plane.binaries.programs
        program = given.get(name, self._layout.programs / name)
        self._programs.append(self._machine.run_program(name, program, *arguments))

    def _containerd_answers(self) -> bool:
        self._assert_running()
        try:
            self._ctr("version")
        except CommandError:
            return False
        return True

    def _is_ready(self) -> bool:
        self._assert_running()
        found = self._control_plane.kubectl("get", "node", self.name, "-o", "json", check=False)
        assert found.returncode == 0, f"{found.stderr}{self.tail()}"
        assert is_ready(json.loads(found.stdout)), self.tail()
        return True

    def _assert_running(self) -> None:
        for program in self._programs:
            program.assert_running()

    def _ctr(self, *arguments: str, timeout: float = 60) -> str:
        ctr = self._layout.programs / "ctr"
        command: tuple[str | Path, ...] = (ctr, "--address", SOCKET, "-n", "k8s.io", *arguments)
        return self._machine.shell.run(command, timeout=timeout).stdout
