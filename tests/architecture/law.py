"""The law of the house, read from the syntax tree: nothing is imported to be judged.

Which module may import which (`RANKS`), which modules are pure (`PURE`), where an import may be
late (`LATE`), how large things may grow, and what must be documented. Each check takes a
`House` and returns sentences, one for each breach.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

__all__ = ["CHECKS", "House", "Module"]

MAX_MODULE_LINES = 600
MAX_FUNCTION_LINES = 60
MAX_POSITIONAL = 5

#: Functions that may take more, and why: (module, function).
MANY_POSITIONS: dict[tuple[str, str], str] = {
    ("protocols.dns.wire.message", "__init__"): "made once per packet, by two callers of our own; "
    "keywords would cost as much as the object (docs/decisions/0009)",
    ("protocols.dns.zone.lookup", "__init__"): "what a look-up found; made once per packet",
}

#: From the ground up; a module may import what stands in its own row and in the rows above it
#: here. The longest prefix that fits decides (``protocols.dns.wire`` before ``protocols``);
#: ``*`` is one name.
RANKS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("limits", "extra", "printable", "files"),
    ("address", "codec", "protocols.*.wire", "protocols.dns.zone"),
    (
        "service",
        "metrics",
        "metrics_table",
        "metrics_text",
        "clock",
        "reload",
        "buffer",
        "blocking.threads",
        "failure_log",
        "rate",
    ),
    ("middleware",),
    ("net",),
    ("listener",),
    ("connection",),
    ("server", "client"),
    ("console",),
    ("blocking",),
    ("testing", "backplane"),
    ("protocols", "hosting"),
    ("integrations", "blocking.http"),
    ("config",),
    ("runtime",),
    ("cli", "", "__main__"),
)

#: Modules without input, output, time or chance: they can be tested by calling them.
PURE = (
    "errors",
    "limits",
    "metrics",
    "metrics_table",
    "metrics_text",
    "printable",
    "address",
    "codec",
    "client.balance_options",
    "client.policies",
    "client.upstream",
    "config.configuration",
    "config.kinds",
    "config.locate",
    "config.overlay",
    "config.reading",
    "config.spot",
    "config.table",
    "rate",
    "service.base",
    "service.coding",
    "service.counters",
    "service.handler",
    "service.request_times",
    "service.respond",
    "connection.exchange",
    "connection.life",
    "protocols.*.wire",
    "protocols.dns.zone",
)
IMPURE_IMPORTS = frozenset(
    [
        "asyncio",
        "concurrent",
        "ctypes",
        "logging",
        "multiprocessing",
        "os",
        "random",
        "secrets",
        "select",
        "selectors",
        "signal",
        "socket",
        "ssl",
        "subprocess",
        "tempfile",
        "threading",
        "time",
        "uvloop",
    ]
)

#: Where an import may stand inside a function, and why: (importing module, imported module).
#: ``x.*`` is everything below x, ``*`` everything.
LATE: dict[tuple[str, str], str] = {
    ("client.route", "pierhead.client.wrapping"): "with ssl, 40 ms: most addresses have no wrapper",
    ("runtime.run", "resource"): "there is none on Windows",
    ("", "*"): "the front door resolves its names when they are used (PEP 562)",
    ("protocols.dns", "*"): "a protocol's front door, likewise",
    ("protocols.lines", "*"): "a protocol's front door, likewise",
    ("blocking", "*"): "a front door; `threaded` alone must not load clients and servers",
    ("hosting", "*"): "the front door of what it hosts, likewise",
    ("backplane.jetstream", "nats"): "optional: for those who use it as a backplane",
    ("backplane.redis_streams", "redis"): "likewise",
    ("console.screen", "prompt_toolkit"): "optional: a line editor for terminals",
    ("codec.typed", "msgspec"): "for those alone who use JSON or MessagePack",
    ("codec.typed", "pydantic"): "optional: there where a model of its own is given",
    (
        "protocols.dns.wire.received",
        "pierhead.protocols.dns.zone.rdata_format",
    ): "a server, which has the codec of replies, makes no text of data",
    (
        "protocols.dns.wire.record",
        "pierhead.protocols.dns.zone",
    ): "who writes records as text, or as "
    "octets of a type that has no class, needs the readers of zone files; a packet does not",
    ("config.endpoints", "*"): "a protocol is loaded where it is served",
    ("config.endpoints_dns", "*"): "likewise",
    ("config.endpoints_http", "*"): "likewise",
    ("cli.*", "*"): "--help and completion must not wait for what a command needs",
    ("hosting.*", "pierhead.hosting"): "the part that needs an extra, once it is asked for",
    ("protocols.http.filters.multipart", "multipart"): "optional: for forms with files alone",
    ("testing.plugin", "*"): "pytest loads it in every project that has Pierhead installed",
    ("*", "uvloop"): "optional: absent on some platforms",
    ("address.pydantic", "pydantic_core"): "optional: there where pydantic is what asks",
    ("*", "ssl"): "slow to import, and for those alone who use TLS",
}

#: Names with an underscore that belong to another library: why there is no public way, and what
#: watches that they stay what they are: (module, the expression as it is written).
FOREIGN: dict[tuple[str, str], str] = {
    ("connection.worker", "_enter_task"): "documented for those who implement tasks (Extending, "
    "Task lifetime support); tests/unit/connection/test_tasks.py, on Python 3.11 alone",
    ("connection.worker", "_leave_task"): "likewise",
    ("connection.worker", "worker.task._must_cancel"): "a cancellation that has not been delivered "
    "yet; `cancelling` forgets it after `uncancel`. Likewise on Python 3.11 alone",
    ("connection.worker", "waits_for._asyncio_future_blocking"): "how a future tells its task to "
    "wait, between `await` and any task; likewise",
    ("connection.worker", "self.parked._asyncio_future_blocking"): "likewise",
    ("hosting.aiohttp.site", "server._kwargs"): "the settings that `web.Server` gives to each "
    "handler, those of the application among them; it makes handlers of its own class only, and "
    "nothing public has the settings; tests/unit/hosting/test_aiohttp.py",
    ("hosting.granian.server", "super()._spawn_worker"): "granian binds by itself, and has no "
    "option for an existing socket; tests/unit/hosting/test_granian_server.py",
    ("hosting.grpclib.connection", "self._server._protocol_factory"): "the only public way to a "
    "connection, `Server.start`, opens sockets; tests/unit/hosting/test_grpclib.py",
    ("integrations.argparse", "argparse._ArgumentGroup"): "the type of what argparse returns, for "
    "type checkers alone; it has no other name",
    ("runtime.signals", "os._exit"): "documented, whatever its name",
    ("runtime.stop", "os._exit"): "documented, whatever its name",
    ("runtime.supervisor", "os._exit"): "documented, whatever its name",
    ("runtime.worker", "os._exit"): "documented, whatever its name",
    ("runtime.pulse", "sys._current_frames"): "documented, whatever its name",
    ("runtime.stop", "sys._current_frames"): "documented, whatever its name",
    ("runtime.stop", "concurrent.futures.thread._worker"): "tells a pool's thread at work from one "
    "that waits, for every pool of the program; no pool lists its threads or what they do; "
    "tests/unit/runtime/test_stop.py",
}

#: Where the keys of an address's options are written: the registry, and the views made from it.
REGISTRY = ("address.registry", "address.views")

#: Words that are the key of an option too, and what they mean where they do not mean it:
#: (module, word).
OTHER_MEANING: dict[tuple[str, str], str] = {
    ("address.json_schema", "type"): "a word of JSON Schema",
    ("address.option_types", "group"): "a word for permissions",
    ("codec.typed", "type"): "a word of pydantic",
    ("backplane.*", "backlog"): "a limit",
    ("connection.room", "name"): "an attribute",
    ("hosting.*", "backlog"): "a setting of another library",
    ("hosting.*", "group"): "likewise",
    ("hosting.*", "type"): "a word of ASGI",
    ("hosting.*", "user"): "a setting of another library",
    ("service.admission.accounts", "group"): "a kind of account",
    ("service.admission.accounts", "user"): "likewise",
    ("integrations.argparse", "type"): "an argument of argparse",
    ("config.*", "key"): "a key of a table",
    ("config.*", "type"): "a word of JSON Schema",
    ("cli.config", "key"): "a key of a table",
    ("cli.run", "name"): "an argument of a command",
    ("cli.key", "key"): "a command",
    ("cli.main", "key"): "likewise",
    ("cli.query_text", "name"): "a column of a record",
    ("cli.query_text", "type"): "likewise",
    ("cli.query_words", "keepalive"): "an option of EDNS",
    ("cli.query_words", "retry"): "a word of the command line",
    ("cli.zone", "verify"): "a command",
    ("net.datagram.ancillary_io", "ecn"): "an attribute",
    ("listener.wrap.tls_context", "client-ca"): "a step of opening, which an error names",
    ("listener.wrap.tls_context", "key"): "likewise",
    ("listener.bind.unix", "group"): "a kind of account",
    ("listener.bind.unix", "user"): "likewise",
    ("listener.bind.locked_path", "unlink"): "a system call",
    ("metrics", "name"): "an attribute",
    ("metrics_table", "drain"): "a reason",
    ("metrics_table", "maxconn"): "a reason",
    ("protocols.dns", "keepalive"): "the name of a layer",
    ("protocols.dns.*", "alpn"): "a parameter of a record",
    ("protocols.dns.*", "keepalive"): "an option of EDNS, and its layer",
    ("protocols.dns.*", "key"): "a key of DNSSEC, or an attribute",
    ("protocols.dns.*", "name"): "an attribute",
    ("protocols.dns.wire.tsig", "verify"): "a function",
    ("protocols.dns.wire.tsig.signature", "verify"): "likewise",
    ("protocols.dns.zone.verify", "verify"): "a function",
    ("protocols.http.filters.multipart", "name"): "an attribute",
    ("middleware", "retry"): "the name of a layer",
    ("middleware.retry", "retry"): "likewise",
    ("protocols.http.serving.connection", "drain"): "why a connection is closed",
    ("server.*", "drain"): "likewise",
    ("server.stream", "maxconn"): "why a connection is dropped, in metrics",
}

#: The package's own name.
TOP = "pierhead"


@dataclass(frozen=True)
class Import:
    """One imported module: by whom, in which line, inside a function, for type checkers alone."""

    importer: Module
    target: str
    line: int
    late: bool
    typed: bool

    def __str__(self) -> str:
        return f"{self.importer.path}:{self.line} imports {self.target}"


@dataclass(frozen=True, eq=False)
class Module:
    """One file of the package; ``name`` leaves out the package's own (``dns.wire``, ``""``)."""

    name: str
    path: Path
    tree: ast.Module
    lines: int
    is_package: bool

    @property
    def is_public(self) -> bool:
        """Tell whether no part of the name begins with an underscore; dunders are public."""
        return not any(p.startswith("_") and not p.endswith("__") for p in self.name.split("."))

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        """Give every function and method, however deep."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node


class House:
    """All modules of a package and what they import."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.modules = {
            module.name: module for module in map(self._module, sorted(root.rglob("*.py")))
        }

    def _module(self, path: Path) -> Module:
        parts = path.relative_to(self.root).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        text = path.read_text(encoding="utf-8")
        name = ".".join(parts[:-1] if is_package else parts)
        shown = path.relative_to(self.root.parent)
        return Module(name, shown, ast.parse(text), len(text.splitlines()), is_package)

    @cached_property
    def imports(self) -> list[Import]:
        """Every import that is carried out, targets spelt out."""
        return [one for one in self.all_imports if not one.typed]

    @cached_property
    def all_imports(self) -> list[Import]:
        """Every import, those for type checkers alone too."""
        return [found for module in self.modules.values() for found in self._imports(module)]

    def _imports(self, module: Module) -> Iterator[Import]:
        for node, late, typed in _import_nodes(module.tree.body):
            for target in self._targets(module, node):
                yield Import(module, target, node.lineno, late, typed)

    def _targets(self, module: Module, node: ast.Import | ast.ImportFrom) -> list[str]:
        if isinstance(node, ast.Import):
            return [alias.name for alias in node.names]
        source = node.module or ""
        if node.level:
            package = module.name.split(".") if module.name else []
            above = node.level - (1 if module.is_package else 0)
            base = package[: len(package) - above]
            source = ".".join([TOP, *base, *([source] if source else [])])
        # ``from pierhead.codec import lines`` imports the module pierhead.codec.lines.
        return [
            f"{source}.{alias.name}" if self.own(f"{source}.{alias.name}") is not None else source
            for alias in node.names
        ]

    def own(self, target: str) -> str | None:
        """Return the name of our module that this is, or None where it is not ours."""
        name = target.removeprefix(TOP).removeprefix(".") if _is_below(target, TOP) else None
        return name if name in self.modules else None


