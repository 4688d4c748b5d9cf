from __future__ import annotations

import dns.rdata
import pytest

from pierhead.errors import UsageError
from pierhead.protocols.dns import records as r
from pierhead.protocols.dns.wire import iana


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (r.A("192.0.2.1"), "192.0.2.1"),
        (r.AAAA("2001:db8::1"), "2001:db8::1"),
        (r.TXT("hello", b"\xff"), '"hello" "\\255"'),
        (r.TXT(""), '""'),
        (r.TXT("a" * 256), f'"{"a" * 255}" "a"'),
        (r.CNAME("www.example"), "www.example."),
        (r.NS("ns.example."), "ns.example."),
        (r.PTR(r"a\.b.example."), r"a\.b.example."),
        (r.MX(10, "mail.example."), "10 mail.example."),
        (r.SRV(1, 2, 443, "."), "1 2 443 ."),
        (r.CAA(0, "issue", "ca.example"), '0 issue "ca.example"'),
        (r.SOA("ns.", "host.", 7, refresh=1, retry=2, expire=3, minimum=4), "ns. host. 7 1 2 3 4"),
    ],
)
def test_records_read_as_dnspython_writes_them(record, text):
    rdata = dns.rdata.from_wire("IN", record.rtype, record.rdata, 0, len(record.rdata))
    assert rdata.to_text() == text
    assert type(record).__name__ == iana.type_text(record.rtype)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: r.A("2001:db8::1"), "not an IPv4 address"),
        (lambda: r.AAAA("192.0.2.1"), "not an IPv6 address"),
        (lambda: r.TXT(), "at least one string"),
        (lambda: r.TXT("x" * 65535), "at most 65535"),
        (lambda: r.NS("a..b"), "is not a domain name"),
        (lambda: r.MX(65536, "a."), "preference 65536"),
        (lambda: r.SRV(0, 0, -1, "a."), "port -1"),
        (lambda: r.CAA(256, "issue", ""), "flags 256"),
        (lambda: r.CAA(0, "is-sue", ""), "tag 'is-sue'"),
        (lambda: r.SOA("a.", "b.", 2**32), "serial"),
        (lambda: r.SOA("a.", "b.", 1, retry=2**31), "SOA times"),
    ],
)
def test_invalid_record_data_is_refused(make, reason):
    with pytest.raises(UsageError, match=reason):
        make()


def test_records_are_values():
    assert r.A("192.0.2.1") == r.A("192.0.2.1")
    assert r.A("192.0.2.1") != r.A("192.0.2.2")
    assert len({r.A("192.0.2.1"), r.A("192.0.2.1")}) == 1


@pytest.mark.parametrize(
    ("rtype", "rdata", "reason"),
    [
        (iana.MX, b"\0\x0a\xc0\x0c", "not RDATA of type MX: expected a domain name, uncompressed"),
        (iana.MX, b"", "not RDATA of type MX"),
        (iana.NS, b"\1a", "not RDATA of type NS"),
        (iana.NS, b"\1a\0\0", "1 octets after the names, expected 0"),
        (iana.SOA, b"\0\0" + bytes(19), "19 octets after the names, expected 20"),
        (iana.SOA, b"\0", "expected 2 domain names"),
        (iana.MINFO, b"\0", "expected 2 domain names"),
        (iana.PTR, b"\100" + b"a" * 64 + b"\0", "not RDATA of type PTR"),
        (iana.CNAME, b"\1a" * 127 + b"\1a\0", "not RDATA of type CNAME"),
        (65536, b"", "type number 65536, expected 0 to 65535"),
        (65280, bytes(65536), "RDATA of 65536 octets"),
    ],
)
def test_a_record_that_no_message_can_carry_is_refused_when_it_is_made(rtype, rdata, reason):
    with pytest.raises(UsageError, match=reason):
        r.Record(rtype, rdata)


def test_a_type_that_is_not_known_has_any_octets():
    assert r.Record(65280, b"\xc0\x0c").rdata == b"\xc0\x0c"
