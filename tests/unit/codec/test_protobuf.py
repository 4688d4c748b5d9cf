"""Protobuf's messages, and their streams as protobuf itself writes and reads them."""

from __future__ import annotations

import io
from typing import Any

import pytest
from google.protobuf import proto
from google.protobuf.descriptor_pb2 import UninterpretedOption
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct, Value
from hypothesis import given
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares

from pierhead import Protobuf, VarintPrefixed, WireFormat
from pierhead.errors import DecodeError, UsageError
from pierhead.testing.laws import check_codec, check_wire_format, read

NamePart = UninterpretedOption.NamePart  # its fields are required


def test_messages_come_back_and_damaged_ones_are_refused() -> None:
    wanted = Struct(fields={"a": Value(number_value=1.5), "b": Value(string_value="é")})
    check_codec(Protobuf(Struct), [b"", b"\xff"], messages=[wanted, Struct()])
    check_codec(Protobuf(NamePart), [b""], messages=[NamePart(name_part="a", is_extension=False)])


def test_both_sides_of_a_wire_format_share_it() -> None:
    wire = WireFormat(VarintPrefixed(), Protobuf(Duration), Protobuf(Struct))
    check_wire_format(
        wire, [Duration(seconds=7), Duration()], lambda asked: Struct(fields={"a": Value()})
    )


def test_a_stream_is_what_protobuf_writes_and_reads() -> None:
    messages = [Duration(seconds=7), Duration(), Duration(seconds=2**60, nanos=5)]
    theirs = io.BytesIO()
    for message in messages:
        proto.serialize_length_prefixed(message, theirs)
    codec = Protobuf(Duration)
    ours = b"".join(VarintPrefixed().frame(codec.encode(message)) for message in messages)
    assert ours == theirs.getvalue()
    assert [*map(codec.decode, read(VarintPrefixed(), [ours]).frames)] == messages
    back = io.BytesIO(ours)
    assert [proto.parse_length_prefixed(Duration, back) for _ in messages] == messages


@pytest.mark.parametrize(
    ("kind", "frame", "message"),
    [
        (Duration, b"\x08", "malformed protobuf: Error parsing message"),
        (Struct, b"\x0a\x03\x0a\x01\xff", "malformed protobuf"),
        (NamePart, b"", "a NamePart without a required field"),
        (Value, b"\x32\x7f" * 200, "malformed protobuf"),
    ],
)
def test_malformed_input_is_a_decode_error(kind: Any, frame: bytes, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        Protobuf(kind).decode(frame)


def test_nesting_is_bounded() -> None:
    sized, nested = VarintPrefixed().frame, b""
    for _ in range(60):  # two levels each: the list of a value, and a value in it
        nested = b"\x32" + sized(b"\x0a" + sized(nested))
    with pytest.raises(DecodeError, match="malformed protobuf"):
        Protobuf(Value).decode(nested)


@shares(decoded=0.05, refused=0.3)
@given(
    frame=st.binary(max_size=20) | st.lists(st.sampled_from([8, 16, 1, 0]), max_size=6).map(bytes)
)
def test_any_octets_are_a_message_or_a_decode_error(frame: bytes) -> None:
    try:
        Protobuf(Duration).decode(frame)
    except DecodeError:
        met("refused")
    else:
        met("decoded")


def test_bugs_of_the_program_are_reported() -> None:
    with pytest.raises(UsageError, match=r"it has no FromString\(\)"):
        Protobuf(dict)  # type: ignore[type-var]
    with pytest.raises(UsageError, match="a message is Struct, expected Duration"):
        Protobuf(Duration).encode(Struct())  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="a NamePart without a required field"):
        Protobuf(NamePart).encode(NamePart(name_part="a"))
    assert repr(Protobuf(Duration)) == "Protobuf(Duration)"
