"""A run by a real scheduler, as `make ui` has it, started through the REST API."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import httpx
import psycopg
import pytest
import server
import ui
from browser import browser, watched
from conftest import ROOT, database_url, janitor
from pipeline import run_pipeline
from playwright.sync_api import expect
from receivers import SECRET_PATH, Receivers, connections, listening
from sql_files import SQL
from support import (
    AIRFLOW,
    airflow_settings,
    customer,
    deliver,
    execute,
    fetch,
    free_port,
    new_airflow_home,
    open_limits,
    warehouse_of,
)

AS_OF = "2026-01-31"
RUNS = "/api/v2/dags/customer_ltv/dagRuns"
DAGS = {"customer_ltv", "customer_ltv_watch", "customer_forecast", "customer_report"}


@dataclass
class Airflow:
    """A running Airflow: how to ask it, where it keeps its files, its warehouse, its own database, the deliveries."""

    client: httpx.Client
    home: Path
    warehouse: str
    metadata: str
    deliveries: Path
    settings: dict[str, str]
    receivers: Receivers

    def start(self, run_id: str | None = None, **conf: object) -> httpx.Response:
        named = {"dag_run_id": run_id} if run_id else {}
        return self.client.post(RUNS, json={**named, "logical_date": None, "conf": conf})

    def task(self, run_id: str, task_id: str, state: str | None) -> dict | None:
        """The task of the run, once it is in the state."""
        found = self.client.get(f"{RUNS}/{run_id}/taskInstances/{task_id}")
        return found.json() if found.is_success and found.json()["state"] == state else None

    def pause(self, *dag_ids: str, is_paused: bool = True) -> None:
        for dag_id in dag_ids:
            self.client.patch(f"/api/v2/dags/{dag_id}", json={"is_paused": is_paused}).raise_for_status()

    def log_of(self, run_id: str, task_id: str) -> str:
        """What the task said; of an error, its class and its message."""
        answer = self.client.get(f"{RUNS}/{run_id}/taskInstances/{task_id}/logs/1").raise_for_status().json()
        lines = []
        for line in answer["content"]:
            lines.append(line["event"])
            lines += [f"{error['exc_type']}: {error['exc_value']}" for error in line.get("error_detail") or []]
        return "\n".join(lines)


def wait_for(what: str, probe: Callable[[], object], processes: list[subprocess.Popen], seconds: float = 900) -> object:
    """The first true answer; fails when it takes too long or a process has ended."""
    deadline = time.monotonic() + seconds
    while not (answer := probe()):
        ended = [process.args for process in processes if process.poll() is not None]
        assert not ended, f"{ended} ended while waiting for {what}"
        assert time.monotonic() < deadline, f"{what} took longer than {seconds} s"
        time.sleep(0.25)
    return answer


def end(processes: list[subprocess.Popen]) -> None:
    """End the processes and all that they have started: each leads a group of its own."""
    for number, seconds in ((signal.SIGTERM, 20), (signal.SIGKILL, 20)):
        for process in processes:
            try:
                os.killpg(process.pid, number)
            except ProcessLookupError:
                continue
        for process in processes:
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                break


@pytest.fixture(scope="module")
def airflow(cluster: server.Server, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    home = new_airflow_home(tmp_path_factory)
    deliveries = tmp_path_factory.mktemp("deliveries")
    (deliveries / AS_OF).symlink_to(ROOT / "data")
    address = f"http://127.0.0.1:{free_port()}"
    # SQLite lets one write at a time; a backfill that is refused for that is taken back beneath the scheduler.
    metadata = database_url(cluster, "ltv_airflow", admin=True)
    with (
        listening() as receivers,
        warehouse_of(cluster, template, "ltv_scheduler") as url,
        janitor(cluster, "ltv_airflow"),
    ):
        settings = airflow_settings(home, url) | {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata.replace("postgresql:", "postgresql+psycopg2:"),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": address.rpartition(":")[2],
            "AIRFLOW__API__BASE_URL": address,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW_VAR_LTV_SOURCE": f"{deliveries}/{{as_of}}/",
            "AIRFLOW_VAR_LTV_REPORT": str(home / "report"),
            # The daily run would start at once, and be the one that runs.
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
            # Mails arrive; the other receiver is down.
            **connections(1, 1),
            "AIRFLOW_CONN_ALERTS_SMTP": receivers.connections["AIRFLOW_CONN_ALERTS_SMTP"],
        }
        subprocess.run([AIRFLOW, "db", "migrate"], env=settings, capture_output=True, check=True)
        processes: list[subprocess.Popen] = []
        try:
            for arguments in ui.PROCESSES:
                with (home / f"{arguments[0]}.out").open("w") as output:
                    processes.append(
                        subprocess.Popen(
                            [AIRFLOW, *arguments],
                            env=settings,
                            stdin=subprocess.DEVNULL,
                            stdout=output,
                            stderr=output,
                            start_new_session=True,
                        )
                    )
            wait_for("Airflow", lambda: ui.is_healthy(address), processes)
            passwords = json.loads((home / "simple_auth_manager_passwords.json.generated").read_text())
            with httpx.Client(base_url=address, timeout=60) as client:
                login = client.post("/auth/token", json={"username": "admin", "password": passwords["admin"]})
                client.headers["Authorization"] = f"Bearer {login.raise_for_status().json()['access_token']}"

                def known() -> set[str]:
                    return {dag["dag_id"] for dag in client.get("/api/v2/dags").raise_for_status().json()["dags"]}

                # One that is read after the publish would not hear of it.
                wait_for("the DAGs", lambda: known() == DAGS, processes)
                airflow = Airflow(client, home, url, metadata, deliveries, settings, receivers)
                airflow.processes = processes
                airflow.settings = settings
                yield airflow
        finally:
            end(processes)


@pytest.fixture(scope="module")
def green_run(airflow: Airflow) -> str:
    """The id of a run that was started through the API and has ended well."""
    # Its conf does not choose the files that the worker reads: these are not there.
    run_id = airflow.start(as_of=AS_OF, ltv_source="/nowhere").raise_for_status().json()["dag_run_id"]

    def state() -> str | None:
        found = airflow.client.get(f"{RUNS}/{run_id}").raise_for_status().json()["state"]
        return found if found in ("success", "failed") else None

    ended = wait_for("the run", state, airflow.processes)
    failed = airflow.client.get(f"{RUNS}/{run_id}/taskInstances", params={"state": "failed"}).json()
    assert ended == "success", [airflow.log_of(run_id, task["task_id"]) for task in failed["task_instances"]]
    return run_id


@pytest.mark.parametrize(("said", "schedule"), [(None, "on"), ("True", "on"), ("False", "off"), ("0", "off")])
def test_make_ui_says_whether_the_schedule_is_on(
    monkeypatch: pytest.MonkeyPatch, said: str | None, schedule: str
) -> None:
    monkeypatch.delenv("AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE", raising=False)
    if said:
        monkeypatch.setenv("AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE", said)
    assert ui.schedule() == schedule


def test_there_is_no_import_error(airflow: Airflow) -> None:
    assert airflow.client.get("/api/v2/importErrors").raise_for_status().json()["import_errors"] == []
    dag = airflow.client.get("/api/v2/dags/customer_ltv").json()
    assert dag["is_paused"] is False
    assert dag["timetable_summary"] == "30 2 * * *"


def test_a_run_through_the_api_ends_green_and_publishes(airflow: Airflow, green_run: str) -> None:
    assert fetch(airflow.warehouse, "SELECT dag_run_id, as_of::text, state, reason FROM audit.runs") == [
        (green_run, AS_OF, "published", None)
    ]
    assert fetch(airflow.warehouse, "SELECT count(*), sum(ltv) > 0 FROM marts.customer_ltv") == [(500, True)]
    assert fetch(airflow.warehouse, "SELECT as_of::text FROM marts.freshness") == [(AS_OF,)]
    tasks = airflow.client.get(f"{RUNS}/{green_run}/taskInstances", params={"limit": 100}).json()["task_instances"]
    assert {task["state"] for task in tasks} == {"success"}
    assert {task["try_number"] for task in tasks} == {1}
    layers = ("staging", "core", "intermediate", "marts")
    files = {f"{layer}.{path.stem}" for layer in layers for path in (SQL / layer).glob("*.sql")}
    assert files <= {task["task_id"] for task in tasks}


def test_other_dags_learn_of_the_publish(airflow: Airflow, green_run: str) -> None:
    events = airflow.client.get("/api/v2/assets/events").raise_for_status().json()["asset_events"]
    assert [(event["name"], event["source_run_id"]) for event in events] == [("marts.customer_ltv", green_run)]


REPORT = "/customer-report/"


def test_a_report_that_is_not_written_yet_says_what_to_do(airflow: Airflow) -> None:
    answer = airflow.client.get(REPORT)
    assert (answer.status_code, answer.json()["detail"]) == (
        404,
        "The report has not been written yet: run the DAG customer_report",
    )


def test_the_forecast_and_the_report_follow_the_publish(airflow: Airflow, green_run: str) -> None:
    def ended() -> list[tuple[str, str]]:
        runs = airflow.client.get("/api/v2/dags/customer_forecast/dagRuns").raise_for_status().json()["dag_runs"]
        return [(run["run_type"], run["state"]) for run in runs if run["state"] in ("success", "failed")]

    # The scheduler that is at work starts nothing by itself; this one would start tonight's run too, the watch at six.
    airflow.pause("customer_ltv", "customer_ltv_watch")
    second = subprocess.Popen(
        [AIRFLOW, *ui.PROCESSES[1]],
        env=airflow.settings | {"AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "True"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        found = wait_for("the forecast", ended, [*airflow.processes, second])
        # Once for the publish, and once more for the forecast.
        page = airflow.home / "report" / "index.html"
        wait_for(
            "the report",
            lambda: page.exists() and "forecast from 31 Jan 2026" in page.read_text(),
            [*airflow.processes, second],
        )
    finally:
        end([second])
        airflow.pause("customer_ltv", "customer_ltv_watch", is_paused=False)
    assert found == [("asset_triggered", "success")]
    assert fetch(
        airflow.warehouse,
        """SELECT count(*) = (SELECT count(*) FROM marts.customer_ltv WHERE total_orders > 0), min(as_of)::text
        FROM marts.customer_forecast""",
    ) == [(True, AS_OF)]
    # The run that it follows is what it was.
    assert fetch(airflow.warehouse, "SELECT dag_run_id, state FROM audit.runs") == [(green_run, "published")]


def test_the_report_is_for_whoever_is_logged_in_and_nothing_else_is_served(airflow: Airflow) -> None:
    written = (airflow.home / "report" / "index.html").read_bytes()
    shown = airflow.client.get(REPORT)
    assert (shown.status_code, shown.content) == (200, written)
    assert shown.headers["content-security-policy"].startswith("default-src 'none'; ")
    stranger = {"Authorization": ""}
    assert airflow.client.get(REPORT, headers=stranger).status_code == 401
    assert airflow.client.get(REPORT, headers={"Authorization": "Bearer e30.e30.e30"}).status_code == 403
    assert airflow.client.post(REPORT).status_code == 405
    (airflow.home / "report" / "beside.html").write_text("beside it")
    for path in (
        "beside.html",
        "index.html",
        "../airflow.cfg",
        "..%2fairflow.cfg",
        "%2e%2e/airflow.cfg",
        "/etc/passwd",
    ):
        for headers in (stranger, {}):
            answer = airflow.client.get(REPORT + path, headers=headers)
            assert b"beside it" not in answer.content
            assert b"[core]" not in answer.content
            assert b"root:" not in answer.content
            # Where a path leads out of it, Airflow's own page answers.
            assert answer.status_code == 404 or "<title>Airflow" in answer.text, path


def test_the_report_stands_in_airflows_menu(airflow: Airflow) -> None:
    token = airflow.client.headers["Authorization"].removeprefix("Bearer ")
    address = str(airflow.client.base_url)
    with browser() as started, watched(started) as seen:
        seen.page.context.add_cookies([{"name": "_token", "value": token, "url": address}])
        seen.page.goto(f"{address}/plugin/customer-report")
        # The page comes in pieces, and so does Airflow's around it.
        inside = seen.page.frame_locator("iframe")
        expect(inside.locator("h1")).to_have_text("What our customers are worth")
        expect(inside.locator("section svg").first).to_be_attached()
        expect(seen.page.get_by_text("Report", exact=True)).to_have_count(1)


@pytest.mark.parametrize("as_of", ["2023-13-01", "'; DROP TABLE core.customers; --", 20230101, "tomorrow"])
def test_a_day_that_is_none_is_refused_by_the_api(as_of: object, airflow: Airflow, green_run: str) -> None:
    answer = airflow.start(as_of=as_of)
    assert answer.status_code == 400
    assert "as_of" in answer.text
    runs = airflow.client.get(RUNS).json()["dag_runs"]
    assert [run["dag_run_id"] for run in runs] == [green_run]


@pytest.mark.parametrize("run_id", ["'; DROP TABLE core.customers; --", '"', "{{ 7 * 7 }}", "../../etc", "\u0430"])
def test_a_hostile_id_of_a_run_is_refused_by_the_api(run_id: str, airflow: Airflow, green_run: str) -> None:
    answer = airflow.start(run_id, as_of=AS_OF)
    assert (answer.status_code, "run_id" in answer.text) == (400, True), answer.text
    runs = airflow.client.get(RUNS).json()["dag_runs"]
    assert [run["dag_run_id"] for run in runs] == [green_run]


@pytest.mark.parametrize(
    ("task_id", "sentence"),
    [
        ("staging.orders__reconciles", "staging.orders__reconciles passed: 0 of 3000 bad"),
        ("marts.customer_ltv__equals_candidate", "marts.customer_ltv__equals_candidate passed: 0 of 500 bad"),
        ("raw.order_data", "order_data.csv: 3000 records in "),
        ("begin", "run_no 1, as of 2026-01-31"),
    ],
    # Not by the tasks' names: who tests one SQL file does not want a scheduler started.
    ids=["check", "last check", "copy", "begin"],
)
def test_a_tasks_log_says_what_it_found(task_id: str, sentence: str, airflow: Airflow, green_run: str) -> None:
    assert sentence in airflow.log_of(green_run, task_id)


def test_no_log_holds_a_password_or_a_person(airflow: Airflow, green_run: str) -> None:
    password = re.search(r":([^:@]+)@", airflow.warehouse)[1]
    logs = [path for path in airflow.home.rglob("*") if path.suffix in (".log", ".out") and path.is_file()]
    assert sum(green_run in str(path) for path in logs) > 30
    for path in logs:
        text = path.read_text(errors="replace")
        assert password not in text, path
        assert "@example." not in text, path


@pytest.mark.usefixtures("green_run")
def test_the_doctor_asks_airflow_for_the_schedule_and_the_source(airflow: Airflow, green_run: str) -> None:
    assert green_run
    environment = airflow_settings(airflow.home, airflow.warehouse) | {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": airflow.metadata.replace("postgresql:", "postgresql+psycopg2:"),
    }
    # One that Airflow's own database has, and not the environment.
    hook = {"connection_id": "alerts_webhook", "conn_type": "http", "password": SECRET_PATH}
    airflow.client.post("/api/v2/connections", json=hook).raise_for_status()
    source = {"key": "ltv_source", "value": f"{airflow.deliveries}/2000-01-01"}
    airflow.client.post("/api/v2/variables", json=source).raise_for_status()
    said = {}
    try:
        for is_paused in (False, True):
            airflow.pause("customer_ltv", is_paused=is_paused)
            done = subprocess.run(
                [sys.executable, ROOT / "ops" / "doctor.py"],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert (done.returncode, done.stderr) == (1, "")
            said[is_paused] = done.stdout
    finally:
        airflow.pause("customer_ltv", is_paused=False)
        airflow.client.delete("/api/v2/variables/ltv_source").raise_for_status()
        airflow.client.delete("/api/v2/connections/alerts_webhook").raise_for_status()
    assert "ok    alerts         alerts_webhook\n" in said[False]
    assert SECRET_PATH not in said[False]
    assert "ok    scheduler      lives\nok    schedule       on\n" in said[False]
    turned_off = "customer_ltv off -> airflow dags unpause customer_ltv; today's run starts at once"
    assert f"FAIL  schedule       {turned_off}\n" in said[True]
    assert f"FAIL  order_data     {airflow.deliveries}/2000-01-01 is no folder" in said[False]


def test_a_lock_held_too_long_is_waited_out_by_a_retry(airflow: Airflow) -> None:
    def task_is(state: str) -> dict | None:
        return airflow.task("locked_out", "core.customers", state)

    def log() -> str:
        return airflow.log_of("locked_out", "core.customers")

    execute(airflow.warehouse, "ALTER ROLE CURRENT_USER IN DATABASE ltv_scheduler SET lock_timeout = '1s'")
    try:
        with psycopg.connect(airflow.warehouse) as holder:
            holder.execute("LOCK TABLE core.customers IN SHARE MODE")
            airflow.start("locked_out", as_of=AS_OF).raise_for_status()
            wait_for("the time-out", lambda: task_is("up_for_retry"), airflow.processes)
    finally:
        # The other tests hold locks for longer, and on a busy machine so do tasks.
        execute(airflow.warehouse, (SQL / "definitions" / "login_defaults.sql").read_text())
    said = "LockNotAvailable: canceling statement due to lock timeout"
    wait_for("the log of the first try", lambda: said in log(), airflow.processes)
    assert wait_for("the retry", lambda: task_is("success"), airflow.processes)["try_number"] == 2

    def published() -> list:
        return fetch(
            airflow.warehouse, "SELECT FROM audit.runs WHERE dag_run_id = 'locked_out' AND state = 'published'"
        )

    wait_for("the publish", published, airflow.processes)


def waits_for_orders(airflow: Airflow) -> list[tuple]:
    """The task that waits for raw.order_data, which a test holds."""
    waiting = "SELECT pid FROM pg_locks WHERE relation = 'raw.order_data'::regclass AND NOT granted"
    return fetch(airflow.warehouse, waiting)


@pytest.mark.usefixtures("green_run")
def test_a_task_killed_at_its_last_try_leaves_a_failed_run_that_says_so(airflow: Airflow) -> None:
    def task_is(state: str | None) -> dict | None:
        return airflow.task("killed", "raw.order_data", state)

    with psycopg.connect(airflow.warehouse) as holder:
        holder.execute("LOCK TABLE raw.order_data")
        with psycopg.connect(airflow.warehouse) as first:
            # It begins when the task begin has ended, and not before.
            first.execute("LOCK TABLE audit.runs IN SHARE MODE")
            airflow.start("killed", as_of=AS_OF).raise_for_status()
            # Three retries would take minutes.
            assert fetch(
                airflow.metadata,
                """UPDATE task_instance SET max_tries = 0 WHERE run_id = 'killed' AND task_id = 'raw.order_data'
                RETURNING state""",
            ) == [(None,)]
        wait_for("the lock", lambda: waits_for_orders(airflow), airflow.processes)
        os.kill(task_is("running")["pid"], signal.SIGKILL)
        wait_for("the end of the task", lambda: task_is("failed"), airflow.processes)
        wait_for("the end of its query", lambda: not waits_for_orders(airflow), airflow.processes)

    def ended() -> list:
        return fetch(
            airflow.warehouse,
            "SELECT state, reason FROM audit.runs WHERE dag_run_id = 'killed' AND ended_at IS NOT NULL",
        )

    assert wait_for("the end of the run", ended, airflow.processes) == [
        ("failed", "raw.order_data: its process ended without a word")
    ]


@pytest.mark.usefixtures("green_run")
def test_the_late_callback_of_a_failure_fails_no_run_that_was_cleared_since(airflow: Airflow) -> None:
    def state() -> str:
        return airflow.client.get(f"{RUNS}/cleared").raise_for_status().json()["state"]

    def told() -> int:
        logs = [path for path in (airflow.home / "logs" / "dag_processor").rglob("*") if path.is_file()]
        return sum(path.read_text(errors="replace").count("Executing on_failure dag callback") for path in logs)

    def run_is() -> list:
        return fetch(airflow.warehouse, "SELECT state, attempt, reason FROM audit.runs WHERE dag_run_id = 'cleared'")

    data, told_before = airflow.deliveries / AS_OF, told()
    processor = airflow.processes[[arguments[0] for arguments in ui.PROCESSES].index("dag-processor")]
    # It runs the callbacks of the DAG: this one comes late.
    os.killpg(processor.pid, signal.SIGSTOP)
    try:
        data.rename(data.with_name("away"))
        airflow.start("cleared", as_of=AS_OF).raise_for_status()
        wait_for("the failure", lambda: state() == "failed", airflow.processes)
        assert run_is()[0][:2] == ("failed", 1)
        data.with_name("away").rename(data)
        with psycopg.connect(airflow.warehouse) as holder:
            holder.execute("LOCK TABLE raw.order_data")
            cleared = {"dag_run_id": "cleared", "task_ids": ["begin"], "include_downstream": True}
            flags = {"dry_run": False, "only_failed": False, "reset_dag_runs": True}
            answer = airflow.client.post("/api/v2/dags/customer_ltv/clearTaskInstances", json=cleared | flags)
            assert answer.is_success, answer.text
            wait_for("the lock", lambda: waits_for_orders(airflow), airflow.processes)
            os.killpg(processor.pid, signal.SIGCONT)
            # The DAG's second begins when its first, fail_run, has ended.
            wait_for("the callbacks", lambda: told() == told_before + 2, airflow.processes)
            assert run_is() == [("open", 2, None)]
    finally:
        os.killpg(processor.pid, signal.SIGCONT)
    wait_for("the end", lambda: state() in ("success", "failed"), airflow.processes)
    assert (state(), run_is()) == ("success", [("published", 2, None)])


# Nights that the schedule has made, though it is off: each is made as the scheduler makes it.

MAKE_A_NIGHT = """
import sys
from airflow.models.dag import DagModel
from airflow.models.dagbag import DBDagBag
from airflow.timetables.base import DataInterval
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
import pendulum

