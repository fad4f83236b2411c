"""`make diff`: what an edit of the SQL does, seen before it goes live, and nothing left behind."""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pipeline
import psycopg
import pytest
from affected import Edit
from conftest import ROOT, database_url
from diff import databases, locked, make, temporary_folder
from support import command_lines, customer, deliver, execute, fetch, open_limits, rows_of, warehouse_of

AS_OF = "2026-01-31"
SCHEMAS = ("audit", "raw", "staging", "core", "intermediate", "marts", "forecast")
RULE = "sql/definitions/functions/core.a_paid_order.sql"
NAME_THEM = "Name the files with DATA=<folder or URL>."
# Whatever it is: the edit of the tests asks for more besides, which is no sensible rule.
FINE = re.findall(r"^RETURN .+;$", (ROOT / RULE).read_text(), re.MULTILINE)[0]
STRICT = FINE.replace(";", " AND net_payments >= 100;")


def git(folder: Path, *arguments: str) -> None:
    known = ("-c", "user.name=dba", "-c", "user.email=dba@example.com", "-C", str(folder))
    subprocess.run([shutil.which("git"), *known, *arguments], check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project as a DBA has it: a clone with a branch main, in which files can be edited."""
    folder = tmp_path / "project"
    for name in ("sql", "dags", "ops", "data"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    git(folder, "init", "--initial-branch=main")
    git(folder, "add", ".")
    git(folder, "commit", "--message=As it is")
    return folder


@pytest.fixture(scope="module")
def live(cluster, template) -> Iterator[str]:
    """A warehouse that has published the sample."""
    with warehouse_of(cluster, template, "ltv_live") as url:
        pipeline.run_pipeline(url, ROOT / "data", AS_OF)
        yield url


@pytest.fixture
def start(cluster) -> Iterator[Callable[..., subprocess.Popen]]:
    """A function that starts `make diff` in a project; what it leaves behind is found at the end."""
    started: list[subprocess.Popen] = []

    def starting(project: Path, url: str, **environment: str) -> subprocess.Popen:
        admin = database_url(cluster, "postgres", admin=True)
        known = {"DATABASE_URL": url, "ADMIN_DATABASE_URL": admin, **environment}
        inherited = {name: value for name, value in os.environ.items() if name not in {"DATA", "AS_OF", "BASE"}}
        started.append(
            subprocess.Popen(
                [sys.executable, "ops/diff.py"],
                cwd=project,
                env={**inherited, **known},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        )
        return started[-1]

    yield starting
    for process in started:
        process.kill()
        process.communicate()
    assert shadows(cluster) == []


def shadows(cluster) -> list[str]:
    named = "SELECT datname FROM pg_catalog.pg_database WHERE datname ~ '^ltv_diff'"
    return [name for (name,) in fetch(database_url(cluster, "postgres", admin=True), named)]


@pytest.fixture
def diff(start: Callable[..., subprocess.Popen]) -> Callable[..., tuple[int, str, str]]:
    """A function that runs `make diff` and returns its exit code, its report and what else it said."""

    def running(project: Path, url: str, **environment: str) -> tuple[int, str, str]:
        process = start(project, url, **environment)
        out, err = process.communicate(timeout=900)
        return process.returncode, out, err

    return running


def edit(project: Path, path: str, old: str, new: str) -> None:
    text = (project / path).read_text()
    assert old in text
    (project / path).write_text(text.replace(old, new))


def row(report: str, name: str) -> list[str]:
    """The cells of the first row of a table of the report that begins with a name."""
    line = re.search(rf"^\| {re.escape(name)} +\|(.*)\|$", report, re.MULTILINE)
    assert line, report
    return [cell.strip() for cell in line[1].split("|")]


def section(report: str, title: str) -> str:
    return report.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_a_stricter_rule_is_seen_before_it_goes_live(project: Path, live: str, diff, cluster) -> None:
    """What a paid order is stands in one place, and becomes one of which 100 is paid."""
    before = rows_of(live, *SCHEMAS)
    edit(project, RULE, FINE, STRICT)
    code, report, said = diff(project, live, FAIL_OVER="0")
    assert (code, said) == (1, "")
    assert report.endswith("\nMore of marts.customer_ltv differs than FAIL_OVER=0 allows.\n")
    assert f"\nEdited: {RULE}.\n" in report
    assert "\nRun twice: core.customer_activity, intermediate.customer_ltv, " in report
    assert "\nDelivery: the last one, as the warehouse holds it.\n" in report

    paid, strictly = fetch(
        live,
        """SELECT count(*), count(*) FILTER (WHERE paid.amount >= 100)
        FROM (SELECT order_id, sum(amount) AS amount FROM core.payments GROUP BY order_id) AS paid
        INNER JOIN core.orders ON paid.order_id = orders.order_id
        WHERE core.a_paid_order(paid.amount, orders.price)""",
    )[0]
    assert 0 < strictly < paid
    assert row(report, "paid orders")[:3] == [f"{paid:,}", f"{strictly:,}", f"{strictly - paid:,}"]
    published = fetch(live, "SELECT sum(ltv) FROM marts.customer_ltv")[0][0]
    assert row(report, "ltv")[0] == f"{published:,}"

    rows = row(report, "core.customer_activity")
    assert rows[:4] == ["500", "500", "0", "0"]
    assert re.search(r"\btotal_orders [1-9]", rows[5])
    largest = section(report, "Largest changes of ltv")
    assert re.search(r"^\| \d+ .*total_amount \d.* → ", largest, re.MULTILINE)
    assert len(re.findall(r"^\| \d", largest, re.MULTILINE)) <= 20
    assert all(cell.isdigit() for cell in row(section(report, "Forecast"), "repeat_customers"))
    files = section(report, "Files")
    cells = row(files, "core.customer_activity")
    assert all(int(cell.replace(",", "")) > 0 for cell in cells[2:])
    assert "staging" not in files

    assert rows_of(live, *SCHEMAS) == before
    assert shadows(cluster) == []


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"FAIL_OVER": "many"}, "FAIL_OVER=many is no number of rows (20) and no share of them (0.05 or 5%)"),
        ({"BASE": "never"}, "git knows no revision never here: name a branch, a tag or a commit with BASE="),
        ({"DATA": "data", "AS_OF": "2099-01-01"}, "2099-01-01"),
        ({"DATA": "nowhere"}, "nowhere is no folder: look at DATA"),
        ({"ADMIN_DATABASE_URL": ""}, "make diff makes two databases and drops them again, which this login may not"),
    ],
)
def test_what_cannot_be_is_said(project: Path, live: str, diff, environment: dict[str, str], said: str) -> None:
    edit(project, RULE, FINE, STRICT)
    code, _, err = diff(project, live, **environment)
    assert code == 1
    assert said in err
    assert "Traceback" not in err


def test_without_an_edit_there_is_nothing_to_see(project: Path, live: str, diff) -> None:
    code, report, said = diff(project, live)
    assert (code, said) == (0, "")
    assert re.fullmatch(r"# What the edit does\n\nBASE is \w+ As it is.\n\nNo file .* differs from it.\n", report)


def test_a_rule_of_staging_is_seen_in_core(project: Path, live: str, diff) -> None:
    """The last delivery is taken back first: else core would hold what the new rule refuses."""
    dear, all_orders = fetch(live, "SELECT count(*) FILTER (WHERE price >= 100), count(*) FROM core.orders")[0]
    assert dear
    edit(project, "sql/staging/orders.sql", "WHEN price < 0\n", "WHEN price >= 100 OR price < 0\n")
    code, report, said = diff(project, live, FAIL_OVER="5%")
    assert (code, said) == (1, "")
    assert row(report, "core.orders")[:4] == [f"{all_orders:,}", f"{all_orders - dear:,}", str(dear), "0"]
    assert re.search(rf"\bcustomer_id {dear}\b", row(report, "staging.orders")[5])
    # What cannot be affected was run once.
    assert "| staging.customers " not in report
    # The dear orders' payments wait for them now, and that is too many.
    assert row(section(report, "Checks"), "staging.payments__waiting_within_limit")[:2] == ["passed", "failed"]
    assert re.search(r"staging.orders__rejects_within_limit +\| passed +\| failed", report)


def test_files_that_were_loaded_again_are_taken_back_as_often_and_no_others(
    project: Path, diff, cluster, template, tmp_path: Path
) -> None:
    """The later runs have changed nothing: with these alone taken back, core would hold what the new rule refuses."""
    other = deliver(
        tmp_path / "other",
        customer_data=[customer(9001)],
        order_data=[[90001, 9001, "2026-01-01", "Phone", 5]],
        payment_data=[[90001, 9001, 90001, "2026-01-01", 5000]],
    )
    edit(project, "sql/staging/orders.sql", "WHEN price < 0\n", "WHEN price >= 100 OR price < 0\n")
    with warehouse_of(cluster, template, "ltv_loaded_again") as url:
        open_limits(url)
        pipeline.run_pipeline(url, other, AS_OF, "before")
        for run_id in ("first", "again", "because somebody wanted it", "after an undo"):
            pipeline.run_pipeline(url, ROOT / "data", AS_OF, run_id)
            if run_id == "again":
                # As the README says, to have the same loaded again.
                execute(url, "UPDATE audit.loads SET sha256 = '' WHERE run_no = audit.run_no()")
            if run_id == "because somebody wanted it":
                execute(url, "SELECT audit.undo_run(4, 'Ann', 'a test')")
        dear, all_orders = fetch(url, "SELECT count(*) FILTER (WHERE price >= 100), count(*) FROM core.orders")[0]
        _, report, said = diff(project, url)
    assert said == ""
    assert row(report, "core.orders")[:4] == [f"{all_orders:,}", f"{all_orders - dear:,}", str(dear), "0"]


def test_files_that_core_holds_already_are_taken_back_too(project: Path, live: str, diff) -> None:
    """Who names the files of the last delivery with DATA sees what is seen without it."""
    edit(project, "sql/staging/orders.sql", "WHEN price < 0\n", "WHEN price >= 100 OR price < 0\n")
    dear, all_orders = fetch(live, "SELECT count(*) FILTER (WHERE price >= 100), count(*) FROM core.orders")[0]
    shutil.copytree(project / "data", project / "deliveries" / AS_OF)
    code, report, said = diff(project, live, DATA="deliveries/{as_of}", AS_OF=AS_OF)
    assert (code, said) == (0, "")
    assert row(report, "core.orders")[:4] == [f"{all_orders:,}", f"{all_orders - dear:,}", str(dear), "0"]


def test_a_migration_is_run_on_its_side_alone(project: Path, live: str, diff) -> None:
    (project / "sql" / "migrations" / "9999_note.sql").write_text(
        "-- migrate:up\nALTER TABLE marts.customer_ltv ADD COLUMN note text DEFAULT 'new';\n-- migrate:down\n"
    )
    code, report, said = diff(project, live, FAIL_OVER="0")
    assert (code, said) == (0, "")
    assert row(report, "marts.customer_ltv") == ["500", "500", "0", "0", "0", "note only in edited"]
    assert row(report, "staging.payments")[4] == "0"


def test_a_migration_that_changes_rows_of_core_is_seen(project: Path, diff, cluster, template, tmp_path: Path) -> None:
    """It finds what earlier deliveries have brought; the last one is delivered after it."""
    (project / "sql" / "migrations" / "9999_dearer.sql").write_text(
        "-- migrate:up\nSET LOCAL ltv.keeps_nothing = 'on';\n"
        "UPDATE core.orders SET price = price + 1;\n-- migrate:down\n"
    )
    with warehouse_of(cluster, template, "ltv_dearer") as url:
        open_limits(url)
        for number in (1, 2):
            orders, payments = [[number, 1, "2025-12-01", "sim", "9.00"]], [[number, 1, number, "2025-12-01", "9.00"]]
            folder = tmp_path / str(number)
            deliver(folder, customer_data=[customer(1)], order_data=orders, payment_data=payments)
            pipeline.run_pipeline(url, folder, AS_OF, f"night {number}")
        code, report, said = diff(project, url)
    assert (code, said) == (0, ""), said
    assert row(report, "core.orders") == ["2", "2", "0", "0", "1", "price 1"]
    assert row(report, "paid orders")[:2] == ["2", "2"]


def test_a_warehouse_that_is_ahead_is_told_of(project: Path, diff, cluster, template) -> None:
    with warehouse_of(cluster, template, "ltv_ahead") as url:
        execute(url, 'UPDATE audit.deployments SET migrations = migrations || \'{"9998_new.sql": ""}\'')
        edit(project, RULE, FINE, STRICT)
        code, _, said = diff(project, url)
        assert code == 1
        assert "make diff: the warehouse has had 9998_new.sql, which one of the two sides has not, or otherwise" in said
        code, report, said = diff(project, url, DATA=str(project / "data"), AS_OF=AS_OF)
        assert (code, said) == (0, "")
        assert row(report, "customers")[:2] == ["500", "500"]


def test_a_check_that_goes_is_missed(project: Path, live: str, diff) -> None:
    """Renamed, it is the old one that goes, and a new one."""
    old, new = (f"staging.orders__price_{said}" for said in ("not_negative", "fine"))
    path = project / "sql" / "staging" / "orders__price_not_negative.sql"
    text = path.read_text()
    path.unlink()
    code, report, said = diff(project, live)
    assert (code, said) == (0, "")
    assert f"\nRun twice: {old}.\n" in report
    assert row(section(report, "Checks"), old)[:2] == ["passed", ""]
    path.with_stem("orders__price_fine").write_text(text.replace("price_not_negative", "price_fine"))
    code, report, said = diff(project, live)
    assert (code, said) == (0, "")
    assert row(section(report, "Checks"), old)[:2] == ["passed", ""]
    assert row(section(report, "Checks"), new)[:2] == ["", "passed"]


def test_what_no_file_calls_is_said_not_to_be_tried(project: Path, live: str, diff) -> None:
    """A trigger's function that lets nobody write core would stop every night."""
    path = "sql/definitions/functions/audit.keep_replaced.sql"
    edit(project, path, "\nBEGIN\n", "\nBEGIN\n    RAISE EXCEPTION 'no';\n")
    code, report, said = diff(project, live)
    assert (code, said) == (0, "")
    assert report.endswith(" a trigger or somebody by hand calls is not tried here: `make test` tries it.\n")


def test_a_new_warehouse_gets_the_sample(project: Path, new_database, diff) -> None:
    edit(project, RULE, FINE, STRICT)
    code, report, said = diff(project, new_database("ltv_new"), AS_OF=AS_OF)
    assert (code, said) == (0, "")
    assert f"\nDelivery: {project / 'data'}.\n" in report
    assert row(report, "customers")[:2] == ["500", "500"]


def test_an_edit_that_does_not_run_is_named(project: Path, live: str, diff) -> None:
    edit(project, "sql/intermediate/customer_ltv.sql", "CROSS JOIN lifespan", "CROSS JOIN lifespans")
    code, _, said = diff(project, live)
    assert code == 1
    assert 'sql/intermediate/customer_ltv.sql: relation "lifespans" does not exist' in said
    assert "Traceback" not in said


def test_an_open_run_is_not_disturbed(project: Path, diff, cluster, template) -> None:
    edit(project, RULE, FINE, STRICT)
    with warehouse_of(cluster, template, "ltv_busy") as url:
        pipeline.begin(url, AS_OF, "night")
        code, _, said = diff(project, url)
        assert code == 1
        assert said == f"make diff: a run is open: wait until it has ended. {NAME_THEM}\n"
        execute(url, "SELECT audit.fail_run('night', 'by hand', 'test')")
        code, _, said = diff(project, url)
        assert code == 1
        assert said == f"make diff: the warehouse has had no delivery. {NAME_THEM}\n"


def wait_for_shadows(cluster, process: subprocess.Popen) -> list[int]:
    """Wait until a side is at work, and give its process; no password is seen in the list of processes by then."""
    while True:
        assert process.poll() is None, process.communicate()
        at_work = [number for number, line in command_lines(process.pid).items() if "shadow.py" in line]
        seen = "\n".join(command_lines().values())
        assert cluster.pipeline_password not in seen
        assert cluster.admin_password not in seen
        if shadows(cluster) and (at_work or not seen):
            return at_work
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_interrupts_it_leaves_nothing_behind(project: Path, live: str, start, cluster, number: int) -> None:
    edit(project, RULE, FINE, STRICT)
    process = start(project, live)
    wait_for_shadows(cluster, process)
    process.send_signal(number)
    process.communicate(timeout=900)
    assert process.returncode == 128 + number
    assert shadows(cluster) == []


def test_what_a_killed_one_has_left_the_next_one_drops(
    project: Path, live: str, start, diff, cluster, tmp_path: Path
) -> None:
    edit(project, RULE, FINE, STRICT)
    place = tmp_path / "temporary"
    place.mkdir()
    process = start(project, live, TMPDIR=str(place))
    at_work = wait_for_shadows(cluster, process)
    # What runs for it works on, in that folder, until it has ended: here not before that has been looked at.
    for number in at_work:
        os.kill(number, signal.SIGSTOP)
    try:
        process.kill()
        process.communicate()
        left = shadows(cluster)
        assert left
        (folder,) = place.glob("ltv-diff-*")
        assert (folder / "base" / "sql").is_dir()
        assert locked(folder) is None
    finally:
        for number in at_work:
            os.kill(number, signal.SIGCONT)
    while (opened := locked(folder)) is None:
        time.sleep(0.05)
    os.close(opened)
    with psycopg.connect(database_url(cluster, "postgres", admin=True)) as connection:
        # Its server process notices that it is gone, and gives back its lock.
        connection.execute("SELECT pg_advisory_lock(hashtext(%s))", [left[0].split("_")[2]])
    assert diff(project, live, TMPDIR=str(place))[0] == 0
    assert list(place.iterdir()) == []


def test_the_folder_of_one_at_work_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "ltv-diff-link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "ltv-diff-left" / "base").mkdir(parents=True)
    with temporary_folder() as first, temporary_folder() as second:
        assert set(tmp_path.iterdir()) == {first, second, tmp_path / "elsewhere", tmp_path / "ltv-diff-link"}
    assert set(tmp_path.iterdir()) == {tmp_path / "elsewhere", tmp_path / "ltv-diff-link"}


def test_a_folder_of_somebody_else_or_that_has_gone_meanwhile_is_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
        assert locked(tmp_path) is None
    folder = tmp_path / "ltv-diff-left"
    folder.mkdir()
    monkeypatch.setattr(fcntl, "flock", lambda *_: folder.rmdir())
    assert locked(folder) is None
    assert locked(folder) is None


def test_one_beside_it_drops_nothing_of_it_wherever_it_is_connected(live: str, cluster) -> None:
    elsewhere = psycopg.conninfo.conninfo_to_dict(live)["dbname"]
    with databases(database_url(cluster, "postgres", admin=True)) as (connection, name):
        make(connection, live, f"{name}_base")
        with databases(database_url(cluster, elsewhere, admin=True)):
            assert shadows(cluster) == [f"{name}_base"]
    assert shadows(cluster) == []


def test_an_edit_of_the_forecast_is_seen_though_the_last_fit_is_young(project: Path, diff, cluster, template) -> None:
    """The models are fitted once a week: what an edit does to them shows on the day of the edit."""
    edit(
        project,
        "sql/forecast/clv_model.sql",
        "THEN exp(fitted.purchases[1]) END",
        "THEN 2 * exp(fitted.purchases[1]) END",
    )
    edit(project, "sql/forecast/scores__within_bounds.sql", "bad_rows => ", "bad_rows => 1 + ")
    (project / "sql" / "forecast" / "scores__cover_every_buyer.sql").unlink()
    with warehouse_of(cluster, template, "ltv_forecast") as url:
        pipeline.run_pipeline(url, ROOT / "data", AS_OF)
        for task in pipeline.forecast_tasks():
            execute(url, (ROOT / "sql" / "forecast" / f"{task.task_id.partition('.')[2]}.sql").read_text())
        kept = "SELECT r, (SELECT expected_orders FROM forecast.publishes) FROM forecast.clv_model"
        rate, orders = fetch(url, kept)[0]
        before = rows_of(url, *SCHEMAS)
        code, report, said = diff(project, url, FAIL_OVER="0")
        assert rows_of(url, *SCHEMAS) == before
    assert (code, said) == (0, "")
    assert "\nRun twice: forecast.clv_model, forecast.expectations, forecast.scores, " in report
    assert row(report, "marts.clv_model") == ["2", "2", "0", "0", "1", "r 1"]
    forecast = section(report, "Forecast")
    was, becomes = map(float, row(forecast, "r"))
    # The search for the top ends within a millionth of it.
    assert was == pytest.approx(rate, abs=1e-3)
    assert becomes == pytest.approx(2 * was, abs=1e-4)
    was, becomes = (float(cell.replace(",", "")) for cell in row(forecast, "expected orders"))
    assert was == pytest.approx(float(orders), rel=1e-3)
    assert becomes > was
    assert row(section(report, "Checks"), "forecast.scores__within_bounds")[:2] == ["passed", "failed"]
    # That the warehouse has judged it on the same day is not the edit's.
    assert row(section(report, "Checks"), "forecast.scores__cover_every_buyer")[:2] == ["passed", ""]
    # The number of the night is none of its business.
    assert "| core" not in report
    assert section(report, "Largest changes of ltv").endswith("\nnone\n")


ORDER = [task.task_id for task in [*pipeline.tasks(), *pipeline.forecast_tasks()]]
CANDIDATE = [f"intermediate.{path.stem}" for path in sorted((ROOT / "sql" / "intermediate").glob("*.sql"))]
# A publish is what the forecast begins with, and one of its checks holds the two together.
FORECAST = [task.task_id for task in pipeline.forecast_tasks()]
FROM_THE_MODEL = FORECAST[FORECAST.index("forecast.clv_model") :]
MART = ["marts.customer_ltv", "marts.customer_ltv__equals_candidate", *FORECAST]
OF_THE_FORECAST = ["customer_forecast", "customers_at_risk", "forecast_freshness", "rfm_segments"]
OF_THE_MART = sorted(
    ["ltv_by_country", "ltv_by_first_product", "ltv_deciles", "ltv_movers", "clv_model", *OF_THE_FORECAST]
)


@pytest.mark.parametrize(
    ("path", "tasks", "views"),
    [
        ("sql/intermediate/customer_ltv.sql", [*CANDIDATE, *MART], OF_THE_MART),
        (RULE, ["core.customer_activity", *CANDIDATE, *MART], sorted(["cohort_retention", *OF_THE_MART])),
        ("sql/staging/customers__text_readable.sql", ["staging.customers__text_readable"], []),
        # It looks at the mart before that is published again.
        (
            "sql/intermediate/customer_ltv__total_near_the_published.sql",
            ["intermediate.customer_ltv__total_near_the_published", *MART],
            OF_THE_MART,
        ),
        ("sql/definitions/views/marts.ltv_deciles.sql", [], ["ltv_deciles"]),
        ("sql/definitions/functions/audit.alerts.sql", [], []),
        ("sql/definitions/grants.sql", [], []),
        ("sql/forecast/scores.sql", FORECAST[FORECAST.index("forecast.scores") :], OF_THE_FORECAST),
        ("sql/forecast/customer_forecast__near_what_happened.sql", FORECAST[-1:], []),
        ("sql/definitions/functions/forecast.climb.sql", FROM_THE_MODEL, ["clv_model", *OF_THE_FORECAST]),
        ("sql/report/40_ltv_by_country.sql", [], []),
        ("sql/definitions/sources.sql", [task for task in ORDER if task not in {"begin", "end"}], None),
    ],
)
def test_only_what_an_edit_affects_runs_twice(project: Path, path: str, tasks: list[str], views: list | None) -> None:
    (project / path).write_text((project / path).read_text() + "\n-- edited\n")
    found = Edit(ROOT, project)
    # What stands beside a run is not even named.
    assert (found.paths == [path]) == (not path.startswith(("sql/report/", "sql/definitions/grants")))
    assert found.tasks(ORDER) == tasks
    if views is not None:
        assert found.shown(tasks) == [f"marts.{view}" for view in views]
