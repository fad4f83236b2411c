"""The documentation says what the database, the files and the DAGs say; it opens from a folder, without a network."""

import csv
import html
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import server
from browser import AXE, Watched, browser, watched
from conftest import ROOT
from pipeline import run_pipeline, tasks
from playwright.sync_api import Browser
from sql_headers import header
from support import execute, fetch, free_port, warehouse_of

PYTHON = ROOT / ".venv" / "docs" / "bin" / "python"
OURS = "nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'"
RELATIONS = f"""SELECT nspname || '.' || relname, oid_of.oid, relkind FROM pg_catalog.pg_class AS oid_of
    INNER JOIN pg_catalog.pg_namespace ON relnamespace = pg_namespace.oid
    WHERE relkind IN ('r', 'v') AND {OURS}"""
# What is loaded with a page, other than by a link.
LOADED = {"src", "srcset", "data", "poster"}


def facts(url: str, path: Path) -> subprocess.CompletedProcess[str]:
    """Have the facts written down, as `make docs` does."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    return subprocess.run(
        [sys.executable, ROOT / "ops" / "facts.py", path],
        env=environment | {"DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )


def built(url: str, folder: Path) -> Path:
    """The site of a warehouse; skips where nothing is there to build it with."""
    if not PYTHON.exists():
        pytest.skip("there is no .venv/docs: make docs installs what the documentation is built with")
    written = facts(url, folder / "facts.json")
    assert written.returncode == 0, written.stderr
    site = folder / "site"
    done = subprocess.run(
        [PYTHON, ROOT / "docs" / "make" / "build.py", folder / "facts.json", site],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return site


@pytest.fixture(scope="module")
def described(cluster: server.Server, template: str) -> Iterator[str]:
    """A warehouse in which the sample was published."""
    with warehouse_of(cluster, template, "ltv_docs") as url:
        run_pipeline(url, ROOT / "data", "2026-01-31")
        yield url


@pytest.fixture(scope="module")
def site(described: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(described, tmp_path_factory.mktemp("docs"))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture
def wide(chromium: Browser) -> Iterator[Watched]:
    with watched(chromium, viewport={"width": 1280, "height": 900}, color_scheme="light") as seen:
        yield seen


class Page(HTMLParser):
    """What a page links to, what it loads, the ids that it has, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.loads: set[str] = set()
        self.ids: list[str] = []
        self.text: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif name in {"href", "xlink:href"} and tag == "a":
                self.links.add(value or "")
            elif name in LOADED or (name in {"href", "xlink:href"} and tag != "a"):
                self.loads.add(value or "")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    found = {path: Page(path) for path in sorted(site.rglob("*.html"))}
    assert len(found) > 150
    return found


def text_of(path: Path) -> str:
    """The text of a page, one blank between two words."""
    return " ".join("".join(Page(path).text).split())


def section(path: Path, title: str) -> str:
    """A section of a page, in HTML."""
    found = re.search(f'<section id="{title}">(.*?)</section>', path.read_text(), re.DOTALL)
    assert found, f"{path.name} has no section {title}"
    return found[1]


def rows(section: str) -> list[list[str]]:
    """The cells of a table in HTML, as text."""
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in section.split("<tr")]
    return [[html.unescape(re.sub(r"<br\s*/?>", ", ", cell)).strip() for cell in row] for row in cells if row]


