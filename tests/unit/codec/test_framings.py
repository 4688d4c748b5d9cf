"""The stock framings: what each reads, writes and refuses."""

from __future__ import annotations

import pytest

from pierhead.codec import (
    Cobs,
    Delimited,
    Framing,
    LengthPrefixed,
    Lines,
    Netstring,
    Slip,
    StompFraming,
    SyslogFraming,
    VarintPrefixed,
    cobs,
    delimited,
    length_prefixed,
    lines,
    netstring,
    slip,
    stomp_framing,
    syslog_framing,
    varint_prefixed,
)
from pierhead.errors import FramingError, UsageError


def read(framing: Framing, stream: bytes) -> list[bytes]:
    framer = framing.new()
    framer.feed(stream)
    frames = framer.frames(1000)
    assert framer.frames(1000) == []
    return frames + framer.finish()


# --- what every framing does -------------------------------------------------------------------

# tests/laws/test_framer_laws.py lists them too.
ALL = [
    pytest.param(Lines(), b"a\nbc\n", id="lines"),
    pytest.param(Delimited(b"\0"), b"a\0bc\0", id="delimited"),
    pytest.param(LengthPrefixed(2), b"\0\1a\0\2bc", id="length"),
    pytest.param(Netstring(), b"1:a,2:bc,", id="netstring"),
    pytest.param(Cobs(), b"\2a\0\3bc\0", id="cobs"),
    pytest.param(Slip(), b"a\xc0bc\xc0", id="slip"),
    pytest.param(VarintPrefixed(), b"\1a\2bc", id="varint"),
    pytest.param(SyslogFraming(), b"1 a2 bc", id="syslog"),
    pytest.param(StompFraming(), b"a\0bc\0", id="stomp"),
]


@pytest.mark.parametrize(("framing", "stream"), ALL)
def test_frames_come_out_in_order_and_no_more_than_asked(framing, stream):
    framer = framing.new()
    framer.feed(stream)
    assert framer.frames(0) == []
    assert framer.frames(1) == [b"a"]
    assert framer.frames(1) == [b"bc"]
    assert framer.frames(1) == []
    assert framer.buffered == 0


@pytest.mark.parametrize(("framing", "stream"), ALL)
def test_kept_input_is_copied_out_of_a_reused_buffer(framing, stream):
    framer, buffer = framing.new(), bytearray(1)
    for octet in stream:
        buffer[0] = octet
        framer.feed(memoryview(buffer))
        buffer[0] = 0xFF
    assert framer.frames(10) == [b"a", b"bc"]
    buffer.append(0)  # nothing still holds on to it


@pytest.mark.parametrize(("framing", "stream"), ALL)
def test_frames_are_bytes_whichever_way_they_arrived(framing, stream):
    framer = framing.new()
    framer.feed(bytearray(stream[:3]))
    framer.feed(stream[3:] + stream)
    assert [type(frame) for frame in framer.frames(10)] == [bytes] * 4


@pytest.mark.parametrize(("framing", "stream"), ALL)
def test_buffered_counts_input_that_is_not_part_of_a_frame(framing, stream):
    framer = framing.new()
    framer.feed(stream * 3 + stream[:1])
    framer.frames(1)
    assert framer.buffered == len(stream * 3) + 1 - len(framing.frame(b"a"))
    framer.frames(10)
    assert framer.buffered == 1


@pytest.mark.parametrize(
    ("framing", "bad"),
    [
        pytest.param(Lines(max_length_bytes=4), b"12345", id="lines"),
        pytest.param(Delimited(b"\0", 4), b"12345", id="delimited"),
        pytest.param(LengthPrefixed(2, max_length_bytes=4), b"\0\5", id="length"),
        pytest.param(Netstring(4), b"5", id="netstring"),
        pytest.param(Cobs(4), b"123456", id="cobs"),
        pytest.param(Cobs(4), b"\6" + b"12345\0", id="cobs, whole"),
        pytest.param(Slip(4), b"123456789", id="slip"),
        pytest.param(Slip(4), b"12345\xc0", id="slip, whole"),
        pytest.param(VarintPrefixed(4), b"\5", id="varint"),
        pytest.param(SyslogFraming(4), b"5", id="syslog"),
        pytest.param(StompFraming(4), b"12345", id="stomp"),
        pytest.param(SyslogFraming(4), b"<1234", id="syslog, in lines"),
    ],
)
def test_a_fault_is_raised_after_the_frames_before_it_then_forever(framing, bad):
    framer = framing.new()
    framer.feed(framing.frame(b"good") + bad)
    assert framer.frames(10) == [b"good"]
    for _ in range(2):
        with pytest.raises(FramingError):
            framer.frames(10)
    framer.feed(framing.frame(b"more"))
    assert framer.buffered == 0
    with pytest.raises(FramingError):
        framer.frames(10)
    with pytest.raises(FramingError):
        framer.finish()


