"""Translation of failed system calls into errors that say what to do."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket

from pierhead.errors import ListenError

__all__ = ["adoption_refused", "inet_refused", "unix_refused", "vsock_refused"]

#: Below this a port is privileged, unless the system says otherwise.
_UNPRIVILEGED = 1024


def inet_refused(address: str, step: str, error: OSError, port: int, host: str = "") -> ListenError:
    """Return the error for a TCP or UDP address; ``host`` is that of an IPv6 socket."""
    remedy = _scope_missing(error, host, port) or {
        errno.EADDRINUSE: f"another socket has port {port} (`ss -tulpn` shows whose): stop that "
        "program, choose another port, or port 0 for any free one",
        errno.EADDRNOTAVAIL: "no network interface has this address (`ip address` lists them): "
        "choose one of those, * for all, or add ?freebind if it will appear later",
        errno.EAFNOSUPPORT: "this system has no such protocol family; is IPv6 disabled?",
        errno.ENODEV: "there is no such network interface (`ip link` lists them)",
        errno.EPERM: "this needs the capability CAP_NET_ADMIN",
        errno.EMFILE: "raise the limit of open files (`ulimit -n`, LimitNOFILE=)",
        errno.EACCES: _privileged(port),
    }.get(error.errno or 0, "")
    return _refused(address, step, error, remedy)


def _scope_missing(error: OSError, host: str, port: int) -> str:
    """Return the error for a link-local address without its zone (RFC 4007 §11)."""
    if error.errno != errno.EINVAL or not host or "%" in host:
        return ""
    if not ipaddress.ip_address(host).is_link_local:
        return ""
    names = [name for _, name in socket.if_nameindex() if name != "lo"] or ["eth0"]
    return (
        f"a link-local address needs its interface, as in [{host}%{names[0]}]:{port} "
        "(`ip address` shows which one has it)"
    )


def _privileged(port: int) -> str:
    if not 0 < port < _UNPRIVILEGED:
        return ""
    return (
        f"ports below {_UNPRIVILEGED} need the capability CAP_NET_BIND_SERVICE "
        "(AmbientCapabilities= in the unit); or let systemd open the socket, or choose another"
    )


def unix_refused(address: str, step: str, error: OSError, path: bytes) -> ListenError:
    """Return the error for a Unix domain address; the path is empty for an abstract name."""
    directory = os.fsdecode(os.path.dirname(path) or b".")
    remedy = {
        errno.EADDRINUSE: "stop the program that uses it, or choose another name",
        errno.ENOENT: f"create the directory first: mkdir -p {directory}",
        errno.ENOTDIR: f"{directory} is not a directory",
        errno.EACCES: f"user {os.geteuid()} may not write to {directory}",
        errno.EROFS: f"{directory} is on a file system that is mounted read-only",
        errno.EPERM: "only root may give a socket to another user, or to a group it is not in",
        errno.ELOOP: "the symbolic links on the way lead back to themselves: write the path "
        "without them",
    }.get(error.errno or 0, "")
    return _refused(address, step, error, remedy)


def vsock_refused(address: str, step: str, error: OSError) -> ListenError:
    """Return the error for a vsock address."""
    remedy = {
        errno.EADDRINUSE: "another program has this port: stop it, or choose port any",
        errno.EADDRNOTAVAIL: "this machine does not have that CID: write any for its own",
        errno.EAFNOSUPPORT: "the system has no vsock: modprobe vsock, and vhost_vsock on a host",
        errno.ESOCKTNOSUPPORT: "this kernel has no vsock of that type: use vsock: (Linux 5.11 "
        "brought vsockseq:)",
        errno.ENODEV: "there is no vsock device: modprobe vhost_vsock, or vsock_loopback for tests",
        errno.EACCES: "ports below 1024 need the capability CAP_NET_BIND_SERVICE",
    }.get(error.errno or 0, "")
    return _refused(address, step, error, remedy)


def adoption_refused(address: str, called: str, error: OSError) -> ListenError:
    """Return the error for an inherited descriptor that passed every check but still failed."""
    refused = _refused(address, "adopt", error, "")
    return ListenError(address, "adopt", f"{called}: {refused.reason}", "", error.errno)


def _refused(address: str, step: str, error: OSError, remedy: str) -> ListenError:
    if isinstance(error, socket.gaierror):
        # Numbers of another kind: EAI_NONAME and so on.
        remedy = "is the name right?"
        if "%" in address:
            remedy = "is there such a network interface? (`ip link` lists them)"
        return ListenError(address, step, str(error.strerror), remedy)
    name = errno.errorcode.get(error.errno or 0, "")
    words = error.strerror or str(error)
    reason = f"{words} ({name})" if name else words
    return ListenError(address, step, reason, remedy, error.errno)
