"""Generated deliveries, byte by byte, through the whole pipeline: nothing is lost, nothing crashes, a rerun is quiet.

What a file says is read here a second time, character by character, and judged by the oracle in support.py. A failing
example is printed as the bytes of its files: put it into an @example above the test to have it replayed.
"""

import csv
import gzip
import io
import itertools
import os
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from unittest.mock import Mock

import psycopg
import pytest
import server
from copy_csv import BadFileError, CopyCsvOperator
from hypothesis import HealthCheck, Phase, example, given, seed, settings
from hypothesis import strategies as st
from pipeline import CheckFailedError, run_pipeline
from sql_files import SQL
from support import (
    COLUMNS,
    Line,
    a_paid_order,
    cleaned,
    judge_customers,
    judge_orders,
    judge_payments,
    rows_seen,
    warehouse_of,
)
from test_staging_properties import ODD_AMOUNTS, ODD_DAYS, ODD_IDS

# `make fuzz` asks for more of them, in several processes, each with a seed of its own.
DELIVERIES = int(os.environ.get("FUZZ_DELIVERIES", "20"))
SEED = int(os.environ.get("FUZZ_SEED", "0"))
FIRST_DAY = date(2026, 1, 31)
ENTITIES = {"customer_data": "customers", "order_data": "orders", "payment_data": "payments"}
Files = dict[str, bytes]

# ---- What is delivered ----

USUAL = {
    "first_name": "Ann",
    "last_name": "Uwase",
    "email": "Ann@Example.com",
    "country": "Rwanda",
    "gender": "Female",
    "date_of_birth": "1990-05-17",
    "product": "Phone",
    "order_date": "2025-03-04",
    "payment_date": "2025-03-05",
}
IDS = [*"1234567", "1234567890123456789"]
DAYS = ["2026-01-31", "2026-02-01", "2026-02-02", "2024-02-29", "1900-01-01", "1899-12-31"]
AMOUNTS = ["1", "0", "12.50", "-12.50", "-40", "999999999999.99", "7.", ".5", " 3 ", "0.01"]
TEXTS = [
    *("Zoë", "", "NULL", "n/a", "-", "\\N", " x ", "\ufeff"),
    *('say "hi"', "a,b", "a\nb", "a\r\nb", "a\n,b", "\\.", "' --"),
]
LIKELY = {
    **dict.fromkeys(["customer_id", "order_id", "payment_id"], IDS),
    **dict.fromkeys(["order_date", "payment_date", "date_of_birth"], DAYS),
    **dict.fromkeys(["price", "amount"], AMOUNTS),
    "email": ["a@b", "@", "a@", "@b", "É@X.rw", "nobody"],
}
ODD = {id(IDS): ODD_IDS, id(DAYS): ODD_DAYS, id(AMOUNTS): ODD_AMOUNTS}
TWISTS = {
    source: [
        *((column, value) for column in columns for value in LIKELY.get(column, TEXTS) for _ in range(3)),
        *((column, value) for column in columns for value in [*ODD.get(id(LIKELY.get(column)), []), *TEXTS[:4]]),
    ]
    for source, columns in COLUMNS.items()
}

# An order that moves takes along what core knows of it.
TWISTS["order_data"] += [("customer_id", key) for key in "12345"] * 8


def usual(source: str, key: int) -> list[str]:
    """The line that a key has on a good day: order 6 is customer 1's, payments 7 and 8 refund a part and a whole."""
    order = key if source == "order_data" else (key - 1) % 6 + 1
    numbers = {"customer_id": (order - 1) % 5 + 1, "order_id": order, "price": 10 * key, "amount": f"{5 * key}.25"}
    numbers[COLUMNS[source][0]] = key
    numbers["amount"] = {7: "-2.25", 8: "-10.25"}.get(key, numbers["amount"])
    return [str(numbers.get(column, USUAL.get(column))) for column in COLUMNS[source]]


GOOD = {
    f"{source}.csv": "".join(
        ",".join(row) + "\n" for row in [names, *(usual(source, key) for key in range(1, 6))]
    ).encode()
    for source, names in COLUMNS.items()
}


def quoted(value: str, *, always: bool = False) -> str:
    return '"' + value.replace('"', '""') + '"' if always or re.search(r'[",\r\n]', value) else value


