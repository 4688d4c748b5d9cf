"""What a configuration file says, as frozen values; every key of every section is declared here.

    [limits]        LIMIT_KEYS, from the limits of servers
    [logging]       Logging
    [[serve]]       Dns, Lines, Echo, Forward, Custom: chosen by `protocol`

The command line makes the same values from its options. `pierhead.config.building` makes an
application of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

from pierhead.address import ListenSpec
from pierhead.config.kinds import (
    Address,
    Choice,
    Duration,
    Flag,
    ListOf,
    Number,
    Reference,
    Text,
    kind_of_limit,
)
from pierhead.config.table import NEXT_CONNECTION, RESTART, Key, Table, Variants, key
from pierhead.server.options import CHOICES, LIMITS, ServerOptions

__all__ = [
    "LEVELS",
    "LIMIT_TABLE",
    "ROOT",
    "SERVE",
    "AnyServe",
    "Configuration",
    "Custom",
    "Dns",
    "Echo",
    "Forward",
    "Lines",
    "Logging",
    "Serve",
]

LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("console", "json", "logfmt")

_NO_LIMITS: Mapping[str, Any] = MappingProxyType({})


def _limits(**values: Any) -> Mapping[str, Any]:
    return MappingProxyType(values)


#: The limits of servers, under the names of their registry.
LIMIT_TABLE = Table(
    "limits",
    {
        **{
            one.name: Key(
                one.name,
                kind_of_limit(one),
                one.meaning,
                kind_of_limit(one).show(one.default),
                f"at a reload: {one.effect}",
                one.default,
            )
            for one in LIMITS
        },
        **{
            name: Key(
                name,
                Choice(words),
                "What happens to a new client when an address is at max_connections.",
                words[0],
                "at a reload: at the next connection",
                getattr(ServerOptions(), name),
            )
            for name, words in CHOICES.items()
        },
    },
    _limits,
)


@dataclass(frozen=True, slots=True)
class _LimitsShown(Table):
    """The table of limits, which writes a limit that is given even if it is the default."""

    def show(self, value: Any) -> object:
        """Return the limits that are given."""
        return {name: self.keys[name].kind.show(one) for name, one in value.items()}


_GIVEN_LIMITS = _LimitsShown(LIMIT_TABLE.name, LIMIT_TABLE.keys, LIMIT_TABLE.make)


@dataclass(frozen=True, slots=True, kw_only=True)
class Serve:
    """What every ``[[serve]]`` has."""

    listen: tuple[ListenSpec, ...] = key(
        ListOf(Address(), "addresses", at_least=1),
        "Where to listen; `pierhead address explain` shows what an address means.",
        example=["127.0.0.1:7000"],
        effect="at a reload: new addresses are opened, others are drained",
        is_required=True,
    )
    limits: Mapping[str, Any] = key(
        _GIVEN_LIMITS,
        "Limits of these addresses; they go before those of the whole file.",
        example={"idle_timeout": "1m"},
        effect="at a reload, as each limit says",
        default=_NO_LIMITS,
        default_text="those of the whole file",
    )


def _access_log() -> Any:
    return key(
        Number(0, 1_000_000, "requests"),
        "Log one of so many requests that are answered, and all others: peer, outcome, duration "
        "and sizes; 0 logs none.",
        example=1,
        default=0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Dns(Serve):
    """DNS, authoritatively from zone files, or forwarded."""

    zones: tuple[str, ...] = key(
        ListOf(Text("a zone file, NAME=FILE, or a directory of *.zone files"), "zones"),
        "Zones to serve: master files, each named after itself without `.zone` unless `NAME=` "
        "is given; or directories, of which every `*.zone` file is served.",
        example=["zones/", "example.org=main.txt"],
        default=(),
        default_text="none",
    )
    include_dirs: tuple[str, ...] = key(
        ListOf(Text("a directory"), "directories"),
        "Directories that $INCLUDE may read from, besides a zone's own.",
        example=["/etc/zones/common"],
        default=(),
        default_text="none",
    )
    forward: tuple[str, ...] = key(
        ListOf(Text("an address, or SUFFIX=ADDRESS"), "addresses"),
        "Servers to ask for names below a suffix, or for all names that are in no zone.",
        example=["corp.example.=192.0.2.1:53"],
        default=(),
        default_text="none",
    )
    allow: tuple[str, ...] = key(
        ListOf(Text("a network such as 192.0.2.0/24"), "networks"),
        "Networks whose queries are forwarded.",
        example=["192.0.2.0/24"],
        default=(),
        default_text="this machine alone",
    )
    allow_transfer: tuple[str, ...] = key(
        ListOf(Text("a network such as 192.0.2.0/24, or key:NAME"), "networks and keys"),
        "Networks whose servers may transfer zones, by AXFR and IXFR, and keys (key:NAME) that "
        "allow it.",
        example=["192.0.2.0/24", "key:north."],
        default=(),
        default_text="none",
    )
    notify: tuple[str, ...] = key(
        ListOf(Text("an address such as 192.0.2.54"), "addresses"),
        "Secondaries that are told when a zone has changed (NOTIFY).",
        example=["192.0.2.54"],
        default=(),
        default_text="none",
    )
    journal: str | None = key(
        Text("a directory"),
        "Directory for the journal of changes, from which zones are restored.",
        example="/var/lib/pierhead",
    )
    take: str | None = key(
        Choice(("file", "journal")),
        "Version to serve of a zone that was changed in both its file and the journal.",
        example="file",
        default_text="the journal's, with a warning",
    )
    rate_limit: float | str = key(
        Number(0.001, 1_000_000, "responses per second", is_whole=False, may_be_off=True),
        "Similar answers per second to one network over UDP, excluding this machine.",
        example=50,
        default=200,
    )
    cookie_secrets: tuple[str, ...] = key(
        ListOf(Text("a file"), "files"),
        "Files with DNS cookie secrets as 32 hexadecimal digits; the first creates cookies, all "
        "verify them.",
        example=["/etc/pierhead/cookie"],
        default=(),
        default_text="random at start",
    )
    keys: tuple[str, ...] = key(
        ListOf(Text("a file"), "files"),
        "Files with TSIG keys (RFC 8945), as `pierhead key generate` writes them, or one "
        "algorithm:name:secret a line; questions that are signed by one get signed answers.",
        example=["/etc/pierhead/north.key"],
        default=(),
        default_text="none",
    )
    nsid: str | None = key(
        Text("text or hexadecimal digits"),
        "Name server identifier, sent on request (RFC 5001).",
        example="north-2",
        default_text="not sent",
    )
    identity: str | None = key(
        Text("text"),
        "Answer to id.server in class CH.",
        example="north-2",
        default_text="refused",
    )
    version_text: str | None = key(
        Text("text"),
        "Answer to version.bind in class CH.",
        example="none of your business",
        default_text="refused",
    )
    query_log: bool = key(Flag(), "Log each query to standard error.", example=True, default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines(Serve):
    """Lines of text, answered or conversed with by a function of yours."""

    service: str | None = key(
        Reference(),
        "Your async function that answers a line: (line, context) -> line.",
        example="shout:shout",
        default_text="none: conversation is given",
    )
    conversation: str | None = key(
        Reference(),
        "Your async function that converses with each peer, in place of service.",
        example="chat:chat",
        effect=NEXT_CONNECTION,
        default_text="none: service is given",
    )
    encoding: str = key(
        Text("the name of a text encoding, or bytes"),
        "Encoding of the text; `bytes` passes bytes to the function.",
        example="latin-1",
        effect=NEXT_CONNECTION,
        default="utf-8",
    )
    access_log: int = _access_log()


@dataclass(frozen=True, slots=True, kw_only=True)
class Echo(Serve):
    """Each line is answered with itself, and each datagram unchanged."""

    access_log: int = _access_log()


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward(Serve):
    """Connections and datagrams are passed on to other addresses, octet for octet."""

    to: tuple[str, ...] = key(
        ListOf(Text("an address such as unix:/run/a.sock"), "addresses", at_least=1),
        "Addresses to pass on to; `proxy+` tells the upstream who the client is.",
        example=["unix:/run/a.sock", "unix:/run/b.sock"],
        effect=NEXT_CONNECTION,
        is_required=True,
    )
    policy: str = key(
        Choice(("round-robin", "least-busy", "fastest", "rendezvous")),
        "Which upstream gets the next connection; `rendezvous` keeps a client at one.",
        example="least-busy",
        effect=NEXT_CONNECTION,
        default="round-robin",
    )
    check: bool = key(
        Flag(),
        "Connect to each upstream now and then, so that one that is away is found early.",
        example=True,
        default=False,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Http(Serve):
    """Requests of HTTP are answered by filters or a service of yours."""

    service: str = key(
        Reference(),
        "Your filters, or your async function: (request, context) -> response.",
        example="shop:site",
        is_required=True,
    )
    max_body_bytes: int | str = key(
        Number(0, 2**50, "bytes", may_be_off=True),
        "The largest content of a request.",
        example=10_000_000,
        effect=NEXT_CONNECTION,
        default=2**20,
    )
    access_log: int = _access_log()


@dataclass(frozen=True, slots=True, kw_only=True)
class Files(Serve):
    """The files of a folder are sent over HTTP."""

    folder: str = key(
        Text("a folder"),
        "The folder. Nothing outside of it is sent, nor what begins with a dot.",
        example="static",
        is_required=True,
    )
    index: str = key(
        Text("the name of a file, or nothing", may_be_empty=True),
        "File that answers for a folder; empty for none.",
        example="home.html",
        default="index.html",
    )
    cache_control: str | None = key(
        Text("text"),
        "Field of this name in every answer: how long clients keep files.",
        example="max-age=3600",
    )
    access_log: str | None = key(
        Choice(("common", "combined", "json")),
        "Form in which each request is logged to standard error.",
        example="common",
        default_text="requests are not logged",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Custom(Serve):
    """An endpoint of your own program: any protocol, any layers."""

    endpoint: str = key(
        Reference(),
        "A `pierhead.Endpoint` in a module of yours, or a function without arguments that returns "
        "one.",
        example="site:endpoint",
        is_required=True,
    )


AnyServe: TypeAlias = Dns | Lines | Echo | Forward | Http | Files | Custom


@dataclass(frozen=True, slots=True, kw_only=True)
class Logging:
    """What is logged to standard error."""

    level: str = key(
        Choice(LEVELS),
        "The least important messages that are logged.",
        example="info",
        effect="at a reload",
        default="warning",
    )
    format: str = key(
        Choice(LOG_FORMATS),
        "How lines look: for people, or one JSON object or logfmt line each.",
        example="json",
        effect=RESTART,
        default="console",
    )


SERVE = Variants(
    "serve",
    "protocol",
    {
        "dns": Table.of("serve", Dns),
        "lines": Table.of("serve", Lines),
        "echo": Table.of("serve", Echo),
        "forward": Table.of("serve", Forward),
        "http": Table.of("serve", Http),
        "files": Table.of("serve", Files),
        "endpoint": Table.of("serve", Custom),
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """A whole file."""

    strict_permissions: bool = key(
        Flag(),
        "Refuse keys and secrets that others can read, instead of warning.",
        example=True,
        default=False,
    )
    lame_duck: float = key(
        Duration(0, 3600),
        "How long to serve as before after being told to stop, while no longer ready, so that "
        "load balancers go elsewhere.",
        example="5s",
        effect=RESTART,
        default=0.0,
    )
    limits: Mapping[str, Any] = key(
        _GIVEN_LIMITS,
        "Limits of every address; see [the page of limits](limits.md).",
        example={"max_connections": 500},
        effect="at a reload, as each limit says",
        default=_NO_LIMITS,
        default_text="the defaults of each protocol",
    )
    logging: Logging = key(  # noqa: RUF009 - it returns the field
        Table.of("logging", Logging),
        "What is logged to standard error.",
        example={"level": "info"},
        effect="at a reload",
        default=Logging(),
    )
    serve: tuple[AnyServe, ...] = key(
        SERVE,
        "What is served, and where.",
        example=[{"protocol": "echo", "listen": ["tcp:127.0.0.1:7"]}],
        is_required=True,
    )


#: The whole file.
ROOT = Table.of("the file", Configuration)
