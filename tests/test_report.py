"""The director's page: what is on it, who may read for it, what must not be on it, and what happens to a bad chart."""

import csv
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import httpx
import psycopg
import pytest
import report_page
import server
from browser import AXE, browser, watched
from conftest import ROOT, database_url
from object_stores import BUCKET, PROGRAMS, s3
from pipeline import begin, run_pipeline
from playwright.sync_api import Browser
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row
from report_page import CHARTS, ReportError, page, write
from stores import BadFileError
from support import airflow_settings, execute, fetch, new_airflow_home, open_limits, warehouse_of
from test_forecast import run_forecast

# The sample as it would have come in: an early forecast is judged by now, and the later ones are compared.
DAYS = ["2025-08-31", "2025-09-20", "2025-12-24", "2025-12-30", "2025-12-31"]
DATED = {"order_data": "order_date", "payment_data": "payment_date"}
NAMES = sorted({path.name.partition(".")[0] for path in CHARTS.glob("[0-9]*")})


def sample_until(day: str, folder: Path) -> Path:
    """The files of data/ without what came later, but for two lines with a mistyped day."""
    folder.mkdir()
    for path in (ROOT / "data").glob("*.csv"):
        with path.open(newline="") as lines, (folder / path.name).open("w", newline="") as kept:
            reader = csv.DictReader(lines)
            writer = csv.DictWriter(kept, reader.fieldnames)
            writer.writeheader()
            column = DATED.get(path.stem)
            writer.writerows(row for row in reader if column is None or not day < row[column] < "2026")
    return folder


