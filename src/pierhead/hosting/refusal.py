"""The wording of refusals, the same for every hosted server."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from pierhead.errors import UsageError

__all__ = [
    "ADDRESSES",
    "BACKLOG",
    "CERTIFICATE",
    "EVENT_LOOP",
    "PROCESSES",
    "SUPERVISOR",
    "replaced",
    "served_already",
    "unknown",
]

# What to use instead, where several servers have an option for the same purpose.
ADDRESSES = "give addresses, such as '127.0.0.1:8000' or 'unix:/run/app.sock'"
BACKLOG = "write it into the address: '127.0.0.1:8000?backlog=2048'"
CERTIFICATE = "write 'tls+127.0.0.1:8443?cert=FILE&key=FILE' as an address"
EVENT_LOOP = "run chooses the event loop; Server uses the running one"
PROCESSES = "start the program several times on one address, '127.0.0.1:8000?reuseport'"
SUPERVISOR = "a supervisor such as systemd restarts a program"


def replaced(server: str, option: str, remedy: str) -> UsageError:
    """Return the error for an option of another server that something of ours replaces."""
    return UsageError(f"{server}'s {option} has no effect here: {remedy}")


def unknown(server: str, option: str, known: Iterable[str]) -> UsageError:
    """Return the error for an unknown option, with the closest known one."""
    names = sorted(known)
    near = difflib.get_close_matches(option, names, 1)
    hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(names)}"
    return UsageError(f"{server} has no option {option!r}; {hint}")


def served_already() -> UsageError:
    """Return the error for an application that is already being served, and cannot start twice."""
    return UsageError(
        "this application is already being served; give one server all its addresses, or create "
        "another endpoint for another server"
    )
