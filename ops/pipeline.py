"""The DAG's tasks without Airflow around them: what each one does, in a transaction of its own."""

import copy
import functools
import sys
from pathlib import Path
from typing import Any

import psycopg
import server
from psycopg.types.json import Jsonb

sys.path.append(str(server.ROOT / "dags"))
from sql_files import SQL, deployed_fingerprint, file_fingerprints, fingerprint


class CheckFailedError(Exception):
    """A check was false; the message is what it said."""


def begin(url: str, as_of: str, run_id: str) -> None:
    """Open a run as the DAG's first task does."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "SELECT audit.begin_run(%s, %s, now(), %s, %s, %s, %s)",
            [
                *(run_id, as_of, deployed_fingerprint(), fingerprint([SQL])),
                [task.task_id for task in tasks()],
                Jsonb(file_fingerprints()),
            ],
        )


@functools.cache
def tasks() -> list[Any]:
    """Return the DAG's tasks, in an order that its arrows allow."""
    import customer_ltv

    dag: Any = customer_ltv.dag
    return list(dag.topological_sort())


@functools.cache
def forecast_tasks() -> list[Any]:
    """Return the tasks of the DAG that follows a publish, in an order that its arrows allow."""
    import customer_forecast

    dag: Any = customer_forecast.dag
    return list(dag.topological_sort())


def is_copy(task: Any) -> bool:
    """Whether a task copies files into raw; every other one is a file of sql/."""
    from copy_csv import CopyCsvOperator

    return isinstance(task, CopyCsvOperator)


def run_task(connection: psycopg.Connection, task: Any, folder: Path | str, run_id: str) -> bool:
    """Do what a task does after `begin`, in the connection's transaction; return False for a false check."""
    from in_run import CheckSqlOperator, last_row

    if is_copy(task):
        loading = copy.copy(task)
        loading.folder = str(folder)
        loading.load(connection, run_id)
        return True
    if task.task_id == "end":
        connection.execute(task.sql, {"run": run_id, "attempt": None})
        return True
    entering = [run_id, task.task_id, fingerprint([SQL])]
    connection.execute("SELECT audit.enter_run(%s, task => %s, fingerprint => %s)", entering)
    with connection.cursor() as cursor:
        cursor.execute((SQL / Path(*task.task_id.split("."))).with_suffix(".sql").read_bytes())
        if isinstance(task, CheckSqlOperator):
            return all(last_row(cursor) or [False])
        task.leave_run(cursor)
    return True


def commit_task(connection: psycopg.Connection, task: Any, folder: Path | str, run_id: str) -> None:
    """Run a task in a transaction of its own; raise CheckFailedError for a false check.

    As in Airflow, a false check's verdict is kept and a failure closes the run as failed.
    """
    try:
        with connection.transaction():
            holds = run_task(connection, task, folder, run_id)
        if not holds:
            said = connection.execute(
                "SELECT said FROM audit.check_results WHERE claim = %s ORDER BY run_no DESC LIMIT 1", [task.task_id]
            ).fetchone()
            raise CheckFailedError(*said or ())
    except Exception as error:
        connection.rollback()
        connection.execute("SELECT audit.fail_run(%s, %s, %s)", [run_id, task.task_id, str(error)])
        connection.commit()
        raise


def run_pipeline(url: str, folder: Path | str, as_of: str, run_id: str = "run") -> None:
    """Run every task of the DAG, one after the other; raise on the first that fails, CheckFailedError for a check."""
    begin(url, as_of, run_id)
    with psycopg.connect(url) as connection:
        for task in tasks():
            if task.task_id != "begin":
                commit_task(connection, task, folder, run_id)
