"""A name in a folder, and the one file there that we may change and remove.

A path can resolve differently at each use. So the folder is opened once and the name is looked up
in it, never through a link. A file once found is held by a descriptor where the system supports
that (Linux: O_PATH), which also keeps its inode number from being reused. All changes are made
through that descriptor.
"""

from __future__ import annotations

import contextlib
import os
import stat
from types import TracebackType

__all__ = ["Place"]

_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
#: Linux's descriptors that refer to a file without opening it; elsewhere sockets have none.
_O_PATH: int | None = getattr(os, "O_PATH", None)


class Place:
    """A name in an open folder; `close` closes the descriptors.

    The folder may be reached through links, and may be moved afterwards; the name itself is
    never followed.

    Raises:
        OSError: the folder does not exist, or may not be entered.
    """

    def __init__(self, path: bytes) -> None:
        directory, self.name = os.path.split(path)
        flags = os.O_DIRECTORY | _CLOEXEC | (_O_PATH or 0)
        self._folder = os.open(directory or b".", flags)
        self._pinned: int | None = None
        self._ours: os.stat_result | None = None

    def folder(self) -> os.stat_result:
        """Return the status of the folder."""
        return os.stat(self._folder)

    def look(self, suffix: bytes = b"") -> os.stat_result | None:
        """Return the status of the file here, without following a link; None if there is none."""
        try:
            return os.stat(self.name + suffix, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def open(self, suffix: bytes, flags: int, mode: int = 0o600) -> int:
        """Open the file here, or beside it, but no link; the caller closes the descriptor."""
        flags |= _CLOEXEC | _NOFOLLOW
        return os.open(self.name + suffix, flags, mode, dir_fd=self._folder)

    def pin(self) -> os.stat_result | None:
        """Pin the file here as ours, and return its status; None if there is none."""
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
        """Change the owner and group of the pinned file; -1 leaves one unchanged."""
        if self._pinned is not None:
            os.chown(f"/proc/self/fd/{self._pinned}", user, group)
        else:
            os.chown(self.name, user, group, dir_fd=self._folder, follow_symlinks=False)

    def set_mode(self, mode: int) -> None:
        """Set the permissions of the pinned file; does nothing if they are already right."""
        now = self.pinned()
        if now is not None and stat.S_IMODE(now.st_mode) == mode:
            return
        if self._pinned is not None:
            os.chmod(f"/proc/self/fd/{self._pinned}", mode)
        else:
            os.chmod(self.name, mode, dir_fd=self._folder, follow_symlinks=False)

    def remove(self) -> bool:
        """Remove the pinned file if its name still refers to it; return whether it did."""
        return self._ours is not None and self.remove_if(b"", self._ours)

    def remove_if(self, suffix: bytes, ours: os.stat_result) -> bool:
        """Remove the file here, or beside it, if it is this very file; return whether it was.

        No system can remove by descriptor. Between check and removal, only a user who may write to
        the folder can put another file there, and that user may remove it anyway.
        """
        found = self.look(suffix)
        if found is None or not os.path.samestat(found, ours):
            return False
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.name + suffix, dir_fd=self._folder)
        return True

    def pinned(self) -> os.stat_result | None:
        """Return the current status of the pinned file; None if it is unknown."""
        if self._pinned is not None:
            return os.stat(self._pinned)
        found, ours = self.look(), self._ours
        if found is None or ours is None or not os.path.samestat(found, ours):
            return None
        return found

    def forget(self) -> None:
        """Release the pinned file: it is not ours."""
        self._ours = None
        if self._pinned is not None:
            pinned, self._pinned = self._pinned, None
            os.close(pinned)

    def close(self) -> None:
        """Close the descriptors; later calls do nothing."""
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
