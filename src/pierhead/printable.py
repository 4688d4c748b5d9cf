r"""Text from an untrusted source, made safe to print.

What a peer sends may contain line ends, terminal escape sequences, and characters that reverse the
writing direction. Escaped as ASCII, it can neither forge a line nor move the cursor.
"""

from __future__ import annotations

__all__ = ["digits", "printable", "printable_octets", "visible"]


def digits(number: float) -> str:
    """Return a number in digits alone, however large.

    >>> digits(2_592_000.0), digits(0.5)
    ('2592000', '0.5')
    """
    if number == number // 1:
        return str(int(number))
    return f"{number:.12f}".rstrip("0").rstrip(".")


def printable(text: str) -> str:
    r"""Return the text with everything but printable ASCII escaped, the backslash too.

    >>> printable("a\x1b[2J\nb")
    'a\\x1b[2J\\nb'
    """
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    return text.encode("unicode_escape").decode("ascii")


def printable_octets(octets: bytes) -> str:
    r"""Return octets as ASCII; what is not printable, and the backslash, is escaped.

    >>> printable_octets(b"caf\xc3\xa9\n")
    'caf\\xc3\\xa9\\n'
    """
    return printable(octets.decode("latin-1"))


def visible(text: str) -> str:
    r"""Return the text with only its invisible characters escaped.

    For text that is mostly our own, or written by the user in a language they know.

    >>> visible("caf\u00e9\x1b[2J\u202e")
    'caf\u00e9\\x1b[2J\\u202e'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else printable(c) for c in text)
