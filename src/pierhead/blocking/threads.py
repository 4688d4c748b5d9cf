"""A function that blocks, served from threads.

def look_up(name: str, context: Context) -> str:
    return database.execute(QUERY, name).fetchone()[0]

run(lines.serve(threaded(look_up, threads=8)), "tcp:127.0.0.1:7000")
"""

from __future__ import annotations

import asyncio
import functools
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, TypeAlias, TypeVar

from pierhead.errors import Overloaded
from pierhead.limits import Limit
from pierhead.service import Service, blocking
from pierhead.service.context import Context

__all__ = ["LIMITS", "threaded"]

Q = TypeVar("Q")
R = TypeVar("R")

THREADS = Limit(
    name="threads",
    default=8,
    minimum=1,
    maximum=1024,
    unit="threads",
    meaning="How many requests may be in a blocking function at once; the next one is shed.",
    source="the default of Python's ThreadPoolExecutor on a machine with four processors",
    metric="requests_failed_total{reason=threads}",
    effect="at construction",
)

LIMITS = (THREADS,)


def threaded(
    function: Callable[[Q, Context], R | None], threads: int = int(THREADS.default)
) -> Service[Q, R]:
    """Return a service that runs this plain function in threads of its own.

    When all threads are busy, the next request is shed with `Overloaded`. A thread cannot be
    stopped: a request whose deadline passes is answered at once, but its thread stays busy until
    the function returns. A call still running when the program ends is cut off.

    Args:
        function: called with the request and the context, in the context variables of the
            request; returns one reply, or None for silence.
        threads: how many requests may be in the function at once.

    Raises:
        UsageError: the function is async, or does not take a request and a context.

    Example:
        >>> import asyncio
        >>> from pierhead.testing import call
        >>> def shout(line, context):
        ...     return line.upper()
        >>> asyncio.run(call(threaded(shout), "hello"))
        'HELLO'
    """
    name = getattr(function, "__qualname__", repr(function))
    pool = _Pool(int(THREADS.check(threads)), name)
    work = functools.partial(_outcome, blocking(function))

    async def answer(request: Q, context: Context) -> R | None:
        run = copy_context().run
        loop = asyncio.get_running_loop()
        outcome = await loop.run_in_executor(pool, run, work, request, context)
        reply: R | None = outcome[0]
        error = outcome[1]
        del outcome
        try:
            if error is not None:
                raise error
            return reply
        finally:
            del error  # its traceback refers to this frame

    answer.__qualname__ = name
    return answer


def _outcome(
    function: Callable[[Any, Context], Any], request: Any, context: Context
) -> tuple[Any, BaseException | None]:
    """Return the reply or the error; a future cannot hold every error (StopIteration)."""
    try:
        return function(request, context), None
    except BaseException as error:
        return None, error


#: A job for a thread; None ends the thread.
_Work: TypeAlias = Callable[[], None] | None


class _Pool(Executor):
    """Threads that are started on demand and not joined when the program ends.

    A `ThreadPoolExecutor` joins its threads at exit, so one function that hangs would keep the
    process alive. It also queues without a bound, and counts a cancelled request as done.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._name = name
        self._free = threading.Semaphore(threads)
        # Threads refer to the queue and not to the pool, so that they end with it.
        self._idle = threading.Semaphore(0)
        self._queue: SimpleQueue[_Work] = SimpleQueue()
        weakref.finalize(self, self._queue.put, None).atexit = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a function in a free thread.

        Raises:
            Overloaded: no thread is free.
        """
        if not self._free.acquire(blocking=False):
            raise Overloaded(THREADS.name)
        try:
            if not self._idle.acquire(blocking=False):
                self._start_thread()
        except BaseException:  # the system cannot start another thread
            self._free.release()
            raise
        future: Future[Any] = Future()
        call = functools.partial(fn, *args, **kwargs)
        leave = functools.partial(_leave, self._idle, self._free)
        self._queue.put(functools.partial(_settle, future, call, leave))
        return future

    def _start_thread(self) -> None:
        name = f"threaded {self._name}"
        threading.Thread(target=_serve, args=(self._queue,), name=name, daemon=True).start()


def _serve(queue: SimpleQueue[_Work]) -> None:
    while True:
        work = queue.get()
        if work is None:
            queue.put(None)  # for the next thread
            return
        work()
        del work  # not kept while idle


def _settle(future: Future[Any], call: Callable[[], Any], leave: Callable[[], None]) -> None:
    """Do the work unless it was cancelled before it began; free the thread, then report."""
    if not future.set_running_or_notify_cancel():
        leave()
        return
    try:
        result = call()
    except BaseException as error:
        leave()
        future.set_exception(error)
    else:
        leave()
        future.set_result(result)


def _leave(idle: threading.Semaphore, free: threading.Semaphore) -> None:
    """Release the slot; the thread first, so that the next request finds it idle."""
    idle.release()
    free.release()
