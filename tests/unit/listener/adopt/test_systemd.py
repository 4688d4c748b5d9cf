"""``sd:``: which of the passed sockets is meant, and whether they are ours at all."""

from __future__ import annotations

import logging
import os
import socket
import sys

import pytest
from inheriting import bound, is_open

from pierhead.listener.adopt import systemd
from pierhead.net import pidfd
from pierhead.service.context import Transport

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no systemd")


async def locals_of(opened, address):
    return [listener.local for listener in await opened(address)]


async def test_the_only_socket_needs_no_name(opened, passed):
    sock = bound()
    port = sock.getsockname()[1]
    passed(sock)
    assert await locals_of(opened, "sd:") == [f"tcp:127.0.0.1:{port}"]


async def test_the_variables_are_unset_and_the_sockets_closed_on_exec(opened, passed):
    environment = passed(bound(), bound(), names="a:b", LISTEN_PIDFDID=own_id(), OTHER="stays")
    await opened("sd:a")
    assert environment == {"OTHER": "stays"}
    assert not os.get_inheritable(700)
    assert not os.get_inheritable(701)
    await opened("sd:b")  # what they said is still known


def own_id():
    number = pidfd.pidfd_id(os.getpid())
    return None if number is None else str(number)


@pytest.mark.parametrize(
    ("address", "numbers"),
    [
        ("sd:#1", [1]),
        ("sd:http", [0, 2]),
        ("sd:http#1", [2]),
        ("sd:http*", [0, 2, 3]),
        ("sd:*", [0, 1, 2, 3]),
        ("sd:nobody?optional", []),
        ("sd:#4?optional", []),
    ],
)
async def test_sockets_are_chosen_by_name_index_and_pattern(opened, passed, address, numbers):
    sockets = [bound() for _ in range(4)]
    ports = [sock.getsockname()[1] for sock in sockets]
    passed(*sockets, names="http:admin:http:https")
    assert await locals_of(opened, address) == [f"tcp:127.0.0.1:{ports[n]}" for n in numbers]


async def test_kinds_may_be_mixed_and_are_checked(opened, passed, refusal):
    passed(bound(), bound(socket.SOCK_DGRAM), names="dns:dns")
    error = await refusal("sd:dns?type=stream")
    assert "descriptor 701 (dns) is a bound IPv4 datagram socket" in error.reason
    listeners = await opened("sd:dns")  # both were left as they were
    assert [one.transport for one in listeners] == [Transport.STREAM, Transport.DATAGRAM]


async def test_without_names_all_are_unknown(opened, passed):
    passed(bound(), names=None)
    assert len(await locals_of(opened, "sd:unknown")) == 1


@pytest.mark.parametrize(
    ("address", "names", "variables", "words"),
    [
        ("sd:", None, {"LISTEN_FDS": None}, ["LISTEN_FDS is not set", "systemd-socket-activate"]),
        ("sd:", None, {"LISTEN_PID": "1"}, ["LISTEN_PID is 1", f"this is {os.getpid()}", "exec"]),
        ("sd:", None, {"LISTEN_PID": None}, ["LISTEN_PID is not set"]),
        ("sd:", None, {"LISTEN_PID": "x"}, ["LISTEN_PID is x"]),
        ("sd:", None, {"LISTEN_FDS": "none"}, ["LISTEN_FDS is 'none'", "1 to 2147483644"]),
        ("sd:", None, {"LISTEN_FDS": "0"}, ["LISTEN_FDS is '0'"]),
        ("sd:", None, {"LISTEN_FDS": "-1"}, ["LISTEN_FDS is '-1'"]),
        ("sd:", None, {"LISTEN_FDS": "²"}, ["LISTEN_FDS is '²'"]),
        ("sd:", None, {"LISTEN_FDS": "99999999999999999999"}, ["LISTEN_FDS is '999"]),
        ("sd:", None, {"LISTEN_FDS": "2147483644"}, ["a process has at most"]),
        ("sd:", "a", {}, ["LISTEN_FDNAMES has 1 names (a) for 2 sockets"]),
        ("sd:", "a:b:c", {}, ["has 3 names (a:b:c) for 2 sockets"]),
        ("sd:", "web:admin", {}, ["2 sockets were passed", "sd:web, sd:admin or sd:*"]),
        ("sd:", "web:web", {}, ["sd:web#0, sd:web#1 or sd:*"]),
        ("sd:", None, {}, ["sd:#0, sd:#1 or sd:*"]),
        ("sd:http", "web:admin", {}, ["no passed socket is called http", "(web)", "(admin)"]),
        ("sd:h*", "web:admin", {}, ["no passed socket is called h…"]),
        ("sd:#2", "web:admin", {}, ["no socket #2", "0 to 1"]),
        ("sd:web#1", "web:admin", {}, ["no socket #1", "0 to 0"]),
        ("sd:*", None, {"LISTEN_FDS": "3"}, ["descriptor 702 (unknown) is not open"]),
    ],
)
async def test_a_wrong_environment_is_reported_with_the_remedy(
    passed, address, names, variables, words, refusal
):
    passed(bound(), bound(), names=names, **variables)
    error = await refusal(address)
    assert error.step == "adopt"
    for word in words:
        assert word in f"{error.reason}\n{error.remedy}"
    assert str(error).startswith(f"cannot listen on {address.removesuffix(':')}: adopt: ")


