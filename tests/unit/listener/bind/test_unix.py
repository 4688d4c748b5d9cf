from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import socket
import stat
import sys

import pytest

from pierhead.errors import ListenError
from pierhead.listener.bind import locked_path, unix

ROOT = os.geteuid() == 0


@pytest.fixture
def path(tmp_path):
    # Short enough for sun_path wherever pytest keeps its directories.
    directory = tmp_path
    if len(str(directory)) > 80:
        pytest.skip("the temporary directory's path is too long for a Unix socket")
    return directory / "s"


@pytest.fixture
def umask():
    before = os.umask(0o077)
    yield
    os.umask(before)


def leave_a_dead_socket(path, kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_UNIX, kind) as dead:
        dead.bind(str(path))


async def test_a_socket_and_its_lock_come_and_go(opened, path):
    (listener,) = await opened(f"unix:{path}")
    assert listener.local == f"unix:{path}"
    assert path.is_socket()
    assert sorted(os.listdir(path.parent)) == ["s", "s.lock"]
    listener.close()
    assert os.listdir(path.parent) == []


@pytest.mark.parametrize("scheme", ["unix", "unixgram"])
async def test_the_mode_is_exact_whatever_the_umask(opened, path, umask, scheme):
    await opened(f"{scheme}:{path}?mode=0666")
    assert stat.S_IMODE(path.stat().st_mode) == 0o666


@pytest.mark.skipif(sys.platform != "linux", reason="fchmod of an unbound socket")
async def test_the_mode_is_never_wider_than_requested_not_even_at_bind(opened, path, monkeypatch):
    seen = []
    really = unix.LockedPath.taken

    def taken(locked):
        seen.append(stat.S_IMODE(path.stat().st_mode))
        really(locked)

    monkeypatch.setattr(unix.LockedPath, "taken", taken)
    before = os.umask(0)
    try:
        await opened(f"unix:{path}?mode=0600")
    finally:
        os.umask(before)
    assert seen == [0o600]


@pytest.mark.skipif(not ROOT, reason="only root may give files away")
async def test_owner_and_group_are_set(opened, path):
    await opened(f"unix:{path}?user=65534&group=65533&mode=0660")
    found = path.stat()
    assert (found.st_uid, found.st_gid) == (65534, 65533)


@pytest.mark.parametrize("key", ["user", "group"])
async def test_an_unknown_account_is_named_and_nothing_stays(opened, path, key):
    with pytest.raises(ListenError, match=f"no {key} is called nosuch-account"):
        await opened(f"unix:{path}?{key}=nosuch-account")
    assert os.listdir(path.parent) == []


@pytest.mark.parametrize("unlink", ["stale", "always"])
async def test_a_dead_socket_is_replaced(opened, path, unlink):
    leave_a_dead_socket(path)
    await opened(f"unix:{path}?unlink={unlink}")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


