"""The options of an address on the sockets of its listener.

Accepted sockets inherit all of these from the listening one (on Linux and the BSDs alike), so there
is nothing to do per connection. Only Unix sockets inherit nothing on Linux: `for_accepted` sets
their buffers.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from pierhead.address import ListenSpec
from pierhead.address.views import SocketOptions, rows_of
from pierhead.errors import ListenError
from pierhead.net.socket_option import OptionMissing, set_options

__all__ = ["apply_change", "apply_options", "for_accepted"]

#: For sockets without defaults of ours.
_NONE = SocketOptions()


def apply_options(sock: socket.socket, spec: ListenSpec, defaults: SocketOptions = _NONE) -> None:
    """Set the options of the address, and these defaults for the rest.

    Raises:
        ListenError: one cannot be set.
        OSError: one cannot be set; ``strerror`` begins with ``option`` and its key.
    """
    _set_each(sock, spec, SocketOptions.of(spec.options).or_else(defaults).set_ones())


def apply_change(sock: socket.socket, before: ListenSpec, after: ListenSpec) -> None:
    """Set what another spec says otherwise; what it no longer says goes back to the default.

    What has no default is left as it is; `pierhead.address.effect_of_change` tells.

    Raises:
        ListenError: one cannot be set.
        OSError: likewise; ``strerror`` begins with ``option`` and its key.
    """
    was = dict(SocketOptions.of(before.options).set_ones())
    wanted = dict(SocketOptions.of(after.options).set_ones())
    defaults = {row.key: row.default for row in rows_of(SocketOptions.layer).values()}
    changed = {key: wanted.get(key, defaults[key]) for key in was | wanted}
    _set_each(
        sock,
        after,
        [(k, v) for k, v in changed.items() if v is not None and was.get(k) != wanted.get(k)],
    )


def _set_each(sock: socket.socket, spec: ListenSpec, options: Iterable[tuple[str, Any]]) -> None:
    try:
        set_options(sock, options)
    except OptionMissing as error:
        reason = f"the option {error.key} does not exist on {sys.platform}"
        raise ListenError(str(spec), f"option {error.key}", reason, "leave it out") from None


def for_accepted(sock: socket.socket, spec: ListenSpec) -> Callable[[socket.socket], None] | None:
    """Return a function that sets options which sockets accepted from this one do not inherit.

    None if they inherit all.
    """
    asked = SocketOptions.of(spec.options)
    buffers = tuple(SocketOptions(rcvbuf=asked.rcvbuf, sndbuf=asked.sndbuf).set_ones())
    if sock.family != getattr(socket, "AF_UNIX", None) or not buffers:
        return None
    return partial(_apply_each, buffers)


def _apply_each(options: Iterable[tuple[str, Any]], sock: socket.socket) -> None:
    set_options(sock, options)
