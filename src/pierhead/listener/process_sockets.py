"""What the servers of one process have between them: its descriptors, and what was passed to it.

The table of descriptors, the environment, and standard input belong to the process. Servers that
share one `ProcessSockets` never take the same descriptor twice, each gets its own of the sockets
that systemd has passed, and none answers another.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from functools import cache
from typing import Self

from pierhead.listener.adopt.inetd import StandardStreams
from pierhead.listener.adopt.reserved import ReservedDescriptors
from pierhead.listener.adopt.systemd import PassedSockets
from pierhead.listener.own_addresses import OwnAddresses

__all__ = ["ProcessSockets"]

#: SD_LISTEN_FDS_START.
_FIRST_PASSED = 3


class ProcessSockets:
    """The sockets of a process, as far as its servers have to know of each other.

    Args:
        environment: where systemd and super-servers say what they pass, ``os.environ`` where None;
            what is for this process alone is taken out of it.
        streams: standard input, output and error; those of the process where None.
        first_passed: the number of the first descriptor that systemd passes.

    Attributes:
        environment: as given.
        streams: as given.
        reserved: which descriptors are served.
        passed: what systemd has passed.
        own_addresses: where datagrams are received; nobody answers what claims to be from there.
    """

    def __init__(
        self,
        environment: MutableMapping[str, str] | None = None,
        *,
        streams: StandardStreams | None = None,
        first_passed: int = _FIRST_PASSED,
    ) -> None:
        self.environment = os.environ if environment is None else environment
        self.streams = streams or StandardStreams.of_process()
        self.reserved = ReservedDescriptors()
        self.passed = PassedSockets(self.environment, self.reserved, first_passed)
        self.own_addresses = OwnAddresses()

    @classmethod
    @cache
    def of_this_process(cls) -> Self:
        """Return what servers share that were handed none; made at the first call.

        Two parts of a program that know nothing of each other have one table of descriptors all
        the same.
        """
        return cls()

    def __repr__(self) -> str:
        return f"<ProcessSockets {self.reserved}>"
