"""Which tests cover which module of the source: by name, by use, or by the table below.

A test file stands in the folder that its subject has in ``src/pierhead``. It is named after the
module it tests, or after a behaviour of that room. A module without a test file of its name is
covered by a test of its room, or by a law, that uses one of its names. A module that tests reach
only through other modules is listed in `SHOWN_BY`.
"""

from __future__ import annotations

import ast
import importlib
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["SHOWN_BY", "Mirror", "names_used"]

PACKAGE = "pierhead"

#: Modules that no test of their room uses by name, and the test that covers them, as measured by
#: the functions it calls; paths are relative to ``tests``.
SHOWN_BY: dict[str, str] = {
    "client.loop_clock": "unit/client/test_client.py",
    "config.endpoints_http": "unit/cli/test_serve_http.py",
    "runtime.worker": "unit/runtime/test_supervisor.py",
    "runtime.worker_sockets": "unit/runtime/test_supervisor.py",
    "protocols.http.client.received": "unit/protocols/http/client/test_client.py",
    "protocols.http.client.connections": "unit/protocols/http/client/test_client.py",
    "protocols.http.client.connection": "unit/protocols/http/client/test_client.py",
    "address.accounts": "unit/listener/test_every_option_takes_effect.py",
    "address.host": "unit/address/test_addresses.py",
    "address.registry.local": "unit/listener/test_every_option_takes_effect.py",
    "address.registry.network": "unit/listener/test_every_option_takes_effect.py",
    "address.registry.wrappers": "unit/listener/test_every_option_takes_effect.py",
    "address.schemes": "unit/address/test_grammar.py",
    "address.validation": "unit/address/test_listen_options.py",
    "backplane.delivery": "unit/backplane/test_peers.py",
    "blocking.background": "unit/blocking/test_client.py",
    "blocking.conversation": "unit/blocking/test_client.py",
    "client.datagram_end": "unit/client/test_dial.py",
    "blocking.typed": "examples/test_paper.py",
    "cli.listen": "unit/cli/test_connect.py",
    "client.dialled_conversation": "unit/client/test_client.py",
    "client.dialler": "unit/client/test_client.py",
    "client.facts": "unit/client/test_every_address.py",
    "client.memory_end": "unit/client/test_dial.py",
    "client.reaching": "unit/client/test_dial.py",
    "client.wrapping": "unit/client/test_tls.py",
    "client.replies": "unit/client/test_client.py",
    "client.request_stream": "unit/client/test_client.py",
    "codec.buffered": "laws/test_framer_laws.py",
    "codec.packets": "unit/server/test_seqpacket.py",
    "codec.stuffed": "laws/test_framer_laws.py",
    "config.endpoints": "unit/config/test_building.py",
    "config.endpoints_dns": "unit/config/test_building.py",
    "config.loading": "unit/cli/test_remedies.py",
    "config.making": "unit/config/test_building.py",
    "connection.conversation_stream": "unit/server/test_converse.py",
    "connection.ending": "unit/server/test_framed.py",
    "connection.in_flight": "unit/server/test_framed.py",
    "connection.sender": "unit/server/test_converse.py",
    "connection.socket_conversation": "unit/server/test_socket_conversations.py",
    "connection.sweep": "unit/server/test_server.py",
    "console.link": "unit/cli/test_connect.py",
    "console.screen": "unit/cli/test_connect.py",
    "console.session": "unit/cli/test_connect.py",
    "extra": "unit/hosting/test_uvicorn.py",
    "hosting.aiohttp.site": "unit/hosting/test_aiohttp.py",
    "hosting.asgi.disconnect": "unit/hosting/test_asgi_servers.py",
    "hosting.hypercorn.pipe": "unit/hosting/test_hypercorn.py",
    "hosting.hypercorn.site": "unit/hosting/test_hypercorn.py",
    "hosting.hypercorn.waiting": "unit/hosting/test_hypercorn.py",
    "hosting.uvicorn.site": "unit/hosting/test_uvicorn.py",
    "listener.adopt.single_connection": "unit/listener/adopt/test_inetd.py",
    "listener.own_addresses": "unit/server/test_datagram.py",
    "listener.socket_listener": "unit/listener/test_stream.py",
    "listener.wrap.base": "unit/listener/wrap/test_tls.py",
    "listener.wrap.proxy_datagram": "unit/listener/wrap/test_proxy.py",
    "listener.wrap.wrappers": "unit/listener/wrap/test_proxy.py",
    "net.credentials": "unit/listener/test_unusual.py",
    "net.datagram.ancillary_io": "unit/listener/test_ancillary_datagram.py",
    "net.datagram.base": "unit/net/datagram/test_batch.py",
    "net.pidfd": "unit/listener/adopt/test_systemd.py",
    "net.place": "unit/listener/bind/test_locked_path.py",
    "net.resolve": "unit/listener/test_set.py",
    "net.transport.coroutine_transport": "unit/testing/test_transports.py",
    "net.transport.tls_failure": "unit/client/test_tls.py",
    "net.transport.tls_engine": "unit/testing/test_transports.py",
    "net.transport.tls_transport": "unit/testing/test_transports.py",
    "net.unix": "unit/listener/bind/test_unix.py",
    "protocols.dns.exchange": "unit/protocols/dns/test_client.py",
    "protocols.dns.services.versions": "unit/protocols/dns/services/test_zone_service.py",
    "protocols.dns.wire.received": "unit/protocols/dns/test_opcodes.py",
    "protocols.http.serving.incoming_body": "unit/protocols/http/serving/test_connection.py",
    "protocols.http.serving.place": "unit/protocols/http/serving/test_connection.py",
    "protocols.http.serving.receiver": "unit/protocols/http/serving/test_connection.py",
    "protocols.http.serving.response_heads": "unit/protocols/http/serving/test_connection.py",
    "protocols.http.serving.senders": "unit/protocols/http/serving/test_connection.py",
    "protocols.proxying.datagrams": "unit/protocols/proxying/test_forward.py",
    "protocols.proxying.relay": "unit/protocols/proxying/test_forward.py",
    "protocols.dns.zone.additional": "laws/test_zone_laws.py",
    "protocols.dns.zone.builder": "unit/protocols/dns/zone/test_remedies.py",
    "protocols.dns.zone.faults": "unit/protocols/dns/zone/test_master_file.py",
    "protocols.dns.zone.lookalikes": "unit/protocols/dns/zone/test_remedies.py",
    "protocols.dns.zone.next_zone": "laws/test_transaction_laws.py",
    "protocols.dns.zone.overlay": "laws/test_transaction_laws.py",
    "protocols.dns.zone.rare_format": "laws/test_zone_text_laws.py",
    "protocols.dns.zone.rare_text": "unit/protocols/dns/zone/test_rdata_text.py",
    "protocols.dns.zone.rules": "unit/protocols/dns/zone/test_transaction.py",
    "protocols.dns.zone.signed": "unit/protocols/dns/zone/test_denial.py",
    "protocols.dns.zone.svcb_format": "unit/protocols/dns/zone/test_rdata_format.py",
    "protocols.dns.zone.twice": "unit/protocols/dns/zone/test_remedies.py",
    "protocols.dns.zone.well_known": "unit/protocols/dns/zone/test_rdata_text.py",
    "runtime.configured": "unit/cli/test_run.py",
    "server.arriving": "unit/server/test_stream.py",
    "server.batches": "unit/server/test_datagram.py",
    "server.callback": "unit/server/test_server.py",
    "server.conversing": "unit/server/test_peer_conversations.py",
    "server.destinations": "unit/server/test_socket_conversations.py",
    "server.handler_run": "unit/server/test_converse.py",
    "server.handlers": "unit/server/test_server.py",
    "server.hosted_transport": "unit/testing/test_transports.py",
    "server.incoming": "unit/server/test_framed.py",
    "server.peer_conversation": "unit/server/test_peer_conversations.py",
    "server.plan": "unit/server/test_replace.py",
    "server.replacement": "unit/server/test_replace.py",
    "server.resources": "unit/server/test_replace.py",
    "server.stream_request": "unit/server/test_framed.py",
    "server.succession": "unit/server/test_replace.py",
    "service.base": "unit/middleware/test_replies.py",
    "service.coding": "unit/server/test_server.py",
}


