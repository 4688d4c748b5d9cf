"""Every error that Pierhead raises on purpose, one hierarchy.

    PierheadError
    ├── UsageError           the calling program or command line is wrong (also a ValueError)
    │   └── AddressError     a listening address does not parse: text, position, remedy
    │       └── TableError   several faults in the table of one address
    ├── ConfigError          a file is wrong: every fault with file, line and column
    ├── ListenError          an address could not be opened: which, which step, what to do
    ├── StartupError         an application reported that its start-up failed
    ├── PeerError            what a peer sent is wrong; never logged above debug
    │   ├── DecodeError      a frame is not a message of this protocol
    │   │   └── FramingError the byte stream cannot be split any further: the connection ends
    │   └── HandshakeError   TLS or the PROXY header failed: the connection ends
    ├── ServiceError         a valid request got no answer; the protocol may send a refusal
    │   ├── ServiceFailed    the service raised
    │   ├── TimedOut         a deadline passed before the answer was complete
    │   └── Overloaded       a limit was reached and the request was shed
    └── PeerUnavailable      the other end did not do its part; says whether a retry is safe
        ├── ConnectError     an address could not be reached: nothing was sent
        ├── ConnectionEnded  the connection ended first
        └── RequestTimedOut  no reply in time (also a TimedOut)

A message says what was found, what was expected, where, and how to fix it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

__all__ = [
    "AddressError",
    "ConfigError",
    "ConnectError",
    "ConnectionEnded",
    "DecodeError",
    "Fault",
    "FramingError",
    "HandshakeError",
    "ListenError",
    "Overloaded",
    "PeerError",
    "PeerUnavailable",
    "PierheadError",
    "RequestLost",
    "RequestTimedOut",
    "ServiceError",
    "ServiceFailed",
    "StartupError",
    "TableError",
    "TimedOut",
    "UsageError",
    "again",
]

E = TypeVar("E", bound=BaseException)


class PierheadError(Exception):
    """The root of every error that Pierhead raises on purpose.

    ``exit_code`` is the exit status of the command line: 1 runtime, 2 usage, 3 could not start,
    4 configuration or zone invalid.
    """

    exit_code = 1


class UsageError(PierheadError, ValueError):
    """The calling program or the command line asked for something invalid."""

    exit_code = 2


class AddressError(UsageError):
    """A listening address does not parse.

    ``position`` counts characters of ``text`` from 0; ``remedy`` is the nearest valid form or
    the advice to follow, and may be empty.
    """

    def __init__(self, text: str, position: int, reason: str, remedy: str = "") -> None:
        self.text = text
        self.position = position
        self.reason = reason
        self.remedy = remedy
        super().__init__(text, position, reason, remedy)

    def __str__(self) -> str:
        # A caret below the input lines up only if nothing before it moves the column.
        shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in self.text)
        if len(shown) > 120:
            start = max(0, min(self.position - 60, len(shown) - 120))
            shown, position = shown[start : start + 120], self.position - start
        else:
            position = self.position
        lines = [f"{self.reason}", f"  {shown}", f"  {_blanks(shown, position)}^"]
        if self.remedy:
            lines.append(f"  {self.remedy}")
        return "\n".join(lines)


def _blanks(shown: str, count: int) -> str:
    """Return blanks as wide on a terminal as the leading characters of a text."""
    before = shown[: max(count, 0)]
    width = max(count, 0)
    if not before.isascii():
        for char in before:
            if unicodedata.category(char) in ("Mn", "Me"):
                width -= 1
            elif unicodedata.east_asian_width(char) in ("W", "F"):
                width += 1
    return " " * width


class TableError(AddressError):
    """The table of one listening address has several faults.

    ``faults`` has all of them; the attributes of `AddressError` describe the first.
    """

    def __init__(self, faults: Sequence[AddressError]) -> None:
        self.faults = tuple(faults)
        first = self.faults[0]
        super().__init__(first.text, first.position, first.reason, first.remedy)
        self.args = (self.faults,)

    def __str__(self) -> str:
        return "\n".join(str(fault) for fault in self.faults)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault in a file: where it is, what is wrong, and how to fix it.

    ``line`` and ``column`` count from 1; 0 means that the fault belongs to the whole file.
    ``source`` is the text of the line, shown above a caret; ``code`` names the kind of fault.
    """

    file: str
    line: int
    column: int
    message: str
    source: str = ""
    remedy: str = ""
    code: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        lines = [f"{where}: {self.message}"]
        if self.source:
            shown = "".join(c if c.isprintable() else " " for c in self.source)
            lines += [f"  {shown}", f"  {_blanks(shown, self.column - 1)}^"]
        if self.remedy:
            lines.append(f"  {self.remedy}")
        return "\n".join(lines)


