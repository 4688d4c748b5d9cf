"""Reads names from messages, undoing compression (RFC 1035 §4.1.4)."""

from __future__ import annotations

from pierhead.errors import DecodeError
from pierhead.protocols.dns.wire.rrset import Name

__all__ = ["read_name"]

#: A name has at most 127 labels, and no pointer needs to lead to another.
_MAX_POINTERS = 127


def read_name(frame: bytes, start: int) -> tuple[Name, int]:
    """Return the name at an offset, uncompressed, and the offset after it.

    Raises:
        DecodeError: it ends outside the message, is too long, or has a pointer that does not
            lead backwards.
    """
    parts = []
    position = floor = start
    end = size = pointers = 0
    while True:
        length = frame[position] if position < len(frame) else 64
        if length < 64:
            part = frame[position : position + length + 1]
            position += length + 1
            size += length + 1
            if size > 255:
                raise DecodeError("name longer than 255 octets", start)
            parts.append(part)
            if length == 0:
                return b"".join(parts), end or position
            if len(part) <= length:
                raise DecodeError("message ends inside a name", start)
        elif length >= 0xC0 and position + 1 < len(frame):
            target = (length & 0x3F) << 8 | frame[position + 1]
            pointers += 1
            # "A pointer to a prior occurance": strictly backwards, so that there can be no loop.
            if target >= floor or pointers > _MAX_POINTERS:
                raise DecodeError("pointer does not lead backwards", position)
            end = end or position + 2
            position = floor = target
        else:
            raise DecodeError("bad label, or the message ends inside a name", position)
