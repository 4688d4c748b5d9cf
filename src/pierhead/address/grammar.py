"""The parser: from text to wrappers, address and options, each with its position.

    spec    = *( wrapper "+" ) ( scheme ":" target / short ) [ "?" option *( "&" option ) ]
    short   = host ":" port / path / "@" name / "inetd" / "stdio" / "-"
            / "sd-listen" [ ":" name ]
    option  = key [ "=" value ]

Percent-escapes are decoded in paths, names and values, and nowhere else. The first ``?`` starts the
options, wherever it is. Parsing takes time linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from pierhead.address.addresses import (
    ANY,
    INETD_WORDS,
    INHERITED_WORDS,
    LONGEST_NAME,
    LONGEST_PATH,
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
from pierhead.address.host import canonical_host, read_host_and_ports
from pierhead.address.listen_options import ListenOptions, collect, read_options
from pierhead.address.registry import OPTIONS_BY_KEY, PAD, Option
from pierhead.address.schemes import SCHEMES, WRAPPERS
from pierhead.address.text import Span, nearest
from pierhead.address.validation import why_not
from pierhead.errors import AddressError, UsageError

__all__ = ["Parts", "read", "row_for"]

#: Other programs' words for schemes and wrappers.
_FAMILIAR = {
    "http": "tcp",
    "https": "tls+tcp",
    "ssl": "tls+tcp",
    "tcp4": "tcp",
    "tcp6": "tcp",
    "udp4": "udp",
    "udp6": "udp",
    "unixpacket": "unixseq",
    "systemd": "sd",
    "fdname": "sd",
}
_WRAPPER = re.compile(r"([A-Za-z0-9_-]*)\+")
_SCHEME_LIKE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_UNBRACKETED = re.compile(r"[0-9A-Fa-f]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(%.*)?")
_CIDS = {"any": ANY, "host": 2, "local": 1, "hypervisor": 0}


@dataclass(frozen=True, slots=True)
class Parts:
    """The parsed parts, with the position of each in the text."""

    wrappers: tuple[str, ...]
    address: ListenAddress
    options: ListenOptions
    wrapper_positions: tuple[int, ...] = ()
    address_position: int = 0
    option_positions: Mapping[str, int] = field(default_factory=dict)

    def position(self, part: int | str) -> int:
        """Return the position of a part: a wrapper by number, an option by key, "" the address."""
        if isinstance(part, int):
            return self.wrapper_positions[part]
        return self.option_positions.get(part, self.address_position)


def read(text: str) -> Parts:
    """Parse the text of an address.

    Raises:
        AddressError: it does not parse. Whether the parts fit together is not checked here, except
            that every option applies to a part that is there.
    """
    if not text.strip():
        reason = "the address is blank" if text else "the address is empty"
        raise AddressError(text, 0, reason, "write HOST:PORT, a path, or scheme:target")
    head, query = Span.of(text).partition("?")
    wrappers, positions, rest = _read_wrappers(head)
    address = _read_address(rest)
    if query is None:
        return Parts(wrappers, address, ListenOptions(), positions, rest.start)
    given = read_options(_without_fragment(query), row_for(wrappers, address))
    values = dict(collect(given))
    if values.pop(PAD.key, None) == "full":
        assert isinstance(address, AbstractAddress)  # or the option was refused
        address = replace(address, padded=True)
    where: dict[str, int] = {}
    for option in given:
        where.setdefault(option.key, option.position)
    return Parts(wrappers, address, ListenOptions.of(values), positions, rest.start, where)


def row_for(
    wrappers: tuple[str, ...], address: ListenAddress
) -> Callable[[str, Span, Span | None], Option]:
    """Return a function that chooses the row of a key for this address, or raises."""

    def choose(key: str, name: Span, raw: Span | None) -> Option:
        rows = OPTIONS_BY_KEY[key]
        refusals = [why_not(row, wrappers, address) for row in rows]
        for row, refusal in zip(rows, refusals, strict=True):
            if refusal is None:
                return row
        reason, remedy = refusals[0] or ("", "")
        raise name.error(reason, remedy)

    return choose


def _without_fragment(span: Span) -> Span:
    at = str(span).find("#")
    if at >= 0:
        reason = "# means nothing here"
        raise span.error(reason, "leave it out; where a path or name has it, write %23", at=at)
    return span


def _read_wrappers(head: Span) -> tuple[tuple[str, ...], tuple[int, ...], Span]:
    names: list[str] = []
    positions: list[int] = []
    while match := _WRAPPER.match(str(head)):
        word = match[1].lower()
        if word not in WRAPPERS:
            raise head.error(*_unknown_wrapper(word))
        if word in names:
            raise head.error(f"{word}+ is given twice", "leave one of them out")
        names.append(word)
        positions.append(head.start)
        head = head.cut(match.end())
    if not head:
        place = "behind the wrapper" if names else "in front of the options"
        raise head.error(f"there is no address {place}", "write HOST:PORT or scheme:target")
    return tuple(names), tuple(positions), head


def _unknown_wrapper(word: str) -> tuple[str, str]:
    if word in SCHEMES:
        reason = f"{word} is a scheme, not a wrapper: it has no address below it"
        return reason, f"write {word}:… with wrappers, if any, in front"
    near = nearest(word, WRAPPERS)
    known = " and ".join(f"{name}+" for name in WRAPPERS)
    return f"unknown wrapper {word!r}", f"did you mean {near}+?" if near else f"there are {known}"


def _read_address(span: Span) -> ListenAddress:
    text = str(span)
    if text.startswith(("/", "./", "../")) or text in (".", ".."):
        return _read_unix("unix", span)
    if text.startswith("@"):
        return _read_unix("unix", span)
    if text.lower() in INETD_WORDS:
        return InetdAddress()
    if text.lower() in INHERITED_WORDS:
        return SystemdAddress()
    if text.startswith("."):  # as the name of a hidden file does, and a host does not
        raise span.error("a path starts with /, ./ or ../", f"did you mean ./{text}?")
    name, target = span.partition(":")
    word = str(name).lower()
    if target is None:
        raise _no_colon(span)
    if word in INHERITED_WORDS:
        return _read_inherited(name, target)
    if word in SCHEMES:
        return _READERS[word](word, target)
    if _is_short_form(str(name), str(target)):
        return _read_inet(None, _without_fragment(span))
    raise _unknown_scheme(span, name, target)


def _is_short_form(name: str, target: str) -> bool:
    """Distinguish ``host:port`` from ``scheme:target`` with an unknown scheme."""
    if not _SCHEME_LIKE.fullmatch(name):
        return not _UNBRACKETED.fullmatch(f"{name}:{target}")
    if name.lower() in WRAPPERS or ":" in target:
        return False
    if not target or target[0] in "0123456789+-":
        return True
    is_word = target.isalnum()  # a port by name, or a misspelt scheme before a name
    return is_word and name.lower() not in _FAMILIAR and not nearest(name, SCHEMES)


def _unknown_scheme(span: Span, name: Span, target: Span) -> AddressError:
    word = str(name).lower()
    if _UNBRACKETED.fullmatch(str(span)):
        try:
            read_host_and_ports(span)
        except AddressError as error:
            return error
    if word in WRAPPERS:
        reason = f"{word} is a wrapper, which goes before an address"
        scheme = str(target).partition(":")[0]
        inner = "" if scheme in SCHEMES else "unix:" if _is_path(target) else "tcp:"
        return name.error(reason, f"did you mean {word}+{inner}{target}?")
    near = _FAMILIAR.get(word, "")
    if _is_path(target):
        near = near.replace("tcp", "unix")
    if not near or _is_path(target) is not ("unix" in near):
        fitting = [one for one in SCHEMES if one.startswith("unix") is _is_path(target)]
        near = nearest(word, fitting) or ("unix" if _is_path(target) else "")
    known = f"schemes are {', '.join(SCHEMES)}"
    remedy = f"did you mean {near}:?" if near else known
    return name.error(f"unknown scheme {str(name)!r}", remedy)


def _is_path(target: Span) -> bool:
    """Return whether the text after a scheme is for a Unix socket; ``//`` begins a host."""
    return str(target)[:1] in ("/", ".", "@") and not str(target).startswith("//")


