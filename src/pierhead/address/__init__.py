"""Addresses to listen on: a grammar and its values.

    [wrapper+]*scheme:target[?key=value&…]        tls+tcp:127.0.0.1:8530?cert=dns.pem
    host:port  /path  ./path  @name  sd-listen    127.0.0.1:5300

`ListenSpec.parse` reads any of these; `str` writes the canonical spelling, which parses back to an
equal value. Nothing in this package opens or looks up anything.
``docs/decisions/0001-address-grammar.md`` explains the design of the grammar.
"""

from __future__ import annotations

from pierhead.address.addresses import (
    ANY,
    AbstractAddress,
    DescriptorAddress,
    InetAddress,
    InetdAddress,
    LaunchdAddress,
    ListenAddress,
    MemoryAddress,
    SystemdAddress,
    UnixAddress,
    VsockAddress,
)
from pierhead.address.explain import (
    Explanation,
    ListenerExplanation,
    OptionExplanation,
    explain,
    refusals,
)
from pierhead.address.json_schema import address_schema, text_schema
from pierhead.address.listen_options import ListenOptions
from pierhead.address.option_types import KeepaliveTimes, Value
from pierhead.address.registry import OPTIONS, Option
from pierhead.address.schemes import SCHEMES, WRAPPERS, Kind
from pierhead.address.spec import ListenSpec, ShortForm

__all__ = [
    "ANY",
    "OPTIONS",
    "SCHEMES",
    "WRAPPERS",
    "AbstractAddress",
    "DescriptorAddress",
    "Explanation",
    "InetAddress",
    "InetdAddress",
    "KeepaliveTimes",
    "Kind",
    "LaunchdAddress",
    "ListenAddress",
    "ListenOptions",
    "ListenSpec",
    "ListenerExplanation",
    "MemoryAddress",
    "Option",
    "OptionExplanation",
    "ShortForm",
    "SystemdAddress",
    "UnixAddress",
    "Value",
    "VsockAddress",
    "address_schema",
    "explain",
    "refusals",
    "text_schema",
]
