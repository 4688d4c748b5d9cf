"""Lines from standard input, as an async iterator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol, TextIO, TypeVar

from pierhead.connection.conversation import Conversation
from pierhead.console.descriptors import Input
from pierhead.errors import ConnectionEnded, UsageError

__all__ = ["lines", "talk", "typed_into"]

In = TypeVar("In")

_STANDARD_INPUT = 0
#: A line of standard input; longer than any that a server takes by default.
_MAX_LINE_BYTES = 16_777_216


class Ending(Protocol):
    """What ends on its own, such as a conversation."""

    @property
    def failure(self) -> Exception | None:
        """Why it has ended, if not in order."""
        ...

    async def wait_closing(self) -> None:
        """Return when it ends."""
        ...


async def lines(
    *,
    until: Ending | None = None,
    exit_word: str | None = None,
    encoding: str = "utf-8",
    stream: TextIO | int = _STANDARD_INPUT,
) -> AsyncIterator[str]:
    """Iterate over the lines of standard input, without their line endings.

    It ends with the input (Ctrl-D on a terminal), at the exit word, or with the conversation, even
    while nobody types. Only one iterator may read an input: it reads ahead, except on a terminal.

    Args:
        until: a conversation; if it is cut off, that is raised, as by iterating over it.
        exit_word: a line that ends the iteration; None for none.
        encoding: of the input.
        stream: another input: a file, or the number of a descriptor.

    Raises:
        ConnectionEnded: the conversation was cut off.
        UsageError: a line is not text in this encoding, or longer than 16 MiB.
    """
    source = Input(stream if isinstance(stream, int) else stream.fileno())
    rest, is_over = b"", False
    while not is_over:
        octets = await _read(source, until)
        if octets is None:
            return
        is_over = not octets
        *complete, rest = (rest + octets).split(b"\n")
        if is_over and rest:
            complete.append(rest)
        if len(rest) > _MAX_LINE_BYTES:
            raise UsageError(f"a line of the input has more than {_MAX_LINE_BYTES} octets")
        for octets_of_line in complete:
            line = _text(octets_of_line.removesuffix(b"\r"), encoding)
            if line == exit_word:
                return
            yield line


async def _read(source: Input, until: Ending | None) -> bytes | None:
    """Return what was read; None if the conversation has ended first."""
    if until is None:
        return await source.read()
    reading = asyncio.ensure_future(source.read())
    ending = asyncio.ensure_future(until.wait_closing())
    try:
        await asyncio.wait((reading, ending), return_when=asyncio.FIRST_COMPLETED)
        if not ending.done():
            return reading.result()
    finally:
        reading.cancel()
        ending.cancel()
    if until.failure is not None:
        raise until.failure
    return None


def _text(octets: bytes, encoding: str) -> str:
    try:
        return octets.decode(encoding)
    except UnicodeDecodeError as error:
        found = octets[error.start]
        raise UsageError(
            f"octet {error.start} of a line of the input is {found:#04x}, which is not "
            f"{encoding}: {error.reason}"
        ) from None


@asynccontextmanager
async def typed_into(
    conversation: Conversation[Any, str],
    *,
    exit_word: str | None = None,
    stream: TextIO | int = _STANDARD_INPUT,
) -> AsyncIterator[None]:
    """Send every line of standard input to a conversation, while the block receives.

    At the end of the input this side of the conversation ends, and the peer may go on; the exit
    word closes it.

        async with console.typed_into(chat):
            async for line in chat:
                print(line)

    Args:
        conversation: where lines are sent.
        exit_word: a line that closes the conversation; None for none.
        stream: another input: a file, or the number of a descriptor.
    """
    sending = asyncio.ensure_future(_send(conversation, exit_word, stream))
    try:
        yield
    finally:
        sending.cancel()
        await asyncio.wait((sending,))
    if not sending.cancelled() and (error := sending.exception()) is not None:
        raise error


async def talk(
    conversation: Conversation[In, str],
    *,
    exit_word: str | None = None,
    stream: TextIO | int = _STANDARD_INPUT,
) -> AsyncIterator[In]:
    """Send every line of standard input to a conversation, and iterate over what it receives.

    It is `typed_into` and the loop in one; arguments and endings are those.

        async for line in console.talk(chat, exit_word="exit"):
            print(line)
    """
    async with typed_into(conversation, exit_word=exit_word, stream=stream):
        async for message in conversation:
            yield message


async def _send(
    conversation: Conversation[Any, str], exit_word: str | None, stream: TextIO | int
) -> None:
    try:
        async for line in lines(until=conversation, stream=stream):
            if line == exit_word:
                conversation.close()
                return
            await conversation.send(line)
        conversation.end_output()
    except ConnectionEnded:  # which the block is told, too
        return
