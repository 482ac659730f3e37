"""HTTP statuses and bounds of the admission port, over real TLS, around a fake reviewer."""

import json
import socket
import ssl
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme

from tests.controlplane.waiting import wait_until
from tests.server.conftest import Start
from tests.server.process import (
    Reply,
    ServerProcess,
    Trust,
    exchange,
    heard,
    read_to_end,
)

HEAD = b"POST /validate?timeout=5s HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"


def _bytes_judged(reply: Reply) -> int:
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    judged: int = json.loads(reply.body)["bytes"]
    return judged


@pytest.mark.parametrize("size", [0, 1, 9_500, 70_000, 1_048_576])
def test_a_body_arrives_whole(server: ServerProcess, size: int) -> None:
    """Whether the reviewer likes an empty one is the reviewer's."""
    assert _bytes_judged(server.review(b"x" * size)) == size


def test_a_chunked_body_arrives_whole(server: ServerProcess) -> None:
    connection = server.https()
    connection.request("POST", "/validate", body=iter([b"ab", b"c" * 100_000]), encode_chunked=True,
                       headers={"Transfer-Encoding": "chunked"})  # fmt: skip
    assert json.loads(connection.getresponse().read())["bytes"] == 100_002
    connection.close()


@pytest.mark.parametrize("kind", ["text/plain", "application/json; charset=utf-8", "", "☃"])
def test_any_content_type_is_read(server: ServerProcess, kind: str) -> None:
    connection = server.https()
    connection.request("POST", "/validate", b"x", {"Content-Type": kind.encode()})
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        ("", 10), ("?timeout=5s", 5), ("?timeout=10s", 10), ("?a=b&timeout=1m", 30),
        ("?timeout=1.5s", 1.5), ("?timeout=1s500ms", 1.5), ("?timeout=0s", 10),
        ("?timeout=", 10), ("?timeout=5", 10), ("?timeout=-5s", 10), ("?timeout=NaNs", 10),
        ("?timeout=5s%00", 10), ("?timeout=" + "9" * 5000 + "s", 10), ("?timeout=99h", 30),
    ],
)  # fmt: skip
def test_the_callers_timeout_is_honoured(server: ServerProcess, query: str, seconds: float) -> None:
    assert json.loads(server.review(b"x", query).body)["timeout"] == seconds


@pytest.mark.parametrize(
    ("body", "status", "text", "retry"),
    [
        (b"malformed \x00\r\nX-Evil: 1", 400, b"no review:\\x0d\\x0ab'malformed", None),
        (b"malformed " + b"y" * 10_000, 400, b"no review:", None),
        (b"unavailable", 503, b"the pods watch is not synced\n", "1"),
        (b"bug", 500, b"internal error, see the log\n", None),
    ],
)
def test_what_is_no_judgement_has_its_status(
    server: ServerProcess, body: bytes, status: int, text: bytes, retry: str | None
) -> None:
    reply = server.review(body)
    assert (reply.status, reply.headers.get("retry-after")) == (status, retry)
    assert reply.body.startswith(text)
    assert len(reply.body) < 400
    assert "x-evil" not in reply.headers


def test_a_bug_is_in_the_log_with_its_traceback(server: ServerProcess) -> None:
    before = server.rejections().get("internal_error", 0)
    server.review(b"bug")
    assert server.rejections()["internal_error"] == before + 1
    tracebacks = [str(line.get("traceback")) for line in server.log()]
    assert any("a bug for the test" in text for text in tracebacks)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/validate", 405), ("PUT", "/validate", 405), ("OPTIONS", "/validate", 405),
        ("POST", "/validate/", 404), ("POST", "//validate", 404), ("POST", "/", 404),
        ("GET", "/docs", 404), ("GET", "/openapi.json", 404), ("GET", "/metrics", 404),
        ("GET", "/livez/", 404), ("POST", "/livez", 405), ("GET", "/livez", 200),
        ("GET", "/readyz", 200),
    ],
)  # fmt: skip
def test_nothing_else_is_there_and_nothing_redirects(
    server: ServerProcess, method: str, path: str, status: int
) -> None:
    reply = server.request(method, path, b"" if method in {"POST", "PUT"} else None)
    assert reply.status == status
    assert "location" not in reply.headers
    assert "server" not in reply.headers


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_past_the_cap_is_413(server: ServerProcess, chunked: bool) -> None:
    before = server.rejections().get("too_large", 0)
    connection = server.https()
    body = iter([b"x" * 65_536] * 20) if chunked else b"x" * 1_310_720
    headers = {"Transfer-Encoding": "chunked"} if chunked else {}
    connection.request("POST", "/validate", body, headers, encode_chunked=chunked)
    assert connection.getresponse().status == 413
    connection.close()
    assert server.rejections()["too_large"] == before + 1


