"""How one request is answered: all that servers know of a protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pierhead.errors import PierheadError
from pierhead.service.base import Service
from pierhead.service.context import Peer, Via

__all__ = ["FrameHandler", "Handler"]

Q = TypeVar("Q")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Handler(Generic[Q, R]):
    """How one request is answered.

    Attributes:
        service: takes a request, gives a reply, silence or many replies.
        reject: the protocol's own refusal of a request, asked after decoding, the service, a
            deadline or a limit failed; None for silence.
        answer_now: a ready answer, asked after admission and before decoding; None where there
            is none. It must be quick, never block, and agree with the service.
        reflects: whether a reply is its request, so that two such services can be made to talk to
            each other for ever: see `pierhead.server.loops`.
        withholds: asked, with the peer and the failure, before ``reject`` and before the answer of
            an admission check (then there is no failure): whether nothing is sent, since this
            peer has had enough of them; None where everything is.
        reply_type: what the service gives; anything else is its failure.
    """

    service: Service[Q, R]
    reject: Callable[[PierheadError, Q], R | None] | None = None
    answer_now: Callable[[Q, Peer, Via], R | None] | None = None
    reflects: bool = False
    withholds: Callable[[Peer, PierheadError | None], bool] | None = None
    reply_type: type[Any] = object


@dataclass(frozen=True, slots=True)
class FrameHandler(Handler[bytes, bytes]):
    """How one frame is answered, with frames."""

    reply_type: type[Any] = bytes
