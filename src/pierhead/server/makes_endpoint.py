"""What is given to a function that makes an endpoint and does not belong there: refused by name.

Python's own `TypeError` would count arguments. The usual mistake is an address: it belongs to `run`
or `Server`, beside the endpoint.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import ParamSpec

from pierhead.address import ListenSpec
from pierhead.errors import UsageError
from pierhead.server.endpoint import Endpoint

__all__ = ["makes_endpoint"]

P = ParamSpec("P")

#: Keywords of other libraries' functions that say where to listen.
_WHERE = ("address", "addresses", "bind", "host", "listen", "path", "port", "sock")


def makes_endpoint(function: Callable[P, Endpoint]) -> Callable[P, Endpoint]:
    """Have the function refuse arguments that it does not take, with the remedy.

    Raises:
        UsageError: of the function returned: an argument too many, unknown, or missing.
    """
    takes = _Takes(function)

    @functools.wraps(function)
    def checked(*args: P.args, **options: P.kwargs) -> Endpoint:
        takes.check(args, options)
        return function(*args, **options)

    return checked


class _Takes:
    """What a function takes."""

    def __init__(self, function: Callable[..., object]) -> None:
        parameters = inspect.signature(function).parameters.values()
        given = [one for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
        self._positional = [one.name for one in given]
        self._needed = [one.name for one in given if one.default is one.empty]
        self._keywords = [one.name for one in parameters if one.kind is one.KEYWORD_ONLY]
        self._takes_more = any(one.kind is one.VAR_POSITIONAL for one in parameters)
        self._takes_all = any(one.kind is one.VAR_KEYWORD for one in parameters)
        self._call = f"{_name(function)}({', '.join(self._needed)})"

    def check(self, args: Sequence[object], options: Mapping[str, object]) -> None:
        """Refuse arguments that are too many, unknown or missing."""
        if len(args) > len(self._positional) and not self._takes_more:
            raise self._too_many(args[len(self._positional)])
        for keyword in options:
            if not (self._takes_all or keyword in self._positional or keyword in self._keywords):
                raise self._unknown(keyword)
        for name in self._needed[len(args) :]:
            if name not in options:
                raise UsageError(f"{self._call} lacks its {name}")

    def _too_many(self, given: object) -> UsageError:
        if isinstance(given, str | ListenSpec):
            address = repr(str(given))
            return UsageError(
                f"{self._call} takes no address, got {address}{self._served(address)}"
            )
        return UsageError(
            f"{self._call} takes nothing more, got {given!r}; give options by name: {self._options}"
        )

    def _unknown(self, keyword: str) -> UsageError:
        remedy = f"; expected one of {self._options}"
        if keyword in _WHERE:
            remedy = self._served("'127.0.0.1:0'")
        return UsageError(f"{self._call} has no option {keyword!r}{remedy}")

    def _served(self, address: str) -> str:
        return f"; give it to run or Server: run({self._call}, {address})"

    @property
    def _options(self) -> str:
        return ", ".join(f"{one}=" for one in self._keywords)


def _name(function: Callable[..., object]) -> str:
    """Return the name by which a program calls it, with its module's if that is public."""
    room, name = function.__module__.split(".")[1:3]
    match room:
        case "protocols":
            return f"{name}.{function.__name__}"
        case "hosting":
            return f"hosting.{name}.{function.__name__}"
    return function.__name__
