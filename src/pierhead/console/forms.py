"""How a console shows messages and reads what is typed: lines, JSON, hexadecimal digits, octets.

Everything a peer has sent is shown in visible characters only, whatever it contains; ``raw`` alone
passes its octets on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pierhead.codec import Cobs, LengthPrefixed, Lines, Netstring, Slip
from pierhead.codec.base import Framing
from pierhead.errors import UsageError
from pierhead.printable import visible

__all__ = ["FORMS", "Form", "form"]

_MAX_LINE_BYTES = 1_048_576


@dataclass(frozen=True, slots=True)
class Form:
    """One form of messages.

    Attributes:
        name: as ``--as`` takes it.
        meaning: for the help.
        framing: splits a stream into messages; None to take octets as they come.
        encode: what is typed, as octets; it may raise `UsageError`.
        show: a message in visible characters.
        value: a message as JSON can hold it.
        is_raw: whether octets are passed on as they are, in both directions.
    """

    name: str
    meaning: str
    framing: Framing | None
    encode: Callable[[str], bytes]
    show: Callable[[bytes], str]
    value: Callable[[bytes], Any]
    is_raw: bool = False


def form(name: str) -> Form:
    """Return the form of this name.

    Raises:
        UsageError: there is none.
    """
    found = FORMS.get(name)
    if found is None:
        raise UsageError(f"there is no form {name!r}; expected one of {', '.join(FORMS)}")
    return found


def _to_octets(typed: str) -> bytes:
    return typed.encode()


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "backslashreplace")


def _visible_text(octets: bytes) -> str:
    r"""Return text with all that is not visible escaped.

    >>> _visible_text(b"caf\xc3\xa9 \x1b[2J \xff")
    'café \\x1b[2J \\xff'
    """
    return visible(_text(octets))


def _json_to_octets(typed: str) -> bytes:
    try:
        value = json.loads(typed)
    except ValueError as error:
        raise UsageError(f"this is not JSON, and was not sent: {error}") from None
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _json_value(octets: bytes) -> Any:
    try:
        return json.loads(octets)
    except ValueError:  # UnicodeDecodeError is one
        return _text(octets)


def _visible_json(octets: bytes) -> str:
    try:
        return json.dumps(json.loads(octets))
    except ValueError:
        return f"not JSON: {_visible_text(octets)}"


def _hex_to_octets(typed: str) -> bytes:
    try:
        return bytes.fromhex(typed)
    except ValueError as error:
        raise UsageError(f"these are not pairs of hexadecimal digits: {error}") from None


def _hex(octets: bytes) -> str:
    return octets.hex(" ")


def _as_text(name: str, framing: Framing, meaning: str) -> Form:
    return Form(name, meaning, framing, _to_octets, _visible_text, _text)


FORMS: Mapping[str, Form] = {
    one.name: one
    for one in (
        _as_text("lines", Lines(max_length_bytes=_MAX_LINE_BYTES), "lines of text"),
        Form(
            "json",
            "a JSON value in each line",
            Lines(max_length_bytes=_MAX_LINE_BYTES),
            _json_to_octets,
            _visible_json,
            _json_value,
        ),
        Form("hex", "octets as hexadecimal digits", None, _hex_to_octets, _hex, _hex),
        Form("raw", "octets as they are", None, _to_octets, _visible_text, _hex, is_raw=True),
        _as_text("netstring", Netstring(), "text in netstrings"),
        _as_text("length2", LengthPrefixed(2), "text after its length in two octets"),
        _as_text("length4", LengthPrefixed(4), "text after its length in four octets"),
        _as_text("slip", Slip(), "text in SLIP packets"),
        _as_text("cobs", Cobs(), "text in COBS packets"),
    )
}