def _is_below(name: str, top: str) -> bool:
    return name == top or name.startswith(f"{top}.")


def _import_nodes(
    body: list[ast.stmt], late: bool = False, typed: bool = False
) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool, bool]]:
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, late, typed
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _import_nodes(node.body, late, True)
            yield from _import_nodes(node.orelse, late, typed)
        else:
            is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for field in ("body", "orelse", "finalbody"):
                yield from _import_nodes(getattr(node, field, []), late or is_function, typed)
            for part in [*getattr(node, "handlers", []), *getattr(node, "cases", [])]:
                yield from _import_nodes(part.body, late, typed)


def fits(name: str, pattern: str) -> bool:
    """Tell whether a module is the one of a pattern or below it; ``*`` stands for one part."""
    parts, wanted = name.split("."), pattern.split(".")
    return len(parts) >= len(wanted) and all(
        w in ("*", p) for p, w in zip(parts, wanted, strict=False)
    )


def rank(name: str) -> int | None:
    """Return the height at which a module stands, None where the law does not know it."""
    found = [
        (len(pattern.split(".")), height)
        for height, row in enumerate(RANKS)
        for pattern in row
        if (fits(name, pattern) if pattern else name == "")
    ]
    return max(found)[1] if found else None


def imports_point_down(house: House) -> Iterator[str]:
    """Find imports of something higher, by type checkers too, and modules without a place."""
    for name, module in house.modules.items():
        # A folder that only holds the protocols is as low as what is imported through it.
        if name != "protocols" and rank(name) is None:
            yield f"{module.path} has no rank: give {name!r} its place in RANKS"
    for one in house.all_imports:
        target = house.own(one.target)
        if target is None:
            continue
        here, there = rank(one.importer.name), rank(target)
        if here is not None and there is not None and there > here:
            yield f"{one}, which stands above it"


