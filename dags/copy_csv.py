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
from typing import IO, Any, cast

import psycopg
from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.sdk import BaseOperator, ObjectStoragePath
from in_run import CONN_ID, in_plain_words
from psycopg import sql

CHUNK_BYTES = 1 << 20
# PostgreSQL's own limit is 1,600, less for wide rows.
MOST_COLUMNS = 1000
# PostgreSQL's names for encodings whose name Python spells otherwise.
PYTHON_ENCODINGS = {"UTF8": "utf-8-sig", "WIN1252": "cp1252"}


class BadFileError(Exception):
    """A file that cannot be loaded; the message names the file and says what is wrong."""


class MeasuredBytes(io.RawIOBase):
    """A readable stream that counts and hashes what passes through it."""

    def __init__(self, stream: IO[bytes]) -> None:
        """Read from a binary stream, which stays open."""
        self.stream = stream
        self.digest = hashlib.sha256()
        self.count = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer from the stream; return the number of bytes, 0 at its end."""
        data = self.stream.read(len(buffer))
        buffer[: len(data)] = data
        self.digest.update(data)
        self.count += len(data)
        return len(data)


@contextmanager
def opened(path: ObjectStoragePath) -> Iterator[tuple[MeasuredBytes, IO[bytes]]]:
    """Open a file; give the measure of its bytes as stored, and the stream of its text, unzipped if need be.

    Raises BadFileError for a gzip file that is damaged or cut short.
    """
    with path.open("rb") as stored:  # type: ignore[no-untyped-call]
        measured = MeasuredBytes(stored)
        buffered = io.BufferedReader(measured, CHUNK_BYTES)
        try:
            yield measured, cast("IO[bytes]", gzip.GzipFile(fileobj=buffered)) if path.suffix == ".gz" else buffered
        except (gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise BadFileError(f"{path.name} is no whole gzip file: {error}") from None


def line_of_open_quote(path: ObjectStoragePath) -> int:
    """Return the line of the quote that is opened and never closed, 0 if there is none."""
    line, quote_line = 1, 0
    with opened(path) as (_, stream):
        while piece := stream.readline(CHUNK_BYTES):
            if piece.count(b'"') % 2:
                quote_line = 0 if quote_line else line
            line += piece.endswith(b"\n")
    return quote_line


def find_files(folder: str, source: str) -> list[ObjectStoragePath]:
    """Return the source's file, plain or gzipped, or its parts in order of name.

    Raises BadFileError when there is none, or when one is there both plain and gzipped.
    """
    place = ObjectStoragePath(folder)
    if not place.is_dir():
        raise BadFileError(f"{folder} is no folder: look at DATA, or at the Airflow Variable ltv_source")
    pattern = re.compile(re.escape(source) + r"([-_.][\w-]+)?\.csv(\.gz)?")
    found = sorted((path for path in place.iterdir() if pattern.fullmatch(path.name)), key=lambda path: path.name)
    if not found:
        raise BadFileError(f"{source}.csv is missing in {folder}")
    if odd := [path.name for path in found if not path.is_file()]:
        raise BadFileError(f"{odd[0]} in {folder} is no regular file")
    names = [path.name for path in found]
    if twice := [name for name in names if f"{name}.gz" in names]:
        raise BadFileError(f"{twice[0]} is there twice in {folder}: plain and as {twice[0]}.gz")
    return found


def read_header(stream: IO[bytes], file: str, encoding: str, delimiter: str) -> list[str]:
    """Take the header record off the stream; return its column names in lower case, without outer blanks.

    Raises BadFileError when there is none, or when it is no text in the declared encoding.
    """
    record = stream.readline(CHUNK_BYTES)
    while record.count(b'"') % 2 and len(record) < CHUNK_BYTES and (more := stream.readline(CHUNK_BYTES)):
        record += more
    if not record:
        raise BadFileError(f"{file} is empty")
    if len(record) >= CHUNK_BYTES and not record.endswith(b"\n"):
        raise BadFileError(f"{file}: the header is longer than {CHUNK_BYTES} bytes")
    try:
        text = record.decode(PYTHON_ENCODINGS.get(encoding, encoding))
    except UnicodeDecodeError:
        raise BadFileError(f"{file}: the header is no {encoding} text") from None
    try:
        records = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise BadFileError(f"{file}: the header cannot be read: {error}") from None
    if len(records) > 1:
        raise BadFileError(f"{file}: the header ends in a lone CR; lines end in LF or CRLF")
    return [field.strip().lower() for record in records for field in record]


def check_header(found: list[str], expected: list[str], file: str) -> None:
    """Raise BadFileError unless the header names every expected column, and each column once."""
    if not set(expected) & set(found):
        # What stands there instead may be a customer: it is not repeated.
        raise BadFileError(
            f"{file}: expected the columns {', '.join(expected)}; "
            "found none of them: is the header missing, or is there another delimiter?"
        )
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
    if "line_no" in found:
        raise BadFileError(f"{named}: line_no is the number that raw gives to each line")


class CopyCsvOperator(BaseOperator):
    """Load one source's CSV files into its table of raw: the table's DDL and every COPY in one transaction.

    :param source: the file name without its ending, and the table's name; declared in audit.sources.
    :param folder: a local folder or the URL of an object store's; `{as_of}` stands for the run's day.

    What the file must look like comes from audit.sources. Memory is constant. A file that is missing, empty
    or broken raises, and nothing is changed.
    """

    template_fields = ("folder",)

    def __init__(self, *, source: str, folder: str, **kwargs: Any) -> None:
        """Take the source's name and its folder."""
        super().__init__(do_xcom_push=False, **kwargs)
        self.source = source
        self.folder = folder

    def execute(self, context: Any) -> None:
        """Load the files; raise BadFileError for what is wrong with them, psycopg.Error for the database."""
        try:
            with PostgresHook(CONN_ID, enable_log_db_messages=True).get_conn() as connection:
                self.load(connection, context["run_id"])
        except psycopg.Error as error:
            raise in_plain_words(error, None, self.task_id) from None

    def load(self, connection: Any, dag_run_id: str) -> None:
        """Fill raw's table from the files, in the connection's open transaction."""
        connection.execute("SELECT audit.enter_run(%s)", [dag_run_id])
        connection.execute("SET LOCAL statement_timeout = '6h'")
        as_of, columns, encoding, delimiter = connection.execute(
            "SELECT as_of, columns, encoding, delimiter FROM audit.open_load(%s)", [self.source]
        ).fetchone()
        table = sql.Identifier("raw", self.source)
        line_no = sql.SQL("line_no bigint GENERATED ALWAYS AS IDENTITY (START WITH 2 CACHE 1000)")
        declared = [sql.SQL("{} text").format(sql.Identifier(column)) for column in columns]
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
        connection.execute(
            sql.SQL("CREATE UNLOGGED TABLE {} ({})").format(table, sql.SQL(", ").join([line_no, *declared]))
        )
        first_line_no = 2
        for path in find_files(self.folder.replace("{as_of}", as_of.isoformat()), self.source):
            started = time.monotonic()
            with opened(path) as (measured, stream):
                found = read_header(stream, path.name, encoding, delimiter)
                check_header(found, columns, path.name)
                extra = [column for column in found if column not in columns]
                for column in extra:
                    connection.execute(
                        sql.SQL("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {} text").format(table, sql.Identifier(column))
                    )
                records = self.copy(connection, table, found, stream, path, encoding, delimiter)
            if not records:
                raise BadFileError(f"{path.name} has a header and no records")
            if extra:
                self.log.warning("%s: columns that nobody declared go no further: %s", path.name, ", ".join(extra))
            seconds = time.monotonic() - started
            self.log.info("%s: %s records in %.1f s", path.name, records, seconds)
            digest = measured.digest.hexdigest()
            connection.execute(
                "SELECT audit.log_load(%s, %s, %s, %s, %s, %s, %s, %s)",
                [self.source, path.name, measured.count, digest, first_line_no, records, extra, seconds],
            )
            first_line_no += records
        connection.execute("SELECT audit.leave_run(%s, %s)", [self.task_id, first_line_no - 2])

    def copy(
        self,
        connection: Any,
        table: sql.Identifier,
        columns: list[str],
        stream: IO[bytes],
        path: ObjectStoragePath,
        encoding: str,
        delimiter: str,
    ) -> int:
        """COPY the rest of the stream into the table; return the number of records.

        Raises BadFileError with the line for a broken record. What the file says of itself goes no further
        than quoted identifiers and COPY's data.
        """
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, ENCODING {}, DELIMITER {})").format(
            table,
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.Literal(encoding),
            sql.Literal(delimiter),
        )
        with connection.cursor() as cursor:
            try:
                with cursor.copy(statement) as copy:
                    while chunk := stream.read(CHUNK_BYTES):
                        copy.write(chunk)
            except psycopg.DataError as error:
                # The context quotes the row; only the number of its line may leave it.
                at = re.search(r"line (\d+)", error.diag.context or "")
                line = int(at[1]) + 1 if at else 0
                if error.diag.message_primary == "unterminated CSV quoted field":
                    line = line_of_open_quote(path) or line
                raise BadFileError(f"{path.name} line {line}: {error.diag.message_primary}") from None
            return int(cursor.rowcount)
