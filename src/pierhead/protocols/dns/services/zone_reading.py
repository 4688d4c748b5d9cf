"""Reading the text of zones: regular files or standard input, and the files that they include."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

from pierhead.errors import UsageError
from pierhead.files import RefusedFile, read_below, read_file

__all__ = ["STANDARD_INPUT", "include_file", "read_zone_text"]

#: How standard input is called in faults.
STANDARD_INPUT = "standard input"

#: What was read from standard input, and from which: it can be read once, a reload reads again.
_taken: tuple[object, bytes] | None = None


def read_zone_text(path: Path | None, at_most: int) -> bytes:
    """Return the content of a zone file; of standard input for None.

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
            told += "; what a program writes can come from standard input: give - as the file"
        elif error.errno == errno.EFBIG:
            told += f" (zone_octets={at_most})"
    elif isinstance(error, OSError) and error.errno == errno.EACCES and hasattr(os, "geteuid"):
        told += f"; the user with number {os.geteuid()} needs the right to"
    return told


def include_file(base: Path | None, path: str, allowed: tuple[Path, ...], at_most: int) -> bytes:
    """Return the content of a file that $INCLUDE names, relative to the zone's folder.

    Args:
        base: the zone's file; None for standard input, which has no folder.
        path: as written.
        allowed: folders besides the zone's own that it may be in.
        at_most: so many octets.

    What goes wrong is said without the folder: the fault names the path as written.

    Raises:
        UsageError: it leads elsewhere, or cannot be read.
    """
    try:
        own = () if base is None else (base.parent.resolve(),)
        # Where it is after every symbolic link is what counts.
        found = ((own[0] if own else Path.cwd()) / path).resolve(strict=True)
        for folder in (*own, *(other.resolve() for other in allowed)):
            if found.is_relative_to(folder) and found != folder:
                return read_below(str(folder), found.relative_to(folder).parts, at_most)
        raise UsageError(_elsewhere(base))
    except RuntimeError:  # pathlib's for ELOOP, before Python 3.13
        raise UsageError("its symbolic links go round in a circle") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UsageError("its symbolic links go round in a circle") from None
        raise UsageError(error.strerror or str(error)) from None


def _elsewhere(base: Path | None) -> str:
    what = (
        "standard input has no folder to include from"
        if base is None
        else "it leads out of the zone's folder"
    )
    return f"{what}; --include-dir FOLDER allows one (include_dirs= from a program)"
