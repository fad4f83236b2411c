"""A run as the database sees it: what may begin, enter, fail and end, what is said of it, and who may read what."""

import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from time import monotonic, sleep

import migrate
import psycopg
import pytest
import server
from conftest import ROOT, database_url, janitor
from psycopg import sql
from sql_files import deployed_fingerprint

DAY = "2025-06-10"
OURS = ["audit", "core", "forecast", "intermediate", "marts", "raw", "staging"]
KEPT = ["audit", "core", "forecast", "marts"]
NOT_OPEN_HINT = "Clear the run from its first task (begin), or start a new one."
Connect = Callable[..., psycopg.Connection]


@pytest.fixture
def connect(warehouse: str) -> Iterator[Connect]:
    """A function that opens a connection to the fresh warehouse; one that waits for a lock gives up soon."""
    opened = []

    def open_connection(*, autocommit: bool = True) -> psycopg.Connection:
        connection = psycopg.connect(warehouse, autocommit=autocommit)
        connection.execute("SET lock_timeout = '300ms'")
        if not autocommit:
            connection.commit()
        opened.append(connection)
        return connection

    yield open_connection
    for connection in opened:
        connection.close()


@pytest.fixture
def db(connect: Connect) -> psycopg.Connection:
    """A connection whose every statement is a transaction."""
    return connect()


def begin(
    connection: psycopg.Connection,
    run: str = "one",
    as_of: str | None = DAY,
    *,
    due: str = "2025-06-11 00:30+00",
    deployed: str | None = None,
    fingerprint: str = "f",
) -> int:
    """Begin a run; return its number."""
    connection.execute(
        "SELECT audit.begin_run(%s, %s, %s, %s, %s)",
        [run, as_of, due, deployed or deployed_fingerprint(), fingerprint],
    )
    return connection.execute("SELECT run_no FROM audit.runs WHERE dag_run_id = %s", [run]).fetchone()[0]


def enter(connection: psycopg.Connection, run: str = "one", attempt: int | None = None, task: str | None = None) -> int:
    return connection.execute("SELECT audit.enter_run(%s, false, %s, %s)", [run, attempt, task]).fetchone()[0]


def end(connection: psycopg.Connection, run: str = "one", attempt: int | None = None) -> None:
    connection.execute("SELECT audit.end_run(%s, %s)", [run, attempt])


def fail(
    connection: psycopg.Connection,
    run: str = "one",
    task: str = "core.orders",
    error: str = "no more",
    attempt: int | None = None,
) -> None:
    connection.execute("SELECT audit.fail_run(%s, %s, %s, %s)", [run, task, error, attempt])


def verdict(connection: psycopg.Connection, claim: str, *arguments: object) -> bool:
    places = ", ".join(["%s"] * (1 + len(arguments)))
    return connection.execute(f"SELECT audit.verdict({places})", [claim, *arguments]).fetchone()[0]


def state(connection: psycopg.Connection, run: str = "one") -> tuple:
    """The state and the reason of a run."""
    found = connection.execute("SELECT state, reason FROM audit.runs WHERE dag_run_id = %s", [run])
    return found.fetchone()


def said(refused: pytest.ExceptionInfo[psycopg.Error]) -> tuple[str | None, str | None]:
    """The sentence of an error and its hint."""
    return refused.value.diag.message_primary, refused.value.diag.message_hint


def notices(connection: psycopg.Connection) -> list[str]:
    """What the server says from now on, in NOTICEs."""
    heard: list[str] = []
    connection.add_notice_handler(lambda diagnostic: heard.append(diagnostic.message_primary or ""))
    return heard


def publish(connection: psycopg.Connection, as_of: str) -> None:
    with connection.transaction():
        connection.execute("SELECT set_config('ltv.run_no', '1', true)")
        connection.execute("INSERT INTO marts.freshness (as_of, published_at, run_no) VALUES (%s, now(), 1)", [as_of])


def wait_until_blocked(connection: psycopg.Connection, other: psycopg.Connection) -> None:
    """Wait until another connection waits for a lock."""
    until = monotonic() + 300
    while not connection.execute("SELECT pg_blocking_pids(%s)", [other.info.backend_pid]).fetchone()[0]:
        assert monotonic() < until, "the other connection waits for nobody"
        sleep(0.01)


def outcome(future: Future) -> object:
    """What a thread returned, or the error that it ended with."""
    return future.exception(timeout=300) or future.result()


def meanwhile(
    connect: Connect, working: psycopg.Connection, statement: Callable[[psycopg.Connection], object]
) -> object:
    """Start a statement that has to wait for `working`, commit `working`, and return how the statement ended."""
    watching, waiting = connect(), connect()
    waiting.execute("SET lock_timeout = '300s'")
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(statement, waiting)
        try:
            wait_until_blocked(watching, waiting)
        finally:
            working.commit()
        return outcome(future)


# begin_run: what must not run


def test_begin_refuses_a_warehouse_of_another_version(db: psycopg.Connection) -> None:
    with pytest.raises(psycopg.Error) as refused:
        begin(db, deployed="another")
    assert said(refused) == (
        "the warehouse is not at the version of sql/migrations and sql/definitions that this DAG has",
        "Deploy them with: make migrate",
    )
    assert db.execute("SELECT count(*) FROM audit.runs").fetchone() == (0,)


def test_begin_looks_at_the_newest_deployment(db: psycopg.Connection) -> None:
    db.execute("INSERT INTO audit.deployments (fingerprint) VALUES ('newer')")
    with pytest.raises(psycopg.Error, match="not at the version"):
        begin(db)
    assert begin(db, deployed="newer") == 1


def test_begin_refuses_a_warehouse_never_deployed(db: psycopg.Connection) -> None:
    db.execute("DELETE FROM audit.deployments")
    with pytest.raises(psycopg.Error, match="not at the version"):
        begin(db)


def test_begin_refuses_a_day_in_the_future(db: psycopg.Connection) -> None:
    (today,) = db.execute("SELECT (now() AT TIME ZONE 'Africa/Kigali')::date").fetchone()
    with pytest.raises(psycopg.Error) as refused:
        begin(db, as_of="9999-12-31")
    assert said(refused) == (
        f"as_of 9999-12-31 is in the future: today is {today}",
        "Start the run with an as_of of today or before.",
    )
    with pytest.raises(psycopg.Error, match="is in the future"):
        begin(db, as_of=str(today + timedelta(days=1)))
    assert begin(db, as_of=str(today)) == 1


def test_begin_refuses_a_day_before_the_last_published(db: psycopg.Connection) -> None:
    publish(db, "2025-06-10")
    with pytest.raises(psycopg.Error) as refused:
        begin(db, as_of="2025-06-09")
    assert said(refused) == (
        "as_of 2025-06-09 is before 2025-06-10, the last day published",
        (
            "The past is in marts.customer_ltv_history. Start a run with as_of 2025-06-10 or later, "
            "or use an empty warehouse."
        ),
    )
    assert begin(db, as_of="2025-06-10") == 1


@pytest.mark.parametrize("as_of", ["10/06/2025x", "2025-02-30", "yes"])
def test_begin_refuses_what_is_no_day(db: psycopg.Connection, as_of: str) -> None:
    with pytest.raises(psycopg.DataError):
        begin(db, as_of=as_of)
    assert db.execute("SELECT count(*) FROM audit.runs").fetchone() == (0,)


# begin_run: its day


@pytest.mark.parametrize(
    ("due", "as_of"),
    [
        ("2025-06-10 21:59:59+00", "2025-06-09"),
        ("2025-06-10 22:00:00+00", "2025-06-10"),
        ("2025-06-11 00:30:00+00", "2025-06-10"),
        ("2025-06-11 02:30:00+02", "2025-06-10"),
        ("2025-06-10 19:30:00-05", "2025-06-10"),
    ],
)
def test_the_default_day_is_the_day_before_it_was_due_in_kigali(db: psycopg.Connection, due: str, as_of: str) -> None:
    for zone in ["UTC", "Pacific/Auckland", "America/Los_Angeles"]:
        for given in [None, ""]:
            with db.transaction(force_rollback=True):
                db.execute(sql.SQL("SET LOCAL TimeZone = {}").format(sql.Literal(zone)))
                begin(db, as_of=given, due=due)
                found = db.execute("SELECT as_of FROM audit.runs").fetchone()
                assert found == (date.fromisoformat(as_of),), f"in a session of {zone}, as_of {given!r}"


def test_a_given_day_is_taken_whatever_was_due(db: psycopg.Connection) -> None:
    heard = notices(db)
    begin(db, as_of="2024-02-29", due="2025-06-11 00:30+00")
    assert db.execute("SELECT as_of, state, fingerprint, reason, ended_at FROM audit.runs").fetchall() == [
        (date(2024, 2, 29), "open", "f", None, None)
    ]
    assert heard == ["run_no 1, as of 2024-02-29"]


# begin_run: one run at a time


def test_two_runs_cannot_be_open(db: psycopg.Connection) -> None:
    begin(db)
    with pytest.raises(psycopg.errors.UniqueViolation, match="runs_only_one_open"):
        db.execute("INSERT INTO audit.runs (dag_run_id, as_of, fingerprint) VALUES ('two', '2025-06-10', '')")


