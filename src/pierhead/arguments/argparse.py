"""Addresses for programs that read their command line with argparse.

    parser = argparse.ArgumentParser()
    add_listen_option(parser, "127.0.0.1:7000")
    add_listen_flags(parser)
    args = fill_listen_flags(parser, parser.parse_args())
    run(lines.serve(shout), *args.listen)

`add_listen_argument` is the positional form. Without `add_listen_flags` there is nothing to fill
in. A mistake ends the program with exit code 2, as argparse's own do.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from pierhead.address import ListenSpec, Value
from pierhead.address.flags import FLAGS, AddressFlag
from pierhead.arguments.parameter import (
    FLAGS_TEXT,
    FLAGS_TITLE,
    METAVAR,
    NAMES,
    OPTION_TEXT,
    TEXT,
    fill_arguments,
    remark,
    take_flags,
)
from pierhead.errors import UsageError

__all__ = [
    "Arguments",
    "add_listen_argument",
    "add_listen_flags",
    "add_listen_option",
    "fill_listen_flags",
    "listen_type",
]

#: What takes arguments: a parser, or a group of its arguments.
Arguments: TypeAlias = argparse.ArgumentParser | argparse._ArgumentGroup


class _Blanked(str):
    """Addresses separated by blanks; argparse reads a default only where it is text."""

    __slots__ = ()


def listen_type(text: str) -> ListenSpec:
    """Return the address; for ``type=`` of any argument.

    Raises:
        argparse.ArgumentTypeError: it does not parse: position, reason and remedy.
    """
    try:
        return ListenSpec.parse(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _listen_types(text: str) -> ListenSpec | list[ListenSpec]:
    if isinstance(text, _Blanked):
        return [listen_type(word) for word in text.split()]
    return listen_type(text)


class _AppendAddresses(argparse.Action):
    """Gathers addresses; unlike ``append``, the first one given takes the default's place."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        if isinstance(values, _Blanked):  # a positional that is not given: argparse reads no "*"
            values = self._read(values)
        before = getattr(namespace, self.dest)
        given = values if isinstance(values, list) else [values]
        gathered = [] if before is self.default else before
        setattr(namespace, self.dest, [*gathered, *given])

    def _read(self, default: str) -> ListenSpec | list[ListenSpec]:
        try:
            return _listen_types(default)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentError(self, str(error)) from None


def add_listen_option(
    parser: Arguments,
    default: str | Sequence[str] = (),
    *,
    dest: str = "listen",
    envvar: str | None = None,
    required: bool | None = None,
    help: str = OPTION_TEXT,
) -> argparse.Action:
    """Add the option ``-l``, ``--listen``, ``--listen-address``, which may be repeated.

    The namespace gets a list of `ListenSpec`.

    Args:
        parser: the parser, or a group of its arguments.
        default: where to listen if the option is not given.
        dest: the name in the namespace.
        envvar: a variable of the environment with addresses, separated by blanks.
        required: whether there has to be an address; None where there is no default.
        help: what stands in the help before default and example.
    """
    addresses = [default] if isinstance(default, str) else list(default)
    needed = not addresses if required is None else required
    found = _fallback(addresses, envvar)
    otherwise = "required" if needed else "default: none"
    return parser.add_argument(
        *NAMES,
        dest=dest,
        action=_AppendAddresses,
        type=_listen_types,
        metavar=METAVAR,
        default=found,
        required=needed and not found,
        help=_literal(f"{help} [{remark(addresses, envvar, otherwise)}]"),
    )


def add_listen_argument(
    parser: Arguments,
    default: str | None = None,
    *,
    dest: str = "listen",
    many: bool = True,
    envvar: str | None = None,
    help: str = TEXT,
) -> argparse.Action:
    """Add a positional argument; the namespace gets a list of `ListenSpec`.

    Args:
        parser: the parser, or a group of its arguments.
        default: where to listen if it is not given; None makes it required.
        dest: the name in the namespace.
        many: whether several may be given; if not, the namespace gets one `ListenSpec`.
        envvar: a variable of the environment with addresses, separated by blanks.
        help: what stands in the help before default and example.
    """
    addresses = [default] if default else []
    found = _fallback(addresses, envvar)
    return parser.add_argument(
        dest,
        **_shape(found, many=many),
        metavar=METAVAR,
        help=_literal(f"{help} [{remark(addresses, envvar, 'required')}]"),
    )


def _shape(found: _Blanked, *, many: bool) -> dict[str, Any]:
    """Return how many addresses are taken and what becomes of them."""
    if many:
        how = {"action": _AppendAddresses, "type": _listen_types, "default": found}
        return {**how, "nargs": "*" if found else "+"}
    return {"type": listen_type, "nargs": "?" if found else None, "default": str(found) or None}


def _fallback(default: Sequence[str], envvar: str | None) -> _Blanked:
    said = os.environ.get(envvar, "") if envvar else ""
    return _Blanked(said.strip() or " ".join(default))


def add_listen_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `pierhead.address.flags`, as a group; `fill_listen_flags` uses them."""
    group = parser.add_argument_group(FLAGS_TITLE, FLAGS_TEXT)
    for flag in FLAGS.values():
        how: dict[str, Any] = {"action": "store_true"}
        if not flag.is_switch:
            how = {"type": _reader(flag), "metavar": flag.metavar}
        group.add_argument(
            flag.name,
            dest=flag.parameter,
            default=argparse.SUPPRESS,
            help=_literal(flag.help),
            **how,
        )


def _reader(flag: AddressFlag) -> Callable[[str], Value]:
    def read(text: str) -> Value:
        try:
            return flag.read(text)
        except UsageError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def _literal(text: str) -> str:
    return text.replace("%", "%%")


def fill_listen_flags(
    parser: argparse.ArgumentParser, args: argparse.Namespace
) -> argparse.Namespace:
    """Return what was parsed, with the flags filled into its addresses and left out themselves.

    Every address is filled in, whatever it is called. A flag that is for none of them is a
    mistake, which ``parser`` reports.
    """
    values = vars(args).copy()
    given = take_flags(values)
    try:
        return argparse.Namespace(**fill_arguments(values, given))
    except UsageError as error:
        parser.error(str(error))