@pytest.mark.parametrize(
    ("framing", "stream"),
    [
        pytest.param(Delimited(b"\0"), b"a\0b", id="delimited"),
        pytest.param(LengthPrefixed(2), b"\0\1a\0", id="length"),
        pytest.param(Netstring(), b"1:a,1:b", id="netstring"),
        pytest.param(Cobs(), b"\2a\0\2", id="cobs"),
        pytest.param(Slip(), b"a\xc0b", id="slip"),
        pytest.param(VarintPrefixed(), b"\1a\2", id="varint"),
        pytest.param(SyslogFraming(), b"1 a2 b", id="syslog"),
        pytest.param(StompFraming(), b"a\0b", id="stomp"),
    ],
)
def test_an_end_of_input_inside_a_frame_is_a_fault(framing, stream):
    framer = framing.new()
    framer.feed(stream)
    assert framer.frames(10) == [b"a"]
    with pytest.raises(FramingError, match=r"ended inside a frame, [13] octets into it"):
        framer.finish()


@pytest.mark.parametrize(
    ("framing", "longest"),
    [
        (Lines(4), 4),
        (Delimited(b"\0", 4), 4),
        (LengthPrefixed(1), 255),
        (Netstring(4), 4),
        (Cobs(4), 4),
        (Cobs(254), 254),
        (Slip(4), 4),
        (VarintPrefixed(127), 127),
        (VarintPrefixed(128), 128),
        (VarintPrefixed(300), 300),
        (SyslogFraming(9), 9),
        (StompFraming(4), 4),
        (SyslogFraming(9, non_transparent=True), 9),
    ],
)
def test_a_payload_of_the_longest_length_is_carried_and_one_more_refused(framing, longest):
    assert read(framing, framing.frame(b"x" * longest)) == [b"x" * longest]
    with pytest.raises(
        UsageError, match=f"{longest + 1} octets, expected (at most|1 to) {longest}"
    ):
        framing.frame(b"x" * (longest + 1))


def test_framings_are_values():
    assert LengthPrefixed(2) == LengthPrefixed(2)
    assert len({Lines(), Lines(), Delimited(b"\0"), Netstring()}) == 3
    assert repr(Lines()) == "Lines(max_length_bytes=65536, newline=b'\\n')"


def test_the_defaults_are_those_of_the_tables():
    assert Lines().max_length_bytes == lines.MAX_LENGTH_BYTES.default
    assert Delimited(b"\0").max_length_bytes == delimited.MAX_LENGTH_BYTES.default
    assert Netstring().max_length_bytes == netstring.MAX_LENGTH_BYTES.default
    assert Cobs().max_length_bytes == cobs.MAX_LENGTH_BYTES.default
    assert Slip().max_length_bytes == slip.MAX_LENGTH_BYTES.default
    assert VarintPrefixed().max_length_bytes == varint_prefixed.MAX_LENGTH_BYTES.default
    assert StompFraming().max_length_bytes == stomp_framing.MAX_LENGTH_BYTES.default
    assert SyslogFraming().max_length_bytes == syslog_framing.MAX_LENGTH_BYTES.default
    assert LengthPrefixed(4).longest == length_prefixed.MAX_LENGTH_BYTES.default


# --- lines -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"", []),
        (b"\n", [b""]),
        (b"\r\n\n", [b"", b""]),
        (b"a\nb\r\n", [b"a", b"b"]),
        (b"a\rb\n", [b"a\rb"]),
        (b"a\r\r\n", [b"a\r"]),
        (b"a\nlast", [b"a", b"last"]),
        (b"last\r", [b"last\r"]),
    ],
)
def test_lines_end_with_lf_or_crlf_or_the_end_of_input(stream, expected):
    assert read(Lines(), stream) == expected


def test_a_line_of_the_longest_length_may_end_with_crlf_in_two_reads():
    framer = Lines(max_length_bytes=4).new()
    framer.feed(b"ahoy\r")
    assert framer.frames(1) == []
    framer.feed(b"\n")
    assert framer.frames(1) == [b"ahoy"]


def test_a_cr_after_a_line_of_the_longest_length_is_one_octet_too_many_at_the_end():
    framer = Lines(max_length_bytes=4).new()
    framer.feed(b"ahoy\r")
    assert framer.frames(1) == []
    with pytest.raises(FramingError, match="more than 4 octets"):
        framer.finish()


