"""mypy knows the types of the messages in a program with clients and conversations."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

PROGRAM = """\
from collections.abc import AsyncIterator

from pierhead import ById, Client, Context, Conversation, Endpoint, Json, Lines, WireFormat
from pierhead import connect, converse, serve, stack
from pierhead.middleware import limit, retry, timeout
from pierhead.protocols import lines


class Ask:
    id: int


class Told:
    id: int


FORMAT: WireFormat[Ask, Told] = WireFormat(
    Lines(), Json(Ask), Json(Told), matching=ById.field("id", range(256))
)


async def ask(client: Client[Ask, Told]) -> Told:
    async for told in client.replies(Ask()):
        reveal_type(told)
    return await client.request(Ask(), timeout=5)


async def session() -> None:
    async with connect("tcp:127.0.0.1:7000", lines.wire_format(), layers=[limit(5)]) as client:
        reveal_type(client)
        reveal_type(await client.request("hello"))
        reveal_type(client.addresses)
        async with client.conversation() as talk:
            reveal_type(talk)
            sender = talk.sender(capacity=5, when_full="drop-oldest")
            reveal_type(sender)
            reveal_type(sender.try_send("hello"))
            async for line in talk:
                reveal_type(line)
    async with connect("tcp:127.0.0.1:7000", FORMAT, max_connections=2).conversation() as told:
        reveal_type(told)


async def handler(conversation: Conversation[Ask, Told]) -> None:
    receiver, sender = conversation.split()
    reveal_type(await receiver.receive())
    await sender.send(Told())


endpoint: Endpoint = converse(handler, FORMAT)
forwarded: Endpoint = serve(stack(connect("udp:127.0.0.1:7", FORMAT), timeout(2), retry(3)), FORMAT)
"""

REVEALED = [
    "Told",
    "Client[str, str]",
    "str",
    "tuple[str, ...]",
    "Conversation[str, str]",
    "Sender[str]",
    "bool",
    "str",
    "Conversation[Told, Ask]",
    "Ask",
]

WRONG = """\
from pierhead import Client, Conversation, connect, converse
from pierhead.protocols import lines


async def wrong(client: Client[str, str], conversation: Conversation[str, bytes]) -> None:
    await client.request(b"hello")
    await conversation.send("hello")
    conversation.sender(when_full="often")
    connect("udp:127.0.0.1:7", lines.wire_format(), reqest_timeout=5.0)
    connect("udp:127.0.0.1:7", lines.wire_format(), max_connections=1.5)
    number: int = await client.request("hello")


async def not_of_text(conversation: Conversation[int, int]) -> None: ...


converse(not_of_text, lines.wire_format())
"""


def checked(program: Path) -> list[str]:
    command = [sys.executable, "-m", "mypy", "--strict", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


def test_mypy_knows_the_types_of_messages(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    said = checked(program)
    assert [line for line in said if ": error: " in line] == []
    revealed = [line.partition("Revealed type is ")[2] for line in said if "Revealed" in line]
    found = [one.strip('"').replace("program.", "").replace("builtins.", "") for one in revealed]
    for one, wanted in zip(found, REVEALED, strict=True):
        assert one.endswith(wanted), (one, wanted)


def test_mypy_finds_messages_of_the_wrong_type(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(WRONG)
    errors = [line for line in checked(program) if ": error: " in line]
    numbers = [line.partition(": error: ")[0].rpartition(":")[2] for line in errors]
    assert numbers == ["6", "7", "8", "9", "10", "11", "17"], errors
    assert 'did you mean "request_timeout"?' in errors[3]
