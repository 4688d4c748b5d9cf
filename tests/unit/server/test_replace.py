"""Another application in place of the one in force: what stays, what changes, what is left."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from dataclasses import replace as copy
from typing import Any

import pytest

from pierhead import Application, Context, LengthPrefixed, Octets, Server, WireFormat, serve
from pierhead.errors import ListenError, PierheadError, UsageError
from pierhead.listener.process_sockets import ProcessSockets
from pierhead.net.memory import connect_memory
from pierhead.protocols import lines
from pierhead.server.endpoint import Endpoint
from pierhead.testing import Network


def says(word: str, **fields: Any) -> Endpoint:
    """Return an endpoint of lines that answers each with this word."""

    async def say(line: str, context: Context) -> str:
        return f"{word} {line}"

    return copy(lines.serve(say), **fields)


class Client(asyncio.Protocol):
    """A connection to ``mem:name``."""

    def __init__(self, name: str = "a") -> None:
        self.data, self.is_over = bytearray(), asyncio.Event()
        self._news = asyncio.Event()
        self.transport = connect_memory(name, self, None)

    def data_received(self, data: bytes) -> None:
        self.data += data
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_over.set()
        self._news.set()

    async def ask(self, line: bytes) -> bytes:
        self.transport.write(line + b"\n")
        return await self.answer()

    async def answer(self) -> bytes:
        async with asyncio.timeout(20):
            while b"\n" not in self.data and not self.is_over.is_set():
                self._news.clear()
                await self._news.wait()
        answer, _, rest = bytes(self.data).partition(b"\n")
        self.data[:] = rest
        return answer


async def ask(name: str = "a") -> bytes:
    client = Client(name)
    answer = await client.ask(b"x")
    client.transport.close()
    return answer


async def test_open_connections_go_over_with_their_next_request() -> None:
    async with Server(says("one"), "mem:a") as server:
        client = Client()
        assert await client.ask(b"x") == b"one x"
        changes = await server.replace(says("two"), "mem:a")
        assert changes == ("mem:a: lines served anew",)
        assert await client.ask(b"y") == b"two y"
        assert await ask() == b"two x"
        assert server.metrics.total("connections_accepted_total") == 2
        assert server.metrics.total("connections_closed_total", reason="drain") == 0


class Gated:
    """A service whose requests wait, and a lifespan that writes down what happens."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log
        self.gate, self.begun = asyncio.Event(), asyncio.Event()

    async def __call__(self, line: str, context: Context) -> str:
        self.begun.set()
        await self.gate.wait()
        self.log.append(f"{self.name} answers")
        return f"{self.name} {line}"

    @asynccontextmanager
    async def lifespan(self):
        self.log.append(f"{self.name} in")
        yield
        self.log.append(f"{self.name} out")

    def endpoint(self) -> Endpoint:
        return copy(lines.serve(self), lifespan=self.lifespan)


@pytest.mark.parametrize("address", ["mem:a", "memgram:a"])
async def test_what_was_replaced_is_left_after_its_last_request(address: str) -> None:
    log: list[str] = []
    one, two = Gated("one", log), Gated("two", log)
    two.gate.set()
    server = Server(one.endpoint(), address, request_timeout="off")
    async with server:
        asking = asyncio.create_task(_ask_one(address))
        await one.begun.wait()
        await server.replace(two.endpoint(), address)
        assert log == ["one in", "two in"]
        assert await _ask_one(address) == b"two x"
        one.gate.set()
        assert await asking == b"one x"
        while log[-1] != "one out":
            await asyncio.sleep(0)
        assert log == ["one in", "two in", "two answers", "one answers", "one out"]
    assert log[-1] == "two out"
    assert not server.lost


async def _ask_one(address: str) -> bytes:
    if address == "mem:a":
        return await ask()
    from pierhead import ListenSpec
    from pierhead.net.memory.datagram import MemoryDatagramEnd

    network = Network.current()
    name = network.unused_name()
    end = MemoryDatagramEnd(ListenSpec.parse(f"memgram:{name}"), name, network)
    arrived = asyncio.Event()
    end.start(arrived.set)
    end.send_batch([(b"x", "a")])
    async with asyncio.timeout(20):
        await arrived.wait()
    ((answer, _),) = end.receive_batch(9)
    end.close()
    return answer


