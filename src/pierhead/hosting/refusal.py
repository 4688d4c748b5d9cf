"""What hosts refuse, and in which words: one wording, whosever server it is."""

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

# What to do instead, where several servers have an option for the same.
ADDRESSES = "give addresses, such as '127.0.0.1:8000' or 'unix:/run/app.sock'"
BACKLOG = "write it into the address: '127.0.0.1:8000?backlog=2048'"
CERTIFICATE = "write 'tls+127.0.0.1:8443?cert=FILE&key=FILE' as an address"
EVENT_LOOP = "run chooses the event loop; Server runs on the one there is"
PROCESSES = "start the program several times on one address, '127.0.0.1:8000?reuseport'"
SUPERVISOR = "a supervisor such as systemd starts a program again"


def replaced(server: str, option: str, remedy: str) -> UsageError:
    """Return the error for an option of theirs that something of ours takes the place of."""
    return UsageError(f"{server}'s {option} has no effect here: {remedy}")


def unknown(server: str, option: str, known: Iterable[str]) -> UsageError:
    """Return the error for an option that they do not have, with the nearest that may be given."""
    names = sorted(known)
    near = difflib.get_close_matches(option, names, 1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(names)}"
    return UsageError(f"{server} has no option {option!r}; {hint}")


def served_already() -> UsageError:
    """Return the error for an application whose life has begun, and cannot begin twice."""
    return UsageError(
        "this application is being served already; give one server all its addresses, or make an "
        "endpoint of its own for another server"
    )
