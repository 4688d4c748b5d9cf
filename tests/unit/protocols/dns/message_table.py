"""Queries with every EDNS option and every header bit, and the answer that the RFCs want.

A row is a message and what its answer must be. The rows are for a server that holds
``www.example. A``, knows cookies, and has an NSID.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

__all__ = ["IDENT", "ROWS", "STREAM_ROWS", "Row", "Told", "told"]

IDENT = 0x1D1D
QUESTION = b"\x03www\x07example\x00\x00\x01\x00\x01"
_RECORD = b"\xc0\x0c" + struct.pack("!HHIH4s", 1, 1, 60, 4, bytes(4))

NOERROR, FORMERR, NOTIMP, BADVERS = 0, 1, 4, 16
QR, AA, RD = 0x8000, 0x0400, 0x0100
#: Every bit that a query may not make a difference with, by name.
_OTHER_BITS = {"AA": AA, "TC": 0x0200, "RA": 0x0080, "Z": 0x0040, "AD": 0x0020, "CD": 0x0010}
_OPCODES = {0: "QUERY", 1: "IQUERY", 2: "STATUS", 4: "NOTIFY", 5: "UPDATE", 6: "DSO"}
NSID, SUBNET, EXPIRE, COOKIE, KEEPALIVE, PADDING = 3, 8, 9, 10, 11, 12
CHAIN, KEY_TAG, EXTENDED_ERROR = 13, 14, 15


@dataclass(frozen=True)
class Told:
    """What a client acts on in an answer; see `told`.

    Attributes:
        flags: the second word of the header, without the RCODE.
        rcode: all twelve bits.
        answers: how many records the answer section has.
        do: the DO bit of the OPT record; None without OPT record.
        options: codes of the options, extended errors left out: they say why, to people.
    """

    flags: int
    rcode: int
    answers: int
    do: bool | None
    options: tuple[int, ...] = ()


@dataclass(frozen=True)
class Row:
    """A message, what its answer must be (None for silence), and by which rule."""

    name: str
    frame: bytes
    answer: Told | None
    rule: str


def told(reply: bytes | None) -> Told | None:
    """Return what an answer says; it must be whole, and clear what RFC 6891 §6.1.4 reserves."""
    if reply is None:
        return None
    ident, flags, questions, answers, authorities, additionals = struct.unpack_from("!6H", reply)
    assert ident == IDENT
    rcode, do, codes = flags & 15, None, ()
    position = 12
    for _ in range(questions):
        position = _name_end(reply, position) + 4
    for _ in range(answers + authorities + additionals):
        position = _name_end(reply, position)
        rtype, _, ttl, length = struct.unpack_from("!HHIH", reply, position)
        position += 10
        if rtype == 41:
            assert do is None
            assert not ttl & 0x00FF7FFF, "version 0, and no flag but DO"
            rcode, do = rcode | ttl >> 24 << 4, bool(ttl & 0x8000)
            codes = tuple(_codes(reply[position : position + length]))
        position += length
    assert position == len(reply)
    kept = tuple(code for code in codes if code != EXTENDED_ERROR)
    return Told(flags & 0xFFF0, rcode, answers, do, kept)


def _name_end(frame: bytes, position: int) -> int:
    while length := frame[position]:
        if length >= 0xC0:
            return position + 2
        position += length + 1
    return position + 1


def _codes(data: bytes) -> Iterator[int]:
    position = 0
    while position < len(data):
        code, length = struct.unpack_from("!HH", data, position)
        yield code
        position += 4 + length
    assert position == len(data)


def header(flags: int = 0, qd: int = 1, an: int = 0, ns: int = 0, ar: int = 0) -> bytes:
    """Return a header."""
    return struct.pack("!6H", IDENT, flags, qd, an, ns, ar)


def opt(rdata: bytes = b"", ttl: int = 0, size: int = 1232, owner: bytes = b"\0") -> bytes:
    """Return an OPT record."""
    return owner + struct.pack("!HHIH", 41, size, ttl, len(rdata)) + rdata


def option(code: int, data: bytes) -> bytes:
    """Return one option of an OPT record."""
    return struct.pack("!HH", code, len(data)) + data


def asking(rdata: bytes = b"", ttl: int = 0) -> bytes:
    """Return a query with this OPT record."""
    return header(ar=1) + QUESTION + opt(rdata, ttl)


ANSWERED = Told(QR | AA, NOERROR, 1, False)
REFUSED = Told(QR, FORMERR, 0, False)


def _header_rows() -> Iterator[Row]:
    """Every opcode with every bit, with and without EDNS."""
    for number in range(16):
        name = _OPCODES.get(number, f"opcode {number}")
        word = number << 11
        good = ANSWERED if number == 0 else Told(QR | word, NOTIMP, 0, False)
        plain = replace(good, do=None)
        yield Row(f"{name}, a response", header(QR | word) + QUESTION, None, "RFC 1035 §7.3")
        yield Row(f"{name}, RD", header(word | RD) + QUESTION, _copied(plain), "RFC 1035 §4.1.1")
        for bit_name, bit in _OTHER_BITS.items():
            frame = header(word | bit) + QUESTION
            yield Row(f"{name}, {bit_name}", frame, plain, "RFC 1035 §4.1.1, RFC 4035 §3.1.6")
        for rcode in range(1, 16):
            frame = header(word | rcode) + QUESTION
            yield Row(f"{name}, RCODE {rcode}", frame, plain, "RFC 1035 §4.1.1")
        frame = header(word, ar=1) + QUESTION + opt()
        yield Row(f"{name}, EDNS", frame, good, "RFC 6891 §6.1.1")
        frame = header(word, ar=1) + QUESTION + opt(ttl=0x8000)
        yield Row(f"{name}, EDNS with DO", frame, replace(good, do=True), "RFC 3225 §3")
        frame = header(word, ar=1) + QUESTION + opt(ttl=0xFF007FFF)
        yield Row(f"{name}, EDNS with Z and RCODE bits", frame, good, "RFC 6891 §6.1.4")
        for version in (1, 255):
            frame = header(word, ar=1) + QUESTION + opt(ttl=version << 16 | 0x8000)
            badvers = Told(QR | word, BADVERS, 0, True)
            yield Row(f"{name}, EDNS version {version}", frame, badvers, "RFC 6891 §6.1.3")
        frame = header(word, ar=2) + QUESTION + opt() + opt()
        twice = Told(QR | word, FORMERR, 0, False)
        yield Row(f"{name}, two OPT records", frame, twice, "RFC 6891 §6.1.1")
        if number:
            yield from _other_shapes(name, word, good, plain)


def _copied(told: Told) -> Told:
    """Return the same with RD, where the opcode is QUERY."""
    return told if told.flags & 0x7800 else replace(told, flags=told.flags | RD)


def _other_shapes(name: str, word: int, good: Told, plain: Told) -> Iterator[Row]:
    """Messages with another opcode that look like no query."""
    yield Row(f"{name}, a header alone", header(word, qd=0), plain, "RFC 8906 §8.1.4")
    frame = header(word, qd=0, ar=1) + opt()
    yield Row(f"{name}, EDNS alone", frame, good, "RFC 6891 §6.1.1")
    frame = header(word, 2, 1, 1, 2) + QUESTION * 2 + _RECORD * 3 + opt()
    yield Row(f"{name}, EDNS behind other records", frame, good, "RFC 6891 §6.1.1")
    frame = header(word, ar=1) + QUESTION + opt(owner=b"\x01a\0")
    yield Row(f"{name}, OPT of a name", frame, plain, "RFC 6891 §6.1.2")
    frame = header(word, ar=1) + QUESTION + opt()[:-1]
    yield Row(f"{name}, OPT cut off", frame, plain, "RFC 6891 §6.1.1")
    frame = header(word, 9, 9, 9, 9) + b"\xff"
    yield Row(f"{name}, no sections at all", frame, plain, "RFC 8906 §8.1.4")


def _question_rows() -> Iterator[Row]:
    """A number of questions other than one is a format error, with EDNS if the query has it."""
    rule = "RFC 9619 §4, RFC 6891 §6.1.1"
    for count in (0, 2, 3):
        frame = header(qd=count) + QUESTION * count
        yield Row(f"{count} questions", frame, replace(REFUSED, do=None), rule)
        frame = header(qd=count, ar=1) + QUESTION * count + opt(ttl=0x8000)
        yield Row(f"{count} questions, EDNS", frame, replace(REFUSED, do=True), rule)
    frame = header(qd=2) + QUESTION
    yield Row("2 questions where 1 is", frame, replace(REFUSED, do=None), rule)


def _answered_with(*codes: int) -> Told:
    return replace(ANSWERED, options=codes)


#: By code: data in hexadecimal, and the answer.
_SHARED = {
    # RFC 5001 §2.2: "MUST ignore any NSID payload data".
    NSID: ("RFC 5001 §2.2", {data: _answered_with(NSID) for data in ("", "00", "61" * 200)}),
    SUBNET: (
        "RFC 7871 §6, §7.2.1",
        {
            **{
                data: _answered_with(SUBNET)
                for data in (
                    "00011800c00002",
                    "00012000c0000201",
                    "00010000",
                    "00010f00c002",
                    "00020000",
                    "0002380020010db8000000",
                    "00028000" + "00" * 16,
                    "00000000",
                )
            },
            **dict.fromkeys(
                (
                    "",  # shorter than family and lengths
                    "0001",
                    "000118",
                    "00011800c000",  # fewer octets than the prefix has
                    "00011800c0000200",  # more
                    "0001000000",
                    "00012100c000020100",  # longer than an address
                    "00028100" + "00" * 17,
                    "00010f00c003",  # bits behind the prefix
                    "00010100ff",
                    "00011808c00002",  # a scope in a query
                    "00030000",  # no such family
                    "00031000c000",
                    "ffff0000",
                    "0000080001",
                ),
                REFUSED,
            ),
        },
    ),
    # RFC 7314 §3 says nothing of data in a query; this one asks for no SOA record.
    EXPIRE: ("RFC 7314 §4", dict.fromkeys(("", "00000001", "ff", "00" * 9), ANSWERED)),
    COOKIE: (
        "RFC 7873 §5.2.2",
        {
            "01" * length: _answered_with(COOKIE) if length == 8 or 16 <= length <= 40 else REFUSED
            for length in (0, 1, 7, 8, 9, 15, 16, 17, 24, 39, 40, 41, 255)
        },
    ),
    # RFC 7830 §3: "MUST" be accepted with any octets; §6: never padded without encryption.
    PADDING: ("RFC 7830 §6", dict.fromkeys(("", "00" * 9, "ff" * 9), ANSWERED)),
    # What we do not know is ignored, whatever is in it.
    **{
        code: ("RFC 6891 §6.1.2", dict.fromkeys(("", "ff", "0001", "00" * 18), ANSWERED))
        for code in (
            *(0, 1, 2, 4, 5, 6, 7),  # LLQ, UL, DAU, DHU, N3U
            *(CHAIN, KEY_TAG, EXTENDED_ERROR, 16, 17, 18, 19, 20),  # tags, reports, versions
            *(20292, 26946, 65001, 65534, 65535),
        )
    },
}
_KEEPALIVE_DATA = ("", "00", "0064", "000000", "ffffffff")


def _option_rows(table: dict[int, tuple[str, dict[str, Told]]]) -> Iterator[Row]:
    for code, (rule, cases) in table.items():
        for data, answer in cases.items():
            shown = f"{data[:14]}{'…' if len(data) > 14 else ''} ({len(data) // 2})"
            frame = asking(option(code, bytes.fromhex(data)))
            yield Row(f"option {code}: {shown}", frame, answer, rule)


def _record_rows() -> Iterator[Row]:
    """Options that their record cuts off, and the same option more than once."""
    cut = {
        "one octet": "00",
        "three octets": "000300",
        "no data where one octet is told": "00030001",
        "less data than told": "000a000801020304",
        "a good option, then one octet": "0003000000",
        "a length beyond the message": "0003ffff",
    }
    for name, data in cut.items():
        yield Row(f"OPT with {name}", asking(bytes.fromhex(data)), REFUSED, "RFC 6891 §6.1.2")
    good, bad = bytes.fromhex("00011800c00002"), bytes.fromhex("00030000")
    rule = "RFC 7871 §7.2.1"
    both = (option(SUBNET, good), option(SUBNET, bad))
    yield Row("two subnets", asking(both[0] * 2), _answered_with(SUBNET), rule)
    yield Row("a subnet, then a bad one", asking(both[0] + both[1]), REFUSED, rule)
    yield Row("a bad subnet, then a good one", asking(both[1] + both[0]), REFUSED, rule)
    first, second = option(COOKIE, b"c" * 8), option(COOKIE, b"c")
    # RFC 7873 §5.2: "only the first … is considered. All others are ignored."
    rule = "RFC 7873 §5.2"
    yield Row("a cookie, then a bad one", asking(first + second), _answered_with(COOKIE), rule)
    yield Row("a bad cookie, then a good one", asking(second + first), REFUSED, rule)
    # RFC 7873 §5.3: a client that sent a cookie discards a refusal without one.
    refused = replace(REFUSED, options=(COOKIE,))
    yield Row("a cookie and a bad subnet", asking(first + both[1]), refused, "RFC 7873 §5.3")
    every = first + both[0] + option(NSID, b"") + option(65001, b"x") + option(PADDING, b"")
    known = (SUBNET, NSID, COOKIE)
    yield Row("many options at once", asking(every), _answered_with(*known), "RFC 6891 §6.1.2")
    frame = asking(option(NSID, b"\xff"), 1 << 16)
    yield Row("another version with an option", frame, Told(QR, BADVERS, 0, False), "§6.1.3")
    for size in (0, 1, 511, 65535):
        frame = header(ar=1) + QUESTION + opt(size=size)
        yield Row(f"payload size {size}", frame, ANSWERED, "RFC 6891 §6.2.3")


#: RFC 7828 §3.2.2: over UDP the option is ignored.
_IGNORED = {KEEPALIVE: ("RFC 7828 §3.2.2", dict.fromkeys(_KEEPALIVE_DATA, ANSWERED))}
#: RFC 7828 §3.2.1: a client sends it without data.
_ANSWERED = {
    KEEPALIVE: (
        "RFC 7828 §3.2.1",
        {data: REFUSED if data else _answered_with(KEEPALIVE) for data in _KEEPALIVE_DATA},
    )
}
_EITHER = (*_header_rows(), *_question_rows(), *_option_rows(_SHARED), *_record_rows())
#: For datagrams, and for streams.
ROWS = (*_EITHER, *_option_rows(_IGNORED))
STREAM_ROWS = (*_EITHER, *_option_rows(_ANSWERED))
