"""Lines from standard input, for a thread: `pierhead.console.lines` without async."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from typing import Any, Protocol, TextIO, cast

from pierhead.blocking.background import Background
from pierhead.connection.conversation import Conversation as AsyncConversation
from pierhead.console import lines

__all__ = ["typed_lines"]


class Talks(Protocol):
    """A conversation, or a client with one."""

    @property
    def asynchronous(self) -> AsyncConversation[Any, Any]:
        """The conversation in the event loop."""
        ...


def typed_lines(
    *,
    until: Talks | None = None,
    exit_word: str | None = None,
    encoding: str = "utf-8",
    stream: TextIO | int = 0,
) -> Iterator[str]:
    """Iterate over the lines of standard input, without their line endings.

    It ends with the input (Ctrl-D on a terminal), at the exit word, or with the conversation, even
    while nobody types. Arguments and errors are those of `pierhead.console.lines`.

    Args:
        until: a conversation, or a client; if it is cut off, that is raised.
        exit_word: a line that ends the iteration; None for none.
        encoding: of the input.
        stream: another input: a file, or the number of a descriptor.
    """
    call = Background.of_this_process().call
    ending = None if until is None else until.asynchronous
    typed = cast(
        AsyncGenerator[str, None],
        lines(until=ending, exit_word=exit_word, encoding=encoding, stream=stream),
    )
    try:
        while True:
            try:
                line = call(_next(typed))
            except StopAsyncIteration:
                return
            yield line
    finally:
        call(typed.aclose())


async def _next(typed: AsyncGenerator[str, None]) -> str:
    return await anext(typed)
