from __future__ import annotations

import struct

import pytest

from pierhead.codec.proxy_header import (
    ProxyHeader,
    ProxyHeaderReader,
    ProxyTls,
    crc32c,
    decode_datagram,
    encode_v1,
    encode_v2,
)
from pierhead.errors import FramingError

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def read(data, version=None):
    reader = ProxyHeaderReader(version)
    reader.feed(data)
    return reader


def v2(command, family, body):
    return SIGNATURE + bytes([command, family]) + struct.pack("!H", len(body)) + body


def tlv(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


ADDRESSES = bytes([192, 0, 2, 1, 198, 51, 100, 9]) + struct.pack("!HH", 4000, 53)


def test_version_1_of_both_families():
    reader = read(b"PROXY TCP4 192.0.2.1 198.51.100.9 4000 53\r\nrest")
    assert reader.header == ProxyHeader(
        version=1, source=("192.0.2.1", 4000), destination=("198.51.100.9", 53)
    )
    assert reader.rest == b"rest"
    header = read(b"PROXY TCP6 2001:DB8::0:1 ::1 1 65535\r\n").header
    assert (header.source, header.destination) == (("2001:db8::1", 1), ("::1", 65535))


@pytest.mark.parametrize(
    "line",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
        b"PROXY UNKNOWN anything at all\r\n",
    ],
)
def test_version_1_unknown_leaves_the_sockets_own_addresses(line):
    assert read(line).header == ProxyHeader(version=1)


@pytest.mark.parametrize(
    "line",
    [
        b"PROXY TCP4 192.0.2.1 198.51.100.9 4000 53\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.9 4000\r\n",
        b"PROXY TCP4 192.0.2.1  198.51.100.9 4000 53\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.9 4000 53 \r\n",
        b"PROXY TCP4 192.0.2.256 198.51.100.9 4000 53\r\n",
        b"PROXY TCP4 192.0.2.01 198.51.100.9 4000 53\r\n",
        b"PROXY TCP4 ::1 198.51.100.9 4000 53\r\n",
        b"PROXY TCP6 ::1 198.51.100.9 4000 53\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.9 65536 53\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.9 04000 53\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.9 -1 53\r\n",
        b"PROXY UDP4 192.0.2.1 198.51.100.9 4000 53\r\n",
        b"PROXY UNKNOWN\n",
        b"PROXY UNKNOWN a\rb\r\n",
        b"PROXY \r\n",
        b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
    ],
)
def test_version_1_that_deviates_from_the_specification_is_refused(line):
    with pytest.raises(FramingError):
        read(line)


def test_a_line_of_version_1_ends_within_107_octets():
    longest = b"PROXY UNKNOWN ".ljust(105, b"x") + b"\r\n"
    assert read(longest).header
    with pytest.raises(FramingError, match="107 octets"):
        read(longest.replace(b"\r\n", b"x\r\n"))
    with pytest.raises(FramingError, match="107 octets"):
        read(b"PROXY UNKNOWN ".ljust(107, b"x"))


@pytest.mark.parametrize(
    "start", [b"GET / HTTP/1.1\r\n", b"P\0", b"\r\n\r\nx", b"\x16\x03\x01", b"p"]
)
def test_an_invalid_header_is_refused_at_its_first_wrong_octet(start):
    with pytest.raises(FramingError, match="no PROXY header of version 1 or 2"):
        read(start)


def test_a_header_of_an_unaccepted_version_is_refused():
    line = b"PROXY UNKNOWN\r\n"
    assert read(line, 1).header
    with pytest.raises(FramingError, match="of version 2"):
        read(line, 2)
    with pytest.raises(FramingError, match="of version 1"):
        read(encode_v2(ProxyHeader(version=2)), 1)


def test_version_2_of_every_family():
    header = read(v2(0x21, 0x11, ADDRESSES) + b"rest")
    assert header.header == ProxyHeader(
        version=2, source=("192.0.2.1", 4000), destination=("198.51.100.9", 53)
    )
    assert header.rest == b"rest"
    six = bytes(15) + b"\1" + bytes(15) + b"\2" + struct.pack("!HH", 1, 2)
    header = read(v2(0x21, 0x22, six)).header
    assert (header.source, header.destination) == (("::1", 1), ("::2", 2))
    assert header.is_datagram
    unix = b"/run/a".ljust(108, b"\0") + b"\0abstract".ljust(108, b"\0")
    header = read(v2(0x21, 0x31, unix)).header
    assert (header.source, header.destination) == (b"/run/a", b"\0abstract")


