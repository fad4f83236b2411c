"""Airflow's listener behind `make run`: one line for each task that has ended."""

import time
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any

import psycopg
import server
from airflow.listeners import hookimpl
from rich.console import Console


def file_of(task_id: str) -> Path:
    """Return the file that says what the task does, from the project's folder."""
    if task_id in ("begin", "end"):
        return Path("sql", "definitions", "functions", f"audit.{task_id}_run.sql")
    file = Path("sql", *task_id.split(".")).with_suffix(".sql")
    return file if (server.ROOT / file).exists() else Path("dags", "copy_csv.py")


class Progress:
    """Airflow's listener for the tasks of the run: prints a line for each that has ended."""

    def __init__(self, console: Console, url: str) -> None:
        """Print to the console; ask the warehouse behind the URL for the rows."""
        self.console = console
        self.url = url
        self.started: dict[str, float] = {}
        self.failed = False

    @hookimpl
    def on_task_instance_running(self, task_instance: Any) -> None:
        """Remember when a task has started."""
        self.started[task_instance.task_id] = time.monotonic()

    @hookimpl
    def on_task_instance_success(self, task_instance: Any) -> None:
        """Print the task, its time, and its rows or its verdict."""
        with psycopg.connect(self.url) as connection:
            rows, said = connection.execute(
                """SELECT
                    (SELECT rows_written FROM audit.steps WHERE run_no = audit.run_no() AND task = %(task)s),
                    (SELECT verdict FROM audit.check_results WHERE run_no = audit.run_no() AND claim = %(task)s)""",
                {"task": task_instance.task_id},
            ).fetchone() or (None, None)
        self.line(task_instance.task_id, "green", said or ("" if rows is None else f"{rows:,} rows"))

    @hookimpl
    def on_task_instance_failed(self, task_instance: Any, error: Any) -> None:
        """Print the task, its error, and the file that it ran."""
        is_final = task_instance.state == "failed"
        if self.failed and "is not open" in str(error):
            self.line(task_instance.task_id, "yellow", "not run: the run has failed")
            return
        self.line(task_instance.task_id, "red", "failed" if is_final else "failed; it will be tried again")
        said = str(error)
        # The database may be what has failed.
        with suppress(psycopg.Error), psycopg.connect(self.url) as connection:
            for (sentence,) in connection.execute(
                "SELECT said FROM audit.check_results WHERE run_no = audit.run_no() AND claim = %s",
                [task_instance.task_id],
            ):
                said = sentence
        self.console.print(f"    {said}", style="red", markup=False, highlight=False)
        self.console.print(f"    It ran {file_of(task_instance.task_id)}", style="red", markup=False, highlight=False)
        self.failed = self.failed or is_final

    def sleep(self, seconds: float) -> None:
        """Sleep, unless a task has failed: dag.test waits a second for every step that a failure passes on."""
        if not self.failed:
            Event().wait(seconds)

    def line(self, task_id: str, style: str, outcome: str) -> None:
        """Print one task's line."""
        seconds = time.monotonic() - self.started.get(task_id, time.monotonic())
        self.console.print(f"{task_id:<60} {seconds:6.1f} s  {outcome}", style=style, markup=False, highlight=False)
