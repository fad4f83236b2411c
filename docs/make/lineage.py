"""Which column is made of which others, by what the SQL files say: down to the columns of the delivered files.

Followed is what a value is made of. What only decides whether a row is there (a WHERE, a join's ON) is not.
"""

import logging
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from sqlglot import ErrorLevel, exp, parse
from sqlglot.errors import SqlglotError
from sqlglot.lineage import lineage
from sqlglot.schema import MappingSchema

# It warns of what it only carries along: SET, LOCK, functions in PL/pgSQL.
logging.getLogger("sqlglot").setLevel(logging.ERROR)


class Column(NamedTuple):
    """A column of a table, a view, a function that returns rows, or a file."""

    of: str
    name: str


def name_of(table: exp.Expression) -> str:
    """Return a table's name with its schema."""
    return f"{table.text('db')}.{table.name}"


def selected(query: Any, names: Iterable[str]) -> Any:
    """Return a query whose columns are called by these names."""
    query = query.copy()
    for projection, name in zip(list(query.selects), names, strict=True):
        projection.replace(exp.alias_(projection.unalias(), name))
    return query


def query_of(values: dict[str, Any], returned: Any, source: Any) -> Any:
    """Return a query of values by their names, and of what is returned beside them, which is NULL there.

    :param source: what the values are read from; a SELECT is taken with all that belongs to it.
    """
    also = [one.alias_or_name for one in returned.expressions] if returned else []
    names = [*values, *(name for name in also if name not in values)]
    projections = [exp.alias_(values[name].copy() if name in values else exp.null(), name) for name in names]
    if isinstance(source, exp.Select):
        return source.copy().select(*projections, append=False)
    return exp.select(*projections).from_(source.copy())


def inserted(merge: exp.Merge) -> Any:
    """Return the rows that a MERGE inserts, as a query."""
    insert = next(when.args["then"] for when in merge.find_all(exp.When) if isinstance(when.args["then"], exp.Insert))
    names = [name.name for name in insert.this.expressions]
    values = dict(zip(names, insert.expression.expressions, strict=True))
    return plain(query_of(values, merge.args["returning"], merge.args["using"]))


def returned(insert: exp.Insert) -> Any:
    """Return the rows that an INSERT of a WITH inserts and returns, as a query."""
    names = [name.name for name in insert.this.expressions]
    values = dict(zip(names, (one.unalias() for one in insert.expression.selects), strict=True))
    return query_of(values, insert.args["returning"], insert.expression)


def plain(statement: Any) -> Any:
    """Return a statement in which nothing is left that the lineage cannot follow, or should not.

    A MERGE or INSERT of a WITH becomes the rows that it inserts, a function in FROM a table. The conditions of a CASE
    go where its results are columns: they decide, and are no part of the value.
    """
    for merge in [cte.this for cte in statement.find_all(exp.CTE) if isinstance(cte.this, exp.Merge)]:
        merge.replace(inserted(merge))
    for insert in [cte.this for cte in statement.find_all(exp.CTE) if isinstance(cte.this, exp.Insert)]:
        if insert.args["returning"]:
            insert.replace(returned(insert))
    for table in list(statement.find_all(exp.Table)):
        if isinstance(table.this, exp.Func):
            table.set("this", exp.to_identifier(table.this.name))
    for case in list(statement.find_all(exp.Case)):
        results = [*(branch.args["true"] for branch in case.args["ifs"]), case.args.get("default")]
        if any(result is not None and result.find(exp.Column, exp.Case) for result in results):
            for branch in case.args["ifs"]:
                branch.set("this", exp.true())
            case.set("this", None)
    return statement


def filled(statement: Any) -> Iterator[tuple[str, Any]]:
    """Yield each table or view that a statement fills, with the query that gives its rows."""
    for merge in statement.find_all(exp.Merge):
        yield name_of(merge.this), inserted(merge)
    match plain(statement):
        case exp.Create(this=exp.Table() as table, expression=exp.Query() as query):
            yield name_of(table), query
        case exp.Insert(this=exp.Schema(this=table, expressions=names), expression=exp.Query() as query):
            if statement.args.get("with_"):
                query.set("with_", statement.args["with_"].copy())
            yield name_of(table), selected(query, [name.name for name in names])


