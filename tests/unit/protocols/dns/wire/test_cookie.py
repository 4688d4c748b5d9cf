from __future__ import annotations

import ipaddress

import pytest

from pierhead.errors import DecodeError
from pierhead.protocols.dns.wire.cookie import check_cookie, cookie_age, make_cookie

hexa = bytes.fromhex
SECRET = hexa("e5e973e5a6b2a43f48e7dc849e37bfcf")
OLD_SECRET = hexa("dd3bdf9344b678b185a6f5cb60fca715")
NEW_SECRET = hexa("445536bcd2513298075a5d379663c962")
#: Client cookie, address, time, secret and server cookie of RFC 9018 Appendix A.
VECTORS = {
    "A.1": ("2464c4abcf10c957", "198.51.100.100", 1559731985, SECRET, "1f8130c3eee29480"),
    "A.2": ("2464c4abcf10c957", "198.51.100.100", 1559734385, SECRET, "d4a564a1442aca77"),
    "A.3": ("fc93fc62807ddb86", "203.0.113.203", 1559734700, SECRET, "f73a7810aca2381e"),
    "A.4": (
        "22681ab97d52c298",
        "2001:db8:220:1:59de:d0f4:8769:82b8",
        1559741961,
        NEW_SECRET,
        "a6bb79d16625507a",
    ),
}


@pytest.mark.rfc("9018", "A")
@pytest.mark.parametrize("name", VECTORS)
def test_the_cookies_of_the_standard_are_ours(name):
    client, address, now, secret, digest = VECTORS[name]
    octets = ipaddress.ip_address(address).packed
    made = make_cookie(hexa(client), octets, now, secret)
    assert made == hexa(client) + hexa("01000000") + now.to_bytes(4, "big") + hexa(digest)
    assert cookie_age(made, octets, now, secret) == 0


@pytest.mark.rfc("9018", "A.3")
def test_reserved_octets_are_hashed_as_they_came():
    cookie = hexa("fc93fc62807ddb86" + "01abcdef5cf78f71a314227b6679ebf5")
    address = ipaddress.ip_address("203.0.113.203").packed
    assert cookie_age(cookie, address, 0x5CF78F71 + 60, SECRET) == 60
    assert cookie_age(cookie[:9] + b"\0\0\0" + cookie[12:], address, 0, SECRET) is None


@pytest.mark.rfc("9018", "A.4")
def test_a_cookie_of_the_old_secret_is_known_by_the_old_secret_alone():
    cookie = hexa("22681ab97d52c298" + "010000005cf7c57926556bd0934c72f8")
    address = ipaddress.ip_address("2001:db8:220:1:59de:d0f4:8769:82b8").packed
    assert cookie_age(cookie, address, 1559741961, OLD_SECRET) == 144
    assert cookie_age(cookie, address, 1559741961, NEW_SECRET) is None


@pytest.mark.rfc("9018", "4.3")
@pytest.mark.parametrize(("made", "now", "age"), [(2**32 - 10, 5, 15), (5, 2**32 - 10, -15)])
def test_age_is_counted_across_the_wrap_of_32_bits(made, now, age):
    cookie = make_cookie(bytes(8), bytes(4), made, SECRET)
    assert cookie_age(cookie, bytes(4), now, SECRET) == age


@pytest.mark.rfc("7873", "5.2.2")
def test_lengths_that_no_cookie_has_are_told():
    accepted = []
    for octets in range(64):
        try:
            check_cookie(bytes(octets))
        except DecodeError as error:
            assert error.reason.startswith(f"cookie of {octets} octets")  # noqa: PT017
        else:
            accepted.append(octets)
    assert accepted == [8, *range(16, 41)]
