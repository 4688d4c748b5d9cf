"""Lines for people, best effort: a server never waits for a reader.

If the disk is full, the pipe or descriptor closed, or the reader has stopped reading, the line is
lost, and nothing else.
"""

from __future__ import annotations

import contextlib
import select
import sys
from typing import TextIO

__all__ = ["say"]

#: A pipe that is writable takes this much without blocking (PIPE_BUF, POSIX and Linux: at least
#: 512, here 4096), in characters of at most four octets.
_PIECE = 1024


def say(line: str, stream: TextIO | None = None) -> None:
    """Write a line to a stream, standard error by default, if that is possible at once."""
    target = stream or sys.stderr
    if target is None:  # descriptor 2 was closed when Python started
        return
    text = f"{line}\n"
    # ValueError: the stream is closed, or cannot encode the text.
    with contextlib.suppress(OSError, ValueError):
        for start in range(0, len(text), _PIECE):
            if not _takes_more(target):
                return
            target.write(text[start : start + _PIECE])
            target.flush()


def _takes_more(stream: TextIO) -> bool:
    """Tell whether a write would not block; one to a stream without a descriptor never does."""
    try:
        number = stream.fileno()
    except (OSError, ValueError, AttributeError):
        return True
    if not hasattr(select, "poll"):  # Windows
        return True
    poller = select.poll()
    poller.register(number, select.POLLOUT)
    return bool(poller.poll(0))
