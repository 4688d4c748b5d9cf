"""One conversation for a whole datagram socket: with everybody, at any time."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from pierhead import Json, Lines, Server, SocketConversation, WireFormat, connect, converse
from pierhead.client.dial import dial_datagram
from pierhead.errors import ConnectionEnded, UsageError
from pierhead.protocols import lines

FORMAT = lines.wire_format()


async def test_messages_come_with_their_peer_and_go_to_any(server) -> None:
    async def relay(conversation: SocketConversation[str, str]) -> None:
        await conversation.send_to("memgram:early", "good morning")
        seen: dict[str, Any] = {}
        async for message, peer in conversation:
            for other in seen.values():
                await conversation.send_to(other, f"{peer}: {message}")
            seen[str(peer)] = peer
        await conversation.send_to("memgram:early", "good night")

    early = await dial_datagram("memgram:b", source="memgram:early")
    started = await server(converse(relay, FORMAT, per="socket"), "memgram:b")
    assert await early.receive() == b"good morning"
    early.send(b"one")
    late = await dial_datagram("memgram:b", source="memgram:late")
    late.send(b"two")
    assert await early.receive() == b"late: two"
    await started.__aexit__(None, None, None)
    assert await early.receive() == b"good night"
    assert started.metrics.total("conversations_opened_total") == 1
    assert started.metrics.total("messages_received_total") == 2


async def test_a_handler_that_fails_begins_again_with_the_next_datagram(server, caplog) -> None:
    async def fragile(conversation: SocketConversation[int, int]) -> None:
        async for number, peer in conversation:
            await conversation.send_to(peer, 10 // number)

    started = await server(
        converse(fragile, WireFormat(Lines(), Json(int)), per="socket"), "memgram:b"
    )
    client = await dial_datagram("memgram:b")
    for text in (b"nonsense", b"0", b"5"):
        client.send(text)
        await asyncio.sleep(0.1)
    assert await client.receive() == b"2"
    assert "ZeroDivisionError" in caplog.text
    total = started.metrics.total
    assert total("dropped_total", reason="undecodable") == 1
    assert total("conversations_opened_total") == 2
    assert total("conversations_closed_total", reason="error") == 1
    assert total("frames_received_total") == 3


async def test_another_handler_follows_at_once(server) -> None:
    def saying(word: str) -> Any:
        async def say(conversation: SocketConversation[str, str]) -> None:
            async for _, peer in conversation:
                await conversation.send_to(peer, word)

        return converse(say, FORMAT, per="socket")

    started = await server(saying("first"), "memgram:b")
    client = await dial_datagram("memgram:b")
    client.send(b"?")
    assert await client.receive() == b"first"
    await started.replace(saying("second"), "memgram:b")
    client.send(b"?")
    assert await client.receive() == b"second"


@pytest.mark.parametrize(
    "address",
    ["udp:127.0.0.1:0", "udp:[::1]:0", "udp:0.0.0.0:0", "udp:[::]:0", "udp:127.0.0.1:0?ecn",
     "unixgram:./s", "unixgram:@pierhead-socket-conversation"],
)  # fmt: skip
@pytest.mark.parametrize("batched", [True, False])
async def test_the_way_to_an_address(
    address: str, batched: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sent unasked arrives, on every kind of socket, and is answered."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pierhead.listener.datagram.has_batch_io", lambda: batched)
    answered: asyncio.Future[tuple[str, str]] = asyncio.get_running_loop().create_future()
    family = socket.AF_UNIX if "unix" in address else socket.AF_INET
    if address == "udp:[::1]:0":
        family = socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as other:
        other.setblocking(False)
        if family == socket.AF_UNIX:
            other.bind("other" if "@" not in address else "\0pierhead-other")
            whom = "unixgram:./other" if "@" not in address else "unixgram:@pierhead-other"
        else:
            host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
            other.bind((host, 0))
            shown = f"[{host}]" if ":" in host else host
            whom = f"udp:{shown}:{other.getsockname()[1]}"

        async def call(conversation: SocketConversation[str, str]) -> None:
            await conversation.send_to(whom, "are you there?")
            answered.set_result(await conversation.receive())

        loop = asyncio.get_running_loop()
        endpoint = converse(call, FORMAT, per="socket")
        async with asyncio.timeout(5), Server(endpoint, address, drain_timeout=1):
            data, back = await loop.sock_recvfrom(other, 100)
            assert data == b"are you there?"
            await loop.sock_sendto(other, b"yes", back)
            message, _ = await answered
            assert message == "yes"


async def test_broadcast_is_an_option_of_the_address() -> None:
    async def call(conversation: SocketConversation[str, str]) -> None:
        await conversation.send_to(whom, "hello, all")

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.setblocking(False)
        other.bind(("127.255.255.255", 0))
        whom = f"udp:127.255.255.255:{other.getsockname()[1]}"
        endpoint = converse(call, FORMAT, per="socket")
        async with asyncio.timeout(5):
            async with Server(endpoint, "udp:127.0.0.1:0", drain_timeout=1) as without:
                while not without.metrics.total("messages_lost_total", reason="send_error"):
                    await asyncio.sleep(0.001)
            async with Server(endpoint, "udp:127.0.0.1:0?broadcast", drain_timeout=1):
                data, _ = await asyncio.get_running_loop().sock_recvfrom(other, 100)
                assert data == b"hello, all"


async def test_names_are_resolved_and_what_is_no_address_here_is_refused() -> None:
    refused: list[str] = []

    async def call(conversation: SocketConversation[str, str]) -> None:
        await conversation.send_to(whom, "hello")
        for wrong in ("tcp:127.0.0.1:1", "memgram:a"):
            try:
                await conversation.send_to(wrong, "hello")
            except UsageError as error:
                refused.append(str(error))
        try:
            await conversation.send((whom, "hello"))
        except UsageError as error:
            refused.append(str(error))

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.setblocking(False)
        other.bind(("127.0.0.1", 0))
        whom = f"udp:localhost:{other.getsockname()[1]}"
        endpoint = converse(call, FORMAT, per="socket")
        async with asyncio.timeout(5), Server(endpoint, "udp:127.0.0.1:0", drain_timeout=1):
            data, _ = await asyncio.get_running_loop().sock_recvfrom(other, 100)
            assert data == b"hello"
            while len(refused) < 3:
                await asyncio.sleep(0.001)
    assert "expected udp:" in refused[0]
    assert "use send_to" in refused[2]


async def test_a_socket_conversation_is_for_datagrams(server) -> None:
    async def nothing(conversation: SocketConversation[str, str]) -> None: ...

    with pytest.raises(UsageError, match="expected 'peer' or 'socket'"):
        converse(nothing, FORMAT, per="host")  # type: ignore[call-overload]
    with pytest.raises(Exception, match="does not serve streams"):
        await server(converse(nothing, FORMAT, per="socket"), "mem:b")
    async with connect("memgram:none", FORMAT).conversation() as conversation:
        conversation.close()
        with pytest.raises(ConnectionEnded):
            await conversation.send("late")
