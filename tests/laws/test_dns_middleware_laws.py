"""What holds for all EDNS options, all cookies, and answers at any rate."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares
from tests.unit.protocols.dns.middleware.asking import HeldClock, answer, ask, context

from pierhead.errors import DecodeError
from pierhead.protocols import dns
from pierhead.protocols.dns.codec import DatagramReplyCodec, ReplyCodec
from pierhead.protocols.dns.response import parse_response
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.cookie import cookie_age, make_cookie
from pierhead.protocols.dns.wire.edns import Edns, build_opt, parse_client_subnet, parse_options
from pierhead.protocols.dns.wire.query import build_query, parse_query

SECRETS = st.binary(min_size=16, max_size=16)
ADDRESSES = st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16))
CLIENTS = st.binary(min_size=8, max_size=8)
TIMES = st.integers(0, 2**33)
#: Codes that some layer handles, and any other; data of the lengths that matter, and any.
OPTIONS = st.lists(
    st.tuples(
        st.one_of(st.sampled_from([3, 8, 9, 10, 11, 12, 15]), st.integers(0, 65535)),
        st.one_of(st.just(b""), st.binary(max_size=48)),
    ),
    max_size=5,
)


@settings(deadline=None)
@given(OPTIONS, st.integers(0, 300), st.binary(max_size=3))
def test_options_are_refused_exactly_where_they_are_cut_off_or_followed_by_less(
    options, cut, surplus
):
    whole = b"".join(
        code.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value for code, value in options
    )
    assert parse_options(whole) == tuple(options)
    assert build_opt(Edns(options=parse_options(whole)))[11:] == whole
    ends = list(itertools.accumulate((4 + len(value) for _, value in options), initial=0))
    for data in (whole[:cut], whole + surplus):
        if len(data) in ends or data == whole:
            assert whole.startswith(build_opt(Edns(options=parse_options(data)))[11:])
        else:
            with pytest.raises(DecodeError):
                parse_options(data)


@settings(deadline=None)
@given(st.sampled_from([(1, 32), (2, 128)]), st.data())
def test_a_client_subnet_is_read_exactly_if_its_address_has_the_bits_it_says(family, data):
    number, width = family
    source = data.draw(st.integers(0, width))
    bits = data.draw(st.integers(0, 2**source - 1)) << (-source % 8)
    address = bits.to_bytes((source + 7) // 8, "big")
    wire = number.to_bytes(2, "big") + bytes((source, 0)) + address
    subnet = parse_client_subnet(wire)
    assert (subnet.family, subnet.source, subnet.scope, subnet.address) == (
        number,
        source,
        0,
        address,
    )
    assert subnet.to_wire() == wire
    broken = [wire + b"\0", wire[:3] + b"\1" + address, wire[:2] + bytes((width + 1, 0)) + address]
    if address:
        broken.append(wire[:-1])
    if source % 8:
        broken.append(wire[:-1] + bytes((wire[-1] | 1,)))
    for refused in broken:
        with pytest.raises(DecodeError):
            parse_client_subnet(refused)


@pytest.mark.rfc("7871", "7.2.1")
@settings(deadline=None)
@given(st.integers(3, 65535), st.integers(0, 255), st.binary(max_size=32))
def test_a_client_subnet_of_an_unknown_family_is_refused(family, source, address):
    with pytest.raises(DecodeError, match="family"):
        parse_client_subnet(family.to_bytes(2, "big") + bytes((source, 0)) + address)


@settings(deadline=None)
@given(CLIENTS, ADDRESSES, TIMES, SECRETS, st.integers(-(2**31) + 1, 2**31 - 1))
def test_a_cookie_that_was_made_is_known_at_any_time(client, address, made, secret, later):
    cookie = make_cookie(client, address, made, secret)
    assert cookie_age(cookie, address, made + later, secret) == later


@settings(deadline=None)
@given(CLIENTS, ADDRESSES, TIMES, SECRETS, st.integers(0, 24 * 8 - 1))
def test_a_cookie_with_one_bit_changed_is_not_known(client, address, made, secret, bit):
    changed = bytearray(make_cookie(client, address, made, secret))
    changed[bit // 8] ^= 1 << bit % 8
    assert cookie_age(bytes(changed), address, made, secret) is None


@settings(deadline=None)
@given(st.binary(max_size=48), ADDRESSES, SECRETS)
def test_cookies_cannot_be_guessed(data, address, secret):
    assert cookie_age(data, address, 0, secret) is None


@shares(answered=0.2, refused=0.02)
@settings(max_examples=150, deadline=None)
@given(
    OPTIONS,
    st.booleans(),
    st.booleans(),
    st.sampled_from(["192.0.2.1", "2001:db8::1", "named"]),
)
def test_whatever_the_options_there_is_one_whole_answer(options, tcp, encrypted, peer):
    """The law of the standard stack: one message, ours, within its size, each option once."""
    everything = dns.standard(
        answer,
        cookies=dns.cookies(required=["192.0.2.0/24"]),
        nsid="north-2",
        chaos=dns.chaos(version="1"),
        minimal_responses=True,
    )
    frame = build_query(7, b"\x01x\x00", iana.A, edns=Edns(payload=512, options=tuple(options)))
    circumstances = context(peer, tcp=tcp, encrypted=encrypted)
    reply = asyncio.run(_asked(everything, parse_query(frame), circumstances))
    codec = ReplyCodec() if tcp else DatagramReplyCodec()
    message = codec.encode(reply)
    assert tcp or len(message) <= 512
    response = parse_response(message)
    assert response.id == 7
    met("answered" if response.answer else "refused")
    codes = [code for code, _ in response.edns.options]
    assert len(codes) == len(set(codes))
    asked = {code for code, _ in options} | {iana.OPTION_EXTENDED_ERROR}
    assert set(codes) <= asked, "nobody gets an option that was not asked for"


async def _asked(service, query, circumstances):
    return await service(query, circumstances)


#: Which network asks, what for, and how long after the one before, in seconds.
QUERIES = st.lists(
    st.tuples(
        st.sampled_from(["192.0.2.1", "192.0.2.77", "198.51.100.1", "2001:db8::1"]),
        st.sampled_from(["a.", "b."]),
        st.one_of(st.just(0.0), st.floats(0, 3)),
    ),
    max_size=60,
)


@shares(all=0.1, some=0.02, none=0.0)
@settings(max_examples=60, deadline=None)
@given(QUERIES, st.floats(0.2, 20), st.integers(1, 5), st.integers(0, 3))
def test_no_network_gets_more_of_an_answer_than_burst_and_rate(queries, rate, burst, slip):
    clock = HeldClock(0.0)
    layer = dns.rate_limit(rate, burst=burst, slip=slip, clock=clock, exempt=())
    whole = asyncio.run(_flood(layer, clock, queries))
    count = sum(map(len, whole.values()))
    met("all" if count == len(queries) else "some" if count else "none")
    for times in whole.values():
        for first in range(len(times)):
            for last in range(first, len(times)):
                allowed = burst + rate * (times[last] - times[first])
                assert last - first + 1 <= allowed + 1e-6


@shares(full=0.2, others=0.0)
@settings(max_examples=40, deadline=None)
@given(QUERIES, st.integers(1, 4))
def test_the_table_of_a_rate_limit_stays_within_its_bound(queries, bound):
    clock = HeldClock(0.0)
    layer = dns.rate_limit(1.0, burst=1, max_entries=bound, clock=clock, exempt=())
    asyncio.run(_flood(layer, clock, queries))
    assert len(layer) <= bound
    met("full" if len(layer) == bound else "others")


async def _flood(layer, clock, queries):
    """Return when each network (by its first octets) got whole answers to each question."""
    service = layer(answer)
    whole: dict[tuple[str, str], list[float]] = {}
    for peer, name, later in queries:
        clock.now += later
        reply = await service(ask(name), context(peer))
        if reply is not None and not reply.truncated:
            whole.setdefault((peer[:9], name), []).append(clock.now)
    return whole


@pytest.mark.rfc("8906", "8")
@shares(read=0.1, refused=0.2)
@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        st.binary(min_size=12, max_size=80),
        st.builds(
            lambda head, options, cut: build_query(
                7, b"\x01x\x00", iana.A, edns=Edns(options=tuple(options))
            ).replace(b"\0\7\1\0", b"\0\7" + head)[: cut + 12],
            st.sampled_from([b"\1\0", b"\0\x10", b"\x28\0"]),
            OPTIONS,
            st.integers(0, 400),
        ),
    )
)
def test_every_message_that_is_no_response_gets_one_answer(frame):
    """Twelve octets with QR clear: an answer or a refusal, with its ID and opcode."""
    frame = frame[:2] + bytes((frame[2] & 0x7F,)) + frame[3:]
    codec = DatagramReplyCodec(extended_errors=True)
    try:
        query = parse_query(frame)
    except DecodeError as error:
        met("refused")
        message = codec.reject(error, frame)
    else:
        met("read")
        message = codec.encode(asyncio.run(_asked(dns.standard(answer), query, context())))
    assert message is not None
    assert message[:2] == frame[:2]
    assert message[2] & 0xF8 == 0x80 | frame[2] & 0x78
    assert len(message) <= 512
