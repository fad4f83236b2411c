"""How fast the pipeline is, in ratios of one run on one server: `make bench`.

N= is the number of orders (default 5,000,000; as many payments, a tenth as many customers), TIMES= how often each is
measured (default 3; medians count), PARTS= which of loads, growth, peers, copying, airflow, disk and forecast (default:
all).
Prints one table and writes bench/results/<N>.json.
"""

import datetime
import gzip
import json
import os
import platform
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import forecast
import harness
import migrate
import peers
import pipeline
import psycopg
import server
from psycopg.conninfo import conninfo_to_dict
from rich.console import Console
from rich.table import Table

FIRST_DAY = datetime.date(2026, 1, 31)
# Facts are orders and payments together.
GROWTH = [int(facts) for facts in os.environ.get("GROWTH", "1000000 5000000 20000000 50000000").split()]
NIGHTS = 30
Figures = dict[str, float]


def day(number: int) -> str:
    """The as-of date of a delivery, so many days after the first."""
    return (FIRST_DAY + datetime.timedelta(number)).isoformat()


def psql_copy(url: str, path: Path) -> None:
    r"""Copy a file with psql's \copy into an unlogged table of text columns."""
    known = conninfo_to_dict(url)
    environment = {
        "PGHOST": str(known["host"]),
        "PGPORT": str(known["port"]),
        "PGUSER": str(known["user"]),
        "PGPASSWORD": str(known["password"]),
        "PGDATABASE": str(known["dbname"]),
    }
    table = f"bare.{path.stem}"
    columns = ", ".join(f"{column} text" for column in harness.SOURCES[path.stem])
    script = f"""SET client_min_messages = warning;
        BEGIN; DROP TABLE IF EXISTS {table}; CREATE UNLOGGED TABLE {table} ({columns});
        \\copy {table} FROM '{path}' (FORMAT csv, HEADER)
        COMMIT;"""
    subprocess.run(
        [server.wheel_folder() / "pginstall" / "bin" / "psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"],
        input=script.replace("\n        ", "\n"),
        env=os.environ | environment,
        text=True,
        check=True,
    )


def floor(url: str, folder: Path) -> float:
    r"""Return the seconds of psql's \copy of the three files, side by side."""
    return harness.side_by_side([lambda path=path: psql_copy(url, path) for path in sorted(folder.glob("*.csv"))])


