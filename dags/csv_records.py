"""Split a CSV file that COPY refuses into the records that COPY takes and the lines that it does not.

What a record is follows COPY, with one exception: COPY takes a quote anywhere in a field for the start of quoted text
that may span lines; here a record spans lines only if its quotes stand where CSV has them, around whole fields.
Otherwise its first line is broken, and the next record starts with the next line: a stray quote costs one line, not
all lines up to the next quote.
"""

import hashlib
import re
from collections import deque
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

# A quote that is not closed within this many bytes is a stray one; a line that has as many is broken, and only its
# beginning is kept.
MOST_BYTES, KEPT_BYTES = 1 << 24, 1 << 20
# As many are read at once.
PIECE_BYTES = 1 << 16
# PostgreSQL's names for encodings whose name Python spells otherwise.
PYTHON_ENCODINGS = {"UTF8": "utf-8", "KOI8R": "koi8-r", "KOI8U": "koi8-u"}


def python_encoding(encoding: str) -> str:
    """Return Python's name for an encoding of PostgreSQL's."""
    return PYTHON_ENCODINGS.get(encoding) or encoding.replace("WIN", "cp")


class Record(NamedTuple):
    """A record as COPY takes it, or a line that COPY refuses, with the flaw.

    line_no counts from 1 at the file's first line; data has no line end.
    """

    line_no: int
    data: bytes
    flaw: str | None = None

    def as_text(self, encoding: str) -> str:
        r"""Return the line as received; where bytes are no text they are written \xNN, and a backslash twice."""
        try:
            text = self.data.decode(python_encoding(encoding))
        except UnicodeDecodeError:
            text = self.data.replace(b"\\", b"\\\\").decode(python_encoding(encoding), "backslashreplace")
        else:
            text = text.replace("\\", "\\\\") if "\0" in text else text
        return text.replace("\0", "\\x00")


def without_end(line: bytes) -> bytes:
    """Return the line without its CRLF, LF or CR."""
    return line[:-2] if line.endswith(b"\r\n") else line[:-1] if line.endswith((b"\n", b"\r")) else line


def too_long(size: int, sha256: str) -> str:
    """Return the flaw of what has MOST_BYTES or more; whoever has the file can find it there by its sha256."""
    return f"line too_long: {size} bytes, of which the first {KEPT_BYTES} are kept; the sha256 of all is {sha256}"


class CutLine(bytes):
    """The beginning of a line that is too long to be held, without an end; flaw says how long it was."""

    flaw: str


def lines(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the stream's lines with their ends (LF, CRLF or CR), those of MOST_BYTES or more as CutLine."""
    parts: list[bytes] = []
    size, digest = 0, None
    for part in pieces(stream):
        is_end = part.endswith((b"\n", b"\r"))
        if is_end and not size and len(part) < MOST_BYTES:
            yield part
            continue
        body = without_end(part)
        size += len(body)
        if digest:
            digest.update(body)
        else:
            parts.append(part)
            if size >= MOST_BYTES:
                begun = without_end(b"".join(parts))
                digest = hashlib.sha256(begun)
                parts = [begun[:KEPT_BYTES]]
        if is_end:
            yield joined(parts, size, digest)
            parts, size, digest = [], 0, None
    if parts:
        yield joined(parts, size, digest)


def joined(parts: list[bytes], size: int, digest: Any) -> bytes:
    """Return a line of its parts; as CutLine if they are but its beginning, and the digest that of all of it."""
    if not digest:
        return b"".join(parts)
    cut = CutLine(parts[0])
    cut.flaw = too_long(size, digest.hexdigest())
    return cut


def pieces(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the stream in pieces that have at most one line end each, at their end, and no part of a CRLF."""
    held = b""
    while piece := held + stream.read(PIECE_BYTES):
        # The LF of a CRLF may be the first byte of the next piece.
        is_last = piece == held
        held = b"\r" if piece.endswith(b"\r") and not is_last else b""
        yield from (piece[:-1] if held else piece).splitlines(keepends=True)


class Splitter:
    """Split the rest of a stream, behind its header, into records and broken lines, in constant memory."""

    def __init__(self, stream: IO[bytes], first_line_no: int, fields: int, encoding: str, delimiter: str) -> None:
        """Read from a binary stream whose next line has the number first_line_no; a record has so many fields."""
        self.lines = lines(stream)
        self.line_no = first_line_no - 1
        self.fields = fields
        self.codec = python_encoding(encoding)
        self.encoding = encoding
        self.delimiter = delimiter.encode(self.codec)
        field = rb'(?:"(?>[^"]|"")*"|[^"%b]*+)' % re.escape(self.delimiter)
        self.whole_fields = re.compile(rb"%b(?:%b%b)*+" % (field, re.escape(self.delimiter), field))
        self.again: deque[bytes] = deque()

    def __iter__(self) -> Iterator[Record]:
        """Yield every record and every broken line, in order; only of an overlong one is any byte in none of them."""
        while line := self.next_line():
            line_no = self.line_no
            if isinstance(line, CutLine):
                yield Record(line_no, line, line.flaw)
            elif line.count(b'"') % 2:
                yield self.quoted(line, line_no)
            else:
                yield self.judged(without_end(line), line_no)

    def next_line(self) -> bytes | None:
        """Return the next line, None at the end."""
        line = self.again.popleft() if self.again else next(self.lines, None)
        self.line_no += line is not None
        return line

    def quoted(self, first: bytes, line_no: int) -> Record:
        """Return the record that begins with a line whose last quote is not closed on it, or that line as broken."""
        more: list[bytes] = []
        size, is_open = len(first), True
        while is_open and size < MOST_BYTES and (line := self.next_line()):
            more.append(line)
            if isinstance(line, CutLine):
                break
            size += len(line)
            is_open = line.count(b'"') % 2 == 0
        data = without_end(b"".join([first, *more]))
        record = self.judged(data, line_no)
        if is_open or (record.flaw and "_fields" in record.flaw) or not self.whole_fields.fullmatch(data):
            self.again.extendleft(reversed(more))
            self.line_no = line_no
            return Record(line_no, without_end(first), "line open_quote: a quote is opened and not closed")
        return record

    def judged(self, data: bytes, line_no: int) -> Record:
        """Return the record, or the line as broken."""
        if not data:
            return Record(line_no, data, "line blank: nothing stands in it")
        if len(data) >= MOST_BYTES:
            return Record(line_no, data[:KEPT_BYTES], too_long(len(data), hashlib.sha256(data).hexdigest()))
        if b"\0" in data:
            return Record(line_no, data, "line not_text: a NUL byte")
        if not data.isascii():
            try:
                data.decode(self.codec)
            except UnicodeDecodeError:
                return Record(line_no, data, f"line not_text: bytes that are no {self.encoding}")
        unquoted = b"".join(data.split(b'"')[::2]) if b'"' in data else data
        fields = unquoted.count(self.delimiter) + 1
        if fields == self.fields + 1 and data.endswith(self.delimiter) and unquoted.endswith(self.delimiter):
            return Record(line_no, data[: -len(self.delimiter)])
        if fields < self.fields:
            return Record(line_no, data, f"line too_few_fields: {fields}, not {self.fields}")
        if fields > self.fields:
            return Record(line_no, data, f"line too_many_fields: {fields}, not {self.fields}")
        return Record(line_no, data)
