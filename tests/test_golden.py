"""Whole runs against numbers that were computed elsewhere: by hand, or by plain Python from the design's words."""

import csv
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random

import psycopg
import pytest
import server
from conftest import ROOT
from pipeline import CheckFailedError, begin, run_pipeline, run_task, tasks
from support import (
    COLUMNS,
    Line,
    a_paid_order,
    customer,
    deliver,
    execute,
    fetch,
    judge_customers,
    judge_orders,
    judge_payments,
    open_limits,
    rows_of,
    warehouse_of,
)

DATA = ROOT / "data"
AS_OF = date(2026, 1, 31)
MTN_SAMPLE = ROOT.parent / "shared" / "mtn-sample"


@pytest.fixture(scope="module")
def published(cluster: server.Server, template: str) -> Iterator[str]:
    """The URL of a warehouse in which data/ has been published once. Tests only read it."""
    with warehouse_of(cluster, template, "ltv_golden") as url:
        run_pipeline(url, DATA, AS_OF.isoformat(), "golden")
        yield url


@pytest.fixture(scope="module")
def judged() -> dict[str, list[Line]]:
    """The lines of data/ with the verdicts of the independent computation."""
    return judge(DATA, AS_OF)


def judge(folder: Path, as_of: date) -> dict[str, list[Line]]:
    received = {}
    for source in COLUMNS:
        with (folder / f"{source}.csv").open(encoding="utf-8", newline="") as file:
            received[source] = list(enumerate(csv.DictReader(file), start=2))
    customers = judge_customers(received["customer_data"], as_of)
    orders = judge_orders(received["order_data"], as_of, {line.key for line in good(customers)})
    owners = {line.key: line.values["customer_id"] for line in good(orders)}
    payments = judge_payments(received["payment_data"], as_of, owners)
    return {"customer_data": customers, "order_data": orders, "payment_data": payments}


def good(lines: list[Line]) -> list[Line]:
    return [line for line in lines if line.rule is None]


def rounded(value: Fraction, decimals: int) -> Decimal:
    """Half away from zero, as a person rounds; the value is not negative."""
    scaled = value * 10**decimals
    return Decimal(int(scaled + Fraction(1, 2))).scaleb(-decimals)


def lifetime_values(judged: dict[str, list[Line]], as_of: date) -> dict[int, tuple]:
    """Section 4 of the design, for every customer."""
    net: dict[int, Decimal] = defaultdict(Decimal)
    for payment in good(judged["payment_data"]):
        net[payment.values["order_id"]] += payment.values["amount"]
    paid = defaultdict(list)
    for order in good(judged["order_data"]):
        if a_paid_order(net[order.key], order.values["price"]):
            paid[order.values["customer_id"]].append((order.values["order_date"], net[order.key]))
    spans = [max(orders)[0] - min(orders)[0] for orders in paid.values() if len(orders) > 1]
    mean = Fraction(sum(span.days for span in spans), len(spans)) / Fraction("365.25") if spans else Fraction(1)
    lifespan = max(rounded(mean, 1), Decimal(1))
    values = {}
    for line in good(judged["customer_data"]):
        orders = paid[line.key]
        if not orders:
            values[line.key] = (0, Decimal(0), None, Decimal(0), None, None, Decimal(0), lifespan)
            continue
        first, last = min(orders)[0], max(orders)[0]
        months = 12 * (as_of.year - first.year) + as_of.month - first.month - (as_of.day < first.day)
        years = Fraction(max(months, 12), 12)
        total = sum(amount for _, amount in orders)
        values[line.key] = (
            len(orders),
            total,
            rounded(Fraction(total) / len(orders), 2),
            rounded(Fraction(total) / len(orders) * (len(orders) / years) * Fraction(lifespan), 2),
            first,
            last,
            rounded(len(orders) / years, 4),
            lifespan,
        )
    return values


