"""How fast the forecast is fitted and scored, against the package lifetimes on the same customers.

python bench/forecast.py [customers] [times] makes a server of its own, prints the medians and removes it.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import harness
import migrate
import psycopg
import server
from sql_files import SQL

PYTHON = harness.ROOT / ".venv" / "oracle" / "bin" / "python"
AS_OF = "2026-01-31"
# From the summary of each customer to the score of each: what lifetimes does in fit and predict. What comes before
# makes the summary, what comes after checks and publishes the scores.
COMPARED = ["cohorts", "repeat_buyers", "clv_model", "expectations", "scores"]
SUMMARY = """COPY (
        SELECT customer_id, frequency, recency, t, monetary_value::double precision
        FROM forecast.buyers ORDER BY customer_id
    ) TO STDOUT (FORMAT csv, HEADER)"""
DIFFERENT = """SELECT count(*), count(*) FILTER (
        WHERE abs(ours.p_alive - theirs.p_alive) > 1e-4
            OR abs(ours.expected_orders - theirs.expected_orders) > 1e-3
            OR abs(ours.expected_order_value - theirs.expected_order_value) > 1e-4 * theirs.expected_order_value + 0.01
            OR abs(ours.expected_value - theirs.expected_value) > 0.01 * theirs.expected_value + 0.01
            OR ours.customer_id IS NULL OR theirs.customer_id IS NULL
    )
    FROM forecast.scores AS ours FULL JOIN theirs ON ours.customer_id = theirs.customer_id"""


def deliver(made: server.Server, folder: Path, customers: int) -> Path:
    """Write the three files of a company with so many buyers; return the folder."""
    folder.mkdir()
    with psycopg.connect(made.admin_url.removesuffix("/warehouse") + "/postgres") as connection:
        connection.execute("SELECT set_config('bench.customers', %s, false)", [str(customers)])
        connection.execute((harness.ROOT / "bench" / "buyers.sql").read_text(encoding="utf-8"))
        for source in harness.SOURCES:
            query = f"COPY (TABLE {source}) TO STDOUT (FORMAT csv, HEADER)"
            with (folder / f"{source}.csv").open("wb") as file, connection.cursor().copy(query) as copy:
                for chunk in copy:
                    file.write(chunk)
        connection.rollback()
    return folder


def forecast(url: str) -> dict[str, float]:
    """Do what the DAG does, as its arrows allow; return the seconds of all, of fit and score, and of each task."""
    import customer_forecast
    from in_run import last_row

    def work(task: Any) -> None:
        with psycopg.connect(url) as connection:
            cursor = connection.execute((SQL / task.sql).read_text(encoding="utf-8"))
            if "__" in task.task_id and not all(last_row(cursor)):
                raise SystemExit(f"{task.task_id} has failed")

    def span(ended: Iterable[tuple[float, float]]) -> float:
        starts, ends = zip(*ended, strict=True)
        return max(ends) - min(starts)

    ended = harness.in_order(customer_forecast.dag.tasks, work)
    ended = {name.removeprefix("forecast."): each for name, each in ended.items()}
    return {
        "the whole DAG": span(ended.values()),
        "fit and score": span(ended[name] for name in COMPARED),
        **{name: end - start for name, (start, end) in ended.items()},
    }


def in_lifetimes(url: str, place: Path) -> dict[str, float]:
    """Have lifetimes do it; return its seconds. Raises SystemExit where it comes to another result."""
    summary, scores = place / "summary.csv", place / "scores.csv"
    with summary.open("wb") as file, psycopg.connect(url) as connection, connection.cursor().copy(SUMMARY) as copy:
        for chunk in copy:
            file.write(chunk)
    command = [PYTHON, harness.ROOT / "bench" / "peers" / "in_lifetimes.py", summary, scores]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout.splitlines()[-1])
    theirs = said["parameters"]
    with psycopg.connect(url) as connection:
        ours = connection.execute(
            "SELECT r, alpha, a, b, p, q, gamma FROM forecast.clv_model ORDER BY model_no DESC LIMIT 1"
        ).fetchone()
        connection.execute(
            """CREATE TEMPORARY TABLE theirs (customer_id bigint, p_alive float8, expected_orders float8,
            expected_order_value float8, expected_value float8)"""
        )
        with connection.cursor().copy("COPY theirs FROM STDIN (FORMAT csv, HEADER)") as copy:
            copy.write(scores.read_bytes())
        customers, different = connection.execute(DIFFERENT).fetchone()
    if different or not customers or any(abs(a / b - 1) > 1e-4 for a, b in zip(ours, theirs, strict=True)):
        raise SystemExit(f"lifetimes differs in {different} of {customers} customers: it has {theirs}, and not {ours}")
    return {f"lifetimes {name}": seconds for name, seconds in said["seconds"].items()}


def measure(made: server.Server, place: Path, customers: int, times: int) -> dict[str, float]:
    """Measure a first fit and its scores, in turns with lifetimes; return the medians and the ratio's."""
    taken: dict[str, list[float]] = {}
    folder = deliver(made, place / "buyers", customers)
    with harness.own_database(made, "forecast") as url:
        migrate.migrate(url)
        harness.run(url, folder, AS_OF, "first")
        for _ in range(times):
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("TRUNCATE forecast.clv_model CASCADE")
            with psycopg.connect(made.admin_url, autocommit=True) as connection:
                connection.execute("CHECKPOINT")
            ours = forecast(url)
            theirs = in_lifetimes(url, place)
            whole = sum(theirs.values())
            ratios = {
                "lifetimes / ours": whole / ours["fit and score"],
                "the same, without its value": (whole - theirs["lifetimes value"]) / ours["fit and score"],
            }
            for name, each in {**ratios, **theirs, **ours}.items():
                taken.setdefault(name, []).append(each)
    return {name: statistics.median(each) for name, each in taken.items()}


def main(customers: int = 1_000_000, times: int = 3) -> None:
    """Measure on a server that is there for nothing else."""
    harness.quiet()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        with harness.own_server(Path(folder) / "server") as made:
            for name, median in measure(made, Path(folder), customers, times).items():
                print(f"{name:<42} {median:8.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
