"""Reading files that the user names: regular files only, up to a maximum size.

A path may lead through symbolic links: certbot's certificates and the mounted folders of Kubernetes
consist of them. A pipe, a device or a socket is refused before it can block or never end; the check
is made on the descriptor that is then read.
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
#: Opening a pipe without a writer does not block, and a terminal does not become the controlling
#: one.
_READ = os.O_RDONLY | _CLOEXEC | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
_READ |= getattr(os, "O_BINARY", 0)
_PIECE = 1 << 20


class RefusedFile(OSError):
    """A file that is refused, though the system would read it, because of its type or size."""


def kind_of(found: os.stat_result) -> str:
    """Return the type of a file in words: "a plain file"."""
    return _KINDS.get(stat.S_IFMT(found.st_mode), "something else")


def read_file(path: str | bytes | os.PathLike[str], at_most: int) -> bytes:
    """Return the content of a regular file.

    Args:
        path: may lead through symbolic links.
        at_most: the maximum size in octets; a larger file is refused before it is read.

    Raises:
        RefusedFile: it is not a regular file, or it is too large.
        OSError: the system refuses.
    """
    _check_kind(os.stat(path))  # opening a device may have side effects: check first
    descriptor = os.open(path, _READ)
    try:
        return read_open(descriptor, at_most)
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Exposure:
    """A secret that users other than its owner can read or change.

    Attributes:
        text: who can, and the mode that allows it.
        remedy: the shell command that fixes it.
    """

    text: str
    remedy: str


def read_secret(
    path: str | bytes | os.PathLike[str], at_most: int
) -> tuple[bytes, Exposure | None]:
    """Return the content of a file and who can read it but should not; None if nobody can.

    Only the owner may read a secret; if the owner is root, so may the file's group: this is how
    Debian keeps keys for the group ``ssl-cert``, and PostgreSQL accepts it. Access control lists
    are not checked. On Windows modes mean nothing, and the answer is None.

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
    # A user who reads it by the permission that is removed has to become its owner.
    owned = "" if reader in (0, found.st_uid) else f"chown {reader} {name} && "
    mode_then = 0o600 if owned or extra & 0o006 else kept
    return Exposure(f"{who} (mode {mode:04o})", f"{owned}chmod {mode_then:03o} {name}")


def read_below(folder: str, parts: tuple[str, ...], at_most: int) -> bytes:
    """Return the content of a regular file below a folder without following links inside it.

    Args:
        folder: may lead through symbolic links.
        parts: the path below it, already resolved by the caller: no links, no ``..``.
        at_most: as for `read_file`.

    Raises:
        RefusedFile: as by `read_file`.
        OSError: the system refuses; ELOOP or ENOTDIR if a link has been put in meanwhile.
    """
    if os.open not in os.supports_dir_fd:  # Windows, where creating links requires a privilege
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
    """Return the content of the regular file behind a descriptor, which stays open.

    Raises:
        RefusedFile: it is not a regular file, or larger than ``at_most`` octets.
    """
    found = os.fstat(descriptor)
    _check_kind(found)
    _check_size(found.st_size, at_most)
    pieces, size = [], 0
    while piece := os.read(descriptor, min(_PIECE, at_most + 1 - size)):
        pieces.append(piece)
        size += len(piece)
        _check_size(size, at_most)  # it grows while it is read, or reports a wrong size (/proc)
    return b"".join(pieces)


def _check_kind(found: os.stat_result) -> None:
    if stat.S_ISREG(found.st_mode):
        return
    number = errno.EISDIR if stat.S_ISDIR(found.st_mode) else errno.EINVAL
    raise RefusedFile(number, f"it is {kind_of(found)}, expected a regular file")


def _check_size(size: int, at_most: int) -> None:
    if size > at_most:
        raise RefusedFile(errno.EFBIG, f"it has {size} octets or more, at most {at_most} are read")
