"""A DNS server: a zone file, and computed names; UDP and TCP, because it is DNS."""

from pathlib import Path

from pierhead import Context, run
from pierhead.protocols import dns

site = dns.Router()
site.mount("example.", dns.zones(Path(__file__).with_name("zones") / "example.zone"))


@site.answer("*.dyn.example.", "A")
async def address(query: dns.Query, context: Context) -> dns.Reply:
    number = len(query.name.partition(".")[0])
    return query.reply(dns.A(f"192.0.2.{number}"), ttl=60)


run(dns.serve(site), "127.0.0.1:5300")
