"""Join a service of messages and its codecs into the handler of frames that servers call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Generic, Protocol, TypeVar, overload

from pierhead.codec.base import Codec, Decoder, Encoder, check_decoder, check_encoder
from pierhead.errors import DecodeError, PeerError, ServiceFailed, UsageError
from pierhead.service import (
    FrameHandler,
    Middleware,
    Reply,
    ServiceFunction,
    as_service,
    is_many,
    stack,
)
from pierhead.service.context import Context, Peer, Via

__all__ = ["ReadyReplies", "coded", "in_frame_layers"]

#: Types that are never many replies.
_SINGLE = (str, bytes)

M = TypeVar("M")
R_contra = TypeVar("R_contra", contravariant=True)
Q = TypeVar("Q")
R = TypeVar("R")


class ReadyReplies(Protocol[R_contra]):
    """A store of answers that are sent again: a `FrameHandler.answer_now` that learns."""

    def __call__(self, frame: bytes, peer: Peer, via: Via, /) -> bytes | None:
        """Return the answer to this frame if it is ready and may be sent."""
        ...

    def snapshot(self) -> object:
        """Return the snapshot that answers are made from; when it changes, all are stale."""
        ...

    def keep(self, made_from: object, frame: bytes, reply: R_contra, answer: bytes, /) -> None:
        """Keep an answer ready if it is the same for every client.

        Args:
            made_from: the snapshot taken before the service was called.
        """
        ...


@overload
def coded(service: ServiceFunction[M, M], requests: Codec[M]) -> FrameHandler: ...
@overload
def coded(
    service: ServiceFunction[Q, R],
    requests: Decoder[Q],
    replies: Encoder[R],
    ready: ReadyReplies[R] | None = None,
) -> FrameHandler: ...


def coded(
    service: ServiceFunction[Any, Any],
    requests: Decoder[Any],
    replies: Encoder[Any] | None = None,
    ready: ReadyReplies[Any] | None = None,
) -> FrameHandler:
    """Return the service as a handler of frames.

    Exceptions of `decode`, the service or `encode` pass through to the server, which counts them
    and calls ``reject`` of the reply codec, if it has one, for the refusal.

    A service may have an ``answer_now(request, peer, via)``: a plain function that returns the
    reply if it is known at once, else None. It is called first and saves the cost of a full
    request. A layer around the service hides it, because a layer has to see every request.

    A service whose reply is its request, such as an echo, sets an attribute ``reflects`` to true;
    then datagrams that would make two such services answer each other for ever are dropped.

    Args:
        service: answers one request.
        requests: decodes requests.
        replies: encodes replies; the request codec by default.
        ready: learns the service's single answers, and is asked before it.
    """
    answer_message = as_service(service)
    encoder: Any = requests if replies is None else replies
    check_decoder(requests)
    check_encoder(encoder)
    decode, encode = requests.decode, encoder.encode

    async def answer_frame(frame: bytes, context: Context) -> Reply[bytes]:
        made_from = None if ready is None else ready.snapshot()
        request = decode(frame)
        if request is None:
            raise _gave_none(decode, "the request, or raise DecodeError")
        try:
            reply = await answer_message(request, context)
        except PeerError as error:
            raise _blamed_on_service(error) from error
        if reply is None:
            return None
        if type(reply) in _SINGLE or not is_many(reply):
            answer: bytes | None = encode(reply)
            if answer is None:
                raise _gave_none(encode, "bytes")
            if ready is not None:
                ready.keep(made_from, frame, reply, answer)
            return answer
        return _Encoded(reply, encode)

    # Tasks and stacks show the service's name.
    name = getattr(service, "__qualname__", type(service).__qualname__)
    answer_frame.__qualname__ = name
    known = getattr(service, "answer_now", None)
    answer_now = ready if known is None else _answer_now(known, decode, encode)
    reflects = bool(getattr(service, "reflects", False))
    return FrameHandler(answer_frame, getattr(encoder, "reject", None), answer_now, reflects)


def in_frame_layers(handler: FrameHandler, layers: Sequence[Middleware]) -> FrameHandler:
    """Return the handler with layers around its frames; the first is the outermost.

    They are ordinary layers, of a service whose requests and replies are octets: outside the codec,
    they see frames as received and as sent. Ready answers would bypass them, so there are none.

    Raises:
        UsageError: they are not a list of layers.
    """
    given: object = layers  # as a caller without a type checker may pass
    if not isinstance(given, list | tuple):
        remedy = "; write frame_layers=[layer]" if callable(given) else ""
        raise UsageError(f"frame_layers is {given!r}, expected a list of layers{remedy}")
    if not layers:
        return handler
    return replace(handler, service=stack(handler.service, *layers), answer_now=None)


def _answer_now(
    known: Callable[[Q, Peer, Via], R | None],
    decode: Callable[[bytes], Q],
    encode: Callable[[R], bytes],
) -> Callable[[bytes, Peer, Via], bytes | None]:
    def answer_now(frame: bytes, peer: Peer, via: Via) -> bytes | None:
        try:
            request = decode(frame)
        except DecodeError:  # refused by the general path
            return None
        reply = known(request, peer, via)
        return None if reply is None else encode(reply)

    return answer_now


def _gave_none(method: Callable[..., object], expected: str) -> UsageError:
    name = getattr(method, "__qualname__", repr(method))
    return UsageError(f"{name} returned None, expected {expected}")


def _blamed_on_service(error: PeerError) -> ServiceFailed:
    """Return the service's failure for an error about another peer that the service let through.

    The client sent nothing wrong: its request was decoded before the service was called.
    """
    return ServiceFailed(f"{type(error).__name__}: {error}")


class _Encoded(Generic[R]):
    """Many replies as frames.

    Not a generator: closing one that has not begun would not close what it iterates.
    """

    __slots__ = ("_close", "_encode", "_next")

    def __init__(self, replies: Any, encode: Callable[[R], bytes]) -> None:
        self._next: Callable[[], Awaitable[R]] = aiter(replies).__anext__
        self._close: Callable[[], Awaitable[object]] | None = getattr(replies, "aclose", None)
        self._encode = encode

    def __aiter__(self) -> _Encoded[R]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return self._encode(await self._next())
        except PeerError as error:
            raise _blamed_on_service(error) from error

    async def aclose(self) -> None:
        """Close what is iterated."""
        if self._close is not None:
            await self._close()
