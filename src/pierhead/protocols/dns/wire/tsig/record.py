"""The TSIG record: where it is in a message, and its octets (RFC 8945 §4.2)."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from struct import error as StructError

from pierhead.errors import DecodeError
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.message import HEADER
from pierhead.protocols.dns.wire.name import key
from pierhead.protocols.dns.wire.reader import read_name
from pierhead.protocols.dns.wire.rrset import Name

__all__ = ["TsigRecord", "add_tsig", "find_tsig", "tsig_octets", "without_tsig"]

_FIXED = Struct("!HHIH")  # type, class, TTL, RDLENGTH
_TIMES = Struct("!HIHH")  # time signed in 16 and 32 bits, fudge, MAC size
_SIZE = Struct("!H")
_AFTER_MAC = Struct("!HHH")  # original ID, error, other length
_TIMERS = Struct("!HIH")  # time signed, fudge
_CLASS_TTL = Struct("!HI")
_ERROR = Struct("!HH")  # error, other length


@dataclass(frozen=True, slots=True)
class TsigRecord:
    """What a TSIG record says.

    Attributes:
        name: the key's name, in wire form.
        algorithm: the algorithm's name, in wire form.
        time: when the message was signed, in seconds since 1970.
        fudge: how far the clocks may differ, in seconds.
        mac: the MAC; empty in an unsigned error.
        original_id: the identifier that the message was signed with.
        error: NOERROR, BADSIG, BADKEY, BADTIME or BADTRUNC.
        other: with BADTIME the server's time, otherwise empty.
        offset: where the record begins in its message.
    """

    name: Name
    algorithm: Name
    time: int
    fudge: int
    mac: bytes = b""
    original_id: int = 0
    error: int = 0
    other: bytes = b""
    offset: int = 0

    @property
    def octets(self) -> bytes:
        """The record as it is in a message."""
        rdata = b"".join(
            (
                self.algorithm,
                self.timers,
                _SIZE.pack(len(self.mac)),
                self.mac,
                _AFTER_MAC.pack(self.original_id, self.error, len(self.other)),
                self.other,
            )
        )
        return self.name + _FIXED.pack(iana.TSIG, iana.CLASS_ANY, 0, len(rdata)) + rdata

    @property
    def timers(self) -> bytes:
        """The part that is signed in messages after the first (RFC 8945 §4.3.3.2)."""
        return _TIMERS.pack(self.time >> 32, self.time & 0xFFFFFFFF, self.fudge)

    @property
    def variables(self) -> bytes:
        """The part that is signed: names in lower case (RFC 8945 §4.3.3)."""
        return b"".join(
            (
                key(self.name),
                _CLASS_TTL.pack(iana.CLASS_ANY, 0),
                key(self.algorithm),
                self.timers,
                _ERROR.pack(self.error, len(self.other)),
                self.other,
            )
        )


def tsig_octets(name: Name, algorithm: Name, mac: int, other: int = 0) -> int:
    """Return how long a record is, of a MAC and other data of these lengths."""
    fixed = _FIXED.size + _TIMES.size + _AFTER_MAC.size
    return len(name) + len(algorithm) + fixed + mac + other


def add_tsig(message: bytes, record: TsigRecord) -> bytes:
    """Return the message with this record as its last."""
    return _with_additional(message, 1) + record.octets


def without_tsig(frame: bytes, record: TsigRecord, ident: int | None = None) -> bytes:
    """Return the message without its record; with another identifier if given."""
    bare = _with_additional(frame[: record.offset], -1)
    return bare if ident is None else ident.to_bytes(2, "big") + bare[2:]


def find_tsig(frame: bytes) -> TsigRecord | None:
    """Return the TSIG record of a message; None if it has none.

    Raises:
        DecodeError: the message or the record is malformed, there is more than one, or it is not
            the last record.
    """
    if len(frame) < HEADER.size:
        raise DecodeError(f"message of {len(frame)} octets, expected 12 or more")
    _, _, questions, answers, authorities, additionals = HEADER.unpack_from(frame)
    position = HEADER.size
    for _ in range(questions):
        position = _skip_name(frame, position) + 4
    count = answers + authorities + additionals
    for index in range(count):
        start = position
        position = _skip_name(frame, position)
        try:
            rtype, rclass, ttl, length = _FIXED.unpack_from(frame, position)
        except StructError:
            raise DecodeError("message ends inside a record", start) from None
        data, position = position + _FIXED.size, position + _FIXED.size + length
        if position > len(frame):
            raise DecodeError("message ends inside a record's data", start)
        if rtype != iana.TSIG:
            continue
        # RFC 8945 §5.1: "the last record in the additional data section", and one.
        if index != count - 1 or not additionals:
            raise DecodeError("the TSIG record is not the last of the additional section", start)
        if rclass != iana.CLASS_ANY or ttl:
            raise DecodeError("the TSIG record has another class than ANY, or a TTL", start)
        if position != len(frame):
            raise DecodeError("octets after the last record", position)
        return _read(frame, start, data, position)
    return None


def _read(frame: bytes, start: int, data: int, end: int) -> TsigRecord:
    name, _ = read_name(frame, start)
    algorithm, position = read_name(frame, data)
    if position - data != len(algorithm):
        raise DecodeError("the name of a TSIG algorithm is compressed", data)
    try:
        high, low, fudge, size = _TIMES.unpack_from(frame, position)
        position += _TIMES.size
        mac = frame[position : position + size]
        position += size
        original_id, error, length = _AFTER_MAC.unpack_from(frame, position)
    except StructError:
        raise DecodeError("message ends inside the TSIG record", start) from None
    position += _AFTER_MAC.size
    other = frame[position : position + length]
    if position + length != end:
        raise DecodeError("the lengths in the TSIG record do not add up", start)
    return TsigRecord(
        name, algorithm, high << 32 | low, fudge, mac, original_id, error, other, start
    )


def _skip_name(frame: bytes, start: int) -> int:
    """Return the end of the name at an offset, wherever a pointer in it leads."""
    position = start
    try:
        while length := frame[position]:
            if length >= 0xC0:
                return position + 2
            if length > 63:
                raise DecodeError("bad label", position)
            position += length + 1
    except IndexError:
        raise DecodeError("message ends inside a name", start) from None
    return position + 1


def _with_additional(message: bytes, change: int) -> bytes:
    count = int.from_bytes(message[10:12], "big") + change
    return message[:10] + count.to_bytes(2, "big") + message[12:]
