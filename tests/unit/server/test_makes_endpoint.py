"""Every function that makes an endpoint says what does not belong there, an address above all."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import pierhead
from pierhead import Endpoint, ListenSpec, WireFormat
from pierhead.errors import UsageError
from pierhead.protocols import dns, lines
from pierhead.server.makes_endpoint import makes_endpoint

SOURCE = Path(pierhead.__file__).parent


def makers() -> Iterator[Callable[..., Endpoint]]:
    """Yield every public function of the package that returns an endpoint."""
    for path in sorted(SOURCE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "-> Endpoint:" not in text:
            continue
        tree = ast.parse(text)
        names = {
            node.name
            for node in tree.body
            if isinstance(node, ast.FunctionDef)
            and not node.name.startswith("_")
            and node.returns is not None
            and ast.unparse(node.returns) == "Endpoint"
        }
        module = ".".join(("pierhead", *path.relative_to(SOURCE).with_suffix("").parts))
        for name in sorted(names):
            yield getattr(importlib.import_module(module.removesuffix(".__init__")), name)


ANY_LINES: Any = lines
ANY_DNS: Any = dns
ANY_SERVE: Any = pierhead.serve
WIRE: WireFormat[Any, Any] = lines.wire_format()


async def upper(line: str, context: Any) -> str:
    return line.upper()


def needed(make: Callable[..., Endpoint]) -> list[str]:
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return [
        name for name, one in inspect.signature(make).parameters.items() if one.kind is positional
    ]


def test_what_does_not_belong_there_is_a_usage_error():
    found = list(makers())
    assert {f"{one.__module__}.{one.__name__}" for one in found} > {
        "pierhead.server.serve.serve",
        "pierhead.server.serve.raw",
        "pierhead.protocols.dns.endpoint.serve",
        "pierhead.hosting.uvicorn.serve",
    }
    for make in found:
        _check(make)


def _check(make: Callable[..., Endpoint]) -> None:
    taken = needed(make)
    if "*" not in str(inspect.signature(make)).partition(", ")[0]:
        for address in ("127.0.0.1:53", ListenSpec.parse("mem:a"), 53):
            with pytest.raises(UsageError, match=r"takes no(thing more, got 53; | address, got ')"):
                make(*[object()] * len(taken), address)
    with pytest.raises(UsageError):
        make(**dict.fromkeys(taken, None), listen="127.0.0.1:53")
    with pytest.raises(UsageError):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: ANY_DNS.serve(upper, "127.0.0.1:53"),
            "dns.serve(service) takes no address, got '127.0.0.1:53'; give it to run or Server: "
            "run(dns.serve(service), '127.0.0.1:53')",
        ),
        (lambda: ANY_SERVE(upper, WIRE, "mem:a"), "run(serve(service, wire_format), 'mem:a')"),
        (
            lambda: ANY_LINES.serve(upper, 80),
            "lines.serve(service) takes nothing more, got 80; give",
        ),
        (lambda: ANY_LINES.serve(upper, port=80), "run(lines.serve(service), '127.0.0.1:0')"),
        (
            lambda: ANY_LINES.serve(upper, encodin=0),
            "no option 'encodin'; expected one of encoding",
        ),
        (lambda: ANY_SERVE(upper), "serve(service, wire_format) lacks its wire_format"),
        (lambda: pierhead.hosting.hypercorn.serve(upper, ANY_LINES), "expected a hypercorn.Config"),
    ],
)
def test_it_says_how_to_write_it(make, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        make()


def test_a_keyword_in_place_of_a_position_is_taken():
    assert isinstance(ANY_SERVE(wire_format=WIRE, service=upper), Endpoint)


def test_what_the_function_raises_itself_passes():
    @makes_endpoint
    def broken(service: object) -> Endpoint:
        raise TypeError("its own")

    with pytest.raises(TypeError, match="its own"):
        broken(upper)
