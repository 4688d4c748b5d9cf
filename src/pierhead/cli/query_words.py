"""The words of ``pierhead query``, dig's common ones, parsed into one value.

    @server  name  type  class  -p 5300  -x 192.0.2.1  +dnssec  +nocookie  +bufsize=4096

Words come in any order and later ones win; a ``+word`` may be abbreviated if it stays unambiguous.
This module only parses; it sends no queries.
"""

from __future__ import annotations

import binascii
import ipaddress
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from pierhead.address import ListenSpec
from pierhead.errors import AddressError, UsageError
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.edns import PAYLOAD, Edns, Options
from pierhead.protocols.dns.wire.message import AA, AD, CD, RD
from pierhead.protocols.dns.wire.serial import MAX_SERIAL
from pierhead.protocols.dns.wire.tsig.key import Key
from pierhead.protocols.dns.wire.tsig.key_text import parse_key

__all__ = ["PLUS_WORDS", "Words", "parse_words"]

_PORT = 53
_TLS_PORT = 853  # RFC 7858 §3.1
_SECTIONS = ("question", "answer", "authority", "additional")
_COLORS = ("auto", "always", "never")
_STREAM_SCHEMES = ("tcp", "unix", "vsock", "mem")
_SCHEMES = ("udp", "unixgram", "memgram", *_STREAM_SCHEMES)
_WRAPPED = re.compile(r"((?:(?:tls|proxy)\+)+)(.+)")
_SCHEME = re.compile(rf"({'|'.join(_SCHEMES)}):(.+)")
_HOST_PORT = re.compile(r"(?:\[(?P<six>[^]]+)\]|(?P<host>[^:\[\]]+))(?::(?P<port>[0-9]{1,5}))?")

#: Words that are on unless switched off by ``+no…``.
_DEFAULTS = frozenset({"recurse", "adflag", "edns", "comments", "stats", *_SECTIONS})


@dataclass(slots=True)
class Words:
    """What one command line asks for.

    Attributes:
        server: the address to query; None with ``zones``.
        zones: zone files to answer from, instead of a server.
        name, rtype, rclass: the question.
        serial: the version since which an IXFR asks for changes.
        on: the ``+words`` that are on.
        numbers: the ``+words`` with a number.
        options: EDNS options to send, in order.
        opcode: the opcode of the header.
        source: the address to send from; None for any.
        color: auto, always or never.
        explain: show the steps that led to the answer.
        key: signs the question, and verifies the answer; None for none.
        key_file: has the key.
    """

    server: ListenSpec | None = None
    zones: tuple[str, ...] = ()
    name: str = ""
    rtype: str = ""
    serial: int | None = None
    rclass: str = "IN"
    on: set[str] = field(default_factory=lambda: set(_DEFAULTS))
    numbers: dict[str, int] = field(default_factory=dict)
    options: dict[int, bytes] = field(default_factory=dict)
    opcode: int = iana.OPCODE_QUERY
    source: str | None = None
    color: str = "auto"
    explain: bool = False
    key: Key | None = None
    key_file: str = ""

    @property
    def flags(self) -> int:
        """The header's second word."""
        bits = {"recurse": RD, "adflag": AD, "cdflag": CD, "aaflag": AA}
        return self.opcode << 11 | sum(bit for word, bit in bits.items() if word in self.on)

    @property
    def edns(self) -> Edns | None:
        """The OPT record to send; None to send none."""
        if "edns" not in self.on:
            return None
        options: Options = tuple(self.options.items())
        payload, version = self.numbers.get("bufsize", PAYLOAD), self.numbers.get("edns", 0)
        return Edns(payload, "dnssec" in self.on, version, options)

    @property
    def attempts(self) -> int:
        """How many times to send the query over datagrams."""
        return self.numbers.get("tries", 3)

    @property
    def timeout_s(self) -> float:
        """How long to wait for each answer."""
        return float(self.numbers.get("timeout", 5))


