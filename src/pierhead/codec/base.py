"""The contracts of this layer: bytes to frames (`Framing`) and frames to messages (`Codec`).

    server   bytes ──Framer──▶ frame ──requests.decode──▶ request ──▶ service
             bytes ◀─Framing── frame ◀─replies.encode──── reply   ◀── service
    client   bytes ◀─Framing── frame ◀─requests.encode─── request
             bytes ──Framer──▶ frame ──replies.decode───▶ reply

Pure: no I/O, no clock. The laws every framing and codec obeys are in `pierhead.testing.laws`: how
    the input is split into pieces never changes the frames, memory is bounded, time is linear.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar, overload

from pierhead.codec.matching import ById, InOrder, Matcher, Matching
from pierhead.errors import PierheadError, UsageError

__all__ = [
    "Codec",
    "Decoder",
    "Encoder",
    "Framer",
    "Framing",
    "Order",
    "Rejecting",
    "WireFormat",
    "check_codec",
    "check_decoder",
    "check_encoder",
    "check_framing",
    "check_one_reply",
    "check_wire_format",
]

M = TypeVar("M")
M_co = TypeVar("M_co", covariant=True)
M_contra = TypeVar("M_contra", contravariant=True)
Q = TypeVar("Q")
R = TypeVar("R")


class Framer(Protocol):
    """The framing state of one direction of one connection."""

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take in the next bytes of the stream; copies what it keeps."""
        ...

    def frames(self, limit: int) -> list[bytes]:
        """Return up to this many complete frames, oldest first; [] if none is complete yet.

        Raises:
            FramingError: the next frame can never be complete (too long, bad length). Earlier calls
                have returned the frames before the fault; every later call raises it again.
        """
        ...

    def finish(self) -> list[bytes]:
        """Note that the input has ended, and return the frames that this completes, often none.

        Call it once, after `frames` has returned []. A framing whose last frame may be unterminated
        (lines) returns it here.

        Raises:
            FramingError: the input ended inside a frame.
        """
        ...

    @property
    def buffered(self) -> int:
        """How many bytes are held: 0 between frames, at most a frame and the largest piece fed."""
        ...


class Framing(Protocol):
    """A frozen description of how a stream is split into frames."""

    def new(self) -> Framer:
        """Return the framer of a new connection."""
        ...

    def frame(self, payload: bytes, /) -> bytes:
        """Return the payload in its form on the wire.

        Raises:
            UsageError: this framing cannot carry the payload (too long, contains the delimiter).
        """
        ...


class Decoder(Protocol[M_co]):
    """Frames to messages."""

    def decode(self, frame: bytes, /) -> M_co:
        """Return the message in this frame.

        Raises:
            DecodeError: the frame is not a message. Nothing else may be raised, whatever the bytes.
        """
        ...


class Encoder(Protocol[M_contra]):
    """Messages to frames."""

    def encode(self, message: M_contra, /) -> bytes:
        """Return the message as one frame.

        Raises:
            UsageError: the message cannot be encoded.
        """
        ...


class Codec(Decoder[M], Encoder[M], Protocol[M]):
    """One kind of message, in both directions, without state.

    The codec of replies may have a third method, ``reject(error, frame) -> bytes | None``: the
    frame that refuses a request that could not be decoded, failed, timed out or was shed. See
    `Rejecting`.
    """


class Rejecting(Protocol):
    """The optional third method of a codec of replies."""

    def reject(self, error: PierheadError, frame: bytes, /) -> bytes | None:
        """Return the refusal of this request, given as its frame; None for silence."""
        ...


class Order(Enum):
    """The order in which the replies of one connection may leave."""

    #: In the order of the requests; a slow request delays the replies behind it.
    IN_ORDER = "in order"
    #: As they are ready, if the protocol matches them by an identifier (RFC 7766 §7).
    ANY = "any"


_IN_ORDER = InOrder()


