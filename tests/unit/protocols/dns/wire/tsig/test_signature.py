"""One signed message, made and checked beside dnspython's implementation."""

from __future__ import annotations

from dataclasses import replace

import dns.message
import dns.name
import dns.tsig
import pytest

from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.edns import Edns
from pierhead.protocols.dns.wire.name import from_text
from pierhead.protocols.dns.wire.query import build_query
from pierhead.protocols.dns.wire.tsig import BadTsig, Key, Keyring, find_tsig, sign, verify
from pierhead.protocols.dns.wire.tsig.key import ALGORITHMS
from pierhead.protocols.dns.wire.tsig.record import add_tsig, tsig_octets, without_tsig

NOW = 1_700_000_000
SECRET = bytes(range(32))
KEY = Key("North.Example", SECRET)
OTHER = Key("south.example", bytes(32))
RING = Keyring([KEY, OTHER])
QUERY = build_query(0x1234, from_text("www.example."), iana.A, edns=Edns())


def theirs(key: Key) -> dns.tsig.Key:
    name = key.algorithm_text
    return dns.tsig.Key(key.text, key.secret, dns.name.from_text(name))


def changed(frame: bytes, **fields: object) -> bytes:
    """Return a signed message with other fields in its TSIG record."""
    record = find_tsig(frame)
    return add_tsig(without_tsig(frame, record), replace(record, **fields))


def refusal(frame: bytes, now: int = NOW, keys: Keyring = RING, **more: bytes) -> BadTsig:
    with pytest.raises(BadTsig) as caught:
        verify(frame, keys, now, **more)
    return caught.value


@pytest.mark.rfc("8945", "6")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_dnspython_verifies_what_is_signed_by_each_algorithm(algorithm, monkeypatch):
    key = Key("north.example", SECRET, algorithm=algorithm)
    signed = sign(QUERY, key, NOW)
    monkeypatch.setattr("time.time", lambda: NOW)
    parsed = dns.message.from_wire(signed.frame, keyring=theirs(key))
    assert parsed.had_tsig
    assert parsed.mac == signed.mac
    assert len(signed.mac) == ALGORITHMS[algorithm].octets


@pytest.mark.rfc("8945", "4.3.3")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_dnspython_signs_is_verified(algorithm, monkeypatch):
    key = Key("North.Example", SECRET, algorithm=algorithm)
    monkeypatch.setattr("time.time", lambda: NOW)
    message = dns.message.make_query("www.Example.", "AAAA", use_edns=0)
    message.use_tsig(theirs(key))
    found = verify(message.to_wire(), Keyring([key]), NOW)
    assert found.key is key
    assert found.record.mac == message.mac


@pytest.mark.rfc("8945", "5.2.2.1")
@pytest.mark.parametrize("algorithm", ["hmac-sha256-128", "hmac-sha384-192", "hmac-sha512-256"])
def test_dnspython_verifies_truncated_macs(algorithm, monkeypatch):
    key = Key("north.example", SECRET, algorithm=algorithm)
    whole = Key("north.example", SECRET, algorithm=key.algorithm.text)
    monkeypatch.setattr("time.time", lambda: NOW)
    signed = sign(QUERY, key, NOW)
    assert signed.mac == sign(QUERY, whole, NOW).mac[: key.mac_octets]
    # The longer name is dnspython's for the algorithm; on the wire it has the short one.
    record = find_tsig(signed.frame)
    context = dns.tsig.get_context(theirs(key))
    context.update(QUERY + record.variables)
    assert context.sign() == signed.mac


@pytest.mark.rfc("8945", "5.3")
def test_a_reply_is_signed_with_the_mac_of_its_request(monkeypatch):
    monkeypatch.setattr("time.time", lambda: NOW)
    request = dns.message.make_query("www.example.", "A")
    request.use_tsig(theirs(KEY))
    asked = verify(request.to_wire(), RING, NOW)
    bare = dns.message.make_response(dns.message.from_wire(asked.frame)).to_wire()
    answer = sign(bare, KEY, NOW, request_mac=asked.record.mac)
    parsed = dns.message.from_wire(answer.frame, keyring=theirs(KEY), request_mac=request.mac)
    assert parsed.had_tsig
    assert verify(answer.frame, RING, NOW, request_mac=request.mac).frame == bare
    assert refusal(answer.frame).error == iana.BADSIG


@pytest.mark.rfc("8945", "5.2")
def test_the_identifier_may_change_on_the_way():
    signed = sign(QUERY, KEY, NOW)
    found = verify(b"\xff\xff" + signed.frame[2:], RING, NOW)
    assert found.frame == QUERY


@pytest.mark.rfc("8945", "5.2.1")
@pytest.mark.parametrize(
    "key", [Key("west.example", SECRET), Key("north.example", SECRET, algorithm="hmac-sha1")]
)
def test_an_unknown_name_or_algorithm_is_badkey(key):
    error = refusal(sign(QUERY, key, NOW).frame)
    assert (error.error, error.key) == (iana.BADKEY, None)
    assert error.record.name == key.name


