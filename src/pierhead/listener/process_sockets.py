"""What the servers of one process share: its descriptors, and the sockets passed to it.

The table of descriptors, the environment, and standard input belong to the process. Servers that
share one `ProcessSockets` never take the same descriptor twice, each gets its own sockets among
those that systemd has passed, and none answers another.
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
    """The sockets of a process that its servers must know about.

    Args:
        environment: where systemd and super-servers describe what they pass; None for
            ``os.environ``. Variables for this process only are removed from it.
        streams: standard input, output and error; None for those of the process.
        first_passed: the number of the first descriptor that systemd passes.

    Attributes:
        environment: as given.
        streams: as given.
        reserved: the descriptors being served.
        passed: the sockets that systemd has passed.
        own_addresses: where datagrams are received; a datagram claiming to be from there is not
            answered.
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
        """Return the instance for servers that were passed none; created at the first call.

        Independent parts of a program thus share one table of descriptors.
        """
        return cls()

    def __repr__(self) -> str:
        return f"<ProcessSockets {self.reserved}>"
