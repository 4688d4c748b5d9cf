"""TLS between any transport and any protocol: the asyncio part.

    socket, pipe, memory … ─▶ _Below ─▶ TlsEngine ─▶ TlsTransport ─▶ the connection's protocol

Everything written is encrypted and passed to the transport below at once, so its buffer is the only
one, and its flow control is that of the whole. Input is taken in pieces of at most 64 KiB; while
the protocol does not read, nothing is read below either.

Each direction ends separately, as in TCP: after the peer's close_notify, replies are still sent.
Why not the event loop's own TLS: docs/decisions/0015-tls-over-memory-bios.md
"""

from __future__ import annotations

import asyncio
import errno
import logging
import ssl
from collections.abc import Callable
from typing import Any, cast

from pierhead.errors import HandshakeError
from pierhead.net.transport.feed import feed, report
from pierhead.net.transport.flow import tell
from pierhead.net.transport.tls_engine import TlsEngine
from pierhead.net.transport.tls_failure import broken

__all__ = ["Scratch", "TlsTransport"]

_log = logging.getLogger("pierhead.net")


class Scratch:
    """Two buffers shared by all connections of a listener or client: used within one callback."""

    def __init__(self, size: int = 65_536) -> None:
        self.network = memoryview(bytearray(size))
        self.plaintext = memoryview(bytearray(size))