@pytest.mark.rfc("8945", "5.2.2")
def test_another_secret_is_badsig():
    forged = Key("north.example", b"guessed")
    error = refusal(sign(QUERY, forged, NOW).frame)
    assert (error.error, error.key) == (iana.BADSIG, KEY)


@pytest.mark.rfc("8945", "5.2.2.1")
@pytest.mark.parametrize(
    ("octets", "error"), [(0, 0), (9, 0), (15, 0), (33, 0), (16, iana.BADTRUNC)]
)
def test_a_mac_of_a_length_that_none_has_is_a_format_error(octets, error):
    signed = sign(QUERY, KEY, NOW)
    cut = changed(signed.frame, mac=(signed.mac + b"x")[:octets])
    assert refusal(cut).error == error


@pytest.mark.rfc("8945", "5.2.4")
def test_a_short_mac_is_enough_for_a_key_that_allows_it():
    lenient = Key("north.example", SECRET, algorithm="hmac-sha256-128")
    signed = sign(QUERY, KEY, NOW)
    for octets in (16, 24, 32):
        cut = changed(signed.frame, mac=signed.mac[:octets])
        assert verify(cut, Keyring([lenient]), NOW).key is lenient
    strict = Key("north.example", SECRET, algorithm="hmac-sha256-192")
    cut = changed(signed.frame, mac=signed.mac[:23])
    assert refusal(cut, keys=Keyring([strict])).error == iana.BADTRUNC


@pytest.mark.rfc("8945", "5.2.4")
def test_a_wrong_mac_is_badsig_however_short_it_is():
    signed = sign(QUERY, KEY, NOW)
    assert refusal(changed(signed.frame, mac=bytes(16))).error == iana.BADSIG


@pytest.mark.rfc("8945", "5.2.3")
@pytest.mark.parametrize(
    ("skew", "is_good"), [(0, True), (300, True), (-300, True), (301, False), (-301, False)]
)
def test_clocks_may_differ_by_the_fudge(skew, is_good):
    signed = sign(QUERY, KEY, NOW)
    if is_good:
        assert verify(signed.frame, RING, NOW + skew)
    else:
        assert refusal(signed.frame, NOW + skew).error == iana.BADTIME


@pytest.mark.rfc("8945", "5.2.2")
def test_a_wrong_mac_is_badsig_whatever_its_time():
    forged = Key("north.example", b"guessed")
    assert refusal(sign(QUERY, forged, 1).frame).error == iana.BADSIG


@pytest.mark.rfc("8945", "4.2")
def test_a_time_has_48_bits():
    signed = sign(QUERY, KEY, 2**48 - 1)
    assert verify(signed.frame, RING, 2**48 - 1).record.time == 2**48 - 1


def test_a_message_without_a_signature_is_none():
    assert verify(QUERY, RING, NOW) is None


def counts(frame: bytes, **numbers: int) -> bytes:
    places = {"questions": 4, "answers": 6, "authorities": 8, "additionals": 10}
    for name, number in numbers.items():
        at = places[name]
        frame = frame[:at] + number.to_bytes(2, "big") + frame[at + 2 :]
    return frame


SIGNED = sign(QUERY, KEY, NOW).frame
OPT = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
RECORD = find_tsig(SIGNED)


@pytest.mark.rfc("8945", "5.2")
@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(counts(SIGNED + OPT, additionals=3), id="not last"),
        pytest.param(counts(SIGNED + RECORD.octets, additionals=3), id="two"),
        pytest.param(counts(SIGNED, authorities=2, additionals=0), id="authority section"),
        pytest.param(SIGNED.replace(b"\0\xfa\0\xff", b"\0\xfa\0\x01"), id="class IN"),
        pytest.param(SIGNED.replace(b"\0\xfa\0\xff\0\0\0\0", b"\0\xfa\0\xff\0\0\0\x01"), id="TTL"),
        pytest.param(SIGNED[:-1], id="cut"),
        pytest.param(SIGNED + b"x", id="octets after"),
        pytest.param(changed(SIGNED, algorithm=b"\xc0\x0c"), id="compressed algorithm"),
        pytest.param(counts(SIGNED, additionals=9), id="too few records"),
        pytest.param(SIGNED[:11], id="no header"),
        pytest.param(counts(SIGNED, questions=3), id="too few questions"),
    ],
)
def test_a_record_that_is_malformed_or_in_the_wrong_place_is_a_format_error(frame):
    assert refusal(frame).error == iana.NOERROR


def test_lengths_that_do_not_add_up_are_a_format_error():
    for octets in range(1, len(RECORD.octets) - len(RECORD.name)):
        rdata = RECORD.octets[len(RECORD.name) + 10 : -octets]
        record = RECORD.octets[: len(RECORD.name) + 8] + len(rdata).to_bytes(2, "big") + rdata
        refusal(SIGNED[: RECORD.offset] + record)


def test_the_length_of_a_record_is_known_before_it_is_made():
    for other in (b"", bytes(6)):
        frame = sign(QUERY, KEY, NOW, other=other).frame
        octets = tsig_octets(KEY.name, KEY.algorithm.name, KEY.mac_octets, len(other))
        assert len(frame) == len(QUERY) + octets
