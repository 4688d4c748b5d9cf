"""Where the command line's log goes and how it looks: to standard error, best effort.

    console   WARNING pierhead.server: …
    json      {"time": "…", "level": "warning", "logger": "…", "message": "…"}
    logfmt    time=… level=warning logger=… message="…"

A record may have ``fields``, a mapping, which JSON and logfmt write as fields of their own. It is
one line, whatever a peer has put into it; on the console, further lines are indented.
"""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal, TextIO, TypeAlias, get_args

from pierhead.printable import printable, visible
from pierhead.runtime.say import say

__all__ = [
    "LEVELS",
    "LOG_FORMATS",
    "BestEffortHandler",
    "LogFormat",
    "LogLines",
    "log_to_standard_error",
]

LogFormat: TypeAlias = Literal["console", "json", "logfmt"]

LOG_FORMATS: tuple[str, ...] = get_args(LogFormat)
#: Levels by name, the most talkative first.
LEVELS = ("debug", "info", "warning", "error")

# How lines begin that somebody should look at.
_GRAVE = ("warning:", "error:", "lost ", "forced", "left running", "not reloaded")
# What a value of logfmt may contain without being quoted.
_PLAIN = re.compile(r"[^\s\"=\\\x00-\x20\x7f-\U0010ffff]+")


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


def log_to_standard_error(form: LogFormat = "console", level: str = "warning") -> None:
    """Send the log to standard error, unless the program has configured logging.

    Args:
        form: how a line looks.
        level: the least of `LEVELS` that is written; a logger may have another.
    """
    handler = BestEffortHandler()
    handler.setFormatter(_FORMATTERS[form]())
    logging.basicConfig(level=level.upper(), handlers=[handler])


class LogLines(io.TextIOBase):
    """A stream for `say` whose lines are records, where standard error has nothing else.

    Args:
        form: how a line looks.
        stream: where it goes; ``sys.stderr`` when None.
    """

    def __init__(self, form: LogFormat, stream: TextIO | None = None) -> None:
        self._formatter = _FORMATTERS[form]()
        self._stream = stream
        self._begun = ""

    def write(self, text: str) -> int:
        """Write what ends in a line end; keep what does not."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            level = logging.WARNING if line.startswith(_GRAVE) else logging.INFO
            record = logging.LogRecord("pierhead.runtime", level, "", 0, line, None, None)
            say(self._formatter.format(record), self._stream)
        return len(text)


class _Console(logging.Formatter):
    """For people: the text, each further line of it indented."""

    def format(self, record: logging.LogRecord) -> str:
        text = "\n".join([record.getMessage(), *_traceback(self, record)])
        lines = [visible(line) for line in text.split("\n")]
        return f"{record.levelname} {record.name}: " + "\n  ".join(lines)


class _Json(logging.Formatter):
    """An object in ASCII: no character of it is more than itself."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(_fields(self, record), default=str)


class _Logfmt(logging.Formatter):
    """Pairs, with values in quotes where they need it."""

    def format(self, record: logging.LogRecord) -> str:
        pairs = _fields(self, record).items()
        return " ".join(f"{_NO_KEY.sub('_', key)}={_pair_value(value)}" for key, value in pairs)


_FORMATTERS: Mapping[str, type[logging.Formatter]] = {
    "console": _Console,
    "json": _Json,
    "logfmt": _Logfmt,
}
_NO_KEY = re.compile(r"[^a-zA-Z0-9_.]")


def _fields(formatter: logging.Formatter, record: logging.LogRecord) -> dict[str, object]:
    """Return a record as fields; its own fields never replace what says where it is from."""
    at = datetime.fromtimestamp(record.created, UTC)
    known = {
        "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": record.getMessage(),
    }
    given = getattr(record, "fields", None)
    fields: dict[str, object] = dict(known)
    if isinstance(given, Mapping):
        fields |= {str(key): value for key, value in given.items() if key not in known}
    if traceback := _traceback(formatter, record):
        fields["traceback"] = "\n".join(traceback)
    return fields


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    return [formatter.formatException(record.exc_info)] if record.exc_info else []


def _pair_value(value: object) -> str:
    text = str(value)
    if _PLAIN.fullmatch(text):
        return text
    return '"' + printable(text).replace('"', '\\"') + '"'