async def test_a_late_request_is_refused_as_its_own_protocol_refuses() -> None:
    class Refusing:
        def __init__(self, word: bytes) -> None:
            self.word = word

        def decode(self, frame: bytes) -> bytes:
            return frame

        def encode(self, reply: bytes) -> bytes:
            return reply

        def reject(self, error: Exception, frame: bytes) -> bytes:
            return self.word

    gate = asyncio.Event()

    async def fails(frame: bytes, context: Context) -> bytes:
        await gate.wait()
        raise RuntimeError("a mistake")

    def endpoint(word: bytes) -> Endpoint:
        return serve(fails, WireFormat(LengthPrefixed(2), Octets(), Refusing(word)))

    async with Server(endpoint(b"old"), "memgram:a") as server:
        asking = asyncio.create_task(_ask_one("memgram:a"))
        while not server.in_flight:
            await asyncio.sleep(0)
        await server.replace(endpoint(b"new"), "memgram:a")
        gate.set()
        assert await asking == b"old"
        assert await _ask_one("memgram:a") == b"new"


async def test_connections_that_cannot_go_over_answer_and_close() -> None:
    async def echo(frame: bytes, context: Context) -> bytes:
        return frame

    one = Gated("one", [])
    async with Server(one.endpoint(), "mem:a") as server:
        client = Client()
        client.transport.write(b"x\n")
        await one.begun.wait()
        changes = await server.replace(
            serve(echo, WireFormat(LengthPrefixed(2), Octets()), name="frames"), "mem:a"
        )
        assert changes == ("mem:a: frames, was lines",)
        one.gate.set()
        assert await client.answer() == b"one x"
        await asyncio.wait_for(client.is_over.wait(), 20)
    assert not server.lost


async def test_addresses_come_and_go_and_the_rest_stays() -> None:
    one = says("one")
    async with Server(Application(endpoints=[(one, ["mem:a", "mem:b"])])) as server:
        kept, gone = Client("a"), Client("b")
        assert await gone.ask(b"x") == b"one x"
        changes = await server.replace(
            Application(endpoints=[(one, ["mem:a"]), (says("two"), ["mem:c"])])
        )
        assert changes == (
            "mem:c: opened for lines",
            "mem:b: closed, once what it has accepted is answered",
        )
        assert server.addresses == ["mem:a", "mem:c"]
        assert await kept.ask(b"x") == b"one x"
        assert await ask("c") == b"two x"
        await asyncio.wait_for(gone.is_over.wait(), 20)
        with pytest.raises(ConnectionRefusedError):
            Client("b")
        await server.replace(one, "mem:b")
        assert await ask("b") == b"one x"


def counted(server: Server) -> dict[str, float]:
    return {name: value for name, value in server.metrics.snapshot().items() if value}


class Failing:
    async def __aenter__(self):
        raise PierheadError("no")

    async def __aexit__(self, *_):
        raise AssertionError


