"""EDNS options as text: name server identifier, errors, cookies, timeouts.

Everything a server sends is escaped: no control character reaches a terminal.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from pierhead.protocols.dns.wire import iana

__all__ = ["extended_error_text", "option_words", "printable"]

#: RFC 8914 §4 and IANA's registry of Extended DNS Error Codes.
_ERRORS = (
    "Other Error",
    "Unsupported DNSKEY Algorithm",
    "Unsupported DS Digest Type",
    "Stale Answer",
    "Forged Answer",
    "DNSSEC Indeterminate",
    "DNSSEC Bogus",
    "Signature Expired",
    "Signature Not Yet Valid",
    "DNSKEY Missing",
    "RRSIGs Missing",
    "No Zone Key Bit Set",
    "NSEC Missing",
    "Cached Error",
    "Not Ready",
    "Blocked",
    "Censored",
    "Filtered",
    "Prohibited",
    "Stale NXDOMAIN Answer",
    "Not Authoritative",
    "Not Supported",
    "No Reachable Authority",
    "Network Error",
    "Invalid Data",
    "Signature Expired before Valid",
    "Too Early",
    "Unsupported NSEC3 Iterations Value",
    "Unable to conform to policy",
    "Synthesized",
    "Invalid Query Type",
)


def option_words(code: int, data: bytes) -> str:
    """Return the content of an option as text; in hexadecimal if it has no text form."""
    words = _WORDS.get(code)
    text = words(data) if words is not None else ""
    return text or data.hex()


def extended_error_text(code: int) -> str:
    """Return the name of an extended DNS error, or ``EDE123`` if it has none."""
    return _ERRORS[code] if code < len(_ERRORS) else f"EDE{code}"


def printable(text: str) -> str:
    r"""Return text with every non-printable character escaped as ``\DDD``, octet by octet."""
    return "".join(
        c
        if c.isprintable()
        else "".join(f"\\{octet:03d}" for octet in c.encode("utf-8", "surrogateescape"))
        for c in text
    )


def _octets(data: bytes) -> str:
    return printable(data.decode("utf-8", "surrogateescape"))


def _name_server(data: bytes) -> str:
    # RFC 5001 §2.3: any octets; nearly always a name.
    return f'"{_octets(data)}"' if data else ""


def _subnet(data: bytes) -> str:
    if len(data) < 4 or data[:2] not in (b"\0\x01", b"\0\x02"):
        return ""
    width = 4 if data[1] == 1 else 16
    if len(data) - 4 > width:
        return ""
    address = ipaddress.ip_address(data[4:].ljust(width, b"\0"))
    return f"{address}/{data[2]} scope {data[3]}"


def _cookie(data: bytes) -> str:
    if len(data) == 8:
        return f"client {data.hex()}"
    if 16 <= len(data) <= 40:
        return f"client {data[:8].hex()} server {data[8:].hex()}"
    return ""


def _keepalive(data: bytes) -> str:
    # RFC 7828 §3.1: in units of 100 milliseconds.
    return f"{int.from_bytes(data, 'big') / 10:g} s" if len(data) == 2 else ""


def _expire(data: bytes) -> str:
    return f"{int.from_bytes(data, 'big')} s" if len(data) == 4 else ""


def _padding(data: bytes) -> str:
    return f"{len(data)} octets"


def _extended_error(data: bytes) -> str:
    if len(data) < 2:
        return ""
    code = int.from_bytes(data[:2], "big")
    extra = _octets(data[2:].rstrip(b"\0"))
    return f"{code} ({extended_error_text(code)}){f': {extra}' if extra else ''}"


_WORDS: dict[int, Callable[[bytes], str]] = {
    iana.OPTION_NSID: _name_server,
    iana.OPTION_CLIENT_SUBNET: _subnet,
    iana.OPTION_EXPIRE: _expire,
    iana.OPTION_COOKIE: _cookie,
    iana.OPTION_KEEPALIVE: _keepalive,
    iana.OPTION_PADDING: _padding,
    iana.OPTION_EXTENDED_ERROR: _extended_error,
}
