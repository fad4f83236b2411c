"""The past as it was published: night after night every table is kept, and at the end asked for again."""

import itertools
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
import server
from conftest import database_url
from pipeline import run_pipeline
from sql_files import SQL
from support import customer, deliver, execute, fetch, open_limits
from test_forecast import run_forecast

LTV = """customer_id, total_orders, total_amount, avg_order_value, ltv, first_order_date, last_order_date,
    orders_per_year, avg_lifespan_years"""
FORECAST = """customer_id, as_of, frequency, recency, t, monetary_value, p_alive, expected_orders,
    expected_order_value, expected_value, model_no"""
Rows = list[tuple]


def ltv_now(url: str) -> Rows:
    return fetch(url, f"SELECT {LTV} FROM marts.customer_ltv ORDER BY customer_id")


def ltv_of(url: str, day: str) -> Rows:
    return fetch(url, f"SELECT {LTV} FROM marts.customer_ltv_as_of(%s) ORDER BY customer_id", [day])


def forecast_now(url: str) -> Rows:
    return fetch(url, f"SELECT {FORECAST} FROM marts.customer_forecast ORDER BY customer_id")


def forecast_of(url: str, day: str) -> Rows:
    return fetch(url, f"SELECT {FORECAST} FROM marts.customer_forecast_as_of(%s) ORDER BY customer_id", [day])


def but_for(rows: Rows, forgotten: int) -> Rows:
    return [row for row in rows if row[0] != forgotten]


@pytest.fixture
def url(warehouse: str) -> str:
    open_limits(warehouse)
    return warehouse


@pytest.fixture
def night(url: str, tmp_path: Path) -> Callable[..., Rows]:
    """A function that delivers a few lines and publishes them for a day; returns what is published then."""
    numbers = itertools.count(1)

    def publish(day: str, customers: list = (), orders: list = (), payments: list = ()) -> Rows:
        name = f"night {next(numbers)}"
        folder = deliver(tmp_path / name, customer_data=customers, order_data=orders, payment_data=payments)
        run_pipeline(url, folder, day, name)
        return ltv_now(url)

    return publish


def bought(order_id: int, customer_id: int, day: str, amount: int) -> dict[str, list]:
    """An order and its payment."""
    return {
        "orders": [[order_id, customer_id, day, "Phone", amount]],
        "payments": [[order_id, customer_id, order_id, day, amount]],
    }


def several(*lines: dict[str, list]) -> dict[str, list]:
    return {kind: [row for line in lines for row in line[kind]] for kind in ("orders", "payments")}


def many() -> dict[str, list]:
    """Enough customers for a fit, most of whom have come back."""
    return {
        "customers": [customer(n) for n in range(1, 161)],
        **several(
            *(
                bought(
                    1000 * turn + n, n, f"2025-{1 + (n * 7 + turn * 3) % 12:02}-{1 + (n + turn) % 28:02}", 10 + n % 50
                )
                for n in range(1, 161)
                for turn in range(1 + n % 4)
            )
        ),
    }


FIRST = {
    "customers": [customer(n) for n in range(1, 7)],
    **several(
        *(bought(n, n, f"2024-0{n}-10", 100 * n) for n in range(1, 6)),
        *(bought(10 + n, n, "2025-06-10", 10 * n) for n in range(1, 4)),
    ),
}


