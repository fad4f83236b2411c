"""Hostile text wherever a delivery or a caller can put text: it is kept as text or refused, and does nothing else."""

import copy
import csv
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
import server
from jinja2 import meta
from pipeline import begin, run_pipeline
from support import COLUMNS, customer, deliver, execute, fetch, warehouse_of, write_csv

AS_OF = "2026-01-31"
HOSTILE = {
    "statement": "'; DROP TABLE core.customers; --",
    "identifier": '"; DROP SCHEMA core CASCADE; --',
    "literal": "1' OR '1'='1",
    "call": "1); SELECT pg_sleep(600); --",
    "program": "x) FROM PROGRAM 'false' --",
    "dollar": "$$; DROP SCHEMA marts CASCADE; $$ $1",
    "backslash": "\\'; DROP TABLE core.orders; --\\",
    "comment": "/* --",
    "placeholder": "%s %(run)s {} {0} {{ 7 * 7 }} {% raw %}",
    "path": "../../../etc/passwd",
    # Letters and signs that are others than they look: Cyrillic, full width, a modifier for a quote, right to left.
    "look-alike": "\u0430mount\uff07\u02bc\uff1b DROP \u202etable\u2215",
    "long": "".join(hashlib.sha256(b"%d" % n).hexdigest() for n in range(2_000)),
}
GOOD = range(1, 201)
# The customer, order or payment of the line that holds the text in the first column, in the second, and so on.
STRANGE = range(901, 908)
TEXT_COLUMNS = [("customers", column) for column in ("first_name", "last_name", "country", "gender")]
TEXT_COLUMNS += [("orders", "product")]


@pytest.fixture(scope="module")
def published(cluster: server.Server, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a warehouse that has published a good delivery."""
    with warehouse_of(cluster, template, "ltv_injection") as url:
        run_pipeline(url, delivery(tmp_path_factory.mktemp("good")), AS_OF, "good")
        yield url


def delivery(folder: Path, text: str | None = None) -> Path:
    """The good lines, and beside them, for each column of each file, one that holds the text there."""
    lines = {
        "customer_data": [customer(n) for n in GOOD],
        "order_data": [[n, n, "2025-03-01", "Phone", 100] for n in GOOD],
        "payment_data": [[n, n, n, "2025-03-01", 100] for n in GOOD],
    }
    if text is not None:
        for source, columns in COLUMNS.items():
            good = {**dict(zip(columns, lines[source][0], strict=True)), "customer_id": 902}
            for number, column in zip(STRANGE, columns, strict=False):
                lines[source].append([*{**good, columns[0]: number, column: text}.values()])
    return deliver(folder, **lines)


def structure(url: str) -> list[tuple]:
    """Every relation, column, function and role, and what may be done with them."""
    return fetch(
        url,
        """
        SELECT 'relation', relnamespace::regnamespace::text || '.' || relname, relacl::text FROM pg_catalog.pg_class
        WHERE relnamespace::regnamespace::text = ANY ('{raw,staging,core,intermediate,marts,audit,public}')
            AND relkind <> 'i'
        UNION ALL
        SELECT 'column', attrelid::regclass || '.' || attname, format_type(atttypid, atttypmod)
        FROM pg_catalog.pg_attribute
        WHERE attnum > 0 AND attrelid::regclass::text ~ '^(staging|core|intermediate|marts|audit)[.]'
        UNION ALL
        SELECT 'function', oid::regprocedure::text, md5(prosrc) FROM pg_catalog.pg_proc
        WHERE oid >= 16384
        UNION ALL SELECT 'role', rolname, rolsuper::text FROM pg_catalog.pg_roles
        ORDER BY 1, 2
        """,
    )


def good_rows(url: str) -> list[list[tuple]]:
    """What is known of the good customers, with the transactions that wrote it, and the sources' declarations."""
    tables = ["core.customers", "core.orders", "core.payments", "core.customer_activity"]
    tables += ["marts.customer_ltv", "marts.customer_ltv_history"]
    return [
        *(fetch(url, f"SELECT xmin::text, * FROM {table} WHERE customer_id <= 200 ORDER BY 2, 3") for table in tables),
        fetch(url, "SELECT xmin::text, * FROM audit.sources ORDER BY source"),
    ]


@pytest.fixture
def unharmed(published: str) -> Iterator[str]:
    """The URL of the warehouse; after the test everything in it is as before, but for what is new."""
    before = structure(published), good_rows(published)
    assert [len(rows) for rows in before[1]] == [len(GOOD)] * 6 + [3]
    runs = fetch(published, "SELECT * FROM audit.runs ORDER BY run_no")
    yield published
    assert (structure(published), good_rows(published)) == before
    assert fetch(published, "SELECT * FROM audit.runs ORDER BY run_no")[: len(runs)] == runs


def hostile(test: Callable) -> Callable:
    return pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)(test)


def last_run(url: str) -> tuple:
    """The state, the reason, and the id of the last run."""
    return fetch(url, "SELECT state, reason, dag_run_id FROM audit.runs ORDER BY run_no DESC LIMIT 1")[0]


def is_a_column(name: str) -> bool:
    return name.isprintable() and len(name.encode()) <= 63


def fill_with(text: str, folder: Path) -> None:
    """Put the text wherever a delivery has room for it."""
    delivery(folder, text)
    if is_a_column(text):
        for path in folder.iterdir():
            header, *rows = csv.reader(path.read_text().splitlines())
            write_csv(path, [*header, text], [[*row, text] for row in rows])


