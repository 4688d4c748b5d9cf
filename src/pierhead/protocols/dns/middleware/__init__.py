"""DNS layers, one per file; each works on its own, and `dns.stack` checks their order.

    layer            adds or does                                     documents
    query_log        a line for each query                            –
    tsig             signatures with a shared secret                  RFC 8945
    extended_errors  the reason for an error                          RFC 8914
    cookies          tells real clients from forged sources           RFC 7873, 9018
    nsid             which server this is                             RFC 5001
    keepalive        how long an idle connection stays open           RFC 7828
    padding          hides the length of encrypted answers            RFC 7830, 8467
    edns             returns a client subnet with scope 0             RFC 7871
    expire           when a copy of the zone expires                  RFC 7314
    rate_limit       limits similar answers to one network            –
    minimal_responses  omits what was not asked for                   –
    identity         version and identity of the server in class CH   RFC 4892
    mandatory        what every server must do; always present        RFC 9619, 6895

The table is in the standard order, outermost first.
"""

from pierhead.protocols.dns.middleware.cookies import Cookies, ValidCookie, cookies
from pierhead.protocols.dns.middleware.edns import edns
from pierhead.protocols.dns.middleware.expire import expire
from pierhead.protocols.dns.middleware.extended_errors import ExtendedErrors, extended_errors
from pierhead.protocols.dns.middleware.identity import identity
from pierhead.protocols.dns.middleware.keepalive import keepalive
from pierhead.protocols.dns.middleware.layer import Layer, combine
from pierhead.protocols.dns.middleware.mandatory import Mandatory, mandatory
from pierhead.protocols.dns.middleware.minimal_responses import minimal_responses
from pierhead.protocols.dns.middleware.nsid import nsid
from pierhead.protocols.dns.middleware.padding import padding
from pierhead.protocols.dns.middleware.query_log import QueryLog, query_log
from pierhead.protocols.dns.middleware.rate_limit import RateLimit, rate_limit
from pierhead.protocols.dns.middleware.tsig import SignedBy, Tsig, tsig

__all__ = [
    "Cookies",
    "ExtendedErrors",
    "Layer",
    "Mandatory",
    "QueryLog",
    "RateLimit",
    "SignedBy",
    "Tsig",
    "ValidCookie",
    "combine",
    "cookies",
    "edns",
    "expire",
    "extended_errors",
    "identity",
    "keepalive",
    "mandatory",
    "minimal_responses",
    "nsid",
    "padding",
    "query_log",
    "rate_limit",
    "tsig",
]
