"""A stop before there is anything to stop; separate, since the command line always loads it."""

from __future__ import annotations

__all__ = ["StoppedEarly"]


class StoppedEarly(BaseException):
    """A signal asked to stop while nothing was open yet.

    Not an `Exception`: code being imported or read must not swallow it.
    """
