from __future__ import annotations

import pytest

from pierhead.protocols.dns.zone.fields import FieldError
from pierhead.protocols.dns.zone.generate import generate
from pierhead.protocols.dns.zone.tokenizer import read_entry


def lines(text: str) -> list[str]:
    return [line.decode() for line in generate(read_entry(text.encode(), 0).tokens)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$GENERATE 1-2 h$ A 192.0.2.$", ["h1 A 192.0.2.1", "h2 A 192.0.2.2"]),
        ("$GENERATE 0-4/2 h$ A 1.2.3.$", ["h0 A 1.2.3.0", "h2 A 1.2.3.2", "h4 A 1.2.3.4"]),
        ("$GENERATE 1-1 h$ 1h IN A 1.2.3.4", ["h1 1h IN A 1.2.3.4"]),
        ("$GENERATE 9-9 h${1} PTR p${-8}", ["h10 PTR p1"]),
        ("$GENERATE 9-9 h${0,3} PTR p${0,3,d}", ["h009 PTR p009"]),
        ("$GENERATE 30-30 ${0,4,x}.${0,4,X}.${0,0,o} PTR p", ["001e.001E.36 PTR p"]),
        ("$GENERATE 31-31 ${0,3,n} PTR p", ["f.1 PTR p"]),
        ("$GENERATE 31-31 ${0,7,N} PTR p", ["F.1.0.0 PTR p"]),
        ("$GENERATE 1-1 ${0,4,n}ip6 PTR p", ["1.0.ip6 PTR p"]),
        ("$GENERATE 1-1 \\$$ TXT $$x", ["\\$1 TXT \\$x"]),
        ("$GENERATE 1-1 a\\.$ PTR b", ["a\\.1 PTR b"]),
        ('$GENERATE 1-1 h$ MX "1$ mail$"', ["h1 MX 11 mail1"]),
        ("$GENERATE 1-1 h$ MX 1$ mail$", ["h1 MX 11 mail1"]),
        ('$GENERATE 1-1 h$ TXT "a $" "b"', ['h1 TXT "a 1" "b"']),
    ],
)
def test_the_counter_is_put_into_owner_and_data(text: str, expected: list[str]):
    assert lines(text) == expected


@pytest.mark.parametrize(
    ("text", "blamed", "reason"),
    [
        ("$GENERATE", 1, "without a range"),
        ("$GENERATE one h$ A 1.2.3.4", 1, "bad range"),
        ("$GENERATE 2-1 h$ A 1.2.3.4", 1, "bad range"),
        ("$GENERATE 1-2/0 h$ A 1.2.3.4", 1, "bad range"),
        ("$GENERATE 1-2147483648 h$ A 1.2.3.4", 1, "bad range"),
        ("$GENERATE 1-2 h$ A", 4, "too early"),
        ("$GENERATE 1-2 h${x} A 1.2.3.4", 2, "bad modifiers"),
        ("$GENERATE 1-2 h A 1.2.3.${0,1,q}", 4, "bad modifiers"),
    ],
)
def test_a_wrong_field_of_the_directive_is_named(text: str, blamed: int, reason: str):
    with pytest.raises(FieldError) as caught:
        lines(text)
    assert (caught.value.index, reason in caught.value.message) == (blamed, True)
