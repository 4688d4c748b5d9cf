"""Where the requests of a client go: a URL of http or https, or any address that can be dialled."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from pierhead.address import InetAddress, ListenSpec
from pierhead.errors import UsageError

__all__ = ["BaseAddress"]

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class BaseAddress:
    """What every request of a client begins with.

    Attributes:
        spec: what is dialled.
        scheme: ``http`` or ``https``.
        authority: what the Host field says, without the scheme's own port.
        prefix: put before the path of every request; no slash at its end.
    """

    spec: ListenSpec
    scheme: str
    authority: str
    prefix: str

    @classmethod
    def parse(cls, text: str, host: str | None = None) -> BaseAddress:
        """Return the base address that a text stands for.

        Args:
            text: ``http://host:port/prefix``, ``https://…``, or an address as a listener takes it
                (``unix:/run/app.sock``, ``tls+tcp:host:443``, ``mem:app``).
            host: what the Host field says, instead.

        Raises:
            UsageError: it is neither.
        """
        scheme = text.partition("://")[0].lower()
        if "://" in text and scheme in _PORTS:
            return cls._of_url(text, scheme, host)
        spec = ListenSpec.parse(text)
        scheme = "https" if "tls" in spec.wrappers else "http"
        target = spec.address
        authority = "localhost"
        if isinstance(target, InetAddress) and target.host:
            authority = _authority(str(target.host), target.port, scheme)
        return cls(spec, scheme, host or authority, "")

    @classmethod
    def _of_url(cls, text: str, scheme: str, host: str | None) -> BaseAddress:
        try:
            url = urlsplit(text)
            port = url.port
        except ValueError as error:
            raise UsageError(f"the URL {text!r} is malformed: {error}") from None
        if url.username is not None or url.query or url.fragment or not url.hostname:
            raise UsageError(
                f"the URL {text!r} is not a base address; write {scheme}://host:port/prefix, and "
                "give credentials and queries with each request"
            )
        port = _PORTS[scheme] if port is None else port
        name = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
        wrapper = "tls+" if scheme == "https" else ""
        spec = ListenSpec.parse(f"{wrapper}tcp:{name}:{port}")
        authority = _authority(url.hostname, port, scheme)
        return cls(spec, scheme, host or authority, url.path.rstrip("/"))


def _authority(host: str, port: int, scheme: str) -> str:
    name = f"[{host}]" if ":" in host else host
    return name if port == _PORTS[scheme] else f"{name}:{port}"
