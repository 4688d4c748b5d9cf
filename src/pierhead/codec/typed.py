"""Values of a type in a syntax that msgspec reads: what `Json` and `MsgPack` have in common.

Input is checked against the type while it is read, by msgspec, or by pydantic if a pydantic model
is part of the type. An error begins with the path to the value at fault:

    $.number: expected int, got str
    $.points[2]: missing required field x
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from pierhead.errors import DecodeError, UsageError
from pierhead.extra import missing_extra
from pierhead.printable import printable

if TYPE_CHECKING:
    import pydantic

__all__ = ["Syntax", "TypedValues", "kind_name", "load_msgspec"]

#: How much of a reason is kept; it may quote the input.
_MAX_REASON_CHARACTERS = 300

#: How pydantic writes what is not finite, as its settings say.
_NON_FINITE = re.compile(b"null|NaN|Infinity")

#: How many faults are put into words to find the first.
_MAX_LISTED = 100

#: What encoders raise for what they cannot encode; ValueError includes errors of Unicode.
_UNENCODABLE = (TypeError, ValueError, OverflowError, RecursionError)

_PLACE = re.compile(r"(.*) - at (`key` in )?`(\$[^`]*)`", re.DOTALL)
_OFFSET = re.compile(r"(?:JSON|MessagePack data) is malformed: (.*) \(byte (\d+)\)", re.DOTALL)
_WORDS = (
    ("Object missing", "missing"),
    ("Object contains unknown", "unknown"),
    ("Expected ", "expected "),
    ("Invalid ", "invalid "),
    ("Number ", "number "),
)


@dataclass(frozen=True, slots=True)
class Syntax:
    """A syntax, by the functions of msgspec.

    Attributes:
        name: for messages.
        decoder: returns the decoder of a type.
        encode: writes a value.
        to_json: returns a frame as JSON, for a type that msgspec does not read; raises ValueError
            if it is malformed.
        nothing: what None is called.
    """

    name: str
    decoder: Callable[..., Any]
    encode: Callable[[Any], bytes]
    to_json: Callable[[bytes], bytes]
    nothing: str


class TypedValues:
    """Reads and writes the values of a type in a syntax.

    Args:
        kind: the type.
        syntax: the syntax.
        strict: whether text is refused for a number, for example.

    Raises:
        UsageError: the type cannot be represented.
    """

    __slots__ = ("_class", "_decode", "_encode", "_syntax")

    def __init__(self, kind: Any, syntax: Syntax, *, strict: bool) -> None:
        self._syntax = syntax
        # TypedDicts have no instances; what has fields in order is a class of its own.
        has_class = hasattr(kind, "__match_args__") or hasattr(kind, "__pydantic_validator__")
        self._class = kind if has_class else None
        parts = list(_parts(kind))
        _refuse_converters(parts)
        try:
            if any(hasattr(part, "__pydantic_validator__") for part in parts):
                self._decode, self._encode = _by_pydantic(kind, syntax, strict)
            else:
                self._decode = syntax.decoder(kind, strict=strict).decode
                self._encode = syntax.encode
        except (TypeError, NameError, RuntimeError) as error:  # pydantic's are RuntimeErrors
            why = str(error).partition("\n")[0]
            raise UsageError(f"{kind!r} is not a type that {syntax.name} can have: {why}") from None

    def decode(self, frame: bytes) -> Any:
        """Return the value.

        Raises:
            DecodeError: the frame is malformed, of another type, or null, which would mean silence.
        """
        try:
            value = self._decode(frame)
        except RecursionError:
            raise DecodeError(f"{self._syntax.name} that nests too deeply") from None
        except ValueError as error:  # those of msgspec and pydantic too
            raise _decode_error(error, self._syntax.name) from None
        if value is None:
            raise DecodeError(f"{self._syntax.nothing} is not a message")
        return value

    def encode(self, message: Any) -> bytes:
        """Return the value as a frame.

        Raises:
            UsageError: it is of another type, or the syntax cannot represent it.
        """
        if message is None:
            raise UsageError("a message is None, which is none")
        if self._class is not None and not isinstance(message, self._class):
            found = type(message).__name__
            raise UsageError(f"a message is {found}, expected {self._class.__name__}")
        try:
            return self._encode(message)
        except _UNENCODABLE as error:
            why = " ".join(str(error).split())[:_MAX_REASON_CHARACTERS]
            raise UsageError(f"a message cannot be {self._syntax.name}: {why}") from None


def load_msgspec() -> Any:
    """Return the module, which those alone who use it need.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import msgspec
    except ModuleNotFoundError as error:
        raise missing_extra("msgspec", error) from None
    return msgspec


