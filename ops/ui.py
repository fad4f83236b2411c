"""Start Airflow with its web page on this machine, with the daily schedule on: `make ui`.

It runs until it is interrupted. UI_PORT (8080 unless told) comes from the environment.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import airflow_home
import server

LOG = server.LOCAL / "airflow" / "ui.log"
PASSWORDS = airflow_home.HOME / "simple_auth_manager_passwords.json.generated"


def is_healthy(address: str) -> bool:
    """Whether web page, scheduler and DAG processor say that they are well."""
    try:
        with urllib.request.urlopen(f"{address}/api/v2/monitor/health", timeout=5) as answer:  # noqa: S310 - http to here
            parts = json.load(answer)
    except (OSError, ValueError):
        return False
    return all(parts[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "dag_processor"))


def main() -> int:
    """Start Airflow, say where it is, and wait; return its exit code."""
    port = os.environ.get("UI_PORT") or "8080"
    address = f"http://127.0.0.1:{port}"
    airflow_home.prepare()
    os.environ.update(
        AIRFLOW__API__HOST="127.0.0.1",
        AIRFLOW__API__PORT=port,
        AIRFLOW__API__BASE_URL=address,
        AIRFLOW__CORE__EXECUTION_API_SERVER_URL=f"{address}/execution/",
        AIRFLOW__CORE__EXECUTOR="LocalExecutor",
        AIRFLOW__API__WORKERS="1",
    )
    airflow = Path(sys.executable).with_name("airflow")
    with os.fdopen(os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as log:
        standalone = subprocess.Popen([airflow, "standalone"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    signal.signal(signal.SIGTERM, lambda *_: standalone.send_signal(signal.SIGINT))
    print("Airflow is starting ...", flush=True)
    deadline = time.monotonic() + 180
    while not is_healthy(address):
        if standalone.poll() is not None or time.monotonic() > deadline:
            standalone.terminate()
            print(f"Airflow did not start; its log: {LOG}", file=sys.stderr)
            return 1
        time.sleep(1)
    password = json.loads(PASSWORDS.read_text())["admin"]
    print(
        f"Airflow: {address}\nLogin:   admin\nPassword: {password}\nThe daily schedule is on. Stop with Ctrl-C.",
        flush=True,
    )
    try:
        return standalone.wait()
    except KeyboardInterrupt:
        return standalone.wait()


if __name__ == "__main__":
    sys.exit(main())
