"""`marts.why`: the story of one customer's number, for whoever asks; and which SQL files a run was made of."""

import hashlib
import re
from pathlib import Path

import pipeline
import psycopg
import pytest
from conftest import database_url
from sql_files import SQL, file_fingerprints
from support import customer, deliver, execute, fetch, open_limits

TIMES = "\N{MULTIPLICATION SIGN}"
RULE = "sql/definitions/functions/core.a_paid_order.sql"


def why(url: str, customer_id: int) -> dict[str, list[str]]:
    """What is told of a customer, by topic."""
    told: dict[str, list[str]] = {}
    for topic, said in fetch(url, "SELECT topic, said FROM marts.why(%s)", [customer_id]):
        told.setdefault(topic, []).append(said)
    return told


ORDERS = [
    [11, 1, "2025-01-01", "sim", "100.00"],
    [12, 1, "2025-07-02", "sim", "50.00"],
    [13, 1, "2025-07-03", "sim", "60.00"],
    [14, 1, "2025-07-04", "sim", "-1.00"],
    [15, 1, "2026-02-10", "sim", "20.00"],
    [21, 2, "2025-01-01", "sim", "70.00"],
]
PAYMENTS = [
    [101, 1, 11, "2025-01-01", "60.00"],
    [102, 1, 11, "2025-01-15", "40.00"],
    [103, 1, 12, "2025-07-02", "50.00"],
    [104, 1, 12, "2025-07-09", "-50.00"],
    [105, 1, 99, "2025-07-10", "30.00"],
]


@pytest.fixture
def told(warehouse: str, tmp_path: Path) -> str:
    """A warehouse with one publish, of which everything can be told."""
    open_limits(warehouse)
    people = [customer(1), customer(2, country="Uganda"), customer(3)]
    folder = deliver(tmp_path / "first", customer_data=people, order_data=ORDERS, payment_data=PAYMENTS)
    pipeline.run_pipeline(warehouse, folder, "2026-01-31", "first night")
    return warehouse


def test_what_counts_and_what_does_not_is_told_with_the_reason(told: str) -> None:
    # It is read from above: what the number is, what it is made of, what it is not, and since when.
    topics = "ltv, window, lifespan, customer, counts, does not count, waits, rejected, run, changed"
    assert ", ".join(why(told, 1)) == topics
    assert why(told, 1) == {
        "ltv": [f"100.00 as of 2026-01-31: 100.00 a paid order {TIMES} 1.0000 paid orders a year {TIMES} 1.0 years"],
        "window": [
            (
                "1 paid orders, 100.00 in all, from 2025-01-01 to 2025-01-01; "
                "spread over 12 whole months up to 2026-01-31, at least 12"
            )
        ],
        "lifespan": [
            (
                "1.0 years, one number for everybody: the mean time between first and last paid order "
                "of the 0 customers with two or more, at least 1"
            )
        ],
        "customer": ["country Rwanda"],
        "counts": ["order 11 of 2025-01-01, price 100.00: 100.00 paid (60.00 on 2025-01-01, 40.00 on 2025-01-15)"],
        "does not count": [
            "order 12 of 2025-07-02, price 50.00: refunded, 0.00 is left (50.00 on 2025-07-02, -50.00 on 2025-07-09)",
            "order 13 of 2025-07-03, price 60.00: unpaid, there is no payment",
        ],
        "rejected": ["order_data.csv line 5, order 14: price negative: a price is 0 or more (last seen in run 1)"],
        "waits": [
            "order_data.csv line 6, order 15: order_date waits: it lies after the as-of date (last seen in run 1)",
            (
                "payment_data.csv line 6, payment 105 of order 99: order_id waits: its order has not arrived "
                "(last seen in run 1)"
            ),
        ],
        "run": [
            (
                "run_no 1 (first night) as of 2026-01-31 published this number; "
                "the last publish with anything new, a number or the day, is run_no 1 as of 2026-01-31"
            )
        ],
        "changed": [
            "published for the first time",
            "order 11 of 2025-01-01, price 100.00: came or changed in that run",
            "order 12 of 2025-07-02, price 50.00: came or changed in that run",
            "order 13 of 2025-07-03, price 60.00: came or changed in that run",
        ],
    }
    assert why(told, 2)["ltv"] == ["0.00 as of 2026-01-31: no paid order"]
    assert why(told, 2)["customer"] == ["country Uganda"]
    assert set(why(told, 3)) == {"ltv", "customer", "run", "changed"}