@pytest.fixture(scope="module")
def published(cluster: server.Server, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A warehouse that has published and forecast the sample on several days, and failed to once."""
    folder = tmp_path_factory.mktemp("deliveries")
    with warehouse_of(cluster, template, "ltv_report") as url:
        open_limits(url)
        for day in DAYS:
            run_pipeline(url, sample_until(day, folder / day), day, day)
            run_forecast(url)
        begin(url, DAYS[-1], "a night without files")
        execute(url, "SELECT audit.fail_run('a night without files', 'raw.order_data', 'a test')")
        yield url


def made(url: str) -> str:
    with psycopg.connect(url) as connection:
        return page(connection)


@pytest.fixture(scope="module")
def shown(published: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of that warehouse, as a file."""
    return Path(write(str(tmp_path_factory.mktemp("report")), made(published)))


@pytest.fixture
def charts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of charts that a test may change: the page, and no chart yet."""
    folder = tmp_path / "charts"
    shutil.copytree(CHARTS, folder, ignore=shutil.ignore_patterns("[0-9]*"))
    monkeypatch.setattr(report_page, "CHARTS", folder)
    return folder


SPEC = {
    "title": "Customers by number",
    "mark": "bar",
    "encoding": {"x": {"field": "name", "type": "nominal"}, "y": {"field": "customers", "type": "quantitative"}},
}


def add(folder: Path, query: str, spec: object = SPEC, name: str = "99_mine") -> None:
    (folder / f"{name}.sql").write_text(f"-- report.{name}: A sentence for people.\n{query}")
    (folder / f"{name}.vl.json").write_text(spec if isinstance(spec, str) else json.dumps(spec))


# Two files are a chart


def test_two_files_are_a_chart(charts: Path, warehouse: str) -> None:
    assert "<section" not in made(warehouse)
    add(charts, "SELECT 'a' AS name, 1234567 AS customers, NULL AS other_thing, 'It is so.' AS headline;")
    text = made(warehouse)
    assert text.count("<section") == 1
    for part in (
        '<h2 id="99_mine-title">Customers by number</h2>',
        '<p class="headline">It is so.</p>',
        '<p class="sentence">A sentence for people.</p>',
        '<th scope="col">Name</th>',
        '<th scope="col" class="number">Customers</th>',
        '<th scope="col">Other thing</th>',
        '<th scope="row">a</th><td class="number">1,234,567</td><td>—</td></tr>',
        "1,200,000",
    ):
        assert part in text, part
    assert text.count("<svg") == len(report_page.WIDTHS)
    assert text.count("It is so.") == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_chart_of_ours_is_two_files_with_its_words(name: str) -> None:
    spec = json.loads((CHARTS / f"{name}.vl.json").read_text())
    title, grain, reads, written = (CHARTS / f"{name}.sql").read_text().splitlines()[:4]
    assert title.startswith(f"-- report.{name}: ")
    assert title.endswith(".")
    assert (grain[:10], reads[:10], written) == ("-- Grain: ", "-- Reads: ", "-- Write: nothing.")
    text = (CHARTS / f"{name}.sql").read_text()
    assert text.splitlines()[4] == ""
    read = set(re.findall(r"\b(?:FROM|JOIN) ((?:marts|audit|forecast)\.\w+)", text))
    assert set(reads.removeprefix("-- Reads: ").split(", ")) == read
    assert spec["title"]
    assert spec["usermeta"]["empty"].endswith(".")


@pytest.mark.parametrize(
    ("query", "spec", "said"),
    [
        (
            "SELECT 1 AS customers,\n    nam FROM marts.customer_ltv;",
            SPEC,
            r'column "nam" does not.*99_mine.sql, line 3',
        ),
        ("SELECT 1 FROM marts.nothing;", SPEC, r'"marts.nothing" does not exist \(sql/report/99_mine.sql, line 2\)'),
        ("SELECT 1 / 0 AS customers;", SPEC, r"division by zero \(sql/report/99_mine.sql\)"),
        ("SELECT 'Zebulon'::date AS name;", SPEC, r'invalid input syntax for type date: "…" \(sql/report/99_mine.sql'),
        ("SELECT 'a' AS nam, 1 AS customers;", SPEC, "sql/report/99_mine.vl.json: no column of its query: name"),
        ("SELECT 'a' AS name, 1 AS customers;", "{]", "sql/report/99_mine.vl.json is no JSON object: "),
        ("SELECT 'a' AS name, 1 AS customers;", "7", "sql/report/99_mine.vl.json is no JSON object: "),
        ("SELECT 'a' AS name, 1 AS customers;", {"mark": "bar"}, "sql/report/99_mine.vl.json: it has no title"),
        ("SELECT 'a' AS name, 1 AS customers;", SPEC | {"title": {"text": "x"}}, "it has no title, or one that is no "),
        ("SELECT 'a' AS name, 1 AS customers;", SPEC | {"usermeta": "x"}, "its usermeta, or the headings in it, are"),
        (
            "SELECT 'a' AS name, 1 AS customers;",
            {"title": "x", "mark": "pie"},
            r"99_mine.vl.json: .+ failed: \w*Error: \w",
        ),
        (
            "SELECT 'a' AS name, n AS customers FROM generate_series(1, 2001) AS n;",
            SPEC,
            "99_mine.sql: more than 2,000",
        ),
        ("SELECT 'a' AS name, 1 AS customers; SELECT 2;", SPEC, r"multiple commands .*\(sql/report/99_mine.sql"),
    ],
    ids=[
        *("unknown-column", "unknown-table", "division", "bad-value", "unknown-field", "no-json", "no-object"),
        *("no-title", "title-is-no-text", "no-usermeta", "unknown-mark", "too-many-rows", "two-queries"),
    ],
)
def test_a_broken_chart_is_named(query: str, spec: object, said: str, charts: Path, warehouse: str) -> None:
    add(charts, query, spec)
    with pytest.raises((ReportError, psycopg.Error), match=said) as failed:
        made(warehouse)
    assert "Zebulon" not in str(failed.value)


@pytest.mark.parametrize("ending", [".sql", ".vl.json"])
def test_half_a_chart_is_named(ending: str, charts: Path, warehouse: str) -> None:
    add(charts, "SELECT 'a' AS name, 1 AS customers;")
    (charts / f"99_mine{ending}").unlink()
    with pytest.raises(ReportError, match=f"sql/report/99_mine{ending} is missing: a chart is a .sql file and a"):
        made(warehouse)


def test_a_chart_without_rows_is_a_sentence(charts: Path, warehouse: str) -> None:
    query = "SELECT 'a' AS name, 1 AS customers, 'never' AS headline WHERE false;"
    add(charts, query, SPEC | {"usermeta": {"empty": "Nobody has bought."}})
    add(charts, query, name="98_plain")
    text = made(warehouse)
    assert '<p class="empty">Nobody has bought.</p>' in text
    assert '<p class="empty">There is nothing to show yet.</p>' in text
    assert "<svg" not in text
    assert "<table" not in text


def test_a_new_warehouse_has_a_page_of_sentences(warehouse: str) -> None:
    text = made(warehouse)
    assert text.count("<section") == text.count('<p class="empty">') == len(NAMES) > 0
    assert "nothing has been published" in text
    assert "<svg" not in text


def test_a_text_of_a_file_is_no_markup(charts: Path, warehouse: str) -> None:
    add(charts, "SELECT '<script>alert(1)</script>&' AS name, 1 AS customers, '<b>bold' AS headline;")
    text = made(warehouse)
    assert "<script" not in text
    assert "<b>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&amp;" in text


def test_a_text_with_characters_that_no_svg_may_hold_is_drawn(charts: Path, warehouse: str) -> None:
    lists = "ARRAY[1.5] AS some, jsonb_build_object('a', 1.5) AS others"
    add(charts, rf"SELECT E'Ki\u0001gali\u000B\uFFFF' AS name, 1 AS customers, {lists};")
    assert "Ki\N{REPLACEMENT CHARACTER}gali" in made(warehouse)


@pytest.mark.parametrize("place", ["file:///etc/passwd", "http://127.0.0.1:9/x.csv"])
def test_a_chart_has_its_data_from_its_query_alone(place: str, charts: Path, warehouse: str) -> None:
    layer = {"mark": "bar", "encoding": SPEC["encoding"], "data": {"url": place}}
    add(charts, "SELECT 'a' AS name, 1 AS customers;", {"title": "x", "layer": [layer]})
    with pytest.raises(ReportError, match=r"sql/report/99_mine.vl.json: it names a url: what is drawn is what its"):
        made(warehouse)


# Who reads for it


def test_all_charts_are_of_one_moment_and_write_nothing(charts: Path, warehouse: str) -> None:
    settings = ("transaction_isolation", "transaction_read_only", "TimeZone")
    asked = ", ".join(f"current_setting('{name}')" for name in settings)
    query = (
        f"SELECT concat_ws(' ', {asked}, current_user) AS name, txid_current_snapshot()::text AS seen, 1 AS customers"
    )
    add(charts, query)
    add(charts, query, name="98_other")
    text = made(warehouse)
    assert text.count('<th scope="row">repeatable read on Africa/Kigali ltv_report</th>') == 2
    assert len(set(re.findall(r"<td>(\d+:\d+:[\d,]*)</td>", text))) == 1
    for statement in ("DELETE FROM marts.freshness", "CREATE TABLE marts.mine (a integer)"):
        add(charts, f"{statement};")
        with pytest.raises(psycopg.Error, match=r"read-only transaction|permission denied.*sql/report/99_mine.sql"):
            made(warehouse)


PRIVATE = [
    *("core.customers", "core.payments", "raw.customer_data", "staging.customers", "audit.rejected_rows"),
    *("audit.rejections_today", "audit.runs", "audit.check_results", "forecast.customer_rfm", "pg_authid"),
]


@pytest.mark.parametrize("table", PRIVATE)
def test_a_chart_of_what_is_private_is_refused(table: str, charts: Path, published: str) -> None:
    add(charts, f"SELECT * FROM {table};")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match=r"permission denied .*\(sql/report/99_mine.sql"):
        made(published)


def test_the_charts_may_read_this_and_nothing_more(published: str) -> None:
    """What an analyst may, and three views; nothing that could be written."""
    rights = fetch(
        published,
        """SELECT pg_class.oid::regclass::text, privilege
        FROM pg_catalog.pg_class
        CROSS JOIN unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER,MAINTAIN}'::text[]) AS privilege
        WHERE relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
            AND relkind IN ('r', 'v', 'm', 'p') AND has_table_privilege('ltv_report', pg_class.oid, privilege)""",
    )
    assert {right for _, right in rights} == {"SELECT"}
    assert {name for name, _ in rights if not name.startswith("marts.")} == {
        *("audit.run_quality", "audit.rejects_by_rule", "forecast.calibration")
    }
    assert fetch(published, "SELECT pg_has_role('ltv_pipeline', 'ltv_report', 'USAGE')") == [(False,)]
    assert fetch(published, "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'ltv_report'") == [(False,)]


def test_a_login_that_is_but_a_reader_makes_the_page(cluster: server.Server, published: str) -> None:
    with psycopg.connect(database_url(cluster, "postgres", admin=True), autocommit=True) as admin:
        login = {"user": "looker", "password": secrets.token_hex(8)}
        admin.execute("CREATE ROLE looker LOGIN PASSWORD '{password}' IN ROLE ltv_report".format(**login))
        try:
            assert "<svg" in made(make_conninfo(published, **login))
        finally:
            admin.execute("DROP ROLE looker")


def test_without_the_role_the_charts_read_as_the_owner_and_that_is_said(
    warehouse: str, cluster: server.Server, caplog: pytest.LogCaptureFixture
) -> None:
    with psycopg.connect(database_url(cluster, "ltv_test", admin=True), autocommit=True) as admin:
        admin.execute("ALTER ROLE ltv_report RENAME TO ltv_away")
        try:
            assert "<section" in made(warehouse)
        finally:
            admin.execute("ALTER ROLE ltv_away RENAME TO ltv_report")
    assert "There is no role ltv_report for this login: the charts read with all its rights" in caplog.text


# What must not be on it


def test_nobody_is_named(shown: Path) -> None:
    text = re.sub(r"<style>.*?</style>", "", shown.read_text(), flags=re.DOTALL)
    words = set(re.findall(r"[\w.@+'-]+", text)) | set(re.findall(r"\w+", text))
    with (ROOT / "data" / "customer_data.csv").open(newline="") as lines:
        people = list(csv.DictReader(lines))
    assert len(people) > 500
    for column in ("first_name", "last_name", "email", "date_of_birth"):
        values = {row[column].strip() for row in people} - {""}
        assert len(values) > 20
        assert not values & words, column
    assert "@" not in text.replace("@media", "")


# The views that were made for it


def test_the_quality_of_a_run_is_what_audit_knows_of_it(published: str) -> None:
    rows = fetch(
        published,
        """SELECT run_no, as_of::text, state, passed + warned, overridden, failed, records, rejected,
            hours_after_day > 0
        FROM audit.run_quality ORDER BY run_no""",
    )
    assert [row[:3] for row in rows[:-1]] == [(n, day, "published") for n, day in enumerate(DAYS, start=1)]
    assert rows[-1] == (len(DAYS) + 1, DAYS[-1], "failed", 0, 0, 0, None, None, None)
    for run_no, *_, checks, overridden, failed, records, rejected, is_later in rows[:-1]:
        assert (overridden, failed, is_later) == (0, 0, True)
        assert fetch(published, f"SELECT count(*) FROM audit.check_results WHERE run_no = {run_no}") == [(checks,)]
        loaded = f"SELECT sum(records), sum(rejected) FROM audit.loads WHERE run_no = {run_no}"
        assert fetch(published, loaded) == [(records, rejected)]


def test_rejects_are_counted_by_rule_once_each(published: str) -> None:
    """The sample's own list of flaws; the failed run has set nothing aside."""
    rows = fetch(published, "SELECT source, rule, is_waiting, rows_kept, rows_of_last_run FROM audit.rejects_by_rule")
    assert {(source, rule): kept for source, rule, _, kept, _ in rows} == {
        ("customer_data", "customer_id not_a_whole_number"): 1,
        ("customer_data", "date_of_birth not_a_day"): 2,
        ("order_data", "customer_id missing"): 1,
        ("order_data", "customer_id waits"): 1,
        ("order_data", "order_date waits"): 1,
        ("order_data", "price negative"): 1,
        ("order_data", "price not_an_amount"): 1,
        ("payment_data", "amount not_an_amount"): 1,
        ("payment_data", "customer_id disagrees"): 1,
        ("payment_data", "order_id waits"): 1,
    }
    assert {is_waiting for _, rule, is_waiting, *_ in rows if rule.endswith(" waits")} == {True}
    assert {row[4] for row in rows} == {0}


