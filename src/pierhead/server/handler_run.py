"""Runs the handler of a conversation; a mistake in it ends that conversation alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from pierhead.connection.conversation import Conversation
from pierhead.errors import ConnectionEnded, DecodeError
from pierhead.failure_log import FailureLog

__all__ = ["handler_name", "run_handler"]


def handler_name(handler: Any) -> str:
    """Return the name of a handler, for tasks and messages."""
    return getattr(handler, "__qualname__", "handler")


async def run_handler(
    handler: Callable[[Any], Awaitable[None]],
    conversation: Conversation[Any, Any],
    failures: FailureLog,
    refuse: Callable[[DecodeError], str],
) -> str:
    """Run a handler until it returns or fails; return why its conversation ends.

    Args:
        refuse: called if the handler failed because of invalid input; returns the reason.
    """
    peer = conversation.peer
    try:
        await handler(conversation)
    except ConnectionEnded as end:  # of this conversation, or of one that it depends on
        failures.note(end, "service", peer)
    except DecodeError as error:
        return refuse(error)
    except Exception as mistake:
        where = f"{conversation.via.listener}: {handler_name(handler)}"
        failures.report(where, mistake, "service", peer)
        return "error"
    return "closed"
