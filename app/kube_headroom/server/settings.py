"""Everything the server can be told from outside, read once from flags and environment.

One table names, explains and parses each setting: the command line, the environment variables and
the faults shown to people all come from it. Nothing else in the product reads the environment.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from kube_headroom.admission.ours import POD_CONTROLLERS
from kube_headroom.errors import AppError

PREFIX = "KUBE_HEADROOM_"
# Kubernetes sets KUBE_HEADROOM_PORT=tcp://... in every pod beside a Service named kube-headroom.
SERVICE_LINKS = ("tcp://", "udp://", "sctp://")


class SettingsError(AppError):
    """Settings that cannot be used; carries every fault at once."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        self.faults = faults
        super().__init__("\n".join(faults))


@dataclass(frozen=True, slots=True)
class Settings:
    """One process's settings. Names end in their unit; OPTIONS explains each."""

    bind_address: str
    port: int
    metrics_bind_address: str
    metrics_port: int
    kubeconfig: str
    context: str
    snapshot: Path | None
    namespace: str
    policy_configmap: str
    policy_file: Path | None
    webhook_configuration: str
    service_name: str
    extra_names: tuple[str, ...]
    tls_cert_file: Path | None
    tls_key_file: Path | None
    client_ca_file: Path | None
    client_names: tuple[str, ...]
    controllers: tuple[str, ...]
    max_body_bytes: int
    receive_seconds: float
    max_in_flight: int
    keep_alive_seconds: int
    drain_quiet_seconds: float
    drain_max_seconds: float
    stale_seconds: float
    promise_seconds: float
    seat_seconds: float
    compare_seconds: float
    ledger_configmap: str
    log_level: str
    log_format: str
    ready_file: Path | None

    @property
    def dns_names(self) -> tuple[str, ...]:
        """The names a certificate of our own must carry: the Service's, and the extra ones."""
        service = (
            self.service_name,
            f"{self.service_name}.{self.namespace}",
            f"{self.service_name}.{self.namespace}.svc",
            f"{self.service_name}.{self.namespace}.svc.cluster.local",
        )
        return (*service, *(name for name in self.extra_names if not _is_address(name)))

    @property
    def ip_addresses(self) -> tuple[str, ...]:
        """The addresses among the extra names."""
        return tuple(name for name in self.extra_names if _is_address(name))


@dataclass(frozen=True, slots=True)
class Option:
    """One setting: `parse` raises ValueError with what would be right."""

    name: str
    default: str
    help: str
    parse: Callable[[str], object]

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return PREFIX + self.name.upper()


def read_settings(flags: Mapping[str, str | None], environment: Mapping[str, str]) -> Settings:
    """Flags win over environment, environment over defaults; raises SettingsError with all faults.

    An empty value means the default: charts render absent values as empty text.
    """
    values: dict[str, object] = {}
    faults: list[str] = []
    for option in OPTIONS:
        text, origin = _chosen(option, flags, environment)
        try:
            values[option.name] = option.parse(text)
        except ValueError as error:
            faults.append(f"{origin} is {text!r}: {error}")
    faults += _contradictions(values)
    if faults:
        raise SettingsError(tuple(faults))
    return Settings(**values)  # type: ignore[arg-type]  # the table's parsers give the types


def _chosen(
    option: Option, flags: Mapping[str, str | None], environment: Mapping[str, str]
) -> tuple[str, str]:
    flag = flags.get(option.name)
    if flag:
        return flag, option.flag
    variable = environment.get(option.variable, "")
    if variable and not variable.startswith(SERVICE_LINKS):
        return variable, option.variable
    return option.default, option.flag


def _contradictions(values: Mapping[str, object]) -> list[str]:
    faults = []
    if (values.get("tls_cert_file") is None) != (values.get("tls_key_file") is None):
        faults.append("--tls-cert-file and --tls-key-file: give both or neither")
    if values.get("client_names") and values.get("client_ca_file") is None:
        faults.append("--client-names: names can be believed only with --client-ca-file")
    if values.get("snapshot") and (values.get("kubeconfig") or values.get("context")):
        faults.append(
            "--snapshot: serves a file instead of a cluster, so no --kubeconfig/--context"
        )
    port = values.get("port")
    if port and port == values.get("metrics_port"):
        faults.append(f"--port and --metrics-port are both {port}: two servers need two ports")
    return faults


