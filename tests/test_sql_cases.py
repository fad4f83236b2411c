"""Every folder of tests/cases is a case: load its CSVs, run the SQL file twice, compare with what it expects.

What a case is says ops/cases.py.
"""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import cases
import psycopg
import pytest
from cases import CASES, VIEWS
from conftest import ROOT
from psycopg import sql


@pytest.fixture(scope="module")
def case_database(cluster, template) -> Iterator[str]:
    """A warehouse in which every rebuilt table exists, empty: each case works in a transaction that is undone."""
    from conftest import database_url, janitor

    with janitor(cluster, "ltv_cases", template_dbname=template):
        with psycopg.connect(database_url(cluster, "ltv_cases", admin=True)) as connection:
            cases.prepare(connection)
        yield database_url(cluster, "ltv_cases", admin=True)


def kept_rows(connection: psycopg.Connection) -> list[list[list[str]]]:
    """Where every row of a kept table lies: a row that is written anew lies elsewhere."""
    tables = connection.execute(
        """SELECT schemaname, tablename FROM pg_catalog.pg_tables
        WHERE schemaname IN ('core', 'marts') OR schemaname = 'forecast' AND tablename IN (
            'clv_model', 'customer_forecast', 'customer_forecast_history', 'customer_rfm', 'publishes', 'check_results'
        )
        ORDER BY schemaname, tablename"""
    ).fetchall()
    return [
        cases.query(connection, sql.SQL("SELECT ctid, * FROM {}").format(sql.Identifier(*table))) for table in tables
    ]


@pytest.mark.parametrize(
    "case",
    sorted(path.parent for path in CASES.glob("*/*/expect.csv")),
    ids=lambda case: f"{case.parent.name}-{case.name}",
)
def test_case(case: Path, case_database: str) -> None:
    with psycopg.connect(case_database) as connection:
        cases.arrange(connection, case)
        for attempt in range(2):
            before = kept_rows(connection)
            cases.act(connection, case)
            if attempt:
                assert kept_rows(connection) == before, "a second run writes rows of a kept table again"
            for table, header, expected, got in cases.outcomes(connection, case):
                sides = "- is what the case expects, + what the database holds"
                assert got == expected, f"{table}, columns {','.join(header)}; {sides}"
        connection.rollback()


@pytest.mark.parametrize("path", sorted(VIEWS.glob("marts.*.sql")), ids=lambda path: path.stem)
def test_every_view_for_people_has_its_cases(path: Path) -> None:
    assert list((CASES / path.stem).glob("*/expect.csv")), f"tests/cases/{path.stem} has no case"


