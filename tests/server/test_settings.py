"""Settings: where they come from, and that every fault is named at once."""

import pytest

from kube_headroom.server.settings import OPTIONS, SettingsError, read_settings


def test_flags_win_over_environment_and_environment_over_defaults() -> None:
    environment = {"KUBE_HEADROOM_NAMESPACE": "from-env", "KUBE_HEADROOM_SERVICE_NAME": "from-env"}
    settings = read_settings({"namespace": "from-flag", "service_name": None}, environment)
    assert (settings.namespace, settings.service_name) == ("from-flag", "from-env")
    assert settings.port == 8443


def test_every_default_can_be_read() -> None:
    settings = read_settings({}, {})
    assert {option.name for option in OPTIONS} == set(settings.__dataclass_fields__)
    assert "system:serviceaccount:kube-system:job-controller" in settings.controllers
    assert len(settings.controllers) == 6


def test_a_service_named_like_us_does_not_set_our_port() -> None:
    """Kubernetes puts KUBE_HEADROOM_PORT=tcp://... beside a Service named kube-headroom."""
    assert read_settings({}, {"KUBE_HEADROOM_PORT": "tcp://10.0.0.1:443"}).port == 8443


def test_every_fault_is_named_with_where_it_came_from() -> None:
    environment = {"KUBE_HEADROOM_PORT": "http", "KUBE_HEADROOM_LOG_LEVEL": "loud"}
    flags = {
        "metrics_port": "70000",
        "tls_key_file": "/k",
        "client_names": "x",
        "receive_seconds": "nan",
        "max_in_flight": "0",
        "snapshot": "file",
        "context": "lab",
    }
    with pytest.raises(SettingsError) as caught:
        read_settings(flags, environment)
    assert {fault.split(":")[0] for fault in caught.value.faults} == {
        "KUBE_HEADROOM_PORT is 'http'",
        "KUBE_HEADROOM_LOG_LEVEL is 'loud'",
        "--metrics-port is '70000'",
        "--receive-seconds is 'nan'",
        "--max-in-flight is '0'",
        "--tls-cert-file and --tls-key-file",
        "--client-names",
        "--snapshot",
    }


def test_our_own_certificate_carries_the_services_names() -> None:
    settings = read_settings(
        {"service_name": "s", "namespace": "n", "extra_names": "a.example, 10.0.0.1,::1"}, {}
    )
    assert settings.dns_names == ("s", "s.n", "s.n.svc", "s.n.svc.cluster.local", "a.example")
    assert settings.ip_addresses == ("10.0.0.1", "::1")
