"""Other ways to the same table, from the same files, on the same server: what each takes, and that the result is ours.

python bench/peers.py [orders] [times] makes a server of its own, prints the medians and removes it.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import harness
import migrate
import psycopg
import server

PYTHON = harness.ROOT / ".venv" / "bench" / "bin" / "python"
PEERS = ["pandas_only", "pandas_copy", "duckdb_copy", "dbt_build"]
# On the second day these read everything again: they keep nothing that a delta could be merged into.
KEEP_NOTHING = {"pandas_only"}
DAYS = {"full": "2026-01-31", "delta": "2026-02-01"}
COLUMNS = """customer_id, total_orders, total_amount, avg_order_value, ltv, first_order_date, last_order_date,
    orders_per_year, avg_lifespan_years"""
KEPT = {
    "customers": "customer_id, first_name, last_name, email, country, gender, date_of_birth",
    "orders": "order_id, customer_id, order_date, product, price",
    "payments": "payment_id, customer_id, order_id, payment_date, amount",
}


def kept_rows(connection: psycopg.Connection, schema: str) -> dict[str, tuple]:
    """How many customers, orders and payments a schema keeps, and a fingerprint of what they say."""
    query = "SELECT count(*), sum(hashtextextended(ROW({})::text, 0)) FROM {}.{}"
    return {
        table: connection.execute(query.format(columns, schema, table)).fetchone() for table, columns in KEPT.items()
    }


def expected(made: server.Server, folders: dict[str, Path]) -> dict[str, tuple[bytes, dict[str, tuple]]]:
    """What the pipeline publishes, and what it keeps, on the first day and on the second."""
    ours = {}
    with harness.own_database(made, "pipeline") as url:
        migrate.migrate(url)
        for day, as_of in DAYS.items():
            harness.run(url, folders[day], as_of, day)
            with psycopg.connect(url) as connection:
                query = f"COPY (SELECT {COLUMNS} FROM marts.customer_ltv) TO STDOUT"
                with connection.cursor().copy(query) as copy:
                    published = b"".join(copy)
                ours[day] = published, kept_rows(connection, "core")
    return ours


def compare(url: str, published: bytes, kept: dict[str, tuple] | None, what: str) -> None:
    """Raise SystemExit unless peer.customer_ltv is what was published, row for row, and the kept tables are core's."""
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TEMPORARY TABLE ours (LIKE peer.customer_ltv)")
        with connection.cursor().copy(f"COPY ours ({COLUMNS}) FROM STDIN") as copy:
            copy.write(published)
        (count,) = connection.execute("SELECT count(*) FROM ours").fetchone()
        different = f"""
            WITH ours AS (SELECT {COLUMNS} FROM ours), theirs AS (SELECT {COLUMNS} FROM peer.customer_ltv)
            (SELECT 'ours' AS whose, * FROM (TABLE ours EXCEPT ALL TABLE theirs) AS missing)
            UNION ALL
            (SELECT 'theirs', * FROM (TABLE theirs EXCEPT ALL TABLE ours) AS surplus)
            ORDER BY customer_id, whose"""
        rows = connection.execute(different).fetchall()
        if rows or not count:
            examples = "\n".join(str(row) for row in rows[:4])
            raise SystemExit(f"{what}: {len(rows)} rows differ from the pipeline's {count}:\n{examples}")
        if kept and kept != (found := kept_rows(connection, "peer")):
            raise SystemExit(f"{what}: kept are {found}, and not {kept}")


def seconds(name: str, url: str, way: str, folder: Path, as_of: str) -> float:
    """Run a peer as a process of its own; return how long it took from its start to its end."""
    command = [PYTHON, harness.ROOT / "bench" / "peers" / f"{name}.py", way, folder, as_of]
    started = time.monotonic()
    done = subprocess.run(command, env=os.environ | {"DATABASE_URL": url}, capture_output=True, text=True, check=False)
    took = time.monotonic() - started
    if done.returncode:
        raise SystemExit(f"{name} {way} failed:\n{done.stdout}{done.stderr}")
    return took


def measure(
    made: server.Server, folders: dict[str, Path], times: int, names: list[str] | None = None
) -> dict[str, dict[str, float]]:
    """Run each peer so many times, on a fresh database each time, in turns, so that a busy moment hits all of them.

    Returns for each peer the median seconds of the first day (full) and of the second (delta). Raises SystemExit when
    a peer fails or has another result than the pipeline.
    """
    ours = expected(made, folders)
    taken = {name: {day: [] for day in DAYS} for name in names or PEERS}
    for turn in range(times):
        for name, days in taken.items():
            with harness.own_database(made, f"{name}_{turn}") as url:
                for day, as_of in DAYS.items():
                    way, folder = ("full", "snapshot") if day == "delta" and name in KEEP_NOTHING else (day, day)
                    days[day].append(seconds(name, url, way, folders[folder], as_of))
                    published, kept = ours[day]
                    compare(url, published, None if name in KEEP_NOTHING else kept, f"{name}, {day}")
    return {name: {day: statistics.median(each) for day, each in days.items()} for name, days in taken.items()}


def main(orders: int = 20_000, times: int = 1) -> None:
    """Measure on a server that is there for nothing else."""
    with tempfile.TemporaryDirectory() as place, harness.own_server(Path(place) / "server") as made:
        medians = measure(made, harness.generate(made, Path(place), orders), times)
    for name, days in medians.items():
        print(f"{name:<12}", *(f"{day} {median:6.2f} s  " for day, median in days.items()))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