class _Below(asyncio.BufferedProtocol):
    """What the transport below sees."""

    def __init__(self, tls: TlsTransport, scratch: Scratch) -> None:
        self._tls = tls
        self._network = scratch.network

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._tls.lower_made(cast(asyncio.Transport, transport))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._network

    def buffer_updated(self, nbytes: int) -> None:
        self._tls.lower_received(self._network[:nbytes])

    def eof_received(self) -> bool:
        self._tls.lower_ended()
        return True

    def pause_writing(self) -> None:
        self._tls.lower_paused(True)

    def resume_writing(self) -> None:
        self._tls.lower_paused(False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._tls.lower_lost(exc)

    def let_go(self) -> None:
        # They refer to each other; a cycle would live until garbage collection.
        del self._tls


class TlsTransport(asyncio.Transport):
    """The transport that the connection's protocol sees.

    ``get_extra_info`` has these keys, besides those of the transport below: ``ssl_object``,
    ``cipher``, ``peercert``, ``tls_facts`` (`TlsFacts`), and ``truncated``: true if the input ended
    without close_notify, so that an attacker may have truncated it (RFC 8446 §6.1).
    """

    def __init__(self, engine: TlsEngine, scratch: Scratch) -> None:
        super().__init__()
        self.below = _Below(self, scratch)
        self._engine = engine
        self._plaintext = scratch.plaintext
        self._loop = asyncio.get_running_loop()
        self._through: asyncio.Future[None] = self._loop.create_future()
        self._lower: asyncio.Transport | None = None
        self._protocol: asyncio.BaseProtocol | None = None
        self._is_reading = True
        self._is_delivering = False
        self._is_paused = False  # the transport below has requested it
        self._is_closing = False
        self._is_lost = False
        self._eof_arrived = self._eof_told = self._eof_sent = False
        self._broken: OSError | None = None  # how the peer has violated TLS

    # -- the side of the listener, or of who dials -------------------------------------------------

    async def handshake(self) -> None:
        """Wait until the handshake has finished; it proceeds by itself.

        Raises:
            HandshakeError: the peer's handshake was wrong.
            OSError: the connection broke.
        """
        try:
            await self._through
        finally:
            # It keeps its exception, whose traceback keeps this frame: a cycle that would live
            # until garbage collection. One that is over, without an exception, takes its place.
            self._through = self._loop.create_future()
            self._through.cancel()

    def open(self, protocol: asyncio.BaseProtocol) -> None:
        """Attach the protocol, then deliver the input that has arrived.

        The connection is closed if this raises.

        Raises:
            OSError: the connection has broken since the handshake.
        """
        if self._is_lost:
            raise self._gone()
        self._protocol = protocol
        try:
            protocol.connection_made(self)
            if self._is_paused:
                protocol.pause_writing()
        except BaseException:
            self.abort()
            raise
        if self._is_reading:
            self.resume_reading()

    # -- the transport below -------------------------------------------------------------------

    @property
    def _base(self) -> asyncio.Transport:
        assert self._lower is not None
        return self._lower

    def lower_made(self, transport: asyncio.Transport) -> None:
        """Note that the connection below is established."""
        self._lower = transport
        if self._engine.speaks_first:
            self._shake_hands()

    def lower_received(self, octets: memoryview) -> None:
        """Take in octets that have arrived."""
        if self._is_closing:
            return
        self._engine.receive(octets)
        if self._through.done():
            self._deliver()
        else:
            self._shake_hands()

    def lower_ended(self) -> None:
        """Note that the transport below has reached the end of input."""
        self._eof_arrived = True
        if self._through.done():
            self._deliver()
        else:
            self._fail(self._gone())

    def lower_paused(self, is_paused: bool) -> None:
        """Note that the transport below has paused or resumed writing."""
        self._is_paused = is_paused
        if self._protocol is not None:
            tell(self, self._protocol, is_paused)

    def lower_lost(self, error: Exception | None) -> None:
        """Note that the connection below has ended."""
        self._is_closing = self._is_lost = True
        if not self._through.done():
            self._through.set_exception(error if isinstance(error, OSError) else self._gone())
        protocol, self._protocol = self._protocol, None
        self.below.let_go()
        if protocol is not None:
            protocol.connection_lost(error or self._broken)

    def _shake_hands(self) -> None:
        try:
            is_through = self._engine.handshake()
        except HandshakeError as error:
            self._fail(error)
            return
        self._flush()
        if is_through:
            self._base.pause_reading()  # until the input is taken
            self._through.set_result(None)

    def _fail(self, error: Exception) -> None:
        """End a handshake; the peer gets its alert unless sending it would have to wait."""
        self._is_closing = True
        self._flush()
        if self._base.get_write_buffer_size():
            self._base.abort()
        else:
            self._base.close()
        if not self._through.done():
            self._through.set_exception(error)

    def _flush(self) -> None:
        octets = self._engine.output()
        # After our end of stream nothing more is sent, not even the answer to a key update.
        if octets and not self._is_lost and not self._eof_sent:
            self._base.write(octets)

    # -- reading -------------------------------------------------------------------------------

    def _deliver(self) -> None:
        """Deliver input until there is none left or the protocol stops reading."""
        if self._protocol is None or self._is_delivering:
            return
        self._is_delivering = True
        try:
            while self.is_reading() and not self._eof_told and self._deliver_piece():
                pass
        except ssl.SSLError as error:
            _log.debug("TLS with %r broke: %s", self.get_extra_info("peername"), error)
            self._broken = broken(error)
            self._flush()  # the alert
            self.abort()
        except Exception as error:  # as asyncio's transports do: abort its connection
            report(self, self._protocol, error)
            self.abort()
        finally:
            self._is_delivering = False

    def _deliver_piece(self) -> bool:
        """Deliver one piece; return true if more may be waiting."""
        assert self._protocol is not None
        size = self._engine.read(self._plaintext)
        self._flush()
        if size:
            taken = feed(self._protocol, self._plaintext[:size], self.is_reading)
            if taken < size:
                self._engine.put_back(self._plaintext[taken:size])
        if size == len(self._plaintext):
            return True
        if self.is_reading() and (self._engine.has_ended or self._eof_arrived):
            self._eof_told = True
            if not cast(asyncio.Protocol, self._protocol).eof_received():
                self.close()
        return False

    def is_reading(self) -> bool:
        """Return whether the protocol receives input."""
        return self._is_reading and not self._is_closing

    def pause_reading(self) -> None:
        """Pause delivery; input waits, most of it with the peer."""
        self._is_reading = False
        if not self.is_closing():
            self._base.pause_reading()

    def resume_reading(self) -> None:
        """Deliver waiting input, and resume."""
        self._is_reading = True
        if not self.is_closing():
            self._base.resume_reading()
            self._loop.call_soon(self._deliver)

    # -- writing -------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Encrypt these bytes and pass them to the transport below."""
        plaintext = memoryview(data)
        if self.is_closing():
            return
        if self._eof_sent:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not plaintext:
            return
        try:
            self._engine.write(plaintext.cast("B"))
        except ssl.SSLError as error:
            _log.debug("TLS with %r broke: %s", self.get_extra_info("peername"), error)
            self.abort()
            return
        self._flush()

    def can_write_eof(self) -> bool:
        """Return true: each direction ends separately."""
        return True

    def write_eof(self) -> None:
        """End the write side (close_notify); reading continues."""
        if self._eof_sent or self.is_closing():
            return
        if self._say_goodbye() and self._base.can_write_eof():
            self._base.write_eof()

    def _say_goodbye(self) -> bool:
        """Send close_notify once; return false if it is too late for that."""
        try:
            self._engine.close_notify()
        except ssl.SSLError as error:
            _log.debug("no close_notify to %r: %s", self.get_extra_info("peername"), error)
            self.abort()
            return False
        self._flush()
        self._eof_sent = True
        return True

    def get_write_buffer_size(self) -> int:
        """Return how many encrypted octets wait in the transport below."""
        return self._base.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the low and high limits."""
        return self._base.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the limits at which the protocol is told to pause and to resume."""
        self._base.set_write_buffer_limits(high, low)

    # -- ending --------------------------------------------------------------------------------

    def is_closing(self) -> bool:
        """Return whether the connection is closed or closing."""
        return self._is_closing or (self._lower is not None and self._lower.is_closing())

    def close(self) -> None:
        """Stop reading, send what has been written and close_notify, then close.

        The peer's close_notify is not awaited (RFC 8446 §6.1), so this waits only for the peer to
        take what was written; the caller has a deadline for that.
        """
        if self._is_closing:
            return
        if self._eof_sent or self._say_goodbye():
            self._is_closing = True
            self._base.close()

    def abort(self) -> None:
        """Close at once; unsent output is lost."""
        self._is_closing = True
        self._through.cancel()
        if self._lower is not None and not self._is_lost:
            self._lower.abort()

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the current protocol."""
        if self._protocol is None:
            raise RuntimeError("this connection has no protocol yet")
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Switch to another protocol."""
        self._protocol = protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return a fact about TLS, or else about the transport below."""
        facts: dict[str, Callable[[], Any]] = {
            "ssl_object": lambda: self._engine.ssl_object,
            "cipher": lambda: self._engine.ssl_object.cipher(),
            "peercert": lambda: self._engine.ssl_object.getpeercert(),
            "tls_facts": lambda: self._engine.facts(),
            "truncated": lambda: self._eof_arrived and not self._engine.has_ended,
        }
        if name in facts:
            return facts[name]()
        return default if self._lower is None else self._lower.get_extra_info(name, default)

    def _gone(self) -> OSError:
        who = self._engine.peer
        return ConnectionAbortedError(errno.ECONNABORTED, f"the {who} left during the handshake")