async def test_a_dead_datagram_socket_is_replaced(opened, path):
    leave_a_dead_socket(path, socket.SOCK_DGRAM)
    (listener,) = await opened(f"unixgram:{path}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.sendto(b"x", str(path))
    assert listener.receive_batch(8)[0][0] == b"x"


async def test_a_dead_socket_stays_where_nothing_may_be_removed(opened, path):
    leave_a_dead_socket(path)
    with pytest.raises(ListenError, match="allow that with unlink=stale"):
        await opened(f"unix:{path}?unlink=never")
    assert path.is_socket()


@pytest.mark.parametrize("unlink", ["stale", "always"])
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
async def test_a_live_server_keeps_its_socket(opened, path, unlink, kind):
    with socket.socket(socket.AF_UNIX, kind) as live:
        live.bind(str(path))
        if kind == socket.SOCK_STREAM:
            live.listen()
        scheme = "unix" if kind == socket.SOCK_STREAM else "unixgram"
        before = path.stat().st_ino
        with pytest.raises(ListenError, match="another program serves it"):
            await opened(f"{scheme}:{path}?unlink={unlink}")
        assert path.stat().st_ino == before


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full backlog refuses")
async def test_a_live_server_with_a_full_backlog_keeps_its_socket(opened, path):
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(str(path))
        live.listen(0)
        waiting = []
        for _ in range(3):
            client = socket.socket(socket.AF_UNIX)
            client.setblocking(False)
            client.connect_ex(str(path))
            waiting.append(client)
        with pytest.raises(ListenError, match="another program serves it"):
            await opened(f"unix:{path}")
        for client in waiting:
            client.close()


KINDS = {
    "unix": socket.SOCK_STREAM,
    "unixgram": socket.SOCK_DGRAM,
    "unixseq": socket.SOCK_SEQPACKET,
}


@pytest.mark.parametrize("scheme", KINDS)
@pytest.mark.parametrize("kind", KINDS.values())
@pytest.mark.parametrize("unlink", ["stale", "always"])
async def test_a_live_socket_of_any_type_is_recognised(opened, path, scheme, kind, unlink):
    with socket.socket(socket.AF_UNIX, kind) as live:
        live.bind(str(path))
        if kind != socket.SOCK_DGRAM:
            live.listen()
        with pytest.raises(ListenError, match="another program serves it"):
            await opened(f"{scheme}:{path}?unlink={unlink}")
        assert path.is_socket()
    await opened(f"{scheme}:{path}?unlink={unlink}")


async def test_a_socket_that_cannot_be_probed_is_removed_only_with_unlink_always(
    opened, path, monkeypatch
):
    leave_a_dead_socket(path)
    monkeypatch.setattr(locked_path, "_probe", lambda path, kind: errno.EACCES)
    with pytest.raises(ListenError, match=r"is unknown whether .*denied \(EACCES\)"):
        await opened(f"unix:{path}")
    assert path.is_socket()
    await opened(f"unix:{path}?unlink=always")


async def test_two_of_our_servers_are_kept_apart_by_the_lock(opened, path):
    (first,) = await opened(f"unix:{path}")
    with pytest.raises(ListenError, match="lock: another server of this kind serves it"):
        await opened(f"unix:{path}?unlink=always")
    first.close()
    await opened(f"unix:{path}")


async def test_a_lock_without_a_holder_is_no_obstacle(opened, path):
    path.with_suffix(".lock").touch()
    await opened(f"unix:{path}")


async def test_a_lock_removed_between_open_and_flock_is_taken_again(opened, path, monkeypatch):
    lock = path.with_suffix(".lock")
    really, removed = fcntl.flock, []

    def flock(descriptor, operation):
        really(descriptor, operation)
        if not removed:
            removed.append(lock.unlink())

    monkeypatch.setattr("pierhead.listener.bind.locked_path.fcntl.flock", flock)
    await opened(f"unix:{path}")
    assert removed
    assert lock.exists()


@pytest.mark.parametrize("kind", ["file", "directory", "symlink", "pipe"])
async def test_nothing_but_a_socket_is_ever_removed(opened, path, kind):
    match kind:
        case "file":
            path.write_text("precious")
        case "directory":
            path.mkdir()
        case "symlink":
            leave_a_dead_socket(path.with_name("other"))
            path.symlink_to(path.with_name("other"))
        case "pipe":
            os.mkfifo(path)
    before = path.lstat()
    with pytest.raises(ListenError, match="it is left alone") as caught:
        await opened(f"unix:{path}?unlink=always")
    assert caught.value.errno == errno.EADDRINUSE
    assert os.path.samestat(before, path.lstat())


async def test_a_successors_socket_survives_our_close(opened, path):
    (listener,) = await opened(f"unix:{path}")
    path.unlink()
    leave_a_dead_socket(path)
    listener.close()
    assert path.is_socket()


async def test_closing_after_the_directory_was_cleared_is_quiet(opened, path):
    (listener,) = await opened(f"unix:{path}")
    path.unlink()
    path.with_suffix(".lock").unlink()
    listener.close()


async def test_the_lock_goes_even_if_the_socket_was_cleared(opened, path):
    (listener,) = await opened(f"unix:{path}")
    path.unlink()
    listener.close()
    assert os.listdir(path.parent) == []


async def test_a_relative_path_is_found_again_from_another_directory(opened, path, monkeypatch):
    monkeypatch.chdir(path.parent)
    (listener,) = await opened("unix:./s")
    monkeypatch.chdir("/")
    listener.close()
    assert os.listdir(path.parent) == []


async def test_a_missing_directory_is_named(opened, path):
    with pytest.raises(ListenError, match=f"mkdir -p {path.parent}/nosuch"):
        await opened(f"unix:{path.parent}/nosuch/s")


async def test_a_path_beyond_the_system_is_refused_early(opened, monkeypatch):
    monkeypatch.setattr(unix, "SUN_PATH_BYTES", 20)
    with pytest.raises(ListenError, match="octets, the system allows 19"):
        await opened("unix:./a-name-of-more-than-twenty-octets")


@pytest.mark.skipif(sys.platform != "linux", reason="abstract names are Linux's")
@pytest.mark.parametrize(("query", "size"), [("", 0), ("?pad=full", 108)])
async def test_an_abstract_name_is_listened_on(opened, query, size):
    name = f"pierhead-test-{os.getpid()}-{size}"
    (listener,) = await opened(f"unix:@{name}{query}")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(b"\0" + name.encode().ljust(max(0, size - 1), b"\0"))
        accepted = await asyncio.wait_for(listener.accept(), 10)
        assert str(accepted.peer) == "unnamed"
        accepted.close()
    with pytest.raises(ListenError, match="bind: Address already in use"):
        await opened(f"unix:@{name}{query}")


async def test_a_path_is_octets(opened, path):
    (listener,) = await opened(f"unix:{path}%FF")
    assert os.listdir(os.fsencode(path.parent)) != []
    assert listener.local == f"unix:{path}%FF"
