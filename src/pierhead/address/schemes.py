"""The schemes and wrappers of the grammar, as tables.

A scheme names a kind of socket; a wrapper names a layer between the socket and the protocol.
Nothing here reads or opens anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

__all__ = [
    "LINUX",
    "PASSED_SCHEMES",
    "POSIX",
    "SCHEMES",
    "SHORT_FORM_SCHEMES",
    "UNIX_SCHEMES",
    "VSOCK_SCHEMES",
    "WRAPPERS",
    "Kind",
    "Scheme",
    "is_available",
]

#: How bytes travel: a stream has no message boundaries, the other two do. The words are those of
#: `pierhead.service.context.Transport`.
Kind: TypeAlias = Literal["stream", "datagram", "seqpacket"]

#: Prefixes of ``sys.platform``.
LINUX = ("linux", "android")
POSIX = (*LINUX, "darwin", "ios", "freebsd", "openbsd", "netbsd", "dragonfly", "sunos", "aix")


@dataclass(frozen=True, slots=True)
class Scheme:
    """One scheme: its kind (None: known only from the descriptor) and where it exists.

    ``platforms`` are prefixes of ``sys.platform``; empty for all. A scheme that is not
    ``is_opened`` is in the grammar, but this version cannot open it.
    """

    name: str
    kind: Kind | None
    meaning: str
    platforms: tuple[str, ...] = ()
    is_opened: bool = True


SCHEMES: Mapping[str, Scheme] = MappingProxyType(
    {
        scheme.name: scheme
        for scheme in (
            Scheme("tcp", "stream", "TCP connections"),
            Scheme("udp", "datagram", "UDP datagrams"),
            Scheme("quic", "datagram", "QUIC connections, on UDP", is_opened=False),
            Scheme("unix", "stream", "Unix domain connections", POSIX),
            Scheme("unixgram", "datagram", "Unix domain datagrams", POSIX),
            # macOS has Unix domain sockets but not of this type.
            Scheme(
                "unixseq",
                "seqpacket",
                "Unix domain connections that keep message borders",
                tuple(name for name in POSIX if name not in ("darwin", "ios")),
            ),
            Scheme("fd", None, "sockets inherited by number", POSIX),
            Scheme("sd", None, "sockets passed by systemd (LISTEN_FDS)", POSIX),
            Scheme("launchd", None, "sockets passed by launchd, by name", ("darwin",)),
            Scheme("inetd", None, "standard input and output, from a super-server", POSIX),
            Scheme("vsock", "stream", "connections between a virtual machine and its host", LINUX),
            Scheme(
                "vsockseq",
                "seqpacket",
                "connections between a virtual machine and its host that keep message borders",
                LINUX,
            ),
            Scheme("mem", "stream", "connections inside this process"),
            Scheme("memgram", "datagram", "datagrams inside this process"),
        )
    }
)

#: The schemes of Unix domain sockets, of passed sockets, and of vsock.
UNIX_SCHEMES = frozenset({"unix", "unixgram", "unixseq"})
PASSED_SCHEMES = frozenset({"fd", "sd", "launchd"})
VSOCK_SCHEMES = frozenset({"vsock", "vsockseq"})

#: The possible schemes of an address without one.
SHORT_FORM_SCHEMES = ("tcp", "udp")

#: Each wrapper with its meaning.
WRAPPERS: Mapping[str, str] = MappingProxyType(
    {
        "tls": "TLS",
        "proxy": "a PROXY protocol header, with the client's real address",
    }
)


def is_available(platforms: tuple[str, ...], platform: str) -> bool:
    """Return whether ``sys.platform`` is one of these; an empty tuple means all."""
    return not platforms or platform.startswith(platforms)
