"""The place of a Unix socket in the file system: taken safely, given back only if still ours.

A socket stays behind when its server dies, and bind() refuses while it is there. Removing it
must not hit a live server, another kind of file, or a successor's socket:

- a lock file beside the socket, held with flock, keeps two Pierhead servers apart; the system
  drops the lock with the process, so it is never stale;
- other programs' servers are found by connecting;
- only a socket is ever removed, and at the end only the very one that was bound.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import sys

from pierhead.errors import ListenError
from pierhead.listener.fault import unix_refused

if sys.platform != "win32":
    import fcntl

__all__ = ["ClaimedPath"]

_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a directory",
    stat.S_IFREG: "a plain file",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

_TYPES = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET)


class ClaimedPath:
    """A path that nobody else serves; `claim` makes one."""

    def __init__(self, path: bytes, lock: int) -> None:
        self.path = path
        # What release() goes by: the working directory may have changed until then.
        self._absolute = os.path.abspath(path)
        self._lock: int | None = lock
        self._process = os.getpid()
        self._ours: tuple[int, int] | None = None

    @classmethod
    def claim(cls, address: str, path: bytes, kind: socket.SocketKind, unlink: str) -> ClaimedPath:
        """Lock the path and clear a dead socket out of the way.

        Args:
            address: for messages.
            unlink: ``stale`` removes a socket that nobody serves; ``always`` one of which it
                cannot be told as well; ``never`` none. A served socket is never removed.

        Raises:
            ListenError: the path is in use, or is no socket's.
        """
        claimed = cls(path, _lock(address, path))
        try:
            _clear(address, path, kind, unlink)
        except BaseException as error:
            claimed.release()
            if isinstance(error, OSError):
                raise unix_refused(address, "unlink", error, path) from error
            raise
        return claimed

    def taken(self) -> None:
        """Remember the socket that has just been bound here."""
        found = os.lstat(self._absolute)
        self._ours = found.st_dev, found.st_ino

    def release(self) -> None:
        """Remove the socket if it is still the one that was bound, then the lock.

        In a process that was forked off since, both stay: they are its parent's.
        """
        if self._lock is None:
            return
        lock, self._lock = self._lock, None
        try:
            if self._process == os.getpid():
                self._remove()
        finally:
            os.close(lock)

    def _remove(self) -> None:
        if self._is_ours():
            os.unlink(self._absolute)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_lock_path(self._absolute))

    def _is_ours(self) -> bool:
        try:
            found = os.lstat(self._absolute)
        except FileNotFoundError:  # somebody cleared the directory
            return False
        return (found.st_dev, found.st_ino) == self._ours


def _lock_path(path: bytes) -> bytes:
    return path + b".lock"


def _lock(address: str, path: bytes) -> int:
    name = _lock_path(path)
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    while True:
        try:
            lock = os.open(name, flags, 0o600)
        except OSError as error:
            raise unix_refused(address, "lock", error, path) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The last holder may have removed the file between our open and our lock; a lock
            # on a file that has no name keeps nobody out.
            named = os.stat(name, follow_symlinks=False)
            if os.path.samestat(os.fstat(lock), named):
                return lock
        except BlockingIOError:
            os.close(lock)
            raise _in_use(address, "lock", "another server of this kind serves it") from None
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)


def _clear(address: str, path: bytes, kind: socket.SocketKind, unlink: str) -> None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        what = _KINDS.get(stat.S_IFMT(found.st_mode), "something else than a socket")
        raise ListenError(
            address,
            "bind",
            f"{what} stands at {os.fsdecode(path)}",
            "it is left alone: move it away, or choose another path",
            errno.EADDRINUSE,
        )
    if unlink == "never":
        remedy = "remove it, or allow that with unlink=stale"
        raise ListenError(address, "bind", "a socket is there", remedy, errno.EADDRINUSE)
    problem = _probe(path, kind)
    if problem == errno.ECONNREFUSED or (
        problem and problem != errno.EAGAIN and unlink == "always"
    ):
        os.unlink(path)
    elif problem in (0, errno.EAGAIN):  # EAGAIN: it lives, and its backlog is full
        raise _in_use(address, "bind", "another program serves it")
    elif problem is not None:
        raise ListenError(
            address,
            "bind",
            f"a socket is there, and it cannot be told whether it is served: "
            f"{os.strerror(problem)} ({errno.errorcode.get(problem, problem)})",
            "remove it if it is not, or say unlink=always",
            errno.EADDRINUSE,
        )


def _probe(path: bytes, kind: socket.SocketKind) -> int | None:
    """Return the error number of a connection to a socket; None when it has gone meanwhile.

    EPROTOTYPE says that the socket is of another type, and nothing of who serves it: then the
    other types are tried.
    """
    problem = errno.EPROTOTYPE
    for one in (kind, *(other for other in _TYPES if other != kind)):
        try:
            probe = socket.socket(socket.AF_UNIX, one)
        except OSError:  # macOS has no seqpacket: nor is the socket of that type
            continue
        with probe:
            probe.setblocking(False)
            problem = probe.connect_ex(path)
        if problem != errno.EPROTOTYPE:
            break
    return None if problem == errno.ENOENT else problem


def _in_use(address: str, step: str, reason: str) -> ListenError:
    remedy = "stop it first, or choose another path"
    return ListenError(address, step, reason, remedy, errno.EADDRINUSE)
