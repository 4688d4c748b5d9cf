"""What option, argument and flags share in every library: names, texts, meaning."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from pierhead.address import ListenSpec, Value
from pierhead.address.flags import FLAGS, fill_in
from pierhead.errors import UsageError

__all__ = [
    "BRIEF_HELP_TEXT",
    "EXAMPLE",
    "FLAGS_TEXT",
    "FLAGS_TITLE",
    "FORMS",
    "FORMS_TITLE",
    "METAVAR",
    "NAMES",
    "OPTION_TEXT",
    "TEXT",
    "brief_text",
    "defaults",
    "fill_flags",
    "long_text",
    "remark",
]

_log = logging.getLogger("pierhead.integrations")

#: The option, spelled as in tokio-listener and shorter.
NAMES = ("-l", "--listen", "--listen-address")
METAVAR = "ADDR"
EXAMPLE = "127.0.0.1:8080"
TEXT = "Address to listen on."
OPTION_TEXT = "Address to listen on; may be repeated."
FORMS_TITLE = "Addresses"
#: The kinds of address, one per line; short enough for the columns that libraries leave.
FORMS = (
    "host and port: 127.0.0.1:8080, [::1]:80, :8080",
    "UNIX socket: /run/a.sock, ./a.sock, @abstract",
    "from systemd: sd-listen, sd-listen:NAME",
    "standard input and output: inetd",
    "any other: SCHEME:TARGET, as udp:[::1]:53",
    "with options: ADDR?KEY=VALUE&KEY=VALUE",
)
FLAGS_TITLE = "Flags for addresses"
FLAGS_TEXT = "Each applies to every address that supports it and does not set it."
BRIEF_HELP_TEXT = "Show one line per option; --help shows more."


#: The kinds of address, for libraries that leave a ``\\b`` block unchanged.
_FORMS_BLOCK = "\n".join(["", "", "\b", *FORMS])


def long_text(brief: str) -> str:
    """Return the long help of an address."""
    return f"{brief}{_FORMS_BLOCK}"


def brief_text(long: str) -> str:
    """Return the short help that belongs to this long one."""
    return long.partition(_FORMS_BLOCK)[0]


def remark(
    default: Sequence[str], envvar: str | None, otherwise: str, example: str = EXAMPLE
) -> str:
    """Return the text in brackets after the help of an address.

    ``otherwise`` says what applies without a default.
    """
    shown = f"default: {' '.join(default)}" if default else otherwise
    variable = f"variable: {envvar}" if envvar else ""
    return "; ".join(filter(None, ["address", shown, variable, f"example: {example}"]))


def fill_flags(values: Mapping[str, Any], *, lenient: bool = False) -> dict[str, Any]:
    """Return the parameters of a command without the flags, which are applied to its addresses.

    Args:
        values: parameters by name; flags are applied to an address, or a list or tuple of
        addresses.
        lenient: log a warning for a flag that applies to none of the addresses.

    Raises:
        UsageError: a flag applies to none of the addresses, and ``lenient`` is false.
    """
    result = dict(values)
    given = _take(result)
    several = {name: _addresses(value) for name, value in result.items()}
    specs = list(chain.from_iterable(several.values()))
    filled = iter(fill_in(specs, given, on_unused=_log.warning if lenient else None))
    for name, addresses in several.items():
        if addresses:
            result[name] = _like(result[name], [next(filled) for _ in addresses])
    return result


def _take(values: dict[str, Any]) -> dict[str, Value]:
    """Remove the flags from the values; return those that were given, by name."""
    given: dict[str, Value] = {}
    for name, flag in FLAGS.items():
        value = values.pop(flag.parameter, None)
        if value is None or value is False:
            continue
        fixed = flag.option.flag_value
        given[name] = value if fixed is None else fixed
    return given


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


def defaults(default: str | Sequence[str], function: str) -> list[str]:
    """Return the default addresses that a function of an integration was given.

    Raises:
        UsageError: they are none; a function is what a decorator without parentheses gets.
    """
    given: object = default  # as a caller without a type checker may pass
    if isinstance(given, str):
        return [given]
    if callable(given):
        raise UsageError(
            f"@{function} decorates nothing by itself; write @{function}(), with parentheses"
        )
    if isinstance(given, Sequence) and all(isinstance(one, str) for one in given):
        return list(given)
    raise UsageError(f"the default is {given!r}, expected text such as '127.0.0.1:8080', or a list")
