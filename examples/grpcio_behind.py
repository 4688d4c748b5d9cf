"""grpcio's own server behind our addresses: its port is reached only by this program.

grpcio cannot use an existing socket (docs/decisions/0017-grpc.md). Anything that listens here can
be in front of it, with TLS, PROXY headers, limits on connections and a drain.
"""

import asyncio
import contextlib
import tempfile

import grpc

from pierhead import Application, hosting, run

folder = tempfile.TemporaryDirectory()  # accessible only to this user
inside = f"unix:{folder.name}/grpc.sock"


class Shouter(grpc.GenericRpcHandler):
    def service(self, call):
        async def shout(request, context):
            return request.upper()

        return grpc.unary_unary_rpc_method_handler(shout)


@contextlib.asynccontextmanager
async def grpc_inside():
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([Shouter()])
    server.add_insecure_port(inside)
    await server.start()
    try:
        yield
    finally:
        await server.stop(grace=1)


async def copy(reader, writer):
    while octets := await reader.read(65_536):
        writer.write(octets)
        await writer.drain()
    writer.write_eof()


async def relay(reader, writer):
    inner_reader, inner_writer = await asyncio.open_unix_connection(inside.removeprefix("unix:"))
    with contextlib.closing(inner_writer):
        async with asyncio.TaskGroup() as both:
            both.create_task(copy(reader, inner_writer))
            both.create_task(copy(inner_reader, writer))


front = hosting.streams.serve(relay, name="grpc", alpn=("h2",))
with folder:
    run(
        Application(
            endpoints=[(front, ["127.0.0.1:50052", "unix:./behind.sock"])],
            resources=[grpc_inside()],
        )
    )
