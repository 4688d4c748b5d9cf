"""Limits as keywords: their names and types match the tables, at run time and for mypy."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, Literal, get_type_hints

import pytest

from pierhead import Server, ServerLimits, run
from pierhead.errors import UsageError
from pierhead.protocols import lines
from pierhead.server.options import CHOICES, LIMITS, ServerOptions
from pierhead.testing.plugin import ServerFixture

#: Everything that takes limits as keywords.
TAKES_LIMITS = [Server.__init__, Server.reconfigure, run, ServerFixture.__call__]


def types() -> dict[str, Any]:
    """Return the type of each limit according to the tables."""
    numbers = {
        one.name: type(one.default) | Literal["off"] if one.may_be_off else type(one.default)
        for one in LIMITS
    }
    return {**numbers, **{name: Literal[words] for name, words in CHOICES.items()}}


def test_keywords_have_the_names_and_types_of_the_tables_in_their_order() -> None:
    hints = get_type_hints(ServerLimits)
    assert list(hints.items()) == list(types().items())
    assert ServerLimits.__required_keys__ == frozenset()


def test_the_values_in_effect_have_the_names_types_and_defaults_of_the_tables() -> None:
    fields = {one.name: one.default for one in dataclasses.fields(ServerOptions)}
    assert {one.name: one.default for one in LIMITS} == {
        name: default for name, default in fields.items() if name not in CHOICES
    }
    assert all(fields[name] in words for name, words in CHOICES.items())
    hints = get_type_hints(ServerOptions)
    assert {one.name: hints[one.name] for one in LIMITS} == {
        one.name: type(one.default) for one in LIMITS
    }


@pytest.mark.parametrize("function", TAKES_LIMITS, ids=lambda one: one.__qualname__)
def test_everything_that_takes_limits_declares_their_types(function: Callable[..., Any]) -> None:
    *_, last = inspect.signature(function).parameters.values()
    assert last.kind is inspect.Parameter.VAR_KEYWORD
    assert last.annotation == "Unpack[ServerLimits]"


def test_everything_that_creates_a_server_takes_its_keywords() -> None:
    for function in (run, ServerFixture.__call__):
        assert function.__kwdefaults__ == Server.__init__.__kwdefaults__


@pytest.mark.parametrize("name", types())
def test_a_misspelt_keyword_names_the_near_one_at_run_time(name: str) -> None:
    near = name.replace("_", "", 1)
    with pytest.raises(UsageError, match=rf"there is no option '{near}'; did you mean {name}\?"):
        Server(lines.serve(lines.echo), "mem:a", **{near: 1})


@pytest.mark.parametrize("name", Server.__init__.__kwdefaults__)
def test_a_misspelt_keyword_that_is_not_a_limit_names_the_near_one_too(name: str) -> None:
    with pytest.raises(UsageError, match=rf"did you mean {name}\?"):
        Server(lines.serve(lines.echo), "mem:a", **{f"{name}s": None})


def test_run_reports_a_misspelt_keyword_and_exits(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(lines.serve(lines.echo), "tcp:127.0.0.1:0", **{"reqest_timeout": 5})
    assert ended.value.code == 2
    assert "did you mean request_timeout?" in capsys.readouterr().err


async def test_reconfiguring_with_a_misspelt_keyword_changes_nothing() -> None:
    async with Server(lines.serve(lines.echo), "mem:a", idle_timeout=7.0) as server:
        (one,) = server._serving()
        with pytest.raises(UsageError, match=r"did you mean idle_timeout\?"):
            server.reconfigure(max_connections=5, **{"idle_timeot": 5.0})
        assert (one.options.idle_timeout, one.options.max_connections) == (7.0, 1024)
        server.reconfigure(max_connections=5)
        assert (one.options.idle_timeout, one.options.max_connections) == (7.0, 5)


@pytest.mark.parametrize("given", [{"when_full": ["evict"]}, {"idle_timeout": [5]}])
def test_a_value_of_the_wrong_type_is_refused_in_words(given: dict[str, Any]) -> None:
    (name,) = given
    with pytest.raises(UsageError, match=rf"{name} is \[.*\], expected "):
        Server(lines.serve(lines.echo), "mem:a", **given)
