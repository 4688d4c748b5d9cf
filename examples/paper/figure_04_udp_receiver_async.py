"""Figure 4, asynchronous: print the datagrams of anybody."""

from pierhead import Context, run
from pierhead.protocols import lines


async def show(line: str, context: Context) -> None:
    print(line, flush=True)


run(lines.serve(show), "udp:127.0.0.1:7000")