def test_each_day_is_given_back_as_its_last_run_has_published_it(url: str, night: Callable[..., Rows]) -> None:
    kept = {}
    kept["2026-01-10"] = night("2026-01-10", **FIRST)
    # A late order, which is everybody's lifespan; and a refund.
    kept["2026-01-11"] = night(
        "2026-01-11",
        [customer(1)],
        [[20, 4, "2020-02-10", "Tablet", 70]],
        [[20, 4, 20, "2026-01-10", 70], [21, 1, 1, "2026-01-10", -100]],
    )
    # An order moves to somebody else, and its payment with it.
    kept["2026-01-13"] = night(
        "2026-01-13", [customer(7)], [[5, 7, "2024-05-10", "Phone", 500]], [[5, 7, 5, "2024-05-10", 500]]
    )
    # Two publishes for one day: the second counts.
    before = night("2026-01-14", [customer(1)], **bought(30, 1, "2026-01-14", 33))
    kept["2026-01-14"] = night("2026-01-14", [customer(1)], **bought(31, 1, "2026-01-14", 44))
    # A wrong night, undone; then one for the same day, and the wrong numbers were never there.
    wrong = night(
        "2026-01-16", [customer(8)], **several(bought(40, 8, "2026-01-15", 9999), bought(41, 1, "2026-01-15", 5))
    )
    assert ltv_of(url, "2026-01-16") == wrong
    execute(url, "SELECT audit.undo_run(max(run_no), 'Ann', 'the wrong file') FROM audit.runs")
    assert ltv_now(url) == kept["2026-01-14"] == ltv_of(url, "2026-01-16") == ltv_of(url, "2026-01-15")
    kept["2026-01-16"] = night("2026-01-16", [customer(2)], **bought(42, 2, "2026-01-15", 50))
    # A customer goes, as a snapshot has it, and comes back; a month passes without any news.
    execute(url, "UPDATE audit.sources SET kind = 'snapshot' WHERE source = 'customer_data'")
    kept["2026-01-17"] = night(
        "2026-01-17", [customer(n) for n in (1, 2, 3, 4, 5, 7)], **bought(42, 2, "2026-01-15", 50)
    )
    execute(url, "UPDATE audit.sources SET kind = 'delta' WHERE source = 'customer_data'")
    kept["2026-02-20"] = night("2026-02-20", [customer(6)], **bought(42, 2, "2026-01-15", 50))
    kept["2026-04-30"] = night("2026-04-30", [customer(9)], **bought(42, 2, "2026-01-15", 50))

    # All of them differ, or the days could be mistaken for each other.
    assert before != kept["2026-01-14"]
    assert all(one != other for one, other in itertools.combinations([wrong, *kept.values()], 2))
    assert {6} == {row[0] for row in kept["2026-01-16"]} - {row[0] for row in kept["2026-01-17"]}
    for day, rows in kept.items():
        assert ltv_of(url, day) == rows, day
    # Between publishes the last one holds, before the first one there is nothing, after the last one the newest.
    assert ltv_of(url, "2026-01-12") == kept["2026-01-11"]
    assert ltv_of(url, "2026-04-29") == kept["2026-02-20"]
    assert ltv_of(url, "2026-01-09") == ltv_of(url, "-infinity") == []
    assert ltv_of(url, "2030-01-01") == kept["2026-04-30"] == ltv_now(url)
    assert fetch(url, "SELECT FROM marts.customer_ltv_as_of(NULL)") == []
    # Who is erased is erased from every day, and nobody else.
    execute(url, "SELECT core.forget_customer(1)")
    for day, rows in kept.items():
        assert ltv_of(url, day) == but_for(rows, 1), day
        assert len(but_for(rows, 1)) == len(rows) - 1


def test_the_first_run_undone_leaves_no_past(url: str, night: Callable[..., Rows]) -> None:
    night("2026-01-10", **FIRST)
    execute(url, "SELECT audit.undo_run(1, 'Ann', 'the wrong file')")
    assert ltv_of(url, "2026-01-10") == ltv_of(url, "2026-01-11") == []


def test_what_a_run_has_published_that_failed_all_the_same_is_of_its_day(url: str, night: Callable[..., Rows]) -> None:
    first = night("2026-01-10", **FIRST)
    second = night("2026-01-11", [customer(1)], **bought(20, 1, "2026-01-11", 20))
    execute(url, "UPDATE audit.runs SET state = 'failed' WHERE run_no = 2")
    night("2026-01-12", [customer(2)], **bought(21, 2, "2026-01-12", 21))
    execute(url, "SELECT audit.undo_run(3, 'Ann', 'the wrong file')")
    assert fetch(url, "SELECT as_of::text FROM marts.freshness") == [("2026-01-11",)]
    assert ltv_now(url) == second == ltv_of(url, "2026-01-11") == ltv_of(url, "2026-01-12")
    assert ltv_of(url, "2026-01-10") == first


