"""What sql/distributed changes: as far as a server without Citus can show it, and all of it where one is given."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import migrate
import psycopg
import pytest
import server
from conftest import ROOT
from pipeline import run_pipeline
from sql_files import SQL
from support import fetch, warehouse_of

# The roles are the server's, not a database's: the template's making makes them.
pytestmark = pytest.mark.usefixtures("template")

DISTRIBUTED = SQL / "distributed"
FUNCTIONS = sorted((DISTRIBUTED / "functions").glob("*.sql"))
# What a worker needs and one server does not.
NEW = {"audit.refuse_outside_of_runs", "audit.numbers_named"}
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
            FROM pg_catalog.pg_proc WHERE pronamespace::regnamespace::text IN ('audit', 'core')"""
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


def test_its_migrations_go_forward_and_are_safe() -> None:
    migrations = sorted((DISTRIBUTED / "migrations").glob("*.sql"))
    assert migrations
    assert all("-- migrate:down\nDO $$ BEGIN RAISE EXCEPTION" in path.read_text() for path in migrations)
    squawk = Path(sys.executable).with_name("squawk")
    done = subprocess.run([squawk, *migrations], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_row_is_as_on_one_server() -> None:
    """A first load, a night in which orders move, and its undo: bench/distributed.sh."""
    if URL not in os.environ:
        pytest.skip(f"{URL} names no database with Citus, which no package registry has")
    done = subprocess.run(
        [ROOT / "bench" / "distributed.sh"],
        env=os.environ | {"DATABASE_URL": os.environ[URL], "N": "20000"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"rows, 0 differ$", done.stdout, re.MULTILINE)) == 45
