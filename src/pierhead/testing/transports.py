"""The laws of `asyncio.Transport`, for use in any test suite.

    async def test_my_transport_obeys_the_laws():
        await check_transport(connect)

`check_transport` opens connections, uses one end and observes the other. Each law is checked
with an `asyncio.Protocol` and with an `asyncio.BufferedProtocol`:

    octets          written octets, in any pieces, arrive complete and in order, both ways
    extra info      a fact is available before and after the end; any other name gives the default
    half-close      after `write_eof` the peer sees the end, can still send, and nothing more is
    written end of input    `eof_received` says whether the connection stays open; it comes last and
    once pause reading   neither octets nor the end arrive until reading is resumed pause writing
    above the high mark the protocol is asked to pause, once; at the low to resume close
    written octets are sent first, nothing more is read, later writes are ignored abort
    waiting output is lost mistake         a protocol that raises loses its connection set protocol
      later events go to the new one

In all of them `connection_made` comes first, `connection_lost` once and last, and never inside a
call from the protocol itself. A broken law raises `LawBroken`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from pierhead.errors import UsageError
from pierhead.testing.laws import LawBroken

__all__ = ["Connect", "check_transport"]

#: Gives two protocols a new connection, and returns the transports of both.
Connect: TypeAlias = Callable[
    [asyncio.BaseProtocol, asyncio.BaseProtocol],
    Awaitable[tuple[asyncio.Transport, asyncio.Transport]],
]

_LARGE = bytes(range(256)) * 1200
_PIECE = bytes(65_536)
#: More than the buffers of two sockets can hold.
_MOST_BYTES = 64 * 2**20
#: How many iterations of the loop pass before an event counts as not going to happen.
_TURNS = 20


async def check_transport(
    connect: Connect,
    *,
    facts: Sequence[str] = (),
    protocols: Sequence[type[asyncio.BaseProtocol]] = (asyncio.Protocol, asyncio.BufferedProtocol),
    patience_s: float = 10.0,
) -> None:
    """Check that a transport does what asyncio's documentation and its own transports promise.

    Args:
        connect: opens a connection; the transport of the first protocol is checked. That of the
            second may be any that supports half-close.
        facts: the values of ``get_extra_info`` for every connection.
        protocols: the kinds of protocol to check it with.
        patience_s: how long to wait for anything, in the time of the event loop.

    Raises:
        LawBroken: says which law, with which kind of protocol, and what was found.
    """
    for name, law in _LAWS.items():
        for protocol in protocols:
            kind = _Buffered if protocol is asyncio.BufferedProtocol else _Whole
            ends = _Ends(connect, kind, facts, patience_s)
            try:
                await law(ends)
            except UsageError:
                raise
            except Exception as error:
                found = str(error) if isinstance(error, LawBroken) else f"it raised {error!r}"
                raise LawBroken(f"{name}, with an asyncio.{protocol.__name__}: {found}") from error


# -- the two ends --------------------------------------------------------------------------------


class _Noting(asyncio.BaseProtocol):
    """Records the calls of a protocol, and whether they came in order."""

    def __init__(self, news: asyncio.Event) -> None:
        self.events: list[str] = []
        self.data = bytearray()
        self.pieces = 0
        self.faults: list[str] = []
        self.error: Exception | None = None
        self.transport: asyncio.BaseTransport | None = None
        self.stays_open = True
        #: What to do when one of the events has occurred.
        self.then: dict[str, Callable[[], object]] = {}
        self.inside = ""  # a call of ours
        self._news = news

    def take(self, octets: bytes | bytearray) -> None:
        """Record octets that have arrived."""
        self.data += octets
        self.pieces += 1
        self.note("data")

    def note(self, event: str) -> None:
        """Record an event."""
        if event != "data" or self.events[-1:] != ["data"]:
            self._check_order(event)
            self.events.append(event)
        self._news.set()
        self.then.get(event, _nothing)()

    def _check_order(self, event: str) -> None:
        come = self.events
        if (
            ("made" in come) == (event == "made")
            or "lost" in come
            or ("eof" in come and event in ("data", "eof"))
        ):
            self.faults.append(f"{_CALLS[event]} came after {self._told()}")
        elif event in ("pause", "resume") and self._is_paused() == (event == "pause"):
            self.faults.append(f"{_CALLS[event]} came twice, or for nothing: after {self._told()}")
        elif event == "lost" and self.inside:
            self.faults.append(f"connection_lost() was called inside {self.inside}()")

    def _is_paused(self) -> bool:
        return self.events.count("pause") > self.events.count("resume")

    def _told(self) -> str:
        return ", ".join(_CALLS[event] for event in self.events) or "nothing"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = transport
        self.note("made")

    def eof_received(self) -> bool:
        """Return what this end was configured to."""
        self.note("eof")
        return self.stays_open

    def pause_writing(self) -> None:
        """Write it down."""
        self.note("pause")

    def resume_writing(self) -> None:
        """Write it down."""
        self.note("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        """Keep the error."""
        self.error = exc
        self.note("lost")


_CALLS = {
    "made": "connection_made()",
    "data": "octets",
    "eof": "eof_received()",
    "pause": "pause_writing()",
    "resume": "resume_writing()",
    "lost": "connection_lost()",
}


def _nothing() -> None:
    """Do nothing."""


class _Whole(_Noting, asyncio.Protocol):
    def data_received(self, data: bytes) -> None:
        if type(data) is not bytes or not data:
            self.faults.append(f"data_received({data!r}), expected octets, as bytes")
        self.take(data)


class _Buffered(_Noting, asyncio.BufferedProtocol):
    def __init__(self, news: asyncio.Event) -> None:
        super().__init__(news)
        self._buffer = bytearray(1000)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if not 0 < nbytes <= len(self._buffer):
            self.faults.append(f"buffer_updated({nbytes}) for a buffer of {len(self._buffer)}")
        self.take(self._buffer[:nbytes])


class _Pair:
    """An open connection: the end that is checked, and the other."""

    def __init__(
        self, near: _Noting, far: _Noting, transport: asyncio.Transport, other: asyncio.Transport
    ) -> None:
        self.near, self.far = near, far
        self.transport, self.other = transport, other
        self.sent = bytearray()

    def call(self, method: Callable[..., Any], *arguments: Any) -> None:
        """Call a method of the transport; connection_lost must not come inside."""
        self.near.inside = method.__name__
        try:
            method(*arguments)
        finally:
            self.near.inside = ""

    def raises(self, error: type[Exception], method: Callable[..., Any], *arguments: Any) -> None:
        """Expect that a method raises."""
        shown = f"{method.__name__}({', '.join(map(repr, arguments))})"
        try:
            method(*arguments)
        except error:
            return
        raise LawBroken(f"{shown} went through, expected {error.__name__}")

    def write_until(self, is_enough: Callable[[], bool], what: str) -> None:
        """Write to a peer that does not read."""
        while not is_enough():
            if len(self.sent) >= _MOST_BYTES:
                raise LawBroken(f"{len(self.sent)} octets were written and not read, {what}")
            self.call(self.transport.write, _PIECE)
            self.sent += _PIECE

    def fill(self) -> None:
        """Write until output waits, since the peer does not read."""
        self.other.pause_reading()
        self.write_until(
            lambda: self.transport.get_write_buffer_size() > 0,
            "expected get_write_buffer_size() to grow",
        )


class _Ends:
    """Opens connections for one law."""

    def __init__(
        self, connect: Connect, kind: type[_Noting], facts: Sequence[str], patience_s: float
    ) -> None:
        self._connect, self.kind, self.facts = connect, kind, facts
        self.news = asyncio.Event()
        self._patience_s = patience_s

    @contextlib.asynccontextmanager
    async def pair(self, **then: Callable[[asyncio.Transport], object]) -> AsyncIterator[_Pair]:
        """Open a connection, and close it after checking what must always hold.

        Args:
            then: what the checked end does with its transport at an event.
        """
        near, far = self.kind(self.news), _Whole(self.news)
        for event, action in then.items():
            near.then[event] = lambda action=action: action(  # type: ignore[misc]
                cast(asyncio.Transport, near.transport)
            )
        transport, other = await self._connect(near, far)
        if not other.can_write_eof():
            raise UsageError(f"{other!r} cannot end its side alone; expected a peer that can")
        pair = _Pair(near, far, transport, other)
        try:
            _expect(near.transport is transport, "connection_made() came with another transport")
            _expect(transport.get_protocol() is near, "get_protocol() returned another protocol")
            yield pair
            await self._end(pair)
        finally:
            for end, protocol in ((transport, pair.near), (other, far)):
                if "lost" not in protocol.events:
                    end.abort()

    async def _end(self, pair: _Pair) -> None:
        pair.call(pair.transport.close)
        pair.other.close()
        await self.until(pair, lambda: _lost(pair.near, pair.far), "connection_lost() at both ends")
        await self.turns(pair)

    async def until(self, pair: _Pair, condition: Callable[[], bool], expected: str) -> None:
        """Wait for an event that must happen."""
        try:
            async with asyncio.timeout(self._patience_s):
                while not condition():
                    _no_faults(pair)
                    self.news.clear()
                    await self.news.wait()
        except TimeoutError:
            raise LawBroken(
                f"expected {expected}; this end was told {pair.near.events} and "
                f"{len(pair.near.data)} octets, the peer {pair.far.events} and "
                f"{len(pair.far.data)} octets of {len(pair.sent)}"
            ) from None
        _no_faults(pair)

    async def turns(self, pair: _Pair) -> None:
        """Allow time for an event that must not happen."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        _no_faults(pair)

    async def round_trip(self, pair: _Pair) -> None:
        """Wait until the peer has received an octet: what it sent could have arrived by then."""
        before = len(pair.far.data)
        pair.transport.write(b".")
        await self.until(pair, lambda: len(pair.far.data) > before, "an octet at the peer")
        await self.turns(pair)