def test_crlf_is_written_if_configured():
    assert Lines(newline=b"\r\n").frame(b"220 ready") == b"220 ready\r\n"


@pytest.mark.parametrize("payload", [b"a\nb", b"\n", b"a\r"])
def test_a_line_that_would_be_read_otherwise_is_not_written(payload):
    with pytest.raises(UsageError):
        Lines().frame(payload)


def test_a_cr_before_crlf_survives():
    framing = Lines(newline=b"\r\n")
    assert read(framing, framing.frame(b"a\r")) == [b"a\r"]


def test_another_newline_is_refused_with_a_pointer_to_delimited():
    with pytest.raises(UsageError, match="Delimited"):
        Lines(newline=b"\r")


# --- delimited ---------------------------------------------------------------------------------


def test_a_delimiter_across_two_reads_is_found():
    framer = Delimited(b"\r\n.\r\n").new()
    for piece in (b"ahoy\r\n", b".", b"\r", b"\nnext"):
        assert framer.frames(1) == []
        framer.feed(piece)
    assert framer.frames(1) == [b"ahoy"]
    assert framer.buffered == 4


def test_a_payload_that_makes_an_early_delimiter_with_the_real_one_is_refused():
    with pytest.raises(UsageError, match="octet 1"):
        Delimited(b"--").frame(b"x-")


def test_a_frame_of_the_longest_length_waits_for_the_whole_delimiter():
    framer = Delimited(b"--", 4).new()
    framer.feed(b"ahoy-")
    assert framer.frames(1) == []
    framer.feed(b"-")
    assert framer.frames(1) == [b"ahoy"]


@pytest.mark.parametrize("delimiter", [b"", b"x" * 65])
def test_a_delimiter_has_a_length(delimiter):
    with pytest.raises(UsageError):
        Delimited(delimiter)


# --- length-prefixed ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("framing", "wire"),
    [
        (LengthPrefixed(1), b"\x04ahoy"),
        (LengthPrefixed(2), b"\x00\x04ahoy"),
        (LengthPrefixed(4), b"\x00\x00\x00\x04ahoy"),
        (LengthPrefixed(2, "little"), b"\x04\x00ahoy"),
        (LengthPrefixed(4, "little"), b"\x04\x00\x00\x00ahoy"),
        (LengthPrefixed(2, inclusive=True), b"\x00\x06ahoy"),
        (LengthPrefixed(1, inclusive=True), b"\x05ahoy"),
    ],
)
def test_the_length_is_written_and_read_as_described(framing, wire):
    assert framing.frame(b"ahoy") == wire
    assert read(framing, wire + framing.frame(b"")) == [b"ahoy", b""]


@pytest.mark.rfc("1035", "4.2.2")
def test_a_dns_message_over_tcp_is_prefixed_with_two_octets_that_do_not_count_themselves():
    message = bytes(range(256)) * 255 + bytes(255)
    assert LengthPrefixed(2).frame(message) == b"\xff\xff" + message
    assert read(LengthPrefixed(2), b"\xff\xff" + message) == [message]


def test_an_inclusive_length_below_its_own_width_is_a_fault():
    framer = LengthPrefixed(2, inclusive=True).new()
    framer.feed(b"\x00\x01")
    with pytest.raises(FramingError, match="a length of 1, expected 2 to 65535"):
        framer.frames(1)


def test_a_length_too_large_is_a_fault_before_its_payload_arrives():
    framer = LengthPrefixed(4, max_length_bytes=512).new()
    framer.feed(b"\xff\xff\xff\xff")
    with pytest.raises(FramingError, match="4294967295, expected 0 to 512"):
        framer.frames(1)


@pytest.mark.parametrize("width", [0, 3, 8])
def test_a_width_is_1_2_or_4(width):
    with pytest.raises(UsageError, match="1, 2 or 4"):
        LengthPrefixed(width)


def test_a_limit_beyond_the_range_of_the_prefix_is_refused():
    with pytest.raises(UsageError, match="carries 254 at most"):
        LengthPrefixed(1, inclusive=True, max_length_bytes=255)


