from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import pytest

from pierhead import Application, Server
from pierhead.errors import ConfigError, UsageError
from pierhead.protocols import dns, lines
from pierhead.reload import Reloaded

ZONE = "@ 300 SOA ns h {serial} 2 3 4 5\n@ 300 NS ns\nns 300 A 192.0.2.{last}\n"


def write(folder: Path, name: str, serial: int = 1, last: int = 1) -> Path:
    file = folder / f"{name}.zone"
    file.write_text(ZONE.format(serial=serial, last=last))
    return file


async def ask(name: str = "ns.example.") -> str:
    reply = await dns.query("memgram:a", name, "A", source="memgram:me")
    return " ".join(map(str, reply.answer))


@pytest.mark.parametrize("how", ["alone", "in a stack", "in a router", "in a router in a stack"])
async def test_zones_are_reloaded_and_their_ready_answers_discarded(
    tmp_path: Path, how: str
) -> None:
    write(tmp_path, "example")
    service: object = dns.zones(tmp_path)
    if "router" in how:
        router = dns.Router()
        router.mount("example.", service)
        router.mount("other.", service)
        service = router
    if "stack" in how:
        service = dns.standard(service, cookies=False)
    async with Server(dns.serve(service), "memgram:a") as server:
        for _ in range(3):
            assert "192.0.2.1" in await ask()
        write(tmp_path, "example", serial=2, last=77)
        write(tmp_path, "other", serial=9, last=9)
        changes = await server.reload()
        assert changes == ("zone example. serial 1, now 2", "zone other. added, serial 9")
        for _ in range(3):
            assert "192.0.2.77" in await ask()
        write(tmp_path, "example", serial=2, last=78)
        (tmp_path / "other.zone").unlink()
        assert await server.reload() == (
            "zone example. changed, but its serial is 2 as before",
            "zone other. removed",
        )
        assert await server.reload() == ()


@pytest.mark.rfc("4034", "6.2")
async def test_letter_case_does_not_count_as_a_change(tmp_path: Path) -> None:
    file = write(tmp_path, "example")
    file.write_text(file.read_text() + "w 300 MX 1 ns\nw 300 TXT text\n")
    async with Server(dns.serve(dns.zones(tmp_path)), "memgram:a") as server:
        file.write_text(file.read_text().replace("MX 1 ns", "MX 1 NS").replace("w 300", "W 300"))
        assert await server.reload() == ()
        file.write_text(file.read_text().replace("TXT text", "TXT TEXT"))
        assert await server.reload() == ("zone example. changed, but its serial is 1 as before",)


async def test_a_reload_takes_effect_wholly_or_not_at_all_and_reports_every_fault(
    tmp_path: Path,
) -> None:
    one, two, three = (tmp_path / name for name in "123")
    for folder in (one, two, three):
        folder.mkdir()
        write(folder, "example")
    application = Application(
        endpoints=[
            (dns.serve(dns.zones(folder)), [f"memgram:{name}"])
            for name, folder in zip("abc", (one, two, three), strict=True)
        ]
    )
    async with Server(application) as server:
        write(one, "example", serial=2, last=2)
        for folder, wrong in ((two, "first"), (three, "second")):
            write(folder, "example").write_text(f"@ 300 A {wrong}\n")
        with pytest.raises(ConfigError, match="first") as raised:
            await server.reload()
        assert any("second" in note for note in raised.value.__notes__)
        assert "192.0.2.1" in await ask()


async def test_a_custom_endpoint_is_reloaded_once_in_a_thread() -> None:
    threads: list[threading.Thread] = []
    committed: list[threading.Thread] = []

    def reload() -> Reloaded:
        threads.append(threading.current_thread())
        return Reloaded(lambda: committed.append(threading.current_thread()), ("a", "b"))

    endpoint = dataclasses.replace(lines.serve(lines.echo, encoding=None), reload=reload)
    application = Application(endpoints=[(endpoint, ["mem:a"]), (endpoint, ["mem:b"])])
    async with Server(application) as server:
        assert await server.reload() == ("a", "b")
    assert len(threads) == 1
    assert threads != [threading.current_thread()]
    assert committed == [threading.current_thread()]


async def test_a_server_can_be_entered_only_once() -> None:
    server = Server(lines.serve(lines.echo, encoding=None), "mem:a")
    async with server:
        with pytest.raises(UsageError, match=r"create another"):
            await server.__aenter__()
    with pytest.raises(UsageError, match=r"serve only once"):
        await server.__aenter__()
