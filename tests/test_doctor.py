"""`make doctor`: a line for each thing that a night needs, and what to do where it is not as it should be."""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
import server
from conftest import ROOT, database_url
from doctor import LET_GO, look_at_disk, look_at_schedule
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
    assert lines["writing"] == "ok this server takes writes"
    assert lines["encoding"] == "ok UTF8"
    assert lines["owner"] == "ok ltv_pipeline owns ltv_test"
    assert lines["tables"] == "ok ltv_pipeline may change every table"
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


@pytest.mark.parametrize("table", ["staging.orders", "audit.deployments", "audit.runs"])
def test_a_table_of_somebody_else(table: str, warehouse: str, cluster: server.Server) -> None:
    run_pipeline(warehouse, ROOT / "data", "2026-01-31", "night")
    with psycopg.connect(database_url(cluster, "ltv_test", admin=True), autocommit=True) as connection:
        connection.execute(f"ALTER TABLE {table} OWNER TO postgres")
        code, lines = doctor(warehouse)
    assert code == 1
    assert lines["tables"] == (
        f"FAIL of somebody else: {table} (postgres) -> ALTER TABLE … OWNER TO ltv_pipeline, as an administrator"
    )


def test_a_server_that_takes_no_writes(warehouse: str) -> None:
    execute(warehouse, "ALTER ROLE CURRENT_USER IN DATABASE ltv_test SET default_transaction_read_only = 'on'")
    code, lines = doctor(warehouse)
    assert code == 1
    assert lines["writing"].startswith(
        "FAIL sessions here only read: default_transaction_read_only -> name the primary"
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


def test_somebody_else_who_holds_a_table(warehouse: str, cluster: server.Server) -> None:
    """What other logins do is hidden from the pipeline's; that they hold something is not."""
    run_pipeline(warehouse, ROOT / "data", "2026-01-31", "night")
    with psycopg.connect(database_url(cluster, "ltv_test", admin=True)) as sleeper:
        sleeper.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        sleeper.execute("SELECT FROM marts.customer_ltv")
        sleeper.execute("ANALYZE core.orders")
        assert doctor(warehouse)[1]["locks"].startswith("ok "), "a run does not wait for who reads the mart"
        sleeper.execute("SELECT FROM staging.orders")
        code, lines = doctor(warehouse)
        assert code == 1
        assert lines["locks"].startswith(
            f"FAIL process {sleeper.info.backend_pid} holds staging.orders of postgres; whether it sleeps is hidden"
        )
        sleeper.rollback()
        # Whoever is at work lets go of it.
        sleeper.execute("UPDATE core.orders SET price = price")
        asking = ThreadPoolExecutor(1).submit(doctor, warehouse)
        time.sleep(LET_GO)
        sleeper.rollback()
        assert asking.result()[1]["locks"].startswith("ok ")


@pytest.mark.parametrize("is_theirs", [False, True])
def test_a_server_without_room_for_a_run(is_theirs: bool, warehouse: str, cluster: server.Server) -> None:
    with ExitStack() as sessions:
        # Of a hundred three are the administrator's.
        for _ in range(88):
            sessions.enter_context(
                psycopg.connect(database_url(cluster, "postgres", admin=True) if is_theirs else warehouse)
            )
        code, lines = doctor(warehouse)
    assert code == 1
    assert lines["sessions"] == (
        "FAIL 89 of 97 taken -> a run needs ten: raise max_connections, or put PgBouncer in front"
    )


def test_a_worker_that_is_down(warehouse: str) -> None:
    """As Citus answers, which no test in CI has."""
    assert "workers" not in doctor(warehouse)[1]
    execute(warehouse, "CREATE TABLE audit.distributed_migrations ()")
    said = []
    for is_reached in ("true", "false"):
        execute(
            warehouse,
            f"""CREATE OR REPLACE FUNCTION public.citus_check_cluster_node_health(
                OUT from_nodename text, OUT from_nodeport int,
                OUT to_nodename text, OUT to_nodeport int, OUT result boolean
            ) RETURNS SETOF record LANGUAGE sql AS $$
                VALUES ('w2', 3, 'w1', 2, nullif({is_reached}, false)),
                    ('c', 1, 'w1', 2, true), ('c', 1, 'w2', 3, {is_reached})
            $$""",
        )
        code, lines = doctor(warehouse)
        said.append((code, lines["workers"]))
    assert said == [
        (0, "ok every node reaches every other"),
        (1, "FAIL w2:3 is not reached from c:1 -> start it, and look at its firewall: core stands there"),
    ]


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


def test_files_that_a_run_would_not_take(warehouse: str, tmp_path: Path) -> None:
    header, record = (ROOT / "data" / "payment_data.csv").read_bytes().splitlines(keepends=True)[:2]
    (tmp_path / "customer_data.csv").write_bytes(b"")
    (tmp_path / "order_data.csv").write_bytes(header + record)
    (tmp_path / "payment_data_1.csv").write_bytes(header + record)
    (tmp_path / "payment_data_2.csv.gz").write_bytes(gzip.compress(header))
    code, lines = doctor(warehouse, tmp_path)
    assert code == 1
    assert lines["customer_data"].startswith("FAIL customer_data.csv is empty -> ")
    assert lines["order_data"].startswith("FAIL order_data.csv: expected the columns order_id, ")
    assert lines["payment_data"].startswith("FAIL payment_data_2.csv.gz has a header and no records -> ")


BROKEN = "Airflow cannot read customer_ltv"


@pytest.mark.parametrize(
    ("dag", "changed", "found"),
    [
        ("", {}, (True, True, "on")),
        ("customer_forecast", {"is_paused": "True"}, (True, True, "on")),
        ("customer_ltv_watch", {"is_paused": "True"}, (False, True, "on, customer_ltv_watch off")),
        ("customer_ltv", {"is_paused": "True"}, (False, False, "customer_ltv off")),
        ("customer_ltv", {"is_stale": "True"}, (False, False, BROKEN)),
        ("customer_ltv", {"has_import_errors": "True"}, (False, False, BROKEN)),
        ("customer_ltv", {"dag_id": "another"}, (False, False, BROKEN)),
    ],
)
def test_a_schedule_that_is_off_or_cannot_be_read(dag: str, changed: dict[str, str], found: tuple) -> None:
    """By what `airflow dags list` answers: a line of warnings, and then this."""
    fit = {"is_paused": "False", "is_stale": "False", "has_import_errors": "False"}
    names = ("customer_forecast", "customer_ltv", "customer_ltv_watch")
    told = json.dumps([{"dag_id": name, **fit, **(changed if name == dag else {})} for name in names])
    answers = [
        SimpleNamespace(communicate=lambda: (f"[warning] a library is missing\n{told}\n", None), returncode=0)
    ] * 2
    _, schedule = look_at_schedule(*answers)
    assert (schedule.is_fit, schedule.is_fit or schedule.is_warning, schedule.said) == found


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