# --- varint-prefixed ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "prefix"),
    [
        (0, b"\0"),
        (127, b"\x7f"),
        (128, b"\x80\1"),
        (16_383, b"\xff\x7f"),
        (16_384, b"\x80\x80\1"),
        (2_097_152, b"\x80\x80\x80\1"),
    ],
)
def test_a_varint_has_seven_bits_an_octet_the_least_first(length, prefix):
    payload = b"x" * length
    assert VarintPrefixed().frame(payload) == prefix + payload
    assert read(VarintPrefixed(), prefix + payload + b"\1a") == [payload, b"a"]


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (b"\x81\0", "a length of 1 with needless octets"),
        (b"\x80\0", "a length of 0 with needless octets"),
        (b"\xad\2", "a length of more than 300"),
        (b"\xff" * 9, "a length of more than 300"),
        (b"\x80\x80", "a length of more than 300, or with needless octets"),
    ],
)
def test_a_varint_that_is_too_large_or_too_long_is_a_fault_as_soon_as_that_is_certain(
    stream, reason
):
    framer = VarintPrefixed(300).new()
    framer.feed(stream)
    with pytest.raises(FramingError, match=reason):
        framer.frames(1)


@pytest.mark.parametrize("stream", [b"", b"\xac", b"\x80", b"\xac\2", b"\1"])
def test_a_varint_that_may_still_become_one_is_waited_for(stream):
    framer = VarintPrefixed(300).new()
    framer.feed(stream)
    assert framer.frames(1) == []


# --- syslog ------------------------------------------------------------------------------------


@pytest.mark.rfc("6587", "3.4.1")
@pytest.mark.rfc("6587", "3.4.2")
@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"3 <1>2 ab", [b"<1>", b"ab"]),
        (b"<1>a\n<2>b\r\n<3>c", [b"<1>a", b"<2>b", b"<3>c"]),
        (b"<1>a\n3 <2><3>b\n", [b"<1>a", b"<2>", b"<3>b"]),
        (b"4 <1>\n\n\r\n1 a\n", [b"<1>\n", b"a"]),
        (b"no priority\n", [b"no priority"]),
        (b"<1>a\r", [b"<1>a"]),
        (b"<1>a\rb\n", [b"<1>a\rb"]),
        (b"\n\r\n", []),
    ],
)
def test_each_syslog_frame_is_counted_if_it_begins_with_a_digit_and_ends_with_lf_otherwise(
    stream, expected
):
    assert read(SyslogFraming(), stream) == expected


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (b"0", "a length that begins with 0"),
        (b"301", "a length of more than 300"),
        (b"9" * 5000, "a length of more than 300"),
        (b"3<1>", "octet 0x3c after a length, expected a space"),
        (b"<" * 301, "a message of more than 300 octets"),
    ],
)
def test_an_invalid_syslog_frame_is_a_fault_as_soon_as_that_is_certain(stream, reason):
    framer = SyslogFraming(300).new()
    framer.feed(stream)
    with pytest.raises(FramingError, match=reason):
        framer.frames(1)


@pytest.mark.parametrize("stream", [b"", b"3", b"300", b"3 ", b"3 <1", b"<" * 300 + b"\r"])
def test_a_syslog_frame_that_may_still_become_one_is_waited_for(stream):
    framer = SyslogFraming(300).new()
    framer.feed(stream)
    assert framer.frames(1) == []


@pytest.mark.rfc("6587", "3.4.2")
def test_a_syslog_message_that_a_line_cannot_carry_is_not_written_as_one():
    framing = SyslogFraming(non_transparent=True)
    assert framing.frame(b"<1>a") == b"<1>a\n"
    for payload in (b"a\nb", b"a\r", b"\ra", b"1a", b""):
        with pytest.raises(UsageError):
            framing.frame(payload)


# --- netstrings --------------------------------------------------------------------------------


def test_netstrings_as_in_the_paper():
    # The two examples of https://cr.yp.to/proto/netstrings.txt, section 2.
    wire = bytes.fromhex("31323a68656c6c6f20776f726c64212c")
    assert read(Netstring(), wire) == [b"hello world!"]
    assert Netstring().frame(b"hello world!") == wire
    assert read(Netstring(), b"0:,") == [b""]


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (b":", "not a decimal number"),
        (b"x", "not a decimal number"),
        (b"-", "not a decimal number"),
        (b"00", "not a decimal number"),
        (b"1 ", "not a decimal number"),
        (b"100000", "a length of more than 65536"),
        (b"65537", "a length of more than 65536"),
        (b"9" * 10_000, "a length of more than 65536"),
        (b"1:ab", "octet 0x62 after a payload of 1, expected a comma"),
    ],
)
def test_an_invalid_netstring_is_a_fault_as_soon_as_that_is_certain(stream, reason):
    framer = Netstring().new()
    framer.feed(stream)
    with pytest.raises(FramingError, match=reason):
        framer.frames(1)


@pytest.mark.parametrize("stream", [b"", b"1", b"0", b"65536", b"1:", b"1:a", b"0:"])
def test_a_netstring_that_may_still_become_one_is_waited_for(stream):
    framer = Netstring().new()
    framer.feed(stream)
    assert framer.frames(1) == []


