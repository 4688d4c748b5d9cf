"""A test: no port, no sleep, a clock you hold, a network that misbehaves on demand."""

from pierhead import Server
from pierhead.protocols import dns

site = dns.Router()


@site.answer("www.example.", "A")
async def www(query, context):
    return query.reply(dns.A("192.0.2.1"))


async def test_answers_after_loss(network):
    network.between("a", "b").lose(0.3, seed=7)
    async with Server(dns.serve(site), "memgram:b"):
        reply = await dns.query("memgram:b", "www.example.", "A", attempts=5, source="memgram:a")
        assert reply.rcode == dns.NOERROR
