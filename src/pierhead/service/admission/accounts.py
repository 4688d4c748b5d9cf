"""Who may connect over a Unix socket, by the user and group of the process that does."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from pierhead.errors import UsageError
from pierhead.service.admission.base import Drop, Verdict
from pierhead.service.context import Credentials, Peer, Via

if sys.platform != "win32":
    import grp
    import pwd

__all__ = ["AccountList", "allow_accounts"]


def allow_accounts(
    *, users: Iterable[int | str] = (), groups: Iterable[int | str] = ()
) -> AccountList:
    """Let in processes of these users, and of members of these groups, and nobody else.

    Names are looked up once, here. A connection whose other end the system does not vouch for
    (TCP, a datagram) is not let in.

    Raises:
        UsageError: no user or group is named, or one of them is not known here.
    """
    uids = frozenset(_number("user", user) for user in users)
    gids = frozenset(_number("group", group) for group in groups)
    if not uids and not gids:
        raise UsageError("allow_accounts() got no user and no group; name at least one")
    return AccountList(uids, gids)


class AccountList:
    """An admission check by credentials; made by `allow_accounts`."""

    __slots__ = ("_drop", "_gids", "_uids")

    def __init__(self, uids: frozenset[int], gids: frozenset[int]) -> None:
        self._uids = uids
        self._gids = gids
        self._drop = Drop("not_allowed")

    def __call__(self, frame: bytes, peer: Peer, via: Via) -> Verdict:
        """Let the frame pass, or drop it."""
        return None if self._lists(via.credentials) else self._drop

    def admit_connection(self, peer: Peer, via: Via) -> Drop | None:
        """Accept the connection, or have it closed before its first byte."""
        return None if self._lists(via.credentials) else self._drop

    def _lists(self, who: Credentials | None) -> bool:
        if who is None:
            return False
        return who.uid in self._uids or not self._gids.isdisjoint((who.gid, *who.groups))


def _number(what: str, account: int | str) -> int:
    if isinstance(account, int):
        return account
    if account.isascii() and account.isdigit():
        return int(account)
    if sys.platform == "win32":
        raise UsageError(f"this system gives the {what} {account} no number; give a number itself")
    try:
        if what == "user":
            return pwd.getpwnam(account).pw_uid
        return grp.getgrnam(account).gr_gid
    except KeyError:
        raise UsageError(
            f"no {what} is called {account} here; name another, or its number"
        ) from None