due = pendulum.parse(sys.argv[1])
with create_session() as session:
    dag = DBDagBag().get_latest_version_of_dag("customer_ltv", session=session)
    run = dag.create_dagrun(
        run_id=DagRunType.SCHEDULED.generate_run_id(suffix=due.isoformat()),
        logical_date=due,
        data_interval=DataInterval(due, due),
        run_after=due,
        run_type=DagRunType.SCHEDULED,
        triggered_by=DagRunTriggeredByType.TIMETABLE,
        state=DagRunState.QUEUED,
        session=session,
    )
    print(run.run_id)
"""


def set_hour(airflow: Airflow, as_of: str, *, seconds: int) -> None:
    """Have the files of the night after a day waited for until so many seconds from now."""
    execute(
        airflow.warehouse,
        """UPDATE audit.sources
        SET wait_until = clock_timestamp() - %s::timestamp AT TIME ZONE 'Africa/Kigali' + make_interval(secs => %s)""",
        [date.fromisoformat(as_of) + timedelta(days=1), seconds],
    )


def make_a_night(airflow: Airflow, as_of: str) -> str:
    """Have the scheduler run the night after a day, whose files are waited for; returns once it waits for orders."""
    set_hour(airflow, as_of, seconds=3600)
    due = date.fromisoformat(as_of) + timedelta(days=1)
    made = subprocess.run(
        [sys.executable, "-c", MAKE_A_NIGHT, f"{due}T00:30:00+00:00"],
        env=airflow.settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr[-2000:]
    run_id = made.stdout.split()[-1]
    wait_for("the wait", lambda: airflow.task(run_id, "raw.order_data", "up_for_reschedule"), airflow.processes)
    return run_id


def look_again(airflow: Airflow, run_id: str) -> None:
    """Have the task that waits for orders look at once, which it would in a minute."""
    # A scheduler that has not heard of the first look's end by then takes it for that of the second, and retries.
    key = f"TaskInstanceKey(dag_id='customer_ltv', task_id='raw.order_data', run_id='{run_id}'"
    heard = f"event with state success for task instance {key}"
    wait_for("the scheduler", lambda: heard in (airflow.home / "scheduler.out").read_text(), airflow.processes)
    execute(airflow.metadata, "UPDATE task_reschedule SET reschedule_date = now()")


@pytest.fixture
def as_declared(airflow: Airflow) -> Iterator[None]:
    """What a night's test has set as the hour is not there for the others."""
    yield
    execute(airflow.warehouse, "UPDATE audit.sources SET wait_until = DEFAULT")


