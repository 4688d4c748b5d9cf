"""The codec that also takes the older format, which RFC 3164 observed and did not specify.

<34>Oct 11 22:14:15 mymachine su[42]: 'su root' failed
 PRI    TIMESTAMP    HOSTNAME TAG      CONTENT
"""

from __future__ import annotations

import re

from pierhead.errors import DecodeError, UsageError
from pierhead.protocols.syslog.wire.codec import (
    MessageCodec,
    decode_priority,
    decode_text,
    encode_priority,
    encode_text,
)
from pierhead.protocols.syslog.wire.message import BsdMessage, Facility, Message, Severity

__all__ = ["LenientCodec"]

#: A version follows the priority: then it is a message of RFC 5424, or a fault in one.
_RFC5424 = re.compile(rb"<[0-9]{1,3}>[1-9][0-9]{0,2} ")
_HEADER = re.compile(
    rb"((?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) "
    rb"(?: [1-9]|[12][0-9]|3[01]) [0-2][0-9]:[0-5][0-9]:[0-5][0-9]) "
    # A word that ends with a colon is a tag; the host did not say its name.
    rb"(?:([!-~]{0,254}[!-9;-~]) )?"
)
_TAG = re.compile(rb"([0-9A-Za-z_./-]{1,48})(?:\[([!-Z\\^-~]{1,128})\])?: ?")


class LenientCodec:
    """Messages of RFC 5424, and anything else as RFC 3164 says that a relay has to read it.

    A frame without a valid priority is a message as well (§4.3.3). LF, CR LF or NUL at the end of
    an older message is not part of it: some senders write one into datagrams too.
    """

    __slots__ = ("_strict",)

    def __init__(self) -> None:
        self._strict = MessageCodec()

    def decode(self, frame: bytes) -> Message | BsdMessage:
        """Return the message.

        Raises:
            DecodeError: it begins as a message of RFC 5424 and is none, or it is empty.
        """
        if _RFC5424.match(frame):
            return self._strict.decode(frame)
        if not frame:
            raise DecodeError("an empty message")
        facility, severity, at = _priority(frame)
        rest = frame[at:].rstrip(b"\r\n\0")
        header = _HEADER.match(rest)
        at = 0 if header is None else header.end()
        tag = _TAG.match(rest, at)
        return BsdMessage(
            facility=facility,
            severity=severity,
            timestamp=_group(header, 1),
            hostname=_group(header, 2),
            tag=_group(tag, 1),
            procid=_group(tag, 2),
            text=decode_text(rest[at if tag is None else tag.end() :]),
        )

    def encode(self, message: Message | BsdMessage) -> bytes:
        """Return the message as a frame, in the format that its class says.

        Raises:
            UsageError: the format cannot represent it, or a reader would take it for another.
        """
        if not isinstance(message, BsdMessage):
            return self._strict.encode(message)
        try:
            frame = encode_priority(message) + _body(message)
            again: object = self.decode(frame)
        except (UnicodeEncodeError, DecodeError) as error:
            raise UsageError(f"a message that a reader would refuse: {error}") from None
        if again != message:
            raise UsageError(f"a message that a reader would take for {again!r}")
        return frame

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def _priority(frame: bytes) -> tuple[Facility, Severity, int]:
    try:
        return decode_priority(frame)
    except DecodeError:
        return Facility.USER, Severity.NOTICE, 0


def _group(found: re.Match[bytes] | None, number: int) -> str | None:
    octets: bytes | None = None if found is None else found[number]
    return None if octets is None else octets.decode("ascii")


def _body(message: BsdMessage) -> bytes:
    head = "".join(f"{word} " for word in (message.timestamp, message.hostname) if word is not None)
    if message.tag is not None:
        head += message.tag if message.procid is None else f"{message.tag}[{message.procid}]"
        head += ": "
    return head.encode("ascii") + encode_text(message.text)
