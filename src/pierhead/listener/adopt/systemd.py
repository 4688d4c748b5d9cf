"""Sockets that systemd passes: the ``LISTEN_*`` variables, checked as libsystemd checks them.

    LISTEN_PID      the target process         LISTEN_FDS       how many, from descriptor 3 on
    LISTEN_PIDFDID  the same, never reused     LISTEN_FDNAMES   their names, separated by :

The variables are removed from the environment the first time an address needs them, so that no
child mistakes them for its own; their values are kept for later addresses.
"""

from __future__ import annotations

import errno
import logging
import os
from collections import Counter
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass

from pierhead.address import ListenSpec, SystemdAddress
from pierhead.address.views import AdoptOptions
from pierhead.buffer import BufferSource
from pierhead.errors import ListenError
from pierhead.listener.adopt.descriptors import Adopted, adopt_all
from pierhead.listener.adopt.reserved import ReservedDescriptors
from pierhead.net.pidfd import pidfd_id

__all__ = [
    "PassedSocket",
    "PassedSockets",
    "for_another_process",
    "open_passed",
    "read_passed",
    "select_passed",
]

_log = logging.getLogger("pierhead.listener")

_VARIABLES = ("LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES")
#: SD_LISTEN_FDS_START, and the largest count that libsystemd accepts: INT_MAX minus that.
_FIRST = 3
_MOST = 2**31 - 1 - _FIRST

_START = "start it by a .socket unit, or try systemd-socket-activate -l ADDRESS PROGRAM"
_EXEC = (
    "whatever starts Pierhead must exec it, so that it keeps the process ID; "
    "?pid=ignore takes the sockets anyway"
)


@dataclass(frozen=True, slots=True)
class PassedSocket:
    """One descriptor that systemd passed, with its name, which need not be unique."""

    number: int
    name: str

    def __str__(self) -> str:
        return f"descriptor {self.number} ({self.name or 'unnamed'})"


class PassedSockets:
    """The sockets that systemd passed to this process, for all of its addresses.

    Args:
        environment: contains the variables until the first address needs them.
        reserved: the descriptors being served.
        first: the number of the first descriptor.
    """

    def __init__(
        self,
        environment: MutableMapping[str, str],
        reserved: ReservedDescriptors,
        first: int = _FIRST,
    ) -> None:
        self.reserved = reserved
        self._environment = environment
        self._first = first
        self._variables: Mapping[str, str] | None = None
        self._passed: tuple[PassedSocket, ...] = ()  # once an address has asked
        self._identities: dict[int, tuple[int, int] | None] = {}

    def ask(self, spec: ListenSpec) -> list[PassedSocket]:
        """Return the sockets that an address refers to.

        Raises:
            ListenError: no sockets were passed, or not to us, or not those requested.
        """
        address, options = str(spec), AdoptOptions.of(spec.options)
        variables = self._take()
        if options.pid == "check" and "LISTEN_FDS" in variables:
            stranger = for_another_process(variables)
            if stranger and options.optional:
                return []
            if stranger:
                raise ListenError(address, "adopt", stranger, _EXEC)
        passed = self._read(spec, variables)
        self._passed = passed or self._passed
        for one in passed:
            self._remember(one.number)
        chosen = select_passed(spec, passed)
        for one in chosen:
            self._check_still_open(address, one)
        return chosen

    def unused(self) -> list[PassedSocket]:
        """Return the sockets that no address has requested so far; [] before the first request."""
        return [
            one
            for one in self._passed
            if one.number not in self.reserved and self._is_as_passed(one.number)
        ]

    def report_unused(self) -> None:
        """Log the sockets that no address has requested; their peers would wait for ever."""
        left = ", ".join(map(str, self.unused()))
        if left:
            _log.warning("systemd passed sockets that no address serves: %s", left)

    def _take(self) -> Mapping[str, str]:
        if self._variables is None:
            found = {n: self._environment.pop(n) for n in _VARIABLES if n in self._environment}
            self._variables = found
        return self._variables

    def _read(self, spec: ListenSpec, variables: Mapping[str, str]) -> tuple[PassedSocket, ...]:
        """Return the sockets passed; with ``pid=ignore`` at least the first descriptor."""
        options = AdoptOptions.of(spec.options)
        if options.pid == "check" or options.optional:
            return read_passed(str(spec), variables, self._first)
        try:
            passed = read_passed(str(spec), variables, self._first)
        except ListenError:  # the variables are invalid, and the address says to ignore that
            passed = ()
        return passed or (PassedSocket(self._first, "unknown"),)

    def _remember(self, number: int) -> None:
        if number in self._identities:
            return
        self._identities[number] = _identity(number)
        if self._identities[number] is not None:
            os.set_inheritable(number, False)

    def _is_as_passed(self, number: int) -> bool:
        identity = _identity(number)
        return identity is not None and identity == self._identities[number]

    def _check_still_open(self, address: str, one: PassedSocket) -> None:
        if self._is_as_passed(one.number):
            return
        # Another file may have its number by now: it must not be served instead.
        was_open = self._identities[one.number] is not None
        reason = f"{one} {'was served before and is closed' if was_open else 'is not open'}"
        remedy = "restart the service to get it again" if was_open else _START
        raise ListenError(address, "adopt", reason, remedy)


