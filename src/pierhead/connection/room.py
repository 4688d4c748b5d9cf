"""A room: what one says, all hear.

    room = Room[str]()

    async def chat(conversation: Conversation[str, str]) -> None:
        async with room.join(conversation, name=await conversation.receive()) as member:
            async for line in conversation:
                await room.send(f"{member.name}: {line}")

Each member has a queue of its own, with a bound: one that does not keep up is cut, and the others
do not notice. A sender's messages reach each member in order, at most once; there is no order
between senders. A message is encoded once for all members with the same wire format.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import MappingProxyType
from typing import Any, Generic, Literal, Protocol, Self, TypeAlias, TypeVar

from pierhead.connection.conversation import Conversation
from pierhead.connection.sender import Policy, Sender
from pierhead.errors import ConnectionEnded, UsageError
from pierhead.limits import Limit
from pierhead.metrics import Metrics

__all__ = ["LIMITS", "Backplane", "Member", "Room"]

M = TypeVar("M")

WhenFull: TypeAlias = Literal["wait", "drop-oldest", "close"]

LIMITS = (
    Limit(
        "capacity",
        default=64,
        minimum=1,
        maximum=1_000_000,
        unit="messages",
        meaning="Messages that wait for one member, besides what its connection buffers; then "
        "'when_full' decides: it is cut, its oldest message is dropped, or the room waits.",
        source="measured: 500 members at half the sustainable rate are at most 8 behind",
        metric="room_members_cut_total, room_messages_dropped_total",
        effect="at construction",
    ),
    Limit(
        "history",
        default=0,
        minimum=0,
        maximum=100_000,
        unit="messages",
        meaning="The last messages, which who joins receives first; 0 for none.",
        source="off: who joins hears what is said from then on",
        metric="none: older messages are forgotten",
        effect="at construction",
    ),
)
_CAPACITY, _HISTORY = LIMITS

#: Members that a message is passed to before other tasks run.
_PER_TURN = 256


class Backplane(Protocol[M]):
    """Connects the rooms of several servers."""

    async def start(
        self, room: str, deliver: Callable[[M], Awaitable[None]], metrics: Metrics, /
    ) -> None:
        """Begin to pass on what is said elsewhere in the room of this name."""
        ...

    async def stop(self) -> None:
        """Leave off."""
        ...

    def publish(self, message: M, /) -> None:
        """Pass a message on to the other servers, without waiting."""
        ...


class Member(Generic[M]):
    """One conversation in a room.

    Attributes:
        name: as given to `Room.join`.
        conversation: with whom.
    """

    __slots__ = ("_sender", "conversation", "name")

    def __init__(self, name: str, conversation: Conversation[Any, M], sender: Sender[M]) -> None:
        self.name = name
        self.conversation = conversation
        self._sender = sender

    def __repr__(self) -> str:
        return f"<Member {self.name!r}>"

    @property
    def is_cut(self) -> bool:
        """Whether its conversation was closed, since it did not keep up."""
        return self._sender.is_cut

    @property
    def waiting(self) -> int:
        """How many messages wait for it."""
        return len(self._sender)

    @property
    def dropped(self) -> int:
        """How many messages it has missed, since it did not keep up."""
        return self._sender.dropped

    async def send(self, message: M) -> None:
        """Send a message to this member alone, in order with those of the room."""
        await self._sender.send(message)


class Room(Generic[M]):
    """Passes messages to all conversations that have joined it.

    Args:
        name: for metrics.
        capacity: messages that wait for one member.
        history: how many of the last messages who joins receives first.
        when_full: what happens to a member whose queue is full: it is cut (``close``), its oldest
            message is dropped, or `send` waits for it.
        metrics: the registry to count in, such as a server's; None for one of its own.
        backplane: connects the rooms of the same name of other servers; None for this process
            alone. Such a room is entered: ``async with room``, or as a resource of an
            `Application`.

    Raises:
        UsageError: a number is out of its range.

    Attributes:
        metrics: its counters.
    """

    def __init__(
        self,
        name: str = "room",
        *,
        capacity: int = 64,
        history: int = 0,
        when_full: WhenFull = "close",
        metrics: Metrics | None = None,
        backplane: Backplane[M] | None = None,
    ) -> None:
        self.name = name
        self.metrics = metrics or Metrics()
        self._capacity = int(_CAPACITY.check(capacity))
        self._history: deque[M] = deque(maxlen=int(_HISTORY.check(history)))
        self._policy = Policy(when_full)
        self._members: dict[str, Member[M]] = {}
        self._backplane = backplane
        self._is_entered = backplane is None
        self._present = self.metrics.gauge("room_members", room=name)
        self._sent = self.metrics.counter("room_messages_total", room=name)
        self._cut = self.metrics.counter("room_members_cut_total", room=name)
        self._dropped = self.metrics.counter("room_messages_dropped_total", room=name)

    def __repr__(self) -> str:
        return f"<Room {self.name!r} with {len(self)} members>"

    def __len__(self) -> int:
        """Return how many members are present."""
        return len(self._members)

    async def __aenter__(self) -> Self:
        """Connect with other servers.

        Raises:
            ListenError: the address of the backplane cannot be opened.
        """
        if self._backplane is not None:
            await self._backplane.start(self.name, self._pass_on, self.metrics)
            self._is_entered = True
        return self

    async def __aexit__(self, *failure: object) -> None:
        """Disconnect."""
        if self._backplane is not None:
            await self._backplane.stop()

    @property
    def members(self) -> Mapping[str, Member[M]]:
        """Those who are present, by name, in the order in which they came."""
        return MappingProxyType(self._members)

    def join(
        self, conversation: Conversation[Any, M], *, name: str | None = None
    ) -> AbstractAsyncContextManager[Member[M]]:
        """Be a member while the block lasts.

        Args:
            conversation: receives what is sent to the room, after the history.
            name: by which others know it; None for its address.

        Raises:
            UsageError: another member has the name.
        """
        return self._join(conversation, str(conversation.peer) if name is None else name)

    @asynccontextmanager
    async def _join(
        self, conversation: Conversation[Any, M], name: str
    ) -> AsyncIterator[Member[M]]:
        if name in self._members:
            raise UsageError(
                f"a member of this room is called {name!r} already; look at "
                "'name in room.members' first"
            )
        sender = conversation.sender(self._capacity + len(self._history), self._policy.value)
        member = Member(name, conversation, sender)
        for message in self._history:
            sender.try_send(message)
        self._members[name] = member
        self._present.value += 1
        try:
            yield member
        finally:
            self._remove(member)

    def _remove(self, member: Member[M]) -> None:
        if self._members.get(member.name) is member:
            del self._members[member.name]
            self._present.value -= 1
            self._dropped.value += member.dropped

    async def send(self, message: M, *, to_all_but: Member[M] | None = None) -> None:
        """Send a message to every member.

        It never waits for a member, unless ``when_full`` says so; one that cannot take it is cut.

        Args:
            to_all_but: a member that does not receive it, such as who has said it.

        Raises:
            UsageError: the message cannot be encoded.
        """
        if self._backplane is not None:
            if not self._is_entered:
                raise UsageError(
                    "a room with a backplane is entered first: 'async with room', or "
                    "Application(endpoints, resources=[room])"
                )
            self._backplane.publish(message)
        self._sent.value += 1
        await self._pass_on(message, to_all_but)

    async def _pass_on(self, message: M, but: Member[M] | None = None) -> None:
        frames: dict[object, bytes] = {}
        members = list(self._members.values())
        self._history.append(message)
        for number, member in enumerate(members, 1):
            if member is not but and self._members.get(member.name) is member:
                sender = member._sender
                key = sender.format
                frame = frames.get(key)
                try:
                    if frame is None:
                        frame = frames[key] = sender.frame(message)
                    if not sender.try_put(frame):
                        await sender.put(frame)
                except ConnectionEnded:
                    self._leaves(member)
            if number % _PER_TURN == 0:
                await asyncio.sleep(0)

    def _leaves(self, member: Member[M]) -> None:
        """Forget a member whose conversation has ended, perhaps since it was too slow."""
        if member.is_cut:
            self._cut.value += 1
        self._remove(member)
