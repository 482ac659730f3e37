"""Cutting pages and blocks: every object once, in order, in small pieces."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kube_headroom.cluster.decoding import line_pieces, page_head, page_items, watch_events

# Texts that look like the place between two items, where they must not be taken for it.
TRAPS = ('},{"metadata":{', '"items":[', "]}", '\\"},{\\"metadata\\":{', "\n", "ü€")


def page(items: list[dict], **metadata: str) -> bytes:
    head = {"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": items}
    return json.dumps(head, separators=(",", ":"), ensure_ascii=False).encode()


def item(number: int, trap: str) -> dict:
    """An object with objects of the same beginning inside, as volumeClaimTemplates are."""
    return {
        "metadata": {"name": f"n{number}", "annotations": {"trap": trap}},
        "spec": {
            "volumeClaimTemplates": [{"metadata": {"name": "x"}}, {"metadata": {"name": "y"}}]
        },
    }


@given(traps=st.lists(st.sampled_from(TRAPS), max_size=30), piece_bytes=st.integers(1, 2000))
def test_every_item_comes_once_and_in_order(traps, piece_bytes):
    body = page([item(n, trap) for n, trap in enumerate(traps)], resourceVersion="7")
    found = [obj.metadata.name for piece in page_items(body, piece_bytes) for obj in piece]
    assert found == [f"n{n}" for n in range(len(traps))]
    assert page_head(body).resource_version == "7"


def test_a_page_of_500_pods_is_decoded_in_pieces():
    """About as large as asked for, so that the loop is not held by a whole page."""
    items = [{"metadata": {"name": f"n{n}", "annotations": {"a": "x" * 7000}}} for n in range(500)]
    pieces = [len(piece) for piece in page_items(page(items), 128 * 1024)]
    assert sum(pieces) == 500
    assert max(pieces) <= 20


def test_the_head_is_found_wherever_it_stands():
    """Go writes metadata before items; nothing promises it."""
    body = (
        b'{"items":[{"metadata":{"name":"a"}}],"metadata":{"resourceVersion":"3","continue":"c"}}'
    )
    assert (page_head(body).resource_version, page_head(body).continue_) == ("3", "c")


@pytest.mark.parametrize("items", [b"null", b"[]", b"[ ]"])
def test_an_empty_list_has_no_items(items):
    body = b'{"metadata":{"resourceVersion":"3"},"items":' + items + b"}\n"
    assert [obj for piece in page_items(body, 10) for obj in piece] == []
    assert page_head(body).resource_version == "3"


@given(lines=st.lists(st.binary(max_size=50), min_size=1), piece_bytes=st.integers(1, 200))
def test_pieces_of_a_block_are_whole_lines(lines, piece_bytes):
    block = b"".join(line.replace(b"\n", b"") + b"\n" for line in lines)
    pieces = list(line_pieces(block, piece_bytes))
    assert b"".join(pieces) == block
    assert all(piece.endswith(b"\n") for piece in pieces)


def test_an_error_event_ends_the_events():
    ok = b'{"type":"ADDED","object":{"metadata":{"name":"a"}}}\n'
    error = b'{"type":"ERROR","object":{"kind":"Status","status":"Failure","code":410}}\n'
    first, second = watch_events(ok + error + ok)
    assert first.object.metadata.name == "a"
    assert second.status.code == 410