def settled(made: server.Server, url: str) -> str:
    """Let the server write what it owes to the disk, so that one measurement does not pay for another."""
    with psycopg.connect(made.admin_url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
    return url


def medians(taken: dict[str, list[float]]) -> Figures:
    """The median of each."""
    return {name: statistics.median(each) for name, each in taken.items()}


def loads(made: server.Server, folders: dict[str, Path], times: int) -> dict[str, Figures]:
    """Measure a full load, and on top of it the same delivery again, a delta and a snapshot, against bare COPY."""
    taken: dict[str, list[float]] = {name: [] for name in ("floor", "full", "identical", "delta", "snapshot")}
    steps: dict[str, dict[str, list[float]]] = {}

    def measure(name: str, url: str, folder: str, number: int) -> None:
        for task, seconds in harness.run(settled(made, url), folders[folder], day(number), f"{name} {turn}").items():
            if task == "total":
                taken[name].append(seconds)
            else:
                steps.setdefault(name, {}).setdefault(task, []).append(seconds)

    for turn in range(times):
        with harness.own_database(made, f"loads_{turn}") as url:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("CREATE SCHEMA bare")
                taken["floor"].append(floor(settled(made, url), folders["full"]))
                connection.execute("DROP SCHEMA bare CASCADE")
            migrate.migrate(url)
            measure("full", url, "full", 0)
            with harness.own_database(made, f"snapshot_{turn}", f"loads_{turn}") as copied:
                with psycopg.connect(copied) as connection:
                    connection.execute("UPDATE audit.sources SET kind = 'snapshot'")
                measure("snapshot", copied, "snapshot", 1)
            measure("identical", url, "full", 1)
            # Two initial loads and then a day's changes: no source would do that.
            with psycopg.connect(url) as connection:
                connection.execute("UPDATE audit.sources SET max_volume_fall = 1")
            measure("delta", url, "delta", 1)
    return {"seconds": medians(taken), **{f"steps of {name}": medians(each) for name, each in steps.items()}}


def growth(made: server.Server, place: Path) -> Figures:
    """Return seconds per million facts of a first load, by the number of facts, as far as the disk allows."""
    figures = {}
    for facts in GROWTH:
        # A fact takes about 250 bytes of raw, staging, core and indexes, as many of WAL, and its line.
        if shutil.disk_usage(place).free < facts * 700:
            break
        folder = harness.generate_first(made, place, facts // 2)
        with harness.own_database(made, "growth") as url:
            migrate.migrate(url)
            figures[f"{facts:,}"] = harness.run(settled(made, url), folder, day(0), "full")["total"] / facts * 1e6
        shutil.rmtree(folder)
    return figures


COPYING = """
import resource, sys
sys.path[:0] = [{dags!r}, {ops!r}, {bench!r}]
import harness, psycopg, time
from copy_csv import CopyCsvOperator
harness.quiet()
operator = CopyCsvOperator(task_id="raw.payment_data", source="payment_data", folder={folder!r})
with psycopg.connect({url!r}) as connection:
    started = time.monotonic()
    idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    operator.load(connection, {run_id!r})
    connection.commit()
    print(time.monotonic() - started, idle / 1024, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def copying(made: server.Server, folders: dict[str, Path], place: Path, times: int) -> Figures:
    """Measure the copying process alone: its memory by the size of the file, and its time against psql's."""
    figures: Figures = {}
    part = (folders["full"] / "payment_data.csv").read_bytes()
    header, _, rows = part.partition(b"\n")
    with harness.own_database(made, "copying") as url:
        migrate.migrate(url)
        with psycopg.connect(url) as connection:
            connection.execute("CREATE SCHEMA bare")

        def copied(folder: Path, run_id: str) -> tuple[float, float, float]:
            pipeline.begin(url, day(0), run_id)
            root = harness.ROOT
            script = COPYING.format(
                dags=str(root / "dags"), ops=str(root / "ops"), bench=str(root / "bench"),
                folder=str(folder), url=url, run_id=run_id,
            )  # fmt: skip
            done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
            seconds, idle, peak = map(float, done.stdout.split()[-3:])
            return seconds, idle, peak

        ratios = []
        for turn in range(times):
            ours, _, _ = copied(folders["full"], f"copy {turn}")
            started = time.monotonic()
            psql_copy(url, folders["full"] / "payment_data.csv")
            ratios.append(ours / (time.monotonic() - started))
        figures["time / psql's"] = statistics.median(ratios)
        for megabytes in (100, 1000, 5000):
            folder = place / f"{megabytes} MB"
            for ending, opened in ((".csv", Path.open), (".csv.gz", gzipped)):
                if shutil.disk_usage(place).free < 6 * megabytes << 20:
                    continue
                folder.mkdir()
                with opened(folder / f"payment_data{ending}", "wb") as file:
                    file.write(header + b"\n")
                    for _ in range(max(1, (megabytes << 20) // len(rows))):
                        file.write(rows)
                _, idle, peak = copied(folder, f"{megabytes} {ending}")
                figures[f"MB of memory at most, {megabytes} MB{ending}"] = peak
                figures[f"of which before the copy, {megabytes} MB{ending}"] = idle
                shutil.rmtree(folder)
                with psycopg.connect(url) as connection:
                    connection.execute("DROP TABLE raw.payment_data")
    return figures


def gzipped(path: Path, mode: str) -> gzip.GzipFile:
    """Open a gzip file as a supplier in a hurry would write it."""
    return gzip.GzipFile(path, mode, compresslevel=1)


SCHEDULER = """
import sys
from pathlib import Path
sys.path[:0] = [{dags!r}, {ops!r}]
import airflow_home
airflow_home.UI_HOME = Path({home!r})
import ui
sys.exit(ui.main())
"""


def scheduled(made: server.Server, home: Path) -> tuple[float, float]:
    """Have a scheduler with a LocalExecutor run the sample once; return the run's seconds, and those in SQL."""
    root = harness.ROOT
    script = SCHEDULER.format(dags=str(root / "dags"), ops=str(root / "ops"), home=str(home))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "DATABASE_URL": made.url,
        "ADMIN_DATABASE_URL": made.admin_url,
        "UI_PORT": str(port),
        "DATA": str(root / "data"),
    }
    airflow_itself = subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.DEVNULL)
    try:
        # The daily schedule starts the run of today at once.
        with psycopg.connect(made.url, autocommit=True) as connection:
            for _ in range(300):
                time.sleep(1)
                found = connection.execute(
                    """SELECT extract(EPOCH FROM runs.ended_at - runs.started_at)::float, sum(steps.seconds)::float
                    FROM audit.runs
                    INNER JOIN audit.steps ON runs.run_no = steps.run_no
                    WHERE runs.dag_run_id LIKE 'scheduled%' AND runs.state = 'published'
                    GROUP BY runs.run_no"""
                ).fetchone()
                if found:
                    return found[0], found[1]
        raise SystemExit("the scheduler has published nothing within five minutes")
    finally:
        airflow_itself.terminate()
        airflow_itself.wait()


def airflow() -> Figures:
    """Measure what Airflow adds: the parsing of the DAG's file, a whole `make run` on the sample, a scheduled run."""
    root = harness.ROOT
    command = (
        f"import sys, time; sys.path.insert(0, {str(root / 'dags')!r}); import airflow.sdk, "
        "airflow.providers.common.sql.operators.sql, airflow.providers.postgres.hooks.postgres; "
        "started = time.monotonic(); import customer_ltv; print(time.monotonic() - started)"
    )
    parsing = [
        float(subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True).stdout)
        for _ in range(3)
    ]
    with tempfile.TemporaryDirectory() as place, harness.own_server(Path(place) / "server") as made:
        environment = os.environ | {"DATABASE_URL": made.url, "ADMIN_DATABASE_URL": made.admin_url}
        walls, in_sql = [], []
        for _ in range(3):
            started = time.monotonic()
            subprocess.run([sys.executable, root / "ops" / "run.py"], env=environment, capture_output=True, check=True)
            walls.append(time.monotonic() - started)
            with psycopg.connect(made.url) as connection:
                in_sql += connection.execute(
                    "SELECT sum(seconds) FROM audit.steps WHERE run_no = audit.run_no()"
                ).fetchone()
        by_scheduler, in_sql_by_scheduler = scheduled(made, Path(place) / "airflow")
    return {
        "tasks": len(pipeline.tasks()),
        "seconds to parse the DAG's file": statistics.median(parsing),
        "seconds of make run on data/": statistics.median(walls[1:]),
        "of which in SQL": float(statistics.median(in_sql[1:])),
        "seconds of a scheduled run, LocalExecutor": by_scheduler,
        "of these in SQL": in_sql_by_scheduler,
    }


def disk(made: server.Server, place: Path, orders: int) -> Figures:
    """Measure bytes kept per row, WAL per run, and what thirty nights of a hundredth each leave behind."""
    with harness.own_database(made, "disk") as url, psycopg.connect(url, autocommit=True) as connection:
        migrate.migrate(url)

        def one(query: str) -> float:
            return float(connection.execute(query).fetchone()[0])

        def size(tables: str) -> float:
            return one(f"SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE oid IN ({tables})")

        kept = """SELECT oid FROM pg_class WHERE relkind = 'r'
            AND relnamespace IN ('core'::regnamespace, 'marts'::regnamespace)
            AND relname NOT LIKE '%history'"""

        def written(call: Callable[[], object]) -> float:
            before = one("SELECT pg_current_wal_insert_lsn() - '0/0'")
            call()
            return one("SELECT pg_current_wal_insert_lsn() - '0/0'") - before

        figures = {}
        first = harness.generate_first(made, place, orders)
        figures["WAL bytes per fact, full"] = written(lambda: harness.run(url, first, day(0), "full")) / (2 * orders)
        figures["bytes per order"] = size("'core.orders'::regclass") / orders
        figures["bytes per payment"] = size("'core.payments'::regclass") / orders
        wal = []
        for number in range(1, NIGHTS + 1):
            folder = harness.delta(made, place, orders, number)
            wal.append(written(lambda folder=folder, number=number: harness.run(url, folder, day(number), f"{number}")))
            shutil.rmtree(folder)
            # What autovacuum would have done by the next night, by its own thresholds.
            for (table,) in connection.execute(
                """SELECT relid::regclass::text FROM pg_stat_user_tables
                WHERE n_dead_tup > 50 + 0.2 * n_live_tup"""
            ).fetchall():
                connection.execute(f"VACUUM {table}")
        figures["WAL bytes per fact delivered, delta"] = statistics.median(wal) / (orders // 50)
        aged = size(kept)
        for (table,) in connection.execute(f"SELECT oid::regclass::text FROM ({kept}) AS tables").fetchall():
            connection.execute(f"VACUUM FULL {table}")
        figures[f"size after {NIGHTS} nights / written anew"] = aged / size(kept)
        figures["bytes of undo log per row replaced"] = size("'audit.replaced_rows'::regclass") / one(
            "SELECT count(*) FROM audit.replaced_rows"
        )
    shutil.rmtree(first)
    return figures


def show(console: Console, orders: int, found: dict[str, dict]) -> None:
    """Print one table of everything that was measured."""
    table = Table(title=f"{orders:,} orders, {orders:,} payments, {orders // 10:,} customers", box=None)
    table.add_column("what")
    table.add_column("seconds", justify="right")
    table.add_column("ratio", justify="right")
    if "loads" in found:
        seconds = found["loads"]["seconds"]
        table.add_row(r"bare \copy of the three files, side by side (floor)", f"{seconds['floor']:.2f}", "1")
        table.add_row("full load / floor", f"{seconds['full']:.2f}", f"{seconds['full'] / seconds['floor']:.1f}")
        for name in ("delta", "snapshot", "identical"):
            table.add_row(f"{name} / full load", f"{seconds[name]:.2f}", f"{seconds[name] / seconds['full']:.3f}")
    for name, days in found.get("peers", {}).items():
        for which, each in days.items():
            ours = found["loads"]["seconds"][which] if "loads" in found else float("nan")
            table.add_row(f"{name}, {which} / ours", f"{each:.2f}", f"{each / ours:.2f}")
    if found.get("growth"):
        for facts, each in found["growth"].items():
            table.add_row(f"seconds per million facts, of {facts}", f"{each:.2f}", "")
        worst = max(found["growth"].values()) / min(found["growth"].values())
        table.add_row("worst / best", "", f"{worst:.2f}")
    for part in ("copying", "airflow", "disk", "forecast"):
        for name, figure in found.get(part, {}).items():
            table.add_row(name, "", f"{figure:,.2f}")
    console.print(table)


def main() -> None:
    """Measure what PARTS names."""
    orders, times = int(os.environ.get("N") or 5_000_000), int(os.environ.get("TIMES") or 3)
    parts = (os.environ.get("PARTS") or "loads growth peers copying airflow disk forecast").split()
    console = Console(width=110)
    harness.quiet()
    found: dict[str, dict] = {}
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        place = Path(folder)
        place.chmod(0o755)
        with harness.own_server(place / "server") as made:
            folders, megabytes = {}, 0.0
            if set(parts) & {"loads", "peers", "copying"}:
                console.print("Writing the deliveries …")
                folders = harness.generate(made, place, orders)
                megabytes = sum(path.stat().st_size for path in folders["full"].iterdir()) / 1e6
            measures: dict[str, Callable[[], dict]] = {
                "loads": lambda: loads(made, folders, times),
                "peers": lambda: peers.measure(made, folders, times),
                "copying": lambda: copying(made, folders, place, times),
                "growth": lambda: growth(made, place),
                "disk": lambda: disk(made, place, orders // 10),
                "airflow": airflow,
                "forecast": lambda: forecast.measure(made, place, orders // 5, times),
            }
            for part in parts:
                console.print(f"Measuring {part} …")
                found[part] = measures[part]()
    show(console, orders, found)
    found["machine"] = {
        "cores": os.cpu_count(),
        "memory GiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": platform.platform(),
        "settings": harness.SETTINGS,
        "megabytes": megabytes,
        "times": times,
        "peak MB of this process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    results = harness.ROOT / "bench" / "results"
    results.mkdir(exist_ok=True)
    file = results / f"{orders}.json"
    file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    console.print(f"Written to {file.relative_to(harness.ROOT)}")


if __name__ == "__main__":
    main()
