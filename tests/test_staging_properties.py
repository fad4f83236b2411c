"""Staging against an oracle: generated deliveries of nasty fields, judged by SQL and by plain Python alike."""

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date

import psycopg
import pytest
import server
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from psycopg import sql
from sql_files import SQL
from support import COLUMNS, Line, judge_customers, judge_orders, judge_payments, warehouse_of

AS_OF = date(2026, 1, 31)
Row = dict[str, str | None]

nasty_text = st.text("ab09eE .,-+_@%/\\'\"\tNé\u00a0\ufeff\n{}", max_size=7)
nothing = st.sampled_from([None, "", "NULL", "null", "N/A", "na", "None", "-", "\\N", " ", "\ufeff", "\u00a0\t"])
ids = st.sampled_from(["1", "2", "3", "4", "5", "6", "7"])
ODD_IDS = [
    *("0", "-0", "01", "-1", "+1", "1.0", "1e3", "0x1F", "1_000", "\uff11", "\u0661", "1a", "1 2"),
    *(str(2**63 - 1), str(2**63), "9" * 30),
]
days = st.sampled_from(["2025-01-02", "2026-01-31", "2024-02-29", "1900-01-01", "1899-12-31", "2026-02-01"])
ODD_DAYS = [
    *(
        "2023-02-29",
        "2023-13-01",
        "2023-01-00",
        "0000-01-01",
        "0001-01-01",
        "9999-12-31",
        "01/02/2023",
        "2023/01/01",
    ),
    *("2023-1-1", "23-01-01", "20-23-01-01", "202-3-01-01", "2023-01--1", "20230101", "2023-W01-1", "J2451187"),
    *("2023-01-01T00:00", "\uff12023-01-01", "2023-01-0\u0661", "today", "now", "epoch", "infinity", "-infinity"),
    *("2023-01-1Z", "2023-01-01 BC", "10000-01-01"),
]
amounts = st.sampled_from(["1", "0", "12.50", "0.01", "999999999999.99", "7.", ".5", "+1.25", "-0", "00001.10"])
ODD_AMOUNTS = [
    *("-1.25", "-999999999999.99", "1000000000000", "-1000000000000", "999999999999.995", "1.255", "1e3", "1E2"),
    *("NaN", "nan", "Infinity", "inf", "1,200", "1_000", "0x10", "$5", "5USD", ".", "+", "-.", "--1", "+-1", "1-"),
    *("1.2.3", "1.-5", "\u0663", "1.\u0663", "1 000", "- 1", "1. 5", "1.5_0", "0b1", "0o7", "1.0e-1"),
]
emails = st.sampled_from(["a@b", "Ann.Uwase@Example.COM", "É@X.rw", "@@@", "a@b@c", "a@", "@b", "ab", "a b", "@"])


blanks = st.sampled_from([" ", "\t", "\u00a0", "\ufeff", " \r\n"])
USUAL = {
    **dict.fromkeys(["customer_id", "order_id", "payment_id"], ids),
    **dict.fromkeys(["order_date", "payment_date", "date_of_birth"], days),
    **dict.fromkeys(["price", "amount"], amounts),
    "email": emails,
}
ODD = {ids: ODD_IDS, days: ODD_DAYS, amounts: ODD_AMOUNTS}


@st.composite
def row_of(draw: st.DrawFn, source: str) -> Row:
    """A line that is mostly good: up to two of its fields are odd, empty, or have blanks around them."""
    row = {column: draw(USUAL.get(column, nasty_text)) for column in COLUMNS[source]}
    for column in draw(st.lists(st.sampled_from(COLUMNS[source]), max_size=2)):
        odd = st.sampled_from(ODD[USUAL[column]]) if USUAL.get(column) in ODD else nasty_text
        row[column] = draw(odd | odd | nothing | nasty_text | blanks.map(lambda blank, text=row[column]: blank + text))
    return row


def every_odd_value(source: str) -> list[Row]:
    """A line for each odd value, in which all else is good."""
    good = {"email": "a@b", "product": "Phone", "price": "5", "amount": "5", "customer_id": "1", "order_id": "1"}
    good |= dict.fromkeys(["order_date", "payment_date", "date_of_birth"], "2025-01-02")
    rows = [
        {name: good.get(name, "x") for name in COLUMNS[source]} | {column: odd}
        for column in COLUMNS[source]
        for odd in ODD.get(USUAL.get(column), [])
    ]
    key = COLUMNS[source][0]
    return [
        row | {key: str(number)} if row[key] in ("x", good.get(key)) else row for number, row in enumerate(rows, 10)
    ]