def test_the_mtn_sample_gives_the_numbers_agreed_on(warehouse: str) -> None:
    if not MTN_SAMPLE.is_dir():
        pytest.skip(f"{MTN_SAMPLE} is not here")
    run_pipeline(warehouse, MTN_SAMPLE, "2023-01-31")
    rows = fetch(warehouse, "SELECT customer_id, ltv, total_orders FROM marts.customer_ltv ORDER BY customer_id")
    assert rows == [
        *((number, Decimal(ltv), 1) for number, ltv in enumerate((500, 700, 1000, 100, 250), start=1)),
        *((number, Decimal(0), 0) for number in range(6, 11)),
    ]
    assert fetch(warehouse, "SELECT sum(ltv) FROM marts.customer_ltv") == [(Decimal(2550),)]
    assert fetch(warehouse, "SELECT as_of FROM marts.freshness") == [(date(2023, 1, 31),)]


def test_every_column_of_every_customer_is_as_recomputed(published: str, judged: dict[str, list[Line]]) -> None:
    rows = fetch(
        published,
        """SELECT customer_id, total_orders, total_amount, avg_order_value, ltv, first_order_date, last_order_date,
            orders_per_year, avg_lifespan_years, changed_as_of, customer_ltv.run_no, updated_at = published_at
        FROM marts.customer_ltv CROSS JOIN marts.freshness ORDER BY customer_id""",
    )
    expected = lifetime_values(judged, AS_OF)
    assert [row[0] for row in rows] == sorted(expected)
    for row in rows:
        assert row == (row[0], *expected[row[0]], AS_OF, 1, True)
    assert fetch(
        published,
        """SELECT count(*) FROM information_schema.columns
        WHERE table_schema = 'marts' AND table_name = 'customer_ltv'""",
    ) == [(12,)], "a column that this test does not know"


@pytest.mark.parametrize("source", COLUMNS)
def test_core_holds_the_good_lines(source: str, published: str, judged: dict[str, list[Line]]) -> None:
    table = source.removesuffix("_data") + "s"
    rows = fetch(published, f"SELECT {', '.join(COLUMNS[source])} FROM core.{table} ORDER BY {COLUMNS[source][0]}")
    expected = sorted((line.values for line in good(judged[source])), key=lambda values: values[COLUMNS[source][0]])
    assert [dict(zip(COLUMNS[source], row, strict=True)) for row in rows] == expected


def outcome(rule: str | None) -> str:
    if rule is None:
        return "good"
    return {"superseded": "superseded", "waits": "waiting"}.get(rule.split()[1], "rejected")


@pytest.mark.parametrize("source", COLUMNS)
def test_each_file_reconciles(source: str, published: str, judged: dict[str, list[Line]]) -> None:
    counted = Counter(outcome(line.rule) for line in judged[source])
    ((file, *found),) = fetch(
        published,
        "SELECT file, records, loaded, good, superseded, rejected, waiting FROM audit.loads WHERE source = %s",
        [source],
    )
    expected = [counted[verdict] for verdict in ("good", "superseded", "rejected", "waiting")]
    assert found == [len(judged[source]), len(judged[source]), *expected]
    assert found[0] == sum(found[2:])
    listed = re.search(rf"^\| `{file}` \| (.+?) \|$", (DATA / "README.md").read_text(), re.MULTILINE)
    assert [int(number) for number in listed[1].split("|")] == [found[0], *found[2:]], "data/README.md says otherwise"


@pytest.mark.parametrize(
    ("source", "amount", "table"), [("order_data", "price", "orders"), ("payment_data", "amount", "payments")]
)
def test_sums_agree_to_the_cent(
    source: str, amount: str, table: str, published: str, judged: dict[str, list[Line]]
) -> None:
    expected: dict[str, Decimal] = defaultdict(Decimal)
    for line in judged[source]:
        expected[outcome(line.rule)] += line.values[amount] or 0
    (core,) = fetch(published, f"SELECT sum({amount}) FROM core.{table}")
    assert core == (expected["good"],)
    set_aside = fetch(
        published,
        f"""SELECT is_waiting, sum((fields ->> '{amount}')::numeric)
            FILTER (WHERE pg_input_is_valid(fields ->> '{amount}', 'numeric(14,2)') AND fields ->> '{amount}' <> 'NaN')
        FROM audit.rejected_rows WHERE source = %s GROUP BY is_waiting""",
        [source],
    )
    assert dict(set_aside) == {False: expected["rejected"], True: expected["waiting"]}