def deliver_without_orders(folder: Path) -> None:
    deliver(folder, customer_data=[customer(1)], payment_data=[[1, 1, 1, "2025-03-10", "100"]])


@pytest.mark.usefixtures("green_run", "as_declared")
def test_a_late_file_is_waited_for_and_published(airflow: Airflow) -> None:
    as_of = "2026-02-01"
    open_limits(airflow.warehouse)
    folder = airflow.deliveries / as_of
    deliver_without_orders(folder)
    run_id = make_a_night(airflow, as_of)
    wait_for("the others", lambda: airflow.task(run_id, "raw.payment_data", "success"), airflow.processes)
    assert fetch(airflow.warehouse, "SELECT state, reason FROM audit.runs WHERE dag_run_id = %s", [run_id]) == [
        ("open", None)
    ]
    # No transaction, so no lock either, and no connection.
    others = "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    wait_for("the end of their connections", lambda: not fetch(airflow.warehouse, others), airflow.processes)
    deliver(folder, order_data=[[1, 1, "2025-03-09", "Phone", "100"]])
    look_again(airflow, run_id)
    found = wait_for("the file", lambda: airflow.task(run_id, "raw.order_data", "success"), airflow.processes)
    assert found["try_number"] == 1

    def published() -> list:
        return fetch(
            airflow.warehouse,
            "SELECT as_of::text, reason FROM audit.runs WHERE dag_run_id = %s AND state = 'published'",
            [run_id],
        )

    assert wait_for("the publish", published, airflow.processes) == [(as_of, None)]
    said = f"order_data.csv is missing in file://{folder}/; order_data.csv is waited for until "
    assert said.replace("file://", "") in airflow.log_of(run_id, "raw.order_data").replace("file://", "")