class ConfigError(PierheadError):
    """One or more files are wrong; ``faults`` has all of them, in order."""

    exit_code = 4

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__(self.faults)

    def __str__(self) -> str:
        return "\n".join(str(fault) for fault in self.faults)


class ListenError(PierheadError):
    """An address could not be opened.

    ``step`` is the system call or check that failed (``bind``, ``listen``, ``resolve`` …);
    ``errno`` is the system's error number, or None if no system call failed.
    """

    exit_code = 3

    def __init__(
        self, address: str, step: str, reason: str, remedy: str = "", errno: int | None = None
    ) -> None:
        self.address = address
        self.step = step
        self.reason = reason
        self.remedy = remedy
        self.errno = errno
        super().__init__(address, step, reason, remedy, errno)

    def __str__(self) -> str:
        text = f"cannot listen on {self.address.removesuffix(':')}: {self.step}: {self.reason}"
        return f"{text}\n  {self.remedy}" if self.remedy else text


class StartupError(PierheadError):
    """The application to be served failed during its own start-up."""

    exit_code = 3


class PeerError(PierheadError):
    """What a peer sent is wrong; it concerns that peer alone."""


class DecodeError(PeerError):
    """A frame is not a message of this protocol.

    ``offset`` counts octets from the start of the frame; None if no single octet is at fault.
    """

    def __init__(self, reason: str, offset: int | None = None) -> None:
        self.reason = reason
        self.offset = offset
        super().__init__(reason if offset is None else f"{reason} (at octet {offset})")


class FramingError(DecodeError):
    """The byte stream cannot be split into frames any further."""


class HandshakeError(PeerError):
    """A step between the socket and the protocol failed: TLS or a PROXY header.

    ``reason`` is the label it is counted under.
    """

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(reason, detail)

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class ServiceError(PierheadError):
    """A valid request got no answer from the service.

    ``reply`` is a refusal that a layer has prepared for the codec to encode, because a layer knows
    more about the request than the codec does; None if there is none.
    """

    reply: object | None = None


class ServiceFailed(ServiceError):
    """The service raised; the cause is chained."""


class TimedOut(ServiceError):
    """A deadline passed before the answer was complete."""


class RequestLost(PierheadError):
    """An accepted request will not be answered; ``reason`` is its label in the metrics."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"an accepted request will not be answered: {reason}")


class Overloaded(ServiceError):
    """A limit was reached and the request was shed before the service saw it.

    ``limit`` is the name of the limit.
    """

    def __init__(self, limit: str) -> None:
        self.limit = limit
        super().__init__(f"limit reached: {limit}")


class PeerUnavailable(PierheadError):
    """The other end of a connection could not be reached, or did not do its part in time.

    ``address`` is the other end, as dialled or as accepted. ``is_retry_safe`` tells whether the
    other end certainly has not acted on what was sent: nothing of it has left this process.
    """

    def __init__(self, address: str, reason: str, *, is_retry_safe: bool = False) -> None:
        self.address = address
        self.reason = reason
        self.is_retry_safe = is_retry_safe
        super().__init__(address, reason)

    def __str__(self) -> str:
        return f"{self.address}: {self.reason}"


class ConnectError(PeerUnavailable):
    """An address could not be reached; nothing was sent, so a retry is safe.

    ``step`` is what failed (``resolve``, ``connect``, ``tls`` …); ``errno`` is the system's error
    number, or None if no system call failed.
    """

    def __init__(
        self, address: str, step: str, reason: str, remedy: str = "", errno: int | None = None
    ) -> None:
        super().__init__(address, reason, is_retry_safe=True)
        self.step = step
        self.remedy = remedy
        self.errno = errno
        self.args = (address, step, reason, remedy, errno)

    def __str__(self) -> str:
        text = f"cannot connect to {self.address}: {self.step}: {self.reason}"
        return f"{text}\n  {self.remedy}" if self.remedy else text


class ConnectionEnded(PeerUnavailable):
    """A connection has ended: nothing more can be sent, or received.

    ``is_clean`` tells whether the other end has finished its stream in order, or this side has
    closed; otherwise something may be missing.
    """

    def __init__(
        self, address: str, reason: str, *, is_clean: bool = False, is_retry_safe: bool = False
    ) -> None:
        super().__init__(address, reason, is_retry_safe=is_retry_safe)
        self.is_clean = is_clean


class RequestTimedOut(PeerUnavailable, TimedOut):
    """No reply came in time; the request may have been acted on nevertheless."""


def again(error: E) -> E:
    """Return an error like this one for somebody else to raise.

    An error that is raised twice collects the tracebacks of both, and whoever keeps it keeps
    everything that these refer to. An error that is not of this package, a bug, is returned itself:
    nobody knows how to create another.
    """
    if not isinstance(error, PierheadError):
        return error
    kind = type(error)
    new = kind.__new__(kind, *error.args)
    new.__dict__.update(error.__dict__)
    new.__cause__ = error.__cause__
    return new
