"""What several tests share: a whole run without Airflow's overhead, deliveries, and homes for Airflow."""

import atexit
import csv
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path

import airflow_home
import psycopg
import pytest
import server
from conftest import database_url, janitor
from psycopg import sql
from sql_files import SQL

if "AIRFLOW_HOME" not in os.environ:
    # Airflow writes into its home as soon as it is imported; that must not be the home of whoever runs the tests.
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="ltv-airflow-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)

AIRFLOW = Path(sys.executable).with_name("airflow")
COLUMNS = {
    "customer_data": ["customer_id", "first_name", "last_name", "email", "country", "gender", "date_of_birth"],
    "order_data": ["order_id", "customer_id", "order_date", "product", "price"],
    "payment_data": ["payment_id", "customer_id", "order_id", "payment_date", "amount"],
}


@contextmanager
def warehouse_of(cluster: server.Server, template: str, name: str) -> Iterator[str]:
    """A migrated warehouse for as long as the block lasts; yields its URL."""
    with janitor(cluster, name, template_dbname=template):
        with psycopg.connect(database_url(cluster, name, admin=True), autocommit=True) as connection:
            connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO ltv_pipeline").format(sql.Identifier(name)))
        # A template does not hand these on.
        execute(database_url(cluster, name), (SQL / "definitions" / "login_defaults.sql").read_text())
        yield database_url(cluster, name)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def deliver(folder: Path, **sources: Iterable[Sequence[object]]) -> Path:
    """Write the rows of customer_data, order_data and payment_data as CSV files; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for source, rows in sources.items():
        write_csv(folder / f"{source}.csv", COLUMNS[source], rows)
    return folder


def customer(customer_id: object, **fields: object) -> list[object]:
    """A good line of customer_data, with the fields that the test cares about."""
    usual = {"first_name": "Ann", "last_name": "Uwase", "email": f"c{customer_id}@example.com", "country": "Rwanda"}
    known = {"customer_id": customer_id, **usual, "gender": "Female", "date_of_birth": "1990-05-17", **fields}
    return [known[column] for column in COLUMNS["customer_data"]]


def fetch(url: str, statement: str, parameters: object = None) -> list[tuple]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement, parameters).fetchall()


def execute(url: str, statement: str, parameters: object = None) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement, parameters)


def as_if_built(url: str) -> None:
    """Note every task as done by the open run, though what stands is an earlier one's, or missing."""
    execute(
        url,
        """INSERT INTO audit.steps (run_no, task, seconds)
        SELECT audit.run_no(), task, 0
        FROM audit.sources CROSS JOIN unnest(ARRAY['raw.' || source, 'staging.' || entity]) AS task
        UNION SELECT audit.run_no(), 'intermediate.customer_ltv', 0
        UNION SELECT run_no, unnest(tasks), 0 FROM audit.runs WHERE run_no = audit.run_no()""",
    )


def open_limits(url: str) -> None:
    """Let tiny deliveries vary as they like: the limits are not the point."""
    execute(
        url,
        """UPDATE audit.sources SET max_reject_share = 1, max_waiting_share = 1,
            max_volume_fall = 1, max_total_change = 1000""",
    )


def rows_of(url: str, *schemas: str, place: bool = True) -> dict[str, list[str]]:
    """Every row of every table in the schemas, with the place where it lies and the transaction that wrote it."""
    with psycopg.connect(url) as connection:
        return rows_seen(connection, *schemas, place=place)


def rows_seen(connection: psycopg.Connection, *schemas: str, place: bool = True) -> dict[str, list[str]]:
    """What rows_of gives, as an open connection sees it."""
    written = "ctid, xmin, " if place else ""
    tables = connection.execute(
        "SELECT schemaname, tablename FROM pg_catalog.pg_tables WHERE schemaname = ANY (%s) ORDER BY 1, 2",
        [list(schemas)],
    ).fetchall()
    return {
        ".".join(table): sorted(
            row
            for (row,) in connection.execute(
                sql.SQL("SELECT row({}kept.*)::text FROM {} AS kept").format(sql.SQL(written), sql.Identifier(*table))
            )
        )
        for table in tables
    }


