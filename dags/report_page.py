"""The director's page: the charts of sql/report/, each a query and a Vega-Lite specification, in one HTML file.

A chart is two files: `NN_name.sql`, whose title is the sentence under the chart, and `NN_name.vl.json`, with the
chart's title. What the query returns is drawn, and stands in a table behind the chart; a column `headline` is neither:
its first value is the sentence above. `page.sql` has the key figures, `page.html` the page, `theme.json` fonts and
colours.
"""

import json
import logging
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from in_run import in_plain_words
from jinja2 import Environment, StrictUndefined
from sql_files import SQL, header
from stores import LOCAL, folder_at, plain_errors

CHARTS = SQL / "report"
ROLE = "ltv_report"
# More is no chart, and too much of a page: let the query sum up.
MOST_ROWS = 2000
# Pixels: two columns on a desk, one on a phone. CSS shows one of the two.
WIDTHS = {"wide": 540, "narrow": 330}
NUMBERS = {"int2", "int4", "int8", "numeric", "float4", "float8"}
# What no SVG may hold, and some file may: for these the renderer ends the whole process, without a word to Python.
NO_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
log = logging.getLogger(__name__)


class ReportError(Exception):
    """A chart that cannot be drawn; the message names its file."""


@dataclass
class Answer:
    """What a query returned: the names of its columns, which of them are numbers, and the rows."""

    columns: list[str]
    are_numbers: list[bool]
    rows: list[tuple[Any, ...]]

    def records(self) -> list[dict[str, Any]]:
        """Return the rows as JSON has them."""
        return [dict(zip(self.columns, map(plain, row), strict=True)) for row in self.rows]

    def without(self, name: str) -> tuple["Answer", Any]:
        """Return the answer without a column, and that column's first value; None where there is none."""
        if name not in self.columns:
            return self, None
        at = self.columns.index(name)
        columns, are_numbers = ([*kept[:at], *kept[at + 1 :]] for kept in (self.columns, self.are_numbers))
        rows = [(*row[:at], *row[at + 1 :]) for row in self.rows]
        return Answer(columns, are_numbers, rows), self.rows[0][at] if rows else None


@dataclass
class Chart:
    """A chart as the page shows it."""

    name: str
    title: str
    headline: str | None
    sentence: str
    empty: str
    headings: list[str]
    answer: Answer
    drawings: dict[str, str]


def plain(value: Any) -> Any:
    """Return a value as JSON has it: a number, a text, a day as YYYY-MM-DD, nothing, or a list or object of these."""
    if isinstance(value, str):
        return NO_XML.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, list):
        return list(map(plain, value))
    if isinstance(value, dict):
        return {plain(key): plain(inner) for key, inner in value.items()}
    return float(value) if isinstance(value, Decimal) else value.isoformat() if isinstance(value, date) else value


def readable(value: Any) -> str:
    """Return a value as a person reads it: thousands set apart, as many decimals as the query gives."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "—" if value is None else f"{value:,}" if isinstance(value, int | float | Decimal) else str(value)


def place(path: Path) -> str:
    """Return the name of a file as an error says it."""
    return f"sql/report/{path.name}"


def read(path: Path) -> str:
    """Return what a chart's file holds. Raises ReportError, which names the file, where it is missing."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ReportError(f"{place(path)} is missing: a chart is a .sql file and a .vl.json file of its name") from None


def ask(connection: psycopg.Connection, path: Path) -> Answer:
    """Run a chart's query. Raises psycopg.Error, and ReportError for too many rows; either names the file."""
    text = read(path)
    try:
        # In binary the server takes one statement, and no second one behind it.
        cursor = connection.execute(text.encode(), binary=True)
        rows = cursor.fetchmany(MOST_ROWS + 1)
    except psycopg.Error as error:
        in_plain_words(error, text, f"report.{path.stem}")
        if place(path) not in str(error):
            error.args = (f"{error} ({place(path)})",)
        raise error from None
    if len(rows) > MOST_ROWS:
        raise ReportError(f"{place(path)}: more than {MOST_ROWS:,} rows; let the query sum up")
    columns = cursor.description or []
    types = connection.adapters.types
    are_numbers = [getattr(types.get(column.type_code), "name", "") in NUMBERS for column in columns]
    return Answer([column.name for column in columns], are_numbers, rows)


def read_json(path: Path) -> dict[str, Any]:
    """Return what a JSON file holds. Raises ReportError, which names the file."""
    try:
        return dict(json.loads(read(path)))
    except (TypeError, ValueError) as error:
        raise ReportError(f"{place(path)} is no JSON object: {error}") from None


def texts(part: Any, *keys: str) -> Iterator[str]:
    """Yield every text that stands under one of the keys, alone or in a list, at any depth."""
    for key, value in part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else []:
        if key in keys:
            yield from (text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str))
        yield from texts(value, *keys)


