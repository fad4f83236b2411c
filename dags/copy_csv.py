"""Stream CSV files into a table of raw with COPY: the one operator of this project that is its own."""

import csv
import gzip
import hashlib
import io
import re
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any, cast

import psycopg
from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.sdk import BaseOperator, ObjectStoragePath
from airflow.sdk.exceptions import AirflowRescheduleException
from csv_records import MOST_BYTES, Splitter, python_encoding
from in_run import CONN_ID, attempt_of, in_plain_words
from psycopg import sql
from sql_files import SQL, fingerprint
from stores import BadFileError, files_in, folder_at, is_file, plain_errors, state_of, stored_bytes

CHUNK_BYTES = 1 << 20
# PostgreSQL's own limit is 1,600, less for wide rows.
MOST_COLUMNS = 1000
# The number of each line, and PostgreSQL's own columns.
KEPT_NAMES = {"line_no", "tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"}
# Broken lines, and their bytes, that are held in memory before they are written.
MANY_BROKEN, MANY_BROKEN_BYTES = 500, 1 << 22
# A line that COPY does not take; the limit is that of a row's size.
REFUSED = (psycopg.DataError, psycopg.errors.ProgramLimitExceeded)
# Encodings, by the server's names, whose characters Python and the server do not tell apart alike.
WHOLE_OR_NOT = {"SJIS", "SHIFT_JIS_2004", "BIG5", "GBK", "UHC", "JOHAB", "GB18030", "EUC_JP", "EUC_KR"}


class MissingFileError(BadFileError):
    """A file that is not there, or not yet."""


class FileChangedError(OSError):
    """A file that was not the same at the end of its COPY as at the start: the next try finds it whole."""


class MeasuredBytes(io.RawIOBase):
    """A readable stream that counts and hashes what passes through it."""

    def __init__(self, path: ObjectStoragePath, stream: IO[bytes]) -> None:
        """Read from a file's binary stream, which stays open."""
        self.path = path
        self.stream = stream
        self.digest = hashlib.sha256()
        self.count = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer from the stream; return the number of bytes, 0 at its end."""
        with plain_errors(self.path):
            data = self.stream.read(len(buffer))
        buffer[: len(data)] = data
        self.digest.update(data)
        self.count += len(data)
        return len(data)


@contextmanager
def opened(path: ObjectStoragePath) -> Iterator[tuple[MeasuredBytes, IO[bytes]]]:
    """Open a file; give the measure of its bytes as stored, and the stream of its text, unzipped if need be.

    Raises BadFileError for a gzip file that is damaged or cut short, FileChangedError when it is its reading that was.
    """
    with stored_bytes(path) as stored:
        measured = MeasuredBytes(path, stored)
        buffered = io.BufferedReader(measured, CHUNK_BYTES)
        try:
            yield measured, cast("IO[bytes]", gzip.GzipFile(fileobj=buffered)) if path.suffix == ".gz" else buffered
        except (gzip.BadGzipFile, zlib.error, EOFError) as error:
            if isinstance(error, EOFError) and not is_whole(path, measured):
                raise FileChangedError(f"{path.name} changed while it was read") from None
            raise BadFileError(f"{path.name} is no whole gzip file: {error}") from None


def is_whole(path: ObjectStoragePath, measured: MeasuredBytes) -> bool:
    """Whether as many bytes were read as the store says the file has, where it says so.

    A store that closes a connection half way ends the stream without an error.
    """
    return state_of(path).get("size") in (None, measured.count)


def in_order(path: ObjectStoragePath) -> list[str | int]:
    """Return what sorts part 2 before part 10."""
    return [int(piece) if piece.isdecimal() else piece for piece in re.split(r"(\d+)", path.name)]


def sha256_of(path: ObjectStoragePath) -> str:
    """Return a file's sha256; raises FileChangedError when it is not the same at the end as at the start."""
    state = state_of(path)
    with stored_bytes(path) as stored:
        measured = MeasuredBytes(path, stored)
        while measured.read(CHUNK_BYTES):
            pass
    if state_of(path) != state or not is_whole(path, measured):
        raise FileChangedError(f"{path.name} changed while it was read")
    return measured.digest.hexdigest()