def test_what_has_changed_since_the_publish_before_is_told(told: str, tmp_path: Path) -> None:
    folder = deliver(
        tmp_path / "second",
        customer_data=[customer(1)],
        order_data=[ORDERS[0]],
        payment_data=[[106, 1, 13, "2026-01-31", "60.00"]],
    )
    pipeline.run_pipeline(told, folder, "2026-01-31", "second night")
    changed = why(told, 1)["changed"]
    assert changed[0].startswith(
        "before: ltv 100.00 as of 2026-01-31 (run_no 1); avg_order_value 100.00 → 80.00, last_order_date "
    )
    assert changed[0].endswith(", total_amount 100.00 → 160.00, total_orders 1 → 2")
    assert changed[1:] == ["order 13 of 2025-07-03, price 60.00: came or changed in that run"]
    # Nobody has brought anything of customer 2: the number stands as it did.
    assert why(told, 2)["run"] == [
        (
            "run_no 1 (first night) as of 2026-01-31 published this number; "
            "the last publish with anything new, a number or the day, is run_no 2 as of 2026-01-31"
        )
    ]

    # As if the rule had been edited between the two.
    execute(
        told,
        """INSERT INTO audit.sql_files (fingerprint, file, sha256)
        SELECT 'before', file, CASE WHEN file = %s THEN 'other' ELSE sha256 END FROM audit.sql_files""",
        [RULE],
    )
    execute(told, "UPDATE audit.runs SET fingerprint = 'before' WHERE run_no = 1")
    assert why(told, 1)["changed"][2:] == [f"other SQL than before: {RULE}"]
    # What an older run was made of nobody has noted.
    execute(told, "DELETE FROM audit.sql_files WHERE fingerprint = 'before'")
    assert why(told, 1)["changed"][2:] == []


def test_a_run_that_has_not_published_is_told_of(told: str, tmp_path: Path) -> None:
    folder = deliver(tmp_path / "second", customer_data=[customer(1)], order_data=[], payment_data=[])
    deliver(folder, order_data=[[16, 1, "2026-01-31", "sim", "10.00"]], payment_data=[PAYMENTS[0]])
    pipeline.begin(told, "2026-01-31", "second night")
    with psycopg.connect(told) as connection:
        for task in pipeline.tasks():
            if task.task_id.startswith(("raw", "staging", "core.orders", "core.customers")):
                pipeline.commit_task(connection, task, folder, "second night")
    assert why(told, 1)["not yet published"] == [
        "run_no 2 (open) has changed core since: the orders above may be newer than the number"
    ]


def test_what_a_failed_run_has_changed_is_published_by_the_next_though_no_number_is_new(
    told: str, tmp_path: Path
) -> None:
    folder = deliver(tmp_path / "second", customer_data=[customer(1, first_name="Anna")])
    deliver(folder, order_data=ORDERS[:1], payment_data=PAYMENTS[:1])
    pipeline.begin(told, "2026-01-31", "second night")
    with psycopg.connect(told) as connection:
        for task in pipeline.tasks():
            if task.task_id.startswith(("raw", "staging")) or task.task_id == "core.customers":
                pipeline.commit_task(connection, task, folder, "second night")
    execute(told, "SELECT audit.fail_run('second night', 'by hand', 'test')")
    assert why(told, 1)["not yet published"][0].startswith("run_no 2 (failed) has changed core since")
    pipeline.run_pipeline(told, folder, "2026-01-31", "third night")
    assert fetch(told, "SELECT run_no FROM marts.freshness") == [(1,)]
    assert "not yet published" not in why(told, 1)


