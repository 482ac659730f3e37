"""The configuration files of containerd, CNI and kubelet. Pure: names and folders in, text out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.node.network import POD_RANGE

# In the machine's own /run, so the path is short and nobody else's.
SOCKET = "/run/containerd/containerd.sock"
PAUSE_IMAGE = "localhost/pause:test"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where one node's files are."""

    folder: Path
    programs: Path

    @property
    def containerd_config(self) -> Path:
        """containerd's configuration file."""
        return self.folder / "containerd.toml"

    @property
    def kubelet_config(self) -> Path:
        """kubelet's configuration file."""
        return self.folder / "kubelet.yaml"

    @property
    def cni(self) -> Path:
        """The folder containerd reads the pods' network from."""
        return self.folder / "cni"

    def write(self, *, ca_file: Path, cgroup: str) -> None:
        """Write all configuration files."""
        self.cni.mkdir()
        (self.cni / "10-pods.conflist").write_text(json.dumps(cni_network()))
        self.containerd_config.write_text(self._containerd())
        kubelet = kubelet_configuration(self.folder, ca_file=ca_file, cgroup=cgroup)
        self.kubelet_config.write_text(yaml.safe_dump(kubelet))

    def _containerd(self) -> str:
        """Return containerd's configuration.

        restrict_oom_score_adj: without CAP_SYS_RESOURCE runc may not lower the score, and dies.
        """
        return f"""
version = 3
root = "{self.folder}/containerd"
state = "/run/containerd"
[grpc]
address = "{SOCKET}"
[plugins."io.containerd.nri.v1.nri"]
disable = true
[plugins."io.containerd.cri.v1.images"]
snapshotter = "overlayfs"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{PAUSE_IMAGE}"
[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{self.programs}"]
conf_dir = "{self.cni}"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
SystemdCgroup = false
"""


def cni_network() -> dict[str, Any]:
    """Return the pods' network: one bridge, whose own address is the way out."""
    ipam = {"type": "host-local", "ranges": [[{"subnet": POD_RANGE}]]}
    bridge = {"type": "bridge", "bridge": "pods0", "isDefaultGateway": True, "ipam": ipam}
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge, {"type": "loopback"}]}


def kubelet_configuration(folder: Path, *, ca_file: Path, cgroup: str) -> dict[str, Any]:
    """Return a kubelet's configuration that takes a shared test machine as it is."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "authentication": {"x509": {"clientCAFile": str(ca_file)}},
        # All pods are below this cgroup; what else runs on the machine is not the kubelet's matter.
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "resolvConf": "",
        "podLogsDir": str(folder / "logs"),
        "volumePluginDir": str(folder / "volume-plugins"),
        # A full disk is the machine's matter, and no image is ever fetched again.
        "evictionHard": {"nodefs.available": "0%", "imagefs.available": "0%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        # A status as soon as it changes, so that tests need not wait for the next round.
        "nodeStatusUpdateFrequency": "2s",
        "syncFrequency": "5s",
        "shutdownGracePeriod": "0s",
    }