@pytest.mark.parametrize(
    "data",
    [
        v2(0x20, 0x00, b""),  # what a health check sends
        v2(0x20, 0x11, ADDRESSES),
        v2(0x21, 0x00, b"anything"),
        v2(0x21, 0x10, ADDRESSES),
    ],
)
def test_local_and_unspecified_leave_the_sockets_own_addresses(data):
    assert read(data).header == ProxyHeader(version=2)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (v2(0x11, 0x11, ADDRESSES), "0x11, expected 0x20 or 0x21"),
        (v2(0x22, 0x11, ADDRESSES), "0x22, expected"),
        (v2(0x21, 0x41, ADDRESSES), "0x41, which is unknown"),
        (v2(0x21, 0x13, ADDRESSES), "0x13, which is unknown"),
        (v2(0x21, 0x11, ADDRESSES[:-1]), "11 octets of addresses, expected 12"),
        (v2(0x21, 0x21, ADDRESSES), "12 octets of addresses, expected 36"),
        (v2(0x21, 0x11, ADDRESSES + b"\x01\0"), "cut off"),
        (v2(0x21, 0x11, ADDRESSES + b"\x01\0\x02x"), "longer than its header"),
        (v2(0x21, 0x11, ADDRESSES + tlv(5, bytes(129))), "at most 128"),
        (v2(0x21, 0x11, ADDRESSES + tlv(3, bytes(3))), "expected 4"),
        (v2(0x21, 0x11, ADDRESSES + tlv(3, bytes(4))), "checksum"),
        (v2(0x21, 0x11, ADDRESSES + tlv(0x20, bytes(4))), "expected 5 or more"),
        (v2(0x21, 0x11, ADDRESSES + tlv(0x20, bytes(5) + b"\x21\0")), "cut off"),
    ],
)
def test_version_2_that_is_malformed_is_refused(data, why):
    with pytest.raises(FramingError, match=why):
        read(data)


def test_facts_of_a_header():
    tls = b"\x03" + bytes(4) + tlv(0x21, b"TLSv1.3") + tlv(0x22, b"sensor 7") + tlv(0x23, b"X-Y")
    facts = [(1, b"h2"), (2, "ä.example".encode()), (5, b"\0id"), (0x20, tls), (0x30, b"blue")]
    body = ADDRESSES + b"".join(tlv(*fact) for fact in [(4, b"padding"), *facts, (0xE0, b"own")])
    header = read(v2(0x21, 0x11, body)).header
    assert (header.alpn, header.authority, header.unique_id) == (b"h2", "ä.example", b"\0id")
    assert (header.network_namespace, header.tlv(0xE0)) == ("blue", b"own")
    assert header.tls == ProxyTls(
        is_tls=True,
        has_certificate=True,
        is_verified=True,
        version="TLSv1.3",
        common_name="sensor 7",
        cipher="X-Y",
    )
    nothing = ProxyHeader(version=2)
    assert nothing.tls is nothing.authority is nothing.alpn is nothing.network_namespace is None


@pytest.mark.parametrize(
    ("value", "has_certificate", "is_verified"),
    [
        (b"\x01\0\0\0\0", False, False),
        (b"\x01\0\0\0\1", False, False),
        (b"\x05\0\0\0\0", True, True),
        (b"\x03\0\0\0\1", True, False),
    ],
)
def test_a_certificate_is_verified_only_where_there_is_one(value, has_certificate, is_verified):
    tls = ProxyHeader(version=2, tlvs=((0x20, value),)).tls
    assert (tls.has_certificate, tls.is_verified) == (has_certificate, is_verified)


def test_the_checksum_covers_the_whole_header():
    assert crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32C
    header = ProxyHeader(
        version=2, source=("192.0.2.1", 1), destination=("192.0.2.2", 2), tlvs=((0xE0, b"x"),)
    )
    data = encode_v2(header, checksum=True)
    assert read(data).header.source == ("192.0.2.1", 1)
    kind = len(data) - 7  # another type there, and it is a header without checksum
    for position in (*range(16, kind), *range(kind + 1, len(data))):
        damaged = bytearray(data)
        damaged[position] ^= 0x40
        with pytest.raises(FramingError):
            read(bytes(damaged))


def test_input_fed_after_a_complete_header_is_kept_as_the_rest():
    reader = read(b"PROXY UNKNOWN\r\none")
    reader.feed(b" two")
    assert reader.rest == b"one two"


def test_a_datagram_has_the_header_and_its_payload():
    header = ProxyHeader(version=2, source=("::1", 1), destination=("::2", 2), is_datagram=True)
    assert decode_datagram(encode_v2(header) + b"payload") == (header, b"payload")
    with pytest.raises(FramingError, match="longer than its datagram"):
        decode_datagram(encode_v2(header)[:-1])
    with pytest.raises(FramingError, match="of version 2"):
        decode_datagram(b"PROXY UNKNOWN\r\n")


def test_written_headers_are_read_back():
    assert read(encode_v1(None, None)).header == ProxyHeader(version=1)
    both = ("192.0.2.1", 1), ("192.0.2.2", 65535)
    assert read(encode_v1(*both)).header == ProxyHeader(
        version=1, source=both[0], destination=both[1]
    )
    unix = ProxyHeader(version=2, source=b"/run/a", destination=b"")
    assert read(encode_v2(unix)).header == unix


def test_a_second_checksum_is_refused_without_a_look_at_all_octets_again() -> None:
    both = ("192.0.2.1", 1), ("192.0.2.2", 2)
    header = ProxyHeader(version=2, source=both[0], destination=both[1], tlvs=((4, b"\0" * 7),))
    data = encode_v2(header, checksum=True)
    end = len(data) - 7  # where the checksum begins
    twice = data[:end] + b"\3\0\4\0\0\0\0" + b"\3\0\4\0\0\0\0"
    twice = twice[:14] + (len(twice) - 16).to_bytes(2, "big") + twice[16:]
    twice = twice[: end + 3] + crc32c(twice).to_bytes(4, "big") + twice[end + 7 :]
    with pytest.raises(FramingError, match="a second checksum"):
        ProxyHeaderReader().feed(twice)