# Whether it is true


def charted(url: str, name: str) -> list[dict]:
    """What the query of a chart gives, row by row."""
    with psycopg.connect(url, row_factory=dict_row) as connection:
        return connection.execute((CHARTS / f"{name}.sql").read_bytes()).fetchall()


def test_the_value_is_charted_as_it_was_published(published: str) -> None:
    """Its ranges, tenths and countries, summed up once more."""
    rows = fetch(
        published,
        """SELECT ltv, total_orders > 0, country FROM marts.customer_ltv
        INNER JOIN core.customers USING (customer_id) ORDER BY ltv DESC""",
    )
    worth = [ltv for ltv, has_bought, _ in rows if has_bought]
    ranges = charted(published, "10_ltv_distribution")
    edges = [row["ltv_from"] for row in ranges]
    for row, below in zip(ranges, [*edges[1:], 10**15], strict=True):
        inside = [ltv for ltv in worth if row["ltv_from"] <= ltv < below]
        assert (row["customers"], row["total_ltv"]) == (len(inside), sum(inside)), row
    assert ranges[0]["headline"] == (
        f"Half of the buyers are worth {median(worth):,.0f} or more, the most valuable one {worth[0]:,.0f}."
    )

    tenths, so_far = charted(published, "20_pareto_curve"), 0
    for row in tenths:
        assert row["total_ltv"] == sum(worth[so_far : so_far + row["customers"]])
        so_far += row["customers"]
        assert float(row["share_percent"]) == pytest.approx(float(100 * row["total_ltv"] / sum(worth)), abs=0.051)
        assert float(row["share_so_far_percent"]) == pytest.approx(
            float(100 * sum(worth[:so_far]) / sum(worth)), abs=0.051
        )
    assert (len(tenths), so_far) == (10, len(worth))
    first, half = (round(100 * sum(row["total_ltv"] for row in tenths[:n]) / sum(worth)) for n in (1, 5))
    assert tenths[0]["headline"] == (
        f"The most valuable tenth of the buyers holds {first} % of the value, the first half {half} %."
    )

    countries = charted(published, "40_ltv_by_country")
    by_country = {name or "not known": sum(ltv for ltv, _, where in rows if where == name) for *_, name in rows}
    assert {row["country"]: row["total_ltv"] for row in countries} == by_country
    most = max(by_country, key=by_country.get)
    assert countries[0]["headline"] == f"{most} holds {100 * by_country[most] / sum(worth):.0f} % of the value."