async def test_an_earlier_process_of_the_same_number_is_found_out(passed, refusal):
    if own_id() is None:
        pytest.skip("this system gives processes no number that is never used again")
    passed(bound(), LISTEN_PIDFDID="12345678901234567890")
    error = await refusal("sd:")
    assert "LISTEN_PIDFDID is 12345678901234567890" in error.reason


async def test_pidfdid_is_not_checked_where_it_is_unavailable(opened, passed, monkeypatch):
    monkeypatch.setattr(systemd, "pidfd_id", lambda process: None)
    passed(bound(), LISTEN_PIDFDID="1")
    await opened("sd:")


def test_the_number_of_a_process_is_unknown_where_pidfds_share_one():
    shared = os.eventfd(0)  # stands for a pidfd before Linux 6.9
    try:
        assert pidfd.identity_of_pidfd(shared) is None
    finally:
        os.close(shared)


async def test_pid_ignore_takes_sockets_meant_for_a_parent(opened, passed, refusal):
    passed(bound(), LISTEN_PID="1")
    assert "LISTEN_PID is 1" in (await refusal("sd:")).reason
    assert len(await opened("sd:?pid=ignore")) == 1


@pytest.mark.parametrize(
    "variables",
    [
        {"LISTEN_PID": "1"},
        {"LISTEN_PID": None},
        {"LISTEN_PID": None, "LISTEN_FDS": None},
        {"LISTEN_FDS": "0"},
        {"LISTEN_FDS": "-1"},
        {"LISTEN_FDS": "none"},
        {"LISTEN_FDS": "99999999999999999999"},
        {"LISTEN_PIDFDID": "12345678901234567890"},
        {"LISTEN_FDNAMES": "a:b"},
    ],
)
@pytest.mark.parametrize("address", ["sd:", "sd:*", "sd:#0"])
async def test_pid_ignore_takes_the_first_descriptor_whatever_the_variables_say(
    opened, passed, address, variables, process
):
    sock = bound()
    port = sock.getsockname()[1]
    passed(sock, **variables)
    assert await locals_of(opened, f"{address}?pid=ignore") == [f"tcp:127.0.0.1:{port}"]
    assert process.passed.unused() == []


async def test_pid_ignore_takes_the_first_of_several(opened, passed, process):
    sockets = [bound(), bound()]
    port = sockets[0].getsockname()[1]
    passed(*sockets)
    assert await locals_of(opened, "sd:?pid=ignore") == [f"tcp:127.0.0.1:{port}"]
    assert [one.number for one in process.passed.unused()] == [701]


async def test_pid_ignore_reports_what_the_first_descriptor_is_if_it_is_not_a_listener(
    passed, refusal
):
    passed(LISTEN_FDS=None)
    assert "descriptor 700 (unknown) is not open" in (await refusal("sd:?pid=ignore")).reason
    ours, theirs = socket.socketpair()
    with theirs:
        passed(ours, LISTEN_FDS="0")
        error = await refusal("sd:?pid=ignore")
    assert "descriptor 700 (unknown) is a connected Unix stream socket" in error.reason


async def test_optional_takes_nothing_that_is_not_announced(opened, passed):
    passed(LISTEN_FDS=None)
    assert len(await opened("sd:?optional&pid=ignore")) == 0


async def test_optional_takes_nothing_where_there_is_nothing(opened, passed):
    passed(LISTEN_FDS=None, LISTEN_PID=None)
    assert len(await opened("sd:?optional")) == 0
    passed(bound(), LISTEN_PID="1")
    assert len(await opened("sd:?optional")) == 0


async def test_an_accepted_connection_is_not_a_listener(passed, refusal):
    ours, theirs = socket.socketpair()
    with theirs:
        passed(ours, names="connection")
        error = await refusal("sd:")
    assert "descriptor 700 (connection) is a connected Unix stream socket" in error.reason
    assert "Accept=no" in error.remedy


async def test_a_socket_is_claimed_once(opened, passed, refusal):
    passed(bound(), bound(), names="a:b")
    await opened("sd:a")
    error = await refusal("sd:*")
    assert "descriptor 700 (a) is already served, as sd:a" in error.reason


async def test_a_reused_descriptor_number_is_not_served(opened, passed, refusal):
    passed(bound())
    (listener,) = await opened("sd:")
    listener.close()
    error = await refusal("sd:")
    assert "was served before and is closed" in error.reason
    with bound() as other:
        os.dup2(other.fileno(), 700)
    try:
        error = await refusal("sd:")
    finally:
        os.close(700)
    assert "was served before and is closed" in error.reason


async def test_a_failure_leaves_every_socket_for_another_attempt(opened, passed, refusal):
    passed(bound(), bound(), names="a:b")
    await refusal("sd:a", "sd:nobody")
    assert is_open(700)
    assert len(await opened("sd:*")) == 2


async def test_unused_sockets_are_reported(opened, passed, caplog, process):
    caplog.set_level(logging.WARNING, "pierhead.listener")
    passed(bound(), bound(), bound(), names="a:b:")
    process.passed.report_unused()
    assert caplog.messages == []
    (listener,) = await opened("sd:a")
    process.passed.report_unused()
    listener.close()
    process.passed.report_unused()  # one that was served and closed is not left over
    line = "systemd passed sockets that no address serves: descriptor 701 (b), 702"
    assert [m.startswith(line[:60]) and "702 (unnamed)" in m for m in caplog.messages] == [True] * 2
    assert "700" not in caplog.text