#: Every ``+word``: its aliases, its value, and what it does.
PLUS_WORDS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "dnssec": (("do",), "", "request DNSSEC records"),
    "tcp": (("vc",), "", "use TCP"),
    "ignore": ((), "", "accept a truncated answer instead of retrying over TCP"),
    "recurse": (("rdflag",), "", "set the RD bit; on unless +norecurse"),
    "adflag": ((), "", "set the AD bit; on unless +noadflag"),
    "cdflag": (("checkdisabled",), "", "set the CD bit"),
    "aaflag": (("aaonly",), "", "set the AA bit"),
    "edns": ((), "=N", "send an OPT record of this version; on unless +noedns"),
    "bufsize": ((), "=N", "the largest datagram to advertise"),
    "nsid": ((), "", "request the name server identifier"),
    "cookie": ((), "=HEX", "send a DNS cookie, random by default"),
    "subnet": ((), "=NET", "the client network to send (EDNS Client Subnet)"),
    "expire": ((), "", "request the zone's expiry time"),
    "keepalive": ((), "", "request the connection's idle timeout"),
    "padding": ((), "=N", "pad the query with this many octets"),
    "ednsopt": ((), "=CODE[:HEX]", "send any EDNS option"),
    "opcode": ((), "=NAME", "send an opcode other than QUERY"),
    "timeout": (("time",), "=SECONDS", "how long to wait for each answer; default 5"),
    "tries": ((), "=N", "how many times to send the query; default 3"),
    "retry": ((), "=N", "how many times to retry; default 2"),
    "short": ((), "", "print only the data of the answer"),
    "json": ((), "", "print JSON"),
    "all": ((), "", "print everything; +noall prints only what is switched on after it"),
    "comments": ((), "", "print the status and flags, and EDNS"),
    "stats": ((), "", "print time, size and server"),
    **{section: ((), "", f"print the {section} section") for section in _SECTIONS},
}
_MEANING = {
    spelling: word for word, (others, _, _) in PLUS_WORDS.items() for spelling in (word, *others)
}
#: Ambiguous abbreviations in common use.
_MEANING |= {"rec": "recurse", "ad": "adflag", "cd": "cdflag", "comm": "comments"}
_SHOWN = ("comments", "stats", *_SECTIONS)


def parse_words(words: Sequence[str]) -> Words:
    """Return what the words ask for.

    Raises:
        UsageError: a word is invalid, or no server is named.
    """
    parser = _Parser(words)
    parser.run()
    return parser.finish()


