"""One task of the DAG in a process of its own, as a worker runs it; what it reads can stall or fail half way."""

import os
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import IO

import airflow.sdk.execution_time.supervisor  # noqa: F401
import copy_csv
from airflow.sdk.execution_time.context import VariableAccessor
from airflow.sdk.io import attach
from airflow.sdk.lineage import get_hook_lineage_collector
from customer_ltv import dag
from fsspec.implementations.local import LocalFileSystem
from in_run import fail_run

DUE = "2026-02-01 00:30:00+00:00"
# What a worker has read before it forks: here too it is read once, and not by every task.
get_hook_lineage_collector()


class HalfRead:
    """A file of which the first half is given; before the rest, something happens."""

    def __init__(self, file: IO[bytes], size: int, trouble: str, pipe: Connection) -> None:
        self.file, self.trouble, self.pipe = file, trouble, pipe
        # To the end of a line: what COPY has by then is a whole file to it.
        file.seek(size // 2)
        file.readline()
        self.half = file.tell() + (3 if trouble == "closes within a line" else 0)
        file.seek(0)

    def __getattr__(self, name: str) -> object:
        return getattr(self.file, name)

    def __enter__(self) -> "HalfRead":
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def read(self, size: int = -1) -> bytes:
        left = self.half - self.file.tell()
        if left > 0:
            return self.file.read(left if size < 0 else min(left, size))
        if self.trouble.startswith("closes"):
            return b""
        if self.trouble == "fails":
            raise OSError("503 Slow Down")
        if self.trouble == "stalls":
            self.pipe.recv()
            self.trouble = ""
        return self.file.read(size)


class Store(LocalFileSystem):
    """Local files behind the interface of an object store."""

    cachable = False

    def __init__(self, trouble: str, pipe: Connection) -> None:
        super().__init__()
        self.trouble, self.pipe = trouble, pipe

    def open(self, path: str, mode: str = "rb", **how: object) -> IO[bytes]:
        if self.trouble == "is unavailable":
            raise OSError("503 Service Unavailable")
        return HalfRead(super().open(path, mode, **how), self.size(path), self.trouble, self.pipe)


def run(
    task_id: str,
    run_id: str,
    as_of: str,
    url: str,
    folder: str,
    trouble: str,
    attempt: int | None,
    pipe: Connection,
    log: str,
) -> None:
    """Run a task; send the error's name, its sentence and what the retry policy makes of it, or three times nothing.

    The attempt is what the task `begin` has passed on by XCom.
    """
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ |= {"AIRFLOW_CONN_WAREHOUSE": url, "AIRFLOW_VAR_LTV_SOURCE": folder}
    # Small files in many pieces, as large ones are.
    copy_csv.CHUNK_BYTES = 4096
    attach("file", fs=Store(trouble, pipe))
    task = dag.get_task(task_id)
    context = {
        "run_id": run_id,
        "params": {"as_of": as_of},
        "dag_run": SimpleNamespace(logical_date=None, run_after=DUE, start_date=DUE),
        "var": {"value": VariableAccessor(deserialize_json=False)},
        "ti": SimpleNamespace(task_id=task_id, xcom_pull=lambda **_: attempt),
    }
    task.render_template_fields(context)
    try:
        task.execute(context)
    except Exception as error:
        action = task.retry_policy.evaluate(error, 1, task.retries).action.name
        if action == "FAIL":
            fail_run({**context, "exception": error})
        pipe.send((type(error).__name__, str(error), action))
    else:
        pipe.send(("", "", ""))