@pytest.mark.parametrize(
    ("what", "addresses", "error"),
    [
        (says("two"), ["mem:a", "mem:c", "memgram:c?loss=0", "sd:web"], "no socket was passed"),
        (says("two", datagram=None), ["mem:c", "memgram:a"], "does not serve datagrams"),
        (says("two", stream=None), ["mem:a"], "does not serve streams"),
        (says("two"), ["mem:a?allow-uid=5"], "allow-uid"),
        (says("two"), ["mem:a", "memgram:a?loss=0.5"], "loss=0.5, was no loss: this needs a new"),
        (says("two"), ["tls+mem:a?cert=/nowhere.pem"], "/nowhere.pem"),
        (says("two"), ["mem:a?idle-timeout=0.001ms"], "idle-timeout"),
        (says("two", lifespan=Failing), ["mem:c", "mem:a"], "no"),
        ("no endpoint", ["mem:a"], "is not an endpoint"),
        (says("two"), [], "no address"),
    ],
)
async def test_a_failure_leaves_everything_as_it_was(what, addresses, error) -> None:
    log: list[str] = []
    one = Gated("one", log)
    one.gate.set()
    sockets = ProcessSockets({})
    application = Application(endpoints=[(one.endpoint(), ["mem:a", "memgram:a"])])
    async with Server(application, process_sockets=sockets) as server:
        client = Client()
        assert await client.ask(b"x") == b"one x"  # the connection has been accepted, and counted
        before = counted(server)
        with pytest.raises((PierheadError, ValueError), match=error):
            await server.replace(what, *addresses)
        assert counted(server) == before
        assert await client.ask(b"x") == b"one x"
        assert await ask() == b"one x"
        assert await _ask_one("memgram:a") == b"one x"
        assert server.addresses == ["mem:a", "memgram:a"]
        assert set(Network.current().streams) == {"a"}
        assert set(Network.current().datagrams) == {"a"}
        assert "one out" not in log
        await server.replace(says("two"), "mem:a", "mem:c")  # and another attempt succeeds
        assert await client.ask(b"x") == b"two x"


async def test_resources_that_both_need_stay_and_others_come_and_go_in_order() -> None:
    log: list[str] = []

    class Resource:
        def __init__(self, name: str) -> None:
            self.name = name

        async def __aenter__(self):
            log.append(f"{self.name} in")

        async def __aexit__(self, *_):
            log.append(f"{self.name} out")

    both, first, second, third = (Resource(name) for name in ("both", "1", "2", "3"))
    one, two = [(says("one"), ["mem:a"])], [(says("two"), ["mem:a"])]
    async with Server(Application(endpoints=one, resources=[first, both, second])) as server:
        await server.replace(Application(endpoints=two, resources=[both, third]))
        while log[-1] != "1 out":
            await asyncio.sleep(0)
        assert log == ["1 in", "both in", "2 in", "3 in", "2 out", "1 out"]
    assert log[6:] == ["3 out", "both out"]


async def test_a_resource_that_cannot_be_left_is_reported(caplog) -> None:
    class Resource:
        async def __aenter__(self): ...

        async def __aexit__(self, *_):
            raise RuntimeError("stuck")

    one = Application(endpoints=[(says("one"), ["mem:a"])], resources=[Resource()])
    async with Server(one) as server:
        await server.replace(says("two"), "mem:a")
        while "stuck" not in caplog.text:
            await asyncio.sleep(0)
        assert await ask() == b"two x"


async def test_limits_and_names_change_with_the_application() -> None:
    async with Server(says("one"), "mem:a", max_connections=5) as server:
        client = Client()
        await client.ask(b"x")
        changes = await server.replace(
            says("two", options={"idle_timeout": 3.0}), "mem:a?name=public", max_connections=1
        )
        assert changes == (
            "mem:a: name=public, was no name, for new connections",
            "mem:a: lines served anew",
            "lines: max_connections is 1, was 5",
            "lines: idle_timeout is 3.0, was 30.0",
        )
        await ask()
        total = server.metrics.total
        assert total("connections_accepted_total", listener="public") == 1
        assert total("connections_accepted_total", listener="mem:a") == 1
        assert total("connections_closed_total", reason="evicted") == 1
        while total("connections_open"):
            await asyncio.sleep(0)
        assert total("connections_open", listener="mem:a") == 0


async def test_a_service_may_replace_itself() -> None:
    replaced: list[tuple[str, ...]] = []

    async def renew(line: str, context: Context) -> str:
        replaced.append(await server.replace(says("two"), "mem:a", "memgram:a"))
        return "renewed"

    server = Server(lines.serve(renew), "mem:a", "memgram:a")
    async with server:
        client = Client()
        assert await client.ask(b"x") == b"renewed"
        assert await client.ask(b"x") == b"two x"
    assert len(replaced) == 1


async def test_a_server_that_is_not_serving_cannot_be_given_another_application() -> None:
    server = Server(says("one"), "mem:a")
    with pytest.raises(UsageError, match="has not been entered"):
        await server.replace(says("two"), "mem:a")
    async with server:
        pass
    with pytest.raises(UsageError, match="is stopping"):
        await server.replace(says("two"), "mem:a")


