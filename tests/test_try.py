"""`make try`: one SQL file on one case, expected against got."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, database_url
from support import fetch

FILE = "sql/staging/orders.sql"
CASE = "rejects_a_negative_price"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("sql", "dags", "ops", "tests/cases/staging.orders", "tests/cases/marts.ltv_deciles"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.fixture
def run(project: Path, warehouse: str, cluster) -> Callable[..., tuple[int, str, str]]:
    """A function that runs `make try` in the project and returns its exit code and what it printed."""
    admin = database_url(cluster, "postgres", admin=True)

    def running(**asked: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "ops/try_case.py"],
            cwd=project,
            env={**os.environ, "DATABASE_URL": warehouse, "ADMIN_DATABASE_URL": admin, **asked},
            capture_output=True,
            text=True,
            check=False,
        )
        assert fetch(admin, "SELECT datname FROM pg_database WHERE datname ~ '^ltv_diff'") == []
        return done.returncode, done.stdout, done.stderr

    return running


def test_a_case_is_shown_side_by_side(project: Path, run) -> None:
    code, out, err = run(FILE=FILE, CASE=CASE)
    assert (code, err) == (0, "")
    assert "staging.orders: as expected\n  expected" in out
    # A shell completes a path.
    assert run(FILE=FILE, CASE=f"tests/cases/staging.orders/{CASE}/") == (code, out, err)

    # The rule is edited: a price of 0 is refused too, and a negative one no longer.
    text = (project / FILE).read_text()
    (project / FILE).write_text(text.replace("WHEN price < 0\n", "WHEN price = 0\n"))
    code, out, err = run(FILE=FILE, CASE=CASE)
    assert (code, err) == (1, "")
    assert "staging.orders: not as expected\n" in out
    (marked,) = [line.split(" | ") for line in out.splitlines() if line.startswith("≠ 3")]
    assert (marked[0].strip(), marked[1]) == ("≠ 3,0.00,", "3,,price negative: a price is 0 or more")

    (project / FILE).write_text(text.replace("FROM typed\n", "FROM typos\n"))
    code, out, err = run(FILE=FILE, CASE=CASE)
    assert (code, err) == (1, "")
    assert out.startswith(f'{FILE}: relation "typos" does not exist')


def test_a_view_is_looked_at(project: Path, run) -> None:
    case = next((project / "tests/cases/marts.ltv_deciles").iterdir()).name
    code, out, err = run(FILE="sql/definitions/views/marts.ltv_deciles.sql", CASE=case)
    assert (code, err) == (0, "")
    assert out.startswith("marts.ltv_deciles: as expected\n")


def test_what_there_is_to_choose_from_is_said(run, tmp_path: Path) -> None:
    elsewhere = tmp_path / "staging" / "orders.sql"
    elsewhere.parent.mkdir()
    elsewhere.write_text("SELECT 1;\n")
    code, out, err = run(FILE=FILE, CASE="nothing")
    assert (code, out) == (1, "")
    assert err.startswith("make try: CASE=nothing is no case of staging.orders; these are:\n  ")
    assert f"\n  {CASE}\n" in err
    said = run(FILE=FILE, CASE="")[2]
    assert said.startswith("make try: which case of staging.orders? CASE= names one of these:\n  ")
    for file in ("", "sql/staging/none.sql", str(elsewhere)):
        code, _, err = run(FILE=file, CASE=CASE)
        assert code == 1
        assert err == f"make try: FILE={file} is no SQL file of this folder: as in FILE=sql/staging/orders.sql\n"
    for file, said in (
        ("sql/staging/payments.sql", "has no case yet: make tests/cases/staging.payments/<what it shows>/"),
        (
            "sql/definitions/functions/core.a_paid_order.sql",
            "a function has no cases of its own: name a file that calls core.a_paid_order, and its case",
        ),
    ):
        code, _, err = run(FILE=file, CASE=CASE)
        assert code == 1
        assert err.endswith(f"{said}\n")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("expect.csv", "line_no,prise\n2,1.00\n", 'column "prise" does not exist'),
        ("expect.csv", "", "its first line is empty; it names the columns"),
        ("core.customers.csv", "customer_id\n1,2\n", "extra data after last expected column"),
        ("as_of.txt", "2026-02-30", 'date/time field value out of range: "2026-02-30"'),
    ],
)
def test_a_slip_in_a_case_names_the_cases_file(name: str, text: str, said: str, project: Path, run) -> None:
    (project / "tests/cases/staging.orders" / CASE / name).write_text(text)
    code, out, err = run(FILE=FILE, CASE=CASE)
    assert (code, err) == (1, "")
    assert f"tests/cases/staging.orders/{CASE}/{name}: {said}\n" in out
    assert "unnamed portal" not in out
