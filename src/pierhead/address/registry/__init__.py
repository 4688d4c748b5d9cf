"""The registry of options: every address option, with everything there is to know about it.

The grammar, the table form, the explanations, JSON Schema, the flags of command lines and
`pierhead.address.views` are generated from `OPTIONS`. A key may have two rows if it means different
things on different schemes (``mode``).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pierhead.address.option import AppliedBy, Effect, Option, Side
from pierhead.address.registry.local import (
    ACCOUNT_OPTIONS,
    MEMORY_OPTIONS,
    PAD,
    PASSED_OPTIONS,
    UNIX_OPTIONS,
)
from pierhead.address.registry.network import (
    BACKLOG,
    CONNECTION_OPTIONS,
    GENERAL_OPTIONS,
    INET_OPTIONS,
    NAME,
    REUSEPORT,
    TCP_OPTIONS,
    UDP_OPTIONS,
)
from pierhead.address.registry.wrappers import (
    KEY,
    PROXY_OPTIONS,
    STRICT_PERMISSIONS,
    TLS_OPTIONS,
    VERIFY,
)

__all__ = [
    "BACKLOG",
    "KEY",
    "NAME",
    "OPTIONS",
    "OPTIONS_BY_KEY",
    "PAD",
    "REUSEPORT",
    "STRICT_PERMISSIONS",
    "VERIFY",
    "AppliedBy",
    "Effect",
    "Option",
    "Side",
]

#: Every option.
OPTIONS: tuple[Option, ...] = (
    *GENERAL_OPTIONS,
    *CONNECTION_OPTIONS,
    *TCP_OPTIONS,
    *INET_OPTIONS,
    *UDP_OPTIONS,
    *UNIX_OPTIONS,
    *ACCOUNT_OPTIONS,
    *PASSED_OPTIONS,
    *MEMORY_OPTIONS,
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
