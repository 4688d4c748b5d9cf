"""``pierhead listen``: show what arrives, from anybody."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import socket
from collections.abc import Coroutine, Sequence
from typing import Any, cast

import click

from pierhead import hosting
from pierhead.address import ListenSpec
from pierhead.cli.connect import as_option
from pierhead.codec.base import WireFormat
from pierhead.codec.octets import Octets
from pierhead.connection.conversation import Conversation
from pierhead.console.descriptors import Output
from pierhead.console.forms import Form, form
from pierhead.console.pump import Pump
from pierhead.runtime.run import event_loop_runner, serve_until_signal
from pierhead.runtime.say import say
from pierhead.server.converse import converse
from pierhead.server.endpoint import Endpoint
from pierhead.server.serve import raw
from pierhead.server.server import Server
from pierhead.service.context import Context, Peer

__all__ = ["listen"]

_EPILOG = """\b
Examples:
  pierhead listen udp:127.0.0.1:7000 --peers
  pierhead listen tcp:127.0.0.1:7000 unix:./log.sock
  pierhead listen --once --as raw tcp:127.0.0.1:7000 > picture.png

Exit codes: 0 drained, 1 requests were lost, 2 usage, 3 could not start.
"""

_LOST = 1
#: A quiet sender stays connected for a day.
_IDLE_S = 86_400.0


@click.command("listen", epilog=_EPILOG, short_help="Show what arrives at an address.")
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS…")
@as_option("lines")
@click.option("--peers", is_flag=True, help="Begin each message with who sent it.")
@click.option("--json", "is_json", is_flag=True, help="Show each message as a JSON object.")
@click.option("--once", is_flag=True, help="Take one connection, and end with it.")
def listen(addresses: Sequence[str], form_name: str, peers: bool, is_json: bool, once: bool) -> int:
    """Show what arrives at these addresses until SIGTERM or Ctrl-C; answer nothing.

    Messages are shown in visible characters; --as raw writes octets as they are.
    """
    specs = [ListenSpec.parse(address) for address in addresses]
    chosen = form(form_name)
    if chosen.is_raw and (peers or is_json):
        raise click.UsageError("--peers and --json are for messages, and --as raw has none")
    return event_loop_runner(_listen(specs, chosen, peers, is_json, once))


async def _listen(
    specs: Sequence[ListenSpec], form: Form, peers: bool, is_json: bool, once: bool
) -> int:
    with Output() as output:
        shown = _Shown(form, output, peers, is_json)
        limits: dict[str, Any] = {"idle_timeout": _IDLE_S, "message_timeout": _IDLE_S}
        if once:
            limits |= {"max_connections": 1, "when_full": "wait"}
        server = Server(_endpoint(form, shown, once), *specs, **limits)
        if once:
            return await _until_gone(server, shown)
        return 0 if await serve_until_signal(server, on_ready=_announce) else _LOST


def _announce(server: Server) -> None:
    for address in server.addresses:
        say(f"listening on {address}")


async def _until_gone(server: Server, shown: _Shown) -> int:
    async with server:
        _announce(server)
        say(f"ready {' '.join(server.addresses)}")
        await shown.gone.wait()
    return 0


def _endpoint(form: Form, shown: _Shown, once: bool) -> Endpoint:
    datagram = raw(shown.datagram).datagram
    if form.framing is None:
        of_octets = hosting.protocol.serve(lambda: _Octets(shown, is_alone=once), name="listen")
        return dataclasses.replace(of_octets, datagram=datagram)
    wire_format = WireFormat(form.framing, Octets())
    of_messages = converse(shown.conversation, wire_format, name="listen")
    return dataclasses.replace(of_messages, datagram=datagram)


class _Shown:
    """Shows what arrives, one message after the other."""

    def __init__(self, form: Form, output: Output, peers: bool, is_json: bool) -> None:
        self._form = form
        self._output = output
        self._peers = peers
        self._is_json = is_json
        self._one_at_a_time = asyncio.Lock()
        self.gone = asyncio.Event()
        self.is_raw = form.is_raw
        self.descriptor = output.descriptor

    async def conversation(self, conversation: Conversation[bytes, bytes]) -> None:
        """Show the messages of a connection."""
        try:
            async for message in conversation:
                await self.show(message, conversation.peer)
        finally:
            self.gone.set()

    async def datagram(self, datagram: bytes, context: Context) -> None:
        """Show a datagram."""
        await self.show(datagram, context.peer)

    def show_now(self, octets: bytes) -> bytes:
        """Write what can be written at once; return the rest."""
        if self.is_raw and not self._one_at_a_time.locked():
            return self._output.write_now(octets)
        return octets

    async def show(self, message: bytes, peer: Peer) -> None:
        """Show a message, or some octets; wait while the output does not keep up."""
        async with self._one_at_a_time:
            await self._output.write(message if self.is_raw else self._line(message, peer))

    def _line(self, message: bytes, peer: Peer) -> bytes:
        if self._is_json:
            shown = json.dumps({"peer": str(peer), "message": self._form.value(message)})
        else:
            message = message.removesuffix(b"\n")  # of a datagram
            shown = (f"{peer}: " if self._peers else "") + self._form.show(message)
        return shown.encode("utf-8", "backslashreplace") + b"\n"


class _Octets(asyncio.Protocol):
    """Shows the octets of a connection as they come; reads no faster than they are written.

    Args:
        shown: where they go.
        is_alone: whether there is no other connection: then a plain socket is pumped.
    """

    def __init__(self, shown: _Shown, *, is_alone: bool) -> None:
        self._shown = shown
        self._is_alone = is_alone
        self._has_begun = False
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._peer = transport.get_extra_info("peer")

    def _plain_socket(self) -> socket.socket | None:
        """Return a descriptor of its own for the socket, if nothing wraps its octets."""
        scheme = self._transport.get_extra_info("via").listener.partition(":")[0]
        sock: socket.socket | None = self._transport.get_extra_info("socket")
        is_plain = sock is not None and sock.type == socket.SOCK_STREAM and "+" not in scheme
        return sock.dup() if sock is not None and is_plain else None

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name="show")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pump(self, sock: socket.socket, first: bytes) -> None:
        with sock:
            sock.setblocking(False)
            try:
                await self._shown.show(first, self._peer)
                await Pump(sock.fileno(), self._shown.descriptor).run()
            except OSError as error:
                self._give_up(error)
            else:
                self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._is_alone and self._shown.is_raw and not self._has_begun:
            self._has_begun = True
            if (sock := self._plain_socket()) is not None:
                self._transport.pause_reading()  # inside a read: there is no other
                self._begin(self._pump(sock, data))
                return
        try:
            if not self._tasks and not (data := self._shown.show_now(data)):
                return
        except OSError as error:
            self._give_up(error)
            return
        self._transport.pause_reading()
        self._begin(self._show(data))

    async def _show(self, data: bytes) -> None:
        try:
            await self._shown.show(data, self._peer)
        except OSError as error:
            self._give_up(error)
            return
        with contextlib.suppress(RuntimeError):
            self._transport.resume_reading()

    def _give_up(self, error: OSError) -> None:
        say(f"error: {error.strerror or error}")
        self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        waiting = list(self._tasks)
        if waiting:
            waiting[-1].add_done_callback(lambda _: self._shown.gone.set())
        else:
            self._shown.gone.set()