@dataclass(frozen=True, slots=True, init=False)
class WireFormat(Generic[Q, R]):
    """A protocol on the wire, one value for both sides.

    A server decodes requests and encodes replies, a client does the reverse. Datagrams carry one
    frame each and leave the framing out.

    Attributes:
        framing: how a stream is split into frames.
        requests: the codec of requests.
        replies: the codec of replies; the same as for requests by default.
        order: the order in which a server sends replies; by default that of the requests, or any
            order if `ById` lets a client match them.
        matching: how a client determines which request a reply belongs to.
        last: recognises the last of many replies to one request. Without it each request has one
            reply.

    Raises:
        UsageError: a part is incomplete; the message says which.
    """

    framing: Framing
    requests: Codec[Q]
    replies: Codec[R]
    order: Order
    matching: Matching[Q, R]
    last: Callable[[R], bool] | None

    @overload
    def __init__(
        self: WireFormat[M, M],
        framing: Framing,
        requests: Codec[M],
        *,
        order: Order | None = None,
        matching: Matching[M, M] = ...,
        last: Callable[[M], bool] | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self,
        framing: Framing,
        requests: Codec[Q],
        replies: Codec[R],
        *,
        order: Order | None = None,
        matching: Matching[Q, R] = ...,
        last: Callable[[R], bool] | None = None,
    ) -> None: ...

    def __init__(
        self,
        framing: Framing,
        requests: Codec[Any],
        replies: Codec[Any] | None = None,
        *,
        order: Order | None = None,
        matching: Matching[Any, Any] = _IN_ORDER,
        last: Callable[[Any], bool] | None = None,
    ) -> None:
        check_framing(framing)
        check_codec(requests)
        if replies is not None:
            check_codec(replies)
        _check_methods(matching, "matching", ("new",))
        if order is None:
            order = Order.ANY if isinstance(matching, ById) else Order.IN_ORDER
        if not isinstance(order, Order):
            raise UsageError(f"the order is {order!r}, expected Order.IN_ORDER or Order.ANY")
        if last is not None and not callable(last):
            raise UsageError(f"last is {last!r}, expected a function of a reply")
        put = object.__setattr__  # it is frozen
        put(self, "framing", framing)
        put(self, "requests", requests)
        put(self, "replies", requests if replies is None else replies)
        put(self, "order", order)
        put(self, "matching", matching)
        put(self, "last", last)

    def matcher(self, choose: Callable[[int], int] | None = None) -> Matcher[Q, R, Any]:
        """Return the matcher for the replies of a new client connection.

        Args:
            choose: returns a number from 0 up to but excluding its argument (`secrets.randbelow`),
                if identifiers must be unguessable.
        """
        return self.matching.new(self.last, choose)


def check_one_reply(wire_format: WireFormat[Any, Any]) -> None:
    """Check that a client can ask for the one reply to a request.

    Raises:
        UsageError: there may be many replies, or replies cannot be matched.
    """
    if wire_format.last is not None:
        raise UsageError(
            "there may be many replies to a request: the wire format tells the last of them by "
            f"{_name(wire_format.last)}; a request for one reply wants a format without last=…"
        )
    if wire_format.order is Order.ANY and isinstance(wire_format.matching, InOrder):
        raise UsageError(
            "replies leave in any order, and nothing says which request one belongs to; give the "
            "wire format matching=ById(get=…, put=…, range=…)"
        )


def check_wire_format(given: object, remedy: str = "") -> None:
    """Check what a caller without a type checker may have passed as a wire format.

    Args:
        remedy: added to the error.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(given, WireFormat):
        found = repr(given) if isinstance(given, str) else type(given).__name__
        raise UsageError(
            f"a wire format is {found}, expected WireFormat(framing, requests, replies){remedy}"
        )


def check_framing(framing: object) -> None:
    """Check that an object is a framing, and that it creates framers.

    Raises:
        UsageError: a method is missing; says which.
    """
    _check_methods(framing, "framing", ("new", "frame"))
    framer: object = framing.new()  # type: ignore[attr-defined]  # it has been looked for
    _check_methods(framer, "framer", ("feed", "frames", "finish"))
    if not hasattr(framer, "buffered"):
        raise UsageError(f"{_name(framer)} is not a framer: it has no attribute buffered")


def check_codec(codec: object) -> None:
    """Check that an object is a codec, for both directions.

    Raises:
        UsageError: a method is missing; says which.
    """
    _check_methods(codec, "codec", ("decode", "encode"))


def check_decoder(codec: object) -> None:
    """Check that an object can decode: all that a server needs from its request codec.

    Raises:
        UsageError: it does not.
    """
    _check_methods(codec, "codec of requests", ("decode",))


def check_encoder(codec: object) -> None:
    """Check that an object can encode: all that a server needs from its reply codec.

    Raises:
        UsageError: it does not.
    """
    _check_methods(codec, "codec of replies", ("encode",))


def _check_methods(part: object, role: str, methods: tuple[str, ...]) -> None:
    if isinstance(part, type):
        raise UsageError(f"{_name(part)} is a class; give an instance, {_name(part)}(…)")
    missing = [f"{name}()" for name in methods if not callable(getattr(part, name, None))]
    if missing:
        raise UsageError(f"{_name(part)} is not a {role}: it has no {' and no '.join(missing)}")


def _name(part: object) -> str:
    return getattr(part, "__qualname__", type(part).__qualname__)
