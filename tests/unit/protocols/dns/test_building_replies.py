"""Replies of any shape, made by hand: any owner, any section, any code."""

from __future__ import annotations

import dns.message
import pytest
from tests.unit.protocols.dns.middleware.asking import ask, context

from pierhead.errors import UsageError
from pierhead.protocols import dns as pdns
from pierhead.protocols.dns.codec import DatagramReplyCodec, ReplyCodec
from pierhead.protocols.dns.response import parse_response
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.query import build_query
from pierhead.server.server import Server


def sent(reply: pdns.Reply) -> pdns.Response:
    """Return the reply as its receiver reads it; dnspython has to read it, too."""
    frame = ReplyCodec().encode(reply)
    dns.message.from_wire(frame)
    return parse_response(frame)


def lines(records) -> list[str]:
    return [str(record) for record in records]


def test_a_record_stands_where_it_says():
    reply = ask().reply(
        pdns.CNAME("web.example.net."),
        pdns.A("192.0.2.1", name="web.example.net.", ttl=5),
        authority=[pdns.NS("ns.example.net.", name="example.net.", ttl=9)],
        additional=[
            pdns.A("192.0.2.53", name="ns.example.net"),
            pdns.AAAA("::1", name="ns.other."),
        ],
        ttl=60,
    )
    response = sent(reply)
    assert lines(response.answer) == [
        "www.example. 60 IN CNAME web.example.net.",
        "web.example.net. 5 IN A 192.0.2.1",
    ]
    assert lines(response.authority) == ["example.net. 9 IN NS ns.example.net."]
    assert lines(response.additional) == [
        "ns.example.net. 60 IN A 192.0.2.53",
        "ns.other. 60 IN AAAA ::1",
    ]


def test_the_class_of_a_record_is_the_questions_unless_it_says():
    reply = ask(rtype="TXT", rclass=3).reply(pdns.TXT("a"), pdns.TXT("b", rclass="IN"))
    assert [record.rclass for record in sent(reply).answer] == [3, 1]


def test_a_record_with_a_name_of_its_own_is_kept_whatever_was_asked():
    reply = ask("www.example.", "A").reply(
        pdns.TXT("not asked for"),
        pdns.TXT("kept", name="www.example."),
        pdns.Record("DNAME", "elsewhere.", name="example."),
    )
    assert [line.split()[0:4:3] for line in lines(sent(reply).answer)] == [
        ["www.example.", "TXT"],
        ["example.", "DNAME"],
    ]


def test_a_name_that_is_the_questions_takes_its_letter_case():
    reply = ask("wWw.ExAmPlE.").reply(pdns.A("192.0.2.1", name="www.example."))
    assert sent(reply).answer[0].name == "wWw.ExAmPlE."


def test_the_bits_of_a_resolver_can_be_set():
    reply = ask().reply(authoritative=False, recursion_available=True, authentic_data=True)
    response = sent(reply)
    assert (response.recursion_available, response.authentic_data) == (True, True)
    assert sent(ask().reply()).flags & 0x00F0 == 0


@pytest.mark.rfc("2181", "5.2")
def test_records_of_one_set_have_one_ttl():
    with pytest.raises(UsageError, match=r"A records of www\.example\. have TTLs of 5 and 300"):
        ask().reply(pdns.A("192.0.2.1", ttl=5), pdns.A("192.0.2.2"))


def test_signatures_of_two_types_are_two_sets():
    def signature(covered):
        return pdns.Record(
            "RRSIG", f"{covered} 8 2 60 20300101000000 20200101000000 1 example. AA==", ttl=60
        )

    reply = ask(rtype="RRSIG").reply(signature("A"), signature("TXT"), ttl=60)
    assert len(reply.answer) == 2


@pytest.mark.parametrize("section", ["authority", "additional"])
def test_an_invalid_record_is_refused_in_any_section(section):
    with pytest.raises(UsageError, match=r"a record is str, expected one such as dns\.A"):
        ask().reply(**{section: ["192.0.2.1"]})


