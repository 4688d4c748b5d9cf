"""A program's own mistakes with DNS: each is refused at once, with what was expected."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.protocols.dns.middleware.asking import ask

from pierhead.errors import UsageError
from pierhead.protocols import dns

#: What a caller without a type checker may pass.
ANY: Any = dns
QUERY: Any = ask()
ADDRESS = dns.A("192.0.2.1")


async def answer(query: dns.Query, context: Any) -> dns.Reply:
    return query.reply()


def declaring(opcodes: Any) -> Any:
    return type("Declaring", (dns.Layer,), {"opcodes": opcodes})()


def accepting(opcodes: Any) -> Any:
    async def accepts(query: dns.Query, context: Any) -> dns.Reply:
        return query.reply()

    accepts.opcodes = opcodes  # type: ignore[attr-defined]
    return accepts


class Notified(dns.Layer):
    """A layer, of which a class is not an instance."""


OPCODES = "expected a collection of numbers from 0 to 15, such as {dns.OPCODE_NOTIFY}"
ONE_LABEL = "is one label, and names in records are absolute; write 'mail.' if it is a top-level"

MISTAKES: list[tuple[Callable[[], object], str]] = [
    # Replies
    (lambda: QUERY.reply(rcode="REFUSED"), "rcode is 'REFUSED', expected a number from 0 to 4095"),
    (lambda: QUERY.reply(rcode="refused"), "such as dns.REFUSED; refused is 5"),
    (lambda: QUERY.reply(rcode=4096), "rcode is 4096, expected a number from 0 to 4095"),
    (lambda: QUERY.reply(rcode=None), "rcode is None"),
    (lambda: QUERY.reply([ADDRESS]), "a record is list, expected one such as dns.A"),
    (lambda: QUERY.reply([ADDRESS]), "write reply(*records)"),
    (lambda: QUERY.reply(authority=ADDRESS), "authority is one record, expected a list"),
    (lambda: QUERY.reply(additional=ADDRESS), "write additional=[record]"),
    (lambda: QUERY.reply(authority=5), "authority is 5, expected a list of records"),
    (lambda: ANY.RcodeError(rcode="x"), "rcode is 'x', expected a number from 0 to 4095"),
    (lambda: ANY.RcodeError(rcode=0), "rcode is NOERROR, which is no error; return query.reply()"),
    (lambda: ANY.Refused(5), "the reason is 5, expected text; the code is a keyword: rcode=5"),
    (lambda: ANY.Refused(extended_error="x"), "extended_error is 'x', expected a number from 0"),
    (lambda: ANY.Refused(authority=ADDRESS), "write authority=[record]"),
    # Records
    (lambda: ANY.MX("mail", 10), "preference 'mail', expected 0 to 65535, as in dns.MX(10, 'mail."),
    (lambda: ANY.MX(10.5, "mail."), "preference 10.5, expected 0 to 65535"),
    (lambda: ANY.SRV("a", 1, 2, 3), "priority 'a', expected 0 to 65535, as in dns.SRV(0, 0, 5060"),
    (lambda: ANY.SRV(0, 0, "5060", "a."), "port '5060', expected 0 to 65535"),
    (lambda: ANY.CAA("issue", 0, "a."), "CAA flags 'issue', expected 0 to 255, as in dns.CAA(0"),
    (lambda: ANY.CAA(0, 0, "a."), "tag is 0, expected text such as 'issue', as in dns.CAA(0"),
    (lambda: ANY.CAA(0, "issue", None), "value is None, expected text such as 'ca.example'"),
    (lambda: ANY.A(5), "address is 5, expected text such as '192.0.2.1'"),
    (lambda: ANY.A(["192.0.2.1"]), "address is ['192.0.2.1'], expected text"),
    (lambda: ANY.AAAA(b"::1"), "address is b'::1', expected text such as '2001:db8::1'"),
    (lambda: ANY.TXT(5), "a string is int, expected text or bytes"),
    (lambda: ANY.TXT(["a", "b"]), "write dns.TXT(*strings)"),
    (lambda: ANY.CNAME(5), "a name is 5, expected text such as 'www.example.'"),
    (lambda: ANY.NS(b"ns."), "a name is b'ns.', expected text"),
    (lambda: ANY.SOA("ns.", "h.", "1"), "serial '1', expected 0 to 4294967295"),
    (lambda: ANY.SOA("ns.", "h.", 1, retry="1h"), "SOA times (86400, '1h', 3600000, 300)"),
    (lambda: ANY.Record(["A"], b""), "rtype is ['A'], expected a number or a mnemonic"),
    *((lambda kind=kind: kind("mail"), ONE_LABEL) for kind in (dns.CNAME, dns.NS, dns.PTR)),
    (lambda: dns.MX(10, "mail"), ONE_LABEL),
    (lambda: dns.SRV(0, 0, 1, "mail"), ONE_LABEL),
    (lambda: dns.SOA("ns.example.", "mail", 1), ONE_LABEL),
    (lambda: dns.Record("MX", "10 mail"), "write mail. if it is a top-level domain, otherwise"),
    (lambda: dns.Record("MX", "10 @"), "'@' stands for a zone's name"),
    # Layers
    (lambda: ANY.nsid(5), "the identifier is 5, expected text or bytes"),
    (lambda: ANY.standard(answer, nsid=5), "the identifier is 5"),
    (lambda: ANY.standard(answer, cookies=b"x"), "cookies is bytes, expected True, False or dns."),
    (lambda: ANY.standard(answer, cookies=dns.nsid("a")), "cookies is Nsid, expected True, False"),
    (lambda: ANY.standard(answer, rate_limit=200), "rate_limit is int, expected True, False or"),
    (lambda: ANY.standard(answer, padding=468), "padding is int, expected True, False or dns.pad"),
    (lambda: ANY.standard(answer, chaos=True), "chaos is bool, expected dns.chaos(…) or None"),
    (lambda: dns.stack(answer, declaring(5)), f"opcodes of <layer Declaring> is 5, {OPCODES}"),
    (lambda: dns.stack(answer, declaring("UPDATE")), f"is 'UPDATE', {OPCODES}"),
    (lambda: dns.stack(answer, declaring(["UPDATE"])), f"has 'UPDATE', {OPCODES}"),
    (lambda: declaring(5)(answer), f"opcodes of <layer Declaring> is 5, {OPCODES}"),
    (lambda: dns.stack(accepting(5)), f"accepts is 5, {OPCODES}"),
    (lambda: dns.stack(accepting("UPDATE")), f"accepts is 'UPDATE', {OPCODES}"),
    (lambda: ANY.mandatory(opcodes=5), f"opcodes of <layer mandatory> is 5, {OPCODES}"),
    (lambda: ANY.stack(answer, Notified), "Notified is a class of layers; give an instance, Notif"),
    (lambda: ANY.stack(answer, dns.cookies), "if it makes a layer, call it: cookies(…)"),
    (lambda: ANY.stack(answer, None), "None is not a layer, a function that takes a service"),
    (lambda: ANY.stack(answer, [dns.cookies()]), "write stack(service, *layers)"),
    (
        lambda: ANY.stack(dns.cookies(), answer),
        "<layer cookies> is not a service; give the service",
    ),
    (lambda: ANY.serve(Notified), "Notified is a class; write a service with 'async def'"),
    (lambda: ANY.serve(dns.Router), "Router is a class; write a service with 'async def'"),
    (
        lambda: dns.stack(answer, type("Odd", (dns.Layer,), {"option": "NSID"})()),
        "option of <layer Odd> is 'NSID', expected its number (RFC 6891 §6.1.2)",
    ),
    # Endpoints and services
    (lambda: ANY.serve(answer, admission=len), "write admission=[check]"),
    (lambda: ANY.serve(answer, admission=[5]), "admission has 5, expected a function (frame, peer"),
    (lambda: ANY.serve(answer, frame_layers=len), "write frame_layers=[layer]"),
    (lambda: ANY.serve(answer, max_ready_answers="x"), "max_ready_answers is 'x', expected a num"),
    (lambda: ANY.serve(answer, max_ready_answers=-1), "max_ready_answers is -1"),
    (
        lambda: ANY.static([("a.", ADDRESS)]),
        "names is list, expected a table: {'www.example.'",
    ),
    (lambda: ANY.zones(5), "a zone is 5, expected a path, NAME=FILE or a directory"),
    (lambda: ANY.Router().answer(answer), "write @site.answer('www.example.', 'A')"),
    (lambda: ANY.Router().answer("a.", ["A"]), "['A'] is not an RR type; expected a mnemonic"),
    (lambda: ANY.Router().mount(answer, "a."), "expected text such as 'www.example.'"),
]


@pytest.mark.parametrize(("make", "message"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_refused_with_what_was_expected(make, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        make()


def test_a_secret_in_the_wrong_place_is_not_shown():
    with pytest.raises(UsageError) as caught:
        ANY.standard(answer, cookies=b"very secret")
    assert "very secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["mail.", "mail.example", "mail.example.", "."])
def test_names_in_records_are_absolute_with_or_without_a_final_dot(name):
    whole = name if name.endswith(".") else f"{name}."
    assert dns.MX(10, name) == dns.MX(10, whole) == dns.Record("MX", f"10 {name}")


@pytest.mark.parametrize("rcode", [dns.NOERROR, dns.NXDOMAIN, 16, 4095])
def test_every_code_that_a_message_can_have_is_taken(rcode):
    assert QUERY.reply(rcode=rcode).rcode == rcode
    assert not rcode or dns.RcodeError(rcode=rcode).rcode == rcode


def test_a_layer_in_place_of_a_choice_is_taken():
    taken = dns.standard(answer, padding=ANY.padding(block=128), cookies=False)
    assert "padding" in repr(taken)
    assert "cookies" not in repr(taken)
