"""Lines of standard input: from pipes and files, without a thread, until something ends."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import IO

import pytest

from pierhead import Conversation, Server, connect, console
from pierhead.console.descriptors import Input, Output
from pierhead.errors import ConnectionEnded, UsageError
from pierhead.protocols import lines

FORMAT = lines.wire_format()


class Pipe:
    def __init__(self) -> None:
        reading, writing = os.pipe()
        self.reading: IO[bytes] = os.fdopen(reading, "rb", buffering=0)
        self.writing: IO[bytes] = os.fdopen(writing, "wb", buffering=0)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.reading.close()
    pipe.writing.close()


async def typed(pipe: Pipe, **options) -> list[str]:
    return [line async for line in console.lines(stream=pipe.reading.fileno(), **options)]


async def test_lines_come_without_their_endings_and_the_last_may_have_none(pipe: Pipe) -> None:
    pipe.writing.write("one\r\ntwo\n\ncaf\u00e9".encode())
    pipe.writing.close()
    assert await typed(pipe) == ["one", "two", "", "caf\u00e9"]


async def test_a_file_is_read_to_its_end(tmp_path) -> None:
    (tmp_path / "typed").write_text("one\ntwo\n" * 50_000)
    with (tmp_path / "typed").open() as file:
        assert len([line async for line in console.lines(stream=file)]) == 100_000


async def test_the_exit_word_ends_it(pipe: Pipe) -> None:
    pipe.writing.write(b"one\nexit\ntwo\n")
    assert await typed(pipe, exit_word="exit") == ["one"]


async def test_input_that_is_no_text_is_an_error_that_says_where(pipe: Pipe) -> None:
    pipe.writing.write(b"fine\nab\xff\n")
    with pytest.raises(UsageError, match="octet 2 of a line of the input is 0xff"):
        await typed(pipe)


async def test_who_waits_can_be_cancelled_and_nothing_is_lost(pipe: Pipe) -> None:
    source = Input(pipe.reading.fileno())
    waiting = asyncio.ensure_future(source.read())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    pipe.writing.write(b"later\n")
    assert await source.read() == b"later\n"


async def test_an_input_that_is_closed_has_ended(pipe: Pipe) -> None:
    number = os.dup(pipe.reading.fileno())
    os.close(number)
    assert await Input(number).read() == b""


async def test_a_conversation_that_ends_is_noticed_while_nobody_types(pipe: Pipe) -> None:
    async def leave(conversation: Conversation[str, str]) -> None:
        await conversation.receive()

    async with Server(lines.converse(leave), "mem:leaving"):
        async with connect("mem:leaving", FORMAT).conversation() as peer:
            pipe.writing.write(b"hello\n")
            async for line in console.lines(until=peer, stream=pipe.reading.fileno()):
                await peer.send(line)


async def test_one_that_is_cut_off_is_raised(pipe: Pipe) -> None:
    async def cut_off(conversation: Conversation[str, str]) -> None:
        await conversation.receive()
        conversation.abort()

    async with Server(lines.converse(cut_off), "mem:cutting"):
        async with connect("mem:cutting", FORMAT).conversation() as peer:
            await peer.send("hello")
            with pytest.raises(ConnectionEnded):
                await typed(pipe, until=peer)


@pytest.mark.parametrize("last", ["", "exit\n"])
async def test_lines_are_typed_into_a_conversation(pipe: Pipe, last: str) -> None:
    async def count(conversation: Conversation[str, str]) -> None:
        number = len([line async for line in conversation])
        if not conversation.closed:
            await conversation.send(f"{number} lines")

    pipe.writing.write(b"one\ntwo\n" + last.encode())
    if not last:
        pipe.writing.close()
    async with Server(lines.converse(count), "mem:counting"):
        async with connect("mem:counting", FORMAT, linger_timeout=0).conversation() as peer:
            number = pipe.reading.fileno()
            async with console.typed_into(peer, exit_word="exit", stream=number):
                assert [line async for line in peer] == ([] if last else ["2 lines"])


async def test_output_waits_for_a_reader_and_leaves_the_pipe_as_it_was(pipe: Pipe) -> None:
    number = pipe.writing.fileno()
    with Output(number) as output:
        writing = asyncio.ensure_future(output.write(bytes(1_000_000)))
        source, read = Input(pipe.reading.fileno()), 0
        while read < 1_000_000:
            read += len(await source.read())
        await writing
        assert not os.get_blocking(number)
    assert os.get_blocking(number)