def test_the_mart_adds_up_to_the_payments_of_the_paid_orders(published: str) -> None:
    assert fetch(
        published,
        """SELECT (SELECT sum(total_amount) FROM marts.customer_ltv)
            = (SELECT sum(amount) FROM core.payments) - (
                SELECT sum(net) FROM (
                    SELECT sum(payments.amount) AS net FROM core.payments INNER JOIN core.orders USING (order_id)
                    GROUP BY order_id, price HAVING NOT core.a_paid_order(sum(payments.amount), price)
                ) AS unpaid
            )""",
    ) == [(True,)]


FLAWS = re.findall(
    r"^\| `(\w+)\.csv` \| (\d+) \| ([^|]+) \| ([^|]+) \|$", (DATA / "README.md").read_text(), re.MULTILINE
)


def test_the_readme_lists_a_dozen_flaws() -> None:
    assert len(FLAWS) >= 12
    assert {source for source, *_ in FLAWS} == set(COLUMNS)


@pytest.mark.parametrize(("source", "line", "flaw", "verdict"), FLAWS, ids=[f"{s}-{n}" for s, n, *_ in FLAWS])
def test_every_listed_flaw_has_the_verdict_listed(
    source: str, line: str, flaw: str, verdict: str, published: str
) -> None:
    entity = source.removesuffix("_data") + "s"
    with psycopg.connect(published, row_factory=psycopg.rows.dict_row) as connection:
        by_line = {row["line_no"]: row for row in connection.execute(f"SELECT * FROM staging.{entity}").fetchall()}
    row = by_line[int(line)]
    if verdict.startswith("normalised: "):
        assert row["reason"] is None
        value = verdict.removeprefix("normalised: ").strip("`")
        assert flaw.split()[0] == "e-mail" or value == "NULL", "teach this test the new flaw"
        assert (row["gender"] is None) if value == "NULL" else (row["email"] == value)
    elif verdict.startswith("superseded by line "):
        key = COLUMNS[source][0]
        assert row["reason"].startswith(f"{key} superseded: ")
        winner = by_line[int(verdict.removeprefix("superseded by line "))]
        assert (winner["reason"], winner[key]) == (None, row[key])
    else:
        rule = re.search(r"`([a-z_]+ [a-z_]+)`", verdict)[1]
        assert verdict.startswith("waits") == rule.endswith(" waits")
        assert row["reason"].startswith(f"{rule}: ")
        ((fields, file, seen),) = fetch(
            published,
            """SELECT fields, file, first_run_no = last_run_no AND released_run_no IS NULL
            FROM audit.rejected_rows WHERE source = %s AND line_no = %s""",
            [source, int(line)],
        )
        assert (file, seen) == (f"{source}.csv", True)
        with (DATA / file).open(encoding="utf-8", newline="") as delivered:
            as_sent = list(csv.DictReader(delivered))[int(line) - 2]
        assert {column: value or "" for column, value in fields.items()} == as_sent


@pytest.mark.parametrize("source", COLUMNS)
def test_no_line_has_a_flaw_that_is_not_listed(source: str, published: str, judged: dict[str, list[Line]]) -> None:
    listed = {int(line) for named, line, _, verdict in FLAWS if named == source and "normalised" not in verdict}
    entity = source.removesuffix("_data") + "s"
    assert {line.line_no for line in judged[source] if line.rule} == listed
    assert {n for (n,) in fetch(published, f"SELECT line_no FROM staging.{entity} WHERE reason IS NOT NULL")} == listed


def test_a_second_run_changes_no_row_of_core_and_marts(warehouse: str) -> None:
    run_pipeline(warehouse, DATA, AS_OF.isoformat(), "first")
    before = rows_of(warehouse, "core", "marts")
    assert len(before["marts.customer_ltv"]) == 500
    run_pipeline(warehouse, DATA, AS_OF.isoformat(), "second")
    assert rows_of(warehouse, "core", "marts") == before
    assert fetch(warehouse, "SELECT dag_run_id, state FROM audit.runs ORDER BY run_no") == [
        ("first", "published"),
        ("second", "published"),
    ]
    assert fetch(warehouse, "SELECT DISTINCT first_run_no, last_run_no FROM audit.rejected_rows") == [(1, 2)]


