"""The splitter behind the slow path: it loses no byte, and takes what COPY takes."""

import io

import psycopg
import pytest
from csv_records import MOST_BYTES, Splitter
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
    data = b"x" * (MOST_BYTES - 5) + b",a,b\r\n1,2,3\r\n"
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
