"""What the head of a request must be, beyond its syntax (RFC 9110, RFC 9112).

A parser says what the parts of a head are. These rules refuse what two programs could understand
differently: the length of the content, the host, the target. Nothing is repaired.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pierhead.protocols.http.wire.fields import Fields
from pierhead.protocols.http.wire.refusal import BadMessage

__all__ = ["Head", "check_trailers"]

#: What the rules look at.
_WATCHED = frozenset(
    ["connection", "content-length", "expect", "host", "transfer-encoding", "upgrade"]
)

#: RFC 9112 §6.1: what must not be in trailers, as it says where a message ends or goes.
_NO_TRAILERS = frozenset(
    [
        *("authorization", "connection", "content-length", "content-type", "expect", "host"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
    ]
)

#: RFC 3986 §3.2, without the user (RFC 9110 §4.2.4 has none).
_HOST = re.compile(
    r"(?:\[(?:[0-9A-Fa-f:.]+|v[0-9A-Fa-f]+\.[!$&'()*+,;=:\w.~-]+)\]"
    r"|(?:[!$&'()*+,;=0-9A-Za-z._~-]|%[0-9A-Fa-f]{2})+)(?::[0-9]{0,5})?",
    re.ASCII,
)
_ABSOLUTE = re.compile(r"https?://([^/?#]*)([/?].*)?", re.IGNORECASE)
_LENGTH = re.compile(r"[0-9]{1,19}", re.ASCII)


class Head:
    """The head of a request, and what follows from it.

    Attributes:
        fields: the header fields.
        length: of the content, in octets; None where chunks say it.
        keeps_alive: whether the connection may be used for another request.
        expects_continue: whether the peer waits for 100 (Continue) before it sends content.
        authority: the host that is asked, with its port.
        size: of the head, in octets.
    """

    __slots__ = (
        "authority",
        "expects_continue",
        "fields",
        "keeps_alive",
        "length",
        "method",
        "size",
        "target",
        "version",
    )

    def __init__(
        self, method: str, target: str, version: str, fields: Sequence[tuple[str, str]], size: int
    ) -> None:
        self.method = method
        self.target = target
        self.version = version
        self.size = size
        self.fields = Fields.of_parser(fields)
        watched: dict[str, list[str]] = {}
        for name, value in fields:
            if (key := name.lower()) in _WATCHED:
                watched.setdefault(key, []).append(value)
        self.authority = _authority(method, target, version, watched.get("host", []))
        self.length: int | None = 0
        if "transfer-encoding" in watched:
            _check_codings(watched, version)
            self.length = None
        elif lengths := watched.get("content-length"):
            self.length = _length(lengths)
        options = [
            one.strip().lower() for one in ",".join(watched.get("connection", ())).split(",")
        ]
        if version == "1.0":
            self.keeps_alive = "keep-alive" in options and "close" not in options
        else:
            self.keeps_alive = "close" not in options
        self.expects_continue = False
        if "expect" in watched and version != "1.0":  # RFC 9110 §10.1.1
            if [one.lower() for one in watched["expect"]] != ["100-continue"]:
                raise BadMessage("the expectation is not 100-continue", 417)
            self.expects_continue = self.length != 0


def check_trailers(fields: Sequence[tuple[str, str]]) -> None:
    """Refuse trailer fields that say where a message ends, or where it goes (RFC 9110 §6.5.1)."""
    for name, _ in fields:
        if name.lower() in _NO_TRAILERS:
            raise BadMessage(f"{name} is not allowed among the trailer fields")


def _check_codings(watched: dict[str, list[str]], version: str) -> None:
    """Refuse every transfer coding but chunked, alone (RFC 9112 §6.1)."""
    if version == "1.0":
        raise BadMessage("Transfer-Encoding in a message of HTTP/1.0")
    if "content-length" in watched:
        raise BadMessage("both Transfer-Encoding and Content-Length")
    codings = [
        one.strip(" \t").lower() for one in ",".join(watched["transfer-encoding"]).split(",")
    ]
    if codings == ["chunked"]:
        return
    if "" in codings or "chunked" in codings[:-1]:
        raise BadMessage("the transfer codings do not end with chunked, once")
    raise BadMessage(f"unknown transfer coding {codings[0]!r}", 501)


def _length(lengths: Sequence[str]) -> int:
    if len(lengths) > 1:
        raise BadMessage("several Content-Length fields")
    if _LENGTH.fullmatch(lengths[0]) is None:
        raise BadMessage(f"Content-Length is {lengths[0]!r}, expected digits")
    return int(lengths[0])


def _authority(method: str, target: str, version: str, hosts: Sequence[str]) -> str:
    """Return the host that is asked (RFC 9112 §3.2, §3.3)."""
    if len(hosts) > 1:
        raise BadMessage("several Host fields")
    if not hosts and version != "1.0":
        raise BadMessage("no Host field")
    if hosts and _HOST.fullmatch(hosts[0]) is None:
        raise BadMessage(f"Host is {hosts[0]!r}, expected a host with an optional port")
    host = hosts[0] if hosts else ""
    if target.startswith("/"):
        if "#" in target or method == "CONNECT":
            raise _bad_target(method, target)
        return host
    if method == "CONNECT":
        if _HOST.fullmatch(target) is None or ":" not in target:
            raise _bad_target(method, target)
        # Its client would take what follows any response with 2xx for the other end's.
        raise BadMessage("tunnels are not served here", 501)
    if target == "*" and method == "OPTIONS":
        return host
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None or "#" in target or _HOST.fullmatch(absolute[1]) is None:
        raise _bad_target(method, target)
    return absolute[1]


def _bad_target(method: str, target: str) -> BadMessage:
    shown = target if len(target) <= 80 else f"{target[:80]}…"
    return BadMessage(f"{shown!r} is not a target of {method}")