@pytest.mark.usefixtures("green_run", "as_declared")
def test_a_file_that_never_comes_fails_the_night_at_its_hour(airflow: Airflow) -> None:
    as_of = "2026-02-02"
    folder = airflow.deliveries / as_of
    deliver_without_orders(folder)
    airflow.receivers.mails.clear()
    run_id = make_a_night(airflow, as_of)
    set_hour(airflow, as_of, seconds=0)
    look_again(airflow, run_id)
    ((hour,),) = fetch(
        airflow.warehouse,
        """SELECT to_char(('2026-02-03'::timestamp + wait_until), 'YYYY-MM-DD HH24:MI')
        FROM audit.sources WHERE source = 'order_data'""",
    )
    failed = wait_for("the hour", lambda: airflow.task(run_id, "raw.order_data", "failed"), airflow.processes)
    assert failed["try_number"] == 1
    ((state, reason),) = fetch(
        airflow.warehouse, "SELECT state, reason FROM audit.runs WHERE dag_run_id = %s", [run_id]
    )
    sentence = (
        f"raw.order_data: order_data.csv is missing in {folder}/; "
        f"order_data.csv was waited for until {hour} (Africa/Kigali)"
    )
    assert (state, reason.replace("file://", "")) == ("failed", sentence)
    # It was waited for, and not only failed.
    assert "order_data.csv is waited for until" in airflow.log_of(run_id, "raw.order_data")
    wait_for("the mail", lambda: airflow.receivers.mails, airflow.processes)
    ((_, mail),) = airflow.receivers.mails
    assert mail["Subject"] == "customer_ltv: failed, as of 2026-02-02"
    assert f"order_data.csv was waited for until {hour} (Africa/Kigali)" in mail.get_body().get_content()