@hostile
def test_a_delivery_full_of_it_keeps_it_as_text_or_sets_it_aside(text: str, unharmed: str, tmp_path: Path) -> None:
    fill_with(text, tmp_path)
    run_id = text[:250]
    run_pipeline(unharmed, tmp_path, AS_OF, run_id)
    assert last_run(unharmed) == ("published", None, run_id)
    for table, column in TEXT_COLUMNS:
        columns = COLUMNS[f"{table.removesuffix('s')}_data"]
        query = f"SELECT {column} FROM core.{table} WHERE {columns[0]} = {STRANGE[columns.index(column)]}"
        assert fetch(unharmed, query) == [(text,)], column

    this_run = "(SELECT max(run_no) FROM audit.runs)"
    loads = fetch(unharmed, f"SELECT file, extra_columns FROM audit.loads WHERE run_no = {this_run} ORDER BY file")
    assert loads == [(f"{source}.csv", [text.lower()] if is_a_column(text) else []) for source in COLUMNS]
    set_aside = fetch(
        unharmed,
        f"""SELECT source, column_name, fields ->> column_name FROM audit.rejected_rows
        WHERE last_run_no = {this_run}""",
    )
    assert sorted(set_aside) == [
        (source, column, text)
        for source, columns in COLUMNS.items()
        for column in sorted(columns)
        if (f"{source.removesuffix('_data')}s", column) not in TEXT_COLUMNS
    ]


@hostile
def test_a_file_named_after_it_is_refused(text: str, unharmed: str, tmp_path: Path) -> None:
    from copy_csv import BadFileError

    named = f"payment_data_{text.replace('/', '')[: 255 - len('payment_data_.csv')]}.csv"
    write_csv(delivery(tmp_path) / named, COLUMNS["payment_data"], [["no number", 1, 1, "2025-03-01", 100]])
    with pytest.raises(BadFileError, match=r"is neither payment_data\.csv nor a numbered part of it") as caught:
        run_pipeline(unharmed, tmp_path, AS_OF, f"name {tmp_path.name}")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("text", [text for text in HOSTILE.values() if not is_a_column(text)], ids=len)
def test_a_name_that_cannot_be_a_column_is_refused(text: str, unharmed: str, tmp_path: Path) -> None:
    from copy_csv import BadFileError

    write_csv(delivery(tmp_path) / "order_data.csv", [*COLUMNS["order_data"], text], [[1] * 6])
    with pytest.raises(BadFileError, match="a column's name must have 1 to 63 bytes, all of them printable"):
        run_pipeline(unharmed, tmp_path, AS_OF, f"column {tmp_path.name}")
    assert last_run(unharmed)[0] == "failed"


@hostile
def test_a_name_in_the_place_of_a_column_is_refused(text: str, unharmed: str, tmp_path: Path) -> None:
    from copy_csv import BadFileError

    path = delivery(tmp_path) / "payment_data.csv"
    path.write_text(path.read_text().replace("amount", '"' + text.replace('"', '""') + '"', 1))
    with pytest.raises(BadFileError, match=r"payment_data\.csv: expected the columns .*: amount missing"):
        run_pipeline(unharmed, tmp_path, AS_OF, f"columns {tmp_path.name}")
    state, reason, _ = last_run(unharmed)
    assert (state, reason[:41]) == ("failed", "raw.payment_data: payment_data.csv: expec")


@hostile
def test_a_day_that_is_none_is_refused(text: str, unharmed: str) -> None:
    from airflow.sdk.exceptions import ParamValidationError
    from customer_ltv import dag

    with pytest.raises(ParamValidationError):
        copy.deepcopy(dag.params.get_param("as_of")).resolve(text)
    with pytest.raises(psycopg.DataError):
        begin(unharmed, text, "no such day")
    assert fetch(unharmed, "SELECT FROM audit.runs WHERE dag_run_id = 'no such day'") == []


@hostile
def test_the_id_of_a_run_is_said_as_it_is(text: str, unharmed: str) -> None:
    from customer_ltv import dag

    context = {
        "run_id": text,
        "params": {"as_of": AS_OF},
        "dag_run": SimpleNamespace(logical_date=AS_OF, start_date=AS_OF),
        "ti": SimpleNamespace(xcom_pull=lambda **_: 1),
    }
    for task_id in ("begin", "end"):
        task = dag.get_task(task_id)
        assert task.render_template(task.parameters, context)["run"] == text
    first, second = (f"{number} {text}"[:250] for number in (1, 2))
    begin(unharmed, AS_OF, first)
    begin(unharmed, AS_OF, second)
    execute(unharmed, "SELECT audit.fail_run(%s, %s, %s)", [second, text, text])
    assert fetch(unharmed, "SELECT dag_run_id, state, reason FROM audit.runs ORDER BY run_no DESC LIMIT 2") == [
        (second, "failed", f"{text}: {text}"),
        (first, "abandoned", f"run {second} began before this one had ended"),
    ]


def test_nothing_that_a_caller_says_names_the_source() -> None:
    """Whoever may start a run does not thereby choose which files the worker reads."""
    from copy_csv import CopyCsvOperator
    from customer_ltv import dag

    assert list(dag.params) == ["as_of"]
    folders = [task.folder for task in dag.tasks if isinstance(task, CopyCsvOperator)]
    assert len(folders) == 3
    for folder in folders:
        assert meta.find_undeclared_variables(dag.get_template_env().parse(folder)) == {"var"}