LAYERS = ["raw", "staging", "core", "intermediate", "marts", "forecast"]
FILES = [path for layer in LAYERS for path in sorted((ROOT / "sql" / layer).glob("*.sql"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_every_file_has_its_cases(path: Path) -> None:
    cases = sorted((CASES / f"{path.parent.name}.{path.stem}").glob("*/expect.csv"))
    assert cases, f"tests/cases/{path.parent.name}.{path.stem} has no case"
    if "__" in path.stem:
        verdicts = {row["verdict"] for case in cases for row in csv.DictReader(io.StringIO(case.read_text()))}
        claim = f"claim => '{path.parent.name}.{path.stem}'"
        assert claim in path.read_text(), f"a check is named as its file: {claim}"
        assert {"passed", "failed"} <= verdicts, f"the cases show only {sorted(verdicts)}"


def lists_of_columns(entity: str) -> dict[str, list[str]]:
    """The columns that each INSERT into the table of core names, and its UPDATE, by where they stand."""
    text = (ROOT / "sql" / "core" / f"{entity}.sql").read_text()
    inserts = re.finditer(rf"\b(INSERT) INTO core\.{entity} \(([^()]+)\)", text)
    updates = re.finditer(rf"\b(UPDATE) core\.{entity} AS kept\s+SET\b(.*?)\bFROM\b", text, re.DOTALL)
    return {
        f"the {match[1]} of line {text.count(chr(10), 0, match.start()) + 1}": re.findall(r"\w+", match[2])
        for match in (*inserts, *updates)
    }


def test_a_column_says_that_it_is_personal_in_raw_and_staging_too(case_database: str) -> None:
    with psycopg.connect(case_database) as connection:
        described = set(
            connection.execute(
                """SELECT attrelid::regclass::text, attname, col_description(attrelid, attnum)
                FROM pg_catalog.pg_attribute
                INNER JOIN pg_catalog.pg_class ON attrelid = pg_class.oid
                WHERE attnum > 0 AND relkind = 'r' AND relnamespace::regnamespace::text IN ('raw', 'staging', 'core')"""
            ).fetchall()
        )
    personal = {(table, *rest) for table, *rest in described if table == "core.customers" and "Personal" in rest[1]}
    assert {column for _, column, _ in personal} >= {"first_name", "last_name", "email", "gender", "date_of_birth"}
    for table in ("staging.customers", "raw.customer_data"):
        assert {(table, *rest) for _, *rest in personal} <= described
    # A verdict, and the number of a line, are no columns of core.
    nameless = {f"{table}.{column}" for table, column, comment in described if comment is None}
    assert not {name for name in nameless if name.startswith(("raw.", "staging."))}


@pytest.mark.parametrize("entity", ["customers", "orders", "payments"])
def test_every_column_of_staging_reaches_core(case_database: str, entity: str) -> None:
    """A column that staging types and core forgets would be lost without a word."""
    with psycopg.connect(case_database) as connection:
        columns = connection.execute(
            """SELECT attname FROM pg_catalog.pg_attribute
            WHERE attrelid = %s::regclass AND attnum > 0 AND attname NOT IN ('line_no', 'reason', 'is_kept')""",
            [f"staging.{entity}"],
        ).fetchall()
        kept = connection.execute(
            "SELECT attname FROM pg_catalog.pg_attribute WHERE attrelid = %s::regclass AND attnum > 0",
            [f"core.{entity}"],
        ).fetchall()
    assert columns
    lists = lists_of_columns(entity)
    assert sum(" INSERT" in kind for kind in lists) >= 2, (
        "the lists are written otherwise: this test would not see them"
    )
    assert sum(" UPDATE" in kind for kind in lists) == 1
    for kind, named in lists.items():
        keys = {f"{entity[:-1]}_id", "customer_id"} if " UPDATE" in kind else set()
        forgotten = {column for (column,) in kept} - keys - set(named)
        assert not forgotten, f"sql/core/{entity}.sql: {kind} does not name {forgotten}"
    compares = f"functions/core.{entity}_not_as_delivered.sql"
    for name in (f"core/{entity}.sql", f"definitions/{compares}", f"distributed/{compares}"):
        text = (ROOT / "sql" / name).read_text()
        forgotten = [column for (column,) in columns if f"delivered.{column}" not in text]
        assert not forgotten, f"sql/{name} does not name {forgotten}"


JUDGED = {source: source.replace("_data", "s") for source in ("customer_data", "order_data", "payment_data")}
RULES = [
    (entity, rule)
    for entity in JUDGED.values()
    for rule in sorted(
        set(re.findall(r"'([a-z_]+ [a-z_]+: [^']+)'", (ROOT / "sql" / "staging" / f"{entity}.sql").read_text()))
    )
]


def reasons_in_cases(entity: str) -> set[str]:
    """Every reason that a case of the staging table expects, there or in audit.rejected_rows."""
    return {
        row["reason"]
        for path in (CASES / f"staging.{entity}").glob("*/expect*.csv")
        for row in csv.DictReader(io.StringIO(path.read_text(), newline=""))
        if row.get("reason")
    }


@pytest.mark.parametrize(("entity", "rule"), RULES, ids=[f"staging.{entity}-{rule}" for entity, rule in RULES])
def test_every_rule_has_a_case(entity: str, rule: str) -> None:
    assert rule in reasons_in_cases(entity), f"no case in tests/cases/staging.{entity} shows: {rule}"


@pytest.mark.parametrize("entity", JUDGED.values())
def test_no_case_expects_a_rule_that_is_gone(entity: str) -> None:
    """It also holds the pattern by which the rules are found to what staging really says."""
    assert reasons_in_cases(entity) == {rule for judged, rule in RULES if judged == entity}


SAMPLE = (ROOT / "data" / "README.md").read_text().partition("## Deliberate flaws")[2]
FLAWS = re.findall(r"^\| `(\w+)\.csv` \| (\d+) \| ([^|]+) \| ([^|]+) \|$", SAMPLE, re.MULTILINE)
# What mends a value has no rule to name; the case that shows it is named here.
MENDED = {
    "e-mail in capitals, with blanks around it": "staging.customers/cleans_outer_blanks_and_the_case_of_an_email",
    "gender `N/A`": "staging.customers/reads_null_tokens_as_unknown",
}


@pytest.mark.parametrize(
    ("source", "line", "flaw", "verdict"),
    FLAWS,
    ids=[f"{source}-{line}" for source, line, *_ in FLAWS],
)
def test_every_flaw_of_the_sample_has_a_case(source: str, line: str, flaw: str, verdict: str) -> None:
    if verdict.startswith("normalised: "):
        assert (CASES / MENDED[flaw] / "expect.csv").exists(), f"{source}.csv line {line}: {flaw}"
        return
    key = f"{JUDGED[source].removesuffix('s')}_id"
    named = re.search(r"`([a-z_]+ [a-z_]+)`", verdict)
    rule = f"{key} superseded" if verdict.startswith("superseded by ") else named and named[1]
    shown = {reason.partition(":")[0] for reason in reasons_in_cases(JUDGED[source])}
    assert rule in shown, f"{source}.csv line {line}: {flaw}"


def test_the_sample_lists_its_flaws() -> None:
    """A table written otherwise would be found empty, and every flaw in it to have a case."""
    assert len(FLAWS) == len(re.findall(r"^\| `", SAMPLE, re.MULTILINE)) > 0