def plain(cell: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", "", cell).split())


# What is in it


def test_every_table_and_view_has_its_page_with_every_column_and_comment(described: str, site: Path) -> None:
    relations = fetch(described, RELATIONS)
    assert len(relations) > 40
    for name, oid, _ in relations:
        said = text_of(site / "tables" / f"{name}.html")
        assert name in said
        for (comment,) in fetch(
            described,
            """SELECT description FROM pg_catalog.pg_description WHERE objoid = %s AND classoid = 'pg_class'::regclass
            UNION ALL SELECT attname || ' ' || format_type(atttypid, atttypmod) FROM pg_catalog.pg_attribute
            WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped""",
            [oid, oid],
        ):
            assert comment in said, f"{name}: {comment}"


def test_every_function_has_its_page_with_its_comment(described: str, site: Path) -> None:
    functions = fetch(
        described,
        f"""SELECT nspname || '.' || proname, obj_description(pg_proc.oid, 'pg_proc') FROM pg_catalog.pg_proc
        INNER JOIN pg_catalog.pg_namespace ON pronamespace = pg_namespace.oid WHERE {OURS}""",
    )
    assert len(functions) > 80
    for name, comment in functions:
        assert comment in text_of(site / "functions" / f"{name}.html"), name


def test_a_table_that_the_forecast_has_still_to_build_has_a_page(site: Path) -> None:
    said = text_of(site / "tables" / "forecast.scores.html")
    assert "not built here yet" in said
    assert "p_alive" in said
    assert "it is built by the DAG customer_forecast, which has not run here" in said


def test_what_a_file_says_it_reads_is_said_on_both_pages(site: Path) -> None:
    layers = ("staging", "core", "intermediate", "marts", "forecast")
    paths = {
        f"{path.parent.name}.{path.stem}": path for layer in layers for path in (ROOT / "sql" / layer).glob("*.sql")
    }
    paths |= {path.stem: path for path in (ROOT / "sql" / "definitions" / "views").glob("*.sql")}
    reads = {name: set(header(path).reads) for name, path in paths.items() if "__" not in name}
    assert len(reads) > 30
    for name, read in reads.items():
        shown = rows((site / "tables" / f"{name}.html").read_text())
        known = {plain(cells[0]): set(plain(cells[1]).split(", ")) for cells in shown if len(cells) == 2}
        assert known["Reads"] == (read or {"nothing"}), name
        assert known["Read by"] == (
            {reader for reader, read in reads.items() if name in read} or {"no other table or view"}
        ), name


def test_a_table_without_a_file_names_the_file_that_fills_it(site: Path) -> None:
    assert "Filled by the file of marts.customer_ltv" in text_of(site / "tables" / "marts.freshness.html")


def test_every_check_is_shown_with_its_sql_and_its_last_verdict(described: str, site: Path) -> None:
    verdicts = dict(
        fetch(described, "SELECT claim, verdict || ' ' || bad_rows || ' ' || checked_rows FROM audit.check_results")
    )
    checks = sorted((ROOT / "sql").glob("*/*__*.sql"))
    assert len(checks) > len(verdicts) > 20
    for path in checks:
        table, claim = path.stem.split("__")
        shown = section(site / "tables" / f"{path.parent.name}.{table}.html", "checks")
        (row,) = (list(map(plain, cells)) for cells in rows(shown) if plain(cells[0]) == claim)
        verdict = verdicts.get(f"{path.parent.name}.{path.stem}", "none kept")
        assert " ".join(row[2:5]).strip() == verdict
        assert f"sql/{path.parent.name}/{path.name}" in shown


def test_every_task_of_every_dag_is_on_its_page(site: Path) -> None:
    said = text_of(site / "dags" / "customer_ltv.html")
    assert [task.task_id for task in tasks() if task.task_id not in said] == []
    assert "forecast.scores__within_bounds" in text_of(site / "dags" / "customer_forecast.html")
    assert (site / "dags" / "customer_ltv_watch.html").exists()


def test_a_column_is_followed_to_the_columns_of_the_files(site: Path) -> None:
    columns = section(site / "tables" / "marts.customer_ltv.html", "columns")
    made_of = {plain(cells[0]): plain(cells[3]) for cells in rows(columns)}
    assert made_of["customer_id"] == "customer_data.csv: customer_id"
    # And of the price, as long as what a paid order is asks for it.
    assert {"order_data.csv: order_date", "payment_data.csv: amount"} <= set(made_of["ltv"].split(", "))
    assert made_of["run_no"] == ""
    payments = section(site / "tables" / "core.payments.html", "columns")
    assert {plain(cells[0]): plain(cells[3]) for cells in rows(payments)}["amount"] == "payment_data.csv: amount"
    country = section(site / "tables" / "marts.ltv_by_country.html", "columns")
    assert {plain(cells[0]): plain(cells[3]) for cells in rows(country)}["country"] == "customer_data.csv: country"


def test_the_graph_has_an_arrow_for_each_table_that_a_file_says_it_reads(site: Path) -> None:
    drawn = set(re.findall("<title>([a-z_.]+)&#45;&gt;([a-z_.]+)</title>", (site / "lineage.html").read_text()))
    assert {
        ("customer_data.csv", "raw.customer_data"),
        ("raw.order_data", "staging.orders"),
        ("core.customer_activity", "intermediate.customer_ltv"),
        ("intermediate.customer_ltv", "marts.customer_ltv"),
        ("forecast.customer_forecast", "marts.rfm_segments"),
        ("marts.customer_ltv", "marts.freshness"),
    } <= drawn
    columns = (site / "tables" / "marts.customer_ltv.html").read_text()
    assert "core.customer_activity.total_amount&#45;&#45;intermediate.customer_ltv.ltv" in columns


def test_the_glossary_quotes_and_the_guides_are_there(site: Path) -> None:
    said = text_of(site / "glossary.html")
    assert "A paid order is one whose payments, refunds deducted, add up to more than 0." in said
    assert "The last complete day that the run looks at. (audit.runs)" in said
    in_docs = ["clv", "decisions", "deployment", "performance", "reliability"]
    for guide in (*in_docs, "change-a-rule", "when-a-check-fails"):
        assert (site / "guides" / f"{guide}.html").exists()
    assert re.search(r'href="guides/by-hand-in-make-psql.html">(<[^>]*>)?By hand<', (site / "index.html").read_text())


@pytest.mark.usefixtures("site")
def test_what_the_glossary_quotes_cannot_go_without_a_word() -> None:
    asked = "import build; build.quote('README.md', 'A *paid order* is anything')"
    done = subprocess.run(
        [PYTHON, "-c", asked], cwd=ROOT / "docs" / "make", capture_output=True, text=True, check=False
    )
    assert "ValueError: README.md no longer says 'A *paid order* is anything', which the glossary quotes" in done.stderr


def test_no_personal_data_is_in_it(site: Path) -> None:
    with (ROOT / "data" / "customer_data.csv").open() as file:
        customers = list(csv.DictReader(file))
    personal = {customer["email"].strip().lower() for customer in customers} | {
        f"{customer['first_name']} {customer['last_name']}".lower() for customer in customers
    }
    personal -= {"", " "}
    assert len(personal) > 900
    everything = [path for path in site.rglob("*") if path.is_file()]
    assert len(everything) > 150
    for path in everything:
        text = path.read_bytes().decode(errors="replace").lower()
        assert [value for value in personal if value in text] == [], path
    # A birthday is no word: there it is looked for where rows are shown.
    born = {customer["date_of_birth"] for customer in customers}
    for path in (site / "tables").glob("*.*.html"):
        assert not born & {plain(cell) for row in rows(section(path, "some-rows")) for cell in row}, path


def test_rows_are_shown_of_what_may_be_shown(site: Path) -> None:
    sample = [list(map(plain, cells)) for cells in rows(section(site / "tables" / "core.customers.html", "some-rows"))]
    assert sample[0] == ["customer_id", "country", "run_no", "updated_at"]
    assert [row[0] for row in sample[1:]] == ["1", "2", "3", "4", "5"]
    assert "None are shown of what is as received" in section(site / "tables" / "raw.order_data.html", "some-rows")
    assert "None are shown of" in section(site / "tables" / "audit.rejected_rows.html", "some-rows")
    staging = rows(section(site / "tables" / "staging.customers.html", "some-rows"))
    assert list(map(plain, staging[0])) == ["line_no", "customer_id"]


@pytest.mark.usefixtures("described")
def test_a_changed_comment_changes_the_page_and_what_it_shows(cluster: server.Server, tmp_path: Path) -> None:
    with warehouse_of(cluster, "ltv_docs", "ltv_docs_changed") as url:
        execute(
            url,
            """COMMENT ON COLUMN core.orders.product IS 'What somebody has bought: < | > `*_$. Personal data.';
            COMMENT ON COLUMN core.customers.gender IS 'Gender, as delivered.';
            COMMENT ON TABLE marts.freshness IS 'How stale the numbers are.';
            UPDATE audit.check_results SET verdict = 'warned' WHERE claim = 'staging.orders__reconciles';
            INSERT INTO forecast.check_results (as_of, claim, verdict, bad_rows, checked_rows, said)
            VALUES ('2026-01-31', 'forecast.scores__within_bounds', 'failed', 2, 440, 'two of them');
            -- What a file brings: a text, and the name of a column that nobody declared.
            UPDATE core.customers SET country = '```<u>1</u>`' WHERE customer_id = 1;
            UPDATE core.customers SET country = '`a|<u>2</u>` &lt;' WHERE customer_id = 2;
            ALTER TABLE raw.order_data ADD COLUMN "x""><u>3</u>" text, ADD COLUMN "`a|<u>4</u>" text""",
        )
        tables = built(url, tmp_path) / "tables"
    said = text_of(tables / "core.orders.html")
    assert "personal What somebody has bought: < | > `*_$. Personal data." in said
    samples = {name: rows(section(tables / f"core.{name}.html", "some-rows")) for name in ("orders", "customers")}
    shown = {name: list(map(plain, sample[0])) for name, sample in samples.items()}
    assert shown == {
        "orders": ["order_id", "customer_id", "order_date", "price", "run_no", "updated_at"],
        "customers": ["customer_id", "country", "gender", "run_no", "updated_at"],
    }
    assert "How stale the numbers are." in text_of(tables / "marts.freshness.html")
    assert "How stale the numbers are." in text_of(tables.parent / "glossary.html")
    countries = [re.sub("</?p>", "", cells[1]) for cells in samples["customers"][1:3]]
    assert countries == ["```<u>1</u>`", "`a|<u>2</u>` &lt;"]
    assert 'x"><u>3</u>' in (said := text_of(tables / "raw.order_data.html"))
    assert "`a|<u>4</u>" in said
    assert not [path for path in tables.glob("*.html") if "<u>" in path.read_text()]
    checks = rows(section(tables / "staging.orders.html", "checks"))
    assert [plain(cells[2]) for cells in checks if plain(cells[0]) == "reconciles"] == ["warned"]
    checks = rows(section(tables / "forecast.scores.html", "checks"))
    (bounds,) = (list(map(plain, cells))[2:] for cells in checks if plain(cells[0]) == "within_bounds")
    assert bounds == ["failed", "2", "440", "2026-01-31"]


def test_without_a_warehouse_it_says_what_comes_first(new_database: object, tmp_path: Path) -> None:
    done = facts(new_database("ltv_no_docs"), tmp_path / "facts.json")
    assert done.returncode == 1
    assert done.stderr.strip() == "There is no warehouse to describe: make run comes first."
    assert not (tmp_path / "facts.json").exists()


def test_a_warehouse_that_does_not_answer_is_not_taken_for_a_missing_one(tmp_path: Path) -> None:
    done = facts(f"postgresql://user:password@127.0.0.1:{free_port()}/warehouse", tmp_path / "facts.json")
    assert done.returncode == 1
    assert done.stderr.startswith("The warehouse cannot be asked: ")
    assert "Connection refused" in done.stderr
    assert "user:password" not in done.stderr


# How it hangs together


def test_every_link_leads_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    seen = 0
    for path, page in pages.items():
        for link in page.links:
            address = urlsplit(link)
            if address.scheme in {"http", "https", "mailto"}:
                continue
            assert (address.scheme, address.netloc) == ("", ""), f"{path}: {link}"
            target = (path.parent / unquote(address.path)).resolve() if address.path else path
            assert target.is_relative_to(site), f"{path}: {link}"
            assert target in pages, f"{path}: {link}"
            if address.fragment:
                assert unquote(address.fragment) in pages[target].ids, f"{path}: {link}"
            seen += 1
    assert seen > 5000


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        assert page.loads
        for address in map(urlsplit, page.loads):
            if address.scheme != "data":
                assert (address.scheme, address.netloc) == ("", ""), f"{path}: {address.geturl()}"
                assert (path.parent / unquote(address.path)).exists() or not address.path, f"{path}: {address.geturl()}"
    for path in site.rglob("*.css"):
        assert re.findall(r"""(?:@import|url\()\s*["']?(?!data:)(?:https?:)?//[^)]*""", path.read_text()) == []


def test_an_id_stands_once_in_a_page(pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        # Graphviz numbers the nodes of each drawing anew; nothing refers to them.
        ids = [name for name in page.ids if not re.fullmatch(r"(graph|node|edge|clust|a_node|a_edge)[\w.:-]*", name)]
        assert len(ids) == len(set(ids)), path


# In a browser


def test_every_page_opens_from_the_folder_without_an_error_or_a_request(wide: Watched, pages: dict[Path, Page]) -> None:
    for path in pages:
        wide.open(path)
        drawn = wide.page.locator(".graph svg")
        for number in range(drawn.count()):
            box = drawn.nth(number).bounding_box()
            assert box, path
            assert min(box["width"], 2 * box["height"]) > 50, path
    assert (wide.errors, wide.outside) == ([], [])


def test_a_box_of_the_lineage_leads_to_its_page(wide: Watched, site: Path) -> None:
    wide.open(site / "lineage.html")
    wide.page.locator(".graph svg a", has_text="intermediate.customer_ltv").click()
    assert wide.page.locator("h1").inner_text() == "intermediate.customer_ltv"
    assert (wide.errors, wide.outside) == ([], [])


def test_the_search_finds_without_a_server(wide: Watched, site: Path) -> None:
    wide.open(site / "index.html")
    wide.page.get_by_placeholder("Search").fill("lifespan")
    wide.page.keyboard.press("Enter")
    wide.page.locator("ul.search li a", has_text="marts.customer_ltv").first.click()
    assert "marts.customer_ltv" in wide.page.locator("h1").inner_text()
    assert (wide.errors, wide.outside) == ([], [])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_fits_a_phone(chromium: Browser, pages: dict[Path, Page], scheme: str) -> None:
    with watched(chromium, viewport={"width": 390, "height": 844}, color_scheme=scheme) as phone:
        for path in list(pages)[:: 7 if scheme == "light" else 29]:
            phone.open(path)
            assert phone.page.evaluate("document.documentElement.scrollWidth") <= 390, path
        assert (phone.errors, phone.outside) == ([], [])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", ["index", "lineage", "glossary", "tables/marts.customer_ltv", "tables/core.customers"])
def test_nobody_is_shut_out(chromium: Browser, site: Path, page: str, scheme: str) -> None:
    with watched(chromium, viewport={"width": 1280, "height": 900}, color_scheme=scheme) as seen:
        seen.open(site / f"{page}.html")
        seen.page.add_script_tag(path=AXE)
        found = seen.page.evaluate("axe.run()")
    assert len(found["passes"]) > 20
    serious = [
        (flaw["id"], [node["target"] for node in flaw["nodes"]][:3])
        for flaw in found["violations"]
        if flaw["impact"] in {"serious", "critical"}
    ]
    assert serious == []
