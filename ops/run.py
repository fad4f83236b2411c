"""Run the DAG customer_ltv once, here and now, and show what it does: `make run`.

DATA (a folder or the URL of an object store's), AS_OF (a day) and DATABASE_URL come from the environment.
The exit code is 0 only if the run has published.
"""

import fcntl
import io
import os
import sys
import time
from contextlib import suppress
from datetime import date
from typing import Any
from unittest.mock import patch

import airflow_home
import psycopg
from rich.console import Console
from rich.table import Table
from rich.text import Text

LOG = airflow_home.RUN_HOME / "make-run.log"
SUMMARY = {
    "Records per file": """
        SELECT file || coalesce(' (as in run_no ' || same_as_run_no || ')', '') AS file,
            records AS "in file", good AS loaded, rejected, superseded AS duplicate, waiting, forgotten
        FROM audit.loads WHERE run_no = %(run_no)s ORDER BY source, first_line_no""",
    "Checks": """
        SELECT claim AS check, verdict, bad_rows AS bad, checked_rows AS checked,
            CASE WHEN verdict <> 'passed' THEN example END AS example
        FROM audit.check_results WHERE run_no = %(run_no)s ORDER BY checked_at""",
    "The ten highest ltv": """
        SELECT customer_id::text, total_orders, total_amount, avg_order_value, orders_per_year, avg_lifespan_years, ltv
        FROM marts.customer_ltv
        WHERE EXISTS (SELECT FROM audit.runs WHERE run_no = %(run_no)s AND state = 'published')
        ORDER BY ltv DESC, customer_id LIMIT 10""",
    "Standbys": """
        SELECT standby, coalesce(
            pg_size_pretty(bytes_behind) || coalesce(format(', %%s s', round(seconds_behind, 1)), ''),
            format('GRANT pg_read_all_stats TO %%I, to see it', current_user)
        ) AS behind
        FROM audit.standbys ORDER BY standby""",
}
NEXT = """Next:
  make psql                                            look around: \\dt marts.*, \\d+ marts.customer_ltv
  echo 'SELECT file, line_no, reason FROM audit.rejected_rows' | make -s psql      what was set aside, and why
  make ui                                              Airflow's web page, with the daily schedule on (DATA=… as here)
  make report                                          the director's page, report/index.html
"""


class Screen(io.FileIO):
    """Standard output, and the log from when that takes nothing more: what cannot be printed does not end a run."""

    def __init__(self, log: int) -> None:
        """Take standard output as it is now; the log is a file descriptor."""
        super().__init__(os.dup(1), "w")
        self.log = log

    def write(self, data: Any) -> int:
        """Write the bytes, or what of them can be; raise nothing."""
        with suppress(OSError):
            return super().write(data)
        with suppress(OSError):
            os.dup2(self.log, self.fileno())
            return super().write(data)
        return len(data)


def fill_gaps() -> None:
    """Take the place of standard streams that the caller has closed: the next file would get their numbers."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            # Nothing can be written to it, which Screen notices.
            os.dup2(os.open(os.devnull, os.O_RDONLY), number)
            setattr(sys, name, os.fdopen(number, "r" if name == "stdin" else "w", encoding="utf-8", closefd=False))


def cell(value: object) -> Text:
    """Return a value as it stands in a table: in one line, cut where there is no room for it."""
    shown = "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
    return Text(shown, no_wrap=True, overflow="ellipsis")


def show(console: Console, connection: psycopg.Connection, dag_run_id: str) -> None:
    """Print the summary of the run, as far as it has come."""
    run_no = connection.execute("SELECT run_no FROM audit.runs WHERE dag_run_id = %s", [dag_run_id]).fetchone()
    for title, query in SUMMARY.items():
        cursor = connection.execute(query, {"run_no": run_no[0] if run_no else None})
        rows = cursor.fetchall()
        if not rows:
            continue
        table = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
        for column in cursor.description or []:
            is_number = column.type_display != "text"
            # An example may be long: it alone gives way.
            table.add_column(column.name, justify="right" if is_number else "left", no_wrap=column.name != "example")
        for row in rows:
            table.add_row(*map(cell, row))
        console.print()
        console.print(table)


def main() -> int:
    """Run the DAG; return the exit code."""
    fill_gaps()
    began = time.monotonic()
    as_of = os.environ.get("AS_OF") or None
    try:
        if date.fromisoformat(as_of or "2000-01-01").isoformat() != (as_of or "2000-01-01"):
            raise ValueError
    except ValueError:
        raise SystemExit(f"AS_OF={as_of} is no day: write it YYYY-MM-DD") from None
    airflow_home.read_from_data()
    LOG.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(LOG.with_name("lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit("Another make run is at work here: wait until it has ended.") from None
    url = airflow_home.prepare(airflow_home.RUN_HOME)

    # Airflow's own words go to a file: the lines of Progress are for the person.
    log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    screen = io.TextIOWrapper(io.BufferedWriter(Screen(log)), sys.stdout.encoding, "backslashreplace")
    console = Console(file=screen)
    console.width = max(console.width, 130)
    sys.stdout.flush()
    os.dup2(log, 1)
    os.dup2(log, 2)
    # Whatever the terminal's encoding is, the log has room for every letter.
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    from airflow.sdk import listener
    from customer_ltv import dag
    from progress import Progress

    progress = Progress(console, url)
    listeners: Any = listener
    listeners.get_listener_manager().add_listener(progress)
    published = None
    try:
        with patch("time.sleep", progress.sleep):
            run = dag.test(run_conf={"as_of": as_of})
        with psycopg.connect(url) as connection:
            published = connection.execute(
                "SELECT as_of FROM audit.runs WHERE dag_run_id = %s AND state = 'published'", [run.run_id]
            ).fetchone()
            show(console, connection, run.run_id)
            if published is None:
                console.print(
                    f"\nNot published: see above. What to do: README, When a check fails. Airflow's own log: {LOG}",
                    style="bold red",
                )
                return 1
    except Exception as error:
        outcome = "Published, and not shown" if published else "Not published"
        console.print(f"\n{outcome}: {error}. Airflow's own log: {LOG}", style="bold red", markup=False)
        return 0 if published else 1
    console.print(
        f"\nPublished: marts.customer_ltv as of {published[0]}, in {time.monotonic() - began:.0f} s.",
        style="bold green",
    )
    console.print(NEXT, markup=False, highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
