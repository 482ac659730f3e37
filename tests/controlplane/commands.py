"""The command lines of the control plane's programs. Pure: values in, arguments out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.controlplane.build import Binaries
from tests.controlplane.certificates import IssuedPair
from tests.controlplane.options import Options

# The controllers' default of 20 to 50 requests a second is made for clusters that are in no hurry.
_NO_HURRY = ("--kube-api-qps=500", "--kube-api-burst=1000")


@dataclass(frozen=True, slots=True)
class EtcdPlace:
    """Where etcd keeps its data and listens."""

    data: Path
    client_port: int
    peer_port: int

    @property
    def client_url(self) -> str:
        """What the API server connects to."""
        return f"http://127.0.0.1:{self.client_port}"

    @property
    def peer_url(self) -> str:
        """Where other members would connect; there are none."""
        return f"http://127.0.0.1:{self.peer_port}"


@dataclass(frozen=True, slots=True)
class ApiServerIdentity:
    """The keys the API server is started with."""

    serving: IssuedPair
    service_accounts: IssuedPair
    kubelet_client: IssuedPair
    ca_file: Path


Command = tuple[str | Path, ...]


def etcd(binaries: Binaries, options: Options, place: EtcdPlace) -> Command:
    """One member, on loopback, that does not wait for the disk: the data dies with the test."""
    return (
        binaries.programs["etcd"],
        f"--data-dir={place.data}",
        f"--listen-client-urls={place.client_url}",
        f"--advertise-client-urls={place.client_url}",
        f"--listen-peer-urls={place.peer_url}",
        f"--initial-advertise-peer-urls={place.peer_url}",
        f"--initial-cluster=default={place.peer_url}",
        "--unsafe-no-fsync",
        "--log-level=warn",
        *options.etcd_args,
    )


def kube_apiserver(
    binaries: Binaries, options: Options, *, etcd_url: str, port: int, identity: ApiServerIdentity
) -> Command:
    """The API server with RBAC; it resolves webhook Services to their endpoints itself."""
    return (
        binaries.programs["kube-apiserver"],
        f"--etcd-servers={etcd_url}",
        f"--bind-address={options.bind_address}",
        f"--secure-port={port}",
        f"--advertise-address={options.advertise_address}",
        f"--tls-cert-file={identity.serving.cert_path}",
        f"--tls-private-key-file={identity.serving.key_path}",
        f"--client-ca-file={identity.ca_file}",
        f"--service-account-key-file={identity.service_accounts.cert_path}",
        f"--service-account-signing-key-file={identity.service_accounts.key_path}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--kubelet-client-certificate={identity.kubelet_client.cert_path}",
        f"--kubelet-client-key={identity.kubelet_client.key_path}",
        "--kubelet-preferred-address-types=InternalIP,Hostname",
        f"--service-cluster-ip-range={options.service_range}",
        "--authorization-mode=Node,RBAC",
        "--allow-privileged=true",
        "--enable-aggregator-routing=true",
        # Told to stop, it ends its watches first; without this it waits 60 s for them.
        "--shutdown-watch-termination-grace-period=5s",
        *(() if options.publishes_itself else ("--endpoint-reconciler-type=none",)),
        *options.apiserver_args,
    )


def kube_controller_manager(
    binaries: Binaries, options: Options, *, kubeconfig: Path, identity: ApiServerIdentity
) -> Command:
    """All default controllers, each under its own service account as in a real cluster."""
    return (
        binaries.programs["kube-controller-manager"],
        f"--kubeconfig={kubeconfig}",
        f"--service-account-private-key-file={identity.service_accounts.key_path}",
        f"--root-ca-file={identity.ca_file}",
        "--use-service-account-credentials",
        "--leader-elect=false",
        "--secure-port=0",
        *_NO_HURRY,
        *options.controller_manager_args,
    )


def kube_scheduler(binaries: Binaries, options: Options, *, kubeconfig: Path) -> Command:
    """The default scheduler."""
    return (
        binaries.programs["kube-scheduler"],
        f"--kubeconfig={kubeconfig}",
        "--leader-elect=false",
        "--secure-port=0",
        *_NO_HURRY,
        *options.scheduler_args,
    )


def kwok(binaries: Binaries, *, kubeconfig: Path, stages: Iterable[Path]) -> Command:
    """Kwok plays the kubelet of every node with its annotation."""
    return (
        binaries.programs["kwok"],
        f"--kubeconfig={kubeconfig}",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        "--node-lease-duration-seconds=40",
        # Pods that do not run must have addresses that nobody can ever dial; kwok's own default is
        # a private range, which may be somebody's. EndpointSlices refuse loopback on top.
        "--cidr=127.64.0.0/10",
        *(f"--config={stage}" for stage in stages),
    )
