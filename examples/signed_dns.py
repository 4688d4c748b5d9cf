"""A DNS layer over octets: a toy signature, of the shape of TSIG (RFC 8945), both ways.

The last record of a request is a MAC of the octets before it. So is that of the reply, of its own
octets and of the request's MAC. Whoever signs wrongly or not at all is refused, without signature.
"""

import hmac
import struct
from functools import partial

from pierhead import run
from pierhead.protocols import dns

KEY = b"both sides know this one"
TYPE = 65280  # for private use (RFC 6895 §3.1)
HEAD = b"\0" + struct.pack("!HHIH", TYPE, 255, 0, 32)  # the root's, class ANY, TTL 0


def count(frame, change):
    """Return a message with its number of additional records changed."""
    number = int.from_bytes(frame[10:12], "big") + change
    return frame[:10] + number.to_bytes(2, "big") + frame[12:]


def mac(frame, asked=b""):
    return hmac.digest(KEY, asked + frame, "sha256")


def sign(frame, asked=b""):
    return count(frame, 1) + HEAD + mac(frame, asked)


class Signed(dns.Layer):
    opcodes = range(16)  # every kind of message is signed, not queries alone

    def before(self, query, context):
        last = query.sections().additional[-1:]
        if not last or last[0].rtype != TYPE:
            raise dns.Refused("sign the request")
        if not hmac.compare_digest(last[0].octets, mac(count(query.frame[: last[0].offset], -1))):
            raise dns.NotAuth("the signature is wrong")
        return context.having(last[0])

    def after(self, query, context, reply):
        asked = context.get(dns.ResourceRecord).octets
        return reply.sealed(partial(sign, asked=asked), reserve=len(HEAD) + 32)


site = dns.static({"www.example.": [dns.A("192.0.2.1"), dns.TXT("x" * 400)]})
endpoint = dns.serve(dns.stack(site, Signed()))

if __name__ == "__main__":
    run(endpoint, "127.0.0.1:5300")
