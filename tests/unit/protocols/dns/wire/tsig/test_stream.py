"""Messages that follow one another, made and checked beside dnspython's implementation."""

from __future__ import annotations

import dns.message
import dns.name
import dns.tsig
import pytest

from pierhead.errors import UsageError
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.name import from_text
from pierhead.protocols.dns.wire.query import build_query
from pierhead.protocols.dns.wire.tsig import (
    BadTsig,
    Key,
    StreamSigner,
    StreamVerifier,
    find_tsig,
    sign,
)

NOW = 1_700_000_000
KEY = Key("north.example", bytes(range(32)))
THEIRS = dns.tsig.Key("north.example", KEY.secret, dns.name.from_text("hmac-sha256"))
MAC = sign(build_query(7, from_text("example."), iana.AXFR, edns=None), KEY, NOW).mac


def message(number: int) -> bytes:
    """Return a reply without records, each with another name."""
    return build_query(7, from_text(f"m{number}.example."), iana.A, edns=None, flags=0x8400)


def stream(count: int, every: int = 1) -> list[bytes]:
    signer = StreamSigner(KEY, MAC, every=every)
    return [signer.sign(message(n), NOW + n, is_last=n == count - 1) for n in range(count)]


def verified(frames: list[bytes], now: int = NOW) -> list[bytes]:
    verifier = StreamVerifier(KEY, MAC)
    found = [verifier.verify(frame, now) for frame in frames]
    verifier.finish()
    return found


@pytest.mark.rfc("8945", "5.3.1")
@pytest.mark.parametrize("every", [1, 2, 7, 100])
@pytest.mark.parametrize("count", [1, 2, 3, 8, 101])
def test_dnspython_verifies_a_stream(count, every, monkeypatch):
    monkeypatch.setattr("time.time", lambda: NOW)
    context = None
    for frame in stream(count, every):
        parsed = dns.message.from_wire(
            frame, keyring=THEIRS, request_mac=MAC, multi=True, tsig_ctx=context
        )
        context = parsed.tsig_ctx
    assert parsed.had_tsig


@pytest.mark.rfc("8945", "5.3.1")
@pytest.mark.parametrize("every", [1, 2, 7, 100])
@pytest.mark.parametrize("count", [1, 2, 3, 8, 101, 202])
def test_a_stream_verifies(count, every):
    frames = stream(count, every)
    assert verified(frames) == [message(n) for n in range(count)]
    signed = [n for n, frame in enumerate(frames) if find_tsig(frame)]
    assert signed == sorted({*range(0, count, every), count - 1})


@pytest.mark.rfc("8945", "5.3.1")
def test_the_first_and_the_last_message_must_be_signed():
    with pytest.raises(BadTsig, match="is not signed"):
        verified([message(0)])
    with pytest.raises(BadTsig, match="the last message is not signed"):
        verified([*stream(3), message(3)])
    with pytest.raises(BadTsig, match="the last message is not signed"):
        verified([])


@pytest.mark.rfc("8945", "5.3.1")
def test_99_messages_in_between_may_be_unsigned_and_no_more():
    first, *others = stream(100, 100)
    assert verified([first, *others])
    verifier = StreamVerifier(KEY, MAC)
    verifier.verify(first, NOW)
    for n in range(99):
        verifier.verify(message(n), NOW)
    with pytest.raises(BadTsig, match="more than 99"):
        verifier.verify(message(99), NOW)


def test_another_key_cannot_take_over():
    other = Key("south.example", bytes(32))
    first, _ = stream(2)
    foreign = sign(message(1), other, NOW)
    verifier = StreamVerifier(KEY, MAC)
    verifier.verify(first, NOW)
    with pytest.raises(BadTsig) as caught:
        verifier.verify(foreign.frame, NOW)
    assert caught.value.error == iana.BADKEY


@pytest.mark.rfc("8945", "5.2.3")
def test_each_signature_has_its_time():
    frames = stream(2)
    verifier = StreamVerifier(KEY, MAC)
    verifier.verify(frames[0], NOW)
    with pytest.raises(BadTsig) as caught:
        verifier.verify(frames[1], NOW + 400)
    assert caught.value.error == iana.BADTIME


def test_the_room_that_a_signature_takes_is_known():
    signer = StreamSigner(KEY, MAC)
    for n in range(3):
        assert len(signer.sign(message(n), NOW)) == len(message(n)) + signer.octets


@pytest.mark.parametrize("every", [0, 101])
def test_more_than_99_unsigned_messages_are_not_sent(every):
    with pytest.raises(UsageError, match="expected 1 to 100"):
        StreamSigner(KEY, MAC, every=every)
