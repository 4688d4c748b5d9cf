"""Examples and failures of RFC 9460 appendix D, and what the RFC says beyond them."""

from __future__ import annotations

import pytest

from pierhead.protocols.dns.wire import name
from pierhead.protocols.dns.zone.fields import FieldError, Fields
from pierhead.protocols.dns.zone.svcb_text import read_service_binding
from pierhead.protocols.dns.zone.tokenizer import read_entry

FOO = b"\x03foo\x07example\x03com\x00"


def read(text: str) -> bytes:
    tokens = read_entry(text.encode(), 0).tokens
    return read_service_binding(Fields(tokens, origin=name.from_text("example.com.")))


@pytest.mark.rfc("9460", "D")
@pytest.mark.parametrize(
    ("text", "rdata"),
    [
        ("0 foo.example.com.", b"\0\0" + FOO),
        ("1 .", b"\0\1\0"),
        ("16 foo.example.com. port=53", b"\0\x10" + FOO + b"\0\3\0\2\0\x35"),
        ("1 foo.example.com. key667=hello", b"\0\1" + FOO + b"\x02\x9b\0\5hello"),
        (
            r'1 foo.example.com. key667="hello\210qoo"',
            b"\0\1" + FOO + b"\x02\x9b\0\x09hello\xd2qoo",
        ),
        (
            '1 foo.example.com. ipv6hint="2001:db8::1,2001:db8::53:1"',
            b"\0\1" + FOO + b"\0\6\0\x20"
            b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\x53\0\1",
        ),
        (
            "16 foo.example.com. alpn=h2,h3-19 mandatory=ipv4hint,alpn ipv4hint=192.0.2.1",
            b"\0\x10" + FOO + b"\0\0\0\4\0\1\0\4\0\1\0\x09\x02h2\x05h3-19\0\4\0\4\xc0\0\2\1",
        ),
        (
            r'16 foo.example.com. alpn="f\\\\oo\\,bar,h2"',
            b"\0\x10" + FOO + b"\0\1\0\x0c\x08f\\oo,bar\x02h2",
        ),
        (
            r"16 foo.example.com. alpn=f\\\092oo\092,bar,h2",
            b"\0\x10" + FOO + b"\0\1\0\x0c\x08f\\oo,bar\x02h2",
        ),
    ],
)
def test_the_examples_of_the_rfc(text: str, rdata: bytes):
    assert read(text) == rdata


@pytest.mark.rfc("9460", "2.2")
def test_parameters_are_sorted_by_their_number():
    assert read("1 . port=1 alpn=h2 no-default-alpn").hex() == "000100" + (
        "00010003026832" + "00020000" + "000300020001"
    )


@pytest.mark.rfc("9460", "14.3.2")
def test_the_other_registered_parameters():
    assert read("1 . ech=AQID")[3:] == b"\0\5\0\3\1\2\3"
    assert read("1 . dohpath=/dns-query{?dns}")[3:] == b"\0\7\0\x10/dns-query{?dns}"
    assert read("1 . ohttp")[3:] == b"\0\x08\0\0"
    assert read("1 . tls-supported-groups=29,23")[3:] == b"\0\x09\0\4\0\x1d\0\x17"
    assert read("1 . key65535")[3:] == b"\xff\xff\0\0"


@pytest.mark.rfc("9460", "D.3")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1 foo.example.com. key123=abc key123=def", "given twice"),
        ("1 foo.example.com. mandatory", "not a parameter"),
        ("1 foo.example.com. alpn", "1 to 255 octets"),
        ("1 foo.example.com. port", "expected a port"),
        ("1 foo.example.com. ipv4hint", "expected addresses"),
        ("1 foo.example.com. ipv6hint", "expected addresses"),
        ("1 foo.example.com. no-default-alpn=abc", "takes no value"),
        ("1 foo.example.com. mandatory=key123", "mandatory but not given"),
        ("1 foo.example.com. mandatory=mandatory", "cannot name itself"),
        ("1 foo.example.com. mandatory=key123,key123 key123=abc", "named twice"),
        ("1 foo.example.com. mandatory=alpn", "alpn is mandatory but not given"),
        ("1 foo.example.com. no-default-alpn", "without alpn"),
        ("1 foo.example.com. port=65536", "expected a port"),
        ("1 foo.example.com. ech=", "found nothing"),
        ("1 foo.example.com. ech=!", "expected Base 64"),
        ("1 foo.example.com. dohpath=/q", "expected a path"),
        ("1 foo.example.com. tls-supported-groups=29,29", "named twice"),
        ("1 foo.example.com. tls-supported-groups=x", "group numbers"),
        ("1 foo.example.com. ALPN=h2", "not a parameter"),
        ("1 foo.example.com. key65536=a", "not a parameter"),
        ("1 foo.example.com. key01=a", "not a parameter"),
        (r"1 foo.example.com. alpn=a\\", "backslash"),
        (r"1 foo.example.com. alpn=a\999", "bad escape"),
        ("1", "ends too early"),
    ],
)
def test_parameters_that_the_rfc_calls_malformed_are_refused(text: str, reason: str):
    with pytest.raises(FieldError) as caught:
        read(text)
    assert reason in caught.value.message
