"""Master files to zones (RFC 1035 §5, RFC 2308 §4, RFC 3597 §5).

    bytes ──lines──▶ fields ──▶ directive: $ORIGIN $TTL $INCLUDE $GENERATE
                        └─────▶ record: owner [ttl] [class] type rdata ──▶ ZoneBuilder ──▶ Zone

A wrong record does not stop parsing: all faults are reported together. Plain lines are split by
`bytes.split`; the tokenizer sees only lines with quotes, parentheses, escapes or comments, and
faulty lines, to find the column. Files are read by the caller: this module is pure.
"""

from __future__ import annotations

import codecs
import gc
import re
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from pierhead.errors import ConfigError, Fault, PierheadError, UsageError
from pierhead.protocols.dns.wire import iana, name
from pierhead.protocols.dns.wire.rrset import Name
from pierhead.protocols.dns.zone.bounds import DEFAULT_BOUNDS, ZoneBounds
from pierhead.protocols.dns.zone.builder import ZoneBuilder
from pierhead.protocols.dns.zone.check import check
from pierhead.protocols.dns.zone.faults import Faults, Place, TooManyFaults
from pierhead.protocols.dns.zone.fields import FieldError, Fields, read_period
from pierhead.protocols.dns.zone.generate import count_generated, generate
from pierhead.protocols.dns.zone.lookalikes import describe, find_lookalikes, plain
from pierhead.protocols.dns.zone.no_zone import foreign_kind
from pierhead.protocols.dns.zone.rdata_text import RdataReader, rdata_reader, read_unknown
from pierhead.protocols.dns.zone.signatures import Verify, check_signatures
from pierhead.protocols.dns.zone.targets import Reference
from pierhead.protocols.dns.zone.tokenizer import Entries, Entry, EntryError, read_entry
from pierhead.protocols.dns.zone.zone import Zone

__all__ = ["Include", "parse_zone"]

#: Returns the content of a file named by $INCLUDE, relative to the zone's directory.
Include: TypeAlias = Callable[[str], bytes]

_MAX_TTL = 0x7FFFFFFF
_MAX_RDATA = 0xFFFF
#: NSD's limits against files that include themselves.
_MAX_INCLUDE_DEPTH = 10
_MAX_INCLUDES = 1000

#: How much of a line is searched for its type: two of the longest names, TTL and class.
_MAX_PROLOGUE = 2200
_DOLLAR = 0x24
_BLANK_LINES = re.compile(rb"(?:[ \t\r]*+\n)++")
#: Text in which every carriage return precedes a line feed.
_LINES = re.compile(rb"(?:[^\r]++|\r++(?=\n|\Z))*+")
# What a word before the type turned out to be; types are represented by their number.
_TTL, _CLASS = -1, -2
_NO_READER: RdataReader = Fields.name
_Word: TypeAlias = tuple[int, int, RdataReader]


def parse_zone(
    text: bytes,
    *,
    origin: Name | str | None = None,
    file_name: str = "zone",
    include: Include | None = None,
    rclass: int = iana.CLASS_IN,
    now: int | None = None,
    references: list[Reference] | None = None,
    bounds: ZoneBounds = DEFAULT_BOUNDS,
    confined: bool = True,
    verify: Verify | None = None,
) -> Zone:
    """Return the zone written in a master file.

    Args:
        text: the file's content.
        origin: the zone's name; None uses the owner of the SOA record, which must then be the first
            record and have an absolute name (or follow an absolute $ORIGIN).
        file_name: the file's name in faults.
        include: reads the files that $INCLUDE names; None refuses the directive. It may raise any
            `PierheadError` or `OSError`, which becomes a fault. Names with ``..`` or starting at
            the root never reach it; symbolic links out of the directory are its business.
        rclass: the zone's class.
        now: seconds since 1970, to tell whether signatures are valid; None leaves that open.
        references: takes in what other zones must answer for; see `targets.inspect_references`.
        bounds: how large the zone may be.
        confined: if False, ``include`` also gets names with ``..`` or starting at the root.
        verify: verifies signatures, as `verify.verify` does; None skips that.

    Raises:
        ConfigError: the zone cannot be served; all faults are in it.
        UsageError: ``origin`` is not a domain name.
    """
    if isinstance(origin, str):
        try:
            origin = name.from_text(origin, name.ROOT)
        except PierheadError as error:
            raise UsageError(f"{origin!r} is not the name of a zone: {error}") from None
    # Nothing created here becomes garbage, and the collector would walk through all of it
    # repeatedly: a third of the time for a large zone.
    collecting = gc.isenabled()
    gc.disable()
    try:
        reader = _Reader(origin, include, rclass, Faults(), bounds=bounds, confined=confined)
        signatures = partial(check_signatures, now=now, verify=verify)
        return _build(reader, text, file_name, signatures, references)
    finally:
        if collecting:
            gc.enable()