def protocols_do_not_meet(house: House) -> Iterator[str]:
    """Find imports of one protocol by another, and of tests' tools by anything served."""
    for one in house.all_imports:
        target = house.own(one.target)
        ours, theirs = _protocol(one.importer.name), _protocol(target or "")
        if ours and theirs and ours != theirs:
            yield f"{one}: protocols meet through a neutral contract, never through an import"
        if target and fits(target, "testing") and not fits(one.importer.name, "testing"):
            yield f"{one}: what is served never needs the tools of tests"


def _protocol(name: str) -> str | None:
    parts = name.split(".")
    return parts[1] if parts[0] == "protocols" and len(parts) > 1 else None


def pure_modules_are_pure(house: House) -> Iterator[str]:
    """Find imports of I/O, time or chance in modules that promise to have none."""
    for one in house.imports:
        pure = any(fits(one.importer.name, pattern) for pattern in PURE)
        if pure and one.target.partition(".")[0] in IMPURE_IMPORTS:
            yield f"{one}, but {one.importer.name} is pure"


def nothing_is_imported_in_a_circle(house: House) -> Iterator[str]:
    """Find modules that need each other; imports for type checkers count, late ones do not."""
    edges: dict[str, set[str]] = {name: set() for name in house.modules}
    for one in house.all_imports:
        target = house.own(one.target)
        if target is not None and not one.late and target != one.importer.name:
            edges[one.importer.name].add(target)
    # Take away what imports nothing that is left, until nothing can be taken away.
    while free := {name for name, targets in edges.items() if not targets & edges.keys()}:
        edges = {name: targets for name, targets in edges.items() if name not in free}
    # Then the same from the other end, so that only the circles remain.
    while free := edges.keys() - set().union(*edges.values()):
        edges = {name: targets for name, targets in edges.items() if name not in free}
    for name in sorted(edges):
        circle = ", ".join(sorted(edges[name] & edges.keys()))
        yield f"{house.modules[name].path} is part of a circle of imports: it imports {circle}"