def airflow_settings(home: Path, warehouse_url: str) -> dict[str, str]:
    """The environment for Airflow in a process of its own, as `make run` and `make ui` have it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    return {**inherited, **airflow_home.settings(warehouse_url, home), "HOME": str(home)}


# Each worker of the tests has its own, below those that the kernel gives to whoever asks for any.
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 4
PORTS = [*range(20_000 + 3_000 * WORKER, 23_000 + 3_000 * WORKER)]
secrets.SystemRandom().shuffle(PORTS)


def free_port() -> int:
    """A port of this machine that nobody listens on and that, until it is taken, nobody else is given."""
    while True:
        port = PORTS.pop()
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def distributed(program: str, folder: Path, package: str = "") -> tuple[str, dict[str, str]]:
    """This machine's program, or else that of the distribution's package, unpacked into the folder and not installed.

    Returns its path and the environment that it needs; skips where neither can be had.
    """
    package = package or program
    if found := shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin"):
        return found, {}
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        pytest.skip(f"there is no {program} here, and no apt to have it by")
    path = f"{folder}/usr/sbin:{folder}/usr/bin"
    if not shutil.which(program, path=path):
        unpack(package, folder)
    unpacked = shutil.which(program, path=path)
    if not unpacked:
        pytest.skip(f"there is no {program} here, and apt has none either: apt-get install {package}")
    libraries = {str(library.parent) for library in folder.rglob("*.so.*")}
    return unpacked, {"LD_LIBRARY_PATH": ":".join(libraries)}


def unpack(package: str, folder: Path) -> None:
    """Unpack the distribution's package, and what it needs, into the folder, as far as apt has them."""
    # Its own list of packages: the machine's may be old, or not there yet.
    lists = folder / "lists"
    for needed in (folder / "partial", lists / "partial"):
        needed.mkdir(parents=True, exist_ok=True)
    places = {"Dir::Cache": folder, "Dir::Cache::archives": folder, "Dir::State::lists": lists}
    options = ["--option=Debug::NoLocking=true", *(f"--option={place}={path}" for place, path in places.items())]
    for command in (["update"], ["install", "--download-only", "--no-install-recommends", "--yes", package]):
        subprocess.run([shutil.which("apt-get"), *options, *command], capture_output=True, check=False)
    for archive in folder.glob("*.deb"):
        subprocess.run([shutil.which("dpkg"), "-x", archive, folder], check=True)
        archive.unlink()


def command_lines(session: int | None = None) -> dict[int, str]:
    """How every process of this machine, or those of one session, was called, by its number."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        number = int(path.parent.name)
        with suppress(OSError):
            if session in (None, os.getsid(number)):
                found[number] = path.read_text(errors="replace").replace("\0", " ")
    return found


migrated_homes: list[Path] = []


def new_airflow_home(factory: pytest.TempPathFactory) -> Path:
    """A home of Airflow's that is nobody else's, with a metadata database that is new."""
    if not migrated_homes:
        home = factory.mktemp("airflow")
        done = subprocess.run(
            [AIRFLOW, "db", "migrate"], env=airflow_settings(home, ""), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        migrated_homes.append(home)
    home = shutil.copytree(migrated_homes[0], factory.mktemp("home") / "airflow", ignore=shutil.ignore_patterns("logs"))
    # The settings name the folder that they were made in, and hold the secret by which the processes know each other.
    known = home / "airflow.cfg"
    known.write_text(known.read_text().replace(str(migrated_homes[0]), str(home)))
    return home


# What design.md, sections 3 and 5, says of a delivery, in plain Python: written from there and not from the SQL.

BLANKS = " \t\r\n\f\v\u00a0\ufeff"
NULL_TOKENS = {"", "NULL", "N/A", "-", "\\N"}


@dataclass
class Line:
    """A line of a delivery: what it says, as typed values, and its verdict: a rule's name, or None when it is good."""

    line_no: int
    key: int | None = None
    rule: str | None = None
    values: dict[str, object] = field(default_factory=dict)


def cleaned(value: str | None) -> str | None:
    value = (value or "").strip(BLANKS)
    return None if value.upper() in NULL_TOKENS else value


def as_id(value: str) -> int | None:
    return int(value) if re.fullmatch(r"[1-9][0-9]{0,18}", value) and int(value) < 2**63 else None


def as_day(value: str) -> date | None:
    try:
        return date.fromisoformat(value) if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value) else None
    except ValueError:
        return None


def as_amount(value: str) -> Decimal | None:
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]{0,2}|\.[0-9]{1,2})", value):
        return None
    return Decimal(value) if abs(Decimal(value)) < 10**12 else None


FLAWS = {as_id: "not_a_whole_number", as_day: "not_a_day", as_amount: "not_an_amount"}


def typed(line: Line, fields: dict[str, str | None], column: str, kind: object, *, needed: bool = True) -> None:
    """Type one column; the first flaw of a line is its verdict."""
    value = None if fields[column] is None else kind(fields[column])
    line.values[column] = value
    if line.rule is None and (needed or fields[column] is not None) and value is None:
        line.rule = f"{column} {'missing' if fields[column] is None else FLAWS[kind]}"


def refuse(line: Line, rule: str, when: bool) -> None:
    if line.rule is None and when:
        line.rule = rule


def has_swallowed(value: str | None) -> bool:
    """A line break and a delimiter in one field are what a stray quote makes of two lines."""
    return bool(re.search(r"[\r\n]", value or "")) and "," in (value or "")


def refuse_swallowed_lines(line: Line, fields: dict[str, str | None], *columns: str) -> None:
    for column in columns:
        refuse(line, f"{column} swallowed_a_line", has_swallowed(fields[column]))


