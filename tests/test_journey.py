"""The way of a DBA by the README: a rule, a check and a chart, in a clone, and what the merge request says of them.

Whoever walks it knows SQL, git and make. Every command is the README's; the last one is the CI workflow's.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pipeline
import pytest
import yaml
from conftest import ROOT, database_url
from support import customer, deliver, fetch, open_limits, warehouse_of, write_csv
from test_diff import RULE, git, row, section

AS_OF = "2026-01-31"
ACTIVITY = "sql/core/customer_activity.sql"
CASE = "an_order_is_paid_by_nine_tenths_of_its_price"
CHECK = "staging.orders__product_known"
# Paid whole, to the cent of 90 %, a cent less, a little, not at all; the third has no product.
PRICES = [("100.00", "100.00"), ("50.00", "45.00"), ("50.00", "44.99"), ("80.00", "0.01"), ("10.00", None)]


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as others have it: what git knows of this checkout, as it is now, on a branch main."""
    folder = tmp_path_factory.mktemp("journey") / "origin"
    listing = [shutil.which("git"), "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in names:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    # Where the rule has been changed already, the way begins before that.
    rule = re.sub(r"^RETURN .+;$", "RETURN net_payments > 0;", (folder / RULE).read_text(), flags=re.MULTILINE)
    (folder / RULE).write_text(rule)
    git(folder, "init", "--initial-branch=main")
    git(folder, "add", ".")
    git(folder, "commit", "--message=As it is")
    return folder


@pytest.fixture
def project(origin: Path, tmp_path: Path) -> Path:
    """A clone of it, with a branch of the DBA's; what make has installed here need not be installed again."""
    folder = tmp_path / "project"
    git(tmp_path, "clone", str(origin), str(folder))
    git(folder, "switch", "--create", "nine-tenths")
    (folder / ".venv").symlink_to(sys.prefix)
    for path in (folder / "requirements").rglob("*"):
        os.utime(path, (0, 0))
    return folder


@pytest.fixture(scope="module")
def live(cluster, template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A warehouse that has published five orders of three customers."""
    orders, payments = [], []
    for number, (price, paid) in enumerate(PRICES, start=1):
        buyer = 1 + number % 3
        orders.append([number, buyer, "2025-12-01", "-" if number == 3 else "sim", price])
        payments += [] if paid is None else [[100 + number, buyer, number, "2025-12-01", paid]]
    people = [customer(number) for number in (1, 2, 3)]
    folder = tmp_path_factory.mktemp("journey_data")
    deliver(folder, customer_data=people, order_data=orders, payment_data=payments)
    with warehouse_of(cluster, template, "ltv_journey") as url:
        open_limits(url)
        pipeline.run_pipeline(url, folder, AS_OF)
        yield url


@pytest.fixture
def run(project: Path, live: str, cluster) -> Callable[..., tuple[int, str, str]]:
    """A function that runs a command in the project, and returns its exit code and what it printed."""
    known = {"DATABASE_URL": live, "ADMIN_DATABASE_URL": database_url(cluster, "postgres", admin=True)}
    # What make and pytest have told this process is not the DBA's.
    told = re.compile(r"MAKE|MFLAGS|PYTEST|DATA$|AS_OF$|BASE$|K$|REPORT$|(ADMIN_)?DATABASE_URL$")
    inherited = {name: value for name, value in os.environ.items() if not told.match(name)}

    def running(*command: str | Path, own_server: bool = False, **environment: str) -> tuple[int, str, str]:
        done = subprocess.run(
            command,
            cwd=project,
            env=inherited | ({} if own_server else known) | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
        return done.returncode, done.stdout, done.stderr

    return running


def edit_the_rule(project: Path) -> None:
    text = (project / RULE).read_text()
    assert text.count("net_payments > 0") == 1
    text = text.replace("net_payments > 0", "net_payments >= 0.9 * price")
    (project / RULE).write_text(text.replace("add up to more than 0.", "add up to 90 % of its price or more."))


def write_the_case(project: Path) -> None:
    cases = project / "tests" / "cases" / "core.customer_activity"
    shutil.copytree(cases / "counts_and_adds_the_paid_orders", cases / CASE)
    bought = ["order_id", "customer_id", "order_date", "price"]
    write_csv(cases / CASE / "core.orders.csv", bought, [[n, 1, f"2025-01-0{n}", 50] for n in (1, 2, 3)])
    paid = ["payment_id", "customer_id", "order_id", "payment_date", "amount"]
    amounts = {1: "50", 2: "45", 3: "44.99"}
    write_csv(cases / CASE / "core.payments.csv", paid, [[n, 1, n, "2025-02-01", amounts[n]] for n in amounts])
    expected = ["customer_id", "total_orders", "total_amount", "unpaid_amount", "last_order_date"]
    write_csv(cases / CASE / "expect.csv", expected, [[1, 2, "95.00", "44.99", "2025-01-02"]])


def write_the_check(project: Path) -> None:
    text = (project / "sql" / "staging" / "orders__price_not_negative.sql").read_text()
    for old, new in (
        ("price_not_negative", "product_known"),
        ("no good line has a price below 0", "every good line names its product"),
        ("orders.price < 0 OR orders.price IS NULL", "orders.product IS NULL"),
    ):
        assert old in text
        text = text.replace(old, new)
    (project / "sql" / "staging" / "orders__product_known.sql").write_text(text)


def write_its_cases(project: Path) -> None:
    for name, product, verdict in (
        ("passes_when_every_good_line_has_a_product", "sim", ["passed", 0, 1, ""]),
        ("fails_when_a_good_line_has_none", "", ["failed", 1, 1, "order 17"]),
    ):
        case = project / "tests" / "cases" / CHECK / name
        case.mkdir(parents=True)
        write_csv(case / "staging.orders.csv", ["line_no", "order_id", "product", "price"], [[2, 17, product, 5]])
        write_csv(case / "expect.csv", ["verdict", "bad_rows", "checked_rows", "example"], [verdict])


def write_the_chart(project: Path) -> None:
    charts = project / "sql" / "report"
    (charts / "42_orders_by_country.sql").write_text(
        """-- report.42_orders_by_country: How many paid orders the customers of a country have.
-- Grain: one row per country.
-- Reads: marts.ltv_by_country
-- Write: nothing.

SELECT
    coalesce(ltv_by_country.country, 'not known') AS country,
    ltv_by_country.total_orders
FROM marts.ltv_by_country
ORDER BY ltv_by_country.total_orders DESC, ltv_by_country.country ASC;
"""
    )
    spec = json.loads((charts / "40_ltv_by_country.vl.json").read_text())
    spec["title"] = "Paid orders by country"
    spec["encoding"]["x"] = {"field": "total_orders", "type": "quantitative", "title": "Paid orders"}
    spec["usermeta"]["headings"] = {"total_orders": "Paid orders"}
    (charts / "42_orders_by_country.vl.json").write_text(json.dumps(spec))


def paid_orders(url: str, condition: str) -> int:
    return fetch(
        url,
        f"""SELECT count(*) FROM core.orders
        WHERE (SELECT sum(amount) FROM core.payments WHERE payments.order_id = orders.order_id) {condition}""",
    )[0][0]


def test_a_rule_is_changed(project: Path, live: str, run) -> None:
    write_the_case(project)
    code, out, err = run("make", "-s", "try", f"FILE={ACTIVITY}", f"CASE={CASE}")
    assert code == 2, err
    assert re.search(r"^≠ 1,2,95.00,44.99,2025-01-02 +\| 1,3,139.99,0.00,2025-01-03$", out, re.MULTILINE), out
    edit_the_rule(project)
    assert run("make", "-s", "try", f"FILE={ACTIVITY}", f"CASE={CASE}")[0] == 0

    code, report, err = run("make", "-s", "diff")
    assert (code, err) == (0, "")
    # Of the five: four have been paid something for, two enough.
    before, after = paid_orders(live, "> 0"), paid_orders(live, ">= 0.9 * price")
    assert (before, after) == (4, 2)
    assert row(report, "paid orders")[:3] == ["4", "2", "-2"]
    assert row(report, "core.customer_activity")[2:5] == ["0", "0", "2"]
    assert "\nnone\n" in section(report, "Checks")


def test_a_check_is_added(project: Path, run) -> None:
    write_the_check(project)
    # The rest of the tests has nothing by that name, but takes long to say so.
    looked_at = {"PYTEST_ADDOPTS": "tests/test_sql_cases.py"}
    code, out, _ = run("make", "-s", "test", "K=orders__product_known", **looked_at)
    assert code == 2
    assert f"tests/cases/{CHECK} has no case" in out
    write_its_cases(project)
    code, out, err = run("make", "-s", "test", "K=orders__product_known", **looked_at)
    assert code == 0, out + err
    # Both cases, and that it has them.
    assert re.search(r"\b3 passed, ", out), out

    listing = "import pipeline; print(*[task.task_id for task in pipeline.tasks()])"
    home = {"PYTHONPATH": str(project / "ops"), "AIRFLOW_HOME": str(project.parent / "airflow")}
    tasks = run(sys.executable, "-c", listing, **home)[1].split()
    assert tasks.index("staging.orders") < tasks.index(CHECK) < tasks.index("core.orders")

    code, report, err = run("make", "-s", "diff")
    assert (code, err) == (0, "")
    assert f"\nRun twice: {CHECK}.\n" in report
    # There is no verdict without it.
    said = f"{CHECK} failed: 1 of 5 bad, e.g. order 3"
    assert row(section(report, "Checks"), CHECK) == ["", "failed", said]


def test_a_chart_is_added(project: Path, live: str, run) -> None:
    write_the_chart(project)
    # What draws it is among what the tests have installed.
    code, out, err = run("make", "-s", "--old-file=.venv/report.txt", "report")
    assert (code, err) == (0, "")
    page = project / "report" / "index.html"
    assert out == f"The page is in {page}: open it in a browser.\n"
    _, found, drawn = page.read_text().partition('<h2 id="42_orders_by_country-title">Paid orders by country</h2>')
    assert found
    chart = drawn.partition("</section>")[0]
    assert "How many paid orders the customers of a country have." in chart
    assert chart.count("<svg") >= 1
    (published,) = fetch(live, "SELECT sum(total_orders) FROM marts.customer_ltv")[0]
    assert f'<th scope="row">Rwanda</th><td class="number">{published}</td>' in chart


def test_a_merge_request_says_what_it_does(project: Path, run) -> None:
    """CI has a new checkout of the branch and a server of its own, so what it shows is the sample."""
    edit_the_rule(project)
    write_the_case(project)
    write_the_check(project)
    write_its_cases(project)
    write_the_chart(project)
    git(project, "add", "sql", "tests")
    git(project, "commit", "--message=A paid order is one that is paid to 90 %")
    assert run("git", "status", "--porcelain") == (0, "", "")

    steps = yaml.safe_load((project / ".github" / "workflows" / "ci.yaml").read_text())["jobs"]["diff"]["steps"]
    commands = [step["run"] for step in steps if "run" in step]
    assert len([command for command in commands if command.endswith("> diff.md")]) == 1
    try:
        for command in commands:
            github = {"GITHUB_BASE_REF": "main", "GITHUB_STEP_SUMMARY": str(project.parent / "summary.md")}
            code, _, err = run("bash", "-e", "-o", "pipefail", "-c", command, own_server=True, **github)
            assert (code, err) == (0, ""), command
    finally:
        run("make", "-s", "clean", own_server=True)

    report = (project / "diff.md").read_text()
    assert (project.parent / "summary.md").read_text() == report
    assert re.match(r"# What the edit does\n\nBASE is \w+ As it is\.\n", report)
    assert f"\nEdited: {RULE}, sql/staging/orders__product_known.sql.\n" in report
    assert row(section(report, "Checks"), CHECK)[:2] == ["", "passed"]
    before, after, change = (int(cell.replace(",", "")) for cell in row(report, "paid orders")[:3])
    assert 0 < after < before == after - change
    assert row(report, "customers")[:2] == ["500", "500"]
    assert [step["with"]["path"] for step in steps if "upload" in step.get("uses", "")] == ["diff.md"]
