"""Views: what each layer reads of an address, made from the registry."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, get_type_hints

import pytest

from pierhead.address import OPTIONS, KeepaliveTimes, ListenOptions
from pierhead.address.option import AppliedBy
from pierhead.address.option_types import Choice, Flag, Integer, Ratio
from pierhead.address.views import (
    VIEWS,
    AcceptOptions,
    AdoptOptions,
    BindOptions,
    PathOptions,
    ProxyOptions,
    SocketOptions,
    TlsOptions,
    for_each,
    limits_of,
)
from pierhead.errors import UsageError

NAMES = {
    "Account": int | str,
    "Accounts": tuple[str, ...],
    "Duration": float,
    "FilePath": str,
    "Keepalive": KeepaliveTimes,
    "Networks": tuple[str, ...],
    "Permissions": int,
    "Protocols": tuple[str, ...],
    "Size": int,
    "Text": str,
}


def python_type(row: Any) -> Any:
    """Return what a program gets as the value of an option."""
    match row.type:
        case Choice(words):
            return Literal[words]
        case Flag():
            return bool
        case Ratio():
            return float
        case Integer():
            return int
    of_one = NAMES[type(row.type).__name__]
    return tuple[of_one, ...] if row.repeats else of_one


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.__name__)
def test_a_view_has_each_option_of_its_layer_in_its_type(view) -> None:
    expected = {}
    for row in OPTIONS:
        if view.layer in row.applied_by and not row.stands_for:
            is_open = row.default is None or view is SocketOptions
            kind = python_type(row)
            expected[row.field] = kind | None if is_open else kind
    hints = get_type_hints(view)
    assert {field.name: hints[field.name] for field in dataclasses.fields(view)} == expected


def test_every_layer_that_this_version_has_has_one_view() -> None:
    layers = [view.layer for view in VIEWS]
    assert sorted(layers, key=str) == sorted(set(AppliedBy) - {AppliedBy.QUIC}, key=str)
    assert {layer for row in OPTIONS for layer in row.applied_by} == set(AppliedBy)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.__name__)
def test_an_option_not_given_has_the_default_of_the_registry(view) -> None:
    options = view.of(ListenOptions())
    for row in OPTIONS:
        if view.layer in row.applied_by and not row.stands_for:
            expected = None if view is SocketOptions else row.default
            assert getattr(options, row.field) == expected


def test_an_option_given_reaches_its_own_layer() -> None:
    options = ListenOptions.parse("backlog=7&v6only=off&unlink=never&nodelay&drain=1s")
    assert BindOptions.of(options).backlog == 7
    assert BindOptions.of(options).v6only is False
    assert PathOptions.of(options).unlink == "never"
    assert SocketOptions.of(options) == SocketOptions(nodelay=True)


def test_a_key_with_two_meanings_reaches_the_layer_that_its_value_is_for() -> None:
    file, waiting = ListenOptions.parse("mode=0660"), ListenOptions.parse("mode=wait")
    assert PathOptions.of(file).mode == 0o660
    assert AdoptOptions.of(file).mode == "nowait"
    assert PathOptions.of(waiting).mode is None
    assert AdoptOptions.of(waiting).mode == "wait"


def test_another_spelling_of_an_option_reaches_the_same_field() -> None:
    options = ListenOptions.parse("keepalive-ms=60000:3:5000")
    assert SocketOptions.of(options).keepalive == KeepaliveTimes(60.0, 5.0, 3)


def test_an_option_of_two_layers_reaches_both() -> None:
    options = ListenOptions.parse("handshake-timeout=2s")
    assert TlsOptions.of(options).handshake_timeout == 2.0
    assert limits_of(options) == {"handshake_timeout": 2.0}


def test_limits_are_those_of_the_server_by_their_own_names() -> None:
    options = ListenOptions.parse("drain=7s&maxconn=3&maxconn-per-network=2&when-full=wait")
    assert limits_of(options) == {
        "drain_timeout": 7.0,
        "max_connections_per_network": 2,
        "when_full": "wait",
    }
    assert AcceptOptions.of(options).maxconn == 3


def test_a_certificate_without_a_key_has_it_in_the_same_file() -> None:
    pairs = TlsOptions.of(ListenOptions.parse("cert=a&cert=b")).certificates
    assert pairs == (("a", "a"), ("b", "b"))
    pairs = TlsOptions.of(ListenOptions.parse("cert=a&cert=b&key=c&key=d")).certificates
    assert pairs == (("a", "c"), ("b", "d"))
    assert TlsOptions.of(ListenOptions()).certificates == ()


def test_a_dot_in_a_key_is_an_underscore_in_a_field() -> None:
    options = ListenOptions.parse("proxy.from=10.0.0.0/8&proxy.timeout=3s")
    view = ProxyOptions.of(options)
    assert (view.proxy_from, view.proxy_timeout) == (("10.0.0.0/8",), 3.0)


def test_missing_options_of_a_view_are_filled_in_from_another() -> None:
    given = SocketOptions(nodelay=False, mark=7)
    filled = given.or_else(SocketOptions(nodelay=True, reuseaddr=True))
    assert filled == SocketOptions(nodelay=False, mark=7, reuseaddr=True)
    assert dict(filled.set_ones()) == {"nodelay": False, "mark": 7, "reuseaddr": True}


def test_a_layer_says_what_it_does_for_each_of_its_options_and_no_other() -> None:
    done = for_each(PathOptions, group=1, mode=2, unlink=3, user=4)
    assert done == {"group": 1, "mode": 2, "unlink": 3, "user": 4}
    with pytest.raises(UsageError, match="differ in mode, mood"):
        for_each(PathOptions, group=1, mood=2, unlink=3, user=4)