# --- COBS --------------------------------------------------------------------------------------

UP_TO_FE = bytes(range(1, 0xFF))


@pytest.mark.parametrize(
    ("payload", "packet"),
    [
        (b"", b"\1"),
        (b"\0", b"\1\1"),
        (b"\0\0", b"\1\1\1"),
        (b"\0a\0", b"\1\2a\1"),
        (b"ab\0c", b"\3ab\2c"),
        (b"abcd", b"\5abcd"),
        (b"a\0\0\0", b"\2a\1\1\1"),
        (UP_TO_FE, b"\xff" + UP_TO_FE),
        (b"\0" + UP_TO_FE, b"\1\xff" + UP_TO_FE),
        (UP_TO_FE + b"\xff", b"\xff" + UP_TO_FE + b"\2\xff"),
        (UP_TO_FE + b"\0", b"\xff" + UP_TO_FE + b"\1\1"),
        (UP_TO_FE[:-1] + b"\0a", b"\xfe" + UP_TO_FE[:-1] + b"\2a"),
    ],
)
def test_a_cobs_block_gives_the_distance_to_the_next_zero(payload, packet):
    assert Cobs().frame(payload) == packet + b"\0"
    assert read(Cobs(), packet + b"\0") == [payload]


def test_an_empty_block_after_a_last_one_of_full_length_adds_nothing_and_fits_the_limit():
    # Senders that close a full block before they look for more write one.
    assert read(Cobs(254), b"\xff" + UP_TO_FE + b"\1\0") == [UP_TO_FE]


def test_a_payload_of_the_longest_length_costs_an_octet_for_each_254_and_two_more_at_most():
    for payload in (b"x" * 2540, b"\0" * 2540, bytes(range(254)) * 10):
        assert len(Cobs().frame(payload)) <= len(payload) + 10 + 2
        assert read(Cobs(2540), Cobs().frame(payload)) == [payload]


def test_a_block_that_reaches_beyond_its_packet_is_a_fault():
    framer = Cobs().new()
    framer.feed(b"\5ab\0")
    with pytest.raises(FramingError, match="a block of 4 octets, 2 before the zero"):
        framer.frames(1)


# --- SLIP --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "packet"),
    [
        (b"ahoy", b"ahoy"),
        (b"\xc0", b"\xdb\xdc"),
        (b"\xdb", b"\xdb\xdd"),
        (b"\xdb\xdc", b"\xdb\xdd\xdc"),
        (b"\xdb\xdd", b"\xdb\xdd\xdd"),
        (b"\xc0\xdb\xdc\xdd", b"\xdb\xdc\xdb\xdd\xdc\xdd"),
    ],
)
@pytest.mark.rfc("1055", "PROTOCOL")
def test_end_and_esc_in_a_slip_packet_are_two_octets_each(payload, packet):
    assert Slip().frame(payload) == packet + b"\xc0"
    assert read(Slip(), packet + b"\xc0") == [payload]


@pytest.mark.rfc("1055", "PROTOCOL")
def test_a_slip_packet_may_begin_with_end_as_well():
    assert read(Slip(), b"\xc0a\xc0\xc0b\xc0\xc0\xc0") == [b"a", b"b"]


def test_an_empty_payload_would_be_no_slip_packet_and_is_refused():
    with pytest.raises(UsageError, match="0 octets, expected 1 to 65536"):
        Slip().frame(b"")


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (b"a\xdbb", "octet 0x62 after ESC, expected 0xdc or 0xdd"),
        (b"\xdb\xdd\xdb\xdb\xdc", "octet 0xdb after ESC"),
        (b"a\xdb", "the end of the packet after ESC"),
    ],
)
def test_an_esc_before_any_other_octet_is_a_fault(packet, reason):
    framer = Slip().new()
    framer.feed(packet + b"\xc0")
    with pytest.raises(FramingError, match=reason):
        framer.frames(1)


@pytest.mark.parametrize(("framing", "end"), [(Cobs(), b"\0"), (Slip(), b"\xc0")])
def test_ends_alone_are_nothing_and_are_not_held(framing, end):
    framer = framing.new()
    framer.feed(end * 5 + framing.frame(b"a") + end * 3)
    assert framer.frames(1) == [b"a"]
    assert framer.frames(1) == []
    assert framer.buffered == 0
    assert framer.finish() == []


@pytest.mark.parametrize("delimiter", ["x", 10, None])
def test_a_delimiter_that_is_no_octets_is_refused(delimiter: object) -> None:
    with pytest.raises(UsageError, match="expected bytes such as"):
        Delimited(delimiter)  # type: ignore[arg-type]
