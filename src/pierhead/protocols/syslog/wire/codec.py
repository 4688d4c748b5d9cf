"""The codec of RFC 5424.

<165>1 2003-10-11T22:14:15.003Z host app 42 ID47 [id@32473 name="value"] text
 PRI VERSION  TIMESTAMP     HOSTNAME APP-NAME PROCID MSGID  STRUCTURED-DATA MSG
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from pierhead.errors import DecodeError, UsageError
from pierhead.printable import printable_octets
from pierhead.protocols.syslog.wire.message import Element, Facility, Message, Severity

__all__ = ["MessageCodec", "decode_priority", "decode_text", "encode_priority", "encode_text"]

_PRIORITY = re.compile(rb"<(0|[1-9][0-9]{0,2})>")
_MAX_PRIORITY = 8 * max(Facility) + max(Severity)
_VERSION = re.compile(rb"1 ")
_TIMESTAMP = re.compile(
    rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
    rb"(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
_TIMESTAMP_OR_NIL = re.compile(rb"(-|%b) " % _TIMESTAMP.pattern)
#: RFC 5424 §6: how long a field may be.
_LENGTHS = {"hostname": 255, "app_name": 48, "procid": 128, "msgid": 32}
_FIELDS = {name: re.compile(rb"([!-~]{1,%d}) " % longest) for name, longest in _LENGTHS.items()}
_NAME = rb"[!#-<>-\\^-~]{1,32}"
_ELEMENT = re.compile(rb"\[(%b)" % _NAME)
_PARAM = re.compile(rb' (%b)="((?:[^"\\\]]++|\\.)*+)"' % _NAME, re.DOTALL)
_NIL = "-"
_BOM = b"\xef\xbb\xbf"


class MessageCodec:
    """Messages of RFC 5424, and nothing else.

    Example:
        >>> MessageCodec().encode(Message(app_name="su", text="failed"))
        b'<13>1 - - su - - - failed'
    """

    __slots__ = ()

    def decode(self, frame: bytes) -> Message:
        """Return the message.

        Raises:
            DecodeError: it is not of this format.
        """
        facility, severity, at = decode_priority(frame)
        at = _expect(_VERSION, frame, at, "version 1").end()
        found = _expect(_TIMESTAMP_OR_NIL, frame, at, "a timestamp of RFC 5424, or -")
        timestamp = _timestamp(found[1], at)
        fields: dict[str, str | None] = {}
        for name, pattern in _FIELDS.items():
            at = found.end()
            what = f"a field {name} of 1 to {_LENGTHS[name]} printable characters"
            found = _expect(pattern, frame, at, what)
            fields[name] = None if found[1] == b"-" else found[1].decode("ascii")
        elements, at = _structured_data(frame, found.end())
        if at < len(frame) and frame[at] != 0x20:
            raise DecodeError(f"{_seen(frame, at)} after structured data, expected a space", at)
        return Message(
            facility=facility,
            severity=severity,
            timestamp=timestamp,
            structured_data=elements,
            text=decode_text(frame[at + 1 :]),
            **fields,
        )

    def encode(self, message: Message) -> bytes:
        """Return the message as a frame.

        Raises:
            UsageError: a field has a value that the format cannot represent.
        """
        if not isinstance(message, Message):
            raise UsageError(f"a message is {type(message).__name__}, expected Message")
        fields = [encode_priority(message) + b"1", _encode_timestamp(message.timestamp)]
        for name, pattern in _FIELDS.items():
            fields.append(_encode_field(name, getattr(message, name), pattern))
        fields.append(_encode_structured_data(message.structured_data))
        if text := encode_text(message.text):
            fields.append(text)
        return b" ".join(fields)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


# -- what RFC 3164 has too -----------------------------------------------------------------------


def decode_priority(frame: bytes) -> tuple[Facility, Severity, int]:
    """Return what the PRI part says, and where it ends (RFC 5424 §6.2.1).

    Raises:
        DecodeError: there is none, or its number is above 191.
    """
    found = _expect(_PRIORITY, frame, 0, "a priority such as <13>")
    number = int(found[1])
    if number > _MAX_PRIORITY:
        raise DecodeError(f"a priority of {number}, expected 0 to {_MAX_PRIORITY}", 1)
    return Facility(number // 8), Severity(number % 8), found.end()


def encode_priority(message: object) -> bytes:
    """Return the PRI part.

    Raises:
        UsageError: there is no such facility or severity.
    """
    try:
        facility = Facility(message.facility)  # type: ignore[attr-defined]  # of either class
        severity = Severity(message.severity)  # type: ignore[attr-defined]
    except ValueError as error:
        raise UsageError(str(error)) from None
    return b"<%d>" % (facility * 8 + severity)


def decode_text(octets: bytes) -> str | bytes:
    """Return the text, without its byte order mark; octets if it is not UTF-8."""
    try:
        return octets.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError:
        return octets


def encode_text(text: str | bytes) -> bytes:
    """Return the octets, with a byte order mark if they are not ASCII (RFC 5424 §6.4).

    Raises:
        UsageError: it is not text; or it is octets that would be read as text.
    """
    if isinstance(text, bytes):
        if isinstance(decode_text(text), str):
            raise UsageError("the text is given as octets, and is UTF-8; give it as str")
        return text
    try:
        octets = text.encode("utf-8")
    except (AttributeError, UnicodeEncodeError) as error:
        raise UsageError(f"the text cannot be UTF-8: {error}") from None
    return octets if octets.isascii() else _BOM + octets


# -- parts ---------------------------------------------------------------------------------------


def _expect(pattern: re.Pattern[bytes], frame: bytes, at: int, what: str) -> re.Match[bytes]:
    found = pattern.match(frame, at)
    if found is None:
        raise DecodeError(f"{_seen(frame, at)}, expected {what}", at)
    return found


def _seen(frame: bytes, at: int) -> str:
    shown = printable_octets(frame[at : at + 20])
    return f"'{shown}'" if shown else "the end of the message"


def _timestamp(octets: bytes, at: int) -> datetime | None:
    if octets == b"-":
        return None
    try:
        return datetime.fromisoformat(octets.decode("ascii"))
    except ValueError as error:
        raise DecodeError(f"a timestamp that does not exist: {error}", at) from None


def _encode_timestamp(timestamp: datetime | None) -> bytes:
    if timestamp is None:
        return b"-"
    given: object = timestamp  # as a caller without a type checker may pass
    if not isinstance(given, datetime) or given.utcoffset() is None:
        raise UsageError(f"the timestamp is {timestamp!r}, expected a datetime with a time zone")
    written = timestamp.isoformat().removesuffix("+00:00").encode("ascii")
    if timestamp.utcoffset() == timedelta(0):
        written += b"Z"
    if _TIMESTAMP.fullmatch(written) is None:
        raise UsageError(f"the timestamp {timestamp} has an offset with seconds, which none may")
    return written


def _encode_field(name: str, value: str | None, pattern: re.Pattern[bytes]) -> bytes:
    if value is None:
        return b"-"
    try:
        field = value.encode("ascii")
    except (AttributeError, UnicodeEncodeError):
        field = b""
    if value == _NIL or pattern.fullmatch(field + b" ") is None:
        raise UsageError(
            f"{name} is {value!r}, expected None or 1 to {_LENGTHS[name]} printable ASCII "
            "characters other than '-' alone"
        )
    return field


def _structured_data(frame: bytes, at: int) -> tuple[tuple[Element, ...], int]:
    """Return the elements at this offset, and where they end (RFC 5424 §6.3)."""
    if frame.startswith(b"-", at):
        return (), at + 1
    elements: dict[str, Element] = {}
    while not elements or frame.startswith(b"[", at):
        found = _expect(_ELEMENT, frame, at, "- or [ and the name of an element")
        name, at = found[1].decode("ascii"), found.end()
        if name in elements:
            raise DecodeError(f"the element {printable_octets(found[1])} occurs twice", at)
        params: list[tuple[str, str]] = []
        while (param := _PARAM.match(frame, at)) is not None:
            params.append((param[1].decode("ascii"), _value(param)))
            at = param.end()
        if not frame.startswith(b"]", at):
            raise DecodeError(f'{_seen(frame, at)}, expected ] or a parameter name="value"', at)
        elements[name], at = Element(name, tuple(params)), at + 1
    return tuple(elements.values()), at


def _value(param: re.Match[bytes]) -> str:
    # Backslashes pair up from the left; one before anything else is itself (RFC 5424 §6.3.3).
    parts = [part.replace(b'\\"', b'"').replace(b"\\]", b"]") for part in param[2].split(b"\\\\")]
    try:
        return b"\\".join(parts).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DecodeError(
            f"a parameter that is not UTF-8: {error.reason}", param.start(2)
        ) from None


def _encode_structured_data(elements: tuple[Element, ...]) -> bytes:
    if len({element.id for element in elements}) < len(elements):
        raise UsageError("structured data has an element twice; each may occur once")
    return b"".join(map(_encode_element, elements)) or b"-"


def _encode_element(element: Element) -> bytes:
    written = [b"[", _encode_name(element.id)]
    for name, value in element.params:
        escaped = re.sub(r'(["\\\]])', r"\\\1", value)
        try:
            written += [b" ", _encode_name(name), b'="', escaped.encode("utf-8"), b'"']
        except UnicodeEncodeError as error:
            raise UsageError(f"the parameter {name} cannot be UTF-8: {error}") from None
    return b"".join([*written, b"]"])


def _encode_name(name: str) -> bytes:
    octets = name.encode("ascii", "replace") if name.isascii() else b""
    if re.fullmatch(_NAME, octets) is None:
        raise UsageError(
            f"the name {name!r} in structured data, expected 1 to 32 printable ASCII characters "
            'except =, ] and "'
        )
    return octets
