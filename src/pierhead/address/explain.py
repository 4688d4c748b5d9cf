"""The explanation of an address, option by option, and what a platform would refuse: pure data."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from pierhead.address.addresses import AbstractAddress, InetAddress, UnixAddress
from pierhead.address.option_types import Value
from pierhead.address.registry import OPTIONS_BY_KEY, Option, Side
from pierhead.address.schemes import LINUX, SCHEMES, WRAPPERS, is_available
from pierhead.address.spec import ListenSpec
from pierhead.address.validation import why_not

__all__ = ["Explanation", "ListenerExplanation", "OptionExplanation", "explain", "refusals"]

#: sun_path has 104 octets outside Linux, the last of them NUL.
_LONGEST_PATH_ELSEWHERE = 103


@dataclass(frozen=True, slots=True)
class OptionExplanation:
    """One option given: its value as written, and what applies without it."""

    key: str
    value: str
    meaning: str
    unit: str
    default: str


@dataclass(frozen=True, slots=True)
class ListenerExplanation:
    """One listener that would be opened, or one place that would be dialled.

    Attributes:
        canonical: its address in canonical spelling.
        scheme: None if it depends on a protocol that was not named.
        kind: stream, datagram or seqpacket; None if only the passed socket determines it.
        meaning: what is listened on or dialled, in a sentence.
        layers: the layers between the socket and the protocol, outermost on the wire first.
        options: the options given.
        refusals: what the platform would not open, and why.
    """

    canonical: str
    scheme: str | None
    kind: str | None
    meaning: str
    layers: tuple[str, ...]
    options: tuple[OptionExplanation, ...]
    refusals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What an address means.

    Attributes:
        text: the address as given.
        canonical: the address in canonical spelling.
        listeners: what would be opened.
        platform: the ``sys.platform`` that ``refusals`` are about.
    """

    text: str
    canonical: str
    listeners: tuple[ListenerExplanation, ...]
    platform: str


@dataclass(frozen=True, slots=True)
class _Protocol:
    short_form: tuple[str, ...]


def explain(
    text: str,
    endpoint_short_form: tuple[str, ...] | None = None,
    platform: str = sys.platform,
    side: Side = Side.LISTEN,
) -> Explanation:
    """Explain a text as an address to listen on, or to dial.

    Args:
        text: the address.
        endpoint_short_form: what ``host:port`` stands for; None if unknown.
        platform: the ``sys.platform`` to judge for.
        side: what it is used for.

    Raises:
        AddressError: it does not parse, or cannot be used like that as written.
    """
    spec = ListenSpec.parse(text)
    specs: tuple[ListenSpec, ...] = (spec,)
    if side is Side.DIAL:
        specs = tuple(spec.to_dial(scheme) for scheme in _schemes(spec, endpoint_short_form))
    elif endpoint_short_form is not None or spec.address.scheme is not None:
        specs = spec.resolve(_Protocol(endpoint_short_form or ()))
    listeners = tuple(_explain_listener(one, platform, side) for one in specs)
    return Explanation(text, str(spec), listeners, platform)


def _schemes(spec: ListenSpec, short_form: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the schemes of a client, most often one: those of a protocol for ``host:port``."""
    known = short_form or ("tcp",)
    if "tls" in spec.wrappers:
        known = tuple(name for name in known if SCHEMES[name].kind == "stream")
    return known if spec.address.scheme is None else known[:1]


def _explain_listener(spec: ListenSpec, platform: str, side: Side) -> ListenerExplanation:
    return ListenerExplanation(
        canonical=str(spec),
        scheme=spec.address.scheme,
        kind=spec.kind,
        meaning=_meaning(spec) if side is Side.LISTEN else _meaning_of_dialling(spec),
        layers=tuple(WRAPPERS[wrapper] for wrapper in spec.wrappers),
        options=tuple(_explain_option(spec, key, value) for key, value in spec.options.given),
        refusals=tuple(refusals(spec, platform)),
    )


def _meaning(spec: ListenSpec) -> str:
    address = spec.address
    what = SCHEMES[address.scheme].meaning if address.scheme else "what the protocol listens on"
    if not isinstance(address, InetAddress):
        return what
    host = address.host or "every IPv4 and IPv6 address of this host"
    if address.last_port is not None:
        return f"{what}, on {host}, ports {address.port} to {address.last_port}"
    return f"{what}, on {host}, {f'port {address.port}' if address.port else 'any free port'}"


def _meaning_of_dialling(spec: ListenSpec) -> str:
    address = spec.address
    assert address.scheme is not None  # it is ready to dial
    what = SCHEMES[address.scheme].meaning
    if not isinstance(address, InetAddress):
        return what
    return f"{what}, to {address.host}, port {address.port}"


def _row(spec: ListenSpec, key: str) -> Option:
    rows = OPTIONS_BY_KEY[key]
    return next(row for row in rows if why_not(row, spec.wrappers, spec.address) is None)


def _explain_option(spec: ListenSpec, key: str, value: Value) -> OptionExplanation:
    option = _row(spec, key)
    default = option.default_note if option.default is None else _spell(option, option.default)
    return OptionExplanation(key, _spell(option, value), option.meaning, option.type.unit, default)


def _spell(option: Option, value: Value) -> str:
    if option.repeats and isinstance(value, tuple):
        return ", ".join(option.type.show(str(part)) for part in value)
    return option.type.show(value) or "on"


def refusals(spec: ListenSpec, platform: str) -> list[str]:
    """Return what a platform (``sys.platform``) would not open, each with the reason."""
    address = spec.address
    found = []
    if address.scheme and not SCHEMES[address.scheme].is_opened:
        found.append(f"this version does not open {address.scheme}: addresses yet")
    if address.scheme and not is_available(SCHEMES[address.scheme].platforms, platform):
        found.append(f"{platform} has no {address.scheme}: {SCHEMES[address.scheme].meaning}")
    if isinstance(address, AbstractAddress) and not platform.startswith(LINUX):
        found.append(f"{platform} has no abstract names; give a path")
    if isinstance(address, UnixAddress) and not platform.startswith(LINUX):
        octets = len(address.path)
        if octets > _LONGEST_PATH_ELSEWHERE:
            limit = f"{platform} takes at most {_LONGEST_PATH_ELSEWHERE}"
            found.append(f"the path has {octets} octets, {limit}")
    found += [
        f"{platform} has no {key}: {_row(spec, key).meaning}"
        for key, _ in spec.options.given
        if not is_available(_row(spec, key).platforms, platform)
    ]
    return found
