"""What the peers have in common: the tables that they keep, COPY into them and out of them, and the command line."""

import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
from psycopg.abc import Buffer

FILES = {"customers": "customer_data.csv", "orders": "order_data.csv", "payments": "payment_data.csv"}
# As core.* and marts.customer_ltv have them.
TABLES = {
    "customers": """
        customer_id bigint NOT NULL, first_name text, last_name text, email text, country text, gender text,
        date_of_birth date""",
    "orders": """
        order_id bigint NOT NULL, customer_id bigint NOT NULL, order_date date NOT NULL, product text,
        price numeric(14, 2) NOT NULL""",
    "payments": """
        payment_id bigint NOT NULL, customer_id bigint NOT NULL, order_id bigint NOT NULL,
        payment_date date NOT NULL, amount numeric(14, 2) NOT NULL""",
    "customer_ltv": """
        customer_id bigint NOT NULL, total_orders integer NOT NULL, total_amount numeric(18, 2) NOT NULL,
        avg_order_value numeric(18, 2), ltv numeric(18, 2) NOT NULL, first_order_date date, last_order_date date,
        orders_per_year numeric(14, 4) NOT NULL, avg_lifespan_years numeric(6, 1) NOT NULL""",
}
KEYS = {
    "customers": ["ALTER TABLE peer.customers ADD PRIMARY KEY (customer_id)"],
    "orders": [
        "ALTER TABLE peer.orders ADD PRIMARY KEY (order_id)",
        "CREATE INDEX orders_customer_id ON peer.orders (customer_id)",
    ],
    "payments": [
        "ALTER TABLE peer.payments ADD PRIMARY KEY (payment_id)",
        "CREATE INDEX payments_customer_id ON peer.payments (customer_id)",
    ],
    "customer_ltv": ["ALTER TABLE peer.customer_ltv ADD PRIMARY KEY (customer_id)"],
}
FOREIGN_KEYS = [
    "ALTER TABLE peer.orders ADD FOREIGN KEY (customer_id) REFERENCES peer.customers (customer_id) NOT ENFORCED",
    "ALTER TABLE peer.payments ADD FOREIGN KEY (customer_id) REFERENCES peer.customers (customer_id) NOT ENFORCED",
    "ALTER TABLE peer.payments ADD FOREIGN KEY (order_id) REFERENCES peer.orders (order_id) NOT ENFORCED",
]
# Whose orders and payments a delivery touches, seen before it is merged: those who lose an order are among them.
TOUCHED = """
    CREATE TEMPORARY TABLE touched AS
    SELECT customer_id FROM new_orders
    UNION SELECT customer_id FROM new_payments
    UNION SELECT kept.customer_id FROM peer.orders AS kept INNER JOIN new_orders USING (order_id)
    UNION SELECT kept.customer_id FROM peer.payments AS kept INNER JOIN new_payments USING (payment_id)"""
# What has to be read back then: their orders and payments, and of everybody what the last result says.
READ_BACK = {
    "orders": "SELECT order_id, customer_id, order_date FROM peer.orders INNER JOIN touched USING (customer_id)",
    "payments": "SELECT order_id, amount FROM peer.payments INNER JOIN touched USING (customer_id)",
    "known": """
        SELECT
            customer_id,
            CASE WHEN touched.customer_id IS NULL THEN ltv.total_orders END AS total_orders,
            CASE WHEN touched.customer_id IS NULL THEN ltv.total_amount END AS total_amount,
            CASE WHEN touched.customer_id IS NULL THEN ltv.first_order_date END AS first_order_date,
            CASE WHEN touched.customer_id IS NULL THEN ltv.last_order_date END AS last_order_date
        FROM peer.customers
        LEFT JOIN peer.customer_ltv AS ltv USING (customer_id)
        LEFT JOIN touched USING (customer_id)""",
}


def connect() -> psycopg.Connection:
    """Connect to the database of DATABASE_URL."""
    return psycopg.connect(os.environ["DATABASE_URL"])


def create(*tables: str) -> None:
    """Make tables, empty and as yet without keys, in place of those that are there."""
    with connect() as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS peer")
        for table in tables:
            connection.execute(f"DROP TABLE IF EXISTS peer.{table} CASCADE")
            connection.execute(f"CREATE TABLE peer.{table} ({TABLES[table]})")


def copy_in(connection: psycopg.Connection, table: str, chunks: Iterable[Buffer]) -> None:
    """COPY lines of CSV, without a header, into a table."""
    with connection.cursor().copy(f"COPY {table} FROM STDIN (FORMAT csv)") as copy:
        for chunk in chunks:
            copy.write(chunk)


def copy_out(connection: psycopg.Connection, query: str) -> bytes:
    """COPY what a query finds out as CSV, with a header."""
    with connection.cursor().copy(f"COPY ({query}) TO STDOUT (FORMAT csv, HEADER)") as copy:
        return b"".join(copy)


def fill(table: str, chunks: Iterable[Buffer]) -> None:
    """COPY lines into an empty table, and make its keys and indexes afterwards, which is faster."""
    with connect() as connection:
        copy_in(connection, f"peer.{table}", chunks)
        for key in KEYS[table]:
            connection.execute(key)


def fill_all(rows: dict[str, Iterable[Buffer]]) -> None:
    """Fill tables side by side, each through a connection of its own."""
    with ThreadPoolExecutor(len(rows)) as pool:
        for done in [pool.submit(fill, table, chunks) for table, chunks in rows.items()]:
            done.result()


def add_foreign_keys() -> None:
    """Tie the kept tables together; nothing is checked, as in core."""
    with connect() as connection:
        for key in FOREIGN_KEYS:
            connection.execute(key)


def stage(connection: psycopg.Connection, table: str, chunks: Iterable[Buffer]) -> None:
    """COPY lines into a temporary table new_…, which has the columns of a kept one."""
    connection.execute(f"CREATE TEMPORARY TABLE new_{table} (LIKE peer.{table})")
    copy_in(connection, f"new_{table}", chunks)
    connection.execute(f"ANALYZE new_{table}")


def upsert(connection: psycopg.Connection, table: str) -> None:
    """Merge the staged lines into the kept table; rows that are the same stay untouched."""
    found = connection.execute(f"SELECT * FROM new_{table} LIMIT 0").description or []
    key, *columns = [column.name for column in found]
    kept, new = (", ".join(f"{side}.{column}" for column in columns) for side in ("kept", "excluded"))
    connection.execute(
        f"INSERT INTO peer.{table} AS kept SELECT * FROM new_{table} ON CONFLICT ({key}) "
        f"DO UPDATE SET ({', '.join(columns)}) = ROW ({new}) WHERE ({kept}) IS DISTINCT FROM ({new})"
    )


def receive(connection: psycopg.Connection, rows: dict[str, Iterable[Buffer]]) -> None:
    """Merge a delivery into the kept tables; afterwards the temporary table `touched` names whom it concerns."""
    for table, chunks in rows.items():
        stage(connection, table, chunks)
    connection.execute(TOUCHED)
    connection.execute("ANALYZE touched")
    for table in rows:
        upsert(connection, table)


def main(**ways: Callable[[Path, str], None]) -> None:
    """Do what the command line asks for: full|delta <folder> <as_of>."""
    match sys.argv[1:]:
        case [way, folder, as_of] if way in ways:
            ways[way](Path(folder), as_of)
        case _:
            raise SystemExit(f"usage: DATABASE_URL=… python {Path(sys.argv[0]).name} {'|'.join(ways)} <folder> <as_of>")