def _no_colon(span: Span) -> AddressError:
    text = str(span)
    if text.startswith("~"):
        return span.error("~ is the shell's word for a directory", "write the whole path")
    if text.startswith("[") or re.fullmatch(r"[0-9][0-9.]*", text):
        try:
            read_host_and_ports(span)
        except AddressError as error:
            return error
    if text.lower() in SCHEMES:
        example = _EXAMPLES[text.lower()]
        return span.error(f"{text} is a scheme without an address", f"write {example}")
    if "/" in text or text.endswith((".sock", ".socket")) or _is_no_host(text):
        reason = "a path starts with /, ./ or ../"
        return span.error(reason, f"did you mean ./{text}?")
    near = nearest(text, [*INHERITED_WORDS[:1], *INETD_WORDS[:2]])
    remedy = f"did you mean {near}?" if near else f"write {text}:PORT, or ./{text} for a path"
    return span.error("the port is missing", remedy, at=len(text))


def _is_no_host(text: str) -> bool:
    """Return whether even a port after the text would not make it an address."""
    try:
        canonical_host(text)
    except UsageError:
        return not text[0].isdigit()  # an invalid IPv4 address is still intended as one
    return False


#: The equivalent schemes for a path.
_WITH_PATHS = {"tcp": "", "udp": "unixgram:"}


