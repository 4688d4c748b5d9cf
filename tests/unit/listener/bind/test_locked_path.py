"""Attacks on the place of a Unix socket, with real files: what is not ours is left alone."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import stat
import sys
import tempfile
import warnings

import pytest

from pierhead.client.dial import dial_datagram, dial_stream
from pierhead.errors import ConnectError, ListenError
from pierhead.listener.bind.locked_path import LockedPath
from pierhead.net.place import Place

ROOT = os.geteuid() == 0
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="descriptors of sockets' files")


@pytest.fixture
def path(tmp_path):
    if len(str(tmp_path)) > 80:
        pytest.skip("the temporary directory's path is too long for a Unix socket")
    return tmp_path / "s"


@pytest.fixture
def secret(tmp_path):
    file = tmp_path / "secret"
    file.write_text("precious")
    file.chmod(0o600)
    return file


def bound_socket(path):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


def after(monkeypatch, method, act):
    """Let an attacker act once, right after a step of ours."""
    really = getattr(LockedPath, method)

    def step(locked, *args):
        done = really(locked, *args)
        act()
        return done

    monkeypatch.setattr(LockedPath, method, step)


def before(monkeypatch, method, act):
    """Let an attacker act once, right before a step of ours."""
    really = getattr(LockedPath, method)

    def step(locked, *args):
        act()
        return really(locked, *args)

    monkeypatch.setattr(LockedPath, method, step)


def replaced(path, target, kind):
    """Return what puts another file in the place of the socket."""

    def act():
        path.unlink()
        match kind:
            case "symlink":
                path.symlink_to(target)
            case "hard link":
                os.link(target, path)
            case "directory":
                path.mkdir()

    return act


@pytest.mark.parametrize("kind", ["symlink", "hard link", "directory"])
@pytest.mark.parametrize("scheme", ["unix", "unixgram", "unixseq"])
async def test_a_file_that_replaces_the_socket_after_bind_keeps_its_mode(
    opened, path, secret, monkeypatch, kind, scheme
):
    before(monkeypatch, "taken", replaced(path, secret, kind))
    with pytest.raises(ListenError, match="was replaced as soon as it was bound"):
        await opened(f"{scheme}:{path}?mode=0666")
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert os.path.lexists(path)


@LINUX
@pytest.mark.parametrize("kind", ["symlink", "hard link", "directory"])
async def test_a_file_that_replaces_the_socket_before_chmod_keeps_its_mode(
    opened, path, secret, monkeypatch, kind
):
    mask = os.umask(0o077)
    try:
        after(monkeypatch, "taken", replaced(path, secret, kind))
        (listener,) = await opened(f"unix:{path}?mode=0666")
    finally:
        os.umask(mask)
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    listener.close()
    assert os.path.lexists(path)


@LINUX
@pytest.mark.skipif(not ROOT, reason="only root may give files away")
@pytest.mark.parametrize("kind", ["symlink", "hard link"])
async def test_a_file_that_replaces_the_socket_keeps_its_owner(
    opened, path, secret, monkeypatch, kind
):
    after(monkeypatch, "taken", replaced(path, secret, kind))
    await opened(f"unix:{path}?user=65534&group=65534")
    assert (secret.stat().st_uid, secret.stat().st_gid) == (0, os.stat(path.parent).st_gid)


async def test_another_socket_linked_at_the_path_does_not_become_accessible(
    opened, path, monkeypatch
):
    private = path.with_name("private")
    bound_socket(private)
    private.chmod(0o600)
    before(monkeypatch, "taken", replaced(path, private, "hard link"))
    with pytest.raises(ListenError, match="a hard link to a socket"):
        await opened(f"unix:{path}?mode=0666")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600


@pytest.mark.parametrize("kind", ["file", "symlink", "socket", "directory"])
async def test_another_file_at_the_path_is_not_removed_at_the_stop(opened, path, secret, kind):
    (listener,) = await opened(f"unix:{path}")
    path.unlink()
    match kind:
        case "file":
            path.write_text("precious")
        case "symlink":
            path.symlink_to(secret)
        case "socket":
            bound_socket(path)
        case "directory":
            path.mkdir()
    there = path.lstat()
    listener.close()
    assert os.path.samestat(path.lstat(), there)
    assert secret.read_text() == "precious"


async def test_a_file_with_the_inode_of_our_removed_socket_is_not_mistaken_for_it(opened, path):
    (listener,) = await opened(f"unix:{path}")
    path.unlink()
    made = []
    for _ in range(64):  # file systems give the number of a removed file to the next one
        bound_socket(path)
        made.append(path.lstat().st_ino)
        path.unlink()
    bound_socket(path)
    listener.close()
    assert path.is_socket(), made


@pytest.mark.parametrize("kind", ["file", "hard link", "symlink", "directory"])
async def test_a_file_that_replaces_the_lock_is_not_removed(opened, path, secret, kind):
    (listener,) = await opened(f"unix:{path}")
    lock = path.with_name("s.lock")
    lock.unlink()
    match kind:
        case "file":
            lock.write_text("precious")
        case "hard link":
            os.link(secret, lock)
        case "symlink":
            lock.symlink_to(secret)
        case "directory":
            lock.mkdir()
    there = lock.lstat()
    listener.close()
    assert os.path.samestat(lock.lstat(), there)
    assert not path.exists()


async def test_a_lock_file_with_content_is_not_removed(opened, path):
    (listener,) = await opened(f"unix:{path}")
    path.with_name("s.lock").write_text("precious")
    listener.close()
    assert path.with_name("s.lock").read_text() == "precious"


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("file", "is not a lock file: it contains 8 octets"),
        ("hard link", "has another name as well"),
        ("symlink", "a symbolic link is at"),
        ("dangling", "a symbolic link is at"),
        ("directory", "a directory is at"),
        ("pipe", "a pipe is at"),
        ("socket", "a socket is at"),
    ],
)
async def test_another_file_at_the_path_of_the_lock_is_refused_and_left(
    opened, path, secret, kind, told
):
    lock = path.with_name("s.lock")
    match kind:
        case "file":
            lock.write_text("precious")
        case "hard link":
            path.with_name("empty").touch()
            os.link(path.with_name("empty"), lock)
        case "symlink":
            lock.symlink_to(secret)
        case "dangling":
            lock.symlink_to(path.with_name("nosuch"))
        case "directory":
            lock.mkdir()
        case "pipe":
            os.mkfifo(lock)
        case "socket":
            bound_socket(lock)
    there = lock.lstat()
    with pytest.raises(ListenError, match=told) as caught:
        await asyncio.wait_for(opened(f"unix:{path}"), 10)
    assert "left alone" in str(caught.value)
    assert os.path.samestat(lock.lstat(), there)
    assert not path.with_name("nosuch").exists()
    assert not path.exists()


@pytest.mark.skipif(not ROOT, reason="only root may give files away")
async def test_a_lock_of_another_user_is_named_with_its_owner(opened, path):
    lock = path.with_name("s.lock")
    lock.touch()
    os.chown(lock, 65534, 65534)
    with pytest.raises(ListenError, match="belongs to user 65534"):
        await opened(f"unix:{path}")
    assert lock.exists()


def as_somebody(act):
    """Do something in a process without privileges; return what it said."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads that the child lacks
        process = os.fork()
    if process == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            said = act()
        except BaseException as error:  # the process ends here
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(process, 0)
    return said


