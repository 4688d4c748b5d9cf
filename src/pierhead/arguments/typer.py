"""Addresses for programs that read their command line with typer.

    @app.command()
    @listen_flags
    def main(listen: Listen) -> None:
        run(lines.serve(shout), *listen)

`ListenArgument` is the positional form of `Listen`, `OneListenArgument` takes exactly one. For a
variable of the environment or a text of your own: ``Annotated[list[ListenSpec],
listen_option(envvar="LISTEN")]``. A default is a value, as everywhere in typer: ``listen: Listen =
[ListenSpec.parse("127.0.0.1:7000")]``. A mistake ends the program with exit code 2.

What typer's interface does not allow: a type that completes files (for a path, write it out), and
parameters that come with an annotation; that is why `listen_flags` is a decorator, and stands
right above the function.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeAlias, TypeVar, cast

from pierhead.address import ListenSpec, Value
from pierhead.address.flags import FLAGS, AddressFlag
from pierhead.arguments.completion import complete
from pierhead.arguments.parameter import (
    FLAGS_TITLE,
    METAVAR,
    NAMES,
    OPTION_TEXT,
    TEXT,
    fill_arguments,
    take_flags,
)
from pierhead.errors import UsageError
from pierhead.extra import missing_extra

try:
    import typer
except ModuleNotFoundError as error:
    raise missing_extra("typer", error) from None

__all__ = [
    "Listen",
    "ListenArgument",
    "OneListenArgument",
    "listen_argument",
    "listen_flags",
    "listen_option",
]

F = TypeVar("F", bound=Callable[..., Any])


def _spec(text: str | ListenSpec) -> ListenSpec:
    if isinstance(text, ListenSpec):  # a default
        return text
    try:
        return ListenSpec.parse(text)
    except UsageError as error:
        raise typer.BadParameter(str(error)) from None


def _plain(text: str) -> str:
    """Keep brackets from being taken for markup, whether or not typer reads any."""
    return text.replace("[", "(").replace("]", ")")


def listen_option(*, envvar: str | None = None, help: str = OPTION_TEXT) -> Any:
    """Return what makes a parameter the option ``-l``, ``--listen``, ``--listen-address``.

    Args:
        envvar: a variable of the environment with addresses, separated by blanks.
        help: what stands in the help.
    """
    return typer.Option(
        *NAMES,
        parser=_spec,
        metavar=METAVAR,
        envvar=envvar,
        help=_plain(help),
        autocompletion=complete,
    )


def listen_argument(*, envvar: str | None = None, help: str = TEXT) -> Any:
    """Return what makes a parameter a positional argument.

    Args:
        envvar: a variable of the environment with addresses, separated by blanks.
        help: what stands in the help.
    """
    return typer.Argument(
        parser=_spec, metavar=METAVAR, envvar=envvar, help=_plain(help), autocompletion=complete
    )


#: The option; the function gets a list.
Listen: TypeAlias = Annotated[list[ListenSpec], listen_option()]
#: The positional argument; the function gets a list.
ListenArgument: TypeAlias = Annotated[list[ListenSpec], listen_argument()]
#: A positional argument that is one address.
OneListenArgument: TypeAlias = Annotated[ListenSpec, listen_argument()]


def listen_flags(function: F) -> F:
    """Add the flags of `pierhead.address.flags` and fill them into the function's addresses.

    Every parameter that holds addresses is filled in, whatever it is called. A flag that is for
    none of them is a mistake.
    """

    @functools.wraps(function)
    def with_flags_filled_in(*args: Any, **kwargs: Any) -> Any:
        given = take_flags(kwargs)
        try:
            filled = fill_arguments(kwargs, given)
        except UsageError as error:
            raise typer.BadParameter(str(error)) from None
        return function(*args, **filled)

    # typer reads the parameters of the function it is given, and both of these.
    signature = inspect.signature(function, eval_str=True)
    parameters = [*signature.parameters.values(), *map(_parameter, FLAGS.values())]
    changed = signature.replace(parameters=parameters)
    with_flags_filled_in.__signature__ = changed  # type: ignore[attr-defined]
    with_flags_filled_in.__annotations__ = {one.name: one.annotation for one in parameters}
    return cast(F, with_flags_filled_in)


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
