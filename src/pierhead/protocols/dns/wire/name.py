"""Domain names: wire form, text form, comparison (RFC 1035 §3.1 and §5.1, RFC 4343).

A name is `bytes` as in `rrset.Name`: uncompressed, in its original letter case. These functions
trust the names they get; only `from_text` parses user input. Compression is in the message readers
and writers.
"""

from __future__ import annotations

from pierhead.errors import DecodeError, UsageError
from pierhead.protocols.dns.wire.rrset import Name

__all__ = [
    "MAX_LABEL",
    "MAX_NAME",
    "ROOT",
    "from_text",
    "is_subdomain",
    "join",
    "key",
    "label_count",
    "labels",
    "parent",
    "to_text",
]

#: RFC 1035 §2.3.4: "labels 63 octets or less", "names 255 octets or less".
MAX_LABEL = 63
MAX_NAME = 255

#: The root: only the empty label.
ROOT: Name = b"\x00"

_LENGTHS = tuple(bytes((n,)) for n in range(MAX_LABEL + 1))
_DOT, _BACKSLASH = b".\\"
#: Characters with a meaning in a master file, escaped so that a name reads back as itself.
_SPECIAL = frozenset(b'."\\;@$()')
_TEXTS = tuple(
    f"\\{chr(n)}" if n in _SPECIAL else chr(n) if 0x21 <= n <= 0x7E else f"\\{n:03d}"
    for n in range(256)
)
_PLAIN = frozenset(n for n in range(256) if _TEXTS[n] == chr(n))


def from_text(text: str | bytes, origin: Name | None = None) -> Name:
    r"""Return the name written in master-file form: ``www.example.``, ``a\.b``, ``\000``.

    A name that does not end in a dot is relative and continues with ``origin``. ``@`` is an
    ordinary character here; that it stands for the origin is a rule of zone files.

    Raises:
        DecodeError: an empty label, a label over 63 or a name over 255 octets, a broken escape,
            a relative name without origin; ``offset`` counts characters of ``text``.
        UsageError: it is not text.
    """
    raw = text if isinstance(text, bytes) else _ascii(text)
    if b"\\" not in raw:
        parts = raw.split(b".")
        absolute = parts[-1] == b""
        if absolute:
            parts.pop()
        if parts and all(0 < len(part) <= MAX_LABEL for part in parts):
            return _finish(parts, absolute, raw, origin)
    # Escapes, or an error: the slow path, which tracks the position.
    if raw == b".":
        return ROOT
    return _finish(*_scan(raw), raw, origin)


def to_text(name: Name) -> str:
    """Return the name in master-file form: absolute, with escapes where needed."""
    if name == ROOT:
        return "."
    return "".join([f"{_label_text(label)}." for label in labels(name)])


def key(name: Name) -> Name:
    """Return the name in lower case, the form for comparison and lookup.

    Only ASCII letters fold (RFC 4343 §3), which is what `bytes.lower` does. It runs over the
    length octets too and cannot change them: they are at most 63, and ``A`` to ``Z`` are 65
    to 90.
    """
    return name.lower()


def labels(name: Name) -> tuple[bytes, ...]:
    """Return the labels without their length octets, leftmost first; () for the root."""
    found = []
    position = 0
    while length := name[position]:
        found.append(name[position + 1 : position + 1 + length])
        position += 1 + length
    return tuple(found)


def label_count(name: Name) -> int:
    """Count the labels, excluding the root's."""
    count = position = 0
    while length := name[position]:
        position += 1 + length
        count += 1
    return count


def parent(name: Name) -> Name:
    """Return the name without its leftmost label; the root is its own parent."""
    return name[name[0] + 1 :] or ROOT


def is_subdomain(name: Name, ancestor: Name) -> bool:
    """Tell whether a name is the ancestor or below it, whatever the letter case."""
    name, ancestor = name.lower(), ancestor.lower()
    if not name.endswith(ancestor):
        return False
    # The octets may match by accident inside a label; the suffix must start at a label boundary.
    start = len(name) - len(ancestor)
    position = 0
    while position < start:
        position += 1 + name[position]
    return position == start


def join(parts: tuple[bytes, ...] | list[bytes], suffix: Name = ROOT) -> Name:
    """Return the name of these labels, each 1 to 63 octets, followed by a suffix.

    Raises:
        DecodeError: the name is longer than 255 octets.
    """
    lengths = _LENGTHS
    name = b"".join([lengths[len(part)] + part for part in parts]) + suffix
    if len(name) > MAX_NAME:
        raise DecodeError(f"name of {len(name)} octets, expected at most {MAX_NAME}")
    return name


def _finish(parts: list[bytes], absolute: bool, raw: bytes, origin: Name | None) -> Name:
    if absolute:
        suffix = ROOT
    elif origin is None:
        raise DecodeError("relative name without origin; end it with a dot", len(raw))
    else:
        suffix = origin
    try:
        return join(parts, suffix)
    except DecodeError as error:
        raise DecodeError(error.reason, len(raw)) from None


def _ascii(text: object) -> bytes:
    if not isinstance(text, str):
        raise UsageError(f"a name is {text!r}, expected text such as 'www.example.'")
    try:
        return text.encode("ascii")
    except UnicodeEncodeError as error:
        raise DecodeError(
            f"{text[error.start]!r} is not ASCII; write the label in its xn-- form, "
            "or each octet as \\DDD",
            error.start,
        ) from None


def _scan(raw: bytes) -> tuple[list[bytes], bool]:
    """Split into labels, resolving escapes; also tell whether the name is absolute."""
    if not raw:
        raise DecodeError("empty name", 0)
    parts: list[bytes] = []
    label = bytearray()
    start = position = 0
    while position < len(raw):
        octet = raw[position]
        if octet == _DOT:
            parts.append(_checked(label, start))
            label.clear()
            position = start = position + 1
            continue
        if octet == _BACKSLASH:
            octet, width = _escape(raw, position)
            position += width
        else:
            position += 1
        label.append(octet)
    if start == len(raw):
        return parts, True
    parts.append(_checked(label, start))
    return parts, False


def _checked(label: bytearray, start: int) -> bytes:
    if not label:
        raise DecodeError("empty label", start)
    if len(label) > MAX_LABEL:
        raise DecodeError(f"label of {len(label)} octets, expected at most {MAX_LABEL}", start)
    return bytes(label)


def _escape(raw: bytes, position: int) -> tuple[int, int]:
    """Return the octet that an escape stands for and how many characters it takes."""
    digits = raw[position + 1 : position + 4]
    if not digits:
        raise DecodeError("backslash at the end, expected \\DDD or \\X", position)
    if not digits[:1].isdigit():
        return digits[0], 2  # \X: that character, without special meaning
    if len(digits) < 3 or not digits.isdigit() or int(digits) > 255:
        raise DecodeError("bad escape, expected \\ and three digits, 000 to 255", position)
    return int(digits), 4


def _label_text(label: bytes) -> str:
    if _PLAIN.issuperset(label):
        return label.decode("ascii")
    return "".join([_TEXTS[octet] for octet in label])
