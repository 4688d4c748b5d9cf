"""The most expensive input of each size for every parser: what is known to make parsers slow.

`SHAPES` is a table: a name, what makes the input of a size, and what reads it. Faults are part of
it: an input that is refused may cost no more than one that is taken.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pierhead.address import ListenSpec
from pierhead.address.listen_options import ListenOptions
from pierhead.cli.query_words import parse_words
from pierhead.codec import (
    Cobs,
    Delimited,
    Json,
    LengthPrefixed,
    Lines,
    MsgPack,
    Netstring,
    Slip,
    StompFraming,
    SyslogFraming,
    VarintPrefixed,
)
from pierhead.codec.client_hello import read_client_hello
from pierhead.codec.proxy_header import ProxyHeader, ProxyHeaderReader, decode_datagram, encode_v2
from pierhead.errors import PierheadError
from pierhead.protocols import dns
from pierhead.protocols.dns.codec import DatagramReplyCodec
from pierhead.protocols.dns.option_text import option_words, printable
from pierhead.protocols.dns.response import parse_head, parse_response
from pierhead.protocols.dns.wire.name import from_text
from pierhead.protocols.dns.wire.query import parse_query
from pierhead.protocols.dns.zone.master_file import parse_zone
from pierhead.protocols.stomp.wire import FrameCodec
from pierhead.protocols.syslog.wire import LenientCodec, MessageCodec
from pierhead.service.context import Context, Peer, Transport, Via

__all__ = ["CONSTANT", "LARGE", "SHAPES", "Shape", "hello", "octetwise"]

#: No message, and no PROXY header, is longer.
_MESSAGE = 65_535


@dataclass(frozen=True)
class Shape:
    """An expensive input of any size.

    Attributes:
        name: the parser, then what makes it expensive.
        make: returns the input of about this many octets.
        read: reads it; a `PierheadError` is an answer like any other, and so is its text.
        size: where measuring begins, at most.
        largest: the largest size that there is.
    """

    name: str
    make: Callable[[int], Any]
    read: Callable[[Any], object]
    size: int = 1024
    largest: int = 2**20

    def prepared(self, size: int) -> tuple[Callable[[], None], int]:
        """Return what reads an input of this size, and how many octets it has."""
        given = self.make(size)

        def run() -> None:
            try:
                self.read(given)
            except PierheadError as error:
                str(error)

        octets = sum(map(len, given)) if isinstance(given, list) else len(given)
        return run, octets


# -- framings ----------------------------------------------------------------------------------


def octetwise(stream: bytes) -> list[bytes]:
    return [stream[i : i + 1] for i in range(len(stream))]


def _blocks(stream: bytes, size: int = 1000) -> list[bytes]:
    return [stream[i : i + size] for i in range(0, len(stream), size)]


def _feed(framing: Any, limit: int = 2**31) -> Callable[[list[bytes]], None]:
    def read(pieces: list[bytes]) -> None:
        framer = framing.new()
        for piece in pieces:
            framer.feed(piece)
            while framer.frames(limit):
                pass
        framer.finish()

    return read


def _backlog(framing: Any) -> Callable[[list[bytes]], None]:
    """One frame is taken for each piece that comes, so that many wait."""

    def read(pieces: list[bytes]) -> None:
        framer = framing.new()
        for piece in pieces:
            framer.feed(piece)
            framer.frames(1)
        while framer.frames(1):
            pass

    return read


_LONG = 2**24
FRAMINGS: dict[str, tuple[Any, list[bytes]]] = {
    "lines": (Lines(max_length_bytes=_LONG), [b"x", b"\r", b"x\r"]),
    "delimited": (Delimited(b"\r\n.\r\n", _LONG), [b"x", b"\r\n.\r", b"\r"]),
    "delimited by 64 octets": (Delimited(b"a" * 63 + b"b", _LONG), [b"a", b"a" * 63 + b"c"]),
    "length-prefixed": (LengthPrefixed(4, max_length_bytes=_LONG), [b"x"]),
    "netstring": (Netstring(_LONG), [b"x", b"1", b","]),
    "cobs": (Cobs(_LONG), [b"x", b"\0", b"\0x"]),
    "slip": (Slip(_LONG), [b"x", b"\xc0", b"\xdb", b"x\xc0"]),
    "varint-prefixed": (VarintPrefixed(_LONG), [b"x", b"\x80"]),
    "syslog": (SyslogFraming(_LONG), [b"x", b"\n", b"1 "]),
    "stomp": (StompFraming(_LONG), [b"x", b"x\n", b"x\r", b"x\n\n"]),
    "syslog in lines": (SyslogFraming(_LONG, non_transparent=True), [b"x", b"x\r"]),
}


def _framings() -> list[Shape]:
    shapes = []
    for name, (framing, fillings) in FRAMINGS.items():
        for filling in fillings:

            def one(size: int, framing: Any = framing, filling: bytes = filling) -> bytes:
                return bytes(framing.frame(filling * (size // len(filling)) + b"."))

            def many(size: int, framing: Any = framing) -> bytes:
                small = framing.frame(b"a")
                return bytes(small * (size // len(small)))

            about = f"{name}: one long frame of {filling[:6]!r}"
            read = _feed(framing)
            shapes += [
                Shape(f"{about}, by octets", lambda n, m=one: octetwise(m(n)), read),
                Shape(f"{about}, by blocks", lambda n, m=one: _blocks(m(n)), read, largest=2**23),
            ]
        shapes += [
            Shape(f"{name}: small frames, by octets", lambda n, m=many: octetwise(m(n)), read),
            Shape(
                f"{name}: small frames, one at a time", lambda n, m=many: [m(n)], _feed(framing, 1)
            ),
            Shape(f"{name}: a backlog", lambda n, m=many: _blocks(m(n), 7), _backlog(framing)),
        ]
    return shapes


# -- messages ----------------------------------------------------------------------------------

_HEADER = b"<13>1 - - - - - "
_SYSLOG: dict[str, Callable[[int], bytes]] = {
    "elements": lambda n: b"".join(b"[e%d]" % k for k in range(n // 8)),
    "parameters": lambda n: b"[a" + b' b=""' * (n // 5) + b"]",
    "escapes": lambda n: b'[a b="' + b'\\"' * (n // 2) + b'"]',
    "a value without end": lambda n: b'[a b="' + b"\\\\x" * (n // 3),
    "parameters without end": lambda n: b"[a" + b' b=""' * (n // 5),
    "a long text": lambda n: b"- " + b"\xc3\xa9" * (n // 2),
}
_BSD: dict[str, Callable[[int], bytes]] = {
    "a long tag": lambda n: b"<13>" + b"x" * n,
    "line ends": lambda n: b"<13>x" + b"\r\n\0" * (n // 3) + b"x",
    "a long host": lambda n: b"<13>Oct 11 22:14:15 " + b"x:" * (n // 2),
}
_STOMP: dict[str, Callable[[int], bytes]] = {
    "headers": lambda n: b"SEND\n" + b"a:b\n" * (n // 4) + b"\n",
    "escapes": lambda n: b"SEND\na:" + b"\\c" * (n // 2) + b"\n\n",
    "an escape that is none": lambda n: b"SEND\na:" + b"\\\\" * (n // 2) + b"\\x\n\n",
    "carriage returns": lambda n: b"SEND\n" + b"a:\r\n" * (n // 4) + b"\n",
}
_TYPED: dict[str, tuple[Any, Callable[[int], bytes]]] = {
    "JSON: nesting": (Json(), lambda n: b"[" * n),
    "JSON: one long text of escapes": (Json(), lambda n: b'"' + b"\\n" * (n // 2) + b'"'),
    "JSON: one long number": (Json(), lambda n: b"9" * n),
    "JSON: fields that are unknown": (
        Json(dict[str, int]),
        lambda n: b"{" + b'"x":null,' * (n // 9) + b'"x":0}',
    ),
    "MessagePack: nesting": (MsgPack(), lambda n: b"\x91" * n),
    "MessagePack: an array that is cut off": (
        MsgPack(),
        lambda n: b"\xdd\xff\xff\xff\xff" + bytes(n),
    ),
}


def _again(frame: bytes) -> None:
    Json().encode(Json().decode(frame))


def _messages() -> list[Shape]:
    strict, lenient = MessageCodec().decode, LenientCodec().decode
    return [
        *(
            Shape(f"syslog: {name}", lambda n, make=make: _HEADER + make(n), strict)
            for name, make in _SYSLOG.items()
        ),
        *(Shape(f"older syslog: {name}", make, lenient) for name, make in _BSD.items()),
        *(Shape(f"STOMP: {name}", make, FrameCodec().decode) for name, make in _STOMP.items()),
        *(Shape(name, make, codec.decode) for name, (codec, make) in _TYPED.items()),
        Shape("JSON: nothing, written again", lambda n: b"[" + b"null," * (n // 5) + b"0]", _again),
    ]


# -- PROXY headers and TLS hellos ---------------------------------------------------------------


def _header(size: int, tlv: bytes, head: bytes = b"\x21\x11") -> bytes:
    block = bytes(12)
    tlvs = tlv * ((size - 28) // len(tlv))
    fixed = b"\r\n\r\n\0\r\nQUIT\n" + head + (len(block) + len(tlvs)).to_bytes(2, "big")
    return fixed + block + tlvs


def _checked(size: int) -> bytes:
    tlvs = ((0xE0, b""),) * ((size - 40) // 3)
    header = ProxyHeader(
        version=2, source=("192.0.2.1", 1), destination=("192.0.2.2", 2), tlvs=tlvs
    )
    return encode_v2(header, checksum=True)


def _read_proxy(pieces: list[bytes]) -> None:
    reader = ProxyHeaderReader()
    for piece in pieces:
        reader.feed(piece)
    if reader.header is not None:
        _ = reader.header.tls, reader.header.alpn, reader.header.authority


def _followed(size: int) -> list[bytes]:
    return [_header(28, b"\x04\0\0"), *octetwise(bytes(size))]


def hello(size: int, *, records: int = 1, extension: bytes = b"\0\x2a\0\0") -> bytes:
    extensions = extension * (min(size, 60_000) // len(extension))
    body = bytes(34) + b"\0" + b"\0\2\x13\1" + b"\1\0" + len(extensions).to_bytes(2, "big")
    message = b"\1" + len(body + extensions).to_bytes(3, "big") + body + extensions
    step = -(-len(message) // records)
    parts = [message[i : i + step] for i in range(0, len(message), step)]
    return b"".join(b"\x16\3\1" + len(part).to_bytes(2, "big") + part for part in parts)


def _read_hello(pieces: list[bytes]) -> None:
    received = bytearray()
    for piece in pieces:
        received += piece
        if read_client_hello(received) is not None:
            break


_names = b"\0\0\x00\x08\x00\x06\0\0\3a.b"
_protocols = b"\0\x10\x00\x05\x00\x03\x02h2"


# -- DNS messages -------------------------------------------------------------------------------


def _query(options: bytes) -> bytes:
    opt = b"\0\0\x29\x04\xd0\0\0\0\0" + len(options).to_bytes(2, "big") + options
    return b"\1\2\1\0\0\1\0\0\0\0\0\1" + b"\1a\7example\0\0\1\0\1" + opt


def _message(flags: bytes, question: bytes, record: bytes, size: int) -> bytes:
    count = max(1, (size - 12 - len(question)) // len(record))
    head = b"\1\2" + flags + b"\0\1" + count.to_bytes(2, "big") + bytes(4)
    return head + question + record * count


def _repeated(unit: bytes) -> Callable[[int], bytes]:
    return lambda size: _query(unit * (min(size, 65_000) // len(unit)))


_QUESTION = b"\0\0\1\0\1"
_LABELS = b"\1a" * 127 + b"\0"


def _chain(size: int) -> bytes:
    """Return names that are a label and a pointer to the one before, then records that use them."""
    names, at = [b"\0"], 12 + len(_QUESTION) + 11
    before = at
    at += 1
    for _ in range(120):
        names.append(b"\1a" + (0xC000 | before).to_bytes(2, "big"))
        before, at = at, at + 4
    holder = b"".join(names)
    first = b"\0\0\x10\0\1\0\0\0\0" + len(holder).to_bytes(2, "big") + holder
    record = (0xC000 | before).to_bytes(2, "big") + b"\0\1\0\1\0\0\0\0\0\0"
    count = max(1, (size - at) // len(record))
    head = b"\1\2\x80\0\0\1" + (count + 1).to_bytes(2, "big") + bytes(4)
    return head + _QUESTION + first + record * count


def _in_words(frame: bytes) -> None:
    response = parse_response(frame)
    for record in (*response.answer, *response.authority, *response.additional):
        with contextlib.suppress(PierheadError):
            str(record)


def _refused(frame: bytes) -> None:
    codec = DatagramReplyCodec(extended_errors=True)
    try:
        codec.encode(parse_query(frame).reply())
    except PierheadError as error:
        codec.reject(error, frame)


_layered = dns.standard(dns.refuse())
_via = Via(transport=Transport.DATAGRAM, scheme="udp", local="udp:[::]:53", listener="udp:[::]:53")


def _answered(frame: bytes) -> None:
    """Take a query through the standard layers, which wait for nothing."""
    codec = DatagramReplyCodec(extended_errors=True)
    query = parse_query(frame)
    try:
        _layered(query, Context(Peer("192.0.2.1:53"), 0.0, _via)).__await__().send(None)
    except StopIteration as end:
        codec.encode(end.value)


def _record(rtype: int, rdata: Callable[[int], bytes]) -> Callable[[int], bytes]:
    def make(size: int) -> bytes:
        data = rdata(min(size, 65_000))
        head = b"\1\2\x80\0\0\1\0\1" + bytes(4) + _QUESTION
        return (
            head
            + b"\0"
            + rtype.to_bytes(2, "big")
            + b"\0\1\0\0\0\0"
            + len(data).to_bytes(2, "big")
            + data
        )

    return make


_RDATA: dict[str, tuple[int, Callable[[int], bytes]]] = {
    "TXT of empty strings": (16, lambda n: bytes(n)),
    "TXT of escapes": (16, lambda n: (b"\xff" + b"\x80" * 255) * (n // 256)),
    "APL": (42, lambda n: b"\0\1\0\0" * (n // 4)),
    "HIP of pointers": (55, lambda n: b"\0\1\0\1ab" + b"\xc0\x0c" * (n // 2)),
    "NSEC bitmaps": (
        47,
        lambda n: b"\0" + b"".join(bytes((w, 32)) + b"\xff" * 32 for w in range(min(256, n // 34))),
    ),
    "SVCB": (
        64,
        lambda n: (
            b"\0\1\0" + b"".join((k + 100).to_bytes(2, "big") + b"\0\0" for k in range(n // 4))
        ),
    ),
    "SVCB with one long list": (
        64,
        lambda n: b"\0\1\0" + b"\0\1" + (n // 2 * 2).to_bytes(2, "big") + b"\1," * (n // 2),
    ),
    "an unknown type": (65_280, lambda n: bytes(n)),
    "CAA": (257, lambda n: b"\0\5issue" + b"\xff" * n),
    "LOC": (29, lambda n: bytes(n)),
    "NAPTR": (35, lambda n: bytes(4) + b"\0\0" + b"\xff" * 2 + bytes(n)),
    "OPENPGPKEY": (61, lambda n: b"\xff" * n),
}


def _dns() -> list[Shape]:
    small = {"largest": _MESSAGE}
    owner = _LABELS[:252] + b"\0"
    record = b"\0\1\0\1\0\0\0\0\0\0"
    queries = {
        "EDNS options without data": _repeated(b"\0\5\0\0"),
        "EDNS options of one octet": _repeated(b"\xfd\xe9\0\1x"),
        "client subnets": _repeated(b"\0\x08\0\4\0\1\0\0"),
        "cookies": _repeated(b"\0\x0a\0\x08" + bytes(8)),
        "records owned by the root": lambda n: _message(b"\1\0", _QUESTION, b"\0" + record, n),
        "records with long owners": lambda n: _message(b"\1\0", _QUESTION, owner + record, n),
        "records with pointers": lambda n: _message(b"\1\0", _QUESTION, b"\xc0\x0c" + record, n),
        "OPT records": lambda n: _message(b"\1\0", _QUESTION, b"\0\0\x29\2\0\0\0\0\0\0\0", n),
        "one endless name": lambda n: b"\1\2\1\0\0\1" + bytes(6) + b"\1a" * (n // 2),
        "one endless owner": lambda n: (
            b"\1\2\1\0\0\1\0\1" + bytes(4) + _QUESTION + b"\1a" * (n // 2)
        ),
    }
    shapes = [Shape(f"query: {name}", make, parse_query, **small) for name, make in queries.items()]
    shapes += [
        Shape(f"query and its refusal: {name}", make, _refused, **small)
        for name, make in queries.items()
    ]
    shapes += [
        Shape(f"query, layers and answer: {name}", queries[name], _answered, **small)
        for name in ("EDNS options without data", "client subnets", "cookies")
    ]
    responses = {
        "long owners": lambda n: _message(b"\x80\0", _QUESTION, owner + record, n),
        "pointers to a long name": lambda n: _message(
            b"\x80\0", _LABELS[:252] + b"\0\0\1\0\1", b"\xc0\x0c" + record, n
        ),
        "a chain of pointers": _chain,
        **{f"RDATA: {name}": _record(*made) for name, made in _RDATA.items()},
    }
    shapes += [
        Shape(f"response in words: {name}", make, _in_words, **small)
        for name, make in responses.items()
    ]
    shapes.append(Shape("response: its head", responses["long owners"], parse_head, **small))
    return shapes


# -- text ---------------------------------------------------------------------------------------

_HEAD = b"$ORIGIN example.\n$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n"


def _zone(text: bytes) -> None:
    parse_zone(text, origin="example.")


def _lines(*lines: str) -> Callable[[int], bytes]:
    """Return zones of these lines again and again, ``{}`` in them a number."""

    def make(size: int) -> bytes:
        made, octets, number = [_HEAD], 0, 0
        while octets < size:
            for line in lines:
                text = line.replace("{}", str(number)).encode() + b"\n"
                made.append(text)
                octets += len(text)
            number += 1
        return b"".join(made)

    return make


def _filled(before: bytes, unit: bytes, after: bytes = b"") -> Callable[[int], bytes]:
    return lambda size: _HEAD + before + unit * (size // len(unit)) + after


_DEEP = ".".join("a" * 60)
_ZONES: dict[str, Callable[[int], bytes]] = {
    "plain records": _lines("n{} A 192.0.2.1"),
    "records of one set": _lines("n A 10.0.0.1", 'n TXT "{}"'),
    "types of one name": _lines("n TYPE{} \\# 1 00"),
    "the same record again": _lines("n A 192.0.2.1"),
    "deep names": _lines(f"n{{}}.{_DEEP} A 192.0.2.1"),
    "aliases of each other": _lines("n{} CNAME n{}"),
    "delegations with glue": _lines("d{} NS ns.d{}", "ns.d{} A 192.0.2.1"),
    "wildcards": _lines("*.w{} MX 1 m.w{}"),
    "mail hosts without addresses": _lines("m{} MX 1 x{}"),
    "other TTLs in one set": _lines("n {} TXT a{}"),
    "a long line of blanks": _filled(b"a A ", b" \t", b"1.2.3.4\n"),
    "one long field": _filled(b"a TXT ", b"x", b"\n"),
    "one long number": _filled(b"a ", b"1", b" A 1.2.3.4\n"),
    "one long number in RDATA": _filled(b"a MX ", b"1", b" m\n"),
    "one long name": _filled(b"", b"a.", b" A 1.2.3.4\n"),
    "one long name of escapes": _filled(b"", b"\\097.", b" A 1.2.3.4\n"),
    "one long quoted string": _filled(b'a TXT "', b"x", b'"\n'),
    "one long string of escapes": _filled(b'a TXT "', b"\\200", b'"\n'),
    "many strings in one record": _filled(b"a TXT", b' "x"', b"\n"),
    "many glued strings": _filled(b"a TXT ", b'"x"', b"\n"),
    "many fields in parentheses": _filled(b"a TXT (", b" x\n", b" )\n"),
    "many parentheses": _filled(b"a TXT ", b"( x ) ", b"\n"),
    "nested parentheses": _filled(b"a TXT ", b"(" * 50 + b"x" + b")" * 50, b"\n"),
    "parentheses that stay open": _lines("a{} TXT ( x"),
    "many that stay open": _lines("a{} TXT (((( x"),
    "too many that stay open": _filled(b"a TXT ", b"(", b"\n"),
    "parentheses that were not open": _lines("a{} TXT ) x"),
    "quotes without partner": _lines('a{} TXT "x'),
    "quotes in one line without partner": _filled(b"a TXT ", b'" x ;', b"\n"),
    "backslashes at the ends of lines": _lines("a{} TXT x\\"),
    "one long comment": _filled(b"a A 1.2.3.4 ;", b";", b"\n"),
    "comments": _lines(";", " ; x", 'a{} A 192.0.2.1 ; x ( "'),
    "comments in parentheses": _filled(b"a TXT (", b'x ; ( " )\n', b")\n"),
    "blank lines": _filled(b"", b" \n", b""),
    "faults": _lines("a{} A nothing"),
    "types that are none": _lines("a{} X{} nothing"),
    "curly quotes": _lines("a{} TXT \u201cx\u201d"),
    "curly quotes in one line": _filled(b"a TXT ", "\u201cx ".encode(), b"\n"),
    "curly quotes in quotes": _filled(b'a TXT "', "\u201cx ".encode(), b'"\n'),
    "form feeds": _filled(b"a TXT ", b"\fx ", b"\n"),
    "origins": _lines("$ORIGIN o{}.example.", "a A 192.0.2.1"),
    "time to live": _lines("$TTL {}", "a{} A 192.0.2.1"),
    "generators": _lines("$GENERATE 1-2 g{}-$ A 192.0.2.$"),
    "a generator's long line": _filled(b"$GENERATE 1-9 g$ TXT ", b"${0,3,d}", b"\n"),
    "a service binding of many keys": lambda n: (
        _HEAD
        + b"a SVCB 1 . "
        + b" ".join(b"key%d=x" % k for k in range(100, 100 + n // 10))
        + b"\n"
    ),
    "a service binding's long list": _filled(b"a SVCB 1 . alpn=", b"h2,", b"h2\n"),
    "a service binding's long value": _filled(b'a SVCB 1 . key999="', b"\\\\,", b'"\n'),
    "a list of mandatory keys": lambda n: (
        _HEAD
        + b"a SVCB 1 . mandatory="
        + b",".join(b"key%d" % k for k in range(100, 100 + n // 8))
        + b"\n"
    ),
    "address hints": _filled(b"a SVCB 1 . ipv4hint=", b"192.0.2.1,", b"192.0.2.1\n"),
    "address prefixes": _filled(b"a APL", b" 1:192.0.2.0/24", b"\n"),
    "types of NSEC": lambda n: (
        _HEAD + b"a NSEC b" + b"".join(b" TYPE%d" % t for t in range(256, 256 + n // 9)) + b"\n"
    ),
    "hexadecimal in pieces": _filled(b"a DS 1 8 2", b" 00", b"\n"),
    "Base 64 in pieces": _filled(b"a DNSKEY 256 3 8", b" AAAA", b"\n"),
    "unknown RDATA in pieces": _filled(b"a TYPE65280 \\# 60000", b" 00", b"\n"),
    "rendezvous servers": _filled(b"a HIP 2 00 AA==", b" r", b"\n"),
    "ports of WKS": _filled(b"a WKS 192.0.2.1 6", b" 53", b"\n"),
    "one long LOC": _filled(b"a LOC", b" 1", b"\n"),
    "a long directive": _filled(b"$ORIGIN", b" x", b"\n"),
    "binary data": _filled(b"", b"\x80\x00", b"\n"),
}

_WORDS: dict[str, Callable[[int], list[str]]] = {
    "zones": lambda n: ["--zone=z"] * (n // 8),
    "options": lambda n: ["@::1", *(f"+ednsopt={k % 65536}:00" for k in range(n // 16))],
    "switches": lambda n: ["@::1", *(["+all", "+noall"] * (n // 10))],
    "one long option": lambda n: ["@::1", "+ednsopt=1:" + "00" * (n // 2)],
    "one long name": lambda n: ["@::1", "a." * (n // 2)],
    "one long server": lambda n: ["@" + "a:" * (n // 2)],
    "one long word that is none": lambda n: ["@::1", "+" + "no" * (n // 2)],
    "one long type that is none": lambda n: ["@::1", "a.", "A" * n],
    "one long number": lambda n: ["@::1", "+tries=" + "1" * n],
    "one long network": lambda n: ["@::1", "+subnet=" + "1." * (n // 2)],
}

_ADDRESSES: dict[str, Callable[[int], str]] = {
    "wrappers": lambda n: "tls+" * (n // 4),
    "one unknown wrapper": lambda n: "a" * n + "+",
    "one unknown scheme": lambda n: "a" * n + ":x",
    "colons": lambda n: ":" * n,
    "hexadecimal and colons": lambda n: "a:" * (n // 2),
    "points": lambda n: "tcp:" + "a." * (n // 2) + ":80",
    "numbers": lambda n: "tcp:" + "1." * (n // 2) + ":80",
    "brackets": lambda n: "tcp:" + "[" * n + ":80",
    "one long zone": lambda n: "tcp:[fe80::1%" + "a" * n + "]:80",
    "one long port": lambda n: "tcp:127.0.0.1:" + "1" * n,
    "one long path": lambda n: "unix:/" + "%41" * (n // 3),
    "one long path of broken escapes": lambda n: "unix:/" + "%" * n,
    "one long name": lambda n: "mem:" + "a" * n,
    "descriptors": lambda n: "fd:" + ",".join(map(str, range(3, 3 + n // 5))),
    "certificates": lambda n: "tls+tcp:x:1?" + "&".join(f"cert=/{k}" for k in range(n // 9)),
    "one option again": lambda n: "tcp:x:1?" + "backlog=1&" * (n // 10),
    "one unknown option": lambda n: "tcp:x:1?" + "a" * n,
    "empty options": lambda n: "tcp:x:1?" + "&" * n,
    "one long list": lambda n: (
        "proxy+tcp:x:1?proxy.from="
        + ",".join(f"10.{k // 256}.{k % 256}.0/24" for k in range(n // 12))
    ),
    "accounts": lambda n: "unix:/x?allow-uid=" + ",".join(map(str, range(n // 5))),
    "a long size": lambda n: "tcp:x:1?rcvbuf=" + "1" * n,
    "a long duration": lambda n: "tls+tcp:x:1?cert=a&handshake-timeout=" + "1" * n + "s",
    "a long mode": lambda n: "unix:/x?mode=" + "7" * n,
}


def _texts() -> list[Shape]:
    shapes = [Shape(f"zone: {name}", make, _zone) for name, make in _ZONES.items()]
    shapes += [Shape(f"query words: {name}", make, parse_words) for name, make in _WORDS.items()]
    shapes += [
        Shape(f"address: {name}", make, ListenSpec.parse, size=900, largest=3600)
        for name, make in _ADDRESSES.items()
    ]
    shapes += [
        Shape(
            "socket options",
            lambda n: "&".join(["cert=/a"] * (n // 8)),
            ListenOptions.parse,
            size=900,
            largest=3600,
        ),
        Shape("name in text: labels", lambda n: "a." * (n // 2), from_text),
        Shape("name in text: escapes", lambda n: "\\097" * (n // 4), from_text),
        Shape("name in text: a long escape", lambda n: "\\" * n, from_text),
        Shape("text of a server", lambda n: "\x1b\udcff" * (n // 2), printable),
        *(
            Shape(
                f"EDNS option {code} in words",
                lambda n: b"\xff\x1b" * (n // 2),
                lambda data, code=code: option_words(code, data),
                largest=_MESSAGE,
            )
            for code in (3, 8, 9, 10, 11, 12, 15, 65_001)
        ),
    ]
    return shapes


def _hellos() -> list[Shape]:
    small = {"largest": _MESSAGE}
    hellos = {
        "empty extensions": b"\0\x2a\0\0",
        "names": _names,
        "protocols": _protocols,
    }
    shapes = [
        Shape(
            f"TLS hello: {name}",
            lambda n, e=extension: [hello(min(n, 16_000), extension=e)],
            _read_hello,
            **small,
        )
        for name, extension in hellos.items()
    ]
    shapes += [
        Shape(
            "TLS hello: one record by octets",
            lambda n: octetwise(hello(min(n, 16_000))),
            _read_hello,
            largest=16_384,
        ),
        Shape(
            "TLS hello: four records by octets",
            lambda n: octetwise(hello(n, records=4)),
            _read_hello,
            **small,
        ),
        Shape(
            "TLS hello: records without data",
            lambda n: octetwise(b"\x16\3\1\0\0" * (n // 5)),
            _read_hello,
            **small,
        ),
    ]
    return shapes


def _proxies() -> list[Shape]:
    small = {"largest": _MESSAGE}
    tlvs = {
        "empty TLVs": b"\x04\0\0",
        "checksums": b"\x03\0\4\0\0\0\0",
        "TLS of empty TLVs": b"\x20\0\x08\1\0\0\0\0\x21\0\0",
        "unique ids": b"\x05\0\1x",
        "a TLV cut off": b"\x04\0",
    }
    shapes = [
        Shape(
            f"PROXY: {name}, {way}", lambda n, t=tlv, c=cut: c(_header(n, t)), _read_proxy, **small
        )
        for name, tlv in tlvs.items()
        for way, cut in (("by octets", octetwise), ("in one piece", lambda data: [data]))
    ]
    shapes += [
        Shape("PROXY: a checksum", lambda n: [_checked(n)], _read_proxy, **small),
        Shape("PROXY: in a datagram", lambda n: _header(n, b"\x04\0\0"), decode_datagram, **small),
        Shape("PROXY: what comes behind it, by octets", _followed, _read_proxy),
        Shape(
            "PROXY: version 1, endless",
            lambda n: octetwise(b"PROXY UNKNOWN " + b"x" * n),
            _read_proxy,
        ),
    ]
    return shapes


SHAPES: tuple[Shape, ...] = (
    *_framings(),
    *_messages(),
    *_proxies(),
    *_hellos(),
    *_dns(),
    *_texts(),
)

#: Work is bounded, but not yet at 512 octets, where the others begin.
LARGE = frozenset(
    (
        "PROXY: a TLV cut off, in one piece",
        "zone: one long name of escapes",
        "zone: curly quotes in quotes",
        "zone: a generator's long line",
    )
)

#: Shapes that take the same number of Python steps at any length: they are scanned in C, or refused
#: at a limit. Any other shape must take more steps when it is longer; if it does not, it is refused
#: before it is read, and shows nothing.
CONSTANT = frozenset(
    (
        "syslog: a value without end",
        "syslog: escapes",
        "STOMP: escapes",
        "syslog: a long text",
        "older syslog: a long tag",
        "older syslog: line ends",
        "older syslog: a long host",
        "JSON: nesting",
        "JSON: one long text of escapes",
        "JSON: one long number",
        "JSON: fields that are unknown",
        "MessagePack: nesting",
        "MessagePack: an array that is cut off",
        "PROXY: version 1, endless",
        "TLS hello: records without data",
        "query: OPT records",
        "query: one endless name",
        "query and its refusal: OPT records",
        "query and its refusal: one endless name",
        "response in words: RDATA: HIP of pointers",
        "response in words: RDATA: an unknown type",
        "response in words: RDATA: LOC",
        "response in words: RDATA: NAPTR",
        "response in words: RDATA: OPENPGPKEY",
        "response: its head",
        "zone: a long line of blanks",
        "zone: one long field",
        "zone: one long number",
        "zone: one long number in RDATA",
        "zone: one long quoted string",
        "zone: too many that stay open",
        "zone: quotes in one line without partner",
        "zone: one long comment",
        "zone: blank lines",
        "zone: curly quotes in quotes",
        "zone: Base 64 in pieces",
        "zone: binary data",
        "query words: one long option",
        "query words: one long server",
        "query words: one long number",
        "query words: one long network",
        "address: one long zone",
        "EDNS option 8 in words",
        "EDNS option 9 in words",
        "EDNS option 10 in words",
        "EDNS option 11 in words",
        "EDNS option 12 in words",
        "EDNS option 65001 in words",
    )
)
