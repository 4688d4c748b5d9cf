"""A name in a folder, and the one file there that is ours to change and to remove.

A path can lead somewhere else at each look at it. So the folder is opened once and the name is
looked up in it, never through a link; a file that has been found is held by its descriptor where
the system has such descriptors (Linux: O_PATH), which also keeps its number from being given to
another file. What is changed is changed through that descriptor.
"""

from __future__ import annotations

import contextlib
import os
import stat
from types import TracebackType

__all__ = ["Place"]

_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
#: Linux's descriptors that name a file without opening it; elsewhere there are none of sockets.
_O_PATH: int | None = getattr(os, "O_PATH", None)


class Place:
    """A name in an opened folder; `close` gives the descriptors back.

    The folder may be reached through links, and may be moved afterwards; the name itself is
    never followed.

    Raises:
        OSError: there is no such folder, or it may not be entered.
    """

    def __init__(self, path: bytes) -> None:
        directory, self.name = os.path.split(path)
        flags = os.O_DIRECTORY | _CLOEXEC | (_O_PATH or 0)
        self._folder = os.open(directory or b".", flags)
        self._pinned: int | None = None
        self._ours: os.stat_result | None = None

    def folder(self) -> os.stat_result:
        """Return the facts of the folder."""
        return os.stat(self._folder)

    def look(self, suffix: bytes = b"") -> os.stat_result | None:
        """Return the facts of what stands here now, a link's own; None where nothing does."""
        try:
            return os.stat(self.name + suffix, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def open(self, suffix: bytes, flags: int, mode: int = 0o600) -> int:
        """Open the file here, or beside it, and no link; the caller closes the descriptor."""
        flags |= _CLOEXEC | _NOFOLLOW
        return os.open(self.name + suffix, flags, mode, dir_fd=self._folder)

    def pin(self) -> os.stat_result | None:
        """Hold what stands here from now on as ours, and return its facts; None for nothing."""
        self.forget()
        if _O_PATH is not None:
            try:
                self._pinned = self.open(b"", _O_PATH)
            except FileNotFoundError:
                return None
            self._ours = os.stat(self._pinned)
        else:
            self._ours = self.look()
        return self._ours

    def give(self, user: int, group: int) -> None:
        """Give the pinned file to a user and a group; -1 leaves one as it is."""
        if self._pinned is not None:
            os.chown(f"/proc/self/fd/{self._pinned}", user, group)
        else:
            os.chown(self.name, user, group, dir_fd=self._folder, follow_symlinks=False)

    def set_mode(self, mode: int) -> None:
        """Set the permissions of the pinned file; does nothing where they are right already."""
        now = self.pinned()
        if now is not None and stat.S_IMODE(now.st_mode) == mode:
            return
        if self._pinned is not None:
            os.chmod(f"/proc/self/fd/{self._pinned}", mode)
        else:
            os.chmod(self.name, mode, dir_fd=self._folder, follow_symlinks=False)

    def remove(self) -> bool:
        """Remove the pinned file if its name still leads to it; tell whether it did."""
        return self._ours is not None and self.remove_if(b"", self._ours)

    def remove_if(self, suffix: bytes, ours: os.stat_result) -> bool:
        """Remove what stands here, or beside it, if it is this very file; tell whether it was.

        No system removes by descriptor. Between the look and the removal only who may write
        to the folder can put another file there, and may remove that as well.
        """
        found = self.look(suffix)
        if found is None or not os.path.samestat(found, ours):
            return False
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.name + suffix, dir_fd=self._folder)
        return True

    def pinned(self) -> os.stat_result | None:
        """Return the facts of the pinned file as they are now; None where it cannot be told."""
        if self._pinned is not None:
            return os.stat(self._pinned)
        found, ours = self.look(), self._ours
        if found is None or ours is None or not os.path.samestat(found, ours):
            return None
        return found

    def forget(self) -> None:
        """Let the pinned file go: it is not ours."""
        self._ours = None
        if self._pinned is not None:
            pinned, self._pinned = self._pinned, None
            os.close(pinned)

    def close(self) -> None:
        """Give the descriptors back; later calls do nothing."""
        self.forget()
        if self._folder >= 0:
            folder, self._folder = self._folder, -1
            os.close(folder)

    def __enter__(self) -> Place:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
