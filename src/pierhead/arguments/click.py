"""Addresses for programs that read their command line with click.

    @click.command()
    @listen_option("127.0.0.1:7000")
    @listen_flags
    def main(listen: tuple[ListenSpec, ...]) -> None:
        run(lines.serve(shout), *listen)

`listen_argument` is the positional form, `listen_flags` brings tokio-listener's flags; each can
do without the other. A mistake ends the program with exit code 2, as click's own do.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import click
from click.shell_completion import CompletionItem

from pierhead.address import ListenSpec, Value
from pierhead.address.flags import FLAGS, AddressFlag
from pierhead.arguments.completion import complete, is_path
from pierhead.arguments.parameter import (
    EXAMPLE,
    FLAGS_TITLE,
    METAVAR,
    NAMES,
    OPTION_TEXT,
    fill_arguments,
    remark,
    take_flags,
)
from pierhead.errors import UsageError

__all__ = [
    "FlagOption",
    "ListenCommand",
    "ListenType",
    "listen_argument",
    "listen_flags",
    "listen_option",
]

F = TypeVar("F", bound=Callable[..., Any])

if TYPE_CHECKING:
    _SpecType: TypeAlias = click.ParamType[ListenSpec]
    _ValueType: TypeAlias = click.ParamType[Value]
else:  # click became generic in 8.4
    _SpecType = _ValueType = click.ParamType


class ListenType(_SpecType):
    """The type of a parameter that is an address; the function gets a `ListenSpec`."""

    name = METAVAR.lower()

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> ListenSpec:
        """Return the address, or fail with its position, reason and remedy."""
        if isinstance(value, ListenSpec):
            return value
        try:
            return ListenSpec.parse(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """Say what to write where no address is given."""
        return "There is nothing to listen on; give an address, such as tcp:127.0.0.1:7000."

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer schemes, wrappers, the keys of options, and files for a path."""
        if is_path(incomplete):
            return [CompletionItem(incomplete, type="file")]
        return [CompletionItem(word, help=meaning) for word, meaning in complete(incomplete)]


class _FlagType(_ValueType):
    """The type of the value of a flag."""

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


class FlagOption(click.Option):
    """One of the flags that `listen_flags` brings."""


class ListenCommand(click.Command):
    """A command whose help has the flags for addresses in a section of their own.

    For ``@click.command(cls=ListenCommand)``; other commands show them among their options.
    """

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, then the flags."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": [], FLAGS_TITLE: []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
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
) -> Callable[[F], F]:
    """Return the option ``-l``, ``--listen``, ``--listen-address``, which may be repeated.

    The function gets a tuple of `ListenSpec`.

    Args:
        default: where to listen if the option is not given.
        name: the parameter of the function.
        envvar: a variable of the environment with addresses, separated by blanks.
        required: whether there has to be an address; None where there is no default.
        help: what stands in the help before default and example.
        example: an address for the help.
    """
    addresses = (default,) if isinstance(default, str) else tuple(default)
    needed = not addresses if required is None else required
    otherwise = "" if needed else "default: none"  # click itself says what is required
    fallback: dict[str, Any] = {"default": addresses} if addresses else {}
    return click.option(
        *NAMES,
        name,
        type=ListenType(),
        metavar=METAVAR,
        multiple=True,
        required=needed,
        envvar=envvar,
        help=f"{help} [{remark(addresses, envvar, otherwise, example)}]",
        **fallback,
    )


def listen_argument(
    default: str | None = None,
    *,
    name: str = "listen",
    many: bool = True,
    envvar: str | None = None,
) -> Callable[[F], F]:
    """Return a positional argument; the function gets a tuple of `ListenSpec`.

    Args:
        default: where to listen if it is not given; None makes it required.
        name: the parameter of the function.
        many: whether several may be given; if not, the function gets one `ListenSpec`.
        envvar: a variable of the environment with addresses, separated by blanks.
    """
    how: dict[str, Any] = {"metavar": METAVAR}
    if many:  # click before 8.2 has no default for these
        how = {"metavar": f"{METAVAR}...", "nargs": -1, "callback": _default_to(default)}
    elif default is not None:  # click takes None for a default
        how["default"] = default
    return click.argument(name, type=ListenType(), envvar=envvar, required=default is None, **how)


def _default_to(default: str | None) -> Callable[..., tuple[ListenSpec, ...]]:
    fallback = () if default is None else (ListenSpec.parse(default),)

    def choose(
        ctx: click.Context, param: click.Parameter, value: tuple[ListenSpec, ...]
    ) -> tuple[ListenSpec, ...]:
        return value or fallback

    return choose


def listen_flags(function: F) -> F:
    """Add the flags of `pierhead.address.flags` and fill them into the function's addresses.

    Every parameter that holds addresses is filled in, whatever it is called. A flag that is for
    none of them is a mistake. Stands anywhere below ``@click.command``.
    """

    @functools.wraps(function)
    def with_flags_filled_in(*args: Any, **kwargs: Any) -> Any:
        given = take_flags(kwargs)
        try:
            filled = fill_arguments(kwargs, given)
        except UsageError as error:
            raise click.UsageError(str(error), click.get_current_context(silent=True)) from None
        return function(*args, **filled)

    for flag in reversed(tuple(FLAGS.values())):
        _option(flag)(with_flags_filled_in)
    return cast(F, with_flags_filled_in)


def _option(flag: AddressFlag) -> Callable[[F], F]:
    if flag.is_switch:
        return click.option(flag.name, flag.parameter, cls=FlagOption, is_flag=True, help=flag.help)
    return click.option(
        flag.name,
        flag.parameter,
        cls=FlagOption,
        type=_FlagType(flag),
        metavar=flag.metavar,
        help=flag.help,
    )
