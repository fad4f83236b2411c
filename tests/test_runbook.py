"""What a person does by hand: undo a run, sign for a false claim, correct a rejected row, forget a customer."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import server
from conftest import ROOT, database_url
from pipeline import CheckFailedError, begin, commit_task, run_pipeline, run_task, tasks
from psycopg.types.json import Jsonb
from sql_files import SQL
from support import customer, deliver, execute, fetch, open_limits, rows_of
from test_forecast import run_forecast

KEPT = """SELECT to_jsonb(kept) FROM core.{table} AS kept ORDER BY 1"""
TABLES = ("customers", "orders", "payments", "customer_activity")


def core(url: str) -> dict[str, list]:
    """Every row of core, with the run that wrote it and the time."""
    return {table: fetch(url, KEPT.format(table=table)) for table in TABLES}


def mart(url: str) -> list[tuple]:
    return fetch(url, "SELECT * FROM marts.customer_ltv ORDER BY customer_id")


def waiting(url: str) -> list[tuple]:
    return fetch(url, "SELECT fields FROM audit.waiting_rows ORDER BY fields::text")


@pytest.fixture
def url(warehouse: str) -> str:
    open_limits(warehouse)
    return warehouse


FIRST = {
    "customer_data": [customer(n) for n in (1, 2, 3, 4)],
    "order_data": [[n, n, "2025-01-01", "Phone", "100"] for n in (1, 2, 3, 4)]
    + [[7, 9, "2025-01-05", "Phone", "70"], [8, 1, "2026-02-09", "Phone", "80"]],
    "payment_data": [[n, n, n, "2025-01-02", "100"] for n in (1, 2, 3, 4)],
}
# New rows, changed rows, an order and a payment that move, a refund, a parent that releases an order,
# a line that replaces a waiting one, and one that waits.
SECOND = {
    "customer_data": [customer(1, email="new@example.com"), customer(5), customer(9)],
    "order_data": [
        [1, 1, "2025-01-01", "Phone", "111"],
        [2, 3, "2025-01-01", "Phone", "100"],
        [5, 5, "2025-06-01", "Tablet", "50"],
        [8, 1, "2026-02-20", "Phone", "88"],
        [6, 77, "2025-06-01", "Tablet", "50"],
    ],
    "payment_data": [[5, 5, 5, "2025-06-02", "50"], [4, 3, 3, "2025-01-02", "100"], [6, 1, 1, "2025-02-02", "-40"]],
}


LAYERS = ("raw", "staging", "core", "intermediate", "marts", "audit")


def traces(url: str, word: str, but_for: str = "") -> list[str]:
    """Every row of every table that has the word, in small letters or large."""
    tables = rows_of(url, *(layer for layer in LAYERS if layer != but_for), place=False)
    return [f"{table}: {row}" for table, rows in tables.items() for row in rows if word in row.lower()]


def undo(url: str, run_no: int) -> int:
    return fetch(url, "SELECT audit.undo_run(%s, 'Ann', 'the wrong file')", [run_no])[0][0]


@pytest.mark.parametrize("kind", ["delta", "snapshot"])
def test_a_run_is_undone_to_the_last_row(kind: str, url: str, tmp_path: Path) -> None:
    execute(url, "UPDATE audit.sources SET kind = %s", [kind])
    run_pipeline(url, deliver(tmp_path / "first", **FIRST), "2026-01-29", "first")
    before = core(url), mart(url), waiting(url)
    run_pipeline(url, deliver(tmp_path / "second", **SECOND), "2026-01-30", "second")
    wrong = core(url), mart(url), waiting(url)
    assert all(now != then for now, then in zip(wrong[:2], before[:2], strict=True))
    assert undo(url, 2) == 3
    assert (core(url), mart(url), waiting(url)) == before
    assert fetch(url, "SELECT run_no, state, as_of::text, reason FROM audit.runs ORDER BY run_no") == [
        (1, "published", "2026-01-29", None),
        (2, "undone", "2026-01-30", "undone by run 3, signed by Ann: the wrong file"),
        (3, "published", "2026-01-29", "undid run 2, signed by Ann: the wrong file"),
    ]
    assert fetch(url, "SELECT as_of::text, run_no FROM marts.freshness") == [("2026-01-29", 3)]
    # What the history says of today is what is published today.
    assert fetch(
        url,
        """SELECT customer_id, ltv FROM (
            SELECT DISTINCT ON (customer_id) customer_id, ltv, action FROM marts.customer_ltv_history
            ORDER BY customer_id, change_no DESC
        ) AS latest WHERE action <> 'DELETE' ORDER BY customer_id""",
    ) == fetch(url, "SELECT customer_id, ltv FROM marts.customer_ltv ORDER BY customer_id")
    # The same night once more, with the right file: as if the wrong one had never come.
    run_pipeline(url, tmp_path / "second", "2026-01-30", "second again")
    without = [[{**row, "run_no": 0, "updated_at": 0} for (row,) in rows] for rows in core(url).values()]
    assert without == [[{**row, "run_no": 0, "updated_at": 0} for (row,) in rows] for rows in wrong[0].values()]
    assert fetch(url, "SELECT customer_id, ltv FROM marts.customer_ltv ORDER BY 1") == [
        (row[0], row[4]) for row in wrong[1]
    ]
    assert waiting(url) == wrong[2]


def test_the_first_run_is_undone_to_nothing(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path, **FIRST), "2026-01-29", "first")
    undo(url, 1)
    assert core(url) == {table: [] for table in TABLES}
    assert (mart(url), waiting(url), fetch(url, "SELECT * FROM marts.freshness")) == ([], [], [])
    run_pipeline(url, tmp_path, "2026-01-28", "the day before")
    assert len(mart(url)) == 4


def test_runs_are_undone_one_by_one(url: str, tmp_path: Path) -> None:
    states = []
    for number, delivery in enumerate((FIRST, SECOND, FIRST), start=1):
        states.append((core(url), mart(url)))
        run_pipeline(url, deliver(tmp_path / str(number), **delivery), f"2026-01-1{number}", f"run {number}")
    with pytest.raises(psycopg.Error, match="run 2 is not the last that changed core: that is run 3"):
        undo(url, 2)
    for number in (3, 2, 1):
        undo(url, number)
        assert (core(url), mart(url)) == states.pop()
    with pytest.raises(psycopg.Error, match="no run is left that changed core and was not undone"):
        undo(url, 1)


def test_a_run_that_changed_core_and_failed_is_undone_too(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path / "first", **FIRST), "2026-01-29", "first")
    before = core(url), mart(url), waiting(url)
    execute(url, "UPDATE audit.sources SET max_total_change = 0")
    with pytest.raises(CheckFailedError, match="total_near_the_published"):
        run_pipeline(url, deliver(tmp_path / "second", **SECOND), "2026-01-30", "second")
    assert core(url) != before[0]
    undo(url, 2)
    assert (core(url), mart(url), waiting(url)) == before


def test_an_undo_forgets_nobody_whose_activity_was_still_to_be_computed(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path / "first", **FIRST), "2026-01-29", "first")
    # A run that changes an order's payments and dies before their customer is computed.
    execute(url, "ALTER TABLE core.customer_activity ADD CONSTRAINT fault CHECK (total_amount < 0) NOT VALID")
    more = {**FIRST, "payment_data": [[50, 1, 1, "2025-01-02", "900"]]}
    with pytest.raises(psycopg.Error, match="fault"):
        run_pipeline(url, deliver(tmp_path / "more", **more), "2026-01-30", "dies")
    execute(url, "ALTER TABLE core.customer_activity DROP CONSTRAINT fault")
    run_pipeline(url, deliver(tmp_path / "second", **SECOND), "2026-01-30", "second")
    undo(url, 3)
    others = {**FIRST, "payment_data": [[51, 2, 2, "2025-01-02", "1"]]}
    run_pipeline(url, deliver(tmp_path / "others", **others), "2026-01-31", "third")
    assert fetch(url, "SELECT total_amount::text FROM marts.customer_ltv WHERE customer_id = 1") == [("1000.00",)]


def test_a_run_that_published_and_failed_all_the_same_is_undone_in_the_mart_too(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path / "first", **FIRST), "2026-01-29", "first")
    before = core(url), mart(url)
    run_pipeline(url, deliver(tmp_path / "second", **SECOND), "2026-01-30", "second")
    execute(url, "UPDATE audit.runs SET state = 'failed' WHERE run_no = 2")
    undo(url, 2)
    assert (core(url), mart(url)) == before


def test_a_change_by_hand_does_not_stand_in_the_way_of_an_undo(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path / "first", **FIRST), "2026-01-29", "first")
    before = core(url)
    run_pipeline(url, deliver(tmp_path / "second", **SECOND), "2026-01-30", "second")
    execute(url, "UPDATE core.customers SET country = 'Kenya' WHERE customer_id IN (1, 4)")
    undo(url, 2)
    assert core(url) == before


def test_an_undo_leaves_the_corrections_of_a_person_alone(url: str, tmp_path: Path) -> None:
    folder = deliver(tmp_path / "bad", **BAD)
    run_pipeline(url, folder, "2026-01-29", "first")
    run_pipeline(url, folder, "2026-01-30", "second")
    execute(url, 'SELECT audit.replay(%s, \'{"price": "1200"}\')', [open_rejects(url)["price not_an_amount"]])
    undo(url, 2)
    run_pipeline(url, deliver(tmp_path / "good", **FIRST), "2026-01-30", "third")
    assert fetch(url, "SELECT price::text FROM core.orders WHERE order_id = 1") == [("100.00",)]
    assert fetch(url, "SELECT count(*) FROM audit.rejected_rows WHERE rule = 'line waits'") == [(1,)]


GOOD = {
    "customer_data": [customer(1), customer(2)],
    "order_data": [[1, 1, "2025-01-01", "Phone", "10"], [2, 2, "2025-01-01", "Phone", "20"]],
    "payment_data": [[1, 1, 1, "2025-01-02", "10"], [2, 2, 2, "2025-01-02", "20"]],
}
BAD_PRICE = {**GOOD, "order_data": [[1, 1, "2025-01-01", "Phone", "abc"], GOOD["order_data"][1]]}
WITHOUT_ORDER_1 = {**GOOD, "order_data": GOOD["order_data"][1:]}


def more(**lines: list) -> dict[str, list]:
    """A good delivery with some lines more."""
    return {source: [*rows, *lines.get(source, [])] for source, rows in GOOD.items()}


@pytest.mark.parametrize("closed", [False, True])
def test_of_two_equal_corrections_an_undo_reopens_one(closed: bool, url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path / "good", **GOOD), "2026-01-01", "1")
    bad = deliver(tmp_path / "bad", **BAD_PRICE)
    run_pipeline(url, bad, "2026-01-02", "2")
    correct = 'SELECT audit.replay(%s, \'{"price": "15"}\', true)'
    execute(url, correct, [open_rejects(url)["price not_an_amount"]])
    run_pipeline(url, bad, "2026-01-03", "3")
    execute(url, correct, [open_rejects(url)["price not_an_amount"]])
    if closed:
        execute(url, "UPDATE audit.rejected_rows SET released_run_no = 3 WHERE rule = 'line waits'")
    undo(url, 3)
    assert fetch(
        url,
        """SELECT count(*), bool_and(released_run_no IS NULL AND superseded_run_no IS NULL)
            FILTER (WHERE rejected_row_id = (SELECT max(rejected_row_id) FROM audit.rejected_rows))
        FROM audit.rejected_rows WHERE rule = 'line waits'""",
    ) == [(2, True)]
    assert fetch(url, "SELECT fields ->> 'price' FROM audit.waiting_rows") == [("15",)]


def test_a_run_that_began_twice_is_undone_to_the_last_row(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path / "1", **GOOD), "2026-01-01", "1")
    before = core(url), mart(url), waiting(url)
    execute(url, "UPDATE audit.sources SET max_total_change = 0")
    first = more(order_data=[[1, 2, "2025-01-01", "X", "7"], [9, 1, "2025-01-01", "N", "1"]])
    first["payment_data"] = [*first["payment_data"], [9, 1, 9, "2025-01-02", "900"]]
    with pytest.raises(CheckFailedError, match="total_near_the_published"):
        run_pipeline(url, deliver(tmp_path / "2", **first), "2026-01-02", "2")
    open_limits(url)
    second = more(order_data=[[1, 1, "2025-01-01", "Y", "8"], [9, 2, "2025-01-01", "N", "3"]])
    second["payment_data"] = [*second["payment_data"], [9, 2, 9, "2025-01-02", "800"]]
    run_pipeline(url, deliver(tmp_path / "3", **second), "2026-01-02", "2")
    undo(url, 2)
    assert (core(url), mart(url), waiting(url)) == before
    # It can never be undone again.
    assert fetch(url, "SELECT count(*) FROM audit.replaced_rows WHERE run_no = 2") == [(0,)]


def test_after_two_undos_the_mart_names_the_publish_whose_numbers_it_has(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path / "1", **GOOD), "2026-01-01", "1")
    before = mart(url)
    wrong = deliver(tmp_path / "2", **more(payment_data=[[3, 1, 1, "2025-03-01", "7"]]))
    run_pipeline(url, tmp_path / "1", "2026-01-05", "2")
    for run_no, name in ((3, "3"), (5, "3 again")):
        run_pipeline(url, wrong, "2026-01-06", name)
        undo(url, run_no)
        assert mart(url) == before


def test_an_undo_reopens_no_row_that_a_person_has_corrected(url: str, tmp_path: Path) -> None:
    folder = deliver(tmp_path / "1", **more(order_data=[[5, 999, "2025-01-01", "Old", "5"]]))
    run_pipeline(url, folder, "2026-01-01", "1")
    run_pipeline(url, folder, "2026-01-02", "2")
    corrected = open_rejects(url)["customer_id waits"]
    execute(url, 'SELECT audit.replay(%s, \'{"order_id": "6", "customer_id": "1"}\')', [corrected])
    ((number, closed_by),) = fetch(
        url,
        """SELECT correction.rejected_row_id, corrected.closed_by
        FROM audit.rejected_rows AS corrected, audit.rejected_rows AS correction
        WHERE corrected.rejected_row_id = %s AND correction.rule = 'line waits'""",
        [corrected],
    )
    assert closed_by == f"corrected as row {number} by ltv_pipeline"
    undo(url, 2)
    assert open_rejects(url) == {"line waits": number}
    run_pipeline(url, deliver(tmp_path / "3", **more(customer_data=[customer(999)])), "2026-01-03", "3")
    assert fetch(url, "SELECT order_id, customer_id FROM core.orders WHERE order_id > 2") == [(6, 1)]


def test_a_correction_waits_again_when_the_run_that_took_it_is_undone(url: str, tmp_path: Path) -> None:
    bad = deliver(tmp_path / "1", **BAD_PRICE)
    run_pipeline(url, bad, "2026-01-01", "1")
    execute(url, "UPDATE audit.sources SET max_reject_share = 0")
    with pytest.raises(CheckFailedError):
        run_pipeline(url, bad, "2026-01-02", "2")
    # Seen last by the run that takes the correction when it begins again.
    execute(url, 'SELECT audit.replay(%s, \'{"price": "15"}\')', [open_rejects(url)["price not_an_amount"]])
    open_limits(url)
    right = deliver(tmp_path / "2", **WITHOUT_ORDER_1)
    run_pipeline(url, right, "2026-01-02", "2")
    undo(url, 2)
    run_pipeline(url, right, "2026-01-02", "3")
    assert fetch(url, "SELECT price::text FROM core.orders WHERE order_id = 1") == [("15.00",)]


def test_the_rejects_of_the_day_are_there_after_an_undo_too(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path / "1", **GOOD), "2026-01-01", "1")
    run_pipeline(url, deliver(tmp_path / "2", **BAD_PRICE), "2026-01-02", "2")
    undo(url, 2)
    assert fetch(url, "SELECT rule, rows_set_aside FROM audit.rejections_today") == [("price not_an_amount", 1)]


def test_an_undone_night_can_begin_again(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path / "first", **FIRST), "2026-01-29", "backfill__one")
    run_pipeline(url, deliver(tmp_path / "second", **SECOND), "2026-01-30", "backfill__two")
    wrong = mart(url)
    undo(url, 2)
    with pytest.raises(psycopg.Error, match="run backfill__two, undone by run 3 is undone: the nights after it wait"):
        run_pipeline(url, tmp_path / "first", "2026-01-31", "backfill__three")
    run_pipeline(url, tmp_path / "second", "2026-01-30", "backfill__two")
    assert [row[:5] for row in mart(url)] == [row[:5] for row in wrong]


def test_an_undo_is_signed_and_has_a_reason(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path, **FIRST), "2026-01-29", "first")
    with pytest.raises(psycopg.Error, match="an undo is signed and has a reason"):
        execute(url, "SELECT audit.undo_run(1, ' ', 'why')")


def test_nothing_is_undone_beneath_an_open_run(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path, **FIRST), "2026-01-29", "first")
    execute(url, "INSERT INTO audit.runs (dag_run_id, as_of, fingerprint) VALUES ('open', '2026-01-30', '')")
    with pytest.raises(psycopg.Error, match="run 2 is open: nothing can be undone beneath it"):
        undo(url, 1)


def test_a_dead_run_is_closed_by_hand_as_the_hint_says(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path, **FIRST), "2026-01-29", "first")
    # What a kill -9 leaves.
    execute(url, "INSERT INTO audit.runs (dag_run_id, as_of, fingerprint) VALUES ('it''s dead', '2026-01-30', '')")
    for refused in ("SELECT audit.undo_run(1, 'Ann', 'the wrong file')", "SELECT core.forget_customer(2)"):
        with pytest.raises(psycopg.Error, match="open") as said:
            execute(url, refused)
        closing = said.value.diag.message_hint.partition("by hand: ")[2]
        with psycopg.connect(url) as connection:
            connection.execute(closing)
            assert connection.execute("SELECT state, reason FROM audit.runs WHERE run_no = 2").fetchall() == [
                ("failed", "by hand: why")
            ]
            connection.execute(refused)
            connection.rollback()


def test_what_is_no_longer_kept_cannot_be_undone(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path, **FIRST), "2026-01-29", "first")
    run_pipeline(url, deliver(tmp_path, **SECOND), "2026-01-30", "second")
    execute(url, "UPDATE audit.runs SET started_at = started_at - INTERVAL '14 days 1 hour' WHERE run_no = 2")
    with pytest.raises(psycopg.Error, match="run 2 is older than 14 days: what it replaced is no longer kept"):
        undo(url, 2)
    assert fetch(url, "SELECT DISTINCT run_no FROM audit.replaced_rows") == [(2,)]
    run_pipeline(url, tmp_path, "2026-01-31", "third")
    assert fetch(url, "SELECT run_no FROM audit.replaced_rows") == []


def test_whom_a_run_has_computed_is_noted_for_as_long_as_it_can_be_undone(url: str, tmp_path: Path) -> None:
    noted = "SELECT run_no, customer_id FROM core.changed_customers ORDER BY change_no"
    many = {**FIRST, "customer_data": [customer(n) for n in range(1, 21)]}
    run_pipeline(url, deliver(tmp_path / "1", **many), "2026-01-29", "first")
    assert fetch(url, noted) == [(1, None)]
    run_pipeline(url, deliver(tmp_path / "2", **SECOND), "2026-01-30", "second")
    second = [(2, number) for number in (1, 2, 3, 4, 5)]
    assert sorted(fetch(url, noted)[1:]) == second
    execute(url, "UPDATE audit.runs SET started_at = started_at - audit.undo_kept_for() WHERE run_no = 1")
    run_pipeline(url, deliver(tmp_path / "3", **SECOND), "2026-01-31", "third")
    assert sorted(fetch(url, noted)) == second
    assert fetch(url, "SELECT FROM audit.hand_writes") == []


def test_a_claim_is_overridden_by_name_for_a_while_and_visibly(url: str, tmp_path: Path) -> None:
    claim = "intermediate.customer_ltv__total_near_the_published"
    run_pipeline(url, deliver(tmp_path / "first", **FIRST), "2026-01-29", "first")
    execute(url, "UPDATE audit.sources SET max_total_change = 0")
    second = deliver(tmp_path / "second", **SECOND)
    with pytest.raises(CheckFailedError, match=claim):
        run_pipeline(url, second, "2026-01-30", "second")
    execute(url, "SELECT audit.override('staging.orders__rejects_within_limit', 'Ann', 'another one')")
    execute(
        url,
        """INSERT INTO audit.overrides (claim, signed_by, reason, granted_at, expires_at)
        VALUES (%s, 'Ann', 'too early', now() - INTERVAL '2 hours', now() - INTERVAL '1 hour')""",
        [claim],
    )
    with pytest.raises(CheckFailedError, match=claim):
        run_pipeline(url, second, "2026-01-30", "third")
    execute(url, "SELECT audit.override(%s, 'Ann', 'a big new customer')", [claim])
    run_pipeline(url, second, "2026-01-30", "fourth")
    (verdict, said), *_ = fetch(
        url, "SELECT verdict, said FROM audit.check_results WHERE claim = %s ORDER BY run_no DESC", [claim]
    )
    assert verdict == "overridden"
    assert said.startswith(f"{claim} overridden: ")
    assert " signed by Ann: a big new customer)" in said
    assert fetch(url, "SELECT state FROM audit.runs ORDER BY run_no DESC LIMIT 1") == [("published",)]


@pytest.mark.parametrize(
    ("arguments", "refused"),
    [
        ((" ", "why", 1), "an override is signed and has a reason"),
        (("Ann", None, 1), "an override is signed and has a reason"),
        (("Ann", "why", 169), "an override holds for 1 to 168 hours, a week at most"),
        (("Ann", "why", 0), "an override holds for 1 to 168 hours, a week at most"),
        (("Ann", "why", None), "an override holds for 1 to 168 hours, a week at most"),
    ],
)
def test_an_override_is_signed_reasoned_and_short(arguments: tuple, refused: str, url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path, **FIRST), "2026-01-29", "first")
    with pytest.raises(psycopg.errors.RaiseException, match=refused):
        execute(url, "SELECT audit.override('staging.orders__rejects_within_limit', %s, %s, %s)", arguments)


@pytest.mark.parametrize("claim", ["staging.orders__reconciles", "core.orders__reconciles"])
def test_nobody_publishes_over_a_reconciliation(claim: str, url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path, **FIRST), "2026-01-29", "first")
    with pytest.raises(psycopg.Error, match=f"nobody publishes over {claim}: rows or money would be lost"):
        execute(url, "SELECT audit.override(%s, 'Ann', 'why')", [claim])


def test_only_a_claim_that_was_judged_is_overridden_and_it_can_be_withdrawn(url: str, tmp_path: Path) -> None:
    claim = "staging.orders__rejects_within_limit"
    with pytest.raises(psycopg.Error, match="no run has ever judged a claim staging"):
        execute(url, "SELECT audit.override('staging.orders__rejects_within_limits', 'Ann', 'a slip of the pen')")
    for run in ("first", "second"):
        run_pipeline(url, deliver(tmp_path, **FIRST), "2026-01-29", run)
    with pytest.raises(psycopg.Error, match="no run") as refused:
        execute(url, "SELECT audit.override('a slip', 'Ann', 'why')")
    of_last_run = fetch(url, "SELECT count(*) FROM audit.check_results WHERE run_no = 2")
    listed = refused.value.diag.message_hint.removeprefix("The claims of the last run: ")
    assert fetch(url, f"SELECT count(*) FROM ({listed.removesuffix('.')}) AS listed") == of_last_run
    execute(url, "SELECT audit.override(%s, 'Ann', 'why')", [claim])
    with psycopg.connect(url) as connection:
        said = []
        connection.add_notice_handler(lambda notice: said.append(notice.message_primary))
        assert connection.execute("SELECT audit.withdraw_override(%s)", [claim]).fetchone() == (1,)
        assert said == []
        assert connection.execute("SELECT audit.withdraw_override(%s)", [claim]).fetchone() == (0,)
        assert said == [f"no override of {claim} is running"]


BAD = {
    "customer_data": [customer(1), customer(2, email="ann at example.com")],
    "order_data": [
        [1, 1, "2025-01-01", "Phone", "1,200"],
        [2, 2, "2025-01-01", "Phone", "100"],
        [4, 1, "2025-01-01", "Phone", "4"],
    ],
    "payment_data": [[4, 1, 4, "2025-01-02", "4"], [1, 1, 1, "2025-01-02", "100"], [2, 1, 9, "2025-01-02", "oops"]],
}


def open_rejects(url: str) -> dict[str, int]:
    return dict(
        fetch(
            url,
            """SELECT rule, rejected_row_id FROM audit.rejected_rows
            WHERE released_run_no IS NULL AND superseded_run_no IS NULL""",
        )
    )


@pytest.mark.parametrize("kind", ["delta", "snapshot"])
def test_a_corrected_row_is_tried_again_and_everything_ties(kind: str, url: str, tmp_path: Path) -> None:
    execute(url, "UPDATE audit.sources SET kind = %s", [kind])
    folder = deliver(tmp_path, **BAD)
    with (folder / "order_data.csv").open("a") as file:
        file.write("3,1,2025-01-03\n")
    run_pipeline(url, folder, "2026-01-29", "first")
    rejects = open_rejects(url)
    assert set(rejects) >= {
        "email not_an_address",
        "price not_an_amount",
        "line too_few_fields",
        "amount not_an_amount",
    }
    for rule, corrected in {
        "email not_an_address": '{"email": "ann@example.com"}',
        "price not_an_amount": '{"price": "1200"}',
        "line too_few_fields": """{"order_id": "3", "customer_id": "1", "order_date": "2025-01-03",
            "product": null, "price": "30"}""",
        "amount not_an_amount": '{"amount": "still not"}',
    }.items():
        execute(url, "SELECT audit.replay(%s, %s)", [rejects[rule], corrected])
    # run_pipeline raises if a reconciliation is false.
    run_pipeline(url, folder, "2026-01-30", "second")
    assert fetch(url, "SELECT order_id, price::text FROM core.orders ORDER BY 1") == [
        (1, "1200.00"),
        (2, "100.00"),
        (3, "30.00"),
        (4, "4.00"),
    ]
    assert fetch(url, "SELECT email FROM core.customers WHERE customer_id = 2") == [("ann@example.com",)]
    assert fetch(url, "SELECT count(*) FROM audit.rejected_rows WHERE released_run_no = 2 AND rule = 'line waits'") == [
        (3,)
    ]
    assert open_rejects(url)["amount not_an_amount"] > max(rejects.values())
    assert waiting(url) == [] or kind == "delta"


@pytest.mark.parametrize(
    ("rule", "corrected", "said"),
    [
        ("price not_an_amount", '{"prize": "1"}', "order_data has no column prize"),
        (
            "line too_few_fields",
            '{"price": "1"}',
            "needs every column; order_id, customer_id, order_date, product missing",
        ),
        ("", "{}", "there is no rejected row 0"),
    ],
)
def test_a_correction_that_does_not_do_is_refused(
    rule: str, corrected: str, said: str, url: str, tmp_path: Path
) -> None:
    folder = deliver(tmp_path, **BAD)
    with (folder / "order_data.csv").open("a") as file:
        file.write("3,1,2025-01-03\n")
    run_pipeline(url, folder, "2026-01-29", "first")
    with pytest.raises(psycopg.Error, match=said):
        execute(url, "SELECT audit.replay(%s, %s)", [open_rejects(url).get(rule, 0), corrected])


@pytest.mark.parametrize("number", ["A2", "99999999999999999999", "NaN", "", None])
def test_a_correction_may_name_what_is_no_number(number: str | None, url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path, **BAD), "2026-01-29", "first")
    correction = Jsonb({"order_id": number, "customer_id": number})
    execute(url, "SELECT audit.replay(%s, %s)", [open_rejects(url)["price not_an_amount"], correction])
    run_pipeline(url, tmp_path, "2026-01-29", "second")
    assert fetch(url, "SELECT count(*) FROM audit.rejected_rows WHERE column_name = 'order_id' AND NOT is_waiting") == [
        (1,)
    ]


def test_of_two_corrections_of_one_key_the_newer_wins(url: str, tmp_path: Path) -> None:
    bad = {
        **BAD,
        "order_data": [*BAD["order_data"], [9, 1, "2025-01-01", "Phone", "-1"], [9, 1, "2025-01-01", "Phone", "-2"]],
    }
    run_pipeline(url, deliver(tmp_path / "bad", **bad), "2026-01-29", "first")
    numbers = fetch(
        url, "SELECT rejected_row_id FROM audit.rejected_rows WHERE rule = 'price negative' ORDER BY line_no"
    )
    for (number,), price in zip(numbers, ("1", "2"), strict=True):
        execute(url, "SELECT audit.replay(%s, jsonb_build_object('price', %s::text))", [number, price])
    run_pipeline(url, deliver(tmp_path / "good", **FIRST), "2026-01-30", "second")
    assert fetch(url, "SELECT price::text FROM core.orders WHERE order_id = 9") == [("2.00",)]


def test_of_two_corrections_the_later_wins_though_it_repeats_an_earlier_one(url: str, tmp_path: Path) -> None:
    bad = more(order_data=[[9, 1, "2025-01-01", "Phone", price] for price in ("-1", "-2", "-3")])
    run_pipeline(url, deliver(tmp_path / "bad", **bad), "2026-01-29", "first")
    numbers = fetch(
        url, "SELECT rejected_row_id FROM audit.rejected_rows WHERE rule = 'price negative' ORDER BY line_no"
    )
    for (number,), price in zip(numbers, ("1", "2", "1"), strict=True):
        execute(url, "SELECT audit.replay(%s, jsonb_build_object('price', %s::text))", [number, price])
    run_pipeline(url, deliver(tmp_path / "good", **GOOD), "2026-01-30", "second")
    assert fetch(url, "SELECT price::text FROM core.orders WHERE order_id = 9") == [("1.00",)]


def test_a_correction_of_a_snapshots_row_waits_for_its_parent_as_long_as_it_takes(url: str, tmp_path: Path) -> None:
    execute(url, "UPDATE audit.sources SET kind = 'snapshot' WHERE source = 'payment_data'")
    bad = more(payment_data=[[9, 1, 90, "2025-03-01", "zz"]])
    run_pipeline(url, deliver(tmp_path / "1", **bad), "2026-01-01", "1")
    execute(url, 'SELECT audit.replay(%s, \'{"amount": "44"}\')', [open_rejects(url)["amount not_an_amount"]])
    for number in ("2", "3"):
        run_pipeline(url, deliver(tmp_path / number, **GOOD), f"2026-01-0{number}", number)
        assert [fields["payment_id"] for (fields,) in waiting(url)] == ["9"]
    run_pipeline(url, deliver(tmp_path / "4", **more(order_data=[[90, 1, "2025-03-01", "P", "44"]])), "2026-01-04", "4")
    assert fetch(url, "SELECT amount::text FROM core.payments WHERE payment_id = 9") == [("44.00",)]
    assert waiting(url) == []


def test_a_row_that_waits_is_released_whatever_the_clock_says(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path / "1", **more(order_data=[[9, 4, "2025-03-01", "P", "5"]])), "2026-01-01", "1")
    # Of a server whose clock went two hours fast that night.
    execute(url, "UPDATE audit.rejected_rows SET last_seen_at = now() + interval '2 hours'")
    run_pipeline(url, deliver(tmp_path / "2", **more(customer_data=[customer(4)])), "2026-01-02", "2")
    assert waiting(url) == []
    assert fetch(url, "SELECT released_run_no FROM audit.rejected_rows") == [(2,)]


def test_nothing_is_corrected_while_a_run_is_open(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path, **BAD), "2026-01-29", "first")
    begin(url, "2026-01-30", "second")
    with pytest.raises(psycopg.Error, match="a run is open: a newer row of that key may be on its way"):
        execute(url, 'SELECT audit.replay(%s, \'{"price": "1"}\')', [open_rejects(url)["price not_an_amount"]])


def test_nothing_is_undone_across_a_change_of_its_columns(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path / "1", **FIRST), "2026-01-29", "first")
    run_pipeline(url, deliver(tmp_path / "2", **SECOND), "2026-01-30", "second")
    execute(url, "ALTER TABLE core.orders ADD channel text DEFAULT 'shop'")
    before = core(url), mart(url)
    with pytest.raises(psycopg.Error, match="orders has other columns than when run 2 replaced its rows"):
        undo(url, 2)
    assert (core(url), mart(url)) == before


def test_a_night_that_was_never_published_is_named_by_the_next(url: str, tmp_path: Path) -> None:
    reasons = "SELECT as_of::text, state, reason FROM audit.runs ORDER BY run_no"
    run_pipeline(url, deliver(tmp_path / "1", **GOOD), "2026-01-01", "1")
    execute(url, "UPDATE audit.sources SET max_reject_share = 0")
    with pytest.raises(CheckFailedError):
        run_pipeline(url, deliver(tmp_path / "2", **BAD_PRICE), "2026-01-02", "2")
    run_pipeline(url, deliver(tmp_path / "3", **GOOD), "2026-01-03", "3")
    missing = "without what was delivered for 2026-01-02, unless it came with this delivery"
    assert fetch(url, reasons)[2:] == [("2026-01-03", "published", missing)]
    # The night after has nothing to say of it, and one whose second try was published neither.
    with pytest.raises(CheckFailedError):
        run_pipeline(url, tmp_path / "2", "2026-01-04", "4")
    run_pipeline(url, tmp_path / "3", "2026-01-04", "4 again")
    run_pipeline(url, tmp_path / "3", "2026-01-05", "5")
    assert [reason for *_, reason in fetch(url, reasons)[4:]] == [None, None]


def test_nobody_writes_beside_an_open_run(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path, **GOOD), "2026-01-01", "1")
    begin(url, "2026-01-02", "2")
    for table in ("core.orders", "core.customer_activity", "marts.customer_ltv", "marts.freshness"):
        for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET run_no = 1", f"TRUNCATE {table} CASCADE"):
            with pytest.raises(psycopg.Error, match=f"run 2 is open: nobody else writes {table}"):
                execute(url, statement)
    with psycopg.connect(url) as connection:
        connection.execute("SELECT audit.enter_run('2')")
        connection.execute("DELETE FROM core.orders")
        connection.rollback()
    execute(url, "SELECT audit.fail_run('2', 'by hand', 'why')")
    execute(url, "UPDATE core.orders SET price = price + 1")


def by_hand(url: str, file: str) -> str:
    """Run a file in psql without BEGIN, each statement a transaction of its own, going on after errors; return them."""
    done = subprocess.run(
        [sys.executable, ROOT / "ops" / "psql.py"],
        input=f"\\set ON_ERROR_STOP off\n{(ROOT / 'sql' / file).read_text()}",
        env={**os.environ, "DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr


def run_up_to(url: str, folder: Path, run: str, layers: tuple[str, ...], as_of: str = "2026-01-02") -> dict:
    """Begin a run and do the tasks of its first layers; return its tasks by their names."""
    begin(url, as_of, run)
    steps = {task.task_id: task for task in tasks()}
    with psycopg.connect(url) as connection:
        for task in steps:
            if task.partition(".")[0] in layers:
                commit_task(connection, steps[task], folder, run)
    return steps


def test_a_file_is_tried_beside_an_open_run_and_kept_by_nobody(url: str, tmp_path: Path) -> None:
    deliver(tmp_path, **GOOD)
    steps = run_up_to(url, tmp_path, "1", ("raw", "staging"))
    orders = (ROOT / "sql" / "staging" / "orders.sql").read_text()
    counted = "SELECT row(loads.*)::text FROM audit.loads ORDER BY 1"
    before = fetch(url, counted)
    with psycopg.connect(url) as connection:
        connection.execute(orders)
        connection.rollback()
        commit_task(connection, steps["core.customers"], tmp_path, "1")
        connection.execute(orders)
        with pytest.raises(psycopg.Error, match=r"by hand to try it: this would change what audit\.loads says"):
            connection.commit()
    assert "a file is run by hand to try it: this would be kept" in by_hand(url, "staging/orders.sql")
    assert fetch(url, counted) == before
    refused = pytest.raises(psycopg.Error, match=r"staging\.orders is not what this run has built: somebody")
    with psycopg.connect(url) as connection, refused:
        commit_task(connection, steps["core.orders"], tmp_path, "1")
    run_pipeline(url, tmp_path, "2026-01-02", "1")


INDEXES = "SELECT indexdef FROM pg_catalog.pg_indexes WHERE schemaname IN ('core', 'marts') ORDER BY 1"


@pytest.mark.parametrize("state", ["open", "failed"])
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "second"])
def test_what_a_file_would_do_by_hand_is_not_kept(state: str, is_first: bool, url: str, tmp_path: Path) -> None:
    if not is_first:
        run_pipeline(url, deliver(tmp_path / "1", **FIRST), "2026-01-01", "1")
    folder = deliver(tmp_path / "2", **(FIRST if is_first else SECOND))
    run_up_to(url, folder, "2", ("raw", "staging"))
    if state == "failed":
        execute(url, "SELECT audit.fail_run('2', 'by hand', 'why')")

    def kept() -> tuple:
        rows = rows_of(url, "core", "audit", "marts")
        # A statement that writes no row is noted too.
        del rows["audit.hand_writes"]
        return fetch(url, INDEXES), rows

    before = kept()
    for table in ("customers", "orders", "payments"):
        assert "a file is run by hand to try it" in by_hand(url, f"core/{table}.sql")
    if not is_first:
        assert any(said in by_hand(url, "marts/customer_ltv.sql") for said in ("run 2 is open", "would be kept"))
        if state == "failed":
            with psycopg.connect(url) as connection:
                connection.execute((ROOT / "sql" / "marts" / "customer_ltv.sql").read_text())
                with pytest.raises(psycopg.Error, match=r"would change what marts\.freshness says of run_no 2"):
                    connection.commit()
    assert kept() == before
    with psycopg.connect(url) as connection:
        connection.execute("SELECT audit.open_ledger('core.orders', 0, 0)")
        with pytest.raises(psycopg.Error, match=r"this would change what audit\.ledger says of run_no \d"):
            connection.commit()
    run_pipeline(url, folder, "2026-01-02", "2")
    assert len(mart(url)) == (4 if is_first else 6)


def test_nobody_empties_the_queue_beside_an_open_run(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path, **GOOD), "2026-01-01", "1")
    begin(url, "2026-01-02", "2")
    with pytest.raises(psycopg.Error, match=r"run 2 is open: nobody else writes core\.stale_customers"):
        execute(url, "DELETE FROM core.stale_customers")
    execute(url, "INSERT INTO core.stale_customers (customer_id) VALUES (1) ON CONFLICT DO NOTHING")


def test_an_old_snapshot_writes_nothing(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path, **GOOD), "2026-01-01", "1")
    with psycopg.connect(url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("SELECT FROM audit.runs")
        begin(url, "2026-01-02", "2")
        with pytest.raises(
            psycopg.Error, match="a transaction that is REPEATABLE READ does not see a run that has begun"
        ):
            connection.execute("UPDATE core.orders SET price = 1")


@pytest.mark.parametrize(
    "call", ["audit.undo_run(1, 'Ann', 'why')", "core.forget_customer(1)", "audit.give_up(1, 'Ann', 'why')"]
)
def test_an_old_snapshot_undoes_and_corrects_nothing(call: str, url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path, **GOOD), "2026-01-01", "1")
    with psycopg.connect(url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with pytest.raises(psycopg.Error, match="a transaction that is REPEATABLE READ does not see a run that has"):
            connection.execute(f"SELECT {call}")


def test_what_follows_an_undo_in_its_transaction_is_no_part_of_it(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path, **GOOD), "2026-01-01", "1")
    with psycopg.connect(url) as connection:
        connection.execute("SELECT audit.undo_run(1, 'Ann', 'why')")
        connection.execute("DELETE FROM core.orders")
    assert fetch(url, "SELECT table_name FROM audit.hand_writes") == [("core.orders",)]


def test_what_somebody_has_changed_by_hand_the_next_run_puts_right(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path / "1", **GOOD), "2026-01-01", "1")
    earlier = "UPDATE core.orders SET order_date = '2015-01-01' WHERE order_id = 1"
    execute(url, earlier)
    # Not loaded again, being the last one's equal, it would leave that.
    run_pipeline(url, tmp_path / "1", "2026-01-01", "2")
    assert fetch(url, "SELECT order_date::text FROM core.orders WHERE order_id = 1") == [("2025-01-01",)]
    # What the next delivery does not name stays as somebody has left it, and is computed.
    execute(url, earlier)
    without = {source: rows[1:] for source, rows in GOOD.items()}
    run_pipeline(url, deliver(tmp_path / "3", **without), "2026-01-01", "3")
    first = "SELECT first_order_date::text FROM marts.customer_ltv WHERE customer_id = 1"
    assert fetch(url, first) == [("2015-01-01",)]


def test_tasks_of_raw_are_tried_again_side_by_side(url: str, tmp_path: Path) -> None:
    folder = deliver(tmp_path, **GOOD)
    steps = run_up_to(url, folder, "1", ("raw",))
    with psycopg.connect(url) as one, psycopg.connect(url) as other, ThreadPoolExecutor() as threads:
        run_task(one, steps["raw.order_data"], folder, "1")
        # Another waits for nothing; a check waits for what it reads, and takes what it finds then.
        run_task(other, steps["raw.payment_data"], folder, "1")
        other.rollback()
        check = threads.submit(run_task, other, steps["raw.order_data__not_empty_nor_short"], folder, "1")
        while fetch(url, "SELECT count(*) FROM pg_catalog.pg_locks WHERE NOT granted") == [(0,)]:
            assert not check.done(), "it has not waited"
        one.commit()
        assert check.result()


def test_who_writes_while_a_run_begins_waits_for_it(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path, **GOOD), "2026-01-01", "1")
    with psycopg.connect(url) as beginning, psycopg.connect(url) as connection:
        beginning.execute("SELECT audit.refuse_while_a_run_is_open('a run is to begin')")
        connection.execute("SET lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            connection.execute("UPDATE core.orders SET price = 1")


def test_what_somebody_writes_between_two_runs_is_noted_and_looked_at(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path / "1", **GOOD), "2026-01-01", "1")
    run_pipeline(url, deliver(tmp_path / "2", **more(customer_data=[customer(8)])), "2026-01-02", "2")
    assert fetch(url, "SELECT FROM audit.hand_writes") == []
    # As many rows as before, and as much money, by the number of a run.
    execute(url, "WITH gone AS (DELETE FROM core.orders WHERE order_id = 1 RETURNING price) SELECT FROM gone")
    execute(
        url,
        """INSERT INTO core.orders (order_id, customer_id, order_date, price, run_no, updated_at)
        SELECT 77, 1, '2025-01-01', (replaced ->> 'price')::numeric, 1, '2025-01-01' FROM audit.replaced_rows""",
    )
    assert (
        fetch(url, "SELECT run_no, table_name, written_by FROM audit.hand_writes ORDER BY 1")
        == [(2, "core.orders", "ltv_pipeline")] * 2
    )
    with pytest.raises(
        CheckFailedError, match=r"core\.payments__have_their_order failed: 1 of \d+ bad, e\.g\. payment 1"
    ):
        run_pipeline(
            url, deliver(tmp_path / "3", **{source: rows[1:] for source, rows in GOOD.items()}), "2026-01-03", "3"
        )


def test_no_run_begins_while_somebody_writes(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path, **GOOD), "2026-01-01", "1")
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE core.orders SET price = 1")
        # What can pass is tried again.
        with pytest.raises(
            psycopg.errors.LockNotAvailable, match=r"process \d+ is writing core\.orders: a run begins when"
        ):
            begin(url, "2026-01-02", "2")
        connection.rollback()
    begin(url, "2026-01-02", "2")


def test_tables_of_one_layer_are_filled_in_their_order(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path / "1", **FIRST), "2026-01-01", "1")
    folder = deliver(tmp_path / "2", **SECOND)
    steps = run_up_to(url, folder, "2", ("raw",))
    with psycopg.connect(url) as connection:
        commit_task(connection, steps["staging.customers"], folder, "2")
        with pytest.raises(psycopg.Error, match=r"staging\.payments comes after what .* not done: staging\.orders\n"):
            commit_task(connection, steps["staging.payments"], folder, "2")
    steps = run_up_to(url, folder, "2", ("raw", "staging"))
    with psycopg.connect(url) as connection:
        for table in ("customers", "orders", "payments"):
            commit_task(connection, steps[f"core.{table}"], folder, "2")
        commit_task(connection, steps["core.orders__reconciles"], folder, "2")
        # Cleared alone, it takes with it what was filled, and checked, on it.
        commit_task(connection, steps["core.orders"], folder, "2")
        done = (
            "SELECT array_agg(task ORDER BY task) FROM audit.steps WHERE run_no = audit.run_no() AND task LIKE 'core.%'"
        )
        assert fetch(url, done) == [(["core.customers", "core.orders"],)]
        with pytest.raises(psycopg.Error, match=r"core\.customer_activity comes after .* not done: core\.payments\n"):
            commit_task(connection, steps["core.customer_activity"], folder, "2")


def test_what_was_done_on_what_is_made_anew_is_not_done(url: str, tmp_path: Path) -> None:
    deliver(tmp_path, **GOOD)
    begin(url, "2026-01-01", "1")
    with psycopg.connect(url) as connection:
        steps = {task.task_id: task for task in tasks()}
        for task in steps:
            if task.startswith(("raw.", "staging.")):
                commit_task(connection, steps[task], tmp_path, "1")
        # Somebody clears one task alone.
        commit_task(connection, steps["raw.order_data"], tmp_path, "1")
        with pytest.raises(
            psycopg.Error,
            match=r"core\.customers comes after what .* not done: raw\.order_data__not_empty_nor_short, staging\.",
        ):
            commit_task(connection, steps["core.customers"], tmp_path, "1")


def run_without(url: str, folder: Path, skipped: str) -> None:
    """Run every task but one, which somebody has marked as done."""
    begin(url, "2026-01-01", "1")
    with psycopg.connect(url) as connection:
        for task in tasks():
            if task.task_id not in ("begin", skipped):
                commit_task(connection, task, folder, "1")


@pytest.mark.parametrize(
    "skipped",
    [
        *("staging.orders__reconciles", "core.customer_activity", "core.orders__reconciles"),
        "intermediate.customer_ltv__reconciles",
    ],
)
def test_a_task_that_was_only_marked_as_done_stops_the_publish(skipped: str, url: str, tmp_path: Path) -> None:
    with pytest.raises(psycopg.Error, match=f"comes after what this run has not done: {skipped}"):
        run_without(url, deliver(tmp_path, **GOOD), skipped)
    assert mart(url) == []


def test_the_end_too_asks_what_was_done(url: str, tmp_path: Path) -> None:
    with pytest.raises(psycopg.Error, match="end comes after what this run has not done: marts"):
        run_without(url, deliver(tmp_path, **GOOD), "marts.customer_ltv__equals_candidate")


def test_a_correction_does_not_take_the_place_of_a_newer_row_unasked(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path / "bad", **BAD), "2026-01-29", "first")
    number = open_rejects(url)["price not_an_amount"]
    run_pipeline(url, deliver(tmp_path / "good", **FIRST), "2026-01-30", "second")
    with pytest.raises(psycopg.Error, match="has a row of that key that came since: in run 2"):
        execute(url, 'SELECT audit.replay(%s, \'{"price": "1200"}\')', [number])
    execute(url, 'SELECT audit.replay(%s, \'{"price": "1200"}\', overwrite => true)', [number])
    run_pipeline(
        url,
        deliver(tmp_path / "third", **{**FIRST, "order_data": [[70, 1, "2025-01-01", "X", "1"]]}),
        "2026-01-31",
        "3",
    )
    assert fetch(url, "SELECT price::text FROM core.orders WHERE order_id = 1") == [("1200.00",)]


@pytest.mark.parametrize("since", ["in the same run", "in a later one"])
@pytest.mark.parametrize(
    ("source", "bad", "rule", "correction"),
    [
        ("customer_data", customer(1, email="ann at"), "email not_an_address", '{"email": "ann@example.com"}'),
        ("order_data", [" 1", 1, "2025-01-01", "Phone", "abc"], "price not_an_amount", '{"price": "1"}'),
        ("payment_data", [1, 1, 1, "2025-01-02", "oops"], "amount not_an_amount", '{"amount": "1"}'),
    ],
)
def test_a_correction_is_refused_where_core_has_a_row_that_came_since(
    source: str, bad: list, rule: str, correction: str, since: str, url: str, tmp_path: Path
) -> None:
    if since == "in the same run":
        run_pipeline(url, deliver(tmp_path, **more(**{source: [bad]})), "2026-01-01", "1")
    else:
        run_pipeline(url, deliver(tmp_path, **{**GOOD, source: [bad, GOOD[source][1]]}), "2026-01-01", "1")
        run_pipeline(url, deliver(tmp_path, **GOOD), "2026-01-02", "2")
    number = open_rejects(url)[rule]
    with pytest.raises(psycopg.Error, match="has a row of that key that came since"):
        execute(url, "SELECT audit.replay(%s, %s)", [number, correction])
    execute(url, "SELECT audit.replay(%s, %s, true)", [number, correction])


def test_a_correction_is_refused_where_a_newer_row_of_its_key_waits(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path, **more(order_data=[[5, 1, "2025-01-01", "Old", "x"]])), "2026-01-01", "1")
    run_pipeline(url, deliver(tmp_path, **more(order_data=[[5, 999, "2025-02-02", "New", "55"]])), "2026-01-02", "2")
    waits, number = (open_rejects(url)[rule] for rule in ("customer_id waits", "price not_an_amount"))
    with pytest.raises(psycopg.Error, match=f"row {waits} of that key came since and waits"):
        execute(url, 'SELECT audit.replay(%s, \'{"price": "1"}\')', [number])
    execute(url, 'SELECT audit.replay(%s, \'{"price": "1"}\', overwrite => true)', [number])
    # One that waited before is no newer row.
    run_pipeline(url, deliver(tmp_path, **more(order_data=[[6, 999, "2025-02-02", "Old", "66"]])), "2026-01-03", "3")
    run_pipeline(url, deliver(tmp_path, **more(order_data=[[6, 1, "2025-02-02", "New", "x"]])), "2026-01-04", "4")
    execute(url, 'SELECT audit.replay(%s, \'{"price": "6"}\')', [open_rejects(url)["price not_an_amount"]])


def test_a_row_that_waits_can_be_given_up(url: str, tmp_path: Path) -> None:
    waits = deliver(tmp_path / "1", **more(order_data=[[5, 999, "2025-01-01", "Old", "5"]]))
    run_pipeline(url, deliver(tmp_path / "0", **GOOD), "2026-01-01", "0")
    run_pipeline(url, waits, "2026-01-01", "1")
    number = open_rejects(url)["customer_id waits"]
    for arguments, refused in {
        (number, " ", "why"): "a row is given up with a signature and a reason",
        (number, "Ann", None): "a row is given up with a signature and a reason",
        (0, "Ann", "why"): "no row 0 waits",
    }.items():
        with pytest.raises(psycopg.Error, match=refused):
            execute(url, "SELECT audit.give_up(%s, %s, %s)", arguments)
    execute(url, "SELECT audit.give_up(%s, 'Ann', 'a test order')", [number])
    assert waiting(url) == []
    assert fetch(
        url, "SELECT superseded_run_no, closed_by FROM audit.rejected_rows WHERE rejected_row_id = %s", [number]
    ) == [(2, "given up by Ann: a test order")]
    with pytest.raises(psycopg.Error, match=f"no row {number} waits"):
        execute(url, "SELECT audit.give_up(%s, 'Ann', 'again')", [number])
    undo(url, 2)
    assert waiting(url) == []
    run_pipeline(url, deliver(tmp_path / "2", **more(customer_data=[customer(999)])), "2026-01-02", "2")
    assert fetch(url, "SELECT count(*) FROM core.orders WHERE order_id = 5") == [(0,)]


def test_no_row_is_given_up_while_a_run_may_be_trying_it(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path, **more(order_data=[[5, 999, "2025-01-01", "Old", "5"]])), "2026-01-01", "1")
    execute(url, "INSERT INTO audit.runs (dag_run_id, as_of, fingerprint) VALUES ('open', '2026-01-30', '')")
    with pytest.raises(psycopg.Error, match="a run is open: it may be trying the row"):
        execute(url, "SELECT audit.give_up(%s, 'Ann', 'why')", [open_rejects(url)["customer_id waits"]])


@pytest.mark.parametrize("correction", ['["price"]', '{"price": {"a": 1}}', "null"])
def test_a_correction_is_columns_and_values(correction: str, url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path, **BAD), "2026-01-29", "first")
    with pytest.raises(psycopg.Error, match="a correction is an object of column and value"):
        execute(url, "SELECT audit.replay(%s, %s)", [open_rejects(url)["price not_an_amount"], correction])


def test_a_closed_row_is_not_corrected_again(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path, **BAD), "2026-01-29", "first")
    number = open_rejects(url)["price not_an_amount"]
    execute(url, 'SELECT audit.replay(%s, \'{"price": "1"}\')', [number])
    with pytest.raises(psycopg.Error, match=rf"row {number} is closed: corrected as row \d+"):
        execute(url, 'SELECT audit.replay(%s, \'{"price": "2"}\')', [number])
    execute(url, "UPDATE audit.rejected_rows SET closed_by = NULL")
    with pytest.raises(psycopg.Error, match=f"row {number} is closed: run 1 has released or replaced it"):
        execute(url, 'SELECT audit.replay(%s, \'{"price": "2"}\')', [number])


def test_the_rejects_of_the_day_are_counted_by_file_column_and_rule(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path, **BAD), "2026-01-29", "first")
    assert fetch(
        url,
        """SELECT file, column_name, rule, rows_set_aside, seen_first_today, first_line_no, example_reason
        FROM audit.rejections_today ORDER BY file, rule""",
    ) == [
        ("customer_data.csv", "email", "email not_an_address", 1, 1, 3, "email not_an_address: something@somewhere"),
        (
            "order_data.csv",
            "customer_id",
            "customer_id waits",
            1,
            1,
            3,
            "customer_id waits: its customer has not arrived",
        ),
        (
            "order_data.csv",
            "price",
            "price not_an_amount",
            1,
            1,
            2,
            "price not_an_amount: digits and at most two decimals, no separators, below 1000000000000",
        ),
        (
            "payment_data.csv",
            "amount",
            "amount not_an_amount",
            1,
            1,
            4,
            "amount not_an_amount: digits and at most two decimals, no separators, below 1000000000000",
        ),
        ("payment_data.csv", "order_id", "order_id waits", 1, 1, 3, "order_id waits: its order has not arrived"),
    ]
    examples = fetch(url, "SELECT example FROM audit.rejections_today")
    assert any("ann at example.com" in example for (example,) in examples)


def test_a_correction_of_a_waiting_row_holds_though_the_run_began_twice(url: str, tmp_path: Path) -> None:
    base = {"customer_data": [customer(1)], "payment_data": [[1, 1, 1, "2025-01-02", "10"]]}
    order = [1, 1, "2025-01-01", "Phone", "10"]
    run_pipeline(url, deliver(tmp_path / "1", **base, order_data=[order]), "2026-01-28", "one")
    # The first try of the second run holds an order for a customer whom nobody knows, and fails late.
    execute(url, "UPDATE audit.sources SET max_total_change = 0 WHERE source = 'payment_data'")
    second = {**base, "payment_data": [[1, 1, 1, "2025-01-02", "500"]]}
    wrong = deliver(tmp_path / "2", **second, order_data=[order, [10, 9, "2025-01-01", "Phone", "7"]])
    with pytest.raises(CheckFailedError):
        run_pipeline(url, wrong, "2026-01-29", "two")
    # It is delivered again, corrected, and the run begins again.
    open_limits(url)
    right = deliver(tmp_path / "3", **second, order_data=[order, [10, 1, "2025-01-01", "Phone", "9"]])
    run_pipeline(url, right, "2026-01-29", "two")
    # When the customer turns up the next night, the correction stands.
    run_pipeline(
        url,
        deliver(tmp_path / "4", **{**second, "customer_data": [customer(9)]}, order_data=[order]),
        "2026-01-30",
        "three",
    )
    assert fetch(url, "SELECT customer_id, price::text FROM core.orders WHERE order_id = 10") == [(1, "9.00")]
    assert waiting(url) == []


def test_old_rejects_are_deleted_and_rows_that_wait_are_not(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path / "1", **BAD), "2026-01-29", "first")
    execute(url, "UPDATE audit.rejected_rows SET last_seen_at = now() - INTERVAL '90 days 1 hour'")
    execute(
        url, "UPDATE audit.rejected_rows SET last_seen_at = now() - INTERVAL '89 days' WHERE column_name = 'amount'"
    )
    good = {"customer_data": [customer(1)], "order_data": [[5, 1, "2025-01-01", "Phone", "1"]]}
    run_pipeline(
        url, deliver(tmp_path / "2", **good, payment_data=[[5, 1, 5, "2025-01-02", "1"]]), "2026-01-30", "second"
    )
    assert set(open_rejects(url)) == {"amount not_an_amount", "customer_id waits", "order_id waits"}


def test_closed_rows_that_waited_are_deleted_too(url: str, tmp_path: Path) -> None:
    orders = [[n, 999, "2025-01-01", "Old", n] for n in (5, 6, 7, 8)]
    run_pipeline(url, deliver(tmp_path, **more(order_data=orders)), "2026-01-01", "1")
    execute(
        url,
        """UPDATE audit.rejected_rows SET
            last_seen_at = now() - INTERVAL '90 days 1 hour',
            released_run_no = CASE fields ->> 'order_id' WHEN '5' THEN 1 END,
            superseded_run_no = CASE fields ->> 'order_id' WHEN '6' THEN 1 END""",
    )
    (number,) = fetch(url, "SELECT rejected_row_id FROM audit.waiting_rows WHERE fields ->> 'order_id' = '7'")[0]
    execute(url, "SELECT audit.give_up(%s, 'Ann', 'why')", [number])
    run_pipeline(url, deliver(tmp_path, **GOOD), "2026-01-02", "2")
    assert fetch(url, "SELECT fields ->> 'order_id' FROM audit.rejected_rows") == [("8",)]


def test_a_forgotten_customer_is_nowhere_and_stays_away(url: str, tmp_path: Path) -> None:
    person = customer(3, first_name="Zebulon", email="zebulon@example.com")
    delivery = {
        "customer_data": [*FIRST["customer_data"][:2], person, customer(13)],
        "order_data": [*FIRST["order_data"], [31, 3, "2025-01-01", "Phone", "-1"], [32, 3, "2026-09-01", "Phone", "1"]],
        "payment_data": FIRST["payment_data"],
    }
    folder = deliver(tmp_path, **delivery)
    with (folder / "customer_data.csv").open("a") as file:
        file.write("3,Zebulon\n,,zebulon@example.com\n77,13\n")
    run_pipeline(url, folder, "2026-01-29", "first")
    run_pipeline(
        url,
        deliver(tmp_path / "2", **{**SECOND, "customer_data": [[*person[:1], "Zeb", *person[2:]]]}),
        "2026-01-29",
        "second",
    )
    assert fetch(url, "SELECT count(*) FROM audit.replaced_rows WHERE replaced ->> 'first_name' = 'Zebulon'") == [(1,)]
    others = fetch(url, "SELECT * FROM core.orders WHERE customer_id <> 3 ORDER BY 1")
    assert fetch(url, "SELECT core.forget_customer(3)") == [("customer 3: 2 orders, 3 payments, 4 rejected lines",)]

    def left() -> list[str]:
        """Every row of every table that still speaks of the person."""
        found = traces(url, "zeb")
        for schema, name in fetch(
            url,
            """SELECT table_schema, table_name FROM information_schema.columns WHERE column_name = 'customer_id'
            AND table_schema IN ('raw', 'staging', 'core', 'intermediate', 'marts')
            AND table_name <> 'forgotten_customers' AND table_name <> 'stale_customers'""",
        ):
            rows = fetch(url, f'SELECT * FROM "{schema}"."{name}" WHERE customer_id::text = \'3\'')
            found += [f"{schema}.{name}: {row}" for row in rows]
        rows = fetch(url, "SELECT * FROM audit.rejected_rows WHERE fields ->> 'customer_id' = '3'")
        return found + [f"audit.rejected_rows: {row}" for row in rows]

    assert left() == []
    assert fetch(url, "SELECT customer_id FROM core.forgotten_customers") == [(3,)]
    assert fetch(url, "SELECT * FROM core.orders WHERE customer_id <> 3 ORDER BY 1") == others
    assert fetch(url, "SELECT line FROM audit.rejected_rows WHERE line NOT LIKE 'withheld: row %'") == [("77,13",)]

    run_pipeline(url, folder, "2026-01-30", "third")
    # Of a line that is passed over only the number stays. A broken line without the number is nobody's.
    kept = [trace for trace in left() if not trace.startswith(("raw.", "staging."))]
    assert [",,zebulon@example.com" in trace for trace in kept] == [True]
    for lines in ("raw.customer_data", "staging.customers"):
        assert fetch(
            url,
            f"""SELECT first_name, last_name, email, country, gender, date_of_birth
            FROM {lines} WHERE customer_id::text = '3'""",
        ) == [(None,) * 6]
    assert fetch(url, "SELECT DISTINCT order_date, price FROM raw.order_data WHERE customer_id = '3'") == [(None, None)]
    assert fetch(url, "SELECT order_id, amount FROM raw.payment_data WHERE customer_id = '3'") == [(None, None)]
    assert fetch(url, "SELECT rejected, forgotten FROM audit.loads WHERE run_no = 3 AND source = 'customer_data'") == [
        (3, 1)
    ]


def test_a_forgotten_customer_takes_nobody_along(url: str, tmp_path: Path) -> None:
    bad = {
        **FIRST,
        "customer_data": [*FIRST["customer_data"], customer(8, email="joc3@example.com", date_of_birth="?")],
    }
    folder = deliver(tmp_path, **bad)
    with (folder / "order_data.csv").open("a") as file:
        file.write("3,1,2025-01-01,Phone\n90,2,2025-01-01,Cable,3,more\n90, 3,2025-01-01,Pills\n")
    with (folder / "customer_data.csv").open("a") as file:
        file.write("99,Jo,joc3@example.com\n\u00a03 ,Ann\n")
    run_pipeline(url, folder, "2026-01-29", "first")
    execute(url, "SELECT core.forget_customer(3)")
    lines = fetch(url, "SELECT line FROM audit.rejected_rows WHERE line IS NOT NULL ORDER BY line")
    # Where fields are missing, or too many, the number may be the customer's as far as it may have been shifted; and an
    # address may be anybody's.
    kept = [("90,2,2025-01-01,Cable,3,more",), ("99,Jo,joc3@example.com",)]
    assert [line for line in lines if "withheld" not in line[0]] == kept
    assert len(lines) == 5
    assert fetch(url, "SELECT count(*) FROM audit.rejected_rows WHERE fields ->> 'customer_id' = '8'") == [(1,)]


def test_in_a_broken_line_the_customer_stands_where_its_own_file_has_the_column(url: str, tmp_path: Path) -> None:
    people = {"customer_data": FIRST["customer_data"], "payment_data": [[1, 1, 99, "2025-01-02", "1"]]}
    folder = deliver(tmp_path, **people)
    header = "price,product,customer_id,order_date,order_id"
    theirs = ["10,Phone,3,2025-01-01", "10,Phone,3\0,2025-01-01,95", '10,"Phone",003,2025-01-01,95,more']
    shifted = ["10,3,2025-01-01,96", ",10,Phone,3,2025-01-01,97"]
    another = ["3,Phone,1,2025-01-01", "3,Phone,1,2025-01-01,3,more", "10,Phone,1,2025-01-01\0,3"]
    first_part = [header, *theirs, *shifted, *another, "1,Phone,1,2025-01-01,99"]
    (folder / "order_data_1.csv").write_text("\n".join([*first_part, ""]))
    second_part = ["order_id,customer_id,order_date,product,price", "90,2,2025-01-01,3,Cable,5", "98,1,2025-01-01,x,3"]
    (folder / "order_data_2.csv").write_text("\n".join([*second_part, ""]))
    run_pipeline(url, folder, "2026-01-29", "first")
    assert fetch(url, "SELECT count(*), count(header) FROM audit.rejected_rows WHERE line IS NOT NULL") == [(9, 9)]
    execute(url, "SELECT core.forget_customer(3)")
    kept = [
        *["withheld: row may speak of a customer who was erased"] * 5,
        *another[:2],
        r"10,Phone,1,2025-01-01\x00,3",
        second_part[1],
    ]
    lines = r"""SELECT regexp_replace(line, 'row \d+', 'row')
        FROM audit.rejected_rows WHERE line IS NOT NULL ORDER BY file, line_no"""
    assert [line for (line,) in fetch(url, lines)] == kept
    run_pipeline(url, folder, "2026-01-30", "second")
    # Delivered again, the five say one thing a reason.
    withheld = ["withheld: it has the number of a customer who was erased"] * 3
    assert sorted(line for (line,) in fetch(url, lines)) == sorted([*kept, *withheld])


@pytest.mark.parametrize("number", ["7", "7.0", "007", " +7 "])
def test_a_number_written_otherwise_names_the_customer_too(number: str, url: str, tmp_path: Path) -> None:
    odd = customer(number, first_name="Zeb", email="zeb@example.com")
    lines = {
        "customer_data": [odd, customer("7a", first_name="Zoe", email="zoe@example.com")],
        "order_data": [["x", number, "2025-01-01", "Phone", "1"]],
        "payment_data": [["x", number, 1, "2025-01-01", "1"]],
    }
    folder = deliver(tmp_path, **more(**lines))
    with (folder / "customer_data.csv").open("a") as file:
        file.write(f"{number},Zeb\n")
    run_pipeline(url, folder, "2026-01-01", "1")
    execute(url, "SELECT core.forget_customer(7)")

    assert traces(url, "zeb") == []
    assert fetch(url, "SELECT fields ->> 'first_name', left(line, 8) FROM audit.rejected_rows ORDER BY 1") == [
        ("Zoe", None),
        (None, "withheld"),
    ]
    for run in ("2", "3"):
        run_pipeline(url, folder, "2026-01-02", run)
        assert traces(url, "zeb") == []
        assert fetch(url, "SELECT count(*) FROM audit.rejected_rows WHERE line LIKE 'withheld: it %'") == [(1,)]
        assert fetch(
            url, "SELECT source, forgotten, rejected FROM audit.loads WHERE run_no = %s ORDER BY 1", [run]
        ) == [
            ("customer_data", 1, 2),
            ("order_data", 1, 0),
            ("payment_data", 1, 0),
        ]
        assert fetch(
            url,
            """SELECT DISTINCT first_name, last_name, email, country, gender, date_of_birth
            FROM staging.customers WHERE reason LIKE '% forgotten:%'""",
        ) == [(None,) * 6]


@pytest.mark.parametrize("delimiter", ["~", " ", "^"])
def test_the_number_is_found_behind_any_delimiter(delimiter: str, url: str, tmp_path: Path) -> None:
    execute(url, "UPDATE audit.sources SET delimiter = %s WHERE source = 'customer_data'", [delimiter])
    folder = deliver(tmp_path, **GOOD)
    with (folder / "customer_data.csv").open() as file:
        header, *rows = file.read().replace(",", delimiter).splitlines()
    odd = [f"2{mark}Zeb{mark}zeb" for mark in (delimiter, ";", "|", "\t")]
    odd.append(delimiter.join(["x", "c2@example.com"]))
    (folder / "customer_data.csv").write_text("\n".join([header, *rows, *odd]) + "\n")
    run_pipeline(url, folder, "2026-01-01", "1")
    assert fetch(url, "SELECT count(*) FROM audit.rejected_rows WHERE line IS NOT NULL") == [(5,)]
    execute(url, "SELECT core.forget_customer(2)")
    assert fetch(url, "SELECT count(*) FROM audit.rejected_rows WHERE line LIKE 'withheld: row %'") == [(5,)]
    run_pipeline(url, folder, "2026-01-02", "2")
    assert fetch(url, "SELECT line FROM audit.rejected_rows WHERE line LIKE '%Zeb%'") == []


def test_an_address_in_a_field_is_erased_unless_the_line_is_somebody_elses(url: str, tmp_path: Path) -> None:
    home = "home@example.com"
    people = [
        customer(1, email=home),
        customer(2),
        customer(8, email=home, date_of_birth="?"),
        customer("", email=f" {home.upper()}"),
        customer("x", email="x", last_name=home),
    ]
    run_pipeline(url, deliver(tmp_path, **{**GOOD, "customer_data": people}), "2026-01-01", "1")
    execute(
        url,
        'SELECT audit.replay(%s, \'{"date_of_birth": "1990-01-01"}\')',
        [open_rejects(url)["date_of_birth not_a_day"]],
    )
    execute(url, "SELECT core.forget_customer(1)")
    assert fetch(url, "SELECT fields ->> 'customer_id' FROM audit.rejected_rows") == [("8",), ("8",)]
    assert fetch(url, "SELECT customer_id FROM raw.customer_data ORDER BY 1") == [("2",), ("8",)]


def test_the_statistics_forget_too(url: str, tmp_path: Path) -> None:
    people = [customer(1), customer(2, first_name="Zebulon"), customer(2, first_name="Zebulon", email="zeb")]
    folder = deliver(tmp_path / "1", **{**GOOD, "customer_data": people})
    with (folder / "customer_data.csv").open("a") as file:
        file.write("2,Zebulon\n2,Zebulon,x\n")
    run_pipeline(url, folder, "2026-01-01", "1")
    run_pipeline(
        url, deliver(tmp_path / "2", **more(customer_data=[customer(2, last_name="Zebedee")])), "2026-01-02", "2"
    )
    execute(url, "ANALYZE raw.customer_data, core.customers, audit.rejected_rows, audit.replaced_rows")
    held = """SELECT schemaname, tablename, attname FROM pg_catalog.pg_stats
    WHERE concat(histogram_bounds::text, most_common_vals::text) ILIKE '%%zeb%%'"""
    assert fetch(url, held) != []
    execute(url, "SELECT core.forget_customer(2)")
    assert fetch(url, held) == []
    # Those of the others are there, for the planner.
    of_core = "SELECT count(*) > 0 FROM pg_catalog.pg_stats WHERE schemaname = 'core' AND tablename = 'customers'"
    assert fetch(url, of_core) == [(True,)]
    # The server may look at a delivery before staging has passed the person over.
    begin(url, "2026-01-03", "3")
    with psycopg.connect(url) as connection:
        for task in tasks()[1:]:
            if task.task_id == "staging.customers":
                execute(url, "ANALYZE raw.customer_data")
                assert fetch(url, held) != []
            commit_task(connection, task, folder, "3")
    assert fetch(url, held) == []


def test_what_was_erased_is_said(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path, **more(order_data=[[3, 2, "2025-01-01", "Phone", "x"]])), "2026-01-01", "1")
    said = "SELECT core.forget_customer(%s)"
    for number, refused in {None: "which customer", 77: "no table knows a customer 77"}.items():
        with pytest.raises(psycopg.Error, match=refused):
            execute(url, said, [number])
    assert fetch(url, "SELECT * FROM core.forgotten_customers") == []
    assert fetch(url, said, [2]) == [("customer 2: 1 order, 1 payment, 1 rejected line",)]
    assert fetch(url, said, [2]) == [("customer 2: 0 orders, 0 payments, 0 rejected lines",)]
    assert fetch(url, "SELECT core.forget_customer(77, unknown => true)") == [
        ("customer 77: 0 orders, 0 payments, 0 rejected lines",)
    ]


def test_a_customer_forgotten_between_two_tries_of_a_run_is_booked(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path / "1", **GOOD), "2026-01-01", "1")
    execute(url, "UPDATE audit.sources SET max_total_change = 0")
    lines = {"order_data": [[3, 1, "2025-01-01", "P", "5"]], "payment_data": [[3, 1, 3, "2025-01-02", "5"]]}
    folder = deliver(tmp_path / "2", **more(**lines))
    with pytest.raises(CheckFailedError, match="total_near_the_published"):
        run_pipeline(url, folder, "2026-01-02", "2")
    execute(url, "SELECT core.forget_customer(2)")
    open_limits(url)
    # run_pipeline raises if a reconciliation is false.
    run_pipeline(url, folder, "2026-01-02", "2")
    kept = "SELECT table_name, rows_before, amount_before::text FROM audit.ledger WHERE run_no = 2 ORDER BY 1"
    assert fetch(url, kept) == [("core.customers", 1, "0"), ("core.orders", 1, "10.00"), ("core.payments", 1, "10.00")]
    # What a run that was published found and changed stays as it was.
    execute(url, "SELECT core.forget_customer(1)")
    assert fetch(url, kept) == [("core.customers", 1, "0"), ("core.orders", 1, "10.00"), ("core.payments", 1, "10.00")]


@pytest.mark.parametrize("number", [1, 2])
def test_nobody_is_forgotten_whose_payments_have_yet_to_follow_their_order(
    number: int, url: str, tmp_path: Path
) -> None:
    run_pipeline(url, deliver(tmp_path / "1", **GOOD), "2026-01-01", "1")
    execute(url, "ALTER TABLE core.payments ADD CONSTRAINT fault CHECK (amount < 0) NOT VALID")
    moves = {
        **GOOD,
        "order_data": [[1, 2, "2025-01-01", "Phone", "10"]],
        "payment_data": [[9, 2, 1, "2025-01-02", "1"]],
    }
    folder = deliver(tmp_path / "2", **moves)
    with pytest.raises(psycopg.Error, match="fault"):
        run_pipeline(url, folder, "2026-01-02", "2")
    execute(url, "ALTER TABLE core.payments DROP CONSTRAINT fault")
    with pytest.raises(psycopg.Error, match=f"payments of customer {number} have yet to follow their order"):
        execute(url, "SELECT core.forget_customer(%s)", [number])
    run_pipeline(url, folder, "2026-01-02", "2")
    execute(url, "SELECT core.forget_customer(%s)", [number])
    run_pipeline(url, tmp_path / "1", "2026-01-03", "3")


def test_no_correction_names_a_forgotten_customer(url: str, tmp_path: Path) -> None:
    folder = deliver(tmp_path, **GOOD)
    with (folder / "customer_data.csv").open("a") as file:
        file.write("x,Zeb\n")
    run_pipeline(url, folder, "2026-01-01", "1")
    execute(url, "SELECT core.forget_customer(2)")
    fields = """{"customer_id": "02", "first_name": "Zeb", "last_name": "Z", "email": "zeb@example.com",
        "country": "R", "gender": "F", "date_of_birth": "1990-01-01"}"""
    with pytest.raises(psycopg.Error, match="customer 02 was erased"):
        execute(url, "SELECT audit.replay(%s, %s)", [open_rejects(url)["line too_few_fields"], fields])


def test_nobody_is_forgotten_while_a_run_is_open(url: str) -> None:
    execute(url, "INSERT INTO audit.runs (dag_run_id, as_of, fingerprint) VALUES ('open', '2026-01-30', '')")
    with pytest.raises(psycopg.Error, match="a run is open: it may be copying what is to be forgotten"):
        execute(url, "SELECT core.forget_customer(3)")


def test_a_steward_works_the_rejects_and_sees_nothing_else(url: str, tmp_path: Path, cluster: server.Server) -> None:
    run_pipeline(url, deliver(tmp_path, **BAD), "2026-01-29", "first")
    rejects = open_rejects(url)
    corrections = {
        "price": ("not_an_amount", "1200"),
        "amount": ("not_an_amount", "5"),
        "email": ("not_an_address", None),
    }
    with psycopg.connect(database_url(cluster, "ltv_test", admin=True), autocommit=True) as steward:
        steward.execute("SET ROLE ltv_steward")
        assert steward.execute("SELECT sum(rows_set_aside) FROM audit.rejections_today").fetchone() == (5,)
        for column, (flaw, value) in corrections.items():
            number = rejects[f"{column} {flaw}"]
            replaying = steward.execute("SELECT audit.replay(%s, %s)", [number, Jsonb({column: value})])
            assert replaying.fetchone()[0] > number
        for table in (
            "core.customers",
            "core.orders",
            "marts.customer_ltv",
            "audit.check_results",
            "audit.replaced_rows",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                steward.execute(f"SELECT * FROM {table}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            steward.execute("DELETE FROM audit.rejected_rows")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            steward.execute("SELECT core.forget_customer(1)")
    run_pipeline(url, deliver(tmp_path, **BAD), "2026-01-29", "second")
    assert fetch(url, "SELECT price::text FROM core.orders WHERE order_id = 1") == [("1200.00",)]


@pytest.mark.parametrize(
    "held",
    [
        "SELECT pg_advisory_xact_lock(hashtextextended('audit.begin_run', 0))",
        # By a task of a run that has failed and still works.
        "SELECT FROM audit.runs FOR KEY SHARE",
    ],
)
@pytest.mark.parametrize("call", ["audit.undo_run(1, 'Ann', 'why')", "core.forget_customer(1)"])
def test_what_changes_core_by_hand_waits_for_who_is_at_work(held: str, call: str, url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path, **FIRST), "2026-01-29", "first")
    with psycopg.connect(url) as other, psycopg.connect(url) as connection:
        other.execute(held)
        connection.execute("SET LOCAL lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            connection.execute(f"SELECT {call}")
    execute(url, f"SELECT {call}")


def test_of_two_who_correct_a_row_at_once_the_second_is_refused(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path, **BAD), "2026-01-29", "first")
    number = open_rejects(url)["price not_an_amount"]
    correcting = f"""SELECT audit.replay({number}, '{{"price": "1200"}}')"""
    with psycopg.connect(url) as first, ThreadPoolExecutor() as threads:
        first.execute(correcting)
        second = threads.submit(execute, url, correcting)
        while fetch(url, "SELECT count(*) FROM pg_catalog.pg_locks WHERE NOT granted") == [(0,)]:
            assert not second.done(), "it has not waited"
        first.commit()
        with pytest.raises(psycopg.Error, match=rf"row {number} is closed: corrected as row"):
            second.result()


def forgetting(url: str, folder: Path, header: str, *lines: str, customer_id: int = 3) -> list[str]:
    """Deliver lines of orders behind a header, forget a customer, deliver them again; return what is kept of them."""
    deliver(folder, customer_data=FIRST["customer_data"], payment_data=[[1, 1, 99, "2025-01-02", "1"]])
    columns = header.split(",")
    good = {"order_id": "99", "customer_id": "1", "order_date": "2025-01-01", "product": "Phone", "price": "1"}
    one = ",".join(good.get(column, "") for column in columns)
    (folder / "order_data.csv").write_bytes("\n".join([header, *lines, one, ""]).encode("latin-1"))
    run_pipeline(url, folder, "2026-01-29", "first")
    assert "rejected" in fetch(url, f"SELECT core.forget_customer({customer_id})")[0][0]
    run_pipeline(url, folder, "2026-01-30", "second")
    kept = "SELECT line FROM audit.rejected_rows WHERE line NOT LIKE 'withheld%' ORDER BY line_no"
    return [line for (line,) in fetch(url, kept)]


ODD = "product,order_id,customer_id,order_date,price"


@pytest.mark.parametrize(
    ("header", "theirs", "others"),
    [
        # A delimiter within quotes parts nothing, though a field is missing too; nor does another delimiter.
        (ODD, ['"Pills, red",4,3,2025-01-01', "Pills;red,4,3,2025-01-01", "Pills|red,4,3,2025-01-01"], []),
        ("customer_id,order_id,order_date,product,price", [",3,2025-01-01,Pills,x,1"], []),
        (ODD, ['"x\n3,3,3,1,1\n",4,1,2025-01-01\xff,1'], []),
        (ODD, ['"Pills, red\0",4,3,2025-01-01,1', "Pills,4,3\0,2025-01-01,1"], ['"Pills, red\0",3,4,2025-01-01,1']),
        (
            "order_id,customer_id,order_date,product,price",
            ["4,1\0002,2025-01-01,Pills,1", "5,1\xff2,2025-01-01,Pills,1"],
            [],
        ),
        # Undeclared columns are columns of the file.
        (
            "order_id,note,x,customer_id,order_date,product,price",
            ["95,3,2025-01-01,Pills,7"],
            ["3,n,x,1,2025-01-01\0,P,7"],
        ),
        # Where fields are too many it stands further on, not before.
        (ODD, ["a,b,4,3,2025-01-01,1"], ["a,3,4,1,2025-01-01,1"]),
    ],
)
def test_a_broken_line_of_a_forgotten_customer_is_kept_nowhere(
    header: str, theirs: list[str], others: list[str], url: str, tmp_path: Path
) -> None:
    kept = forgetting(url, tmp_path, header, *theirs, *others, customer_id=12 if "\xff2" in theirs[-1] else 3)
    assert kept == [line.replace("\0", r"\x00") for line in others]


def test_what_one_record_of_two_nights_has_swallowed_is_withheld_each(url: str, tmp_path: Path) -> None:
    for night, price in (("2026-01-01", 3), ("2026-01-02", 4)):
        folder = deliver(tmp_path / night, **FIRST)
        with (folder / "order_data.csv").open("a") as file:
            file.write(f'60,4,2026-01-05,"gift\n70,3,2026-01-05,Socks,{price}",1\n')
        run_pipeline(url, folder, night, night)
    execute(url, "SELECT core.forget_customer(3)")
    withheld = "SELECT count(*) FROM audit.rejected_rows WHERE fields ->> 'product' LIKE 'withheld: row %'"
    assert fetch(url, withheld) == [(2,)]
    assert fetch(url, "SELECT FROM core.customers WHERE customer_id = 3") == []


def test_what_is_nobodys_is_left_as_it_is(url: str, tmp_path: Path) -> None:
    orders = [*FIRST["order_data"], [86, 1, "2025-01-01", "a\nb", "x"]]
    run_pipeline(url, deliver(tmp_path, **{**FIRST, "order_data": orders}), "2026-01-29", "1")
    number = open_rejects(url)["price not_an_amount"]
    execute(
        url, "UPDATE audit.rejected_rows SET fields = fields || '{\"price\": 5}' WHERE rejected_row_id = %s", [number]
    )
    with pytest.raises(psycopg.Error, match="no table knows a customer 86"):
        execute(url, "SELECT core.forget_customer(86)")


def test_an_erasure_is_no_hand_write(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path, **FIRST), "2026-01-29", "1")
    execute(url, "SELECT core.forget_customer(3)")
    assert fetch(url, "SELECT FROM audit.hand_writes") == []


def test_who_was_deleted_by_hand_has_no_activity_left(url: str, tmp_path: Path) -> None:
    run_pipeline(
        url,
        deliver(tmp_path / "1", **{**FIRST, "customer_data": [customer(n) for n in (1, 2, 3, 4, 5)]}),
        "2026-01-28",
        "1",
    )
    execute(url, "DELETE FROM core.customers WHERE customer_id = 5")
    run_pipeline(url, deliver(tmp_path / "2", **FIRST), "2026-01-29", "2")
    assert fetch(url, "SELECT FROM core.customer_activity WHERE customer_id = 5") == []


def test_a_task_that_has_waited_asks_again_what_was_done(url: str, tmp_path: Path) -> None:
    folder = deliver(tmp_path, **GOOD)
    steps = run_up_to(url, folder, "1", ("raw", "staging"))
    with psycopg.connect(url) as one, psycopg.connect(url) as other, ThreadPoolExecutor() as threads:
        run_task(one, steps["raw.order_data"], folder, "1")
        waiting = threads.submit(run_task, other, steps["core.customers"], folder, "1")
        while fetch(url, "SELECT count(*) FROM pg_catalog.pg_locks WHERE NOT granted") == [(0,)]:
            assert not waiting.done(), "it has not waited"
        one.commit()
        with pytest.raises(psycopg.Error, match=r"core\.customers comes after what this run has not done: raw\."):
            waiting.result()


def test_what_was_tried_before_an_undo_is_not_kept_by_it(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path, **GOOD), "2026-01-01", "1")
    with psycopg.connect(url) as connection:
        connection.execute("SELECT audit.open_ledger('core.nonsense', 0, 0)")
        with pytest.raises(psycopg.Error, match=r"this would change what audit\.ledger says"):
            connection.execute("SELECT audit.undo_run(1, 'Ann', 'why')")


def test_broken_lines_at_the_same_place_of_two_nights_are_withheld_each(url: str, tmp_path: Path) -> None:
    for night, line in (("2026-01-01", "3,2025-01-01,Phone,10"), ("2026-01-02", "3,2025-02-02,Tablet,20")):
        folder = deliver(tmp_path / night, **FIRST)
        with (folder / "order_data.csv").open("a") as file:
            file.write(f"{line}\n")
        run_pipeline(url, folder, night, night)
    execute(url, "SELECT core.forget_customer(3)")
    assert fetch(url, "SELECT count(*) FROM audit.rejected_rows WHERE line LIKE 'withheld: row %'") == [(2,)]


def test_a_row_from_before_headers_were_kept_is_read_as_declared(url: str, tmp_path: Path) -> None:
    folder = deliver(tmp_path, **FIRST)
    with (folder / "order_data.csv").open("a") as file:
        file.write("90,3,2025-01-01,Pills\n")
    run_pipeline(url, folder, "2026-01-29", "first")
    execute(url, "UPDATE audit.rejected_rows SET header = NULL")
    execute(url, "SELECT core.forget_customer(3)")
    assert fetch(url, "SELECT FROM audit.rejected_rows WHERE line LIKE '%Pills%'") == []


def test_a_line_delivered_again_has_the_header_and_the_place_of_the_last_time(url: str, tmp_path: Path) -> None:
    for night, header, first in (
        ("2026-01-01", ODD, []),
        ("2026-01-02", "order_id,product,customer_id,order_date,price", ["x,y"]),
    ):
        folder = deliver(
            tmp_path / night, customer_data=FIRST["customer_data"], payment_data=[[1, 1, 99, "2025-01-02", "1"]]
        )
        one = "99,99,1,2025-01-01,1"
        (folder / "order_data.csv").write_text("\n".join([header, *first, "7,8", one, ""]))
        run_pipeline(url, folder, night, night)
    place = "SELECT header[1], line_no, first_run_no, last_run_no FROM audit.rejected_rows WHERE line = '7,8'"
    assert fetch(url, place) == [("order_id", 3, 1, 2)]


def test_the_product_of_a_forgotten_customer_stands_nowhere(url: str, tmp_path: Path) -> None:
    theirs = {"order_data": [[91, 3, "2025-01-01", "Pills", "5"], [92, 3, "2026-06-01", "Pills", "5"]]}
    folder = deliver(tmp_path, **{source: [*rows, *theirs.get(source, [])] for source, rows in FIRST.items()})
    run_pipeline(url, folder, "2026-01-29", "first")

    # The second waits for its day: in staging its customer is not known.
    assert any(row.startswith("staging.orders") for row in traces(url, "pills"))
    execute(url, "SELECT core.forget_customer(3)")
    assert traces(url, "pills") == []
    run_pipeline(url, folder, "2026-01-30", "second")
    assert traces(url, "pills") == []


def test_what_was_corrected_into_a_forgotten_customers_row_goes_with_it(url: str, tmp_path: Path) -> None:
    orders = [*FIRST["order_data"], [91, "x", "2025-01-01", "Pills", "5"]]
    run_pipeline(url, deliver(tmp_path, **{**FIRST, "order_data": orders}), "2026-01-29", "first")
    number = open_rejects(url)["customer_id not_a_whole_number"]
    execute(url, 'SELECT audit.replay(%s, \'{"customer_id": "3"}\')', [number])
    execute(url, "SELECT core.forget_customer(3)")
    assert fetch(url, "SELECT FROM audit.rejected_rows WHERE fields ->> 'product' = 'Pills'") == []


def test_a_record_of_somebody_else_is_left_whatever_number_it_holds(url: str, tmp_path: Path) -> None:
    folder = deliver(tmp_path, **{**FIRST, "customer_data": []})
    header = "customer_id,first_name,last_name,email,country,gender,date_of_birth,household"
    people = [f"{n},Ann,Uwase,c{n}@example.com,Rwanda,Female,1990-01-01,3" for n in (1, 2, 3, 4)]
    # It stands in line 3.
    people.insert(1, "x,Zoe,Uwase,zoe@example.com,Rwanda,Female,1990-01-01,9")
    broken = "77,Bob\0,X,bob@example.com,Rwanda,Male,1990-01-01,3"
    (folder / "customer_data.csv").write_text("\n".join([header, *people, broken, ""]))
    for run, forget in (("1", True), ("2", False)):
        run_pipeline(url, folder, "2026-01-29", run)
        if forget:
            execute(url, "SELECT core.forget_customer(3)")
            assert fetch(url, "SELECT customer_id FROM raw.customer_data ORDER BY 1") == [(name,) for name in "124x"]
        assert fetch(url, "SELECT count(*) FROM audit.rejected_rows WHERE line LIKE '77,Bob%'") == [(1,)]


def test_an_address_that_may_be_shared_deletes_no_line(url: str, tmp_path: Path) -> None:
    home = [customer(1, email="home@example.com"), customer(2), customer(3, email="home@example.com"), customer(4)]
    folder = deliver(tmp_path, **{**FIRST, "customer_data": home})
    with (folder / "customer_data.csv").open("a") as file:
        file.write("1,Ann,Uwase,home@example.com,Rwanda\nx,Zoe,,home@example.com,,,\n")
    run_pipeline(url, folder, "2026-01-29", "1")
    execute(url, "SELECT core.forget_customer(3)")
    # A record that is nobody's by its number is theirs by its address.
    assert fetch(url, "SELECT customer_id FROM raw.customer_data ORDER BY 1") == [("1",), ("2",), ("4",)]
    assert fetch(url, "SELECT FROM audit.rejected_rows WHERE fields ->> 'first_name' = 'Zoe'") == []
    assert fetch(url, "SELECT left(line, 8) FROM audit.rejected_rows WHERE line IS NOT NULL") == [("withheld",)]


@pytest.mark.parametrize("source", ["customer_data", "order_data"])
def test_a_line_that_anothers_quote_has_swallowed_is_withheld(source: str, url: str, tmp_path: Path) -> None:
    folder = deliver(tmp_path, **FIRST)
    swallowed = {
        "customer_data": '71,"Bob,X,bob@example.com,,,\n3,Zebulon,,,,,\n72,Cat",,,,,\n',
        "order_data": '50,1,2025-01-01,"Cable,5\n51,3,2025-01-01,Zebulon,9\n52,2,2025-01-01,x",9\n',
    }
    with (folder / f"{source}.csv").open("a") as file:
        file.write(swallowed[source])
    run_pipeline(url, folder, "2026-01-29", "1")
    execute(url, "SELECT core.forget_customer(3)")

    assert traces(url, "zebulon") == []
    assert fetch(url, "SELECT count(*) FROM audit.rejected_rows WHERE fields::text LIKE '%may hold a line%'") == [(1,)]
    run_pipeline(url, folder, "2026-01-30", "2")
    # raw has the last delivery as it is.
    assert traces(url, "zebulon", but_for="raw") == []


# Backup


def test_a_restored_backup_goes_on_as_if_nothing_had_happened(
    cluster: server.Server, url: str, new_database: Callable[..., str], tmp_path: Path
) -> None:
    run_pipeline(url, deliver(tmp_path / "first", **FIRST), "2026-01-29", "first")
    run_pipeline(url, deliver(tmp_path / "second", **SECOND), "2026-01-30", "second")
    run_forecast(url)
    # The page's own commands, in a folder of their own.
    page = (ROOT / "docs" / "deployment.md").read_text()
    (dump,) = re.findall(r"^pg_dump [^#\n]*", page, re.MULTILINE)
    (restore,) = re.findall(r"^(pg_restore .*) && make migrate && make doctor$", page, re.MULTILINE)
    restored = new_database("ltv_restored")
    execute(database_url(cluster, "ltv_restored", admin=True), (SQL / "admin" / "roles.sql").read_text())
    commands = {url: [dump], restored: [restore, f"{sys.executable} {ROOT}/ops/migrate.py"]}
    for where, lines in commands.items():
        known = {
            "PATH": f"{cluster.binaries}:{os.environ['PATH']}",
            "DATABASE_URL": where.replace(f":{cluster.pipeline_password}@", "@"),
            "PGPASSWORD": cluster.pipeline_password,
        }
        for line in lines:
            done = subprocess.run(
                ["/bin/bash", "-c", line],
                cwd=tmp_path,
                env=os.environ | known,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, (line, done.stdout, done.stderr)
    # What sql/definitions/sources.sql says is there again.
    open_limits(restored)
    deployments = "DELETE FROM audit.deployments WHERE deployed_at < (SELECT max(deployed_at) FROM audit.deployments)"
    execute(restored, deployments)
    schemas = re.search(r"^What has to be kept is ([^(]*)", page, re.MULTILINE)[1]
    kept, back = (rows_of(where, *re.findall(r"`(\w+)`", schemas), place=False) for where in (url, restored))
    assert kept.keys() == back.keys()
    assert kept["forecast.clv_model"]
    # UNLOGGED, and made anew before each use.
    rebuilt = ["forecast.repeat_buyers", "forecast.scores"]
    differ = [table for table in kept if kept[table] != back[table]]
    assert [table for table in differ if table not in rebuilt] == ["audit.deployments"]
    written = "SELECT task, rows_written FROM audit.steps WHERE run_no = 3 AND task ~ '^(core|marts)' ORDER BY 1"
    for number, folder in enumerate(("second", "third")):
        if folder == "third":
            deliver(tmp_path / folder, **SECOND | {"payment_data": [[9, 1, 1, "2026-01-30", "1"]]})
        before = core(restored), mart(restored)
        for where in (url, restored):
            run_pipeline(where, tmp_path / folder, f"2026-01-3{number}", f"night {number}")
            run_forecast(where)
        if folder == "second":
            assert (core(restored), mart(restored)) == before
            assert {rows for _, rows in fetch(restored, written)} <= {0, None}
        compared = "SELECT customer_id, total_orders, total_amount, ltv FROM marts.customer_ltv ORDER BY 1"
        assert fetch(url, compared) == fetch(restored, compared)
    assert fetch(restored, "SELECT count(*) FROM audit.runs WHERE state = 'published'") == [(4,)]
    # What was replaced before the backup is kept with it.
    assert undo(restored, 4) == 5
