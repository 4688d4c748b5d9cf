"""Every option of an address, in one table.

The grammar and the explanations are driven by `OPTIONS`; what
an option does to a socket is the listener's business. A key may stand in two rows when it means
different things on different schemes (``mode``).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pierhead.address.accounts import Accounts
from pierhead.address.option import Option
from pierhead.address.schemes import LINUX, POSIX, SCHEMES
from pierhead.address.values import (
    Account,
    Choice,
    Duration,
    Flag,
    Keepalive,
    KeepaliveMilliseconds,
    Permissions,
    Ratio,
    Size,
    Text,
    Whole,
)
from pierhead.address.wrapper_options import PROXY_OPTIONS, TLS_OPTIONS

__all__ = ["OPTIONS", "OPTIONS_BY_KEY", "Option"]


_ALL = frozenset(SCHEMES)
_TCP = frozenset({"tcp"})
_INET = frozenset({"tcp", "udp", "quic"})
_UDP = frozenset({"udp"})
_UNIX = frozenset({"unix", "unixgram", "unixseq"})
_PASSED = frozenset({"fd", "sd", "launchd"})
_VOUCHED = frozenset({"unix", "unixseq"}) | _PASSED | {"inetd"}
_TCP_OR_PASSED = _TCP | _PASSED | {"inetd"}
_LISTENING = frozenset({"tcp", "unix", "unixseq", "vsock", "vsockseq"})
_ACCEPTING = _LISTENING | _PASSED | {"mem"}
_CONNECTED = _ACCEPTING | {"quic", "inetd"}
_KERNEL = _ALL - {"mem", "memgram"}
_VSOCK = frozenset({"vsock", "vsockseq"})
_QUIC = frozenset({"quic"})
_TLS = frozenset({"tls"})
_SERVER_LIMIT = "the server's limit"

_EVERYWHERE = (
    Option(
        key="name",
        meaning="what the listener is called in logs and metrics",
        type=Text(64),
        default_note="the address",
        schemes=_ALL,
        example="name=public",
    ),
    Option(
        key="drain",
        meaning="how long accepted work may take once the listener is closing",
        type=Duration(),
        default_note=_SERVER_LIMIT,
        schemes=_ALL,
        example="drain=30s",
    ),
    Option(
        key="sndbuf",
        meaning="size of the send buffer (SO_SNDBUF), for each connection or for the socket",
        type=Size(),
        schemes=_KERNEL - _VSOCK,
        example="sndbuf=256KiB",
        flag="--send-buffer-size",
    ),
    Option(
        key="rcvbuf",
        meaning="size of the receive buffer (SO_RCVBUF; on vsock, of its own kind), for each "
        "connection or for the socket",
        type=Size(),
        schemes=_KERNEL,
        example="rcvbuf=4MiB",
        flag="--recv-buffer-size",
    ),
)

_CONNECTIONS = (
    Option(
        key="backlog",
        meaning="connections the system holds until they are accepted",
        type=Whole(unit="connections"),
        default=1024,
        schemes=_LISTENING,
        example="backlog=512",
        flag="--tcp-listen-backlog",
    ),
    Option(
        key="maxconn",
        meaning="connections served at a time by this listener",
        type=Whole(unit="connections"),
        default_note=_SERVER_LIMIT,
        schemes=_CONNECTED,
        example="maxconn=1000",
    ),
    Option(
        key="maxconn-per-network",
        meaning="connections served at a time by this listener for one network, account or name",
        type=Whole(unit="connections"),
        default_note=_SERVER_LIMIT,
        schemes=_CONNECTED - {"inetd"},
        example="maxconn-per-network=20",
    ),
    Option(
        key="when-full",
        meaning="what happens to a newcomer when all connections are taken: another gives way, "
        "the newcomer is closed, or it waits in the system's backlog",
        type=Choice(("evict", "refuse", "wait")),
        default_note="the server's choice",
        schemes=_CONNECTED - {"inetd"},
        example="when-full=wait",
    ),
    Option(
        key="maxrate",
        meaning="connections accepted in a second by this listener",
        type=Whole(unit="connections per second"),
        default_note="no limit",
        schemes=_CONNECTED - {"inetd"},
        example="maxrate=200",
    ),
    Option(
        key="accept-backoff",
        meaning="longest pause after the system could not accept (out of descriptors or memory)",
        type=Duration(0.001, 60.0),
        default=1.0,
        schemes=_ACCEPTING,
        example="accept-backoff=500ms",
    ),
    Option(
        key="idle-timeout",
        meaning="how long a connection may be silent",
        type=Duration(0.01),
        default_note=_SERVER_LIMIT,
        schemes=_CONNECTED,
        example="idle-timeout=10s",
    ),
    Option(
        key="handshake-timeout",
        meaning="how long the handshake of TLS or QUIC may take",
        type=Duration(0.01, 3600.0),
        default_note=_SERVER_LIMIT,
        schemes=_QUIC,
        wrappers=_TLS,
        example="handshake-timeout=5s",
    ),
)

_TCP_OPTIONS = (
    Option(
        key="nodelay",
        meaning="small writes leave at once (TCP_NODELAY)",
        type=Flag(),
        default=True,
        schemes=_TCP_OR_PASSED,
        example="nodelay=off",
    ),
    Option(
        key="keepalive",
        meaning="probe silent connections (SO_KEEPALIVE): idle time, interval, number of probes",
        type=Keepalive(),
        default_note="off",
        schemes=_TCP_OR_PASSED,
        example="keepalive=60s:5s:3",
    ),
    Option(
        key="keepalive-ms",
        meaning="keepalive as tokio-listener writes it: idle, number, interval in ms, rounded up",
        type=KeepaliveMilliseconds(),
        default_note="off",
        schemes=_TCP_OR_PASSED,
        example="keepalive-ms=60000:3:5000",
        flag="--tcp-keepalive",
        stands_for="keepalive",
    ),
    Option(
        key="defer-accept",
        meaning="accept a connection only once the client has sent data (TCP_DEFER_ACCEPT)",
        type=Flag(),
        default=False,
        schemes=_TCP,
        platforms=LINUX,
        example="defer-accept",
    ),
    Option(
        key="fastopen",
        meaning="how many clients may send data with their first packet (TCP_FASTOPEN, RFC 7413)",
        type=Whole(unit="connections"),
        default_note="off",
        schemes=_TCP,
        platforms=(*LINUX, "darwin", "freebsd"),
        example="fastopen=256",
    ),
    Option(
        key="user-timeout",
        meaning="how long sent data may stay unacknowledged (TCP_USER_TIMEOUT)",
        type=Duration(0.001),
        schemes=_TCP_OR_PASSED,
        platforms=LINUX,
        example="user-timeout=30s",
    ),
    Option(
        key="notsent-lowat",
        meaning="unsent data above which a socket is not writable (TCP_NOTSENT_LOWAT)",
        type=Size(),
        schemes=_TCP_OR_PASSED,
        platforms=(*LINUX, "darwin"),
        example="notsent-lowat=16KiB",
    ),
)

_INET_OPTIONS = (
    Option(
        key="reuseaddr",
        meaning="take a port that old connections still linger on (SO_REUSEADDR)",
        type=Flag(),
        default_note="on for TCP outside Windows, off otherwise",
        schemes=_INET,
        example="reuseaddr=off",
    ),
    Option(
        key="reuseport",
        meaning="share the port with other sockets that ask for it too (SO_REUSEPORT)",
        type=Flag(),
        default=False,
        schemes=_INET,
        platforms=tuple(name for name in POSIX if name != "sunos"),
        example="reuseport",
        flag="--tcp-reuse-port",
        flag_value=True,
    ),
    Option(
        key="v6only",
        meaning="no IPv4 on an IPv6 socket (IPV6_V6ONLY)",
        type=Flag(),
        schemes=_INET,
        example="v6only",
        flag="--tcp-only-v6",
        flag_value=True,
    ),
    Option(
        key="device",
        meaning="only what arrives on this network interface (SO_BINDTODEVICE)",
        type=Text(15),
        default_note="any interface",
        schemes=_INET,
        platforms=LINUX,
        example="device=eth0",
    ),
    Option(
        key="freebind",
        meaning="bind an address the host does not have yet (IP_FREEBIND)",
        type=Flag(),
        default=False,
        schemes=_INET,
        platforms=LINUX,
        example="freebind",
    ),
    Option(
        key="transparent",
        meaning="take traffic for addresses of others, as a transparent proxy (IP_TRANSPARENT)",
        type=Flag(),
        default=False,
        schemes=_INET,
        platforms=LINUX,
        example="transparent",
    ),
    Option(
        key="mark",
        meaning="firewall mark of what is sent (SO_MARK)",
        type=Whole(0, 2**32 - 1),
        default=0,
        schemes=_INET,
        platforms=LINUX,
        example="mark=7",
    ),
    Option(
        key="dscp",
        meaning="differentiated services code point of what is sent (RFC 2474 §3)",
        type=Whole(0, 63),
        default=0,
        schemes=_INET,
        platforms=POSIX,
        example="dscp=46",
    ),
)

_UDP_OPTIONS = (
    Option(
        key="pktinfo",
        meaning="replies leave from the address that was asked (IP_PKTINFO)",
        type=Flag(),
        default_note="on where the socket is bound to a wildcard",
        schemes=_UDP,
        platforms=POSIX,
        example="pktinfo",
    ),
    Option(
        key="ecn",
        meaning="a service sees each datagram's congestion mark, context.via.ecn (IP_RECVTOS)",
        type=Flag(),
        default=False,
        schemes=_UDP,
        platforms=POSIX,
        example="ecn",
    ),
    Option(
        key="gro",
        meaning="the system may hand over several datagrams of one sender as one (UDP_GRO)",
        type=Flag(),
        default=False,
        schemes=_UDP,
        platforms=LINUX,
        example="gro",
    ),
    Option(
        key="iface",
        meaning="the network interface that multicast groups are joined on",
        type=Text(15),
        schemes=_UDP,
        example="iface=eth0",
    ),
    Option(
        key="multicast",
        meaning="join the multicast group that the address names",
        type=Choice(("join", "none")),
        default="none",
        schemes=_UDP,
        example="multicast=join",
    ),
)

_UNIX_OPTIONS = (
    Option(
        key="mode",
        meaning="permissions of the socket in the file system",
        type=Permissions(),
        default_note="0777 less the umask",
        schemes=_UNIX,
        abstract=False,
        example="mode=0660",
        flag="--unix-listen-chmod",
    ),
    Option(
        key="user",
        meaning="owner of the socket in the file system",
        type=Account(),
        default_note="the process's user",
        schemes=_UNIX,
        abstract=False,
        example="user=app",
        flag="--unix-listen-uid",
    ),
    Option(
        key="group",
        meaning="group of the socket in the file system",
        type=Account(),
        default_note="the process's group",
        schemes=_UNIX,
        abstract=False,
        example="group=www",
        flag="--unix-listen-gid",
    ),
    Option(
        key="unlink",
        meaning="which socket in the way is removed: one that nobody serves (stale), also one of "
        "which nobody can tell (always), or none (never); one that is served stays",
        type=Choice(("stale", "always", "never")),
        default="stale",
        schemes=_UNIX,
        abstract=False,
        example="unlink=always",
        flag="--unix-listen-unlink",
        flag_value="always",
    ),
    Option(
        key="pad",
        meaning="length of an abstract name: as given, or filled up with NUL to the full length",
        type=Choice(("exact", "full")),
        default="exact",
        schemes=_UNIX,
        abstract=True,
        platforms=LINUX,
        example="pad=full",
    ),
)

_VOUCHED_OPTIONS = (
    Option(
        key="allow-uid",
        meaning="users whose processes may connect; others are closed unread",
        type=Accounts(),
        default_note="any user",
        schemes=_VOUCHED,
        platforms=(*LINUX, "darwin", "freebsd"),
        example="allow-uid=app,0",
    ),
    Option(
        key="allow-gid",
        meaning="groups whose members' processes may connect, beside the users of allow-uid",
        type=Accounts(),
        default_note="any group",
        schemes=_VOUCHED,
        platforms=(*LINUX, "darwin", "freebsd"),
        example="allow-gid=adm",
    ),
)

_PASSED_OPTIONS = (
    Option(
        key="type",
        meaning="the type of socket that is expected; any other is refused",
        type=Choice(("stream", "dgram", "seqpacket")),
        default_note="what the protocol can serve",
        schemes=_PASSED,
        example="type=dgram",
    ),
    Option(
        key="force",
        meaning="take descriptors 0 to 2, which are standard input, output and error",
        type=Flag(),
        default=False,
        schemes=frozenset({"fd"}),
        example="force",
    ),
    Option(
        key="pid",
        meaning="whether LISTEN_PID must name this process; ignore: descriptor 3 is passed anyway",
        type=Choice(("check", "ignore")),
        default="check",
        schemes=frozenset({"sd"}),
        example="pid=ignore",
        flag="--sd-accept-ignore-environment",
        flag_value="ignore",
    ),
    Option(
        key="optional",
        meaning="no passed socket is not an error",
        type=Flag(),
        default=False,
        schemes=frozenset({"sd"}),
        example="optional",
    ),
    Option(
        key="mode",
        meaning="what standard input is: one accepted connection, or a socket to wait on",
        type=Choice(("nowait", "wait")),
        default="nowait",
        schemes=frozenset({"inetd"}),
        example="mode=wait",
    ),
)

_MEMORY_OPTIONS = (
    Option(
        key="loss",
        meaning="share of the datagrams that get lost",
        type=Ratio(),
        default=0.0,
        schemes=frozenset({"memgram"}),
        example="loss=0.01",
    ),
    Option(
        key="seed",
        meaning="start of the random numbers that decide which datagrams get lost",
        type=Whole(0),
        default_note="the network's",
        schemes=frozenset({"memgram"}),
        example="seed=7",
    ),
)

#: Every option there is.
OPTIONS: tuple[Option, ...] = (
    *_EVERYWHERE,
    *_CONNECTIONS,
    *_TCP_OPTIONS,
    *_INET_OPTIONS,
    *_UDP_OPTIONS,
    *_UNIX_OPTIONS,
    *_VOUCHED_OPTIONS,
    *_PASSED_OPTIONS,
    *_MEMORY_OPTIONS,
    *TLS_OPTIONS,
    *PROXY_OPTIONS,
)

#: The rows of each key.
OPTIONS_BY_KEY: Mapping[str, tuple[Option, ...]] = MappingProxyType(
    {
        key: tuple(option for option in OPTIONS if option.key == key)
        for key in sorted({option.key for option in OPTIONS})
    }
)
