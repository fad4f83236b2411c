"""DuckDB reads and computes, PostgreSQL keeps: DuckDB writes CSV into a pipe, whose other end is COPY."""

import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import kept

COLUMNS = {
    "customers": """{
        'customer_id': 'BIGINT', 'first_name': 'VARCHAR', 'last_name': 'VARCHAR', 'email': 'VARCHAR',
        'country': 'VARCHAR', 'gender': 'VARCHAR', 'date_of_birth': 'DATE'}""",
    "orders": """{
        'order_id': 'BIGINT', 'customer_id': 'BIGINT', 'order_date': 'DATE', 'product': 'VARCHAR',
        'price': 'DECIMAL(14, 2)'}""",
    "payments": """{
        'payment_id': 'BIGINT', 'customer_id': 'BIGINT', 'order_id': 'BIGINT', 'payment_date': 'DATE',
        'amount': 'DECIMAL(14, 2)'}""",
}
READ_BACK = {
    "orders": "{'order_id': 'BIGINT', 'customer_id': 'BIGINT', 'order_date': 'DATE'}",
    "payments": "{'order_id': 'BIGINT', 'amount': 'DECIMAL(14, 2)'}",
    "known": """{
        'customer_id': 'BIGINT', 'total_orders': 'BIGINT', 'total_amount': 'DECIMAL(18, 2)',
        'first_order_date': 'DATE', 'last_order_date': 'DATE'}""",
}
READ = "CREATE TABLE {} AS FROM read_csv('{}', auto_detect = false, header = true, columns = {})"
# A paid order is one whose payments add up to more than 0.
ACTIVITY = """
    CREATE VIEW activity AS
    WITH net_payments AS (
        SELECT order_id, sum(amount) AS amount FROM payments GROUP BY order_id HAVING sum(amount) > 0
    )
    SELECT
        customer_id,
        count(*) AS total_orders,
        sum(net_payments.amount) AS total_amount,
        min(order_date) AS first_order_date,
        max(order_date) AS last_order_date
    FROM orders
    INNER JOIN net_payments USING (order_id)
    GROUP BY customer_id"""
# Decimals are divided as whole numbers: DuckDB's quotient of two decimals is a float.
VALUE = """
    CREATE TABLE customer_ltv AS
    WITH everybody AS MATERIALIZED (FROM known),
    lifespan AS (
        SELECT
            coalesce(
                greatest(10, (
                    2000 * sum(last_order_date - first_order_date) + 36525 * count(*)
                ) // (2 * 36525 * nullif(count(*), 0))), 10
            )::BIGINT AS tenths
        FROM everybody
        WHERE total_orders > 1
    ),
    observed AS (
        SELECT
            customer_id,
            coalesce(total_orders, 0)::BIGINT AS orders,
            coalesce(total_amount * 100, 0)::BIGINT AS cents,
            first_order_date,
            last_order_date,
            -- Whole months as PostgreSQL counts them: datesub takes the end of a shorter month for a whole one.
            coalesce(
                greatest(
                    12,
                    datediff('month', first_order_date, $as_of::DATE)
                    - (day(first_order_date) > day($as_of::DATE))::BIGINT
                ), 12
            ) AS months
        FROM everybody
    )
    SELECT
        customer_id,
        orders AS total_orders,
        cents::DECIMAL(18, 0) * 0.01 AS total_amount,
        ((2 * cents + orders) // (2 * nullif(orders, 0)))::DECIMAL(18, 0) * 0.01 AS avg_order_value,
        ((cents * tenths * 12 + 5 * months) // (10 * months))::DECIMAL(18, 0) * 0.01 AS ltv,
        first_order_date,
        last_order_date,
        ((orders * 240000 + months) // (2 * months))::DECIMAL(14, 0) * 0.0001 AS orders_per_year,
        tenths::DECIMAL(5, 0) * 0.1 AS avg_lifespan_years
    FROM observed
    CROSS JOIN lifespan"""


def lines(duck: duckdb.DuckDBPyConnection, table: str) -> Iterator[bytes]:
    """A table of DuckDB's as lines of CSV, while it writes them."""
    reading, writing = os.pipe()

    def write() -> None:
        try:
            duck.cursor().execute(f"COPY {table} TO '/dev/fd/{writing}' (FORMAT csv, HEADER false, USE_TMP_FILE false)")
        finally:
            os.close(writing)

    with ThreadPoolExecutor(1) as pool, os.fdopen(reading, "rb") as pipe:
        done = pool.submit(write)
        while chunk := pipe.read(1 << 16):
            yield chunk
        done.result()


def result(duck: duckdb.DuckDBPyConnection, as_of: str) -> Iterator[bytes]:
    """What each customer is worth by `known`, as lines of CSV: computed when COPY asks for it."""
    duck = duck.cursor()
    duck.execute(VALUE, {"as_of": as_of})
    yield from lines(duck, "customer_ltv")


def read(duck: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Read the three files."""
    for table, file in kept.FILES.items():
        duck.execute(READ.format(table, folder / file, COLUMNS[table]))


def full(folder: Path, as_of: str) -> None:
    """Fill the empty tables from the files."""
    duck = duckdb.connect()
    read(duck, folder)
    duck.execute(ACTIVITY)
    duck.execute("CREATE VIEW known AS FROM activity RIGHT JOIN customers USING (customer_id)")
    kept.create(*kept.TABLES)
    kept.fill_all({table: lines(duck, table) for table in kept.FILES} | {"customer_ltv": result(duck, as_of)})
    kept.add_foreign_keys()


def delta(folder: Path, as_of: str) -> None:
    """Merge the files into the tables, and compute those again whom they concern."""
    duck = duckdb.connect()
    read(duck, folder)
    with kept.connect() as connection, tempfile.TemporaryDirectory() as place:
        kept.receive(connection, {table: lines(duck, table) for table in kept.FILES})
        duck = duckdb.connect()
        for name, query in kept.READ_BACK.items():
            file = Path(place) / f"{name}.csv"
            file.write_bytes(kept.copy_out(connection, query))
            duck.execute(READ.format(name, file, READ_BACK[name]))
        duck.execute(ACTIVITY)
        duck.execute(
            "UPDATE known SET total_orders = activity.total_orders, total_amount = activity.total_amount, "
            "first_order_date = activity.first_order_date, last_order_date = activity.last_order_date "
            "FROM activity WHERE known.customer_id = activity.customer_id"
        )
        kept.stage(connection, "customer_ltv", result(duck, as_of))
        kept.upsert(connection, "customer_ltv")


if __name__ == "__main__":
    kept.main(full=full, delta=delta)
