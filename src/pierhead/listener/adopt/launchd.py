"""Sockets that launchd passes (macOS): requested by name, once."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Any

from pierhead.address import LaunchdAddress, ListenSpec
from pierhead.buffer import BufferSource
from pierhead.errors import ListenError
from pierhead.listener.adopt.descriptors import Adopted, adopt_all
from pierhead.listener.adopt.reserved import ReservedDescriptors

__all__ = ["activate", "open_launchd"]

_REASONS = {
    errno.ESRCH: ("launchd does not manage this process", "load its job with launchctl first"),
    errno.ENOENT: (
        "the job has no sockets of this name",
        "the name is a key of Sockets in the job's property list",
    ),
    errno.EALREADY: ("these sockets have been handed out already", "ask for each name once"),
}


def open_launchd(
    spec: ListenSpec, buffers: BufferSource, batched: bool | None, reserved: ReservedDescriptors
) -> list[Adopted]:
    """Adopt the sockets with a name; often two, one for IPv4 and one for IPv6.

    Raises:
        ListenError: launchd has none of this name for us, or one of them cannot be served.
    """
    assert isinstance(spec.address, LaunchdAddress)
    name = spec.address.name
    numbers = activate(str(spec), name, ctypes.CDLL(None))
    named = [(number, f"descriptor {number} ({name})") for number in numbers]
    return adopt_all(spec, named, buffers, batched, reserved)


def activate(address: str, name: str, library: Any) -> list[int]:
    """Return the descriptors that ``launch_activate_socket`` returns for a name.

    Args:
        address: the address as given, for messages.
        library: the library with the call.

    Raises:
        ListenError: it refused.
    """
    descriptors, count = ctypes.POINTER(ctypes.c_int)(), ctypes.c_size_t(0)
    code = library.launch_activate_socket(
        name.encode(), ctypes.byref(descriptors), ctypes.byref(count)
    )
    if code:
        reason, remedy = _REASONS.get(code, (os.strerror(code), ""))
        raise ListenError(address, "adopt", reason, remedy, code)
    try:
        return [descriptors[i] for i in range(count.value)]
    finally:
        library.free(descriptors)  # the manual says that we must free the array
