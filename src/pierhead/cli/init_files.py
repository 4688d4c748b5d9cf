"""The files that ``pierhead init`` prints, from a command line of ``pierhead serve``."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from pierhead.address import InetAddress, ListenSpec

__all__ = ["ADMIN_PORT", "Deployment", "container", "kubernetes", "systemd"]

#: Where probes ask, unless the command line says something else with ``--admin``.
ADMIN_PORT = 9100
#: Ports below this are for those who may bind them (ip_unprivileged_port_start of Linux).
_FIRST_FREE_PORT = 1024
_PRIVILEGE = "CAP_NET_BIND_SERVICE"


@dataclass(frozen=True, slots=True)
class Deployment:
    """What is to run: a name and the words after ``pierhead``.

    Attributes:
        name: of the unit, the image or the deployment.
        words: ``serve echo -l …``.
    """

    name: str
    words: tuple[str, ...]

    @property
    def ports(self) -> list[tuple[str, int]]:
        """The transport and number of every port it listens on, each once."""
        found: dict[tuple[str, int], None] = {}
        for spec in _addresses(self.words):
            address = spec.address
            if isinstance(address, InetAddress):
                scheme = address.scheme or ""
                short = ("udp", "tcp") if "dns" in self.words else ("tcp",)
                for transport in (scheme,) if scheme else short:
                    found.update(dict.fromkeys((transport, port) for port in address.ports))
        return list(found)

    @property
    def needs_privilege(self) -> bool:
        """Whether it binds a port that is not for everybody."""
        return any(0 < port < _FIRST_FREE_PORT for _, port in self.ports)

    @property
    def with_admin(self) -> tuple[str, ...]:
        """Its words, with an admin address that a probe in its own network namespace reaches."""
        if "--admin" in self.words or "--metrics" in self.words:
            return self.words
        return (*self.words, "--admin", f"0.0.0.0:{ADMIN_PORT}", "--admin-public")

    @property
    def with_lame_duck(self) -> tuple[str, ...]:
        """The same, which serves on while its end gets around among the proxies."""
        lame = () if "--lame-duck" in self.words else ("--lame-duck", "5")
        return (*self.with_admin, *lame)


def _addresses(words: Sequence[str]) -> list[ListenSpec]:
    names = ("-l", "--listen", "--listen-address")
    following = pairwise(words)
    return [ListenSpec.parse(value) for word, value in following if word in names]


def systemd(one: Deployment) -> str:
    """Return a service unit."""
    capability = _PRIVILEGE if one.needs_privilege else ""
    ambient = f"AmbientCapabilities={_PRIVILEGE}\n" if one.needs_privilege else ""
    command = " ".join(_unit_word(word) for word in ("/usr/bin/pierhead", *one.words))
    return f"""\
# /etc/systemd/system/{one.name}.service
[Unit]
Description={one.name}, by Pierhead
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
ExecStart={command}
# Certificates and zone files are read again; those in force stay if one is wrong.
ExecReload=/bin/kill -HUP $MAINPID
# A blocked event loop gives no sign of life.
WatchdogSec=30
# While it drains, the server asks for more by itself.
TimeoutStopSec=30
Restart=on-failure
DynamicUser=yes
StateDirectory={one.name}
{ambient}CapabilityBoundingSet={capability}
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
PrivateTmp=yes
PrivateDevices=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
"""


def container(one: Deployment) -> str:
    """Return a container file."""
    exposed = "".join(f"EXPOSE {port}/{transport}\n" for transport, port in one.ports)
    words = ", ".join(_json_word(word) for word in ("pierhead", *one.with_admin))
    probe = (
        "import sys, urllib.request as r; "
        f"sys.exit(r.urlopen('http://127.0.0.1:{ADMIN_PORT}/ready', timeout=2).status != 200)"
    )
    return f"""\
# Containerfile: podman build -t {one.name} .
FROM docker.io/library/python:3.13-slim
RUN pip install --no-cache-dir 'pierhead[http]'
# Nothing in the image is writable for who runs it.
USER 65532:65532
{exposed}EXPOSE {ADMIN_PORT}/tcp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s CMD ["python", "-c", {_json_word(probe)}]
# Process 1 is the server itself: it hears the signals, and exits once it has drained.
ENTRYPOINT [{words}]
"""


def kubernetes(one: Deployment) -> str:
    """Return a deployment and a service."""
    args = "\n".join(f"            - {_json_word(word)}" for word in one.with_lame_duck)
    ports = "\n".join(
        f"            - {{name: {transport}-{port}, containerPort: {port}, "
        f"protocol: {transport.upper()}}}"
        for transport, port in [*one.ports, ("tcp", ADMIN_PORT)]
    )
    of_service = "\n".join(
        f"    - {{name: {transport}-{port}, port: {port}, protocol: {transport.upper()}}}"
        for transport, port in one.ports
    )
    add = f', add: ["{_PRIVILEGE.removeprefix("CAP_")}"]' if one.needs_privilege else ""
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {one.name}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: {one.name}}}}}
  template:
    metadata:
      labels: {{app: {one.name}}}
      annotations: {{prometheus.io/scrape: "true", prometheus.io/port: "{ADMIN_PORT}"}}
    spec:
      # Longer than the lame duck, and twice the drain timeout of 10 s.
      terminationGracePeriodSeconds: 40
      securityContext: {{runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532}}
      containers:
        - name: {one.name}
          image: {one.name}
          args:
{args}
          ports:
{ports}
          startupProbe:
            httpGet: {{path: /startup, port: {ADMIN_PORT}}}
            periodSeconds: 1
            failureThreshold: 60
          readinessProbe:
            httpGet: {{path: /ready, port: {ADMIN_PORT}}}
            periodSeconds: 2
            failureThreshold: 1
          livenessProbe:
            httpGet: {{path: /health, port: {ADMIN_PORT}}}
            periodSeconds: 10
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {{drop: ["ALL"]{add}}}
---
apiVersion: v1
kind: Service
metadata:
  name: {one.name}
spec:
  selector: {{app: {one.name}}}
  ports:
{of_service}
"""


def _unit_word(word: str) -> str:
    """Return a word of ExecStart= (systemd.service(5), Command lines)."""
    escaped = word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$").replace('"', '\\"')
    return f'"{escaped}"' if shlex.quote(word) != word or escaped != word else word


def _json_word(word: str) -> str:
    """Return a word in quotes, as JSON and YAML read it."""
    return json.dumps(word)