def test_each_forecast_is_given_back_as_it_was_published(url: str, night: Callable[..., Rows]) -> None:
    kept, published = {}, {}

    def forecast(day: str) -> None:
        run_forecast(url)
        kept[day], published[day] = forecast_now(url), ltv_now(url)

    night("2026-01-10", **many())
    forecast("2026-01-10")
    # A late first order, a refund, an order that moves to somebody new, one that is refunded whole; a day without news.
    night(
        "2026-01-11",
        [customer(1), customer(170)],
        [[1, 1, "2024-12-24", "Phone", 11], [9001, 5, "2026-01-02", "Phone", 80], [3, 170, "2025-10-04", "Phone", 13]],
        [
            [1, 1, 1, "2024-12-24", 11],
            [9001, 5, 9001, "2026-01-02", 80],
            [3, 170, 3, "2025-10-04", 13],
            [9002, 6, 6, "2026-01-02", -5],
            [9003, 4, 4, "2026-01-02", -14],
        ],
    )
    forecast("2026-01-11")
    night("2026-01-14", [customer(2)], **bought(9004, 2, "2026-01-13", 5))
    # A night that is not forecast shows the last forecast, and that is what is given back.
    night("2026-01-15", [customer(2)], **bought(9005, 2, "2026-01-14", 6))
    forecast("2026-01-15")
    # Two forecasts of one day.
    night("2026-01-16", [customer(2)], **bought(9006, 2, "2026-01-15", 7))
    run_forecast(url)
    before = forecast_now(url)
    night("2026-01-16", [customer(3)], **bought(9007, 3, "2026-01-15", 8))
    forecast("2026-01-16")
    # A new fit, of wrong numbers, which are undone; the forecast goes back a day, and to the fit before.
    night(
        "2026-01-18",
        [customer(180)],
        **several(*(bought(9100 + n, 180, f"2026-01-{n:02}", 9000) for n in range(1, 18))),
    )
    run_forecast(url)
    wrong = forecast_now(url)
    assert forecast_of(url, "2026-01-18") == wrong
    execute(url, "SELECT audit.undo_run(max(run_no), 'Ann', 'the wrong file') FROM audit.runs")
    run_forecast(url)
    assert forecast_of(url, "2026-01-18") == forecast_of(url, "2026-01-16") == forecast_now(url) == kept["2026-01-16"]
    night("2026-01-18", [customer(2)], **bought(9200, 2, "2026-01-17", 7))
    forecast("2026-01-18")
    # One has bought nothing any more.
    execute(url, "DELETE FROM core.payments WHERE customer_id = 7; DELETE FROM core.orders WHERE customer_id = 7")
    night("2026-01-25", [customer(2)], **bought(9201, 2, "2026-01-19", 7))
    forecast("2026-01-25")

    assert before != kept["2026-01-16"]
    assert all(one != other for one, other in itertools.combinations([wrong, *kept.values()], 2))
    assert len({row[-1] for rows in kept.values() for row in rows}) == 3
    assert 7 in {row[0] for row in kept["2026-01-18"]} - {row[0] for row in kept["2026-01-25"]}
    for day, rows in kept.items():
        assert forecast_of(url, day) == rows, day
        assert {row[0] for row in rows} == {row[0] for row in published[day] if row[1]}, day
    assert forecast_of(url, "2026-01-13") == forecast_of(url, "2026-01-14") == kept["2026-01-11"]
    assert forecast_of(url, "2026-01-09") == [] == fetch(url, "SELECT FROM marts.customer_forecast_as_of(NULL)")
    assert forecast_of(url, "2030-01-01") == kept["2026-01-25"] == forecast_now(url)
    # What it was as published: whoever edits a formula sees by these that the past comes out otherwise.
    for day, *sums in fetch(
        url,
        """SELECT DISTINCT ON (as_of) as_of::text, customers, expected_orders, expected_value
        FROM forecast.publishes ORDER BY as_of, publish_no DESC""",
    ):
        assert sums == [len(kept[day]), sum(row[7] for row in kept[day]), sum(row[9] for row in kept[day])], day
    # Only what has changed is kept.
    ((changes,),) = fetch(url, "SELECT count(*) FROM forecast.customer_forecast_history WHERE publish_no > 1")
    assert 10 < changes < 40
    execute(url, "SELECT core.forget_customer(2)")
    for day, rows in kept.items():
        assert forecast_of(url, day) == but_for(rows, 2), day


