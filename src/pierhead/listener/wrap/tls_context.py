"""Certificates: loaded from files, and chosen by the name that a client requests.

There is one `ssl.SSLContext` per certificate; the first is for clients that request an unknown
name, or none. Everything that can be wrong with the files is found here, before a connection
depends on it.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pierhead.address import ListenSpec
from pierhead.address.views import TlsOptions
from pierhead.errors import ListenError
from pierhead.files import RefusedFile, read_file, read_secret

__all__ = ["TLS_VERSIONS", "TlsContexts", "load_authorities", "load_contexts", "load_pair"]

_log = logging.getLogger("pierhead.listener")

#: What ``min`` may be.
TLS_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")

#: Larger than any bundle of authorities.
_MOST_OCTETS = 16 << 20

# OpenSSL flags that Python's ssl module does not name in every supported version.
_PARTIAL_CHAIN, _NO_CHECK_TIME = 0x80000, 0x200000


@dataclass(frozen=True, slots=True)
class TlsContexts:
    """Which certificate is presented to which client.

    Attributes:
        default: for a client that requests no name, or an unknown one.
        by_name: the others, by name in lower case; ``*.`` stands for one label.
        protocols: what ALPN offers, preferred first; empty for no negotiation.
        files: what identifies each certificate, by file: its serial number and expiry.
    """

    default: ssl.SSLContext
    by_name: Mapping[str, ssl.SSLContext]
    protocols: tuple[str, ...] = ()
    files: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def changes_since(self, before: TlsContexts) -> tuple[str, ...]:
        """Return a line for each certificate that has changed."""
        return tuple(
            f"certificate {file}: serial number {serial}, valid until {end}"
            for file, (serial, end) in self.files.items()
            if before.files.get(file) != (serial, end)
        )

    def for_name(self, name: str | None) -> ssl.SSLContext:
        """Return the context for a client that requests this name."""
        if name is None:
            return self.default
        exact = self.by_name.get(name)
        if exact is not None:
            return exact
        # RFC 9525 §6.3: a wildcard stands for the whole left-most label and for no other.
        return self.by_name.get("*." + name.partition(".")[2], self.default)


def load_contexts(spec: ListenSpec, default_protocols: tuple[str, ...] = ()) -> TlsContexts:
    """Load the certificates that an address names.

    Args:
        spec: with at least one ``cert``.
        default_protocols: what ALPN offers unless the address sets it.

    Raises:
        ListenError: says which file, why, and what to do.
    """
    options = TlsOptions.of(spec.options)
    protocols = default_protocols if options.alpn is None else options.alpn
    contexts: list[ssl.SSLContext] = []
    by_name: dict[str, ssl.SSLContext] = {}
    files: dict[str, tuple[str, str]] = {}
    for cert, key in options.certificates:
        facts = _examine(spec, cert, key)
        context = _context(spec, cert, key, protocols)
        contexts.append(context)
        files[cert] = (facts["serialNumber"], facts["notAfter"])
        for name in _names(facts):
            by_name.setdefault(name, context)
    if not contexts:
        raise ListenError(
            str(spec), "certificate", "TLS needs a certificate", "add cert=FILE to the address"
        )
    return TlsContexts(contexts[0], by_name, protocols, files)


def _context(spec: ListenSpec, cert: str, key: str, protocols: tuple[str, ...]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    options = TlsOptions.of(spec.options)
    context.minimum_version = TLS_VERSIONS[options.min]
    # RFC 9325 §3.5; a client could make the server do useless work (CVE-2011-1473).
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.load_cert_chain(cert, key)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    if options.client_ca is not None:
        load_authorities(spec, context, options.client_ca, "client-ca")
    return context


def load_authorities(spec: ListenSpec, context: ssl.SSLContext, path: str, step: str) -> None:
    """Require that the peer shows a certificate of the authorities in a file.

    Raises:
        ListenError: at this step: the file cannot be read, or has none.
    """
    _read(spec, step, path)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        reason = f"{path} has no certificate in PEM form ({error.reason})"
        raise ListenError(
            str(spec), step, reason, "name the file with the authorities' certificates"
        ) from error
    context.verify_mode = ssl.CERT_REQUIRED


def _examine(spec: ListenSpec, cert: str, key: str) -> Mapping[str, Any]:
    """Check a certificate and its key; return the decoded certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf = load_pair(spec, context, cert, key)
    try:
        facts = _presented(context, leaf)
    except ssl.SSLError as error:
        raise _refused(spec, cert, key, error) from error
    _warn_of_dates(cert, facts)
    return facts


def load_pair(spec: ListenSpec, context: ssl.SSLContext, cert: str, key: str) -> str:
    """Load a certificate with its chain and its key; return the certificate alone, in PEM form.

    Raises:
        ListenError: says which file, why, and what to do.
    """
    key_text = _read_key(spec, key)
    text = key_text if key == cert else _read(spec, "certificate", cert)
    leaf = _CERTIFICATE.search(text)
    if leaf is None:
        reason = f"{cert} has no certificate in PEM form"
        raise ListenError(str(spec), "certificate", reason, _as_pem("x509", cert, text))
    if _KEY.search(key_text) is None:
        raise _keyless(spec, cert, key, key_text)
    try:
        context.load_cert_chain(cert, key, password=_refuse_password)
    except _Encrypted:
        reason = f"the key in {key} is encrypted"
        remedy = f"decrypt it, and name the result: {_openssl('pkey', key)}"
        raise ListenError(str(spec), "key", reason, remedy) from None
    except ssl.SSLError as error:
        raise _refused(spec, cert, key, error) from error
    return leaf.group()