def _expect(holds: bool, found: str) -> None:
    if not holds:
        raise LawBroken(found)


def _no_faults(pair: _Pair) -> None:
    for end in (pair.near, pair.far):
        _expect(not end.faults, end.faults[0] if end.faults else "")


def _lost(*ends: _Noting) -> bool:
    return all("lost" in end.events for end in ends)


# -- the laws ------------------------------------------------------------------------------------


async def _octets(ends: _Ends) -> None:
    async with ends.pair() as pair:
        write, writelines = pair.transport.write, pair.transport.writelines
        for octets in (b"a", bytearray(b"b"), memoryview(b"c"), b""):
            write(octets)
        writelines([b"d", bytearray(b"e"), memoryview(b"f")])
        write(_LARGE)
        pair.other.write(_LARGE)
        pair.sent += b"abcdef" + _LARGE
        await ends.until(pair, lambda: pair.far.data == pair.sent, "at the peer what was written")
        await ends.until(pair, lambda: pair.near.data == _LARGE, "here what the peer wrote")
        for wrong in ("text", 5):
            pair.raises(TypeError, write, wrong)


async def _extra_info(ends: _Ends) -> None:
    default = object()
    async with ends.pair() as pair:
        told = pair.transport.get_extra_info
        before = {fact: told(fact) for fact in ends.facts}
        _expect(None not in before.values(), f"get_extra_info() told {before}")
        _expect(told("no such fact") is None, "get_extra_info() returned an unknown fact")
        _expect(
            told("no such fact", default) is default,
            "get_extra_info('no such fact', default) did not return the default",
        )
    after = {fact: pair.transport.get_extra_info(fact) for fact in ends.facts}
    _expect(after == before, f"get_extra_info() told {after} after the end, before it {before}")