def test_the_order_of_the_lines_does_not_matter_where_keys_are_unique(
    published: str, warehouse: str, tmp_path: Path, judged: dict[str, list[Line]]
) -> None:
    for source in COLUMNS:
        header, *lines = (DATA / f"{source}.csv").read_text().splitlines(keepends=True)
        kept = [lines[line.line_no - 2] for line in judged[source] if outcome(line.rule) != "superseded"]
        (tmp_path / f"{source}.csv").write_text("".join([header, *reversed(kept)]))
    run_pipeline(warehouse, tmp_path, AS_OF.isoformat())
    columns = "customer_id, total_orders, total_amount, avg_order_value, ltv, orders_per_year, avg_lifespan_years"
    statement = f"SELECT {columns} FROM marts.customer_ltv ORDER BY customer_id"
    assert fetch(warehouse, statement) == fetch(published, statement)


def test_the_sample_is_rewritten_byte_for_byte(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "bench" / "sample.py", tmp_path], check=True)
    for source in COLUMNS:
        assert (tmp_path / f"{source}.csv").read_bytes() == (DATA / f"{source}.csv").read_bytes(), source


def telecom(folder: Path, customers: int, *, from_customer: int = 1) -> Path:
    """A delivery in which each customer has an order of 100.00 with its payment."""
    numbers = range(from_customer, from_customer + customers)
    return deliver(
        folder,
        customer_data=[customer(number) for number in numbers],
        order_data=[[number, number, "2025-03-01", "Phone", "100.00"] for number in numbers],
        payment_data=[[number, number, number, "2025-03-01", "100.00"] for number in numbers],
    )


@pytest.mark.parametrize("source", COLUMNS)
def test_a_delivery_that_falls_short_fails_before_core_changes(source: str, warehouse: str, tmp_path: Path) -> None:
    execute(warehouse, "UPDATE audit.sources SET kind = 'snapshot'")
    usual = telecom(tmp_path / "usual", 100)
    run_pipeline(warehouse, usual, "2026-01-29", "first")
    before = rows_of(warehouse, "core", "marts")
    ninety = telecom(tmp_path / "ninety", 90)
    short = telecom(tmp_path / "short", 89)
    for folder in (ninety, short):
        for other in set(COLUMNS) - {source}:
            (folder / f"{other}.csv").write_bytes((usual / f"{other}.csv").read_bytes())
    with pytest.raises(CheckFailedError) as failed:
        run_pipeline(warehouse, short, "2026-01-30", "short")
    assert str(failed.value) == (
        f"raw.{source}__not_empty_nor_short failed: 11 of 100 bad, 10 % allowed, e.g. 89 records, usually 100"
    )
    assert rows_of(warehouse, "core", "marts") == before
    assert fetch(warehouse, "SELECT state, reason FROM audit.runs WHERE dag_run_id = 'short'") == [
        ("failed", str(failed.value))
    ]
    run_pipeline(warehouse, ninety, "2026-01-30", "ninety")
    assert fetch(warehouse, "SELECT state FROM audit.runs WHERE dag_run_id = 'ninety'") == [("published",)]


def test_a_deltas_first_delivery_is_no_measure(warehouse: str, tmp_path: Path) -> None:
    run_pipeline(warehouse, telecom(tmp_path / "all", 100), "2026-01-28", "first")
    run_pipeline(warehouse, telecom(tmp_path / "day-1", 20, from_customer=101), "2026-01-29", "second")
    run_pipeline(warehouse, telecom(tmp_path / "day-2", 18, from_customer=121), "2026-01-30", "third")
    with pytest.raises(CheckFailedError, match=r"failed: 3 of 18 bad, 10 % allowed, e\.g\. 15 records, usually 18"):
        run_pipeline(warehouse, telecom(tmp_path / "day-3", 15, from_customer=139), "2026-01-31", "fourth")
    assert fetch(warehouse, "SELECT count(*) FROM marts.customer_ltv") == [(138,)]