@pytest.mark.skipif(not ROOT, reason="only root becomes somebody else")
def test_without_privileges_the_lock_of_another_user_is_called_by_its_owner():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o1777)
        name = os.path.join(folder, "s")
        with open(name + ".lock", "x"):
            os.chmod(name + ".lock", 0o600)

        def act():
            LockedPath.lock("unix:s", os.fsencode(name), socket.SOCK_STREAM, "stale")
            return "locked"

        assert "belongs to user 0" in as_somebody(act)


async def test_a_folder_that_was_renamed_is_still_the_place(opened, path, tmp_path):
    folder = tmp_path / "d"
    folder.mkdir()
    (listener,) = await opened(f"unix:{folder}/s")
    folder.rename(tmp_path / "e")
    folder.mkdir()
    bound_socket(folder / "s")
    (folder / "s.lock").touch()
    listener.close()
    assert sorted(os.listdir(folder)) == ["s", "s.lock"]
    assert os.listdir(tmp_path / "e") == []


async def test_a_folder_may_be_reached_through_a_link(opened, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "l").symlink_to("d")
    (listener,) = await opened(f"unix:{tmp_path}/l/s")
    assert sorted(os.listdir(tmp_path / "d")) == ["s", "s.lock"]
    listener.close()
    assert os.listdir(tmp_path / "d") == []


@pytest.mark.parametrize(("mode", "warned"), [(0o777, True), (0o1777, False), (0o775, False)])
async def test_a_folder_that_everybody_writes_to_is_warned_of(opened, path, caplog, mode, warned):
    path.parent.chmod(mode)
    with caplog.at_level(logging.WARNING):
        await opened(f"unix:{path}")
    assert ("any user may write to the folder" in caplog.text) is warned


async def test_descriptors_are_given_back(opened, path):
    open_before = len(os.listdir("/dev/fd"))
    for _ in range(3):
        (listener,) = await opened(f"unix:{path}")
        listener.close()
    path.write_text("precious")
    for _ in range(3):
        with pytest.raises(ListenError):
            await opened(f"unix:{path}")
    assert len(os.listdir("/dev/fd")) == open_before


async def test_a_client_removes_its_own_name_alone(opened, tmp_path):
    (listener,) = await opened(f"unixgram:{tmp_path}/s")
    client = await dial_datagram(listener.local, source=f"unixgram:{tmp_path}/c")
    (tmp_path / "c").unlink()
    (tmp_path / "c").write_text("precious")
    client.close()
    assert (tmp_path / "c").read_text() == "precious"


async def test_the_name_of_a_streams_client_does_not_stay(opened, tmp_path):
    (listener,) = await opened(f"unix:{tmp_path}/s")
    transport = await dial_stream(listener.local, asyncio.Protocol, source=f"unix:{tmp_path}/c")
    assert sorted(os.listdir(tmp_path)) == ["s", "s.lock"]
    transport.close()


async def test_a_client_leaves_an_existing_file_at_its_source(opened, tmp_path):
    (listener,) = await opened(f"unixgram:{tmp_path}/s")
    (tmp_path / "c").write_text("precious")
    with pytest.raises(ConnectError, match="in use"):
        await dial_datagram(listener.local, source=f"unixgram:{tmp_path}/c")
    assert (tmp_path / "c").read_text() == "precious"


def test_a_place_without_a_pinned_file_removes_nothing(path):
    path.write_text("precious")
    with Place(os.fsencode(path)) as place:
        assert not place.remove()
        place.pin()
        place.forget()
        assert not place.remove()
    assert path.exists()
