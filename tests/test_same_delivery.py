"""A delivery that equals the last one is not loaded again, and everything is as if it had been."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from pipeline import CheckFailedError, begin, commit_task, run_pipeline, tasks
from support import COLUMNS, customer, deliver, execute, fetch, open_limits, rows_of

GOOD = {
    "customer_data": [customer(1), customer(2), customer(2, first_name="Bea")],
    "order_data": [[1, 1, "2025-01-01", "Phone", "10"], [2, 2, "2025-01-01", "Phone", "20"]],
    "payment_data": [[1, 1, 1, "2025-01-02", "10"], [2, 2, 2, "2025-01-02", "20"]],
}
OTHER = {**GOOD, "order_data": [*GOOD["order_data"][:1], [2, 2, "2025-01-01", "Phone", "9999"]]}
WAITS = [[3, 9, "2025-01-01", "Phone", "30"], [4, 1, "2026-01-03", "Phone", "40"]]
LOADED = """SELECT source, records, loaded, good, superseded, waiting, same_as_run_no
    FROM audit.loads WHERE run_no = (SELECT max(run_no) FROM audit.loads) ORDER BY source"""


@pytest.fixture
def url(warehouse: str) -> str:
    open_limits(warehouse)
    return warehouse


def same_as(url: str) -> set[int | None]:
    return {row[-1] for row in fetch(url, LOADED)}


@pytest.mark.parametrize("kind", ["delta", "snapshot"])
def test_it_is_noted_with_the_counts_of_its_load(kind: str, url: str, tmp_path: Path) -> None:
    execute(url, "UPDATE audit.sources SET kind = %s", [kind])
    run_pipeline(url, deliver(tmp_path, **GOOD), "2026-01-01", "1")
    before = rows_of(url, "core", "marts")
    for number in (2, 3):
        run_pipeline(url, tmp_path, "2026-01-01", str(number))
        assert fetch(url, LOADED) == [
            ("customer_data", 3, 0, 2, 1, 0, 1),
            ("order_data", 2, 0, 2, 0, 0, 1),
            ("payment_data", 2, 0, 2, 0, 0, 1),
        ]
        assert rows_of(url, "core", "marts") == before
    assert fetch(url, "SELECT count(*) FROM raw.customer_data") == [(0,)]
    said = fetch(url, "SELECT verdict, said FROM audit.check_results WHERE run_no = 3 AND claim ~ '^(raw|staging)'")
    assert {verdict for verdict, _ in said} == {"passed"}
    assert sum("nothing new to check, the delivery is that of run_no 1" in text for _, text in said) == 11


def test_what_waits_is_tried_all_the_same(url: str, tmp_path: Path) -> None:
    delivery = {**GOOD, "order_data": [*GOOD["order_data"], *WAITS]}
    run_pipeline(url, deliver(tmp_path, **delivery), "2026-01-01", "1")
    # As a run would, without a note.
    customer_9 = "INSERT INTO core.customers (customer_id, run_no, updated_at) VALUES (9, 1, now())"
    execute(url, f"SET LOCAL ltv.keeps_nothing = 'on'; {customer_9}")
    run_pipeline(url, tmp_path, "2026-01-02", "2")
    assert same_as(url) == {1}
    assert fetch(url, "SELECT order_id FROM core.orders ORDER BY 1") == [(1,), (2,), (3,)]
    run_pipeline(url, tmp_path, "2026-01-03", "3")
    assert same_as(url) == {1}
    assert fetch(url, "SELECT order_id FROM core.orders ORDER BY 1") == [(1,), (2,), (3,), (4,)]
    assert fetch(url, "SELECT * FROM audit.waiting_rows") == []


def test_what_waits_in_a_snapshot_is_judged_with_all_of_it(url: str, tmp_path: Path) -> None:
    execute(url, "UPDATE audit.sources SET kind = 'snapshot'")
    deliver(tmp_path, **{**GOOD, "order_data": [*GOOD["order_data"], *WAITS]})
    for number in (1, 2):
        run_pipeline(url, tmp_path, "2026-01-01", str(number))
    assert same_as(url) == {None}


@pytest.mark.parametrize("kind", ["delta", "snapshot"])
def test_a_second_try_of_a_run_is_loaded_where_the_first_has_changed_core(kind: str, url: str, tmp_path: Path) -> None:
    execute(url, "UPDATE audit.sources SET kind = %s", [kind])
    run_pipeline(url, deliver(tmp_path / "1", **GOOD), "2026-01-01", "1")
    deliver(tmp_path / "2", **OTHER)
    begin(url, "2026-01-02", "2")
    with psycopg.connect(url) as connection:
        for task in tasks():
            if task.task_id.startswith(("raw.", "staging.", "core.")):
                commit_task(connection, task, tmp_path / "2", "2")
    run_pipeline(url, tmp_path / "1", "2026-01-02", "2")
    assert same_as(url) == {None}
    assert fetch(url, "SELECT price::text FROM core.orders WHERE order_id = 2") == [("20.00",)]


def other_bytes(_: str, folder: Path) -> None:
    deliver(folder, order_data=OTHER["order_data"])


def other_name(_: str, folder: Path) -> None:
    (folder / "payment_data.csv").rename(folder / "payment_data_1.csv")


def other_declaration(url: str, _: Path) -> None:
    execute(url, "UPDATE audit.sources SET max_rejects = max_rejects + 1")


def other_sql(url: str, _: Path) -> None:
    execute(url, "UPDATE audit.runs SET fingerprint = 'other'")


def a_person_forgotten(url: str, _: Path) -> None:
    execute(url, "SELECT core.forget_customer(2)")


def asked_for(url: str, _: Path) -> None:
    # As the README says.
    execute(url, "UPDATE audit.loads SET sha256 = '' WHERE run_no = audit.run_no()")


def an_undo(url: str, _: Path) -> None:
    execute(url, "SELECT audit.undo_run(2, 'Ann', 'why')")


def an_override(url: str, _: Path) -> None:
    execute(url, "UPDATE audit.check_results SET verdict = 'overridden' WHERE claim LIKE 'raw.%'")


def a_night_that_failed(url: str, folder: Path) -> None:
    execute(url, "UPDATE audit.sources SET max_volume_fall = 0 WHERE source = 'payment_data'")
    short = deliver(folder.parent / "short", **{**GOOD, "payment_data": GOOD["payment_data"][:1]})
    with pytest.raises(CheckFailedError):
        run_pipeline(url, short, "2026-01-02", "failed")
    execute(url, "UPDATE audit.sources SET max_volume_fall = 1 WHERE source = 'payment_data'")


CHANGES = [other_bytes, other_name, other_declaration, other_sql, a_person_forgotten, asked_for, an_undo, an_override]


@pytest.mark.parametrize("change", [*CHANGES, a_night_that_failed])
def test_after_a_change_everything_is_loaded(change: Callable, url: str, tmp_path: Path) -> None:
    folder = deliver(tmp_path / "folder", **GOOD)
    run_pipeline(url, folder, "2026-01-01", "1")
    run_pipeline(url, folder, "2026-01-02", "2")
    assert same_as(url) == {1}
    change(url, folder)
    run_pipeline(url, folder, "2026-01-02", "3")
    assert same_as(url) == {None}


@pytest.mark.parametrize("flawed", ["7,too few\n", "7,Eva,,,,,2026-01-02\n"])
def test_what_was_refused_is_judged_again(flawed: str, url: str, tmp_path: Path) -> None:
    deliver(tmp_path, **GOOD)
    with (tmp_path / "customer_data.csv").open("a") as file:
        file.write(flawed)
    run_pipeline(url, tmp_path, "2026-01-01", "1")
    run_pipeline(url, tmp_path, "2026-01-02", "2")
    assert same_as(url) == {None}


def test_a_correction_is_judged_beside_the_lines(url: str, tmp_path: Path) -> None:
    delivery = {**GOOD, "order_data": [*GOOD["order_data"], WAITS[0]]}
    run_pipeline(url, deliver(tmp_path, **delivery), "2026-01-01", "1")
    execute(url, """SELECT audit.replay(rejected_row_id, '{"customer_id": "1"}') FROM audit.rejected_rows""")
    run_pipeline(url, tmp_path, "2026-01-01", "2")
    assert same_as(url) == {None}
    assert fetch(url, "SELECT customer_id FROM core.orders WHERE order_id = 3") == [(1,)]


def test_a_file_that_changes_between_two_tasks_is_noticed(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path, **GOOD), "2026-01-01", "1")
    begin(url, "2026-01-02", "2")
    steps = {task.task_id: task for task in tasks()}
    with psycopg.connect(url) as connection:
        commit_task(connection, steps["raw.customer_data"], tmp_path, "2")
        commit_task(connection, steps["raw.payment_data"], tmp_path, "2")
        deliver(tmp_path, order_data=OTHER["order_data"])
        for task in steps:
            if task == "raw.order_data" or (task.startswith("raw.") and "__" in task):
                commit_task(connection, steps[task], tmp_path, "2")
        with pytest.raises(psycopg.Error, match="have changed while they were looked at: some are the last ones"):
            commit_task(connection, steps["staging.customers"], tmp_path, "2")


def test_a_file_that_is_missing_is_said_by_its_own_task(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path, **GOOD), "2026-01-01", "1")
    (tmp_path / "payment_data.csv").unlink()
    begin(url, "2026-01-02", "2")
    with psycopg.connect(url) as connection:
        for task in tasks():
            if task.task_id in ("raw.customer_data", "raw.order_data"):
                commit_task(connection, task, tmp_path, "2")
    assert {source: run_no for source, *_, run_no in fetch(url, LOADED)} == dict.fromkeys(list(COLUMNS)[:2])


def test_a_late_file_is_loaded_where_the_others_were(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path, **GOOD), "2026-01-01", "1")
    late = (tmp_path / "order_data.csv").rename(tmp_path / "late")
    begin(url, "2026-01-02", "2")
    on_time = ("raw.customer_data", "raw.payment_data")
    with psycopg.connect(url) as connection:
        for task in tasks():
            if task.task_id in on_time:
                commit_task(connection, task, tmp_path, "2")
        late.rename(tmp_path / "order_data.csv")
        for task in tasks():
            if task.task_id not in ("begin", *on_time):
                commit_task(connection, task, tmp_path, "2")
    # Alone it would be the last delivery's, and staging would refuse half of one.
    assert same_as(url) == {None}
    assert fetch(url, "SELECT state FROM audit.runs ORDER BY run_no") == [("published",), ("published",)]
