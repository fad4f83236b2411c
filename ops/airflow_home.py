"""Airflow as a laptop needs it: its folder and database under .local/, its settings by the environment.

`make run` and `make ui` have a folder each: in a shared one the web page's scheduler would run the tasks of a
`make run`, with its own settings.
"""

import os
import subprocess
import sys
from pathlib import Path

import migrate
import psycopg
import server

RUN_HOME = server.LOCAL / "airflow-run"
UI_HOME = server.LOCAL / "airflow-ui"

MAY_BE_SAID = ("AIRFLOW__SCHEDULER__", "AIRFLOW__OPENLINEAGE__")


def settings(warehouse_url: str, home: Path) -> dict[str, str]:
    """Return the environment in which Airflow runs this project's DAG against a warehouse."""
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW_CONN_WAREHOUSE": warehouse_url,
        "AIRFLOW__CORE__DAGS_FOLDER": str(server.ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(server.ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
        "PYTHONWARNINGS": "ignore",
    }


def read_from_data() -> None:
    """Have deliveries read from DATA, a folder or the URL of an object store's, where the environment names one.

    Raises SystemExit with a sentence when its name is no text.
    """
    data = os.environ.get("DATA", "")
    try:
        data.encode()
    except UnicodeEncodeError:
        raise SystemExit(f"DATA={data!a} is no UTF-8: give the folder another name") from None
    if data:
        os.environ["AIRFLOW_VAR_LTV_SOURCE"] = data if "://" in data else str(Path(data).resolve())


def prepare(home: Path) -> str:
    """Make warehouse and metadata database ready, set the environment, and return the warehouse's URL.

    What the environment says of another Airflow, its database, its secrets, its logs, is not for this one; how its
    scheduler works may be said, and to whom OpenLineage tells what, if `make openlineage` has brought that.

    Raises SystemExit with a sentence when one of them cannot be had.
    """
    try:
        url, admin_url = migrate.warehouse()
        migrate.migrate(url, admin_url)
    except psycopg.Error as error:
        raise SystemExit(f"The warehouse cannot be used: {error}") from None
    for name in list(os.environ):
        if name == "AIRFLOW_CONFIG" or (name.startswith("AIRFLOW__") and not name.startswith(MAY_BE_SAID)):
            del os.environ[name]
    os.environ.update(settings(url, home))
    lock = (server.ROOT / "requirements" / "run.txt").read_text(encoding="utf-8")
    # The lock that the metadata database was made for.
    ready = home / "ready"
    if not ready.exists() or ready.read_text(encoding="utf-8") != lock:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        done = subprocess.run(  # noqa: S603 - a program of ours, no shell
            [Path(sys.executable).with_name("airflow"), "db", "migrate"],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"airflow db migrate: {done.stderr[-2000:]}")
        ready.write_text(lock, encoding="utf-8")
    return url
