"""What a shell may offer for half an address."""

from __future__ import annotations

import sys

import pytest

from pierhead.integrations.completion import complete, is_path


def words(incomplete: str) -> list[str]:
    return [word for word, _ in complete(incomplete)]


def test_schemes_wrappers_and_words_are_offered_with_their_meaning() -> None:
    offered = dict(complete(""))
    assert offered["tcp:"] == "TCP connections"
    assert {"unix:", "sd-listen", "inetd", "tls+", "proxy+"} <= offered.keys()
    assert all(offered.values())


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other schemes")
def test_what_this_system_lacks_is_not_offered() -> None:
    assert "vsock:" in words("")
    assert "launchd:" not in words("")


def test_behind_tls_only_streams_are_offered() -> None:
    assert words("tls+u") == ["tls+unix:"]
    assert words("tls+t") == ["tls+tcp:"]
    assert "proxy+tls+tcp:" in words("proxy+tls+")


def test_keys_are_offered_that_are_for_this_address() -> None:
    assert words("./a?m") == [
        "./a?maxconn=",
        "./a?maxconn-per-network=",
        "./a?maxrate=",
        "./a?mode=",
    ]
    assert words("@a?mo") == []
    assert "tcp::80?reuseport" in words("tcp::80?re")


def test_a_key_is_not_offered_twice_unless_it_repeats() -> None:
    assert words("tcp::80?backlog=5&back") == []
    assert "tls+tcp::80?cert=a&cert=" in words("tls+tcp::80?cert=a&c")
    assert words("tcp::80?keepalive&keep") == []


def test_nothing_is_offered_where_the_rest_does_not_parse() -> None:
    assert words("nonsense?m") == []


def test_paths_are_for_the_shell() -> None:
    assert is_path("./a")
    assert is_path("/run/")
    assert not is_path("./a?m")
    assert not is_path("tcp:")
