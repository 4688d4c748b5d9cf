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
        (lambda: r.A("2001:db8::1"), "no IPv4 address"),
        (lambda: r.AAAA("192.0.2.1"), "no IPv6 address"),
        (lambda: r.TXT(), "at least one string"),
        (lambda: r.TXT("x" * 65535), "at most 65535"),
        (lambda: r.NS("a..b"), "is no domain name"),
        (lambda: r.MX(65536, "a."), "preference 65536"),
        (lambda: r.SRV(0, 0, -1, "a."), "port -1"),
        (lambda: r.CAA(256, "issue", ""), "flags 256"),
        (lambda: r.CAA(0, "is-sue", ""), "tag 'is-sue'"),
        (lambda: r.SOA("a.", "b.", 2**32), "serial"),
        (lambda: r.SOA("a.", "b.", 1, retry=2**31), "SOA times"),
    ],
)
def test_what_is_no_such_record_is_refused(make, reason):
    with pytest.raises(UsageError, match=reason):
        make()


def test_records_are_values():
    assert r.A("192.0.2.1") == r.A("192.0.2.1")
    assert r.A("192.0.2.1") != r.A("192.0.2.2")
    assert len({r.A("192.0.2.1"), r.A("192.0.2.1")}) == 1
