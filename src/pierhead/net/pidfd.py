"""A process number that is never reused: the inode of its pidfd (Linux 6.9)."""

from __future__ import annotations

import functools
import os
import select

__all__ = ["identity_of_pidfd", "pidfd_id"]


def pidfd_id(process: int) -> int | None:
    """Return the pidfd inode of a process ID; None if the system has none."""
    try:
        descriptor = os.pidfd_open(process)
    except (AttributeError, OSError):  # another system, or the process has ended
        return None
    try:
        return identity_of_pidfd(descriptor)
    finally:
        os.close(descriptor)


def identity_of_pidfd(descriptor: int) -> int | None:
    """Return the inode of a pidfd; None if all pidfds share one with other anonymous files."""
    found = os.fstat(descriptor)
    return None if found.st_dev == _device_of_anonymous_files() else found.st_ino


@functools.cache
def _device_of_anonymous_files() -> int:
    with select.epoll() as anonymous:
        return os.fstat(anonymous.fileno()).st_dev
