"""``launchd:``: the C call, mocked; it exists on macOS only."""

from __future__ import annotations

import ctypes
import errno
import sys

import pytest

from pierhead.address import ListenSpec
from pierhead.errors import ListenError
from pierhead.listener.adopt import launchd
from pierhead.listener.open import open_all


class Library:
    """Hands out these descriptors, or refuses with this error number."""

    def __init__(self, *numbers: int, code: int = 0) -> None:
        self.array = (ctypes.c_int * max(len(numbers), 1))(*numbers)
        self.count = len(numbers)
        self.code = code
        self.asked = b""
        self.freed = 0

    def launch_activate_socket(self, name, descriptors, count) -> int:
        self.asked = name
        if not self.code:
            pointer = ctypes.cast(self.array, ctypes.POINTER(ctypes.c_int))
            ctypes.memmove(descriptors, ctypes.byref(pointer), ctypes.sizeof(ctypes.c_void_p))
            ctypes.cast(count, ctypes.POINTER(ctypes.c_size_t))[0] = self.count
        return self.code

    def free(self, pointer) -> None:
        self.freed += 1
        assert pointer[0] == self.array[0]


def test_every_descriptor_of_a_name_is_taken_and_the_array_freed() -> None:
    library = Library(7, 9)
    assert launchd.activate("launchd:Listeners", "Listeners", library) == [7, 9]
    assert library.asked == b"Listeners"
    assert library.freed == 1


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ESRCH, "does not manage this process"),
        (errno.ENOENT, "no sockets of this name"),
        (errno.EALREADY, "handed out already"),
        (errno.EINVAL, "Invalid argument"),
    ],
)
def test_a_refusal_says_what_to_do(code, words) -> None:
    library = Library(code=code)
    with pytest.raises(ListenError, match=words) as caught:
        launchd.activate("launchd:Listeners", "Listeners", library)
    assert caught.value.errno == code
    assert library.freed == 0


@pytest.mark.skipif(sys.platform == "darwin", reason="it exists here")
async def test_launchd_is_refused_by_name_on_other_platforms() -> None:
    with pytest.raises(ListenError, match="has no launchd"):
        await open_all([(ListenSpec.parse("launchd:Listeners"),)])