def test_a_rule_that_was_deployed_since_the_publish_is_told_of(told: str) -> None:
    """The orders are judged by the rule of now, the number was made by that of then."""
    assert "not yet published" not in why(told, 1)
    rule = (SQL.parent / RULE).read_text()
    execute(told, re.sub(r"RETURN [^;]+;", "RETURN net_payments > 100;", rule))
    story = why(told, 1)
    assert "counts" not in story
    assert story["window"][0].startswith("1 paid orders, 100.00 in all")
    assert story["not yet published"] == [
        (
            "by the rows and the rules of now the orders above are 0 paid orders, 0 in all: "
            "the published number was made otherwise"
        )
    ]
    execute(told, re.sub(r"RETURN [^;]+;", "RETURN net_payments >= 0;", rule))
    assert why(told, 1)["not yet published"] == [
        (
            "by the rows and the rules of now the orders above are 2 paid orders, 100.00 in all, "
            "from 2025-01-01 to 2025-07-02: the published number was made otherwise"
        )
    ]


def test_a_number_that_nobody_has_is_said_to_be_unknown(told: str) -> None:
    assert why(told, 999) == {"unknown": ["customer 999 is in no table: no delivery has brought this number"]}
    execute(told, "SELECT core.forget_customer(1)")
    assert list(why(told, 1)) == ["forgotten"]
    assert why(told, 1)["forgotten"][0].startswith("this customer was erased on 20")


def test_a_customer_whose_line_was_refused_is_told_so(told: str, tmp_path: Path) -> None:
    people = [customer(7, date_of_birth="soon"), customer(1)]
    folder = deliver(tmp_path / "second", customer_data=people, order_data=ORDERS[:1], payment_data=PAYMENTS[:1])
    (folder / "customer_data.csv").write_text((folder / "customer_data.csv").read_text() + "8,too,few\n")
    pipeline.run_pipeline(told, folder, "2026-01-31", "second night")
    assert list(why(told, 7)) == ["rejected"]
    assert why(told, 7)["rejected"][0].startswith("customer_data.csv line 2: date_of_birth not_a_day: ")
    assert why(told, 8)["rejected"][0].startswith("customer_data.csv line 4, no record, which may be this customer's: ")
    told_of_7 = " ".join(said for sentences in why(told, 7).values() for said in sentences)
    assert not [word for word in ("Ann", "Uwase", "example.com", "soon") if word in told_of_7]


def test_of_many_rejects_only_those_with_the_number_are_looked_into(told: str, cluster) -> None:
    execute(
        told,
        r"""INSERT INTO audit.rejected_rows (
            source, file, line_no, reason, fields, line, header, first_run_no, last_run_no
        )
        SELECT
            'order_data', 'order_data.csv', 100 + number, 'price missing: an order needs a price',
            CASE WHEN number % 2 = 0 THEN jsonb_build_object('order_id', name, 'customer_id', known.text) END,
            CASE WHEN number % 2 = 1 THEN name || ',' || known.text END,
            CASE WHEN number % 2 = 1 THEN ARRAY['order_id', 'customer_id'] END, 1, 1
        FROM (
            SELECT
                number,
                translate(number::text, '0123456789', 'acdfghijkl') AS name,
                CASE number WHEN 1 THEN '5' WHEN 2 THEN '005' WHEN 3 THEN '5e0' WHEN 4 THEN '0x5' ELSE '6' END AS text
            FROM generate_series(1, 2000) AS rows (number)
        ) AS known""",
    )
    assert [said.partition(",")[0] for said in why(told, 5)["rejected"]] == [
        f"order_data.csv line {line}" for line in (101, 102, 103, 104)
    ]
    name = psycopg.conninfo.conninfo_to_dict(told)["dbname"]
    with psycopg.connect(database_url(cluster, name, admin=True)) as connection:
        connection.execute("SET LOCAL track_functions = 'all'")
        connection.execute("SELECT FROM marts.why(5)")
        calls = "SELECT sum(calls) FROM pg_stat_xact_user_functions WHERE funcname = 'number_of'"
        assert connection.execute(calls).fetchone()[0] < 50