def flaws(spec: dict[str, Any], columns: list[str]) -> Iterator[str]:
    """Yield what is wrong with a specification that Vega-Lite would pass over without a word."""
    if not isinstance(spec.get("title"), str):
        yield "it has no title, or one that is no text"
    meta = spec.get("usermeta", {})
    if not isinstance(meta, dict) or not isinstance(meta.get("headings", {}), dict):
        yield "its usermeta, or the headings in it, are no object"
    if any(texts(spec, "url")):
        yield "it names a url: what is drawn is what its query returns, and nothing else"
    if unknown := set(texts(spec, "field", "fold")) - set(texts(spec, "as")) - set(columns):
        yield f"no column of its query: {', '.join(sorted(unknown))}"


@cache
def renderer() -> Callable[..., str]:
    """Return what makes an SVG of a Vega-Lite specification, without a browser or a network."""
    try:
        from vl_convert import vegalite_to_svg
    except ImportError:
        raise ReportError("vl-convert-python is not installed here: requirements/report.txt (make report)") from None
    return vegalite_to_svg


def draw(path: Path, spec: dict[str, Any], rows: list[dict[str, Any]], size: str) -> str:
    """Return a chart as SVG. Raises ReportError, which names the file, for what Vega-Lite does not take."""
    drawn = {**spec, "width": WIDTHS[size], "data": {"values": rows}, "autosize": {"type": "fit-x"}}
    del drawn["title"]
    try:
        # No address is allowed: all that is drawn is what the query has returned.
        svg = renderer()(drawn, config=read_json(CHARTS / "theme.json"), allowed_base_urls=[])
    except ValueError as error:
        # That it has failed, and why; what follows are places in its scripts.
        said = " ".join(str(error).strip().splitlines()[:2])
        raise ReportError(f"{place(path)}: {said}") from None
    # All charts are in one page, and an id in it is one thing.
    return re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{path.name.partition('.')[0]}-{size}-", svg)


def chart(connection: psycopg.Connection, query: Path) -> Chart:
    """Return a chart, asked for and drawn. Raises psycopg.Error and ReportError, which name the file."""
    path = query.with_suffix(".vl.json")
    spec = read_json(path)
    found = ask(connection, query)
    for flaw in flaws(spec, found.columns):
        raise ReportError(f"{place(path)}: {flaw}")
    answer, headline = found.without("headline")
    meta = spec.pop("usermeta", {})
    headings = [meta.get("headings", {}).get(name, name.replace("_", " ").capitalize()) for name in answer.columns]
    return Chart(
        name=query.stem,
        title=spec["title"],
        headline=headline,
        sentence=header(query).splitlines()[0].partition(": ")[2],
        empty=meta.get("empty", "There is nothing to show yet."),
        headings=headings,
        answer=answer,
        drawings={size: draw(path, spec, found.records(), size) for size in WIDTHS} if found.rows else {},
    )


def page(connection: psycopg.Connection) -> str:
    """Return the page as HTML, every figure in it from one moment.

    Raises psycopg.Error and ReportError, which name the file of the chart that is at fault.
    """
    connection.read_only = True
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with connection.transaction():
        become = "SELECT set_config('role', rolname, true) FROM pg_catalog.pg_roles WHERE rolname = %s"
        if not connection.execute(f"{become} AND pg_has_role(oid, 'SET')", [ROLE]).fetchone():
            log.warning("There is no role %s for this login: the charts read with all its rights", ROLE)
        connection.execute("SET LOCAL TIME ZONE 'Africa/Kigali'")
        figures = ask(connection, CHARTS / "page.sql")
        names = sorted({path.name.partition(".")[0] for path in CHARTS.glob("[0-9]*")})
        charts = [chart(connection, CHARTS / f"{name}.sql") for name in names]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["readable"] = readable
    template = environment.from_string((CHARTS / "page.html").read_text(encoding="utf-8"))
    return template.render(figures=figures.records(), charts=charts)


def write(folder: str, text: str) -> str:
    """Write the page into a folder, local or an object store's, whole or not at all; return where it is.

    Raises OSError, and BadFileError when nothing that is installed knows such a URL.
    """
    path = folder_at(folder) / "index.html"
    with plain_errors(path):
        if path.protocol not in LOCAL:
            path.fs.pipe_file(path.path, text.encode())
            return str(path)
        local = Path(path.path)
        local.parent.mkdir(parents=True, exist_ok=True)
        # Another one may write at the same time: each has a file of its own.
        unfinished = local.with_suffix(f".{secrets.token_hex(4)}.unfinished")
        try:
            unfinished.write_text(text, encoding="utf-8")
            unfinished.replace(local)
        finally:
            unfinished.unlink(missing_ok=True)
    return str(path)
