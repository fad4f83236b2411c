"""Write down, as JSON, what the warehouse, the SQL files and the DAGs say of themselves: what `make docs` is made of.

Usage: facts.py <file to write>. DATABASE_URL is that of `make run`. Nothing in the warehouse is changed.
"""

import dataclasses
import json
import os
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import airflow_home
import migrate
import psycopg
import server
from psycopg import sql
from sql_files import SQL
from sql_headers import header


def files(tasks: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return what each SQL file that is a task, a view or a function says of it, by its name with schema."""
    run = {task: (SQL / Path(*task.split("."))).with_suffix(".sql") for task in tasks}
    defined = {path.stem: path for path in SQL.glob("definitions/*/*.sql")}
    return {
        name: {
            **dataclasses.asdict(header(path)),
            "path": path.relative_to(server.ROOT).as_posix(),
            "sql": path.read_text(encoding="utf-8"),
        }
        for name, path in sorted({**run, **defined}.items())
        if path.exists()
    }


def dags(url: str) -> list[dict[str, Any]]:
    """Return every DAG with its tasks, in an order that its arrows allow; raises what the DAG's file raises."""
    os.environ |= airflow_home.settings(url, airflow_home.RUN_HOME)
    from airflow.sdk import DAG

    modules = [import_module(path.stem) for path in sorted((server.ROOT / "dags").glob("*.py"))]
    found: dict[str, Any] = {
        dag.dag_id: dag for module in modules for dag in vars(module).values() if isinstance(dag, DAG)
    }
    return [
        {
            "name": name,
            "says": dag.doc_md,
            "tasks": [
                {"name": task.task_id, "says": task.doc_md, "next": sorted(task.downstream_task_ids)}
                for task in dag.topological_sort()
            ],
        }
        for name, dag in sorted(found.items())
    ]


def catalog(connection: psycopg.Connection[Any]) -> dict[str, Any]:
    """Return what sql/admin/catalog.sql finds; each sample is replaced by its rows, the columns' names before them."""
    cursor = connection.execute((SQL / "admin" / "catalog.sql").read_bytes())
    found = dict(zip([column.name for column in cursor.description or []], cursor.fetchone() or [], strict=True))
    for relation in found["relations"]:
        if relation["sample"]:
            rows = connection.execute(sql.SQL(relation["sample"]))
            relation["sample"] = [[column.name for column in rows.description or []], *rows]
    return found


def main(path: Path) -> None:
    """Write the file; raises SystemExit with a sentence where there is no warehouse to describe."""
    url, _ = migrate.warehouse()
    try:
        with psycopg.connect(url) as connection:
            connection.read_only = True
            found = catalog(connection)
    except (psycopg.OperationalError, psycopg.errors.UndefinedTable) as error:
        if "DATABASE_URL" in os.environ and isinstance(error, psycopg.OperationalError):
            raise SystemExit(f"The warehouse cannot be asked: {error}") from None
        raise SystemExit("There is no warehouse to describe: make run comes first.") from None
    path.parent.mkdir(parents=True, exist_ok=True)
    known = dags(url)
    said = files(task["name"] for dag in known for task in dag["tasks"])
    path.write_text(json.dumps({**found, "sql": said, "dags": known}), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
