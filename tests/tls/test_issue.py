"""The certificates we make are what a strict client demands."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from kube_headroom.tls.issue import Issued, issue
from kube_headroom.tls.pair import Pair, facts_of, pair_faults
from kube_headroom.tls.serve import server_context
from tests.tls.conftest import Handshake


def _client(ca_pem: bytes) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=ca_pem.decode())
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    return context


@pytest.mark.parametrize("name", ["webhook.test.svc", "webhook", "127.0.0.1"])
def test_a_strict_client_trusts_every_name(issued: Issued, handshake: Handshake, name: str) -> None:
    """VERIFY_X509_STRICT wants key identifiers, basic constraints and key usage all in place."""
    server = server_context(issued.cert_pem, issued.key_pem)
    end = handshake(server, _client(issued.ca_pem), name)
    assert end.version() == "TLSv1.3"


def test_another_name_is_not_trusted(issued: Issued, handshake: Handshake) -> None:
    server = server_context(issued.cert_pem, issued.key_pem)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(server, _client(issued.ca_pem), "elsewhere.test.svc")


def test_another_authority_is_not_trusted(
    issued: Issued, now: datetime, handshake: Handshake
) -> None:
    other = issue(["webhook.test.svc"], ca_days=10, leaf_days=5, now=now)
    server = server_context(issued.cert_pem, issued.key_pem)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, _client(other.ca_pem))


def test_two_authorities_fit_in_one_bundle(
    issued: Issued, now: datetime, handshake: Handshake
) -> None:
    """During a renewal the old and the new one are published together."""
    other = issue(["webhook.test.svc"], ca_days=10, leaf_days=5, now=now)
    client = _client(issued.ca_pem + other.ca_pem)
    for pair in (issued, other):
        assert handshake(server_context(pair.cert_pem, pair.key_pem), client).version()


def test_it_is_valid_an_hour_back_and_for_the_days_asked() -> None:
    now = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
    made = issue(["webhook"], ca_days=20, leaf_days=10, now=now)
    facts = facts_of(made.cert_pem)
    assert facts.not_before == now - timedelta(hours=1)
    assert facts.not_after == now + timedelta(days=10)
    assert facts_of(made.ca_pem).not_after == now + timedelta(days=20)
    assert (facts.dns_names, facts.ip_addresses) == (("webhook",), ())


def test_a_name_longer_than_a_common_name_may_be_still_serves(now: datetime) -> None:
    long_name = f"{'r' * 63}.{'n' * 63}.svc.cluster.local"
    made = issue([long_name], ca_days=2, leaf_days=1, now=now)
    subject = x509.load_pem_x509_certificate(made.cert_pem).subject
    assert facts_of(made.cert_pem).dns_names == (long_name,)
    assert subject.rfc4514_string() == "CN=kube-headroom"


@pytest.mark.parametrize(
    ("names", "ca_days", "leaf_days", "text"),
    [
        ([], 10, 5, "at least one DNS name or IP"),
        (["webhook"], 5, 10, "outlive its authority"),
        (["webhook"], 5, 0, "at least a day"),
    ],
)
def test_what_cannot_be_made_is_refused(
    names: list[str], ca_days: int, leaf_days: int, text: str, now: datetime
) -> None:
    with pytest.raises(ValueError, match=text):
        issue(names, ca_days=ca_days, leaf_days=leaf_days, now=now)


def test_the_faults_of_a_pair_are_all_named(issued: Issued, now: datetime) -> None:
    other = issue(["webhook"], ca_days=10, leaf_days=5, now=now)
    assert pair_faults(Pair(issued.cert_pem, issued.key_pem), ca_pem=issued.ca_pem, now=now) == ()
    faults = pair_faults(
        Pair(issued.cert_pem, other.key_pem), ca_pem=other.ca_pem, now=now + timedelta(days=30)
    )
    assert [fault.split(" 20")[0] for fault in faults] == [
        "the key does not belong to the certificate",
        "expired",
        "not signed by the given authority",
    ]
