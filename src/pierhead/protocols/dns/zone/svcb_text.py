r"""SVCB and HTTPS records from presentation format to wire form (RFC 9460 §2.1, §7, appendix A).

    priority target key=value key="value" key667=opaque

Value-list fields are escaped twice: once as a character-string, once for the comma.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable

from pierhead.protocols.dns.zone.fields import Fields, ipv4_octets, ipv6_octets
from pierhead.protocols.dns.zone.known_values import service_problem

__all__ = ["read_service_binding"]

_MANDATORY, _ALPN, _NO_DEFAULT_ALPN, _PORT, _IPV4, _ECH, _IPV6, _DOHPATH, _OHTTP, _GROUPS = range(
    10
)
_KEYS = {
    b"mandatory": _MANDATORY,
    b"alpn": _ALPN,
    b"no-default-alpn": _NO_DEFAULT_ALPN,
    b"port": _PORT,
    b"ipv4hint": _IPV4,
    b"ech": _ECH,
    b"ipv6hint": _IPV6,
    b"dohpath": _DOHPATH,
    b"ohttp": _OHTTP,
    b"tls-supported-groups": _GROUPS,
}
_NUMBERED_KEY = re.compile(rb"key(0|[1-9][0-9]{0,4})")
_LIST_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_LIST_ITEM = re.compile(rb"(?:[^\\,]|\\.)*+", re.DOTALL)


def read_service_binding(fields: Fields) -> bytes:
    """Take the fields of an SVCB or HTTPS record."""
    head = fields.u16() + fields.name()
    params: dict[int, bytes] = {}
    while not fields.at_end():
        number, value = _parameter(fields)
        if number in params:
            raise fields.wrong("this parameter is given twice (RFC 9460 §2.1)")
        params[number] = value
    problem, remedy = service_problem(params)
    if problem:
        raise fields.wrong(problem, remedy)
    # RFC 9460 §2.2: "SvcParamKeys SHALL appear in increasing numeric order."
    return head + b"".join(
        [
            number.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value
            for number, value in sorted(params.items())
        ]
    )


def _parameter(fields: Fields) -> tuple[int, bytes]:
    token = fields.take("a parameter")
    key, equals, written = token.partition(b"=")
    number = _key_number(key)
    if number is None:
        raise fields.wrong(
            f"{key.decode('utf-8', 'replace')!r} is not a parameter of a service binding",
            "expected alpn, port, ipv4hint, ipv6hint … or key0 to key65535",
        )
    start = len(key) + 1
    if equals and not written and not fields.at_end():
        # The tokenizer ends a field where a quotation mark starts: key="value" is two.
        following = fields.tokens[fields.position]
        if following[:1] == b'"':
            if not fields.is_glued():
                raise fields.wrong(
                    "a space between the parameter and its value (RFC 9460 §2.1)",
                    f"write {(token + following).decode('utf-8', 'replace')}",
                )
            written, start = fields.take("a value"), 0
    value = fields.resolve(written, start)
    if len(value) > 0xFFFF:
        raise fields.wrong(f"value of {len(value)} octets, expected at most 65535")
    convert = _VALUES.get(number)
    if key[:3] == b"key" or convert is None:
        return number, value
    try:
        return number, convert(value)
    except ValueError as error:
        raise fields.wrong(f"bad value of {key.decode()}: {error}") from None


def _key_number(key: bytes) -> int | None:
    number = _KEYS.get(key)
    if number is None and (found := _NUMBERED_KEY.fullmatch(key)):
        number = int(found[1])
        if number > 0xFFFF:
            return None
    return number


def _mandatory(value: bytes) -> bytes:
    numbers = []
    for key in value.split(b","):
        number = _key_number(key)
        if number is None:
            raise ValueError(f"{key.decode('utf-8', 'replace')!r} is not a parameter")
        if number == _MANDATORY:
            raise ValueError("mandatory cannot name itself (RFC 9460 §8)")
        numbers.append(number)
    if len(set(numbers)) != len(numbers):
        raise ValueError("a parameter is named twice (RFC 9460 §8)")
    return b"".join([number.to_bytes(2, "big") for number in sorted(numbers)])


def _protocols(value: bytes) -> bytes:
    found = []
    position = 0
    while True:
        item = _LIST_ITEM.match(value, position)
        written = item[0] if item else b""
        protocol = _LIST_ESCAPE.sub(rb"\1", written)
        if not 0 < len(protocol) < 256:
            raise ValueError("expected protocols of 1 to 255 octets, separated by commas")
        found.append(bytes((len(protocol),)) + protocol)
        position += len(written)
        if position == len(value):
            return b"".join(found)
        if value[position : position + 1] != b",":
            raise ValueError("backslash at the end")
        position += 1


def _nothing(value: bytes) -> bytes:
    if value:
        raise ValueError("this parameter takes no value")
    return b""


def _port(value: bytes) -> bytes:
    if not (value.isdigit() and len(value) <= 5 and int(value) <= 0xFFFF):
        raise ValueError("expected a port, 0 to 65535")
    return int(value).to_bytes(2, "big")


def _addresses(octets: Callable[[bytes], bytes | None]) -> Callable[[bytes], bytes]:
    def convert(value: bytes) -> bytes:
        found = [octets(text) for text in value.split(b",")]
        if None in found:
            raise ValueError("expected addresses separated by commas")
        return b"".join([address for address in found if address])

    return convert


def _base64(value: bytes) -> bytes:
    try:
        decoded = binascii.a2b_base64(value, strict_mode=True)
    except binascii.Error:
        raise ValueError("expected Base 64") from None
    if not decoded:
        raise ValueError("expected Base 64, found nothing")
    return decoded


def _template(value: bytes) -> bytes:
    # RFC 9461 §5: a relative URI template in UTF-8 that uses the variable "dns".
    if not value.startswith(b"/") or b"dns" not in value:
        raise ValueError("expected a path with {?dns}, as in /dns-query{?dns}")
    value.decode("utf-8")
    return value


def _groups(value: bytes) -> bytes:
    numbers = value.split(b",")
    if not all(text.isdigit() and len(text) <= 5 and int(text) <= 0xFFFF for text in numbers):
        raise ValueError("expected group numbers separated by commas")
    if len(set(numbers)) != len(numbers):
        raise ValueError("a group is named twice")
    return b"".join([int(text).to_bytes(2, "big") for text in numbers])


_VALUES: dict[int, Callable[[bytes], bytes]] = {
    _MANDATORY: _mandatory,
    _ALPN: _protocols,
    _NO_DEFAULT_ALPN: _nothing,
    _PORT: _port,
    _IPV4: _addresses(ipv4_octets),
    _ECH: _base64,
    _IPV6: _addresses(ipv6_octets),
    _DOHPATH: _template,
    _OHTTP: _nothing,
    _GROUPS: _groups,
}