def test_a_model_of_a_delivery_that_was_undone_forecasts_nothing_more(url: str, night: Callable[..., Rows]) -> None:
    """Nor does it when the right files come for the same day."""
    night("2026-01-10", **many())
    run_forecast(url)
    wrong = [(n, who) for n in range(1, 18) for who in range(1, 40)]
    night(
        "2026-01-18",
        [customer(2)],
        **several(*(bought(9000 + 100 * n + who, who, f"2026-01-{n:02}", 9000) for n, who in wrong)),
    )
    run_forecast(url)
    execute(url, "SELECT audit.undo_run(max(run_no), 'Ann', 'the wrong file') FROM audit.runs")
    night("2026-01-18", [customer(2)], **bought(9200, 2, "2026-01-17", 7))
    run_forecast(url)
    fits = fetch(url, "SELECT model_no, as_of::text, round(log_likelihood) FROM forecast.clv_model ORDER BY model_no")
    assert [day for _, day, _ in fits] == ["2026-01-10", "2026-01-18", "2026-01-18"]
    assert fits[1][2] != fits[2][2]
    assert {row[-1] for row in forecast_now(url)} == {3}


def test_the_days_before_nobody_was_forecast_and_those_without_a_model(url: str, night: Callable[..., Rows]) -> None:
    night("2026-01-10", **FIRST)
    run_forecast(url)
    few = forecast_now(url)
    assert [row[6:] for row in few] == [(None,) * 5] * 5
    execute(url, "SELECT audit.undo_run(1, 'Ann', 'the wrong file')")
    run_forecast(url)
    assert forecast_of(url, "2026-01-10") == forecast_now(url) == []
    night("2026-01-11", **FIRST)
    run_forecast(url)
    assert forecast_of(url, "2026-01-11") == forecast_now(url) != []
    assert forecast_of(url, "2026-01-10") == []


def test_an_edited_discount_leaves_the_past_alone(url: str, night: Callable[..., Rows]) -> None:
    """An assumption of today is none of then."""
    night("2026-01-10", **many())
    run_forecast(url)
    published = forecast_now(url)
    edited = (SQL / "definitions" / "views" / "forecast.assumptions.sql").read_text().replace("0.10::", "0.50::")
    execute(url, edited)
    night("2026-01-11", [customer(1)], **bought(9001, 1, "2026-01-10", 5))
    run_forecast(url)
    assert forecast_of(url, "2026-01-10") == published
    assert forecast_of(url, "2026-01-11") == forecast_now(url)
    assert sum(row[9] for row in forecast_now(url)) < sum(row[9] for row in published) * Decimal("0.9")


