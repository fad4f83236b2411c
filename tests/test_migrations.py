"""make migrate: from nothing, again, from every earlier version with rows in its tables, and when something fails."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import migrate
import psycopg
import pytest
import server
import sql_files
from conftest import ROOT, database_url
from pipeline import run_pipeline
from psycopg import sql
from sql_files import SQL
from support import customer, deliver, execute, fetch

# The roles are the server's, not a database's: the template's making makes them.
pytestmark = pytest.mark.usefixtures("template")

MIGRATIONS = sorted((SQL / "migrations").glob("*.sql"))
DOWN = "-- migrate:down\n"
NewDatabase = Callable[..., str]

# A row for every table that the migrations make, in the order in which their keys need each other.
ROWS = {
    "audit.sources": """(source, entity, columns, kind, encoding, delimiter, null_tokens, max_reject_share,
        max_waiting_share, max_volume_fall, max_total_change)
        VALUES ('refund_data', 'refunds', '{refund_id}', 'delta', 'UTF8', ',', '{}', 0.05, 0.05, 0.1, 0.5)""",
    "audit.deployments": "(fingerprint) VALUES ('an earlier one')",
    "audit.runs": "(dag_run_id, as_of, state, fingerprint) VALUES ('earlier', '2025-12-31', 'published', 'f')",
    "audit.steps": "(run_no, task, rows_written, seconds) VALUES (1, 'core.orders', 1, 0.1)",
    "audit.loads": """(run_no, source, file, bytes, sha256, first_line_no, records, loaded, extra_columns, seconds)
        VALUES (1, 'refund_data', 'refund_data.csv', 1, '', 2, 1, 1, '{}', 0.1)""",
    "audit.rejected_rows": """(source, file, line_no, fields, reason, first_run_no, last_run_no)
        VALUES ('refund_data', 'refund_data.csv', 2, '{"refund_id": "x"}', 'refund_id waits: for its order', 1, 1)""",
    "audit.ledger": "(run_no, table_name, rows_before, amount_before) VALUES (1, 'core.orders', 0, 0)",
    "audit.check_results": """(run_no, claim, verdict, bad_rows, checked_rows, fail_over, said)
        VALUES (1, 'core.orders__reconciles', 'passed', 0, 1, 0, 'it holds')""",
    "audit.replaced_rows": "(run_no, table_name, key, replaced) VALUES (1, 'core.orders', 1, '{}')",
    "audit.hand_writes": "(run_no, table_name) VALUES (1, 'core.orders')",
    "audit.sql_files": "(fingerprint, file, sha256) VALUES ('f', 'sql/core/orders.sql', 's')",
    "audit.overrides": """(claim, signed_by, reason, expires_at)
        VALUES ('core.orders__reconciles', 'Ann', 'it is known', now() + INTERVAL '1 hour')""",
    "core.forgotten_customers": "(customer_id) VALUES (1)",
    "core.customers": "(customer_id, first_name, run_no, updated_at) VALUES (1, 'Ann', 1, now())",
    "core.orders": """(order_id, customer_id, order_date, price, run_no, updated_at)
        VALUES (1, 1, '2025-01-01', 10, 1, now())""",
    "core.payments": """(payment_id, customer_id, order_id, payment_date, amount, run_no, updated_at)
        VALUES (1, 1, 1, '2025-01-01', 10, 1, now())""",
    "core.stale_customers": "(customer_id) VALUES (1)",
    "core.changed_customers": "(run_no, customer_id) VALUES (1, 1)",
    "core.customer_activity": """(customer_id, total_orders, total_amount, unpaid_amount, run_no, updated_at)
        VALUES (1, 1, 10, 0, 1, now())""",
    "marts.customer_ltv": """(customer_id, total_orders, total_amount, ltv, orders_per_year, avg_lifespan_years,
        changed_as_of, run_no, updated_at) VALUES (1, 1, 10, 10, 1, 1, '2025-12-31', 1, now())""",
    "marts.customer_ltv_history": """(customer_id, action, as_of, run_no, published_at)
        VALUES (1, 'INSERT', '2025-12-31', 1, now())""",
    "marts.freshness": "(as_of, published_at, run_no) VALUES ('2025-12-31', now(), 1)",
    "forecast.customer_rfm": """(customer_id, frequency, first_order_date, last_order_date, recency, repeat_amount,
        monetary_value, mean_amount, total_orders, total_amount, sample)
        VALUES (1, 0, '2025-12-31', '2025-12-31', 0, 0, 0, 0, 1, 10, 100)""",
    "forecast.freshness": """(as_of, run_no, after_change_no, change_no, of_everybody, computed_at)
        VALUES ('2025-12-31', 1, 0, 1, true, now())""",
    "forecast.clv_model": """(as_of, verdict, customers, repeat_customers, seconds)
        VALUES ('2025-12-31', 'refused: too few', 1, 0, 0.1)""",
    "forecast.customer_forecast": """(customer_id, as_of, frequency, recency, t, monetary_value, updated_at)
        VALUES (1, '2025-12-31', 0, 0, 1, 0, now())""",
    "forecast.publishes": "(as_of, yearly_discount, weeks_a_year, customers) VALUES ('2025-12-31', 0.1, 52, 1)",
    "forecast.customer_forecast_history": "(customer_id, publish_no) VALUES (1, 1)",
    "forecast.check_results": """(as_of, claim, verdict, bad_rows, checked_rows, said)
        VALUES ('2025-12-31', 'forecast.scores__within_bounds', 'passed', 0, 1, 'it holds')""",
}


def kept_tables(url: str) -> list[str]:
    """The tables that migrations make, but for their ledger."""
    return [
        table
        for (table,) in fetch(
            url,
            """SELECT schemaname || '.' || tablename FROM pg_catalog.pg_tables
            WHERE schemaname IN ('audit', 'core', 'forecast', 'marts') AND tablename <> 'schema_migrations'
            ORDER BY 1""",
        )
    ]


def contents(url: str) -> dict[str, list[dict]]:
    with psycopg.connect(url) as connection:
        return {
            table: [
                row
                for (row,) in connection.execute(
                    sql.SQL("SELECT to_jsonb(kept) FROM {} AS kept ORDER BY 1").format(
                        sql.Identifier(*table.split("."))
                    )
                )
            ]
            for table in kept_tables(url)
        }


def schema(cluster: server.Server, url: str) -> list[str]:
    """What pg_dump says of everything but rows."""
    done = subprocess.run(
        [Path(cluster.binaries) / "pg_dump", "--schema-only", "--restrict-key=x", url],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def use(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make `make migrate` take another project's sql/; return that."""
    shutil.copytree(SQL, folder / "sql")
    monkeypatch.setattr(server, "ROOT", folder)
    for module in (migrate, sql_files):
        monkeypatch.setattr(module, "SQL", folder / "sql")
    monkeypatch.setattr(sql_files, "ROOT", folder)
    return folder / "sql"


