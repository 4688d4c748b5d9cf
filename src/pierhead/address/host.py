"""Hosts and ports: literals, names, the wildcard, zones and ranges.

A host is stored in canonical spelling: the wildcard as an empty text, IPv6 as in RFC 5952 without
brackets, a zone after ``%``, a name in lower case.
"""

from __future__ import annotations

import ipaddress
import re

from pierhead.address.text import Span
from pierhead.errors import AddressError, UsageError

__all__ = [
    "LONGEST_RANGE",
    "canonical_host",
    "is_ipv4",
    "is_ipv6",
    "read_host_and_ports",
    "show_host",
]

#: Each port of a range is a socket or two; a longer range is probably a mistake.
LONGEST_RANGE = 1024

_HIGHEST_PORT = 65535
_ZONE = re.compile(r"[!-~]+")
_LABEL = re.compile(r"[a-z0-9_-]{1,63}")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.-]")
# inet_aton(), and so getaddrinfo(), accept 0x7f.1, 127.1 and 2130706433 as addresses.
_NUMERIC_ENDING = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)")

_NO_PATH = "leave it out: such an address ends with its port"
_PORT_REMEDY = "write a number from 1 to 65535, or 0 for any free port"
_IPV6_REMEDY = "write up to eight groups of up to four hexadecimal digits: [2001:db8::1]:PORT"


def is_ipv4(host: str) -> bool:
    """Return whether a canonical host is an IPv4 literal."""
    return re.fullmatch(r"[.]*[0-9][0-9.]*", host) is not None


def is_ipv6(host: str) -> bool:
    """Return whether a canonical host is an IPv6 literal, with or without zone."""
    return ":" in host


def show_host(host: str) -> str:
    """Return a canonical host in the form of the grammar; the zone as in RFC 6874 §2."""
    return f"[{host.replace('%', '%25', 1)}]" if is_ipv6(host) else host


def canonical_host(host: str) -> str:
    """Return the canonical spelling of a host: literal without brackets, name, or the wildcard.

    Raises:
        UsageError: it is none of these; says why.
    """
    if host in ("", "*"):
        return ""
    if ":" in host:
        return _canonical_ipv6(host)
    if is_ipv4(host):
        return _canonical_ipv4(host)
    return _canonical_name(host)


def _canonical_ipv4(host: str) -> str:
    try:
        return str(ipaddress.IPv4Address(host))
    except ValueError:
        raise UsageError(
            f"{host} is not an IPv4 address: four numbers from 0 to 255, without leading zeros"
        ) from None


def _canonical_ipv6(host: str) -> str:
    literal, percent, zone = host.partition("%")
    try:
        address = ipaddress.IPv6Address(literal)
    except ValueError:
        raise UsageError(f"{literal} is not an IPv6 address") from None
    if percent and (not _ZONE.fullmatch(zone) or set(zone) & set("/?#[]")):
        raise UsageError(f"the zone {zone!r} of {literal} is not the name of an interface")
    # RFC 5952 §5; Python does this from 3.13 on.
    mapped = address.ipv4_mapped
    return f"{f'::ffff:{mapped}' if mapped else address}{percent}{zone}"


def _canonical_name(host: str) -> str:
    wrong = _NOT_IN_A_NAME.search(host)
    if wrong:
        advice = "; write its xn-- form" if not wrong[0].isascii() else ""
        raise UsageError(f"{wrong[0]!r} is not allowed in a host name{advice}")
    name = host.lower()
    labels = name.removesuffix(".").split(".")
    if len(name) > 253:
        raise UsageError(f"a host name has at most 253 characters, this one {len(name)}")
    if "" in labels:
        where = "begins with a dot" if name.startswith(".") else "has two dots in a row"
        raise UsageError(f"{host} {where}, which no host name does")
    for label in labels:
        if not _LABEL.fullmatch(label) or label[0] == "-" or label[-1] == "-":
            raise UsageError(
                f"{label!r} cannot be a part of a host name: 1 to 63 letters, digits and inner -"
            )
    if _NUMERIC_ENDING.fullmatch(labels[-1]):
        raise UsageError(
            f"{host} ends in a number, so it is not a host name, and is not an IPv4 address"
        )
    return name


def read_host_and_ports(span: Span) -> tuple[str, int, int | None]:
    """Parse ``host:port`` or ``host:first-last``.

    Returns:
        The canonical host, the port, and the last port of a range or None.

    Raises:
        AddressError: it does not parse."""
    host, port = _split(span)
    canonical = _read_host(host)
    first, last = _read_ports(port)
    return canonical, first, last


def _split(span: Span) -> tuple[Span, Span]:
    text = str(span)
    if text.startswith("["):
        return _split_brackets(span)
    colons = text.count(":")
    if colons > 1 and re.fullmatch(r"[0-9A-Fa-f:.]*(%[^:]*)?(:[0-9]*)?", text):
        raise span.error("an IPv6 address needs brackets", _bracket(text))
    if colons == 0:
        raise _missing_port(span)
    at = text.rfind(":")
    return span.cut(0, at), span.cut(at + 1)