@pytest.mark.parametrize(
    ("as_of", "message"),
    [
        ("2026-01-30", "as_of 2026-01-30 is before 2026-01-31, the last day published"),
        ("2999-01-01", "as_of 2999-01-01 is in the future: today is "),
    ],
    ids=["before-the-last-published", "in-the-future"],
)
def test_a_day_that_must_not_run_is_refused(as_of: str, message: str, warehouse: str, tmp_path: Path) -> None:
    folder = telecom(tmp_path, 3)
    run_pipeline(warehouse, folder, "2026-01-31", "first")
    before = rows_of(warehouse, "core", "marts", "audit", "raw", "staging", "intermediate")
    with pytest.raises(psycopg.errors.RaiseException) as refused:
        run_pipeline(warehouse, folder, as_of, "second")
    assert refused.value.diag.message_primary.startswith(message)
    assert "as_of" in refused.value.diag.message_hint
    assert rows_of(warehouse, "core", "marts", "audit", "raw", "staging", "intermediate") == before


def test_the_same_day_may_run_again_with_corrections(warehouse: str, tmp_path: Path) -> None:
    run_pipeline(warehouse, telecom(tmp_path / "one", 3), "2026-01-31", "first")
    corrected = telecom(tmp_path / "two", 3)
    deliver(corrected, payment_data=[[n, n, n, "2025-03-01", "100.00" if n != 2 else "130.00"] for n in (1, 2, 3)])
    run_pipeline(warehouse, corrected, "2026-01-31", "second")
    assert fetch(
        warehouse, "SELECT customer_id, total_amount, run_no FROM marts.customer_ltv ORDER BY customer_id"
    ) == [(1, Decimal(100), 1), (2, Decimal(130), 2), (3, Decimal(100), 1)]
    assert fetch(
        warehouse,
        "SELECT customer_id, action, ltv, run_no FROM marts.customer_ltv_history ORDER BY change_no DESC LIMIT 1",
    ) == [(2, "UPDATE", Decimal(130), 2)]


def test_sums_have_room_for_whatever_their_parts_may_be(warehouse: str, tmp_path: Path) -> None:
    open_limits(warehouse)
    deliver(
        tmp_path,
        customer_data=[customer(1)],
        order_data=[[1, 1, "2025-01-01", "Ship", "999999999999.99"]],
        payment_data=[[number, 1, 1, "2025-01-02", "999999999999.99"] for number in range(1, 10_102)],
    )
    run_pipeline(warehouse, tmp_path, "2026-01-31")
    total = Decimal("999999999999.99") * 10_101
    assert fetch(warehouse, "SELECT total_amount, avg_order_value FROM marts.customer_ltv") == [(total, total)]
    assert fetch(warehouse, "SELECT ltv > total_amount * 0.9 FROM marts.customer_ltv") == [(True,)]


@pytest.mark.parametrize("style", ["German", "SQL,DMY", "Postgres,MDY"])
def test_a_day_is_a_day_whatever_the_sessions_date_style(style: str, warehouse: str, tmp_path: Path) -> None:
    deliver(
        tmp_path,
        customer_data=[customer(1)],
        order_data=[[1, 1, "2025-01-12", "Ship", "10"]],
        payment_data=[[1, 1, 1, "2025-01-12", "10"], [2, 1, 1, "2023-01-1Z", "5"]],
    )
    open_limits(warehouse)
    # As PGDATESTYLE does, over the head of the role's own setting.
    run_pipeline(f"{warehouse}?options=-cDateStyle%3D{style}", tmp_path, "2026-01-31")
    assert fetch(warehouse, "SELECT order_date FROM core.orders") == [(date(2025, 1, 12),)]
    assert fetch(warehouse, "SELECT line_no, rule FROM audit.rejected_rows") == [(3, "payment_date not_a_day")]


