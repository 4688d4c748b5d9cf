"""Services without zones: a table, and a refusal."""

from __future__ import annotations

import pytest
from tests.unit.protocols.dns.middleware.asking import ask, context, option

from pierhead.errors import UsageError
from pierhead.protocols import dns
from pierhead.protocols.dns.wire import iana


@pytest.fixture
def table():
    addresses = [dns.A("192.0.2.1"), dns.A("192.0.2.2"), dns.AAAA("2001:db8::1")]
    return dns.static(
        {"www.example": addresses, "Alias.example.": dns.CNAME("www.example.")}, ttl=60
    )


@pytest.mark.parametrize(
    ("name", "rtype", "records"),
    [
        ("www.example.", "A", 2),
        ("WWW.Example.", "AAAA", 1),
        ("www.example.", "ANY", 3),
        ("www.example.", "TXT", 0),
        ("alias.example.", "A", 1),
    ],
)
async def test_a_table_answers_for_its_names(table, name, rtype, records):
    reply = await table(ask(name, rtype), context())
    assert (reply.rcode, reply.authoritative) == (iana.NOERROR, True)
    assert sum(len(rrset.rdatas) for _, rrset in reply.answer) == records
    assert all(rrset.ttl == 60 for _, rrset in reply.answer)


async def test_a_table_refuses_other_names_and_classes(table):
    assert (await table(ask("example."), context())).rcode == iana.REFUSED
    assert (await table(ask("x.www.example."), context())).rcode == iana.REFUSED
    assert (await table(ask("www.example.", rclass=4), context())).rcode == iana.REFUSED


@pytest.mark.parametrize(
    "wrong", [{"names": {"a..b": dns.A("192.0.2.1")}}, {"names": {}, "ttl": -1}]
)
def test_a_wrong_table_is_refused(wrong):
    with pytest.raises(UsageError):
        dns.static(**wrong)


async def test_everything_is_refused_with_the_reason_if_there_is_one():
    silent = await dns.refuse()(ask(), context())
    assert (silent.rcode, silent.options) == (iana.REFUSED, ())
    reply = await dns.refuse("only for the office")(ask(), context())
    assert option(reply, iana.OPTION_EXTENDED_ERROR) == b"\x00\x12only for the office"
