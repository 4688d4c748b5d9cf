"""The stock framings obey the laws, and the laws catch framers that break them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laws import expensive_shapes
from tests.unit.codec import test_framings

import pierhead
from pierhead import codec
from pierhead.codec import (
    Cobs,
    Delimited,
    LengthPrefixed,
    Lines,
    Netstring,
    Slip,
    StompFraming,
    SyslogFraming,
    VarintPrefixed,
)
from pierhead.errors import DecodeError, FramingError
from pierhead.testing.laws import (
    LawBroken,
    Reading,
    check_codec,
    check_framing,
    check_memory,
    check_splits,
    check_time,
    read,
)

FRAMINGS = [
    Lines(),
    Lines(max_length_bytes=5, newline=b"\r\n"),
    Delimited(b"\0"),
    Delimited(b"--", 5),
    Delimited(b"\r\n.\r\n"),
    LengthPrefixed(1),
    LengthPrefixed(1, inclusive=True),
    LengthPrefixed(2),
    LengthPrefixed(2, "little", max_length_bytes=5),
    LengthPrefixed(4, inclusive=True),
    Netstring(),
    Netstring(5),
    Cobs(),
    Cobs(5),
    Slip(),
    Slip(5),
    VarintPrefixed(),
    VarintPrefixed(5),
    VarintPrefixed(200),
    SyslogFraming(),
    SyslogFraming(5),
    SyslogFraming(non_transparent=True),
    StompFraming(),
    StompFraming(5),
]

# Few different octets, so that ends, lengths and digits occur often.
streams = st.lists(
    st.sampled_from([*b"\r\n\0\1\2\5-.:, 0123x\x80\x81\xc0\xdb\xdc\xdd"]), max_size=40
).map(bytes)


@pytest.mark.parametrize("framing", FRAMINGS, ids=repr)
@settings(max_examples=60, deadline=None)
@given(stream=streams, cuts=st.lists(st.integers(0, 40), max_size=5))
def test_the_split_of_any_stream_never_changes_its_frames(framing, stream, cuts):
    check_splits(framing, stream, [min(cut, len(stream)) for cut in cuts])


@pytest.mark.parametrize("framing", FRAMINGS, ids=repr)
@settings(max_examples=8, deadline=None)  # each is also cut short everywhere, and split in ten ways
@given(payloads=st.lists(st.text("ab,:0", max_size=5).map(str.encode), max_size=8))
def test_payloads_survive_the_round_trip(framing, payloads):
    check_framing(framing, carried(framing, payloads))


def carried(framing, payloads):
    if isinstance(framing, Slip | SyslogFraming):  # they have no empty ones
        payloads = [each for each in payloads if each]
    if framing == SyslogFraming(non_transparent=True):  # those begin as a length does
        payloads = [each for each in payloads if not each.startswith(b"0")]
    return payloads


@pytest.mark.parametrize(
    "framing",
    [LengthPrefixed(2), Netstring(), Cobs(), Slip(), VarintPrefixed(), SyslogFraming()],
    ids=repr,
)
@given(payloads=st.lists(st.binary(max_size=300), max_size=4))
@settings(max_examples=20, deadline=None)
def test_any_octets_come_back_where_lengths_are_counted_or_octets_stuffed(framing, payloads):
    payloads = carried(framing, payloads)
    stream = b"".join(map(framing.frame, payloads))
    assert read(framing, [stream]) == Reading(tuple(payloads), fault=False)


def cobs_octet_by_octet(stream):
    """Read as the definition says, without any regard for cost."""
    frames, packet, left, zero = [], None, 0, False
    for octet in stream:
        if octet == 0:
            if left:
                return Reading(tuple(frames), fault=True)
            frames += [] if packet is None else [bytes(packet)]
            packet = None
        elif left:
            packet.append(octet)
            left -= 1
        else:
            packet = [] if packet is None else packet + [0] * zero
            left, zero = octet - 1, octet != 255
    return Reading(tuple(frames), fault=packet is not None)


def slip_octet_by_octet(stream):
    """Read as the program in RFC 1055 does, but for what it calls a protocol violation."""
    frames, packet, escaped = [], [], False
    for octet in stream:
        if escaped and octet not in (0xDC, 0xDD):
            return Reading(tuple(frames), fault=True)
        if octet == 0xC0:
            frames += [bytes(packet)] if packet else []
            packet = []
        elif escaped or octet != 0xDB:
            packet.append({0xDC: 0xC0, 0xDD: 0xDB}[octet] if escaped else octet)
        escaped = octet == 0xDB and not escaped
    return Reading(tuple(frames), fault=bool(packet) or escaped)


@pytest.mark.parametrize(
    ("framing", "by_octets"), [(Cobs(), cobs_octet_by_octet), (Slip(), slip_octet_by_octet)]
)
@settings(max_examples=300, deadline=None)
@given(stream=st.lists(st.sampled_from([*b"\0\1\2\3\xc0\xdb\xdc\xdd"]), max_size=40).map(bytes))
def test_stuffed_packets_read_as_by_the_definition(framing, by_octets, stream):
    assert read(framing, [stream]) == by_octets(stream)


BOUNDED = [
    (Lines(512), 514),
    (Delimited(b"\r\n.\r\n", 512), 517),
    (LengthPrefixed(2, max_length_bytes=512), 514),
    (LengthPrefixed(1), 256),
    (Netstring(512), 517),
    (Cobs(512), 516),
    (Slip(512), 1025),
    (VarintPrefixed(512), 514),
    (SyslogFraming(512), 516),
    (StompFraming(512), 513),
]


STUFFED = [each for each in BOUNDED if isinstance(each[0], Cobs | Slip)]


@pytest.mark.parametrize(
    "piece", [b"x" * 100, b"0", b"\r" * 100, b"1:x,\n\0--", b"\xff" * 100, b"\x80", b"\x80\x03"]
)
@pytest.mark.parametrize(("framing", "longest"), BOUNDED, ids=repr)
def test_endless_input_is_not_buffered(framing, longest, piece):
    check_memory(framing, piece, longest=longest, allowance_bytes=2**12)


@pytest.mark.parametrize("piece", [b"\0" * 100, b"\xc0" * 100, b"\xdb" * 100, b"\xdb\xdd", b"\1"])
@pytest.mark.parametrize(("framing", "longest"), STUFFED, ids=repr)
def test_endless_stuffing_is_not_held(framing, longest, piece):
    check_memory(framing, piece, longest=longest, allowance_bytes=2**12)


TIMED = [
    Lines(),
    Delimited(b"\0"),
    Delimited(b"\r\n.\r\n"),
    LengthPrefixed(2),
    Netstring(),
    Cobs(),
    Slip(),
    VarintPrefixed(),
    SyslogFraming(),
    SyslogFraming(non_transparent=True),
    StompFraming(),
]


@pytest.mark.parametrize("framing", TIMED, ids=repr)
def test_framing_takes_linear_time(framing):
    check_time(framing)


@pytest.mark.parametrize("framing", [Cobs(), Slip()], ids=repr)
@pytest.mark.parametrize("octet", [b"\0", b"\xc0"])
def test_work_grows_as_the_input_does_where_every_octet_is_stuffed(framing, octet):
    check_time(framing, longest=500, payload=octet)


def test_every_framing_at_the_front_door_is_under_every_law():
    """A new framing goes into each table here, and into those of the files it names."""
    stock = {each for each in map(vars(codec).get, codec.__all__) if is_framing(each)}
    assert {each.__name__ for each in stock} <= set(pierhead.__all__)
    for table in (
        FRAMINGS,
        [framing for framing, _ in BOUNDED],
        TIMED,
        [framing for framing, _ in expensive_shapes.FRAMINGS.values()],
        [case.values[0] for case in test_framings.ALL],
    ):
        assert set(map(type, table)) == stock


def is_framing(each):
    return (
        hasattr(each, "new") and hasattr(each, "frame") and not getattr(each, "_is_protocol", False)
    )


# --- the laws catch framers that break them
# -----------------------------------------------------------


class Wrong:
    """Lines of up to 64 octets; each subclass breaks something."""

    def __init__(self):
        self.held = b""

    def new(self):
        return type(self)()

    def frame(self, payload):
        return payload + b"\n"

    def feed(self, data):
        self.held += data

    def frames(self, limit):
        taken = []
        while len(taken) < limit and b"\n" in self.held:
            line, _, self.held = self.held.partition(b"\n")
            taken.append(bytes(line))
        return taken

    def finish(self):
        if self.held:
            raise FramingError("no end of line")
        return []

    @property
    def buffered(self):
        return len(self.held)


class ForgetsBetweenReads(Wrong):
    def feed(self, data):
        self.held = bytes(data)


class KeepsTheReadersBuffer(Wrong):
    def __init__(self):
        self.pieces = []

    def feed(self, data):
        self.pieces.append(data)

    @property
    def held(self):
        return b"".join(self.pieces)

    @held.setter
    def held(self, rest):
        self.pieces = [rest]


class LosesTheLastFrame(Wrong):
    def frame(self, payload):
        return payload


class GivesMoreThanAsked(Wrong):
    def frames(self, limit):
        return super().frames(limit + 1)


@pytest.mark.parametrize(
    ("framing", "why"),
    [
        (ForgetsBetweenReads(), "octet by octet as"),
        (KeepsTheReadersBuffer(), "through a buffer that is overwritten as"),
        (LosesTheLastFrame(), "and read"),
        (GivesMoreThanAsked(), "gave 2 frames, asked for 1"),
    ],
)
def test_a_framer_that_depends_on_the_split_is_caught(framing, why):
    with pytest.raises(LawBroken, match=re.escape(why)):
        check_framing(framing, [b"a", b"bc"])


def test_a_framer_that_holds_endless_input_is_caught():
    with pytest.raises(LawBroken, match="holds 192 octets of endless"):
        check_memory(Wrong(), b"x" * 64, longest=65)


class LiesAboutWhatItHolds(Wrong):
    buffered = 0


def test_a_framer_that_misreports_its_memory_is_caught():
    with pytest.raises(LawBroken, match="says 0 octets and uses"):
        check_memory(LiesAboutWhatItHolds(), b"x" * 64, longest=65, allowance_bytes=512)


class SearchesAgain(Wrong):
    """Linear in what it copies, quadratic in what it searches."""

    def __init__(self):
        self.held = bytearray()

    def frames(self, limit):
        taken = []
        while len(taken) < limit and (end := self.held.find(b"\n")) >= 0:
            taken.append(bytes(self.held[:end]))
            del self.held[: end + 1]
        return taken


class JoinsAgain(SearchesAgain):
    """Rebuilds the whole line for each piece, by a literal that calls nothing to count."""

    def __init__(self):
        self.held, self.searched = b"", 0

    def feed(self, data):
        self.held = b"".join([self.held, data])

    def frames(self, limit):
        end = self.held.find(b"\n", self.searched)
        if end < 0:
            self.searched = len(self.held)
            return []
        line, self.held, self.searched = self.held[:end], self.held[end + 1 :], 0
        return [line]


class SplitsAgain(Wrong):
    """Linear octet by octet, quadratic in a backlog."""

    def __init__(self):
        self.pieces = []
        self.rest = b""

    def feed(self, data):
        if b"\n" in data:
            self.rest += b"".join(self.pieces) + data
            self.pieces = []
        elif data:
            self.pieces.append(data)

    def frames(self, limit):
        line, newline, rest = self.rest.partition(b"\n")
        if not newline:
            return []
        self.rest = rest
        return [line]


class SearchesOnce(SearchesAgain):
    """The same, fixed: nothing to catch."""

    def __init__(self):
        self.held, self.searched = bytearray(), 0

    def frames(self, limit):
        taken = []
        while len(taken) < limit and (end := self.held.find(b"\n", self.searched)) >= 0:
            taken.append(bytes(self.held[:end]))
            del self.held[: end + 1]
            self.searched = 0
        self.searched = 0 if len(taken) == limit else len(self.held)
        return taken


@pytest.mark.parametrize(
    ("framing", "where"),
    [
        (Wrong(), "one long frame"),
        (SearchesAgain(), "one long frame"),
        (JoinsAgain(), "one long frame"),
        (SplitsAgain(), "taken one by one"),
    ],
)
def test_a_quadratic_framer_is_caught(framing, where):
    with pytest.raises(LawBroken, match=where):
        check_time(framing)


def test_a_linear_framer_on_a_bytearray_passes():
    check_time(SearchesOnce())
    check_framing(SearchesOnce(), [b"a", b"", b"bc"])


# --- codecs ------------------------------------------------------------------------------------


class Words:
    def decode(self, frame):
        try:
            return frame.decode("ascii").split(" ")
        except UnicodeDecodeError as error:
            raise DecodeError("not ASCII", error.start) from error

    def encode(self, reply):
        return " ".join(reply).encode("ascii")


class RaisesSomethingElse(Words):
    def decode(self, frame):
        return frame.decode("ascii").split(" ")


class LosesSpaces(Words):
    def decode(self, frame):
        return [word for word in super().decode(frame) if word]


class RejectsWithText(Words):
    def reject(self, error, frame):
        return str(error)


def test_a_codec_that_refuses_by_decode_error_obeys_the_laws():
    check_codec(Words(), [b"", b"a b", b"\xff"], messages=[["a", "", "b"]])


@pytest.mark.parametrize(
    ("codec", "why"),
    [
        (RaisesSomethingElse(), "raises UnicodeDecodeError"),
        (LosesSpaces(), "decodes ['a', 'b']"),
        (RejectsWithText(), "with 'not ASCII (at octet"),
    ],
)
def test_a_codec_that_breaks_a_law_is_caught(codec, why):
    with pytest.raises(LawBroken, match=re.escape(why)):
        check_codec(codec, [b"a b"], messages=[["a", "", "b"]])
