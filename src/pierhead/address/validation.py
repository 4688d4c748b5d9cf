"""The rules of combination: wrappers with schemes, options with addresses, options with each other.

Nothing here parses text: the same rules apply to parsed addresses and to those built by a program.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pierhead.address.addresses import (
    ANY,
    AbstractAddress,
    DescriptorAddress,
    InetAddress,
    InetdAddress,
    ListenAddress,
    VsockAddress,
)
from pierhead.address.listen_options import ListenOptions, is_accepted
from pierhead.address.registry import KEY, OPTIONS_BY_KEY, PAD, VERIFY, Option, Side
from pierhead.address.schemes import PASSED_SCHEMES, SHORT_FORM_SCHEMES, Kind
from pierhead.address.views import (
    AddressOptions,
    AdoptOptions,
    ProxyOptions,
    TlsClientOptions,
    TlsOptions,
)

__all__ = ["Conflict", "conflicts", "kind_of", "lacking", "undiallable", "why_not", "wrong_side"]


#: The stream scheme for the same kind of address.
_STREAM_SCHEMES = {
    "udp": "tcp",
    "unixgram": "unix",
    "unixseq": "unix",
    "vsockseq": "vsock",
    "memgram": "mem",
}


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two parts that do not fit together.

    ``part`` says which is at fault: a wrapper by number, an
    option by key, "" the address.
    """

    part: int | str
    reason: str
    remedy: str = ""


def why_not(
    option: Option, wrappers: tuple[str, ...], address: ListenAddress
) -> tuple[str, str] | None:
    """Return why an option does not apply to this address and what to do, or None if it does."""
    schemes = {address.scheme} if address.scheme else set(SHORT_FORM_SCHEMES)
    if option.wrappers.intersection(wrappers):
        return None
    if not option.schemes & schemes:
        here = address.scheme or "host:port"
        there = [*sorted(option.schemes), *(f"{wrapper}+" for wrapper in sorted(option.wrappers))]
        return f"{option.key} is not for {here}", f"it is for {', '.join(there)}"
    if option.abstract is False and isinstance(address, AbstractAddress):
        return f"{option.key} is not for an abstract name, which is not a file", "leave it out"
    if option.abstract is True and not isinstance(address, AbstractAddress):
        return f"{option.key} is for abstract names only", "write @NAME, or leave it out"
    if option.ipv6 and isinstance(address, InetAddress):
        return _why_not_ipv6(option.key, address)
    return None


def _why_not_ipv6(key: str, address: InetAddress) -> tuple[str, str] | None:
    if address.is_ipv4:
        return f"{key} is not for the IPv4 address {address.host}", "leave it out"
    if not address.host:
        return f"{key} is not for the wildcard of IPv4 and IPv6", f"write [::]:{address.port}"
    return None


def conflicts(
    wrappers: tuple[str, ...], address: ListenAddress, options: ListenOptions
) -> Iterator[Conflict]:
    """Yield every conflict between the parts of a spec."""
    for number, wrapper in enumerate(wrappers):
        if wrapper in wrappers[:number]:
            yield Conflict(number, f"{wrapper}+ is given twice", "leave one of them out")
        judge = _tls_conflict if wrapper == "tls" else _proxy_conflict
        found = judge(address, options)
        if found:
            yield Conflict(number, *found)
    for key, value in options.given:
        rows = [row for row in OPTIONS_BY_KEY[key] if is_accepted(row, value)]
        refusals = [why_not(row, wrappers, address) for row in rows]
        if None not in refusals:
            yield Conflict(key, *(refusals[0] or ("",)))
    yield from _option_conflicts(address, options)


def kind_of(address: ListenAddress, options: ListenOptions) -> Kind | None:
    """Return how bytes travel, as far as scheme and options determine it."""
    adopt = AdoptOptions.of(options)
    if isinstance(address, InetdAddress) and adopt.mode == "nowait":
        return "stream"
    kinds: dict[str, Kind] = {
        "stream": "stream",
        "dgram": "datagram",
        "seqpacket": "seqpacket",
    }
    return address.kind or kinds.get(adopt.type or "")


def _tls_conflict(address: ListenAddress, options: ListenOptions) -> tuple[str, str] | None:
    if address.scheme == "quic":
        return "quic has TLS inside", "write quic: without tls+"
    kind = kind_of(address, options)
    if kind == "datagram":
        reason = "TLS needs a stream, and this is datagrams; DTLS is not offered"
        return reason, _as_stream("tls", address)
    if kind == "seqpacket":
        return "TLS needs a stream, and this keeps message borders", _as_stream("tls", address)
    return None


