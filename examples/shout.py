"""A service on two kinds of socket: the request is what was asked, the context how."""

from pierhead import Context, run
from pierhead.protocols import lines


async def shout(line: str, context: Context) -> str:
    return line.upper()


run(lines.serve(shout), "tcp:127.0.0.1:7000", "unix:./shout.sock")
