"""Bad input on every codec and side: too long, cut off, damaged, and of another type.

A server reads requests and a client reads replies, each with a codec of its own type. Whatever
comes, there is a message, or a `DecodeError` that says why, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import attrs
import msgspec
import pydantic
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct

from pierhead.codec import (
    Cobs,
    Codec,
    Delimited,
    Framing,
    Json,
    LengthPrefixed,
    Lines,
    MsgPack,
    Netstring,
    Packed,
    Protobuf,
    Slip,
    StompFraming,
    SyslogFraming,
    VarintPrefixed,
    WireFormat,
    json_lines,
)
from pierhead.errors import DecodeError, FramingError
from pierhead.protocols import lines, stomp, syslog


class Asked(msgspec.Struct):
    number: int
    words: list[str]


@dataclass
class Told:
    count: int


@attrs.define
class AskedAttrs:
    number: int


class ToldModel(pydantic.BaseModel):
    count: int


ASKED, TOLD = Asked(7, ["tar"]), Told(1)


@dataclass(frozen=True)
class Row:
    """A wire format, a message for each way, and frames of another type with what is said."""

    wire: WireFormat[Any, Any]
    request: Any
    reply: Any
    not_a_request: tuple[bytes, str]
    not_a_reply: tuple[bytes, str]


JSON_ASKED = (b'{"number":"7","words":[]}', "$.number: expected int, got str")
JSON_TOLD = (b'{"count":[1]}', "$.count: expected int, got array")
ROWS = [
    Row(
        lines.wire_format(max_length_bytes=64),
        "ahoy",
        "aye",
        (b"\xff", "not utf-8"),
        (b"a\xc3", "not utf-8"),
    ),
    Row(json_lines(Asked, Told, max_length_bytes=64), ASKED, TOLD, JSON_ASKED, JSON_TOLD),
    Row(
        WireFormat(Delimited(b"\0", 64), Json(AskedAttrs), Json(ToldModel)),
        AskedAttrs(7),
        ToldModel(count=1),
        (b'{"number":null}', "$.number: expected int, got null"),
        (b'{"count":1.5}', "$.count: expected a valid integer, got float"),
    ),
    Row(
        WireFormat(Netstring(64), MsgPack(Asked), MsgPack(ToldModel)),
        ASKED,
        ToldModel(count=1),
        (b"\x81\xa6number\xa1x", "$.number: expected int, got str"),
        (b"\x81\xa5count\xc3", "$.count: expected a valid integer, got bool"),
    ),
    Row(
        WireFormat(LengthPrefixed(2, max_length_bytes=64), Packed("!IH"), Packed("!I")),
        (1, 2),
        3,
        (b"\0" * 5, "message of 5 octets, expected 6"),
        (b"\0" * 6, "message of 6 octets, expected 4"),
    ),
    Row(
        WireFormat(VarintPrefixed(64), Protobuf(Duration), Protobuf(Struct)),
        Duration(seconds=1),
        Struct(),
        (b"\x08", "malformed protobuf"),
        (b"\x0a\x7f", "malformed protobuf"),
    ),
    Row(
        WireFormat(Cobs(64), MsgPack(Asked), MsgPack(Told)),
        ASKED,
        TOLD,
        (b"\xc1", "malformed MessagePack"),
        (b"\x90", "$: expected object, got array"),
    ),
    Row(
        WireFormat(Slip(64), Json(Asked), Json(Told)),
        ASKED,
        TOLD,
        (b'{"number":7', "malformed JSON: it ends too early"),
        (b'{"count":NaN}', "malformed JSON: invalid character"),
    ),
    Row(
        stomp.wire_format(max_length_bytes=64),
        stomp.Frame("SEND", body=b"ahoy"),
        stomp.Frame("RECEIPT"),
        (b"SEND\nab\n\n", "the header 'ab', expected name:value"),
        (b"RECEIPT\na:\\t\n\n", "the escape"),
    ),
    Row(
        syslog.wire_format(max_length_bytes=64),
        syslog.Message(text="hm"),
        syslog.Message(text="hm"),
        (b"<192>1 - - - - - -", "a priority of 192"),
        (b"<13>1 now - - - - -", "expected a timestamp"),
    ),
]


def sides() -> Iterator[Any]:
    for row in ROWS:
        framing, requests, replies = row.wire.framing, row.wire.requests, row.wire.replies
        about = f"{type(framing).__name__}, {requests!r}"
        yield pytest.param(framing, requests, row.request, row.not_a_request, id=f"{about}: server")
        about = f"{type(framing).__name__}, {replies!r}"
        yield pytest.param(framing, replies, row.reply, row.not_a_reply, id=f"{about}: client")


SIDES = pytest.mark.parametrize(("framing", "codec", "message", "wrong"), [*sides()])


def received(framing: Framing, codec: Codec[Any], stream: bytes) -> list[Any]:
    """Return the messages and the errors of a stream, to its end."""
    framer = framing.new()
    framer.feed(stream)
    got: list[Any] = []
    try:
        got += [_decoded(codec, frame) for frame in framer.frames(100)]
        framer.frames(100)
        got += [_decoded(codec, frame) for frame in framer.finish()]
    except FramingError as error:
        got.append(error)
    return got


def _decoded(codec: Codec[Any], frame: bytes) -> Any:
    try:
        return codec.decode(frame)
    except DecodeError as error:
        return error


@SIDES
def test_what_is_too_long_ends_the_stream_after_the_messages_before_it(
    framing: Any, codec: Any, message: Any, wrong: Any
) -> None:
    unbounded = replace(framing, max_length_bytes=1000)
    got = received(
        framing, codec, framing.frame(codec.encode(message)) + unbounded.frame(b"x" * 99)
    )
    assert got[0] == message
    assert isinstance(got[1], FramingError)
    assert "64" in str(got[1])


@SIDES
def test_what_is_cut_off_is_no_message(framing: Any, codec: Any, message: Any, wrong: Any) -> None:
    stream = framing.frame(codec.encode(message))
    for end in range(1, len(stream)):
        for one in received(framing, codec, stream[:end]):
            # A text that is cut off is a text, and the end of input ends a line.
            complete = isinstance(framing, Lines) and end == len(stream) - 1
            assert isinstance(one, DecodeError | str) or complete


@SIDES
def test_what_is_damaged_is_a_message_or_refused_by_one_kind_of_error(
    framing: Any, codec: Any, message: Any, wrong: Any
) -> None:
    stream = framing.frame(codec.encode(message))
    refused = 0
    for at in range(len(stream)):
        for octet in (0, 0x0A, 0x31, 0x7F, 0xC0, 0xDB, 0xFF):
            got = received(framing, codec, stream[:at] + bytes([octet]) + stream[at + 1 :])
            refused += any(isinstance(one, DecodeError) for one in got)
    assert refused > len(stream)


@SIDES
def test_what_is_of_another_type_is_refused_and_says_why(
    framing: Any, codec: Any, message: Any, wrong: Any
) -> None:
    frame, why = wrong
    good = framing.frame(codec.encode(message))
    first, second, third = received(framing, codec, good + framing.frame(frame) + good)
    assert first == third == message
    assert isinstance(second, DecodeError)
    assert not isinstance(second, FramingError)
    assert why in str(second)
    assert str(second).isascii()


def test_every_framing_has_a_row() -> None:
    named = {Lines, Delimited, Netstring, LengthPrefixed, VarintPrefixed, Cobs, Slip}
    named |= {SyslogFraming, StompFraming}
    assert {type(row.wire.framing) for row in ROWS} == named
