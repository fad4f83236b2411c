"""Look at everything that a night needs, and print a line for each with what to do: `make doctor`.

It changes nothing. DATABASE_URL and DATA are those of `make run`; Airflow is the one that the environment names, or
else that of `make ui`.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import airflow_home
import migrate
import psycopg
import server
from rich.console import Console
from sql_files import SQL, deployed_fingerprint

# A delivery is a day old at most when the next one is due, and may be some hours late.
FRESH = timedelta(hours=36)
# Seconds in which a lock that is held by somebody at work is gone.
LET_GO = 5
NIGHTLY = ("customer_ltv", "customer_ltv_watch")
SIGNS = {
    (True, True): ("ok  ", "green"),
    (True, False): ("ok  ", "green"),
    (False, True): ("warn", "yellow"),
    (False, False): ("FAIL", "bold red"),
}


@dataclass(frozen=True)
class Finding:
    """What was looked at, what was seen there, and, unless it is fit, what to do; a warning stops no run."""

    subject: str
    is_fit: bool
    said: str
    remedy: str = ""
    is_warning: bool = False


def known_warehouse() -> str | None:
    """Return the warehouse's URL, or None where there is none yet; the embedded server is started, and never made."""
    if not os.environ.get("DATABASE_URL") and server.find() is None:
        return None
    return migrate.warehouse()[0]