def test_who_comes_back_is_charted_as_they_came(published: str) -> None:
    months = defaultdict(set)
    for number, month in fetch(
        published,
        """SELECT orders.customer_id, extract(YEAR FROM order_date) * 12 + extract(MONTH FROM order_date) - 1
        FROM core.orders INNER JOIN core.payments USING (order_id)
        GROUP BY order_id HAVING core.a_paid_order(sum(payments.amount), price)""",
    ):
        months[number].add(int(month))
    rows = charted(published, "30_cohort_retention")
    assert len(rows) > 200
    for row in rows:
        year, month = map(int, row["cohort"].split("-"))
        first = year * 12 + month - 1
        cohort = [bought for bought in months.values() if min(bought) == first]
        back = sum(first + row["months_since"] in bought for bought in cohort)
        assert (row["customers"], row["active_customers"]) == (len(cohort), back), row
        assert float(row["retention_percent"]) == pytest.approx(100 * back / len(cohort), abs=0.051)
    after_one = [row for row in rows if row["months_since"] == 1]
    share = 100 * sum(row["active_customers"] for row in after_one) / sum(row["customers"] for row in after_one)
    assert rows[0]["headline"] == f"Of new customers {share:.0f} % bought again a month later."


def test_who_has_moved_is_counted_between_the_last_two_days(published: str) -> None:
    last, before = [day for (day,) in fetch(published, "SELECT DISTINCT as_of FROM audit.runs ORDER BY 1 DESC LIMIT 2")]
    now, then = (
        dict(fetch(published, "SELECT customer_id, ltv FROM marts.customer_ltv_as_of(%s)", [day]))
        for day in (last, before)
    )
    more, less = (sum(sign * (now.get(number, 0) - ltv) > 0 for number, ltv in then.items()) for sign in (1, -1))
    new = sum(ltv > 0 for number, ltv in now.items() if number not in then)
    assert more or less or new
    assert charted(published, "61_ltv_movers")[0]["headline"] == (
        f"{more:,} customers are worth more than at the publish before, {less:,} less; {new:,} are new."
    )


