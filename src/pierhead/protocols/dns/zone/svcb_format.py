"""Parameters of SVCB and HTTPS records from wire form to text (RFC 9460 §2.1, §7, appendix A).

A value that does not follow its key's format is shown under the key's number, whose value is
opaque: ``key1="\\002h"``.
"""

from __future__ import annotations

import binascii
import ipaddress
import re
from collections.abc import Callable

from pierhead.protocols.dns.zone.fields import quoted

__all__ = ["service_key", "service_parameter"]

_KEYS = {
    0: "mandatory",
    1: "alpn",
    2: "no-default-alpn",
    3: "port",
    4: "ipv4hint",
    5: "ech",
    6: "ipv6hint",
    7: "dohpath",
    8: "ohttp",
    9: "tls-supported-groups",
}
_IN_LIST = re.compile(rb"([\\,])")


def service_key(number: int) -> str:
    """Return the name of a key, or ``key667`` if it has none."""
    return _KEYS.get(number, f"key{number}")


def service_parameter(key: int, value: bytes) -> str:
    """Return one parameter as ``key=value``; only the key if it has no value."""
    text = _KEYS.get(key)
    convert = _VALUES.get(key)
    if text is not None and convert is not None:
        try:
            shown = convert(value)
        except ValueError:
            pass
        else:
            return f"{text}={shown}" if shown else text
    return f"key{key}={quoted(value)}" if value else f"key{key}"


def _numbers(value: bytes) -> list[int]:
    if not value or len(value) % 2:
        raise ValueError
    return [int.from_bytes(value[n : n + 2], "big") for n in range(0, len(value), 2)]


def _mandatory(value: bytes) -> str:
    numbers = _numbers(value)
    if 0 in numbers or numbers != sorted(set(numbers)):
        raise ValueError
    return ",".join([service_key(number) for number in numbers])


def _protocols(value: bytes) -> str:
    found = []
    position = 0
    while position < len(value):
        end = position + 1 + value[position]
        item = value[position + 1 : end]
        if not item or end > len(value):
            raise ValueError
        found.append(_IN_LIST.sub(rb"\\\1", item))
        position = end
    if not found:
        raise ValueError
    return quoted(b",".join(found))


def _nothing(value: bytes) -> str:
    if value:
        raise ValueError
    return ""


def _port(value: bytes) -> str:
    (port,) = _numbers(value)
    return str(port)


def _addresses(width: int) -> Callable[[bytes], str]:
    def convert(value: bytes) -> str:
        if not value or len(value) % width:
            raise ValueError
        found = [value[n : n + width] for n in range(0, len(value), width)]
        return ",".join([str(ipaddress.ip_address(address)) for address in found])

    return convert


def _base64(value: bytes) -> str:
    if not value:
        raise ValueError
    return binascii.b2a_base64(value, newline=False).decode()


def _template(value: bytes) -> str:
    if not value.startswith(b"/") or b"dns" not in value:
        raise ValueError
    value.decode("utf-8")
    return quoted(value)


def _groups(value: bytes) -> str:
    numbers = _numbers(value)
    if len(set(numbers)) != len(numbers):
        raise ValueError
    return ",".join([str(number) for number in numbers])


_VALUES: dict[int, Callable[[bytes], str]] = {
    0: _mandatory,
    1: _protocols,
    2: _nothing,
    3: _port,
    4: _addresses(4),
    5: _base64,
    6: _addresses(16),
    7: _template,
    8: _nothing,
    9: _groups,
}
