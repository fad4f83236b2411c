"""What customers will be worth: against the published fits, against lifetimes, and against the exact mathematics."""

import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import date, timedelta
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import psycopg
import pytest
import server
import sqlparse
from conftest import ROOT, database_url
from pipeline import begin, commit_task, run_pipeline, tasks
from psycopg.rows import dict_row
from sql_files import SQL
from support import airflow_settings, customer, deliver, execute, fetch, new_airflow_home, open_limits, warehouse_of
from test_cdnow import deliver_purchases, purchases

FILES = sorted((SQL / "forecast").glob("*.sql"))
FITTED = ["cohorts", "repeat_buyers", "clv_model", "expectations"]
HALF = date(1997, 9, 30)
END = date(1998, 6, 30)
Purchases = list[tuple[int, date, Decimal]]


def ask(*question: object) -> list:
    """The answer of lifetimes, which has an environment of its own."""
    python = ROOT / ".venv" / "oracle" / "bin" / "python"
    if not python.exists():
        pytest.skip("lifetimes is not installed: make test, without K, brings it")
    done = subprocess.run(
        [python, ROOT / "tests" / "oracle.py"],
        input=json.dumps(question, default=str),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def run_file(connection: psycopg.Connection, name: str) -> psycopg.Cursor:
    return connection.execute((SQL / "forecast" / f"{name}.sql").read_text())


KEPT = """SELECT customer_rfm.*, buyers.as_of, buyers.t FROM forecast.customer_rfm INNER JOIN forecast.buyers
    USING (customer_id) ORDER BY customer_id"""
DAYS_THAT_DIFFER = """WITH one_by_one AS (
        SELECT customer_id, days.* FROM core.customers CROSS JOIN LATERAL forecast.buying_days_of(customer_id) AS days
    )
    (TABLE one_by_one EXCEPT SELECT * FROM forecast.buying_days)
    UNION ALL (SELECT * FROM forecast.buying_days EXCEPT TABLE one_by_one)"""


def assert_kept_as_computed(url: str) -> None:
    """Whatever has been computed of whom: it is what comes out where everybody is computed, day by day too."""
    with psycopg.connect(url) as connection:
        kept = connection.execute(KEPT).fetchall()
        connection.execute("DELETE FROM forecast.freshness")
        run_file(connection, "customer_rfm")
        assert connection.execute("SELECT of_everybody FROM forecast.freshness").fetchall() in ([], [(True,)])
        assert connection.execute(KEPT).fetchall() == kept
        assert connection.execute(DAYS_THAT_DIFFER).fetchall() == []
        connection.rollback()


def run_forecast(url: str) -> None:
    """Do what the DAG does, task by task."""
    import customer_forecast
    from in_run import last_row

    for task in customer_forecast.dag.topological_sort():
        with psycopg.connect(url) as connection:
            cursor = connection.execute((SQL / task.sql).read_text())
            assert "__" not in task.task_id or all(last_row(cursor)), task.task_id
        if task.task_id == "forecast.customer_rfm":
            assert_kept_as_computed(url)


def rows_as_dicts(url: str, statement: str, parameters: object = None) -> list[dict]:
    with psycopg.connect(url, row_factory=dict_row) as connection:
        return connection.execute(statement, parameters).fetchall()


def last_model(url: str) -> dict:
    return rows_as_dicts(url, "SELECT * FROM forecast.clv_model ORDER BY model_no DESC LIMIT 1")[0]


def parameters(model: dict) -> list[float]:
    return [model[name] for name in ("r", "alpha", "a", "b")]


RFM = "SELECT customer_id, frequency, recency, t, monetary_value FROM forecast.customer_forecast ORDER BY customer_id"


@pytest.fixture(scope="module")
def cdnow(cluster: server.Server, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """The sample's warehouse, published and forecast from at the end of its week 39, and again at that of week 78."""
    bought = purchases()
    with warehouse_of(cluster, template, "ltv_cdnow_forecast") as url:
        open_limits(url)
        found = SimpleNamespace(url=url, bought=bought, rfm={}, forecast={}, model={})
        for day in (HALF, END):
            known = [purchase for purchase in bought if purchase[1] <= day]
            run_pipeline(url, deliver_purchases(tmp_path_factory.mktemp("cdnow"), known), str(day), str(day))
            run_forecast(url)
            found.rfm[day] = fetch(url, RFM)
            found.forecast[day] = rows_as_dicts(url, "SELECT * FROM forecast.customer_forecast ORDER BY customer_id")
            found.model[day] = last_model(url)
        yield found


# How often, until when, for how much


def assert_equals_lifetimes(rfm: list[tuple], bought: Purchases, until: date) -> None:
    said = ask("summary", [(*purchase[:2], float(purchase[2])) for purchase in bought if purchase[2] > 0], until)
    assert len(rfm) == len(said) > 2000
    for ours, theirs in zip(rfm, said, strict=True):
        assert list(ours[:4]) == theirs[:4]
        # A mean, to four decimals.
        assert abs(float(ours[4]) - theirs[4]) < 0.00005001


@pytest.mark.parametrize("day", [HALF, END], ids=str)
def test_the_sample_is_summed_up_as_lifetimes_does(day: date, cdnow: SimpleNamespace) -> None:
    assert_equals_lifetimes(cdnow.rfm[day], cdnow.bought, day)
    # Eight bought for 0.00, and nothing else.
    paid = {number for number, bought_on, amount in cdnow.bought if amount > 0 and bought_on <= day}
    assert len(cdnow.rfm[day]) == len(paid)


def test_cdnow_whole_is_summed_up_and_fitted_as_lifetimes_does(
    cluster: server.Server, template: str, tmp_path: Path
) -> None:
    bought = purchases("CDNOW_master")
    assert len({number for number, *_ in bought}) == 23570
    with warehouse_of(cluster, template, "ltv_cdnow_master") as url:
        run_pipeline(url, deliver_purchases(tmp_path, bought), str(END))
        run_forecast(url)
        rfm = fetch(url, RFM)
        model = last_model(url)
    assert_equals_lifetimes(rfm, bought, END)
    assert model["verdict"] == "fitted"
    assert parameters(model) == pytest.approx(ask("fit", [row[1:4] for row in rfm]), rel=1e-3)
    values = [(row[1], float(row[4])) for row in rfm if row[1]]
    assert [model[name] for name in ("p", "q", "gamma")] == pytest.approx(ask("fit_values", values), rel=1e-3)


# The fit


def summary_of(name: str) -> list[list[str]]:
    folder = Path(find_spec("lifetimes").origin).parent / "datasets"
    return [line.split(",") for line in (folder / f"{name}.csv").read_text().splitlines()[1:]]


def in_days(row: tuple) -> tuple:
    """The weeks of whole days, of which files have two decimals."""
    return (row[0], round(7 * row[1]) / 7, round(7 * row[2]) / 7, row[3])


def enter_summary(connection: psycopg.Connection, rows: list[tuple], as_of: str = "1997-09-30") -> None:
    """Have the fit see these customers: frequency, recency, t and monetary value."""
    connection.execute("TRUNCATE forecast.customer_rfm, forecast.freshness")
    connection.execute("INSERT INTO forecast.freshness VALUES (true, %s, 1, 0, 0, true, NULL, now())", [as_of])
    day = date.fromisoformat(as_of)
    with connection.cursor().copy("COPY forecast.customer_rfm FROM STDIN") as copy:
        for number, (x, recency, t, value) in enumerate(map(in_days, rows), start=1):
            first = day - timedelta(days=round(7 * t))
            copy.write_row([number, x, first, first, recency, x * value, value, value, x + 1, (x + 1) * value, 100])
    connection.execute("UPDATE forecast.customer_rfm SET sample = forecast.sample_of(customer_id)")
    connection.execute("ANALYZE forecast.customer_rfm")


def fit(url: str, rows: list[tuple], as_of: str = "1997-09-30") -> dict:
    with psycopg.connect(url) as connection:
        enter_summary(connection, rows, as_of)
        for name in FITTED:
            run_file(connection, name)
    return last_model(url)


@pytest.fixture
def published_summary() -> list[tuple]:
    """The 2,357 customers that everybody fits: every purchase counts, those for nothing too."""
    spent = {row[0]: row[4] for row in summary_of("cdnow_customers_summary_with_transactions")}
    return [
        (int(x), float(t_x), float(t), float(spent[number]))
        for number, x, t_x, t in summary_of("cdnow_customers_summary")
    ]


def test_the_published_fits_come_out(warehouse: str, published_summary: list[tuple]) -> None:
    model = fit(warehouse, published_summary)
    assert (model["verdict"], model["customers"], model["repeat_customers"]) == ("fitted", 2357, 946)
    # Fader, Hardie, Lee (2005), table 2.
    assert [round(value, 3) for value in parameters(model)] == [0.243, 4.414, 0.793, 2.426]
    assert round(model["log_likelihood"], 1) == -9582.4
    # Of means that the file has rounded to cents: see below.
    assert [round(model[name], 2) for name in ("p", "q", "gamma")] == [6.25, 3.74, 15.45]
    assert parameters(model) == pytest.approx(ask("fit", [in_days(row)[:3] for row in published_summary]), abs=1e-5)
    values = [(row[0], row[3]) for row in published_summary if row[0]]
    assert [model["p"], model["q"], model["gamma"]] == pytest.approx(ask("fit_values", values), abs=1e-4)
    assert 0 < model["frequency_value_correlation"] < 0.2


def test_the_published_values_come_out_of_the_amounts_themselves(cdnow: SimpleNamespace) -> None:
    """Fader, Hardie: The Gamma-Gamma Model of Monetary Value (2013), of the same customers."""
    assert [round(cdnow.model[HALF][name], 2) for name in ("p", "q", "gamma")] == [6.25, 3.74, 15.44]


def test_many_customers_are_fitted_by_way_of_few(warehouse: str, published_summary: list[tuple]) -> None:
    """The same customers thirty times over have the same parameters, whatever the samples say on the way."""
    model = fit(warehouse, published_summary * 30)
    of_samples = "SELECT sum(customers) FILTER (WHERE frequency > 0) FROM forecast.cohorts WHERE share = 10"
    assert 2000 <= fetch(warehouse, of_samples)[0][0] < 946 * 30 / 5
    assert (model["verdict"], model["repeat_customers"]) == ("fitted", 946 * 30)
    assert [round(value, 3) for value in parameters(model)] == [0.243, 4.414, 0.793, 2.426]
    assert round(model["log_likelihood"] / 30, 1) == -9582.4
    assert [round(model[name], 2) for name in ("p", "q", "gamma")] == [6.25, 3.74, 15.45]


@pytest.mark.parametrize(
    ("gradient", "tops"),
    [
        ("bg_nbd", [(0.243, 4.414, 0.793, 2.426), (1, 40, 1, 1), (0.01, 300, 5, 0.02), (200, 3000, 0.001, 900)]),
        ("gamma_gamma", [(6.25, 3.74, 15.44), (0.01, 0.5, 1e-3), (900, 30, 1e6)]),
    ],
)
def test_slopes_are_those_of_the_height(
    gradient: str, tops: list[tuple], warehouse: str, published_summary: list[tuple]
) -> None:
    rows = [*((x, t_x, t, m or 1.0) for x, t_x, t, m in published_summary), (10000, 1560.0, 1565.0, 9e6)]
    # Odds that are out of range, too.
    rows += [(10000, 1.5, 1565.0, 0.01), (3, 0.5, 1565.0, 5.0)]
    statement = """SELECT forecast.{}_gradient(ARRAY(
        SELECT ln(value) + CASE n WHEN %s THEN %s::float ELSE 0 END
        FROM unnest(%s::float[]) WITH ORDINALITY AS top (value, n) ORDER BY n
    ), 100)"""
    with psycopg.connect(warehouse) as connection:
        enter_summary(connection, rows)
        run_file(connection, "cohorts")
        run_file(connection, "repeat_buyers")

        def ask_for(top: tuple, moved: int, by: float) -> list[float]:
            (answer,) = connection.execute(statement.format(gradient), [moved, by, list(map(float, top))]).fetchone()
            return answer

        for top in tops:
            _, *slopes = ask_for(top, 0, 0)
            for n, slope in enumerate(slopes, start=1):
                rise = (ask_for(top, n, 1e-4)[0] - ask_for(top, n, -1e-4)[0]) / 2e-4
                assert slope == pytest.approx(rise, rel=1e-5, abs=1e-6), (top, n)


def test_digamma_is_that_of_scipy(warehouse: str) -> None:
    numbers = [1e-3, 0.02, 0.5, 1, 1.4616321, 2, 3.7, 9.99, 10, 57, 1e3, 1e4, 1e7]
    ours = fetch(warehouse, "SELECT forecast.digamma(x) FROM unnest(%s::float[]) AS x", [list(map(float, numbers))])
    assert [value for (value,) in ours] == pytest.approx(ask("digamma", numbers), rel=1e-13, abs=1e-13)


def test_a_search_that_ends_without_a_top_publishes_nothing(warehouse: str, published_summary: list[tuple]) -> None:
    execute(
        warehouse,
        """CREATE OR REPLACE FUNCTION forecast.bg_nbd_gradient(logs float[], share integer) RETURNS float[]
        LANGUAGE sql STABLE RETURN '{0, 1, 1, 1, 1}'::float[]""",
    )
    model = fit(warehouse, published_summary)
    assert model["verdict"] == "refused: the search has found no best fit"
    assert [model[name] for name in ("r", "log_likelihood", "p")] == [None] * 3


def test_a_week_later_it_is_fitted_again_from_where_it_was(warehouse: str, published_summary: list[tuple]) -> None:
    first = fit(warehouse, published_summary)
    assert fit(warehouse, published_summary, "1997-10-06") == first
    again = fit(warehouse, published_summary, "1997-10-07")
    assert again["model_no"] > first["model_no"]
    assert parameters(again) == pytest.approx(parameters(first), abs=1e-5)
    assert again["iterations"] < first["iterations"]
    assert fetch(warehouse, "SELECT count(*) FROM forecast.clv_model") == [(2,)]


def test_from_far_out_no_fit_begins(warehouse: str, published_summary: list[tuple]) -> None:
    """As in a young shop: nobody has left yet, all pay the same, and both parameters are at their limits."""
    first = fit(warehouse, [(n % 5, 10 + n % 9, 10 + n % 9, 20.0) if n % 5 else (0, 0, 10, 0) for n in range(1000)])
    assert (first["verdict"], first["a"] < 1e-3, first["p"] > 1000) == ("fitted", True, True)
    model = fit(warehouse, published_summary, "1997-10-07")
    assert model["model_no"] > first["model_no"]
    assert [round(value, 3) for value in parameters(model)] == [0.243, 4.414, 0.793, 2.426]
    assert [round(model[name], 2) for name in ("p", "q", "gamma")] == [6.25, 3.74, 15.45]


def test_too_few_repeat_customers_are_refused_and_the_forecast_goes(warehouse: str) -> None:
    few = [(1, 10.0, 30.0, 20.0)] * 99 + [(0, 0.0, 30.0, 0.0)] * 400
    model = fit(warehouse, few)
    assert model["verdict"] == "refused: 99 customers have bought on two days or more, 100 are needed"
    assert [model[name] for name in ("r", "log_likelihood", "p", "iterations")] == [None] * 4
    with psycopg.connect(warehouse) as connection:
        run_file(connection, "scores")
        run_file(connection, "customer_forecast")
    assert fetch(
        warehouse,
        """SELECT count(*), count(p_alive), count(expected_orders), count(expected_value)
        FROM forecast.customer_forecast""",
    ) == [(499, 0, 0, 0)]


def test_a_shop_to_which_nobody_has_come_back_yet_is_refused(warehouse: str) -> None:
    """As every shop is in its first days."""
    model = fit(warehouse, [(0, 0.0, 30.0, 0.0)] * 400)
    assert model["verdict"] == "refused: 0 customers have bought on two days or more, 100 are needed"
    assert (model["customers"], model["repeat_customers"]) == (400, 0)


def test_a_shop_of_a_few_days_is_refused(warehouse: str) -> None:
    young = [(1, (n % 5 + 1) / 7, (n % 5 + 1) / 7, 20.0 + n % 9) for n in range(2000)]
    model = fit(warehouse, young)
    assert model["verdict"] == "refused: the first purchase of all was 5 days ago, 28 are needed"
    assert [model[name] for name in ("r", "log_likelihood", "p", "iterations")] == [None] * 4
    assert fit(warehouse, [*young, (1, 1.0, 4.0, 20.0)], "1997-10-23")["verdict"].startswith("fitted")


def test_scores_of_a_model_gone_astray_are_refused_by_the_check_and_no_error(warehouse: str) -> None:
    """The best fit to two purchases in no time: nine thousand million more in a year; and means without end."""
    with psycopg.connect(warehouse) as connection:
        enter_summary(connection, [(2, 0.0, 0.0, 20.0), (0, 0.0, 0.0, 0.0)])
        connection.execute(
            """INSERT INTO forecast.clv_model
            (as_of, verdict, customers, repeat_customers, r, alpha, a, b, log_likelihood,
            p, q, gamma, value_log_likelihood, seconds)
            VALUES ('1997-09-30', 'fitted', 2, 1, 1096, 6.144e-6, 0.00091, 1096, 0, 1096, 1 + 1e-15, 1e16, 0, 0)"""
        )
        for name in ("cohorts", "expectations", "scores"):
            run_file(connection, name)
        assert run_file(connection, "scores__within_bounds").fetchone() == (False,)


@pytest.mark.parametrize(
    "rows",
    [
        # Everybody alike, nobody comes back after the second day, everybody does, amounts of one size, huge ones.
        [(1, 10.0, 30.0, 20.0)] * 200,
        [(1, 0.142857, 1500.0, 20.0)] * 150 + [(0, 0.0, 1500.0, 0.0)] * 50,
        [(10000, 1560.0, 1560.1, 1e15)] * 100 + [(9999, 1.0, 1560.0, 0.01)] * 100,
        [(n % 5 + 1, 5.0 + n % 7, 20.0, 3e11 + n) for n in range(300)],
        [(2, 0.0, 0.0, 20.0 + n % 9) for n in range(200)],
    ],
    ids=["alike", "gone", "busy", "huge", "today"],
)
def test_odd_customers_end_in_a_fit_or_a_refusal_and_never_in_an_error(warehouse: str, rows: list[tuple]) -> None:
    model = fit(warehouse, rows)
    assert model["verdict"].startswith(("fitted", "refused: "))
    with psycopg.connect(warehouse) as connection:
        for name in ("scores", "scores__within_bounds", "customer_forecast"):
            run_file(connection, name)
    # What is out of these bounds, the check says; it is not an error either.
    assert fetch(warehouse, "SELECT count(*) FROM forecast.customer_forecast") == [(len(rows),)]


# What is expected


@pytest.mark.parametrize("weeks", [1, 39, 52.178571])
def test_expected_orders_are_those_of_lifetimes(warehouse: str, weeks: float, published_summary: list[tuple]) -> None:
    fitted = ask("fit", [in_days(row)[:3] for row in published_summary])
    patterns = sorted({row[:3] for row in published_summary})
    times = Counter(row[:3] for row in published_summary)
    ours = [
        fetch(
            warehouse,
            """SELECT
                forecast.p_alive(r, alpha, a, b, x, t_x, t),
                forecast.p_alive(r, alpha, a, b, x, t_x, t) * forecast.expected_orders(r, alpha, a, b, x, t, %s)
            FROM unnest(%s::float[], %s::float[], %s::float[], %s::float[]) AS fitted (r, alpha, a, b)
            CROSS JOIN unnest(%s::int[], %s::float[], %s::float[]) WITH ORDINALITY AS row (x, t_x, t, n) ORDER BY n""",
            [weeks, *([value] for value in fitted), *map(list, zip(*patterns, strict=True))],
        )
    ][0]
    theirs = ask("expected", fitted, [weeks], patterns)
    assert len(ours) == len(theirs) > 1000
    for (p_alive, orders), (their_p_alive, their_orders) in zip(ours, theirs, strict=True):
        assert p_alive == pytest.approx(their_p_alive, abs=1e-9)
        assert orders == pytest.approx(their_orders, abs=1e-6)
    if weeks == 39:
        total = sum(times[pattern] * orders for pattern, (_, orders) in zip(patterns, ours, strict=True))
        assert round(total, 2) == 1653.42


def test_the_published_example(warehouse: str) -> None:
    """The customer of Fader, Hardie, Lee's spreadsheet, by their rounded parameters."""
    ((orders,),) = fetch(
        warehouse,
        """SELECT forecast.p_alive(0.243, 4.414, 0.793, 2.426, 2, 30.43, 38.86)
            * forecast.expected_orders(0.243, 4.414, 0.793, 2.426, 2, 38.86, 39)""",
    )
    assert round(orders, 4) == 1.2260


EXTREMES = [
    # r, alpha, a, b, frequency, t, weeks
    *[(0.243, 4.414, a, 2.426, x, 38.86, 39) for a in (0.5, 1 - 1e-9, 1, 1 + 1e-12, 1.0001, 2, 7) for x in (0, 1, 30)],
    *[(0.5, 8, a, 2.5, 10000, 1565, weeks) for a in (0.8, 1, 3) for weeks in (1, 52, 1565)],
    *[(0.5, 8, 0.3, b, 0, 0, 52) for b in (0.2, 0.7, 0.70000001, 0.9)],
    *[(0.243, 0.5, 0.793, 2.426, x, 0, 52) for x in (0, 1, 3)],
    *[(20, 300, 0.8, 2.4, x, 100, 52) for x in (0, 5)],
    *[(0.243, 4.414, 1000, 1000, x, 38.86, weeks) for x in (0, 2) for weeks in (13, 52)],
    # Customers much alike: terms of 1e33 that take each other away, and terms that are out of range.
    *[
        (r, r / rate, 0.8, 2.4, x, t, 52)
        for r in (60, 1000)
        for rate in (0.5, 3)
        for x, t in ((0, 0), (1, 5), (30, 20))
    ],
    *[(1096, 1, a, 2.4, 0, 0, 52) for a in (0.8, 1, 3)],
    *[(1000, 5000, 900, 1000, 3, 10, 52), (0.001, 100, 0.001, 1000, 0, 1565, 52), (1, 10, 1e-3, 5, 500, 900, 52)],
]


def test_expected_orders_are_exact_where_doubles_are_hard_pressed(warehouse: str) -> None:
    statement = "SELECT forecast.expected_orders(%s, %s, %s, %s, %s, %s, %s)"
    for case, exact in zip(EXTREMES, ask("exact", EXTREMES), strict=True):
        ((orders,),) = fetch(warehouse, statement, case)
        assert orders == pytest.approx(exact, rel=1e-9), case


def worst_interpolation(connection: psycopg.Connection) -> float:
    """How far what is expected is from what it is computed to be, at most, as a share of that."""
    (worst,) = connection.execute(
        """SELECT max(abs(orders / forecast.expected_orders(r, alpha, a, b, frequency, t, weeks_a_year) - 1))
        FROM forecast.expectations CROSS JOIN forecast.assumptions"""
    ).fetchone()
    return worst


def test_between_its_points_what_is_expected_is_exact(cdnow: SimpleNamespace) -> None:
    with psycopg.connect(cdnow.url) as connection:
        assert worst_interpolation(connection) < 1e-10
        # Customers who have just come, after whom what is expected bends most; and who buys every other day.
        connection.execute(
            """INSERT INTO forecast.cohorts (share, frequency, t, customers)
            SELECT 100, frequency, (2 * frequency + days) / 7.0, 1
            FROM unnest(ARRAY[0, 1, 5, 30, 150]) AS bought (frequency)
            CROSS JOIN unnest(ARRAY[0, 1, 30, 300]) AS since (days)"""
        )
        # Customers who buy twice a week, all but never leave, have just come, or are nearly 1 in the third parameter;
        # who are much alike, and may leave at once.
        for fitted in (
            (20, 20, 0.1, 5),
            (50, 20, 0.01, 5),
            (0.001, 0.05, 0.3, 0.4),
            (0.243, 4.4, 1 + 1e-9, 2.4),
            (5, 0.8, 3, 0.01),
            (100, 14.5, 0.8, 2.4),
            (300, 45, 1096, 1096),
            (1096, 157, 1096, 0.001),
            (1096, 157, 3, 2.4),
            (1096, 10000, 0.8, 0.01),
        ):
            connection.execute(
                """INSERT INTO forecast.clv_model
                (as_of, verdict, customers, repeat_customers, r, alpha, a, b, log_likelihood, seconds)
                VALUES ('1998-06-30', 'fitted', 1, 1, %s, %s, %s, %s, 0, 0)""",
                fitted,
            )
            run_file(connection, "expectations")
            assert worst_interpolation(connection) < 1e-9, fitted
        connection.rollback()


def test_scores_that_a_crash_has_emptied_take_no_forecast_away(warehouse: str, tmp_path: Path) -> None:
    open_limits(warehouse)
    run_pipeline(warehouse, shop(tmp_path), "2026-01-31", "first")
    run_forecast(warehouse)
    kept = fetch(warehouse, RFM)
    assert fetch(warehouse, "SELECT relpersistence FROM pg_class WHERE oid = 'forecast.scores'::regclass") == [("u",)]
    execute(warehouse, "TRUNCATE forecast.scores")
    with pytest.raises(psycopg.errors.RaiseException, match=r"^forecast.scores has been lost, .* clear the task "):
        execute(warehouse, (SQL / "forecast" / "customer_forecast.sql").read_text())
    assert fetch(warehouse, RFM) == kept


def test_buyers_that_a_crash_has_emptied_are_no_customers_who_never_came_back(warehouse: str, tmp_path: Path) -> None:
    open_limits(warehouse)
    run_pipeline(warehouse, shop(tmp_path), "2026-01-31", "first")
    run_forecast(warehouse)
    execute(warehouse, "TRUNCATE forecast.repeat_buyers; UPDATE forecast.clv_model SET as_of = as_of - 7")
    lost = r"^forecast.repeat_buyers has been lost, by a crash of the server: clear the task forecast.repeat_buyers"
    with pytest.raises(psycopg.errors.RaiseException, match=lost):
        execute(warehouse, (SQL / "forecast" / "clv_model.sql").read_text())
    assert fetch(warehouse, "SELECT count(*) FROM forecast.clv_model") == [(1,)]


def test_the_chance_to_be_alive_has_no_range_to_leave(warehouse: str) -> None:
    statement = "SELECT forecast.p_alive(0.5, 8, 0.8, 2.5, %s, %s, 1565)"
    assert fetch(warehouse, statement, [0, 0])[0][0] == 1
    assert fetch(warehouse, statement, [10000, 1565])[0][0] == pytest.approx(1 - 0.8 / 10002.3, rel=1e-6)
    assert 0 <= fetch(warehouse, statement, [10000, 1])[0][0] < 1e-300


@pytest.mark.parametrize("day", [HALF, END], ids=str)
def test_the_forecast_of_every_customer_agrees(day: date, cdnow: SimpleNamespace) -> None:
    model, forecast = cdnow.model[day], cdnow.forecast[day]
    assert (model["verdict"], model["as_of"]) == ("fitted", day)
    year, rate = 365.25 / 7, 0.10
    quarters = [year / 4, year / 2, year * 3 / 4, year]
    rows = [(row["frequency"], row["recency"], row["t"]) for row in forecast]
    theirs = ask("expected", parameters(model), quarters, rows)
    spent = [(row["frequency"], float(row["monetary_value"])) for row in forecast]
    values = dict(zip(map(tuple, spent), ask("values", [model["p"], model["q"], model["gamma"]], spent), strict=True))
    for row, key, (p_alive, *orders) in zip(forecast, spent, theirs, strict=True):
        assert (row["as_of"], row["model_no"]) == (day, model["model_no"])
        assert float(row["p_alive"]) == pytest.approx(p_alive, abs=6e-7)
        assert float(row["expected_orders"]) == pytest.approx(orders[-1], abs=1e-6)
        # Of whoever has bought once lifetimes says the same: everybody's mean.
        assert float(row["expected_order_value"]) == pytest.approx(values[key], abs=0.0051)
        steps = zip([0, *orders], orders, [0.125, 0.375, 0.625, 0.875], strict=False)
        discounted = sum((now - before) / (1 + rate) ** years for before, now, years in steps)
        assert float(row["expected_value"]) == pytest.approx(discounted * values[key], abs=0.0051)


# Whether it came true


def test_what_was_expected_is_compared_with_what_happened(cdnow: SimpleNamespace) -> None:
    """A model of weeks 1 to 39, followed through weeks 40 to 78."""
    found = rows_as_dicts(cdnow.url, "SELECT * FROM forecast.calibration ORDER BY frequency")
    assert [row["frequency"] for row in found] == list(range(8))
    model = cdnow.model[HALF]
    assert {(row["model_no"], row["as_of"], row["until"]) for row in found} == {(model["model_no"], HALF, END)}
    days = defaultdict(set)
    for number, day, amount in cdnow.bought:
        if amount > 0:
            days[number].add(day)
    actual, customers, expected = Counter(), Counter(), Counter()
    rows = cdnow.rfm[HALF]
    theirs = ask("expected", parameters(model), [39], [row[1:4] for row in rows])
    for (number, frequency, *_), (_, orders) in zip(rows, theirs, strict=True):
        customers[min(frequency, 7)] += 1
        expected[min(frequency, 7)] += orders
        actual[min(frequency, 7)] += sum(day > HALF for day in days[number])
    for row in found:
        assert (row["customers"], row["actual_orders"]) == (customers[row["frequency"]], actual[row["frequency"]])
        assert float(row["expected_orders"]) == pytest.approx(expected[row["frequency"]], abs=0.006)
    # As published, it expects an eighth too little of this shop.
    miss = 1 - float(sum(row["expected_orders"] for row in found)) / sum(row["actual_orders"] for row in found)
    assert 0.05 < miss < 0.15, miss


# A DAG of its own


@pytest.fixture(scope="module")
def dag() -> object:
    import customer_forecast

    return customer_forecast.dag


def test_files_and_tasks_of_the_forecast_are_the_same_set(dag: object) -> None:
    from in_run import LastRowCheckOperator, PlainSqlOperator

    assert sorted(dag.task_ids) == [f"forecast.{path.stem}" for path in FILES]
    for task in dag.tasks:
        name = task.task_id.removeprefix("forecast.")
        assert task.sql == f"forecast/{name}.sql"
        assert type(task) is (LastRowCheckOperator if "__" in name else PlainSqlOperator)
        assert task.doc_md.splitlines()[0].startswith(f"{task.task_id}: ")
        assert "__" in name or [line.split(":")[0] for line in task.doc_md.splitlines()[1:4]] == [
            "Grain",
            "Reads",
            "Write",
        ]
        assert task.retries == 3
        assert "__" in name or task.do_xcom_push is False
    assert len((ROOT / "dags" / "customer_forecast.py").read_text().splitlines()) <= 60


def test_a_check_comes_after_its_table_and_before_what_is_made_of_it(dag: object) -> None:
    after = {task.task_id: task.get_flat_relative_ids(upstream=True) for task in dag.tasks}
    for task_id in after:
        if "__" in task_id:
            assert task_id.partition("__")[0] in after[task_id]
    assert "forecast.cohorts" in after["forecast.clv_model"] & after["forecast.expectations"]
    assert "forecast.customer_rfm__agrees_with_customer_ltv" in after["forecast.cohorts"]
    assert {"forecast.scores__within_bounds", "forecast.scores__cover_every_buyer"} <= after[
        "forecast.customer_forecast"
    ]


def test_it_begins_with_the_publish_and_is_no_part_of_a_run(dag: object) -> None:
    import customer_ltv
    from in_run import fail_run

    outlets = [asset for task in customer_ltv.dag.tasks for asset in task.outlets]
    assert [(asset.name, asset.uri) for asset in dag.timetable.asset_condition.objects] == [
        (asset.name, asset.uri) for asset in outlets
    ]
    assert not any(task.task_id.startswith("forecast") for task in customer_ltv.dag.tasks)
    for known in (dag, *dag.tasks):
        assert fail_run not in (known.on_failure_callback or []), "it would fail a run that is not its own"


def test_what_goes_wrong_is_said_in_plain_words(warehouse: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from in_run import PlainSqlOperator

    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", warehouse)
    operator = PlainSqlOperator(
        task_id="forecast.scores",
        sql="SELECT 1;\nSELECT v::date FROM (VALUES ('Zebulon')) AS typed (v);",
        conn_id="warehouse",
    )
    with pytest.raises(psycopg.Error) as failed:
        operator.execute({})
    assert str(failed.value) == 'invalid input syntax for type date: "…" (sql/forecast/scores.sql)'


@pytest.mark.parametrize(("shift", "verdict"), [(0, "passed"), (1, "failed")])
def test_a_verdict_is_kept_and_shown_though_its_task_fails(
    shift: int, verdict: str, warehouse: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk.exceptions import AirflowException
    from in_run import LastRowCheckOperator

    open_limits(warehouse)
    run_pipeline(warehouse, shop(tmp_path), "2026-01-31", "first")
    run_forecast(warehouse)
    judged = "SELECT claim, verdict FROM forecast.check_results WHERE as_of = '2026-01-31' ORDER BY claim"
    claims = [f"forecast.{path.stem}" for path in FILES if "__" in path.stem]
    assert fetch(warehouse, judged) == [(claim, "passed") for claim in claims]
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", warehouse)
    execute(warehouse, "UPDATE forecast.scores SET p_alive = p_alive + %s", [shift])
    claim = "forecast.scores__within_bounds"
    sql = (SQL / "forecast" / "scores__within_bounds.sql").read_text()
    operator = LastRowCheckOperator(task_id=claim, sql=sql, conn_id="warehouse")
    with pytest.raises(AirflowException) if shift else nullcontext():
        operator.execute({})
    assert (claim, verdict) in fetch(warehouse, judged)
    said = f"{claim} failed: 300 of 300 bad, e.g. customer 1" if shift else None
    assert fetch(warehouse, "SELECT checks, not_passed, said, days_behind FROM marts.forecast_freshness") == [
        (len(claims), shift, said, 0)
    ]


def shop(folder: Path, customers: int = 300) -> Path:
    """Customers who buy now and then, half of them more than once."""
    orders = [
        (number, date(2025, 1 + (number * 7 + turn * 3) % 12, 1 + (number + turn) % 28))
        for number in range(1, customers + 1)
        for turn in range(1 + number % 4)
    ]
    return deliver(
        folder,
        customer_data=[customer(number) for number in range(1, customers + 1)],
        order_data=[[n, number, day, "Phone", 10 + n % 50] for n, (number, day) in enumerate(orders, start=1)],
        payment_data=[[n, number, n, day, 10 + n % 50] for n, (number, day) in enumerate(orders, start=1)],
    )


def test_neither_waits_for_the_other(warehouse: str, tmp_path: Path) -> None:
    """The forecast beside an open run, and a whole run beside an open forecast; neither writes what is the other's."""
    open_limits(warehouse)
    folder = shop(tmp_path)
    run_pipeline(warehouse, folder, "2026-01-31", "first")
    begin(warehouse, "2026-02-01", "second")
    before = fetch(warehouse, "SELECT run_no, task FROM audit.steps"), fetch(warehouse, "TABLE audit.check_results")
    run_forecast(warehouse)
    assert (
        fetch(warehouse, "SELECT run_no, task FROM audit.steps"),
        fetch(warehouse, "TABLE audit.check_results"),
    ) == before
    assert fetch(warehouse, "SELECT state FROM audit.runs ORDER BY run_no") == [("published",), ("open",)]
    assert fetch(warehouse, "SELECT count(*) FROM audit.hand_writes") == [(0,)]
    with psycopg.connect(warehouse) as forecasting:
        for name in ("customer_rfm", *FITTED, "scores", "customer_forecast"):
            run_file(forecasting, name)
        assert forecasting.execute("SELECT audit.in_a_run()").fetchone() == (False,)
        execute(warehouse, "SELECT audit.fail_run('second', 'by hand', 'a test')")
        run_pipeline(warehouse, folder, "2026-02-01", "third")
    assert fetch(warehouse, "SELECT as_of::text FROM marts.freshness") == [("2026-02-01",)]
    assert fetch(warehouse, "SELECT DISTINCT as_of::text FROM forecast.customer_forecast") == [("2026-01-31",)]


def test_a_night_computes_whom_it_has_changed_and_nobody_else(warehouse: str, tmp_path: Path) -> None:
    """A new day, refunds, a moved order, a first one; who is untouched is not looked at. An undo is everybody's."""
    open_limits(warehouse)
    taken = "SELECT of_everybody, change_no - after_change_no FROM forecast.freshness"
    run_pipeline(warehouse, shop(tmp_path / "first"), "2026-01-31", "first")
    run_forecast(warehouse)
    assert fetch(warehouse, taken) == [(True, 1)]
    # What no run has changed, as nothing else in the pipeline would.
    execute(
        warehouse,
        "SET LOCAL ltv.run_no = '1'; UPDATE forecast.customer_rfm SET monetary_value = 1 WHERE customer_id = 200",
    )
    night = deliver(
        tmp_path / "second",
        # One of them has bought nothing yet.
        customer_data=[customer(301), customer(302)],
        order_data=[
            [9001, 301, "2026-02-01", "Phone", 5],
            [9002, 2, "2026-02-01", "Phone", 6],
            [8, 9, "2026-01-03", "Phone", 7],
        ],
        payment_data=[
            [9001, 301, 9001, "2026-02-01", 5],
            [9002, 2, 9002, "2026-02-01", 6],
            [9003, 5, 12, "2026-02-01", -1],
            # All that this one has paid.
            [9004, 4, 10, "2026-02-01", -20],
        ],
    )
    run_pipeline(warehouse, night, "2026-02-01", "second")
    with psycopg.connect(warehouse) as connection:
        run_file(connection, "customer_rfm")
    ((of_everybody, changed),) = fetch(warehouse, taken)
    assert not of_everybody
    assert fetch(warehouse, "SELECT as_of::text, run_no FROM forecast.freshness") == [("2026-02-01", 2)]
    assert 7 <= changed <= 8
    assert fetch(warehouse, "SELECT rule FROM audit.rejected_rows") == []
    assert fetch(warehouse, "SELECT customer_id FROM forecast.customer_rfm WHERE customer_id IN (4, 5)") == [(5,)]
    assert fetch(warehouse, "SELECT monetary_value FROM forecast.customer_rfm WHERE customer_id = 200") == [(1,)]
    # The file itself, edited.
    text = (SQL / "forecast" / "customer_rfm.sql").read_text()
    for edited, is_everybody in ((text, False), (text + "-- Edited.\n", True), (text, True), (text, False)):
        execute(warehouse, edited)
        assert fetch(warehouse, taken) == [(is_everybody, 0)]
    assert fetch(warehouse, "SELECT monetary_value FROM forecast.customer_rfm WHERE customer_id = 200") != [(1,)]
    # An edit of what follows from the same days and amounts is one too.
    kept = "SELECT sum(recency), sum(mean_amount), min(sample) FROM forecast.customer_rfm"
    ((recency, mean, _),) = fetch(warehouse, kept)
    execute(
        warehouse,
        text.replace("/ 7 AS recency", "AS recency")
        .replace("::double precision AS mean_amount", " * 2 AS mean_amount")
        .replace("forecast.sample_of(bought.customer_id)", "101"),
    )
    assert fetch(warehouse, kept) == [(pytest.approx(7 * recency), pytest.approx(2 * mean), 101)]
    execute(warehouse, text)
    assert fetch(warehouse, kept)[0][:2] == (pytest.approx(recency), pytest.approx(mean))
    # For more than half of the 300 it is cheaper to read everything.
    for many, is_everybody in ((150, False), (151, True)):
        execute(
            warehouse,
            f"""SET LOCAL ltv.run_no = '2';
            INSERT INTO core.changed_customers (run_no, customer_id)
            SELECT 2, number FROM generate_series(1, {many}) AS number""",
        )
        execute(warehouse, text)
        assert fetch(warehouse, taken) == [(is_everybody, many)]
    execute(warehouse, "SELECT audit.undo_run(2, 'Ann', 'the wrong file')")
    run_forecast(warehouse)
    assert fetch(warehouse, taken)[0][0]
    assert fetch(warehouse, "SELECT count(*) FROM forecast.customer_rfm WHERE customer_id = 301") == [(0,)]


def test_for_one_row_no_room_is_made_for_a_million(warehouse: str) -> None:
    """Nobody analyzes a table of one row: what it is joined with would be thought to come a million times over."""
    asking = sqlparse.split((SQL / "forecast" / "customer_rfm.sql").read_text())[1]
    assert "INSERT INTO forecast.freshness" in asking
    assert fetch(warehouse, f"EXPLAIN (FORMAT JSON) {asking}")[0][0][0]["Plan"]["Total Cost"] < 1_000_000


def test_whom_a_run_has_changed_that_began_again_after_two_weeks_is_not_missed(warehouse: str, tmp_path: Path) -> None:
    """It has published before, the forecast knows of it, and what it noted the second time has expired at once."""
    open_limits(warehouse)
    run_pipeline(warehouse, shop(tmp_path / "first"), "2026-01-31", "first")
    run_forecast(warehouse)
    execute(
        warehouse,
        """UPDATE audit.runs SET state = 'failed', started_at = started_at - interval '15 days';
        SET LOCAL ltv.run_no = '1';
        INSERT INTO core.changed_customers (run_no, customer_id) SELECT 1, n FROM generate_series(1, 50) AS n""",
    )
    for turn, (day, run) in enumerate([("2026-01-31", "first"), ("2026-02-01", "second")], start=9001):
        night = deliver(
            tmp_path / run / "again",
            customer_data=[customer(turn)],
            order_data=[[turn, turn - 8999, "2026-01-30", "Phone", 5]],
            payment_data=[[turn, turn - 8999, turn, "2026-01-30", 5]],
        )
        run_pipeline(warehouse, night, day, run)
    written = "SELECT rows_written FROM audit.steps WHERE run_no = 2 AND task = 'core.customer_activity'"
    # The 51 that have expired are not counted.
    assert fetch(warehouse, written) == [(2,)]
    run_forecast(warehouse)


def test_whom_a_later_day_has_changed_is_computed_when_that_is_published(warehouse: str, tmp_path: Path) -> None:
    """While the next run is at work the forecast leaves its customers to the next forecast, and forgets nobody."""
    open_limits(warehouse)
    run_pipeline(warehouse, shop(tmp_path / "first"), "2026-01-31", "first")
    run_forecast(warehouse)
    night = deliver(
        tmp_path / "second",
        customer_data=[customer(2)],
        order_data=[[9002, 2, "2026-02-01", "Phone", 6]],
        payment_data=[[9002, 2, 9002, "2026-02-01", 6]],
    )
    begin(warehouse, "2026-02-01", "second")
    with psycopg.connect(warehouse) as connection:
        for task in tasks():
            if task.task_id != "begin":
                commit_task(connection, task, night, "second")
            if task.task_id == "core.customer_activity":
                run_forecast(warehouse)
    assert fetch(warehouse, "SELECT as_of::text, of_everybody FROM forecast.freshness") == [("2026-01-31", False)]
    run_forecast(warehouse)
    assert fetch(warehouse, "SELECT as_of::text, of_everybody FROM forecast.freshness") == [("2026-02-01", False)]


def test_a_forecast_of_what_is_not_published_is_refused(warehouse: str, tmp_path: Path) -> None:
    open_limits(warehouse)
    run_pipeline(warehouse, shop(tmp_path), "2026-01-31", "first")
    # As the next run does, which has not published yet.
    execute(warehouse, "SET LOCAL ltv.run_no = '1'; UPDATE core.payments SET amount = amount + 1 WHERE payment_id = 1")
    with pytest.raises(AssertionError, match=r"^forecast.customer_rfm__agrees_with_customer_ltv"):
        run_forecast(warehouse)
    assert fetch(warehouse, "SELECT count(*) FROM forecast.customer_forecast") == [(0,)]


def test_a_second_forecast_of_a_day_writes_nothing(warehouse: str, tmp_path: Path) -> None:
    open_limits(warehouse)
    run_pipeline(warehouse, shop(tmp_path), "2026-01-31", "first")
    run_forecast(warehouse)
    kept = "SELECT ctid, xmin, customer_id FROM forecast.customer_forecast ORDER BY customer_id"
    before = fetch(warehouse, kept)
    assert len(before) == 300
    run_forecast(warehouse)
    assert fetch(warehouse, kept) == before
    assert fetch(warehouse, "SELECT count(*) FROM forecast.clv_model") == [(1,)]


def test_a_model_of_days_that_were_taken_back_forecasts_nothing(warehouse: str, tmp_path: Path) -> None:
    open_limits(warehouse)
    folder = shop(tmp_path)
    run_pipeline(warehouse, folder, "2026-01-31", "first")
    run_forecast(warehouse)
    run_pipeline(warehouse, folder, "2026-02-28", "second")
    run_forecast(warehouse)
    assert fetch(warehouse, "SELECT DISTINCT as_of::text, model_no FROM forecast.customer_forecast") == [
        ("2026-02-28", 2)
    ]
    execute(warehouse, "SET LOCAL ltv.run_no = '1'; UPDATE marts.freshness SET as_of = '2026-01-31'")
    run_forecast(warehouse)
    assert fetch(warehouse, "SELECT DISTINCT as_of::text, model_no FROM forecast.customer_forecast") == [
        ("2026-01-31", 1)
    ]


def test_a_model_stands_unless_what_it_was_fitted_to_has_been_undone(warehouse: str) -> None:
    """Run 2 began at two and was undone at four."""
    execute(
        warehouse,
        """INSERT INTO audit.runs (dag_run_id, as_of, state, fingerprint, started_at, ended_at)
        VALUES
        ('one', '2026-01-30', 'published', '', '2026-02-01 01:00', '2026-02-01 01:10'),
        ('two, undone by run 3', '2026-01-31', 'undone', '', '2026-02-01 02:00', '2026-02-01 02:10'),
        ('undo of run 2', '2026-01-30', 'published', '', '2026-02-01 04:00', '2026-02-01 04:00'),
        ('called, undone by run 3', '2026-01-30', 'failed', '', '2026-02-01 02:00', '2026-02-01 02:10')""",
    )
    execute(
        warehouse,
        """INSERT INTO forecast.clv_model (verdict, customers, repeat_customers, seconds, as_of, fitted_at)
        SELECT 'refused: a test', 0, 0, 0, as_of::date, fitted_at::timestamptz
        FROM (
            VALUES
            -- Of the day before, of the same day and the next; before it began; after the undo.
            ('2026-01-30', '2026-02-01 03:00'), ('2026-01-31', '2026-02-01 03:00'), ('2026-02-01', '2026-02-01 03:00'),
            ('2026-01-31', '2026-02-01 01:30'), ('2026-01-31', '2026-02-01 05:00')
        ) AS fit (as_of, fitted_at)""",
    )
    assert fetch(warehouse, "SELECT model_no FROM forecast.active_models ORDER BY model_no") == [(1,), (4,), (5,)]


def test_a_model_of_what_is_undone_while_it_is_fitted_does_not_stand(warehouse: str, tmp_path: Path) -> None:
    open_limits(warehouse)
    folder = shop(tmp_path)
    run_pipeline(warehouse, folder, "2026-01-31", "first")
    run_forecast(warehouse)
    run_pipeline(warehouse, folder, "2026-02-28", "second")
    with psycopg.connect(warehouse) as connection:
        for name in ("customer_rfm", "cohorts", "repeat_buyers"):
            run_file(connection, name)
    execute(warehouse, "SELECT audit.undo_run(2, 'Ann', 'the wrong file')")
    with psycopg.connect(warehouse) as connection:
        run_file(connection, "clv_model")
    assert fetch(warehouse, "SELECT as_of::text FROM forecast.clv_model") == [("2026-01-31",), ("2026-02-28",)]
    assert fetch(warehouse, "SELECT as_of::text FROM forecast.active_models") == [("2026-01-31",)]
    with psycopg.connect(warehouse) as connection:
        # Half a year later it is not judged by what it was not fitted to.
        connection.execute("SET LOCAL ltv.run_no = '1'; UPDATE marts.freshness SET as_of = '2026-08-31'")
        judged = connection.execute("SELECT DISTINCT model_no, as_of::text FROM forecast.calibration").fetchall()
        connection.rollback()
    assert judged == [(1, "2026-01-31")]
    # Nor does it spare the next one, of the right files.
    run_pipeline(warehouse, folder, "2026-02-28", "third")
    run_forecast(warehouse)
    assert fetch(warehouse, "SELECT DISTINCT model_no FROM forecast.customer_forecast") == [(3,)]


def test_nobody_is_forecast_when_the_only_publish_has_been_undone(warehouse: str, tmp_path: Path) -> None:
    open_limits(warehouse)
    run_pipeline(warehouse, shop(tmp_path), "2026-01-31", "first")
    for _ in range(2):
        run_forecast(warehouse)
    assert fetch(warehouse, "SELECT of_everybody FROM forecast.freshness") == [(False,)]
    execute(warehouse, "SELECT audit.undo_run(1, 'Ann', 'the wrong files')")
    run_forecast(warehouse)
    for table in ("freshness", "customer_rfm", "scores", "customer_forecast"):
        assert fetch(warehouse, f"SELECT FROM forecast.{table}") == []


def test_which_models_stand_is_found_as_fast_after_years_of_runs(warehouse: str) -> None:
    with psycopg.connect(warehouse) as connection:
        connection.execute(
            """INSERT INTO audit.runs (dag_run_id, as_of, state, fingerprint)
            SELECT number::text, '2026-01-31', 'published', '' FROM generate_series(1, 2000) AS number"""
        )
        connection.execute("ANALYZE audit.runs")
        (plan,) = connection.execute("EXPLAIN (FORMAT JSON) TABLE forecast.active_models").fetchone()
        connection.rollback()
    # Not the square of their number.
    assert plan[0]["Plan"]["Total Cost"] < 2000


def test_whoever_is_forgotten_is_not_forecast_any_more(warehouse: str, tmp_path: Path) -> None:
    open_limits(warehouse)
    run_pipeline(warehouse, shop(tmp_path), "2026-01-31", "first")
    run_forecast(warehouse)
    execute(warehouse, "SELECT core.forget_customer(7)")
    tables = fetch(
        warehouse,
        """SELECT attrelid::regclass::text FROM pg_catalog.pg_attribute INNER JOIN pg_catalog.pg_class
            ON attrelid = pg_class.oid WHERE attname = 'customer_id' AND relkind = 'r'
            AND relnamespace = 'forecast'::regnamespace ORDER BY 1""",
    )
    assert tables == [
        ("forecast.customer_forecast",),
        ("forecast.customer_forecast_history",),
        ("forecast.customer_rfm",),
        ("forecast.scores",),
    ]
    assert fetch(warehouse, "SELECT count(*) FROM core.changed_customers WHERE customer_id = 7") == [(0,)]
    for (table,) in tables:
        assert fetch(warehouse, f"SELECT count(*), count(*) FILTER (WHERE customer_id = 7) FROM {table}") == [(299, 0)]


@pytest.mark.parametrize("file", ["customer_rfm", "customer_forecast"])
def test_whoever_is_forgotten_meanwhile_does_not_come_back(file: str, warehouse: str, tmp_path: Path) -> None:
    open_limits(warehouse)
    run_pipeline(warehouse, shop(tmp_path), "2026-01-31", "first")
    run_forecast(warehouse)
    written = {
        "customer_rfm": ["customer_rfm"],
        "customer_forecast": ["customer_forecast", "customer_forecast_history"],
    }[file]
    for table in [*written, "freshness"] if file == "customer_rfm" else written:
        execute(warehouse, f"TRUNCATE forecast.{table}")
    erasing = Thread(target=execute, args=[warehouse, "SELECT core.forget_customer(7)"])
    with psycopg.connect(warehouse) as forecasting:
        run_file(forecasting, file)
        erasing.start()
        waiting = f"SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'forecast.{file}'::regclass"
        while fetch(warehouse, waiting) == [(0,)]:
            assert erasing.is_alive()
    erasing.join()
    for table in written:
        assert fetch(
            warehouse,
            f"SELECT count(DISTINCT customer_id), count(*) FILTER (WHERE customer_id = 7) FROM forecast.{table}",
        ) == [(299, 0)]


def test_analysts_read_the_forecast_and_nothing_that_it_is_made_from(
    warehouse: str, cluster: server.Server, tmp_path: Path
) -> None:
    open_limits(warehouse)
    run_pipeline(warehouse, shop(tmp_path), "2026-01-31", "first")
    run_forecast(warehouse)
    with psycopg.connect(database_url(cluster, "ltv_test", admin=True)) as connection:
        connection.execute("SET ROLE ltv_analyst")
        for name, rows in (("customer_forecast", 300), ("clv_model", 1)):
            assert connection.execute(f"SELECT count(*) FROM marts.{name}").fetchone() == (rows,)
        for statement in (
            "TABLE forecast.customer_rfm",
            "TABLE forecast.customer_forecast",
            "DELETE FROM marts.clv_model",
            "UPDATE marts.customer_forecast SET p_alive = 1",
            "SELECT forecast.climb('forecast.bg_nbd_gradient', '{0,0,0,0}')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute(statement)


def test_a_whole_forecast_by_airflow(warehouse: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    open_limits(warehouse)
    run_pipeline(warehouse, shop(tmp_path_factory.mktemp("shop")), "2026-01-31", "first")
    done = subprocess.run(
        [sys.executable, "-c", "from customer_forecast import dag; print(dag.test().state)"],
        env=airflow_settings(new_airflow_home(tmp_path_factory), warehouse) | {"PYTHONPATH": str(ROOT / "dags")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split()[-1] == "success", done.stdout[-2000:]
    assert "forecast.scores__within_bounds passed: 0 of 300 bad" in done.stdout + done.stderr
    assert fetch(warehouse, "SELECT count(*), count(expected_value) FROM forecast.customer_forecast") == [(300, 300)]
