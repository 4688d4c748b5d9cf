"""``inetd``: the connection or socket that a super-server passes as standard input and output.

    one connection, accepted     a socket, adopted with its real peer; or a pair of pipes (UCSPI)
    ?mode=wait                   a socket to wait on: a listening or a datagram socket

Standard input and output are moved to other descriptors first: otherwise a stray ``print`` or a
child's output would end up in the middle of the protocol.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from pierhead.address import InetdAddress, ListenSpec
from pierhead.address.option import AppliedBy
from pierhead.address.views import AdoptOptions, SocketOptions
from pierhead.buffer import BufferSource
from pierhead.errors import ListenError
from pierhead.listener.adopt.descriptors import adopt, refuse_ineffective_options, socket_text
from pierhead.listener.adopt.inspection import AdoptedSocket, inspect_descriptor, kind_of_file
from pierhead.listener.adopt.reserved import ReservedDescriptors
from pierhead.listener.adopt.single_connection import SingleConnection
from pierhead.listener.base import Accepted, Listener
from pierhead.listener.socket_option import apply_options
from pierhead.listener.stream import AcceptedChannel, AcceptedSocket, peer_of
from pierhead.net.resolve import inet_text
from pierhead.net.transport.channel import PipeChannel
from pierhead.service.context import Credentials, Peer, Transport

if sys.platform != "win32":
    import fcntl

__all__ = ["StandardStreams", "open_inetd", "peer_from", "server_from"]

_INPUT = "standard input"


@dataclass(frozen=True, slots=True)
class StandardStreams:
    """The descriptors of standard input, output and error; None for one that was closed at the
    start.

    A closed number is not examined: another file may have it by now, perhaps the event loop's.
    """

    input: int | None
    output: int | None
    error: int | None

    @classmethod
    def of_process(cls) -> StandardStreams:
        """Return those of this process."""
        return cls(
            None if sys.__stdin__ is None else 0,
            None if sys.__stdout__ is None else 1,
            None if sys.__stderr__ is None else 2,
        )

    def redirect(self) -> None:
        """Detach standard streams from the connection: input ends, output goes to standard error.

        Some super-servers make standard error the connection too; then it is detached as well.
        """
        assert self.input is not None
        if self.error is not None and os.path.sameopenfile(self.input, self.error):
            _put_nothing(self.error)
        if self.output is not None:
            if sys.stdout is not None:
                sys.stdout.flush()
            if self.error is None:
                _put_nothing(self.output)
            else:
                os.dup2(self.error, self.output)
        _put_nothing(self.input)


def _put_nothing(number: int) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        os.dup2(nothing, number)
    finally:
        os.close(nothing)


def open_inetd(
    spec: ListenSpec,
    buffers: BufferSource,
    batched: bool | None,
    reserved: ReservedDescriptors,
    streams: StandardStreams,
    *,
    environment: Mapping[str, str] = os.environ,
) -> Listener:
    """Take over standard input and output.

    Args:
        reserved: the descriptors being served; standard input is added.
        streams: those of this process.
        environment: where a super-server names the peer.

    Raises:
        ListenError: they cannot be served, or are already served.
    """
    assert isinstance(spec.address, InetdAddress)
    address = str(spec)
    number = streams.input
    kind = None if number is None else kind_of_file(number)
    if number is None or kind in (None, "a terminal", "a directory"):
        reason = f"{_INPUT} is {kind or 'closed'}, expected a connection"
        remedy = (
            "a super-server starts this; to try it: systemd-socket-activate --inetd -a -l "
            "PORT PROGRAM, or a pipe"
        )
        raise ListenError(address, "adopt", reason, remedy)
    reserved.reserve(number, address, _INPUT)
    try:
        if AdoptOptions.of(spec.options).mode == "wait":
            listener = _wait(spec, number, buffers, batched, reserved)
        elif kind == "a socket":
            listener = _take_socket(spec, number, environment)
        else:
            listener = _take_pipes(spec, (number, streams.output), environment)
    except BaseException:
        reserved.release(number)
        raise
    streams.redirect()
    # Standard input stays reserved: it is gone.
    return listener


def _moved(number: int) -> int:
    """Return a duplicate, above the standard descriptors, that no child inherits."""
    return fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 3)


def _wait(
    spec: ListenSpec,
    standard_input: int,
    buffers: BufferSource,
    batched: bool | None,
    reserved: ReservedDescriptors,
) -> Listener:
    number = _moved(standard_input)
    try:
        return adopt(spec, number, _INPUT, buffers, reserved, batched=batched)
    except BaseException:
        os.close(number)
        raise


def _take_socket(spec: ListenSpec, standard_input: int, environment: Mapping[str, str]) -> Listener:
    found = inspect_descriptor(standard_input, str(spec), _INPUT)
    if found.transport is Transport.DATAGRAM or found.is_listening:
        reason = f"{_INPUT} is {found}, expected one accepted connection"
        raise ListenError(str(spec), "adopt", reason, "write inetd?mode=wait to serve it")
    refuse_ineffective_options(spec, found, _INPUT)
    sock = socket.socket(fileno=_moved(standard_input))
    try:
        sock.setblocking(False)
        apply_options(sock, spec)
        accepted = _accepted(spec, sock, found, environment)
    except OSError as error:
        sock.close()
        raise ListenError(str(spec), "adopt", str(error), "", error.errno) from error
    except BaseException:
        sock.close()
        raise
    return SingleConnection(spec, accepted, found.transport)


def _accepted(
    spec: ListenSpec, sock: socket.socket, found: AdoptedSocket, environment: Mapping[str, str]
) -> Accepted:
    local = socket_text(sock, found.transport)
    try:
        peer = peer_of(sock.getpeername())
    except OSError:  # the peer has gone; its request can still be read
        peer = peer_from(environment) or Peer("")
    is_familiar = found.family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)
    if found.transport is Transport.STREAM and is_familiar:
        return AcceptedSocket.of(sock, peer, local, SocketOptions.of(spec.options).nodelay)
    return AcceptedChannel.of(sock, peer, local)


def _take_pipes(
    spec: ListenSpec, ends: tuple[int, int | None], environment: Mapping[str, str]
) -> Listener:
    _refuse_options_of_sockets(spec)
    standard_input, standard_output = ends
    if standard_output is None:
        reason = "standard output is closed, so replies cannot be sent"
        raise ListenError(str(spec), "adopt", reason, "connect it to the client's input")
    reading = _moved(standard_input)
    try:
        writing = _moved(standard_output)
    except BaseException:
        os.close(reading)
        raise
    local = server_from(environment) or str(spec.address)
    peer = peer_from(environment) or Peer("stdin")
    accepted = AcceptedChannel(
        PipeChannel(reading, writing), peer, local, credentials_from(environment)
    )
    return SingleConnection(spec, accepted)


def _refuse_options_of_sockets(spec: ListenSpec) -> None:
    for row, _ in spec.options.rows():
        if AppliedBy.SOCKET in row.applied_by:
            reason = f"{row.key} has no effect on {_INPUT}, which is not a socket here"
            raise ListenError(str(spec), f"option {row.key}", reason, "leave it out")


def peer_from(environment: Mapping[str, str]) -> Peer | None:
    """Return the peer that a super-server names; None if it names none.

    systemd sets REMOTE_ADDR and REMOTE_PORT; UCSPI servers set PROTO, and by its name
    TCPREMOTEIP and TCPREMOTEPORT, or IPCREMOTEPATH.
    """
    protocol = environment.get("PROTO", "TCP")
    names = [("REMOTE_ADDR", "REMOTE_PORT"), (f"{protocol}REMOTEIP", f"{protocol}REMOTEPORT")]
    for host_name, port_name in names:
        end = _end(environment.get(host_name, ""), environment.get(port_name, ""))
        if end is not None:
            return Peer(end)
    path = environment.get(f"{protocol}REMOTEPATH")
    return Peer(path) if path else None


def server_from(environment: Mapping[str, str]) -> str | None:
    """Return the local address that a UCSPI server names; None if it names none."""
    protocol = environment.get("PROTO", "TCP")
    host, port = (environment.get(f"{protocol}LOCAL{part}", "") for part in ("IP", "PORT"))
    end = _end(host, port)
    return None if end is None else inet_text("tcp", end)


def credentials_from(environment: Mapping[str, str]) -> Credentials | None:
    """Return the client's credentials that s6-ipcserver reports; None if it does not."""
    uid, gid = (environment.get(f"IPCREMOTE{part}", "") for part in ("EUID", "EGID"))
    if environment.get("PROTO") != "IPC" or not (_is_number(uid) and _is_number(gid)):
        return None
    return Credentials(0, int(uid), int(gid))


def _end(host: str, port: str) -> tuple[str, int] | None:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return (host, int(port)) if _is_number(port) and int(port) < 65_536 else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10
