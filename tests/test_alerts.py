"""Alerts: each kind once, with its text, as a real mail server and a real web server receive it; and none without."""

import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import server
from conftest import ROOT
from pipeline import CheckFailedError, begin, run_pipeline
from receivers import Receivers, connections, listening
from support import airflow_settings, customer, deliver, execute, fetch, new_airflow_home, open_limits, warehouse_of
from test_dag import RUN_EACH, sales

LOOK_AT_RUNS = "echo 'SELECT run_no, as_of, state, reason FROM audit.runs ORDER BY run_no DESC LIMIT 3' | make -s psql"


@pytest.fixture
def receivers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receivers]:
    """Two servers to which Airflow's connections lead."""
    with listening() as receivers:
        for name, value in receivers.connections.items():
            monkeypatch.setenv(name, value)
        yield receivers


@pytest.fixture
def url(warehouse: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", warehouse)
    return warehouse


def context(run_id: str, task_id: str = "end", **more: object) -> dict:
    """What Airflow tells a callback."""
    ti = SimpleNamespace(task_id=task_id)
    dag_run = SimpleNamespace(logical_date=None, run_after=datetime(2026, 2, 1, 4, tzinfo=UTC))
    known = {"run_id": run_id, "ti": ti, "dag": SimpleNamespace(dag_id="customer_ltv"), "dag_run": dag_run}
    return {**known, "params": {"as_of": None}, **more}


def run(url: str, folder: Path, as_of: str, run_id: str) -> None:
    """A run, and what Airflow calls when it has ended."""
    from alerts import tell_of_run

    try:
        run_pipeline(url, folder, as_of, run_id)
    except Exception as error:
        tell_of_run(context(run_id, exception=error))
        raise
    tell_of_run(context(run_id))


def look_at(run_no: int) -> str:
    return (
        f'echo "SELECT reason FROM audit.runs WHERE run_no = {run_no} UNION ALL SELECT said FROM audit.check_results '
        f"WHERE run_no = {run_no} AND verdict <> 'passed'\" | make -s psql"
    )


def test_a_run_that_publishes_sends_nothing(receivers: Receivers, url: str, tmp_path: Path) -> None:
    run(url, sales(tmp_path), "2026-01-31", "night")
    assert receivers.texts() == []


def test_a_failed_run(receivers: Receivers, url: str, tmp_path: Path) -> None:
    run(url, sales(tmp_path / "good"), "2026-01-30", "before")
    execute(url, "UPDATE audit.sources SET kind = 'snapshot'")
    with pytest.raises(CheckFailedError):
        run(url, sales(tmp_path / "short", orders=10), "2026-01-31", "night")
    (text,) = receivers.texts()
    assert text == (
        "customer_ltv: failed, as of 2026-01-31\n"
        "What:  run 2 failed; it has published nothing: readers see the numbers as of 2026-01-30\n"
        "Where: DAG run night, task raw.order_data__not_empty_nor_short, as of 2026-01-31\n"
        "Why:   raw.order_data__not_empty_nor_short failed: 10 of 20 bad, 10 % allowed\n"
        f"Look:  {look_at(2)}"
    )


def test_a_bad_file_is_named_and_is_no_template(receivers: Receivers, url: str, tmp_path: Path) -> None:
    odd = "order_data_{{ 7 * 7 }}<b>&.csv"
    sales(tmp_path)
    (tmp_path / odd).write_text("")
    with pytest.raises(Exception, match="neither"):
        run(url, tmp_path, "2026-01-31", "night")
    (text,) = receivers.texts()
    assert text.replace("file://", "") == (
        "customer_ltv: failed, as of 2026-01-31\n"
        "What:  run 1 failed; it has published nothing: nothing has been published yet\n"
        "Where: DAG run night, task raw.order_data, as of 2026-01-31\n"
        f"Why:   raw.order_data: '{odd}' in {tmp_path} is neither order_data.csv nor a numbered part of it "
        "(order_data_1.csv): take it away\n"
        f"Look:  {look_at(1)}"
    )


def rejects(folder: Path) -> Path:
    return sales(folder, broken="21,Zebulon,Zebulon,zebulon,Rwanda,Male,1990-01-01\n" * 3)


OVER_LIMIT = "staging.customers__rejects_within_limit"


def test_rejects_above_their_limit(receivers: Receivers, url: str, tmp_path: Path) -> None:
    with pytest.raises(CheckFailedError, match=r"e\.g\. customer_data\.csv line 24"):
        run(url, rejects(tmp_path), "2026-01-31", "night")
    (text,) = receivers.texts()
    assert text == (
        "customer_ltv: rejects above their limit, as of 2026-01-31\n"
        "What:  run 1 failed; it has published nothing: nothing has been published yet\n"
        f"Where: DAG run night, task {OVER_LIMIT}, as of 2026-01-31\n"
        f"Why:   {OVER_LIMIT} failed: 3 of 23 bad, 5 % allowed\n"
        "Look:  echo 'TABLE audit.rejections_today' | make -s psql"
    )


def test_rejects_above_their_limit_that_somebody_has_signed_for(receivers: Receivers, url: str, tmp_path: Path) -> None:
    with pytest.raises(CheckFailedError):
        run_pipeline(url, rejects(tmp_path), "2026-01-31", "before")
    execute(url, "SELECT audit.override(%s, 'Ann Uwase', 'their test data')", [OVER_LIMIT])
    run(url, tmp_path, "2026-01-31", "night")
    (text,) = receivers.texts()
    assert text == (
        "customer_ltv: rejects above their limit, as of 2026-01-31\n"
        "What:  run 2 goes on over it: somebody has signed for that\n"
        f"Where: DAG run night, task {OVER_LIMIT}, as of 2026-01-31\n"
        f"Why:   {OVER_LIMIT} overridden: 3 of 23 bad, 5 % allowed\n"
        "Look:  echo 'TABLE audit.rejections_today' | make -s psql"
    )


def test_a_check_that_warns_three_days_in_a_row(receivers: Receivers, url: str, tmp_path: Path) -> None:
    open_limits(url)
    claim = "staging.customers__text_readable"

    def night(day: int, name: str, run_id: str = "") -> list[str]:
        deliver(
            tmp_path,
            customer_data=[customer(1, first_name=name, country=f"Rwanda {day} {run_id}")],
            order_data=[[1, 1, "2025-03-01", "Phone", "100"]],
            payment_data=[[1, 1, 1, "2025-03-01", "100"]],
        )
        run(url, tmp_path, f"2026-01-{day:02}", f"night {day} {run_id}")
        return receivers.texts()

    # A good day between them ends a row; two runs of a day are one day, and the last one counts.
    for day, name in enumerate(["JosÃ©", "JosÃ©", "José", "JosÃ©", "JosÃ©"], 1):
        assert night(day, name) == []
    assert night(5, "JosÃ©", "again") == []
    text = (
        f"customer_ltv: {claim} has warned 3 days in a row, as of 2026-01-06\n"
        "What:  a check warns since 2026-01-04; nothing stops for that\n"
        f"Where: DAG run night 6 , task {claim}, as of 2026-01-06\n"
        f"Why:   {claim} warned: 1 of 1 bad\n"
        f"Look:  {look_at(7)}"
    )
    assert night(6, "JosÃ©") == [text]
    assert [alert.splitlines()[0] for alert in night(7, "JosÃ©")] == [
        f"customer_ltv: {claim} has warned 4 days in a row, as of 2026-01-07"
    ]
    assert night(8, "José") == []
    assert fetch(url, "SELECT * FROM audit.lasting_warnings") == []


@pytest.mark.usefixtures("url")
def test_a_run_that_begin_has_refused(receivers: Receivers) -> None:
    from alerts import tell_of_refusal, tell_of_run

    tell_of_refusal(context("night", "begin", exception=ValueError("the warehouse is not at the version <of> it")))
    # None of it is in audit: the run's own alert has nothing to say.
    tell_of_run(context("night", "begin"))
    (text,) = receivers.texts()
    assert text == (
        "customer_ltv: not begun, as of 2026-01-31\n"
        "What:  a run was not begun: nothing has been published yet\n"
        "Where: DAG run night, task begin, as of 2026-01-31\n"
        "Why:   the warehouse is not at the version <of> it\n"
        f"Look:  {LOOK_AT_RUNS}"
    )


def late() -> None:
    """What Airflow calls when the watch has found that a night is late: as of 2026-01-31, at six."""
    from alerts import tell_of_lateness

    tell_of_lateness(context("six"))


LATE = (
    "customer_ltv: late, 2026-01-31 is not published\n"
    "What:  2026-01-31 is not published by 2026-02-01 06:00 (Africa/Kigali): {readers}\n"
    "Where: DAG run {run}, task {task}, as of 2026-01-31\n"
    "Why:   {why}\n"
    f"Look:  {LOOK_AT_RUNS}"
)


def test_a_late_night_that_never_began(receivers: Receivers, url: str, tmp_path: Path) -> None:
    run_pipeline(url, sales(tmp_path), "2026-01-30", "before")
    late()
    why = "no run has begun for it: is the DAG customer_ltv paused or broken, or has begin refused it?"
    readers = "readers see the numbers as of 2026-01-30"
    assert receivers.texts() == [LATE.format(readers=readers, run="none", task="none", why=why)]


def test_a_late_night_that_has_failed(receivers: Receivers, url: str, tmp_path: Path) -> None:
    with pytest.raises(CheckFailedError):
        run_pipeline(url, rejects(tmp_path), "2026-01-31", "night")
    late()
    why = f"run 1 is failed: {OVER_LIMIT} failed: 3 of 23 bad, 5 % allowed"
    readers = "nothing has been published yet"
    assert receivers.texts() == [LATE.format(readers=readers, run="night", task=OVER_LIMIT, why=why)]


def test_a_late_night_that_is_at_work(receivers: Receivers, url: str) -> None:
    begin(url, "2026-01-31", "night")
    late()
    (started,) = fetch(
        url, "SELECT to_char(started_at AT TIME ZONE 'Africa/Kigali', 'YYYY-MM-DD HH24:MI') FROM audit.runs"
    )[0]
    (first,) = fetch(url, "SELECT tasks[1] FROM audit.runs")[0]
    readers = "nothing has been published yet"
    assert receivers.texts() == [
        LATE.format(readers=readers, run="night", task=first, why=f"run 1 is at work since {started}")
    ]


def test_a_night_that_is_published_is_not_late(receivers: Receivers, url: str, tmp_path: Path) -> None:
    run_pipeline(url, sales(tmp_path), "2026-01-31", "night")
    late()
    assert receivers.texts() == []


def test_a_warehouse_that_cannot_be_asked(receivers: Receivers, monkeypatch: pytest.MonkeyPatch) -> None:
    from alerts import tell_of_run

    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", "postgresql://nobody:hunter2@127.0.0.1:1/nowhere")
    tell_of_run(context("night", reason="task_failure"))
    assert receivers.texts() == [
        "customer_ltv: audit cannot be asked\nDAG run night of customer_ltv: task_failure (OperationalError)"
    ]


def test_without_connections_nothing_is_sent_and_nothing_fails(
    url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with listening() as unasked, pytest.raises(CheckFailedError):
        run(url, rejects(tmp_path), "2026-01-31", "night")
    assert (unasked.mails, unasked.posts) == ([], [])
    for conn_id in ("alerts_smtp", "alerts_webhook"):
        assert f"There is no connection {conn_id}: nothing is sent that way" in caplog.messages
    # The log has it all the same.
    assert any(OVER_LIMIT in message for message in caplog.messages)


@pytest.mark.parametrize("down", ["alerts_smtp", "alerts_webhook"])
def test_a_receiver_that_is_down_hides_nothing_and_keeps_the_other_from_nothing(
    down: str,
    receivers: Receivers,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    name = f"AIRFLOW_CONN_{down.upper()}"
    monkeypatch.setenv(name, connections(1, 1)[name])
    with pytest.raises(CheckFailedError):
        run(url, rejects(tmp_path), "2026-01-31", "night")
    assert (len(receivers.mails), len(receivers.posts)) == ((0, 1) if down == "alerts_smtp" else (1, 0))
    said = f"{OVER_LIMIT} failed: 3 of 23 bad, 5 % allowed, e.g. customer_data.csv line 24"
    ((state, reason),) = fetch(url, "SELECT state, reason FROM audit.runs")
    assert (state, reason.startswith(said)) == ("failed", True)
    assert any(message.startswith(f"This alert was not sent by {down}: ") for message in caplog.messages)


def test_a_connection_that_names_nobody_is_a_line_in_the_log(
    receivers: Receivers, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ALERTS_SMTP", '{"conn_type": "smtp", "host": "127.0.0.1"}')
    with pytest.raises(CheckFailedError):
        run(url, rejects(tmp_path), "2026-01-31", "night")
    assert "This alert was not sent by alerts_smtp: KeyError" in caplog.messages
    assert len(receivers.posts) == 1


# The DAG of the watch


def test_the_watch_asks_at_six_and_waits_for_its_first_morning() -> None:
    from customer_ltv_watch import dag

    assert (dag.schedule.expression, str(dag.schedule.timezone)) == ("0 6 * * *", "Africa/Kigali")
    assert (dag.catchup, dag.start_date, dag.schedule.run_immediately) == (False, None, False)
    (task,) = dag.tasks
    assert task.retry_on_failure is False


# Whole runs, by dag.test()

# Of one morning: a day that ended while they run would be another yesterday.
WATCH = RUN_EACH.replace("from customer_ltv import dag", "import customer_ltv, customer_ltv_watch, datetime").replace(
    'run = dag.test(run_conf={"as_of": as_of})',
    "run = customer_ltv.dag.test(run_conf={'as_of': as_of}) if folder else customer_ltv_watch.dag.test("
    "logical_date=datetime.datetime(2026, 2, 1, 4, tzinfo=datetime.UTC))",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_airflow_home(tmp_path_factory)


def whole_runs(home: Path, url: str, more: dict[str, str], **wanted: tuple[Path | None, str]) -> SimpleNamespace:
    """Runs of the DAG, and of the watch where there is no folder, by Airflow: outcomes, and all that was said."""
    asked = {name: (folder and str(folder), as_of, url) for name, (folder, as_of) in wanted.items()}
    done = subprocess.run(
        [sys.executable, "-c", WATCH, json.dumps(asked)],
        env=airflow_settings(home, url) | {"PYTHONPATH": str(ROOT / "dags")} | more,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    outcomes = json.loads(done.stdout.rpartition("=== outcomes\n")[2])
    logs = [path.read_text(errors="replace") for path in (home / "logs").rglob("*") if path.is_file()]
    return SimpleNamespace(
        run_ids={name: run_id for name, (run_id, _) in outcomes.items()},
        states={name: state for name, (_, state) in outcomes.items()},
        everything="".join([done.stdout, done.stderr, *logs]),
    )


def test_airflow_sends_one_alert_for_a_failed_run_and_none_for_a_good_one(
    home: Path, cluster: server.Server, template: str, tmp_path: Path
) -> None:
    with listening() as receivers, warehouse_of(cluster, template, "ltv_alerts") as url:
        good, bad = sales(tmp_path / "good"), rejects(tmp_path / "bad")
        runs = whole_runs(
            home,
            url,
            receivers.connections,
            good=(good, "2026-01-30"),
            bad=(bad, "2026-01-31"),
            past=(good, "2026-01-29"),
            late=(None, ""),
            again=(good, "2026-01-31"),
            punctual=(None, ""),
        )
        assert runs.states == {
            **{"good": "success", "bad": "failed", "past": "failed", "late": "failed"},
            **{"again": "success", "punctual": "success"},
        }
        texts = receivers.texts()
        assert [text.splitlines()[0] for text in texts] == [
            "customer_ltv: rejects above their limit, as of 2026-01-31",
            "customer_ltv: not begun, as of 2026-01-29",
            "customer_ltv: late, 2026-01-31 is not published",
        ]
        assert f"Where: DAG run {runs.run_ids['bad']}, task {OVER_LIMIT}, as of 2026-01-31" in texts[0]
        assert "Why:   as_of 2026-01-29 is before 2026-01-30, the last day published" in texts[1]
        assert not re.search("zebulon|@example|line 24", "".join(texts), re.IGNORECASE)


def test_receivers_that_are_down_change_no_outcome_and_their_secrets_reach_no_log(
    home: Path, cluster: server.Server, template: str, tmp_path: Path
) -> None:
    with warehouse_of(cluster, template, "ltv_alerts_down") as url:
        good, bad = sales(tmp_path / "good"), rejects(tmp_path / "bad")
        runs = whole_runs(home, url, connections(1, 1), bad=(bad, "2026-01-30"), good=(good, "2026-01-31"))
        assert runs.states == {"bad": "failed", "good": "success"}
        assert fetch(url, "SELECT state, split_part(reason, ':', 1) FROM audit.runs ORDER BY run_no") == [
            ("failed", f"{OVER_LIMIT} failed"),
            ("published", "without what was delivered for 2026-01-30, unless it came with this delivery"),
        ]
        for conn_id in ("alerts_smtp", "alerts_webhook"):
            assert f"This alert was not sent by {conn_id}" in runs.everything
        assert "a-secret-of-the-webhook" not in runs.everything
