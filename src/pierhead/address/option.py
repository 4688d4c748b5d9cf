"""The description of one address option."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pierhead.address.option_types import OptionType, Value

__all__ = ["BOTH", "DIALLING", "LISTENING", "AppliedBy", "Effect", "Option", "Side"]


class AppliedBy(Enum):
    """The layer that applies an option; the value is its name in the documentation."""

    ADDRESS = "the address itself, when it is parsed"
    SOCKET = "the socket, before it is bound"
    BIND = "binding and listening"
    PATH = "the file of the socket"
    ADOPT = "adoption of passed sockets"
    MEMORY = "the memory network"
    TLS = "TLS"
    TLS_CLIENT = "TLS, as a client"
    QUIC = "QUIC"
    PROXY = "the PROXY protocol"
    ACCEPT = "accepting"
    ADMISSION = "admission"
    SERVER = "the server"


class Effect(Enum):
    """When a change of an option takes effect at run time, earliest first.

    A datagram socket has no new connections: there, a change that waits for one takes effect at
    once.
    """

    AT_ONCE = "at once"
    NEW_CONNECTIONS = "for new connections"
    NEW_LISTENER = "with a new listener"


class Side(Enum):
    """What an address is used for; the value completes "for"."""

    LISTEN = "listening"
    DIAL = "dialling"


LISTENING = frozenset({Side.LISTEN})
DIALLING = frozenset({Side.DIAL})
BOTH = LISTENING | DIALLING


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option.

    Attributes:
        key: the text before ``=``.
        meaning: one sentence without a full stop.
        type: how the value is read, checked and written.
        default: the value if the option is not given; None if the system, the server or
            ``default_note`` decides.
        default_note: what applies if the option is not given and no value expresses that.
        sides: whether it is for listening, for dialling, or for both.
        other_side: the key that an address of the other side has instead, if any.
        schemes, wrappers: what the option is for; the address must have one of them.
        abstract: True for abstract names only, False for paths only, None for either.
        ipv6: whether it is for IPv6 addresses only.
        platforms: prefixes of ``sys.platform``; empty for all.
        applied_by: the layers that read it, each by its view in `pierhead.address.views`.
        effect: when a change takes effect, as far as the system allows.
        limit: the server limit that it sets for its listener only; empty for none.
        example: an example of the option.
        flag: the equivalent flag of tokio-listener's command line.
        flag_value: the value that the flag stands for; None if it takes a value.
        flag_meaning: what the flag does, if ``meaning`` covers other values as well.
        repeats: whether it may be given more than once; its value is then a tuple.
        stands_for: another key under which the value is stored.
        elsewhere: what other programs call it, for suggestions.
    """

    key: str
    meaning: str
    type: OptionType
    default: Value | None = None
    default_note: str = "the system's"
    sides: frozenset[Side] = LISTENING
    other_side: str = ""
    schemes: frozenset[str] = frozenset()
    wrappers: frozenset[str] = frozenset()
    abstract: bool | None = None
    ipv6: bool = False
    platforms: tuple[str, ...] = ()
    applied_by: tuple[AppliedBy, ...]
    effect: Effect
    limit: str = ""
    example: str
    flag: str = ""
    flag_value: Value | None = None
    flag_meaning: str = ""
    repeats: bool = False
    stands_for: str = ""
    elsewhere: tuple[str, ...] = ()

    @property
    def field(self) -> str:
        """Its name in the views."""
        return self.key.replace("-", "_").replace(".", "_")
