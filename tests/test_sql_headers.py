"""What every SQL file has to keep: a header that is true, one table, whole names, named columns, no templates."""

import re
from pathlib import Path

import pipeline
import psycopg
import pytest
from sql_files import ROOT, SQL
from sql_headers import Header, header
from support import execute

LAYERS = ["raw", "staging", "core", "intermediate", "marts", "forecast"]
FILES = [path for layer in LAYERS for path in sorted((SQL / layer).glob("*.sql"))]
TABLES = [path for path in FILES if "__" not in path.stem]
# The books that audit's functions keep of a run: every file looks at some of them, and is made of none.
BOOKS = {f"audit.{book}" for book in ("runs", "steps", "loads", "ledger", "overrides", "check_results", "hand_writes")}


def name_of(path: Path) -> str:
    return f"{path.parent.name}.{path.stem}"


def flaws(name: str, text: str) -> list[str]:
    """What a file of this name does otherwise than the others, a sentence each."""
    found = []
    code = re.sub(r"'[^']*'", "''", re.sub(r"--[^\n]*", "", text))
    if not text.startswith(f"-- {name}: "):
        found.append(f"its first line says what it is: -- {name}: …")
    if re.search(r"\{\{|\{%|\{#", text):
        found.append("it is plain SQL that psql can run: no {{ … }}, no {% … %}")
    if starred := re.search(r"\bSELECT\s+(?:DISTINCT\s+)?(?:\w+\.)?\*", code):
        found.append(f"columns are named, one by one: no {' '.join(starred[0].split())}")
    if listless := re.search(r"\bINSERT INTO ([\w.]+)(?: AS \w+)?(?!\s*(?:AS \w+ )?\()[\s;]", code):
        found.append(f"an INSERT names its columns: INSERT INTO {listless[1]} (…)")
    made = re.findall(r"\bCREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?([\w.]+)", code)
    written = made + re.findall(r"\b(?:INSERT INTO|MERGE INTO|UPDATE) ([\w.]+)", code)
    if "__" in name:
        if written:
            found.append(f"a check writes nothing: {written[0]}")
        return found
    if others := [other for other in made if other != name]:
        found.append(f"one table a file: {others[0]} has one of its own")
    if name not in written:
        found.append(f"it fills the table that it is named after, {name}")
    head = [*text.split("\n"), *[""] * 4]
    for line, part in enumerate(("Grain", "Reads", "Write"), start=1):
        if not head[line].startswith(f"-- {part}: "):
            found.append(f"line {line + 1} of the header is: -- {part}: …")
    if head[4:5] != [""]:
        found.append("its header has four lines, and an empty one behind them")
    return found


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_keeps_the_rules(path: Path) -> None:
    found = flaws(name_of(path), path.read_text())
    assert not found, f"{path.relative_to(ROOT)}: {'; '.join(found)}"


GOOD = """-- staging.x: every x.
-- Grain: one row per x.
-- Reads: raw.x
-- Write: rebuilt.

CREATE UNLOGGED TABLE staging.x AS
SELECT x.a FROM raw.x;
"""


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("staging.x", "staging.x: every", "staging.y: every", "its first line says what it is: -- staging.x: …"),
        ("staging.x", "-- Reads: raw.x\n", "", "line 3 of the header is: -- Reads: …"),
        ("staging.x", "rebuilt.\n", "rebuilt.\n-- More.\n", "its header has four lines, and an empty one behind them"),
        ("staging.x", "raw.x;", "raw.{{ table }};", "it is plain SQL that psql can run: no {{ … }}, no {% … %}"),
        ("staging.x", "x.a FROM", "* FROM", "columns are named, one by one: no SELECT *"),
        ("staging.x", "x.a FROM", "DISTINCT x.* FROM", "columns are named, one by one: no SELECT DISTINCT x.*"),
        ("staging.x", "raw.x;", "raw.x; INSERT INTO b.x SELECT 1;", "an INSERT names its columns: INSERT INTO b.x (…)"),
        ("staging.x", "raw.x;", "raw.x; CREATE TABLE staging.y ();", "one table a file: staging.y has one of its own"),
        ("staging.x", "TABLE staging.x", "VIEW staging.x", "it fills the table that it is named after, staging.x"),
        ("staging.x__y", "staging.x: ", "staging.x__y: ", "a check writes nothing: staging.x"),
    ],
)  # fmt: skip
def test_a_rule_that_is_broken_is_named(name: str, old: str, new: str, said: str) -> None:
    assert flaws("staging.x", GOOD) == []
    assert said in flaws(name, GOOD.replace(old, new))


def test_a_header_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.sql"
    path.write_text(GOOD.replace("raw.x\n", "raw.x, y, core.z\n", 1))
    assert header(path) == Header("every x.", "one row per x", ["raw.x", "raw.y", "core.z"], "rebuilt.")
    path.write_text("-- staging.x__y: a claim, that\n-- takes two lines.\n-- Why.\nSELECT 1;\n")
    assert header(path) == Header("a claim, that takes two lines.", "", [], "")
    path.write_text(GOOD.replace("raw.x\n", "nothing\n", 1))
    assert header(path).reads == []


