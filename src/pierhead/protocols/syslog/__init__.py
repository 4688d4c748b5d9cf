"""The syslog protocol: a sink for messages of RFC 5424, and of RFC 3164 if asked for.

    async def store(message: syslog.Message, context: Context) -> None:
        print(message.severity.name, message.app_name, message.text)

    run(syslog.serve(store), "127.0.0.1:5514", "unixgram:./log")

Datagrams are one message each (RFC 5426). On streams both framings of RFC 6587 are read; over TLS
it is RFC 5425.
"""

from pierhead.protocols.syslog.serve import serve, wire_format
from pierhead.protocols.syslog.wire import BsdMessage, Element, Facility, Message, Severity

__all__ = ["BsdMessage", "Element", "Facility", "Message", "Severity", "serve", "wire_format"]
