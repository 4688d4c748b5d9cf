"""The laws of framings and codecs, for use in any test suite.

    def test_my_framing_obeys_the_laws():
        check_framing(MyFraming(), [b"", b"ahoy", b"x" * 300])
        check_memory(MyFraming(max_length_bytes=512), b"x" * 64, longest=513)
        check_time(MyFraming())
        check_growth(my_parser, lambda size: b"(" * size)
        check_codec(MyCodec(), [b"", b"ahoy"], messages=[MyMessage(7)])
        check_wire_format(my_protocol, [MyRequest(1), MyRequest(2)], my_answer)

    split     how the input is split into pieces never changes the frames
    return    what `Framing.frame` writes, a framer reads
    memory    an endless input, valid or not, is never held
    time      work is linear in the input, counted in octets touched and not by a clock
    growth    any parser takes at most twice the steps for twice the input
    decoding  any bytes decode or raise `DecodeError`, and nothing else; messages come back equal
    matching  a client finds the request that a reply or a refusal belongs to

A broken law raises `LawBroken`. Everything here is deterministic; let hypothesis or another source
choose payloads, streams and split points for more variety.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import operator
import random
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pierhead.codec import Codec, Framer, Framing, Order, WireFormat
from pierhead.errors import (
    DecodeError,
    FramingError,
    Overloaded,
    PierheadError,
    ServiceFailed,
    TimedOut,
    UsageError,
)
from pierhead.testing.counted import Work, steps

__all__ = [
    "LawBroken",
    "Reading",
    "check_codec",
    "check_framing",
    "check_growth",
    "check_memory",
    "check_splits",
    "check_time",
    "check_wire_format",
    "read",
]

#: An octet may be copied in, moved, searched, taken and copied again, with room to spare; a call
#: may examine a header. A framer that touches more is not linear in its input.
_TOUCHES_PER_OCTET = 8
_TOUCHES_PER_CALL = 32

#: The tolerance for no growth: an input refused at its start takes a few steps more or less.
_STEPS_FOR_NOTHING = 200

_ALL = 2**31

M = TypeVar("M")
Q = TypeVar("Q")
R = TypeVar("R")
T = TypeVar("T")


class LawBroken(AssertionError):
    """A law is broken; the message says for which input."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The result of reading a stream: its frames, and whether it ended in a fault."""

    frames: tuple[bytes, ...]
    fault: bool


# -- framings ------------------------------------------------------------------------------------


def check_framing(framing: Framing, payloads: Sequence[bytes], *, seed: int = 0) -> None:
    """Check that payloads survive the round trip, however the stream is split.

    If the stream is short, each of its prefixes is checked too, so that the end of input occurs
    everywhere.

    Args:
        framing: the framing to check.
        payloads: payloads it can carry, including empty and long ones.
        seed: the seed of the random splits.
    """
    stream = b"".join(map(framing.frame, payloads))
    got = read(framing, [stream])
    if got != Reading(tuple(payloads), fault=False):
        raise LawBroken(f"{framing} wrote {_shown(payloads)} and read {got}")
    check_splits(framing, stream, seed=seed)
    for end in range(min(len(stream), 64)):
        check_splits(framing, stream[:end], seed=seed)


def check_splits(
    framing: Framing, stream: bytes, cuts: Iterable[int] = (), *, seed: int = 0
) -> None:
    """Check that a stream, valid or not, reads the same however it is split.

    It is read in one piece, octet by octet, cut at ``cuts``, cut at random, with and without
    taking frames out in between, one frame at a time and through a buffer that is overwritten.
    """
    whole = read(framing, [stream])
    chance = random.Random(seed)
    octets = _octets(stream)
    some = [_cut(stream, (chance.randint(0, len(stream)) for _ in range(n))) for n in (1, 3, 9)]
    ways = {
        "octet by octet": read(framing, octets),
        "octet by octet, taking no frame before the end": read(framing, octets, eager=False),
        "one frame at a time": read(framing, [stream], limit=1),
        f"cut at {sorted(cuts := list(cuts))}": read(framing, _cut(stream, cuts)),
        "through a buffer that is overwritten": read(framing, _reused(octets)),
        **{f"in pieces of {[len(p) for p in ps]}": read(framing, ps) for ps in some},
    }
    for way, got in ways.items():
        if got != whole:
            raise LawBroken(f"{framing} reads {_shown(stream)} as {whole}, but {way} as {got}")


