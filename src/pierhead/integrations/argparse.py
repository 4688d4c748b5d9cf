"""Addresses for programs that read their command line with argparse.

    parser = argparse.ArgumentParser()
    add_listen_option(parser, "127.0.0.1:7000")
    args = parser.parse_args()
    run(lines.serve(shout), *args.listen)

`add_listen_argument` is the positional form. Both add tokio-listener's flags, and split argparse's
help: ``-h`` shows one line per option, ``--help`` everything. A usage error ends the program with
exit code 2, like argparse's own.

argparse calls no hook after it has parsed a command line, so the flags are applied by replacing
``parse_known_args`` and ``parse_known_intermixed_args`` on the given parser; its ``parse_args``,
and that of the parser above a subparser, call these.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from pierhead.address import ListenSpec, Value
from pierhead.address.flags import FLAGS, AddressFlag
from pierhead.errors import UsageError
from pierhead.integrations.parameter import (
    BRIEF_HELP_TEXT,
    FLAGS_TEXT,
    FLAGS_TITLE,
    FORMS,
    FORMS_TITLE,
    METAVAR,
    NAMES,
    OPTION_TEXT,
    TEXT,
    defaults,
    fill_flags,
    remark,
)

__all__ = ["add_listen_argument", "add_listen_option", "listen_type"]

_Parsed: TypeAlias = tuple[argparse.Namespace, list[str]]


def _check_parser(parser: object) -> None:
    if not isinstance(parser, argparse.ArgumentParser):
        raise UsageError(
            f"the parser is {parser!r}, expected an argparse.ArgumentParser; it comes first, then "
            "the default"
        )


class _Blanked(str):
    """Addresses separated by spaces; argparse parses a default only if it is a string."""

    __slots__ = ()


def listen_type(text: str) -> ListenSpec:
    """Return the address; for ``type=`` of any argument.

    Raises:
        argparse.ArgumentTypeError: it does not parse; with position, reason and remedy.
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
    """Collects addresses; unlike ``append``, the first one given replaces the default."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        if isinstance(values, _Blanked):  # an omitted positional: argparse does not parse "*"
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
    parser: argparse.ArgumentParser,
    default: str | Sequence[str] = (),
    *,
    dest: str = "listen",
    envvar: str | None = None,
    required: bool | None = None,
    help: str = OPTION_TEXT,
    group: argparse._ArgumentGroup | None = None,
    flags: bool = True,
    lenient: bool = False,
) -> argparse.Action:
    """Add the option ``-l``, ``--listen``, ``--listen-address``, which may be repeated.

    The namespace gets a list of `ListenSpec`, with the flags applied, as to every other address in
    it.

    Args:
        parser: the parser that parses the command line, or a subparser; not one of ``parents=``.
        default: where to listen if the option is not given.
        dest: the name in the namespace.
        envvar: an environment variable with addresses, separated by spaces.
        required: whether an address must be given; None to require one if there is no default.
        help: the help text before default and example.
        group: the argument group to add it to.
        flags: whether to add the flags of `pierhead.address.flags`.
        lenient: log a warning for a flag that applies to none of the addresses, instead of raising
            an error.
    """
    _check_parser(parser)
    addresses = defaults(default, "add_listen_option")
    needed = not addresses if required is None else required
    found = _fallback(addresses, envvar)
    otherwise = "required" if needed else "default: none"
    action = (group or parser).add_argument(
        *NAMES,
        dest=dest,
        action=_AppendAddresses,
        type=_listen_types,
        metavar=METAVAR,
        default=found,
        required=needed and not found,
        help=_literal(f"{help} [{remark(addresses, envvar, otherwise)}]"),
    )
    _complete(parser, flags=flags, lenient=lenient)
    return action


def add_listen_argument(
    parser: argparse.ArgumentParser,
    default: str | None = None,
    *,
    dest: str = "listen",
    many: bool = True,
    envvar: str | None = None,
    help: str = TEXT,
    group: argparse._ArgumentGroup | None = None,
    flags: bool = True,
    lenient: bool = False,
) -> argparse.Action:
    """Add a positional argument; the namespace gets a list of `ListenSpec`.

    Args:
        parser: as for `add_listen_option`.
        default: where to listen if it is not given; None makes it required.
        dest: the name in the namespace.
        many: whether several may be given; if not, the namespace gets one `ListenSpec`.
        envvar: an environment variable with addresses, separated by spaces.
        help: the help text before default and example.
        group: as for `add_listen_option`.
        flags: as for `add_listen_option`.
        lenient: as for `add_listen_option`.
    """
    addresses = [default] if default else []
    found = _fallback(addresses, envvar)
    action = (group or parser).add_argument(
        dest,
        **_shape(found, many=many),
        metavar=METAVAR,
        help=_literal(f"{help} [{remark(addresses, envvar, 'required')}]"),
    )
    _complete(parser, flags=flags, lenient=lenient)
    return action


def _shape(found: _Blanked, *, many: bool) -> dict[str, Any]:
    """Return how many addresses are accepted and how they are stored."""
    if many:
        how = {"action": _AppendAddresses, "type": _listen_types, "default": found}
        return {**how, "nargs": "*" if found else "+"}
    return {"type": listen_type, "nargs": "?" if found else None, "default": str(found) or None}


def _fallback(default: Sequence[str], envvar: str | None) -> _Blanked:
    said = os.environ.get(envvar, "") if envvar else ""
    return _Blanked(said.strip() or " ".join(default))


def _complete(parser: argparse.ArgumentParser, *, flags: bool, lenient: bool) -> None:
    """Add what comes with an address: the flags, and a short help beside the long one."""
    if isinstance(getattr(parser.parse_known_args, "__self__", None), _Filling):
        return  # another address has added them, and they apply to this one as well
    briefs: dict[argparse.Action, str] = {}
    if flags:
        filling = _Filling(parser, lenient=lenient)
        briefs |= _add_flags(parser, filling)
        methods: Any = parser  # only on this parser; its class stays unchanged
        methods.parse_known_args = filling.parse_known
        methods.parse_known_intermixed_args = filling.parse_intermixed
    if parser.add_help:
        _split_help(parser, briefs)


def _add_flags(parser: argparse.ArgumentParser, filling: _Filling) -> dict[argparse.Action, str]:
    """Add each flag; return each action with its short help."""
    group = parser.add_argument_group(FLAGS_TITLE, FLAGS_TEXT)
    briefs = {}
    for flag in FLAGS.values():
        how: dict[str, Any] = {"type": _reader(flag), "metavar": flag.metavar}
        if flag.is_switch:
            how = {"nargs": 0, "const": True}
        action = group.add_argument(
            flag.name,
            dest=flag.parameter,
            action=_StoreFlag,
            filling=filling,
            default=argparse.SUPPRESS,
            help=_literal(flag.help),
            **how,
        )
        briefs[action] = _literal(flag.brief)
    return briefs


class _StoreFlag(argparse.Action):
    """Stores the value of a flag until parsing ends and it is applied."""

    def __init__(self, *args: Any, filling: _Filling, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._filling = filling

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        if not self._filling.is_parsing:
            raise UsageError(
                f"{option_string} would have no effect: addresses were added to a parser in "
                "parents=, from which argparse copies only the arguments; add them to the "
                "parser that parses the command line"
            )
        setattr(namespace, self.dest, self.const if self.nargs == 0 else values)


def _reader(flag: AddressFlag) -> Callable[[str], Value]:
    def read(text: str) -> Value:
        try:
            return flag.read(text)
        except UsageError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def _literal(text: str) -> str:
    return text.replace("%", "%%")


class _Filling:
    """Applies the flags to the addresses whenever a parser has parsed a command line."""

    def __init__(self, parser: argparse.ArgumentParser, *, lenient: bool) -> None:
        self.is_parsing = False
        self._parser = parser
        self._lenient = lenient
        self._parse_known = parser.parse_known_args
        self._parse_intermixed = parser.parse_known_intermixed_args

    def parse_known(self, *args: Any, **kwargs: Any) -> _Parsed:
        """Do what ``parse_known_args`` does, then apply the flags."""
        return self._around(self._parse_known, args, kwargs)

    def parse_intermixed(self, *args: Any, **kwargs: Any) -> _Parsed:
        """Do what ``parse_known_intermixed_args`` does, then apply the flags."""
        return self._around(self._parse_intermixed, args, kwargs)

    def _around(
        self, parse: Callable[..., _Parsed], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> _Parsed:
        if self.is_parsing:  # Python 3.11 parses the options first; apply nothing yet
            return parse(*args, **kwargs)
        self.is_parsing = True
        try:
            namespace, rest = parse(*args, **kwargs)
        finally:
            self.is_parsing = False
        self._fill(namespace)
        return namespace, rest

    def _fill(self, namespace: argparse.Namespace) -> None:
        values = vars(namespace)
        try:
            filled = fill_flags(values, lenient=self._lenient)
        except UsageError as error:
            self._parser.error(str(error))
        values.clear()
        values.update(filled)


def _split_help(parser: argparse.ArgumentParser, briefs: dict[argparse.Action, str]) -> None:
    """Replace a parser's single help by a short one, ``-h``, and a long one, ``--help``."""
    group = parser.add_argument_group("Help", conflict_handler="resolve")
    group.add_argument("-h", action=_ShowHelp, briefs=briefs, help=BRIEF_HELP_TEXT)
    group.add_argument(
        "--help", action=_ShowHelp, help="Show everything, including the kinds of address."
    )


class _ShowHelp(argparse.Action):
    """Shows the help and exits: the short texts if there are any, otherwise the long ones."""

    def __init__(
        self,
        option_strings: Sequence[str],
        dest: str,
        briefs: dict[argparse.Action, str] | None = None,
        help: str | None = None,
    ) -> None:
        super().__init__(
            option_strings, argparse.SUPPRESS, nargs=0, default=argparse.SUPPRESS, help=help
        )
        self._briefs = briefs

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        if self._briefs is None:
            parser.print_help()
            print("\n".join(["", f"{FORMS_TITLE}:", *(f"  {form}" for form in FORMS)]))
        else:
            self._print_briefly(parser, self._briefs)
        parser.exit()

    @staticmethod
    def _print_briefly(parser: argparse.ArgumentParser, briefs: dict[argparse.Action, str]) -> None:
        full = {action: action.help for action in briefs}
        try:
            for action, brief in briefs.items():
                action.help = brief
            parser.print_help()
        finally:
            for action, text in full.items():
                action.help = text
