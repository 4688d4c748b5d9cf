"""What a client presents to TLS servers, and whom it believes; it verifies unless told not to."""

from __future__ import annotations

import logging
import os
import ssl

from pierhead.address import InetAddress, ListenSpec
from pierhead.address.views import TlsClientOptions
from pierhead.errors import ConnectError, ListenError
from pierhead.listener.wrap.tls_context import TLS_VERSIONS, load_authorities, load_pair

__all__ = ["files_of", "load_client_context", "requested_name"]

_log = logging.getLogger("pierhead.client")


def requested_name(spec: ListenSpec) -> str | None:
    """Return the name to request of the server: as given, or else the host.

    Without the zone of a link-local address (RFC 6874), which means something on this host alone.
    """
    name = TlsClientOptions.of(spec.options).server_name
    if name is None and isinstance(spec.address, InetAddress):
        return spec.address.host.partition("%")[0]
    return name


def files_of(spec: ListenSpec) -> tuple[object, ...]:
    """Return what tells whether the files of an address have changed since."""
    options = TlsClientOptions.of(spec.options)
    paths = (options.ca, *(options.cert or ()), *(options.key or ()))
    return tuple(_version(path) for path in paths if path is not None)


def _version(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:  # reading it says why
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def load_client_context(
    spec: ListenSpec, name: str, default_protocols: tuple[str, ...] = ()
) -> ssl.SSLContext:
    """Return the context of an address; it may block, for the files.

    Args:
        spec: the address, ready to dial.
        name: the address as text, for errors.
        default_protocols: what ALPN offers unless the address sets it.

    Raises:
        ConnectError: says which file, why, and what to do.
    """
    options = TlsClientOptions.of(spec.options)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies, names included
    context.minimum_version = TLS_VERSIONS[options.min]
    context.options |= ssl.OP_NO_RENEGOTIATION
    protocols = default_protocols if options.alpn is None else options.alpn
    if protocols:
        context.set_alpn_protocols(list(protocols))
    try:
        if not options.verify:
            _log.warning("%s is not verified (verify=off): anyone on the path can pose as it", name)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif options.ca is not None:
            load_authorities(spec, context, options.ca, "tls")
        else:
            context.load_default_certs()
        if options.cert:
            load_pair(spec, context, options.cert[0], (options.key or options.cert)[0])
    except ListenError as error:  # the same files, read by the same code
        raise ConnectError(name, "tls", error.reason, error.remedy, error.errno) from error
    return context