@pytest.mark.parametrize(
    ("rtype", "text", "octets"),
    [
        ("A", "192.0.2.1", b"\xc0\0\2\1"),
        ("mx", "10 mail.example", b"\0\x0a\4mail\7example\0"),
        ("TLSA", "3 1 1 ( ab\n " + "ab" * 31 + " )", b"\3\1\1" + b"\xab" * 32),
        ("TXT", '"a b" c ; said by the way', b"\3a b\1c"),
        ("TYPE65280", r"\# 2 c00c", b"\xc0\x0c"),
        ("A", r"\# 4 c0000201", b"\xc0\0\2\1"),
        (16, "text", b"\4text"),
    ],
)
def test_data_is_written_as_in_a_zone_file(rtype, text, octets):
    record = pdns.Record(rtype, text)
    assert record.rdata == octets
    assert record == pdns.Record(record.rtype, octets)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pdns.Record("AX", "1"), "'AX' is not an RR type"),
        (lambda: pdns.Record(1.0, "1"), "rtype is 1.0, expected a number or a mnemonic"),
        (
            lambda: pdns.Record("OPT", b""),
            "OPT is not a type of records; give the reply its options",
        ),
        (lambda: pdns.Record("ANY", b""), "ANY is not a type of records, but of questions"),
        (
            lambda: pdns.Record("A", "192.0.2"),
            "rdata '192.0.2' is invalid for type A: .*at octet 0",
        ),
        (
            lambda: pdns.Record("MX", "10"),
            r"invalid for type MX: the record ends too early.*octet 2",
        ),
        (lambda: pdns.Record("A", "192.0.2.1 x"), r"this is an extra field \(at octet 10\)"),
        (lambda: pdns.Record("A", "192.0.2.1\n192.0.2.2"), "a second line, expected one record"),
        (lambda: pdns.Record("TXT", '"a'), "rdata '\"a' is invalid for type TXT"),
        (lambda: pdns.Record("A", b"abc"), "not RDATA of type A"),
        (lambda: pdns.Record("A", b"abcde"), "not RDATA of type A: 1 octets too many"),
        (lambda: pdns.Record("SVCB", b"\0"), "not RDATA of type SVCB"),
        (lambda: pdns.Record("A", 7), "rdata is int, expected text or bytes"),
        (lambda: pdns.A("192.0.2.1", name="a..b"), "name 'a..b' is not a domain name"),
        (lambda: pdns.A("192.0.2.1", name=b"a"), "name is b'a', expected text"),
        (lambda: pdns.A("192.0.2.1", ttl=-1), "ttl is -1, expected 0 to 2147483647 seconds"),
        (lambda: pdns.A("192.0.2.1", ttl="60"), "ttl is '60'"),
        (lambda: pdns.A("192.0.2.1", rclass=65536), "rclass is 65536"),
        (lambda: pdns.A("192.0.2.1", rclass="XX"), "'XX' is not a class"),
        (lambda: pdns.A("192.0.2.1", tll=60), "a record has no tll; expected name, ttl or rclass"),
    ],
)
def test_a_wrong_record_is_refused_when_it_is_made_and_the_field_is_named(make, message):
    with pytest.raises(UsageError, match=message):
        make()


@pytest.mark.parametrize(
    ("records", "wrong"),
    [
        (pdns.A("192.0.2.1", name="b."), r"'a\.' has <Record A .* name=b\.>; the table says whose"),
        ([pdns.A("192.0.2.1", ttl=1), pdns.A("192.0.2.2")], r"TTLs of 1 and 300 seconds"),
    ],
)
def test_a_table_is_refused_whose_records_do_not_go_together(records, wrong):
    with pytest.raises(UsageError, match=wrong):
        pdns.static({"a.": records})


async def test_a_record_of_a_table_may_have_a_ttl_of_its_own():
    site = pdns.static({"a.": [pdns.A("192.0.2.1", ttl=1), pdns.TXT("x")]}, ttl=9)
    for rtype, ttl in (("A", 1), ("TXT", 9)):
        assert sent(await site(ask("a.", rtype), context())).answer[0].ttl == ttl


def test_a_record_shows_where_it_stands():
    record = pdns.A("192.0.2.1", name="a.", ttl=5, rclass="CH")
    assert repr(record) == "<Record A c0000201 name=a. ttl=5 rclass=CH>"
    assert (record.name, record.type, pdns.A("192.0.2.1").name) == ("a.", "A", "")
    assert record != pdns.A("192.0.2.1")


# -- codes that are raised -----------------------------------------------------------------------

CODES = {
    pdns.FormErr: iana.FORMERR,
    pdns.ServFail: iana.SERVFAIL,
    pdns.NXDomain: iana.NXDOMAIN,
    pdns.NotImp: iana.NOTIMP,
    pdns.Refused: iana.REFUSED,
    pdns.NotAuth: iana.NOTAUTH,
}


def raising(error):
    async def service(query, context):
        raise error

    return service


class Raises(pdns.Layer):
    """Raises on the way in, or on the way out."""

    def __init__(self, error, *, late: bool = False) -> None:
        self._error, self._late = error, late

    def before(self, query, context):
        if not self._late:
            raise self._error
        return context

    def after(self, query, context, reply):
        raise self._error


def foreign(error):
    def layer(service):
        return raising(error)

    return layer


async def many(query, context):
    yield query.reply(pdns.A("192.0.2.1"))
    raise pdns.Refused