def parsed(text: str) -> list[Any]:
    """Return the statements of a text that the parser understands; [] where it does not."""
    try:
        return [statement for statement in parse(text, dialect="postgres", error_level=ErrorLevel.RAISE) if statement]
    except SqlglotError:
        return []


class Lineage:
    """The lineage of every column that a SQL file fills.

    :param files: the text of each SQL file, by the name of its table.
    :param functions: the body of each function in SQL, by name.
    :param columns: the names of the columns of each table and view that is there, by name.
    :param delivered: for each table that takes a file, the file, as `order_data.csv`, and its columns.
    """

    def __init__(
        self,
        files: dict[str, str],
        functions: dict[str, str],
        columns: dict[str, list[str]],
        delivered: dict[str, tuple[str, list[str]]],
    ) -> None:
        """Read all that is written."""
        self.queries: dict[str, list[Any]] = {}
        self.writers: dict[str, set[str]] = {}
        for file, text in files.items():
            for statement in parsed(text):
                targets = [node.this.find(exp.Table) for node in statement.find_all(exp.Insert, exp.Merge)]
                # The INSERT of a MERGE names no table.
                for target in filter(None, targets):
                    self.writers.setdefault(name_of(target), set()).add(file)
                for name, query in filled(statement):
                    self.queries.setdefault(name, []).append(query)
        for name, body in functions.items():
            statements = parsed(re.sub(r"^BEGIN ATOMIC|END$", "", body.strip()))
            if len(statements) == 1 and isinstance(statements[0], exp.Query):
                self.queries[name] = [plain(statements[0])]
        self.delivered = delivered
        built = {name: queries[0].named_selects for name, queries in self.queries.items()}
        self.columns = {name: names for name, names in {**built, **columns}.items() if names and all(names)}
        self.schema = MappingSchema(dialect="postgres")
        for name, names in self.columns.items():
            self.schema.add_table(name, dict.fromkeys(names, "text"))
        self.known: dict[str, dict[str, set[Column]]] = {}

    def sources(self, column: Column) -> set[Column]:
        """Return the columns that a column is made of directly."""
        if column.of not in self.known:
            self.known[column.of] = self.of(column.of)
        return self.known[column.of].get(column.name, set()) - {column}

    def of(self, name: str) -> dict[str, set[Column]]:
        """Return what each column of a table is made of, by the file that it takes and the queries that fill it."""
        file, names = self.delivered.get(name, ("", []))
        made = {column: {Column(file, column)} for column in names}
        for query in self.queries.get(name, []):
            try:
                followed = lineage(None, query, schema=self.schema, dialect="postgres")
            except SqlglotError as error:
                print(f"The columns of {name} cannot be followed: {error}", file=sys.stderr)
                continue
            for column, root in followed.items():
                made.setdefault(column, set()).update(
                    Column(name_of(node.expression), node.name.rpartition(".")[2])
                    for node in root.walk()
                    if isinstance(node.expression, exp.Table) and name_of(node.expression) in self.columns
                )
        return made

    def steps(self, column: Column) -> set[tuple[Column, Column]]:
        """Return every step on the way from files to a column, as pairs of what is made and what it is made of."""
        taken: set[tuple[Column, Column]] = set()
        waiting = [column]
        while waiting:
            made = waiting.pop()
            for source in self.sources(made):
                if (made, source) not in taken:
                    taken.add((made, source))
                    waiting.append(source)
        return taken

    def origins(self, column: Column) -> list[Column]:
        """Return the columns of files that a column is made of; none where the run itself says what it holds."""
        files = {file for file, _ in self.delivered.values()}
        return sorted({source for _, source in self.steps(column) if source.of in files})
