"""The splitter behind the slow path: it loses no byte, and takes what COPY takes."""

import hashlib
import io
import re
from unittest.mock import patch

import csv_records
import psycopg
import pytest
from csv_records import PIECE_BYTES, Splitter
from hypothesis import example, given, settings
from hypothesis import strategies as st

# Every byte that means something to COPY, some that are no text, and some that mean nothing.
PIECES = [
    b",",
    b'"',
    b'""',
    b"\n",
    b"\r\n",
    b"\r",
    b"a",
    b"b c",
    b"\\.",
    b"\\",
    b"\0",
    b"\xff",
    b"\xc3\xa9",
    b"1,x,y\n",
]
FILES = st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join)
# Lines that end in LF, CRLF or CR, most of them records, some with a quoted field of several lines.
LINES = st.lists(
    st.tuples(
        st.sampled_from([b"1,2,3", b"4,x,y", b'5,"a\rb\n",z', b'6,"q"",",z', b'7,"open', b"broken", b"8,2,"])
        | st.integers(1, 60).map(lambda size: b"z" * size + b",9,9"),
        st.sampled_from([b"\n", b"\r\n", b"\r"]),
    ).map(b"".join),
    max_size=20,
).map(b"".join)
TOO_LONG = re.compile(r"line too_long: (\d+) bytes, .* sha256 of all is ([0-9a-f]{64})")


def split(data: bytes, encoding: str = "UTF8") -> list[tuple]:
    return [(*record,) for record in Splitter(io.BytesIO(data), 2, 3, encoding, ",")]


@pytest.fixture(scope="module")
def db(cluster, template):
    from conftest import database_url

    with psycopg.connect(database_url(cluster, template), autocommit=True) as connection:
        connection.execute("CREATE TEMP TABLE lines (a text, b text, c text)")
        yield connection


def copied(db: psycopg.Connection, data: bytes) -> list[tuple] | None:
    """What COPY makes of the data, None if it refuses it."""
    db.execute("TRUNCATE lines")
    try:
        with db.cursor().copy("COPY lines FROM STDIN (FORMAT csv)") as copy:
            copy.write(data)
    except psycopg.DataError:
        return None
    return db.execute("SELECT * FROM lines ORDER BY ctid").fetchall()


@settings(max_examples=300, deadline=None)
@given(data=FILES)
def test_no_byte_is_lost(data: bytes) -> None:
    rest = data
    line_no = 1
    for number, record, flaw in split(data):
        # An empty last field is all that is ever dropped; line ends stand between the records.
        assert rest.startswith(record)
        rest = rest[len(record) :]
        if flaw is None and rest.startswith(b","):
            rest = rest[1:]
        end = next((end for end in (b"\r\n", b"\n", b"\r") if rest.startswith(end)), b"")
        assert end or not rest
        rest = rest[len(end) :]
        assert number > line_no
        line_no = number
    assert rest == b""


def small(most: int, piece: int):
    """The same, at bounds that a test can reach at every offset."""
    return patch.multiple(csv_records, MOST_BYTES=most, KEPT_BYTES=7, PIECE_BYTES=piece)


@settings(max_examples=1000, deadline=None)
@given(data=LINES | FILES, most=st.integers(8, 70), piece=st.integers(1, 80))
@example(data=b"1,2,3\r" * 9, most=8, piece=8)
@example(data=b"x" * 30 + b"7,8,9\r\n1,2,3", most=16, piece=16)
def test_no_line_is_cut_in_two_wherever_it_stands(data: bytes, most: int, piece: int) -> None:
    with small(most, piece):
        records = split(data)
    rest = data
    for _, record, flaw in records:
        assert rest.startswith(record)
        size = len(record)
        if too_long := TOO_LONG.match(flaw or ""):
            size = int(too_long[1])
            assert size >= most
            assert record == rest[:7]
            assert too_long[2] == hashlib.sha256(rest[:size]).hexdigest()
        elif flaw is None:
            assert size < most
            size += rest[size:].startswith(b",")
        rest = rest[size:]
        # A record and a broken line, kept whole or not, reach to a line end or to the end of the file.
        end = re.match(rb"\r\n|\n|\r|\Z", rest)
        assert end
        rest = rest[end.end() :]
    assert rest == b""


@settings(max_examples=300, deadline=None)
@given(data=LINES | FILES, piece=st.integers(1, 80))
def test_the_pieces_in_which_a_file_is_read_make_no_difference(data: bytes, piece: int) -> None:
    whole = split(data)
    with small(1000, piece):
        assert split(data) == whole


def test_what_stands_beyond_the_bound_of_an_overlong_line_is_no_record() -> None:
    with small(64, 16):
        ((number, record, flaw), good) = split(b"x" * 64 + b"777,1,99999.00\n1,2,3\n")
    assert (number, record) == (2, b"xxxxxxx")
    assert flaw.startswith("line too_long: 78 bytes, ")
    assert good == (3, b"1,2,3", None)


def test_a_row_across_a_bound_between_lone_crs_stays_whole() -> None:
    rows = [b"%d,1,1234.50" % number for number in range(100, 140)]
    for most in range(30, 60):
        with small(most, most):
            assert [record for _, record, _ in split(b"\r".join([*rows, b"broken"]))] == [*rows, b"broken"]


@settings(max_examples=300, deadline=None)
@given(data=FILES)
@example(data=b'1,say "hi" there,2\n')
@example(data=b'1,"a\n\\.\nb",2\n')
def test_what_copy_takes_whole_it_takes_too(data: bytes, db: psycopg.Connection) -> None:
    whole = copied(db, data)
    records = split(data)
    # COPY lets a stray quote swallow lines; here they stay lines.
    swallowed = any(flaw and "open_quote" in flaw for _, _, flaw in records)
    if whole is not None and not swallowed:
        assert [flaw for _, _, flaw in records if flaw] == []
        assert copied(db, b"".join(record + b"\n" for _, record, _ in records)) == whole


@settings(max_examples=300, deadline=None)
@given(data=FILES)
def test_copy_takes_what_it_takes(data: bytes, db: psycopg.Connection) -> None:
    good = [record for _, record, flaw in split(data) if flaw is None]
    rows = copied(db, b"".join(record + b"\n" for record in good))
    assert rows is not None
    assert len(rows) == len(good)


def test_a_crlf_on_the_edge_of_a_piece_is_one_line_end() -> None:
    data = b"x" * (PIECE_BYTES - 5) + b",a,b\r\n1,2,3\r\n"
    assert [number for number, _, _ in split(data)] == [2, 3]


def test_a_stray_quote_costs_its_line_and_no_other() -> None:
    lines = [b'%d,"x","y"' % number if number % 3 else b'%d,"x,y' % number for number in range(1, 40)]
    records = split(b"\n".join(lines))
    assert [record for _, record, _ in records] == lines
    assert [number % 3 == 1 for number, _, flaw in records if flaw] == [True] * 13


def test_a_long_record_is_one_record() -> None:
    data = b'1,"' + b"z" * 300_000 + b'\n2,PHANTOM,3\n",2\n3,' + b"y" * 300_000 + b",4\nshort\n5,6,7"
    assert [(number, len(record), bool(flaw)) for number, record, flaw in split(data)] == [
        (2, 300_019, False),
        (5, 300_004, False),
        (6, 5, True),
        (7, 5, False),
    ]