def _split_brackets(span: Span) -> tuple[Span, Span]:
    text = str(span)
    closing = text.find("]")
    if closing < 0:
        raise span.error("[ is never closed by ]", "write [ADDRESS]:PORT")
    if not text.startswith(":", closing + 1):
        remedy = f"write {text[: closing + 1]}:{text[closing + 1 :] or 'PORT'}"
        raise span.error("expected :PORT after ]", remedy, at=closing + 1)
    return span.cut(0, closing + 1), span.cut(closing + 2)


def _bracket(text: str) -> str:
    literal, _, port = text.rpartition(":")
    for host, ending in ((literal, port), (text, "PORT")):
        try:
            return f"did you mean [{_canonical_ipv6(host)}]:{ending or 'PORT'}?"
        except UsageError:
            continue
    return "write [ADDRESS]:PORT"


def _missing_port(span: Span) -> AddressError:
    text = str(span)
    if text.isascii() and text.isdigit():
        return span.error("a port alone is not an address", f"did you mean 127.0.0.1:{text}?")
    slash = text.find("/")
    if slash >= 0:
        return span.error("there is no port, and no path in such an address", _NO_PATH, at=slash)
    return span.error("the port is missing", f"write {text}:PORT", at=len(text))


def _read_host(span: Span) -> str:
    text = str(span)
    if text.startswith("["):
        return _read_brackets(span.cut(1, len(text) - 1))
    if "@" in text:
        raise span.error("there is no user in an address", "write HOST:PORT", at=text.index("@"))
    if "/" in text:
        raise span.error("there is no path in such an address", _NO_PATH, at=text.index("/"))
    try:
        return canonical_host(text)
    except UsageError as error:
        wrong = _NOT_IN_A_NAME.search(text)
        at = wrong.start() if wrong else 0
        raise span.error(str(error), _remedy_for(text), at=at) from None


def _remedy_for(host: str) -> str:
    if is_ipv4(host) or _NUMERIC_ENDING.fullmatch(host.lower().rpartition(".")[2]):
        return "write four decimal numbers, like 192.0.2.1"
    without = re.sub(r"[.]+", ".", host).strip(".")
    if without != host and without and _is_host(without):
        return f"write {without}"
    return "write a name like dns.example.org, or an IP address"


def _is_host(text: str) -> bool:
    try:
        canonical_host(text)
    except UsageError:
        return False
    return True


def _read_brackets(span: Span) -> str:
    text = str(span)
    # RFC 6874 §2 writes the zone after %25; people type a bare %. Nothing else is decoded here: an
    # interface may have any name.
    literal, percent, zone = text.partition("%")
    zone = zone.removeprefix("25")
    if percent and not zone:
        at = len(literal)
        raise span.error("the zone after % is empty", "write [fe80::1%25eth0]:PORT", at=at)
    if ":" not in literal:
        remedy = "brackets are for IPv6; write IPv4 addresses and names without"
        raise span.error(f"{literal!r} is not an IPv6 address", remedy)
    try:
        return _canonical_ipv6(f"{literal}{percent}{zone}")
    except UsageError as error:
        remedy = f"write the interface's name: [{literal}%25eth0]:PORT" if percent else _IPV6_REMEDY
        raise span.error(str(error), remedy) from None


def _read_ports(span: Span) -> tuple[int, int | None]:
    match = re.fullmatch(r"([0-9]+)(?:-([0-9]+))?", str(span))
    if not match:
        raise _bad_port(span)
    first = _read_port(span.cut(0, match.end(1)))
    if match[2] is None:
        return first, None
    last = _read_port(span.cut(match.start(2)))
    if first == 0:
        remedy = "write 0 alone for a free port, or begin with another"
        raise span.error("a range cannot start at port 0, which means any free port", remedy)
    if last < first:
        raise span.error("the range runs backwards", f"did you mean {last}-{first}?")
    if last - first >= LONGEST_RANGE:
        reason = f"the range has {last - first + 1} ports, at most {LONGEST_RANGE} are allowed"
        raise span.error(reason, "write several addresses")
    return first, None if last == first else last


def _read_port(span: Span) -> int:
    port = int(str(span))
    if port > _HIGHEST_PORT:
        raise span.error(f"port {port} is above {_HIGHEST_PORT}", _PORT_REMEDY)
    return port


def _bad_port(span: Span) -> AddressError:
    text = str(span)
    if not text:
        return span.error("the port is missing", "write a number; 0 takes any free port")
    at = next((i for i, c in enumerate(text) if c not in "0123456789"), 0)
    if text[at] == "/":
        return span.error("there is no path in such an address", _NO_PATH, at=at)
    if text.isascii() and text.isalpha():
        return span.error(f"a port is a number, not the name {text!r}", "write its number")
    reason = f"{text!r} is not a port: a number from 0 to {_HIGHEST_PORT}"
    return span.error(reason, _PORT_REMEDY, at=at)
