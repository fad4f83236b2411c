"""What sql/distributed changes: as far as a server without Citus can show it, and all of it where one is given."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import migrate
import psycopg
import pytest
import server
from conftest import ROOT
from pipeline import run_pipeline
from psycopg import sql
from sql_files import SQL
from support import fetch, warehouse_of

# The roles are the server's, not a database's: the template's making makes them.
pytestmark = pytest.mark.usefixtures("template")

DISTRIBUTED = SQL / "distributed"
FUNCTIONS = sorted((DISTRIBUTED / "functions").glob("*.sql"))
VIEWS = sorted((DISTRIBUTED / "views").glob("*.sql"))
# What a worker needs and one server does not.
NEW = {"audit.refuse_outside_of_runs", "audit.numbers_named", "forecast.every_buying_day"}
# More than what comes of 2,000 customers (their activity), less than 20,000 numbers of eight bytes.
LIMIT = "130kB"
# Names a new database with the extension and its workers; the test fills it.
URL = "LTV_DISTRIBUTED_URL"


@pytest.fixture(scope="module")
def filled(cluster: server.Server, template: str) -> Iterator[str]:
    """The URL of a warehouse with the sample in it. Tests roll back what they change."""
    with warehouse_of(cluster, template, "ltv_distributed") as url:
        run_pipeline(url, ROOT / "data", "2026-01-31", "sample")
        yield url


def test_a_database_without_the_extension_is_not_distributed(
    new_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_database()
    monkeypatch.setenv("DISTRIBUTED", "yes")
    with pytest.raises(SystemExit) as refused:
        migrate.migrate(url)
    assert str(refused.value) == (
        "make migrate: DISTRIBUTED=yes needs a database with the extension citus and its workers"
    )
    assert fetch(url, "SELECT FROM pg_catalog.pg_namespace WHERE nspname IN ('audit', 'core')") == []
    monkeypatch.delenv("DISTRIBUTED")
    migrate.migrate(url)
    assert fetch(url, "SELECT to_regclass('audit.distributed_migrations') IS NULL") == [(True,)]


def signatures(connection: psycopg.Connection) -> set[tuple[str, ...]]:
    return set(
        connection.execute(
            """SELECT oid::regprocedure::text, pg_get_function_result(oid), obj_description(oid)
            FROM pg_catalog.pg_proc WHERE pronamespace::regnamespace::text IN ('audit', 'core', 'forecast')"""
        ).fetchall()
    )


def test_a_function_of_a_distributed_warehouse_takes_the_place_of_one_of_the_same_signature(filled: str) -> None:
    with psycopg.connect(filled) as connection:
        before = signatures(connection)
        for path in FUNCTIONS:
            connection.execute(path.read_text())
        new = signatures(connection) - before
        connection.rollback()
    assert {name.partition("(")[0] for name, *_ in new} == NEW
    assert all(comment for *_, comment in new)
    there = {path.name for path in (SQL / "definitions" / "functions").iterdir()}
    assert {path.name for path in FUNCTIONS} - there == {f"{name}.sql" for name in NEW}
    assert {path.name for path in VIEWS} <= {path.name for path in (SQL / "definitions" / "views").iterdir()}


@pytest.mark.parametrize("everybody", [True, False])
def test_activity_is_the_same_by_both_ids(filled: str, everybody: bool) -> None:
    """How activity adds up stands a second time where orders and payments are distributed."""
    query = "SELECT to_jsonb(activity) FROM core.activity(everybody => %s) AS activity ORDER BY 1"
    with psycopg.connect(filled) as connection:
        connection.execute(
            "INSERT INTO core.stale_customers SELECT customer_id FROM core.customers WHERE customer_id % 3 = 0"
        )
        # Some refunds that take a payment back.
        connection.execute("SET LOCAL ltv.keeps_nothing = 'on'")
        connection.execute("UPDATE core.payments SET amount = -amount WHERE payment_id % 5 = 0")
        one = connection.execute(query, [everybody]).fetchall()
        connection.execute((DISTRIBUTED / "functions" / "core.activity.sql").read_text())
        assert connection.execute(query, [everybody]).fetchall() == one
        connection.rollback()
    assert len(one) > (300 if everybody else 100)
    assert any(row["unpaid_amount"] for (row,) in one)


# A delivery that differs from core in whatever can differ: lines that are refused, missing, changed and moved, by
# number and by customer, twice and for nobody; lines that a later one supersedes or that have waited; and payments that
# have yet to follow their order.
TANGLE = """
SET LOCAL ltv.keeps_nothing = 'on';
DELETE FROM staging.customers WHERE customer_id % 5 = 0;
DELETE FROM staging.orders WHERE order_id % 7 = 0 OR order_id % 25 = 3;
DELETE FROM staging.payments WHERE order_id % 25 = 3 AND payment_id % 2 = 0;
DELETE FROM staging.payments WHERE order_id % 14 = 0;
UPDATE staging.orders SET customer_id = NULL, reason = 'refused' WHERE order_id % 11 = 0;
UPDATE staging.payments SET customer_id = NULL, order_id = NULL, reason = 'refused' WHERE payment_id % 11 = 0;
UPDATE staging.orders SET customer_id = customer_id + 1 WHERE order_id % 13 = 0;
UPDATE staging.payments SET customer_id = customer_id + 1 WHERE payment_id % 13 = 0;
UPDATE core.customers SET email = NULL WHERE customer_id % 17 = 0;
UPDATE core.customers SET first_name = 'x' WHERE customer_id % 17 = 1;
UPDATE core.customers SET last_name = 'x' WHERE customer_id % 17 = 2;
UPDATE core.customers SET country = 'x' WHERE customer_id % 17 = 3;
UPDATE core.customers SET gender = 'x' WHERE customer_id % 17 = 4;
UPDATE core.customers SET date_of_birth = '1900-01-01' WHERE customer_id % 17 = 6;
UPDATE core.orders SET price = price + 1 WHERE order_id % 17 = 0;
UPDATE core.orders SET order_date = order_date - 1 WHERE order_id % 17 = 1;
UPDATE core.orders SET product = 'x' WHERE order_id % 17 = 2;
UPDATE core.payments SET amount = amount + 1 WHERE payment_id % 17 = 0;
UPDATE core.payments SET payment_date = payment_date - 1 WHERE payment_id % 17 = 1;
UPDATE staging.payments SET order_id = order_id + 1 WHERE payment_id % 17 = 2;
UPDATE core.orders SET customer_id = customer_id + 1 WHERE order_id % 19 = 0;
DELETE FROM core.orders WHERE order_id % 23 = 0;
DELETE FROM raw.order_data WHERE line_no % 3 = 0;
DELETE FROM raw.payment_data WHERE line_no % 4 = 0;
UPDATE raw.order_data SET customer_id = '1' WHERE line_no % 19 = 1;
UPDATE raw.payment_data SET customer_id = 'x' WHERE line_no % 19 = 1;
UPDATE raw.payment_data SET customer_id = '1' WHERE line_no % 29 = 1;
INSERT INTO raw.order_data (order_id, customer_id)
SELECT order_id, '2' FROM raw.order_data WHERE line_no % 29 = 0;
INSERT INTO raw.payment_data (payment_id, customer_id, order_id)
SELECT payment_id, '2', order_id FROM raw.payment_data WHERE line_no % 29 IN (0, 1);
UPDATE staging.payments SET order_id = order_id + 1 WHERE order_id % 50 = 28;
INSERT INTO staging.orders (order_id, customer_id, reason)
SELECT (SELECT min(order_id) FROM staging.orders WHERE reason IS NULL), customer_id, 'superseded'
FROM core.customers WHERE customer_id % 10 = 0;
INSERT INTO staging.payments (payment_id, order_id, reason)
SELECT (SELECT min(payment_id) FROM staging.payments WHERE reason IS NULL), order_id, 'superseded'
FROM core.orders WHERE order_id % 50 = 3;
UPDATE audit.rejected_rows SET fields = rejected_rows.fields || missed.fields
FROM (
    SELECT jsonb_build_object('order_id', order_id::text, 'customer_id', customer_id::text) AS fields
    FROM core.orders WHERE order_id::text NOT IN (SELECT order_id FROM raw.order_data) ORDER BY order_id LIMIT 1
) AS missed
WHERE rejected_rows.source = 'order_data' AND rejected_rows.is_waiting;
UPDATE audit.rejected_rows SET fields = rejected_rows.fields || missed.fields
FROM (
    SELECT jsonb_build_object(
        'payment_id', payment_id::text, 'order_id', order_id::text, 'customer_id', customer_id::text
    ) AS fields
    FROM core.payments
    WHERE payment_id::text NOT IN (SELECT payment_id FROM raw.payment_data)
        AND order_id::text NOT IN (SELECT order_id FROM raw.payment_data UNION SELECT order_id FROM raw.order_data)
        AND order_id IN (SELECT order_id FROM core.orders)
    ORDER BY payment_id DESC LIMIT 1
) AS missed
WHERE rejected_rows.source = 'payment_data' AND rejected_rows.is_waiting"""
NAMED = """{0}::text IN (
    SELECT {0} FROM raw.{1} WHERE customer_id ~ '^[1-9][0-9]*$'
    UNION ALL
    SELECT fields ->> '{0}' FROM audit.waiting_rows WHERE source = '{1}'
)"""
# What is asked, and which of it alone the workers tell.
ASKED = {
    "absent_customers()": "true",
    "absent_orders()": "true",
    "absent_payments()": "true",
    "customers_not_as_delivered()": "true",
    "orders_not_as_delivered()": "true",
    "payments_not_as_delivered()": "true",
    "known_customers('order_data')": NAMED.format("customer_id", "order_data"),
    "known_orders('order_data')": NAMED.format("order_id", "order_data"),
    "known_orders('payment_data')": NAMED.format("order_id", "payment_data"),
    "known_payments('payment_data')": NAMED.format("payment_id", "payment_data"),
    "payments_and_their_order": "true",
    # One of a customer who has it no longer is for nobody to see until its payments have followed.
    "paid_orders": "order_id % 19 <> 0",
}


def found_by(connection: psycopg.Connection, asked: str, only: str) -> list[tuple[Any, ...]]:
    columns = "*"
    if asked == "payments_and_their_order":
        # An order of another customer is as good as none.
        columns = "payment_id, order_customer_id IS DISTINCT FROM customer_id"
    return sorted(connection.execute(f"SELECT {columns} FROM core.{asked} WHERE {only}").fetchall())


@pytest.mark.parametrize("kinds", [("snapshot",) * 3, ("snapshot", "snapshot", "delta"), ("delta",) * 3])
def test_what_is_asked_of_the_workers_is_what_one_server_finds(filled: str, kinds: tuple[str, ...]) -> None:
    """Every lookup stands a second time where core is distributed."""
    with psycopg.connect(filled) as connection:
        connection.execute(TANGLE)
        for source, kind in zip(("customer_data", "order_data", "payment_data"), kinds, strict=True):
            connection.execute("UPDATE audit.sources SET kind = %s WHERE source = %s", [kind, source])
        one = {asked: found_by(connection, asked, only) for asked, only in ASKED.items()}
        # On one server, where the tables are not spread.
        tables = (DISTRIBUTED / "migrations" / "0002_delivered.sql").read_text()
        connection.execute(tables.partition("SELECT create_distributed_table")[0])
        for path in [*FUNCTIONS, *VIEWS]:
            connection.execute(path.read_text())
        for asked, found in one.items():
            assert found_by(connection, asked, "true" if "known" in asked else ASKED[asked]) == found, asked
        for entity in ("customers", "orders", "payments"):
            assert connection.execute(f"SELECT FROM core.delivered_{entity}").fetchall() == []
        connection.rollback()
    absent = dict(zip(("absent_customers()", "absent_orders()", "absent_payments()"), kinds, strict=True))
    assert {asked for asked, found in one.items() if not found} == {
        asked for asked, kind in absent.items() if kind == "delta"
    }


def test_whom_a_forecast_computes_has_bought_on_the_same_days(filled: str) -> None:
    one_by_one = """SELECT customer_id, days.* FROM core.customers
        CROSS JOIN LATERAL forecast.buying_days_of(customer_id) AS days ORDER BY 1, 2"""
    everybody = "SELECT * FROM forecast.known_buying_days ORDER BY 1, 2"
    with psycopg.connect(filled) as connection:
        # In the sample nobody buys twice on a day.
        connection.execute("SET LOCAL ltv.keeps_nothing = 'on'")
        connection.execute("UPDATE core.orders SET order_date = '2025-06-01' WHERE order_id % 3 = 0")
        found = connection.execute(everybody).fetchall()
        for path in [*FUNCTIONS, *VIEWS]:
            connection.execute(path.read_text())
        assert connection.execute(everybody).fetchall() == connection.execute(one_by_one).fetchall() == found
        connection.rollback()
    assert len(found) > 400
    assert max(orders for _, _, orders, _ in found) > 1


VIEWS_FOR_READERS = """SELECT format('%I.%I', relnamespace::regnamespace, relname) FROM pg_catalog.pg_class
    WHERE relnamespace = 'marts'::regnamespace AND relkind = 'v' OR oid = 'forecast.calibration'::regclass"""


def seen_in_views(connection: psycopg.Connection) -> dict[str, tuple]:
    """What whoever draws the report, an analyst and more, sees in each view: its columns and its rows."""
    views = [view for (view,) in connection.execute(VIEWS_FOR_READERS).fetchall()]
    seen = {}
    with connection.transaction():
        connection.execute("SET LOCAL ROLE ltv_report")
        for view in views:
            found = connection.execute(f"TABLE {view}")
            columns = [(column.name, column.type_code, column.precision, column.scale) for column in found.description]
            seen[view] = columns, sorted(map(repr, found.fetchall()))
        connection.execute("RESET ROLE")
    return seen


def test_who_reads_a_view_sees_the_same_by_the_rights_of_its_owner(filled: str) -> None:
    with psycopg.connect(filled) as connection:
        before = seen_in_views(connection)
        connection.execute((DISTRIBUTED / "readers.sql").read_text())
        assert seen_in_views(connection) == before
        readers = """SELECT oid::regprocedure::text FROM pg_catalog.pg_proc
            WHERE proname LIKE 'read\\_%' AND prosecdef AND 'search_path=pg_catalog, pg_temp' = ANY (proconfig)"""
        made = {name for (name,) in connection.execute(readers).fetchall()}
        assert {name.replace("read_", "").removesuffix("()") for name in made} == {
            *(f"marts.{name}" for name in ("cohort_retention", "customers_at_risk", "ltv_by_country")),
            *("marts.ltv_by_first_product", "marts.ltv_movers", "forecast.calibration"),
        }
        for name in made:
            allowed = "SELECT has_function_privilege(%s, %s, 'EXECUTE')"
            assert connection.execute(allowed, ["ltv_report", name]).fetchone() == (True,)
            assert connection.execute(allowed, ["ltv_monitor", name]).fetchone() == (False,)
        connection.rollback()


def test_its_migrations_go_forward_and_are_safe() -> None:
    migrations = sorted((DISTRIBUTED / "migrations").glob("*.sql"))
    assert migrations
    assert all("-- migrate:down\nDO $$ BEGIN RAISE EXCEPTION" in path.read_text() for path in migrations)
    squawk = Path(sys.executable).with_name("squawk")
    done = subprocess.run([squawk, *migrations], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_row_is_as_on_one_server_and_core_stays_on_the_workers() -> None:
    """A first load, a night in which orders move, and its undo: bench/distributed.sh.

    Citus refuses what comes from the workers, to be joined on the coordinator, above a limit that core's orders and
    payments exceed, be it by their numbers alone.
    """
    if URL not in os.environ:
        pytest.skip(f"{URL} names no database with Citus, which no package registry has")
    with psycopg.connect(os.environ[URL], autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER ROLE CURRENT_USER IN DATABASE {} SET citus.max_intermediate_result_size = {}").format(
                sql.Identifier(connection.info.dbname), LIMIT
            )
        )
    done = subprocess.run(
        [ROOT / "bench" / "distributed.sh"],
        env=os.environ | {"DATABASE_URL": os.environ[URL], "N": "20000"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"rows, 0 differ$", done.stdout, re.MULTILINE)) == 45
    # The forecast, of everybody and then of one whom a run has changed, is merged from what the workers have.
    for of_everybody in (True, False):
        with psycopg.connect(os.environ[URL]) as connection:
            connection.execute((SQL / "forecast" / "customer_rfm.sql").read_text())
            assert connection.execute("SELECT of_everybody FROM forecast.freshness").fetchone() == (of_everybody,)
            connection.execute("INSERT INTO core.changed_customers (run_no, customer_id) VALUES (1, 7)")
    # A second migration finds all as the first has left it, and whoever may not log in on a worker reads every view.
    migrate.migrate(os.environ[URL])
    with psycopg.connect(os.environ[URL]) as connection:
        # These bring more than a row per customer.
        connection.execute("SET citus.max_intermediate_result_size = '1GB'")
        assert len(seen_in_views(connection)["marts.cohort_retention"][1]) > 10
    with psycopg.connect(os.environ[URL]) as connection:
        # What a function returns is under no such limit: no more than the night's files name.
        connection.execute("SET LOCAL citus.propagate_set_commands = 'local'; SET LOCAL ltv.keeps_nothing = 'on'")
        for asked in ("known_customers('order_data')", "known_orders('order_data')", "known_orders('payment_data')"):
            assert 0 < len(connection.execute(f"SELECT FROM core.{asked}").fetchall()) <= 200, asked
        assert 0 < len(connection.execute("SELECT FROM core.known_payments('payment_data')").fetchall()) <= 200
        with pytest.raises(psycopg.Error, match="the intermediate result size exceeds"):
            connection.execute(
                "SELECT FROM staging.orders AS delivered LEFT JOIN core.orders ON delivered.order_id = orders.order_id"
            )
