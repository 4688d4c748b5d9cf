"""Files and folders, as they are on disk.

A file is looked at and opened in threads, read in pieces, and sent as far as it was when it was
looked at; it is open only while it is sent. What is asked for never leaves its folder: not by
``..``, in whatever encoding, and not by a symbolic link.
"""

from __future__ import annotations

import asyncio
import errno
import mimetypes
import os
import stat
from functools import partial
from urllib.parse import quote

from pierhead.clock import Clock, SystemClock
from pierhead.errors import PierheadError, UsageError
from pierhead.protocols.http.filters.conditions import (
    Validators,
    failed_condition,
    is_range_current,
)
from pierhead.protocols.http.filters.file_content import Content, nothing, parts_of
from pierhead.protocols.http.filters.filter import Filter
from pierhead.protocols.http.filters.head import get, request
from pierhead.protocols.http.filters.path import tail
from pierhead.protocols.http.filters.ranges import wanted_ranges
from pierhead.protocols.http.filters.rejection import Rejected, Stage
from pierhead.protocols.http.wire import Body, Request, Response

__all__ = ["file", "files"]

#: What says that there is no such file, or none for us.
_MISSING = frozenset(
    (
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EACCES,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.EINVAL,
        errno.ENXIO,
        errno.ENODEV,
    )
)

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

#: Those that some versions of Python do not know.
_MORE_TYPES = {
    ".avif": "image/avif",
    ".js": "text/javascript",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}

#: A file that was changed so recently may change again without a new time (RFC 9110 §8.8.1).
_SETTLED_NS = 1_000_000_000


def files(
    folder: str | os.PathLike[str],
    *,
    index: str = "index.html",
    cache_control: str | None = None,
    clock: Clock | None = None,
) -> Filter[Response]:
    """Answer GET and HEAD with the files of a folder; the path from here on names the file.

        http.files("static/")
        http.path("assets") & http.files("static/", cache_control="max-age=3600")

    Names that begin with a dot are not served, nor is anything that a symbolic link has outside the
    folder. A folder is answered by its index file. A request may ask for ranges, and on conditions.

    Args:
        folder: the folder; it must exist.
        index: the name of the index files; "" for none.
        cache_control: the field of this name.
        clock: tells how recently a file has changed; None for the machine's.

    Raises:
        UsageError: it is not a folder.
    """
    root = os.path.realpath(folder)
    if not os.path.isdir(root):
        raise UsageError(f"{os.fspath(folder)!r} is not a folder; create it, or name another")
    sender = _Sender(cache_control, clock or SystemClock())

    async def send(segments: tuple[str, ...], asked: Request) -> Response:
        name, is_folder = _named(segments)
        path = os.path.join(root, *name)
        if is_folder:
            if not index:
                raise _missing()
            path = os.path.join(path, index)
        try:
            return await sender.send(root, path, asked)
        except IsADirectoryError:
            if is_folder or not index:
                raise _missing() from None
        # Links within the page are relative to the folder only if its path ends with a slash.
        place = f"./{quote(name[-1].encode('utf-8', 'surrogateescape'), safe='')}/"
        return Response(308, fields=(("Location", place),))

    return (tail() & get() & request()).then(send)


def file(
    path: str | os.PathLike[str],
    *,
    cache_control: str | None = None,
    clock: Clock | None = None,
) -> Filter[Response]:
    """Answer GET and HEAD with one file, which may come and go while others are served."""
    whole = os.path.abspath(path)
    sender = _Sender(cache_control, clock or SystemClock())

    async def send(asked: Request) -> Response:
        try:
            return await sender.send(None, whole, asked)
        except IsADirectoryError:
            raise _missing() from None

    return (get() & request()).then(send)


def _named(segments: tuple[str, ...]) -> tuple[list[str], bool]:
    """Return the names that a path has, and whether it ends with a slash."""
    is_folder = not segments or segments[-1] == ""
    names = list(segments[:-1] if segments and is_folder else segments)
    for name in names:
        # Also what other systems take for separators, drives and streams.
        if not name or name.startswith(".") or not {"/", "\\", ":", "\0"}.isdisjoint(name):
            raise _missing()
    return names, is_folder


def _missing() -> Rejected:
    # No better than an unknown path: another alternative may know it, and say more.
    return Rejected(404, "there is no such file", stage=Stage.PATH)