def _identity(number: int) -> tuple[int, int] | None:
    try:
        found = os.fstat(number)
    except OSError as error:
        if error.errno == errno.EBADF:  # `inspect_descriptor` reports it, if this one is requested
            return None
        raise
    return found.st_dev, found.st_ino


def open_passed(
    spec: ListenSpec, buffers: BufferSource, batched: bool | None, passed: PassedSockets
) -> list[Adopted]:
    """Adopt the sockets of an ``sd:`` address, all or none.

    Raises:
        ListenError: no sockets were passed, or not to us, or not those requested.
    """
    named = [(one.number, str(one)) for one in passed.ask(spec)]
    return adopt_all(spec, named, buffers, batched, passed.reserved)


def read_passed(
    address: str, variables: Mapping[str, str], first: int = _FIRST
) -> tuple[PassedSocket, ...]:
    """Return the sockets that the variables describe; () if they are not set.

    Raises:
        ListenError: they are invalid.
    """
    if "LISTEN_FDS" not in variables:
        return ()
    count = _count(address, variables["LISTEN_FDS"])
    names = _names(address, variables.get("LISTEN_FDNAMES"), count)
    return tuple(PassedSocket(first + i, name) for i, name in enumerate(names))


def for_another_process(variables: Mapping[str, str]) -> str:
    """Return why the sockets are not for this process; "" if they are."""
    text, own = variables.get("LISTEN_PID", ""), os.getpid()
    if _number(text) != own:
        found = f"LISTEN_PID is {text}" if text else "LISTEN_PID is not set"
        return f"the sockets are for another process: {found}, and this is {own}"
    text, own_id = variables.get("LISTEN_PIDFDID", ""), pidfd_id(own)
    if text and own_id is not None and _number(text) != own_id:
        return (
            f"the sockets are for an earlier process with the same ID: LISTEN_PIDFDID is {text}, "
            f"and this is {own_id}"
        )
    return ""


def _count(address: str, text: str) -> int:
    count = _number(text)
    if count is None or not 1 <= count <= _MOST:
        reason = f"LISTEN_FDS is {text!r}, expected a number from 1 to {_MOST}"
        raise ListenError(address, "adopt", reason, _START)
    # A forged number must not make us build a list of two billion names.
    limit = os.sysconf("SC_OPEN_MAX")
    if 0 < limit < count:
        reason = f"LISTEN_FDS is {count}, and a process has at most {limit} descriptors"
        raise ListenError(address, "adopt", reason, _START)
    return count


def _names(address: str, text: str | None, count: int) -> list[str]:
    if text is None:
        return ["unknown"] * count  # as sd_listen_fds_with_names(3) calls them
    names = text.split(":")
    if len(names) != count:
        reason = f"LISTEN_FDNAMES has {len(names)} names ({text}) for {count} sockets"
        raise ListenError(address, "adopt", reason, "give one name for each, separated by :")
    return names


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else None


def select_passed(spec: ListenSpec, passed: Sequence[PassedSocket]) -> list[PassedSocket]:
    """Return the sockets that an address refers to.

    Raises:
        ListenError: there is none, or more than the address allows.
    """
    address, options = spec.address, AdoptOptions.of(spec.options)
    assert isinstance(address, SystemdAddress)
    if not passed and options.optional:
        return []
    if not passed:
        reason = "no socket was passed to this process: LISTEN_FDS is not set"
        raise ListenError(str(spec), "adopt", reason, _START)
    named = [one for one in passed if address.matches(one.name)]
    if not named and options.optional:
        return []
    if not named:
        reason = f"no passed socket is called {address.name}{'…' if address.prefix else ''}"
        remedy = f"there are {_list(passed)}; FileDescriptorName= in the .socket unit names them"
        raise ListenError(str(spec), "adopt", reason, remedy)
    if address.index is not None:
        return _at(spec, named, address.index)
    if address.name is None and len(named) > 1 and options.pid == "ignore":
        return named[:1]
    if address.name is None and len(named) > 1:
        reason = f"{len(named)} sockets were passed, and the address is for one"
        remedy = f"write {_suggest(named)} or sd:* for all of them"
        raise ListenError(str(spec), "adopt", reason, remedy)
    return named


def _at(spec: ListenSpec, named: Sequence[PassedSocket], index: int) -> list[PassedSocket]:
    if index < len(named):
        return [named[index]]
    if AdoptOptions.of(spec.options).optional:
        return []
    reason = f"there is no socket #{index}: they are counted from 0 to {len(named) - 1}"
    raise ListenError(str(spec), "adopt", reason, f"there are {_list(named)}")


def _list(passed: Sequence[PassedSocket]) -> str:
    return ", ".join(map(str, passed))


def _suggest(passed: Sequence[PassedSocket]) -> str:
    count = Counter(one.name for one in passed)
    seen: Counter[str] = Counter()
    words = []
    for index, one in enumerate(passed):
        position = seen[one.name]
        seen[one.name] += 1
        if not one.name or one.name == "unknown":
            words.append(str(SystemdAddress(index=index)))
        else:
            index_or_all = position if count[one.name] > 1 else None
            words.append(str(SystemdAddress(one.name, index_or_all)))
    return ", ".join(words)
