"""Asks a filter as a server does, without one."""

from __future__ import annotations

import json

from pierhead.protocols.http import Request, Response
from pierhead.service.context import Context, Peer, Transport, Via

CONTEXT = Context(
    Peer("tester"), 0.0, Via(transport=Transport.STREAM, scheme="mem", local="a", listener="mem:a")
)


async def ask(service, method, target, body=b"", **fields) -> Response:
    named = [(name.replace("_", "-"), value) for name, value in fields.items()]
    return await service(Request(method, target, named, body), CONTEXT)


async def answer(service, method, target, body=b"", **fields) -> tuple[int, str]:
    """Return the status and the text, or the detail of the problem."""
    response = await ask(service, method, target, body, **fields)
    content = (await response.body.read(10**6)).decode()
    if response.fields.get("content-type") == "application/problem+json":
        problem = json.loads(content)
        assert problem["status"] == response.status
        content = problem.get("detail", "")
    return response.status, content