# As a person sees it


LOOKS = {
    "desktop-light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "desktop-dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone-light": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light", "has_touch": True},
    "phone-dark": {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "has_touch": True},
}
# Of every chart: how many marks are drawn and seen, and the texts that do not lie within its card.
SEEN = """sections => sections.map(section => {
    const card = section.getBoundingClientRect(), shown = [...section.querySelectorAll('.drawing')]
        .filter(drawing => getComputedStyle(drawing).display !== 'none');
    const parts = kind => shown.flatMap(drawing => [...drawing.querySelectorAll(kind)]);
    const box = part => part.getBoundingClientRect();
    return {
        name: section.id, drawings: shown.length,
        marks: parts('[class*="mark-"][class*="role-mark"] path')
            .filter(part => box(part).width + box(part).height > 1).length,
        cut: parts('text').filter(part => box(part).left < card.left || box(part).right > card.right)
            .map(part => part.textContent),
    };
})"""


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_every_chart_is_drawn_with_data(look: dict, chrome: Browser, shown: Path) -> None:
    with watched(chrome, **look) as seen:
        seen.open(shown)
        found = seen.page.eval_on_selector_all("section", SEEN)
        assert [chart["name"] for chart in found] == NAMES
        assert {chart["name"]: chart["drawings"] for chart in found} == dict.fromkeys(NAMES, 1)
        assert [chart["name"] for chart in found if chart["marks"] == 0] == []
        assert [chart["cut"] for chart in found if chart["cut"]] == []
        assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "wider than the window"
        # Nothing is loaded, whatever there would be to load.
        assert (seen.errors, seen.outside) == ([], [])


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_axe_finds_nothing_serious(look: dict, chrome: Browser, shown: Path) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed: make test, without K, brings it")
    # The page itself allows no script.
    with watched(chrome, **look, bypass_csp=True) as seen:
        seen.open(shown)
        seen.page.eval_on_selector_all("details", "all => all.forEach(part => part.open = true)")
        seen.page.add_script_tag(path=AXE)
        found = seen.page.evaluate("axe.run()")
    assert len(found["passes"]) > 20
    assert [
        (broken["id"], broken["nodes"][0]["html"])
        for broken in found["violations"]
        if broken["impact"] in ("serious", "critical")
    ] == []


