"""The path of a Unix socket: taken safely, and removed only if still ours.

A socket file outlives a server that dies, and bind() fails while it exists. Removing it must not
hit a live server, another kind of file, or a successor's socket:

- a lock file beside the socket, held with flock, excludes other Pierhead servers; the system
    releases the lock with the process, so it is never stale;
- other programs' servers are detected by connecting;
- only a socket is ever removed, and at the end only the one that was bound;
- the lock file must be ours and empty, and no path is ever followed through a link.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import stat
import sys

from pierhead.errors import ListenError
from pierhead.files import kind_of
from pierhead.listener.os_errors import unix_refused
from pierhead.net.place import Place

if sys.platform != "win32":
    import fcntl

__all__ = ["LockedPath"]

_log = logging.getLogger("pierhead.listener")

_LOCK = b".lock"

_TYPES = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET)


class LockedPath:
    """A path that no other server uses; created by `lock`."""

    def __init__(self, address: str, path: bytes, place: Place, lock: int) -> None:
        self.path = path
        self._address = address
        # Held open until release(): the working directory may have changed until then.
        self._place = place
        self._lock: int | None = lock
        self._process = os.getpid()

    @classmethod
    def lock(cls, address: str, path: bytes, kind: socket.SocketKind, unlink: str) -> LockedPath:
        """Lock the path and remove a stale socket.

        Args:
            address: for messages.
            unlink: ``stale`` removes a socket that no program serves; ``always`` also one whose
                state is unknown; ``never`` none. A served socket is never removed.

        Raises:
            ListenError: the path is in use, or is not a socket.
        """
        try:
            place = Place(path)
        except OSError as error:
            raise unix_refused(address, "lock", error, path) from error
        try:
            locked = cls(address, path, place, _lock(address, path, place))
        except BaseException:
            place.close()
            raise
        try:
            try:
                _clear(address, path, place, kind, unlink)
            finally:
                place.forget()  # release() must not mistake an existing socket for ours
            _warn_of_folder(address, place)
        except BaseException as error:
            locked.release()
            if isinstance(error, OSError):
                raise unix_refused(address, "unlink", error, path) from error
            raise
        return locked

    def taken(self) -> None:
        """Record the socket that has just been bound here.

        Raises:
            ListenError: something else is here.
        """
        found = self._place.pin()
        if found is None or not stat.S_ISSOCK(found.st_mode):
            self._place.forget()
            raise self._replaced("nothing" if found is None else kind_of(found))

    def permit(self, mode: int | None, user: int, group: int) -> None:
        """Set the owner and group (-1: unchanged) and the mode of the bound socket."""
        if user == group == -1 and mode is None:
            return
        found = self._place.pinned()
        # A link to another socket of ours, put here meanwhile, must not become accessible to
        # others.
        if found is None or found.st_nlink > 1:
            raise self._replaced("nothing" if found is None else "a hard link to a socket")
        if user != -1 or group != -1:
            self._place.give(user, group)
        if mode is not None:
            self._place.set_mode(mode)  # restore what the umask removed

    def _replaced(self, what: str) -> ListenError:
        reason = f"the socket was replaced as soon as it was bound: {what} is in its place"
        remedy = "choose a folder that only its owner may write to"
        return ListenError(self._address, "bind", reason, remedy)

    def release(self) -> None:
        """Remove the socket and then the lock, each only if it is still the one that was created.

        In a forked child process both stay: they belong to its parent.
        """
        if self._lock is None:
            return
        lock, self._lock = self._lock, None
        try:
            if self._process == os.getpid():
                self._place.remove()
                self._remove_lock(os.fstat(lock))
        finally:
            os.close(lock)
            self._place.close()

    def _remove_lock(self, ours: os.stat_result) -> None:
        # Content written to it since is not ours to delete.
        if ours.st_size == 0:
            self._place.remove_if(_LOCK, ours)


def _lock(address: str, path: bytes, place: Place) -> int:
    while True:
        lock = _open_lock(address, path, place)
        try:
            _check_lock(address, path, os.fstat(lock))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The last holder may have removed the file between our open and our lock; a lock on a
            # file without a name excludes no one.
            named = place.look(_LOCK)
            if named is not None and os.path.samestat(os.fstat(lock), named):
                return lock
        except BlockingIOError:
            os.close(lock)
            raise _in_use(address, "lock", "another server of this kind serves it") from None
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)


def _open_lock(address: str, path: bytes, place: Place) -> int:
    # O_NONBLOCK: a pipe or a device must not block the open. O_CREAT alone would be refused for
    # another user's file in /tmp (fs.protected_regular).
    flags = os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY
    try:
        try:
            return place.open(_LOCK, flags | os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            found = place.look(_LOCK)
            if found is not None:
                _check_lock(address, path, found)
            return place.open(_LOCK, flags | os.O_CREAT)
    except OSError as error:
        found = place.look(_LOCK) if error.errno == errno.EACCES else None
        if found is None:
            raise unix_refused(address, "lock", error, path) from error
        _check_lock(address, path, found)
        name = os.fsdecode(path + _LOCK)
        reason = f"the lock file {name} may not be opened: {stat.filemode(found.st_mode)}"
        remedy = f"let its owner write to it, chmod u+rw {name}; or choose another path"
        raise ListenError(address, "lock", reason, remedy, error.errno) from error


def _check_lock(address: str, path: bytes, found: os.stat_result) -> None:
    """Refuse a lock file that is not ours, before it is opened and again after."""
    name = os.fsdecode(path + _LOCK)
    if not stat.S_ISREG(found.st_mode):
        reason = f"{kind_of(found)} is at {name}, where the lock file belongs"
    elif found.st_uid != os.geteuid():
        reason = (
            f"the lock file {name} belongs to user {found.st_uid}, "
            f"and this server runs as user {os.geteuid()}"
        )
    elif found.st_size:
        reason = f"{name} is not a lock file: it contains {found.st_size} octets"
    elif found.st_nlink > 1:
        reason = f"the lock file {name} has another name as well (a hard link)"
    else:
        return
    remedy = "it is left alone: move it away if no server uses it, or choose another path"
    raise ListenError(address, "lock", reason, remedy, errno.EADDRINUSE)


def _warn_of_folder(address: str, place: Place) -> None:
    mode = place.folder().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        _log.warning(
            "%s: any user may write to the folder of this socket, and so replace it; choose "
            "another folder, or revoke that: chmod o-w",
            address,
        )


def _clear(address: str, path: bytes, place: Place, kind: socket.SocketKind, unlink: str) -> None:
    found = place.pin()
    if found is None:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise ListenError(
            address,
            "bind",
            f"{kind_of(found)} is at {os.fsdecode(path)}",
            "it is left alone: move it away, or choose another path",
            errno.EADDRINUSE,
        )
    if unlink == "never":
        remedy = "remove it, or allow that with unlink=stale"
        raise ListenError(address, "bind", "there is a socket", remedy, errno.EADDRINUSE)
    problem = _probe(path, kind)
    if problem == errno.ECONNREFUSED or (
        problem and problem != errno.EAGAIN and unlink == "always"
    ):
        place.remove()
    elif problem in (0, errno.EAGAIN):  # EAGAIN: it lives, and its backlog is full
        raise _in_use(address, "bind", "another program serves it")
    elif problem is not None:
        raise ListenError(
            address,
            "bind",
            f"there is a socket, and it is unknown whether it is served: "
            f"{os.strerror(problem)} ({errno.errorcode.get(problem, problem)})",
            "remove it if it is not, or say unlink=always",
            errno.EADDRINUSE,
        )


def _probe(path: bytes, kind: socket.SocketKind) -> int | None:
    """Return the error number of connecting to a socket; None if it has gone meanwhile.

    EPROTOTYPE means that the socket is of another type, not whether it is served: then the other
    types are tried.
    """
    problem = errno.EPROTOTYPE
    for one in (kind, *(other for other in _TYPES if other != kind)):
        try:
            probe = socket.socket(socket.AF_UNIX, one)
        except OSError:  # macOS has no seqpacket, so the socket is not of that type
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
