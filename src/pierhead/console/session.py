"""One session of a console: what is typed goes to the peer, what comes is shown at once.

the input ends      this side ends (half-close); the session goes on until the peer has ended
the exit word       ends the session
the peer ends       ends the session at once: in order if the input had ended before
Ctrl-C              ends the session at once
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, TypeVar

from pierhead.console.descriptors import Input, Output
from pierhead.console.forms import Form
from pierhead.console.link import Link
from pierhead.console.pump import Pump
from pierhead.console.screen import Screen
from pierhead.errors import ConnectError, ConnectionEnded, DecodeError, PierheadError, UsageError

__all__ = ["Ended", "Session", "Settings", "transfer"]

T = TypeVar("T")

#: Between two attempts to connect again: the first pause, and the longest.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 30.0


class Ended(Enum):
    """Why a session has ended."""

    BY_INPUT = auto()
    BY_EXIT_WORD = auto()
    BY_PEER = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a session does.

    Attributes:
        form: of messages.
        exit_word: a line that ends it; None for none.
        reconnects: whether to connect again when the peer has gone.
        is_json: whether each message is shown as a JSON object.
        has_timing: whether the time since the last line that was sent is shown.
        wait_s: how long datagrams are waited for when the input has ended.
    """

    form: Form
    exit_word: str | None = None
    reconnects: bool = False
    is_json: bool = False
    has_timing: bool = False
    wait_s: float = 1.0


