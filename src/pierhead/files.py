"""Reading files that are named to us: regular files alone, up to a bound.

What is only read may be reached through links: the certificates of certbot and the mounted
folders of Kubernetes are made of them. A pipe, a device or a socket is refused before it can
block or go on for ever; the check is made of the descriptor that is read from.
"""

from __future__ import annotations

import errno
import os
import shlex
import stat
from dataclasses import dataclass

__all__ = [
    "Exposure",
    "RefusedFile",
    "kind_of",
    "read_below",
    "read_file",
    "read_open",
    "read_secret",
]

_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a directory",
    stat.S_IFREG: "a plain file",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}

_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
#: A pipe without a writer is opened at once, and a terminal does not become ours.
_READ = os.O_RDONLY | _CLOEXEC | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
_READ |= getattr(os, "O_BINARY", 0)
_PIECE = 1 << 20


class RefusedFile(OSError):
    """A file that is not read although the system would: its kind or its size."""


def kind_of(found: os.stat_result) -> str:
    """Say what a file is: "a plain file"."""
    return _KINDS.get(stat.S_IFMT(found.st_mode), "something else")


def read_file(path: str | bytes | os.PathLike[str], at_most: int) -> bytes:
    """Return the content of a regular file.

    Args:
        path: may lead through symbolic links.
        at_most: so many octets; a larger file is refused before it is read.

    Raises:
        RefusedFile: it is no regular file, or it is too large.
        OSError: the system refuses.
    """
    _check_kind(os.stat(path))  # opening a device may do something: look before
    descriptor = os.open(path, _READ)
    try:
        return read_open(descriptor, at_most)
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Exposure:
    """That others than its owner may read a secret, or change it.

    Attributes:
        text: who may, and the mode that lets them.
        remedy: the command that ends it, for a shell.
    """

    text: str
    remedy: str


def read_secret(
    path: str | bytes | os.PathLike[str], at_most: int
) -> tuple[bytes, Exposure | None]:
    """Return the content of a file, and who may read it that should not; None for nobody.

    A secret is for its owner alone; where the owner is root, for the file's group as well: so
    Debian keeps keys for the group ``ssl-cert``, and PostgreSQL takes them. Access lists are not
    looked at. On Windows modes say nothing, and the answer is None.

    Raises:
        RefusedFile: as by `read_file`.
        OSError: the system refuses.
    """
    _check_kind(os.stat(path))
    descriptor = os.open(path, _READ)
    try:
        return read_open(descriptor, at_most), _exposure(path, os.fstat(descriptor))
    finally:
        os.close(descriptor)


def _exposure(path: str | bytes | os.PathLike[str], found: os.stat_result) -> Exposure | None:
    if os.name == "nt":
        return None
    mode = stat.S_IMODE(found.st_mode)
    kept = mode & (0o750 if found.st_uid == 0 else 0o700)
    kept &= ~stat.S_IWGRP
    extra = mode & ~kept & 0o066
    if not extra:
        return None
    who = "everybody" if extra & 0o006 else f"the group with number {found.st_gid}"
    name, reader = shlex.quote(os.fsdecode(path)), os.geteuid()
    # Who reads it by the right that is taken away has to become its owner.
    owned = "" if reader in (0, found.st_uid) else f"chown {reader} {name} && "
    mode_then = 0o600 if owned or extra & 0o006 else kept
    return Exposure(f"{who} (mode {mode:04o})", f"{owned}chmod {mode_then:03o} {name}")


def read_below(folder: str, parts: tuple[str, ...], at_most: int) -> bytes:
    """Return the content of a regular file below a folder, without following a link there.

    Args:
        folder: may lead through links.
        parts: the way down, resolved by the caller: no links, no ``..``.
        at_most: as for `read_file`.

    Raises:
        RefusedFile: as by `read_file`.
        OSError: the system refuses; ELOOP or ENOTDIR where a link was put in meanwhile.
    """
    if os.open not in os.supports_dir_fd:  # Windows, where links take a privilege to make
        return read_file(os.path.join(folder, *parts), at_most)
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | _CLOEXEC)
    try:
        for part in parts[:-1]:
            flags = os.O_RDONLY | os.O_DIRECTORY | _CLOEXEC | _NOFOLLOW
            below = os.open(part, flags, dir_fd=at)
            os.close(at)
            at = below
        _check_kind(os.stat(parts[-1], dir_fd=at, follow_symlinks=False))
        descriptor = os.open(parts[-1], _READ | _NOFOLLOW, dir_fd=at)
        try:
            return read_open(descriptor, at_most)
        finally:
            os.close(descriptor)
    finally:
        os.close(at)


def read_open(descriptor: int, at_most: int) -> bytes:
    """Return what a descriptor of a regular file gives; it stays open.

    Raises:
        RefusedFile: it is no regular file, or larger than ``at_most`` octets.
    """
    found = os.fstat(descriptor)
    _check_kind(found)
    _check_size(found.st_size, at_most)
    pieces, size = [], 0
    while piece := os.read(descriptor, min(_PIECE, at_most + 1 - size)):
        pieces.append(piece)
        size += len(piece)
        _check_size(size, at_most)  # it grows while it is read, or lies about its size (/proc)
    return b"".join(pieces)


def _check_kind(found: os.stat_result) -> None:
    if stat.S_ISREG(found.st_mode):
        return
    number = errno.EISDIR if stat.S_ISDIR(found.st_mode) else errno.EINVAL
    raise RefusedFile(number, f"it is {kind_of(found)}, expected a regular file")


def _check_size(size: int, at_most: int) -> None:
    if size > at_most:
        raise RefusedFile(errno.EFBIG, f"it has {size} octets or more, at most {at_most} are read")