def _read_inet(scheme: str | None, target: Span) -> ListenAddress:
    if scheme and str(target).startswith("//"):
        target = target.cut(2)
    text = str(target)
    if scheme in _WITH_PATHS and not set(text) & set(":/[") and _is_no_host(text):
        reason = f"{scheme}: takes no path, and this is not a host"
        raise target.error(reason, f"did you mean {_WITH_PATHS[scheme]}./{text}?")
    host, port, last_port = read_host_and_ports(_without_fragment(target))
    try:
        return InetAddress(scheme, host, port, last_port)
    except UsageError as error:
        remedy = f"write tcp:{target}, or udp:{target}"
        raise target.error(str(error), remedy) from None


def _read_unix(scheme: str, target: Span) -> ListenAddress:
    text = str(_without_fragment(target))
    if text.startswith("@"):
        return _read_abstract(scheme, target.cut(1))
    if not text:
        raise target.error("there is no path", f"write {scheme}:/run/NAME.sock")
    path = target.decode()
    if b"\0" in path:
        raise target.error("a path cannot contain NUL", "take it out", at=text.find("%00"))
    if path.endswith(b"/") or path.rpartition(b"/")[2] in (b".", b".."):
        raise target.error("the path is that of a directory", "name the socket in it")
    if not path.startswith((b"/", b"./", b"../")):
        remedy = "write the whole path" if text[0] == "~" else f"did you mean {scheme}:./{text}?"
        raise target.error("a path starts with /, ./ or ../", remedy)
    if len(path) > LONGEST_PATH:
        reason = f"the path has {len(path)} octets, at most {LONGEST_PATH} fit a socket's address"
        raise target.error(reason, "use a shorter path, or one relative to the directory")
    return UnixAddress(scheme, path)


def _read_abstract(scheme: str, target: Span) -> ListenAddress:
    name = target.decode()
    if not name:
        raise target.error("the abstract name is empty", "write @NAME")
    if len(name) > LONGEST_NAME:
        reason = f"the name has {len(name)} octets, at most {LONGEST_NAME} fit"
        raise target.error(reason, "use a shorter name")
    return AbstractAddress(scheme, name)


def _read_descriptors(scheme: str, target: Span) -> ListenAddress:
    numbers: dict[int, None] = {}  # an ordered set
    for part in _without_fragment(target).split(","):
        number = _read_number(part, "a descriptor", 2**31 - 1, "write fd:3, or fd:3,4 for two")
        if number in numbers:
            raise part.error(f"descriptor {number} is given twice", "leave one of them out")
        numbers[number] = None
    return DescriptorAddress(tuple(numbers))


