r"""``$GENERATE``: one line that stands for many (the BIND 9 manual, "The $GENERATE directive").

    $GENERATE 1-127 host-$ A 192.0.2.$
    $GENERATE 0-255/2 ${0,3,d} 1h IN CNAME ${1,2,x}.other

``$`` is the counter, ``\$`` and ``$$`` a dollar sign, ``${offset,width,base}`` the counter plus
an offset, padded with zeros, in base d, o, x, X, or n, N: hexadecimal digits as labels in reverse
order, for reverse IPv6 zones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

from pierhead.protocols.dns.zone.fields import FieldError

__all__ = ["count_generated", "generate"]

_RANGE = re.compile(rb"([0-9]{1,10})-([0-9]{1,10})(?:/([0-9]{1,10}))?")
_PIECE = re.compile(
    rb"(?P<dollar>\\\$|\$\$)|\$\{(?P<modifiers>[^}]*+)\}|(?P<plain>\$)|(?P<other>\\.|[^\\$]++|\\)",
    re.DOTALL,
)
_MODIFIERS = re.compile(rb"([+-]?[0-9]{1,10})(?:,([0-9]{1,3})(?:,([doxXnN]))?)?")
_Piece: TypeAlias = bytes | Callable[[int], bytes]


def count_generated(tokens: list[bytes]) -> int:
    """Return how many records a directive produces.

    Raises:
        FieldError: its range is invalid.
    """
    return len(_counters(tokens))


def generate(tokens: list[bytes]) -> Iterator[bytes]:
    """Yield the text of each line that a directive produces; ``tokens[0]`` is its name.

    Raises:
        FieldError: a field of the directive is invalid.
    """
    counters = _counters(tokens)
    if len(tokens) < 5:
        raise FieldError(
            len(tokens), "$GENERATE ends too early", "expected: range owner [ttl] [class] type data"
        )
    owner = _template(tokens[2], 2)
    middle = b" " + b" ".join(tokens[3:-1]) + b" "
    last = tokens[-1]
    if len(tokens) > 5 or last[:1] == b'"':
        # Data of several fields may be written in one pair of quotes: MX "10 mail$".
        start = _type_index(tokens) + 1
        middle = b" " + b" ".join(tokens[3:start]) + b" "
        last = b" ".join(tokens[start:])
        if start == len(tokens) - 1 and last[:1] == b'"':
            last = last[1:-1]
    data = _template(last, len(tokens) - 1)
    for value in counters:
        yield _expand(owner, value) + middle + _expand(data, value)


def _counters(tokens: list[bytes]) -> range:
    if len(tokens) < 2:
        raise FieldError(1, "$GENERATE without a range", "expected start-stop or start-stop/step")
    found = _RANGE.fullmatch(tokens[1])
    if not found:
        raise FieldError(1, "bad range of $GENERATE", "expected start-stop or start-stop/step")
    start, stop, step = int(found[1]), int(found[2]), int(found[3] or 1)
    if start > stop or step < 1 or stop > 0x7FFFFFFF:
        raise FieldError(1, "bad range of $GENERATE", "start <= stop < 2147483648, and step >= 1")
    return range(start, stop + 1, step)


def _type_index(tokens: list[bytes]) -> int:
    """Return the position of the type: after the owner, a TTL and a class, if present."""
    index = 3
    while index < len(tokens) - 2 and (
        tokens[index][:1].isdigit() or tokens[index].upper() in (b"IN", b"CH", b"HS")
    ):
        index += 1
    return index


def _template(text: bytes, index: int) -> list[_Piece]:
    pieces: list[_Piece] = []
    for found in _PIECE.finditer(text):
        match found.lastgroup:
            case "dollar":
                pieces.append(b"\\$")
            case "plain":
                pieces.append(_plain)
            case "modifiers":
                pieces.append(_modified(found["modifiers"], index, found.start()))
            case _:
                pieces.append(found[0])
    return pieces


def _expand(pieces: list[_Piece], value: int) -> bytes:
    return b"".join([piece if isinstance(piece, bytes) else piece(value) for piece in pieces])


def _plain(value: int) -> bytes:
    return b"%d" % value


def _modified(text: bytes, index: int, offset: int) -> Callable[[int], bytes]:
    found = _MODIFIERS.fullmatch(text)
    if not found:
        raise FieldError(
            index,
            f"bad modifiers ${{{text.decode('utf-8', 'replace')}}} of $GENERATE",
            "expected ${offset}, ${offset,width} or ${offset,width,base}, base one of d o x X n N",
            offset,
        )
    added, width, base = int(found[1]), int(found[2] or 0), (found[3] or b"d").decode()
    if base in "nN":
        return lambda value: _nibbles(value + added, width, base == "N")
    form = f"0{width}{base}" if width else base
    return lambda value: format(value + added, form).encode()


def _nibbles(value: int, width: int, upper: bool) -> bytes:
    """Write hexadecimal digits lowest first, separated by dots; ``width`` counts both."""
    written = ""
    value &= 0xFFFFFFFF
    while True:
        written += f"{value & 15:x}"
        value >>= 4
        width -= 1
        if value == 0 and width <= 0:
            break
        written += "."
        width -= 1
        if value == 0 and width <= 0:
            break
    return (written.upper() if upper else written).encode()
