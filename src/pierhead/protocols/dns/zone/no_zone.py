"""Recognizes files that are not master files by how they begin, and says what to do.

Each would otherwise give a fault for every line. None of these can be the beginning of a zone: no
record and no directive starts this way.
"""

from __future__ import annotations

import codecs
import re

__all__ = ["foreign_kind"]

_HEAD = 4096

_DECOMPRESS = "decompress it, and name the result: {} FILE > TEXT"

#: How the file begins, what it is, what to do.
_BEGINNINGS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "gzip data", _DECOMPRESS.format("gunzip -c <")),
    (b"BZh", "bzip2 data", _DECOMPRESS.format("bunzip2 -c <")),
    (b"\xfd7zXZ\0", "xz data", _DECOMPRESS.format("xz -dc <")),
    (b"\x28\xb5\x2f\xfd", "zstd data", _DECOMPRESS.format("zstd -dc <")),
    (b"\x1f\x9d", "compress data", _DECOMPRESS.format("uncompress -c <")),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it, and name the zone file in it"),
    (b"PK\x03\x04", "a zip archive", "unpack it, and name the zone file in it"),
    (b"PK\x05\x06", "an empty zip archive", "name another file"),
    (b"%PDF-", "a PDF document", "save its contents as plain text"),
    (b"\x7fELF", "a program (ELF)", "name another file"),
    (b"\xcf\xfa\xed\xfe", "a program (Mach-O)", "name another file"),
    (b"\x89PNG", "a picture (PNG)", "name another file"),
    (b"\xff\xd8\xff", "a picture (JPEG)", "name another file"),
    (b"GIF8", "a picture (GIF)", "name another file"),
    (b"SQLite format 3\0", "an SQLite database", "export the zone as text"),
    (b"{\\rtf", "a word processor's document (RTF)", "save it as plain text"),
    (b"\xd0\xcf\x11\xe0", "an Office document", "save it as plain text"),
    (
        b"\0\0\0\2",
        "a zone in BIND's raw format",
        "convert it, and name the result: named-compilezone -f raw -F text -o TEXT NAME FILE",
    ),
    (b"-----BEGIN ", "a key or certificate in PEM form", "name the zone file"),
    (b"<?xml", "XML", "export the zone as a master file (RFC 1035)"),
)
_WIDE = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_HTML = re.compile(rb"\s*<(?:!doctype\s+html|html[\s>])", re.IGNORECASE)
_JSON = re.compile(rb'\s*[\[{]\s*(?:"[^"\n]*"\s*:|\{)')
_NAMED_CONF = re.compile(rb'\s*(?:options\s*\{|zone\s+"[^"\n]*"\s*(?:IN\s*)?\{)', re.IGNORECASE)
#: Control characters that nobody types into a zone by accident.
_MANY_CONTROLS = 16
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def foreign_kind(text: bytes) -> tuple[str, str] | None:
    """Return what a file is if it cannot be a master file, and a remedy; None otherwise."""
    head = text[:_HEAD]
    wide = _wide(head)
    if wide:
        remedy = f"convert it to UTF-8, and name the result: iconv -f {wide} -t UTF-8 FILE > TEXT"
        return f"{wide} text", remedy
    for beginning, kind, remedy in _BEGINNINGS:
        if head.startswith(beginning):
            return kind, remedy
    if head[257:262] == b"ustar":
        return "a tar archive", "unpack it, and name the zone file in it"
    if _HTML.match(head):
        return "a web page (HTML)", "download the file itself: its raw text"
    if _JSON.match(head):
        return "JSON", "export the zone as a master file (RFC 1035)"
    if _NAMED_CONF.match(head):
        return "a BIND configuration", 'name the files of its zones (file "…";)'
    # One odd character is a fault with a position; a file full of them is not text.
    controls = len(_CONTROL.findall(head))
    if b"\0" in head and controls >= _MANY_CONTROLS and controls * 20 > len(head):
        return "binary data", "name another file"
    return None


def _wide(head: bytes) -> str:
    for mark, name in _WIDE:
        if head.startswith(mark):
            return name
    if len(head) < 8:
        return ""
    for first, step in ((0, 1), (1, 0)):
        letters, zeros = head[first::2][:64], head[step::2][:64]
        if not zeros.strip(b"\0") and all(0x09 <= letter < 0x7F for letter in letters):
            return "UTF-16LE" if first == 0 else "UTF-16BE"
    return ""