def test_a_hundred_mebibytes_are_413_or_cut_and_not_kept(server: ServerProcess) -> None:
    before = _peak_kib(server)
    sock = server.connect()
    try:
        sock.sendall(b"POST /validate HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n\r\n")
        for _ in range(100):
            sock.sendall(b"x" * 1_048_576)
    except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
        pass
    answer = read_to_end(sock)
    sock.close()
    assert answer == b"" or answer.startswith(b"HTTP/1.1 413 ")
    assert _peak_kib(server) - before < 30_000
    assert server.review(b"x").status == 200


def _peak_kib(server: ServerProcess) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


@pytest.mark.parametrize(
    "sent",
    [b"", b"\r\n\r\n", b"POST /val", HEAD, HEAD + b"\r\n", HEAD + b"\r\nhalf a body"],
    ids=["nothing", "empty lines", "half a line", "half a head", "no body", "half a body"],
)
def test_a_sender_that_stops_is_cut_when_its_time_is_up(sent: bytes, start: Start) -> None:
    """Before a request it is an idle connection, in a request a slow sender, who gets a 408."""
    server = start("--receive-seconds=1", "--keep-alive-seconds=2")
    sock = server.connect()
    began = time.monotonic()
    sock.sendall(sent)
    answer = read_to_end(sock)
    lasted = time.monotonic() - began
    sock.close()
    if sent.strip():
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert 0.9 < lasted < 2
        assert server.rejections()["slow_sender"] == 1
    else:
        assert answer == b""
        assert 1.9 < lasted < 4


def test_a_sender_of_a_byte_now_and_then_is_cut_too(server: ServerProcess) -> None:
    """The time is for the whole request, not for the next byte."""
    sock = server.connect()
    began = time.monotonic()
    sock.sendall(HEAD + b"\r\n")
    while (answer := heard(sock)) is None:
        sock.sendall(b"x")
        time.sleep(0.05)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began < 2
    sock.close()


def test_endless_headers_are_cut(server: ServerProcess) -> None:
    sock = server.connect()
    try:
        sock.sendall(b"POST /validate HTTP/1.1\r\n")
        for number in range(3000):
            sock.sendall(b"X-%d: %s\r\n" % (number, b"y" * 100))
    except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
        pass
    read_to_end(sock)
    sock.close()
    assert server.rejections()["too_many_bytes"] >= 1


def test_a_handshake_that_stops_is_cut(server: ServerProcess) -> None:
    sock = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    began = time.monotonic()
    sock.sendall(b"\x16\x03\x01")
    assert sock.recv(10) == b""
    assert time.monotonic() - began < 3
    sock.close()


def test_hundreds_of_slow_senders_do_not_hold_up_others(start: Start) -> None:
    """Half stop in the body, a quarter in the head, a quarter in the handshake."""
    server = start("--receive-seconds=5")
    with ExitStack() as stack:
        for number in range(500):
            if number % 4 == 0:
                stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
                continue
            sock = stack.enter_context(server.connect())
            sock.sendall(HEAD if number % 4 == 1 else HEAD + b"\r\nhalf a body")
        connection = server.https()
        began = time.monotonic()
        for _ in range(200):
            assert exchange(connection, "POST", "/validate", b"x" * 9_500).status == 200
        assert time.monotonic() - began < 4
        connection.close()


def test_large_unfinished_bodies_share_a_budget(server: ServerProcess) -> None:
    """8 MiB here; whoever passes it is asked to come again, small reviews go on."""
    head = b"POST /validate HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n"
    with ExitStack() as stack:
        socks = [stack.enter_context(server.connect()) for _ in range(10)]
        for sock in socks:
            sock.sendall(head + b"x" * 1_000_000)
        refusal = wait_until(lambda: next(filter(None, map(heard, socks)), None), 5, "a refusal")
        assert refusal.startswith(b"HTTP/1.1 503 ")
        assert server.review(b"x" * 9_500).status == 200
    assert server.rejections()["too_many_bodies"] >= 1


