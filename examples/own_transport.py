"""A transport of your own: what is no socket is served all the same.

Whatever reads and writes octets carries a connection: here the programs that this one starts, by
their standard input and output. Whatever receives and sends messages carries datagrams: here two
queues. Both are served beside an address, by the same service.
"""

import asyncio
import sys

from services import shout

from pierhead import CustomConnection, CustomDatagramListener, CustomStreamListener, run
from pierhead.protocols import lines

ASKS = 'echo ahoy; read answer; echo "program: $answer" >&2; read forever'


class Programs(CustomStreamListener):
    """Yields a connection to each program that is started."""

    def __init__(self, *commands: str) -> None:
        super().__init__("mem:programs?idle-timeout=60m")
        self._commands = asyncio.Queue[str]()
        for command in commands:
            self._commands.put_nowait(command)

    async def accept(self) -> CustomConnection:
        pipe = asyncio.subprocess.PIPE
        command = await self._commands.get()
        program = await asyncio.create_subprocess_shell(command, stdin=pipe, stdout=pipe)
        return CustomConnection(
            lambda: program.stdout.read(65536),
            lambda octets: write(program.stdin, octets),
            peer=f"program-{program.pid}",
            close=program.stdin.close,
        )


async def write(stream: asyncio.StreamWriter, octets: bytes) -> None:
    stream.write(octets)
    await stream.drain()


asked = asyncio.Queue[tuple[bytes, str]]()
asked.put_nowait((b"hello", "ann"))


def send(answer: bytes, to: str) -> None:
    print(f"{to}: {answer.decode()}", file=sys.stderr, flush=True)


run(
    lines.serve(shout),
    Programs(ASKS),
    CustomDatagramListener("memgram:queue", asked.get, send),
    "tcp:127.0.0.1:7000",
)
