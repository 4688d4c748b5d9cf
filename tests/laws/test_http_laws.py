"""Laws of reading requests: any split is the same, and h11 does not read otherwise."""

from __future__ import annotations

from collections.abc import Iterator

import h11
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares

from pierhead.errors import DecodeError
from pierhead.protocols.http.wire.head_rules import Head
from pierhead.protocols.http.wire.limits import RequestLimits
from pierhead.protocols.http.wire.request_reader import RequestReader

LIMITS = RequestLimits.of({"max_head_bytes": 300, "max_request_line_bytes": 64, "max_fields": 8})

#: Pieces of requests, right and wrong, that are put together at random.
PIECES = [
    b"GET / HTTP/1.1\r\n",
    b"POST /p HTTP/1.1\r\n",
    b"GET / HTTP/1.0\r\n",
    b"GET http://a/b HTTP/1.1\r\n",
    b"BREW / HTTP/1.1\r\n",
    b"GET / HTTP/2.0\r\n",
    b"Host: a\r\n",
    b"Host: b\r\n",
    b"Content-Length: 3\r\n",
    b"Content-Length: 4\r\n",
    b"Content-Length: +3\r\n",
    b"Content-Length : 3\r\n",
    b"content-length:3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip\r\n",
    b"Transfer-Encoding:\tchunked\r\n",
    b"Transfer-Encoding: chunked, chunked\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b"X: a\r\n b\r\n",
    b"X: a\n",
    b"X: a\rb\r\n",
    b"X: \xe4\t \r\n",
    b": a\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"abc",
    b"abcd",
    b"3\r\nabc\r\n",
    b"3;a=b\r\nabc\r\n",
    b"03\r\nabc\r\n",
    b"0x3\r\nabc\r\n",
    b"3 \r\nabc\r\n",
    b"3\nabc\r\n",
    b"4\r\nabc\r\n",
    b"0\r\n\r\n",
    b"0\r\nT: 1\r\n\r\n",
    b"0\r\nContent-Length: 1\r\n\r\n",
    b"a" * 70,
    b"X: " + b"a" * 120 + b"\r\n",
]

whole = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
]
streams = st.lists(st.sampled_from(PIECES + whole * 8), max_size=14).map(b"".join)


def read(parts: list[bytes]) -> list[object]:
    """Return the requests of a stream, and how it ends."""
    reader, found = RequestReader(LIMITS), list[object]()
    try:
        for part in parts:
            reader.feed(part)
            while reader.buffered:
                if reader.is_in_body:
                    found[-1] += reader.body()  # type: ignore[operator]
                    if reader.is_in_body:
                        break
                    found.append(tuple(reader.trailers))
                    continue
                head = reader.head()
                if head is None:
                    break
                found.append((head.method, head.target, head.version, tuple(head.fields)))
                found.append(head.keeps_alive)
                found.append(b"")
    except DecodeError as error:
        found.append(getattr(error, "status", 0))
        return found
    found.append((reader.is_in_body, reader.buffered))
    return found


def is_refused(found: list[object]) -> bool:
    """Tell whether a stream was refused; record which of these it was."""
    refused = isinstance(found[-1], int)
    met("refused" if refused else "whole" if found[-1] == (False, 0) else "incomplete")
    return refused


def joined(found: list[object]) -> list[object]:
    return [one for one in found if one not in (b"", ())]


@shares(whole=0.05, incomplete=0.05, refused=0.2)
@given(streams, st.lists(st.integers(1, 40), min_size=1, max_size=60))
@example(b"\n\r\n\r\n", [1])
@example(b"\r\n" + whole[0], [1])
@settings(max_examples=400, deadline=None)
def test_any_split_of_the_input_is_read_alike(stream: bytes, sizes: list[int]) -> None:
    parts, at, turn = [], 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        parts.append(stream[at : at + size])
        at, turn = at + size, turn + 1
    at_once, one_by_one = read([stream]), read(parts)
    # An error within content comes before or after what has arrived of it.
    if is_refused(at_once):
        assert at_once[-1] == one_by_one[-1]
        heads = [one for one in at_once if isinstance(one, tuple) and one]
        assert heads == [one for one in one_by_one if isinstance(one, tuple) and one]
    else:
        assert joined(at_once) == joined(one_by_one)


@shares(alike=0.3, refused=0.1)
@given(streams)
@example(b"\r\n" + whole[0])
@settings(max_examples=400, deadline=None)
def test_h11_reads_every_request_that_is_accepted_alike(stream: bytes) -> None:
    for octets, head, content in accepted(stream):
        it = h11.Connection(h11.SERVER)
        it.receive_data(octets.removeprefix(b"\r\n"))  # which h11 does not ignore (RFC 9112 §2.2)
        event = it.next_event()
        assert isinstance(event, h11.Request), (event, octets)
        assert (event.method, event.target) == (head.method.encode(), head.target.encode())
        assert event.http_version == head.version.encode()
        ours = [(name.lower().encode(), value.encode("latin-1")) for name, value in head.fields]
        assert [(name.lower(), value) for name, value in event.headers] == ours
        compare_content(it, content)
        assert it.trailing_data[0] == b""
        assert (it.their_state is h11.DONE) == head.keeps_alive or head.version == "1.0"
        met("alike")


def accepted(stream: bytes) -> Iterator[tuple[bytes, Head, bytes]]:
    """Yield each whole request that is read: its octets, its head and its content."""
    reader = RequestReader(LIMITS)
    reader.feed(stream)
    at = 0
    try:
        while (head := reader.head()) is not None:
            content = reader.body() if reader.is_in_body else b""
            if reader.is_in_body:
                return
            end = len(stream) - reader.buffered
            yield stream[at:end], head, content
            at = end
    except DecodeError:
        met("refused")


def compare_content(it: h11.Connection, content: bytes) -> None:
    body = b""
    while isinstance(event := it.next_event(), h11.Data):
        body += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage)
    assert body == content