def _build(
    reader: _Reader,
    text: bytes,
    file_name: str,
    signatures: Callable[[ZoneBuilder, Faults], None],
    references: list[Reference] | None,
) -> Zone:
    faults = reader.faults
    reader.begin(text, file_name)
    try:
        reader.read_file(text, file_name)
        builder = reader.builder
        if builder is None:
            if not faults.count:
                remedy = "begin it with the SOA record"
                faults.whole("there is no record in the file", remedy, "soa")
            raise ConfigError(faults.errors())
        check(builder, faults, reader.broken, references)
        signatures(builder, faults)
    except TooManyFaults:
        raise ConfigError(faults.errors()) from None
    except _UnnamedError as error:
        if not faults.count:  # otherwise the record with the name is wrong, and has been reported
            faults.error(
                error.place,
                "the name of the zone is not known",
                f"give the file as NAME={file_name}, as in example.org={file_name}; or begin it "
                "with the SOA record, and that with the name of the zone and a dot at its end",
                "origin",
            )
        raise ConfigError(faults.errors()) from None
    if faults.count:
        raise ConfigError(faults.errors())
    return builder.build()


def _is_plain(text: bytes) -> bool:
    """Tell whether `bytes.split` and LF give the same fields and lines as the tokenizer.

    Form feeds and vertical tabs belong to fields, as in BIND and NSD; NUL is refused; and a
    carriage return alone ends a line.
    """
    if b"\f" in text or b"\v" in text or b"\0" in text:
        return False
    return b"\r" not in text or _LINES.fullmatch(text) is not None


class _UnnamedError(PierheadError):
    """Nothing names the zone in the file; ``place`` is where it should have been named."""

    def __init__(self, place: Place) -> None:
        self.place = place
        super().__init__(place)


