"""Run some of the DAGs' tasks in a copy of the warehouse, for `make diff`: as Airflow would, and measured.

It belongs to the folder that it lies in: `make diff` puts one of its own around another version of sql/ and dags/.
DATABASE_URL is the copy, AIRFLOW_HOME a folder of Airflow's. Standard input is a JSON object:

- part: "take back" to take back what core holds of the delivery, and no more; "once" to begin a run besides, and do
  every task that the edit does not affect; "twice" to go on with it and do the others; "all" to begin a run after
  "take back", and do every task.
- tasks: the names of the tasks that the edit affects.
- folder: the delivery to load; null for the last one, which the copy holds in raw.
- as_of: the day to look back from, or an empty text.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import migrate
import pipeline
import psycopg
import server
import sqlparse

sys.path.append(str(server.ROOT / "dags"))
from sql_files import SQL, deployed_fingerprint, fingerprint
from stores import BadFileError, state_of

RUN = "diff"
HERE = SQL / "admin" / "diff"


def last_run(connection: psycopg.Connection, folder: str, as_of: str) -> int | None:
    """Return the run of the last delivery, where that was the folder's files: by their sizes, and what they hold."""
    from copy_csv import find_files, sha256_of

    # As audit.begin_run has it, which comes later: core is taken back before a run is open.
    asked = "SELECT coalesce(nullif(%s, '')::date, (now() AT TIME ZONE 'Africa/Kigali')::date - 1)::text"
    (day,) = connection.execute(asked, [as_of]).fetchone() or ("",)
    folder = folder.replace("{as_of}", day)
    sources = connection.execute("SELECT source FROM audit.sources").fetchall()
    paths = [path for (source,) in sources for path in find_files(folder, source)]
    sizes = [state_of(path).get("size") for path in paths]
    asked = "SELECT diff.run_of(%s::bigint[], %s::text[])"
    run_no: int | None
    (run_no,) = connection.execute(asked, [sizes, None]).fetchone() or (None,)
    if run_no is not None:
        (run_no,) = connection.execute(asked, [sizes, [sha256_of(path) for path in paths]]).fetchone() or (None,)
    return run_no


def take_back(url: str, folder: str | None, as_of: str) -> None:
    """Take the last delivery back out of core, or the folder's files, where those are the last delivery."""
    with psycopg.connect(url) as connection:
        connection.add_notice_handler(lambda notice: print(notice.message_primary, file=sys.stderr))
        connection.execute((HERE / "shadow.sql").read_bytes())
        if folder is None:
            connection.execute("INSERT INTO diff.delivery (run_no) SELECT diff.take_back_the_last()")
        elif (delivered := last_run(connection, folder, as_of)) is not None:
            connection.execute("SELECT diff.take_back(%s)", [delivered])


def begin(url: str, as_of: str) -> None:
    """Begin a run, of what was taken back if that was the last delivery, as the warehouse holds it."""
    with psycopg.connect(url) as connection:
        delivered = connection.execute(
            "SELECT delivery.run_no, runs.as_of::text FROM diff.delivery INNER JOIN audit.runs USING (run_no)"
        ).fetchone()
        _, day = delivered or (None, as_of)
        # What every version of it takes.
        connection.execute(
            "SELECT audit.begin_run(%s, %s, now(), %s, %s)", [RUN, day, deployed_fingerprint(), fingerprint([SQL])]
        )
        if delivered:
            connection.execute("SELECT diff.deliver_again(%s)", delivered[:1])


def go_on(url: str) -> None:
    """Have the run that the copy has begun go on by the SQL of this folder."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "UPDATE audit.runs SET fingerprint = %s, deployed_at = (SELECT max(deployed_at) FROM audit.deployments)"
            " WHERE dag_run_id = %s",
            [fingerprint([SQL]), RUN],
        )


def run_file(connection: psycopg.Connection, task_id: str) -> tuple[float, int]:
    """Run a task's file, statement by statement; return the seconds that it took and the rows that it wrote."""
    written, seconds = [0], 0.0
    text = (SQL / Path(*task_id.split("."))).with_suffix(".sql").read_text(encoding="utf-8")
    for statement in sqlparse.split(text):
        connection.execute("SELECT diff.look_ahead(%s, %s)", [task_id, statement])
        started = time.monotonic()
        cursor = connection.execute(statement)
        seconds += time.monotonic() - started
        written += [cursor.rowcount] if cursor.description is None else []
    return seconds, max(written)


def run_task(connection: psycopg.Connection, task: Any, folder: str | None) -> None:
    """Do what a task does and note what it cost; a claim that is false is a verdict, and ends nothing."""
    seconds, written = 0.0, 0
    with connection.transaction():
        if pipeline.is_copy(task):
            pipeline.run_task(connection, task, str(folder), RUN)
        elif task.task_id.startswith("forecast."):
            seconds, written = run_file(connection, task.task_id)
        else:
            # Without its name: the files that nothing has changed for have run before.
            connection.execute("SELECT audit.enter_run(%s)", [RUN])
            seconds, written = run_file(connection, task.task_id)
            if "__" not in task.task_id:
                connection.execute("SELECT audit.leave_run(%s, %s)", [task.task_id, written])
    connection.execute("SELECT pg_stat_force_next_flush()")
    connection.execute("SELECT diff.look_back(%s, %s, %s)", [task.task_id, seconds, written])


def main() -> None:
    """Do what standard input asks for; raise SystemExit with the file's name and the error where one fails."""
    asked = json.load(sys.stdin)
    url, folder, part = os.environ["DATABASE_URL"], asked["folder"], asked["part"]
    migrate.migrate(url)
    try:
        if part in {"take back", "once"}:
            take_back(url, folder, asked["as_of"])
        if part in {"once", "all"}:
            begin(url, asked["as_of"])
        if part == "twice":
            go_on(url)
    except BadFileError as error:
        raise SystemExit(str(error)) from None
    except psycopg.errors.RaiseException as error:
        # It says what to do: why it could not begin is the delivery, or the day.
        raise SystemExit(". ".join(filter(None, [error.diag.message_primary, error.diag.message_hint]))) from None
    if part == "take back":
        return
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT diff.look_back('', 0, 0)")
        is_forecast = any(name.startswith("forecast.") for name in asked["tasks"])
        for task in [*pipeline.tasks(), *(pipeline.forecast_tasks() if is_forecast else [])]:
            name = task.task_id
            is_there = folder is None and pipeline.is_copy(task)
            if name in {"begin", "end"} or is_there or (name in asked["tasks"]) == (part == "once"):
                continue
            try:
                run_task(connection, task, folder)
            except BadFileError as error:
                raise SystemExit(str(error)) from None
            except psycopg.Error as error:
                raise SystemExit(f"sql/{name.replace('.', '/')}.sql: {error}") from None


if __name__ == "__main__":
    main()