def late_imports_have_a_reason(house: House) -> Iterator[str]:
    """Find imports inside functions that `LATE` does not list."""
    for one in house.imports:
        allowed = any(
            is_allowed(one.importer.name, importer)
            and (target == "*" or _is_below(one.target, target))
            for importer, target in LATE
        )
        if one.late and not allowed:
            yield f"{one} inside a function: move it up, or give the reason in LATE"


def is_allowed(importer: str, pattern: str) -> bool:
    return pattern in ("*", importer) or (
        pattern.endswith(".*") and importer.startswith(pattern[:-1])
    )


def nothing_grows_too_large(house: House) -> Iterator[str]:
    """Find modules and functions above their size, and functions with too many positions."""
    for module in house.modules.values():
        if module.lines > MAX_MODULE_LINES:
            yield f"{module.path} has {module.lines} lines, at most {MAX_MODULE_LINES} are allowed"
        for node in module.functions():
            where = f"{module.path}:{node.lineno} {node.name}"
            if (size := _size(node)) > MAX_FUNCTION_LINES:
                yield f"{where} has {size} lines, at most {MAX_FUNCTION_LINES} are allowed"
            positional = [*node.args.posonlyargs, *node.args.args]
            if positional and positional[0].arg in ("self", "cls"):
                positional = positional[1:]
            excused = (module.name, node.name) in MANY_POSITIONS
            if len(positional) > MAX_POSITIONAL and not excused:
                yield f"{where} takes {len(positional)} positions, at most {MAX_POSITIONAL} may be"


