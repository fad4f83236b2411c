"""`make doctor`: a line for each thing that a night needs, and what to do where it is not as it should be."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
import server
from conftest import ROOT, database_url
from doctor import look_at_disk
from pipeline import begin, run_pipeline
from psycopg import sql
from support import COLUMNS, execute, fetch

FAILED_RUN = "SELECT audit.fail_run('night', 'core.orders', 'the disk is full')"


def doctor(url: str, data: Path | str = ROOT / "data", **environment: str) -> tuple[int, dict[str, str]]:
    """Its exit code, and its lines by what they are about."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    done = subprocess.run(
        [sys.executable, ROOT / "ops" / "doctor.py"],
        env=inherited | {"DATABASE_URL": url, "DATA": str(data), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    lines = [line.split(None, 2) for line in done.stdout.splitlines()]
    return done.returncode, {subject: f"{sign} {said}" for sign, subject, said in lines}


def test_a_warehouse_that_is_ready(warehouse: str, cluster: server.Server) -> None:
    run_pipeline(warehouse, ROOT / "data", "2026-01-31", "night")
    code, lines = doctor(warehouse)
    assert code == 0
    assert lines["warehouse"] == f"ok ltv_pipeline@127.0.0.1:{cluster.port}/ltv_test"
    assert lines["version"].startswith("ok PostgreSQL 18.")
    assert lines["encoding"] == "ok UTF8"
    assert lines["owner"] == "ok ltv_pipeline owns ltv_test"
    assert lines["roles"] == "ok ltv_analyst, ltv_monitor, ltv_report and ltv_steward are there"
    assert lines["locks"] == "ok nobody holds a table and sleeps"
    assert lines["migrations"].startswith("ok deployed 20")
    assert lines["disk"] == "warn the server's disk is not seen from here -> have it watched"
    assert all(lines[name].startswith((f"ok {ROOT}", f"warn {ROOT}")) for name in COLUMNS)


def test_it_changes_nothing(warehouse: str) -> None:
    written = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_catalog.pg_stat_user_tables"
    execute(warehouse, "SELECT pg_stat_force_next_flush()")
    before = fetch(warehouse, written)
    assert doctor(warehouse)[0] == 0
    assert fetch(warehouse, written) == before


def test_a_server_that_does_not_answer_is_said_without_the_password(cluster: server.Server) -> None:
    code, lines = doctor(f"postgresql://ltv_pipeline:{'secret' * 3}@127.0.0.1:1/warehouse")
    assert code == 1
    assert "Connection refused" in lines["warehouse"]
    assert lines["warehouse"].startswith("FAIL ")
    assert not any("secretsecret" in line for line in lines.values())
    code, lines = doctor(cluster.url.replace(cluster.pipeline_password, "secretsecret"))
    assert code == 1
    assert "password authentication failed" in lines["warehouse"]
    assert "secretsecret" not in lines["warehouse"]


def test_a_database_without_its_schemas(new_database: Callable[..., str]) -> None:
    code, lines = doctor(new_database())
    assert (code, lines["migrations"]) == (1, "FAIL sql/ was never deployed here -> make migrate")
    assert "order_data" not in lines


def test_a_version_of_sql_that_is_not_deployed(warehouse: str) -> None:
    execute(warehouse, "INSERT INTO audit.deployments (fingerprint) VALUES ('another')")
    code, lines = doctor(warehouse)
    assert code == 1
    assert lines["migrations"].startswith("FAIL deployed 20")
    assert lines["migrations"].endswith("; sql/ is another now -> make migrate")


def test_a_database_in_another_encoding(cluster: server.Server) -> None:
    admin = database_url(cluster, "postgres", admin=True)
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(
            "CREATE DATABASE ltv_latin OWNER ltv_pipeline TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'"
        )
        try:
            code, lines = doctor(database_url(cluster, "ltv_latin"))
        finally:
            connection.execute("DROP DATABASE ltv_latin")
    assert code == 1
    said = "FAIL SQL_ASCII -> make the database anew: CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8'"
    assert lines["encoding"] == said


@pytest.mark.usefixtures("warehouse")
def test_a_login_that_does_not_own_the_database(cluster: server.Server) -> None:
    with psycopg.connect(database_url(cluster, "ltv_test", admin=True), autocommit=True) as connection:
        connection.execute("CREATE ROLE somebody LOGIN PASSWORD 'somebody' IN ROLE ltv_steward")
        try:
            code, lines = doctor(f"postgresql://somebody:somebody@127.0.0.1:{cluster.port}/ltv_test")
        finally:
            connection.execute("DROP ROLE somebody")
    assert code == 1
    assert lines["owner"] == (
        "FAIL somebody does not own ltv_test -> let an administrator run sql/admin/roles.sql in this database"
    )


def test_roles_that_are_missing(warehouse: str, cluster: server.Server) -> None:
    with psycopg.connect(database_url(cluster, "ltv_test", admin=True), autocommit=True) as connection:
        for old, new in (("ltv_monitor", "ltv_away"), ("ltv_away", "ltv_monitor")):
            connection.execute(sql.SQL("ALTER ROLE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new)))
            if new == "ltv_away":
                code, lines = doctor(warehouse)
    assert (code, lines["roles"]) == (
        1,
        "FAIL ltv_monitor missing -> let an administrator run sql/admin/roles.sql in this database",
    )


def test_somebody_who_holds_a_table_and_sleeps(warehouse: str) -> None:
    with psycopg.connect(warehouse) as sleeper:
        sleeper.execute("SELECT FROM core.orders")
        time.sleep(6)
        code, lines = doctor(warehouse)
        assert code == 1
        assert lines["locks"] == (
            f"FAIL process {sleeper.info.backend_pid} holds core.orders and sleeps -> "
            "have that session COMMIT or ROLLBACK, or end it: SELECT pg_terminate_backend(pid)"
        )
        assert set(COLUMNS) <= lines.keys(), "one trouble hides no other"


def test_a_server_without_room_for_a_run(warehouse: str) -> None:
    with ExitStack() as sessions:
        # Of a hundred three are the administrator's.
        for _ in range(88):
            sessions.enter_context(psycopg.connect(warehouse))
        code, lines = doctor(warehouse)
    assert code == 1
    assert lines["sessions"] == (
        "FAIL 89 of 97 taken -> a run needs ten: raise max_connections, or put PgBouncer in front"
    )


@pytest.mark.parametrize(("free", "is_fit"), [(1.9e9, False), (2.1e9, True)])
def test_a_disk_that_is_nearly_full(
    free: float, is_fit: bool, cluster: server.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setattr(server, "find", lambda: cluster)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    (found,) = look_at_disk()
    assert (found.subject, found.is_fit, found.is_warning) == ("disk", is_fit, False)
    assert re.fullmatch(rf"{free / 1e9:.1f} GB free, the cluster takes \d+\.\d GB", found.said)


def test_files_that_are_missing_or_old(warehouse: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / "data" / "customer_data.csv", tmp_path / "customer_data.csv")
    shutil.copy(ROOT / "data" / "order_data.csv", tmp_path / "order_data.csv")
    os.utime(tmp_path / "order_data.csv", (0, 0))
    code, lines = doctor(warehouse, tmp_path)
    assert code == 1
    assert lines["customer_data"].startswith("ok ")
    assert lines["order_data"].startswith("warn ")
    assert lines["order_data"].endswith("of 1970-01-01 00:00 UTC -> is it last night's? Ask the source")
    assert lines["payment_data"] == (
        f"FAIL payment_data.csv is missing in {tmp_path} -> have it delivered, or say where it is: DATA, ltv_source"
    )


def test_alerts_that_reach_somebody_or_nobody(warehouse: str) -> None:
    code, lines = doctor(warehouse)
    nobody = "warn nobody is told when a night fails -> README, Be told: alerts_smtp, alerts_webhook"
    assert (code, lines["alerts"]) == (0, nobody)
    # As compose has it where .env names none.
    assert doctor(warehouse, AIRFLOW_CONN_ALERTS_SMTP="")[1]["alerts"] == nobody
    _, lines = doctor(
        warehouse, AIRFLOW_CONN_ALERTS_WEBHOOK='{"conn_type": "http", "host": "https://hooks.example.com"}'
    )
    assert lines["alerts"] == "ok alerts_webhook"


def test_a_run_that_failed_is_a_warning(warehouse: str) -> None:
    begin(warehouse, "2026-01-31", "night")
    execute(warehouse, FAILED_RUN)
    code, lines = doctor(warehouse)
    assert code == 0
    assert lines["run"] == (
        "warn run 1, as of 2026-01-31, is failed: core.orders: the disk is full -> README, When a check fails"
    )
