"""An address of every scheme, with what it needs around it, and a connection to each."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import ExitStack

import inheriting
import pytest

from pierhead.address import ListenSpec
from pierhead.listener import open as opening
from pierhead.listener.adopt import inetd, launchd
from pierhead.listener.open import open_all
from pierhead.listener.set import ListenerSet

UNIX_KINDS = {
    "unix": socket.SOCK_STREAM,
    "unixgram": socket.SOCK_DGRAM,
    "unixseq": socket.SOCK_SEQPACKET,
}


class Places:
    """Makes addresses; what they need goes when the test ends."""

    def __init__(self, leave, passed, process, monkeypatch, folder, stack: ExitStack) -> None:
        self._leave, self._passed, self._monkeypatch = leave, passed, monkeypatch
        self.process = process
        self._folder = folder
        self.stack = stack
        self._standard_input = None  # the other end of it

    def address(self, place: str, kind=socket.SOCK_STREAM, family=socket.AF_INET) -> str:
        """Return an address of this scheme, without options.

        Args:
            kind, family: of the socket, where it is one that is passed.
        """
        match place:
            case "tcp" | "udp":
                return f"{place}:127.0.0.1:0"
            case "unix" | "unixgram" | "unixseq":
                return f"{place}:{self._folder}/s"
            case "mem" | "memgram":
                return f"{place}:here"
            case "vsock" | "vsockseq":
                return f"{place}:any:any"
            case "fd":
                return f"fd:{self._leave(inheriting.bound(kind, family))}"
            case "sd":
                self._passed(inheriting.bound(kind, family))
                return "sd:"
            case "launchd":
                return self._launchd(self._leave(inheriting.bound(kind, family)))
            case "inetd":
                return self._inetd(family)
        raise AssertionError(f"there is no {place} here yet: add it")

    def _launchd(self, number: int) -> str:
        self._monkeypatch.setattr(opening, "refusals", lambda spec, platform: [])
        self._monkeypatch.setattr(launchd, "activate", lambda address, name, library: [number])
        return "launchd:Listeners"

    def _inetd(self, family: int) -> str:
        if family == socket.AF_UNIX:
            client, ours = socket.socketpair()
        else:
            with socket.create_server(("127.0.0.1", 0)) as server:
                client = socket.create_connection(server.getsockname())
                ours, _ = server.accept()
        self._standard_input = self.stack.enter_context(client)
        number = ours.detach()
        self.stack.callback(os.close, number)
        self.process.streams = inetd.StandardStreams(number, None, None)
        return "inetd"

    async def open(self, place: str, options: str, **passed) -> ListenerSet:
        """Open an address of this scheme with these options."""
        spec = ListenSpec.parse(f"{self.address(place, **passed)}?{options}")
        try:
            listeners = await open_all([(spec,)], process_sockets=self.process)
        except OSError as error:
            if place.startswith("vsock") and error.step == "socket":
                pytest.skip(str(error))
            raise
        for listener in listeners:
            self.stack.callback(listener.close)
        return listeners

    def client(self, local: str) -> socket.socket:
        """Connect to an address as bound."""
        if local == "inetd":
            return self._standard_input
        scheme, _, target = local.partition(":")
        if scheme in UNIX_KINDS:
            client = socket.socket(socket.AF_UNIX, UNIX_KINDS[scheme])
            where = "\0" + target[1:] if target[0] == "@" else target
        else:
            client = socket.socket(socket.AF_INET)
            where = ("127.0.0.1", int(target.rpartition(":")[2]))
        self.stack.enter_context(client)
        client.settimeout(20)
        client.connect(where)
        return client

    async def served_socket(self, listener) -> socket.socket:
        """Return the socket that a connection to this listener is served on."""
        self.client(listener.local)
        accepted = await listener.accept()
        transport = await accepted.attach(asyncio.Protocol())
        self.stack.callback(transport.abort)
        return transport.get_extra_info("socket")

    def own_socket(self, listener) -> socket.socket:
        """Return the socket of a listener, once more."""
        return self.stack.enter_context(socket.socket(fileno=os.dup(listener.fileno())))
