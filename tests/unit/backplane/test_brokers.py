"""What is wrong with the address of a broker is said when the backplane is made."""

from __future__ import annotations

import asyncio
import sys

import pytest

from pierhead import Room
from pierhead.backplane import jetstream, redis_streams
from pierhead.errors import UsageError


@pytest.mark.parametrize(
    ("make", "url", "says"),
    [
        (redis_streams, "127.0.0.1:6379", "expected such as 'redis://"),
        (redis_streams, "http://127.0.0.1", "'http' is no scheme of Redis"),
        (redis_streams, "redis://127.0.0.1:many/0", "the URL of Redis is wrong: "),
        (jetstream, "127.0.0.1", "expected such as 'nats://"),
        (jetstream, "nats://127.0.0.1:4222,nats:", "'nats:' has no host"),
        (jetstream, "nats://127.0.0.1:many", "the URL of NATS is wrong: "),
    ],
)
def test_a_wrong_url_is_a_mistake_of_the_caller(make, url: str, says: str) -> None:
    with pytest.raises(UsageError) as raised:
        make(url)
    assert says in str(raised.value)


def test_what_an_error_advises_is_accepted() -> None:
    for url in ("redis://127.0.0.1:6379/0", "rediss://10.0.0.9", "unix:///run/redis.sock"):
        redis_streams(url)
    for url in ("nats://127.0.0.1:4222", "tls://10.0.0.9", "nats://a:1,nats://b:2"):
        jetstream(url)


async def test_what_a_broker_says_is_printed_without_control_characters(caplog) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"-ERR \x1b[2J go away\r\n" * 9)
        writer.close()

    broker = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = broker.sockets[0].getsockname()[1]
    async with Room[str](backplane=redis_streams(f"redis://127.0.0.1:{port}")):
        async with asyncio.timeout(10):
            while "trying again" not in caplog.text:
                await asyncio.sleep(0.01)
    broker.close()
    assert "go away" in caplog.text
    assert "\x1b" not in caplog.text


def test_a_password_is_in_no_log() -> None:
    for backplane in (
        redis_streams("redis://user:secret@10.0.0.9:6379/0?password=secret"),
        jetstream("nats://user:secret@10.0.0.9:4222,nats://token@10.0.0.8"),
    ):
        name = backplane._broker.name
        assert "10.0.0.9" in name
        assert "secret" not in name
        assert "token" not in name


@pytest.mark.parametrize(
    ("make", "module", "url"),
    [(redis_streams, "redis", "redis://a"), (jetstream, "nats", "nats://a")],
)
def test_a_missing_library_is_named_with_its_extra(
    make, module: str, url: str, monkeypatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    for loaded in [name for name in sys.modules if name.startswith(f"{module}.")]:
        monkeypatch.delitem(sys.modules, loaded)
    with pytest.raises(UsageError, match=rf"pip install 'pierhead\[{module}\]'"):
        make(url)
