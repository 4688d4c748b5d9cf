"""systemd's own activator on a TCP port, which must be given and cannot be chosen by it."""

from __future__ import annotations

from collections.abc import Sequence

from tests.processes import Running, free_port

__all__ = ["activated_over_tcp"]

#: How often another port is tried if another program took one between the choice and the bind.
_ATTEMPTS = 5


def activated_over_tcp(
    activator: str, flags: Sequence[str], served: Sequence[str]
) -> tuple[Running, tuple[str, int]]:
    """Start a server by the activator; return it once clients may connect, and where to.

    Raises:
        AssertionError: it ended each time; the message has what it said last.
    """
    for _ in range(_ATTEMPTS):
        port = free_port()
        running = Running([activator, *flags, "-l", f"127.0.0.1:{port}", *served])
        if running.line_or_end("Listening on") is not None:
            return running, ("127.0.0.1", port)
    raise AssertionError(f"ended {_ATTEMPTS} times, on other ports each: {running}")