@pytest.mark.usefixtures("green_run")
def test_the_watch_is_red_and_tells_it_when_yesterday_is_not_published(airflow: Airflow) -> None:
    runs = "/api/v2/dags/customer_ltv_watch/dagRuns"
    run_id = airflow.client.post(runs, json={"logical_date": None}).raise_for_status().json()["dag_run_id"]

    def ended() -> str | None:
        state = airflow.client.get(f"{runs}/{run_id}").raise_for_status().json()["state"]
        return state if state in ("success", "failed") else None

    assert wait_for("the watch", ended, airflow.processes) == "failed"
    subjects = [mail["Subject"] for _, mail in airflow.receivers.mails if "late" in mail["Subject"]]
    assert len(subjects) == 1
    assert re.fullmatch(r"customer_ltv: late, \d{4}-\d\d-\d\d is not published", subjects[0])


@pytest.mark.usefixtures("green_run")
def test_a_receiver_that_is_down_is_said_without_its_secret(airflow: Airflow) -> None:
    logs = [path for path in airflow.home.rglob("*") if path.suffix in (".log", ".out") and path.is_file()]
    texts = [path.read_text(errors="replace") for path in logs]
    assert any("This alert was not sent by alerts_webhook" in text for text in texts)
    assert not any(SECRET_PATH in text or SECRET_PATH.rpartition("/")[2] in text for text in texts)


