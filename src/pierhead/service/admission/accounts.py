"""An admission check for Unix sockets, by user and group of the connecting process."""

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
    """Admit only processes of these users and of members of these groups.

    Names are looked up once, here. A connection for which the system reports no credentials (TCP, a
    datagram) is refused.

    Raises:
        UsageError: no user or group is given, or one of them is unknown on this system.
    """
    uids = frozenset(_number("user", user) for user in users)
    gids = frozenset(_number("group", group) for group in groups)
    if not uids and not gids:
        raise UsageError("allow_accounts() got no user and no group; name at least one")
    return AccountList(uids, gids)


class AccountList:
    """An admission check by credentials; created by `allow_accounts`."""

    __slots__ = ("_drop", "_gids", "_uids")

    def __init__(self, uids: frozenset[int], gids: frozenset[int]) -> None:
        self._uids = uids
        self._gids = gids
        self._drop = Drop("not_allowed")

    def __call__(self, frame: bytes, peer: Peer, via: Via) -> Verdict:
        """Let the frame pass, or drop it."""
        return None if self._lists(via.credentials) else self._drop

    def admit_connection(self, peer: Peer, via: Via) -> Drop | None:
        """Accept the connection, or refuse it before its first byte is read."""
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
        raise UsageError(f"this system has no number for the {what} {account}; give its number")
    try:
        if what == "user":
            return pwd.getpwnam(account).pw_uid
        return grp.getgrnam(account).gr_gid
    except KeyError:
        raise UsageError(
            f"no {what} is called {account} here; name another, or its number"
        ) from None