class Session:
    """A session of text.

    Args:
        open_link: connects.
        screen: where text is shown and typed.
        say: tells the user something beside the messages.
    """

    def __init__(
        self,
        settings: Settings,
        open_link: Callable[[], AbstractAsyncContextManager[Link]],
        screen: Screen,
        say: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._open_link = open_link
        self._screen = screen
        self._say = say
        self._typed: asyncio.Queue[str | Exception | None] = asyncio.Queue(1)
        self._unsent: bytes | None = None  # typed, and the connection ended before it was sent
        self._has_input_ended = False
        self._sent_at: float | None = None
        self._heard_at = 0.0

    async def run(self) -> Ended:
        """Carry it out.

        Raises:
            ConnectError: nobody is there.
            ConnectionEnded: the connection was cut off.
        """
        reading = asyncio.ensure_future(self._read())
        try:
            return await self._connect_and_talk()
        finally:
            await _stop(reading)

    async def _read(self) -> None:
        """Read what is typed, through all connections: a read that is cancelled is over."""
        try:
            async for line in self._screen.typed():
                await self._typed.put(line)
        except (PierheadError, OSError) as error:
            await self._typed.put(error)
        else:
            await self._typed.put(None)

    async def _connect_and_talk(self) -> Ended:
        pause_s = _FIRST_PAUSE_S
        has_connected = False
        while True:
            try:
                async with self._open_link() as link:
                    if has_connected:
                        self._say("connected again")
                    has_connected, pause_s = True, _FIRST_PAUSE_S
                    ended = await self._talk(link)
            except (ConnectError, ConnectionEnded) as error:
                if not (has_connected and self._goes_on):
                    raise
                self._say(str(error))
            else:
                if ended is not Ended.BY_PEER or not self._goes_on:
                    return ended
                self._say("the peer has ended the connection; connecting again")
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    @property
    def _goes_on(self) -> bool:
        return self._settings.reconnects and not self._has_input_ended

    async def _talk(self, link: Link) -> Ended:
        """Send and show, until one side ends the conversation."""
        hearing = asyncio.ensure_future(self._hear(link))
        sending = asyncio.ensure_future(self._send(link))
        try:
            await asyncio.wait((hearing, sending), return_when=asyncio.FIRST_COMPLETED)
            if not hearing.done():
                if sending.result() is Ended.BY_EXIT_WORD:
                    return Ended.BY_EXIT_WORD
                self._has_input_ended = True
                link.end_output()
                await self._wait_for_end(hearing, link)
        finally:
            await _stop(sending)
            await _stop(hearing)
        if not hearing.cancelled():
            hearing.result()
        return Ended.BY_INPUT if self._has_input_ended else Ended.BY_PEER

    async def _wait_for_end(self, hearing: asyncio.Task[None], link: Link) -> None:
        if not link.is_datagram:
            await asyncio.wait((hearing,))
            return
        until = time.monotonic() + self._settings.wait_s
        while not hearing.done() and (left := until - time.monotonic()) > 0:
            await asyncio.wait((hearing,), timeout=left)
            until = max(until, self._heard_at + self._settings.wait_s)

    async def _send(self, link: Link) -> Ended:
        """Send what is typed, until the input ends or the exit word comes."""
        try:
            if self._unsent is not None:
                await self._send_one(link, self._unsent)
            while (line := await self._typed.get()) is not None:
                if isinstance(line, Exception):
                    raise line
                if line == self._settings.exit_word:
                    return Ended.BY_EXIT_WORD
                try:
                    octets = self._settings.form.encode(line)
                    await self._send_one(link, octets)
                except UsageError as error:  # this line alone
                    self._say(f"error: {error}")
        except ConnectionEnded:  # `_hear` is told, too; the line stays for the next connection
            await asyncio.get_running_loop().create_future()
        return Ended.BY_INPUT

    async def _send_one(self, link: Link, octets: bytes) -> None:
        self._unsent = octets
        await link.send(octets)
        self._unsent = None
        self._sent_at = time.monotonic()

    async def _hear(self, link: Link) -> None:
        """Show what comes, until the peer ends."""
        while True:
            try:
                message = await link.receive()
            except ConnectionEnded:
                raise
            except DecodeError as error:
                raise ConnectionEnded("the peer", f"what it sent is wrong: {error}") from error
            if message is None:
                return
            self._heard_at = time.monotonic()
            await self._screen.show(self._shown(message))

    def _shown(self, message: bytes) -> str:
        settings, after_s = self._settings, None
        if settings.has_timing and self._sent_at is not None:
            after_s = round(self._heard_at - self._sent_at, 6)
        if settings.is_json:
            shown = {"message": settings.form.value(message)}
            return json.dumps(shown if after_s is None else {**shown, "after_s": after_s})
        timing = "" if after_s is None else f"[{1000 * after_s:.1f} ms] "
        return f"{timing}{settings.form.show(message)}"


async def transfer(link: Link, source: Input, output: Output, *, wait_s: float = 1.0) -> Ended:
    """Copy standard input to the peer and what it sends to standard output, octet by octet.

    Args:
        link: of octets, or datagrams.
        source: what is sent.
        output: where what comes is written.
        wait_s: how long datagrams are waited for when the input has ended.

    Raises:
        ConnectionEnded: the connection was cut off.
    """
    sock = link.plain_socket()
    if sock is not None:
        with sock:
            return await _until_ended(*_pumps(sock, source, output), None)

    async def send() -> None:
        try:
            while octets := await source.read():
                await link.send(octets)
        except ConnectionEnded:  # `receive` is told, too
            await asyncio.get_running_loop().create_future()
        link.end_output()

    async def receive() -> None:
        while (octets := await link.receive()) is not None:
            await output.write(octets)

    return await _until_ended(send(), receive(), wait_s if link.is_datagram else None)


def _pumps(
    sock: socket.socket, source: Input, output: Output
) -> tuple[Coroutine[Any, Any, None], Coroutine[Any, Any, None]]:
    """Return what copies from and to a plain socket, past the event loop's transport."""

    async def send() -> None:
        # A socket that fails is noticed by `receive`, too, which says so.
        with contextlib.suppress(BrokenPipeError, ConnectionError):
            if source.is_open:
                await Pump(source.descriptor, sock.fileno()).run()
            sock.shutdown(socket.SHUT_WR)
            return
        await asyncio.get_running_loop().create_future()

    async def receive() -> None:
        try:
            await Pump(sock.fileno(), output.descriptor).run()
        except ConnectionError as error:
            if isinstance(error, BrokenPipeError):  # of the output
                raise
            raise ConnectionEnded("the peer", error.strerror or str(error)) from error

    return send(), receive()


async def _until_ended(
    send: Coroutine[Any, Any, None], receive: Coroutine[Any, Any, None], wait_s: float | None
) -> Ended:
    sending, receiving = asyncio.ensure_future(send), asyncio.ensure_future(receive)
    try:
        await asyncio.wait((sending, receiving), return_when=asyncio.FIRST_COMPLETED)
        has_input_ended = sending.done()
        if has_input_ended:
            sending.result()
            await asyncio.wait((receiving,), timeout=wait_s)
    finally:
        await _stop(sending)
        await _stop(receiving)
    if not receiving.cancelled():
        receiving.result()
    return Ended.BY_INPUT if has_input_ended else Ended.BY_PEER


async def _stop(task: asyncio.Task[T]) -> None:
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled() and isinstance(task.exception(), PierheadError):
        return
