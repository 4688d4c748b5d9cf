"""What the option, the argument and the flags are in every library: names, texts, meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from pierhead.address import ListenSpec, Value
from pierhead.address.flags import FLAGS, fill_in

__all__ = [
    "EXAMPLE",
    "FLAGS_TEXT",
    "FLAGS_TITLE",
    "METAVAR",
    "NAMES",
    "OPTION_TEXT",
    "TEXT",
    "fill_arguments",
    "remark",
    "take_flags",
]

#: The option, as tokio-listener spells it and shorter.
NAMES = ("-l", "--listen", "--listen-address")
METAVAR = "ADDR"
EXAMPLE = "127.0.0.1:8080"
TEXT = (
    "Address to listen on: HOST:PORT, a path like ./app.sock, @NAME, sd-listen, inetd, or "
    "SCHEME:TARGET?KEY=VALUE."
)
OPTION_TEXT = f"{TEXT} Repeat it for more."
FLAGS_TITLE = "Flags for addresses"
FLAGS_TEXT = "Each goes to every address that it is for and that does not say otherwise."


def remark(
    default: Sequence[str], envvar: str | None, otherwise: str, example: str = EXAMPLE
) -> str:
    """Return what stands in brackets behind the help of an address.

    ``otherwise`` says what holds where there is no default.
    """
    shown = f"default: {' '.join(default)}" if default else otherwise
    variable = f"variable: {envvar}" if envvar else ""
    return "; ".join(filter(None, ["address", shown, variable, f"example: {example}"]))


def take_flags(values: dict[str, Any]) -> dict[str, Value]:
    """Take the parameters of flags out of the values; return those that were given, by name."""
    given: dict[str, Value] = {}
    for name, flag in FLAGS.items():
        value = values.pop(flag.parameter, None)
        if value is None or value is False:
            continue
        fixed = flag.option.flag_value
        given[name] = value if fixed is None else fixed
    return given


def fill_arguments(values: Mapping[str, Any], given: Mapping[str, Value]) -> dict[str, Any]:
    """Return the parameters of a command with flags filled into each address among them.

    Args:
        values: parameters by name; an address, or a list or tuple of addresses, is filled in.
        given: the value of each flag that was given, by the flag's name.

    Raises:
        UsageError: a flag is for none of the addresses.
    """
    if not given:
        return dict(values)
    several = {name: _addresses(value) for name, value in values.items()}
    filled = iter(fill_in(list(chain.from_iterable(several.values())), given))
    result = dict(values)
    for name, addresses in several.items():
        if addresses:
            found = [next(filled) for _ in addresses]
            result[name] = _like(values[name], found)
    return result


def _addresses(value: object) -> list[ListenSpec]:
    if isinstance(value, ListenSpec):
        return [value]
    if isinstance(value, list | tuple) and all(isinstance(one, ListenSpec) for one in value):
        return list(value)
    return []


def _like(before: object, found: list[ListenSpec]) -> object:
    if isinstance(before, ListenSpec):
        return found[0]
    return tuple(found) if isinstance(before, tuple) else found
