"""The page of addresses has every form, option and flag there is, and what it says is so."""

from __future__ import annotations

import os
import re
import sys

import pytest
from tests.docs.generators import load_generator

from pierhead.address import OPTIONS, SCHEMES, ListenSpec, Option
from pierhead.errors import ListenError
from pierhead.listener.open import open_listeners


@pytest.fixture
def generator():
    return load_generator("generate_addresses")


def test_the_page_is_up_to_date(generator, capsys) -> None:
    assert generator.main(["--check"]) == 0, capsys.readouterr().err


def test_a_page_that_says_something_else_is_refused(generator, tmp_path, capsys) -> None:
    generator.PAGE = tmp_path / "addresses.md"
    generator.PAGE.write_text("Listen to what you like.\n")

    assert generator.main(["--check"]) == 1
    assert "run: make pages" in capsys.readouterr().err


def test_every_scheme_and_every_option_has_a_heading(generator) -> None:
    headings = re.findall(r"^### `([\w.-]+):?`", generator.page(), re.MULTILINE)
    options = [option.key for option in OPTIONS]

    assert [one for one in headings if one in {*SCHEMES, *options}] == [*SCHEMES, *options]


def test_a_feature_needs_a_test_that_exists(generator) -> None:
    feature = generator.Feature("speed", "", "", "tests/docs/test_addresses.py::test_it_is_fast")

    with pytest.raises(SystemExit, match=r"there is no test .*test_it_is_fast"):
        generator._feature(feature)


def test_what_is_written_has_to_parse(generator) -> None:
    feature = generator.Feature("speed", "fast:80x", "", "tests/docs/test_addresses.py::x")

    with pytest.raises(SystemExit, match="the page would show an address that is none"):
        generator._feature(feature)


def test_a_flag_of_tokio_listener_needs_a_row(generator) -> None:
    rows = generator.FEATURES["Options"]
    generator.FEATURES = {"Options": [row for row in rows if row.name != "`--tcp-keepalive`"]}

    with pytest.raises(SystemExit, match="no row for --tcp-keepalive"):
        generator.page()


TARGETS = {
    **dict.fromkeys(("tcp", "udp"), "127.0.0.1:0"),
    **dict.fromkeys(("unix", "unixgram", "unixseq"), "./s"),
    **dict.fromkeys(("mem", "memgram"), "a"),
    "quic": "127.0.0.1:0?cert=a.pem&",
}
#: Options of wrappers and of passed sockets have tests of their own, and v6only wants IPv6.
OPENED = [
    option
    for option in OPTIONS
    if option.schemes & set(TARGETS) and not option.wrappers and option.key != "v6only"
]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere fewer options exist")
@pytest.mark.parametrize("option", OPENED, ids=lambda option: option.key)
async def test_an_option_is_applied_unless_the_page_says_that_it_is_not(
    generator, option: Option, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scheme = next(scheme for scheme in TARGETS if scheme in option.schemes)
    target = f"@{os.getpid()}" if option.abstract else TARGETS[scheme]
    text = f"{scheme}:{target}{'' if '?' in target else '?'}{option.example}"
    is_refused = False
    try:
        (await open_listeners(ListenSpec.parse(text))).close()
    except ListenError as error:  # also for its value: no such user, no privilege
        is_refused = "this version does not" in error.reason

    assert is_refused == (option.key in generator.NOT_APPLIED)