async def _half_close(ends: _Ends) -> None:
    async with ends.pair() as pair:
        transport = pair.transport
        if not transport.can_write_eof():
            pair.raises(NotImplementedError, transport.write_eof)
            return
        pair.fill()
        pair.call(transport.write_eof)
        pair.call(transport.write_eof)
        _expect(not transport.is_closing(), "write_eof() closed the connection")
        pair.raises(RuntimeError, transport.write, b"late")
        pair.raises(RuntimeError, transport.writelines, [b"late"])
        pair.other.resume_reading()
        await ends.until(pair, lambda: "eof" in pair.far.events, "eof_received() at the peer")
        _expect(pair.far.data == pair.sent, "the peer heard the end before what was written")
        pair.other.write(b"answer")
        await ends.until(pair, lambda: pair.near.data == b"answer", "the peer's answer")
        _expect(not transport.is_closing(), "the connection was closing after write_eof()")


async def _end_of_input(ends: _Ends) -> None:
    async with ends.pair() as pair:
        pair.other.write(b"last")
        pair.other.write_eof()
        await ends.until(pair, lambda: "eof" in pair.near.events, "eof_received()")
        _expect(
            pair.near.data == b"last", f"{bytes(pair.near.data)!r} came before the end, not b'last'"
        )
        pair.transport.write(b"answer")
        await ends.until(pair, lambda: pair.far.data == b"answer", "the answer after the end")
        await ends.turns(pair)
        _expect(not pair.transport.is_closing(), "it closed though eof_received() returned true")
    async with ends.pair(eof=lambda transport: transport.write(b"bye")) as pair:
        pair.near.stays_open = pair.far.stays_open = False
        pair.other.write_eof()
        await ends.until(
            pair, lambda: _lost(pair.near), "the end, as eof_received() returned false"
        )
        await ends.until(pair, lambda: pair.far.data == b"bye", "what eof_received() wrote")
        _expect(pair.near.error is None, f"connection_lost({pair.near.error!r}), expected None")


