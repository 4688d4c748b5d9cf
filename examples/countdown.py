"""Many replies: yield them; a slow reader slows the service down, and a disconnect ends it."""

from pierhead import Context, run
from pierhead.protocols import lines


async def countdown(start: str, context: Context):
    for n in range(int(start), 0, -1):
        yield str(n)


run(lines.serve(countdown), "tcp:127.0.0.1:7000")
