"""Start Airflow with its web page on this machine, with the daily schedule on unless told otherwise: `make ui`.

It runs until it is interrupted. DATA (a folder or the URL of an object store's) and UI_PORT (8080 unless told) come
from the environment. Airflow's own `standalone` would open two more ports to every network; these three processes
listen on 127.0.0.1 alone.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

import airflow_home
import httpx

LOG = airflow_home.UI_HOME / "ui.log"
PASSWORDS = airflow_home.UI_HOME / "simple_auth_manager_passwords.json.generated"
PROCESSES = (["api-server"], ["scheduler", "--skip-serve-logs"], ["dag-processor"])


def answers(address: str) -> dict[str, dict[str, str]]:
    """What the web page says of Airflow's parts; empty while it does not answer."""
    try:
        # No proxy of the environment's stands between this machine and itself.
        return dict(httpx.get(f"{address}/api/v2/monitor/health", timeout=5, trust_env=False).raise_for_status().json())
    except (httpx.HTTPError, ValueError):
        return {}


def is_healthy(address: str) -> bool:
    """Whether web page, scheduler and DAG processor say that they are well."""
    parts = answers(address)
    return bool(parts) and all(
        parts[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "dag_processor")
    )


def schedule() -> str:
    """Whether the daily schedule is "on" or, while the past is loaded, "off": in the words that Airflow takes."""
    said = os.environ.get("AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE", "True").strip().lower()
    return "off" if said in {"false", "f", "0"} else "on"


def stop(processes: list[subprocess.Popen[bytes]]) -> None:
    """End the processes and whatever they have started."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """Take a request to end for a Ctrl-C."""
    raise KeyboardInterrupt


def main() -> int:
    """Start Airflow, say where it is, and wait; return 0 once it is told to stop, 1 when a part of it has ended."""
    port = os.environ.get("UI_PORT") or "8080"
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise SystemExit(f"UI_PORT={port} is no port: a number from 1 to 65535")
    address = f"http://127.0.0.1:{port}"
    with socket.socket() as taken:
        if taken.connect_ex(("127.0.0.1", int(port))) == 0:
            raise SystemExit(f"Port {port} is taken on this machine: choose another one, make ui UI_PORT=…")
    airflow_home.read_from_data()
    airflow_home.prepare(airflow_home.UI_HOME)
    os.environ.update(
        AIRFLOW__API__HOST="127.0.0.1",
        AIRFLOW__API__PORT=port,
        AIRFLOW__API__BASE_URL=address,
        AIRFLOW__API__WORKERS="1",
        AIRFLOW__CORE__EXECUTION_API_SERVER_URL=f"{address}/execution/",
        AIRFLOW__CORE__EXECUTOR="LocalExecutor",
    )
    signal.signal(signal.SIGTERM, interrupt)
    airflow = Path(sys.executable).with_name("airflow")
    processes: list[subprocess.Popen[bytes]] = []
    print("Airflow is starting ...", flush=True)
    try:
        with os.fdopen(os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as log:
            for arguments in PROCESSES:
                process = subprocess.Popen(  # noqa: S603 - a program of ours, no shell
                    [airflow, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
                processes.append(process)
                # The first is the one that the others' tasks report to.
                while process is processes[0] and process.poll() is None and not answers(address):
                    time.sleep(1)
        is_announced = False
        while all(process.poll() is None for process in processes):
            if not is_announced and is_healthy(address):
                password = json.loads(PASSWORDS.read_text(encoding="utf-8"))["admin"]
                print(f"Airflow:  {address}\nLogin:    admin\nPassword: {password}", flush=True)
                print(f"The daily schedule is {schedule()}. Stop with Ctrl-C.", flush=True)
                is_announced = True
            time.sleep(1)
        print(f"Airflow has ended; its log: {LOG}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        stop(processes)


if __name__ == "__main__":
    sys.exit(main())
