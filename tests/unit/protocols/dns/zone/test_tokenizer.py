from __future__ import annotations

import re

import pytest

from pierhead.protocols.dns.zone import tokenizer
from pierhead.protocols.dns.zone.tokenizer import Entries, EntryError, read_entry


def fields(text: bytes) -> list[bytes]:
    return read_entry(text, 0).tokens


def refusal(text: bytes) -> EntryError:
    with pytest.raises(EntryError) as caught:
        read_entry(text, 0)
    return caught.value


@pytest.mark.rfc("1035", "5.1")
def test_blanks_separate_fields_and_a_semicolon_starts_a_comment():
    assert fields(b'www\t IN  A 192.0.2.1 ; the (web "server\n') == [
        b"www",
        b"IN",
        b"A",
        b"192.0.2.1",
    ]


def test_an_entry_ends_with_its_line_and_says_where_the_next_one_starts():
    entry = read_entry(b"a A 1\nb A 2\n", 0)
    assert (entry.tokens, entry.offsets, entry.end) == ([b"a", b"A", b"1"], [0, 2, 4], 6)


@pytest.mark.rfc("1035", "5.1")
def test_parentheses_carry_an_entry_over_the_end_of_a_line():
    assert fields(b"a SOA ( ; first\n 1 ; serial\n 2 ) 3\nb\n") == [b"a", b"SOA", b"1", b"2", b"3"]


def test_parentheses_may_be_nested_as_bind_allows():
    assert fields(b"a TXT ( b ( c\n ) d )\n") == [b"a", b"TXT", b"b", b"c", b"d"]


@pytest.mark.rfc("1035", "5.1")
def test_quotes_protect_blanks_semicolons_and_parentheses():
    assert fields(b'a TXT "b ; ( c" d\n') == [b"a", b"TXT", b'"b ; ( c"', b"d"]


@pytest.mark.rfc("1035", "5.1")
def test_a_backslash_takes_the_meaning_from_the_next_character():
    assert fields(b'a\\;b "c\\"d" \\( e\\ f\n') == [b"a\\;b", b'"c\\"d"', b"\\(", b"e\\ f"]


def test_the_last_line_needs_no_end():
    entry = read_entry(b"a A 1", 0)
    assert (entry.tokens, entry.end) == ([b"a", b"A", b"1"], 5)


def test_carriage_returns_are_blanks():
    assert fields(b"a A 1\r\n") == [b"a", b"A", b"1"]


def test_a_quotation_mark_must_be_closed_on_its_line():
    error = refusal(b'a TXT "b\nc A 1\n')
    assert (error.offset, error.resume) == (6, 9)
    assert "quotation mark" in error.message


def test_after_an_unclosed_parenthesis_reading_resumes_at_what_looks_like_a_record():
    text = b"a TXT ( b\n  c\n; d\ne A 1\n"
    error = refusal(text)
    assert (text[error.offset : error.offset + 1], text[error.resume :]) == (b"(", b"e A 1\n")


def test_a_closing_parenthesis_needs_an_opening_one():
    error = refusal(b"a TXT b )\nc\n")
    assert (error.offset, error.resume) == (8, 10)


def test_a_backslash_cannot_end_a_line():
    assert "backslash" in refusal(b"a TXT b\\\nc\n").message


class CountingPattern:
    """The tokenizer's pattern, and how often it was matched."""

    def __init__(self) -> None:
        self._pattern = tokenizer._TOKEN
        self.count = 0

    def match(self, text: bytes, position: int) -> re.Match[bytes] | None:
        self.count += 1
        return self._pattern.match(text, position)


def read_all(text: bytes) -> list[EntryError]:
    entries, position, errors = Entries(text), 0, []
    while position < len(text):
        try:
            position = entries.read(position).end
        except EntryError as error:
            errors.append(error)
            position = error.resume
    return errors


@pytest.mark.parametrize(
    "line",
    [
        b"a (\n",
        b"a ( b )\na (\n",
        b"a ( (\n",
        b"a (\n )\na (\n",
        b"a (\n b\n",
        b"a (((((((((((((((((((\n",
        b'a (\nb ( "\n',
        b"a (\n) (\n",
    ],
)
def test_unclosed_parentheses_cost_two_readings_of_the_text_at_most(
    line: bytes, monkeypatch: pytest.MonkeyPatch
):
    text = line * 3000
    tokens = len(tokenizer._TOKEN.findall(text))
    counting = CountingPattern()
    monkeypatch.setattr(tokenizer, "_TOKEN", counting)
    assert read_all(text)
    assert counting.count <= 2 * tokens + 1000


def test_every_unclosed_parenthesis_is_found_and_every_closed_one_is_read():
    text = b"a (\nb ( 1\n 2 )\nc (\nd ( 3 ( 4 ) )\ne A 1\n"
    assert [text[error.offset - 2] for error in read_all(text)] == list(b"ac")


def test_parentheses_nest_a_hundred_deep_and_no_deeper():
    assert fields(b"a " + b"(" * 100 + b" b " + b")" * 100 + b"\n") == [b"a", b"b"]
    error = refusal(b"a " + b"(" * 101 + b" b " + b")" * 101 + b"\n")
    assert error.offset == 2
    assert "100" in error.message
