"""The options of wrappers: TLS, with QUIC, and the PROXY protocol, of both sides."""

from __future__ import annotations

from pierhead.address.option import BOTH, DIALLING, AppliedBy, Effect, Option
from pierhead.address.option_types import (
    Choice,
    Duration,
    FilePath,
    Flag,
    Integer,
    Networks,
    Protocols,
    Text,
)

__all__ = [
    "KEY",
    "PROXY_OPTIONS",
    "STRICT_PERMISSIONS",
    "TLS_OPTIONS",
    "VERIFY",
]

_QUIC = frozenset({"quic"})
_TLS = frozenset({"tls"})
_PROXY = frozenset({"proxy"})

#: The validation rules use it: keys belong to certificates.
KEY = Option(
    key="key",
    meaning="PEM file with the private key; as many as certificates, in their order",
    type=FilePath(),
    default_note="the file of cert",
    sides=BOTH,
    schemes=_QUIC,
    wrappers=_TLS,
    applied_by=(AppliedBy.TLS, AppliedBy.TLS_CLIENT),
    effect=Effect.NEW_CONNECTIONS,
    example="key=server.key",
    elsewhere=("keyfile", "key-file", "private-key", "ssl-keyfile"),
    repeats=True,
)

#: `pierhead serve` has a switch for all of its addresses.
STRICT_PERMISSIONS = Option(
    key="strict-permissions",
    meaning="refuse a key that others can read; otherwise that is a warning",
    type=Flag(),
    default=False,
    sides=BOTH,
    schemes=_QUIC,
    wrappers=_TLS,
    applied_by=(AppliedBy.TLS, AppliedBy.TLS_CLIENT),
    effect=Effect.NEW_CONNECTIONS,
    example="strict-permissions",
)

#: The validation rules use it: without it, authorities have no effect.
VERIFY = Option(
    key="verify",
    meaning="whether the server's certificate is verified; off is warned of, since then anyone on "
    "the path can read and change everything",
    type=Flag(),
    default=True,
    sides=DIALLING,
    wrappers=_TLS,
    applied_by=(AppliedBy.TLS_CLIENT,),
    effect=Effect.NEW_CONNECTIONS,
    example="verify=off",
    elsewhere=("insecure",),
)

TLS_OPTIONS = (
    Option(
        key="cert",
        meaning="PEM file with the certificate and its chain; on a server, once more for each "
        "further name",
        type=FilePath(),
        default_note="none: a server requires one",
        sides=BOTH,
        schemes=_QUIC,
        wrappers=_TLS,
        applied_by=(AppliedBy.TLS, AppliedBy.TLS_CLIENT),
        effect=Effect.NEW_CONNECTIONS,
        example="cert=server.pem",
        elsewhere=("certfile", "cert-file", "certificate", "ssl-certfile"),
        repeats=True,
    ),
    KEY,
    Option(
        key="alpn",
        meaning="protocols offered, preferred first (RFC 7301)",
        type=Protocols(),
        default_note="what the protocol says",
        sides=BOTH,
        schemes=_QUIC,
        wrappers=_TLS,
        applied_by=(AppliedBy.TLS, AppliedBy.TLS_CLIENT),
        effect=Effect.NEW_CONNECTIONS,
        example="alpn=h2,http/1.1",
    ),
    Option(
        key="client-ca",
        meaning="PEM file with the authorities whose clients are admitted",
        type=FilePath(),
        default_note="clients need no certificate",
        schemes=_QUIC,
        wrappers=_TLS,
        applied_by=(AppliedBy.TLS,),
        effect=Effect.NEW_CONNECTIONS,
        example="client-ca=clients.pem",
        other_side="ca",
    ),
    Option(
        key="ca",
        meaning="PEM file with the authorities that may vouch for the server",
        type=FilePath(),
        default_note="the authorities that the system trusts",
        sides=DIALLING,
        other_side="client-ca",
        wrappers=_TLS,
        applied_by=(AppliedBy.TLS_CLIENT,),
        effect=Effect.NEW_CONNECTIONS,
        example="ca=authority.pem",
        elsewhere=("cafile", "ca-file", "ca-certs", "ssl-ca-certs"),
    ),
    Option(
        key="server-name",
        meaning="the name that is requested of the server (SNI, RFC 6066 §3) and that its "
        "certificate has to be for",
        type=Text(253),
        default_note="the host of the address; required without one",
        sides=DIALLING,
        wrappers=_TLS,
        applied_by=(AppliedBy.TLS_CLIENT,),
        effect=Effect.NEW_CONNECTIONS,
        example="server-name=dns.example",
        elsewhere=("sni", "servername", "server-hostname", "verifyhost"),
    ),
    VERIFY,
    Option(
        key="min",
        meaning="lowest version of TLS",
        type=Choice(("1.2", "1.3")),
        default="1.2",
        sides=BOTH,
        wrappers=_TLS,
        applied_by=(AppliedBy.TLS, AppliedBy.TLS_CLIENT),
        effect=Effect.NEW_CONNECTIONS,
        example="min=1.3",
    ),
    STRICT_PERMISSIONS,
    Option(
        key="retry",
        meaning="whether clients prove their address before a handshake (RFC 9000 §8.1.2)",
        type=Choice(("auto", "always", "never")),
        default="auto",
        schemes=_QUIC,
        applied_by=(AppliedBy.QUIC,),
        effect=Effect.NEW_CONNECTIONS,
        example="retry=always",
    ),
    Option(
        key="0rtt",
        meaning="data in the client's first packet, which an attacker can replay (RFC 9001 §9.2)",
        type=Flag(),
        default=False,
        schemes=_QUIC,
        applied_by=(AppliedBy.QUIC,),
        effect=Effect.NEW_CONNECTIONS,
        example="0rtt=off",
    ),
)

PROXY_OPTIONS = (
    Option(
        key="proxy.from",
        meaning="networks that proxies are in; every other peer is refused",
        type=Networks(),
        default_note="none: it is required where peers have IP addresses",
        wrappers=_PROXY,
        applied_by=(AppliedBy.PROXY,),
        effect=Effect.NEW_CONNECTIONS,
        example="proxy.from=10.0.0.0/8",
    ),
    Option(
        key="proxy.version",
        meaning="the version of the PROXY protocol that is accepted, or that is sent",
        type=Integer(1, 2),
        default_note="either is accepted, only 2 on datagrams; 2 is sent",
        sides=BOTH,
        wrappers=_PROXY,
        applied_by=(AppliedBy.PROXY,),
        effect=Effect.NEW_CONNECTIONS,
        example="proxy.version=2",
    ),
    Option(
        key="proxy.timeout",
        meaning="how long the header may take to arrive",
        type=Duration(0.001, 3600.0),
        default=5.0,
        wrappers=_PROXY,
        applied_by=(AppliedBy.PROXY,),
        effect=Effect.NEW_CONNECTIONS,
        example="proxy.timeout=3s",
    ),
)
