"""Every remedy that the source gives with an error, found in its syntax.

A remedy is the argument of that name of an error's constructor: the fourth of `ListenError` and
`AddressError`. What it can be is followed through conditions, names, tables and the functions of
its module, so that a text is found where it is written.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.processes import ROOT

__all__ = ["Remedy", "remedies_of", "texts_of"]

#: Which argument of a call is the remedy.
POSITIONS = {"ListenError": 3, "AddressError": 3}
#: What a part of a text is that only the running program knows.
_UNKNOWN = "\0"


@dataclass(frozen=True)
class Remedy:
    """A text as it is written, with a NUL in each place that is filled in later."""

    module: str
    text: str

    @property
    def words(self) -> str:
        """The longest part that is written out."""
        return max(self.text.split(_UNKNOWN), key=len).strip()

    def matches(self, remedy: str) -> bool:
        """Return whether this remedy can be this text."""
        pattern = ".*".join(map(re.escape, self.text.split(_UNKNOWN)))
        return re.fullmatch(pattern, remedy, re.DOTALL) is not None

    def __contains__(self, advice: str) -> bool:
        """Return whether these words are its own, or have its own words in them."""
        return advice in self.text or self.words in advice

    def __str__(self) -> str:
        return f"{self.module}: {self.text.replace(_UNKNOWN, '…')!r}"


def remedies_of(*packages: str, positions: dict[str, int] = POSITIONS) -> list[Remedy]:
    """Return the remedies in these packages, each text once per module, without empty ones."""
    found: dict[Remedy, None] = {}
    source = ROOT / "src" / "pierhead"
    for package in packages:
        place = source / package
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            name = str(path.relative_to(source))
            texts = [text for text in texts_of(path, positions) if text.strip(_UNKNOWN)]
            found |= {Remedy(name, text): None for text in texts}
    return list(found)


def texts_of(path: Path, positions: dict[str, int] = POSITIONS) -> list[str]:
    """Return what the remedies in a file can be."""
    text = path.read_text()
    if not any(error in text for error in positions):  # most files: their syntax costs the most
        return []
    return [*_Module(path, positions).texts()]


@dataclass
class _Module:
    path: Path
    positions: dict[str, int]
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tree = ast.parse(self.path.read_text())
        for node in ast.walk(self.tree):
            for child in ast.iter_child_nodes(node):
                self.parents[child] = node

    def texts(self) -> Iterator[str]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                for given in self._argument(node, self.positions.get(_called(node)), "remedy"):
                    yield from self._texts(given, node, ())

    def _argument(self, call: ast.Call, position: int | None, keyword: str) -> Iterator[ast.expr]:
        if position is None:
            return
        yield from call.args[position : position + 1]
        yield from (one.value for one in call.keywords if one.arg == keyword)

    def _texts(self, node: ast.expr, at: ast.AST, seen: tuple[object, ...]) -> Iterator[str]:
        match node:
            case ast.Constant(value=str(text)):
                yield text
            case ast.JoinedStr(values=values):
                yield from _joined([self._part(value, at, seen) for value in values])
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                parts = [left, right]
                yield from _joined([[*self._texts(part, at, seen)] for part in parts])
            case ast.IfExp(body=body, orelse=orelse):
                yield from self._texts(body, at, seen)
                yield from self._texts(orelse, at, seen)
            case ast.BoolOp(values=values) | ast.Dict(values=values):
                for value in values:
                    yield from self._texts(value, at, seen)
            case ast.Subscript(value=table):
                yield from self._texts(table, at, seen)
            case ast.Call(func=ast.Attribute(value=table, attr="get"), args=[_, *default]):
                for value in (table, *default):
                    yield from self._texts(value, at, seen)
            case ast.Call(func=ast.Name(id=name)) if name not in seen and self._function(name):
                for value in self._returned(name):
                    yield from self._texts(value, value, (*seen, name))
            case ast.Name(id=name) if (name, self._scope(at)) not in seen:
                yield from self._named(name, at, (*seen, (name, self._scope(at))))
            case _:
                yield _UNKNOWN

    def _part(self, value: ast.expr, at: ast.AST, seen: tuple[object, ...]) -> list[str]:
        if isinstance(value, ast.FormattedValue):
            return [_UNKNOWN]
        return [*self._texts(value, at, seen)]

    def _named(self, name: str, at: ast.AST, seen: tuple[object, ...]) -> Iterator[str]:
        """Yield what a name can be: a variable, a constant of the module, or a parameter."""
        scope = self._scope(at)
        is_parameter = isinstance(scope, ast.FunctionDef) and name in _parameters(scope)
        if is_parameter and isinstance(scope, ast.FunctionDef):
            for call in ast.walk(self.tree):
                if isinstance(call, ast.Call) and _called(call) == scope.name:
                    for given in self._argument(call, _parameters(scope).index(name), name):
                        yield from self._texts(given, call, seen)
        values = [*self._assigned(name, scope)]
        if not values and not is_parameter:
            values = [*self._assigned(name, self.tree)]
        for index, value in values:
            yield from self._element(value, index, at, seen)

    def _element(
        self, value: ast.expr, index: int | None, at: ast.AST, seen: tuple[object, ...]
    ) -> Iterator[str]:
        if index is None:
            yield from self._texts(value, at, seen)
            return
        for one in self._tuples(value):
            yield from self._texts(one.elts[index], at, seen)

    def _tuples(self, value: ast.expr) -> Iterator[ast.Tuple]:
        """Yield the tuples that an expression can be."""
        match value:
            case ast.Tuple():
                yield value
            case ast.IfExp(body=body, orelse=orelse):
                yield from self._tuples(body)
                yield from self._tuples(orelse)
            case ast.BoolOp(values=values) | ast.Dict(values=values):
                for one in values:
                    yield from self._tuples(one)
            case ast.Call(func=ast.Attribute(value=table, attr="get"), args=[_, *default]):
                for one in (table, *default):
                    yield from self._tuples(one)
            case ast.Name(id=name):
                for _, one in self._assigned(name, self.tree):
                    yield from self._tuples(one)
            case ast.Call(func=ast.Name(id=name)):
                for one in self._returned(name):
                    yield from self._tuples(one)

    def _assigned(self, name: str, scope: ast.AST) -> Iterator[tuple[int | None, ast.expr]]:
        """Yield what is assigned to a name in a scope, and which element of it."""
        for node in ast.walk(scope):
            if self._scope(node) is not scope:
                continue
            match node:
                case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                    yield None, value
                case ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value) if (
                    target == name
                ):
                    yield None, value
                case ast.AugAssign(target=ast.Name(id=target), value=value) if target == name:
                    yield None, value
                case ast.Assign(targets=[ast.Tuple(elts=targets)], value=value):
                    for index, target in enumerate(targets):
                        if isinstance(target, ast.Name) and target.id == name:
                            yield index, value

    def _function(self, name: str) -> ast.FunctionDef | None:
        return next(
            (
                one
                for one in self.tree.body
                if isinstance(one, ast.FunctionDef) and one.name == name
            ),
            None,
        )

    def _returned(self, name: str) -> Iterator[ast.expr]:
        function = self._function(name)
        if function is not None:
            for node in ast.walk(function):
                if isinstance(node, ast.Return) and node.value is not None:
                    yield node.value

    def _scope(self, node: ast.AST) -> ast.AST:
        """Return the function that a node is in, or the module."""
        while node in self.parents:
            node = self.parents[node]
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                return node
        return self.tree


def _parameters(function: ast.FunctionDef) -> list[str]:
    return [one.arg for one in function.args.args]


def _called(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _joined(parts: list[list[str]]) -> list[str]:
    whole = [""]
    for part in parts:
        whole = [begin + end for begin in whole for end in part]
    return whole
