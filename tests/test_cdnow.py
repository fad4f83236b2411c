"""A real shop's data: the CDNOW sample that the lifetimes package carries (6,919 purchases of 2,357 customers)."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

import pytest
import server
from pipeline import run_pipeline
from support import customer, deliver, fetch, warehouse_of

AS_OF = "1998-06-30"


def purchases(name: str = "CDNOW_sample") -> list[tuple[int, date, Decimal]]:
    """Customer, day and amount of each purchase. Only the data file is read: the package is not imported."""
    spec = find_spec("lifetimes")
    assert spec is not None, "lifetimes is not installed: make lint brings it"
    lines = (Path(spec.origin).parent / "datasets" / f"{name}.txt").read_text().splitlines()
    fields = [line.split() for line in lines if line.split()[0].isdecimal()]
    return [(int(number), date.fromisoformat(day), Decimal(amount)) for *_, number, day, _, amount in fields]


def deliver_purchases(folder: Path, bought: list[tuple[int, date, Decimal]]) -> Path:
    """Write purchases as a delivery: each is an order and its payment."""
    return deliver(
        folder,
        customer_data=[customer(number) for number in sorted({number for number, *_ in bought})],
        order_data=[[n, number, day, "CD", amount] for n, (number, day, amount) in enumerate(bought, start=1)],
        payment_data=[[n, number, n, day, amount] for n, (number, day, amount) in enumerate(bought, start=1)],
    )


@pytest.fixture(scope="module")
def cdnow() -> list[tuple[int, date, Decimal]]:
    return purchases()


@pytest.fixture(scope="module")
def published(
    cluster: server.Server,
    template: str,
    tmp_path_factory: pytest.TempPathFactory,
    cdnow: list[tuple[int, date, Decimal]],
) -> Iterator[str]:
    folder = deliver_purchases(tmp_path_factory.mktemp("cdnow"), cdnow)
    with warehouse_of(cluster, template, "ltv_cdnow") as url:
        run_pipeline(url, folder, AS_OF)
        yield url


def test_the_sample_is_the_one_that_is_meant(cdnow: list[tuple[int, date, Decimal]]) -> None:
    assert len(cdnow) == 6919
    assert len({number for number, *_ in cdnow}) == 2357
    assert sum(amount for *_, amount in cdnow) == Decimal("244091.94")
    assert sum(amount == 0 for *_, amount in cdnow) > 0, "a purchase of 0.00 is no paid order; there are some"


def test_orders_and_amounts_of_every_customer_agree(published: str, cdnow: list[tuple[int, date, Decimal]]) -> None:
    paid = defaultdict(list)
    for number, day, amount in cdnow:
        paid[number] += [(day, amount)] if amount > 0 else []
    rows = fetch(
        published,
        """SELECT customer_id, total_orders, total_amount, first_order_date, last_order_date
        FROM marts.customer_ltv ORDER BY customer_id""",
    )
    assert rows == [
        (
            number,
            len(orders),
            sum((amount for _, amount in orders), Decimal(0)),
            min(orders)[0] if orders else None,
            max(orders)[0] if orders else None,
        )
        for number, orders in sorted(paid.items())
    ]
    assert fetch(published, "SELECT count(*), sum(total_amount) FROM marts.customer_ltv") == [
        (2357, Decimal("244091.94"))
    ]


def test_all_lines_reconcile(published: str) -> None:
    assert fetch(
        published, "SELECT file, records, good, superseded, rejected, waiting FROM audit.loads ORDER BY file"
    ) == [
        ("customer_data.csv", 2357, 2357, 0, 0, 0),
        ("order_data.csv", 6919, 6919, 0, 0, 0),
        ("payment_data.csv", 6919, 6919, 0, 0, 0),
    ]
    assert fetch(published, "SELECT count(*), sum(amount) FROM core.payments") == [(6919, Decimal("244091.94"))]
    assert fetch(published, "SELECT DISTINCT verdict FROM audit.check_results") == [("passed",)]
    assert fetch(published, "SELECT state FROM audit.runs") == [("published",)]