def find_files(folder: str, source: str) -> list[ObjectStoragePath]:
    """Return the source's file, plain or gzipped, or its parts in order of name.

    Raises MissingFileError when there is none, BadFileError when one is there twice (plain and gzipped, whole and in
    parts), or when a name may or may not be meant, as that of an old copy.
    """
    try:
        present = files_in(folder_at(folder))
    except (FileNotFoundError, NotADirectoryError):
        raise MissingFileError(f"{folder} is no folder: look at DATA, or at the Airflow Variable ltv_source") from None
    likely = re.compile(re.escape(source) + r"(?!\.csv\..+\.csv).*\.csv(\.gz|\.zip)?", re.DOTALL | re.IGNORECASE)
    numbered = re.compile(re.escape(source) + r"[-_.](part[-_.]?)?\d+([-_.]\d+)*\.csv(\.gz)?", re.ASCII)
    found = sorted((path for path in present if likely.fullmatch(path.name)), key=in_order)
    if not found:
        raise MissingFileError(f"{source}.csv is missing in {folder}")
    names = [path.name for path in found]
    parts = [name for name in names if name not in (f"{source}.csv", f"{source}.csv.gz")]
    if odd := [name for name in parts if not numbered.fullmatch(name)]:
        raise BadFileError(
            f"{odd[0]!a} in {folder} is neither {source}.csv nor a numbered part of it ({source}_1.csv): take it away"
        )
    if odd := [path.name for path in found if not is_file(path)]:
        raise BadFileError(f"{odd[0]} in {folder} is no regular file")
    if twice := [name for name in names if f"{name}.gz" in names]:
        raise BadFileError(f"{twice[0]} is there twice in {folder}: plain and as {twice[0]}.gz")
    if parts and len(parts) < len(names):
        raise BadFileError(f"{source}.csv is there twice in {folder}: whole, and in parts like {parts[0]}")
    return found


def read_header(stream: IO[bytes], file: str, encoding: str, delimiter: str) -> list[str]:
    """Take the header record off the stream; return its column names in lower case, without outer blanks.

    Raises BadFileError when there is none, or when it is no text in the declared encoding.
    """
    record = stream.readline(CHUNK_BYTES)
    if not record:
        raise BadFileError(f"{file} is empty")
    if len(record) >= CHUNK_BYTES and not record.endswith(b"\n"):
        raise BadFileError(f"{file}: the header is longer than {CHUNK_BYTES} bytes")
    try:
        text = record.decode(python_encoding(encoding)).removeprefix("\ufeff")
    except LookupError:
        raise BadFileError(f"{file}: its encoding {encoding} is not known here") from None
    except UnicodeDecodeError:
        raise BadFileError(f"{file}: the header is no {encoding} text") from None
    # A sentence that repeats a NUL could not be written to audit.runs.
    if "\0" in text:
        raise BadFileError(f"{file}: the header is no {encoding} text: a NUL byte")
    try:
        records = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise BadFileError(f"{file}: the header cannot be read: {error}") from None
    # What stands behind an open quote are customers: it is not repeated.
    if text.count('"') % 2 or any("\n" in name for record in records for name in record):
        raise BadFileError(f"{file}: a quote in the header is not closed")
    if len(records) > 1:
        raise BadFileError(f"{file}: the header ends in a lone CR; lines end in LF or CRLF")
    names = [field.strip().lower() for record in records for field in record]
    # A delimiter at the end of every line makes a last field that has no name.
    return names[:-1] if len(names) > 1 and not names[-1] else names


