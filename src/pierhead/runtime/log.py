"""Where the command line's log goes: to standard error, best effort."""

from __future__ import annotations

import logging

from pierhead.runtime.say import say

__all__ = ["BestEffortHandler", "log_to_standard_error"]


class BestEffortHandler(logging.Handler):
    """Writes log lines to standard error with `say`."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            line = self.format(record)
        except Exception:  # arguments that do not fit the text
            self.handleError(record)
        else:
            say(line)


def log_to_standard_error() -> None:
    """Send warnings and errors to standard error, unless the program has configured logging."""
    logging.basicConfig(
        format="%(levelname)s %(name)s: %(message)s",
        level=logging.WARNING,
        handlers=[BestEffortHandler()],
    )