def _size(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function without its docstring and decorators."""
    size = (node.end_lineno or node.lineno) - node.lineno + 1
    if ast.get_docstring(node, clean=False) is not None:
        first = node.body[0]
        size -= (first.end_lineno or first.lineno) - first.lineno + 1
    return size


def everything_public_is_documented(house: House) -> Iterator[str]:
    """Find public modules without ``__all__`` and public names without a docstring."""
    for module in house.modules.values():
        if not module.is_public:
            continue
        if ast.get_docstring(module.tree) is None:
            yield f"{module.path} has no docstring"
        # __main__ is run and never imported; a folder without names of its own exports none.
        if module.name != "__main__" and _defines(module) and not _has_all(module):
            yield f"{module.path} has no __all__"
        yield from _undocumented(module.path, module.tree.body)


def _defines(module: Module) -> bool:
    """Tell whether a module has anything but a docstring."""
    return len(module.tree.body) > 1


def _has_all(module: Module) -> bool:
    return any(
        isinstance(target, ast.Name) and target.id == "__all__"
        for node in module.tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    )


def _undocumented(path: Path, body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if node.name.startswith("_") or _is_overload(node):
            continue
        if ast.get_docstring(node) is None:
            yield f"{path}:{node.lineno} {node.name} has no docstring"
        if isinstance(node, ast.ClassDef):
            yield from _undocumented(path, node.body)


def _is_overload(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    return any(
        ast.unparse(one).rpartition(".")[2] in ("overload", "setter", "deleter")
        for one in node.decorator_list
    )


def what_is_private_stays_in_its_module(house: House) -> Iterator[str]:
    """Find underscored names of other modules, but for what `FOREIGN` lists."""
    for module in house.modules.values():
        own = _private_names(module)
        for line, name, written in _private_uses(module):
            if name not in own and (module.name, written) not in FOREIGN:
                yield f"{module.path}:{line} reaches for {written}, which is another module's"


def _private_names(module: Module) -> set[str]:
    """Return the underscored names that a module defines: in a class, or on ``self``."""
    found: set[str] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found |= {node.attr} if _is_of_self(node) else set()
    return {name for name in found if _is_private(name)}


def _private_uses(module: Module) -> Iterator[tuple[int, str, str]]:
    """Give line, name and text of each underscored name that is taken from something else."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and _is_private(node.attr):
            if not _is_of_self(node):
                yield node.lineno, node.attr, ast.unparse(node)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if _is_private(alias.name):
                    yield node.lineno, alias.name, alias.name


def _is_of_self(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def options_are_named_in_the_registry_alone(house: House) -> Iterator[str]:
    """Find keys of options outside `REGISTRY`, but for `OTHER_MEANING`, and keys there are not."""
    keys = set(_option_keys(house))
    for module in house.modules.values():
        if any(fits(module.name, place) for place in REGISTRY):
            continue
        for node in ast.walk(module.tree):
            where = f"{module.path}:{getattr(node, 'lineno', 0)}"
            word = node.value if isinstance(node, ast.Constant) else None
            if word in keys and not _means_something_else(module.name, str(word)):
                yield f"{where} names the option {word!r}: read it from a view"
            if (key := _read_by_key(node)) is not None:
                yield f"{where} reads the option {key!r} by its key: read it from a view"
            if isinstance(word, str) and (step := _STEP.fullmatch(word)) and step[1] not in keys:
                yield f"{where} names the option {step[1]!r}, which is none"


#: How an error names an option that could not be applied.
_STEP = re.compile(r"option ([a-z0-9.-]+)")


def _option_keys(house: House) -> Iterator[str]:
    for module in house.modules.values():
        for node in ast.walk(module.tree) if fits(module.name, REGISTRY[0]) else ():
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Option":
                given = {keyword.arg: keyword.value for keyword in node.keywords}
                yield ast.literal_eval(given["key"])


def _means_something_else(module: str, word: str) -> bool:
    return any(word == other and is_allowed(module, pattern) for pattern, other in OTHER_MEANING)


def _read_by_key(node: ast.AST) -> str | None:
    """Return the key, where this is ``spec.options.get("key")`` or ``"key" in spec.options``."""
    match node:
        case ast.Call(
            func=ast.Attribute(value=ast.Attribute(attr="options"), attr="get"),
            args=[ast.Constant(value=str(key)), *_],
        ):
            return key
        case ast.Compare(
            left=ast.Constant(value=str(key)), comparators=[ast.Attribute(attr="options")]
        ):
            return key
    return None


#: Every check, by the name that the test shows.
CHECKS = (
    imports_point_down,
    protocols_do_not_meet,
    pure_modules_are_pure,
    nothing_is_imported_in_a_circle,
    late_imports_have_a_reason,
    nothing_grows_too_large,
    everything_public_is_documented,
    what_is_private_stays_in_its_module,
    options_are_named_in_the_registry_alone,
)