async def test_a_stop_amid_a_replacement_undoes_it() -> None:
    entered = asyncio.Event()

    class Slow:
        async def __aenter__(self):
            entered.set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)

        async def __aexit__(self, *_): ...

    async with Server(says("one"), "mem:a") as server:
        two = Application(endpoints=[(says("two"), ["mem:a", "mem:c"])], resources=[Slow()])
        replacing = asyncio.create_task(server.replace(two))
        await entered.wait()
    with pytest.raises(UsageError, match="is stopping"):
        await replacing
    assert not Network.current().streams


async def test_whoever_waits_for_the_end_waits_for_what_is_in_force() -> None:
    from pierhead.listener.base import ListenerEnded
    from pierhead.listener.custom import CustomStreamListener

    ends = asyncio.Event()

    async def accept():
        await ends.wait()
        raise ListenerEnded

    ending = CustomStreamListener("mem:ends", accept)
    async with Server(says("one"), "mem:a") as server:
        waiting = [asyncio.create_task(server.wait_ended()) for _ in range(2)]
        await asyncio.sleep(0)
        await server.replace(says("two"), ending)
        await server.replace(says("three"), ending)  # the same object: it stays
        assert not any(task.done() for task in waiting)
        ends.set()
        await asyncio.wait_for(asyncio.gather(*waiting), 20)


async def test_what_waits_in_the_backlog_is_served_by_the_new_application() -> None:
    async with Server(says("one"), "mem:a") as server:
        clients = [Client() for _ in range(50)]  # nothing has been accepted yet
        answers = [asyncio.create_task(client.ask(b"x")) for client in clients]
        await server.replace(says("two"), "mem:a?maxconn=60")
        assert {await answer for answer in answers} <= {b"one x", b"two x"}
        assert server.metrics.total("connections_accepted_total") == 50


async def test_a_request_that_is_never_done_does_not_keep_the_stop(caplog) -> None:
    log: list[str] = []
    one = Gated("one", log)
    server = Server(one.endpoint(), "mem:a", drain_timeout=0.0, request_timeout="off")
    async with server:
        Client().transport.write(b"x\n")
        await one.begun.wait()
        await server.replace(says("two"), "mem:a")
    assert server.lost.count == 1
    assert log == ["one in", "one out"]


# -- real sockets --------------------------------------------------------------------------------


async def words(word: str, line: str) -> str:
    await asyncio.sleep(0)  # so that requests are in flight when it is replaced
    return f"{word} {line}"


def waits(word: str) -> Endpoint:
    async def say(line: str, context: Context) -> str:
        return await words(word, line)

    return lines.serve(say)


