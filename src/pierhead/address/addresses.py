"""The forms an address takes: values that open nothing and resolve nothing.

Each form normalises its arguments, so that equal addresses are equal values, and prints in
canonical spelling. A form that cannot be printed cannot be created.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from pierhead.address.host import (
    LONGEST_RANGE,
    canonical_host,
    is_ipv4,
    is_ipv6,
    show_host,
)
from pierhead.address.schemes import SCHEMES, WRAPPERS, Kind
from pierhead.address.text import escape
from pierhead.errors import UsageError

__all__ = [
    "ANY",
    "INETD_WORDS",
    "INHERITED_WORDS",
    "LONGEST_NAME",
    "LONGEST_PATH",
    "AbstractAddress",
    "DescriptorAddress",
    "InetAddress",
    "InetdAddress",
    "LaunchdAddress",
    "ListenAddress",
    "MemoryAddress",
    "SystemdAddress",
    "UnixAddress",
    "VsockAddress",
]

#: VMADDR_CID_ANY and VMADDR_PORT_ANY.
ANY = 2**32 - 1

#: sun_path has 108 octets on Linux, the most of any system; in a path the last is NUL, in an
#: abstract name the first.
LONGEST_PATH = LONGEST_NAME = 107

#: tokio-listener's words for the socket passed by systemd, and for standard input.
INHERITED_WORDS = ("sd-listen", "sd_listen", "sd-listen-unix", "sd_listen_unix")
INETD_WORDS = ("inetd", "stdio", "-")

_SPECIAL = "?#"


class ListenAddress(ABC):
    """What to listen on, without wrappers and options.

    Attributes:
        scheme: the word before the colon; None for ``host:port`` alone, whose meaning depends on
            the protocol.
    """

    __slots__ = ()

    scheme: str | None

    @property
    def kind(self) -> Kind | None:
        """How bytes travel; None if the scheme does not determine it."""
        return SCHEMES[self.scheme].kind if self.scheme else None

    @property
    def query(self) -> str:
        """The option that is part of the address rather than of the socket's options."""
        return ""

    @property
    @abstractmethod
    def target(self) -> str:
        """The text after the colon."""

    def __str__(self) -> str:
        return f"{self.place}?{self.query}" if self.query else self.place

    @property
    def place(self) -> str:
        """The address in the form of the grammar, without the option that is part of it."""
        return f"{self.scheme}:{self.target}" if self.scheme else self.target


def _check_scheme(scheme: str | None, allowed: tuple[str | None, ...]) -> None:
    if scheme not in allowed:
        words = ", ".join(map(str, allowed))
        raise UsageError(f"scheme is {scheme!r}, expected one of {words}")


@dataclass(frozen=True, slots=True)
class InetAddress(ListenAddress):
    """A host and a port, or a range of ports.

    Attributes:
        host: an IP literal without brackets (``fe80::1%eth0``), a name, or "" for every IPv4 and
            IPv6 address of this host.
        port: 0 for one that the system chooses.
        last_port: the end of the range, inclusive; None for a single port.
    """

    scheme: str | None
    host: str
    port: int
    last_port: int | None = None

    def __post_init__(self) -> None:
        _check_scheme(self.scheme, ("tcp", "udp", "quic", None))
        object.__setattr__(self, "host", canonical_host(self.host))
        if self.last_port == self.port:
            object.__setattr__(self, "last_port", None)
        if not 0 <= self.port <= 65535:
            raise UsageError(f"port is {self.port}, expected 0 to 65535")
        if self.last_port is not None:
            _check_range(self.port, self.last_port)
        if self.scheme is None and self.host in _RESERVED_HOSTS:
            raise UsageError(f"a host called {self.host} needs a scheme: tcp:{self.host}:PORT")

    @property
    def target(self) -> str:
        """Host and ports."""
        ports = str(self.port) if self.last_port is None else f"{self.port}-{self.last_port}"
        return f"{show_host(self.host)}:{ports}"

    @property
    def ports(self) -> range:
        """Every port of the address."""
        return range(self.port, (self.port if self.last_port is None else self.last_port) + 1)

    @property
    def is_ipv4(self) -> bool:
        """Whether the host is an IPv4 literal."""
        return is_ipv4(self.host)

    @property
    def is_ipv6(self) -> bool:
        """Whether the host is an IPv6 literal."""
        return is_ipv6(self.host)


def _check_range(first: int, last: int) -> None:
    if not 0 < first < last <= 65535 or last - first >= LONGEST_RANGE:
        raise UsageError(
            f"ports are {first} to {last}, expected a rising range of at most {LONGEST_RANGE} "
            f"from 1 to 65535"
        )


#: Words that have a meaning before a colon: ``tcp`` in ``tcp:80`` is not a host.
_RESERVED_HOSTS = frozenset({*SCHEMES, *WRAPPERS, *INHERITED_WORDS, *INETD_WORDS})


@dataclass(frozen=True, slots=True)
class UnixAddress(ListenAddress):
    """A Unix domain socket in the file system; the path is octets, not text."""

    scheme: str
    path: bytes

    def __post_init__(self) -> None:
        _check_scheme(self.scheme, ("unix", "unixgram", "unixseq"))
        path = self.path
        if path and not path.startswith((b"/", b"./", b"../")):
            path = b"./" + path
            object.__setattr__(self, "path", path)
        if not path or b"\0" in path or path.endswith((b"/", b"/.", b"/..")):
            raise UsageError(f"path is {self.path!r}, expected the path of a socket")
        if len(path) > LONGEST_PATH:
            raise UsageError(f"path has {len(path)} octets, expected at most {LONGEST_PATH}")

    @property
    def target(self) -> str:
        """The path."""
        return escape(self.path, _SPECIAL)