def test_a_snapshot_removes_what_it_no_longer_holds(warehouse: str, tmp_path: Path) -> None:
    open_limits(warehouse)
    execute(warehouse, "UPDATE audit.sources SET kind = 'snapshot'")
    run_pipeline(warehouse, telecom(tmp_path / "four", 4), "2026-01-29", "first")

    # Customer 4 leaves with all he has; order 3 is cancelled with its payment; customer 1's line is refused.
    second = deliver(
        tmp_path / "two",
        customer_data=[customer(1, date_of_birth="01/02/1990"), customer(2), customer(3)],
        order_data=[[1, 1, "2025-03-01", "Phone", "100.00"], [2, 2, "2025-03-01", "Phone", "100.00"]],
        payment_data=[[1, 1, 1, "2025-03-01", "100.00"], [2, 2, 2, "2025-03-01", "100.00"]],
    )
    run_pipeline(warehouse, second, "2026-01-30", "second")
    assert fetch(warehouse, "SELECT customer_id FROM core.customers ORDER BY 1") == [(1,), (2,), (3,)]
    assert fetch(warehouse, "SELECT order_id FROM core.orders ORDER BY 1") == [(1,), (2,)]
    assert fetch(warehouse, "SELECT payment_id FROM core.payments ORDER BY 1") == [(1,), (2,)]
    assert fetch(warehouse, "SELECT customer_id, ltv FROM marts.customer_ltv ORDER BY 1") == [
        (1, Decimal(100)),
        (2, Decimal(100)),
        (3, Decimal(0)),
    ]
    assert fetch(
        warehouse, "SELECT customer_id, action FROM marts.customer_ltv_history WHERE run_no = 2 ORDER BY 1"
    ) == [(3, "UPDATE"), (4, "DELETE")]
    assert fetch(warehouse, "SELECT customer_id FROM core.customer_activity ORDER BY 1") == [(1,), (2,), (3,)]

    # Who comes back starts anew, and the same snapshot twice changes nothing.
    run_pipeline(warehouse, telecom(tmp_path / "again", 4), "2026-01-31", "third")
    before = rows_of(warehouse, "core", "marts")
    assert fetch(warehouse, "SELECT sum(ltv), count(*) FROM marts.customer_ltv") == [(Decimal(400), 4)]
    run_pipeline(warehouse, tmp_path / "again", "2026-01-31", "fourth")
    assert rows_of(warehouse, "core", "marts") == before


def test_a_delta_keeps_what_it_does_not_name(warehouse: str, tmp_path: Path) -> None:
    open_limits(warehouse)
    run_pipeline(warehouse, telecom(tmp_path / "four", 4), "2026-01-29", "first")
    run_pipeline(warehouse, telecom(tmp_path / "one", 1, from_customer=5), "2026-01-30", "second")
    assert fetch(warehouse, "SELECT count(*), sum(ltv) FROM marts.customer_ltv") == [(5, Decimal(500))]
    assert fetch(warehouse, "SELECT DISTINCT run_no FROM core.customers ORDER BY 1") == [(1,), (2,)]


def test_a_row_that_waits_is_merged_when_its_parent_or_its_day_arrives(warehouse: str, tmp_path: Path) -> None:
    open_limits(warehouse)
    early = deliver(
        tmp_path / "early",
        customer_data=[customer(1)],
        order_data=[
            [1, 1, "2026-01-30", "Phone", "100.00"],
            [2, 2, "2025-03-01", "Phone", "50.00"],
            [4, 1, "2025-03-01", "Phone", "5.00"],
        ],
        payment_data=[
            [1, 1, 1, "2026-01-30", "100.00"],
            [2, 2, 2, "2025-03-01", "50.00"],
            [3, 1, 3, "2025-03-01", "7.00"],
            [4, 1, 4, "2025-03-01", "5.00"],
        ],
    )
    run_pipeline(warehouse, early, "2026-01-29", "first")
    assert fetch(warehouse, "SELECT customer_id, ltv FROM marts.customer_ltv") == [(1, Decimal(5))]
    assert fetch(warehouse, "SELECT source, line_no, rule FROM audit.rejected_rows ORDER BY 1, 2") == [
        ("order_data", 2, "order_date waits"),
        ("order_data", 3, "customer_id waits"),
        ("payment_data", 2, "payment_date waits"),
        ("payment_data", 3, "order_id waits"),
        ("payment_data", 4, "order_id waits"),
    ]
    late = deliver(
        tmp_path / "late",
        customer_data=[customer(2)],
        order_data=[[9, 1, "2025-03-01", "Phone", "1.00"]],
        payment_data=[[9, 1, 9, "2025-03-01", "1.00"]],
    )
    run_pipeline(warehouse, late, "2026-01-30", "second")
    assert fetch(warehouse, "SELECT customer_id, total_orders, total_amount FROM marts.customer_ltv ORDER BY 1") == [
        (1, 3, Decimal(106)),
        (2, 1, Decimal(50)),
    ]
    assert fetch(
        warehouse, "SELECT source, line_no, released_run_no, superseded_run_no FROM audit.rejected_rows ORDER BY 1, 2"
    ) == [
        ("order_data", 2, 2, None),
        ("order_data", 3, 2, None),
        ("payment_data", 2, 2, None),
        ("payment_data", 3, 2, None),
        ("payment_data", 4, None, None),
    ]