def test_reviews_in_flight_are_bounded(server: ServerProcess, tmp_path: Path) -> None:
    """Four wait for the reviewer, the fifth is asked to come again, then all have answers."""
    release = tmp_path / "release"
    body = f"hold {release}".encode()
    with ThreadPoolExecutor(4) as pool:
        held = [pool.submit(server.review, body) for _ in range(4)]
        try:
            fifth = wait_until(lambda: _refused(server), 5, "a refusal of the fifth")
        finally:
            release.touch()
        assert fifth.headers["retry-after"] == "1"
        assert [_bytes_judged(reply.result()) for reply in held] == [len(body)] * 4


def _refused(server: ServerProcess) -> Reply | None:
    reply = server.review(b"x")
    return reply if reply.status == 503 else None


def test_a_connection_is_used_again_after_a_pause(server: ServerProcess) -> None:
    connection = server.https()
    assert exchange(connection, "POST", "/validate", b"x").status == 200
    first = connection.sock
    time.sleep(1.5)  # longer than a request may take to arrive: idle is not slow
    assert exchange(connection, "POST", "/validate", b"x").status == 200
    assert connection.sock is first
    connection.close()


@pytest.mark.parametrize(
    "garbage",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x00\x01\x02\x03", b"GET\r\n\r\n",
        b"POST /validate HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /validate HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"POST /validate HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    ],
)  # fmt: skip
def test_what_is_no_http_is_400_or_cut(server: ServerProcess, garbage: bytes) -> None:
    sock = server.connect()
    sock.sendall(garbage)
    answer = read_to_end(sock)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    sock.close()
    assert server.review(b"x").status == 200


def test_plain_http_on_the_tls_port_is_cut(server: ServerProcess) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert not sock.recv(100).startswith(b"HTTP")


def test_tls_1_1_is_refused_and_http_1_1_agreed(server: ServerProcess, trust: Trust) -> None:
    old = ssl.create_default_context()
    trust.authority.configure_trust(old)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # what is tried here on purpose
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        server.connect(old)
    new = ssl.create_default_context()
    trust.authority.configure_trust(new)
    new.set_alpn_protocols(["h2", "http/1.1"])
    with server.connect(new) as sock:
        assert (sock.version(), sock.selected_alpn_protocol()) == ("TLSv1.3", "http/1.1")


def test_a_bad_pair_on_disk_changes_nothing_and_a_good_one_is_served(
    start: Start, trust: Trust
) -> None:
    server = start()
    before = _served(server)
    key = trust.key.read_bytes()
    trust.key.write_bytes(trustme.CA().issue_cert("127.0.0.1").private_key_pem.bytes())
    with server.connect() as sock:  # kept over the whole test
        for _ in range(10):
            assert _served(server) == before
            time.sleep(0.03)  # the server polls every 0.05 s
        trust.key.write_bytes(key)
        trust.renew()
        wait_until(lambda: _served(server) != before, 5, "the renewed certificate")
        sock.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 200 ")


def _served(server: ServerProcess) -> bytes | None:
    with server.connect() as sock:
        return sock.getpeercert(binary_form=True)


def test_only_named_clients_are_let_in(start: Start, trust: Trust, tmp_path: Path) -> None:
    callers = trustme.CA()
    (tmp_path / "callers.crt").write_bytes(callers.cert_pem.bytes())
    server = start(f"--client-ca-file={tmp_path}/callers.crt", "--client-names=kube-apiserver")
    for name, allowed in (("kube-apiserver", True), ("someone-else", False), (None, False)):
        client = ssl.create_default_context()
        trust.authority.configure_trust(client)
        if name:
            callers.issue_cert(common_name=name).configure_cert(client)
        with server.connect(client) as sock:
            answer = b""
            try:
                sock.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
                answer = sock.recv(100)
            except (ssl.SSLError, ConnectionResetError):
                pass
            assert answer.startswith(b"HTTP/1.1 200 ") == allowed
