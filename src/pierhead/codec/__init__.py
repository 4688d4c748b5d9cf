"""Framings and codecs: bytes to frames, frames to messages; no I/O.

    Lines             ends with LF or CRLF        text protocols
    Delimited         ends with a delimiter       NUL-terminated and the like
    LengthPrefixed    1, 2 or 4 octets of length  DNS over TCP, many device protocols
    VarintPrefixed    a varint of length          streams of protobuf messages
    Netstring         decimal length              SCGI, QMTP
    Cobs              blocks, then a zero         serial lines, packets of any octets
    Slip              escapes, then 0xC0          OSC, serial lines
    SyslogFraming     decimal length, or LF       syslog over TCP

    Octets            the frame itself
    Packed            fields of fixed size
    Json              JSON of a type
    MsgPack           MessagePack of a type

    json_lines        the wire format of JSON in lines

Custom framings and codecs can be checked by `pierhead.testing.laws`.
"""

from pierhead.codec.base import (
    Codec,
    Decoder,
    Encoder,
    Framer,
    Framing,
    Order,
    Rejecting,
    WireFormat,
    check_one_reply,
)
from pierhead.codec.cobs import Cobs
from pierhead.codec.delimited import Delimited
from pierhead.codec.json import Json, json_lines
from pierhead.codec.length_prefixed import LengthPrefixed
from pierhead.codec.lines import Lines
from pierhead.codec.matching import Asked, ById, InOrder, Matcher, Matching
from pierhead.codec.msgpack import MsgPack
from pierhead.codec.netstring import Netstring
from pierhead.codec.octets import Octets
from pierhead.codec.packed import Packed
from pierhead.codec.slip import Slip
from pierhead.codec.syslog_framing import SyslogFraming
from pierhead.codec.varint_prefixed import VarintPrefixed

__all__ = [
    "Asked",
    "ById",
    "Cobs",
    "Codec",
    "Decoder",
    "Delimited",
    "Encoder",
    "Framer",
    "Framing",
    "InOrder",
    "Json",
    "LengthPrefixed",
    "Lines",
    "Matcher",
    "Matching",
    "MsgPack",
    "Netstring",
    "Octets",
    "Order",
    "Packed",
    "Rejecting",
    "Slip",
    "SyslogFraming",
    "VarintPrefixed",
    "WireFormat",
    "check_one_reply",
    "json_lines",
]
