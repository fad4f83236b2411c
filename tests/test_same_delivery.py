"""A delivery that equals the last one of its source is not loaded again, and everything is as if it had been."""

from pathlib import Path

import pytest
from pipeline import CheckFailedError, run_pipeline
from support import COLUMNS, customer, deliver, execute, fetch, open_limits, rows_of

GOOD = {
    "customer_data": [customer(1), customer(2), customer(2, first_name="Bea")],
    "order_data": [
        [1, 1, "2025-01-01", "Phone", "10"],
        [2, 2, "2025-01-01", "Phone", "20"],
        [3, 9, "2025-01-01", "Phone", "30"],
        [4, 1, "2026-01-03", "Phone", "40"],
    ],
    "payment_data": [[1, 1, 1, "2025-01-02", "10"], [2, 2, 2, "2025-01-02", "20"]],
}
LOADED = """SELECT source, records, loaded, good, superseded, waiting, same_as_run_no
    FROM audit.loads WHERE run_no = (SELECT max(run_no) FROM audit.loads) ORDER BY source"""


@pytest.fixture(params=["delta", "snapshot"])
def url(request: pytest.FixtureRequest, warehouse: str) -> str:
    open_limits(warehouse)
    execute(warehouse, "UPDATE audit.sources SET kind = %s", [request.param])
    return warehouse


def same_as(url: str) -> dict[str, int | None]:
    return {row[0]: row[-1] for row in fetch(url, LOADED)}


def test_it_is_noted_with_the_counts_of_its_load(url: str, tmp_path: Path) -> None:
    ((kind,),) = fetch(url, "SELECT DISTINCT kind FROM audit.sources")
    run_pipeline(url, deliver(tmp_path, **GOOD), "2026-01-01", "1")
    before = rows_of(url, "core", "marts")
    for number in (2, 3):
        run_pipeline(url, tmp_path, "2026-01-01", str(number))
        waits = None if kind == "snapshot" else 1
        assert fetch(url, LOADED) == [
            ("customer_data", 3, 0, 2, 1, 0, 1),
            # What waits in a snapshot is judged with all of it.
            ("order_data", 4, 4 if waits is None else 0, 2, 0, 2, waits),
            ("payment_data", 2, 0, 2, 0, 0, 1),
        ]
        assert rows_of(url, "core", "marts") == before
    assert fetch(url, "SELECT count(*) FROM raw.customer_data") == [(0,)]
    said = fetch(url, "SELECT verdict, said FROM audit.check_results WHERE run_no = 3 AND claim ~ '^(raw|staging)'")
    assert {verdict for verdict, _ in said} == {"passed"}
    nothing_new = [text for _, text in said if "nothing new to check, the delivery is that of run_no 1" in text]
    assert len(nothing_new) >= 6


def test_what_waits_is_tried_all_the_same(url: str, tmp_path: Path) -> None:
    run_pipeline(url, deliver(tmp_path / "1", **GOOD), "2026-01-01", "1")
    more = {**GOOD, "customer_data": [*GOOD["customer_data"], customer(9)]}
    run_pipeline(url, deliver(tmp_path / "2", **more), "2026-01-02", "2")
    assert same_as(url)["customer_data"] is None
    assert fetch(url, "SELECT order_id FROM core.orders ORDER BY 1") == [(1,), (2,), (3,)]
    run_pipeline(url, tmp_path / "2", "2026-01-03", "3")
    assert same_as(url)["customer_data"] == 2
    assert fetch(url, "SELECT order_id FROM core.orders ORDER BY 1") == [(1,), (2,), (3,), (4,)]
    assert fetch(url, "SELECT * FROM audit.waiting_rows") == []


def test_a_broken_line_is_seen_again(url: str, tmp_path: Path) -> None:
    deliver(tmp_path, **GOOD)
    with (tmp_path / "customer_data.csv").open("a") as file:
        file.write("7,too few\n")
    for number in (1, 2):
        run_pipeline(url, tmp_path, "2026-01-01", str(number))
    assert same_as(url)["customer_data"] == 1
    assert fetch(url, "SELECT line, first_run_no, last_run_no FROM audit.rejected_rows WHERE line IS NOT NULL") == [
        ("7,too few", 1, 2)
    ]
    assert fetch(url, "SELECT rule, rows_set_aside FROM audit.rejections_today WHERE rule LIKE 'line %'") == [
        ("line too_few_fields", 1)
    ]


def other_bytes(_: str, folder: Path) -> None:
    deliver(folder, customer_data=[*GOOD["customer_data"][:2], customer(2, first_name="Eva")])


def other_name(_: str, folder: Path) -> None:
    (folder / "customer_data.csv").rename(folder / "customer_data_1.csv")


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


def a_night_that_failed(url: str, folder: Path) -> None:
    execute(url, "UPDATE audit.sources SET max_volume_fall = 0 WHERE source = 'payment_data'")
    short = deliver(folder.parent / "short", **{**GOOD, "payment_data": GOOD["payment_data"][:1]})
    with pytest.raises(CheckFailedError):
        run_pipeline(url, short, "2026-01-02", "failed")
    execute(url, "UPDATE audit.sources SET max_volume_fall = 1 WHERE source = 'payment_data'")


@pytest.mark.parametrize(
    "change",
    [
        *(other_bytes, other_name, other_declaration, other_sql, a_person_forgotten, asked_for),
        *(an_undo, a_night_that_failed),
    ],
)
def test_after_a_change_it_is_loaded(change: object, url: str, tmp_path: Path) -> None:
    folder = deliver(tmp_path / "folder", **GOOD)
    run_pipeline(url, folder, "2026-01-01", "1")
    run_pipeline(url, folder, "2026-01-02", "2")
    assert same_as(url)["customer_data"] == 1
    change(url, folder)
    run_pipeline(url, folder, "2026-01-02", "3")
    assert same_as(url)["customer_data"] is None


def test_what_a_rule_has_refused_is_judged_again(url: str, tmp_path: Path) -> None:
    bad = deliver(
        tmp_path, **{**GOOD, "customer_data": [*GOOD["customer_data"], customer(5, date_of_birth="2026-01-02")]}
    )
    run_pipeline(url, bad, "2026-01-01", "1")
    run_pipeline(url, bad, "2026-01-02", "2")
    assert same_as(url) == {
        **dict.fromkeys(COLUMNS, 1),
        "customer_data": None,
        "order_data": same_as(url)["order_data"],
    }
    assert fetch(url, "SELECT count(*) FROM core.customers") == [(3,)]


def test_a_correction_is_judged_beside_the_lines(url: str, tmp_path: Path) -> None:
    deliver(tmp_path, **GOOD)
    with (tmp_path / "customer_data.csv").open("a") as file:
        file.write("7,too few\n")
    run_pipeline(url, tmp_path, "2026-01-01", "1")
    execute(
        url,
        """SELECT audit.replay(rejected_row_id, '{"customer_id": "7", "first_name": "Eva", "last_name": "", "email": "",
            "country": "", "gender": "", "date_of_birth": ""}') FROM audit.rejected_rows WHERE line IS NOT NULL""",
    )
    run_pipeline(url, tmp_path, "2026-01-01", "2")
    assert same_as(url)["customer_data"] is None
    assert fetch(url, "SELECT first_name FROM core.customers WHERE customer_id = 7") == [("Eva",)]
