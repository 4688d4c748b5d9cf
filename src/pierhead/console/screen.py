"""Where a console shows what comes, and reads what is typed: a terminal, or two pipes.

With prompt_toolkit (the extra ``console``) a terminal has a line editor and a history, and what
comes appears above the line that is being typed.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from pierhead.console.descriptors import Output
from pierhead.console.typed import lines

__all__ = ["Editor", "PlainScreen", "Screen", "is_interactive", "line_editor"]

_HINT = "note: pip install 'pierhead[console]' adds a line editor and a history"


class Screen(Protocol):
    """Shows messages and reads lines."""

    async def show(self, text: str, /) -> None:
        """Show a line."""
        ...

    def typed(self) -> AsyncIterator[str]:
        """Iterate over the lines that are typed."""
        ...


class PlainScreen:
    """Lines to standard output and from standard input, as they are."""

    def __init__(self, output: Output) -> None:
        self._output = output

    async def show(self, text: str) -> None:
        """Show a line."""
        await self._output.write(text.encode("utf-8", "backslashreplace") + b"\n")

    def typed(self) -> AsyncIterator[str]:
        """Iterate over the lines of standard input."""
        return lines()


class Editor:
    """A line editor on the terminal.

    Args:
        session: prompt_toolkit's.
        show: prints a line above the one that is being typed.
    """

    def __init__(self, session: Any, show: Callable[[str], object]) -> None:
        self._session = session
        self._show = show

    async def show(self, text: str) -> None:
        """Show a line above the one that is being typed."""
        self._show(text)
        await asyncio.sleep(0)

    async def typed(self) -> AsyncIterator[str]:
        """Iterate over the lines that are typed, until Ctrl-D."""
        while True:
            try:
                line: str = await self._session.prompt_async(handle_sigint=False)
            except EOFError:
                return
            except KeyboardInterrupt:  # a key here, and no signal
                signal.raise_signal(signal.SIGINT)
                await asyncio.sleep(0)
                continue
            yield line


def is_interactive() -> bool:
    """Return whether somebody types, and sees the answers."""
    return os.isatty(0) and os.isatty(1)


@contextmanager
def _line_editor(prompt: str, history_file: str | None) -> Iterator[Editor]:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.history import FileHistory, InMemoryHistory
    from prompt_toolkit.patch_stdout import patch_stdout

    history = FileHistory(history_file) if history_file else InMemoryHistory()
    session: PromptSession[str] = PromptSession(prompt, history=history)
    # Between two lines, too: the terminal would take Ctrl-D and Ctrl-C for itself there.
    with session.input.raw_mode(), patch_stdout():
        yield Editor(session, lambda text: print(text, flush=True))


def line_editor(
    prompt: str, history_file: str | None, say: Callable[[str], None]
) -> AbstractContextManager[Editor] | None:
    """Return a line editor, to be entered; None, and a word about it, without prompt_toolkit.

    Args:
        prompt: before each line.
        history_file: where lines are kept; None to forget them at the end.
        say: tells the user.
    """
    try:
        import prompt_toolkit  # noqa: F401
    except ModuleNotFoundError:
        say(_HINT)
        return None
    return _line_editor(prompt, history_file)
