"""Laws of the ancillary data of datagrams."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.net.datagram.ancillary import (
    pack_control_message,
    read_ancillary,
    split_coalesced,
    unpack_control_messages,
)
from pierhead.service.context import Ecn

numbers = st.integers(0, 2**32 - 1)
messages = st.tuples(numbers, numbers, st.binary(max_size=40))


@given(data=st.binary(max_size=300), segment_bytes=st.integers(0, 310))
def test_splitting_loses_nothing_and_keeps_the_order(data, segment_bytes):
    parts = split_coalesced(data, segment_bytes)
    assert b"".join(parts) == data
    assert len(parts) >= 1  # an empty datagram is one, too
    if segment_bytes:
        assert {len(part) for part in parts[:-1]} <= {segment_bytes}
        assert len(parts[-1]) <= segment_bytes
        assert parts[-1] or len(parts) == 1
    else:
        assert parts == [data]


@given(parts=st.integers(1, 60), segment_bytes=st.integers(1, 50), last=st.integers(1, 50))
def test_coalesced_datagrams_are_split_again(parts, segment_bytes, last):
    sent = [bytes([i]) * segment_bytes for i in range(parts)]
    sent.append(b"z" * min(last, segment_bytes))
    assert split_coalesced(b"".join(sent), segment_bytes) == sent


@given(said=st.lists(messages, max_size=6))
def test_control_messages_are_read_as_they_were_written(said):
    assert list(unpack_control_messages(b"".join(map(pack_control_message, said)))) == said


@given(control=st.binary(max_size=120))
def test_reading_any_ancillary_data_terminates(control):
    for _level, _kind, data in unpack_control_messages(control):
        assert len(data) <= len(control)


@pytest.mark.rfc("3168", "5")
@given(octet=st.integers(0, 255))
def test_the_congestion_mark_is_the_lower_two_bits_of_the_octet(octet):
    expected = (Ecn.NOT_ECT, Ecn.ECT_1, Ecn.ECT_0, Ecn.CE)[octet % 4]
    assert read_ancillary([(0, socket.IP_TOS, bytes([octet]))]).ecn is expected
    whole = octet.to_bytes(4, "little" if socket.htons(1) != 1 else "big")
    assert read_ancillary([(41, socket.IPV6_TCLASS, whole)]).ecn is expected