async def _pause_reading(ends: _Ends) -> None:
    async with ends.pair() as pair:
        await _pauses(ends, pair)
    async with ends.pair(made=lambda transport: transport.pause_reading()) as pair:
        await _pauses(ends, pair)  # it begins so
    async with ends.pair(data=lambda transport: transport.pause_reading()) as pair:
        pair.other.write(_LARGE)
        await ends.until(pair, lambda: pair.near.data != b"", "octets")
        await ends.round_trip(pair)
        _expect(pair.near.pieces == 1, "octets arrived after pause_reading() inside the first")
        pair.near.then.clear()
        pair.transport.resume_reading()
        await ends.until(pair, lambda: pair.near.data == _LARGE, "all octets, once it reads again")


async def _pauses(ends: _Ends, pair: _Pair) -> None:
    transport = pair.transport
    _expect(transport.is_reading() == (not pair.near.then), "is_reading() at the beginning")
    pair.call(transport.pause_reading)
    pair.call(transport.pause_reading)
    _expect(not transport.is_reading(), "is_reading() after pause_reading()")
    pair.other.write(b"waits")
    pair.other.write_eof()
    await ends.round_trip(pair)
    _expect(pair.near.events == ["made"], f"{pair.near.events} arrived after pause_reading()")
    pair.call(transport.resume_reading)
    pair.call(transport.resume_reading)
    _expect(transport.is_reading(), "not is_reading() after resume_reading()")
    await ends.until(pair, lambda: "eof" in pair.near.events, "what had waited, and the end")
    _expect(pair.near.data == b"waits", f"{bytes(pair.near.data)!r} had waited, expected b'waits'")


async def _pause_writing(ends: _Ends) -> None:
    sizes: list[int] = []
    async with ends.pair(pause=lambda own: sizes.append(own.get_write_buffer_size())) as pair:
        transport, events = pair.transport, pair.near.events
        pair.raises(ValueError, transport.set_write_buffer_limits, 10, 11)
        transport.set_write_buffer_limits(high=40_000)
        marks = transport.get_write_buffer_limits()
        _expect(marks == (10_000, 40_000), f"the marks are {marks}, expected (10000, 40000)")
        pair.other.pause_reading()
        pair.write_until(lambda: "pause" in events, "expected pause_writing()")
        _expect(sizes[0] > 40_000, f"pause_writing() came at {sizes[0]}, below its mark of 40000")
        transport.write(b"more")
        pair.sent += b"more"
        await ends.turns(pair)
        _expect("resume" not in events, "resume_writing() came before the peer had read")
        pair.other.resume_reading()
        await ends.until(pair, lambda: "resume" in events, "resume_writing() once the peer read")
        await ends.until(pair, lambda: pair.far.data == pair.sent, "all that was written")
        size = transport.get_write_buffer_size()
        _expect(size == 0, f"get_write_buffer_size() is {size} though the peer has it all")


async def _close(ends: _Ends) -> None:
    await _close_while_writing(ends)
    await _write_after_close(ends)
    async with ends.pair() as pair:  # with input that waits
        pair.transport.pause_reading()
        pair.other.write(b"unread")
        await ends.round_trip(pair)
        pair.call(pair.transport.close)
        pair.call(pair.transport.resume_reading)
        await ends.turns(pair)
        _expect(pair.near.data == b"", "octets arrived after close()")
    async with ends.pair(data=lambda transport: transport.close()) as pair:
        pair.other.write(_LARGE)
        await ends.until(pair, lambda: pair.near.data != b"", "octets")
        await ends.turns(pair)
        _expect(pair.near.pieces == 1, "octets arrived after close() inside the first")