class _Sender:
    """Sends files with the same fields."""

    def __init__(self, cache_control: str | None, clock: Clock) -> None:
        self._clock = clock
        # Only the types that Python knows: those of a machine differ.
        self._types = mimetypes.MimeTypes()
        for ending, media in _MORE_TYPES.items():
            self._types.add_type(media, ending)
        fields = [("X-Content-Type-Options", "nosniff"), ("Accept-Ranges", "bytes")]
        if cache_control is not None:
            fields.append(("Cache-Control", cache_control))
        self._fields = tuple(fields)

    async def send(self, root: str | None, path: str, asked: Request) -> Response:
        """Return the response to a request for this file.

        Raises:
            Rejected: there is none.
            IsADirectoryError: it is a folder.
        """
        try:
            found = await asyncio.to_thread(_look, root, path)
        except OSError as error:
            if isinstance(error, IsADirectoryError) or error.errno not in _MISSING:
                raise
            raise _missing() from None
        size = found.st_size
        current = self._validators(found)
        fields = (*current.fields(), *self._fields)
        if (status := failed_condition(asked.fields, current)) is not None:
            if status == 412:
                raise Rejected(412, "the file is another one by now", fields=fields[:2])
            return Response(304, fields=fields)
        ranges = None
        if asked.method == "GET" and is_range_current(asked.fields, current):
            ranges = wanted_ranges(asked.fields.get("range"), size)
        if ranges == []:
            unsatisfied = ("Content-Range", f"bytes */{size}")
            raise Rejected(416, f"the file has {size} octets", fields=[unsatisfied])
        media = self._media_type(path)
        if asked.method == "HEAD":
            return Response(200, Body(nothing(), size), fields, content_type=media)
        content = Content(partial(_open_again, root, path, found))
        if ranges is None:
            body = Body(content.only(range(size)), size)
            return Response(200, body, fields, content_type=media)
        return parts_of(content, ranges, size, media, fields)

    def _validators(self, found: os.stat_result) -> Validators:
        modified_ns = found.st_mtime_ns
        tag = f'"{modified_ns:x}-{found.st_size:x}-{found.st_ino:x}"'
        age = self._clock.wall() * 1e9 - modified_ns
        return Validators(tag if age > _SETTLED_NS else f"W/{tag}", modified_ns // 10**9)

    def _media_type(self, path: str) -> str:
        media, coding = self._types.guess_type(path)
        if coding is not None:  # an archive, which is to arrive as it is
            return f"application/{coding}" if coding == "gzip" else f"application/x-{coding}"
        if media is None:
            return "application/octet-stream"
        return f"{media}; charset=utf-8" if media.startswith("text/") else media


def _look(root: str | None, path: str) -> os.stat_result:
    """Return what a file is that can be opened; close it again, until its turn to be sent."""
    descriptor, found = _open(root, path)
    os.close(descriptor)
    return found


def _open_again(root: str | None, path: str, before: os.stat_result) -> int:
    """Open the file that was looked at."""
    descriptor, found = _open(root, path)
    if os.path.samestat(found, before):
        return descriptor
    os.close(descriptor)
    raise PierheadError(
        f"{path} was replaced before it was sent, expected the file that its head describes; "
        "nothing to mend: its client asks again"
    )


def _open(root: str | None, path: str) -> tuple[int, os.stat_result]:
    """Open a regular file that is, links followed, below the root."""
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        if root is not None:
            _check_inside(root, path)
        raise IsADirectoryError(errno.EISDIR, "a folder", path)
    if not stat.S_ISREG(mode):  # to open a device may already do something
        raise FileNotFoundError(errno.ENOENT, "not a regular file", path)
    descriptor = os.open(path, _FLAGS)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise FileNotFoundError(errno.ENOENT, "not a regular file", path)
        if root is not None:
            real = _check_inside(root, path)
            # Between opening and looking, a link may have been put in its place.
            if not os.path.samestat(found, os.lstat(real)):
                raise FileNotFoundError(errno.ENOENT, "replaced", path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, found


def _check_inside(root: str, path: str) -> str:
    real = os.path.realpath(path)
    if os.path.commonpath((root, real)) != root:
        raise FileNotFoundError(errno.ENOENT, "outside of the folder", path)
    return real