def _openssl(command: str, path: str) -> str:
    return shlex.join(["openssl", command, "-in", path, "-out", f"{path}.pem"])


def _as_pem(command: str, path: str, text: str) -> str:
    """Return the remedy for a file that this openssl command could convert."""
    if text.startswith("0") and "-----BEGIN" not in text:  # DER: 0x30 begins a sequence
        return f"convert it, and name the result: {_openssl(command, path)}"
    what = "certificate" if command == "x509" else "private key"
    return f"name the file that has the {what}: it begins with -----BEGIN"


def _keyless(spec: ListenSpec, cert: str, key: str, text: str) -> ListenError:
    if key == cert:
        reason = f"{cert} has a certificate but no private key, and no key= names another file"
        return ListenError(
            str(spec), "key", reason, "add key=FILE, one for each cert= in their order"
        )
    reason = f"{key} has no private key in PEM form"
    return ListenError(str(spec), "key", reason, _as_pem("pkey", key, text))


def _read(spec: ListenSpec, step: str, path: str) -> str:
    try:
        return read_file(path, _MOST_OCTETS).decode("utf-8", "replace")
    except OSError as error:
        raise _unreadable(spec, step, path, error) from error


def _read_key(spec: ListenSpec, path: str) -> str:
    """Return the content of a key file; warn if others can read it, or refuse."""
    options = TlsOptions.of(spec.options)
    try:
        octets, exposure = read_secret(path, _MOST_OCTETS)
    except OSError as error:
        step = "key" if (path, path) not in options.certificates else "certificate"
        raise _unreadable(spec, step, path, error) from error
    if exposure is not None:
        reason = f"the key in {path} can be read or changed by {exposure.text}"
        remedy = f"restrict it to its owner: {exposure.remedy}"
        if options.strict_permissions:
            raise ListenError(str(spec), "key", reason, remedy)
        _log.warning("%s; %s", reason, remedy)
    return octets.decode("utf-8", "replace")


def _unreadable(spec: ListenSpec, step: str, path: str, error: OSError) -> ListenError:
    reason = f"cannot read {path}: {error.strerror or error}"
    if isinstance(error, RefusedFile):
        remedy = "name the file itself, in PEM form"
    else:
        remedy = f"is the path right, and may user {os.geteuid()} read it?"
    return ListenError(str(spec), step, reason, remedy, error.errno)


class _Encrypted(Exception):
    """Raised when OpenSSL needs a password, which it would otherwise read from the terminal."""


def _refuse_password() -> str:
    raise _Encrypted


def _refused(spec: ListenSpec, cert: str, key: str, error: ssl.SSLError) -> ListenError:
    if error.reason == "KEY_VALUES_MISMATCH":
        reason = f"the key in {key} is not the key of the certificate in {cert}"
        return ListenError(str(spec), "key", reason, "name the key that belongs to the certificate")
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = f"no client would accept the certificate in {cert}: {error.verify_message}"
        return ListenError(str(spec), "certificate", reason, "have a new one issued")
    reason = f"OpenSSL refuses {cert} with {key}: {error.reason or error}"
    remedy = "both are PEM files, the server's certificate first and then its chain"
    return ListenError(str(spec), "certificate", reason, remedy)


def _presented(context: ssl.SSLContext, leaf: str) -> Mapping[str, Any]:
    """Return the context's certificate as decoded by OpenSSL, by a handshake with itself.

    Python decodes only the certificate of a verified peer; so this client trusts the certificate
    itself and ignores its dates.
    """
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = False
    client_context.verify_flags |= ssl.VerifyFlags(_PARTIAL_CHAIN | _NO_CHECK_TIME)
    client_context.load_verify_locations(cadata=leaf)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(up, down, server_side=True)
    client = client_context.wrap_bio(down, up)
    for end in (client, server, client):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    facts = client.getpeercert()
    assert facts is not None  # the handshake is complete: it takes at most these three steps
    return facts


def _names(facts: Mapping[str, Any]) -> list[str]:
    names = [name.lower() for kind, name in facts.get("subjectAltName", ()) if kind == "DNS"]
    if names:
        return names
    subject = [pair for group in facts.get("subject", ()) for pair in group]
    return [value.lower() for kind, value in subject if kind == "commonName"]


def _warn_of_dates(cert: str, facts: Mapping[str, Any]) -> None:
    now = time.time()
    if ssl.cert_time_to_seconds(facts["notAfter"]) <= now:
        _log.warning("the certificate in %s expired on %s; renew it", cert, facts["notAfter"])
    elif ssl.cert_time_to_seconds(facts["notBefore"]) > now:
        _log.warning("the certificate in %s is not valid before %s", cert, facts["notBefore"])
