"""A review is answered the same on whichever road it takes through the server.

The short cut is for what comes as a review does; anything out of the ordinary goes by uvicorn's
requests and FastAPI's route.
"""

import re

import pytest

from tests.server.process import ServerProcess, read_to_end

BODIES = [
    b"x" * 9_500, b"x" * 200_000, b"malformed", b"unavailable", b"bug", b"z" * 1_048_577,
    b"later " + b"x" * 9_500, b"later malformed", b"later unavailable", b"later bug",
]  # fmt: skip
HEAD = b"POST /validate?timeout=7s HTTP/1.1\r\nHost: x\r\n%bContent-Length: %d\r\n\r\n"
CLOSE = b"Connection: close\r\n"


def _sent(server: ServerProcess, *pieces: bytes) -> bytes:
    """Send each piece in a TLS record of its own, and return all that comes back."""
    with server.connect() as sock:
        for piece in pieces:
            sock.sendall(piece)
        return read_to_end(sock)


def _answer(reply: bytes) -> bytes:
    """Return answers without what tells that their connection ends, and the time of day."""
    assert reply.count(b"\r\ndate: ") == reply.count(b"HTTP/1.1 ")
    return re.sub(rb"connection: close\r\n|date: [^\r]*\r\n", b"", reply)


def _last(body: bytes) -> bytes:
    """A request after which the server closes the connection."""
    return HEAD % (CLOSE, len(body)) + body


@pytest.mark.parametrize("body", BODIES, ids=lambda body: f"{body[:20].decode()}-{len(body)}")
def test_every_road_gives_the_same_answer(server: ServerProcess, body: bytes) -> None:
    by_route = _answer(_sent(server, _last(body)))
    assert by_route.startswith(b"HTTP/1.1 ")
    head = HEAD % (b"", len(body))
    end = _last(b"end")
    after = _answer(_sent(server, end))
    whole = _answer(_sent(server, head + body, end))
    in_pieces = _answer(_sent(server, head, body[:4], body[4:], end))
    if len(body) > 1_048_576:  # refused before it is read: what follows is not looked at
        assert whole.startswith(by_route)
        assert in_pieces.startswith(by_route)
    else:
        assert whole == in_pieces == by_route + after


def test_answers_come_in_the_order_of_the_requests(server: ServerProcess) -> None:
    """Reviews sent at once on one connection: of those that wait none is overtaken."""
    bodies = [b"a", b"later bb", b"ccc", b"later dddd", b"malformed", b"eeeee"]
    reply = _sent(server, b"".join(HEAD % (b"", len(body)) + body for body in bodies) + _last(b""))
    answers = re.findall(rb"HTTP/1.1 (\d+)|\"bytes\": (\d+)", reply)
    said = [b"".join(answer).decode() for answer in answers]
    assert said == ["200", "1", "200", "2", "200", "3", "200", "4", "400", "200", "5", "200", "0"]


@pytest.mark.parametrize(
    "head",
    [
        b"POST /validate HTTP/1.0\r\nContent-Length: 3\r\n\r\n",
        b"POST /validate?a=b HTTP/1.1\r\nHost: x\r\n" + CLOSE + b"Content-Length: 3\r\n\r\n",
        b"POST /%76alidate HTTP/1.1\r\nHost: x\r\n" + CLOSE + b"Content-Length: 3\r\n\r\n",
        b"POST http://x/validate HTTP/1.1\r\nHost: x\r\n" + CLOSE + b"Content-Length: 3\r\n\r\n",
    ],
)
def test_other_ways_to_say_it_are_understood_too(server: ServerProcess, head: bytes) -> None:
    assert b'{"bytes": 3, "timeout": 10.000}' in _sent(server, head + b"abc")


def test_who_expects_100_continue_gets_it_before_the_body_is_sent(server: ServerProcess) -> None:
    with server.connect() as sock:
        sock.sendall(HEAD % (b"Expect: 100-continue\r\n" + CLOSE, 3))
        assert sock.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"abc")
        assert b'{"bytes": 3, "timeout": 7.000}' in read_to_end(sock)


@pytest.mark.parametrize("method", [b"GET", b"PUT", b"DELETE"])
def test_only_a_post_is_a_review(server: ServerProcess, method: bytes) -> None:
    head = HEAD.replace(b"POST", method) % (CLOSE, 3)
    assert _sent(server, head + b"abc").startswith(b"HTTP/1.1 405 ")