def _read_number(span: Span, what: str, maximum: int, remedy: str) -> int:
    text = str(span)
    if not re.fullmatch(r"[0-9]{1,15}", text):
        found = repr(text) if text else "nothing"
        raise span.error(f"{what} is a number from 0 to {maximum}, not {found}", remedy)
    if int(text) > maximum:
        raise span.error(f"{what} is a number from 0 to {maximum}, not {text}", remedy)
    return int(text)


def _read_inherited(word: Span, target: Span) -> ListenAddress:
    if str(word).lower().endswith("unix"):
        raise target.error(f"{word} takes no name", f"write sd-listen:{target}", at=-1)
    if not target:
        raise target.error("the name is empty", "write sd-listen for the only socket there is")
    return _read_systemd("sd", target)


def _read_systemd(scheme: str, target: Span) -> ListenAddress:
    named, index = target.partition("#")
    position = None
    if index is not None:
        position = _read_number(index, "an index", 2**31 - 1, "write #0 for the first of them")
    prefix = str(named).endswith("*")
    name = (named.cut(0, len(named) - 1) if prefix else named).decode_text()
    if "*" in str(named)[:-1]:
        star = str(named).index("*")
        raise named.error("* is only allowed at the end of a name", "write %2A for a star", at=star)
    if prefix and index is not None:
        remedy = "leave out the * or the #"
        raise index.error("an index goes with one name, not with a pattern", remedy, at=-1)
    try:
        return SystemdAddress(name if name or prefix else None, position, prefix)
    except UsageError as error:
        remedy = "write the name that FileDescriptorName= gives in the .socket unit"
        raise target.error(str(error), remedy, at=max(str(target).find(":"), 0)) from None


def _read_inetd(scheme: str, target: Span) -> ListenAddress:
    if target:
        raise target.error("nothing may follow inetd:", "write inetd")
    return InetdAddress()


def _read_vsock(scheme: str, target: Span) -> ListenAddress:
    if str(target).startswith("//"):
        target = target.cut(2)
    cid, port = _without_fragment(target).partition(":")
    if port is None:
        raise cid.error("CID or port is missing", f"write {scheme}:CID:PORT", at=len(cid))
    return VsockAddress(scheme, _read_vsock_number(cid, _CIDS), _read_vsock_number(port, {}))


def _read_vsock_number(span: Span, words: Mapping[str, int]) -> int:
    word = str(span).lower()
    if word == "any" or word in words:
        return words.get(word, ANY)
    known = f" or {', '.join(words)}" if words else " or any"
    what = f"a CID (32 bits{known})" if words else f"a vsock port (32 bits{known})"
    return _read_number(span, what, ANY, "write any for any of them, or a number")


def _read_named(scheme: str, target: Span) -> ListenAddress:
    name = _without_fragment(target).decode_text()
    if not name:
        raise target.error("the name is empty", f"write {scheme}:NAME")
    try:
        return LaunchdAddress(name) if scheme == "launchd" else MemoryAddress(scheme, name)
    except UsageError as error:
        raise target.error(str(error), "use a shorter name") from None


_READERS: Mapping[str, Callable[[str, Span], ListenAddress]] = MappingProxyType(
    {
        "tcp": _read_inet,
        "udp": _read_inet,
        "quic": _read_inet,
        "unix": _read_unix,
        "unixgram": _read_unix,
        "unixseq": _read_unix,
        "fd": _read_descriptors,
        "sd": _read_systemd,
        "launchd": _read_named,
        "inetd": _read_inetd,
        "vsock": _read_vsock,
        "vsockseq": _read_vsock,
        "mem": _read_named,
        "memgram": _read_named,
    }
)

_EXAMPLES: Mapping[str, str] = MappingProxyType(
    {
        "tcp": "tcp:HOST:PORT",
        "udp": "udp:HOST:PORT",
        "quic": "quic:HOST:PORT",
        "unix": "unix:/run/NAME.sock",
        "unixgram": "unixgram:/run/NAME.sock",
        "unixseq": "unixseq:/run/NAME.sock",
        "fd": "fd:3",
        "sd": "sd: for the only socket there is",
        "launchd": "launchd:NAME",
        "vsock": "vsock:CID:PORT",
        "vsockseq": "vsockseq:CID:PORT",
        "mem": "mem:NAME",
        "memgram": "memgram:NAME",
    }
)