def rows_of_source(source: str, **sizes: int) -> st.SearchStrategy:
    return st.lists(row_of(source), **sizes)


@pytest.fixture(scope="module")
def connection(cluster: server.Server, template: str) -> Iterator[psycopg.Connection]:
    """A connection to a warehouse with a published run 1 and an open run 2; each example is undone."""
    with warehouse_of(cluster, template, "ltv_properties") as url, psycopg.connect(url) as connected:
        connected.execute(
            """INSERT INTO audit.runs (dag_run_id, as_of, state, fingerprint)
            VALUES ('before', '2020-01-01', 'published', ''), ('now', '2026-01-31', 'open', '')"""
        )
        connected.commit()
        yield connected
        connected.rollback()


def stage(
    connection: psycopg.Connection, source: str, files: list[list[Row]], waited: list[Row], parents: str
) -> dict[str, object]:
    """Put the rows into raw, what waited into audit; run staging, after the SQL for the parents; return its result."""
    entity = source.removesuffix("_data") + "s"
    with connection.transaction(force_rollback=True):
        connection.execute("SELECT audit.enter_run('now')")
        columns = [sql.Identifier(column) for column in COLUMNS[source]]
        table = sql.Identifier("raw", source)
        connection.execute(
            sql.SQL("CREATE UNLOGGED TABLE {} (line_no bigint, {})").format(
                table, sql.SQL(", ").join(sql.SQL("{} text").format(column) for column in columns)
            )
        )
        with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(table)) as copy:
            for line_no, row in enumerate(itertools.chain(*files), start=2):
                copy.write_row([line_no, *(row[column] for column in COLUMNS[source])])
        first_line_no = 2
        for number, rows in enumerate(files, start=1):
            connection.execute(
                "SELECT audit.log_load(%s, %s, 0, '', %s, %s, '{}', 0)",
                [source, f"part_{number}", first_line_no, len(rows)],
            )
            first_line_no += len(rows)
        for number, row in enumerate(waited, start=1):
            connection.execute(
                """INSERT INTO audit.rejected_rows (
                    rejected_row_id, source, file, line_no, fields, reason, first_run_no, last_run_no
                ) OVERRIDING SYSTEM VALUE VALUES (%s, %s, 'old', %s, %s, 'order_date waits: for its day', 1, 1)""",
                [number, source, number, json.dumps({**row, "note": number})],
            )
        connection.execute(parents)
        connection.execute((SQL / "staging" / f"{entity}.sql").read_text())
        with connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
            return {
                "staged": cursor.execute(f"SELECT * FROM staging.{entity} ORDER BY line_no").fetchall(),
                "loads": cursor.execute(
                    """SELECT good, superseded, rejected, waiting FROM audit.loads
                    WHERE source = %s ORDER BY first_line_no""",
                    [source],
                ).fetchall(),
                "rejected": cursor.execute(
                    "SELECT file, line_no, fields, rule FROM audit.rejected_rows WHERE source = %s AND file <> 'old'",
                    [source],
                ).fetchall(),
            }


def verdict(rule: str | None) -> str:
    if rule is None:
        return "good"
    return {"superseded": "superseded", "waits": "waiting"}.get(rule.split()[1], "rejected")


def compare(source: str, files: list[list[Row]], found: dict, expected: list[Line]) -> None:
    key = COLUMNS[source][0]
    rules = {row["line_no"]: row["reason"] and row["reason"].split(":")[0] for row in found["staged"]}
    told = "the rules stand a second time in tests/support.py (judge_…), without any SQL: does it know the new one?"
    assert rules == {line.line_no: line.rule for line in expected}, told
    by_line = {line.line_no: line for line in expected}
    for row in found["staged"]:
        line = by_line[row["line_no"]]
        if line.rule is None:
            assert {column: row[column] for column in COLUMNS[source]} == line.values
        else:
            assert row[key] == line.key
        assert row["reason"] is None or ": " in row["reason"], "a reason is a rule and an explanation"

    # Every record of every file is counted once, and every rejected line is kept once, as received.
    first_line_no = 2
    kept = {}
    for number, (rows, counts) in enumerate(zip(files, found["loads"], strict=True), start=1):
        lines = [by_line[first_line_no + at] for at in range(len(rows))]
        counted = Counter(verdict(line.rule) for line in lines)
        assert counts == {name: counted[name] for name in ("good", "superseded", "rejected", "waiting")}
        for at, (row, line) in enumerate(zip(rows, lines, strict=True), start=2):
            if verdict(line.rule) == "rejected":
                kept[json.dumps(row, sort_keys=True), line.rule] = (f"part_{number}", at)
        first_line_no += len(rows)
    rejected = [row for row in found["rejected"] if row["file"] != "old"]
    assert {
        (json.dumps(row["fields"], sort_keys=True), row["rule"]): (row["file"], row["line_no"]) for row in rejected
    } == kept
    assert len(rejected) == len(kept), "a line that comes twice is kept once, where it was seen last"