@dataclass(frozen=True, slots=True)
class AbstractAddress(ListenAddress):
    """A name in Linux's abstract namespace: no file, no permissions.

    Attributes:
        name: without the NUL it starts with in the system.
        padded: padded with NUL to the full length, as some programs do.
    """

    scheme: str
    name: bytes
    padded: bool = False

    def __post_init__(self) -> None:
        _check_scheme(self.scheme, ("unix", "unixgram", "unixseq"))
        if not 0 < len(self.name) <= LONGEST_NAME:
            raise UsageError(f"name has {len(self.name)} octets, expected 1 to {LONGEST_NAME}")

    @property
    def target(self) -> str:
        """The name after an ``@``."""
        return "@" + escape(self.name, _SPECIAL)

    @property
    def query(self) -> str:
        """The padding."""
        return "pad=full" if self.padded else ""


@dataclass(frozen=True, slots=True)
class DescriptorAddress(ListenAddress):
    """Sockets that this process inherited, by number."""

    numbers: tuple[int, ...]
    scheme: str = field(default="fd", init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "numbers", tuple(self.numbers))
        if not self.numbers or any(not 0 <= number < 2**31 for number in self.numbers):
            raise UsageError(f"descriptors are {self.numbers}, expected numbers from 0 on")
        if len(set(self.numbers)) < len(self.numbers):
            raise UsageError(f"descriptors are {self.numbers}, one of them twice")

    @property
    def target(self) -> str:
        """The numbers."""
        return ",".join(map(str, self.numbers))


@dataclass(frozen=True, slots=True)
class SystemdAddress(ListenAddress):
    """Sockets that systemd passes.

    Attributes:
        name: as in LISTEN_FDNAMES; None for any.
        index: which of those with that name, from 0; None for all of them. With neither name nor
            index there must be exactly one socket.
        prefix: whether ``name`` is only a prefix of the name; "" then means every socket.
    """

    name: str | None = None
    index: int | None = None
    prefix: bool = False
    scheme: str = field(default="sd", init=False, repr=False)

    def __post_init__(self) -> None:
        if self.name is not None and not _is_descriptor_name(self.name, empty=self.prefix):
            raise UsageError(
                f"name is {self.name!r}, expected 1 to 255 printable ASCII characters without :"
            )
        if self.index is not None and not 0 <= self.index < 2**31:
            raise UsageError(f"index is {self.index}, expected a number from 0 on")
        if self.prefix and (self.name is None or self.index is not None):
            raise UsageError("a prefix is one of a name, and goes without index")

    @property
    def target(self) -> str:
        """Name, index or pattern."""
        name = escape((self.name or "").encode(), _SPECIAL + "*")
        star = "*" if self.prefix else ""
        return f"{name}{star}" if self.index is None else f"{name}#{self.index}"

    def matches(self, name: str) -> bool:
        """Return whether a passed socket with this name matches, ignoring the index."""
        if self.name is None:
            return True
        return name.startswith(self.name) if self.prefix else name == self.name


@dataclass(frozen=True, slots=True)
class LaunchdAddress(ListenAddress):
    """Sockets that launchd passes: a key of the ``Sockets`` dictionary of the job (macOS)."""

    name: str
    scheme: str = field(default="launchd", init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.name or not self.name.isprintable() or len(self.name) > 255:
            raise UsageError(f"name is {self.name!r}, expected 1 to 255 printable characters")

    @property
    def target(self) -> str:
        """The name."""
        return escape(self.name.encode(), _SPECIAL)


def _is_descriptor_name(name: str, *, empty: bool) -> bool:
    # sd_listen_fds_with_names(3): ASCII, no control characters and no colon, up to 255.
    if not name:
        return empty
    return name.isascii() and name.isprintable() and ":" not in name and len(name) <= 255


@dataclass(frozen=True, slots=True)
class InetdAddress(ListenAddress):
    """Standard input and output, as passed by a super-server."""

    scheme: str = field(default="inetd", init=False, repr=False)

    @property
    def target(self) -> str:
        """Nothing."""
        return ""

    @property
    def place(self) -> str:
        """The word alone, without colon."""
        return self.scheme


@dataclass(frozen=True, slots=True)
class VsockAddress(ListenAddress):
    """A port between a virtual machine and its host; `ANY` for any of them."""

    scheme: str
    cid: int
    port: int

    def __post_init__(self) -> None:
        _check_scheme(self.scheme, ("vsock", "vsockseq"))
        if not (0 <= self.cid <= ANY and 0 <= self.port <= ANY):
            raise UsageError(f"CID and port are {self.cid} and {self.port}, expected 32 bits each")

    @property
    def target(self) -> str:
        """CID and port."""
        return ":".join("any" if number == ANY else str(number) for number in (self.cid, self.port))


@dataclass(frozen=True, slots=True)
class MemoryAddress(ListenAddress):
    """A named end of the memory network of this event loop."""

    scheme: str
    name: str

    def __post_init__(self) -> None:
        _check_scheme(self.scheme, ("mem", "memgram"))
        if not self.name or not self.name.isprintable() or len(self.name) > 255:
            raise UsageError(f"name is {self.name!r}, expected 1 to 255 printable characters")

    @property
    def target(self) -> str:
        """The name."""
        return escape(self.name.encode(), _SPECIAL)