def check_memory(
    framing: Framing, piece: bytes, *, longest: int, allowance_bytes: int = 2**15
) -> None:
    """Check that endless input is not buffered, whether it makes frames, faults or neither.

    Args:
        framing: the framing to check.
        piece: fed repeatedly; without a delimiter it never ends a frame.
        longest: octets of the longest frame on the wire.
        allowance_bytes: for everything that is not input: objects, frames not yet released.
    """
    framer = framing.new()
    bound = longest + len(piece)
    owned = not tracemalloc.is_tracing()
    if owned:
        tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    try:
        for fed in range(1, 16 * bound // len(piece) + 1):
            framer.feed(piece)
            # After a fault the law still applies: later input is not kept.
            with contextlib.suppress(FramingError):
                _drain(framer, _ALL, [])
            if framer.buffered > bound:
                raise LawBroken(
                    f"{framing} holds {framer.buffered} octets of endless {_shown(piece)}, "
                    f"expected at most {bound}"
                )
            if fed % 16:  # what is kept stays, and is seen a little later
                continue
            # Twice: the taken part may stay before the rest until it is the larger half.
            held = tracemalloc.get_traced_memory()[0] - before
            if held > 2 * bound + allowance_bytes:
                gc.collect()  # the rest of the process leaves cycles behind; they are not held
                held = tracemalloc.get_traced_memory()[0] - before
            if held > 2 * bound + allowance_bytes:
                raise LawBroken(
                    f"{framing} says {framer.buffered} octets and uses {held} bytes of memory"
                )
    finally:
        if owned:
            tracemalloc.stop()


def check_time(framing: Framing, *, longest: int = 2000, payload: bytes = b"ahoy") -> None:
    """Check that work is linear in the input: in octets touched, see `counted`.

    A long frame octet by octet, many small frames octet by octet, many small frames in one
    piece taken out one by one or all at once, and a backlog that more input joins.

    Args:
        framing: the framing to check; its framers keep their buffers in attributes.
        longest: octets of payload in the long frame.
        payload: a small payload that it can carry.
    """
    small = framing.frame(payload)
    long = framing.frame(payload[:1] * longest)
    many = small * (2 * longest // len(small) + 1)
    for what, pieces, limit in (
        ("one long frame, octet by octet", _octets(long), _ALL),
        ("small frames, octet by octet", _octets(many), _ALL),
        ("small frames in one piece, taken one by one", [many], 1),
        ("small frames in one piece, taken at once", [many], _ALL),
        ("a backlog of small frames", [many] + [small] * 200, 1),
    ):
        _check_work(framing, what, list(pieces), limit)


def _check_work(framing: Framing, what: str, pieces: list[bytes], limit: int) -> None:
    framer = framing.new()
    work, calls = Work(framer), 0
    # One call of frames() for each piece, then as many as it takes: so a backlog can build up.
    for piece in itertools.chain(pieces, itertools.repeat(b"")):
        framer.feed(piece)
        work.instrument()
        frames = framer.frames(limit)
        work.instrument()
        calls += 2
        if not piece and not frames:
            break
    fed = sum(map(len, pieces))
    allowed = _TOUCHES_PER_OCTET * fed + _TOUCHES_PER_CALL * calls
    if work.octets > allowed:
        raise LawBroken(
            f"{framing} touches {work.octets} octets to read {fed} ({what}), expected at most "
            f"{allowed}; it examines or moves the same input repeatedly"
        )


# -- parsers of anything ---------------------------------------------------------------------------


def check_growth(
    read: Callable[[T], object],
    make: Callable[[int], T],
    *,
    size: int = 512,
    most: float = 2.3,
) -> list[int]:
    """Check that work is linear in the input: in lines of Python, see `counted.steps`.

    Inputs of a size, twice and four times the size are read. From the second to the third work
    must not grow much more than twice as much as from the first to the second: it does so four
    times where work grows with the square.

    Args:
        read: reads one input; a `PierheadError` is an answer like any other, and so is its text.
        make: returns the most expensive input of a size.
        size: the size of the smallest input; large enough for bounded work to have reached its
            bound.
        most: how much of a growth is allowed; 2 is linear.

    Returns:
        The steps for each of the three sizes: if they are the same, the input may have been refused
        before it was read.
    """
    _read_or_refuse(read, make(size))  # one-time work, such as building a table, does not count
    sizes = (size, 2 * size, 4 * size)
    counts = [_steps_of(read, make(each)) for each in sizes]
    if _grows_too_much(counts, most):
        # A cache of the interpreter's, such as that of `re`, may have been emptied in between.
        counts = [_steps_of(read, make(each)) for each in sizes]
    if _grows_too_much(counts, most):
        raise LawBroken(
            f"{read} takes {counts[0]}, {counts[1]} and {counts[2]} steps for inputs of "
            f"{size}, {2 * size} and {4 * size}, expected about twice as many for twice as much"
        )
    return counts


def _steps_of(read: Callable[[T], object], given: T) -> int:
    return steps(lambda: _read_or_refuse(read, given))


def _grows_too_much(counts: Sequence[int], most: float) -> bool:
    first, second = counts[1] - counts[0], counts[2] - counts[1]
    return second > most * max(first, 0) + _STEPS_FOR_NOTHING


def _read_or_refuse(read: Callable[[T], object], given: T) -> None:
    try:
        read(given)
    except PierheadError as error:
        str(error)  # made when it is asked for, from what was read


# -- codecs --------------------------------------------------------------------------------------


def check_codec(
    codec: Codec[M],
    frames: Iterable[bytes] = (),
    *,
    messages: Iterable[M] = (),
    same: Callable[[M, M], bool] = operator.eq,
    seed: int = 0,
) -> None:
    """Check that any bytes decode or raise `DecodeError`, and that messages come back equal.

    Args:
        codec: the codec to check, including its ``reject`` if it has one.
        frames: valid or not; each is also cut short everywhere and damaged at random.
        messages: messages that must survive encoding and decoding.
        same: compares two messages, if ``==`` cannot.
        seed: chooses the damage.
    """
    chance = random.Random(seed)
    for message in messages:
        frame = codec.encode(message)
        if not same(again := _decode(codec, frame), message):
            raise LawBroken(f"{codec} encodes {message!r} as {frame!r} and decodes {again!r}")
        _check_decoding(codec, frame, chance)
    for frame in frames:
        _check_decoding(codec, frame, chance)


def _check_decoding(codec: Codec[Any], frame: bytes, chance: random.Random) -> None:
    for damaged in _damaged(frame, chance):
        try:
            _decode(codec, damaged)
        except DecodeError as error:
            _refuse(codec, error, damaged)


def _refuse(codec: Codec[Any], error: PierheadError, frame: bytes) -> bytes | None:
    reject: Any = getattr(codec, "reject", None)
    refusal = reject(error, frame) if reject else None
    if refusal is not None and not isinstance(refusal, bytes):
        raise LawBroken(f"{codec} rejects {frame!r} with {refusal!r}") from error
    return refusal


# -- wire formats --------------------------------------------------------------------------------


def check_wire_format(
    wire_format: WireFormat[Q, R],
    requests: Sequence[Q],
    answer: Callable[[Q], R],
    *,
    same_requests: Callable[[Q, Q], bool] = operator.eq,
    same_replies: Callable[[R, R], bool] = operator.eq,
    seed: int = 0,
) -> None:
    """Check that a server and a client of this wire format understand each other.

    Both codecs obey the laws of `check_codec`, and the framing carries their frames. The client can
    decode every refusal. If all requests wait at once, it finds the one that a reply belongs to, or
    the refusal of a request that the service failed to answer.

    Args:
        wire_format: the wire format to check.
        requests: sample requests.
        answer: returns the reply to a request, as the service does; of many replies, the last one.
        same_requests: compares two requests, if ``==`` cannot.
        same_replies: likewise, for replies.
        seed: chooses the damage.
    """
    framing, codecs = wire_format.framing, (wire_format.requests, wire_format.replies)
    replies = [answer(request) for request in requests]
    check_codec(codecs[0], messages=requests, same=same_requests, seed=seed)
    check_codec(codecs[1], messages=replies, same=same_replies, seed=seed)
    frames = [codecs[0].encode(request) for request in requests]
    refusals = list(_refusals(wire_format, frames, random.Random(seed)))
    try:
        check_framing(framing, [*frames, *map(codecs[1].encode, replies), *refusals], seed=seed)
    except UsageError as error:
        raise LawBroken(f"{framing} cannot carry a message: {error}") from error
    _check_matching(wire_format, requests, lambda asked: codecs[1].encode(answer(asked)))
    if hasattr(codecs[1], "reject") and refusals:
        _check_matching(wire_format, requests, None)


def _refusals(
    wire_format: WireFormat[Any, Any], frames: Sequence[bytes], chance: random.Random
) -> Iterator[bytes]:
    """Yield the refusals of these requests, and of damaged ones; a client can decode each."""
    replies = wire_format.replies
    asked: list[tuple[PierheadError, bytes]] = []
    for frame in frames:
        asked += [(ServiceFailed("x"), frame), (TimedOut("x"), frame), (Overloaded("x"), frame)]
        for damaged in _damaged(frame, chance):
            try:
                _decode(wire_format.requests, damaged)
            except DecodeError as error:
                asked.append((error, damaged))
    for reason, frame in asked:
        refusal = _refuse(replies, reason, frame)
        if refusal is None:
            continue
        try:
            _decode(replies, refusal)
        except DecodeError as mistake:
            raise LawBroken(
                f"{replies} refuses {frame!r} with {refusal!r}, which it cannot decode: {mistake}"
            ) from mistake
        yield refusal


def _check_matching(
    wire_format: WireFormat[Q, R], requests: Sequence[Q], answer: Callable[[Q], bytes] | None
) -> None:
    """Check that each reply, or each refusal, finds its request while all of them wait."""
    codecs, matcher = (wire_format.requests, wire_format.replies), wire_format.matcher()
    waiting = [matcher.ask(request, None) for request in requests]
    for asked in waiting if wire_format.order is Order.IN_ORDER else reversed(waiting):
        frame = codecs[0].encode(asked.request)
        if answer is None:
            reply = _refuse(codecs[1], ServiceFailed("x"), frame)
        else:
            reply = answer(_decode(codecs[0], frame))
        if reply is None:
            continue
        try:
            found = matcher.take(_decode(codecs[1], reply))
        except DecodeError as error:
            raise LawBroken(f"{reply!r} does not fit {asked.request!r}: {error}") from error
        if found is not asked:
            whose = "no request" if found is None else repr(found.request)
            raise LawBroken(f"{reply!r} answers {asked.request!r} and is taken for {whose}'s")


def _decode(codec: Codec[M], frame: bytes) -> M:
    try:
        return codec.decode(frame)
    except DecodeError:
        raise
    except Exception as error:
        raise LawBroken(
            f"{codec} raises {error!r} for {frame!r}, expected a message or DecodeError"
        ) from error


def _damaged(frame: bytes, chance: random.Random) -> Iterator[bytes]:
    """Yield the frame, the frame cut short, made longer, and with octets changed."""
    yield frame
    for end in range(min(len(frame), 512)):
        yield frame[:end]
    yield frame + chance.randbytes(1)
    for _ in range(64 if frame else 0):
        copy = bytearray(frame)
        for _ in range(chance.randint(1, 4)):
            copy[chance.randrange(len(copy))] = chance.choice((0, 0x7F, 0xC0, 0xFF, 65))
        yield bytes(copy)


# -- reading -------------------------------------------------------------------------------------


def read(
    framing: Framing,
    pieces: Iterable[bytes | memoryview],
    *,
    limit: int = _ALL,
    eager: bool = True,
) -> Reading:
    """Read a stream in these pieces to its end.

    Args:
        framing: creates the framer.
        pieces: the stream.
        limit: how many frames to take out in one call.
        eager: take frames out after every piece, and not only at the end.
    """
    framer = framing.new()
    frames: list[bytes] = []
    try:
        for piece in pieces:
            framer.feed(piece)
            if eager:
                _drain(framer, limit, frames)
        _drain(framer, limit, frames)
        frames += framer.finish()
    except FramingError:
        return Reading(tuple(frames), fault=True)
    return Reading(tuple(frames), fault=False)


def _drain(framer: Framer, limit: int, frames: list[bytes]) -> None:
    while taken := framer.frames(limit):
        if len(taken) > limit:
            raise LawBroken(f"{framer} gave {len(taken)} frames, asked for {limit}")
        frames += taken


def _octets(stream: bytes) -> list[bytes]:
    return [stream[i : i + 1] for i in range(len(stream))]


def _cut(stream: bytes, cuts: Iterable[int]) -> list[bytes]:
    ends = [0, *sorted(cuts), len(stream)]
    return [stream[a:b] for a, b in itertools.pairwise(ends)]


def _reused(pieces: Iterable[bytes]) -> Iterator[memoryview]:
    """Yield each piece in the same buffer, overwritten as soon as the next is asked for."""
    for piece in pieces:
        buffer = bytearray(piece)
        yield memoryview(buffer)
        buffer[:] = bytes(byte ^ 0xFF for byte in piece)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:150]} … ({len(text)} characters)"
