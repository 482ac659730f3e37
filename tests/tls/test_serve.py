"""Handshakes: what is refused, and what a renewal on disk does to the next one.

trustme makes the certificates here, so that our own issuing is not judged by itself.
"""

import ssl
import warnings
from pathlib import Path

import pytest
import trustme

from kube_headroom.tls.pair import Pair, UnusableCertificate, read_pair
from kube_headroom.tls.serve import CertificateFiles, server_context
from tests.tls.conftest import Handshake

NAME = "webhook.test.svc"


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def _pair(authority: trustme.CA) -> Pair:
    made = authority.issue_cert(NAME)
    return Pair(
        b"".join(blob.bytes() for blob in made.cert_chain_pems), made.private_key_pem.bytes()
    )


def _client(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def _write(folder: Path, pair: Pair) -> None:
    (folder / "tls.crt").write_bytes(pair.cert_pem)
    (folder / "tls.key").write_bytes(pair.key_pem)


def _open(folder: Path) -> CertificateFiles:
    return CertificateFiles.open(folder / "tls.crt", folder / "tls.key")


def _served(files: CertificateFiles, authority: trustme.CA, handshake: Handshake) -> bytes | None:
    end = handshake(files.context, _client(authority))
    return end.getpeercert(binary_form=True)


def test_tls_1_1_is_refused(authority: trustme.CA, handshake: Handshake) -> None:
    pair = _pair(authority)
    client = _client(authority)
    with warnings.catch_warnings():
        # Python warns of exactly what is tried here on purpose.
        warnings.simplefilter("ignore", DeprecationWarning)
        client.minimum_version = ssl.TLSVersion.TLSv1_1
        client.maximum_version = ssl.TLSVersion.TLSv1_1
    client.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        handshake(server_context(pair.cert_pem, pair.key_pem), client)


def test_tls_1_2_is_served(authority: trustme.CA, handshake: Handshake) -> None:
    pair = _pair(authority)
    client = _client(authority)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    assert handshake(server_context(pair.cert_pem, pair.key_pem), client).version() == "TLSv1.2"


def test_of_http_versions_only_1_1_is_agreed(authority: trustme.CA, handshake: Handshake) -> None:
    pair = _pair(authority)
    client = _client(authority)
    client.set_alpn_protocols(["h2", "http/1.1"])
    end = handshake(server_context(pair.cert_pem, pair.key_pem), client)
    assert end.selected_alpn_protocol() == "http/1.1"


def test_with_a_client_authority_a_client_needs_its_certificate(
    authority: trustme.CA, handshake: Handshake
) -> None:
    pair = _pair(authority)
    callers = trustme.CA()
    server = server_context(pair.cert_pem, pair.key_pem, client_ca=callers.cert_pem.bytes())
    client = _client(authority)
    client.maximum_version = ssl.TLSVersion.TLSv1_2  # 1.3 tells the client only when it reads
    with pytest.raises(ssl.SSLError):
        handshake(server, client)
    callers.issue_cert("kube-apiserver").configure_cert(client)
    assert handshake(server, client).version()


def test_a_renewed_pair_is_in_the_next_handshake(
    authority: trustme.CA, tmp_path: Path, handshake: Handshake
) -> None:
    _write(tmp_path, _pair(authority))
    files = _open(tmp_path)
    before = _served(files, authority, handshake)
    assert not files.poll()
    _write(tmp_path, _pair(authority))
    assert files.poll()
    assert _served(files, authority, handshake) != before


@pytest.mark.parametrize("broken", ["foreign key", "half written", "not PEM", "gone"])
def test_a_bad_pair_keeps_the_old_one(
    broken: str, authority: trustme.CA, tmp_path: Path, handshake: Handshake
) -> None:
    """Every later handshake goes on as before; the fault is counted once, then healed."""
    _write(tmp_path, _pair(authority))
    files = _open(tmp_path)
    before = _served(files, authority, handshake)
    new = _pair(authority)
    match broken:
        case "foreign key":
            _write(tmp_path, Pair(new.cert_pem, _pair(authority).key_pem))
        case "half written":
            _write(tmp_path, Pair(new.cert_pem, new.key_pem[:60]))
        case "not PEM":
            _write(tmp_path, Pair(b"\0\1\2", b""))
        case "gone":
            (tmp_path / "tls.key").unlink()
    assert [files.poll() for _ in range(3)] == [False, False, False]
    assert (files.failures, files.last_error is not None) == (1, True)
    assert _served(files, authority, handshake) == before

    _write(tmp_path, new)
    assert files.poll()
    assert files.last_error is None
    assert _served(files, authority, handshake) != before


def test_a_pair_is_read_from_one_side_of_a_swap(authority: trustme.CA, tmp_path: Path) -> None:
    """kubelet's layout: names are links into `..data`, which is swapped as a whole."""
    pairs = [_pair(authority), _pair(authority)]
    for number, pair in enumerate(pairs):
        (tmp_path / f"..{number}").mkdir()
        _write(tmp_path / f"..{number}", pair)
    (tmp_path / "..data").symlink_to("..0")
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    assert read_pair(tmp_path / "tls.crt", tmp_path / "tls.key") == pairs[0]

    (tmp_path / "..new").symlink_to("..1")
    (tmp_path / "..new").replace(tmp_path / "..data")
    assert read_pair(tmp_path / "tls.crt", tmp_path / "tls.key") == pairs[1]


def test_at_start_a_bad_pair_is_an_error_with_a_reason(
    authority: trustme.CA, tmp_path: Path
) -> None:
    with pytest.raises(UnusableCertificate, match="is not there"):
        _open(tmp_path)
    _write(tmp_path, Pair(_pair(authority).cert_pem, _pair(authority).key_pem))
    with pytest.raises(UnusableCertificate, match="do not load as a pair"):
        _open(tmp_path)


def test_no_file_is_left_behind(authority: trustme.CA) -> None:
    """The key goes to OpenSSL through memory; descriptors do not pile up."""
    pair = _pair(authority)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        server_context(pair.cert_pem, pair.key_pem)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
