"""Laws of signatures: what is signed verifies, what is changed does not, order matters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares

from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.edns import Edns
from pierhead.protocols.dns.wire.query import build_query
from pierhead.protocols.dns.wire.tsig import (
    BadTsig,
    Key,
    Keyring,
    StreamSigner,
    StreamVerifier,
    bind_text,
    find_tsig,
    parse_keys,
    sign,
    verify,
)
from pierhead.protocols.dns.wire.tsig.key import ALGORITHMS
from pierhead.protocols.dns.wire.tsig.last_times import LastTimes

NOW = 1_700_000_000
NAMES = st.lists(st.text("abcXYZ019-", min_size=1, max_size=12), min_size=1, max_size=4).map(
    lambda labels: ".".join(labels) + "."
)
ALGORITHM = st.sampled_from(
    [*ALGORITHMS, *(f"{a.text}-{8 * n}" for a in ALGORITHMS.values() for n in (a.min_octets,))]
)
KEYS = st.builds(
    lambda name, secret, algorithm: Key(name, secret, algorithm=algorithm),
    NAMES,
    st.binary(min_size=1, max_size=100),
    ALGORITHM,
)
QNAMES = st.lists(st.binary(min_size=1, max_size=20), max_size=5).map(
    lambda labels: b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
)
MESSAGES = st.builds(
    lambda ident, qname, flags, has_edns: build_query(
        ident, qname, iana.A, edns=Edns() if has_edns else None, flags=flags
    ),
    st.integers(0, 65535),
    QNAMES,
    st.integers(0, 65535),
    st.booleans(),
)
MACS = st.binary(max_size=64)


@given(MESSAGES, KEYS, MACS, st.integers(0, 2**48 - 1), st.integers(-300, 300))
def test_what_is_signed_verifies(message, key, mac, now, skew):
    signed = sign(message, key, now, request_mac=mac)
    found = verify(signed.frame, Keyring([key]), now + skew, request_mac=mac)
    assert (found.key, found.frame, found.record.mac) == (key, message, signed.mac)
    assert len(signed.mac) == key.mac_octets


@shares(refused=0.6, unsigned=0.0, verified=0.0)
@given(MESSAGES, KEYS, MACS, st.data())
def test_any_changed_octet_fails(message, key, mac, data):
    """Except what nothing signs: the letter case of the names of key and algorithm."""
    signed = sign(message, key, NOW, request_mac=mac)
    at = data.draw(st.integers(2, len(signed.frame) - 1))
    flipped = signed.frame[at] ^ data.draw(st.integers(1, 255))
    frame = signed.frame[:at] + bytes([flipped]) + signed.frame[at + 1 :]
    try:
        found = verify(frame, Keyring([key]), NOW, request_mac=mac)
    except BadTsig:
        met("refused")
        return
    if found is None:  # its type is another now, or the count of records: it is not signed
        met("unsigned")
        assert at in (10, 11) or at >= len(message)
        return
    met("verified")
    before, after = find_tsig(signed.frame), found.record
    assert frame.lower() == signed.frame.lower()
    assert before.name.lower() == after.name.lower()
    assert (found.frame, after.mac, after.time) == (message, before.mac, before.time)


@shares(forged=0.5, same=0.0)
@given(MESSAGES, KEYS, st.binary(min_size=1, max_size=100))
def test_another_secret_fails(message, key, secret):
    forged = Key(key.text, b"another" + secret, algorithm=key.algorithm_text)
    signed = sign(message, forged, NOW).frame
    if forged.mac(b"") == key.mac(b""):  # HMAC pads a secret with zeros
        met("same")
        assert verify(signed, Keyring([key]), NOW)
        return
    met("forged")
    with pytest.raises(BadTsig) as caught:
        verify(signed, Keyring([key]), NOW)
    assert caught.value.error == iana.BADSIG


@given(MESSAGES, KEYS, MACS, st.binary(min_size=1, max_size=4))
def test_a_reply_to_another_request_fails(message, key, mac, more):
    signed = sign(message, key, NOW, request_mac=mac)
    with pytest.raises(BadTsig) as caught:
        verify(signed.frame, Keyring([key]), NOW, request_mac=mac + more)
    assert caught.value.error == iana.BADSIG


@shares(refused=0.2, unsigned=0.0)
@given(st.binary(max_size=200), KEYS)
def test_no_octets_are_anything_but_refused_or_unsigned(octets, key):
    """Half a header makes random octets a message now and then."""
    frame = octets if len(octets) % 2 else bytes(11) + octets
    try:
        assert verify(frame, Keyring([key]), NOW) is None
        met("unsigned")
    except BadTsig:
        met("refused")


def frames_of(messages, key, mac, every):
    signer = StreamSigner(key, mac, every=every)
    last = len(messages) - 1
    return [signer.sign(m, NOW, is_last=n == last) for n, m in enumerate(messages)]


def verified(frames, key, mac):
    verifier = StreamVerifier(key, mac)
    found = [verifier.verify(frame, NOW) for frame in frames]
    verifier.finish()
    return found


STREAMS = st.lists(MESSAGES, min_size=1, max_size=8)


@given(STREAMS, KEYS, MACS, st.integers(1, 100))
def test_a_stream_verifies(messages, key, mac, every):
    assert verified(frames_of(messages, key, mac, every), key, mac) == messages


@given(STREAMS, KEYS, MACS, st.integers(1, 4), st.data())
def test_a_stream_in_another_order_fails(messages, key, mac, every, data):
    # One more, and each with an identifier of its own: no two are the same.
    messages = [n.to_bytes(2, "big") + m[2:] for n, m in enumerate([*messages, messages[0]])]
    frames = frames_of(messages, key, mac, every)
    one = data.draw(st.integers(0, len(messages) - 2))
    other = data.draw(st.integers(one + 1, len(messages) - 1))
    frames[one], frames[other] = frames[other], frames[one]
    with pytest.raises(BadTsig):
        verified(frames, key, mac)


@given(STREAMS, KEYS, MACS, st.integers(1, 4), st.data())
def test_a_stream_with_one_message_twice_fails(messages, key, mac, every, data):
    frames = frames_of(messages, key, mac, every)
    at = data.draw(st.integers(0, len(frames) - 1))
    with pytest.raises(BadTsig):
        verified([*frames[: at + 1], *frames[at:]], key, mac)


@given(STREAMS, MESSAGES, KEYS, MACS, st.integers(1, 4), st.data())
def test_a_stream_with_one_message_missing_fails(messages, last, key, mac, every, data):
    """But for its end, which its protocol knows: a transfer ends with its SOA record."""
    frames = frames_of([*messages, last], key, mac, every)
    del frames[data.draw(st.integers(0, len(messages) - 1))]
    with pytest.raises(BadTsig):
        verified(frames, key, mac)


@given(st.lists(KEYS, min_size=1, max_size=4, unique_by=lambda key: key.name))
def test_keys_read_back_from_their_text(keys):
    assert parse_keys("".join(bind_text(key) for key in keys)) == tuple(keys)


@given(
    st.integers(1, 3),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=30),
)
def test_times_of_one_address_never_go_back_and_few_are_kept(most, uses):
    key = Key("a.", b"s")
    table, latest = LastTimes(most), {}
    order: list[int] = []
    for peer, time in uses:
        later = table.advance(key, bytes([peer]), time)
        known = latest.get(peer) if peer in order[-most:] else None
        assert later == (known if known is not None and known > time else None)
        latest[peer] = max(time, known) if known is not None else time
        order = [each for each in order if each != peer] + [peer]
        assert len(table) == min(most, len(order))
