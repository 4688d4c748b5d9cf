"""What grpcio's server cannot do, as docs/decisions/0017-grpc.md says: a day may come when it can.

That it serves behind a relay of ours is shown in `tests/examples`.
"""

from __future__ import annotations

import inspect
import os
import re
import socket
import sys
from pathlib import Path

import grpc
import pytest
from grpc._cython import cygrpc

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="abstract names")


@pytest.fixture
async def server():
    made = grpc.aio.server()
    yield made
    await made.stop(None)


def test_no_method_of_a_server_takes_a_socket_or_a_descriptor() -> None:
    for kind in (cygrpc.Server, cygrpc.AioServer):
        ports = [name for name in dir(kind) if "add_" in name and "port" in name]
        assert ports in (["add_http2_port"], ["add_insecure_port", "add_secure_port"])
    parameters = inspect.signature(grpc.aio.Server.add_insecure_port).parameters
    assert list(parameters) == ["self", "address"]
    assert [name for name in dir(cygrpc) if re.search(r"fd|listener|passive", name)] == []


def test_the_library_exports_nothing_that_could_be_called_past_python() -> None:
    """The core has listeners that take a descriptor; the module lets no symbol of them out."""
    import ctypes

    library = ctypes.CDLL(cygrpc.__file__)
    for name in (
        "grpc_server_add_channel_from_fd",
        "grpc_server_add_passive_listener",
        "grpc_server_create",
    ):
        assert not hasattr(library, name)


@pytest.mark.parametrize("address", ["fd:7", "sd:web", "vsock:4294967295:5000"])
async def test_no_address_means_a_socket_that_is_there(server, address) -> None:
    with pytest.raises(RuntimeError, match="Failed to bind"):
        server.add_insecure_port(address)


async def test_grpcio_itself_binds_tcp_unix_and_abstract(server, tmp_path: Path) -> None:
    assert server.add_insecure_port("127.0.0.1:0") > 0
    assert server.add_insecure_port(f"unix:{tmp_path}/s") == 1
    assert server.add_insecure_port(f"unix-abstract:pierhead-grpcio-{os.getpid()}") == 1


async def test_grpcio_itself_takes_the_path_of_a_running_server(server, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as alive:
        alive.bind(str(path))
        alive.listen()
        before = path.stat().st_ino
        assert server.add_insecure_port(f"unix:{path}") == 1
        assert path.stat().st_ino != before
