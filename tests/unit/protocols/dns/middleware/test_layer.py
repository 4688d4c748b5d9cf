from __future__ import annotations

import pytest
from tests.unit.protocols.dns.middleware.asking import answer, ask, context, option

from pierhead.errors import DecodeError, Overloaded, ServiceFailed
from pierhead.protocols import dns
from pierhead.protocols.dns.middleware import combine
from pierhead.protocols.dns.wire.message import Reply
from pierhead.testing import call


class Marked(dns.Layer):
    """Notes that it was passed, and may answer or withhold."""

    def __init__(self, name, seen, *, option=None, answers=False, withholds=False):
        self.name = name
        self.option = option
        self._seen = seen
        self._answers = answers
        self._withholds = withholds

    def before(self, query, context):
        self._seen.append(f"{self.name} in")
        return query.reply(rcode=dns.REFUSED) if self._answers else context.having(self)

    def after(self, query, context, reply):
        assert context.get(Marked) is not None
        self._seen.append(f"{self.name} out")
        return None if self._withholds else reply.having(65001, self.name.encode())


async def test_a_query_passes_inward_and_its_reply_outward():
    seen = []
    service = combine(answer, [Marked("a", seen), Marked("b", seen)])
    reply = await service(ask(), context())
    assert seen == ["a in", "b in", "b out", "a out"]
    assert option(reply, 65001) == b"a"


async def test_a_layer_that_answers_is_seen_by_those_outside_it_alone():
    seen = []
    layers = [Marked("a", seen), Marked("b", seen, answers=True), Marked("c", seen)]
    reply = await combine(answer, layers)(ask(), context())
    assert seen == ["a in", "b in", "a out"]
    assert reply.rcode == dns.REFUSED


async def test_a_withheld_reply_is_hidden_from_outer_layers():
    seen = []
    layers = [Marked("a", seen), Marked("b", seen, withholds=True)]
    assert await combine(answer, layers)(ask(), context()) is None
    assert seen == ["a in", "b in", "b out"]


async def test_a_layer_about_an_option_sees_queries_with_that_option_alone():
    seen = []
    service = combine(answer, [Marked("a", seen, option=3)])
    await service(ask(), context())
    await service(ask("www.example.", "A", (4, b"")), context())
    assert seen == []
    await service(ask("www.example.", "A", (4, b""), (3, b"")), context())
    assert seen == ["a in", "a out"]


async def test_each_of_many_replies_passes_and_withheld_ones_are_omitted():
    async def many(query, _context):
        for number in range(3):
            yield query.reply(dns.TXT(str(number)), rcode=dns.NOERROR)

    class Second(dns.Layer):
        def after(self, query, context, reply):
            is_second = reply.answer and reply.answer[0][1].rdatas[0] == b"\x011"
            return None if is_second else reply.having(65001, b"x")

    for query in (ask("x.", "TXT"), ask("x.", "TXT", (65002, b""))):
        replies = await call(dns.stack(many, Second()), query)
        assert [one.answer[0][1].rdatas[0] for one in replies] == [b"\x010", b"\x012"]
        assert all(option(one, 65001) == b"x" for one in replies)


async def test_silence_of_the_service_stays_silence():
    async def silent(_query, _context):
        return None

    for query in (ask(), ask("x.", "A", (10, bytes(8)))):
        assert await dns.standard(silent)(query, context()) is None


@pytest.mark.rfc("7873", "5.3")
async def test_a_failure_has_a_refusal_prepared_that_carries_the_cookie():
    async def fails(_query, _context):
        raise KeyError("lost")

    query = ask("x.", "A", (10, bytes(8)))
    with pytest.raises(ServiceFailed, match="KeyError: 'lost'") as caught:
        await dns.standard(fails)(query, context())
    refusal = caught.value.reply
    assert isinstance(refusal, Reply)
    assert refusal.rcode == dns.SERVFAIL
    assert len(option(refusal, 10)) == 24
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.traceback[-1].name == "fails"


async def test_an_error_with_its_own_refusal_keeps_its_type():
    async def busy(_query, _context):
        raise Overloaded("limit")

    async def wrong(_query, _context):
        raise DecodeError("no")

    query = ask("x.", "A", (10, bytes(8)))
    with pytest.raises(Overloaded) as caught:
        await dns.stack(busy, dns.nsid("n"), dns.cookies())(query, context())
    assert option(caught.value.reply, 10)
    # The query was decoded before: the error is about other data, and the service's to handle.
    with pytest.raises(ServiceFailed):
        await dns.standard(wrong)(query, context())


async def test_a_layer_is_a_middleware_by_itself():
    reply = await dns.nsid("north")(answer)(ask("x.", "A", (3, b"")), context())
    assert option(reply, 3) == b"north"
    assert repr(dns.nsid("north")) == "<layer nsid>"


async def test_a_layer_that_overrides_nothing_changes_nothing():
    class Idle(dns.Layer):
        """Has nothing to say."""

    assert repr(Idle()) == "<layer Idle>"
    given, where = ask(), context()
    assert Idle().before(given, where) is where
    reply = await Idle()(answer)(given, where)
    assert Idle().after(given, where, reply) is reply
