"""EDNS options in words."""

from __future__ import annotations

import pytest

from pierhead.protocols.dns.option_text import extended_error_text, option_words, printable


@pytest.mark.parametrize(
    ("code", "data", "words"),
    [
        pytest.param(15, b"\0\x12", "18 (Prohibited)", marks=pytest.mark.rfc("8914", "4.19")),
        (15, b"\0\x00why\0", "0 (Other Error): why"),
        (15, b"\xff\xff", "65535 (EDE65535)"),
        (15, b"\0", "00"),
        pytest.param(3, b"ns1.ham", '"ns1.ham"', marks=pytest.mark.rfc("5001", "2.3")),
        (3, b"\xff\n", '"\\255\\010"'),
        (3, b"", ""),
        (8, b"\0\1\x18\0\xc0\0\2", "192.0.2.0/24 scope 0"),
        (8, b"\0\2\x20\x30\x20\1\x0d\xb8", "2001:db8::/32 scope 48"),
        (8, b"\0\3\x18\0", "00031800"),
        (8, b"\0\1\x18\0\1\2\3\4\5", "000118000102030405"),
        (8, b"\0", "00"),
        (10, bytes(8), "client 0000000000000000"),
        (10, bytes(16), "client 0000000000000000 server 0000000000000000"),
        (10, bytes(3), "000000"),
        pytest.param(11, b"\0\x64", "10 s", marks=pytest.mark.rfc("7828", "3.1")),
        (11, b"", ""),
        (9, b"\0\0\0\x3c", "60 s"),
        (9, b"", ""),
        (12, bytes(5), "5 octets"),
        (65001, b"\1\2", "0102"),
    ],
)
def test_an_option_is_said_in_words_or_shown_as_it_is(code: int, data: bytes, words: str):
    assert option_words(code, data) == words


def test_only_printable_characters_are_left():
    assert printable("añ\u202e\x1b") == "añ\\226\\128\\174\\027"


def test_errors_without_a_name_keep_their_number():
    assert (extended_error_text(30), extended_error_text(31)) == ("Invalid Query Type", "EDE31")
