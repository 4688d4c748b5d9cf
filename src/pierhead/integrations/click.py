"""Addresses for programs that read their command line with click.

    @click.command()
    @listen_option("127.0.0.1:7000")
    def main(listen: tuple[ListenSpec, ...]) -> None:
        run(lines.serve(shout), *listen)

`listen_argument` is the positional form. Both add tokio-listener's flags, and ``-h``, which shows
one line per option where ``--help`` shows everything. A usage error ends the program with exit code
2, like click's own.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import click
from click.shell_completion import CompletionItem

from pierhead.address import ListenSpec, Value
from pierhead.address.flags import FLAGS, AddressFlag
from pierhead.errors import UsageError
from pierhead.integrations.completion import complete, is_path
from pierhead.integrations.parameter import (
    BRIEF_HELP_TEXT,
    EXAMPLE,
    FLAGS_TITLE,
    METAVAR,
    NAMES,
    OPTION_TEXT,
    TEXT,
    defaults,
    fill_flags,
    long_text,
    remark,
)

__all__ = [
    "FlagOption",
    "ListenCommand",
    "ListenType",
    "listen_argument",
    "listen_option",
]

F = TypeVar("F", bound=Callable[..., Any])

if TYPE_CHECKING:
    _SpecType: TypeAlias = click.ParamType[ListenSpec]
    _ValueType: TypeAlias = click.ParamType[Value]
else:  # click became generic in 8.4
    _SpecType = _ValueType = click.ParamType


class ListenType(_SpecType):
    """The type of an address parameter; the function gets a `ListenSpec`."""

    name = METAVAR.lower()

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> ListenSpec:
        """Return the address, or fail with position, reason and remedy."""
        if isinstance(value, ListenSpec):
            return value
        try:
            return ListenSpec.parse(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """Say what to write if no address is given."""
        return "There is no address to listen on; give one, such as tcp:127.0.0.1:7000."

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer schemes, wrappers, the keys of options, and files for a path."""
        if is_path(incomplete):
            return [CompletionItem(incomplete, type="file")]
        return [CompletionItem(word, help=meaning) for word, meaning in complete(incomplete)]


class _FlagType(_ValueType):
    """The type of a flag's value."""

    def __init__(self, flag: AddressFlag) -> None:
        self.name = flag.metavar.lower()
        self._flag = flag

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Value:
        try:
            return self._flag.read(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)


#: Since click 8.5.
_ARGUMENTS_ARE_APART = hasattr(click.Command, "format_arguments")
#: Marks a function that has been wrapped; `functools.wraps` copies its dictionary.
_HAS_FLAGS = "_pierhead_has_flags"
_HAS_BRIEF_HELP = "_pierhead_has_brief_help"
#: Where a context records that ``-h`` was given rather than ``--help``.
_BRIEF = "pierhead.brief_help"