def check_header(found: list[str], expected: list[str], file: str) -> None:
    """Raise BadFileError unless the header names every expected column, and each column once.

    Where a line break is missing a customer stands in the header: what looks like a value is not repeated.
    """
    if not set(expected) & set(found):
        # What stands there instead may be a customer: it is not repeated.
        raise BadFileError(
            f"{file}: expected the columns {', '.join(expected)}; "
            "found none of them: is the header missing, or is there another delimiter?"
        )
    if any("@" in column or re.fullmatch(r"[\W\d_]*\d[\W\d_]*", column) for column in found):
        raise BadFileError(f"{file}: the header holds values and not only names: is a line break missing?")
    named = f"{file}: expected the columns {', '.join(expected)}; found {', '.join(found)[:1000]}"
    if len(found) > MOST_COLUMNS:
        raise BadFileError(f"{file}: {len(found)} columns are more than the {MOST_COLUMNS} that are taken")
    missing = [column for column in expected if column not in found]
    if missing:
        raise BadFileError(f"{named}: {', '.join(missing)} missing")
    repeated = sorted(column for column, times in Counter(found).items() if times > 1)
    if repeated:
        raise BadFileError(f"{named}: {', '.join(repeated)} named more than once")
    if any(not 0 < len(column.encode()) <= 63 or not column.isprintable() for column in found):
        raise BadFileError(f"{named}: a column's name must have 1 to 63 bytes, all of them printable")
    if kept := [column for column in found if column in KEPT_NAMES]:
        raise BadFileError(f"{named}: {kept[0]} is a name that raw keeps for itself")


