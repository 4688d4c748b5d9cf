"""What there is to know of one option of an address."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pierhead.address.option_types import OptionType, Value

__all__ = ["AppliedBy", "Effect", "Option"]


class AppliedBy(Enum):
    """Which layer does what an option says; the value is what the documentation calls it."""

    ADDRESS = "the address itself, when it is read"
    SOCKET = "the socket, before it is bound"
    BIND = "binding and listening"
    PATH = "the file of the socket"
    ADOPT = "taking over what was passed"
    MEMORY = "the memory network"
    TLS = "TLS"
    QUIC = "QUIC"
    PROXY = "the PROXY protocol"
    ACCEPT = "accepting"
    ADMISSION = "admission"
    SERVER = "the server"


class Effect(Enum):
    """When a change of an option takes effect while the server runs, the earliest first.

    A socket of datagrams has no new connections: what waits for one there takes effect at once.
    """

    AT_ONCE = "at once"
    NEW_CONNECTIONS = "for new connections"
    NEW_LISTENER = "with a new listener"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option.

    Attributes:
        key: what stands before ``=``.
        meaning: one sentence without full stop.
        type: how the value is read, checked and written.
        default: the value where the option is not given; None where the system, the server or
            ``default_note`` decides.
        default_note: what holds where the option is not given, if no value says it.
        schemes, wrappers: what the option is for; one of them has to be there.
        abstract: True for abstract names only, False for paths only, None for either.
        ipv6: whether it is for IPv6 addresses alone.
        platforms: beginnings of ``sys.platform``; empty for everywhere.
        applied_by: the layers that read it, each by its view in `pierhead.address.views`.
        effect: when a change takes effect, as far as the system allows.
        limit: the limit of the server that it sets for its listener alone; empty for none.
        example: the option as it may be written.
        flag: the flag of tokio-listener's command line that means the same.
        flag_value: what that flag stands for; None where it takes a value.
        flag_meaning: what that flag does, where ``meaning`` tells of other values as well.
        repeats: whether it may be given more than once; its value is then a tuple.
        stands_for: another key that the value is kept under.
    """

    key: str
    meaning: str
    type: OptionType
    default: Value | None = None
    default_note: str = "the system's"
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

    @property
    def field(self) -> str:
        """Its name in the views."""
        return self.key.replace("-", "_").replace(".", "_")
