"""Starting and ending the control plane's programs in the right order.

Separate from `cluster.py`, which is what tests do with a control plane that runs.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.controlplane import commands
from tests.controlplane.build import Binaries
from tests.controlplane.certificates import Authority
from tests.controlplane.kubeconfig import write_kubeconfig
from tests.controlplane.options import Options
from tests.controlplane.programs import Launcher, Program, free_port
from tests.controlplane.shell import Shell
from tests.controlplane.waiting import wait_until


class Stack:
    """The programs of one control plane, and the keys they share."""

    def __init__(self, options: Options, binaries: Binaries, folder: Path) -> None:
        self._options = options
        self._binaries = binaries
        self._folder = folder
        self._port = options.secure_port or free_port()
        environment = _environment(folder)
        self._launcher = Launcher(options.run_prefix, environment)
        self.shell = Shell(options.run_prefix, environment)
        self.url = f"https://{options.client_address}:{self._port}"
        self.ca = Authority(folder / "pki")
        self.admin = self.ca.issue_client("admin", ["system:masters"])
        self.kubeconfig = write_kubeconfig(
            folder / "admin.kubeconfig", url=self.url, ca_file=self.ca.ca_file, client=self.admin
        )
        self._identity = self._issue_identity()
        self.etcd, self.apiserver = self._storage_and_server()
        self.workers = self._workers()

    def start(self) -> None:
        """Start everything; return when the API server is ready and all programs run."""
        self.etcd.start()
        self.start_apiserver()
        for program in self.workers:
            program.start()

    def start_apiserver(self) -> None:
        """Start the API server and wait until it is ready."""
        self.apiserver.start()
        wait_until(self._is_ready, self._options.start_seconds, "kube-apiserver to be ready")

    def assert_running(self) -> None:
        """Fail with the end of the log of a program that ended by itself."""
        for program in (self.etcd, self.apiserver, *self.workers):
            program.assert_running()

    def close(self) -> None:
        """Kill everything: there is nothing to save."""
        for program in (*reversed(self.workers), self.apiserver, self.etcd):
            program.kill()
        self._launcher.close()

    def _is_ready(self) -> bool:
        self.etcd.assert_running()
        self.apiserver.assert_running()
        kubectl = self._binaries.programs["kubectl"]
        done = self.shell.run(
            (kubectl, "--kubeconfig", self.kubeconfig, "get", "--raw=/readyz"), check=False
        )
        assert done.returncode == 0, f"{done.stderr}{self.apiserver.tail()}"
        return True

    def _issue_identity(self) -> commands.ApiServerIdentity:
        return commands.ApiServerIdentity(
            serving=self.ca.issue_server("kube-apiserver", self._options.certificate_names),
            service_accounts=self.ca.new_key("service-accounts"),
            kubelet_client=self.ca.issue_client("kube-apiserver-kubelet", ["system:masters"]),
            ca_file=self.ca.ca_file,
        )

    def _storage_and_server(self) -> tuple[Program, Program]:
        place = commands.EtcdPlace(self._folder / "etcd", free_port(), free_port())
        server = commands.kube_apiserver(
            self._binaries,
            self._options,
            etcd_url=place.client_url,
            port=self._port,
            identity=self._identity,
        )
        self.etcd_url = place.client_url
        etcd = commands.etcd(self._binaries, self._options, place)
        return self._program("etcd", etcd), self._program("kube-apiserver", server)

    def _workers(self) -> tuple[Program, ...]:
        """Return the programs that work through the API server."""
        options, binaries = self._options, self._binaries
        name = "kube-controller-manager"
        controllers = commands.kube_controller_manager(
            binaries, options, kubeconfig=self._kubeconfig(name), identity=self._identity
        )
        scheduler = commands.kube_scheduler(
            binaries, options, kubeconfig=self._kubeconfig("kube-scheduler")
        )
        kwok = commands.kwok(binaries, kubeconfig=self.kubeconfig, stages=binaries.stages)
        wanted = (
            (options.start_controller_manager, name, controllers),
            (options.start_scheduler, "kube-scheduler", scheduler),
            (options.start_kwok, "kwok", kwok),
        )
        return tuple(self._program(name, command) for start, name, command in wanted if start)

    def _kubeconfig(self, component: str) -> Path:
        client = self.ca.issue_client(f"system:{component}")
        path = self._folder / f"{component}.kubeconfig"
        return write_kubeconfig(path, url=self.url, ca_file=self.ca.ca_file, client=client)

    def _program(self, name: str, command: commands.Command) -> Program:
        return Program(name, command, self._launcher, self._folder / f"{name}.log")


def _environment(folder: Path) -> dict[str, str]:
    """Return a bare environment: no proxy, no kubeconfig, and a home folder of its own."""
    home = folder / "home"
    home.mkdir()
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "LANG": "C.UTF-8"}
