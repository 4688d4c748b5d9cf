"""Work without a clock: the lines of Python that run, the octets that a framer touches.

`steps` counts lines. Work that one line may hide, inside the interpreter, is counted by buffers:

`Work` replaces the buffers in a framer's attributes by counting ones. They behave the same and add
up what each operation touches: a search from where it starts to what it finds, a slice or a join by
its length, a deletion at the front by what it deletes (CPython moves a pointer). A plain buffer
that appears in an attribute later was built since, and counts in full.

Not seen: operations that take a buffer as an argument (a regular expression, ``int``), and a
`memoryview` over a framer's own buffer. Such a framer is charged too little, never too much.
"""

from __future__ import annotations

import gc
import sys
from collections import deque
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from types import FrameType, ModuleType
from typing import Any

__all__ = ["Work", "steps"]


def steps(run: Callable[[], object]) -> int:
    """Return how many lines of Python a call executes, calls of functions counted as one more.

    A loop inside a line counts once for each round; a single call into the interpreter is one
    step, whatever it does. The garbage collector rests meanwhile: what it calls is others' work.
    """
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        count += event in ("call", "line")
        return trace

    before, collects = sys.gettrace(), gc.isenabled()
    gc.disable()
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
        if collects:
            gc.enable()
    return count


class Work:
    """The octets touched so far by the buffers of one object, usually a framer."""

    def __init__(self, owner: object) -> None:
        self.octets = 0
        self._owner = owner
        # Its attributes before the first input are constants: a delimiter, its framing.
        self._constants = {id(value): value for _, value in _members(owner) if _is_value(value)}

    def instrument(self) -> None:
        """Replace plain buffers by counting ones; call it after each call of the owner."""
        self._enter(self._owner, set())

    def _enter(self, owner: object, visited: set[int]) -> None:
        if id(owner) in visited or id(owner) in self._constants:
            return
        visited.add(id(owner))
        for replace, value in list(_members(owner)):
            kind = type(value)
            if kind in _WITHOUT_BUFFERS:
                continue
            if kind not in (bytes, bytearray):
                self._enter(value, visited)
            elif value and id(value) not in self._constants:
                self.octets += len(value)
                replace(self.counting(value))

    def counting(self, value: Any) -> Any:
        """Return a counting copy of a plain buffer, and anything else unchanged."""
        if type(value) is bytes or type(value) is bytearray:
            copy = _CountedBytes(value) if type(value) is bytes else _CountedBytearray(value)
            copy.work = self
            return copy
        if type(value) in (list, tuple):  # from split() and partition()
            return type(value)(map(self.counting, value))
        return value


def _members(owner: object) -> Iterator[tuple[Callable[[Any], None], Any]]:
    """Yield what an object holds, each with a function to replace it."""
    if isinstance(owner, list | deque):
        for index in reversed(range(len(owner))):
            value = owner[index]
            if isinstance(value, _CountedBytes | _CountedBytearray):
                return  # older items have been seen; checking all again would take too long
            yield partial(owner.__setitem__, index), value
    elif not isinstance(owner, type | ModuleType):
        slots = _slots(type(owner))  # type: ignore[arg-type]  # mypy takes no class for hashable
        for name in [*slots, *getattr(owner, "__dict__", ())]:
            if hasattr(owner, name):
                yield partial(setattr, owner, name), getattr(owner, name)


@lru_cache(maxsize=64)
def _slots(owner: type) -> list[str]:
    return [name for kind in owner.__mro__ for name in vars(kind).get("__slots__", ())]


def _is_value(value: object) -> bool:
    """Return whether this is immutable: bytes, or a frozen dataclass."""
    frozen = getattr(getattr(value, "__dataclass_params__", None), "frozen", False)
    return isinstance(value, bytes) or frozen is True


# -- what an operation touches: from the buffer, the arguments and the result --------------------