def names_used(tree: ast.Module) -> set[str]:
    """Return the modules in which the names are defined that a file imports or reaches.

    ``from pierhead.protocols import dns`` and ``dns.cookies`` lead to the module of `cookies`.
    """
    found = _Names()
    found.visit(tree)
    return found.modules


class _Names(ast.NodeVisitor):
    def __init__(self) -> None:
        self.modules: set[str] = set()
        self._known: dict[str, Any] = {}

    def _note(self, value: Any) -> None:
        name = value.__name__ if isinstance(value, ModuleType) else _home(value)
        if name.partition(".")[0] == PACKAGE:
            self.modules.add(name.removeprefix(PACKAGE).lstrip("."))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.module is None or node.module.partition(".")[0] != PACKAGE:
            return
        module = importlib.import_module(node.module)
        self._note(module)
        for alias in node.names:
            value = getattr(module, alias.name, None)
            if value is None:
                value = importlib.import_module(f"{node.module}.{alias.name}")
            self._known[alias.asname or alias.name] = value
            self._note(value)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.name.partition(".")[0] == PACKAGE:
                module = importlib.import_module(alias.name)
                self._note(module)
                self._known[alias.asname or PACKAGE] = (
                    module if alias.asname else importlib.import_module(PACKAGE)
                )

    def visit_Attribute(self, node: ast.Attribute) -> None:
        value = self._value(node)
        if value is not None:
            self._note(value)
        self.generic_visit(node)

    def _value(self, node: ast.expr) -> Any:
        """Return what a name, or an attribute of a module, stands for; None if it is neither."""
        if isinstance(node, ast.Name):
            return self._known.get(node.id)
        if isinstance(node, ast.Attribute):
            module = self._value(node.value)
            if isinstance(module, ModuleType):
                return getattr(module, node.attr, None)
        return None


