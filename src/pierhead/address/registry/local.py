"""The options of addresses within one host: Unix domain, passed sockets, memory."""

from __future__ import annotations

from pierhead.address.accounts import Accounts
from pierhead.address.option import BOTH, AppliedBy, Effect, Option
from pierhead.address.option_types import Account, Choice, Flag, Integer, Permissions, Ratio
from pierhead.address.schemes import LINUX, PASSED_SCHEMES, UNIX_SCHEMES

__all__ = [
    "ACCOUNT_OPTIONS",
    "MEMORY_OPTIONS",
    "PAD",
    "PASSED_OPTIONS",
    "UNIX_OPTIONS",
]

#: Schemes for which the system may report the peer's credentials.
_VOUCHED = PASSED_SCHEMES | {"unix", "unixseq", "inetd"}

#: It becomes part of the address when that is parsed.
PAD = Option(
    key="pad",
    meaning="length of an abstract name: as given, or padded with NUL to the full length",
    type=Choice(("exact", "full")),
    default="exact",
    sides=BOTH,
    schemes=UNIX_SCHEMES,
    abstract=True,
    platforms=LINUX,
    applied_by=(AppliedBy.ADDRESS,),
    effect=Effect.NEW_LISTENER,
    example="pad=full",
)

UNIX_OPTIONS = (
    Option(
        key="mode",
        meaning="permissions of the socket in the file system",
        type=Permissions(),
        default_note="0777 minus the umask",
        schemes=UNIX_SCHEMES,
        abstract=False,
        applied_by=(AppliedBy.PATH,),
        effect=Effect.NEW_LISTENER,
        example="mode=0660",
        elsewhere=("chmod", "permissions"),
        flag="--unix-listen-chmod",
    ),
    Option(
        key="user",
        meaning="owner of the socket in the file system",
        type=Account(),
        default_note="the process's user",
        schemes=UNIX_SCHEMES,
        abstract=False,
        applied_by=(AppliedBy.PATH,),
        effect=Effect.NEW_LISTENER,
        example="user=app",
        elsewhere=("owner", "chown", "uid"),
        flag="--unix-listen-uid",
    ),
    Option(
        key="group",
        meaning="group of the socket in the file system",
        type=Account(),
        default_note="the process's group",
        schemes=UNIX_SCHEMES,
        abstract=False,
        applied_by=(AppliedBy.PATH,),
        effect=Effect.NEW_LISTENER,
        example="group=www",
        flag="--unix-listen-gid",
    ),
    Option(
        key="unlink",
        meaning="which existing socket is removed: one that is not served (stale), also one of "
        "unknown state (always), or none (never); one that is served stays",
        type=Choice(("stale", "always", "never")),
        default="stale",
        schemes=UNIX_SCHEMES,
        abstract=False,
        applied_by=(AppliedBy.PATH,),
        effect=Effect.NEW_LISTENER,
        example="unlink=always",
        flag="--unix-listen-unlink",
        flag_value="always",
        flag_meaning="remove an existing socket, unless it is known to be served",
    ),
    PAD,
)

ACCOUNT_OPTIONS = (
    Option(
        key="allow-uid",
        meaning="users whose processes may connect; others are closed unread",
        type=Accounts(),
        default_note="any user",
        schemes=_VOUCHED,
        platforms=(*LINUX, "darwin", "freebsd"),
        applied_by=(AppliedBy.ADMISSION,),
        effect=Effect.NEW_CONNECTIONS,
        example="allow-uid=app,0",
    ),
    Option(
        key="allow-gid",
        meaning="groups whose members' processes may connect, besides the users of allow-uid",
        type=Accounts(),
        default_note="any group",
        schemes=_VOUCHED,
        platforms=(*LINUX, "darwin", "freebsd"),
        applied_by=(AppliedBy.ADMISSION,),
        effect=Effect.NEW_CONNECTIONS,
        example="allow-gid=adm",
    ),
)

PASSED_OPTIONS = (
    Option(
        key="type",
        meaning="the type of socket that is expected; any other is refused",
        type=Choice(("stream", "dgram", "seqpacket")),
        default_note="what the protocol can serve",
        schemes=PASSED_SCHEMES,
        applied_by=(AppliedBy.ADOPT,),
        effect=Effect.NEW_LISTENER,
        example="type=dgram",
    ),
    Option(
        key="force",
        meaning="take descriptors 0 to 2, which are standard input, output and error",
        type=Flag(),
        default=False,
        schemes=frozenset({"fd"}),
        applied_by=(AppliedBy.ADDRESS,),
        effect=Effect.NEW_LISTENER,
        example="force",
    ),
    Option(
        key="pid",
        meaning="whether LISTEN_PID must name this process; ignore: descriptor 3 is passed anyway",
        type=Choice(("check", "ignore")),
        default="check",
        schemes=frozenset({"sd"}),
        applied_by=(AppliedBy.ADOPT,),
        effect=Effect.NEW_LISTENER,
        example="pid=ignore",
        flag="--sd-accept-ignore-environment",
        flag_value="ignore",
        flag_meaning="take descriptor 3, whatever LISTEN_PID and LISTEN_FDS say",
    ),
    Option(
        key="optional",
        meaning="no passed socket is not an error",
        type=Flag(),
        default=False,
        schemes=frozenset({"sd"}),
        applied_by=(AppliedBy.ADOPT,),
        effect=Effect.NEW_LISTENER,
        example="optional",
    ),
    Option(
        key="mode",
        meaning="what standard input is: one accepted connection, or a socket to wait on",
        type=Choice(("nowait", "wait")),
        default="nowait",
        schemes=frozenset({"inetd"}),
        applied_by=(AppliedBy.ADOPT,),
        effect=Effect.NEW_LISTENER,
        example="mode=wait",
    ),
)

MEMORY_OPTIONS = (
    Option(
        key="loss",
        meaning="fraction of datagrams that are lost",
        type=Ratio(),
        default=0.0,
        schemes=frozenset({"memgram"}),
        applied_by=(AppliedBy.MEMORY,),
        effect=Effect.NEW_LISTENER,
        example="loss=0.01",
    ),
    Option(
        key="seed",
        meaning="seed of the random numbers that decide which datagrams are lost",
        type=Integer(0),
        default_note="the network's",
        schemes=frozenset({"memgram"}),
        applied_by=(AppliedBy.MEMORY,),
        effect=Effect.NEW_LISTENER,
        example="seed=7",
    ),
)
