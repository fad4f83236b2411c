"""Airflow as a laptop needs it: its folder and database under .local/, its settings by the environment."""

import os
import subprocess
import sys
from pathlib import Path

import migrate
import server

HOME = server.LOCAL / "airflow"
# Where the metadata database says that it is ready for this version.
READY = HOME / "ready"


def settings(warehouse_url: str) -> dict[str, str]:
    """Return the environment in which Airflow runs this project's DAG against a warehouse."""
    return {
        "AIRFLOW_HOME": str(HOME),
        "AIRFLOW_CONN_WAREHOUSE": warehouse_url,
        "AIRFLOW__CORE__DAGS_FOLDER": str(server.ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
        "PYTHONWARNINGS": "ignore",
    }


def prepare() -> str:
    """Make warehouse and metadata database ready, set the environment, and return the warehouse's URL."""
    url, admin_url = migrate.warehouse()
    migrate.migrate(url, admin_url)
    os.environ.update(settings(url))
    lock = (server.ROOT / "requirements" / "run.txt").read_text()
    if not READY.exists() or READY.read_text() != lock:
        HOME.mkdir(parents=True, exist_ok=True, mode=0o700)
        done = subprocess.run(
            [Path(sys.executable).with_name("airflow"), "db", "migrate"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"airflow db migrate: {done.stderr[-2000:]}")
        READY.write_text(lock)
    return url
