"""Frames of STOMP 1.2, and the blocks that carry them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares

from pierhead.codec import StompFraming
from pierhead.errors import DecodeError, FramingError, UsageError
from pierhead.protocols import stomp
from pierhead.protocols.stomp.wire import Frame, FrameCodec
from pierhead.testing.laws import check_framing, check_splits, check_wire_format, read

CODEC = FrameCodec()


@pytest.mark.parametrize(
    ("block", "frame"),
    [
        (b"SEND\ndestination:/a\n\nahoy", Frame("SEND", (("destination", "/a"),), b"ahoy")),
        (b"SEND\r\na:b\r\n\r\nahoy", Frame("SEND", (("a", "b"),), b"ahoy")),
        (b"SEND\ncontent-length:3\na:b\n\n\0\n\0", Frame("SEND", (("a", "b"),), b"\0\n\0")),
        (b"SEND\na:1\na:2\n\n", Frame("SEND", (("a", "1"), ("a", "2")))),
        (b"SEND\na\\cb:\\n\\r\\\\:\n\n", Frame("SEND", (("a:b", "\n\r\\:"),))),
        (b"CONNECT\nhost:a\\b:c\n\n", Frame("CONNECT", (("host", "a\\b:c"),))),
        (b"DISCONNECT\n\n", Frame("DISCONNECT")),
        ("MESSAGE\né:😀\n\n".encode(), Frame("MESSAGE", (("é", "😀"),))),
    ],
)
def test_frames_are_read_as_the_specification_says(block: bytes, frame: Frame) -> None:
    assert CODEC.decode(block) == frame
    assert CODEC.decode(CODEC.encode(frame)) == frame
    assert read(StompFraming(), [StompFraming().frame(block)]).frames == (block,)


def test_the_first_of_repeated_headers_counts() -> None:
    frame = Frame("SEND", (("a", "1"), ("a", "2")))
    assert frame.header("a") == "1"
    assert frame.header("b") is None


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (b"", "without the blank line"),
        (b"SEND\na:b\n", "without the blank line"),
        (b"\n\n", "without a command"),
        (b"SEND\nab\n\n", "the header 'ab', expected name:value"),
        (b"SEND\n:b\n\n", "expected name:value"),
        (b"SEND\na:\\t\n\n", r"the escape \\t in a header"),
        (b"SEND\na:\\\n\n", r"the escape \\ in a header"),
        (b"SEND\na:\xff\n\n", "a header is not UTF-8"),
        (b"\xff\n\n", "the command is not UTF-8"),
        (b"SEND\ncontent-length:5\n\nahoy", "a body of 4 octets with a content-length of '5'"),
        (b"SEND\ncontent-length:\x1b\n\n", r"with a content-length of '\x1b'"),
    ],
)
def test_a_malformed_frame_is_refused(block: bytes, message: str) -> None:
    with pytest.raises(DecodeError, match=re.escape(message)) as refused:
        CODEC.decode(block)
    assert str(refused.value).isascii()


@pytest.mark.parametrize(
    "frame",
    [
        Frame(""),
        Frame("SE\nND"),
        Frame("SEND\r"),
        Frame("SEND", (("", "x"),)),
        Frame("SEND", (("content-length", "1"),), b"x"),
        Frame("SEND", (("a", "\ud800"),)),
        Frame("CONNECT", (("a:b", "c"),)),
        Frame("CONNECT", (("a", "b\n"),)),
        b"SEND\n\n",
    ],
)
def test_a_frame_that_cannot_be_written_is_refused(frame: Any) -> None:
    with pytest.raises(UsageError):
        CODEC.encode(frame)


@pytest.mark.parametrize(
    "block", [b"\nSEND\n\n", b"SEND\n\na\0b", b"a\0", b"SEND\ncontent-length:1\n\n", b"x" * 101]
)
def test_a_block_that_would_be_read_otherwise_is_not_written(block: bytes) -> None:
    with pytest.raises(UsageError):
        StompFraming(100).frame(block)


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (b"SEND\ncontent-length:x\n\n", "a content-length of b'x', expected up to 100"),
        (b"SEND\ncontent-length:-1\n\n", "a content-length of b'-1'"),
        (b"SEND\ncontent-length:" + b"9" * 5000 + b"\n\n", "more than 100|a content-length"),
        (b"SEND\ncontent-length:99\n\n", "a block of more than 100"),
        (b"SEND\ncontent-length:1\n\nab", "octet 0x62 after a body, expected NUL"),
        (b"SEND\n\n" + b"x" * 95, "a block of more than 100"),
        (b"x" * 101, "a block of more than 100"),
    ],
)
def test_an_invalid_block_is_a_fault_as_soon_as_that_is_certain(stream: bytes, reason: str) -> None:
    framer = StompFraming(100).new()
    framer.feed(stream)
    with pytest.raises(FramingError, match=reason):
        framer.frames(1)


def test_heart_beats_between_blocks_are_skipped() -> None:
    stream = b"\n\r\nSEND\n\na\0\n\n\r\nSEND\n\nb\0\n"
    assert read(StompFraming(), [stream]).frames == (b"SEND\n\na", b"SEND\n\nb")


# -- laws ----------------------------------------------------------------------------------------

names = st.text(st.sampled_from("ab:\n\r\\é"), min_size=1, max_size=5).filter(
    lambda name: name != "content-length"
)
values = st.text(st.sampled_from("ab:\n\r\\é"), max_size=5)
frames = st.builds(
    Frame,
    st.sampled_from(["SEND", "MESSAGE", "x y"]),
    st.lists(st.tuples(names, values), max_size=3).map(tuple),
    st.binary(max_size=20),
)


@settings(max_examples=50, deadline=None)
@given(sent=st.lists(frames, max_size=3))
def test_frames_come_back_from_a_stream_however_it_is_split(sent: list[Frame]) -> None:
    blocks = [CODEC.encode(frame) for frame in sent]
    check_framing(StompFraming(), blocks)
    assert [CODEC.decode(block) for block in blocks] == sent


PIECES = [b"SEND", b"\n", b"\r\n", b"a:b", b"\ncontent-length:", b"2", b"00", b"\n\n", b"\0", b"x"]
streams = st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join)


@settings(max_examples=100, deadline=None)
@given(stream=streams, longest=st.sampled_from([10, 30, 1000]))
def test_any_stream_reads_the_same_however_it_is_split(stream: bytes, longest: int) -> None:
    check_splits(StompFraming(longest), stream)


pieces = st.lists(st.sampled_from([*PIECES, b"\\", b"\xff", b":"]), max_size=8)


@shares(decoded=0.1, refused=0.2)
@given(block=pieces.map(b"".join) | frames.map(CODEC.encode))
def test_any_octets_are_a_frame_or_a_decode_error(block: bytes) -> None:
    try:
        CODEC.decode(block)
    except DecodeError:
        met("refused")
    else:
        met("decoded")


def test_both_sides_share_the_wire_format() -> None:
    asked = [Frame("SEND", (("receipt", "1"),), b"\0"), Frame("BEGIN")]
    check_wire_format(stomp.wire_format(), asked, lambda frame: Frame("RECEIPT"))