class _Parser:
    """Goes through the words once."""

    def __init__(self, words: Sequence[str]) -> None:
        self.found = Words()
        self._words: Iterator[str] = iter(words)
        self._server = ""
        self._zones: list[str] = []
        self._port = 0
        self._family = 0

    def run(self) -> None:
        """Parse every word."""
        for word in self._words:
            if word.startswith("@"):
                self._server = word[1:]
            elif word.startswith("+"):
                self._plus(word)
            elif word.startswith("--"):
                self._long(word)
            elif word.startswith("-") and len(word) > 1:
                self._dash(word)
            else:
                self._bare(word)

    def finish(self) -> Words:
        """Return what was found, with its consequences."""
        found = self.found
        found.zones = tuple(self._zones)
        if not found.rtype:
            found.rtype = "A" if found.name else "NS"
        found.name = found.name or "."
        if found.zones:
            if self._server:
                raise UsageError(
                    "--zone answers without a server; leave out either @server or --zone"
                )
            if found.key or found.key_file:
                raise UsageError("--zone answers without a server; leave out -k and -y")
        elif self._server or self._port:
            found.server = self._address()
        else:
            raise UsageError(
                f"no server is named; name one with @, as in: pierhead query @127.0.0.1:5300 "
                f"{found.name} {found.rtype}"
            )
        if self._family:
            found.source = found.source or ("0.0.0.0:0" if self._family == 4 else "[::]:0")
        return found

    # Words by what they begin with

    def _bare(self, word: str) -> None:
        """Parse a type, a class or the name, told apart as in dig."""
        found = self.found
        if word[:5].upper() == "IXFR=":
            self._set_type(word)
            return
        for kind, read in (("rtype", iana.type_number), ("rclass", iana.class_number)):
            try:
                read(word)
            except UsageError:
                continue
            setattr(found, kind, word)
            return
        self._name(word)

    def _name(self, word: str) -> None:
        if self.found.name:
            if not self.found.rtype and "." not in word:  # it is where a type would be
                iana.type_number(word)
            raise UsageError(f"two names, {self.found.name!r} and {word!r}; one question at a time")
        self.found.name = word

    def _dash(self, word: str) -> None:
        letter = word[1]
        if word in ("-4", "-6"):
            self._family = int(letter)
            return
        take = self._DASHES.get(letter)
        if take is None:
            raise UsageError(
                f"{word!r} is not an option; known options: -4 -6 -b -c -k -p -q -t -x -y, --zone, "
                "--explain, --json, --short and --color"
            )
        take(self, word[2:] or self._value(word))

    def _long(self, word: str) -> None:
        option, equals, value = word.partition("=")
        match option:
            case "--explain" if not equals:
                self.found.explain = True
            case "--json" | "--short" if not equals:
                self.found.on.add(option[2:])
            case "--zone":
                self._zones.append(value if equals else self._value(word))
            case "--color":
                self.found.color = value if equals else self._value(word)
                if self.found.color not in _COLORS:
                    raise UsageError(f"{word!r}: expected auto, always or never")
            case _:
                known = ["--explain", "--json", "--short", "--zone", "--color", "--help"]
                raise UsageError(f"{word!r} is not an option{_nearest(option, known)}")

    def _plus(self, word: str) -> None:
        text, equals, value = word[1:].partition("=")
        negative = text not in _MEANING and text.startswith("no")
        name = _meaning(text[2:] if negative else text, word)
        takes = PLUS_WORDS[name][1]
        if equals and (negative or not takes):
            raise UsageError(f"{word!r}: +{'no' if negative else ''}{name} takes no value")
        setter = _SETTERS.get(name)
        if negative or setter is None or (not equals and name in ("edns", "cookie")):
            self._switch(name, not negative)
        elif not equals:
            raise UsageError(f"{word!r}: expected a value, +{name}{takes}")
        try:
            if setter is not None and equals:
                setter(self.found, value)
        except ValueError as error:
            raise UsageError(f"{word!r}: {error}") from None

    def _switch(self, name: str, on: bool) -> None:
        found = self.found
        names = _SHOWN if name == "all" else (name,)
        (found.on.update if on else found.on.difference_update)(names)
        option = _OPTION_WORDS.get(name)
        if option is None:
            if name == "dnssec" and on:
                found.on.add("edns")
            return
        code, content = option
        found.options.pop(code, None)
        if on:
            found.options[code] = content()
            found.on.add("edns")

    # Values

    def _value(self, word: str) -> str:
        value = next(self._words, None)
        if value is None:
            raise UsageError(f"{word!r} is the last word; expected its value after it")
        return value

    def _set_port(self, value: str) -> None:
        self._port = _number(value, 1, 65535, f"-p {value}")

    def _set_type(self, value: str) -> None:
        rtype, equals, serial = value.partition("=")
        if equals and rtype.upper() == "IXFR":
            self.found.serial = _number(serial, 0, MAX_SERIAL, value)
            value = rtype
        iana.type_number(value)
        self.found.rtype = value

    def _set_class(self, value: str) -> None:
        iana.class_number(value)
        self.found.rclass = value

    def _set_reverse(self, value: str) -> None:
        try:
            self._name(f"{ipaddress.ip_address(value).reverse_pointer}.")
        except ValueError:
            raise UsageError(f"-x {value}: expected an IPv4 or IPv6 address") from None
        self.found.rtype = self.found.rtype or "PTR"

    def _set_source(self, value: str) -> None:
        address, _, port = value.partition("#")
        text = f"[{address}]" if ":" in address and address[:1] != "[" else address
        self.found.source = f"{text}:{port or 0}"

    def _set_key(self, value: str) -> None:
        self.found.key = parse_key(value)

    def _set_key_file(self, value: str) -> None:
        self.found.key_file = value

    _DASHES: dict[str, Callable[[_Parser, str], None]] = {  # noqa: RUF012  # never changed
        "b": _set_source,
        "c": _set_class,
        "k": _set_key_file,
        "p": _set_port,
        "q": _name,
        "t": _set_type,
        "x": _set_reverse,
        "y": _set_key,
    }

    def _address(self) -> ListenSpec:
        """Return the server's address, in pierhead's grammar or as a host in dig's syntax."""
        text, mark, options = (self._server or "127.0.0.1").partition("?")
        wrappers, scheme, rest = "", "", text
        if found := _WRAPPED.fullmatch(text):
            wrappers, rest = found[1], found[2]
        if found := _SCHEME.fullmatch(rest):
            scheme, rest = found[1], found[2]
        if scheme in ("", "udp", "tcp"):
            rest = self._host_and_port(rest, _TLS_PORT if "tls+" in wrappers else _PORT)
        if "tcp" in self.found.on and scheme in ("", "udp"):
            scheme = "tcp"
        address = f"{scheme}:{rest}" if scheme else rest
        try:
            spec = ListenSpec.parse(f"{wrappers}{address}{mark}{options}")
            spec.to_dial("tcp")  # so that what cannot be reached is an error of the command line
        except AddressError as error:
            remedy = f"; {error.remedy}" if error.remedy else ""
            raise UsageError(f"@{self._server} is not a server: {error.reason}{remedy}") from None
        return spec

    def _host_and_port(self, text: str, default_port: int) -> str:
        try:
            host = str(ipaddress.ip_address(text))
        except ValueError:
            found = _HOST_PORT.fullmatch(text)
            if found is None:
                raise UsageError(
                    f"@{text} is not a server; expected a host or an address, with or without "
                    "a port: @127.0.0.1:5300, @[::1]:53, @ns1.example"
                ) from None
            if found["port"] and self._port:
                raise UsageError(f"two ports: @{text} and -p {self._port}") from None
            host = found["six"] or found["host"]
            self._port = int(found["port"] or self._port)
        shown = f"[{host}]" if ":" in host else host
        return f"{shown}:{self._port or default_port}"


