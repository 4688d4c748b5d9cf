"""A stop before there was anything to stop; by itself, since the command line always loads it."""

from __future__ import annotations

__all__ = ["StoppedEarly"]


class StoppedEarly(BaseException):
    """A signal said to stop while nothing was open yet.

    No `Exception`: what is being imported or read must not swallow it.
    """
