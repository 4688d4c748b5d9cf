"""Admission to Unix sockets by user and group."""

from __future__ import annotations

import os
import sys

import pytest

from pierhead.errors import UsageError
from pierhead.service.admission import ConnectionAdmission, Drop, allow_accounts
from pierhead.service.context import Credentials, Peer, Transport, Via

PEER = Peer("")


def via(credentials):
    return Via(
        transport=Transport.STREAM,
        scheme="unix",
        local="unix:/run/x",
        listener="unix:/run/x",
        credentials=credentials,
    )


@pytest.mark.parametrize(
    ("who", "is_let_in"),
    [
        (Credentials(1, 7, 100), True),
        (Credentials(1, 8, 50), True),
        (Credentials(1, 8, 100, groups=(20, 50)), True),
        (Credentials(1, 50, 7), False),
        (None, False),
    ],
)
def test_a_user_or_a_member_of_a_group_is_admitted(who, is_let_in) -> None:
    check = allow_accounts(users=[7], groups=["50"])
    assert isinstance(check, ConnectionAdmission)
    expected = None if is_let_in else Drop("not_allowed")
    assert check.admit_connection(PEER, via(who)) == expected
    assert check(b"", PEER, via(who)) == expected


@pytest.mark.skipif(sys.platform == "win32", reason="no users by number")
def test_names_are_looked_up() -> None:
    import grp
    import pwd

    user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(os.getegid())
    check = allow_accounts(users=[user.pw_name], groups=[group.gr_name])
    assert check.admit_connection(PEER, via(Credentials(1, user.pw_uid, 2**31))) is None
    assert check.admit_connection(PEER, via(Credentials(1, 2**31, group.gr_gid))) is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "name at least one"),
        ({"users": ["no-such-user"]}, "no user is called no-such-user here"),
        ({"groups": ["no-such-group"]}, "no group is called no-such-group here"),
    ],
)
def test_an_invalid_list_of_accounts_is_refused(arguments, words) -> None:
    with pytest.raises(UsageError, match=words):
        allow_accounts(**arguments)