def test_analysts_ask_for_the_past_and_nobody_else_does(
    url: str, night: Callable[..., Rows], cluster: server.Server
) -> None:
    night("2026-01-10", **FIRST)
    run_forecast(url)
    with psycopg.connect(database_url(cluster, "ltv_test", admin=True)) as connection:
        for role, may in (("ltv_analyst", True), ("ltv_steward", False), ("ltv_monitor", False)):
            connection.execute(f"SET ROLE {role}")
            for name, rows in (("customer_ltv", 6), ("customer_forecast", 5)):
                question = f"SELECT count(*) FROM marts.{name}_as_of('2026-01-10')"
                if may:
                    assert connection.execute(question).fetchone() == (rows,)
                    continue
                with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                    connection.execute(question)
        connection.execute("SET ROLE ltv_analyst")
        views = fetch(url, "SELECT viewname FROM pg_catalog.pg_views WHERE schemaname = 'marts'")
        assert len(views) > 10
        for (view,) in views:
            connection.execute(f"SELECT * FROM marts.{view}")


def test_the_parts_of_every_change_add_up_whatever_a_night_has_brought(url: str, night: Callable[..., Rows]) -> None:
    """And each part is what its factor makes: nights in which only one of them has changed."""

    def moved() -> dict[int, tuple]:
        rows = fetch(
            url,
            """SELECT customer_id, previous_ltv, ltv, change, by_first_seen, by_gone, by_new_orders, by_refunds,
                by_window, by_lifespan, reason FROM marts.ltv_movers""",
        )
        assert len({number for number, *_ in rows}) == len(rows)
        for _, before, now, change, *parts, _ in rows:
            assert now - before == change == sum(parts) != 0
        return {number: (*map(float, parts), reason) for number, _, _, _, *parts, reason in rows}

    def are(before: Rows, now: Rows) -> set[int]:
        ltv = [{row[0]: row[4] for row in rows} for rows in (before, now)]
        return {n for n in ltv[0].keys() | ltv[1].keys() if ltv[0].get(n, 0) != ltv[1].get(n, 0)}

    first = night("2026-01-10", **FIRST)
    assert set(moved()) == are([], first) == {1, 2, 3, 4, 5}
    assert {parts[-1] for parts in moved().values()} == {"first seen"}
    second = night("2026-01-11", [customer(6)], **bought(60, 6, "2026-01-11", 60))
    assert moved() == {6: (0, 0, 60.0 * float(second[0][8]), 0, 0, 0, "new orders")}
    # As many months on as there are, for everybody but the newest.
    third = night("2026-02-11", [customer(6)], **bought(60, 6, "2026-01-11", 60))
    assert set(moved()) == are(second, third) == {1, 2, 3, 4, 5}
    assert all(parts[:4] == (0, 0, 0, 0) and parts[4] < 0 and parts[5] == 0 for parts in moved().values())
    fourth = night(
        "2026-02-11",
        [customer(6)],
        [[60, 6, "2026-01-11", "Phone", 60]],
        [[61, 6, 60, "2026-02-11", -10], [62, 1, 1, "2026-02-11", -100]],
    )
    assert set(moved()) == are(third, fourth) >= {1, 6}
    assert {n: parts[-1] for n, parts in moved().items()}[6] == "refunds"
    # Everything at once: a late order that is the first, everybody's lifespan, a month more, somebody new.
    fifth = night(
        "2026-03-11", [customer(7)], **several(bought(70, 7, "2026-01-01", 5), bought(71, 2, "2019-01-01", 5))
    )
    assert set(moved()) == are(fourth, fifth) >= {2, 3, 4, 5, 6, 7}
    assert {n: parts[-1] for n, parts in moved().items()}[7] == "first seen"
    assert any(parts[5] > 0 for parts in moved().values())
    # An undo is a publish: it moves everybody back.
    there = {n: sum(parts[:-1]) for n, parts in moved().items()}
    execute(url, "SELECT audit.undo_run(max(run_no), 'Ann', 'the wrong file') FROM audit.runs")
    assert {n: -round(sum(parts[:-1]), 2) for n, parts in moved().items()} == {
        n: round(change, 2) for n, change in there.items()
    }
    # A run that changes nothing leaves the last publish what it is, for one day; of a later day nobody has moved.
    night("2026-02-12", [customer(6)], **bought(60, 6, "2026-01-11", 60))
    assert moved() == {}