def test_from_nothing_and_a_second_time(new_database: NewDatabase, cluster: server.Server) -> None:
    url = new_database()
    migrate.migrate(url)
    assert fetch(url, "SELECT version FROM audit.schema_migrations ORDER BY 1") == [
        (path.name.split("_")[0],) for path in MIGRATIONS
    ]
    assert fetch(url, "SELECT source FROM audit.sources ORDER BY 1") == [
        ("customer_data",),
        ("order_data",),
        ("payment_data",),
    ]
    assert set(ROWS) == set(kept_tables(url)), "teach this test the new table"
    before, rows = schema(cluster, url), contents(url)
    migrate.migrate(url)
    assert schema(cluster, url) == before
    after = contents(url)
    assert len(after.pop("audit.deployments")) == len(rows.pop("audit.deployments")) + 1
    assert after == rows


@pytest.mark.parametrize("known", range(len(MIGRATIONS) + 1))
def test_from_an_earlier_version_with_rows_in_its_tables(
    known: int, new_database: NewDatabase, cluster: server.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_database()
    with monkeypatch.context() as patched:
        earlier = use(tmp_path, patched)
        for path in MIGRATIONS[known:]:
            (earlier / "migrations" / path.name).unlink()
        if known:
            migrate.apply_migrations(url, is_encrypted=False)
    for table, row in ROWS.items():
        if table in kept_tables(url):
            execute(url, f"INSERT INTO {table} {row}")
    before = contents(url)
    assert all(len(rows) == 1 for rows in before.values())
    migrate.migrate(url)
    after = contents(url)
    assert set(after) == set(ROWS)
    for table, (row,) in before.items():
        assert any(as_text(row).items() <= as_text(kept).items() for kept in after[table]), table
    fresh = new_database("ltv_fresh")
    migrate.migrate(fresh)
    assert schema(cluster, url) == schema(cluster, fresh)


def migrated_before(number: str, new_database: NewDatabase, folder: Path, patch: pytest.MonkeyPatch) -> str:
    """A warehouse as it was before a migration; returns its URL."""
    url = new_database()
    with patch.context() as patched:
        earlier = use(folder, patched)
        for path in MIGRATIONS:
            if path.name >= number:
                (earlier / "migrations" / path.name).unlink()
        migrate.apply_migrations(url, is_encrypted=False)
    return url


def test_a_correction_that_waits_is_one_after_the_migration_too(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = migrated_before("0012", new_database, tmp_path, monkeypatch)
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO audit.runs (dag_run_id, as_of, fingerprint) VALUES ('one', '2026-01-01', '')")
        connection.execute(
            """INSERT INTO audit.sources VALUES (
                'order_data', 'orders', '{order_id}', 'delta', 'UTF8', ',', '{}', 1, 1, 1, 1
            )"""
        )
        connection.execute(
            """INSERT INTO audit.rejected_rows (
                source, file, line_no, fields, reason, first_run_no, last_run_no, closed_by
            ) VALUES ('order_data', 'f', 1, '{"order_id": "1"}', 'price missing: x', 1, 1, 'corrected as row 2'),
                ('order_data', 'f', 1, '{"order_id": "2"}', 'line waits: x', 1, 1, NULL),
                ('order_data', 'f', 2, '{"order_id": "3"}', 'line waits: x', 1, 1, NULL),
                ('order_data', 'f', 3, '{"order_id": "4"}', 'customer_id waits: x', 1, 1, NULL)"""
        )
    migrate.migrate(url)
    found = fetch(url, "SELECT rejected_row_id, corrects_row_id FROM audit.rejected_rows ORDER BY 1")
    assert found == [(1, None), (2, 1), (3, 3), (4, None)]
    assert fetch(url, "SELECT rejected_row_id FROM audit.waiting_rows ORDER BY 1") == [(2,), (3,), (4,)]


def test_totals_are_widened_without_a_rewrite(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = migrated_before("0010", new_database, tmp_path, monkeypatch)
    files = """SELECT relname, pg_relation_filenode(oid) FROM pg_catalog.pg_class
        WHERE relnamespace::regnamespace::text IN ('core', 'marts') AND relkind = 'r' ORDER BY 1"""
    before = fetch(url, files)
    migrate.migrate(url)
    assert set(before) <= set(fetch(url, files))
    assert fetch(
        url,
        """SELECT count(*), count(*) FILTER (WHERE numeric_precision = 24) FROM information_schema.columns
        INNER JOIN information_schema.tables USING (table_schema, table_name)
        WHERE table_type = 'BASE TABLE' AND table_schema IN ('core', 'marts')
            AND column_name ~ 'total_amount|unpaid_amount|avg_order_value|ltv'""",
    ) == [(8, 8)]


def as_text(row: dict) -> dict[str, str]:
    return {column: json.dumps(value) for column, value in row.items()}


def test_a_failing_definitions_file_is_named_and_nothing_is_applied(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_database()
    changed = use(tmp_path, monkeypatch)
    migrate.migrate(url)
    before = contents(url)
    (changed / "definitions" / "functions" / "audit.aaa.sql").write_text(
        "CREATE FUNCTION audit.aaa() RETURNS integer LANGUAGE sql RETURN 1;"
    )
    (changed / "definitions" / "functions" / "audit.broken.sql").write_text("CREATE FUNCTION audit.broken() RETURNS;")
    with pytest.raises(SystemExit) as failed:
        migrate.migrate(url)
    assert str(failed.value).startswith(
        'make migrate: sql/definitions/functions/audit.broken.sql: syntax error at or near ";"'
    )
    assert contents(url) == before
    assert fetch(url, "SELECT to_regprocedure('audit.aaa()') IS NULL") == [(True,)]


def test_a_view_that_loses_a_column_is_named_and_what_to_do(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_database()
    changed = use(tmp_path, monkeypatch)
    migrate.migrate(url)
    (changed / "definitions" / "views" / "audit.standbys.sql").write_text(
        "CREATE OR REPLACE VIEW audit.standbys AS SELECT 1 AS answer;"
    )
    with pytest.raises(SystemExit) as failed:
        migrate.migrate(url)
    assert str(failed.value).startswith("make migrate: sql/definitions/views/audit.standbys.sql: cannot ")
    assert str(failed.value).endswith("is dropped by a migration first")


def test_a_function_that_returns_another_column_is_named_and_what_to_do(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As README has it for a column of a file that core is to keep."""
    url = new_database()
    changed = use(tmp_path, monkeypatch)
    migrate.migrate(url)
    wider = changed / "definitions" / "functions" / "core.known_orders.sql"
    text = wider.read_text().replace("numeric(14, 2)\n", "numeric(14, 2),\n    channel text\n")
    wider.write_text(text.replace("orders.price\n", "orders.price,\n        orders.channel\n"))
    column = "ALTER TABLE core.orders ADD COLUMN channel text;"
    (changed / "migrations" / "9998_channel.sql").write_text(f"-- migrate:up\n{column}\n{DOWN}")
    with pytest.raises(SystemExit) as failed:
        migrate.migrate(url)
    assert str(failed.value).startswith("make migrate: sql/definitions/functions/core.known_orders.sql: cannot change ")
    assert str(failed.value).endswith("is dropped by a migration first")
    drop = "DROP FUNCTION core.known_orders(text);"
    (changed / "migrations" / "9999_drop.sql").write_text(f"-- migrate:up\n{drop}\n{DOWN}")
    migrate.migrate(url)
    assert fetch(url, "SELECT channel FROM core.known_orders('order_data')") == []


def test_a_failing_migration_is_named_and_leaves_nothing_behind(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_database()
    changed = use(tmp_path, monkeypatch)
    (changed / "migrations" / "9998_good.sql").write_text(f"-- migrate:up\nCREATE TABLE core.good (a int);\n{DOWN}")
    (changed / "migrations" / "9999_broken.sql").write_text(
        f"-- migrate:up\nCREATE TABLE core.half (a int);\nCREATE TABLE core.broken (a nothing);\n{DOWN}"
    )
    with pytest.raises(SystemExit) as failed:
        migrate.migrate(url)
    assert str(failed.value).startswith("make migrate: ")
    assert '"nothing" does not exist' in str(failed.value)
    assert "9999_broken.sql" in str(failed.value)
    assert fetch(url, "SELECT to_regclass('core.good') IS NOT NULL, to_regclass('core.half') IS NULL") == [(True, True)]
    assert fetch(url, "SELECT max(version) FROM audit.schema_migrations") == [("9998",)]


def test_migrations_only_go_forward() -> None:
    for path in MIGRATIONS:
        assert "RAISE EXCEPTION 'migrations only go forward" in path.read_text().partition("-- migrate:down")[2]


def test_a_migration_that_was_edited_after_it_ran_is_refused(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_database()
    changed = use(tmp_path, monkeypatch)
    migrate.migrate(url)
    with (changed / "migrations" / MIGRATIONS[-1].name).open("a") as file:
        file.write("-- one more comment\n")
    (changed / "migrations" / "9999_on_top.sql").write_text(
        "-- migrate:up\nCREATE TABLE audit.on_top (answer integer);\n-- migrate:down\n"
    )
    before = contents(url)
    with pytest.raises(SystemExit) as refused:
        migrate.migrate(url)
    assert str(refused.value) == (
        f"make migrate: sql/migrations/{MIGRATIONS[-1].name} was edited after it ran here: write the next one"
    )
    assert contents(url) == before


def test_a_function_whose_file_has_gone_is_dropped(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_database()
    changed = use(tmp_path, monkeypatch)
    extra = changed / "definitions" / "functions" / "core.extra.sql"
    extra.write_text('CREATE OR REPLACE FUNCTION core."Ex""tra"(a int, b text) RETURNS int LANGUAGE sql RETURN a;')
    migrate.migrate(url)
    statement = (
        "SELECT proname FROM pg_catalog.pg_proc WHERE pronamespace IN ('audit'::regnamespace, 'core'::regnamespace)"
    )
    known = set(fetch(url, statement))
    assert ('Ex"tra',) in known
    extra.unlink()
    migrate.migrate(url)
    assert set(fetch(url, statement)) == known - {('Ex"tra',)}
    assert fetch(url, "SELECT count(*), count(DISTINCT fingerprint) FROM audit.deployments") == [(2, 2)]


def test_begin_refuses_a_warehouse_that_is_behind(
    warehouse: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = use(tmp_path, monkeypatch)
    (changed / "migrations" / "9999_next.sql").write_text(f"-- migrate:up\nSELECT 1;\n{DOWN}")
    statement = "SELECT audit.begin_run('late', '2026-01-31', now(), %s, '')"
    with pytest.raises(psycopg.errors.RaiseException) as refused:
        execute(warehouse, statement, [sql_files.deployed_fingerprint()])
    assert refused.value.diag.message_primary == (
        "the warehouse is not at the version of sql/migrations and sql/definitions that this DAG has"
    )
    assert refused.value.diag.message_hint == "Deploy them with: make migrate"
    assert fetch(warehouse, "SELECT count(*) FROM audit.runs") == [(0,)]
    migrate.migrate(warehouse)
    execute(warehouse, statement, [sql_files.deployed_fingerprint()])
    assert fetch(warehouse, "SELECT dag_run_id, state FROM audit.runs") == [("late", "open")]


@pytest.fixture
def owner_alone(cluster: server.Server, new_database: NewDatabase) -> Iterator[str]:
    """The URL of an empty database by a login that owns it and is nothing else, on a server without our roles."""
    url = new_database("ltv_owned")
    admin_url = database_url(cluster, "postgres", admin=True)
    roles = [role for (role,) in fetch(admin_url, "SELECT rolname FROM pg_roles WHERE rolname LIKE 'ltv\\_%'")]
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE shop LOGIN PASSWORD 'p@ss w/rd' NOSUPERUSER NOCREATEDB NOCREATEROLE")
        connection.execute("ALTER DATABASE ltv_owned OWNER TO shop")
        for role in roles:
            connection.execute(
                sql.SQL("ALTER ROLE {} RENAME TO {}").format(*map(sql.Identifier, (role, f"not_{role}")))
            )
        try:
            yield f"postgresql://shop:p%40ss%20w%2Frd@127.0.0.1:{cluster.port}/ltv_owned"
        finally:
            for role in roles:
                connection.execute(
                    sql.SQL("ALTER ROLE {} RENAME TO {}").format(*map(sql.Identifier, (f"not_{role}", role)))
                )
            connection.execute("DROP DATABASE ltv_owned WITH (FORCE)")
            connection.execute("DROP ROLE shop")
    assert url


def test_a_login_that_owns_the_database_suffices(owner_alone: str, tmp_path: Path) -> None:
    migrate.migrate(owner_alone)
    folder = deliver(
        tmp_path,
        customer_data=[customer(1)],
        order_data=[[1, 1, "2025-01-01", "Phone", 10]],
        payment_data=[[1, 1, 1, "2025-01-01", 10]],
    )
    run_pipeline(owner_alone, folder, "2026-01-31")
    assert fetch(owner_alone, "SELECT customer_id, ltv::text FROM marts.customer_ltv") == [(1, "10.00")]
    assert fetch(owner_alone, "SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user") == [
        (False,)
    ]


def test_an_administrator_who_is_no_superuser_suffices_for_the_roles() -> None:
    """As on a managed server: whoever may make databases and roles, and is asked twice."""
    folder = Path(tempfile.mkdtemp(prefix="ltv-managed-"))
    made = server.create(folder)
    try:
        execute(made.admin_url, f"CREATE ROLE master LOGIN CREATEROLE CREATEDB PASSWORD '{made.admin_password}'")
        master = made.admin_url.replace("/postgres:", "/master:").removesuffix("/warehouse")
        with psycopg.connect(f"{master}/postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE managed")
        url = made.url.removesuffix("warehouse") + "managed"
        for _ in range(2):
            migrate.migrate(url, f"{master}/managed")
        roles = "SELECT rolname FROM pg_roles WHERE rolname LIKE 'ltv\\_%' AND NOT rolsuper AND NOT rolcreaterole"
        assert len(fetch(url, roles)) == 5
        assert fetch(url, "SELECT datdba::regrole::text FROM pg_database WHERE datname = 'managed'") == [
            ("ltv_pipeline",)
        ]
        public = "SELECT FROM pg_database, aclexplode(datacl) WHERE datname = 'managed' AND grantee = 0"
        assert fetch(url, public) == []
        assert not fetch(url, "SELECT FROM pg_auth_members WHERE member = 'ltv_pipeline'::regrole AND inherit_option")
    finally:
        made.remove()
        shutil.rmtree(folder)


def test_a_password_that_libpq_has_from_elsewhere_reaches_dbmate(
    cluster: server.Server, new_database: NewDatabase
) -> None:
    done = subprocess.run(
        [sys.executable, "ops/migrate.py"],
        cwd=ROOT,
        env=os.environ
        | {
            "DATABASE_URL": new_database().replace(f":{cluster.pipeline_password}@", "@"),
            "PGPASSWORD": cluster.pipeline_password,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_login_has_defaults_in_its_database(new_database: NewDatabase) -> None:
    url = new_database()
    migrate.migrate(url)
    names = "statement_timeout", "lock_timeout", "client_connection_check_interval"
    assert fetch(url, "SELECT " + ", ".join(f"current_setting('{name}')" for name in names)) == [("10min", "30s", "2s")]


def test_analysts_read_marts_and_nothing_else(new_database: NewDatabase, cluster: server.Server) -> None:
    url, admin_url = new_database(), database_url(cluster, "ltv_test", admin=True)
    migrate.migrate(url, admin_url)
    with psycopg.connect(admin_url) as connection:
        connection.execute("SET ROLE ltv_analyst")
        assert connection.execute("SELECT count(*) FROM marts.customer_ltv").fetchone() == (0,)
        for statement in ("TABLE core.customers", "TABLE audit.rejected_rows", "DELETE FROM marts.freshness"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute(statement)
    assert not fetch(
        url,
        """SELECT column_name FROM information_schema.columns
        WHERE table_schema = 'marts' AND column_name IN ('email', 'date_of_birth', 'first_name', 'last_name')""",
    )


def test_squawk_finds_nothing() -> None:
    squawk = Path(sys.executable).with_name("squawk")
    done = subprocess.run([squawk, *MIGRATIONS], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert f"Found 0 issues in {len(MIGRATIONS)} files" in done.stdout + done.stderr


def an_undo_would_take_it_back(migration: str) -> bool:
    up = migration.partition(DOWN)[0]
    changes = re.search(r"^\s*(UPDATE|DELETE FROM|MERGE INTO) core\.", up, re.MULTILINE | re.IGNORECASE)
    return bool(changes) and "SET LOCAL ltv.keeps_nothing = 'on';" not in up[: changes.start()]


def test_what_a_migration_changes_in_core_is_not_taken_back_by_an_undo() -> None:
    assert an_undo_would_take_it_back("UPDATE core.orders SET product = 'x';\nSET LOCAL ltv.keeps_nothing = 'on';")
    assert not an_undo_would_take_it_back("SET LOCAL ltv.keeps_nothing = 'on';\nUPDATE core.orders SET product = 'x';")
    assert [path.name for path in MIGRATIONS if an_undo_would_take_it_back(path.read_text())] == []


def test_what_keeps_nothing_is_not_undone(warehouse: str) -> None:
    run_pipeline(warehouse, ROOT / "data", "2026-01-31", "1")
    execute(warehouse, "SET LOCAL ltv.keeps_nothing = 'on'; UPDATE core.orders SET product = 'as migrated'")
    assert fetch(warehouse, "SELECT FROM audit.replaced_rows") == []


def test_the_history_of_forecasts_begins_with_the_published_one(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = migrated_before("0017", new_database, tmp_path, monkeypatch)
    execute(
        url,
        """INSERT INTO forecast.clv_model
            (as_of, verdict, customers, repeat_customers, r, alpha, a, b, log_likelihood, seconds)
        VALUES ('2026-01-28', 'fitted, without values: a test', 2, 1, 0.243, 4.414, 0.793, 2.426, -1, 1)""",
    )
    execute(
        url,
        """INSERT INTO forecast.customer_forecast
        SELECT n, '2026-01-31', x, t_x / 7.0, t / 7.0, m, v.p_alive, v.orders, NULL, NULL, 1, now()
        FROM (VALUES (1, 0, 0, 30, 0, 1, 0.4), (2, 3, 101, 213, 12.3456, 0.5, 1))
            AS v (n, x, t_x, t, m, p_alive, orders)""",
    )
    migrate.migrate(url)
    assert fetch(
        url,
        """SELECT customer_id, publish_no, frequency, first_order_date::text, last_order_date::text,
            monetary_value::text
        FROM forecast.customer_forecast_history ORDER BY 1""",
    ) == [
        (1, 1, 0, "2026-01-01", "2026-01-01", "0.0000"),
        (2, 1, 3, "2025-07-02", "2025-10-11", "12.3456"),
    ]
    assert fetch(
        url, "SELECT as_of::text, model_no, customers, expected_orders::text, expected_value FROM forecast.publishes"
    ) == [("2026-01-31", 1, 2, "1.400000", None)]
    known = "customer_id, as_of, frequency, recency, t, monetary_value, model_no"
    assert fetch(url, f"SELECT {known} FROM marts.customer_forecast_as_of('2026-01-31') ORDER BY customer_id") == fetch(
        url, f"SELECT {known} FROM forecast.customer_forecast ORDER BY customer_id"
    )