def _meaning(text: str, word: str) -> str:
    """Return the word that a spelling stands for; unambiguous abbreviations are accepted."""
    if text in _MEANING:
        return _MEANING[text]
    found = {_MEANING[known] for known in _MEANING if text and known.startswith(text)}
    if len(found) == 1:
        return found.pop()
    if found:
        raise UsageError(f"{word!r} may mean {', '.join(f'+{one}' for one in sorted(found))}")
    known = " ".join(f"+{one}" for one in PLUS_WORDS)
    raise UsageError(f"{word!r} is unknown{_nearest(text, list(_MEANING), '+')}; known: {known}")


def _nearest(text: str, known: list[str], prefix: str = "") -> str:
    import difflib

    found = difflib.get_close_matches(text, known, 1)
    return f"; did you mean {prefix}{found[0]}?" if found else ""


def _number(text: str, lowest: int, highest: int, where: str = "") -> int:
    if text.isascii() and text.isdigit() and lowest <= int(text[:10]) <= highest:
        return int(text)
    prefix = f"{where}: " if where else ""
    raise UsageError(f"{prefix}expected a number, {lowest} to {highest}")


def _counted(name: str, lowest: int, highest: int, more: int = 0) -> Callable[[Words, str], None]:
    def set_number(words: Words, value: str) -> None:
        words.numbers[name] = _number(value, lowest, highest) + more
        if name in ("edns", "bufsize"):
            words.on.add("edns")

    return set_number


def _set_cookie(words: Words, value: str) -> None:
    cookie = _hex(value)
    words.options[iana.OPTION_COOKIE] = cookie
    words.on.add("edns")


def _hex(value: str) -> bytes:
    try:
        return binascii.unhexlify(value)
    except ValueError:
        raise ValueError("expected an even number of hexadecimal digits") from None


def _set_subnet(words: Words, value: str) -> None:
    # RFC 7871 §6: family, source prefix length, scope 0, as many octets as the prefix needs.
    text = "0.0.0.0/0" if value == "0" else value
    network = ipaddress.ip_network(text, strict=False)
    octets = network.network_address.packed[: (network.prefixlen + 7) // 8]
    family = 1 if network.version == 4 else 2
    data = family.to_bytes(2, "big") + bytes((network.prefixlen, 0)) + octets
    words.options[iana.OPTION_CLIENT_SUBNET] = data
    words.on.add("edns")


def _set_padding(words: Words, value: str) -> None:
    words.options[iana.OPTION_PADDING] = bytes(_number(value, 0, 4096))
    words.on.add("edns")


def _set_option(words: Words, value: str) -> None:
    code, _, data = value.partition(":")
    words.options[_number(code, 0, 65535)] = _hex(data)
    words.on.add("edns")


def _set_opcode(words: Words, value: str) -> None:
    known = {iana.opcode_text(number): number for number in range(16)}
    number = known.get(value.upper())
    words.opcode = _number(value, 0, 15) if number is None else number


_SETTERS: dict[str, Callable[[Words, str], None]] = {
    "edns": _counted("edns", 0, 255),
    "bufsize": _counted("bufsize", 0, 65535),
    "timeout": _counted("timeout", 1, 3600),
    "tries": _counted("tries", 1, 15),
    "retry": _counted("tries", 0, 14, more=1),
    "cookie": _set_cookie,
    "subnet": _set_subnet,
    "padding": _set_padding,
    "ednsopt": _set_option,
    "opcode": _set_opcode,
}
#: Words that add an option to the OPT record: its code and content.
_OPTION_WORDS: dict[str, tuple[int, Callable[[], bytes]]] = {
    "nsid": (iana.OPTION_NSID, bytes),
    "expire": (iana.OPTION_EXPIRE, bytes),
    "keepalive": (iana.OPTION_KEEPALIVE, bytes),
    "cookie": (iana.OPTION_COOKIE, lambda: secrets.token_bytes(8)),
    "subnet": (iana.OPTION_CLIENT_SUBNET, bytes),
    "padding": (iana.OPTION_PADDING, bytes),
}
