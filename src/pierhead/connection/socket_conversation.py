"""A conversation with everybody who sends to a datagram socket.

async def discover(conversation: SocketConversation[str, str]) -> None:
    await conversation.send_to("udp:239.0.0.7:7000", "who is there?")
    async for message, peer in conversation:
        await conversation.send_to(peer, f"hello {message}")
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

from pierhead.codec.base import Decoder, Encoder
from pierhead.connection.conversation import Conversation
from pierhead.net.datagram.base import ReplyTo
from pierhead.service.context import Peer

__all__ = ["Addressed", "Correspondent", "SocketConversation"]

In = TypeVar("In")
Out = TypeVar("Out")

#: Whom a datagram goes to: who has sent one, or an address.
Whom: TypeAlias = Peer | str


class Correspondent(Peer):
    """The sender of a datagram; what is sent to it leaves from the address that it has reached."""

    __slots__ = ("reply_to",)

    def __init__(self, peer: Peer, reply_to: ReplyTo) -> None:
        super().__init__(peer.raw)
        self.reply_to = reply_to


class Addressed(bytes):
    """A datagram, and who has sent it or is to receive it."""

    peer: Correspondent

    def __new__(cls, frame: bytes, peer: Correspondent) -> Addressed:
        """Return a datagram of this peer."""
        addressed = super().__new__(cls, frame)
        addressed.peer = peer
        return addressed


class SocketConversation(Conversation[tuple[In, Peer], tuple[Whom, Out]]):
    """Messages of everybody who sends to a socket, each with its sender.

    A sender or a split half takes pairs as well: ``await sender.send((peer, message))``.

    Args:
        find: returns whom an address names, without waiting.
        reach: likewise, after resolving its name.
    """

    def __init__(
        self,
        port: Any,
        decoder: Decoder[In],
        encoder: Encoder[Out],
        *,
        find: Callable[[Whom], Correspondent],
        reach: Callable[[str], Awaitable[Correspondent]],
        **given: Any,
    ) -> None:
        super().__init__(port, _WithPeer(decoder), _ToPeer(encoder, find), **given)
        self._reach = reach

    async def send_to(self, peer: Whom, message: Out) -> None:
        """Send a message; wait while the system does not keep up.

        Args:
            peer: who has sent one, or an address (``udp:192.0.2.7:7000``), of a group
                or for broadcast too, with the option ``broadcast``.

        Raises:
            ConnectionEnded: this side is closed.
            UsageError: the address is none for this socket, or the message cannot be encoded.
            OSError: the name does not resolve.
        """
        whom = await self._reach(peer) if isinstance(peer, str) else peer
        await self.send((whom, message))


class _WithPeer:
    def __init__(self, decoder: Decoder[Any]) -> None:
        self._decoder = decoder

    def decode(self, frame: bytes, /) -> Any:
        assert isinstance(frame, Addressed)
        return self._decoder.decode(frame), frame.peer


class _ToPeer:
    def __init__(self, encoder: Encoder[Any], find: Callable[[Whom], Correspondent]) -> None:
        self._encoder = encoder
        self._find = find

    def encode(self, message: Any, /) -> bytes:
        peer, said = message
        return Addressed(self._encoder.encode(said), self._find(peer))
