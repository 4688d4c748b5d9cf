"""Relays: what arrives is passed on to another address, octet for octet.

from pierhead import run
from pierhead.protocols import proxying

run(proxying.forward("unix:/run/a.sock", "unix:/run/b.sock", policy="least-busy"), "tcp::443")

forward.py    the endpoint             relay.py      one connection and its upstream
copying.py    octets by transports     splicing.py   octets by splice(2)
datagrams.py  one peer and its upstream
"""

from pierhead.protocols.proxying.forward import forward

__all__ = ["forward"]
