"""Middleware is a function from service to service."""

import logging

from services import shout

from pierhead import run, stack
from pierhead.middleware import limit, timeout
from pierhead.protocols import lines

logging.basicConfig(level=logging.INFO)


def audited(service):
    async def inner(request, context):
        reply = await service(request, context)
        logging.info("%s asked %r, got %r", context.peer, request, reply)
        return reply

    return inner


run(lines.serve(stack(shout, audited, limit(100), timeout(2.0))), "tcp:127.0.0.1:7000")