def test_payments_follow_an_order_that_moves_to_another_customer(warehouse: str, tmp_path: Path) -> None:
    open_limits(warehouse)
    run_pipeline(warehouse, telecom(tmp_path / "two", 2), "2026-01-29", "first")
    moved = deliver(
        tmp_path / "moved",
        customer_data=[customer(1)],
        order_data=[[1, 2, "2025-03-01", "Phone", "100.00"]],
        payment_data=[[2, 2, 2, "2025-03-01", "100.00"]],
    )
    run_pipeline(warehouse, moved, "2026-01-30", "second")
    assert fetch(warehouse, "SELECT payment_id, customer_id, order_id FROM core.payments ORDER BY 1") == [
        (1, 2, 1),
        (2, 2, 2),
    ]
    assert fetch(warehouse, "SELECT customer_id, total_orders, total_amount FROM marts.customer_ltv ORDER BY 1") == [
        (1, 0, Decimal(0)),
        (2, 2, Decimal(200)),
    ]


def some_day(random: Random, day: date) -> dict[str, list[list[object]]]:
    """A delta of one day: new rows, corrections, orders and payments that move, parents and days that have not come."""
    customers = [customer(random.randint(1, 8), email=f"{random.choice('abc')}@example.com") for _ in range(2)]
    # At least one good line of each, so that there is something to check.
    orders = [[1, customers[0][0], "2025-01-01", "Phone", "10"]]
    orders += [
        [
            random.randint(2, 12),
            random.randint(1, 8),
            random.choice(["2023-05-17", "2024-02-29", day, day + timedelta(days=random.randint(0, 3))]),
            random.choice(["Phone", "Tablet"]),
            random.choice(["10", "20.50", "-1"]),
        ]
        for _ in range(6)
    ]
    payments = [[1, customers[0][0], 1, "2025-01-01", "5"]]
    payments += [
        [
            random.randint(1, 20),
            random.choice([order[1] for order in orders]),
            random.randint(1, 12),
            random.choice(["2025-02-01", day, day + timedelta(days=random.randint(0, 3))]),
            random.choice(["10", "20.50", "-10", "-20.50", "0.01", "1,5"]),
        ]
        for _ in range(8)
    ]
    payments += [[random.randint(1, 20), order[1], order[0], "2025-02-01", "7.77"] for order in orders[1:4]]
    return {"customer_data": customers, "order_data": orders, "payment_data": payments}


