"""How far an attempt to reach an address has got, for the error that ends it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Sequence

from pierhead.errors import ConnectError

__all__ = ["Reaching", "reason_of"]


class Reaching:
    """One attempt to reach an address.

    Attributes:
        name: the address, as text.
        step: what is being done: ``resolve``, ``connect``, ``proxy``, ``tls``.
        tried: the socket addresses that were tried, as text, where there may be several.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.step = "connect"
        self.tried: list[str] = []

    def failed(self, error: OSError) -> ConnectError:
        """Return the error for what the system has said."""
        reason = reason_of(error)
        option, colon, rest = reason.partition(": ")
        if colon and option.startswith("option "):
            remedy = "leave it out, or see whether this user may set it"
            return ConnectError(self.name, option, rest, remedy, error.errno)
        if self.tried and self.step == "connect" and self.tried[-1] not in self.name:
            reason = f"{self.tried[-1]}: {reason}"
        return self._error(reason, error.errno)

    def none_succeeded(self, errors: Sequence[OSError]) -> ConnectError:
        """Return the error for several addresses, each with its own reason."""
        if len(errors) == 1:
            return self.failed(errors[0])
        told = zip(self.tried, errors, strict=True)
        reason = "; ".join(f"{address}: {reason_of(error)}" for address, error in told)
        numbers = {error.errno for error in errors}
        return self._error(reason, numbers.pop() if len(numbers) == 1 else None)

    def timed_out(self, seconds: float) -> ConnectError:
        """Return the error for a deadline that has passed."""
        where = f" from {_and(self.tried)}" if self.tried and self.step == "connect" else ""
        what = "no address" if self.step == "resolve" else f"no answer{where}"
        return ConnectError(
            self.name, self.step, f"{what} within {seconds:g} s", _LATE.get(self.step, "")
        )

    def _error(self, reason: str, number: int | None) -> ConnectError:
        remedy = _AT_STEP.get(self.step) or _REMEDIES.get(number or 0, "")
        return ConnectError(self.name, self.step, reason, remedy, number)


def reason_of(error: OSError) -> str:
    """Return what the system says; event loops write sentences of their own over some of it."""
    text = error.strerror or str(error)
    number = error.errno
    is_loops = text.startswith("Connect call failed")
    return os.strerror(number) if is_loops and number else text


def _and(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


_AT_STEP = {
    "resolve": "is the name right? 'getent ahosts NAME' shows what the system knows of it",
    "tls": "does the server speak TLS at this address? If so, its log says why it closed",
    "proxy": "does the server admit this host as a proxy? If so, its log says why it closed",
}
_LATE = {
    "resolve": "see whether the servers in /etc/resolv.conf answer, or write the IP address",
    "connect": "is there a firewall on the way? It may drop what it does not let through",
    "tls": "does the server speak TLS at this address? One that waits for plain text says nothing",
}
_REMEDIES = {
    errno.ECONNREFUSED: "is a server running there? Nothing listens at this address",
    errno.ENOENT: "is a server running there? There is no socket with this path",
    errno.EACCES: "this user may not write to the socket; see its mode and those of its folders",
    errno.EPROTOTYPE: "a socket of another type is there: unix:, unixseq: or unixgram:",
    errno.ENETUNREACH: "this host has no route to that network; is the address of its family?",
    errno.EADDRNOTAVAIL: "is the source an address of this host, and its port free?",
    errno.EADDRINUSE: "another socket has the source; leave its port out, or write 0",
}