def _as_stream(wrapper: str, address: ListenAddress) -> str:
    """Return how to write the same for a stream; for adopted sockets, with ``type=``."""
    scheme = _STREAM_SCHEMES.get(address.scheme or "")
    return f"write {wrapper}+{scheme}:" if scheme else "write type=stream"


def _proxy_conflict(address: ListenAddress, options: ListenOptions) -> tuple[str, str] | None:
    kind = kind_of(address, options)
    version = ProxyOptions.of(options).proxy_version
    if kind == "seqpacket":
        return "the PROXY protocol is for streams and datagrams", _as_stream("proxy", address)
    if address.scheme == "quic" and version != 2:
        return "only version 2 of the PROXY protocol has datagrams", "add proxy.version=2"
    if kind == "datagram" and version == 1:
        return "version 1 of the PROXY protocol has no datagrams", "write proxy.version=2"
    return None


def _option_conflicts(address: ListenAddress, options: ListenOptions) -> Iterator[Conflict]:
    if PAD.key in options:
        reason = "padding is a part of the address, and not among its options"
        yield Conflict(PAD.key, reason, "write AbstractAddress(padded=True)")
    tls = TlsOptions.of(options)
    certs, keys = tls.cert or (), tls.key or ()
    if keys and len(keys) != len(certs):
        reason = f"there are {len(keys)} keys for {len(certs)} certificates"
        yield Conflict(KEY.key, reason, "give one key for each cert, in order, or none")
    client = TlsClientOptions.of(options)
    if client.ca is not None and not client.verify:
        reason = "verify=off believes anyone, so ca has no effect"
        yield Conflict(VERIFY.key, reason, "leave one of them out")
    if isinstance(address, DescriptorAddress) and not AddressOptions.of(options).force:
        low = [number for number in address.numbers if number <= 2]
        if low:
            reason = f"descriptor {low[0]} is standard input, output or error"
            instead = ", or write inetd" if low[0] == 0 else ""
            yield Conflict("", reason, f"add force to take it anyway{instead}")


def lacking(
    wrappers: tuple[str, ...], address: ListenAddress, options: ListenOptions
) -> Conflict | None:
    """Return what a server needs in addition to serve this address, or None."""
    if ("tls" in wrappers or address.scheme == "quic") and not TlsOptions.of(options).cert:
        part = wrappers.index("tls") if "tls" in wrappers else ""
        return Conflict(part, "TLS needs a certificate", "add cert=FILE, and key=FILE if apart")
    return None


def wrong_side(side: Side, options: ListenOptions) -> Conflict | None:
    """Return the first option that is for the other side, or None."""
    for row, _ in options.rows():
        if side in row.sides:
            continue
        there = " or ".join(one.value for one in Side if one in row.sides)
        instead = f"; for {side.value} there is {row.other_side}" if row.other_side else ""
        return Conflict(row.key, f"{row.key} is for {there}", f"leave it out{instead}")
    return None


def undiallable(
    wrappers: tuple[str, ...], address: ListenAddress, options: ListenOptions
) -> Conflict | None:
    """Return why a client cannot reach this address, or None."""
    if address.scheme in PASSED_SCHEMES | {"inetd"}:
        reason = f"{address.scheme}: is what a process is passed, and leads nowhere"
        return Conflict("", reason, "write the address itself, such as tcp:HOST:PORT")
    if isinstance(address, InetAddress):
        return _no_single_place(address) or wrong_side(Side.DIAL, options)
    if isinstance(address, VsockAddress) and ANY in (address.cid, address.port):
        reason = "a client reaches one CID and one port"
        return Conflict("", reason, f"write {address.scheme}:2:PORT for the host of this machine")
    tls = TlsClientOptions.of(options)
    if "tls" in wrappers and tls.verify and tls.server_name is None:
        reason = f"{address.scheme}: has no host whose name a certificate could be for"
        return Conflict(wrappers.index("tls"), reason, "add server-name=NAME")
    return wrong_side(Side.DIAL, options)


def _no_single_place(address: InetAddress) -> Conflict | None:
    if not address.host:
        reason = "a client reaches one host, and * is every address of this one"
        return Conflict("", reason, f"write {address.scheme}:HOST:{address.port or 'PORT'}")
    if not address.port or address.last_port is not None:
        found = f"ports {address.port} to {address.last_port}" if address.port else "any port"
        return Conflict("", f"a client reaches one port, not {found}", "write one port")
    return None
