"""Replies of lines that are known at once make no request."""

from __future__ import annotations

import asyncio

from pierhead import serve
from pierhead.client.dial import dial_stream
from pierhead.codec import Lines
from pierhead.codec.base import WireFormat
from pierhead.protocols import lines
from pierhead.protocols.lines.wire import Text
from pierhead.service import stack
from pierhead.service.coding import coded


class Greeter:
    """Knows one reply at once."""

    def __init__(self):
        self.asked = []

    async def __call__(self, line, context):
        self.asked.append(line)
        return f"let me see, {line}"

    def answer_now(self, line, peer, via):
        return "hello" if line == "hi" else None


def test_what_is_known_is_answered_and_the_rest_is_not():
    handler = coded(Greeter(), Text())
    assert handler.answer_now(b"hi", None, None) == b"hello"
    assert handler.answer_now(b"who", None, None) is None


def test_what_cannot_be_decoded_is_left_to_be_refused():
    assert coded(Greeter(), Text()).answer_now(b"\xff", None, None) is None


def test_a_layer_hides_what_is_known_since_it_has_to_see_every_request():
    def layer(service):
        async def inner(request, context):
            return await service(request, context)

        return inner

    assert coded(stack(Greeter(), layer), Text()).answer_now is None


async def asked(address, sent):
    reader = asyncio.StreamReader()
    transport = await dial_stream(address, lambda: asyncio.StreamReaderProtocol(reader))
    transport.write(sent)
    transport.write_eof()
    replies = await reader.read()
    transport.close()
    return replies


async def test_known_replies_keep_their_place_among_the_others(network, server):
    greeter = Greeter()
    started = await server(lines.serve(greeter), "mem:greeter")
    assert await asked("mem:greeter", b"who\nhi\nwhere\n") == (
        b"let me see, who\nhello\nlet me see, where\n"
    )
    assert greeter.asked == ["who", "where"]
    assert started.metrics.total("ready_answers_total") == 1


async def test_echo_makes_no_requests(network, server):
    started = await server(lines.serve(lines.echo, encoding=None), "mem:echo")
    assert await asked("mem:echo", b"a\nb\n") == b"a\nb\n"
    assert started.metrics.total("ready_answers_total") == 2
    assert started.metrics.total("requests_answered_total") == 0


def test_a_wire_format_of_ones_own_has_it_too():
    endpoint = serve(Greeter(), WireFormat(Lines(), Text()))
    assert endpoint.datagram.answer_now(b"hi", None, None) == b"hello"