def in_words(value: object) -> str:
    words = {None: "—", True: "yes", False: "no"}
    return words[value] if value is None or isinstance(value, bool) else str(value)


def test_a_table_behind_each_chart_is_what_the_query_says(chrome: Browser, shown: Path, published: str) -> None:
    with watched(chrome) as seen:
        seen.open(shown)
        # What is folded away is no less there.
        tables = seen.page.eval_on_selector_all(
            "section",
            """all => all.map(section => [section.id, [...section.querySelectorAll('tbody tr')].map(
                row => [...row.cells].map(cell => cell.textContent.replaceAll(',', '')))])""",
        )
        said = seen.page.eval_on_selector_all("caption", "all => all.map(caption => caption.textContent)")
    assert [name for name, _ in tables] == NAMES
    assert len(set(said)) == len(NAMES)
    for name, rows in tables:
        query = (CHARTS / f"{name}.sql").read_text()
        with psycopg.connect(published) as connection:
            connection.execute("SET TIME ZONE 'Africa/Kigali'")
            cursor = connection.execute(query.encode())
            at = [n for n, column in enumerate(cursor.description) if column.name != "headline"]
            expected = [[in_words(row[n]).replace(",", "") for n in at] for row in cursor]
        assert rows == expected != [], name


def test_on_paper_it_is_light_and_whole(chrome: Browser, shown: Path, tmp_path: Path) -> None:
    with watched(chrome, color_scheme="dark", viewport={"width": 390, "height": 844}) as seen:
        seen.open(shown)
        dark = seen.page.eval_on_selector("h1", "title => getComputedStyle(title).color")
        seen.page.emulate_media(media="print")
        paper = seen.page.eval_on_selector("h1", "title => getComputedStyle(title).color")
        found = seen.page.eval_on_selector_all("section", SEEN)
        assert (sum(map(int, re.findall(r"\d+", dark))) > 600) > (sum(map(int, re.findall(r"\d+", paper))) > 200)
        assert {chart["name"]: chart["drawings"] for chart in found} == dict.fromkeys(NAMES, 1)
        assert not seen.page.locator("summary").first.is_visible()
        printed = seen.page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
    assert printed.startswith(b"%PDF")


