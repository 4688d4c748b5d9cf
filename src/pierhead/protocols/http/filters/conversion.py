"""Values of a type from text: segments of paths, parameters of queries, fields, cookies."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, get_origin, get_type_hints

from pierhead.codec.typed import kind_name, load_msgspec
from pierhead.errors import DecodeError, UsageError

__all__ = ["from_pairs", "from_text"]

_MANY = (list, tuple, set, frozenset)


def from_text(kind: Any) -> Callable[[str], Any]:
    """Return what converts text to a value of this type, and raises ValueError for other text.

    Raises:
        UsageError: text cannot be converted to this type.
    """
    if kind is str:
        return _text
    convert, expected = _converter(kind), kind_name(kind)

    def converted(text: str) -> Any:
        try:
            return convert(_text(text), kind, strict=False)
        except ValueError:
            raise ValueError(f"expected {expected}") from None

    return converted


def from_pairs(kind: Any) -> Callable[[Iterable[tuple[str, str]]], Any]:
    """Return what converts names and values to an object with fields of these names.

    A field that is a list takes every value of its name; others refuse a second one.

    Raises:
        UsageError: the type has no fields.
    """
    try:
        hints = get_type_hints(kind)
    except (TypeError, NameError) as error:
        raise UsageError(f"{kind!r} is not a type with fields: {error}") from None
    convert = _converter(kind)
    lists = {name for name, hint in hints.items() if (get_origin(hint) or hint) in _MANY}

    def converted(pairs: Iterable[tuple[str, str]]) -> Any:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in lists:
                found.setdefault(name, []).append(_text(value))
            elif name in found:
                raise DecodeError(f"$.{name}: expected one value, got several")
            else:
                found[name] = _text(value)
        try:
            return convert(found, kind, strict=False)
        except ValueError as error:
            reason, _, place = str(error).partition(" - at ")
            words = reason.replace("`", "").replace("Object missing", "missing")
            raise DecodeError(
                f"{place.strip('`') or '$'}: {words[:1].lower()}{words[1:]}"
            ) from None

    return converted


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("expected UTF-8") from None
    return text


def _converter(kind: Any) -> Callable[..., Any]:
    msgspec = load_msgspec()
    try:
        is_unknown = isinstance(msgspec.inspect.type_info(kind), msgspec.inspect.CustomType)
    except (TypeError, NameError):
        is_unknown = True
    if is_unknown:
        raise UsageError(f"{kind!r} is not a type that text can have")
    convert: Callable[..., Any] = msgspec.convert
    return convert