def test_a_newer_run_abandons_an_open_one(db: psycopg.Connection) -> None:
    begin(db, "one")
    heard = notices(db)
    assert begin(db, "two") == 2
    assert heard == ["run one had not ended: it is abandoned", f"run_no 2, as of {DAY}"]
    assert state(db, "one") == ("abandoned", "run two began before this one had ended")
    assert state(db, "two") == ("open", None)
    assert db.execute("SELECT count(*) FROM audit.runs WHERE ended_at IS NULL").fetchone() == (1,)


@pytest.mark.parametrize("close", [end, fail])
def test_a_newer_run_leaves_a_closed_one_as_it_is(db: psycopg.Connection, close: Callable) -> None:
    begin(db, "one")
    close(db, "one")
    closed = db.execute("SELECT * FROM audit.runs").fetchall()
    begin(db, "two")
    assert db.execute("SELECT * FROM audit.runs WHERE dag_run_id = 'one'").fetchall() == closed


FIRST_NIGHT, SECOND_NIGHT = "backfill__2025-06-11T00:30:00+00:00", "backfill__2025-06-12T00:30:00+00:00"


@pytest.mark.parametrize(("close", "closed"), [(None, "open"), (fail, "failed")], ids=["open", "failed"])
def test_a_night_of_a_backfill_waits_for_the_one_before(
    db: psycopg.Connection, close: Callable | None, closed: str
) -> None:
    begin(db, FIRST_NIGHT)
    if close:
        close(db, FIRST_NIGHT)
    with pytest.raises(psycopg.Error) as refused:
        begin(db, SECOND_NIGHT, "2025-06-11")
    assert said(refused) == (
        f"run {FIRST_NIGHT} is {closed}: the nights after it wait for it",
        "Mend it, then create the backfill again with --reprocess-behavior failed.",
    )
    assert begin(db, FIRST_NIGHT) == 1
    end(db, FIRST_NIGHT)
    assert begin(db, SECOND_NIGHT, "2025-06-11") == 2


@pytest.mark.parametrize(
    ("first", "second"), [("one", SECOND_NIGHT), (FIRST_NIGHT, "two"), ("backfilled", "backfilling")]
)
def test_only_a_backfill_waits_for_the_night_before(db: psycopg.Connection, first: str, second: str) -> None:
    begin(db, first)
    fail(db, first)
    assert begin(db, second) == 2


def test_begin_waits_for_a_task_that_still_works(db: psycopg.Connection, connect: Connect) -> None:
    begin(db, "one")
    task = connect(autocommit=False)
    enter(task, "one")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        begin(db, "two")
    assert state(db, "one") == ("open", None)
    assert meanwhile(connect, task, lambda waiting: begin(waiting, "two")) == 2
    assert state(db, "one") == ("abandoned", "run two began before this one had ended")
    with pytest.raises(psycopg.Error, match="run one is not open"):
        enter(db, "one")


def test_a_failed_run_begins_again_when_its_last_task_has_stopped(db: psycopg.Connection, connect: Connect) -> None:
    begin(db, "one")
    task = connect(autocommit=False)
    enter(task, "one")
    fail(db, "one")
    assert meanwhile(connect, task, lambda waiting: begin(waiting, "one")) == 1
    assert state(db, "one") == ("open", None)


def test_a_task_that_waited_for_a_newer_run_is_refused(db: psycopg.Connection, connect: Connect) -> None:
    begin(db, "one")
    taking_over = connect(autocommit=False)
    begin(taking_over, "two")
    refused = meanwhile(connect, taking_over, lambda waiting: enter(waiting, "one"))
    assert isinstance(refused, psycopg.Error)
    assert refused.diag.message_primary == "run one is not open"


def test_a_run_does_not_publish_an_older_day_after_the_one_it_waited_for(
    db: psycopg.Connection, connect: Connect
) -> None:
    """The last published day is that of the run that was still publishing when this one began to wait."""
    begin(db, "one", "2025-06-10")
    publishing = connect(autocommit=False)
    enter(publishing, "one")
    publish(publishing, "2025-06-10")
    refused = meanwhile(connect, publishing, lambda waiting: begin(waiting, "two", "2025-06-09"))
    assert isinstance(refused, psycopg.Error), f"run_no {refused} began with a day before the last published"
    assert refused.diag.message_primary == "as_of 2025-06-09 is before 2025-06-10, the last day published"


@pytest.mark.parametrize("runs_before", [0, 1])
def test_of_two_runs_that_begin_at_once_the_later_takes_over(
    db: psycopg.Connection, connect: Connect, runs_before: int
) -> None:
    if runs_before:
        begin(db, "zero")
        end(db, "zero")
    first = connect(autocommit=False)
    begin(first, "one")
    begun = meanwhile(connect, first, lambda waiting: begin(waiting, "two"))
    assert isinstance(begun, int), begun
    assert state(db, "one") == ("abandoned", "run two began before this one had ended")
    assert state(db, "two") == ("open", None)


# begin_run again


def test_a_failed_run_opens_again(db: psycopg.Connection) -> None:
    begin(db, fingerprint="before")
    enter_and(db, "SELECT audit.leave_run('staging.orders', 5)")
    fail(db)
    assert begin(db, fingerprint="after") == 1
    assert db.execute("SELECT state, reason, ended_at, fingerprint FROM audit.runs").fetchall() == [
        ("open", None, None, "after")
    ]
    assert db.execute("SELECT count(*) FROM audit.steps").fetchone() == (0,)


def test_begin_that_lost_its_connection_at_the_commit_begins_again(db: psycopg.Connection) -> None:
    assert begin(db) == 1
    assert begin(db) == 1
    assert state(db) == ("open", None)


def test_a_published_run_cannot_begin_again(db: psycopg.Connection) -> None:
    begin(db)
    end(db)
    with pytest.raises(psycopg.Error) as refused:
        begin(db)
    assert said(refused) == ("run one is published: it cannot begin again", "Start a new run.")


def test_an_abandoned_run_cannot_begin_again(db: psycopg.Connection) -> None:
    begin(db)
    db.execute("UPDATE audit.runs SET state = 'abandoned'")
    with pytest.raises(psycopg.Error) as refused:
        begin(db)
    assert said(refused) == ("run one is abandoned: it cannot begin again", "Start a new run.")


@pytest.mark.parametrize("close", [end, fail, lambda *_: None], ids=["published", "failed", "open"])
def test_a_run_cannot_begin_again_after_a_newer_one(db: psycopg.Connection, close: Callable) -> None:
    begin(db, "one")
    fail(db, "one")
    begin(db, "two")
    close(db, "two")
    with pytest.raises(psycopg.Error) as refused:
        begin(db, "one")
    assert said(refused) == ("run one cannot begin again: run two has begun since", "Start a new run.")
    assert state(db, "one") == ("failed", "core.orders: no more")


def test_a_run_cannot_begin_again_with_another_day(db: psycopg.Connection) -> None:
    begin(db, as_of="2025-06-10")
    fail(db)
    with pytest.raises(psycopg.Error) as refused:
        begin(db, as_of="2025-06-11")
    assert said(refused) == ("run one has begun with as_of 2025-06-10, not 2025-06-11", "Start a new run.")
    assert state(db) == ("failed", "core.orders: no more")


# enter_run


def enter_and(connection: psycopg.Connection, *statements: str, run: str = "one") -> list:
    """Work in one transaction of a run; return what the last statement returned."""
    with connection.transaction():
        enter(connection, run)
        for statement in statements:
            found = connection.execute(statement)
        return found.fetchall() if found.description else []


@pytest.mark.parametrize("left", ["never begun", "failed", "published", "abandoned"])
def test_a_task_is_refused_unless_its_run_is_open(db: psycopg.Connection, left: str) -> None:
    if left != "never begun":
        begin(db)
    {"failed": fail, "published": end, "abandoned": lambda db: begin(db, "two")}.get(left, lambda _: None)(db)
    with pytest.raises(psycopg.Error) as refused:
        enter(db)
    assert said(refused) == ("run one is not open", NOT_OPEN_HINT)


def test_a_check_has_its_say_in_the_last_run_though_it_has_failed(db: psycopg.Connection) -> None:
    enter_as_a_check = "SELECT audit.enter_run('one', even_if_failed => true)"
    begin(db, "one")
    fail(db)
    with db.transaction():
        assert db.execute(enter_as_a_check).fetchone() == (1,)
    begin(db, "two")
    fail(db, "two")
    with pytest.raises(psycopg.Error, match="run one is not open"):
        db.execute(enter_as_a_check)


@pytest.mark.parametrize("close", [end, lambda db: begin(db, "two")], ids=["published", "abandoned"])
def test_a_check_has_no_say_in_a_run_that_has_ended_otherwise(db: psycopg.Connection, close: Callable) -> None:
    begin(db, "one")
    close(db)
    with pytest.raises(psycopg.Error, match="run one is not open"):
        db.execute("SELECT audit.enter_run('one', even_if_failed => true)")


