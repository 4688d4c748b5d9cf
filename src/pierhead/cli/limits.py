"""``--limit NAME=VALUE``: set a server's limits on the command line.

Values are written as in addresses: ``5s``, ``64KiB``, ``100``, ``off``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import click
from click.shell_completion import CompletionItem

from pierhead.address.option_types import Choice, Duration, Integer, OptionType, Size, Value
from pierhead.address.text import Span, nearest
from pierhead.errors import AddressError
from pierhead.limits import Limit
from pierhead.server.options import CHOICES, LIMITS, ServerLimits, ServerOptions

__all__ = ["NAMES", "NamedLimit", "limits_given", "takes_limits"]

F = TypeVar("F", bound=Callable[..., Any])

_METAVARS = {Duration: "DURATION", Size: "SIZE", Integer: "N"}

#: Where a command's context keeps the values of ``--limit``.
_GIVEN = "pierhead.limits"

if TYPE_CHECKING:
    _LimitParam: TypeAlias = click.ParamType[tuple[str, Value]]
else:  # click became generic in 8.4
    _LimitParam = click.ParamType


@dataclass(frozen=True, slots=True)
class NamedLimit:
    """One limit as it is named on the command line.

    >>> NAMES["request-timeout"].read(Span.of("500ms"))
    0.5
    """

    name: str
    type: OptionType
    default: Value
    meaning: str
    may_be_off: bool = False

    @property
    def metavar(self) -> str:
        """The placeholder for its value, or its choices."""
        words = "|".join(self.type.words) if isinstance(self.type, Choice) else ""
        off = "|off" if self.may_be_off else ""
        return f"{words or _METAVARS[type(self.type)]}{off}"

    @property
    def expected(self) -> str:
        """What is expected, with unit and range, to follow "expected" in a message."""
        unit = f" {self.type.unit}" if isinstance(self.type, Integer) else ""
        off = ", or off" if self.may_be_off else ""
        return f"{self.type.expected}{unit}{off}"

    @property
    def default_text(self) -> str:
        """The default value, as it is written on the command line."""
        return self.type.show(self.default)

    @property
    def example(self) -> str:
        """The limit with its default value."""
        return f"{self.name}={self.default_text}"

    def read(self, span: Span) -> Value:
        """Return the value that the text means.

        Raises:
            AddressError: the text is not a value of this limit; the error points into the text.
        """
        if not span:
            raise span.error(f"the value is empty: expected {self.expected}", f"as {self.example}")
        if self.may_be_off and str(span) == "off":
            return "off"
        try:
            return self.type.read(span)
        except AddressError as error:
            is_said = self.type.expected in error.reason and not self.may_be_off
            remedy = error.remedy or ("" if is_said else f"expected {self.expected}")
            raise AddressError(error.text, error.position, error.reason, remedy) from None


def _named(limit: Limit) -> NamedLimit:
    return NamedLimit(
        limit.name.replace("_", "-"), _type(limit), limit.default, limit.meaning, limit.may_be_off
    )


def _type(limit: Limit) -> OptionType:
    if limit.unit == "s":
        return Duration(limit.minimum, limit.maximum)
    if limit.unit == "bytes":
        return Size(int(limit.minimum), int(limit.maximum))
    return Integer(int(limit.minimum), int(limit.maximum), limit.unit)


def _chosen(name: str, words: tuple[str, ...]) -> NamedLimit:
    meaning = "What happens to a new client when an address is at max-connections."
    return NamedLimit(
        name.replace("_", "-"), Choice(words), getattr(ServerOptions(), name), meaning
    )


#: Every limit by its name on the command line.
NAMES: Mapping[str, NamedLimit] = {
    one.name: one for one in (*map(_named, LIMITS), *(_chosen(*item) for item in CHOICES.items()))
}


class _LimitType(_LimitParam):
    """The type of ``NAME=VALUE``; the function gets the keyword and its value."""

    name = "limit"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Value]:
        if isinstance(value, tuple):
            return value
        try:
            return _read(value)
        except AddressError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [
            CompletionItem(f"{one.name}=", help=one.meaning)
            for one in NAMES.values()
            if one.name.startswith(incomplete)
        ]


def _read(text: str) -> tuple[str, Value]:
    name, value = Span(text, 0, len(text)).partition("=")
    word = str(name).replace("_", "-")
    limit = NAMES.get(word)
    if limit is None:
        near = nearest(word, NAMES)
        remedy = f"did you mean {near}?" if near else "--limits shows every limit"
        raise name.error(f"there is no limit {str(name)!r}", remedy)
    if value is None:
        raise AddressError(
            text,
            len(text),
            f"{word} has no value: expected {limit.expected}",
            f"as {limit.example}",
        )
    return word.replace("-", "_"), limit.read(value)


def _note(
    ctx: click.Context, param: click.Parameter, given: Sequence[tuple[str, Value]]
) -> Sequence[tuple[str, Value]]:
    names = [name for name, _ in given]
    for name in names:
        if names.count(name) > 1:
            text = f"{name.replace('_', '-')} is given {names.count(name)} times; give it once"
            raise click.BadParameter(text, ctx, param)
    ctx.meta[_GIVEN] = dict(given)
    return given


def _show(ctx: click.Context, param: click.Parameter, asked: bool) -> None:
    if not asked or ctx.resilient_parsing:
        return
    formatter = ctx.make_formatter()
    rows = [
        (
            f"{one.name}={one.metavar}",
            f"{one.meaning} [{one.expected}; default: {one.default_text}]",
        )
        for one in NAMES.values()
    ]
    formatter.write_dl(rows)
    click.echo(formatter.getvalue(), nl=False)
    ctx.exit()


def takes_limits(function: F) -> F:
    """Add ``--limit`` and ``--limits`` to a serving command."""
    option = click.option(
        "--limit",
        type=_LimitType(),
        metavar="NAME=VALUE",
        multiple=True,
        expose_value=False,
        callback=_note,
        help="Change a limit of the server; may be repeated. --limits lists them all with "
        "meaning, range and default. [a duration as 500ms, 5s, 2m, 1h or 7d, a size as 64KiB, a "
        "number, a word or off; "
        "default: no changes; example: request-timeout=5s]",
    )
    shown = click.option(
        "--limits",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_show,
        help="List every limit that --limit can change, and exit.",
    )
    return option(shown(function))


def limits_given() -> ServerLimits:
    """Return the limits of the running command line, as keywords for `Server`."""
    return cast(ServerLimits, click.get_current_context().meta[_GIVEN])
