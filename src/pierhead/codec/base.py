"""The contracts of this layer: bytes to frames (`Framing`) and frames to messages (`Codec`).

    bytes ──Framer.feed──▶ buffer ──Framer.frames──▶ frame ──Codec.decode──▶ request
    bytes ◀──────────────Framing.frame────────────── frame ◀──Codec.encode── reply

Pure: no I/O, no clock. The laws every framing obeys are in `pierhead.testing.laws`: how the
input is cut into pieces never changes the frames, memory is bounded, time is linear.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Generic, Protocol, TypeVar

from pierhead.errors import PierheadError, UsageError

__all__ = ["Codec", "Framer", "Framing", "Order", "WireFormat", "check_codec", "check_framing"]

Q_co = TypeVar("Q_co", covariant=True)
R_contra = TypeVar("R_contra", contravariant=True)
Q = TypeVar("Q")
R = TypeVar("R")


class Framer(Protocol):
    """The framing state of one direction of one connection."""

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take in the next bytes of the stream; copies what it keeps."""
        ...

    def frames(self, limit: int) -> list[bytes]:
        """Take out up to this many whole frames, oldest first; [] when none is whole yet.

        Raises:
            FramingError: the next frame can never be whole (too long, bad length). Frames
                before the fault have been given out by earlier calls; it is raised again by
                every later call.
        """
        ...

    def finish(self) -> list[bytes]:
        """Say that the input has ended: return what the end of input completes, often nothing.

        Call it once, after `frames` has returned []. A framing without an end mark of its own
        (lines) gives the last, unterminated frame here.

        Raises:
            FramingError: the input ended inside a frame.
        """
        ...

    @property
    def buffered(self) -> int:
        """How many bytes are held; 0 means between frames. Never above the longest frame plus
        the largest piece fed."""
        ...


class Framing(Protocol):
    """A frozen description of how a stream is cut into frames."""

    def new(self) -> Framer:
        """Return the state for one new connection."""
        ...

    def frame(self, payload: bytes, /) -> bytes:
        """Return the payload as it goes on the wire.

        Raises:
            UsageError: this framing cannot carry the payload (too long, holds the delimiter).
        """
        ...


class Codec(Protocol[Q_co, R_contra]):
    """A stateless pair: a frame to a request, a reply to a frame.

    It may have a third method, ``reject(error, frame) -> bytes | None``: the frame that refuses
    a request that could not be decoded, failed, timed out or was shed. See `Rejecting`.
    """

    def decode(self, frame: bytes, /) -> Q_co:
        """Return the request in this frame.

        Raises:
            DecodeError: there is none. Nothing else may be raised, whatever the bytes.
        """
        ...

    def encode(self, reply: R_contra, /) -> bytes:
        """Return the reply as one frame.

        Raises:
            UsageError: the reply cannot be encoded.
        """
        ...


class Rejecting(Protocol):
    """The optional third method of a codec."""

    def reject(self, error: PierheadError, frame: bytes, /) -> bytes | None:
        """Return the refusal of this frame, or None for silence."""
        ...


class Order(Enum):
    """In which order the replies of one connection may leave."""

    #: As the requests came; a slow request holds back the replies behind it.
    IN_ORDER = "in order"
    #: As they are ready, where the protocol matches them by an identifier (RFC 7766 §7).
    ANY = "any"


@dataclass(frozen=True, slots=True)
class WireFormat(Generic[Q, R]):
    """A protocol on the wire: framing, codec and reply order; used by servers and clients.

    Datagrams carry one frame each and leave the framing out.
    """

    framing: Framing
    codec: Codec[Q, R]
    order: Order = Order.IN_ORDER

    def __post_init__(self) -> None:
        check_framing(self.framing)
        check_codec(self.codec)


def check_framing(framing: object) -> None:
    """Check that an object is a framing, and what it makes a framer.

    Raises:
        UsageError: a method is missing; says which.
    """
    _check_methods(framing, "framing", ("new", "frame"))
    framer: object = framing.new()  # type: ignore[attr-defined]  # it has been looked for
    _check_methods(framer, "framer", ("feed", "frames", "finish"))
    if not hasattr(framer, "buffered"):
        raise UsageError(f"{_name(framer)} is no framer: it has no attribute buffered")


def check_codec(codec: object) -> None:
    """Check that an object is a codec.

    Raises:
        UsageError: a method is missing; says which.
    """
    _check_methods(codec, "codec", ("decode", "encode"))


def _check_methods(part: object, role: str, methods: tuple[str, ...]) -> None:
    if isinstance(part, type):
        raise UsageError(f"{_name(part)} is a class; give an instance, {_name(part)}(…)")
    missing = [f"{name}()" for name in methods if not callable(getattr(part, name, None))]
    if missing:
        raise UsageError(f"{_name(part)} is no {role}: it has no {' and no '.join(missing)}")


def _name(part: object) -> str:
    return getattr(part, "__qualname__", type(part).__qualname__)
