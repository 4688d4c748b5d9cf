"""Laws of PROXY headers and TLS hellos: any bytes, any split."""

from __future__ import annotations

import ipaddress
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares

from pierhead.codec.client_hello import ClientHello, read_client_hello
from pierhead.codec.proxy_header import (
    ProxyHeader,
    ProxyHeaderReader,
    decode_datagram,
    encode_v1,
    encode_v2,
)
from pierhead.errors import FramingError

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"

ports = st.integers(0, 65_535)
tlvs = st.lists(st.tuples(st.integers(0xE0, 0xEF), st.binary(max_size=20)), max_size=3).map(tuple)


def address(version: int) -> st.SearchStrategy[tuple[str, int]]:
    return st.tuples(st.ip_addresses(v=version).map(str), ports)


names = st.binary(min_size=1, max_size=108).map(lambda name: name.partition(b"\0")[0])
pairs = st.one_of(
    st.tuples(address(4), address(4)), st.tuples(address(6), address(6)), st.tuples(names, names)
)


@st.composite
def headers(draw: st.DrawFn) -> ProxyHeader:
    source, destination = draw(st.one_of(st.just((None, None)), pairs))
    return ProxyHeader(
        version=2,
        source=source,
        destination=destination,
        is_datagram=source is not None and draw(st.booleans()),
        tlvs=() if source is None else draw(tlvs),
    )


beginnings = st.sampled_from(
    [b"", b"PROXY ", b"PROXY TCP4 192.0.2.1 192.0.2.2 ", SIGNATURE, SIGNATURE + b"\x21\x11\0\x10"]
)


def outcome(pieces: list[bytes]) -> tuple[ProxyHeader | None, bytes] | None:
    reader = ProxyHeaderReader()
    try:
        for piece in pieces:
            reader.feed(piece)
    except FramingError:
        met("refused")
        return None
    met("read" if reader.header else "wait")
    return reader.header, reader.rest


def changed(data: bytes, at: int, octet: int) -> bytes:
    return data[: at % len(data)] + bytes((octet,)) + data[at % len(data) + 1 :]


complete = st.one_of(headers().map(encode_v2), st.just(encode_v1(("::1", 1), ("::2", 2))))


@shares(read=0.05, refused=0.05, wait=0.05)
@given(
    st.one_of(
        beginnings,
        complete,
        st.builds(changed, complete, st.integers(0, 30), st.integers(0, 255)),
    ),
    st.binary(max_size=120),
    st.lists(st.integers(0, 140), max_size=5),
)
def test_any_bytes_at_any_split_are_a_header_or_a_framing_error(
    beginning: bytes, rest: bytes, cuts: list[int]
) -> None:
    data = beginning + rest
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(edges)]
    assert outcome(pieces) == outcome([data])


@given(headers(), st.booleans(), st.binary(max_size=20))
def test_a_header_of_version_2_is_read_back(header: ProxyHeader, crc: bool, rest: bytes) -> None:
    data = encode_v2(header, checksum=crc and header.source is not None)
    read, payload = decode_datagram(data + rest)
    assert payload == rest
    assert (read.source, read.destination, read.is_datagram) == (
        header.source,
        header.destination,
        header.is_datagram,
    )
    assert tuple(pair for pair in read.tlvs if pair[0] != 3) == header.tlvs


@shares(read=1.0)
@given(st.one_of(st.tuples(address(4), address(4)), st.tuples(address(6), address(6))))
def test_a_header_of_version_1_is_read_back(
    both: tuple[tuple[str, int], tuple[str, int]],
) -> None:
    found = outcome([encode_v1(*both)])
    assert found is not None
    header, rest = found
    assert header is not None
    assert rest == b""
    assert [ipaddress.ip_address(host) for host, _ in (header.source, header.destination)] == [
        ipaddress.ip_address(host) for host, _ in both
    ]


@shares(read=0.05, wait=0.1)
@settings(max_examples=200)
@given(
    st.sampled_from([b"", b"\x16\x03\x01", b"\x16\x03\x01\x00\x40\x01\x00\x00\x3c"]),
    st.binary(max_size=200),
)
def test_any_bytes_are_a_hello_or_wait_for_more(beginning: bytes, rest: bytes) -> None:
    found = read_client_hello(beginning + rest)
    met("wait" if found is None else "read")
    assert found is None or isinstance(found, ClientHello)