class Asked(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.answers: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.answers.put_nowait(data)


async def test_no_request_is_lost_while_it_is_replaced_ten_times() -> None:
    """On open connections, on new ones and by datagrams, from twelve clients at once."""
    done, answered = asyncio.Event(), [0] * 12

    def count(number: int, answer: bytes) -> None:
        assert answer.rstrip().endswith(b" x"), answer
        answered[number] += 1

    async def over_one_connection(number: int, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while not done.is_set():
            writer.write(b"x\n")
            count(number, await asyncio.wait_for(reader.readline(), 20))
        writer.close()

    async def by_new_connections(number: int, port: int) -> None:
        while not done.is_set():
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"x\n")
            count(number, await asyncio.wait_for(reader.readline(), 20))
            writer.close()
            await writer.wait_closed()

    async def by_datagrams(number: int, port: int) -> None:
        loop = asyncio.get_running_loop()
        transport, asked = await loop.create_datagram_endpoint(
            Asked, remote_addr=("127.0.0.1", port)
        )
        while not done.is_set():
            transport.sendto(b"x")
            count(number, await asyncio.wait_for(asked.answers.get(), 20))
        transport.close()

    kinds = (over_one_connection, by_new_connections, by_datagrams)
    async with Server(waits("0"), "tcp:127.0.0.1:0", "udp:127.0.0.1:0") as server:
        tcp, udp = (int(address.rpartition(":")[2]) for address in server.addresses)
        async with asyncio.TaskGroup() as clients:
            for number in range(12):
                kind = kinds[number % 3]
                clients.create_task(kind(number, udp if kind is by_datagrams else tcp))
            for turn in range(1, 11):
                before = list(answered)
                while any(now < was + 5 for now, was in zip(answered, before, strict=True)):
                    await asyncio.sleep(0)
                options = f"rcvbuf={64 + turn}KiB"
                await server.replace(
                    waits(str(turn)),
                    f"tcp:127.0.0.1:0?backlog={100 + turn}&{options}",
                    f"udp:127.0.0.1:0?{options}",
                )
            done.set()
        total = server.metrics.total
        assert total("connections_closed_total", reason="drain") == 0
        assert total("requests_failed_total") == 0
    assert not server.lost
    assert server.metrics.total("requests_answered_total") == sum(answered)


async def test_an_open_socket_obeys_what_can_be_changed() -> None:
    async with Server(waits("one"), "tcp:127.0.0.1:0?nodelay=off&dscp=8") as server:
        (before,), address = server.sockets, server.addresses
        changes = await server.replace(waits("one"), "tcp:127.0.0.1:0?dscp=10&keepalive=60s")
        (after,) = server.sockets
        assert after is before
        assert server.addresses == address
        assert after.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 40
        assert after.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert after.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        words = "dscp=10, was dscp=8, for new connections; keepalive=1m, was no keepalive, for new"
        assert words in changes[0]
        assert "no nodelay, was nodelay=off, for new connections" in changes[0]
        assert len(changes) == 2


async def test_what_needs_a_new_listener_gets_one_where_the_system_has_room_for_it() -> None:
    async with Server(waits("one"), "udp:127.0.0.1:0?reuseport") as server:
        address = server.addresses[0]
        await server.replace(waits("one"), f"{address}?reuseport")  # another address: a number
        (before,) = server.sockets
        changes = await server.replace(waits("two"), f"{address}?reuseport&ecn")
        assert changes == (
            f"{address}: opened for lines",
            f"{address}: closed, once what it has accepted is answered",
        )
        assert server.sockets != [before]
        assert server.addresses == [address]


async def test_what_would_need_a_new_listener_is_a_clear_error(tmp_path) -> None:
    path = tmp_path / "s"
    async with Server(waits("one"), f"unix:{path}") as server:
        inode = path.stat().st_ino
        with pytest.raises(ListenError) as caught:
            await server.replace(waits("two"), f"unix:{path}?mode=0600")
        assert caught.value.step == "replace"
        assert "mode=0600, was no mode: this needs a new listener" in caught.value.reason
        assert "restart the server" in caught.value.remedy
        assert path.stat().st_ino == inode
        await server.replace(waits("two"), f"unix:{path}?idle-timeout=5s")
        assert path.stat().st_ino == inode
    assert not path.exists()


@pytest.mark.parametrize("asked", ["tcp:127.0.0.1:0", "udp:127.0.0.1:0", "tcp:[::1]:0?backlog=7"])
async def test_an_address_whose_port_was_chosen_is_kept_by_its_bound_port(asked: str) -> None:
    async with Server(says("one"), asked) as server:
        (bound,) = server.addresses
        (before,) = server.sockets
        changes = await server.replace(says("two"), bound)
        assert server.sockets == [before]
        assert server.addresses == [bound]
        assert any("served anew" in change for change in changes)
        await server.replace(says("three"), f"{bound}?dscp=46", "mem:b")
        assert server.sockets == [before]
        await server.replace(says("four"), asked)  # any port, and so the one there is not
        assert bound not in server.addresses


async def test_an_address_that_another_listener_of_the_server_has_is_said_to_be_its_own() -> None:
    async with Server(says("one"), "tcp:0.0.0.0:0") as server:
        (bound,) = server.addresses
        port = bound.rpartition(":")[2]
        with pytest.raises(ListenError) as caught:
            await server.replace(says("two"), f"tcp:127.0.0.1:{port}")
        assert f"this server itself listens there until the change is made, as {bound}" in str(
            caught.value
        )
        assert server.addresses == [bound]