def test_a_task_knows_its_run_for_one_transaction(db: psycopg.Connection) -> None:
    begin(db, "one")
    setting = "SELECT current_setting('ltv.run_no', true)"
    assert enter_and(db, setting) == [("1",)]
    assert db.execute(setting).fetchone()[0] in (None, "")


def test_tasks_of_a_run_work_side_by_side(db: psycopg.Connection, connect: Connect) -> None:
    begin(db)
    one, two = connect(autocommit=False), connect(autocommit=False)
    assert enter(one) == enter(two) == 1


def test_the_retry_of_the_task_end_finds_its_work_done(
    db: psycopg.Connection, warehouse: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its first try was committed, but the connection was lost before anybody heard of it."""
    if "AIRFLOW_HOME" not in os.environ:
        monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    from customer_ltv import end as task

    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", warehouse)
    monkeypatch.setattr(task, "parameters", {"run": "one", "attempt": 1})
    begin(db)
    task.execute({"run_id": "one"})
    assert state(db) == ("published", None)
    task.execute({"run_id": "one"})
    assert state(db) == ("published", None)


@pytest.mark.parametrize("table", ["raw.order_data", "staging.orders", "intermediate.customer_ltv"])
@pytest.mark.parametrize(
    ("loss", "sentence"),
    [
        # As after a crash: the same file, and nothing in it.
        ("ALTER TABLE {} DISABLE TRIGGER ALL; DELETE FROM {}", "empty, though this run has filled it: the server has"),
        ("DROP TABLE {}", "not what this run has built: somebody has made it anew since, or dropped it"),
        ("DROP TABLE {}; CREATE TABLE {} AS SELECT 1 AS line_no", "not what this run has built: somebody has made it"),
        ("ALTER TABLE {} DISABLE TRIGGER ALL; TRUNCATE {}; INSERT INTO {} VALUES (1)", "not what this run has built"),
    ],
)
def test_a_task_is_refused_when_what_its_run_built_is_lost(
    db: psycopg.Connection, table: str, loss: str, sentence: str
) -> None:
    begin(db)
    enter_and(db, f"CREATE UNLOGGED TABLE {table} AS SELECT 1 AS line_no", f"SELECT audit.leave_run('{table}', 1)")
    assert enter(db) == 1
    db.execute(loss.replace("{}", table))
    with pytest.raises(psycopg.Error) as refused:
        enter(db)
    message, hint = said(refused)
    assert message.startswith(f"{table} is {sentence}")
    assert hint == NOT_OPEN_HINT


def test_nobody_makes_anew_what_a_task_is_reading(db: psycopg.Connection, connect: Connect) -> None:
    begin(db)
    enter_and(db, "CREATE TABLE staging.orders AS SELECT 1 AS line_no", "SELECT audit.leave_run('staging.orders', 1)")
    task = connect(autocommit=False)
    enter(task)
    db.execute("SET lock_timeout = '100ms'")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        db.execute("DROP TABLE staging.orders")


@pytest.mark.parametrize("table", ["raw.order_data", "staging.orders", "intermediate.customer_ltv"])
def test_nobody_writes_what_the_open_run_has_built(db: psycopg.Connection, table: str) -> None:
    begin(db)
    enter_and(db, f"CREATE TABLE {table} AS SELECT 1 AS line_no", f"SELECT audit.leave_run('{table}', 1)")
    for statement in (f"INSERT INTO {table} VALUES (2)", f"DELETE FROM {table}", f"TRUNCATE {table}"):
        with pytest.raises(psycopg.Error, match=f"run one is open: nobody else writes {table}"):
            db.execute(statement)
    enter_and(db, f"DELETE FROM {table}")
    fail(db)
    db.execute(f"INSERT INTO {table} VALUES (2)")


def test_what_an_earlier_try_or_run_built_is_not_looked_at(db: psycopg.Connection) -> None:
    built = ["CREATE TABLE staging.orders AS SELECT 1 AS line_no", "SELECT audit.leave_run('staging.orders', 1)"]
    begin(db, "one")
    enter_and(db, *built)
    fail(db, "one")
    db.execute("TRUNCATE staging.orders")
    begin(db, "one")
    assert enter(db, "one") == 1
    begin(db, "two")
    assert enter(db, "two") == 2


def test_a_table_that_the_run_left_empty_or_keeps_is_not_looked_at(db: psycopg.Connection) -> None:
    begin(db)
    enter_and(
        db,
        "CREATE TABLE staging.orders AS SELECT 1 AS line_no LIMIT 0",
        "SELECT audit.leave_run('staging.orders', 0)",
        "SELECT audit.leave_run('core.orders', 7)",
        "SELECT audit.leave_run('staging.orders__reconciles', NULL)",
    )
    assert enter(db) == 1


def refusal(connection: psycopg.Connection, task: str) -> tuple[str | None, str | None]:
    with pytest.raises(psycopg.Error) as refused:
        enter(connection, task=task)
    return said(refused)


def test_a_task_is_refused_when_its_run_has_not_built_what_it_reads(db: psycopg.Connection) -> None:
    """The tables of an earlier run still stand; a task of core would take them for this delivery."""
    begin(db)
    db.execute("CREATE TABLE intermediate.customer_ltv ()")

    def built(*tasks: str) -> None:
        enter_and(db, *(f"SELECT audit.leave_run('{task}', 0)" for task in tasks))

    assert enter(db, task="raw.order_data") == 1
    raw = ["raw.customer_data", "raw.order_data", "raw.payment_data"]
    assert refusal(db, "staging.customers") == (
        f"staging.customers comes after what this run has not done: {', '.join(raw)}",
        NOT_OPEN_HINT,
    )
    built(*raw)
    assert enter(db, task="staging.customers") == 1
    built("staging.customers", "staging.payments")
    for task in ("core.orders", "core.orders__reconciles", "intermediate.customer_ltv"):
        assert refusal(db, task)[0] == f"{task} comes after what this run has not done: staging.orders"
    built("staging.orders")
    assert enter(db, task="core.orders") == enter(db, task="intermediate.customer_ltv") == 1
    assert refusal(db, "marts.customer_ltv")[0] == (
        "marts.customer_ltv comes after what this run has not done: intermediate.customer_ltv"
    )
    built("intermediate.customer_ltv")
    assert enter(db, task="marts.customer_ltv") == 1
    # By hand nobody asks, and another run has built nothing yet.
    begin(db, "two")
    assert enter(db, "two") == 2
    with pytest.raises(psycopg.Error, match=r"core\.orders comes after what this run has not done: raw\.customer_data"):
        enter(db, "two", task="core.orders")


# A run that begins again while a task of an earlier begin still lives: two Airflows on one warehouse


AGAIN = "run one was begun again since (attempt 2): this task belongs to attempt 1"


def attempt(connection: psycopg.Connection, run: str = "one") -> int:
    """Begin a run; return the attempt."""
    found = connection.execute(
        "SELECT audit.begin_run(%s, %s, now(), %s, 'f')", [run, DAY, deployed_fingerprint()]
    ).fetchone()
    return found[0]


def test_a_task_works_only_in_the_begin_that_it_belongs_to(db: psycopg.Connection) -> None:
    assert [attempt(db), attempt(db)] == [1, 2]
    for work in (enter, end):
        with pytest.raises(psycopg.Error) as refused:
            work(db, attempt=1)
        assert said(refused) == (AGAIN, "Is a second Airflow at work on this warehouse?")
    fail(db, attempt=1)
    assert state(db) == ("open", None)
    assert enter(db, attempt=2) == enter(db) == 1
    with pytest.raises(psycopg.Error, match="begun again since"):
        db.execute("SELECT audit.enter_run('one', true, 1)")
    fail(db, attempt=2)
    assert state(db) == ("failed", "core.orders: no more")
    assert attempt(db) == 3
    end(db, attempt=3)
    end(db, attempt=3)
    with pytest.raises(psycopg.Error, match="begun again since"):
        end(db, attempt=2)
    assert state(db) == ("published", None)
    assert attempt(db, "two") == 1


def test_sql_that_has_changed_holds_for_every_customer(db: psycopg.Connection) -> None:
    db.execute("INSERT INTO core.customers (customer_id, run_no, updated_at) VALUES (1, 0, now()), (2, 0, now())")
    stale = "SELECT customer_id FROM core.stale_customers ORDER BY 1"
    begin(db, fingerprint="before")
    end(db)
    begin(db, "two", "2025-06-11", fingerprint="before")
    end(db, "two")
    assert db.execute(stale).fetchall() == []
    begin(db, "three", "2025-06-12", fingerprint="after")
    assert db.execute(stale).fetchall() == [(1,), (2,)]


def test_a_claim_has_held_since_the_last_run_of_the_same_sql_that_was_published(db: psycopg.Connection) -> None:
    def held_since() -> int:
        return db.execute("SELECT audit.held_since('raw.a__b')").fetchone()[0]

    for number, (bad, fingerprint, close) in enumerate(
        [(0, "f", end), (0, "f", end), (0, "f", fail), (1, "f", end), (0, "other", end)], start=1
    ):
        begin(db, str(number), fingerprint=fingerprint)
        enter_and(db, f"SELECT audit.verdict('raw.a__b', {bad}, 2)", run=str(number))
        close(db, str(number))
    begin(db, "six")
    assert held_since() == 2
    begin(db, "seven", fingerprint="other")
    assert held_since() == 5
    begin(db, "eight", fingerprint="new")
    assert held_since() == 0
    begin(db, "nine", fingerprint="f")
    assert held_since() == 2
    # What was replaced since is no longer known.
    db.execute("UPDATE audit.runs SET started_at = started_at - audit.undo_kept_for() - INTERVAL '1 day'")
    assert held_since() == 0


def test_begin_refuses_a_day_before_one_that_core_knows(db: psycopg.Connection) -> None:
    begin(db, "one", "2025-06-10")
    enter_and(db, "SELECT audit.open_ledger('core.orders', 0, 0)")
    fail(db)
    with pytest.raises(psycopg.Error, match="as_of 2025-06-09 is before 2025-06-10, a day that core knows already"):
        begin(db, "two", "2025-06-09")


def test_a_task_is_refused_when_other_sql_was_deployed_since_its_run_began(db: psycopg.Connection) -> None:
    begin(db)
    # The same once more, as every make run deploys it, is no other.
    db.execute("INSERT INTO audit.deployments (fingerprint, migrations) VALUES (%s, '{}')", [deployed_fingerprint()])
    enter(db)
    db.execute("INSERT INTO audit.deployments (fingerprint, migrations) VALUES ('other', '{}')")
    with pytest.raises(psycopg.Error, match="other SQL was deployed since run one has begun") as caught:
        enter(db)
    assert caught.value.diag.message_hint == NOT_OPEN_HINT
    db.execute("INSERT INTO audit.deployments (fingerprint, migrations) VALUES (%s, '{}')", [deployed_fingerprint()])
    with pytest.raises(psycopg.Error, match="other SQL was deployed"):
        enter(db)
    begin(db)
    enter(db)


def test_a_task_is_refused_when_the_files_have_changed_since_its_run_began(db: psycopg.Connection) -> None:
    begin(db, fingerprint="before")
    entering = "SELECT audit.enter_run('one', fingerprint => %s)"
    db.execute(entering, ["before"])
    with pytest.raises(psycopg.Error, match="the SQL files have changed since run one has begun") as caught:
        db.execute(entering, ["after"])
    assert caught.value.diag.message_hint == NOT_OPEN_HINT


def test_a_claim_is_called_like_its_file(db: psycopg.Connection) -> None:
    begin(db)
    db.execute("SELECT set_config('ltv.task', 'core.orders__a', false)")
    with pytest.raises(psycopg.Error, match=r"the claim of core\.orders__a is called core\.orders__b: call it like"):
        db.execute("SELECT audit.verdict('core.orders__b', 0, 1)")


def test_a_task_that_waits_for_begin_finds_out_that_it_is_another(db: psycopg.Connection, connect: Connect) -> None:
    attempt(db)
    beginning = connect(autocommit=False)
    attempt(beginning)
    refused = meanwhile(connect, beginning, lambda waiting: enter(waiting, attempt=1))
    assert isinstance(refused, psycopg.Error)
    assert refused.diag.message_primary == AGAIN


def test_a_name_that_is_free_after_an_undo_begins_no_first_attempt(db: psycopg.Connection) -> None:
    assert [attempt(db), attempt(db)] == [1, 2]
    end(db)
    db.execute("UPDATE audit.runs SET state = 'undone', dag_run_id = 'one, undone by run 2'")
    assert attempt(db) == 3


# fail_run and end_run


def test_a_run_fails_with_the_error_of_its_task(db: psycopg.Connection) -> None:
    begin(db)
    fail(db, "one", "core.orders", "canceling statement due to statement timeout")
    assert state(db) == ("failed", "core.orders: canceling statement due to statement timeout")
    assert db.execute("SELECT ended_at >= started_at FROM audit.runs").fetchone() == (True,)


def test_a_run_fails_with_what_its_check_said(db: psycopg.Connection) -> None:
    begin(db)
    enter_and(db, "SELECT audit.verdict('core.a__b', 2, 3, example => 'order 7')")
    fail(db, "one", "core.a__b", "By default, this task fails")
    assert state(db) == ("failed", "core.a__b failed: 2 of 3 bad, e.g. order 7")


def test_a_check_that_passed_is_not_the_reason(db: psycopg.Connection) -> None:
    begin(db)
    enter_and(db, "SELECT audit.verdict('core.a__b', 0, 3)")
    enter_and(db, "SELECT audit.verdict('core.c__d', 1, 3)")
    fail(db, "one", "core.a__b", "connection lost")
    assert state(db) == ("failed", "core.a__b: connection lost")


def test_what_a_check_said_at_an_earlier_try_is_not_the_reason(db: psycopg.Connection) -> None:
    begin(db)
    enter_and(db, "SELECT audit.verdict('core.a__b', 2, 3)")
    fail(db, "one", "core.a__b", "By default, this task fails")
    begin(db)
    fail(db, "one", "core.a__b", "connection lost")
    assert state(db) == ("failed", "core.a__b: connection lost")


def test_a_run_fails_without_waiting_for_a_task_that_still_works(db: psycopg.Connection, connect: Connect) -> None:
    begin(db)
    task = connect(autocommit=False)
    enter(task)
    fail(db)
    assert state(db) == ("failed", "core.orders: no more")
    task.commit()
    assert state(db) == ("failed", "core.orders: no more")


def test_a_late_word_of_a_failure_fails_no_run_that_has_begun_again(db: psycopg.Connection) -> None:
    first, second = "2025-06-11 00:30:00.1+00", "2025-06-11 00:30:00.2+00"
    begin_started = """SELECT audit.begin_run('one', %s, now(), %s, 'f', dag_run_started_at => %s)"""
    late = "SELECT audit.fail_run('one', 'core.orders', 'its process ended', dag_run_started_at => %s)"
    for started in (first, second):
        db.execute(begin_started, [DAY, deployed_fingerprint(), started])
    db.execute(late, [first])
    assert state(db) == ("open", None)
    db.execute(late, [second])
    assert state(db) == ("failed", "core.orders: its process ended")
    # One that was begun by hand is no DAG run's.
    begin(db)
    db.execute(late, [second])
    assert state(db) == ("open", None)


def test_only_an_open_run_can_fail(db: psycopg.Connection) -> None:
    begin(db, "one")
    end(db, "one")
    begin(db, "two")
    fail(db, "one")
    fail(db, "never begun")
    assert state(db, "one") == ("published", None)
    assert state(db, "two") == ("open", None)


def test_a_run_ends_once(db: psycopg.Connection) -> None:
    begin(db)
    end(db)
    closed = db.execute("SELECT * FROM audit.runs").fetchall()
    end(db)
    assert state(db) == ("published", None)
    assert db.execute("SELECT * FROM audit.runs").fetchall() == closed


@pytest.mark.parametrize("left", ["never begun", "failed", "abandoned"])
def test_a_run_that_is_not_open_cannot_end(db: psycopg.Connection, left: str) -> None:
    if left != "never begun":
        begin(db)
    {"failed": fail, "abandoned": lambda db: begin(db, "two")}.get(left, lambda _: None)(db)
    with pytest.raises(psycopg.Error) as refused:
        end(db)
    assert said(refused) == ("run one is not open", NOT_OPEN_HINT)


# run_no and as_of


WHERE_AM_I = "SELECT audit.run_no(), audit.as_of()"


def test_inside_a_run_it_is_that_run(db: psycopg.Connection) -> None:
    begin(db, "one", "2025-06-10")
    assert enter_and(db, WHERE_AM_I) == [(1, date(2025, 6, 10))]


def test_a_transaction_stays_in_the_run_that_it_entered(db: psycopg.Connection, connect: Connect) -> None:
    begin(db, "one", "2025-06-10")
    task = connect(autocommit=False)
    enter(task, "one")
    fail(db, "one")
    db.execute("INSERT INTO audit.runs (dag_run_id, as_of, fingerprint) VALUES ('two', '2025-06-11', '')")
    assert task.execute(WHERE_AM_I).fetchone() == (1, date(2025, 6, 10))


def test_by_hand_it_is_the_open_run(db: psycopg.Connection) -> None:
    begin(db, "one", "2025-06-10")
    db.execute(
        """INSERT INTO audit.runs (dag_run_id, as_of, state, fingerprint)
        VALUES ('newer', '2025-06-11', 'failed', '')"""
    )
    assert db.execute(WHERE_AM_I).fetchone() == (1, date(2025, 6, 10))


def test_by_hand_without_an_open_run_it_is_the_last_one(db: psycopg.Connection) -> None:
    begin(db, "one", "2025-06-10")
    end(db, "one")
    begin(db, "two", "2025-06-11")
    fail(db, "two")
    assert db.execute(WHERE_AM_I).fetchone() == (2, date(2025, 6, 11))


def test_by_hand_before_any_run_it_is_none(db: psycopg.Connection) -> None:
    assert db.execute(WHERE_AM_I).fetchone() == (None, None)


def test_by_hand_after_a_run_in_the_same_session_it_is_the_last_one(db: psycopg.Connection) -> None:
    begin(db, "one", "2025-06-10")
    enter_and(db, "SELECT 1")
    end(db, "one")
    begin(db, "two", "2025-06-11")
    assert db.execute(WHERE_AM_I).fetchone() == (2, date(2025, 6, 11))


# verdict


@pytest.fixture(scope="module")
def shared_warehouse(cluster: server.Server, template: str) -> Iterator[str]:
    """A warehouse for the tests whose every change is undone."""
    with janitor(cluster, "ltv_shared", template_dbname=template):
        yield database_url(cluster, "ltv_shared", admin=True)


@pytest.fixture
def in_run(shared_warehouse: str) -> Iterator[psycopg.Connection]:
    """A connection in the transaction of an open run; undone after the test."""
    with psycopg.connect(shared_warehouse) as connection:
        begin(connection)
        enter(connection)
        yield connection
        connection.rollback()


NO_COUNTS = [Decimal(text) for text in ("NaN", "Infinity", "-Infinity")]


@pytest.mark.parametrize(
    ("bad_rows", "checked_rows", "fail_over", "warn_over", "expected"),
    [
        (0, 10, 0, None, "passed"),
        (1, 10, 0, None, "failed"),
        (Decimal("0.01"), 10, 0, None, "failed"),
        (1, 10, Decimal("0.1"), None, "passed"),
        (Decimal("1.01"), 10, Decimal("0.1"), None, "failed"),
        (1, 10, Decimal("0.5"), Decimal("0.1"), "passed"),
        (2, 10, Decimal("0.5"), Decimal("0.1"), "warned"),
        (5, 10, Decimal("0.5"), Decimal("0.1"), "warned"),
        (6, 10, Decimal("0.5"), Decimal("0.1"), "failed"),
        (1, 10, 1, 0, "warned"),
        (0, 10, 1, 0, "passed"),
        (20, 10, 1, None, "failed"),
        (1, 3, Decimal("0.3333"), None, "failed"),
        (-1, 10, 0, None, "failed"),
        (None, 10, 1, None, "failed"),
        (0, None, 1, None, "failed"),
        (None, None, 1, None, "failed"),
        (0, 10, None, None, "failed"),
        (0, 0, 1, None, "failed"),
        (1, 0, 1, None, "failed"),
        (0, -10, 1, None, "failed"),
        (5, -10, 1, None, "failed"),
        *[(bad, 10, 1, None, "failed") for bad in NO_COUNTS],
        *[(0, checked, 1, None, "failed") for checked in NO_COUNTS],
        *[(5, checked, 1, None, "failed") for checked in NO_COUNTS],
        # A limit that is none allows nothing.
        *[(bad, 10, Decimal("NaN"), None, "failed") for bad in (0, 5, *NO_COUNTS)],
    ],
)
def test_verdict(
    in_run: psycopg.Connection,
    bad_rows: object,
    checked_rows: object,
    fail_over: object,
    warn_over: object,
    expected: str,
) -> None:
    assert verdict(in_run, "core.a__b", bad_rows, checked_rows, fail_over, warn_over) is (expected != "failed")
    assert in_run.execute("SELECT verdict FROM audit.check_results").fetchall() == [(expected,)]


def test_a_check_without_limits_forgives_nothing_and_warns_of_nothing(db: psycopg.Connection) -> None:
    begin(db)
    enter_and(db, "SELECT audit.verdict('core.a__b', 1, 1000000)", "SELECT audit.verdict('core.c__d', 0, 1)")
    assert db.execute("SELECT verdict, fail_over, warn_over FROM audit.check_results ORDER BY claim").fetchall() == [
        ("failed", 0, None),
        ("passed", 0, None),
    ]


def test_a_verdict_is_kept_and_replaced_when_the_check_runs_again(db: psycopg.Connection) -> None:
    begin(db, "one")
    kept = """SELECT run_no, claim, verdict, bad_rows, checked_rows, observed_share, fail_over, warn_over, example, said
        FROM audit.check_results ORDER BY run_no"""
    enter_and(db, "SELECT audit.verdict('core.a__b', 3, 4, 0.5, 0.25, 'order 7')")
    said_first = "core.a__b failed: 3 of 4 bad, 50 % allowed, e.g. order 7"
    first = (1, "core.a__b", "failed", 3, 4, Decimal("0.75"), Decimal("0.5"), Decimal("0.25"), "order 7", said_first)
    assert db.execute(kept).fetchall() == [first]
    enter_and(db, "SELECT audit.verdict('core.a__b', 0, 5)")
    again = (1, "core.a__b", "passed", 0, 5, Decimal(0), Decimal(0), None, None, "core.a__b passed: 0 of 5 bad")
    assert db.execute(kept).fetchall() == [again]
    begin(db, "two")
    enter_and(db, "SELECT audit.verdict('core.a__b', 0, 5)", run="two")
    assert db.execute(kept).fetchall() == [again, (2, *again[1:])]


def test_a_check_is_noted_as_a_step_that_wrote_no_rows(db: psycopg.Connection) -> None:
    begin(db)
    enter_and(db, "SELECT audit.verdict('core.a__b', 0, 5)")
    assert db.execute("SELECT run_no, task, rows_written FROM audit.steps").fetchall() == [(1, "core.a__b", None)]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((0, 5, 0, None, None), "core.a__b passed: 0 of 5 bad"),
        ((0, 5, 0, None, "order 7"), "core.a__b passed: 0 of 5 bad"),
        ((3, 5, 0, None, None), "core.a__b failed: 3 of 5 bad"),
        ((3, 5, 0, None, "order 7"), "core.a__b failed: 3 of 5 bad, e.g. order 7"),
        ((3, 50, Decimal("0.055"), None, "order 7"), "core.a__b failed: 3 of 50 bad, 5.5 % allowed, e.g. order 7"),
        ((3, 5, 1, 0, "order 7"), "core.a__b warned: 3 of 5 bad, e.g. order 7"),
        ((Decimal("0.01"), 5, 0, None, "1.00 and 1.01"), "core.a__b failed: 0.01 of 5 bad, e.g. 1.00 and 1.01"),
        ((0, 0, 0, None, None), "core.a__b failed: nothing to check"),
        ((None, None, 0, None, None), "core.a__b failed: nothing to check"),
        ((None, 5, 0, None, None), "core.a__b failed: an unknown number of 5 bad"),
        ((1, 5, 0, None, "100 % off: '\"{}"), "core.a__b failed: 1 of 5 bad, e.g. 100 % off: '\"{}"),
    ],
)
def test_a_verdict_is_said(in_run: psycopg.Connection, arguments: tuple, sentence: str) -> None:
    heard = notices(in_run)
    verdict(in_run, "core.a__b", *arguments)
    assert heard == [sentence]
    assert in_run.execute("SELECT said FROM audit.check_results").fetchall() == [(sentence,)]


def test_by_hand_a_check_says_its_verdict_and_writes_nothing(db: psycopg.Connection) -> None:
    begin(db)
    heard = notices(db)
    assert verdict(db, "core.a__b", 1, 5, 0, None, "order 7") is False
    assert verdict(db, "core.a__b", 0, 5) is True
    assert heard == ["core.a__b failed: 1 of 5 bad, e.g. order 7", "core.a__b passed: 0 of 5 bad"]
    assert db.execute("SELECT count(*) FROM audit.check_results").fetchone() == (0,)
    assert db.execute("SELECT count(*) FROM audit.steps").fetchone() == (0,)


# the ledger and the steps


def test_the_ledger_keeps_its_first_note_and_adds_up(db: psycopg.Connection) -> None:
    begin(db)
    enter_and(
        db,
        "SELECT audit.open_ledger('core.orders', 3, NULL)",
        "SELECT audit.book('core.orders', 2, -2, -5.50)",
        "SELECT audit.book('core.orders', 0, 0, NULL)",
    )
    kept = "SELECT rows_before, amount_before, rows_written, rows_change, amount_change FROM audit.ledger"
    assert db.execute(kept).fetchall() == [(3, 0, 2, -2, Decimal("-5.50"))]
    enter_and(
        db,
        "SELECT audit.open_ledger('core.orders', 1, -5.50)",
        "SELECT audit.book('core.orders', 1, 1, 7)",
        "SELECT audit.leave_run('core.orders', 999)",
    )
    assert db.execute(kept).fetchall() == [(3, 0, 3, -1, Decimal("1.50"))]
    assert db.execute("SELECT task, rows_written FROM audit.steps").fetchall() == [("core.orders", 3)]


def test_a_step_is_noted_once_with_what_it_wrote(db: psycopg.Connection) -> None:
    begin(db)
    enter_and(db, "SELECT audit.leave_run('marts.customer_ltv', 4)")
    enter_and(db, "SELECT audit.leave_run('marts.customer_ltv', 3)")
    assert db.execute("SELECT run_no, task, rows_written, seconds >= 0 FROM audit.steps").fetchall() == [
        (1, "marts.customer_ltv", 3, True)
    ]


# several runs in a row, by the SQL files alone


FILLS = [
    "staging/customers",
    "staging/orders",
    "staging/payments",
    "core/customers",
    "core/orders",
    "core/payments",
    "core/customer_activity",
    "intermediate/customer_ltv",
    "marts/customer_ltv",
]
Rows = list[tuple]


def deliver(connection: psycopg.Connection, customers: Rows, orders: Rows, payments: Rows) -> None:
    """Fill raw in the transaction's run: customers are (id), orders (id, customer, day, price), payments
    (id, customer, order, day, amount)."""
    lines = {
        "customer_data": ["customer_id", "date_of_birth"],
        "order_data": ["order_id", "customer_id", "order_date", "price"],
        "payment_data": ["payment_id", "customer_id", "order_id", "payment_date", "amount"],
    }
    people = [(*customer, "1990-05-17") for customer in customers]
    for (source, given), rows in zip(lines.items(), [people, orders, payments], strict=True):
        table = sql.Identifier("raw", source)
        columns, *_ = connection.execute(
            "SELECT columns FROM audit.open_load(%s) AS load (as_of, columns, encoding, delimiter)", [source]
        ).fetchone()
        fields = sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(column)) for column in columns)
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
        connection.execute(
            sql.SQL("CREATE TABLE {} (line_no bigint GENERATED ALWAYS AS IDENTITY (START WITH 2), {})").format(
                table, fields
            )
        )
        names = sql.SQL(", ").join(map(sql.Identifier, given))
        with connection.cursor().copy(sql.SQL("COPY {} ({}) FROM STDIN").format(table, names)) as copy:
            for row in rows:
                copy.write_row([str(field) for field in row])
        connection.execute("SELECT audit.log_load(%s, %s, 0, '', 2, %s, '{}', 0)", [source, f"{source}.csv", len(rows)])


def run_files(connection: psycopg.Connection, run: str, files: list[str]) -> None:
    for name in files:
        enter_and(connection, (ROOT / "sql" / f"{name}.sql").read_text(), run=run)


def run_once(
    connection: psycopg.Connection,
    run: str,
    as_of: str,
    customers: Rows,
    orders: Rows,
    payments: Rows,
    *,
    last: str = FILLS[-1],
) -> None:
    """Begin a run, deliver, run every file up to the last one, hold every check, and end or fail the run."""
    begin(connection, run, as_of)
    with connection.transaction():
        enter(connection, run)
        deliver(connection, customers, orders, payments)
    run_files(connection, run, FILLS[: FILLS.index(last) + 1])
    if last != FILLS[-1]:
        fail(connection, run, FILLS[FILLS.index(last) + 1], "the server has gone")
        return
    # The limits on shares are for deliveries of many lines, not for these.
    run_files(
        connection,
        run,
        [
            f"{path.parent.name}/{path.stem}"
            for layer in ["staging", "core", "intermediate", "marts"]
            for path in sorted((ROOT / "sql" / layer).glob("*__*.sql"))
            if not path.stem.endswith(("_within_limit", "__total_near_the_published"))
        ],
    )
    failed = connection.execute(
        """SELECT said FROM audit.check_results
        WHERE verdict = 'failed' AND run_no = (SELECT run_no FROM audit.runs WHERE dag_run_id = %s)""",
        [run],
    ).fetchall()
    assert failed == []
    end(connection, run)


def ltv(connection: psycopg.Connection) -> list[tuple]:
    return connection.execute("SELECT customer_id, ltv FROM marts.customer_ltv ORDER BY customer_id").fetchall()


def snapshots(connection: psycopg.Connection, *sources: str) -> None:
    connection.execute("UPDATE audit.sources SET kind = 'snapshot' WHERE source = ANY (%s)", [list(sources)])


CUSTOMERS = [(1,), (2,), (3,)]
ORDERS = [(10, 1, "2025-01-05", 50), (20, 2, "2025-01-05", 70)]
PAYMENTS = [(100, 1, 10, "2025-01-05", 50), (200, 2, 20, "2025-01-05", 70)]


@pytest.mark.parametrize("sources", [[], ["customer_data", "order_data", "payment_data"]], ids=["delta", "snapshot"])
def test_the_same_delivery_again_writes_no_row(db: psycopg.Connection, sources: list[str]) -> None:
    snapshots(db, *sources)
    kept = """SELECT 'customers', customer_id, ctid::text, xmin::text, run_no, updated_at FROM core.customers
        UNION ALL SELECT 'orders', order_id, ctid::text, xmin::text, run_no, updated_at FROM core.orders
        UNION ALL SELECT 'payments', payment_id, ctid::text, xmin::text, run_no, updated_at FROM core.payments
        UNION ALL SELECT 'activity', customer_id, ctid::text, xmin::text, run_no, updated_at FROM core.customer_activity
        UNION ALL SELECT 'ltv', customer_id, ctid::text, xmin::text, run_no, updated_at FROM marts.customer_ltv
        UNION ALL SELECT 'history', change_no, ctid::text, xmin::text, run_no, published_at
            FROM marts.customer_ltv_history
        UNION ALL SELECT 'freshness', 1, ctid::text, xmin::text, run_no, published_at FROM marts.freshness
        ORDER BY 1, 2"""
    run_once(db, "one", DAY, CUSTOMERS, ORDERS, PAYMENTS)
    before = db.execute(kept).fetchall()
    run_once(db, "two", DAY, CUSTOMERS, ORDERS, PAYMENTS)
    assert len(before) == 17
    assert db.execute(kept).fetchall() == before


def test_a_move_that_was_cut_short_is_finished_by_the_next_run(db: psycopg.Connection) -> None:
    """Order 10 goes to customer 2; the run dies before its payment follows; the next delivery does not name it."""
    run_once(db, "one", DAY, CUSTOMERS, ORDERS, PAYMENTS)
    moved = [(10, 2, "2025-01-05", 50)]
    run_once(db, "two", DAY, CUSTOMERS, moved, [(200, 2, 20, "2025-01-05", 70)], last="core/orders")
    assert ltv(db) == [(1, 50), (2, 70), (3, 0)]
    run_once(db, "three", DAY, [(3,)], [(30, 3, "2025-01-05", 9)], [(300, 3, 30, "2025-01-05", 9)])
    assert ltv(db) == [(1, 0), (2, 120), (3, 9)]
    assert db.execute("SELECT customer_id FROM core.payments WHERE payment_id = 100").fetchone() == (2,)


@pytest.mark.parametrize("last", FILLS[:-1])
def test_a_run_that_dies_after_any_task_is_made_good_by_a_retry(db: psycopg.Connection, last: str) -> None:
    run_once(db, "one", DAY, CUSTOMERS, ORDERS, PAYMENTS)
    delivery = [
        [(4,)],
        [(10, 2, "2025-01-05", 50), (40, 4, "2025-01-06", 5), (50, 9, "2025-01-06", 5)],
        [(200, 2, 20, "2025-01-05", 75), (400, 4, 40, "2025-01-06", 5), (500, 9, 50, "2025-01-06", 5)],
    ]
    run_once(db, "two", DAY, *delivery, last=last)
    run_once(db, "two", DAY, *delivery)
    assert ltv(db) == [(1, 0), (2, 125), (3, 0), (4, 5)]
    assert db.execute(
        "SELECT source, reason, first_run_no, last_run_no, released_run_no FROM audit.rejected_rows ORDER BY source"
    ).fetchall() == [
        ("order_data", "customer_id waits: its customer has not arrived", 2, 2, None),
        ("payment_data", "order_id waits: its order has not arrived", 2, 2, None),
    ]


def test_rows_that_wait_are_released_when_their_parents_arrive(db: psycopg.Connection) -> None:
    waiting = "SELECT source, first_run_no, last_run_no, released_run_no, superseded_run_no FROM audit.rejected_rows"
    run_once(
        db,
        "one",
        DAY,
        CUSTOMERS,
        [*ORDERS, (40, 4, "2025-01-06", 5)],
        [*PAYMENTS, (400, 4, 40, "2025-01-06", 5), (201, 2, 20, "2025-06-11", 30)],
    )
    assert ltv(db) == [(1, 50), (2, 70), (3, 0)]
    run_once(db, "two", DAY, CUSTOMERS, ORDERS, PAYMENTS)
    assert sorted(db.execute(waiting).fetchall()) == [
        ("order_data", 1, 2, None, None),
        ("payment_data", 1, 2, None, None),
        ("payment_data", 1, 2, None, None),
    ]
    run_once(db, "three", "2025-06-11", [(4,)], ORDERS, PAYMENTS)
    assert ltv(db) == [(1, 50), (2, 100), (3, 0), (4, 5)]
    assert sorted(db.execute(waiting).fetchall()) == [
        ("order_data", 1, 2, 3, None),
        ("payment_data", 1, 2, 3, None),
        ("payment_data", 1, 2, 3, None),
    ]


def test_a_row_that_waits_goes_with_the_snapshot_that_no_longer_holds_it(db: psycopg.Connection) -> None:
    """What waits for its parent is part of its snapshot: a newer one without it takes it back."""
    snapshots(db, "order_data", "payment_data")
    run_once(db, "one", DAY, CUSTOMERS, [*ORDERS, (40, 4, "2025-01-06", 5)], PAYMENTS)
    run_once(db, "two", DAY, [(4,)], ORDERS, PAYMENTS)
    assert db.execute("SELECT order_id FROM core.orders ORDER BY order_id").fetchall() == [(10,), (20,)]


def test_who_reads_what_is_kept_holds_up_nobody(db: psycopg.Connection, connect: Connect) -> None:
    """A backup holds such locks on every table that it writes out, from its beginning to its end."""
    run_once(db, "one", DAY, CUSTOMERS, ORDERS, PAYMENTS)
    backup = connect(autocommit=False)
    for (table,) in backup.execute(
        "SELECT schemaname || '.' || tablename FROM pg_catalog.pg_tables WHERE schemaname = ANY (%s)", [KEPT]
    ).fetchall():
        backup.execute(f"LOCK TABLE {table} IN ACCESS SHARE MODE")
    run_once(db, "two", DAY, [(4,)], [(40, 4, "2025-01-06", 5)], [(400, 4, 40, "2025-01-06", 5)])
    assert ltv(db) == [(1, 50), (2, 70), (3, 0), (4, 5)]


def test_the_value_does_not_hang_on_the_time_zone_of_the_session(db: psycopg.Connection) -> None:
    """In Cairo the clocks jump at midnight: 26 April 2024 has no hour zero, and is a day all the same."""
    db.execute("SET TimeZone = 'UTC'")
    run_once(db, "one", "2025-06-26", [(1,)], [(10, 1, "2024-04-26", 84)], [(100, 1, 10, "2024-04-26", 84)])
    assert ltv(db) == [(1, 72)]
    db.execute("SET TimeZone = 'Africa/Cairo'")
    run_once(db, "two", "2025-06-26", [(1,)], [(10, 1, "2024-04-26", 84)], [(100, 1, 10, "2024-04-26", 84)])
    assert ltv(db) == [(1, 72)]


# the data dictionary and the relations


def test_everything_kept_has_its_comment(db: psycopg.Connection) -> None:
    found = db.execute(
        """
        SELECT 'schema', nspname, obj_description(oid, 'pg_namespace')
        FROM pg_catalog.pg_namespace WHERE nspname = ANY (%(ours)s)
        UNION ALL
        SELECT 'table', oid::regclass::text, obj_description(oid, 'pg_class')
        FROM pg_catalog.pg_class WHERE relnamespace::regnamespace::text = ANY (%(kept)s) AND relkind = ANY ('{r,v,m,p}')
        UNION ALL
        SELECT 'column', attrelid::regclass || '.' || attname, col_description(attrelid, attnum)
        FROM pg_catalog.pg_attribute INNER JOIN pg_catalog.pg_class ON attrelid = pg_class.oid
        WHERE relnamespace::regnamespace::text = ANY (%(kept)s) AND relkind = ANY ('{r,v,m,p}')
            AND attnum > 0 AND NOT attisdropped
        UNION ALL
        SELECT 'function', oid::regprocedure::text, obj_description(oid, 'pg_proc')
        FROM pg_catalog.pg_proc WHERE pronamespace::regnamespace::text = ANY (%(ours)s)
        """,
        {"ours": OURS, "kept": KEPT},
    ).fetchall()
    kinds = {kind: [name for other, name, _ in found if other == kind] for kind, *_ in found}
    assert sorted(kinds["schema"]) == OURS
    assert {"core.customers", "marts.customer_ltv", "audit.runs"} <= set(kinds["table"])
    assert {"core.customers.email", "marts.customer_ltv.ltv"} <= set(kinds["column"])
    assert any(name.startswith("audit.verdict(") for name in kinds["function"])
    assert [(kind, name) for kind, name, comment in found if not comment] == []


def test_tools_see_the_relations_of_core_and_nothing_enforces_them(db: psycopg.Connection) -> None:
    found = db.execute(
        """
        SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_catalog.pg_constraint
        WHERE contype = 'f' AND connamespace = 'core'::regnamespace ORDER BY 1, 2
        """
    ).fetchall()
    assert found == [
        ("core.customer_activity", "FOREIGN KEY (customer_id) REFERENCES core.customers(customer_id) NOT ENFORCED"),
        ("core.orders", "FOREIGN KEY (customer_id) REFERENCES core.customers(customer_id) NOT ENFORCED"),
        ("core.payments", "FOREIGN KEY (customer_id) REFERENCES core.customers(customer_id) NOT ENFORCED"),
        ("core.payments", "FOREIGN KEY (order_id) REFERENCES core.orders(order_id) NOT ENFORCED"),
    ]


# who may do what


@pytest.fixture
def deployed(new_database: Callable[..., str], cluster: server.Server) -> str:
    """The URL of a warehouse made as an administrator makes it: empty, then roles, migrations, definitions."""
    url = new_database()
    migrate.migrate(url, database_url(cluster, "ltv_test", admin=True))
    return url


@pytest.fixture
def log_in(deployed: str, cluster: server.Server) -> Iterator[Connect]:
    """A function that logs in to the deployed warehouse as a new person, a member of the roles given."""
    admin = psycopg.connect(database_url(cluster, "ltv_test", admin=True), autocommit=True)
    made, opened = [], []

    def log_in(*roles: str) -> psycopg.Connection:
        person = f"person_{len(made)}"
        admin.execute(f"CREATE ROLE {person} LOGIN PASSWORD '{person}'")
        made.append(person)
        for role in roles:
            admin.execute(f"GRANT {role} TO {person}")
        connection = psycopg.connect(deployed, user=person, password=person, autocommit=True)
        opened.append(connection)
        return connection

    yield log_in
    for connection in opened:
        connection.close()
    for person in made:
        admin.execute(f"DROP ROLE {person}")
    admin.close()


@pytest.fixture
def pipeline(deployed: str) -> Iterator[psycopg.Connection]:
    """A connection by the login that runs the pipeline."""
    with psycopg.connect(deployed, autocommit=True) as connection:
        yield connection


def refuses(connection: psycopg.Connection, statement: str) -> bool:
    try:
        connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege:
        return True
    return False


def test_an_analyst_reads_marts_and_nothing_else(pipeline: psycopg.Connection, log_in: Connect) -> None:
    for schema in ["raw", "staging", "intermediate"]:
        pipeline.execute(f"CREATE TABLE {schema}.orders AS SELECT 1 AS order_id")
    tables = pipeline.execute(
        "SELECT schemaname, tablename FROM pg_catalog.pg_tables WHERE schemaname = ANY (%s)", [OURS]
    ).fetchall()
    assert {schema for schema, _ in tables} == set(OURS)
    analyst = log_in("ltv_analyst")
    readable = {table for table in tables if not refuses(analyst, "SELECT FROM {}.{}".format(*table))}
    assert readable == {table for table in tables if table[0] == "marts"}
    assert len(readable) == 3


def test_an_analyst_writes_nothing(log_in: Connect) -> None:
    analyst = log_in("ltv_analyst")
    for statement in [
        "UPDATE marts.customer_ltv SET ltv = 0",
        "INSERT INTO marts.freshness (as_of, published_at, run_no) VALUES ('2025-01-01', now(), 1)",
        "DELETE FROM marts.customer_ltv_history",
        "TRUNCATE marts.customer_ltv",
        "CREATE TABLE marts.mine (a integer)",
        "CREATE TABLE public.mine (a integer)",
        "CREATE TEMP TABLE mine (a integer)",
        "CREATE SCHEMA mine",
        "SELECT audit.run_no()",
        "SELECT core.absent_orders()",
    ]:
        assert refuses(analyst, statement), statement


def test_an_analyst_reads_every_view_of_marts(pipeline: psycopg.Connection, log_in: Connect) -> None:
    """With the functions that it calls: those need a right of their own."""
    views = pipeline.execute("SELECT viewname FROM pg_catalog.pg_views WHERE schemaname = 'marts'").fetchall()
    assert len(views) > 5
    analyst = log_in("ltv_analyst")
    assert [view for (view,) in views if refuses(analyst, f"SELECT * FROM marts.{view}")] == []


def test_an_analyst_reads_a_table_that_marts_gets_later(pipeline: psycopg.Connection, log_in: Connect) -> None:
    pipeline.execute("CREATE TABLE marts.later AS SELECT 7 AS answer")
    assert log_in("ltv_analyst").execute("SELECT answer FROM marts.later").fetchall() == [(7,)]


@pytest.mark.parametrize(
    ("kind", "privileges", "objects", "allowed"),
    [
        (
            "table",
            "SELECT INSERT UPDATE DELETE TRUNCATE REFERENCES TRIGGER MAINTAIN",
            "SELECT oid, oid::regclass::text FROM pg_class WHERE relkind = ANY ('{r,v,m,p,f}') AND relnamespace",
            {
                f"marts.{name}": ["SELECT"]
                for name in (
                    *("customer_ltv", "customer_ltv_history", "freshness", "ltv_deciles", "ltv_by_country"),
                    *("clv_model", "customer_forecast", "cohort_retention", "rfm_segments", "forecast_freshness"),
                    *("ltv_by_first_product", "customers_at_risk", "ltv_movers", "freshness_here"),
                )
            },
        ),
        (
            "sequence",
            "USAGE SELECT UPDATE",
            "SELECT oid, oid::regclass::text FROM pg_class WHERE relkind = 'S' AND relnamespace",
            {},
        ),
        (
            "function",
            "EXECUTE",
            "SELECT oid, oid::regprocedure::text FROM pg_proc WHERE pronamespace",
            {
                **{f"marts.{name}_as_of(date)": ["EXECUTE"] for name in ("customer_ltv", "customer_forecast")},
                "marts.why(bigint)": ["EXECUTE"],
                "core.a_paid_order(numeric,numeric)": ["EXECUTE"],
            },
        ),
        ("schema", "USAGE CREATE", "SELECT oid, nspname FROM pg_namespace WHERE oid", {"marts": ["USAGE"]}),
    ],
    ids=["tables", "sequences", "functions", "schemas"],
)
def test_an_analyst_may_do_this_and_nothing_more(
    kind: str, privileges: str, objects: str, allowed: dict[str, list[str]], pipeline: psycopg.Connection
) -> None:
    """Whatever an analyst may do comes to this list: by a grant of its own, of PUBLIC, or of a role it is in."""
    found = pipeline.execute(
        f"""
        SELECT name, array_agg(privilege ORDER BY privilege) FILTER (WHERE has_{kind}_privilege(
            'ltv_analyst', oid, privilege
        ))
        FROM ({objects} = ANY (%(ours)s::regnamespace[])) AS object (oid, name)
        CROSS JOIN unnest(%(privileges)s::text[]) AS privilege
        GROUP BY name
        """,
        {"ours": [*OURS, "public"], "privileges": privileges.split()},
    ).fetchall()
    assert found
    assert {name: may for name, may in found if may} == allowed


def test_an_analyst_becomes_nobody_else_and_reads_no_file(log_in: Connect) -> None:
    analyst = log_in("ltv_analyst")
    for statement in [
        "SET ROLE ltv_pipeline",
        "SET ROLE postgres",
        "CREATE ROLE mine",
        "GRANT ltv_pipeline TO ltv_analyst",
        "SELECT pg_read_file('PG_VERSION')",
        "COPY marts.customer_ltv TO '/tmp/ltv'",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT lo_import('/etc/passwd')",
    ]:
        assert refuses(analyst, statement), statement


def test_no_function_is_led_astray_by_a_search_path(pipeline: psycopg.Connection) -> None:
    """A body written as RETURN or BEGIN ATOMIC is bound to what it names when it is made; any other fixes its path."""
    functions = pipeline.execute(
        """
        SELECT
            oid::regprocedure::text,
            prosqlbody IS NOT NULL,
            coalesce(proconfig && ARRAY['search_path=""', 'search_path=pg_catalog, pg_temp'], false)
        FROM pg_catalog.pg_proc WHERE pronamespace::regnamespace::text = ANY (%s)
        """,
        [[*OURS, "public"]],
    ).fetchall()
    # One that becomes part of the statement that asks has no path of its own; all that it names has its schema.
    inlined = {f"core.{entity}_not_as_delivered()" for entity in ("customers", "orders", "payments")}
    assert {name for name, is_bound, is_fixed in functions if not is_bound and not is_fixed} == inlined
    assert any(is_bound for _, is_bound, _ in functions)
    assert any(is_fixed for _, _, is_fixed in functions)


def test_no_function_works_with_the_rights_of_another(pipeline: psycopg.Connection) -> None:
    # One that needs to is named here, with its reason.
    needed = [
        # A past forecast is computed from tables of forecast, which analysts do not read; it takes a day, no SQL.
        "marts.customer_forecast_as_of(date)",
        # It tells an analyst of core and audit what concerns one number, and nothing personal but the country.
        "marts.why(bigint)",
    ]
    found = pipeline.execute(
        "SELECT oid::regprocedure::text FROM pg_catalog.pg_proc WHERE prosecdef AND oid >= 16384 ORDER BY 1"
    ).fetchall()
    assert [name for (name,) in found] == needed
    # A path without pg_temp has it first, and in it the types that the caller has made.
    assert pipeline.execute(
        "SELECT count(*) FROM pg_catalog.pg_proc"
        " WHERE prosecdef AND oid >= 16384 AND 'search_path=pg_catalog, pg_temp' = ANY (proconfig)"
    ).fetchone() == (len(needed),)


def test_marts_holds_nothing_personal(pipeline: psycopg.Connection) -> None:
    columns = {
        column
        for (column,) in pipeline.execute(
            "SELECT column_name::text FROM information_schema.columns WHERE table_schema = 'marts'"
        )
    }
    assert "ltv" in columns
    assert not columns & {"first_name", "last_name", "email", "gender", "date_of_birth"}


def test_a_login_that_is_neither_cannot_connect(log_in: Connect) -> None:
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        log_in()


def test_a_function_that_is_deployed_later_is_not_everybodys(pipeline: psycopg.Connection) -> None:
    pipeline.execute("CREATE FUNCTION audit.later() RETURNS integer LANGUAGE sql RETURN 7")
    assert pipeline.execute(
        """SELECT count(*) FROM pg_catalog.pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner)))
        WHERE proname = 'later' AND grantee = 0"""
    ).fetchone() == (0,)


def test_public_has_nothing(pipeline: psycopg.Connection) -> None:
    ours = "(%(ours)s::text[] || 'public'::text)"
    found = pipeline.execute(
        f"""
        SELECT datname::text, privilege_type
        FROM pg_catalog.pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba)))
        WHERE datname = current_database() AND grantee = 0
        UNION ALL
        SELECT nspname::text, privilege_type
        FROM pg_catalog.pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner)))
        WHERE nspname = ANY {ours} AND grantee = 0
        UNION ALL
        SELECT oid::regclass::text, privilege_type
        FROM pg_catalog.pg_class, aclexplode(coalesce(relacl, acldefault('r', relowner)))
        WHERE relnamespace::regnamespace::text = ANY {ours} AND grantee = 0
        UNION ALL
        SELECT oid::regprocedure::text, privilege_type
        FROM pg_catalog.pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner)))
        WHERE pronamespace::regnamespace::text = ANY {ours} AND grantee = 0
        """,
        {"ours": OURS},
    ).fetchall()
    assert found == []


def test_the_pipeline_is_no_administrator(pipeline: psycopg.Connection) -> None:
    assert pipeline.execute(
        """SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolcanlogin
        FROM pg_catalog.pg_roles WHERE rolname = current_user"""
    ).fetchall() == [(False, False, False, False, False, True)]
    assert (
        pipeline.execute(
            """SELECT roleid::regrole::text, inherit_option
            FROM pg_catalog.pg_auth_members WHERE member = current_user::regrole"""
        ).fetchall()
        # It may become who reads the report's charts, and gains nothing by it.
        == [("ltv_report", False)]
    )
    for statement in [
        "CREATE ROLE mine",
        "ALTER ROLE ltv_analyst LOGIN",
        "GRANT pg_read_server_files TO ltv_pipeline",
        "CREATE DATABASE mine",
        "SELECT pg_read_file('PG_VERSION')",
        "SELECT pg_ls_dir('.')",
        "COPY core.customers FROM '/etc/passwd'",
        "COPY core.customers TO '/tmp/customers'",
        "COPY core.customers FROM PROGRAM 'true'",
        "SELECT rolpassword FROM pg_catalog.pg_authid",
        "ALTER SYSTEM SET work_mem = '1GB'",
    ]:
        assert refuses(pipeline, statement), statement


def test_the_pipeline_owns_every_schema_and_table(pipeline: psycopg.Connection) -> None:
    owners = pipeline.execute(
        """
        SELECT nspowner::regrole::text FROM pg_catalog.pg_namespace WHERE nspname = ANY (%(ours)s)
        UNION SELECT relowner::regrole::text FROM pg_catalog.pg_class
        WHERE relnamespace::regnamespace::text = ANY (%(ours)s)
        UNION SELECT proowner::regrole::text FROM pg_catalog.pg_proc
        WHERE pronamespace::regnamespace::text = ANY (%(ours)s)
        UNION SELECT datdba::regrole::text FROM pg_catalog.pg_database WHERE datname = current_database()
        """,
        {"ours": OURS},
    ).fetchall()
    assert owners == [("ltv_pipeline",)]


@pytest.mark.usefixtures("deployed")
def test_the_roles_file_runs_twice(cluster: server.Server) -> None:
    privileges = """SELECT datname, datdba::regrole::text, datacl::text FROM pg_catalog.pg_database
        WHERE datname = current_database()"""
    with psycopg.connect(database_url(cluster, "ltv_test", admin=True), autocommit=True) as admin:
        before = admin.execute(privileges).fetchall()
        admin.execute((ROOT / "sql" / "admin" / "roles.sql").read_text())
        assert admin.execute(privileges).fetchall() == before


def test_the_login_has_its_time_outs_in_this_database(pipeline: psycopg.Connection) -> None:
    declared = dict(
        re.findall(r"SET (\w+) = ''([^']+)''", (ROOT / "sql" / "definitions" / "login_defaults.sql").read_text())
    )
    assert {"statement_timeout", "lock_timeout", "client_connection_check_interval"} <= declared.keys()
    found = {name: pipeline.execute(sql.SQL("SHOW {}").format(sql.Identifier(name))).fetchone()[0] for name in declared}
    assert found == declared
    assert not {"0", "-1"} & set(found.values())
