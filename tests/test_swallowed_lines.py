"""A stray quote that makes one record of many lines: COPY does not mind it, so staging has to find it."""

from pathlib import Path

import pytest
from pipeline import CheckFailedError, run_pipeline
from support import COLUMNS, customer, deliver, execute, fetch, open_limits

HEADER = ",".join(COLUMNS["order_data"])
RULE = "swallowed_a_line: a quote was opened and closed lines later"


def delivered(folder: Path, orders: str, paid: int = 1) -> Path:
    deliver(folder, customer_data=[customer(1)], payment_data=[[1, 1, paid, "2025-01-02", "10"]])
    (folder / "order_data.csv").write_text(orders)
    return folder


def with_comments(*stray: int, first: bool = False) -> str:
    """Forty orders with a column that nobody declared; in that of some of them there is a stray quote."""
    comments = {n: f'{n}" screen' if n in stray else "fine" for n in range(1, 41)}
    lines = {n: f"{n},1,2025-01-01,Phone,10" for n in comments}
    if first:
        return "\n".join([f"comment,{HEADER}", *(f"{comments[n]},{line}" for n, line in lines.items()), ""])
    return "\n".join([f"{HEADER},comment", *(f"{line},{comments[n]}" for n, line in lines.items()), ""])


@pytest.mark.parametrize("first", [False, True], ids=["last-column", "first-column"])
def test_lines_swallowed_by_a_column_that_nobody_declared_are_not_lost(
    first: bool, warehouse: str, tmp_path: Path
) -> None:
    orders = with_comments(5, 31, first=first)
    with pytest.raises(CheckFailedError, match=r"orders__rejects_within_limit failed: 1 of 14 bad"):
        run_pipeline(warehouse, delivered(tmp_path, orders), "2026-01-01")
    assert fetch(warehouse, "SELECT count(*) FROM core.orders") == [(0,)]
    open_limits(warehouse)
    run_pipeline(warehouse, tmp_path, "2026-01-01")
    loads = "SELECT records, good, rejected FROM audit.loads WHERE source = 'order_data'"
    assert fetch(warehouse, loads) == [(14, 13, 1)]
    ((reason, fields),) = fetch(warehouse, "SELECT reason, fields FROM audit.rejected_rows")
    assert reason == f"line {RULE}"
    # The lines can be had again: not only the columns that are declared are kept.
    assert "\n6,1,2025-01-01" in fields["comment"] or ",6,1,2025-01-01" in fields["comment"]
    assert (fields["order_id"], fields["product"]) == ("31" if first else "5", "Phone")


def test_lines_that_end_in_a_lone_cr_are_not_lost_either(warehouse: str, tmp_path: Path) -> None:
    open_limits(warehouse)
    lines = [f"{n},1,2025-01-01,Phone,10" for n in range(1, 9)]
    lines[3], lines[6] = '4,1,2025-01-01,"Phone,10', '7,1,2025-01-01,Phone",10'
    run_pipeline(warehouse, delivered(tmp_path, HEADER + "\n" + "\r".join([*lines, ""])), "2026-01-01")
    assert fetch(warehouse, "SELECT order_id FROM core.orders ORDER BY 1") == [(1,), (2,), (3,), (8,)]
    ((reason, fields),) = fetch(warehouse, "SELECT reason, fields FROM audit.rejected_rows")
    assert (reason, fields["product"].count("\r")) == (f"product {RULE}", 3)


@pytest.mark.parametrize("column", ["order_id", "order_date", "product", "price", "comment"])
def test_what_a_forgotten_customers_line_has_swallowed_is_not_forgotten(
    column: str, warehouse: str, tmp_path: Path
) -> None:
    open_limits(warehouse)
    delivered(tmp_path, f"{HEADER}\n1,1,2025-01-01,Phone,10\n")
    deliver(tmp_path, customer_data=[customer(1), customer(7), customer(8)])
    run_pipeline(warehouse, tmp_path, "2026-01-01", "1")
    execute(warehouse, "SELECT core.forget_customer(7)")
    names, values = [*COLUMNS["order_data"], "comment"], ["107", "7", "2025-03-01", "Pills", "10", "x"]
    forgotten = dict(zip(names, values, strict=True))
    forgotten[column] = f'"{forgotten[column]}\n108,8,2025-03-01,Tablet,555.00,x\n9"'
    (tmp_path / "order_data.csv").write_text(
        f"{HEADER},comment\n1,1,2025-01-01,Phone,10,x\n{','.join(forgotten.values())}\n109,7,2025-03-01,Pills,10,x\n"
    )
    run_pipeline(warehouse, tmp_path, "2026-01-01", "2")
    loads = "SELECT records, good, rejected, forgotten FROM audit.loads WHERE source = 'order_data' AND run_no = 2"
    assert fetch(warehouse, loads) == [(3, 1, 1, 1)]
    ((reason, fields),) = fetch(warehouse, "SELECT reason, fields FROM audit.rejected_rows")
    assert reason == f"line {RULE}"
    # Of the customer nothing is kept but the field that holds the others.
    assert fields.keys() == {column}
    assert "\n108,8,2025-03-01,Tablet,555.00,x\n" in fields[column]


def test_two_lines_without_a_delimiter_are_a_text(warehouse: str, tmp_path: Path) -> None:
    orders = f'{HEADER},comment\n1,1,2025-01-01,Phone,10,"two\nlines"\n2,1,2025-01-01,"A\nPhone",10,"x,y"\n'
    run_pipeline(warehouse, delivered(tmp_path, orders), "2026-01-01")
    assert fetch(warehouse, "SELECT order_id FROM core.orders ORDER BY 1") == [(1,), (2,)]


@pytest.mark.parametrize("delimiter", ["~", ";", ":"])
def test_the_declared_delimiter_is_what_tells_a_line(delimiter: str, warehouse: str, tmp_path: Path) -> None:
    open_limits(warehouse)
    execute(warehouse, "UPDATE audit.sources SET delimiter = %s WHERE source = 'order_data'", [delimiter])
    lines = [
        HEADER,
        '1,1,2025-01-01,24" screen,10',
        "2,1,2025-01-01,Phone,20",
        '3,1,2025-01-01,27" screen,30',
        '4,1,2025-01-01,"a text\nwith | in it",40',
    ]
    orders = "\n".join([*lines, ""]).replace(",", delimiter)
    run_pipeline(warehouse, delivered(tmp_path, orders, paid=4), "2026-01-01")
    assert fetch(warehouse, "SELECT order_id FROM core.orders") == [(4,)]
    assert fetch(warehouse, "SELECT reason FROM audit.rejected_rows WHERE source = 'order_data'") == [
        (f"product {RULE}",)
    ]


def test_looking_for_it_costs_one_comparison_a_field(warehouse: str) -> None:
    """The function is inlined, and what it looks up comes behind the comparisons that most fields end at."""
    asked = "EXPLAIN (VERBOSE, COSTS OFF) SELECT audit.swallowed_a_line(product, 'order_data') FROM core.orders"
    plan = "\n".join(line for (line,) in fetch(warehouse, asked))
    compared = "((product ~~ '%\n%'::text) OR (product ~~ '%\r%'::text))"
    assert f"{compared} AND audit.has_delimiter(product, 'order_data'::text)" in plan
