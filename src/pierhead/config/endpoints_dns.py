"""The DNS endpoint from its section."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pierhead.address import ListenSpec
from pierhead.address.views import TlsOptions
from pierhead.config.configuration import Dns
from pierhead.config.making import Made, Making
from pierhead.errors import UsageError
from pierhead.files import read_secret
from pierhead.server.endpoint import Endpoint

if TYPE_CHECKING:
    from pierhead.protocols.dns.wire.tsig.key import Key

__all__ = [
    "LARGEST_SECRETS",
    "build_dns",
    "keys_in",
    "offers_http",
    "secret_in",
    "zone_changes_between",
]

#: A file with keys may be this large; see `pierhead.protocols.dns.key_file`.
LARGEST_SECRETS = 1 << 20
#: More than 32 digits take, with blanks and line ends between them.
_SECRET_OCTETS = 1024
#: What ``allow_transfer`` has before the name of a key.
_KEY = "key:"
#: RFC 9018 §4.4: the key of SipHash-2-4, 128 bits.
_SECRET_DIGITS = 32


def build_dns(serve: Dns, making: Making) -> Made | None:
    """Return an endpoint that answers from zones, or forwards."""
    from pierhead.protocols import dns

    if not serve.zones and not serve.forward:
        return making.attempt((), _refuse, "dns has nothing to serve; give zones or forward")
    if serve.allow and not serve.forward:
        return making.attempt(
            "allow", _refuse, "allow is for forward; zones are served to everybody"
        )
    for key in ("allow_transfer", "notify", "journal"):
        if getattr(serve, key) and not serve.zones:
            return making.attempt(key, _refuse, f"{key} is for zones; give zones")
    if making.attempt("listen", offers_http, serve.listen) is None:
        return None
    secrets = [
        making.attempt(("cookie_secrets", index), secret_in, path, making)
        for index, path in enumerate(serve.cookie_secrets)
    ]
    authority = (
        making.attempt(
            "zones",
            dns.zones,
            *serve.zones,
            include_dirs=serve.include_dirs,
            journal=serve.journal,
            take=serve.take,
            notify=serve.notify,
        )
        if serve.zones
        else None
    )
    keys = [
        making.attempt(("keys", index), keys_in, path, making)
        for index, path in enumerate(serve.keys)
    ]
    if None in secrets or None in keys or (serve.zones and authority is None):
        return None
    read = [one for one in secrets if one is not None]
    return _made(serve, making, authority, read, [one for one in keys if one is not None])


def _made(
    serve: Dns,
    making: Making,
    authority: Any,
    secrets: Sequence[tuple[bytes, tuple[str, ...]]],
    keys: Sequence[tuple[list[Key], tuple[str, ...]]],
) -> Made | None:
    """Return the endpoint, once zones, secrets and keys are read, each with warnings."""
    from pierhead.protocols import dns

    service = making.attempt("forward", _routed, authority, serve)
    told = serve.identity is not None or serve.version_text is not None
    if service is None:
        return None
    rate_limit = making.attempt("rate_limit", _rate_limit, serve.rate_limit)
    transfers = None
    signed = [key for found, _ in keys for key in found]
    if making.attempt("allow_transfer", _check_names, serve.allow_transfer, signed) is None:
        return None
    if serve.allow_transfer:
        names = [one.removeprefix(_KEY) for one in serve.allow_transfer if one.startswith(_KEY)]
        networks = [one for one in serve.allow_transfer if not one.startswith(_KEY)]
        transfers = making.attempt(
            "allow_transfer", dns.transfers, authority, allow=networks, keys=names
        )
    if rate_limit is None or (serve.allow_transfer and transfers is None):
        return None
    tsig = making.attempt("keys", dns.tsig, signed) if signed else None
    if signed and tsig is None:
        return None
    layered = making.attempt(
        "nsid",
        dns.standard,
        service,
        rate_limit=rate_limit,
        cookies=dns.cookies(secrets=[secret for secret, _ in secrets]),
        nsid=serve.nsid,
        chaos=dns.chaos(version=serve.version_text, identity=serve.identity) if told else None,
        query_log=serve.query_log,
        tsig=tsig,
        transfers=transfers,
    )
    if layered is None:
        return None
    zones = () if authority is None else tuple(authority.zones)
    notes = [note for _, notes in (*secrets, *keys) for note in notes]
    origin = zones[0].origin if zones else b"\0"
    endpoint: Endpoint | None = dns.serve(layered)
    if offers_http(serve.listen):
        endpoint = making.attempt("listen", _over_http, endpoint)
    if endpoint is None:
        return None
    return Made(
        endpoint,
        (*notes, *[line for zone in zones for line in _announced(zone)]),
        partial(_dig_line, origin=origin),
        {"authority": authority},
    )


def _check_names(allowed: Sequence[str], keys: Sequence[Key]) -> bool:
    """Refuse the name of a key that no file has: it would allow nobody."""
    known = {key.text.rstrip(".").lower() for key in keys}
    for one in allowed:
        name = one.removeprefix(_KEY)
        if one.startswith(_KEY) and name.rstrip(".").lower() not in known:
            raise UsageError(f"no key file has the key {name}; add its file to the keys")
    return True


def offers_http(specs: Sequence[ListenSpec]) -> bool:
    """Return whether an address says that HTTP is spoken too (RFC 8484).

    Raises:
        UsageError: one wants a version that is not spoken here.
    """
    offered = {name for spec in specs for name in TlsOptions.of(spec.options).alpn or ()}
    if "h2" in offered:
        raise UsageError(
            "alpn=h2: DNS over HTTP/2 is not served; leave it out: alpn=http/1.1,dot, or put a "
            "proxy in front"
        )
    return "http/1.1" in offered


def _over_http(endpoint: Endpoint) -> Endpoint:
    from pierhead.protocols import dns, http

    return http.beside(endpoint, "application/dns-message", max_age=dns.max_age)


def _rate_limit(rate: float | str) -> Any:
    from pierhead.protocols import dns

    return False if rate == "off" else dns.rate_limit(float(rate))


def _refuse(words: str) -> None:
    raise UsageError(words)


def _routed(authority: Any, serve: Dns) -> Any:
    """Return the service of the zones, with forwarders beside it if there are any."""
    from pierhead.protocols import dns
    from pierhead.protocols.dns.wire.name import to_text

    if not serve.forward:
        return authority
    site = dns.Router()
    if authority is not None:
        for zone in authority.zones:
            site.mount(to_text(zone.origin), authority)
    by_suffix: dict[str, list[str]] = {}
    for forward in serve.forward:
        suffix, equals, address = forward.partition("=")
        # An option of an address has an equals sign too: a suffix has neither colon nor slash.
        is_suffix = bool(equals) and not set(":/?@") & set(suffix)
        by_suffix.setdefault(suffix if is_suffix else ".", []).append(
            address if is_suffix else forward
        )
    for suffix, addresses in by_suffix.items():
        site.mount(suffix, dns.forward(*addresses, allow=serve.allow))
    return site


def secret_in(name: str, making: Making) -> tuple[bytes, tuple[str, ...]]:
    """Return a secret, and warnings about its file."""
    path = Path(name)
    try:
        octets, exposure = read_secret(path, _SECRET_OCTETS)
        secret = bytes.fromhex(octets.decode("ascii"))
    except OSError as error:
        raise UsageError(f"cookie secret {path}: {error.strerror}") from None
    except ValueError:
        raise UsageError(
            f"cookie secret {path}: no hexadecimal digits; expected {_SECRET_DIGITS} of them"
        ) from None
    if (digits := 2 * len(secret)) != _SECRET_DIGITS:
        raise UsageError(
            f"cookie secret {path}: {digits} hexadecimal digits; expected {_SECRET_DIGITS}"
        )
    return secret, making.note_exposure(path, exposure)


def keys_in(name: str, making: Making) -> tuple[list[Key], tuple[str, ...]]:
    """Return the keys in a file, and warnings about it."""
    from pierhead.protocols.dns.key_file import load_keys

    keys, exposure = load_keys(name)
    return list(keys), making.note_exposure(Path(name), exposure)


def _announced(zone: Any) -> Iterator[str]:
    from pierhead.protocols.dns.wire.name import to_text

    records = sum(len(rrset.rdatas) for rrset in zone.rrsets())
    yield f"zone {to_text(zone.origin)} {records} records, serial {zone.serial}"
    for warning in zone.warnings:
        yield f"warning: {warning}"


def _dig_line(address: str, origin: bytes) -> str | None:
    from pierhead.protocols.dns.wire.name import to_text

    scheme, _, target = address.partition(":")
    host, _, port = target.rpartition(":")
    if scheme not in ("udp", "tcp"):
        return None
    reach = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}.get(host, host.strip("[]"))
    transport = "+tcp " if scheme == "tcp" else ""
    return f"dig @{reach} -p {port} {transport}{to_text(origin)} SOA"


def zone_changes_between(before: Sequence[Made], after: Sequence[Made]) -> Iterator[str]:
    """Yield a line for each zone that differs between two sets of endpoints."""
    old, new = ([one.facts.get("authority") for one in made] for made in (before, after))
    if not any(old) and not any(new):
        return
    from pierhead.protocols.dns.services.zone_service import zone_changes
    from pierhead.protocols.dns.zone.zone import Zones

    zones = [Zones(zone for one in made if one for zone in one.zones) for made in (old, new)]
    yield from zone_changes(zones[0], zones[1])
