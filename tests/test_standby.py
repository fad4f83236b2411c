"""A replica for analysts: how far it is behind, as the primary says it and as it says itself."""

import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import run
import server
import yaml
from conftest import ROOT, database_url
from pipeline import run_pipeline
from rich.console import Console
from support import fetch, free_port
from test_doctor import doctor
from test_faults import wait_for

HERE = "SELECT as_of::text, is_replica, seconds_behind FROM marts.freshness_here"
METRICS = "SELECT metric, subject, value FROM audit.warehouse_metrics WHERE metric LIKE 'standby%' ORDER BY 1"


@pytest.fixture(scope="module")
def standby(cluster: server.Server) -> Iterator[int]:
    """The port of a server that follows the tests' own one."""
    folder = Path(tempfile.mkdtemp(prefix="ltv-standby-"))
    password, data, port = folder / "pgpass", folder / "data", free_port()
    password.touch(0o600)
    password.write_text(f"*:*:*:*:{cluster.admin_password}\n")
    if os.geteuid() == 0:
        for path in (folder, password):
            os.chown(path, server.NOBODY, server.NOBODY)
    primary = f"host=127.0.0.1 port={cluster.port} user=postgres passfile={password} application_name=replica"
    try:
        cluster.command("pg_basebackup", "-d", primary, "-D", str(data), "-R", "-c", "fast")
        cluster.command("pg_ctl", "start", "-w", "-D", str(data), "-l", f"{folder}/log", "-o", f"-p {port}")
        yield port
    finally:
        if data.exists():
            cluster.command("pg_ctl", "stop", "-w", "-m", "immediate", "-D", str(data), check=False)
        shutil.rmtree(folder)


@pytest.fixture
def replica(warehouse: str, standby: int, cluster: server.Server) -> str:
    """The URL of the warehouse on the standby, for the administrator; a run has published, and it has come."""
    run_pipeline(warehouse, ROOT / "data", "2026-01-31", "night")
    url = database_url(cluster, "ltv_test", admin=True).replace(f":{cluster.port}/", f":{standby}/")
    ((published,),) = fetch(warehouse, "SELECT pg_current_wal_lsn()::text")
    arrived = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
    wait_for("the replay", lambda: fetch(url.replace("/ltv_test", "/postgres"), arrived, [published]) == [(True,)])
    return url


@contextmanager
def seen_by_the_pipeline(cluster: server.Server) -> Iterator[None]:
    """The login of the pipeline may see everybody's statistics for as long as the block lasts."""
    with psycopg.connect(database_url(cluster, "postgres", admin=True), autocommit=True) as connection:
        connection.execute("GRANT pg_read_all_stats TO ltv_pipeline")
        try:
            yield
        finally:
            connection.execute("REVOKE pg_read_all_stats FROM ltv_pipeline")


@contextmanager
def replay_paused(replica: str) -> Iterator[None]:
    """The standby takes what comes, and shows none of it, for as long as the block lasts."""
    with psycopg.connect(replica.replace("/ltv_test", "/postgres"), autocommit=True) as connection:
        connection.execute("SELECT pg_wal_replay_pause()")
        paused = "SELECT pg_get_wal_replay_pause_state() = 'paused'"
        wait_for("the pause", lambda: connection.execute(paused).fetchone() == (True,))
        try:
            yield
        finally:
            connection.execute("SELECT pg_wal_replay_resume()")


def summary(url: str) -> str:
    """What `make run` prints of the run."""
    printed = io.StringIO()
    with psycopg.connect(url) as connection:
        run.show(Console(file=printed, width=130), connection, "night")
    return printed.getvalue()


def write_a_megabyte(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE raw.filler AS SELECT repeat('x', 100) FROM generate_series(1, 10000)")


@pytest.mark.usefixtures("replica")
def test_without_the_right_there_is_a_standby_and_no_more(warehouse: str) -> None:
    assert fetch(warehouse, "SELECT standby, bytes_behind, seconds_behind FROM audit.standbys") == [
        ("replica", None, None)
    ]
    assert fetch(warehouse, METRICS) == []
    assert "replica  GRANT pg_read_all_stats TO ltv_pipeline, to see it" in summary(warehouse)


def test_the_primary_says_how_far_it_is_behind(warehouse: str, replica: str, cluster: server.Server) -> None:
    def bytes_behind() -> float:
        return fetch(warehouse, METRICS)[0][2]

    with seen_by_the_pipeline(cluster):
        # A server writes by itself too, and then is ahead for a moment.
        nothing = [("standby_bytes_behind", "replica", 0), ("standby_seconds_behind", "replica", 0)]
        wait_for("the word of its replay", lambda: fetch(warehouse, METRICS) == nothing)
        assert "Standbys" in summary(warehouse)
        wait_for("the same in a summary", lambda: "replica  0 bytes, 0.0 s" in summary(warehouse))
        with replay_paused(replica):
            write_a_megabyte(warehouse)
            assert bytes_behind() > 1_000_000
            assert "kB" in summary(warehouse).partition("Standbys")[2]
        wait_for("the rest", lambda: bytes_behind() == 0)


@pytest.mark.usefixtures("replica")
def test_a_monitor_sees_it_by_pg_monitor(cluster: server.Server) -> None:
    with psycopg.connect(database_url(cluster, "ltv_test", admin=True)) as connection:
        connection.execute("CREATE ROLE ltv_exporter IN ROLE ltv_monitor, pg_monitor")
        connection.execute("SET LOCAL ROLE ltv_exporter")
        seen = connection.execute(METRICS).fetchone()
        assert seen[:2] == ("standby_bytes_behind", "replica")
        # What postgres-exporter asks.
        queries = yaml.safe_load((ROOT / "deploy" / "monitoring" / "queries.yaml").read_text())
        asked = connection.execute(queries["customer_ltv_standby"]["query"])
        assert [column.name for column in asked.description] == ["standby", "bytes_behind", "seconds_behind"]
        assert asked.fetchone()[0] == "replica"
        connection.rollback()


def test_the_doctor_sends_nobody_to_a_standby(replica: str) -> None:
    code, lines = doctor(replica)
    assert code == 1
    assert lines["writing"].startswith("FAIL this is a standby: it only reads -> name the primary")


def test_an_analyst_is_told_on_the_replica(warehouse: str, replica: str) -> None:
    def told() -> tuple:
        with psycopg.connect(replica, autocommit=True) as connection:
            connection.execute("SET ROLE ltv_analyst")
            return connection.execute(HERE).fetchone()

    wait_for("all that has come", lambda: told() == ("2026-01-31", True, 0))
    with replay_paused(replica):
        write_a_megabyte(warehouse)
        wait_for("more", lambda: told()[2] > 0)
    wait_for("all of it", lambda: told()[2] == 0)
    assert fetch(warehouse, HERE) == [("2026-01-31", False, 0)]
