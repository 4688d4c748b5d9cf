from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead import Server
from pierhead.client.dial import dial_datagram
from pierhead.errors import DecodeError, UsageError
from pierhead.protocols import lines
from pierhead.protocols.lines.wire import Bytes, Text
from pierhead.testing.laws import check_codec, check_wire_format


async def upper(line: str, context: Any) -> str:
    return line.upper()


@pytest.mark.parametrize("codec", [Bytes(), Text(), Text("latin-1"), Text("ascii"), Text("cp437")])
def test_any_bytes_decode_or_are_refused(codec: Any) -> None:
    check_codec(codec, [b"", b"\n", b"\r\n", b"\xff\xfe", b"a\rb"])


@given(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"])))
def test_a_line_survives_unless_it_ends_like_one(text: str) -> None:
    codec = Text()
    assert codec.decode(codec.encode(text)) == text


@pytest.mark.parametrize("datagram", [b"line", b"line\n", b"line\r\n"])
def test_a_datagram_may_carry_the_end_of_its_line(datagram: bytes) -> None:
    assert Text().decode(datagram) == "line"


def test_a_datagram_of_two_lines_is_refused() -> None:
    with pytest.raises(DecodeError) as caught:
        Bytes().decode(b"a\nb\n")
    assert caught.value.offset == 1


def test_undecodable_text_says_where() -> None:
    with pytest.raises(DecodeError) as caught:
        Text().decode(b"ab\xff")
    assert caught.value.offset == 2


@pytest.mark.parametrize(
    ("codec", "reply", "message"),
    [
        (Text(), "two\nlines", "newline at octet 3"),
        (Bytes(), b"two\nlines", "newline at octet 3"),
        (Text(), b"bytes", "expected str"),
        (Bytes(), "text", "expected bytes"),
        (Text("ascii"), "é", "ascii has no character 'é'"),
    ],
)
def test_a_reply_that_is_no_line_is_a_mistake_of_the_service(
    codec: Any, reply: Any, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        codec.encode(reply)


@pytest.mark.parametrize(
    "encoding",
    [
        "utf-16",
        "no-such",
        "base64",
        "utf-32-le",
        "undefined",
        "\udcff",
        "a\0b",
        "",
        "punycode",
    ],
)
def test_an_encoding_that_cannot_carry_lines_is_refused(encoding: str) -> None:
    with pytest.raises(UsageError):
        lines.serve(upper, encoding=encoding)


def test_codecs_that_say_less_of_what_is_wrong_say_it_as_well() -> None:
    names = Text("idna")  # raises plain UnicodeErrors, without a position
    with pytest.raises(DecodeError, match="not idna"):
        names.decode(b"xn--99999999")
    with pytest.raises(UsageError, match="idna"):
        names.encode("a..b")


async def test_bytes_in_bytes_out(network: Any) -> None:
    async with Server(lines.serve(lines.echo, encoding=None), "memgram:echo"):
        client = await dial_datagram("memgram:echo")
        client.send(b"\xff\x00\n")
        assert await client.receive() == b"\xff\x00"
        client.close()


async def test_a_service_that_takes_two_seconds_delays_no_other_request(clock: Any) -> None:
    started = clock.monotonic()
    answered: dict[bytes, float] = {}

    async def slow_for_some(line: str, context: Any) -> str:
        await asyncio.sleep(2.0 if line == "slow" else 0.0)
        return line

    async with Server(lines.serve(slow_for_some), "memgram:service", clock=clock):
        clients = [await dial_datagram("memgram:service") for _ in range(3)]

        async def ask(client: Any, line: bytes) -> None:
            client.send(line)
            assert await client.receive() == line
            answered[line] = clock.monotonic() - started

        lines_to_send = (b"slow", b"quick", b"other")
        await asyncio.gather(*map(ask, clients, lines_to_send))
        for client in clients:
            client.close()
    assert answered == {b"slow": 2.0, b"quick": 0.0, b"other": 0.0}


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "shift_jis"])
def test_a_server_and_a_client_of_lines_understand_each_other(encoding):
    check_wire_format(lines.wire_format(encoding), ["", "ahoy", "a b"], str.upper)


def test_a_server_and_a_client_of_octets_in_lines_understand_each_other():
    check_wire_format(lines.wire_format(None), [b"", b"ahoy", b"\xff\r\x00"], bytes.upper)
