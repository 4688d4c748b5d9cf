import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.protocols import dns
from pierhead.protocols.dns.services.zones import ZoneService
from pierhead.protocols.dns.zone.zone import Zones

ZONE = b"""
@ 300 SOA ns h 1 2 3 4 60
@ 300 NS ns
ns 300 A 192.0.2.1
www 50 A 192.0.2.2
long 90 CNAME www
"""


@pytest.mark.rfc("8484", "5.1")
@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("www.example.", "A", 50),
        ("long.example.", "A", 50),
        ("long.example.", "CNAME", 90),
        ("www.example.", "AAAA", 60),
        ("none.example.", "A", 60),
        ("other.", "A", None),
    ],
)
async def test_a_response_is_fresh_for_its_smallest_ttl(network, server, name, kind, expected):
    await server(
        dns.serve(ZoneService(Zones([dns.parse_zone(ZONE, origin="example.")]))), "mem:dns"
    )
    response = await dns.query("mem:dns", name, kind)
    assert dns.max_age(response.frame) == expected


@given(st.binary(max_size=60))
def test_octets_that_are_no_response_have_no_age_or_one(octets):
    age = dns.max_age(octets)
    assert age is None or 0 <= age < 2**32