async def _close_while_writing(ends: _Ends) -> None:
    async with ends.pair() as pair:
        pair.far.stays_open = False
        pair.fill()
        pair.call(pair.transport.close)
        _expect(pair.transport.is_closing(), "not is_closing() after close()")
        await ends.turns(pair)
        _expect(not _lost(pair.near), "connection_lost() came before what was written had left")
        pair.other.resume_reading()
        await ends.until(pair, lambda: _lost(*_both(pair)), "the end, once the peer has read")
        _expect(
            pair.far.data == pair.sent,
            f"{len(pair.far.data)} octets left at close(), expected all {len(pair.sent)}",
        )
        _expect(pair.near.error is None, f"connection_lost({pair.near.error!r}), expected None")


async def _write_after_close(ends: _Ends) -> None:
    async with ends.pair() as pair:
        pair.far.stays_open = False
        transport = pair.transport
        pair.call(transport.close)
        pair.call(transport.close)
        pair.call(transport.write, b"late")
        pair.call(transport.pause_reading)
        _expect(not transport.is_reading(), "is_reading() after close()")
        await ends.until(pair, lambda: _lost(*_both(pair)), "connection_lost() after close()")
        _expect(
            pair.far.data == b"", f"the peer got {bytes(pair.far.data)!r}, written after close()"
        )
        pair.call(transport.write, b"late")
        pair.call(transport.close)
        pair.call(transport.abort)


async def _abort(ends: _Ends) -> None:
    async with ends.pair() as pair:
        pair.far.stays_open = False
        transport = pair.transport
        pair.fill()
        pair.call(transport.abort)
        _expect(transport.is_closing(), "not is_closing() after abort()")
        for method in (transport.abort, transport.close, transport.resume_reading):
            pair.call(method)
        pair.call(transport.write, b"late")
        await ends.until(pair, lambda: _lost(pair.near), "connection_lost() after abort()")
        _expect(pair.near.error is None, f"connection_lost({pair.near.error!r}), expected None")
        size = transport.get_write_buffer_size()
        _expect(size == 0, f"get_write_buffer_size() is {size} after abort(), expected 0")
        pair.other.resume_reading()
        await ends.until(pair, lambda: _lost(pair.far), "the end, at the peer")
        _expect(len(pair.far.data) < len(pair.sent), "what waited was sent after abort()")


async def _mistake(ends: _Ends) -> None:
    def fail(_: asyncio.Transport) -> None:
        raise RuntimeError("an exception of the protocol, raised by check_transport")

    loop = asyncio.get_running_loop()
    handler = loop.get_exception_handler()
    loop.set_exception_handler(lambda *_: None)
    try:
        async with ends.pair(data=fail) as pair:
            pair.other.write(b"x")
            await ends.until(pair, lambda: _lost(pair.near), "the end, as the protocol raised")
    finally:
        loop.set_exception_handler(handler)


async def _set_protocol(ends: _Ends) -> None:
    async with ends.pair() as pair:
        first, second = pair.near, ends.kind(ends.news)
        second.events.append("made")
        pair.transport.set_protocol(second)
        is_second = pair.transport.get_protocol() is second
        _expect(is_second, "get_protocol() returned another protocol")
        pair.other.write(b"second")
        pair.near = second
        await ends.until(pair, lambda: second.data == b"second", "octets at the new protocol")
        pair.other.write_eof()
        await ends.until(pair, lambda: "eof" in second.events, "the end at the new protocol")
    _expect(first.events == ["made"], f"the first protocol was told {first.events}")


def _both(pair: _Pair) -> tuple[_Noting, _Noting]:
    return pair.near, pair.far


_LAWS: Mapping[str, Callable[[_Ends], Awaitable[None]]] = {
    "octets": _octets,
    "extra info": _extra_info,
    "half-close": _half_close,
    "end of input": _end_of_input,
    "pause reading": _pause_reading,
    "pause writing": _pause_writing,
    "close": _close,
    "abort": _abort,
    "mistake": _mistake,
    "set protocol": _set_protocol,
}
