"""What a server tells systemd, and any supervisor with the same protocol (sd_notify(3)).

    READY=1 ─▶ RELOADING=1 ─▶ READY=1 ─▶ … ─▶ STOPPING=1, EXTEND_TIMEOUT_USEC=… while draining
       └─ WATCHDOG=1, as long as the event loop answers ─┘

Each is one datagram to the socket that ``NOTIFY_SOCKET`` names, sent without waiting: if it cannot
be taken, the message is lost, and the server goes on.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import MutableMapping

from pierhead.printable import visible

__all__ = ["Notifier"]

_SOCKET, _WATCHDOG_USEC, _WATCHDOG_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"

#: How much longer a stop may take, from each message on; one comes with every sign of life.
_EXTENSION_S = 10.0


class Notifier:
    """Tells a supervisor about the state of this process; without one, says nothing.

    Args:
        place: the address of its socket, as in ``NOTIFY_SOCKET``; "" for no supervisor.
        watchdog_s: how often it expects a sign of life at least, in seconds; None for never.
    """

    def __init__(self, place: str = "", watchdog_s: float | None = None) -> None:
        self.watchdog_s = watchdog_s if place else None
        self._socket, self._address = _opened(place)
        self._is_stopping = False

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str] = os.environ) -> Notifier:
        """Return what tells the supervisor that started this process.

        Its variables are taken out of the environment: they are not for what this process starts.
        """
        place, usec, pid = (
            environ.pop(name, "") for name in (_SOCKET, _WATCHDOG_USEC, _WATCHDOG_PID)
        )
        is_ours = pid in ("", str(os.getpid()))
        has_watchdog = is_ours and usec.isascii() and usec.isdigit() and 0 < int(usec) < 1 << 63
        return cls(place, int(usec) / 1e6 if has_watchdog else None)

    @property
    def is_heard(self) -> bool:
        """Whether there is a supervisor."""
        return self._socket is not None

    def ready(self, status: str) -> None:
        """Say that the server serves, at the start and after a reload."""
        self._send("READY=1", _status(status))

    def reloading(self) -> None:
        """Say that a reload begins; `ready` ends it, whether it succeeded or not."""
        # Type=notify-reload compares the time with that of its signal.
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}", _status("reloading"))

    def stopping(self, status: str) -> None:
        """Say that the server stops; from here on signs of life also ask for more time."""
        self._is_stopping = True
        self._send("STOPPING=1", _status(status), _extension())

    def status(self, status: str) -> None:
        """Say what ``systemctl status`` shows."""
        self._send(_status(status))

    def alive(self) -> None:
        """Give a sign of life; to be called from the event loop, so that it proves something."""
        wanted = ["WATCHDOG=1"] if self.watchdog_s is not None else []
        if self._is_stopping:
            wanted.append(_extension())
        if wanted:
            self._send(*wanted)

    def close(self) -> None:
        """Close the socket; nothing is said any more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *assignments: str) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.sendto("\n".join(assignments).encode(), self._address)


def _opened(place: str) -> tuple[socket.socket | None, str | bytes]:
    """Return an unconnected socket and the address to send to; None if there is no supervisor."""
    if not place.startswith(("/", "@")) or not hasattr(socket, "AF_UNIX"):
        return None, b""
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)  # close-on-exec
    sender.setblocking(False)
    octets = os.fsencode(place)
    return sender, b"\0" + octets[1:] if place.startswith("@") else octets


def _status(text: str) -> str:
    """Return the assignment of a status, which has to be one line."""
    return f"STATUS={visible(text)}"


def _extension() -> str:
    return f"EXTEND_TIMEOUT_USEC={int(_EXTENSION_S * 1e6)}"