def refuse_undeclared(line: Line, received: dict[str, str | None], source: str) -> None:
    """A column that nobody declared goes no further; the lines that it has swallowed are lost with it."""
    undeclared = received.keys() - set(COLUMNS[source])
    refuse(line, "line swallowed_a_line", any(has_swallowed(received[column]) for column in undeclared))


def a_paid_order(net: Decimal, _price: Decimal) -> bool:
    """Whether an order is a paid one: what sql/definitions/functions/core.a_paid_order.sql says, without any SQL."""
    return net > 0


def keep_the_last(lines: list[Line], key: str) -> None:
    """Of the lines with one key the last wins; one that waits does not hold back a good one before it."""
    good, all_usable = ({}, {})
    for line in lines:
        if line.rule is None:
            good[line.key] = line.line_no
        if line.rule is None or line.rule.endswith(" waits"):
            all_usable[line.key] = line.line_no
    for line in lines:
        if line.rule is None or line.rule.endswith(" waits"):
            winner = good if line.rule is None else all_usable
            if line.line_no < winner[line.key]:
                line.rule = f"{key} superseded"


def judge_customers(rows: Iterable[tuple[int, dict[str, str | None]]], as_of: date) -> list[Line]:
    lines = []
    for line_no, received in rows:
        fields = {column: cleaned(received[column]) for column in COLUMNS["customer_data"]}
        line = Line(line_no, values=dict(fields))
        refuse_undeclared(line, received, "customer_data")
        email = fields["email"]
        line.values["email"] = None if email is None else email.lower()
        typed(line, fields, "customer_id", as_id)
        refuse_swallowed_lines(line, fields, "first_name", "last_name", "email", "country", "gender")
        refuse(line, "email not_an_address", email is not None and not re.fullmatch(r"(?s).+@.+", email))
        typed(line, fields, "date_of_birth", as_day, needed=False)
        born = line.values["date_of_birth"]
        refuse(line, "date_of_birth too_early", born is not None and born < date(1900, 1, 1))
        refuse(line, "date_of_birth in_the_future", born is not None and born > as_of)
        line.key = line.values["customer_id"]
        lines.append(line)
    keep_the_last(lines, "customer_id")
    return lines


def judge_orders(rows: Iterable[tuple[int, dict[str, str | None]]], as_of: date, customers: set[int]) -> list[Line]:
    """Judge the lines of order_data, in the order in which the later one wins, given the customers that are known."""
    lines = []
    for line_no, received in rows:
        fields = {column: cleaned(received[column]) for column in COLUMNS["order_data"]}
        line = Line(line_no, values=dict(fields))
        refuse_undeclared(line, received, "order_data")
        typed(line, fields, "order_id", as_id)
        typed(line, fields, "customer_id", as_id)
        typed(line, fields, "order_date", as_day)
        refuse_swallowed_lines(line, fields, "product")
        typed(line, fields, "price", as_amount)
        refuse(line, "price negative", line.rule is None and line.values["price"] < 0)
        refuse(line, "order_date too_early", line.rule is None and line.values["order_date"] < date(1900, 1, 1))
        refuse(line, "order_date waits", line.rule is None and line.values["order_date"] > as_of)
        refuse(line, "customer_id waits", line.values["customer_id"] not in customers)
        line.key = line.values["order_id"]
        lines.append(line)
    keep_the_last(lines, "order_id")
    return lines


def judge_payments(
    rows: Iterable[tuple[int, dict[str, str | None]]],
    as_of: date,
    orders: dict[int, int],
    moving: Iterable[tuple[int, int]] = (),
) -> list[Line]:
    """Judge the lines of payment_data, given the orders that are known, whose they are, and which wait to move."""
    lines = []
    for line_no, received in rows:
        fields = {column: cleaned(received[column]) for column in COLUMNS["payment_data"]}
        line = Line(line_no)
        refuse_undeclared(line, received, "payment_data")
        typed(line, fields, "payment_id", as_id)
        typed(line, fields, "customer_id", as_id)
        typed(line, fields, "order_id", as_id)
        typed(line, fields, "payment_date", as_day)
        typed(line, fields, "amount", as_amount)
        refuse(line, "payment_date too_early", line.rule is None and line.values["payment_date"] < date(1900, 1, 1))
        refuse(line, "payment_date waits", line.rule is None and line.values["payment_date"] > as_of)
        order, owner = line.values["order_id"], line.values["customer_id"]
        refuse(line, "order_id waits", order not in orders)
        refuse(line, "order_id waits", order in orders and orders[order] != owner and (order, owner) in moving)
        refuse(line, "customer_id disagrees", order in orders and orders[order] != owner)
        line.key = line.values["payment_id"]
        lines.append(line)
    keep_the_last(lines, "payment_id")
    return lines
