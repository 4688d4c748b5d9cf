"""Reads zone text: regular files or standard input, and included files."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

from pierhead.errors import UsageError
from pierhead.files import RefusedFile, read_below, read_file

__all__ = ["STANDARD_INPUT", "include_file", "read_zone_text"]

#: The name of standard input in faults.
STANDARD_INPUT = "standard input"

#: What was read from standard input, and from which one: it can be read only once, but a reload
#: reads again.
_taken: tuple[object, bytes] | None = None


def read_zone_text(path: Path | None, at_most: int) -> bytes:
    """Return the content of a zone file; None reads standard input.

    Raises:
        UsageError: why it cannot be read, and what to do.
    """
    try:
        return _standard_input(at_most) if path is None else read_file(path, at_most)
    except (OSError, ValueError) as error:
        raise UsageError(_reason(error, at_most)) from None


def _standard_input(at_most: int) -> bytes:
    global _taken
    if sys.stdin is None:
        raise RefusedFile(errno.EBADF, "it is closed")
    if _taken is None or _taken[0] is not sys.stdin:
        text = sys.stdin.buffer.read(at_most + 1)
        if len(text) > at_most:
            raise RefusedFile(errno.EFBIG, f"it is longer than {at_most} octets")
        _taken = sys.stdin, text
    return _taken[1]


def _reason(error: OSError | ValueError, at_most: int) -> str:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    told = f"cannot be read: {reason}"
    if isinstance(error, RefusedFile):
        if error.errno == errno.EINVAL:
            told += "; to read a program's output, use standard input: give - as the file"
        elif error.errno == errno.EFBIG:
            told += f" (zone_octets={at_most})"
    elif isinstance(error, OSError) and error.errno == errno.EACCES and hasattr(os, "geteuid"):
        told += f"; the user with number {os.geteuid()} needs permission to"
    return told


def include_file(base: Path | None, path: str, allowed: tuple[Path, ...], at_most: int) -> bytes:
    """Return the content of a file named by $INCLUDE, relative to the zone's directory.

    Args:
        base: the zone's file; None for standard input, which has no directory.
        path: as written.
        allowed: directories besides the zone's own that it may be in.
        at_most: the limit in octets.

    Error messages omit the directory: the fault names the path as written.

    Raises:
        UsageError: it is outside those directories, or cannot be read.
    """
    try:
        own = () if base is None else (base.parent.resolve(),)
        # The location after resolving every symbolic link is what counts.
        found = ((own[0] if own else Path.cwd()) / path).resolve(strict=True)
        for folder in (*own, *(other.resolve() for other in allowed)):
            if found.is_relative_to(folder) and found != folder:
                return read_below(str(folder), found.relative_to(folder).parts, at_most)
        raise UsageError(_elsewhere(base))
    except RuntimeError:  # pathlib's for ELOOP, before Python 3.13
        raise UsageError("its symbolic links form a loop") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UsageError("its symbolic links form a loop") from None
        raise UsageError(error.strerror or str(error)) from None


def _elsewhere(base: Path | None) -> str:
    what = (
        "standard input has no directory to include from"
        if base is None
        else "it leads out of the zone's directory"
    )
    return f"{what}; --include-dir DIR allows another (include_dirs= in a program)"