class Recomputed:
    """What the warehouse must hold after each day, in plain Python: core, and the rows that wait."""

    def __init__(self) -> None:
        self.core: dict[str, dict[int, dict]] = {source: {} for source in COLUMNS}
        self.waiting: dict[str, list[dict]] = {source: [] for source in COLUMNS}

    def take(self, delivered: dict[str, list[list[object]]], day: date) -> None:
        received = {
            source: self.waiting[source]
            + [dict(zip(COLUMNS[source], map(str, row), strict=True)) for row in delivered[source]]
            for source in COLUMNS
        }
        self.keep("customer_data", received, judge_customers(enumerate(received["customer_data"]), day))
        orders = judge_orders(enumerate(received["order_data"]), day, set(self.core["customer_data"]))
        self.keep("order_data", received, orders)
        owners = {key: order["customer_id"] for key, order in self.core["order_data"].items()}
        # An order that waits for its day moves to nobody before that day.
        moving = {(line.key, line.values["customer_id"]) for line in orders if line.rule == "customer_id waits"}
        payments = judge_payments(enumerate(received["payment_data"]), day, owners, moving)
        self.keep("payment_data", received, payments)
        for payment in self.core["payment_data"].values():
            payment["customer_id"] = owners[payment["order_id"]]

    def keep(self, source: str, received: dict[str, list[dict]], lines: list[Line]) -> None:
        self.core[source] |= {line.key: line.values for line in good(lines)}
        self.waiting[source] = [
            received[source][line.line_no] for line in lines if (line.rule or "").endswith(" waits")
        ]

    def as_lines(self) -> dict[str, list[Line]]:
        return {source: [Line(0, key, None, values) for key, values in self.core[source].items()] for source in COLUMNS}


@pytest.mark.parametrize("seed", range(3))
def test_many_days_of_changes_come_to_what_one_computation_says(seed: int, warehouse: str, tmp_path: Path) -> None:
    open_limits(warehouse)
    random, recomputed = Random(seed), Recomputed()  # noqa: S311 - the same days each time
    for number in range(7):
        day = date(2025, 6, 1) + timedelta(days=number)
        delivered = some_day(random, day)
        run_pipeline(warehouse, deliver(tmp_path / str(number), **delivered), day.isoformat(), f"day-{number}")
        recomputed.take(delivered, day)
        for source in COLUMNS:
            table, key = source.removesuffix("_data") + "s", COLUMNS[source][0]
            rows = fetch(warehouse, f"SELECT {', '.join(COLUMNS[source])} FROM core.{table}")
            found = {row[0]: dict(zip(COLUMNS[source], row, strict=True)) for row in rows}
            assert found == recomputed.core[source], f"core.{table}, by {key}, after day {number}"
            held = fetch(
                warehouse,
                """SELECT fields FROM audit.rejected_rows WHERE source = %s AND is_waiting
                    AND released_run_no IS NULL AND superseded_run_no IS NULL""",
                [source],
            )
            assert sorted(sorted(fields.items()) for (fields,) in held) == sorted(
                sorted(fields.items()) for fields in recomputed.waiting[source]
            ), f"what waits of {source} after day {number}"
        rows = fetch(
            warehouse,
            """SELECT customer_id, total_orders, total_amount, avg_order_value, ltv, first_order_date,
                last_order_date, orders_per_year, avg_lifespan_years FROM marts.customer_ltv""",
        )
        expected = lifetime_values(recomputed.as_lines(), day)
        assert {row[0]: row[1:] for row in rows} == expected, f"the mart after day {number}"


@pytest.mark.parametrize("night", [1, 2])
def test_no_task_reads_a_table_once_per_row(warehouse: str, night: int) -> None:
    """As after a backup was restored, or a DBA's ANALYZE, the planner knows every table to be empty."""
    execute(warehouse, "ANALYZE")
    for earlier in range(1, night):
        run_pipeline(warehouse, DATA, f"2026-01-{30 + earlier}", f"night {earlier}")
        execute(warehouse, "UPDATE audit.sources SET kind = 'snapshot'")
    begin(warehouse, AS_OF.isoformat(), "night")
    asked = """SELECT relname FROM pg_catalog.pg_stat_xact_user_tables
        WHERE seq_scan > 50 AND schemaname IN ('raw', 'staging', 'core', 'intermediate', 'marts')"""
    again: dict[str, list[tuple]] = {}
    for task in tasks()[1:]:
        with psycopg.connect(warehouse) as connection:
            assert run_task(connection, task, DATA, "night")
            again[task.task_id] = connection.execute(asked).fetchall()
    assert {task: tables for task, tables in again.items() if tables} == {}
