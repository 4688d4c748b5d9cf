"""Syslog messages, strict and lenient: the examples of RFC 5424 and 3164, faults, and laws."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares

from pierhead.errors import DecodeError, UsageError
from pierhead.protocols.syslog.wire import (
    BsdMessage,
    Element,
    Facility,
    LenientCodec,
    Message,
    MessageCodec,
    Severity,
)
from pierhead.testing.laws import check_codec

STRICT, LENIENT = MessageCodec(), LenientCodec()
BOM = b"\xef\xbb\xbf"
MINUS_7 = timezone(timedelta(hours=-7))

EXAMPLES = [
    (
        b"<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - "
        + BOM
        + b"'su root' failed for lonvick on /dev/pts/8",
        Message(
            facility=Facility.AUTH,
            severity=Severity.CRITICAL,
            timestamp=datetime(2003, 10, 11, 22, 14, 15, 3000, UTC),
            hostname="mymachine.example.com",
            app_name="su",
            msgid="ID47",
            text="'su root' failed for lonvick on /dev/pts/8",
        ),
    ),
    (
        b"<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - "
        b"%% It's time to make the do-nuts.",
        Message(
            facility=Facility.LOCAL4,
            severity=Severity.NOTICE,
            timestamp=datetime(2003, 8, 24, 5, 14, 15, 3, MINUS_7),
            hostname="192.0.2.1",
            app_name="myproc",
            procid="8710",
            text="%% It's time to make the do-nuts.",
        ),
    ),
    (
        b"<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 "
        b'[exampleSDID@32473 iut="3" eventSource="Application" eventID="1011"]'
        b'[examplePriority@32473 class="high"]',
        Message(
            facility=Facility.LOCAL4,
            timestamp=datetime(2003, 10, 11, 22, 14, 15, 3000, UTC),
            hostname="mymachine.example.com",
            app_name="evntslog",
            msgid="ID47",
            structured_data=(
                Element(
                    "exampleSDID@32473",
                    (("iut", "3"), ("eventSource", "Application"), ("eventID", "1011")),
                ),
                Element("examplePriority@32473", (("class", "high"),)),
            ),
        ),
    ),
    (b"<0>1 - - - - - -", Message(facility=Facility.KERN, severity=Severity.EMERGENCY)),
]


@pytest.mark.rfc("5424", "6.5")
@pytest.mark.parametrize(("frame", "message"), EXAMPLES)
def test_the_examples_of_rfc_5424_are_read_and_written(frame: bytes, message: Message) -> None:
    assert STRICT.decode(frame) == message
    assert LENIENT.decode(frame) == message
    assert STRICT.decode(STRICT.encode(message)) == message


@pytest.mark.rfc("5424", "6.3.3")
def test_quotes_backslashes_and_brackets_in_values_are_escaped() -> None:
    frame = rb'<13>1 - - - - - [a x="\"\\\]\n" x=""][b]'
    element = Element("a", (("x", '"\\]\\n'), ("x", "")))
    assert STRICT.decode(frame).structured_data == (element, Element("b"))
    written = STRICT.encode(Message(structured_data=(element,)))
    assert written == rb'<13>1 - - - - - [a x="\"\\\]\\n" x=""]'
    assert STRICT.decode(written).structured_data == (element,)


@pytest.mark.rfc("5424", "6.4")
def test_a_text_is_utf_8_with_a_mark_and_anything_else_stays_octets() -> None:
    head = b"<13>1 - - - - - - "
    assert STRICT.decode(head + BOM + "é".encode()).text == "é"
    assert STRICT.decode(head + "é".encode()).text == "é"
    assert STRICT.decode(head + b"\xff\n").text == b"\xff\n"
    assert STRICT.decode(head + BOM + b"\xff").text == BOM + b"\xff"
    assert STRICT.decode(head).text == ""
    assert STRICT.encode(Message(text="é")) == head + BOM + "é".encode()
    assert STRICT.encode(Message(text="plain")) == head + b"plain"


FAULTS = [
    (b"", "the end of the message, expected a priority such as <13> (at octet 0)"),
    (b"x", "'x', expected a priority such as <13>"),
    (b"<013>1 ", "'<013>1 ', expected a priority"),
    (b"<192>1 ", "a priority of 192, expected 0 to 191 (at octet 1)"),
    (b"<13>2 - - - - - -", "'2 - - - - - -', expected version 1 (at octet 4)"),
    (b"<13>Oct 11 22:14:15 host", "'Oct 11 22:14:15 host', expected version 1"),
    (b"<13>1 2003-10-11 - - - - -", "expected a timestamp of RFC 5424, or - (at octet 6)"),
    (b"<13>1 2003-10-11t22:14:15Z - - - - -", "expected a timestamp"),
    (b"<13>1 2003-10-11T22:14:15.0000001Z - - - - -", "expected a timestamp"),
    (b"<13>1 2003-02-30T22:14:15Z - - - - -", "a timestamp that does not exist: day"),
    (b"<13>1 2003-10-11T22:14:60Z - - - - -", "expected a timestamp"),
    (b"<13>1 2003-10-11T24:14:00Z - - - - -", "a timestamp that does not exist"),
    (b"<13>1 - " + b"h" * 256 + b" - - - -", "a field hostname of 1 to 255 printable"),
    (b"<13>1 -  - - - -", "a field hostname of 1 to 255"),
    (b"<13>1 - - \xc3 - - -", r"'\xc3 - - -', expected a field app_name"),
    (b"<13>1 - - - - - ", "the end of the message, expected - or [ and the name"),
    (b"<13>1 - - - - - x", "'x', expected - or [ and the name"),
    (b"<13>1 - - - - - -x", "'x' after structured data, expected a space"),
    (b"<13>1 - - - - - [a", 'the end of the message, expected ] or a parameter name="value"'),
    (b"<13>1 - - - - - [a b=c]", """' b=c]', expected ] or a parameter name="value" """.strip()),
    (b'<13>1 - - - - - [a b="]"]', "expected ] or a parameter"),
    (b'<13>1 - - - - - [a b="\xff"]', "a parameter that is not UTF-8"),
    (b"<13>1 - - - - - [a][a]", "the element a occurs twice"),
]


@pytest.mark.rfc("5424", "6")
@pytest.mark.parametrize(("frame", "message"), FAULTS)
def test_a_fault_says_what_was_expected_and_where(frame: bytes, message: str) -> None:
    with pytest.raises(DecodeError) as refused:
        STRICT.decode(frame)
    assert message in str(refused.value)
    assert str(refused.value).isascii()


NAIVE = datetime(2026, 1, 1)
ODD = datetime(2026, 1, 1, tzinfo=timezone(timedelta(seconds=30)))


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (Message(hostname="a b"), "hostname is 'a b', expected None or 1 to 255 printable ASCII"),
        (Message(hostname="-"), "hostname is '-'"),
        (Message(app_name=""), "app_name is ''"),
        (Message(procid="é"), "procid is 'é'"),
        (Message(msgid="x" * 33), "msgid is 'xxx"),
        (Message(msgid=7), "msgid is 7"),  # type: ignore[arg-type]
        (Message(timestamp=NAIVE), "expected a datetime with a time zone"),
        (Message(timestamp=ODD), "an offset with seconds"),
        (Message(timestamp="now"), "expected a datetime"),  # type: ignore[arg-type]
        (Message(facility=24), "24 is not a valid Facility"),  # type: ignore[arg-type]
        (Message(severity=8), "8 is not a valid Severity"),  # type: ignore[arg-type]
        (Message(structured_data=(Element("a"), Element("a"))), "has an element twice"),
        (Message(structured_data=(Element("a b"),)), "the name 'a b' in structured data"),
        (Message(structured_data=(Element("a", (("é", ""),)),)), "the name 'é' in structured"),
        (Message(structured_data=(Element("a", (("b", "\ud800"),)),)), "b cannot be UTF-8"),
        (Message(text="\ud800"), "the text cannot be UTF-8"),
        (Message(text=b"plain"), "is UTF-8; give it as str"),
        (Message(text=None), "the text cannot be UTF-8"),  # type: ignore[arg-type]
        ("text", "a message is str, expected Message"),
        (BsdMessage(timestamp="today"), "a reader would take for BsdMessage("),
        (BsdMessage(hostname="host"), "a reader would take for BsdMessage("),
        (BsdMessage(tag="a b"), "a reader would take for BsdMessage("),
        (BsdMessage(tag="é"), "a reader would refuse"),
        (BsdMessage(text="1 a"), "a reader would refuse"),
        (BsdMessage(text="a\n"), "a reader would take for"),
    ],
)
def test_a_message_that_the_format_cannot_represent_is_refused(message: Any, why: str) -> None:
    codec: Any = LENIENT if isinstance(message, BsdMessage) else STRICT
    with pytest.raises(UsageError, match=re.escape(why)):
        codec.encode(message)


AT = "Oct 11 22:14:15"


@pytest.mark.rfc("3164", "5.4")
@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            b"<34>Oct 11 22:14:15 mymachine su: 'su root' failed",
            BsdMessage(
                facility=Facility.AUTH,
                severity=Severity.CRITICAL,
                timestamp=AT,
                hostname="mymachine",
                tag="su",
                text="'su root' failed",
            ),
        ),
        (b"Use the BFG!", BsdMessage(text="Use the BFG!")),
        (
            b"<13>Oct  1 22:14:15 sshd[42]: in\n",
            BsdMessage(timestamp="Oct  1 22:14:15", tag="sshd", procid="42", text="in"),
        ),
        (b"<13>cron: hm\r\n", BsdMessage(tag="cron", text="hm")),
        (
            b"<13>Oct 11 22:14:15 fe80::1 hm\0",
            BsdMessage(timestamp=AT, hostname="fe80::1", text="hm"),
        ),
        (b"<999>x", BsdMessage(text="<999>x")),
        (b"<00>x", BsdMessage(text="<00>x")),
        (b"<13>", BsdMessage()),
        (b"<13>\xff", BsdMessage(text=b"\xff")),
    ],
)
def test_older_messages_are_read_as_far_as_they_say_something(
    frame: bytes, message: BsdMessage
) -> None:
    assert LENIENT.decode(frame) == message
    assert LENIENT.decode(LENIENT.encode(message)) == message
    with pytest.raises(DecodeError):
        STRICT.decode(frame)


def test_a_fault_in_a_message_with_a_version_is_not_an_older_message() -> None:
    for frame in (b"<13>1 x", b"<13>2 - - - - - -", b""):
        with pytest.raises(DecodeError):
            LENIENT.decode(frame)


# -- laws ----------------------------------------------------------------------------------------

printable = st.characters(min_codepoint=33, max_codepoint=126)
names = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters='=]"'),
                min_size=1, max_size=32)  # fmt: skip
values = st.text(st.sampled_from('ab"\\]\n é'), max_size=8)
elements = st.builds(Element, names, st.lists(st.tuples(names, values), max_size=3).map(tuple))


def fields(longest: int) -> st.SearchStrategy[str | None]:
    return st.none() | st.text(printable, min_size=1, max_size=longest).filter("-".__ne__)


zones = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
messages = st.builds(
    Message,
    facility=st.sampled_from(Facility),
    severity=st.sampled_from(Severity),
    timestamp=st.none() | st.datetimes(timezones=zones),
    hostname=fields(255),
    app_name=fields(48),
    procid=fields(128),
    msgid=fields(32),
    structured_data=st.lists(elements, max_size=3, unique_by=lambda one: one.id).map(tuple),
    text=st.text(max_size=20) | st.just(b"\xff"),
)


@given(message=messages)
def test_any_message_comes_back_as_it_was(message: Message) -> None:
    frame = STRICT.encode(message)
    assert STRICT.decode(frame) == message == LENIENT.decode(frame)


PIECES = [
    b"<13>",
    b"<0>",
    b"1 ",
    b"- ",
    b"2003-10-11T22:14:15Z ",
    b"[a",
    b' b="',
    b'"',
    b"]",
    b"\\",
]
PIECES += [
    b"Oct 11 22:14:15 ",
    b"host ",
    b"su: ",
    b"su[1]:",
    b"\n",
    b"\xff",
    BOM,
    b"-",
    b"x",
    b"\0",
]
heads = st.sampled_from(
    [b"", b"<13>", b"<13>1 - - - - - ", b"<13>1 - - - - - -", b"<13>1 - - - - - [a]", b"<13>1 - "]
)
frames = st.builds(
    bytes.__add__, heads, st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join)
)


@shares(strict=0.05, lenient=0.15, refused=0.15)
@given(frame=frames | st.binary(max_size=20) | messages.map(STRICT.encode))
def test_any_octets_are_a_message_or_refused(frame: bytes) -> None:
    for name, codec in (("strict", STRICT), ("lenient", LENIENT)):
        try:
            message: Any = codec.decode(frame)  # type: ignore[attr-defined]
        except DecodeError:
            met("refused")
        else:
            met(name)
            if isinstance(message, Message):
                assert STRICT.decode(STRICT.encode(message)) == message


@pytest.mark.parametrize("codec", [STRICT, LENIENT])
def test_damaged_messages_are_refused_and_nothing_else(codec: Any) -> None:
    check_codec(codec, [frame for frame, _ in EXAMPLES], messages=[one for _, one in EXAMPLES])