def _whole(buffer: Any, args: tuple[Any, ...], result: Any) -> int:
    return len(buffer)


def _result(buffer: Any, args: tuple[Any, ...], result: Any) -> int:
    return 1 if isinstance(result, int) else len(result)


def _up_to_found(buffer: Any, args: tuple[Any, ...], found: int) -> int:
    start, stop = _searched(buffer, args)
    return max(0, (stop if found < 0 else found + 1) - start)


def _down_to_found(buffer: Any, args: tuple[Any, ...], found: int) -> int:
    start, stop = _searched(buffer, args)
    return max(0, stop - (start if found < 0 else found))


def _between(buffer: Any, args: tuple[Any, ...], result: Any) -> int:
    start, stop = _searched(buffer, args)
    return max(0, stop - start)


def _searched(buffer: Any, args: tuple[Any, ...]) -> tuple[int, int]:
    """Return where a search starts and stops: its second and third arguments."""
    start, stop = (*args[1:3], None, None)[:2]
    return slice(start, stop).indices(len(buffer))[:2]


def _to_member(buffer: Any, args: tuple[Any, ...], result: Any) -> int:
    found = (bytes if isinstance(buffer, bytes) else bytearray).find(buffer, args[0])
    return found + 1 if found >= 0 else len(buffer)


_COSTS = {
    **dict.fromkeys(("find", "index"), _up_to_found),
    **dict.fromkeys(("rfind", "rindex"), _down_to_found),
    "count": _between,
    "__contains__": _to_member,
    **dict.fromkeys(("__getitem__", "__add__", "__mul__", "join"), _result),
    **dict.fromkeys(("split", "rsplit", "splitlines", "partition", "rpartition"), _whole),
    **dict.fromkeys(("replace", "translate", "strip", "lstrip", "rstrip", "decode"), _whole),
}


def _counted(kind: type) -> type:
    """Make the methods of a buffer class count what they touch."""
    for name in _COSTS:
        setattr(kind, name, _method(kind.__mro__[1], name))
    return kind


def _method(kind: type, name: str) -> Callable[..., Any]:
    plain, cost = getattr(kind, name), _COSTS[name]

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            result = plain(self, *args, **kwargs)
        except ValueError:  # index() that finds nothing
            self.work.octets += cost(self, args, -1)
            raise
        self.work.octets += cost(self, args, result)
        return self.work.counting(result)

    return method


def _iterate(buffer: Any, octets: Iterator[int]) -> Iterator[int]:
    for octet in octets:
        buffer.work.octets += 1
        yield octet


@_counted
class _CountedBytes(bytes):
    work: Work

    def __iter__(self) -> Iterator[int]:
        return _iterate(self, super().__iter__())

    def __radd__(self, other: bytes) -> Any:
        return self.work.counting(other) + self

    def __bytes__(self) -> Any:
        return self[:]


@_counted
class _CountedBytearray(bytearray):
    work: Work

    def __iter__(self) -> Iterator[int]:
        return _iterate(self, super().__iter__())

    def __iadd__(self, other: Any) -> Any:  # type: ignore[misc]  # bytearray says the same
        self.extend(other)
        return self

    def extend(self, other: Any) -> None:
        self.work.octets += len(other)
        super().extend(other)

    def __bytes__(self) -> Any:
        return bytes(bytearray(self[:]))

    def __delitem__(self, key: Any) -> None:
        self[key if isinstance(key, slice) else slice(key, key + 1 or None)] = b""

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(key, slice):
            start, stop, _ = key.indices(len(self))
            # At the front the start moves; elsewhere everything behind it does.
            self.work.octets += len(value) + (len(self) - start if start else stop)
        super().__setitem__(key, value)


#: Most of what a framer has besides buffers; each is looked at after every call.
_WITHOUT_BUFFERS = frozenset(
    (int, str, float, bool, type(None), _CountedBytes, _CountedBytearray, Work)
)