@pytest.mark.screenshots
def test_screenshots(chrome: Browser, shown: Path) -> None:
    """Not a claim: the pictures of the README (make screenshots)."""
    folder = ROOT / "docs" / "img"
    folder.mkdir(parents=True, exist_ok=True)
    for scheme in ("light", "dark"):
        with watched(chrome, **LOOKS[f"desktop-{scheme}"]) as seen:
            seen.open(shown)
            seen.page.screenshot(path=folder / f"report-{scheme}.png")


# As a command, and by Airflow


def make_report(url: str, **variables: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [shutil.which("make"), "-s", "report"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url} | {name: str(value) for name, value in variables.items()},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_make_report_writes_the_page_whole(published: str, tmp_path: Path) -> None:
    done = make_report(published, REPORT=tmp_path / "new" / "report")
    # The first time it says what it installs.
    assert (done.returncode, re.sub(r"^Installing .*\n", "", done.stderr)) == (0, "")
    assert f"The page is in {tmp_path}/new/report/index.html: open it in a browser." in done.stdout
    assert [path.name for path in (tmp_path / "new" / "report").iterdir()] == ["index.html"]
    assert (tmp_path / "new" / "report" / "index.html").read_text().count("<section") == len(NAMES)


def test_two_that_write_at_once_write_two_whole_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = Path.replace

    def when_the_other_has_written(unfinished: Path, target: Path) -> Path:
        monkeypatch.undo()
        write(str(tmp_path), "the other")
        return replace(unfinished, target)

    monkeypatch.setattr(Path, "replace", when_the_other_has_written)
    write(str(tmp_path), "the one")
    assert (tmp_path / "index.html").read_text() == "the one"
    assert len(list(tmp_path.iterdir())) == 1


def test_make_report_of_no_warehouse_says_so_and_leaves_the_last_page(
    new_database: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "index.html").write_text("yesterday's")
    done = make_report(new_database(), REPORT=tmp_path)
    assert done.returncode != 0
    assert 'make report: relation "marts.' in done.stderr
    assert "(sql/report/page.sql, line " in done.stderr
    assert "make migrate" in done.stderr
    assert "Traceback" not in done.stderr
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("index.html", "yesterday's")]


