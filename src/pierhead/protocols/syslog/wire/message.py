"""Syslog messages as values: RFC 5424's, and those of RFC 3164, which say less."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

__all__ = ["BsdMessage", "Element", "Facility", "Message", "Severity"]


class Facility(IntEnum):
    """The part of a system that a message comes from (RFC 5424 §6.2.1, table 1)."""

    KERN = 0
    USER = 1
    MAIL = 2
    DAEMON = 3
    AUTH = 4
    SYSLOG = 5
    LPR = 6
    NEWS = 7
    UUCP = 8
    CRON = 9
    AUTHPRIV = 10
    FTP = 11
    NTP = 12
    AUDIT = 13
    ALERT = 14
    CLOCK = 15
    LOCAL0 = 16
    LOCAL1 = 17
    LOCAL2 = 18
    LOCAL3 = 19
    LOCAL4 = 20
    LOCAL5 = 21
    LOCAL6 = 22
    LOCAL7 = 23


class Severity(IntEnum):
    """How bad it is, the worst first (RFC 5424 §6.2.1, table 2)."""

    EMERGENCY = 0
    ALERT = 1
    CRITICAL = 2
    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFORMATIONAL = 6
    DEBUG = 7


@dataclass(frozen=True, slots=True)
class Element:
    """One element of structured data: an SD-ID, and parameters whose names may repeat."""

    id: str
    params: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message of RFC 5424. A header field that is absent, "-" on the wire, is None.

    Attributes:
        facility: the part of the system.
        severity: how bad it is.
        timestamp: with a time zone, to the microsecond.
        hostname, app_name, procid, msgid: printable ASCII without blanks.
        structured_data: its elements, each SD-ID once.
        text: the free form; octets only if they are not UTF-8.
    """

    facility: Facility = Facility.USER
    severity: Severity = Severity.NOTICE
    timestamp: datetime | None = None
    hostname: str | None = None
    app_name: str | None = None
    procid: str | None = None
    msgid: str | None = None
    structured_data: tuple[Element, ...] = ()
    text: str | bytes = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BsdMessage:
    """A message in the format that RFC 3164 observed; any field may be missing.

    Attributes:
        facility, severity: user and notice if the message has no priority (§4.3.3).
        timestamp: as sent (``Oct 11 22:14:15``): it has neither a year nor a time zone.
        hostname: the sender's name for itself.
        tag: the program.
        procid: what stands in brackets after the tag.
        text: the rest; octets only if they are not UTF-8.
    """

    facility: Facility = Facility.USER
    severity: Severity = Severity.NOTICE
    timestamp: str | None = None
    hostname: str | None = None
    tag: str | None = None
    procid: str | None = None
    text: str | bytes = ""
