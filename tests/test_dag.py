"""The DAG customer_ltv: its shape, what it reads when it is read, what it retries, what it says, and whole runs."""

import copy
import json
import re
import shutil
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import psycopg
import pytest
import server
import sql_files
from conftest import ROOT
from pipeline import begin
from sql_files import SQL
from support import airflow_settings, as_if_built, customer, deliver, execute, fetch, new_airflow_home, warehouse_of

DAG_FILE = ROOT / "dags" / "customer_ltv.py"
LAYERS = ["raw", "staging", "core", "intermediate", "marts"]
FILES = [f"{layer}.{path.stem}" for layer in LAYERS for path in sorted((SQL / layer).glob("*.sql"))]
SOURCES = ["raw.customer_data", "raw.order_data", "raw.payment_data"]


@pytest.fixture(scope="module")
def dag() -> object:
    import customer_ltv

    return customer_ltv.dag


@pytest.fixture
def open_run(warehouse: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a warehouse in which the run "night" is open, as if all had been built, empty."""
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", warehouse)
    begin(warehouse, "2026-01-31", "night")
    as_if_built(warehouse)
    return warehouse


# Its shape


def test_files_and_tasks_are_the_same_set(dag: object, warehouse: str) -> None:
    sources = [f"raw.{source}" for (source,) in fetch(warehouse, "SELECT source FROM audit.sources ORDER BY 1")]
    assert sources == SOURCES
    assert sorted(dag.task_ids) == sorted(["begin", "end", *sources, *FILES])
    others = {"admin", "definitions", "distributed", "forecast", "migrations", "report"}
    assert {path.name for path in SQL.iterdir()} == others | set(LAYERS)


@pytest.mark.parametrize(
    ("file", "is_part"),
    [
        ("admin/doctor.sql", False),
        ("admin/diff/compare.sql", False),
        ("forecast/scores.sql", False),
        ("report/10_ltv_distribution.sql", False),
        ("marts/customer_ltv.sql", True),
        # What the forecast calls is deployed with everything else.
        ("definitions/functions/forecast.p_alive.sql", True),
    ],
)
def test_who_edits_what_is_no_part_of_a_run_holds_none_back(
    file: str, is_part: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(SQL, tmp_path / "sql")
    monkeypatch.setattr(sql_files, "SQL", tmp_path / "sql")
    monkeypatch.setattr(sql_files, "ROOT", tmp_path)
    before = sql_files.fingerprint([tmp_path / "sql"])
    (tmp_path / "sql" / file).write_text("SELECT 1;")
    assert (sql_files.fingerprint([tmp_path / "sql"]) != before) == is_part


@pytest.mark.parametrize("file", FILES)
def test_a_task_runs_the_file_that_it_is_named_after(file: str, dag: object) -> None:
    path = Path(*file.split(".")).with_suffix(".sql")
    assert dag.get_task(file).sql == path.as_posix()
    assert (SQL / path).is_file()


def test_the_arrows_are_the_architecture(dag: object) -> None:
    members = {layer: {task for task in dag.task_ids if task.startswith(f"{layer}.")} for layer in LAYERS}
    before = {"begin"}
    for layer in LAYERS:
        for task in members[layer]:
            upstream = set(dag.get_task(task).get_flat_relative_ids(upstream=True))
            assert upstream - members[layer] == before, f"{task} must come after all of {sorted(before)}"
            if "__" in task:
                # Core's checks run while its next table is filled.
                own = {task.partition("__")[0]}
                tables = own if layer == "core" else {other for other in members[layer] if "__" not in other}
                assert tables <= upstream, f"the check {task} must come after the tables of its layer"
        before |= members[layer]
    assert set(dag.get_task("end").get_flat_relative_ids(upstream=True)) == before
    assert dag.get_task("begin").get_flat_relative_ids(upstream=True) == set()
    side_by_side = {task.task_id: task.upstream_task_ids for task in dag.tasks if task.task_id in SOURCES}
    assert side_by_side == {source: {"begin"} for source in SOURCES}
    assert "\n    begin >> raw >> staging >> core >> intermediate >> marts >> end\n" in DAG_FILE.read_text()
    # Its tasks are what the fence asks for.
    listed = dag.get_task("begin").parameters["tasks"]
    assert sorted(listed) == sorted(set(dag.task_ids) - {"begin", "end"})
    # In an order in which they can be done: what each asks for stands before it.
    for task in listed:
        upstream = dag.get_task(task).upstream_task_ids & set(listed)
        assert max((listed.index(other) for other in upstream if "__" not in other), default=-1) < listed.index(task)


def test_nothing_but_operators(dag: object) -> None:
    from airflow.providers.common.sql.operators.sql import SQLCheckOperator, SQLExecuteQueryOperator
    from copy_csv import CopyCsvOperator
    from in_run import CheckSqlOperator, InRun, RunSqlOperator, RunStateOperator

    for task in dag.tasks:
        if task.task_id in SOURCES:
            expected = CopyCsvOperator
        elif task.task_id in {"begin", "end"}:
            expected = RunStateOperator
        else:
            expected = CheckSqlOperator if "__" in task.task_id else RunSqlOperator
        assert type(task) is expected, task.task_id
        assert "python_callable" not in vars(task)
        # One number is passed on: which begin of the run the others belong to.
        passes_on = task.task_id == "begin" or isinstance(task, CheckSqlOperator)
        assert task.do_xcom_push is False or passes_on, f"{task.task_id} keeps rows in Airflow"
    assert issubclass(CheckSqlOperator, SQLCheckOperator)
    assert issubclass(RunSqlOperator, SQLExecuteQueryOperator)
    assert issubclass(CheckSqlOperator, InRun)
    assert issubclass(RunSqlOperator, InRun)


def test_the_file_fits_a_screen_or_so() -> None:
    assert len(DAG_FILE.read_text().splitlines()) <= 110


def test_the_schedule(dag: object) -> None:
    assert (dag.schedule.expression, str(dag.schedule.timezone)) == ("30 2 * * *", "Africa/Kigali")
    assert dag.schedule.interval == timedelta(0)
    assert (dag.catchup, dag.max_active_runs) == (False, 1)
    assert dag.start_date == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("value", [None, "2026-01-31", "2024-02-29"])
def test_as_of_takes_a_day(value: str | None, dag: object) -> None:
    assert dag.params["as_of"] is None
    assert copy.deepcopy(dag.params.get_param("as_of")).resolve(value) == value


@pytest.mark.parametrize(
    "value",
    [
        *("2023-13-01", "2023-02-29", "'; DROP TABLE core.customers; --", "2023-1-1", "20230101", 20230101, "", True),
        *(" 2026-01-31", "2026-01-31\n", "2026-01-31T00:00:00", "\uff12026-01-31", "today", ["2026-01-31"]),
    ],
)
def test_as_of_takes_nothing_else(value: object, dag: object) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError, match="is not "):
        copy.deepcopy(dag.params.get_param("as_of")).resolve(value)


def test_the_dag_and_every_task_say_what_they_are_for(dag: object) -> None:
    assert dag.doc_md.startswith("Three CSV files in, one trusted customer_ltv out")
    for task in dag.tasks:
        assert task.doc_md, task.task_id
        if task.task_id in FILES:
            first, *others = task.doc_md.splitlines()
            assert first.startswith(f"{task.task_id}: ")
            assert "--" not in first
            if "__" not in task.task_id:
                assert [line.split(":")[0] for line in others[:3]] == ["Grain", "Reads", "Write"]


def test_assets_tell_other_dags(dag: object) -> None:
    outlets = {task.task_id: [asset.name for asset in task.outlets] for task in dag.tasks if task.outlets}
    assert outlets == {"marts.customer_ltv": ["marts.customer_ltv"]}
    inlets = {task.task_id: [asset.name for asset in task.inlets] for task in dag.tasks if task.inlets}
    assert inlets == {source: [f"{source.removeprefix('raw.')}.csv"] for source in SOURCES}
    assets = [asset for task in dag.tasks for asset in [*task.inlets, *task.outlets]]
    assert len({asset.uri for asset in assets}) == len(assets)


def test_the_templates_render(dag: object, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.execution_time.context import VariableAccessor
    from sql_files import deployed_fingerprint, file_fingerprints, fingerprint

    monkeypatch.setenv("AIRFLOW_VAR_LTV_SOURCE", "s3://bucket/{as_of}")
    for source in SOURCES:
        task = dag.get_task(source)
        context = {"var": {"value": VariableAccessor(deserialize_json=False)}}
        assert task.render_template(task.folder, context) == "s3://bucket/{as_of}"
        assert str(ROOT / "data") in task.folder
    task = dag.get_task("begin")
    due, started = datetime(2026, 2, 1, 0, 30, tzinfo=UTC), datetime(2026, 2, 1, 0, 30, 1, 7, tzinfo=UTC)
    common = {"run": "manual", "deployed": deployed_fingerprint(), "fingerprint": fingerprint([SQL])}
    common["tasks"] = [task for task in dag.task_ids if task not in ("begin", "end")]
    common["files"] = json.dumps(file_fingerprints())
    for dag_run, as_of in [
        (SimpleNamespace(logical_date=None, run_after=due, start_date=started), None),
        (SimpleNamespace(logical_date=due, run_after=None, start_date=started), "2026-01-05"),
    ]:
        context = {"run_id": "manual", "params": {"as_of": as_of}, "dag_run": dag_run}
        assert task.render_template(task.parameters, context) == common | {
            "as_of": as_of or "",
            "due": "2026-02-01 00:30:00+00:00",
            "started": "2026-02-01 00:30:01.000007+00:00",
        }
    assert dag.get_task("end").render_template("{{ run_id }}", {"run_id": "manual"}) == "manual"
    assert list(dag.template_searchpath) == [str(SQL)]
    for file in FILES:
        assert not re.search(r"{{|{%|{#", (SQL / Path(*file.split(".")).with_suffix(".sql")).read_text()), file


@pytest.mark.parametrize(
    ("due", "as_of"),
    [
        ("2020-02-01 00:30:00+00:00", "2020-01-31"),
        ("2020-01-31 22:00:00+00:00", "2020-01-31"),
        ("2020-01-31 21:59:59+00:00", "2020-01-30"),
    ],
    ids=["at-02:30", "at-midnight", "before-midnight"],
)
def test_as_of_is_the_last_complete_day_in_kigali(due: str, as_of: str, warehouse: str) -> None:
    (run_no,) = fetch(
        warehouse,
        "SELECT audit.begin_run('r', '', %s, (SELECT fingerprint FROM audit.deployments), '')",
        [due],
    )[0]
    assert run_no is not None
    execute(warehouse, "SELECT audit.begin_run('r', '', %s, (SELECT fingerprint FROM audit.deployments), '')", [due])
    assert fetch(warehouse, "SELECT as_of::text, state FROM audit.runs") == [(as_of, "open")]


# What it does when it is read

READ_AND_RECORD = """
import json, os, sys

events, own = [], tuple(sys.argv[1].split(os.pathsep))

def asker():
    frame = sys._getframe(2)
    while frame and frame.f_code.co_filename.startswith("<"):
        frame = frame.f_back
    return frame.f_code.co_filename if frame else ""

class Recorded(os._Environ):
    def note(self, name):
        if asker().startswith(own) or str(name).startswith(("AIRFLOW_VAR_", "AIRFLOW_CONN_")):
            events.append(f"environment: {name}")
    def __getitem__(self, name):
        self.note(name)
        return super().__getitem__(name)
    def __iter__(self):
        self.note("everything")
        return super().__iter__()

NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.bind", "sqlite3.connect", "urllib.Request")
OTHERS = ("subprocess.Popen", "os.system", "os.posix_spawn", "os.exec", "os.fork")

def watch(event, arguments):
    if event in NETWORK + OTHERS:
        events.append(event)
    elif event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        if "__pycache__" not in str(arguments[0]):
            events.append(f"writes {arguments[0]}")

def read(module):
    events.clear()
    try:
        __import__(module)
    except Exception as error:
        return [*events, f"raises {error!r}"[:200]]
    return list(events)

sys.addaudithook(watch)
os.environ.__class__ = Recorded
found = {}
for module in sys.argv[2:]:
    # What other packages do when they are first imported is not this file's doing, unless they reach for the network.
    first = [event for event in read(module) if event in NETWORK]
    for name, known in list(sys.modules.items()):
        if (getattr(known, "__file__", None) or "").startswith(own):
            del sys.modules[name]
    found[module] = first + read(module)
print(json.dumps(found))
"""

# Each does what a DAG file must not do, and the recording has to see it.
OFFENDERS = {
    "reads_environment": "import os\nSOURCE = os.environ.get('LTV_SOURCE')",
    "reads_environment_otherwise": "import os\nSOURCE = os.getenv('HOME')",
    "reads_all_of_the_environment": "import os\nSOURCE = dict(os.environ)",
    "reads_a_variable": "from airflow.sdk import Variable\nSOURCE = Variable.get('ltv_source', default=None)",
    "reads_a_connection": "from airflow.sdk import BaseHook\nBaseHook.get_connection('nothing')",
    "opens_a_socket": "import socket\nsocket.create_connection(('127.0.0.1', 1))",
    "looks_up_a_name": "import socket\nsocket.getaddrinfo('localhost', 80)",
    "opens_sqlite": "import sqlite3\nsqlite3.connect(':memory:')",
    "starts_a_process": "import subprocess\nsubprocess.run(['true'])",
    "writes_a_file": "from pathlib import Path\n(Path(__file__).parent / 'made').write_text('x')",
}


def test_reading_the_file_touches_nothing_else(tmp_path: Path) -> None:
    for name, code in OFFENDERS.items():
        (tmp_path / f"{name}.py").write_text(code)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        # Whoever asks for a database, in whatever way, comes here.
        listening.setblocking(False)
        port = listening.getsockname()[1]
        url = f"postgresql://nobody@127.0.0.1:{port}/nothing?connect_timeout=1"
        settings = airflow_settings(tmp_path / "home", url) | {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url.replace("postgresql:", "postgresql+psycopg2:"),
            "DATABASE_URL": url,
            "PGHOST": "127.0.0.1",
            "PGPORT": str(port),
            "PYTHONPATH": f"{ROOT / 'dags'}:{tmp_path}",
        }

        def read(*modules: str) -> dict[str, list[str]]:
            done = subprocess.run(
                [sys.executable, "-c", READ_AND_RECORD, f"{ROOT / 'dags'}:{tmp_path}", *modules],
                env=settings,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr[-2000:]
            return json.loads(done.stdout.splitlines()[-1])

        found = read("customer_ltv", *OFFENDERS)
        assert found.pop("customer_ltv") == []
        assert not [name for name, events in found.items() if not events], "this test would not see it"
        with pytest.raises(BlockingIOError):
            listening.accept()
        (tmp_path / "asks_the_database.py").write_text("import psycopg\npsycopg.connect(connect_timeout=1)")
        assert "raises" in str(read("asks_the_database"))
        listening.accept()[0].close()


# What is retried


@contextmanager
def failing(url: str, *statements: str) -> Iterator[list[psycopg.Error]]:
    caught: list[psycopg.Error] = []
    try:
        with psycopg.connect(url) as connection:
            for statement in statements:
                connection.execute(statement)
    except psycopg.Error as error:
        caught.append(error)
    yield caught


def locked_out(url: str) -> psycopg.Error:
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE core.orders")
        with failing(url, "SET lock_timeout = '10ms'", "LOCK TABLE core.orders") as (error,):
            return error


def error_of(*statements: str) -> Callable[[str], psycopg.Error]:
    def provoke(url: str) -> psycopg.Error:
        with failing(url, *statements) as (error,):
            return error

    return provoke


def unreachable(url: str) -> psycopg.Error:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with failing(re.sub(r":\d+/", f":{port}/", url)) as (error,):
        return error


CAN_PASS = {
    "LockNotAvailable": locked_out,
    "QueryCanceled": error_of("SET statement_timeout = '10ms'", "SELECT pg_sleep(5)"),
    "AdminShutdown": error_of("SELECT pg_terminate_backend(pg_backend_pid())"),
    "OperationalError": unreachable,
    "ReadOnlySqlTransaction": error_of("SET transaction_read_only = on", "SELECT audit.enter_run('night')"),
}
CANNOT_PASS = {
    "SyntaxError": error_of("SELEKT 1"),
    "RaiseException": error_of("DO $$ BEGIN RAISE EXCEPTION 'no'; END $$"),
    "DivisionByZero": error_of("SELECT 1 / 0"),
    "UndefinedTable": error_of("TABLE core.nothing"),
    "UndefinedFunction": error_of("SELECT audit.nothing()"),
    "NotNullViolation": error_of("INSERT INTO core.orders (order_id) VALUES (1)"),
    "InsufficientPrivilege": error_of("SET ROLE postgres"),
    "InvalidTextRepresentation": error_of("SELECT 'x'::integer"),
}


@pytest.mark.parametrize(("name", "action"), [*((n, "RETRY") for n in CAN_PASS), *((n, "FAIL") for n in CANNOT_PASS)])
def test_what_can_pass_is_retried_and_nothing_else(name: str, action: str, dag: object, warehouse: str) -> None:
    from in_run import in_plain_words

    error = (CAN_PASS | CANNOT_PASS)[name](warehouse)
    assert type(error).__name__ == name
    for task in dag.tasks:
        assert task.retry_policy.evaluate(error, 1, task.retries).action.name == action, task.task_id
    in_words = in_plain_words(error, "SELECT 1", "core.orders")
    assert task.retry_policy.evaluate(in_words, 1, task.retries).action.name == action


def test_a_bad_file_is_not_retried_and_a_bad_network_is(dag: object) -> None:
    from airflow.sdk.exceptions import AirflowFailException
    from copy_csv import BadFileError

    policy = dag.get_task("raw.order_data").retry_policy
    for error in (BadFileError("order_data.csv is empty"), FileNotFoundError("gone"), AirflowFailException("false")):
        assert policy.evaluate(error, 1, 3).action.name == "FAIL", error
    for error in (ConnectionResetError("by peer"), TimeoutError("read timed out")):
        assert policy.evaluate(error, 1, 3).action.name == "RETRY", error


def test_retries_wait_longer_each_time(dag: object) -> None:
    for task in dag.tasks:
        assert task.retries == 3, task.task_id
        assert task.retry_exponential_backoff == 2.0
        assert (task.retry_delay, task.max_retry_delay) == (timedelta(seconds=20), timedelta(minutes=10))
        assert task.on_failure_callback
        if "__" in task.task_id:
            assert task.retry_on_failure is False, "a false claim stays false"


# What it says


def run_sql(statements: str, task_id: str = "core.orders") -> Exception:
    from in_run import RunSqlOperator

    operator = RunSqlOperator(task_id=task_id, sql=statements, conn_id="warehouse")
    with pytest.raises(psycopg.Error) as failed:
        operator.execute({"run_id": "night"})
    return failed.value


NEW = "If the warehouse is new, or behind: make migrate"


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (
            "-- core.orders: …\nSELECT 1;\nSELECT 1 FORM x;\n",
            'syntax error at or near "x" (sql/core/orders.sql, line 3)',
        ),
        (
            "-- é 😀\n\nSELECT\n    nothing\nFROM core.orders;",
            'column "nothing" does not exist (sql/core/orders.sql, line 4)',
        ),
        (
            "SELECT 1;\nTABLE core.nothing",
            f'relation "core.nothing" does not exist (sql/core/orders.sql, line 2). {NEW}',
        ),
        ("SELECT 1;\nSELECT 1 / 0;", "division by zero (sql/core/orders.sql)"),
        (
            "SELECT customer_id::text::numeric FROM (VALUES ('zebulon@\"example\n.com')) AS typed (customer_id);",
            'invalid input syntax for type numeric: "…" (sql/core/orders.sql)',
        ),
        (
            "SELECT 1;\nSELECT 'Zebulon'::date;",
            'invalid input syntax for type date: "…" (sql/core/orders.sql, line 2)',
        ),
        (
            "SELECT v::integer FROM (VALUES ('99999999999')) AS typed (v);",
            'value "…" is out of range for type integer (sql/core/orders.sql)',
        ),
        ("DO $$ BEGIN RAISE EXCEPTION 'no' USING HINT = 'Try this.', DETAIL = 'Ann'; END $$", "no. Try this."),
    ],
    ids=["syntax", "column", "table", "division", "value", "value-in-place", "range", "raise"],
)
@pytest.mark.usefixtures("open_run")
def test_an_error_is_said_in_plain_words(statements: str, message: str) -> None:
    assert str(run_sql(statements)) == message


PERSONAL = "INSERT INTO core.customers (customer_id, first_name, email, run_no, updated_at) VALUES "


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            PERSONAL + "(1, 'Zebulon', 'zebulon@example.com', NULL, now())",
            'null value in column "run_no" of relation "customers" violates not-null constraint',
        ),
        (
            PERSONAL + "(1, 'Zebulon', 'zebulon@example.com', 1, now()), (1, 'Zebulon', 'z', 1, now())",
            'duplicate key value violates unique constraint "customers_pkey"',
        ),
    ],
    ids=["not-null", "unique"],
)
def test_an_error_does_not_quote_rows(
    statement: str, message: str, open_run: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with failing(f"{open_run}?options=-c%20ltv.run_no%3D1", statement) as (error,):
        assert "Zebulon" in str(error) or "(1)" in str(error), "PostgreSQL quotes the row here"
    caught = run_sql(statement, "core.customers")
    assert str(caught) == message
    told = "".join(traceback.format_exception(caught))
    assert "Failing row" not in told
    assert "DETAIL" not in told
    log = "".join(capfd.readouterr())
    assert "Failing row" not in log
    assert fetch(open_run, "SELECT count(*) FROM core.customers") == [(0,)]


def test_a_task_notes_what_it_wrote_and_undoes_all_of_a_failure(open_run: str) -> None:
    from in_run import RunSqlOperator

    order = "INSERT INTO core.orders VALUES ({}, 1, '2025-01-01', 'Phone', 1, 1, now())"
    both = "SELECT 1; " + order.format(1) + ", (2, 1, '2025-01-01', 'Phone', 1, 1, now()); DELETE FROM core.payments"
    RunSqlOperator(task_id="core.orders", sql=both, conn_id="warehouse").execute({"run_id": "night"})
    written = "SELECT task, rows_written FROM audit.steps WHERE rows_written IS NOT NULL"
    assert fetch(open_run, written) == [("core.orders", 2)]
    run_sql(order.format(3) + "; SELECT 1 / 0")
    assert fetch(open_run, "SELECT order_id FROM core.orders ORDER BY 1") == [(1,), (2,)]


@pytest.mark.parametrize("kind", ["RunSqlOperator", "CheckSqlOperator"])
def test_a_task_of_another_run_is_refused(kind: str, open_run: str) -> None:
    import in_run

    operator = getattr(in_run, kind)(task_id="core.orders", sql="DELETE FROM audit.deployments", conn_id="warehouse")
    with pytest.raises(psycopg.errors.RaiseException) as refused:
        operator.execute({"run_id": "yesterday"})
    assert str(refused.value) == (
        "run yesterday is not open. Clear the run from its first task (begin), or start a new one."
    )
    assert fetch(open_run, "SELECT count(*) FROM audit.deployments") == [(1,)]


@pytest.mark.parametrize("task_id", ["staging.customers", "core.customers", "core.orders__reconciles"])
def test_a_task_whose_run_has_not_built_what_it_reads_is_refused(task_id: str, dag: object, open_run: str) -> None:
    execute(open_run, "DELETE FROM audit.steps WHERE task LIKE 'raw.%'")
    with pytest.raises(psycopg.errors.RaiseException, match=f"{task_id} comes after what this run has not done: raw"):
        copy.copy(dag.get_task(task_id)).execute({"run_id": "night"})


def test_a_task_of_an_earlier_begin_is_refused(dag: object, open_run: str, tmp_path: Path) -> None:
    """Two Airflows have begun the same run; the tasks of the first know by XCom which begin was theirs."""
    from in_run import fail_run

    def context(task_id: str, attempt: int) -> dict:
        ti = SimpleNamespace(task_id=task_id, xcom_pull=lambda task_ids: {"begin": attempt}[task_ids])
        return {"run_id": "night", "ti": ti}

    # Its begin itself was refused, there, and has passed nothing on: it has nothing to fail.
    ti = SimpleNamespace(task_id="begin", xcom_pull=Mock(return_value=None))
    fail_run({"run_id": "night", "ti": ti, "exception": "it is open elsewhere"})
    assert fetch(open_run, "SELECT state FROM audit.runs") == [("open",)]
    begin(open_run, "2026-01-31", "night")
    refusal = r"run night was begun again since \(attempt 2\): this task belongs to attempt 1\. Is a second Airflow"
    for task_id in ("raw.order_data", "staging.customers", "core.orders__reconciles", "end"):
        task = copy.copy(dag.get_task(task_id))
        task.folder, task.parameters = str(tmp_path), {"run": "night", "attempt": 1}
        with pytest.raises(psycopg.errors.RaiseException, match=refusal):
            task.execute(context(task_id, 1))
    fail_run({**context("core.orders", 1), "exception": "its store was empty"})
    assert fetch(open_run, "SELECT state FROM audit.runs") == [("open",)]
    fail_run({**context("core.orders", 2), "exception": "mine too"})
    assert fetch(open_run, "SELECT state, reason FROM audit.runs") == [("failed", "core.orders: mine too")]


def test_airflows_own_word_of_a_failure_is_that_of_the_dag_run_that_it_names(open_run: str) -> None:
    """A process that was killed says nothing; Airflow says it later, when the run may have been cleared and begun."""
    from in_run import fail_run

    first, second = datetime(2026, 2, 1, 0, 30, tzinfo=UTC), datetime(2026, 2, 1, 0, 31, tzinfo=UTC)
    execute(open_run, "UPDATE audit.runs SET dag_run_started_at = %s", [second])
    ti = SimpleNamespace(task_id="core.orders")
    fail_run({"run_id": "night", "ti": ti, "dag_run": SimpleNamespace(start_date=first)})
    # Of a DAG run whose task is gone from the DAG it says no more than the name.
    fail_run({"run_id": "night"})
    assert fetch(open_run, "SELECT state FROM audit.runs") == [("open",)]
    fail_run({"run_id": "night", "ti": ti, "dag_run": SimpleNamespace(start_date=second)})
    assert fetch(open_run, "SELECT state, reason FROM audit.runs") == [
        ("failed", "core.orders: its process ended without a word")
    ]


@pytest.mark.parametrize(("bad_rows", "holds"), [(0, True), (2, False)])
def test_a_check_keeps_and_says_its_verdict(
    bad_rows: int, holds: bool, open_run: str, capfd: pytest.CaptureFixture[str]
) -> None:
    from airflow.sdk.exceptions import AirflowException
    from in_run import CheckSqlOperator

    statement = f"SELECT audit.verdict('core.orders__fine', {bad_rows}, 10, example => 'order 17')"
    check = CheckSqlOperator(
        task_id="core.orders__fine",
        sql=statement,
        conn_id="warehouse",
        retry_on_failure=False,
        hook_params={"enable_log_db_messages": True},
    )
    said = "core.orders__fine " + ("passed: 0 of 10 bad" if holds else "failed: 2 of 10 bad, e.g. order 17")
    if holds:
        check.execute({"run_id": "night"})
    else:
        with pytest.raises(AirflowException) as failed:
            check.execute({"run_id": "night"})
        assert type(failed.value).__name__ == "AirflowFailException", "it must not be retried"
    assert fetch(open_run, "SELECT said FROM audit.check_results") == [(said,)]
    assert said in "".join(capfd.readouterr())


# Whole runs, by dag.test()

RUN_EACH = """
import json, os, sys
from unittest.mock import patch
from customer_ltv import dag
outcomes = {}
for name, (folder, as_of, url) in json.loads(sys.argv[1]).items():
    print(f"=== {name}", flush=True)
    print(f"=== {name}", file=sys.stderr, flush=True)
    os.environ["AIRFLOW_CONN_WAREHOUSE"] = url
    if folder:
        os.environ["AIRFLOW_VAR_LTV_SOURCE"] = folder
    # dag.test() sleeps a second for every step by which a failure passes on
    with patch("time.sleep"):
        run = dag.test(run_conf={"as_of": as_of})
    outcomes[name] = [run.run_id, str(run.state)]
print("=== outcomes")
print(json.dumps(outcomes))
"""


def sales(folder: Path, *, broken: str = "", first_name: str = "Ann", orders: int = 20) -> Path:
    deliver(
        folder,
        customer_data=[customer(n, first_name=first_name, email=f"{first_name}@example.com") for n in range(1, 21)],
        order_data=[[n, n, "2025-03-01", "Phone", "100.00"] for n in range(1, orders + 1)],
        payment_data=[[n, n, n, "2025-03-01", "100.00"] for n in range(1, 21)],
    )
    with (folder / "customer_data.csv").open("a") as file:
        file.write(broken)
    return folder


@pytest.fixture(scope="module")
def runs(cluster: server.Server, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """Several runs of the whole DAG in a process of its own: what they ended as, said, logged, and left behind."""
    tmp_path, home = tmp_path_factory.mktemp("runs"), new_airflow_home(tmp_path_factory)
    good = str(sales(tmp_path / "good"))
    # As if the delivery of the orders had been cut short.
    short = str(sales(tmp_path / "short", orders=10))
    refused = str(sales(tmp_path / "refused", first_name="Zebulon"))
    broken = str(sales(tmp_path / "broken", broken="99,Zebulon,zebulon@example.com\n"))
    with (
        warehouse_of(cluster, template, "ltv_dag_test") as url,
        warehouse_of(cluster, template, "ltv_dag_default") as other_url,
        warehouse_of(cluster, template, "ltv_dag_twice") as twice_url,
    ):
        # As if a second Airflow began the run while the first one loads it.
        execute(
            twice_url,
            """CREATE FUNCTION audit.begin_again() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN UPDATE audit.runs SET attempt = attempt + 1, dag_run_started_at = now(); RETURN NULL; END $$;
            CREATE TRIGGER begin_again AFTER INSERT ON audit.steps
            FOR EACH ROW WHEN (new.task = 'staging.customers') EXECUTE FUNCTION audit.begin_again()""",
        )
        execute(url, "UPDATE audit.sources SET kind = 'snapshot'")
        execute(url, "ALTER TABLE core.customers ADD CHECK (first_name <> 'Zebulon')")
        wanted = {
            "default": (None, "2026-01-31", other_url),
            "good": (good, "2026-01-28", url),
            "short": (short, "2026-01-29", url),
            "refused": (refused, "2026-01-29", url),
            "broken": (broken, "2026-01-29", url),
            "past": (good, "2026-01-27", url),
            "twice": (good, "2026-01-28", twice_url),
        }
        done = subprocess.run(
            [sys.executable, "-c", RUN_EACH, json.dumps(wanted)],
            env=airflow_settings(home, url) | {"PYTHONPATH": str(ROOT / "dags")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        said, _, outcomes = done.stdout.rpartition("=== outcomes\n")
        logs = [path.read_text(errors="replace") for path in (home / "logs").rglob("*") if path.is_file()]

        def output(name: str) -> str:
            return "".join(part.partition(f"=== {name}\n")[2].partition("\n=== ")[0] for part in (said, done.stderr))

        yield SimpleNamespace(
            url=url,
            other_url=other_url,
            twice_url=twice_url,
            outcomes=json.loads(outcomes),
            output={name: output(name) for name in wanted},
            everything="".join([done.stdout, done.stderr, *logs]),
        )


def state_of(runs: SimpleNamespace, name: str) -> tuple:
    rows = fetch(runs.url, "SELECT state, reason FROM audit.runs WHERE dag_run_id = %s", [runs.outcomes[name][0]])
    return rows[0] if rows else ()


def test_a_whole_run_publishes(runs: SimpleNamespace) -> None:
    assert runs.outcomes["good"][1] == "success"
    assert state_of(runs, "good") == ("published", None)
    assert fetch(
        runs.url, "SELECT count(*), sum(ltv)::text, max(as_of)::text FROM marts.customer_ltv_history WHERE run_no = 1"
    ) == [(20, "2000.00", "2026-01-28")]
    tasks = {task for (task,) in fetch(runs.url, "SELECT task FROM audit.steps WHERE run_no = 1")}
    assert tasks == {*SOURCES, *FILES}
    assert fetch(runs.url, "SELECT DISTINCT verdict FROM audit.check_results WHERE run_no = 1") == [("passed",)]


def test_a_failed_check_fails_the_run_with_its_sentence(runs: SimpleNamespace) -> None:
    said = "raw.order_data__not_empty_nor_short failed: 10 of 20 bad, 10 % allowed, e.g. 10 records, usually 20"
    assert runs.outcomes["short"][1] == "failed"
    assert state_of(runs, "short") == ("failed", said)
    assert said in runs.output["short"]
    # Nothing came after it, and what is published is still the first run's.
    (run_no,) = fetch(runs.url, "SELECT run_no FROM audit.runs WHERE reason = %s", [said])[0]
    layers = fetch(runs.url, "SELECT DISTINCT split_part(task, '.', 1) FROM audit.steps WHERE run_no = %s", [run_no])
    assert layers == [("raw",)]
    # The layer's other checks have had their say all the same.
    assert fetch(
        runs.url, "SELECT verdict, count(*) FROM audit.check_results WHERE run_no = %s GROUP BY 1 ORDER BY 1", [run_no]
    ) == [
        ("failed", 1),
        ("passed", 2),
    ]
    assert fetch(runs.url, "SELECT count(*) FROM marts.customer_ltv_history WHERE run_no = %s", [run_no]) == [(0,)]


def test_a_database_error_fails_the_run_without_personal_data(runs: SimpleNamespace) -> None:
    state, reason = state_of(runs, "refused")
    assert (runs.outcomes["refused"][1], state) == ("failed", "failed")
    assert reason.startswith(
        'core.customers: new row for relation "customers" violates check constraint "customers_first_name_check"'
    )
    assert "violates check constraint" in runs.output["refused"]


def test_a_broken_line_is_set_aside_without_personal_data_in_a_log(runs: SimpleNamespace) -> None:
    assert (runs.outcomes["broken"][1], state_of(runs, "broken")) == ("success", ("published", None))
    assert fetch(runs.url, "SELECT line_no, line, reason FROM audit.rejected_rows WHERE line IS NOT NULL") == [
        (22, "99,Zebulon,zebulon@example.com", "line too_few_fields: 3, not 7")
    ]
    assert "customer_data.csv: broken lines set aside: 1" in runs.output["broken"]


def test_personal_data_reaches_no_log(runs: SimpleNamespace) -> None:
    assert len(runs.everything) > 10_000
    assert "zebulon" not in runs.everything.lower()
    assert "Ann@example.com" not in runs.everything
    password = re.search(r":([^:@]+)@", runs.url)[1]
    assert password not in runs.everything


def test_a_day_before_the_last_published_one_begins_no_run(runs: SimpleNamespace) -> None:
    assert runs.outcomes["past"][1] == "failed"
    assert state_of(runs, "past") == ()
    assert "as_of 2026-01-27 is before 2026-01-29, the last day published" in runs.output["past"]
    assert "The past is in marts.customer_ltv_history" in runs.output["past"]


def test_a_run_that_was_begun_again_elsewhere_does_no_more(runs: SimpleNamespace) -> None:
    assert runs.outcomes["twice"][1] == "failed"
    assert "was begun again since (attempt 2): this task belongs to attempt 1" in runs.output["twice"]
    # What the other one does with it is the other one's business.
    assert fetch(runs.twice_url, "SELECT state, reason, attempt FROM audit.runs") == [("open", None, 2)]
    steps = "SELECT task FROM audit.steps WHERE task NOT LIKE 'raw.%' ORDER BY 1"
    assert fetch(runs.twice_url, steps) == [("staging.customers",)]


def test_a_callback_of_the_dag_works_here_too(runs: SimpleNamespace) -> None:
    assert "Executing on_failure dag callback: fail_run" in runs.everything
    assert "Callback failed" not in runs.everything


def test_no_run_stays_open(runs: SimpleNamespace) -> None:
    assert fetch(runs.url, "SELECT state, count(*) FROM audit.runs GROUP BY state ORDER BY state") == [
        ("failed", 2),
        ("published", 2),
    ]


def test_without_a_variable_the_run_reads_the_sample(runs: SimpleNamespace) -> None:
    assert runs.outcomes["default"][1] == "success"
    assert fetch(runs.other_url, "SELECT as_of::text, state FROM audit.runs") == [("2026-01-31", "published")]
    assert fetch(runs.other_url, "SELECT records FROM audit.loads ORDER BY source") == [(505,), (3000,), (3000,)]
    assert fetch(runs.other_url, "SELECT count(*) FROM marts.customer_ltv") == [(500,)]
