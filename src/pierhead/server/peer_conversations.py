"""Conversations on a datagram socket: one for each peer, begun by its first datagram.

    readable ─▶ receive_batch ─▶ the peer's conversation, or a new one ─▶ its handler
                     send_batch, once per loop iteration ◀─────────────────────┘

Nothing tells that a peer has gone, so its conversation ends after ``idle_timeout`` without a
datagram from it. Anybody can forge a source, so the table of peers is bounded (``max_peers``), and
so is what waits to be received (``max_unread_datagram_bytes``). In a full table, a peer that was
heard once gives way before one that was heard again, the longest silent first.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from itertools import takewhile

from pierhead.clock import Clock
from pierhead.connection.message_counters import MessageCounters
from pierhead.errors import DecodeError, TimedOut
from pierhead.failure_log import OnError
from pierhead.listener.base import Datagram, DatagramListener, ReplyTo
from pierhead.listener.own_addresses import OwnAddresses
from pierhead.metrics import Metrics
from pierhead.server.batches import BatchServer, send_reason
from pierhead.server.conversing import Conversing
from pierhead.server.handler_run import handler_name
from pierhead.server.lost_requests import LostRequest
from pierhead.server.options import ServerOptions
from pierhead.server.peer_conversation import PeerConversation
from pierhead.service.admission import Admission, Answer
from pierhead.service.context import Peer, Via
from pierhead.service.counters import ByReason

__all__ = ["PeerConversations"]

#: Handlers of conversations that gave way may take ``handler_timeout`` to return; with more than
#: this, the earliest is cancelled at once.
_LEAVING = 64


class PeerConversations(BatchServer[PeerConversation | None]):
    """Serves the peers of one datagram listener.

    Args:
        conversing: the handler and its wire format.
        on_lost: called with every handler that had to be cancelled.
        wake_sweep: called when a conversation begins, so that the owner sweeps deadlines.

    The other arguments are those of `BatchServer`.
    """

    def __init__(
        self,
        listener: DatagramListener,
        conversing: Conversing,
        *,
        options: ServerOptions,
        admission: Admission | None,
        clock: Clock,
        metrics: Metrics,
        on_lost: Callable[[LostRequest], None],
        wake_sweep: Callable[[], None],
        own_addresses: OwnAddresses,
        on_error: OnError | None = None,
    ) -> None:
        self._once: OrderedDict[ReplyTo, PeerConversation] = OrderedDict()
        self._often: OrderedDict[ReplyTo, PeerConversation] = OrderedDict()
        self._leaving: dict[PeerConversation, None] = {}  # in the order in which they were told
        self._evicted: deque[PeerConversation] = deque()
        self._unread_bytes = 0  # at most
        super().__init__(
            listener,
            options=options,
            clock=clock,
            metrics=metrics,
            own_addresses=own_addresses,
            on_error=on_error,
        )
        self._conversing = conversing
        self._admission = admission
        self._on_lost = on_lost
        self._wake_sweep = wake_sweep

    def _obey(self, listener: DatagramListener, options: ServerOptions) -> None:
        super()._obey(listener, options)
        self._messages = MessageCounters(self._count)
        self._frames = self._count("frames_received_total")
        self._opened = self._count("conversations_opened_total")
        self._open = self._metrics.gauge("conversations_open", listener=self._name)
        self._closed = ByReason(self._count, "conversations_closed_total").add

    def replace(
        self,
        listener: DatagramListener,
        conversing: Conversing,
        *,
        options: ServerOptions,
        admission: Admission | None,
    ) -> Callable[[], Awaitable[None]]:
        """Use another handler for new peers; no datagram is lost.

        Running conversations are told to end.

        Args:
            listener: the same, or another around the same socket.

        Returns:
            A function that waits until they have ended.
        """
        is_other = self._listen_through(listener, options)
        self._admission = admission
        before = frozenset(self._conversations())
        if conversing is not self._conversing:
            self._conversing = conversing
            self._tell_all("replaced")
        if is_other and self._is_started:
            self.start()
        return partial(self._wait_gone, before)

    def present(self) -> Callable[[], Awaitable[None]]:
        """Return what waits until the conversations of now have ended."""
        return partial(self._wait_gone, frozenset(self._conversations()))

    # -- datagrams -----------------------------------------------------------------------------

    def _on_readable(self) -> None:
        batch = self._receive()
        if not batch:
            return
        self._batches.value += 1
        now = self._clock.monotonic()
        self._recount_unread()
        for frame, reply_to in batch:
            try:
                self._take(frame, reply_to, now)
            except Exception as mistake:  # of a codec or a check: the next datagram is another's
                where = f"{self._name}: datagram"
                self._failures.report(where, mistake, "decode", self.listener.peer(reply_to))
                self._counters.dropped("error")

    def _take(self, datagram: bytes, reply_to: ReplyTo, now: float) -> None:
        known = self._often.get(reply_to) or self._once.get(reply_to)
        peer = self.listener.peer(reply_to) if known is None else known.peer
        via = self._via_of(reply_to)
        if self._is_from_loop(peer, via):
            return
        is_heard = False
        for frame in self._frames_of(datagram, reply_to, peer):
            self._frames.value += 1
            if not self._is_admitted(frame, reply_to, peer, via):
                continue
            if known is None:
                known = self._begin(frame, reply_to, peer, via)
                if known is None:
                    continue
            elif not is_heard:
                self._note_heard(known)
            is_heard = True
            known.last_heard = now
            self._pass_on(known, frame)

    def _via_of(self, reply_to: ReplyTo) -> Via:
        per_datagram = self._per_datagram
        return self._via if per_datagram is None else per_datagram.via(reply_to, self._via)

    def _is_from_loop(self, peer: Peer, via: Via) -> bool:
        return self._is_suspect(peer) or (
            via.socket_peer is not None and self._is_loop(via.socket_peer)
        )

    def _frames_of(self, datagram: bytes, reply_to: ReplyTo, peer: Peer) -> Sequence[bytes]:
        try:
            return self._conversing.frames(datagram)
        except DecodeError as error:
            self._frames.value += 1
            self._refuse(error, datagram, reply_to, peer)
            return ()

    def _is_admitted(self, frame: bytes, reply_to: ReplyTo, peer: Peer, via: Via) -> bool:
        verdict = None if self._admission is None else self._admission(frame, peer, via)
        if verdict is None:
            return True
        self._counters.dropped(verdict.reason)
        if isinstance(verdict, Answer):
            self._add(verdict.frame, reply_to, None)
        return False

    def _begin(
        self, frame: bytes, reply_to: ReplyTo, peer: Peer, via: Via
    ) -> PeerConversation | None:
        """Begin a conversation, unless its first datagram is not a message."""
        if not (peer.source or peer.port):  # a Unix socket without a name
            self._counters.dropped("unnamed")
            return None
        try:
            self._conversing.wire_format.requests.decode(frame)
        except DecodeError as error:
            self._refuse(error, frame, reply_to, peer)
            return None
        while len(self._once) + len(self._often) >= self.options.max_peers:
            self._evict()
        new = PeerConversation(self, self._conversing, reply_to, peer, via)
        self._enter(new, self._once)
        return new

    def _enter(self, new: PeerConversation, table: OrderedDict[ReplyTo, PeerConversation]) -> None:
        table[new.reply_to] = new
        self._opened.value += 1
        self._open.value += 1
        new.start(self._messages, self._failures)
        self._wake_sweep()

    def _note_heard(self, known: PeerConversation) -> None:
        """Remember that a peer was heard again: it is the last to give way."""
        if self._once.pop(known.reply_to, None) is None:
            self._often.move_to_end(known.reply_to)
        else:
            self._often[known.reply_to] = known

    def _pass_on(self, known: PeerConversation, frame: bytes) -> None:
        if self._unread_bytes + len(frame) > self.options.max_unread_datagram_bytes:
            self._messages.note_lost("in", "max_unread_datagram_bytes", 1)
        elif known.conversation.room():
            self._unread_bytes += len(frame)
            known.conversation.arrive((frame,))
        else:
            self._messages.note_lost("in", "unread", 1)

    def _recount_unread(self) -> None:
        """Find out what has been received meanwhile, if that matters."""
        if self._unread_bytes > self.options.max_unread_datagram_bytes // 2:
            self._unread_bytes = sum(one.unread_bytes for one in self._conversations())

    def _refuse(self, error: DecodeError, frame: bytes, reply_to: ReplyTo, peer: Peer) -> None:
        self._messages.undecodable.value += 1
        self.skip(error, frame, reply_to, peer)

    def skip(self, error: DecodeError, frame: bytes, reply_to: ReplyTo, peer: Peer) -> None:
        """Answer a datagram that is not a message with the protocol's refusal, if it has one."""
        self._failures.note(error, "decode", peer)
        reject = getattr(self._conversing.wire_format.replies, "reject", None)
        if reject is None:
            return
        try:
            refusal = reject(error, frame)
            if refusal is not None:
                self._add(refusal, reply_to, None)
        except Exception as mistake:
            self._failures.report(f"{self._name}: reject", mistake)

    # -- what conversations send ---------------------------------------------------------------

    def send(self, frame: bytes, whose: PeerConversation) -> None:
        """Send a datagram with the others of this iteration."""
        self._add(frame, whose.reply_to, whose)

    def _note_all_sent(self, whose: list[PeerConversation | None]) -> None:
        for each in whose:
            if each is not None:
                each.note_taken()

    def _note_sent(self, whose: PeerConversation | None) -> None:
        if whose is not None:
            whose.note_taken()

    def _note_refused(
        self, datagram: Datagram, whose: PeerConversation | None, number: int
    ) -> None:
        reason = send_reason(number)
        if whose is None:
            self._counters.dropped(reason)
            return
        self._messages.note_lost("out", reason, 1)
        whose.note_taken()
        if reason == "peer_gone":  # the name of a Unix socket that is closed
            self._note_gone_peer(whose, reason)

    def _note_gone_peer(self, whose: PeerConversation, reason: str) -> None:
        whose.abort(reason)

    # -- the end of conversations --------------------------------------------------------------

    def leave(self, known: PeerConversation) -> None:
        """Take a conversation out of the table: the next datagram begins another."""
        table = self._often if self._often.get(known.reply_to) is known else self._once
        if table.get(known.reply_to) is known:
            del table[known.reply_to]
            known.left_at = self._clock.monotonic()
            self._leaving[known] = None

    def ended(self, known: PeerConversation, reason: str) -> None:
        """Forget a conversation whose handler has returned."""
        self.leave(known)
        del self._leaving[known]
        self._open.value -= 1
        self._closed(reason)
        self._idle.set()

    def lost(self, known: PeerConversation, reason: str) -> None:
        """Report a handler that is cancelled."""
        self._on_lost(LostRequest(self._name, str(known.peer), reason))

    def _evict(self) -> None:
        """Let the conversation that matters least give way."""
        table = self._once or self._often
        known = next(iter(table.values()))
        known.tell("evicted")
        self._evicted.append(known)
        while self._evicted and self._evicted[0].has_ended:
            self._evicted.popleft()
        if len(self._evicted) > _LEAVING:
            self._evicted.popleft().cancel("evicted")

    def _conversations(self) -> list[PeerConversation]:
        return [*self._once.values(), *self._often.values(), *self._leaving]

    def _tell_all(self, reason: str) -> None:
        for known in [*self._once.values(), *self._often.values()]:
            known.tell(reason)

    def sweep(self, now: float) -> Iterator[bool]:
        """End conversations with peers that are silent; yield whether any is left."""
        heard_before = now - self.options.idle_timeout
        for table in (self._once, self._often):
            while table:
                known = next(iter(table.values()))
                if known.last_heard > heard_before:
                    break
                known.tell("idle")
                yield True
            yield from self._look_for_dead(table, now)
        self._cancel_late(now - self.options.handler_timeout)
        yield bool(self._once or self._often or self._leaving)

    def _look_for_dead(
        self, table: OrderedDict[ReplyTo, PeerConversation], now: float
    ) -> Iterator[bool]:
        """End conversations with dead peers; they are in the order in which they were heard."""
        liveness = self._conversing.liveness
        if liveness is None:
            return
        silent = takewhile(
            lambda known: now - known.last_heard >= liveness.ping_after_s, table.values()
        )
        for known in list(silent):
            if known.conversation.is_dead(now, known.last_heard):
                known.abort("liveness")
            yield True

    def _cancel_late(self, left_before: float) -> None:
        for known in list(self._leaving):
            if known.left_at > left_before:
                break
            if known.reason != "drain" and not known.has_ended:
                self._count("conversations_cancelled_total").value += 1
                name = handler_name(self._conversing.handler)
                late = TimedOut(f"{name} has not returned since its conversation has ended")
                self._failures.note(late, "service", known.peer)
                known.cancel(known.reason)

    def drain(self) -> None:
        """Stop receiving; tell every handler that its messages end."""
        super().drain()
        self._tell_all("drain")

    async def wait_drained(self) -> None:
        """Return once every handler has returned, and what they sent is handed to the system."""
        while self._once or self._often or self._leaving or self._outgoing or self._unsent:
            self._idle.clear()
            await self._idle.wait()

    async def _wait_gone(self, before: frozenset[PeerConversation]) -> None:
        while any(not known.has_ended for known in before):
            self._idle.clear()
            await self._idle.wait()

    @property
    def in_flight(self) -> int:
        """No requests are in flight: a handler may run as long as its peer is heard."""
        return 0

    def abort(self, reason: str) -> None:
        """End all conversations at once, and cancel their handlers."""
        for known in self._conversations():
            self.lost(known, reason)
            known.cancel(reason)
        self._unsent.give_up()
        self._idle.set()