def ask_airflow(*arguments: str) -> subprocess.Popen[str]:
    """Start one of Airflow's commands; it takes seconds, most of them to start."""
    airflow = str(Path(sys.executable).with_name("airflow"))
    return subprocess.Popen(  # noqa: S603 - a program of ours, no shell
        [airflow, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def look_at_warehouse(url: str) -> Iterator[Finding]:
    """Look at the server, the database, the version of sql/ and the last run."""
    try:
        connection = psycopg.connect(url, autocommit=True, connect_timeout=10, client_encoding="UTF8")
    except psycopg.OperationalError as error:
        yield Finding("warehouse", False, str(error).strip(), "look at DATABASE_URL, at the server and its firewall")
        return
    with connection:
        where = f"{connection.info.user}@{connection.info.host}:{connection.info.port}/{connection.info.dbname}"
        yield Finding("warehouse", True, where)
        found = ask_server(connection)
        yield from found.values()
        if not found["owner"].is_fit or "audit." in found["tables"].said:
            # What stands in its schemas is not for everybody to see.
            return
        yield from look_at_workers(connection)
        if connection.execute("SELECT to_regclass('audit.deployments') IS NULL").fetchone() == (True,):
            yield Finding("migrations", False, "sql/ was never deployed here", "make migrate")
            return
        deployed = connection.execute(
            "SELECT fingerprint, deployed_at::text FROM audit.deployments ORDER BY deployed_at DESC LIMIT 1"
        ).fetchone()
        is_current = deployed is not None and deployed[0] == deployed_fingerprint()
        said = f"deployed {deployed[1]}" if deployed else "sql/ was never deployed here"
        yield Finding("migrations", is_current, said + ("" if is_current else "; sql/ is another now"), "make migrate")
        yield from look_at_last_run(connection)


def look_at_workers(connection: psycopg.Connection) -> Iterator[Finding]:
    """Say whether the nodes of a distributed warehouse reach each other; one server has none."""
    if connection.execute("SELECT to_regclass('audit.distributed_migrations') IS NULL").fetchone() == (True,):
        return
    # What cannot be asked of a node that is down is unknown: where it is called from comes first.
    missed = connection.execute(
        """SELECT to_nodename || ':' || to_nodeport || ' is not reached from ' || from_nodename || ':' || from_nodeport
        FROM citus_check_cluster_node_health() WHERE result IS NOT TRUE ORDER BY result, 1 LIMIT 1"""
    ).fetchone()
    said = missed[0] if missed else "every node reaches every other"
    yield Finding("workers", missed is None, said, "start it, and look at its firewall: core stands there")


def ask_server(connection: psycopg.Connection) -> dict[str, Finding]:
    """Return what the server says of itself, by its subject."""
    asked = (SQL / "admin" / "doctor.sql").read_text(encoding="utf-8")
    found = {row[0]: Finding(*row) for row in connection.execute(asked)}
    if not found["locks"].is_fit:
        # Whoever is at work holds a table too, and lets go of it.
        time.sleep(LET_GO)
        again = {row[0]: Finding(*row) for row in connection.execute(asked)}
        found["locks"] = again["locks"]
    return found


def look_at_last_run(connection: psycopg.Connection) -> Iterator[Finding]:
    """Say how the last run went."""
    last = connection.execute(
        """SELECT state IN ('published', 'open', 'undone'), format('run %s, as of %s, is %s', run_no, as_of, state)
            || coalesce(': ' || reason, '')
        FROM audit.runs ORDER BY run_no DESC LIMIT 1"""
    ).fetchone()
    if last is None:
        yield Finding("run", False, "there has been none", "make run", is_warning=True)
    else:
        yield Finding("run", last[0], last[1], "README, When a check fails", is_warning=True)


def look_at_disk() -> Iterator[Finding]:
    """Compare what is free with what the embedded server's cluster takes; of a server elsewhere nothing is seen."""
    embedded = None if os.environ.get("DATABASE_URL") else server.find()
    if embedded is None:
        yield Finding("disk", False, "the server's disk is not seen from here", "have it watched", is_warning=True)
        return
    free = shutil.disk_usage(embedded.folder).free
    taken = sum(path.lstat().st_size for path in embedded.data.rglob("*") if path.is_file())
    # What is rebuilt stands twice for a while, and WAL beside it.
    said = f"{free / 1e9:.1f} GB free, the cluster takes {taken / 1e9:.1f} GB"
    yield Finding("disk", free > max(taken, 2e9), said, "make room: as much as the cluster takes, and 2 GB at least")


def look_at_source(url: str, folder: str) -> Iterator[Finding]:
    """Look for every source's files in the folder, and at their first lines, as tonight's run would."""
    from copy_csv import check_header, find_files, opened, read_header
    from stores import BadFileError, changed_at

    with psycopg.connect(url, autocommit=True) as connection:
        asked = """SELECT source, ((now() AT TIME ZONE 'Africa/Kigali')::date - 1)::text, columns, encoding, delimiter
            FROM audit.sources ORDER BY source"""
        sources = connection.execute(asked).fetchall()
    for source, day, columns, encoding, delimiter in sources:
        try:
            files = find_files(folder.replace("{as_of}", day), source)
            changed = min(changed_at(path) for path in files)
            for path in files:
                with opened(path) as (_, stream):
                    check_header(read_header(stream, path.name, encoding, delimiter), columns, path.name)
                    if not stream.read(1):
                        raise BadFileError(f"{path.name} has a header and no records")
        except (BadFileError, OSError, ImportError) as error:
            yield Finding(source, False, str(error), "have it delivered, or say where it is: DATA, ltv_source")
            continue
        said = f"{files[0]}{f' and {len(files) - 1} more' if len(files) > 1 else ''}, of {changed:%Y-%m-%d %H:%M} UTC"
        is_fresh = datetime.now(UTC) - changed < FRESH
        yield Finding(source, is_fresh, said, "is it last night's? Ask the source", is_warning=True)


def look_at_schedule(jobs: subprocess.Popen[str], dags: subprocess.Popen[str]) -> Iterator[Finding]:
    """Say whether Airflow's scheduler lives, and the DAG and its watch are on, by what Airflow has answered."""
    jobs.communicate()
    told = dags.communicate()[0]
    if jobs.returncode:
        yield Finding("scheduler", False, "none lives", "start Airflow: make ui, docker compose up", is_warning=True)
        return
    yield Finding("scheduler", True, "lives")
    known: dict[str, dict[str, str]] = {}
    with suppress(ValueError):
        known = {dag["dag_id"]: dag for dag in json.loads(told[told.index("[{") :])}
    # A file that can be read no longer leaves its last DAG behind, which starts nothing.
    fit = {"is_stale": "False", "has_import_errors": "False"}
    if broken := [dag for dag in NIGHTLY if not fit.items() <= known.get(dag, {}).items()]:
        yield Finding(
            "schedule", False, f"Airflow cannot read {' and '.join(broken)}", "airflow dags list-import-errors"
        )
        return
    off = [dag for dag in NIGHTLY if known[dag]["is_paused"] != "False"]
    remedy = f"airflow dags unpause {off[0] if off else ''}"
    if NIGHTLY[0] in off:
        yield Finding("schedule", False, f"{' and '.join(off)} off", f"{remedy}; today's run starts at once")
    else:
        # Nobody is told of a night that has not begun.
        yield Finding("schedule", not off, f"on, {off[0]} off" if off else "on", remedy, is_warning=True)


def has_connection(name: str, asked: subprocess.Popen[str] | None) -> bool:
    """Return whether the environment has a connection, or Airflow, which has answered with its secrets."""
    if asked:
        asked.communicate()
    return bool(os.environ.get(f"AIRFLOW_CONN_{name.upper()}")) or (asked is not None and not asked.returncode)


def look_at_alerts(asked: dict[str, subprocess.Popen[str] | None]) -> Iterator[Finding]:
    """Say which ways there are to tell somebody of a night that has failed."""
    ways = " and ".join(name for name, answer in asked.items() if has_connection(name, answer))
    remedy = "README, Be told: alerts_smtp, alerts_webhook"
    yield Finding("alerts", bool(ways), ways or "nobody is told when a night fails", remedy, is_warning=True)


def look(url: str) -> Iterator[Finding]:
    """Look at everything, in the order in which one thing needs another."""
    from alerts import WAYS

    homes = [home for home in (airflow_home.UI_HOME, airflow_home.RUN_HOME) if home.exists()]
    is_elsewhere = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" in os.environ
    for name, value in airflow_home.settings(url, homes[0] if homes else airflow_home.RUN_HOME).items():
        os.environ.setdefault(name, value)
    has_airflow = is_elsewhere or airflow_home.UI_HOME.exists()
    asked = ask_airflow("variables", "get", "ltv_source") if has_airflow else None
    schedule = (
        (
            ask_airflow("jobs", "check", "--job-type", "SchedulerJob"),
            ask_airflow("dags", "list", "--columns", "dag_id,is_paused,is_stale,has_import_errors", "--output", "json"),
        )
        if has_airflow
        else None
    )
    ways = {way: ask_airflow("connections", "get", way) if has_airflow else None for way in WAYS}
    # What has been asked for its last run can be asked where its files should be, whatever else is wrong with it.
    can_be_asked = False
    for finding in (*look_at_warehouse(url), *look_at_disk()):
        can_be_asked = can_be_asked or finding.subject == "run"
        yield finding
    said = asked.communicate()[0].strip() if asked else ""
    folder = os.environ.get("AIRFLOW_VAR_LTV_SOURCE") or (said if asked and not asked.returncode else "")
    if can_be_asked:
        yield from look_at_source(url, folder or str(server.ROOT / "data"))
    if schedule:
        yield from look_at_schedule(*schedule)
    else:
        yield Finding("scheduler", False, "no Airflow was started here", "make ui, docker compose up", is_warning=True)
    yield from look_at_alerts(ways)


def main() -> int:
    """Print a line for each thing that a night needs; return 1 if one of them would stop it, else 0."""
    airflow_home.read_from_data()
    if warehouse := os.environ.get("AIRFLOW_CONN_WAREHOUSE"):
        os.environ.setdefault("DATABASE_URL", warehouse)
    url = known_warehouse()
    console = Console(soft_wrap=True, highlight=False, markup=False)
    is_fit = True
    none = Finding("warehouse", False, "there is none yet", "make run, or DATABASE_URL=…")
    for finding in look(url) if url else [none]:
        remedy = "" if finding.is_fit else f" -> {finding.remedy}"
        sign, style = SIGNS[finding.is_fit, finding.is_warning]
        console.print(f"{sign}  {finding.subject:<14} {finding.said}{remedy}", style=style)
        is_fit = is_fit and (finding.is_fit or finding.is_warning)
    return 0 if is_fit else 1


if __name__ == "__main__":
    sys.exit(main())
