"""Addresses for programs that read their command line with typer.

    @app.command()
    @listen_option("127.0.0.1:7000")
    def main(listen: list[ListenSpec]) -> None:
        run(lines.serve(shout), *listen)

`listen_argument` is the positional form. Both add tokio-listener's flags, and ``-h``, which shows
one line per option where ``--help`` shows everything. A usage error ends the program with exit code
2. `listen_type` is a ``parser=`` for an option of your own.

typer's interface does not allow a type that completes file names (for a path, write it out), or
parameters that come with an annotation; that is why these are decorators, placed directly above the
function.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple, TypeVar, cast

from pierhead.address import ListenSpec, Value
from pierhead.address.flags import FLAGS, AddressFlag
from pierhead.errors import UsageError
from pierhead.extra import missing_extra
from pierhead.integrations.completion import complete
from pierhead.integrations.parameter import (
    BRIEF_HELP_TEXT,
    FLAGS_TITLE,
    METAVAR,
    NAMES,
    OPTION_TEXT,
    TEXT,
    brief_text,
    defaults,
    fill_flags,
    long_text,
)

try:
    import typer
except ModuleNotFoundError as error:
    raise missing_extra("typer", error) from None

__all__ = ["listen_argument", "listen_option", "listen_type"]

F = TypeVar("F", bound=Callable[..., Any])

#: The parameter for ``-h``.
_BRIEF = "listen_brief_help"


def listen_type(text: str | ListenSpec) -> ListenSpec:
    """Return the address; for ``parser=`` of any option or argument.

    Raises:
        typer.BadParameter: it does not parse; with position, reason and remedy.
    """
    if isinstance(text, ListenSpec):  # a default
        return text
    try:
        return ListenSpec.parse(text)
    except UsageError as error:
        raise typer.BadParameter(str(error)) from None


def listen_option(
    default: str | Sequence[str] = (),
    *,
    name: str = "listen",
    envvar: str | None = None,
    required: bool | None = None,
    help: str = OPTION_TEXT,
    flags: bool = True,
    lenient: bool = False,
) -> Callable[[F], F]:
    """Make a parameter the option ``-l``, ``--listen``, ``--listen-address``.

    The function gets a list of `ListenSpec`, with the flags applied, as to every other parameter
    that holds addresses. Must be placed directly above the function.

    Args:
        default: where to listen if the option is not given.
        name: the parameter of the function.
        envvar: an environment variable with addresses, separated by spaces.
        required: whether an address must be given; None to require one if there is no default.
        help: the help text before the kinds of address.
        flags: whether to add the flags of `pierhead.address.flags`.
        lenient: log a warning for a flag that applies to none of the addresses, instead of raising
            an error.
    """
    addresses = defaults(default, "listen_option")
    needed = not addresses if required is None else required
    option = typer.Option(*NAMES, autocompletion=complete, **_how(envvar, help))
    fallback = inspect.Parameter.empty if needed else [listen_type(one) for one in addresses]
    address = _Address(name, Annotated[list[ListenSpec], option], fallback)
    return lambda function: _with(function, address, flags, lenient)


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
    """Make a parameter a positional argument; the function gets a list of `ListenSpec`.

    Args:
        default: where to listen if it is not given; None makes it required.
        name: the parameter of the function.
        many: whether several may be given; if not, the function gets one `ListenSpec`.
        envvar: an environment variable with addresses, separated by spaces.
        help: the help text before the kinds of address.
        flags: as for `listen_option`.
        lenient: as for `listen_option`.
    """
    if default is not None:
        defaults(default, "listen_argument")
    how = _how(envvar, help)
    fallback: Any = inspect.Parameter.empty
    if default is not None:
        how |= {"show_default": default}
        # typer on click before 8.2 has no default for these
        fallback = None if many else listen_type(default)
    argument = typer.Argument(autocompletion=complete, **how)
    kind: Any = list[ListenSpec] if many else ListenSpec
    otherwise = [listen_type(default)] if many and default is not None else []
    address = _Address(name, Annotated[kind, argument], fallback, otherwise)
    return lambda function: _with(function, address, flags, lenient)


class _Address(NamedTuple):
    """The parameter that is an address, as typer sees it.

    ``otherwise`` is what the function gets if typer finds nothing.
    """

    name: str
    annotation: Any
    default: Any
    otherwise: Sequence[ListenSpec] = ()


def _how(envvar: str | None, text: str) -> dict[str, Any]:
    shown = long_text(_plain(text))
    return {"parser": listen_type, "metavar": METAVAR, "envvar": envvar, "help": shown}


def _plain(text: str) -> str:
    """Keep brackets from being read as markup, whether or not typer parses any."""
    return text.replace("[", "(").replace("]", ")")


def _with(function: F, address: _Address, flags: bool, lenient: bool) -> F:
    """Return the function as typer should see it: with the address, the flags and ``-h``."""

    @functools.wraps(function)
    def with_flags_filled_in(*args: Any, **kwargs: Any) -> Any:
        kwargs.pop(_BRIEF, None)
        if address.otherwise and not kwargs.get(address.name):
            kwargs[address.name] = list(address.otherwise)
        try:
            filled = fill_flags(kwargs, lenient=lenient)
        except UsageError as error:
            raise typer.BadParameter(str(error)) from None
        return function(*args, **filled)

    # typer reads the parameters of the function it is given, and both of these.
    signature = inspect.signature(function, eval_str=True)
    known = signature.parameters  # another address may have added some of these
    brought = [_brief_help(), *(map(_parameter, FLAGS.values()) if flags else ())]
    parameters = [
        *_in_place(function, list(known.values()), address),
        *(one for one in brought if one.name not in known),
    ]
    changed = signature.replace(parameters=parameters)
    with_flags_filled_in.__signature__ = changed  # type: ignore[attr-defined]
    with_flags_filled_in.__annotations__ = {one.name: one.annotation for one in parameters}
    return cast(F, with_flags_filled_in)


def _in_place(
    function: Callable[..., Any], parameters: list[inspect.Parameter], address: _Address
) -> list[inspect.Parameter]:
    """Return the parameters, with the address annotated and passed by name."""
    if address.name not in [one.name for one in parameters]:
        raise UsageError(
            f"{function.__name__} has no parameter {address.name}; add it, or write "
            "name= for another"
        )
    by_name = inspect.Parameter.KEYWORD_ONLY  # a parameter with a default may precede one without
    return [
        one.replace(annotation=address.annotation, default=address.default, kind=by_name)
        if one.name == address.name
        else one.replace(kind=by_name)
        for one in parameters
    ]


def _brief_help() -> inspect.Parameter:
    flags = {flag.parameter: _plain(flag.brief) for flag in FLAGS.values()}

    def show(ctx: typer.Context, asked: bool) -> None:
        if not asked or ctx.resilient_parsing:
            return
        params: Any = ctx.command.get_params(ctx)
        full = [one.help for one in params]
        try:
            for one in params:
                one.help = flags.get(one.name) or brief_text(one.help or "")
            typer.echo(ctx.get_help(), color=ctx.color)
        finally:
            for one, text in zip(params, full, strict=True):
                one.help = text
        raise typer.Exit

    option = typer.Option("-h", is_eager=True, callback=show, help=BRIEF_HELP_TEXT)
    return inspect.Parameter(
        _BRIEF, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Annotated[bool, option]
    )


def _parameter(flag: AddressFlag) -> inspect.Parameter:
    how: dict[str, Any] = {"help": _plain(flag.help), "rich_help_panel": FLAGS_TITLE}
    default: bool | None = None
    kind: Any = str
    if flag.is_switch:
        default, kind = False, bool
    else:
        how |= {"parser": _reader(flag), "metavar": flag.metavar}
    annotation = Annotated[kind, typer.Option(flag.name, show_default=False, **how)]
    return inspect.Parameter(
        flag.parameter, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


def _reader(flag: AddressFlag) -> Callable[[str], Value]:
    def read(text: str) -> Value:
        try:
            return flag.read(text)
        except UsageError as error:
            raise typer.BadParameter(str(error)) from None

    return read