class _Reader:
    """The state of parsing one zone: what a line inherits from those before."""

    def __init__(
        self,
        origin: Name | None,
        include: Include | None,
        rclass: int,
        faults: Faults,
        *,
        bounds: ZoneBounds,
        confined: bool,
    ) -> None:
        self.builder = ZoneBuilder(origin, rclass, faults) if origin is not None else None
        #: Types of records that were faulty: they are not missing.
        self.broken: set[int] = set()
        self._fields = Fields([], origin=origin)
        self._include = include
        self._rclass = rclass
        self.faults = faults
        self._words: dict[bytes, _Word] = {}
        self._owner: Name | None = None
        self._owner_text: bytes | None = None
        self._default_ttl: int | None = None
        self._last_ttl: int | None = None
        #: Whether inheriting TTLs from lines before has been reported.
        self._is_ttl_told = False
        self._depth = 0
        self._includes = 0
        self._confined = confined
        self._bounds = bounds
        self._octets = 0
        self._generated = 0

    def begin(self, text: bytes, file_name: str) -> None:
        """Refuse a file that is not a zone file, or too large, with a single fault."""
        self._octets = len(text)
        if foreign := foreign_kind(text):
            message, remedy = f"this is {foreign[0]}, expected a master file", foreign[1]
        elif self._octets > self._bounds.zone_octets:
            message, remedy = self._too_large(), ""
        else:
            return
        raise ConfigError([Fault(file_name, 0, 0, message, remedy=remedy, code="file")])

    def _too_large(self) -> str:
        return (
            f"the zone has more than {self._bounds.zone_octets} octets of text, including "
            "included and generated text (zone_octets)"
        )

    def read_file(self, text: bytes, file_name: str) -> None:
        """Read all entries of one file."""
        base = self.faults.open_file(file_name, text)
        entries = Entries(text)
        position, size = 0, len(text)
        is_plain = _is_plain(text)
        if text.startswith(codecs.BOM_UTF8):
            self._refuse_mark(base)
            position = len(codecs.BOM_UTF8)
        while position < size:
            end = text.find(b"\n", position)
            if end < 0:
                end = size
            line = text[position:end]
            if (
                not is_plain
                or b";" in line
                or b'"' in line
                or b"(" in line
                or b"\\" in line
                or b")" in line
                or line[:1] == b"$"
            ):
                position = self._read_entry(entries, position, base)
                continue
            if tokens := line.split():
                try:
                    self._record(tokens, line[0] in b" \t", base + position)
                except FieldError as error:
                    self._blame(error, text, position, base)
            elif blank := _BLANK_LINES.match(text, position):
                position = blank.end()
                continue
            position = end + 1
        for offset, what, remedy in find_lookalikes(text):
            self.faults.warning(
                base + offset,
                f"{what} is part of this field",
                f"{remedy}; in a name or a string that should contain it, write it in quotes or as "
                "\\DDD",
            )

    def _refuse_mark(self, place: Place) -> None:
        # It would become an invisible part of the first name.
        self.faults.error(
            place,
            "the file begins with a byte order mark",
            "save it as plain ASCII, or as UTF-8 without a byte order mark",
        )

    def _read_entry(self, entries: Entries, position: int, base: Place) -> int:
        """Read an entry that needs the tokenizer; return where the next one starts."""
        try:
            entry = entries.read(position)
        except EntryError as error:
            self._note_broken(entries.text, position)
            self.faults.error(base + error.offset, error.message, error.remedy)
            return error.resume
        tokens = entry.tokens
        if tokens:
            text = entries.text
            place = base + entry.offsets[0]
            self._fields.offsets = entry.offsets
            try:
                if tokens[0][0] == _DOLLAR and text[position] == _DOLLAR:
                    self._directive(entry, place)
                else:
                    self._record(tokens, text[position] in b" \t", place)
            except FieldError as error:
                self._blame(error, text, position, base)
            self._fields.offsets = None
        return entry.end

    def _note_broken(self, text: bytes, position: int) -> None:
        """Record the type of an entry that has no end: its record is not missing."""
        line = text[position : position + _MAX_PROLOGUE].partition(b"\n")[0]
        words = line.replace(b"(", b" ").split()
        is_owned = line[:1] not in (b" ", b"\t")
        for word in words[is_owned:]:
            try:
                rtype = iana.type_number(word.decode("ascii", "replace"))
            except UsageError:
                continue
            self.broken.add(rtype)
            if rtype == iana.SOA and self.builder is None and is_owned:
                self._begin_broken(words[0])
            return

    def _begin_broken(self, token: bytes) -> None:
        """Take the zone's name from a faulty SOA record, if it has one."""
        try:
            self._owner = self._fields.to_name(token)
        except FieldError:
            return
        self.builder = self._begin(self._owner)

    def _blame(self, error: FieldError, text: bytes, position: int, base: Place) -> None:
        entry = read_entry(text, position)
        first = 1 if entry.offsets[0] == position else 0  # an owner may be named like a type
        words = [self._words.get(token) for token in entry.tokens[first:]]
        kinds = [word[0] for word in words if word is not None]
        self.broken.update([kind for kind in kinds if kind >= 0][:1])
        if self.builder is None and iana.SOA in self.broken and self._owner is not None:
            self.builder = self._begin(self._owner)
        if error.index < len(entry.offsets):
            offset = entry.offsets[error.index] + error.offset
        else:  # the missing field: after the last one
            offset = entry.offsets[-1] + len(entry.tokens[-1])
        remedy = error.remedy
        for token in entry.tokens:
            found = describe(token)
            if found is not None and self._is_good(plain(text[position : entry.end])):
                shown = token.decode("utf-8", "replace")
                remedy = f"there is {found.what} in {shown!r}; {found.remedy}"
                break
        self.faults.error(base + offset, error.message, remedy)

    def _is_good(self, line: bytes) -> bool:
        """Tell whether a line would be valid in place of the one that has just been read."""
        faults = Faults()
        trial = _Reader(
            self._fields.origin, None, self._rclass, faults, bounds=self._bounds, confined=True
        )
        trial._owner, trial._last_ttl = self._owner, self._last_ttl
        trial._default_ttl = self._default_ttl
        try:
            trial._read_entry(Entries(line), 0, faults.open_file("", line))
        except (_UnnamedError, TooManyFaults):
            return False
        return not faults.count

    # Records

    def _record(self, tokens: list[bytes], blank: bool, place: Place) -> None:
        fields = self._fields
        fields.tokens = tokens
        if blank:
            fields.position = 0
        else:
            token = tokens[0]
            fields.position = 1
            if token != self._owner_text or token[:1] == b'"':
                # A record that repeats a faulty owner must not be added to the name before it.
                self._owner = self._owner_text = None
                if fields.origin is None and not token.endswith(b"."):
                    raise _UnnamedError(place)
                self._owner = fields.to_name(token)
                self._owner_text = token
        rtype, ttl, reader = self._prologue(fields, place)
        owner = self._owner
        if owner is None:
            raise FieldError(0, "the line begins with white space, but no name precedes it")
        if self.builder is None:
            if rtype != iana.SOA:
                raise _UnnamedError(place)
            if fields.origin is None:
                fields.origin = owner
        position = fields.position
        if position < len(tokens) and tokens[position] == b"\\#":
            rdata = read_unknown(fields, rtype, self._rclass)
        else:
            rdata = reader(fields)
        if fields.position != len(tokens):
            raise FieldError(
                fields.position,
                f"the {iana.type_text(rtype)} record is complete, this is an extra field",
                "put a ; before it if it is a comment",
            )
        if len(rdata) > _MAX_RDATA:
            raise fields.wrong(f"RDATA of {len(rdata)} octets, expected at most {_MAX_RDATA}")
        if ttl is None:
            ttl = self._inherited_ttl(rtype, rdata, place)
        if self.builder is None:
            self.builder = self._begin(owner)
        self.builder.add(owner, rtype, ttl, rdata, place)

    def _prologue(self, fields: Fields, place: Place) -> tuple[int, int | None, RdataReader]:
        """Take TTL, class and type; the first two are optional, in either order."""
        tokens, index = fields.tokens, fields.position
        words = self._words
        ttl: int | None = None
        rclass: int | None = None
        while index < len(tokens):
            token = tokens[index]
            word = words.get(token)
            if word is None:
                fields.position = index + 1
                word = words[token] = self._word(fields, token, place)
            kind, value, reader = word
            index += 1
            if kind >= 0:
                fields.position = index
                return kind, ttl, reader
            if kind == _TTL and ttl is None:
                ttl = self._last_ttl = value
            elif kind == _CLASS and rclass is None:
                rclass = value
            else:
                what = "TTL" if kind == _TTL else "class"
                raise FieldError(index - 1, f"a second {what}, expected the type")
        raise FieldError(index, "the record ends before its type")

    def _word(self, fields: Fields, token: bytes, place: Place) -> _Word:
        """Classify a word before the RDATA: a TTL, a class or a type."""
        if token[:1].isdigit():
            period = read_period(token)
            if period is None or period > 0xFFFFFFFF:
                raise fields.wrong(
                    "bad TTL", "expected 0 to 2147483647 seconds, or units as in 1h30m"
                )
            return _TTL, self._capped(period, place), _NO_READER
        text = token.decode("ascii", "replace")
        try:
            rtype = iana.type_number(text)
        except UsageError as error:
            return _CLASS, self._class(fields, text, error), _NO_READER
        if iana.is_meta_type(rtype):
            raise fields.wrong(f"{text} is not a type that zones contain (RFC 6895 §3.1)")
        return rtype, 0, rdata_reader(rtype, self._rclass)

    def _class(self, fields: Fields, text: str, no_type: UsageError) -> int:
        try:
            rclass = iana.class_number(text)
        except UsageError:
            blank = "a line that begins with a space or tab belongs to the name above; "
            is_owner = fields.position == 1 and self._is_good(b" ".join(fields.tokens))
            remedy = f"{blank}remove it if {text!r} is a name" if is_owner else ""
            raise fields.wrong(f"{no_type}; TTL and class precede it", remedy) from None
        if rclass != self._rclass:
            raise fields.wrong(f"class {text}, but the zone has {iana.class_text(self._rclass)}")
        return rclass

    def _capped(self, ttl: int, place: Place) -> int:
        if ttl <= _MAX_TTL:
            return ttl
        self.faults.warning(
            place,
            f"TTL {ttl} is above {_MAX_TTL} and counts as 0 (RFC 2181 §8)",
            "one week is 604800",
            "ttl",
        )
        return 0

    def _inherited_ttl(self, rtype: int, rdata: bytes, place: Place) -> int:
        """Return the TTL of a record without one (RFC 1035 §5.1, RFC 2308 §4)."""
        if self._default_ttl is not None:
            return self._default_ttl
        if self._last_ttl is not None:
            if not self._is_ttl_told:
                self._is_ttl_told = True
                self.faults.warning(
                    place,
                    f"no TTL is given; {self._last_ttl}, that of a line before, is used here and "
                    "wherever else none is given (RFC 1035 §5.1)",
                    f"write TTLs out, or begin the file with $TTL {self._last_ttl}",
                    "ttl",
                )
            return self._last_ttl
        if rtype != iana.SOA:
            raise FieldError(0, "no TTL is known here", "begin the file with $TTL 3600")
        minimum = int.from_bytes(rdata[-4:], "big")
        self._last_ttl = min(minimum, _MAX_TTL)
        self._is_ttl_told = True
        self.faults.warning(
            place,
            f"no TTL is given; {minimum}, the last number of the SOA record, is used",
            f"begin the file with $TTL {minimum}",
            "ttl",
        )
        return self._last_ttl

    def _begin(self, owner: Name) -> ZoneBuilder:
        if self._fields.origin is None:
            self._fields.origin = owner
        return ZoneBuilder(owner, self._rclass, self.faults)

    # Directives

    def _directive(self, entry: Entry, place: Place) -> None:
        directive = entry.tokens[0].upper()
        fields = self._fields
        fields.tokens, fields.position = entry.tokens, 1
        match directive:
            case b"$ORIGIN":
                token = fields.take("a domain name")
                if fields.origin is None and not token.endswith(b"."):
                    raise _UnnamedError(place)
                self._set_origin(fields.to_name(token))
            case b"$TTL":
                self._default_ttl = self._ttl_argument(fields, place)
            case b"$INCLUDE":
                self._read_include(fields, place)
                return
            case b"$GENERATE":
                self._generate(entry.tokens, place)
                return
            case _:
                raise fields.wrong(
                    "unknown directive", "expected $ORIGIN, $TTL, $INCLUDE or $GENERATE"
                )
        if not fields.at_end():
            raise FieldError(fields.position, "the directive is complete, this is an extra field")

    def _set_origin(self, origin: Name | None) -> None:
        self._fields.origin = origin
        self._owner_text = None

    def _ttl_argument(self, fields: Fields, place: Place) -> int:
        token = fields.take("a TTL")
        if not token[:1].isdigit():
            raise fields.wrong("bad TTL", "expected seconds, or units as in 1h30m")
        return self._word(fields, token, place)[1]

    def _read_include(self, fields: Fields, place: Place) -> None:
        """Read another file in place of the directive (RFC 1035 §5.1).

        Afterwards, origin and current owner are the including file's again.
        """
        path = fields.text().decode("utf-8", "surrogateescape")
        origin = fields.origin
        included = origin if fields.at_end() else fields.to_name(fields.take("an origin"))
        if not fields.at_end():
            raise FieldError(fields.position, "the directive is complete, this is an extra field")
        fields.position = 2
        text = self._content(fields, path)
        owner = self._owner
        self._depth += 1
        self._includes += 1
        self._set_origin(included)
        self.read_file(text, path)
        self._depth -= 1
        self._set_origin(origin)
        self._owner = owner

    def _content(self, fields: Fields, path: str) -> bytes:
        if self._include is None:
            raise fields.wrong("$INCLUDE is not allowed here")
        is_outside = path.startswith("/") or ".." in path.split("/")
        if not path or "\0" in path or (is_outside and self._confined):
            raise fields.wrong(
                "$INCLUDE leads out of the zone's directory",
                "name a file in or below that directory, without a leading / or any ..; or allow "
                "its directory with --include-dir DIR (include_dirs= in a program)",
            )
        if self._depth == _MAX_INCLUDE_DEPTH or self._includes == _MAX_INCLUDES:
            raise fields.wrong("too many files include each other; does one include itself?")
        try:
            text = self._include(path)
        except (PierheadError, OSError) as error:
            raise fields.wrong(f"cannot include {path}: {error}") from None
        if foreign := foreign_kind(text):
            raise fields.wrong(f"cannot include {path}: it is {foreign[0]}", foreign[1])
        self._octets += len(text)
        if self._octets > self._bounds.zone_octets:
            raise fields.wrong(self._too_large())
        return text

    def _generate(self, tokens: list[bytes], place: Place) -> None:
        at_most = self._bounds.generated_records
        count, before = count_generated(tokens), self._generated
        self._generated += count
        if self._generated > at_most:
            others = f", with the {before} before it {self._generated}" if before else ""
            raise FieldError(
                1,
                f"$GENERATE produces {count} records{others}; at most {at_most} are allowed in "
                "a zone (generated_records)",
            )
        self._fields.offsets = None  # generated lines have no offsets
        for line in generate(tokens):
            self._octets += len(line)
            if self._octets > self._bounds.zone_octets:
                raise FieldError(0, self._too_large())
            try:
                entry = read_entry(line, 0)
                if entry.tokens:
                    self._record(entry.tokens, False, place)
            except (FieldError, EntryError) as error:
                # All lines come from one directive: the first fault is enough.
                shown = line.decode("utf-8", "replace")
                raise FieldError(
                    0, f"{error.message}, in the generated line: {shown}", error.remedy
                ) from None
