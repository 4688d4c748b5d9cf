"""Syslog on the wire: pure, no I/O."""

from pierhead.protocols.syslog.wire.bsd import LenientCodec
from pierhead.protocols.syslog.wire.codec import MessageCodec
from pierhead.protocols.syslog.wire.message import BsdMessage, Element, Facility, Message, Severity

__all__ = [
    "BsdMessage",
    "Element",
    "Facility",
    "LenientCodec",
    "Message",
    "MessageCodec",
    "Severity",
]