class _TwofoldOption(click.Option):
    """An option with a shorter help for ``-h``."""

    def __init__(self, *args: Any, brief: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._brief = brief

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        shown = copy.copy(self)
        if _BRIEF in ctx.meta:
            shown.help = self._brief
        return click.Option.get_help_record(shown, ctx)


class FlagOption(_TwofoldOption):
    """One of the flags that come with an address."""


class _DescribedArgument(click.Argument):
    """An argument that appears in the help; before click 8.5, among the options."""

    def __init__(self, *args: Any, brief: str, help: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.help = help  # click before 8.5 does not accept it
        self._brief = brief

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        return str(self.metavar), self._brief if _BRIEF in ctx.meta else str(self.help)


class ListenCommand(click.Command):
    """A command whose help lists the flags for addresses in a separate section.

    For ``@click.command(cls=ListenCommand)``; other commands list them among their options.
    """

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, then the flags."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": [], FLAGS_TITLE: []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is None or (_ARGUMENTS_ARE_APART and isinstance(param, click.Argument)):
                continue
            title = FLAGS_TITLE if isinstance(param, FlagOption) else "Options"
            sections[title].append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def listen_option(
    default: str | Sequence[str] = (),
    *,
    name: str = "listen",
    envvar: str | None = None,
    required: bool | None = None,
    help: str = OPTION_TEXT,
    example: str = EXAMPLE,
    flags: bool = True,
    lenient: bool = False,
) -> Callable[[F], F]:
    """Return the option ``-l``, ``--listen``, ``--listen-address``, which may be repeated.

    The function gets a tuple of `ListenSpec`, with the flags applied, as to every other parameter
    that holds addresses. May be placed anywhere below ``@click.command``.

    Args:
        default: where to listen if the option is not given.
        name: the parameter of the function.
        envvar: an environment variable with addresses, separated by spaces.
        required: whether an address must be given; None to require one if there is no default.
        help: the help text before the kinds of address, default and example.
        example: an address for the help.
        flags: whether to add the flags of `pierhead.address.flags`.
        lenient: log a warning for a flag that applies to none of the addresses, instead of raising
            an error.
    """
    addresses = defaults(default, "listen_option")
    needed = not addresses if required is None else required
    fallback: dict[str, Any] = {"default": addresses} if addresses else {}
    otherwise = "" if needed else "default: none"  # click itself says what is required
    address = click.option(
        *NAMES,
        name,
        cls=_TwofoldOption,
        type=ListenType(),
        metavar=METAVAR,
        multiple=True,
        required=needed,
        envvar=envvar,
        **_texts(help, remark(addresses, envvar, otherwise, example)),
        **fallback,
    )
    return lambda function: address(_with_flags(function, flags, lenient))


def listen_argument(
    default: str | None = None,
    *,
    name: str = "listen",
    many: bool = True,
    envvar: str | None = None,
    help: str = TEXT,
    flags: bool = True,
    lenient: bool = False,
) -> Callable[[F], F]:
    """Return a positional argument; the function gets a tuple of `ListenSpec`.

    Args:
        default: where to listen if it is not given; None makes it required.
        name: the parameter of the function.
        many: whether several may be given; if not, the function gets one `ListenSpec`.
        envvar: an environment variable with addresses, separated by spaces.
        help: the help text before the kinds of address, default and example.
        flags: as for `listen_option`.
        lenient: as for `listen_option`.
    """
    if default is not None:
        defaults(default, "listen_argument")
    how: dict[str, Any] = {"metavar": METAVAR}
    if many:  # click before 8.2 has no default for these
        how = {"metavar": f"{METAVAR}...", "nargs": -1, "callback": _default_to(default)}
    elif default is not None:  # click treats None as a default
        how["default"] = default
    argument = click.argument(
        name,
        cls=_DescribedArgument,
        type=ListenType(),
        envvar=envvar,
        required=default is None,
        **_texts(help, remark([default] if default else [], envvar, "required")),
        **how,
    )
    return lambda function: argument(_with_flags(function, flags, lenient))


def _default_to(default: str | None) -> Callable[..., tuple[ListenSpec, ...]]:
    fallback = () if default is None else (ListenSpec.parse(default),)

    def choose(
        ctx: click.Context, param: click.Parameter, value: tuple[ListenSpec, ...]
    ) -> tuple[ListenSpec, ...]:
        return value or fallback

    return choose


def _texts(text: str, note: str) -> dict[str, str]:
    return {"brief": f"{text} [{note}]", "help": f"{long_text(text)}\n\n[{note}]"}


def _with_flags(function: F, flags: bool, lenient: bool) -> F:
    """Return the function with ``-h``, and with the flags applied if they are wanted.

    What another address of the same function has already added is not added again.

    Raises:
        UsageError: it is a command already.
    """
    given: object = function
    if isinstance(given, click.Command):
        raise UsageError(
            f"the command {given.name} exists already; write @listen_option() or "
            "@listen_argument() below @click.command()"
        )
    flags = flags and _HAS_FLAGS not in vars(function)
    wrapped = _filled_in(function, lenient) if flags else function
    if _HAS_BRIEF_HELP not in vars(function):
        click.option(
            "-h",
            "brief_help",
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_show_brief_help,
            help=BRIEF_HELP_TEXT,
        )(wrapped)
        vars(wrapped)[_HAS_BRIEF_HELP] = True
    if flags:
        for flag in reversed(tuple(FLAGS.values())):
            _option(flag)(wrapped)
        vars(wrapped)[_HAS_FLAGS] = True
    return wrapped


def _filled_in(function: F, lenient: bool) -> F:
    @functools.wraps(function)
    def with_flags_filled_in(*args: Any, **kwargs: Any) -> Any:
        try:
            filled = fill_flags(kwargs, lenient=lenient)
        except UsageError as error:
            raise click.UsageError(str(error), click.get_current_context(silent=True)) from None
        return function(*args, **filled)

    return cast(F, with_flags_filled_in)


def _show_brief_help(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.meta[_BRIEF] = True
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


def _option(flag: AddressFlag) -> Callable[[F], F]:
    if flag.is_switch:
        return click.option(
            flag.name,
            flag.parameter,
            cls=FlagOption,
            is_flag=True,
            brief=flag.brief,
            help=flag.help,
        )
    return click.option(
        flag.name,
        flag.parameter,
        cls=FlagOption,
        type=_FlagType(flag),
        metavar=flag.metavar,
        brief=flag.brief,
        help=flag.help,
    )