LOCKED = """
SELECT pg_locks.relation::regclass::text,
    bool_or(pg_locks.mode = 'AccessShareLock'), bool_or(pg_locks.mode LIKE '%%Exclusive%%')
FROM pg_locks INNER JOIN pg_class ON pg_locks.relation = pg_class.oid
WHERE pg_locks.pid = pg_backend_pid() AND pg_class.relkind IN ('r', 'v')
    AND pg_class.relnamespace::regnamespace::text = ANY (%s)
GROUP BY pg_locks.relation"""
SHOWN = """
SELECT pg_rewrite.ev_class::regclass::text, format('%s.%s', pg_class.relnamespace::regnamespace, pg_class.relname)
FROM pg_depend
INNER JOIN pg_rewrite ON pg_depend.objid = pg_rewrite.oid
INNER JOIN pg_class ON pg_depend.refobjid = pg_class.oid AND pg_rewrite.ev_class <> pg_class.oid
WHERE pg_depend.classid = 'pg_rewrite'::regclass AND pg_depend.refclassid = 'pg_class'::regclass"""


def looked_at(connection: psycopg.Connection, path: Path) -> tuple[set[str], set[str]]:
    """What a file reads, and what of that it writes too, as PostgreSQL's locks tell; the file itself is undone.

    With an empty search_path: a name without its schema is not found.
    """
    connection.execute("SELECT set_config('ltv.run_no', audit.run_no()::text, true)")
    connection.execute("SET LOCAL search_path = ''")
    connection.execute(path.read_text())
    locks = connection.execute(LOCKED, [[*LAYERS, "audit"]]).fetchall()
    connection.rollback()
    return {name for name, read, _ in locks if read}, {name for name, read, written in locks if read and written}


@pytest.fixture(scope="module")
def reads(cluster, template) -> dict[str, tuple[set[str], set[str]]]:
    """What every file reads and writes: of a delta, of a snapshot, of one that drops what core holds, of the first."""
    from support import warehouse_of

    seen: dict[str, tuple[set[str], set[str]]] = {}
    forecast = ["customer_rfm", "cohorts", "repeat_buyers", "clv_model", "expectations", "scores"]
    with warehouse_of(cluster, template, "ltv_reads") as url:
        pipeline.run_pipeline(url, ROOT / "data", "2026-11-22")
        for name in forecast:
            execute(url, (SQL / "forecast" / f"{name}.sql").read_text())
        for state in (
            "SELECT",
            "UPDATE forecast.clv_model SET as_of = as_of - 30; UPDATE audit.sources SET kind = 'snapshot'",
            "DELETE FROM staging.customers; DELETE FROM staging.orders; DELETE FROM staging.payments",
            "DELETE FROM core.payments; DELETE FROM core.orders; DELETE FROM core.customers",
        ):
            execute(url, state)
            with psycopg.connect(url) as connection:
                for path in FILES:
                    read, written = looked_at(connection, path)
                    known = seen.setdefault(name_of(path), (set(), set()))
                    known[0].update(read)
                    known[1].update(written)
        with psycopg.connect(url) as connection:
            shown = connection.execute(SHOWN).fetchall()
    seen["shown"] = ({f"{view} {table}" for view, table in shown}, set())
    return seen


@pytest.mark.parametrize("path", TABLES, ids=name_of)
def test_the_reads_line_is_what_the_file_reads(path: Path, reads: dict[str, tuple[set[str], set[str]]]) -> None:
    declared = set(header(path).reads)
    read, written = reads[name_of(path)]
    shown = [pair.split() for pair in reads["shown"][0]]
    implied: set[str] = set()
    # A view may show another one.
    while more := {table for view, table in shown if view in declared | implied} - implied:
        implied |= more
    assert declared <= read, f"its Reads line names what it does not read: {declared - read}"
    # What it sets aside it takes from the lines as they came; nobody's row is made of that.
    aside = {"raw.customer_data", "raw.order_data", "raw.payment_data", "core.forgotten_customers"}
    own = {name_of(path)} | written | BOOKS | (aside if "audit.release(" in path.read_text() else set())
    assert read <= declared | implied | own, f"its Reads line lacks {read - declared - implied - own}"


@pytest.mark.parametrize("path", sorted((SQL / "definitions" / "views").glob("*.sql")), ids=lambda path: path.stem)
def test_the_reads_line_of_a_view_is_what_it_shows(path: Path, reads: dict[str, tuple[set[str], set[str]]]) -> None:
    shown = {table for view, table in map(str.split, reads["shown"][0]) if view == path.stem}
    # A function that it calls may stand beside them, for what that reads.
    called = {each for each in header(path).reads if f"{each}(" in path.read_text()}
    assert set(header(path).reads) - called == shown