@pytest.mark.parametrize(
    ("folder", "error", "said"),
    [
        ("nothing://bucket/report", BadFileError, "no provider of Airflow for nothing:// is installed"),
        ("/dev/null/report", OSError, "Not a directory"),
    ],
)
def test_a_folder_that_is_none(folder: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        write(folder, "<html>")


def test_it_is_written_to_an_object_store(warehouse: str, tmp_path: Path) -> None:
    with s3(tmp_path) as store:

        def report_to(connection: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [PROGRAMS / "python", "ops/report.py"],
                cwd=ROOT,
                env={**store.worker.environment, "DATABASE_URL": warehouse, "REPORT": store.url("report", connection)},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )

        done = report_to("aws_default")
        assert done.returncode == 0, done.stderr
        stored = httpx.get(f"{store.back_door}/{BUCKET}/report/index.html").raise_for_status().text
        assert stored.count("<section") == len(NAMES)
        refused = report_to("wrong_secret")
        assert refused.returncode != 0
        assert "access is refused" in refused.stderr
        assert "look at the Airflow connection wrong_secret" in refused.stderr
        said = done.stdout + done.stderr + refused.stdout + refused.stderr
        assert not [secret for secret in store.secrets if secret in said]


def test_its_dag_hangs_on_what_is_published_and_nothing_hangs_on_it() -> None:
    import customer_forecast
    import customer_ltv
    import customer_report

    waited_for = {(asset.name, asset.uri) for asset in customer_report.dag.timetable.asset_condition.objects}
    told = [
        {(asset.name, asset.uri) for task in made.dag.tasks for asset in task.outlets}
        for made in (customer_ltv, customer_forecast)
    ]
    assert waited_for == told[0] | told[1]
    assert all(len(assets) == 1 for assets in told)
    (task,) = customer_report.dag.tasks
    assert (task.outlets, task.retries) == ([], 3)
    assert not task.on_failure_callback, "it would fail a run that is not its own"


@pytest.mark.parametrize(
    ("variable", "state"), [("", "skipped"), ("{folder}", "success"), ("/dev/null/report", "failed")]
)
def test_the_dag_writes_the_page_where_it_is_told_to(
    variable: str, state: str, published: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = airflow_settings(new_airflow_home(tmp_path_factory), published) | {"PYTHONPATH": str(ROOT / "dags")}
    if variable:
        settings["AIRFLOW_VAR_LTV_REPORT"] = variable.format(folder=tmp_path)
    program = """
from customer_report import dag
dag.tasks[0].retries = 0
print([ti.state for ti in dag.test().get_task_instances()])
"""
    done = subprocess.run([sys.executable, "-c", program], env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert state in done.stdout.splitlines()[-1], done.stdout[-2000:]
    assert [path.name for path in tmp_path.iterdir()] == (["index.html"] if state == "success" else [])
    if state == "skipped":
        assert "There is no Variable ltv_report: no page is written" in done.stdout + done.stderr


# In Airflow's web page


def test_the_page_in_airflow_is_the_file_itself_and_may_do_nothing(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # A process of its own: to import the web page's part of Airflow writes into its home.
    script = f"""
import sys
sys.path.append({str(ROOT / "plugins")!r})
from customer_report_view import application
from fastapi.testclient import TestClient
app = application()
for dependency in app.routes[-1].dependant.dependencies:
    app.dependency_overrides[dependency.call] = lambda: None
answer = TestClient(app, raise_server_exceptions=False).get("/")
print(answer.status_code, answer.headers.get("content-security-policy"), answer.text, sep="\\n")
"""
    settings = airflow_settings(new_airflow_home(tmp_path_factory), "postgresql://nowhere")

    def answer() -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=settings | {"AIRFLOW_VAR_LTV_REPORT": str(tmp_path / "report")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout.splitlines()[-3:]

    (tmp_path / "report").mkdir()
    (tmp_path / "elsewhere").write_text("a secret")
    index = tmp_path / "report" / "index.html"
    index.write_text("the page")
    status, policy, text = answer()
    assert (status, text) == ("200", "the page")
    # What default-src does not stand in for.
    assert {"default-src 'none'", "form-action 'none'", "base-uri 'none'"} <= set(policy.split("; "))
    index.unlink()
    index.symlink_to(tmp_path / "elsewhere")
    status, policy, text = answer()
    assert (status, policy) == ("404", "None")
    assert "is a link, which is not followed" in text