def test_an_analyst_may_ask_and_nobody_else_may(told: str, cluster) -> None:
    with psycopg.connect(
        database_url(cluster, psycopg.conninfo.conninfo_to_dict(told)["dbname"], admin=True)
    ) as connection:
        connection.execute("SET ROLE ltv_analyst")
        assert connection.execute("SELECT count(*) FROM marts.why(1)").fetchone()[0] > 10
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for schema core"):
            connection.execute("SELECT FROM core.orders")
        connection.rollback()
        for role in ("ltv_monitor", "ltv_steward"):
            connection.execute(f"SET ROLE {role}")
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied"):
                connection.execute("SELECT FROM marts.why(1)")
            connection.rollback()


def test_what_a_caller_makes_does_not_work_with_the_rights_of_the_owner(told: str, tmp_path: Path, cluster) -> None:
    """A temporary type that is called like one of PostgreSQL's: its CHECK is a function of the caller's."""
    folder = deliver(tmp_path / "second", customer_data=[customer(1)], order_data=ORDERS[:1], payment_data=PAYMENTS[:1])
    (folder / "customer_data.csv").write_text((folder / "customer_data.csv").read_text() + "8,too,few\n")
    (folder / "order_data.csv").write_text((folder / "order_data.csv").read_text() + "16,1,soon,sim,1.00\n")
    pipeline.run_pipeline(told, folder, "2026-01-31", "second night")
    execute(told, "SELECT core.forget_customer(3)")
    pipeline_login = psycopg.conninfo.conninfo_to_dict(told)
    with psycopg.connect(database_url(cluster, pipeline_login["dbname"], admin=True)) as connection:
        connection.execute(f"GRANT TEMPORARY ON DATABASE {pipeline_login['dbname']} TO ltv_analyst")
        connection.execute("SET SESSION AUTHORIZATION ltv_analyst")
        connection.execute(
            """CREATE FUNCTION pg_temp.look(who name) RETURNS boolean LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'this is %', who; END $$"""
        )
        for name in ("text", "date", "jsonb", "int8", "float8", "regclass"):
            connection.execute(f"CREATE DOMAIN pg_temp.{name} AS pg_catalog.{name} CHECK (pg_temp.look(current_user))")
        for customer_id in (1, 2, 3, 8, 99):
            assert connection.execute("SELECT count(*) FROM marts.why(%s)", [customer_id]).fetchone() > (0,)
        connection.execute("SELECT FROM marts.customer_forecast_as_of('2026-01-31'::pg_catalog.date)")


def test_every_file_of_a_run_is_noted_once(told: str, tmp_path: Path) -> None:
    folder = deliver(tmp_path / "second", customer_data=[customer(1)], order_data=ORDERS[:1], payment_data=PAYMENTS[:1])
    pipeline.run_pipeline(told, folder, "2026-01-31", "second night")
    noted = fetch(
        told,
        """SELECT runs.run_no, sql_files.file, sql_files.sha256
        FROM audit.runs INNER JOIN audit.sql_files ON runs.fingerprint = sql_files.fingerprint""",
    )
    files = file_fingerprints()
    assert sorted(noted) == sorted((run_no, *file) for run_no in (1, 2) for file in files.items())
    assert fetch(told, "SELECT count(*) FROM audit.sql_files") == [(len(files),)]
    assert files[RULE] == hashlib.sha256((SQL.parent / RULE).read_bytes()).hexdigest()
    assert not [file for file in files if file.startswith("sql/forecast/")]
