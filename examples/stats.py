"""Counts requests and octets, over UDP and TCP alike: a layer around frames sees both."""

from collections import Counter

from pierhead import run
from pierhead.protocols import dns

counts: Counter[str] = Counter()


def stats(service):
    async def inner(frame, context):
        kind = context.via.scheme
        counts[f"{kind} requests"] += 1
        counts[f"{kind} octets in"] += len(frame)
        reply = await service(frame, context)
        counts[f"{kind} octets out"] += len(reply or b"")
        return reply

    return inner


site = dns.static({"www.example.": dns.A("192.0.2.1")})
endpoint = dns.serve(site, frame_layers=[stats])

if __name__ == "__main__":
    run(endpoint, "127.0.0.1:5300")
    print(dict(counts))