def _home(value: Any) -> str:
    home = getattr(value, "__module__", None)
    return home if isinstance(home, str) else ""


class Mirror:
    """The source, its tests, and what each test file uses."""

    def __init__(self, source: Path, tests: Path, shown_by: dict[str, str]) -> None:
        self.source, self.tests, self.shown_by = source, tests, shown_by

    @cached_property
    def modules(self) -> set[str]:
        """The names of all modules except packages, without the leading ``pierhead``."""
        files = self.source.rglob("*.py")
        return {_dotted(f, self.source) for f in files if f.name not in _NO_MODULE}

    @cached_property
    def packages(self) -> set[str]:
        files = self.source.rglob("__init__.py")
        return {_dotted(file.parent, self.source) for file in files}

    @cached_property
    def files(self) -> list[Path]:
        """Every test file of ``unit``, relative to it."""
        unit = self.tests / "unit"
        return sorted(file.relative_to(unit) for file in unit.rglob("test_*.py"))

    @cached_property
    def used(self) -> dict[str, set[str]]:
        """The modules that each file of ``unit`` and ``laws`` uses."""
        files = (f for folder in ("unit", "laws") for f in (self.tests / folder).rglob("*.py"))
        return {
            file.relative_to(self.tests).as_posix(): names_used(ast.parse(file.read_text()))
            for file in sorted(files)
        }

    def misplaced(self) -> list[str]:
        """Return a message for each test file that is not in the folder of its subject."""
        said = []
        for file in self.files:
            room, stem = _dotted(file.parent, Path()), file.stem.removeprefix("test_")
            own = f"{room}.{stem}".lstrip(".")
            if room not in self.packages:
                said.append(f"tests/unit/{file}: there is no package {PACKAGE}.{room}; move it")
            elif own not in self.modules | self.packages:
                said += [
                    f"tests/unit/{file} has the name of {other}: move it to "
                    f"tests/unit/{_by_name(other)}, or name it after the behaviour it tests"
                    for other in sorted(self._of_the_same_name(room, stem))
                ]
        return said

    def _of_the_same_name(self, room: str, stem: str) -> set[str]:
        top = room.partition(".")[0]
        return {
            name
            for name in self.modules
            if name.rpartition(".")[2] == stem and top in ("", name.partition(".")[0])
        }

    def not_shown(self) -> list[str]:
        """Return a message for each module that no test covers."""
        return [
            f"{module}: no test covers it; write tests/unit/{_by_name(module)}, use it in a test "
            f"of its room or in a law, or name the test in SHOWN_BY (tests/architecture/mirror.py)"
            for module in sorted(self.modules - self.shown_by.keys())
            if not self.shows(module)
        ]

    def shows(self, module: str) -> bool:
        """Return whether a test has the module's name, or is in its room and uses it."""
        if (self.tests / "unit" / _by_name(module)).exists():
            return True
        room = f"unit/{module.partition('.')[0]}/" if "." in module else "unit/"
        return any(
            module in used and file.startswith(("laws/", room)) for file, used in self.used.items()
        )

    def needless_rows(self) -> list[str]:
        """Return a message for each row of the table that is stale or not needed."""
        said = []
        for module, file in self.shown_by.items():
            if module not in self.modules:
                said.append(f"{module}: there is no such module; remove it from SHOWN_BY")
            elif not (self.tests / file).is_file():
                said.append(f"{module}: there is no tests/{file}; name the test that covers it")
            elif self.shows(module):
                said.append(f"{module} is covered without SHOWN_BY; remove it")
        return said


_NO_MODULE = ("__init__.py", "__main__.py")


def _dotted(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).parts).removesuffix(".py")


def _by_name(module: str) -> Path:
    *room, name = module.split(".")
    return Path(*room, f"test_{name}.py")