# The days of three folders, with what lies in them.
NIGHTS = {
    "2026-01-10": {
        "customer_data": [*map(customer, [1, 2, 3]), customer(4, email="nobody")],
        "order_data": [
            [1, 1, "2025-03-09", "Phone", "100"],
            [2, 2, "2025-03-09", "Radio", "20"],
            # Its customer arrives with the second night, as does the day of the next one.
            [3, 9, "2025-03-09", "Phone", "30"],
            [4, 3, "2026-01-11", "Phone", "40"],
            [5, 3, "2025-03-09", "Phone", "1,200"],
        ],
        "payment_data": [
            [1, 1, 1, "2025-03-10", "100"],
            [2, 2, 2, "2025-03-10", "20"],
            [3, 9, 3, "2025-03-10", "30"],
            [4, 1, 99, "2025-03-10", "1"],
        ],
    },
    "2026-01-11": {
        "customer_data": [customer(4), customer(9), customer(2, email="new@example.com")],
        # The first order moves from customer 1 to customer 2, and its payment goes with it.
        "order_data": [[1, 2, "2025-03-09", "Phone", "100"], [5, 3, "2025-03-09", "Phone", "1200"]],
        "payment_data": [[5, 3, 5, "2025-03-12", "1200"]],
    },
    "2026-01-12": {
        "customer_data": [customer(1, country="Ghana"), customer(10)],
        "order_data": [[2, 2, "2025-03-09", "Radio", "25"], [6, 10, "2026-01-12", "Radio", "60"]],
        "payment_data": [
            [2, 2, 2, "2025-03-10", "25"],
            [6, 3, 4, "2026-01-12", "40"],
            [7, 10, 6, "2026-01-12", "60"],
            [8, 3, 5, "2026-01-12", "-200"],
        ],
    },
}
EMPTIED = """SELECT format('%I.%I', schemaname, tablename) FROM pg_catalog.pg_tables
    WHERE schemaname IN ('core', 'marts', 'audit')
    AND schemaname || '.' || tablename NOT IN ('audit.sources', 'audit.deployments', 'audit.schema_migrations')"""


