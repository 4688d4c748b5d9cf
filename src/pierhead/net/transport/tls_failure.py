"""What an error of OpenSSL means, in words, and what the user of a client can do about it."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Mapping
from typing import Any

from pierhead.printable import printable_octets

__all__ = ["broken", "explain", "names_of"]

# X509_V_ERR_… of OpenSSL's x509_vfy.h.
_NOT_YET_VALID, _EXPIRED = 9, 10
_SELF_SIGNED, _SELF_SIGNED_IN_CHAIN, _NO_ISSUER, _NO_LEAF = 18, 19, 20, 21
_HOSTNAME_MISMATCH, _IP_MISMATCH = 62, 64
_UNKNOWN_AUTHORITY = frozenset({_SELF_SIGNED, _SELF_SIGNED_IN_CHAIN, _NO_ISSUER, _NO_LEAF})

#: Content types of records that a server may begin with: alert, handshake (RFC 8446 §5.1).
_FIRST_RECORDS = (b"\x15\x03", b"\x16\x03")

_CLIENT_CERTIFICATE = "the server requires a client certificate"
_ADD_CERTIFICATE = "add cert=FILE, and key=FILE if apart"

#: Alerts of the server, by OpenSSL's name: what they say, and the remedy.
_ALERTS: Mapping[str, tuple[str, str]] = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": (_CLIENT_CERTIFICATE, _ADD_CERTIFICATE),
    "TLSV1_ALERT_UNKNOWN_CA": (
        "the server does not know the authority of the client certificate",
        "give a certificate (cert=FILE) of an authority that the server admits",
    ),
    "SSLV3_ALERT_BAD_CERTIFICATE": (
        "the server refuses the client certificate",
        "give another one: cert=FILE",
    ),
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": (
        "the client certificate has expired",
        "renew the file that cert= names",
    ),
    "TLSV1_ALERT_NO_APPLICATION_PROTOCOL": (
        "the server has none of the protocols that alpn offers",
        "offer another one, or leave alpn out",
    ),
    "TLSV1_UNRECOGNIZED_NAME": (
        "the server does not know the name that is requested of it",
        "write the name that it is known by: server-name=NAME",
    ),
    "TLSV1_ALERT_PROTOCOL_VERSION": (
        "the server has no version of TLS that is allowed here",
        "allow an older one, if you must: min=1.2",
    ),
    "SSLV3_ALERT_HANDSHAKE_FAILURE": (
        "the server refuses the handshake, and does not say why",
        "it may require a client certificate (cert=FILE), or a version or cipher of its own; "
        "its log says more",
    ),
}
#: The same of OpenSSL, where both ends have no version in common.
_OLD = ("UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS_AVAILABLE")


def broken(error: ssl.SSLError) -> OSError:
    """Return the error of a connection whose peer has violated TLS, or has sent an alert."""
    name = _name(error)
    reason, remedy = _ALERTS.get(name, (f"TLS broke: {name}", ""))
    text = f"{reason}; {remedy}" if remedy else reason
    return ConnectionAbortedError(errno.ECONNABORTED, text)


def explain(
    error: ssl.SSLError, beginning: bytes, wanted: str | None, names: tuple[str, ...]
) -> tuple[str, str]:
    """Return why a client's handshake has failed, and the remedy.

    Args:
        error: as OpenSSL raised it.
        beginning: the first octets of the server.
        wanted: the name that the certificate has to be for.
        names: those that it is for, as far as they are known.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _unverified(error, wanted, names)
    if beginning and beginning[:2] not in _FIRST_RECORDS:
        sent = printable_octets(beginning.partition(b"\n")[0].rstrip(b"\r"))
        return (
            f"what answers is no TLS; it began with {sent!r}",
            "leave tls+ out, or write the port on which the server speaks TLS",
        )
    name = _name(error)
    if name in _OLD:
        return _ALERTS["TLSV1_ALERT_PROTOCOL_VERSION"]
    return _ALERTS.get(name, (f"the handshake failed: {name}", ""))


def _name(error: ssl.SSLError) -> str:
    """Return OpenSSL's name of an error; Python's own table does not have all of them."""
    if error.reason:
        return error.reason
    text = str(error).partition("] ")[2].partition(" (")[0]
    return text.upper().replace(" ", "_") or str(error)


def _unverified(
    error: ssl.SSLCertVerificationError, wanted: str | None, names: tuple[str, ...]
) -> tuple[str, str]:
    code = error.verify_code
    if code in (_HOSTNAME_MISMATCH, _IP_MISMATCH):
        known = f", but for {', '.join(names)}" if names else ""
        one = next((name for name in names if "*" not in name), "NAME")
        return (
            f"the server's certificate is not for {wanted}{known}",
            f"is this the right server? If so, write server-name={one}",
        )
    if code in _UNKNOWN_AUTHORITY:
        return (
            f"nobody known here vouches for the server's certificate: {error.verify_message}",
            "if it has an authority of its own, write ca=FILE with that one's certificate",
        )
    if code == _EXPIRED:
        return "the server's certificate has expired", "its operator has to renew it"
    if code == _NOT_YET_VALID:
        return "the server's certificate is not valid yet", "is the clock of this host right?"
    return f"the server's certificate is refused: {error.verify_message}", ""


def names_of(tls: ssl.SSLObject) -> tuple[str, ...]:
    """Return what a certificate is for that has not been verified; empty if Python cannot tell."""
    raw: Any = getattr(tls, "_sslobj", None)  # in public since Python 3.13, in DER alone
    try:
        chain = raw.get_unverified_chain()
        info = chain[0].get_info()
    except (AttributeError, IndexError, TypeError, ssl.SSLError):
        return ()
    kinds = ("DNS", "IP Address")
    return tuple(str(name) for kind, name in info.get("subjectAltName", ()) if kind in kinds)
