"""A forwarded answer equals the direct one.

An upstream answers with any records in any section; it is asked directly and through a forwarder,
with and without EDNS. Both answers have the same code and flags, and the same records in the same
order, with their TTLs and data.
"""

from __future__ import annotations

import asyncio
from typing import Any

import dns.message
import dns.rdatatype
import dns.rrset
from hypothesis import given, settings
from hypothesis import strategies as st

from pierhead import Context, Server, raw
from pierhead.protocols import dns as ours
from pierhead.protocols.dns.wire.canonical import uncompressed_rdata
from pierhead.testing.clock import HeldLoop

NAMES = ["example.", "wWw.Example.", "mail.example.", "a.b.example.", "other.test."]
DATA = [
    ("A", "192.0.2.1"),
    ("A", "192.0.2.2"),
    ("AAAA", "2001:db8::1"),
    ("NS", "mail.example."),
    ("CNAME", "A.b.example."),
    ("MX", "10 mail.Example."),
    ("TXT", '"some text" "more"'),
    ("SOA", "ns.example. host.example. 1 2 3 4 5"),
    ("SRV", "0 5 443 mail.example."),
    ("TYPE65280", r"\# 3 010203"),
]

records = st.lists(
    st.tuples(
        st.sampled_from(NAMES), st.sampled_from([0, 1, 300, 2**31 - 1]), st.sampled_from(DATA)
    ),
    max_size=5,
)
answers = st.fixed_dictionaries(
    {
        "sections": st.tuples(records, records, records),
        "rcode": st.sampled_from([0, 0, 2, 3, 5]),
        "flags": st.sets(st.sampled_from(["AA", "RA"])),
    }
)


def frame_of(query: bytes, answer: dict[str, Any]) -> bytes:
    """Return the upstream's answer to a query, made by another library."""
    asked = dns.message.from_wire(query)
    reply = dns.message.make_response(asked)
    reply.set_rcode(answer["rcode"])
    for flag in answer["flags"]:
        reply.flags |= dns.flags.from_text(flag)
    sections = (reply.answer, reply.authority, reply.additional)
    for section, wanted in zip(sections, answer["sections"], strict=True):
        for name, ttl, (rtype, data) in wanted:
            section.append(dns.rrset.from_text(name, ttl, "IN", rtype, data))
    return reply.to_wire(max_size=65535)


def seen(response: ours.Response) -> Any:
    return (
        response.rcode,
        response.flags,
        response.question,
        [
            [
                (
                    record.owner.lower(),
                    record.rtype,
                    record.ttl,
                    uncompressed_rdata(record.rtype, record.frame, record.start, record.length),
                )
                for record in section
            ]
            for section in (response.answer, response.authority, response.additional)
        ],
    )


async def compare(answer: dict[str, Any], name: str, do: bool) -> None:
    async def upstream(frame: bytes, context: Context) -> bytes:
        return frame_of(frame, answer)

    forwarding = ours.serve(ours.stack(ours.forward("memgram:up")))
    async with Server(raw(upstream), "memgram:up"), Server(forwarding, "memgram:front"):
        edns = ours.Edns(4096, do=do)
        direct = await ours.query("memgram:up", name, "A", edns=edns)
        forwarded = await ours.query("memgram:front", name, "A", edns=edns)
    assert seen(forwarded) == seen(direct)


@settings(max_examples=60)
@given(answer=answers, name=st.sampled_from(NAMES), do=st.booleans())
def test_a_forwarded_answer_equals_the_direct_one(
    answer: dict[str, Any], name: str, do: bool
) -> None:
    with asyncio.Runner(loop_factory=HeldLoop) as runner:
        runner.run(compare(answer, name, do))
