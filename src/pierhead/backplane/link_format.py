"""What two servers of a backplane say to each other, as frames.

H  epoch, sequence number, name     the follower: what it has, of which room
S  epoch, sequence number, missed   the other: what follows, and how many are lost before it
M  sequence number, octets          a message
?  !                                a ping, and its answer
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TypeAlias

from pierhead.codec import LengthPrefixed
from pierhead.codec.base import WireFormat
from pierhead.connection.liveness import Liveness
from pierhead.errors import DecodeError

__all__ = ["FORMAT", "PINGS", "Hello", "Link", "Message", "Ping", "Start"]

_HELLO = struct.Struct("!16sQ")
_START = struct.Struct("!16sQQ")
_MESSAGE = struct.Struct("!Q")
#: The largest message, and what is in front of it.
_LARGEST_BYTES = 2**24


@dataclass(frozen=True, slots=True)
class Hello:
    """What a follower has: of which run of a server, up to which message; of which room."""

    epoch: bytes
    after: int
    room: str


@dataclass(frozen=True, slots=True)
class Start:
    """What follows: of which run, after which message; and how many were missed before it."""

    epoch: bytes
    after: int
    missed: int


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the room, as octets."""

    number: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Ping:
    """A ping, or its answer."""

    is_answer: bool


Link: TypeAlias = Hello | Start | Message | Ping


class _Codec:
    def encode(self, link: Link) -> bytes:
        match link:
            case Message(number, payload):
                return b"M" + _MESSAGE.pack(number) + payload
            case Hello(epoch, after, room):
                return b"H" + _HELLO.pack(epoch, after) + room.encode()
            case Start(epoch, after, missed):
                return b"S" + _START.pack(epoch, after, missed)
            case Ping(is_answer):
                return b"!" if is_answer else b"?"

    def decode(self, frame: bytes) -> Link:
        kind, body = frame[:1], frame[1:]
        try:
            if kind == b"M":
                (number,) = _MESSAGE.unpack_from(body)
                return Message(number, body[_MESSAGE.size :])
            if kind == b"H":
                epoch, after = _HELLO.unpack_from(body)
                return Hello(epoch, after, body[_HELLO.size :].decode())
            if kind == b"S":
                return Start(*_START.unpack(body))
        except (struct.error, UnicodeDecodeError) as error:
            raise DecodeError(f"a malformed frame {kind!r}: {error}") from None
        if frame in (b"?", b"!"):
            return Ping(frame == b"!")
        raise DecodeError(f"a frame begins with {kind!r}, expected H, S, M, ? or !")


#: The format of links.
FORMAT: WireFormat[Link, Link] = WireFormat(
    LengthPrefixed(4, max_length_bytes=_LARGEST_BYTES), _Codec()
)

#: A server that is gone without a word is known within 15 seconds.
PINGS: Liveness[Link, Link] = Liveness(
    make=lambda: Ping(is_answer=False),
    is_pong=lambda link: link == Ping(is_answer=True),
    is_ping=lambda link: link == Ping(is_answer=False),
    pong=lambda link: Ping(is_answer=True),
    every=10.0,
    within=5.0,
)