def _text(text: str) -> str:
    return text


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in (part.strip() for part in text.split(",")) if word)


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= 65535:
        return int(text)
    raise ValueError("a port from 0 (any free one) to 65535 is expected")


def _positive(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) < 2**31:
        return int(text)
    raise ValueError("a whole number above 0 is expected")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if 0 <= seconds <= 86400:
        return seconds
    raise ValueError("seconds from 0 to 86400 are expected, such as 10 or 0.5")


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text in words:
            return text
        raise ValueError("expected is one of " + ", ".join(words))

    return parse


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


OPTIONS: tuple[Option, ...] = (
    Option("bind_address", "", "Address for reviews; empty is every address.", _text),
    Option("port", "8443", "HTTPS port for reviews; 0 picks a free one.", _port),
    Option("metrics_bind_address", "", "Address for metrics and probes; empty is every.", _text),
    Option("metrics_port", "8080", "Plain HTTP port for metrics and probes.", _port),
    Option("kubeconfig", "", "kubeconfig file; empty inside a cluster.", _text),
    Option("context", "", "Context of the kubeconfig; empty is its current one.", _text),
    Option("snapshot", "", "Serve over this file of objects instead of a cluster.", _path),
    Option("namespace", "kube-headroom", "The namespace this process runs in.", _text),
    Option("policy_configmap", "kube-headroom-policy", "ConfigMap that holds policy.yaml.", _text),
    Option("policy_file", "", "Policy file to use instead of the ConfigMap.", _path),
    Option(
        "webhook_configuration", "", "Keep this webhook configuration's caBundle; empty: no.", _text
    ),
    Option("service_name", "kube-headroom", "Service in whose name we are called.", _text),
    Option("extra_names", "", "More DNS names or IPs for our own certificate, by comma.", _words),
    Option("tls_cert_file", "", "Certificate to serve; empty: issue one in memory.", _path),
    Option("tls_key_file", "", "Key of --tls-cert-file.", _path),
    Option("client_ca_file", "", "Demand a client certificate of this authority.", _path),
    Option("client_names", "", "Client certificate names let in, by comma; empty: any.", _words),
    Option(
        "controllers", ",".join(POD_CONTROLLERS), "Users whose pods are their owners' own.", _words
    ),
    Option(
        "max_body_bytes", "8388608", "Largest review read; etcd's objects fit twice.", _positive
    ),
    Option("receive_seconds", "10", "A request must have arrived after so long.", _seconds),
    Option("max_in_flight", "256", "Reviews judged at once; more get 503.", _positive),
    Option("keep_alive_seconds", "120", "Idle connections live so long; above 90.", _positive),
    Option(
        "drain_quiet_seconds", "10", "On SIGTERM serve until this long without reviews.", _seconds
    ),
    Option("drain_max_seconds", "45", "... but no longer than this.", _seconds),
    Option("stale_seconds", "100", "A watch silent for so long is not believed.", _seconds),
    Option("promise_seconds", "75", "A promise not seen after so long is questioned.", _seconds),
    Option(
        "seat_seconds", "60", "An unknown owner's vanished pod keeps its room so long.", _seconds
    ),
    Option(
        "compare_seconds", "0", "Compare with fresh lists so often; 0: only on SIGUSR1.", _seconds
    ),
    Option(
        "ledger_configmap", "", "Share promises through this ConfigMap; empty: in memory.", _text
    ),
    Option(
        "log_level",
        "info",
        "debug, info, warning or error.",
        _one_of("debug", "info", "warning", "error"),
    ),
    Option("log_format", "json", "json or text.", _one_of("json", "text")),
    Option("ready_file", "", "Write the ports in use to this file once listening.", _path),
)
