"""A certificate of our own, issued in memory, and its renewal in three steps.

The API server trusts what stands in the webhook configuration, and learns of a change with a
delay. So a renewal first publishes the old and the new authority together, then serves the new
certificate, then drops the old authority. The clock and the waiting are the caller's.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from kube_headroom.tls.issue import Issued, issue
from kube_headroom.tls.pair import Pair, facts_of
from kube_headroom.tls.serve import exchange, server_context

# The key never leaves this process, and a restart makes a new one.
LEAF_DAYS = 90
# The authority outlives its certificate, so that what expires first is what is replaced.
CA_DAYS = LEAF_DAYS + 1
RENEW_AFTER = timedelta(days=LEAF_DAYS * 2 / 3)


class OwnCertificate:
    """The pair that is served, the authorities to be published, and the next pair."""

    def __init__(
        self,
        dns_names: Sequence[str],
        ip_addresses: Sequence[str],
        now: datetime,
        *,
        client_ca: bytes | None = None,
    ) -> None:
        self._names = tuple(dns_names), tuple(ip_addresses)
        self._serving = self._issue(now)
        self._next: Issued | None = None
        self._renew_at = now + RENEW_AFTER
        self.bundle = self._serving.ca_pem
        self.context = server_context(
            self._serving.cert_pem, self._serving.key_pem, client_ca=client_ca
        )

    @property
    def not_after(self) -> datetime:
        """When the served certificate expires."""
        return facts_of(self._serving.cert_pem).not_after

    def renewal_due(self, now: datetime) -> bool:
        """Whether two thirds of the certificate's life are over."""
        return now >= self._renew_at

    def prepare(self, now: datetime) -> None:
        """First step: a new pair is ready; the bundle holds both authorities."""
        self._next = self._issue(now)
        self._renew_at = now + RENEW_AFTER
        self.bundle = self._serving.ca_pem + self._next.ca_pem

    def switch(self) -> None:
        """Second step, when the bundle is known to every API server: serve the new pair."""
        assert self._next is not None, "prepare comes before switch"
        exchange(self.context, Pair(self._next.cert_pem, self._next.key_pem))
        self._serving, self._next = self._next, None

    def finish(self) -> None:
        """Third step: the old authority leaves the bundle."""
        self.bundle = self._serving.ca_pem

    def _issue(self, now: datetime) -> Issued:
        return issue(*self._names, ca_days=CA_DAYS, leaf_days=LEAF_DAYS, now=now)
