"""Figures 7 and 8: serve all TCP clients at once, and print their lines.

A client that sends what is no text, or breaks off, ends its own conversation.
"""

from pierhead import Conversation, run
from pierhead.protocols import lines


async def handle_client(conversation: Conversation[str, str]) -> None:
    async for line in conversation:
        print(line, flush=True)


run(lines.converse(handle_client), "tcp:127.0.0.1:7000")