def kind_name(kind: Any) -> str:
    """Return the name of a type for a ``repr``; nothing for any type."""
    if kind is Any:
        return ""
    return kind.__name__ if isinstance(kind, type) else repr(kind)


def _parts(kind: Any) -> Iterator[Any]:
    """Yield a type and all that it is made of."""
    waiting, seen = [kind], set()
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        waiting += get_args(part)
        waiting += [getattr(part, name, None) for name in ("__value__", "__supertype__")]
        if isinstance(part, type) and "__annotations__" in vars(part):
            try:
                waiting += get_type_hints(part).values()
            except NameError:  # which msgspec and pydantic report in their own words
                continue


def _refuse_converters(parts: list[Any]) -> None:
    """Refuse attrs classes with converters, which msgspec does not call."""
    for part in parts:
        for attribute in getattr(part, "__attrs_attrs__", ()):
            if attribute.converter is not None:
                raise UsageError(
                    f"{part.__name__}.{attribute.name} has a converter, which decoding does not "
                    "call; convert in a service, or check by a validator, which is called"
                )


def _by_pydantic(
    kind: Any, syntax: Syntax, strict: bool
) -> tuple[Callable[[bytes], Any], Callable[[Any], bytes]]:
    """Return what reads and writes a type that pydantic validates, in the form it has in JSON."""
    from pydantic import TypeAdapter  # there, since a model is

    adapter: pydantic.TypeAdapter[Any] = TypeAdapter(kind)

    def decode(frame: bytes) -> Any:
        # pydantic accepts NaN, which is not JSON, and says less about malformed input.
        return adapter.validate_json(syntax.to_json(frame), strict=strict or None)

    def encode(message: Any) -> bytes:
        if syntax.name == "JSON":  # in one step, unless there may be a NaN in it
            frame = adapter.dump_json(message, by_alias=True, warnings="error")
            if not _NON_FINITE.search(frame):
                return frame
        value = adapter.dump_python(message, mode="json", by_alias=True, warnings="error")
        return syntax.encode(value)

    return decode, encode


def _decode_error(error: ValueError, syntax: str) -> DecodeError:
    if hasattr(error, "errors"):
        return DecodeError(_shown(_reason_of_pydantic(error, syntax)))
    if isinstance(error, UnicodeDecodeError):  # its position is that in the text
        return DecodeError(f"text in {syntax} that is not UTF-8: {error.reason}")
    text = str(error)
    if malformed := _OFFSET.fullmatch(text):
        reason, offset = malformed[1], int(malformed[2])
        # msgspec has read the first of these already.
        offset -= syntax == "JSON" and reason.startswith("trailing characters")
        return DecodeError(f"malformed {syntax}: {reason}", offset)
    if text == "Input data was truncated":
        return DecodeError(f"malformed {syntax}: it ends too early")
    found = _PLACE.fullmatch(text)
    reason, key, path = found.groups() if found else (text, None, "$")
    for theirs, ours in _WORDS:
        if reason.startswith(theirs):
            reason = ours + reason.removeprefix(theirs).replace("`", "")
    return DecodeError(_shown(f"{'a key of ' if key else ''}{path}: {reason}"))


def _shown(reason: str) -> str:
    if len(reason) > _MAX_REASON_CHARACTERS:
        reason = f"{reason[:_MAX_REASON_CHARACTERS]} ..."
    return printable(reason)


_JSON_NAMES = {"NoneType": "null", "dict": "object", "list": "array"}


def _reason_of_pydantic(error: Any, syntax: str) -> str:
    """Return the first reason in the words that msgspec would use."""
    if (count := error.error_count()) > _MAX_LISTED:  # they can only be had all together
        return f"$: {count} values of another type"
    first = error.errors(include_url=False, include_context=False)[0]
    path, kind, said = list(first["loc"]), first["type"], first["msg"]
    if kind == "json_invalid":
        return f"malformed {syntax}: {said.removeprefix('Invalid JSON: ')}"
    if kind in ("missing", "extra_forbidden"):
        field = path.pop()
        reason = f"{'missing required' if kind == 'missing' else 'unknown'} field {field}"
    elif said.startswith("Input should be "):
        reason = f"expected {said.removeprefix('Input should be ')}"
        if kind.endswith("_type"):
            found = type(first["input"]).__name__
            reason += f", got {_JSON_NAMES.get(found, found)}"
    else:
        reason = said.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return f"${''.join(map(_step, path))}: {reason}"


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if step.isidentifier() else f"[{step[:40]!r}]"