PLACES = {
    "a service": lambda error: pdns.stack(raising(error), pdns.nsid("x")),
    "a layer's before": lambda error: pdns.stack(pdns.static({}), pdns.nsid("x"), Raises(error)),
    "a layer's after": lambda error: pdns.stack(
        pdns.static({}), pdns.nsid("x"), Raises(error, late=True)
    ),
    "middleware inside": lambda error: pdns.stack(pdns.static({}), pdns.nsid("x"), foreign(error)),
    "middleware outside": lambda error: pdns.stack(pdns.static({}), foreign(error), pdns.nsid("x")),
}
NSID = (iana.OPTION_NSID, b"")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("error", CODES)
async def test_a_code_that_is_raised_is_the_answer_and_no_failure(error, place):
    async with Server(pdns.serve(PLACES[place](error)), "memgram:dns") as server:
        response = await pdns.query("memgram:dns", "x.", edns=pdns.Edns(options=(NSID,)))
        counts = server.metrics.snapshot()
    assert response.rcode == CODES[error]
    assert response.authoritative is (error is pdns.NXDomain)
    # The layers further out have seen it.
    assert bool(response.edns.options) is (place != "middleware outside")
    assert not [name for name in counts if "failed" in str(name) and counts[name]]


async def test_the_reason_of_a_code_is_sent_to_clients_with_edns():
    service = pdns.standard(raising(pdns.Refused("only for the office")))
    for edns in (True, False):
        reply = await service(ask(edns=edns), context(tcp=True))
        response = sent(reply)
        assert response.rcode == iana.REFUSED
        if edns:
            code = iana.EDE_PROHIBITED.to_bytes(2, "big")
            assert response.edns.options == (
                (iana.OPTION_EXTENDED_ERROR, code + b"only for the office"),
            )


async def test_any_code_can_be_raised_with_records_and_an_extended_error():
    soa = pdns.SOA("ns.", "h.", 1, name="example.", ttl=60)
    error = pdns.RcodeError(rcode=iana.YXDOMAIN, extended_error=22, authority=[soa])
    response = sent(await pdns.stack(raising(error))(ask(), context()))
    assert response.rcode == iana.YXDOMAIN
    assert lines(response.authority)[0].startswith("example. 60 IN SOA")
    assert response.edns.options == ((iana.OPTION_EXTENDED_ERROR, b"\0\x16"),)


@pytest.mark.parametrize("rcode", [0, -1, 4096])
def test_a_code_that_no_message_has_is_refused(rcode):
    with pytest.raises(UsageError, match="rcode is"):
        pdns.RcodeError(rcode=rcode)


@pytest.mark.rfc("2308", "2.1")
async def test_a_function_of_a_router_that_raises_nxdomain_gets_the_zones_soa(tmp_path):
    zone = tmp_path / "example.zone"
    zone.write_text("@ 300 SOA ns h 1 2 3 4 60\n@ 300 NS ns\nns 300 A 192.0.2.53\n")
    site = pdns.Router()
    site.mount("example.", pdns.zones(zone))
    site.answer("*.dyn.example.")(raising(pdns.NXDomain))
    response = sent(await pdns.stack(site)(ask("a.dyn.example."), context()))
    assert response.rcode == iana.NXDOMAIN
    assert [record.type for record in response.authority] == ["SOA"]


async def test_the_last_of_many_replies_may_be_a_code():
    replies = await pdns.stack(many, pdns.nsid("x"))(ask("a.", "A", NSID), context())
    got = [reply async for reply in replies]
    assert [reply.rcode for reply in got] == [iana.NOERROR, iana.REFUSED]
    assert all(reply.options for reply in got)


async def test_a_code_raised_around_frames_is_answered_as_well():
    def layer(service):
        async def inner(frame, context):
            raise pdns.Refused

        return inner

    async with Server(pdns.serve(pdns.static({}), frame_layers=[layer]), "memgram:dns"):
        assert (await pdns.query("memgram:dns", "x.")).rcode == iana.REFUSED


async def test_an_explanation_shows_a_code_that_is_raised():
    found = await pdns.explain(raising(pdns.Refused), "x.")
    assert found.reply.rcode == iana.REFUSED


async def test_a_layer_that_fails_on_the_way_in_leaves_a_refusal_with_a_cookie():
    """RFC 7873 §5.3: a client that expects a cookie discards an answer without one."""
    site = pdns.stack(pdns.static({}), pdns.cookies(), Raises(KeyError("mine")))
    edns = pdns.Edns(options=((iana.OPTION_COOKIE, bytes(8)),))
    async with Server(pdns.serve(site), "memgram:dns"):
        response = await pdns.query("memgram:dns", "x.", edns=edns)
    assert response.rcode == iana.SERVFAIL
    assert [code for code, _ in response.edns.options] == [iana.OPTION_COOKIE]


def test_a_refusal_of_a_bad_query_is_still_the_codecs():
    frame = build_query(7, b"\0", 1, edns=None)[:-1]
    refusal = DatagramReplyCodec().reject(pdns.Refused(), frame)
    assert parse_response(refusal).rcode == iana.FORMERR
