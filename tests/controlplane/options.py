"""How a control plane is to be started: plain frozen values, so that any test can vary one."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """What may differ between control planes; the defaults are one on loopback.

    For a control plane inside a network namespace `run_prefix` is put in front of every command
    (`("nsenter", "--net=/var/run/netns/NAME")`); then only commands reach it, not this process.
    """

    start_controller_manager: bool = True
    start_scheduler: bool = True
    start_kwok: bool = True
    etcd_args: tuple[str, ...] = ()
    apiserver_args: tuple[str, ...] = ()
    controller_manager_args: tuple[str, ...] = ()
    scheduler_args: tuple[str, ...] = ()
    bind_address: str = "127.0.0.1"
    secure_port: int | None = None  # None: a free one
    advertise_address: str = "127.0.0.1"
    service_range: str = "10.96.0.0/16"
    server_names: tuple[str, ...] = ()  # more names and addresses for the serving certificate
    run_prefix: tuple[str, ...] = ()
    start_seconds: float = 90.0  # 6 s on an idle machine

    @property
    def client_address(self) -> str:
        """Where clients beside the API server reach it."""
        bound = ipaddress.ip_address(self.bind_address)
        return "127.0.0.1" if bound.is_unspecified else self.bind_address

    @property
    def certificate_names(self) -> tuple[str, ...]:
        """Every name and address a client may check the API server's certificate for."""
        first_service = str(next(ipaddress.ip_network(self.service_range).hosts()))
        kubernetes = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")
        addresses = ("127.0.0.1", self.client_address, self.advertise_address, first_service)
        return tuple(dict.fromkeys(("localhost", *kubernetes, *addresses, *self.server_names)))

    @property
    def publishes_itself(self) -> bool:
        """Whether the `kubernetes` Service can point here: endpoints refuse loopback addresses."""
        return not ipaddress.ip_address(self.advertise_address).is_loopback
