"""The renewal of our own certificate: at each step clients of the published bundle trust us."""

import ssl
from datetime import datetime, timedelta

from kube_headroom.tls.own import OwnCertificate
from tests.tls.conftest import Handshake


def _client(bundle: bytes) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=bundle.decode())


def test_every_step_keeps_the_trust(now: datetime, handshake: Handshake) -> None:
    """Also with the bundle of the step before: the API server learns of a change late."""
    own = OwnCertificate(["webhook.test.svc"], [], now)
    bundles = [own.bundle]
    assert not own.renewal_due(now + timedelta(days=59))
    assert own.renewal_due(now + timedelta(days=60))
    later = now + timedelta(minutes=30)  # handshakes happen at the real time
    steps = (lambda: own.prepare(later), own.switch, own.finish)
    served = set()
    for step in steps:
        step()
        bundles.append(own.bundle)
        for bundle in bundles[-2:]:
            end = handshake(own.context, _client(bundle))
            served.add(end.getpeercert(binary_form=True))
    assert len(served) == 2
    assert bundles[3] not in bundles[:3]
    assert own.not_after > later + timedelta(days=80)
    assert not own.renewal_due(later + timedelta(days=59))
