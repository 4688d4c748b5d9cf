"""The parts of an endpoint that serve one listener."""

from __future__ import annotations

from pierhead.address import ListenSpec
from pierhead.address.views import AdmissionOptions
from pierhead.errors import ListenError, UsageError
from pierhead.listener.base import Listener
from pierhead.listener.wrap.wrappers import unwrapped
from pierhead.server.converse import packet_conversations
from pierhead.server.conversing import Conversing
from pierhead.server.endpoint import Endpoint, StreamHandler
from pierhead.server.seqpacket import packets
from pierhead.service import FrameHandler
from pierhead.service.admission import ConnectionAdmission, allow_accounts
from pierhead.service.context import Transport

__all__ = ["connection_admission", "datagram_handler", "stream_handler"]

_PLURALS = {
    Transport.DATAGRAM: "datagrams",
    Transport.STREAM: "streams",
    Transport.SEQPACKET: "seqpacket connections",
}


def datagram_handler(endpoint: Endpoint, listener: Listener) -> FrameHandler | Conversing:
    """Return what serves a listener's datagrams.

    Raises:
        ListenError: the endpoint serves none.
    """
    if endpoint.datagram is None:
        raise _not_served(endpoint, listener)
    return endpoint.datagram


def stream_handler(endpoint: Endpoint, listener: Listener) -> StreamHandler:
    """Return the handler of a listener's connections.

    Raises:
        ListenError: the endpoint serves no such connections.
    """
    handler = endpoint.stream
    if listener.transport is Transport.SEQPACKET:
        frames = endpoint.datagram
        if isinstance(frames, Conversing):
            handler = None if frames.per_socket else packet_conversations(frames)
        else:
            handler = None if frames is None else packets(frames)
    if handler is None:
        raise _not_served(endpoint, listener)
    return handler


def connection_admission(
    endpoint: Endpoint, listener: Listener, spec: ListenSpec
) -> tuple[ConnectionAdmission, ...]:
    """Return the checks on a connection: those of its address, then the endpoint's.

    Args:
        spec: the address as given.

    Raises:
        ListenError: the address names accounts, but the system reports no credentials.
    """
    own = tuple(one for one in endpoint.admission if isinstance(one, ConnectionAdmission))
    options = AdmissionOptions.of(spec.options)
    users, groups = options.allow_uid or (), options.allow_gid or ()
    if not users and not groups:
        return own
    address = str(spec)
    if not unwrapped(listener).local.startswith(("unix", "inetd")):
        reason = f"{listener.local} is not a Unix socket, the only kind with peer credentials"
        raise ListenError(address, "option allow-uid", reason, "leave it out")
    try:
        return (allow_accounts(users=users, groups=groups), *own)
    except UsageError as error:
        raise ListenError(address, "option allow-uid", str(error)) from error


def _not_served(endpoint: Endpoint, listener: Listener) -> ListenError:
    return ListenError(
        str(listener.spec),
        "serve",
        f"the {endpoint.name} endpoint does not serve {_PLURALS[listener.transport]}",
        f"give {endpoint.name} an address of {_served(endpoint)}, or serve another protocol on "
        "this one",
    )


def _served(endpoint: Endpoint) -> str:
    """Return the schemes of what an endpoint serves, for a remedy."""
    if endpoint.datagram is None:
        return "tcp: or unix:"
    return "udp:, unixgram: or unixseq:; frame its messages with serve(service, wire_format)"
