"""The options of an address by layer: one frozen view for each.

    options = BindOptions.of(spec.options)
    sock.listen(options.backlog)

A view has a field for each option that its layer applies according to the registry: the key with
``_`` for ``-`` and ``.``, and the value given, or the registry's default, or None. Only here and in
the registry are the keys of options written.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Literal, Self, TypeVar

from pierhead.address.listen_options import ListenOptions
from pierhead.address.option import AppliedBy, Option
from pierhead.address.option_types import KeepaliveTimes
from pierhead.address.registry import OPTIONS
from pierhead.errors import UsageError

__all__ = [
    "VIEWS",
    "AcceptOptions",
    "AddressOptions",
    "AdmissionOptions",
    "AdoptOptions",
    "BindOptions",
    "MemoryOptions",
    "PathOptions",
    "ProxyOptions",
    "ServingOptions",
    "SocketOptions",
    "TlsClientOptions",
    "TlsOptions",
    "View",
    "for_each",
    "limits_of",
    "rows_of",
]

T = TypeVar("T")


class View:
    """The base of all views."""

    __slots__ = ()

    #: The layer that uses the view.
    layer: ClassVar[AppliedBy]

    @classmethod
    def of(cls, options: ListenOptions) -> Self:
        """Return the options of an address for this layer, with defaults for the rest."""
        values: dict[str, Any] = {name: row.default for name, row in rows_of(cls.layer).items()}
        return cls(**values | cls._given(options))

    @classmethod
    def _given(cls, options: ListenOptions) -> dict[str, Any]:
        return {row.field: value for row, value in options.rows() if cls.layer in row.applied_by}

    def set_ones(self) -> Iterator[tuple[str, Any]]:
        """Yield key and value of each option that has a value."""
        for name, row in rows_of(self.layer).items():
            value = getattr(self, name)
            if value is not None:
                yield row.key, value


@cache
def rows_of(layer: AppliedBy) -> Mapping[str, Option]:
    """Return the rows that a layer applies, by the name of their field."""
    return {row.field: row for row in OPTIONS if layer in row.applied_by and not row.stands_for}


def for_each(view: type[View], **values: T) -> Mapping[str, T]:
    """Return these values, one for each field of a view, by the key of its option.

    Raises:
        UsageError: a field has no value, or a name is not a field.
    """
    rows = rows_of(view.layer)
    if values.keys() != rows.keys():
        wrong = ", ".join(sorted(values.keys() ^ rows.keys()))
        raise UsageError(f"{view.__name__} and what is given for its fields differ in {wrong}")
    return {rows[name].key: value for name, value in values.items()}


def limits_of(options: ListenOptions) -> dict[str, Any]:
    """Return the server limits that an address sets for its listener, by name."""
    return {row.limit: value for row, value in options.rows() if row.limit}


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressOptions(View):
    """Options that affect how the address itself is parsed."""

    layer = AppliedBy.ADDRESS

    force: bool
    pad: Literal["exact", "full"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketOptions(View):
    """Options set on a socket; None leaves the system's default."""

    layer = AppliedBy.SOCKET

    broadcast: bool | None = None
    defer_accept: bool | None = None
    device: str | None = None
    dscp: int | None = None
    ecn: bool | None = None
    fastopen: int | None = None
    fastopen_connect: bool | None = None
    freebind: bool | None = None
    gro: bool | None = None
    keepalive: KeepaliveTimes | None = None
    mark: int | None = None
    maxseg: int | None = None
    mtu_discover: Literal["dont", "want", "do", "probe", "interface", "omit"] | None = None
    nodelay: bool | None = None
    notsent_lowat: int | None = None
    rcvbuf: int | None = None
    reuseaddr: bool | None = None
    reuseport: bool | None = None
    sndbuf: int | None = None
    transparent: bool | None = None
    user_timeout: float | None = None

    @classmethod
    def of(cls, options: ListenOptions) -> Self:
        """Return the options of an address; the rest is left to the system."""
        return cls(**cls._given(options))

    def or_else(self, others: SocketOptions) -> SocketOptions:
        """Return these options, with those of another for the ones not given."""
        names = [field.name for field in dataclasses.fields(self)]
        missing = {name: getattr(others, name) for name in names if getattr(self, name) is None}
        return dataclasses.replace(self, **missing)


@dataclass(frozen=True, slots=True, kw_only=True)
class BindOptions(View):
    """How a socket is bound and listens."""

    layer = AppliedBy.BIND

    backlog: int
    iface: str | None
    multicast: Literal["join", "none"]
    pktinfo: bool | None
    v6only: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PathOptions(View):
    """The file of a Unix domain socket: its permissions, and what it may replace."""

    layer = AppliedBy.PATH

    group: int | str | None
    mode: int | None
    unlink: Literal["stale", "always", "never"]
    user: int | str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptOptions(View):
    """How passed sockets are adopted."""

    layer = AppliedBy.ADOPT

    mode: Literal["nowait", "wait"]
    optional: bool
    pid: Literal["check", "ignore"]
    type: Literal["stream", "dgram", "seqpacket"] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryOptions(View):
    """Impairments of datagrams in the memory network."""

    layer = AppliedBy.MEMORY

    loss: float
    seed: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOptions(View):
    """What a TLS server presents and requires."""

    layer = AppliedBy.TLS

    alpn: tuple[str, ...] | None
    cert: tuple[str, ...] | None
    client_ca: str | None
    handshake_timeout: float | None
    key: tuple[str, ...] | None
    min: Literal["1.2", "1.3"]
    strict_permissions: bool

    @property
    def certificates(self) -> tuple[tuple[str, str], ...]:
        """Pairs of certificate and key files; by default the key is in the certificate's file."""
        certs = self.cert or ()
        return tuple(zip(certs, self.key or certs, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsClientOptions(View):
    """What a TLS client presents and requires."""

    layer = AppliedBy.TLS_CLIENT

    alpn: tuple[str, ...] | None
    ca: str | None
    cert: tuple[str, ...] | None
    key: tuple[str, ...] | None
    min: Literal["1.2", "1.3"]
    server_name: str | None
    strict_permissions: bool
    verify: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyOptions(View):
    """Which PROXY headers are accepted, and from which peers; which are sent."""

    layer = AppliedBy.PROXY

    proxy_from: tuple[str, ...] | None
    proxy_timeout: float
    proxy_version: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptOptions(View):
    """How many connections are accepted, how fast, and what happens when there are too many."""

    layer = AppliedBy.ACCEPT

    accept_backoff: float
    maxconn: int | None
    maxconn_per_network: int | None
    maxrate: int | None
    when_full: Literal["evict", "refuse", "wait"] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionOptions(View):
    """Which users' processes may connect."""

    layer = AppliedBy.ADMISSION

    allow_gid: tuple[str, ...] | None
    allow_uid: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingOptions(View):
    """The name of the listener, and the timeouts of its connections."""

    layer = AppliedBy.SERVER

    drain: float | None
    handshake_timeout: float | None
    idle_timeout: float | None
    name: str | None


#: Every view. `AppliedBy.QUIC` has none, since this version does not open it.
VIEWS: tuple[type[View], ...] = (
    AddressOptions,
    SocketOptions,
    BindOptions,
    PathOptions,
    AdoptOptions,
    MemoryOptions,
    TlsOptions,
    TlsClientOptions,
    ProxyOptions,
    AcceptOptions,
    AdmissionOptions,
    ServingOptions,
)
