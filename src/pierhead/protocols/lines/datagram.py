"""Several lines in one datagram: each is a request, and the answers share a datagram too."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from pierhead.errors import DecodeError, Overloaded
from pierhead.service import FrameHandler, Reply, is_many
from pierhead.service.context import Context

__all__ = ["each_line", "lines_of"]

#: The most lines in one datagram, and answers to them; its sender may be forged.
_MAX_LINES = 100


def lines_of(datagram: bytes) -> Sequence[bytes]:
    """Return the lines of a datagram; the last one needs no line ending.

    Raises:
        DecodeError: there are too many.
    """
    lines = datagram.removesuffix(b"\n").split(b"\n")
    if len(lines) > _MAX_LINES:
        raise DecodeError(f"{len(lines)} lines in one datagram, at most {_MAX_LINES} are expected")
    return [line.removesuffix(b"\r") for line in lines]


def each_line(handler: FrameHandler) -> FrameHandler:
    """Return a handler of datagrams that passes each line to this handler, which expects one."""
    answer_line, known = handler.service, handler.answer_now

    async def answer_datagram(frame: bytes, context: Context) -> Reply[bytes]:
        if b"\n" not in frame or frame.index(b"\n") == len(frame) - 1:
            return await answer_line(frame, context)
        return await _answer_all(handler, frame, context)

    if known is None:
        return replace(handler, service=answer_datagram)

    def answer_now(frame: bytes, *where: Any) -> bytes | None:
        is_one = b"\n" not in frame or frame.index(b"\n") == len(frame) - 1
        return known(frame, *where) if is_one else None

    return replace(handler, service=answer_datagram, answer_now=answer_now)


async def _answer_all(handler: FrameHandler, frame: bytes, context: Context) -> bytes | None:
    lines = frame.removesuffix(b"\n").split(b"\n")
    if len(lines) > _MAX_LINES:
        raise Overloaded("max_replies_per_datagram")
    answers: list[bytes] = []
    for line in lines:
        reply = await handler.service(line.removesuffix(b"\r"), context)
        if reply is None:
            continue
        if not is_many(reply):
            answers.append(reply)  # type: ignore[arg-type]  # no iterator: a guard cannot say so
            continue
        async with aclosing(reply) as replies:  # type: ignore[type-var]  # coded: it has aclose
            async for one in replies:
                answers.append(one)
                if len(answers) > _MAX_LINES:
                    raise Overloaded("max_replies_per_datagram")
    return b"\n".join(answers) if answers else None
