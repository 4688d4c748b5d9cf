"""Each EDNS option with each malformed length, and each header bit with each opcode."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.protocols.dns.message_table import ROWS, STREAM_ROWS, Row, Told, told
from tests.unit.protocols.dns.middleware.asking import answer, context

from pierhead.errors import PierheadError
from pierhead.protocols import dns
from pierhead.protocols.dns.admission import check_header
from pierhead.protocols.dns.codec import DatagramReplyCodec, QueryCodec, ReplyCodec
from pierhead.service import FrameHandler
from pierhead.service.coding import coded
from pierhead.service.context import Context


async def reply_to(frame: bytes, handler: FrameHandler, where: Context) -> bytes | None:
    """Return what leaves the server for a frame."""
    if check_header(frame, where.peer, where.via) is not None:
        return None
    try:
        reply: Any = await handler.service(frame, where)
    except PierheadError as error:
        return handler.reject(error, frame)
    return reply


async def wrong(rows: tuple[Row, ...], *, tcp: bool) -> dict[str, tuple[str, Told | None, Any]]:
    """Return what is not answered as its row says: the rule, the answer, and what it must be."""
    site = dns.standard(answer, nsid="north-2", rate_limit=False)
    handler = coded(site.service, QueryCodec(), ReplyCodec() if tcp else DatagramReplyCodec())
    found = {}
    for row in rows:
        said = told(await reply_to(row.frame, handler, context(tcp=tcp)))
        if said != row.answer:
            found[row.name] = (row.rule, said, row.answer)
    return found


def test_every_row_has_a_name_of_its_own():
    for rows in (ROWS, STREAM_ROWS):
        assert len({row.name for row in rows}) == len(rows) > 700


@pytest.mark.rfc("6891", "6.1.1")
@pytest.mark.rfc("6891", "6.1.2")
@pytest.mark.rfc("7871", "7.2.1")
@pytest.mark.rfc("7873", "5.2")
@pytest.mark.rfc("7828", "3.2.2")
async def test_datagrams_are_answered_as_their_rules_say():
    assert await wrong(ROWS, tcp=False) == {}


@pytest.mark.rfc("7828", "3.2.1")
async def test_messages_on_streams_are_answered_as_their_rules_say():
    assert await wrong(STREAM_ROWS, tcp=True) == {}