def kept(url: str) -> dict[str, list[str]]:
    """What a warehouse has learned: its rows but for clocks and counters, and the night in place of a run's number."""
    nights = dict(fetch(url, "SELECT run_no, as_of::text FROM audit.runs"))
    tables = [table for (table,) in fetch(url, EMPTIED) if table.split(".")[0] in ("core", "marts")]
    found = {}
    for table in [*tables, "audit.rejected_rows", "audit.loads", "audit.ledger"]:
        found[table] = sorted(
            json.dumps(
                {
                    column: nights.get(value) if column.endswith("run_no") else value
                    for column, value in row.items()
                    if not column.endswith("_at")
                    and column not in ("rejected_row_id", "change_no", "seconds", "filenode")
                },
                sort_keys=True,
            )
            for (row,) in fetch(url, f"SELECT to_jsonb(kept.*) FROM {table} AS kept")
        )
    return found


def test_a_backfill_of_dated_deliveries_ends_as_the_nights_one_by_one(
    airflow: Airflow, cluster: server.Server, template: str
) -> None:
    for day, sources in NIGHTS.items():
        deliver(airflow.deliveries / day, **sources)
    execute(airflow.warehouse, f"TRUNCATE {', '.join(table for (table,) in fetch(airflow.warehouse, EMPTIED))}")
    open_limits(airflow.warehouse)
    wanted = {
        "dag_id": "customer_ltv",
        # Of both ends: when the night after the folder's day is due.
        "from_date": "2026-01-11T02:30:00+02:00",
        "to_date": "2026-01-13T02:30:00+02:00",
        "max_active_runs": 1,
        "run_backwards": False,
        "reprocess_behavior": "none",
    }

    backfill = airflow.client.post("/api/v2/backfills", json=wanted)
    assert backfill.is_success, backfill.text

    def ended() -> list[dict]:
        runs = airflow.client.get(RUNS, params={"run_type": "backfill", "order_by": "logical_date"}).json()["dag_runs"]
        return runs if all(run["state"] in ("success", "failed") for run in runs) else []

    runs = wait_for("the backfill", ended, airflow.processes)
    assert [run["state"] for run in runs] == ["success"] * len(NIGHTS), fetch(
        airflow.warehouse, "SELECT as_of::text, state, reason FROM audit.runs ORDER BY run_no"
    )
    assert fetch(airflow.warehouse, "SELECT dag_run_id, as_of::text, state FROM audit.runs ORDER BY run_no") == [
        (run["dag_run_id"], day, "published") for run, day in zip(runs, NIGHTS, strict=True)
    ]
    with warehouse_of(cluster, template, "ltv_nights") as one_by_one:
        open_limits(one_by_one)
        for day in NIGHTS:
            run_pipeline(one_by_one, airflow.deliveries / day, day, f"night of {day}")
        assert kept(airflow.warehouse) == kept(one_by_one)
    # The nights did what they are there for; two empty warehouses would be alike too.
    assert fetch(airflow.warehouse, "SELECT order_id, customer_id, price::int FROM core.orders ORDER BY order_id") == [
        (1, 2, 100),
        (2, 2, 25),
        (3, 9, 30),
        (4, 3, 40),
        (5, 3, 1200),
        (6, 10, 60),
    ]
    assert fetch(
        airflow.warehouse,
        """SELECT rule, fields ->> 'payment_id', released.as_of::text
        FROM audit.rejected_rows LEFT JOIN audit.runs AS released ON rejected_rows.released_run_no = released.run_no
        WHERE is_waiting ORDER BY source, line_no""",
    ) == [
        ("customer_id waits", None, "2026-01-11"),
        ("order_date waits", None, "2026-01-11"),
        ("order_id waits", "3", "2026-01-11"),
        ("order_id waits", "4", None),
    ]