def numbered(files: list[list[Row]], waited: list[Row]) -> list[tuple[int, Row]]:
    """The rows with their line_no; of two, the later one wins, and what waited comes before what came today."""
    old = [(-number, row) for number, row in enumerate(waited, start=1)]
    return [*reversed(old), *enumerate(itertools.chain(*files), start=2)]


def split(rows: list[Row], at: int) -> list[list[Row]]:
    return [part for part in (rows[:at], rows[at:]) if part]


def bounded(test: Callable) -> Callable:
    """The same 60 deliveries each time."""
    return settings(
        max_examples=60, derandomize=True, database=None, deadline=None, phases=[Phase.explicit, Phase.generate]
    )(test)


@bounded
@example(rows=every_odd_value("customer_data"), at=5)
@given(rows=rows_of_source("customer_data", min_size=15, max_size=30), at=st.integers(0, 30))
def test_customers(connection: psycopg.Connection, rows: list[Row], at: int) -> None:
    files = split(rows, at)
    found = stage(connection, "customer_data", files, [], "SELECT 1")
    compare("customer_data", files, found, judge_customers(numbered(files, []), AS_OF))


@bounded
@example(rows=every_odd_value("order_data"), at=5, waited=[])
@given(
    rows=rows_of_source("order_data", min_size=15, max_size=40),
    at=st.integers(0, 40),
    waited=rows_of_source("order_data", max_size=4),
)
def test_orders(connection: psycopg.Connection, rows: list[Row], at: int, waited: list[Row]) -> None:
    files = split(rows, at)
    parents = """
        CREATE TABLE staging.customers (customer_id bigint, reason text);
        INSERT INTO staging.customers
        VALUES (1, NULL), (2, NULL), (2, 'customer_id superseded: …'), (5, 'email odd: …'), (6, 'email odd: …');
        INSERT INTO core.customers (customer_id, run_no, updated_at) VALUES (2, 1, now()), (3, 1, now()), (6, 1, now());
    """
    found = stage(connection, "order_data", files, waited, parents)
    compare("order_data", files, found, judge_orders(numbered(files, waited), AS_OF, {1, 2, 3, 6}))


@bounded
@example(rows=every_odd_value("payment_data"), at=5, waited=[])
@given(
    rows=rows_of_source("payment_data", min_size=15, max_size=40),
    at=st.integers(0, 40),
    waited=rows_of_source("payment_data", max_size=4),
)
def test_payments(connection: psycopg.Connection, rows: list[Row], at: int, waited: list[Row]) -> None:
    files = split(rows, at)
    # Order 2 moves from customer 3 to customer 1 with this delivery, order 4 waits to move to customer 5;
    # order 6 is delivered, but refused.
    parents = """
        CREATE TABLE staging.orders (order_id bigint, customer_id bigint, reason text);
        INSERT INTO staging.orders VALUES
        (1, 1, NULL), (2, 1, NULL), (2, 3, 'order_id superseded: …'), (4, 5, 'customer_id waits: …'), (6, 2, 'a b: c');
        INSERT INTO core.orders (order_id, customer_id, order_date, price, run_no, updated_at)
        VALUES (2, 3, '2020-01-01', 1, 1, now()), (3, 2, '2020-01-01', 1, 1, now()), (4, 1, '2020-01-01', 1, 1, now());
    """
    found = stage(connection, "payment_data", files, waited, parents)
    compare(
        "payment_data", files, found, judge_payments(numbered(files, waited), AS_OF, {1: 1, 2: 1, 3: 2, 4: 1}, {(4, 5)})
    )