@dataclass
class Delivery:
    """A source's table in raw, being filled: the connection's open transaction and what audit.sources declares."""

    connection: Any
    source: str
    columns: list[str]
    encoding: str
    delimiter: str
    log: Any
    known: set[str] = field(default_factory=set)

    @property
    def table(self) -> sql.Identifier:
        """The table, quoted."""
        return sql.Identifier("raw", self.source)

    def make_table(self) -> None:
        """Make the table anew, all text; the first record of a file stands in its second line."""
        line_no = sql.SQL("line_no bigint GENERATED ALWAYS AS IDENTITY (START WITH 2 CACHE 1000)")
        declared = [sql.SQL("{} text").format(sql.Identifier(column)) for column in self.columns]
        self.connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(self.table))
        self.connection.execute(
            sql.SQL("CREATE UNLOGGED TABLE {} ({})").format(self.table, sql.SQL(", ").join([line_no, *declared]))
        )

    def add(self, path: ObjectStoragePath, first_line_no: int) -> tuple[int, int]:
        """Copy a file, its first record being line first_line_no of the table.

        Returns how many of its records were loaded, and how many lines it has behind its header.
        """
        started, state = time.monotonic(), state_of(path)
        with opened(path) as (measured, stream):
            header = self.read_header(stream, path.name)
            extra = [column for column in header if column not in self.columns]
            self.known.update(header)
            if len(self.known) > MOST_COLUMNS:
                raise BadFileError(f"{path.name}: all parts have more than the {MOST_COLUMNS} columns that are taken")
            for column in extra:
                self.connection.execute(
                    sql.SQL("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {} text").format(
                        self.table, sql.Identifier(column)
                    )
                )
            loaded = self.copy(stream, header, path.name, first_line_no)
            records = lines = loaded or 0
        if loaded is None:
            with opened(path) as (measured, stream):
                self.read_header(stream, path.name)
                try:
                    loaded, records, lines = self.copy_apart(stream, header, path.name, first_line_no)
                except REFUSED as error:
                    raise BadFileError(f"{path.name}: {error.diag.message_primary}") from None
        if state_of(path) != state or not is_whole(path, measured):
            raise FileChangedError(f"{path.name} changed while it was read")
        if not records:
            raise BadFileError(f"{path.name} has a header and no records")
        if extra:
            self.log.warning("%s: columns that nobody declared go no further: %s", path.name, ", ".join(extra))
        if loaded < records:
            self.log.warning("%s: broken lines set aside: %s", path.name, records - loaded)
        seconds = time.monotonic() - started
        self.log.info("%s: %s records in %.1f s", path.name, records, seconds)
        digest = measured.digest.hexdigest()
        self.connection.execute(
            "SELECT audit.log_load(%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [self.source, path.name, measured.count, digest, first_line_no, records, extra, seconds, loaded],
        )
        return loaded, lines

    def read_header(self, stream: IO[bytes], file: str) -> list[str]:
        """Take the header off the stream; return its column names. Raises BadFileError unless all are there, once."""
        header = read_header(stream, file, self.encoding, self.delimiter)
        check_header(header, self.columns, file)
        return header

    def statement(self, columns: list[str]) -> sql.Composed:
        """Return the COPY into these columns. What a file says of itself gets no further than a quoted identifier."""
        return sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, ENCODING {}, DELIMITER {})").format(
            self.table,
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.Literal(self.encoding),
            sql.Literal(self.delimiter),
        )

    def copy(self, stream: IO[bytes], header: list[str], file: str, first_line_no: int) -> int | None:
        """COPY the rest of the stream as it is; return the number of records, None if one of them must be set aside.

        Raises BadFileError where it could not be told from the others.
        """
        self.connection.execute(
            sql.SQL("ALTER TABLE {} ALTER line_no RESTART WITH {}").format(self.table, sql.Literal(first_line_no))
        )
        try:
            with self.connection.transaction(), self.connection.cursor() as cursor:
                with cursor.copy(self.statement(header)) as copy:
                    while chunk := stream.read(CHUNK_BYTES):
                        copy.write(chunk)
                if self.has_overlong_field(header):
                    raise psycopg.errors.ProgramLimitExceeded(f"a field has {MOST_BYTES} bytes or more")
                return int(cursor.rowcount)
        except REFUSED as error:
            # Its context quotes the row; only the message may leave it.
            said = error.diag.message_primary or error
        known_as = self.connection.execute("SELECT pg_encoding_to_char(pg_char_to_encoding(%s))", [self.encoding])
        if known_as.fetchone()[0] in WHOLE_OR_NOT:
            raise BadFileError(
                f"{file}: {said}. In {self.encoding} its broken lines cannot be told from the good ones, "
                "so none is taken: have it delivered in UTF-8"
            )
        self.log.warning("%s; the file is read again, line by line", said)
        return None

    def has_overlong_field(self, header: list[str]) -> bool:
        """Whether a field of the table is longer than what the SQL behind it can work with: jsonb has a limit too."""
        table = self.table.as_string()
        # Without a look at any row: a long field stands outside of it.
        (elsewhere,) = self.connection.execute(
            "SELECT pg_relation_size(reltoastrelid) FROM pg_catalog.pg_class WHERE oid = %s::regclass", [table]
        ).fetchone()
        is_long = sql.SQL(" OR ").join(
            sql.SQL("octet_length({}) >= {}").format(sql.Identifier(column), MOST_BYTES) for column in header
        )
        found = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {})").format(self.table, is_long)
        return bool(elsewhere and self.connection.execute(found).fetchone()[0])

    def copy_apart(self, stream: IO[bytes], header: list[str], file: str, first_line_no: int) -> tuple[int, int, int]:
        """COPY the records of the stream that COPY takes, and set the broken lines aside.

        Returns how many records were loaded, how many there are, and how many lines they take up.
        """
        splitter = Splitter(stream, 2, len(header), self.encoding, self.delimiter)
        delimiter = self.delimiter.encode(python_encoding(self.encoding))
        statement = self.statement(["line_no", *header])
        split, loaded, set_aside, is_done = iter(splitter), 0, 0, False
        while not is_done:
            good, broken, held = bytearray(), [], 0
            with self.connection.cursor() as cursor:
                with cursor.copy(statement) as copy:
                    is_done = True
                    for record in split:
                        if record.flaw is None:
                            good += b"%d%b%b\n" % (first_line_no - 2 + record.line_no, delimiter, record.data)
                            if len(good) >= CHUNK_BYTES:
                                copy.write(good)
                                good = bytearray()
                        else:
                            broken.append(record)
                            held += len(record.data)
                            if len(broken) >= MANY_BROKEN or held >= MANY_BROKEN_BYTES:
                                is_done = False
                                break
                    copy.write(good)
                loaded += int(cursor.rowcount)
            set_aside += len(broken)
            self.connection.execute(
                "SELECT audit.set_aside_broken(%s, %s, %s, %s, %s, %s)",
                [
                    self.source,
                    file,
                    header,
                    [record.line_no for record in broken],
                    [record.as_text(self.encoding) for record in broken],
                    [record.flaw for record in broken],
                ],
            )
        return loaded, loaded + set_aside, splitter.line_no - 1


