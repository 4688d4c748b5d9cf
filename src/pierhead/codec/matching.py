"""Matching replies to waiting requests: sans-IO, for the client's side of one connection.

    request ──Matcher.ask───▶ the request as it is sent, with its identifier
    reply   ──Matcher.take──▶ the request that it answers, with its token

`InOrder` and `ById` are frozen descriptions, like framings; `new` creates the state of one
connection. Replies to a request that was given up are still distinguished from those to another:
over a stream they may arrive at any time.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, is_dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from pierhead.errors import DecodeError, UsageError

__all__ = ["Asked", "ById", "InOrder", "Matcher", "Matching"]

Q = TypeVar("Q")
R = TypeVar("R")
T = TypeVar("T")

#: How many requests given up are remembered, and at most half of all identifiers: replies to them
#: are late, not another request's. A server may stay silent, so there is a bound.
_MAX_GIVEN_UP = 1000
#: How many random identifiers are tried before the next free one is taken.
_TRIES = 16


class Asked(Generic[Q, T]):
    """One request that was sent.

    Attributes:
        request: as it is sent.
        token: the caller's reference for the request, such as a future.
        ident: its identifier; 0 if requests have none.
        is_given_up: whether its replies are late and no longer wanted.
        is_answered: whether its last reply has arrived.
    """

    __slots__ = ("ident", "is_answered", "is_given_up", "request", "token")

    def __init__(self, request: Q, token: T, ident: int = 0) -> None:
        self.request = request
        self.token = token
        self.ident = ident
        self.is_given_up = False
        self.is_answered = False


class Matcher(ABC, Generic[Q, R, T]):
    """The requests of one connection whose replies are outstanding."""

    @abstractmethod
    def ask(self, request: Q, token: T) -> Asked[Q, T]:
        """Register a request; the result has the request in the form to be sent.

        Raises:
            UsageError: every identifier belongs to a waiting request; or, in order, `is_spent`.
        """

    @abstractmethod
    def take(self, reply: R) -> Asked[Q, T] | None:
        """Return the request that a reply belongs to, or None.

        Raises:
            DecodeError: it has the identifier of a request but answers a different one. The request
                keeps waiting.
        """

    @abstractmethod
    def give_up(self, asked: Asked[Q, T]) -> None:
        """Stop waiting for a request; replies to it are late from now on."""

    @abstractmethod
    def take_back(self, asked: Asked[Q, T]) -> None:
        """Forget a request that was not sent after all."""

    @abstractmethod
    def end(self) -> list[Asked[Q, T]]:
        """Give up all requests, since no reply can arrive; return those still awaited."""

    @abstractmethod
    def __len__(self) -> int:
        """Return how many requests have outstanding replies, including those given up."""

    def keep(self, asked: Asked[Q, T]) -> None:
        """Reserve the identifier of an answered request: its reply may arrive again (datagrams).

        Nothing needs to be kept where requests have no identifiers.
        """

    @property
    @abstractmethod
    def has_room(self) -> bool:
        """Whether another request can be told apart from all of those."""

    @property
    @abstractmethod
    def is_spent(self) -> bool:
        """Whether so many were given up that the next requests should take another connection."""


class Matching(Protocol[Q, R]):
    """How a reply indicates which request it belongs to."""

    def new(
        self,
        last: Callable[[R], bool] | None = None,
        choose: Callable[[int], int] | None = None,
    ) -> Matcher[Q, R, Any]:
        """Return the state for one new connection.

        Args:
            last: recognises the last of many replies to one request; None if there is one reply.
            choose: returns a number from 0 up to but excluding its argument (`secrets.randbelow`),
                for unguessable identifiers; None to use them in turn.
        """
        ...


@dataclass(frozen=True, slots=True)
class InOrder:
    """The first reply belongs to the first request, and so on; every request has its reply.

    This holds on a stream. Datagrams are lost and reordered, so only one request at a time can have
    an outstanding reply.
    """

    def new(
        self,
        last: Callable[[Any], bool] | None = None,
        choose: Callable[[int], int] | None = None,
    ) -> Matcher[Any, Any, Any]:
        """Return the state for one new connection; nothing is chosen."""
        return _Queue(last)


@dataclass(frozen=True, slots=True, kw_only=True)
class ById(Generic[Q, R]):
    """A reply repeats the identifier that the client chose and put into the request.

    Attributes:
        get: reads the identifier of a reply.
        put: returns the request with an identifier in it.
        range: all identifiers, ``range(65_536)`` for 16 bits.
        fits: returns whether a reply with the right identifier answers the request, for replies
            that repeat more, such as the question (RFC 5452 §9.1); None if they do not.

    Raises:
        UsageError: there are no identifiers.

    Example:
        >>> matching = ById(
        ...     get=lambda reply: reply["id"],
        ...     put=lambda request, ident: request | {"id": ident},
        ...     range=range(1, 256),
        ... )
        >>> matching.new().ask({"what": "time"}, None).request
        {'what': 'time', 'id': 1}
        >>> matching = ById.field("id", range(1, 256))  # the same, and for other types, too
    """

    get: Callable[[R], int]
    put: Callable[[Q, int], Q]
    range: Sequence[int]
    fits: Callable[[Q, R], bool] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.range, range) or not self.range:
            raise UsageError(
                f"the range of identifiers is {self.range!r}, expected one such as range(65536)"
            )

    @staticmethod
    def field(name: str, identifiers: Sequence[int]) -> ById[Any, Any]:
        """Return the matching by a field that requests and replies have.

        Args:
            name: the name of the attribute, in a NamedTuple, a dataclass, a ``msgspec.Struct`` or
                any other object that `copy.copy` can copy, or of the key, in a dict.
            identifiers: all of them.
        """
        return ById(get=_Get(name), put=_Put(name), range=identifiers)

    def new(
        self, last: Callable[[R], bool] | None = None, choose: Callable[[int], int] | None = None
    ) -> ByIdMatcher[Q, R, Any]:
        """Return the state for one new connection."""
        return ByIdMatcher(self, last, choose)


@dataclass(frozen=True, slots=True)
class _Get:
    """Reads a field of a message."""

    name: str

    def __call__(self, message: Any) -> int:
        if type(message) is dict:
            value = message.get(self.name)
        else:
            value = getattr(message, self.name, None)
        if type(value) is not int:
            raise DecodeError(f"{self.name} is {value!r:.40}, expected an integer", 0)
        return value


@dataclass(frozen=True, slots=True)
class _Put:
    """Returns a message with another value in a field."""

    name: str

    def __call__(self, message: Any, ident: int) -> Any:
        if type(message) is dict:
            return message | {self.name: ident}
        for method in ("__replace__", "_replace"):  # Python 3.13's own, and a NamedTuple's
            if hasattr(message, method):
                return getattr(message, method)(**{self.name: ident})
        if is_dataclass(message):
            return replace(message, **{self.name: ident})  # type: ignore[type-var]
        again = copy.copy(message)
        setattr(again, self.name, ident)
        return again


class _Queue(Matcher[Q, R, T]):
    """Requests in the order in which their replies will come."""

    def __init__(self, last: Callable[[R], bool] | None) -> None:
        self._last = last
        self._asked: deque[Asked[Q, T]] = deque()
        self._given_up = 0

    def ask(self, request: Q, token: T) -> Asked[Q, T]:
        if self.is_spent:
            raise UsageError(
                f"{self._given_up} requests given up have had no reply; close this connection"
            )
        asked = Asked(request, token)
        self._asked.append(asked)
        return asked

    def take(self, reply: R) -> Asked[Q, T] | None:
        if not self._asked:
            return None
        asked = self._asked[0]
        if self._last is None or self._last(reply):
            self._asked.popleft()
            asked.is_answered = True
            self._given_up -= asked.is_given_up
        return asked

    def give_up(self, asked: Asked[Q, T]) -> None:
        self._given_up += not (asked.is_given_up or asked.is_answered)
        asked.is_given_up = True  # its place stays: its reply arrives before the next one's

    def take_back(self, asked: Asked[Q, T]) -> None:
        self._asked.remove(asked)

    def end(self) -> list[Asked[Q, T]]:
        waiting = [asked for asked in self._asked if not asked.is_given_up]
        self._asked.clear()
        self._given_up = 0
        return _given_up(waiting)

    def __len__(self) -> int:
        return len(self._asked)

    @property
    def has_room(self) -> bool:
        return True

    @property
    def is_spent(self) -> bool:
        return self._given_up >= _MAX_GIVEN_UP


def _given_up(waiting: list[Asked[Q, T]]) -> list[Asked[Q, T]]:
    for asked in waiting:
        asked.is_given_up = True
    return waiting


class ByIdMatcher(Matcher[Q, R, T]):
    """Requests by their identifier."""

    def __init__(
        self,
        matching: ById[Q, R],
        last: Callable[[R], bool] | None,
        choose: Callable[[int], int] | None,
    ) -> None:
        self._matching = matching
        self._last = last
        self._choose = choose
        # `len` refuses the range of 64 bits.
        self._size = matching.range.index(matching.range[-1]) + 1
        self._turn = 0
        self._waiting: dict[int, Asked[Q, T]] = {}
        #: Requests given up, in order.
        self._late: dict[int, Asked[Q, T]] = {}

    def ask(self, request: Q, token: T) -> Asked[Q, T]:
        """Register a request, and assign it a unique identifier."""
        if len(self._waiting) >= self._size:
            raise UsageError(f"all {self._size} identifiers are in use; ask fewer at once")
        if len(self._waiting) + len(self._late) >= self._size:
            self._forget_late()
        ident = self._free()
        asked = Asked(self._matching.put(request, ident), token, ident)
        self._waiting[ident] = asked
        return asked

    def find(self, ident: int) -> Asked[Q, T] | None:
        """Return the request with this identifier, for callers that read only that so far."""
        return self._waiting.get(ident) or self._late.get(ident)

    def take(self, reply: R) -> Asked[Q, T] | None:
        """Return the request whose identifier the reply has."""
        asked = self.find(self._matching.get(reply))
        if asked is None:
            return None
        fits = self._matching.fits
        if fits is not None and not fits(asked.request, reply):
            raise DecodeError(f"the reply with identifier {asked.ident} answers something else")
        if self._last is None or self._last(reply):
            self._remove(asked)
            asked.is_answered = True
        return asked

    def give_up(self, asked: Asked[Q, T]) -> None:
        """Stop waiting for a request; its identifier stays reserved for its late replies."""
        if self._waiting.get(asked.ident) is not asked:
            return
        asked.is_given_up = True
        self._late[asked.ident] = self._waiting.pop(asked.ident)
        if len(self._late) > min(_MAX_GIVEN_UP, self._size // 2):
            self._forget_late()

    def keep(self, asked: Asked[Q, T]) -> None:
        """Reserve the identifier of an answered request."""
        asked.is_given_up = True
        self._late[asked.ident] = asked
        if len(self._late) > min(_MAX_GIVEN_UP, self._size // 2):
            self._forget_late()

    def take_back(self, asked: Asked[Q, T]) -> None:
        """Forget a request that was not sent; its identifier is free at once."""
        del self._waiting[asked.ident]

    def end(self) -> list[Asked[Q, T]]:
        """Give up all requests; return those still awaited."""
        waiting = list(self._waiting.values())
        self._waiting.clear()
        self._late.clear()
        return _given_up(waiting)

    def __len__(self) -> int:
        return len(self._waiting) + len(self._late)

    @property
    def has_room(self) -> bool:
        """Whether an identifier is free."""
        return len(self._waiting) + len(self._late) < self._size

    @property
    def is_spent(self) -> bool:
        """Whether the next request that is given up makes an identifier free too early."""
        return len(self._late) >= min(_MAX_GIVEN_UP, self._size // 2)

    def _free(self) -> int:
        """Return an identifier that is not in use; there is one."""
        identifiers, turn = self._matching.range, self._turn
        if self._choose is not None:
            for _ in range(_TRIES):
                turn = self._choose(self._size)
                if self.find(identifiers[turn]) is None:
                    return identifiers[turn]
        while self.find(identifiers[turn]) is not None:
            turn = (turn + 1) % self._size
        self._turn = (turn + 1) % self._size
        return identifiers[turn]

    def _remove(self, asked: Asked[Q, T]) -> None:
        del (self._late if asked.is_given_up else self._waiting)[asked.ident]

    def _forget_late(self) -> None:
        del self._late[next(iter(self._late))]