# Line mutations: each takes a line without its end, and gives the bytes that stand in its place.
BREAKS = {
    "too few": lambda line: line.rpartition(b",")[0],
    "too many": lambda line: line + b",more",
    "trailing delimiter": lambda line: line + b",",
    "stray quote": lambda line: line[: len(line) // 2] + b'"' + line[len(line) // 2 :],
    "open quote": lambda line: line.replace(b",", b',"', 1),
    "closed quote": lambda line: line.replace(b",", b',"x"', 1),
    "no text": lambda line: line.replace(b"a", b"\xe9", 1) + b"\xff\\",
    "NUL": lambda line: line.replace(b"e", b"\0", 1) + b"\0\\",
    "blank line": lambda line: line + b"\n",
    "blank lines": lambda line: b"\n\r\n" + line,
    "end mark": lambda line: line + b"\n\\.",
    "CR": lambda line: line + b"\r" + line,
    "CRLF": lambda line: line + b"\r",
    "nothing": lambda _: b"",
    "other delimiter": lambda line: line.replace(b",", b";"),
    "twice": lambda line: line + b"\n" + line,
    "stray quotes": lambda line: (line[:2] + b'"' + line[2:] + b"\n") * 2,
    "swallowed": lambda line: b'"' + line + b"\n" + line + b'"',
}
PIECES = [
    *(b",", b'"', b'""', b'\n"\n', b"\n", b"\r\n", b"\r"),
    *(b"\\.", b"\\", b"\0", b"\xff", b"\xc3\xa9", b"\xef\xbb\xbf"),
]


@st.composite
def body(draw: st.DrawFn, source: str, names: list[str], *, whole: bool) -> list[bytes]:
    """The lines behind the header, the columns in the order of names."""
    rows = [usual(source, key) for key in range(1, 9 if source == "payment_data" else 7)] if whole else []
    twists = st.none() | st.none() | st.sampled_from(TWISTS[source])
    for key, twist in draw(
        st.lists(
            st.tuples(st.integers(1, 8), twists),
            min_size=0 if whole else 3,
            max_size=7,
        )
    ):
        row = usual(source, key)
        if twist is not None:
            row[COLUMNS[source].index(twist[0])] = twist[1]
        rows.append(row)
    known = [dict(zip(COLUMNS[source], row, strict=True)) for row in rows]
    always = draw(st.sampled_from([False] * 5 + [True] + [False] * 5))
    lines = [",".join(quoted(row.get(name, "x"), always=always) for name in names).encode() for row in known]
    if draw(st.sampled_from([False, True, False])):
        for at, how in draw(st.lists(st.tuples(st.integers(0, 12), st.sampled_from(sorted(BREAKS))), max_size=3)):
            lines[at % len(lines)] = BREAKS[how](lines[at % len(lines)])
    if draw(st.sampled_from([False] * 5 + [True] + [False] * 5)):
        lines.insert(draw(st.integers(0, 12)), ",".join(names).encode())
    return lines


HEADERS = {
    "upper": lambda names: [f" {name.upper()} " for name in names],
    "turned": lambda names: names[::-1],
    "extra": lambda names: [*names[:2], "Note", *names[2:]],
    "quoted": lambda names: [f'"{name}"' for name in names],
    "trailing": lambda names: [*names, ""],
    "missing": lambda names: names[:-1],
    "twice": lambda names: [*names, names[1]],
    "kept name": lambda names: [*names, "line_no"],
    "no name": lambda names: [*names[:1], "", *names[1:]],
    "open quote": lambda names: [*names[:-1], f'"{names[-1]}'],
    "other": lambda names: [";".join(names)],
}
FINE_HEADERS = ["upper", "turned", "extra", "quoted", "trailing"]
# What can be wrong with a file as such; most of it has it refused.
FAULTS = [*sorted(HEADERS.keys() - FINE_HEADERS), "cr", "no header", "header only", "empty", "bytes"]
FAULTS += ["missing", "both", "cut gz", "no gz"]
# Hypothesis likes the ends of a list: what is most likely stands there.
FINE = ["as it is"] * 10 + ["bom", "crlf", "no end", "cut"] * 2 + ["piece"] * 4 + ["as it is"] * 10
KINDS = [*["plain"] * 4, "gz", "parts", "parts", *["plain"] * 4]


@st.composite
def files_of(draw: st.DrawFn, source: str, *, whole: bool, is_odd: bool) -> Files:
    """A source's files: mostly one that is fine."""
    header = names = COLUMNS[source]
    change = draw(st.sampled_from(FAULTS if is_odd else FINE))
    altered = change if change in HEADERS else draw(st.sampled_from(["as it is"] * 9 + FINE_HEADERS + ["as it is"] * 9))
    if altered != "as it is":
        header = HEADERS[altered](names)
        names = header if altered in ("turned", "extra") else names
    lines = draw(body(source, [name.lower() for name in names], whole=whole))
    # A trailing delimiter is one at the end of every line.
    lines = [line + b"," for line in lines] if altered == "trailing" else lines
    end = {"crlf": b"\r\n", "cr": b"\r"}.get(change, b"\n")
    head = ",".join(header).encode() + end
    data = head + b"".join(line + end for line in lines)
    match change:
        case "bom":
            data = b"\xef\xbb\xbf" + data
        case "no end":
            data = data.removesuffix(end)
        case "cut":
            data = data[: len(data) * 2 // 3]
        case "piece":
            at = draw(st.integers(0, 999)) * len(data) // 1000
            data = data[:at] + draw(st.sampled_from(PIECES)) + data[at:]
        case "no header":
            data = data.removeprefix(head)
        case "header only":
            data = head
        case "empty":
            data = b""
        case "bytes":
            data = draw(st.binary(max_size=40))
        case "missing":
            return {}
        case "both":
            return {f"{source}.csv": data, f"{source}.csv.gz": gzip.compress(data, mtime=0)}
        case "cut gz":
            return {f"{source}.csv.gz": gzip.compress(data, mtime=0)[:-9]}
        case "no gz":
            return {f"{source}.csv.gz": data}
    kind = draw(st.sampled_from(KINDS))
    if kind == "gz":
        return {f"{source}.csv.gz": gzip.compress(data, mtime=0)}
    if kind == "parts":
        at = data.find(end, len(data) // 2) + len(end)
        return {f"{source}_10.csv": head + data[at:], f"{source}_2.csv": data[:at]}
    return {f"{source}.csv": data}


@st.composite
def delivery(draw: st.DrawFn) -> tuple[int, Files]:
    """How many days after the one before it a delivery comes, and its files."""
    whole = draw(st.sampled_from([True, True, False, True]))
    odd = draw(st.sampled_from([None] * 14 + list(COLUMNS) + [None] * 8))
    merged: Files = {}
    for source in COLUMNS:
        merged |= draw(files_of(source, whole=whole, is_odd=source == odd))
    return draw(st.sampled_from([0, 0, 1])), merged


# ---- What a delivery says, read without the pipeline ----


@dataclass
class Part:
    """A file: its records with their numbers in raw, its broken lines with their rule, the lines it takes up."""

    name: str
    records: dict[int, dict[str, str]] = field(default_factory=dict)
    broken: list[tuple[str, str]] = field(default_factory=list)
    lines: int = 0


def scan(text: str) -> tuple[list[list[str]], set[str], bool]:
    """The fields of each record as COPY cuts them, the line ends found, and whether a quote is left open."""
    rows: list[list[str]] = []
    row, ends, is_open, at, start = [""], set(), False, 0, 0
    while at < len(text):
        here = text[at]
        if here == '"' and is_open and text[at + 1 : at + 2] == '"':
            row[-1] += '"'
            at += 1
        elif here == '"':
            is_open = not is_open
        elif is_open or here not in ",\r\n":
            row[-1] += here
        elif here == ",":
            row.append("")
        else:
            end = "\r\n" if text[at : at + 2] == "\r\n" else here
            ends.add(end)
            rows.append(row)
            row, at = [""], at + len(end) - 1
            start = at + 1
        at += 1
    return (rows if start == len(text) else [*rows, row]), ends, is_open


def as_text(data: bytes) -> str | None:
    try:
        return None if b"\0" in data else data.decode()
    except UnicodeDecodeError:
        return None


def shown(data: bytes) -> str:
    r"""A broken line as it is kept: what is no text is written \xNN, and then a backslash twice."""
    if as_text(data) is not None:
        return data.decode()
    return data.replace(b"\\", b"\\\\").decode(errors="backslashreplace").replace("\0", "\\x00")


def flaw_of(data: bytes, columns: int) -> tuple[str | None, list[str]]:
    """The rule that a line breaks as a line, or its fields."""
    if not data:
        return "line blank", []
    if as_text(data) is None:
        return "line not_text", []
    fields = next(iter(scan(data.decode())[0]))
    if len(fields) == columns + 1 and data.endswith(b",") and not fields[-1]:
        return None, fields[:-1]
    if len(fields) != columns:
        return f"line too_{'few' if len(fields) < columns else 'many'}_fields", []
    return None, fields


def without_end(line: bytes) -> bytes:
    return re.sub(rb"(\r\n|\r|\n)\Z", b"", line)


def in_csv_shape(data: bytes) -> bool:
    """Whether quotes stand only around whole fields."""
    return re.fullmatch(rb'("([^"]|"")*"|[^",]*)(,("([^"]|"")*"|[^",]*))*', data) is not None


def read_lines(part: Part, data: bytes, names: list[str], first_line_no: int) -> None:
    """Read a file that COPY does not take whole: a line with an odd number of quotes needs others, or is broken."""
    lines = data.splitlines(keepends=True)
    at = 0
    while at < len(lines):
        joined = list(itertools.accumulate(lines[at:]))
        taken = next((n for n, text in enumerate(joined, start=1) if text.count(b'"') % 2 == 0), 0)
        record = without_end(joined[max(taken, 1) - 1])
        rule, fields = flaw_of(record, len(names))
        if taken != 1 and (not taken or "_fields" in (rule or "") or not in_csv_shape(record)):
            taken, rule, record = 1, "line open_quote", without_end(lines[at])
        if rule:
            part.broken.append((shown(record), rule))
        else:
            part.records[first_line_no + at] = dict(zip(names, fields, strict=True))
        at += taken
    part.lines = len(lines)


def header_of(data: bytes, expected: list[str]) -> tuple[list[str], bytes] | None:
    """The names of the header and what comes behind it; None where the file has to be refused."""
    lines = re.findall(rb"[^\n]*\n|[^\n]+\Z", data)
    joined = list(itertools.accumulate(lines))
    record = next((text for text in joined if text.count(b'"') % 2 == 0), None)
    if record is None or (text := as_text(record)) is None:
        return None
    rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    names = [name.strip().lower() for row in rows for name in row]
    names = names[:-1] if len(names) > 1 and not names[-1] else names
    is_fine = (
        len(rows) == 1
        and "\n" not in "".join(rows[0])
        and set(expected) <= set(names)
        and len(set(names)) == len(names)
        and all(name and name.isprintable() and len(name.encode()) < 64 and name != "line_no" for name in names)
    )
    return (names, data[len(record) :]) if is_fine else None


def read(source: str, files: Files) -> list[Part] | None:
    """The source's files; None where the delivery has to be refused."""
    own = [name for name in files if name.startswith(source)]
    if not own or any(f"{name}.gz" in own for name in own):
        return None
    parts: list[Part] = []
    first_line_no = 2
    for name in sorted(own, key=lambda name: int((re.findall(r"\d+", name) or ["0"])[0])):
        try:
            data = gzip.decompress(files[name]) if name.endswith(".gz") else files[name]
        except (gzip.BadGzipFile, zlib.error, EOFError):
            return None
        head = header_of(data, COLUMNS[source])
        if head is None or not head[1]:
            return None
        names, rest = head
        part = Part(name)
        text = as_text(rest)
        rows, ends, is_open = scan(text or "")
        if text is not None and len(ends) < 2 and not is_open and all(len(row) == len(names) for row in rows):
            part.lines = len(rows)
            part.records = {
                line_no: dict(zip(names, row, strict=True)) for line_no, row in enumerate(rows, first_line_no)
            }
        else:
            read_lines(part, rest, names, first_line_no)
        parts.append(part)
        first_line_no += part.lines
    return parts


# ---- What has to be true of it ----


@dataclass(repr=False)
class Warehouse:
    """A warehouse, a connection that only looks, and what it has seen."""

    url: str
    connection: psycopg.Connection
    folder: Path
    seen: Counter = field(default_factory=Counter)
    number: int = 0
    snapshots: set[str] = field(default_factory=set)
    has_failed: bool = False

    def rows(self, statement: str) -> list[tuple]:
        return self.connection.execute(statement).fetchall()

    def core(self, entity: str) -> dict[int, tuple]:
        columns = ", ".join(next(COLUMNS[source] for source, name in ENTITIES.items() if name == entity))
        return {row[0]: row for row in self.rows(f"SELECT {columns} FROM core.{entity}")}

    def written(self) -> dict[str, list[str]]:
        """Every row that is kept, with its place and its transaction."""
        return rows_seen(self.connection, "core", "marts")

    def reset(self, *, open_limits: bool, snapshots: Iterable[str]) -> None:
        """Empty every table that is kept; say how much of a delivery may be wrong, and what is a snapshot."""
        kept = [
            f"{schema}.{table}"
            for schema, table in self.rows(
                "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('core', 'marts', 'audit')"
            )
            if table not in ("sources", "deployments", "schema_migrations")
        ]
        share = 1 if open_limits else Decimal("0.05")
        with self.connection.transaction():
            self.connection.execute(f"TRUNCATE {', '.join(kept)}")
        self.connection.execute(
            """UPDATE audit.sources
            SET max_reject_share = %s, max_waiting_share = %s, max_volume_fall = %s, max_total_change = %s,
                kind = CASE WHEN source = ANY (%s) THEN 'snapshot' ELSE 'delta' END""",
            [
                *(share, share, 1 if open_limits else Decimal("0.10"), 10**15 if open_limits else Decimal("0.50")),
                list(snapshots),
            ],
        )
        self.snapshots = set(snapshots)

    def run(self, as_of: date) -> Exception | None:
        """Run the pipeline on the folder; return what it was refused with."""
        self.number += 1
        try:
            run_pipeline(self.url, self.folder, as_of.isoformat(), f"run {self.number}")
        except (BadFileError, CheckFailedError) as error:
            return error
        return None


# The shape of a delivery can make these false; every other claim is about the pipeline itself.
MAY_FAIL = re.compile(
    r"raw\.\w+__not_empty_nor_short|staging\.\w+__(rejects|waiting)_within_limit"
    r"|intermediate\.customer_ltv__total_near_the_published"
)


def check_sentence(error: Exception) -> str:
    """That a refusal names a file, or a claim that may fail; return the layer."""
    said = str(error)
    assert "\n" not in said
    assert len(said) < 1500
    if isinstance(error, BadFileError):
        assert re.match(r"(customer|order|payment)_data\w*\.csv(\.gz)?(: \w+| (is|has)) .", said), said
        return "raw"
    claim, _, rest = said.partition(" failed: ")
    assert (SQL / claim.replace(".", "/")).with_suffix(".sql").is_file(), said
    may_fail = MAY_FAIL.fullmatch(claim) and re.match(r"[\d.]+ of [\d.]+ bad", rest)
    assert may_fail or rest.startswith("nothing to check"), said
    return claim.partition(".")[0]


def verdict(rule: str | None) -> str:
    if rule is None:
        return "good"
    return {"superseded": "superseded", "waits": "waiting"}.get(rule.split()[1], "rejected")


@dataclass
class Told:
    """What the oracle says of a source: its files, its lines, and the lines that waited before."""

    parts: list[Part]
    lines: list[Line]

    def good(self) -> dict[int, tuple]:
        return {line.key: tuple(line.values.values()) for line in self.lines if line.rule is None}

    def has_good_records(self) -> bool:
        """Whether a line of the files themselves is good, and not only one that waited."""
        return any(line.rule is None and line.line_no > 0 for line in self.lines)

    def named(self) -> set[int | None]:
        """The keys that some line carries, whatever its verdict."""
        return {line.key for line in self.lines}


def tell(warehouse: Warehouse, files: Files, as_of: date) -> dict[str, Told] | None:
    """Judge a delivery before it comes in; None where it has to be refused for its files."""
    parts = {source: read(source, files) for source in COLUMNS}
    if None in parts.values():
        return None
    waited: dict[str, list] = {source: [] for source in COLUMNS}
    for source, number, fields in warehouse.rows("SELECT source, rejected_row_id, fields FROM audit.waiting_rows"):
        waited[source].append((-number, fields))
    rows = {
        source: sorted(
            [*waited[source], *(record for part in parts[source] for record in part.records.items())],
            key=lambda row: row[0],
        )
        for source in COLUMNS
    }
    judged = {"customer_data": judge_customers(rows["customer_data"], as_of)}
    customers = {line.key for line in judged["customer_data"] if line.rule is None} | set(warehouse.core("customers"))
    judged["order_data"] = judge_orders(rows["order_data"], as_of, customers)
    orders = {key: row[1] for key, row in warehouse.core("orders").items()}
    orders |= {line.key: line.values["customer_id"] for line in judged["order_data"] if line.rule is None}
    # An order that waits for its day moves to nobody before that day.
    moving = {
        (line.key, line.values["customer_id"]) for line in judged["order_data"] if line.rule == "customer_id waits"
    }
    judged["payment_data"] = judge_payments(rows["payment_data"], as_of, orders, moving)
    return {source: Told(parts[source], judged[source]) for source in COLUMNS}


def check_raw(warehouse: Warehouse, source: str, told: Told) -> None:
    """Every record of the files stands in raw, every broken line in audit.rejected_rows, and nothing else."""
    columns = ", ".join(COLUMNS[source])
    found = {
        row[0]: [value or "" for value in row[1:]]
        for row in warehouse.rows(f"SELECT line_no, {columns} FROM raw.{source}")
    }
    assert found == {
        number: [record[column] for column in COLUMNS[source]]
        for part in told.parts
        for number, record in part.records.items()
    }
    kept = warehouse.rows(
        f"""SELECT line, rule FROM audit.rejected_rows
        WHERE source = '{source}' AND line IS NOT NULL AND last_run_no = (SELECT max(run_no) FROM audit.runs)"""
    )
    assert sorted(kept) == sorted({broken for part in told.parts for broken in part.broken})
    loads = warehouse.rows(
        f"""SELECT file, records, loaded FROM audit.loads
        WHERE source = '{source}' AND run_no = (SELECT max(run_no) FROM audit.runs) ORDER BY first_line_no"""
    )
    assert loads == [(part.name, len(part.records) + len(part.broken), len(part.records)) for part in told.parts]


def check_staging(warehouse: Warehouse, source: str, told: Told) -> None:
    """Every line has the oracle's verdict, and the counts per file add up to its records."""
    found = {
        number: rule and rule.replace("repeated_header", "not_a_whole_number")
        for number, rule in warehouse.rows(
            f"SELECT line_no, split_part(reason, ':', 1) FROM staging.{ENTITIES[source]}"
        )
    }
    assert found == {line.line_no: line.rule for line in told.lines}
    rules = {line.line_no: line.rule for line in told.lines}
    loads = warehouse.rows(
        f"""SELECT records, good, superseded, rejected, waiting FROM audit.loads
        WHERE source = '{source}' AND run_no = (SELECT max(run_no) FROM audit.runs) ORDER BY first_line_no"""
    )
    for part, (records, *counts) in zip(told.parts, loads, strict=True):
        expected = Counter(verdict(rules[number]) for number in part.records)
        expected["rejected"] += len(part.broken)
        assert counts == [expected[name] for name in ("good", "superseded", "rejected", "waiting")]
        assert sum(counts) == records
    warehouse.seen.update(verdict(line.rule) for line in told.lines)
    warehouse.seen["broken"] += sum(len(part.broken) for part in told.parts)
    kept = {
        tuple(fields[column] or "" for column in COLUMNS[source])
        for (fields,) in warehouse.rows(
            f"""SELECT fields FROM audit.rejected_rows WHERE source = '{source}' AND fields IS NOT NULL
            AND NOT is_waiting AND last_run_no = (SELECT max(run_no) FROM audit.runs)"""
        )
    }
    assert kept >= {
        tuple(record[column] for column in COLUMNS[source])
        for part in told.parts
        for number, record in part.records.items()
        if verdict(rules[number]) == "rejected"
    }


def net_amounts(payments: dict[int, tuple]) -> dict[int, Decimal]:
    """What was paid for each order."""
    net: dict[int, Decimal] = {}
    for _, _, order, _, amount in payments.values():
        net[order] = net.get(order, Decimal(0)) + amount
    return net


def kept_by(warehouse: Warehouse, before: dict[str, dict[int, tuple]], told: dict[str, Told]) -> dict[str, set[int]]:
    """The rows of core that a delivery leaves there: a snapshot takes those that it neither names nor needs."""
    good = {source: told[source].good() for source in COLUMNS}
    # A payment whose line was refused stays as it was, and so does one that a delta says nothing of.
    unnamed = set() if "payment_data" in warehouse.snapshots else set(before["payments"])
    as_it_was = ((told["payment_data"].named() | unnamed) & set(before["payments"])) - set(good["payment_data"])
    unnamed = set() if "order_data" in warehouse.snapshots else set(before["orders"])
    needed = {payment[2] for payment in good["payment_data"].values()}
    needed |= {before["payments"][key][2] for key in as_it_was}
    orders = (told["order_data"].named() | unnamed | needed) & set(before["orders"])
    unnamed = set() if "customer_data" in warehouse.snapshots else set(before["customers"])
    needed = {order[1] for order in good["order_data"].values()}
    needed |= {before["orders"][key][1] for key in orders - set(good["order_data"])}
    customers = (told["customer_data"].named() | unnamed | needed) & set(before["customers"])
    return {"customers": customers, "orders": orders, "payments": as_it_was}


def check_core(warehouse: Warehouse, before: dict[str, dict[int, tuple]], told: dict[str, Told]) -> None:
    """Core is what it was, with the good lines on top; payments follow their order; what waits is held."""
    after = {entity: warehouse.core(entity) for entity in ENTITIES.values()}
    kept = kept_by(warehouse, before, told)
    expected = {
        entity: {key: before[entity][key] for key in kept[entity]} | told[source].good()
        for source, entity in ENTITIES.items()
    }
    warehouse.seen["dropped"] += sum(len(before[entity].keys() - expected[entity]) for entity in expected)
    owner = {order: row[1] for order, row in expected["orders"].items()}
    expected["payments"] = {
        key: (key, owner[order], order, day, amount) for key, (_, _, order, day, amount) in expected["payments"].items()
    }
    assert after == expected
    waiting = sorted(
        (source, cleaned(fields[COLUMNS[source][0]]))
        for source, fields in warehouse.rows("SELECT source, fields FROM audit.waiting_rows")
    )
    assert waiting == sorted(
        (source, str(line.key))
        for source in COLUMNS
        for line in told[source].lines
        if verdict(line.rule) == "waiting" and source not in warehouse.snapshots
    )


def check_mart(warehouse: Warehouse) -> None:
    """Amounts tie, to the customer and the cent, from core's payments to what is published."""
    orders, payments = warehouse.core("orders"), warehouse.core("payments")
    net = net_amounts(payments)
    paid = {order: amount for order, amount in net.items() if a_paid_order(amount, orders[order][4])}
    expected = {customer: [0, Decimal(0)] for customer in warehouse.core("customers")}
    for order, amount in paid.items():
        expected[orders[order][1]][0] += 1
        expected[orders[order][1]][1] += amount
    published = warehouse.rows("SELECT customer_id, total_orders, total_amount FROM marts.customer_ltv")
    assert {customer: [times, amount] for customer, times, amount in published} == expected
    unpaid = sum(net.values()) - sum(paid.values())
    assert sum(row[2] for row in published) + unpaid == sum(row[4] for row in payments.values())


def check_delivery(warehouse: Warehouse, files: Files, as_of: date) -> None:
    for path in warehouse.folder.iterdir():
        path.unlink()
    for name, data in files.items():
        (warehouse.folder / name).write_bytes(data)
    before = warehouse.written()
    core = {entity: warehouse.core(entity) for entity in ENTITIES.values()}
    told = tell(warehouse, files, as_of)

    # Loaded whatever the last delivery was.
    warehouse.connection.execute("UPDATE audit.loads SET sha256 = ''")
    error = warehouse.run(as_of)
    reached = check_sentence(error) if error else "end"
    warehouse.seen["published" if reached == "end" else f"refused in {reached}"] += 1
    assert isinstance(error, BadFileError) == (told is None), error
    after = warehouse.written()
    for table, rows in after.items():
        if reached in ("raw", "staging") or (reached != "end" and table.startswith("marts.")):
            assert rows == before[table], "a delivery that is refused leaves what it has not reached"
    if told is not None:
        for source in COLUMNS:
            check_raw(warehouse, source, told[source])
            if reached != "raw":
                check_staging(warehouse, source, told[source])
    if reached in ("intermediate", "marts", "end"):
        check_core(warehouse, core, told)
    if reached == "end":
        check_mart(warehouse)

    # Every other time the delivery is loaded again, though it equals the last one.
    if warehouse.number % 4 == 1:
        warehouse.connection.execute("UPDATE audit.loads SET sha256 = ''")
    again = warehouse.run(as_of)
    if reached == "end" and any(not told[source].has_good_records() for source in COLUMNS):
        # What waited was the only good row, and has been released; a delivery that is not loaded again passes though.
        ((is_same,),) = warehouse.rows(
            "SELECT bool_and(same_as_run_no IS NOT NULL) FROM audit.loads WHERE run_no = audit.run_no()"
        )
        if is_same:
            assert again is None
        else:
            assert str(again).endswith("__key_unique_and_not_null failed: nothing to check")
    else:
        assert str(again) == str(error)
    # What a check of core or later refuses has been merged, and the next run has it already.
    if reached in ("raw", "staging", "end"):
        assert warehouse.written() == after
    warehouse.seen["deliveries"] += 1


@pytest.fixture(scope="module")
def warehouse(cluster: server.Server, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """A warehouse for all examples, on which no commit waits for the disk; at the end, says what has been tried."""
    with warehouse_of(cluster, template, "ltv_fuzz") as made:
        url = f"{made}?options=-c%20synchronous_commit%3Doff"
        with psycopg.connect(url, autocommit=True) as connection, pytest.MonkeyPatch.context() as patch:
            patch.setattr(CopyCsvOperator, "log", Mock())
            fuzzed = Warehouse(url, connection, tmp_path_factory.mktemp("delivery"))
            yield fuzzed
        print(f"\nseed {SEED}:", ", ".join(f"{times:,} {what}" for what, times in sorted(fuzzed.seen.items())))


MOVED = {
    "order_data.csv": b"order_id,customer_id,order_date,product,price\n1,2,2025-03-04,Phone,10\n",
    "payment_data.csv": b"payment_id,customer_id,order_id,payment_date,amount\n2,2,2,2025-03-05,10.25\n",
}
STRAY_QUOTES = {
    "customer_data.csv": GOOD["customer_data.csv"] + b'7,A"nn,U,a@b,,,\n8,A"nn,U,a@b,,,\n9,too few\n',
}
NUL_FIRST = {"payment_data.csv": b"\0" + GOOD["payment_data.csv"]}


@seed(SEED)
@settings(
    max_examples=DELIVERIES,
    database=None,
    deadline=None,
    print_blob=True,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
@example(deliveries=[(0, GOOD), (0, GOOD | MOVED)], open_limits=True, snapshots=[])
@example(deliveries=[(0, GOOD), (0, GOOD | MOVED)], open_limits=True, snapshots=list(COLUMNS))
@example(deliveries=[(0, GOOD | STRAY_QUOTES)], open_limits=True, snapshots=[])
@example(deliveries=[(0, GOOD | NUL_FIRST)], open_limits=True, snapshots=[])
@given(
    deliveries=st.lists(delivery(), min_size=1, max_size=3),
    open_limits=st.sampled_from([True] * 4 + [False] + [True] * 4),
    snapshots=st.sampled_from([[], [], *itertools.chain(*(itertools.combinations(COLUMNS, n) for n in (1, 2, 3))), []]),
)
def test_every_record_is_accounted_for(
    warehouse: Warehouse, deliveries: list[tuple[int, Files]], open_limits: bool, snapshots: Iterable[str]
) -> None:
    # Deliveries are what is counted; how many of them an example has is drawn. What has failed is tried again.
    if warehouse.seen["deliveries"] >= DELIVERIES and not warehouse.has_failed:
        return
    warehouse.reset(open_limits=open_limits, snapshots=snapshots)
    as_of = FIRST_DAY
    try:
        for days, files in deliveries:
            as_of += timedelta(days=days)
            check_delivery(warehouse, files, as_of)
    except BaseException:
        warehouse.has_failed = True
        raise