class CopyCsvOperator(BaseOperator):
    """Load one source's CSV files into its table of raw: the table's DDL and every COPY in one transaction.

    :param source: the file name without its ending, and the table's name; declared in audit.sources.
    :param folder: a local folder or the URL of an object store's; `{as_of}` stands for the run's day.

    What the file must look like comes from audit.sources. Memory is constant. A file that is missing, empty
    or without its header raises, and nothing is changed; a run of the schedule waits for a missing one until the hour
    that audit.sources gives it, and holds neither a worker nor a lock meanwhile. A file in which COPY refuses a line is
    read a second time, record by record: its broken lines go to audit.rejected_rows, the others to raw.
    """

    template_fields = ("folder",)

    def __init__(self, *, source: str, folder: str, **kwargs: Any) -> None:
        """Take the source's name and its folder."""
        super().__init__(do_xcom_push=False, **kwargs)
        self.source = source
        self.folder = folder

    def execute(self, context: Any) -> None:
        """Load the files; raise BadFileError for what is wrong with them, psycopg.Error for the database.

        Raises AirflowRescheduleException, which no retry and no failure follows, while a missing file is waited for.
        """
        try:
            with PostgresHook(CONN_ID, enable_log_db_messages=True).get_conn() as connection:
                self.load(connection, context["run_id"], attempt_of(context))
        except psycopg.Error as error:
            raise in_plain_words(error, None, self.task_id) from None

    def load(self, connection: Any, dag_run_id: str, attempt: int | None = None) -> None:
        """Fill raw's table from the files, in the connection's open transaction."""
        # A statement that psycopg prepares stays in a pooler's connection, under a name that the next task would take.
        connection.prepare_threshold = None
        entering = [dag_run_id, attempt, self.task_id, fingerprint([SQL])]
        connection.execute("SELECT audit.enter_run(%s, false, %s, %s, %s)", entering)
        connection.execute("SET LOCAL statement_timeout = '6h'")
        as_of, columns, encoding, delimiter = connection.execute(
            "SELECT as_of, columns, encoding, delimiter FROM audit.open_load(%s)", [self.source]
        ).fetchone()
        folder = self.folder.replace("{as_of}", as_of.isoformat())
        try:
            paths = find_files(folder, self.source)
        except MissingFileError as missing:
            self.wait_for(missing, connection)
            raise
        delivery = Delivery(connection, self.source, columns, encoding, delimiter, self.log)
        delivery.make_table()
        total, next_line_no = 0, 2
        if (run_no := self.same_as(connection, folder)) is not None:
            self.log.info("%s is what run_no %s has loaded: not loaded again", self.source, run_no)
            connection.execute("SELECT audit.log_same_load(%s, %s)", [self.source, run_no])
            paths = []
        for path in paths:
            loaded, lines = delivery.add(path, next_line_no)
            total, next_line_no = total + loaded, next_line_no + lines
        connection.execute("SELECT audit.leave_run(%s, %s)", [self.task_id, total])

    def wait_for(self, missing: MissingFileError, connection: Any) -> None:
        """Raise AirflowRescheduleException if the file may still come, MissingFileError with the hour if it has passed.

        Returns where the run does not wait (audit.wait_for).
        """
        asked = connection.execute("SELECT until, next_look FROM audit.wait_for(%s)", [self.source])
        for until, next_look in asked.fetchall():
            if next_look is None:
                raise MissingFileError(f"{missing}; {self.source}.csv was waited for until {until}") from None
            self.log.info("%s; %s.csv is waited for until %s", missing, self.source, until)
            reschedule: Any = AirflowRescheduleException
            raise reschedule(next_look)

    def same_as(self, connection: Any, folder: str) -> int | None:
        """Return the run_no whose delivery the folder's files are, of every source, where none need be loaded again."""
        sources = connection.execute("SELECT source FROM audit.sources").fetchall()
        try:
            paths = [path for (source,) in sources for path in find_files(folder, source)]
        except BadFileError:
            # Another source's: its own task says so.
            return None
        paths.sort(key=lambda path: path.name.encode())
        asking = "SELECT audit.same_delivery(%s, %s::bigint[], %s::text[])"
        files = [[path.name for path in paths], [state_of(path).get("size") for path in paths]]
        run_no: int | None
        (run_no,) = connection.execute(asking, [*files, None]).fetchone()
        if run_no is not None:
            (run_no,) = connection.execute(asking, [*files, [sha256_of(path) for path in paths]]).fetchone()
        return run_no
