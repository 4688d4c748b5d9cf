"""The options of wrappers: TLS, with QUIC, and the PROXY protocol."""

from __future__ import annotations

from pierhead.address.option import AppliedBy, Effect, Option
from pierhead.address.option_types import (
    Choice,
    Duration,
    FilePath,
    Flag,
    Integer,
    Networks,
    Protocols,
)

__all__ = [
    "KEY",
    "PROXY_OPTIONS",
    "STRICT_PERMISSIONS",
    "TLS_OPTIONS",
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
    schemes=_QUIC,
    wrappers=_TLS,
    applied_by=(AppliedBy.TLS,),
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
    schemes=_QUIC,
    wrappers=_TLS,
    applied_by=(AppliedBy.TLS,),
    effect=Effect.NEW_CONNECTIONS,
    example="strict-permissions",
)

TLS_OPTIONS = (
    Option(
        key="cert",
        meaning="PEM file with the certificate and its chain; once more for each further name",
        type=FilePath(),
        default_note="none: it is required",
        schemes=_QUIC,
        wrappers=_TLS,
        applied_by=(AppliedBy.TLS,),
        effect=Effect.NEW_CONNECTIONS,
        example="cert=server.pem",
        elsewhere=("certfile", "cert-file", "certificate", "ssl-certfile"),
        repeats=True,
    ),
    KEY,
    Option(
        key="alpn",
        meaning="protocols offered to the client, preferred first (RFC 7301)",
        type=Protocols(),
        default_note="what the protocol says",
        schemes=_QUIC,
        wrappers=_TLS,
        applied_by=(AppliedBy.TLS,),
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
        elsewhere=("ca", "cafile", "ca-file", "ca-certs", "ssl-ca-certs"),
    ),
    Option(
        key="min",
        meaning="lowest version of TLS",
        type=Choice(("1.2", "1.3")),
        default="1.2",
        wrappers=_TLS,
        applied_by=(AppliedBy.TLS,),
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
        meaning="the only version of the PROXY protocol that is accepted",
        type=Integer(1, 2),
        default_note="either on streams, 2 on datagrams",
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
