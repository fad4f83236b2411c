"""What an edit of the SQL affects: which tasks have to run again, and which views may show something else."""

import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import sql_files
from sql_headers import header

FILES = ("sql/*/*.sql", "sql/definitions/*/*.sql")
# Beside what is no part of a run: these say who may read, and how long a statement may take.
CHANGES_NO_ROW = ("sql/definitions/grants.sql", "sql/definitions/login_defaults.sql")
PROSE = re.compile(r"--[^\n]*|COMMENT ON [^;]*;")
# What a task writes beside the table that it is named after.
WRITTEN_WITH = {
    "core.changed_customers": "core.customer_activity",
    "marts.freshness": "marts.customer_ltv",
    "marts.customer_ltv_history": "marts.customer_ltv",
    "forecast.freshness": "forecast.customer_rfm",
    "forecast.publishes": "forecast.customer_forecast",
    "forecast.customer_forecast_history": "forecast.customer_forecast",
}
NO_TASK = ("sql/migrations/", "sql/definitions/", "sql/distributed/")
NAME = re.compile(r"\b(?:raw|staging|core|intermediate|marts|forecast|audit)\.\w+")


def files_of(root: Path) -> dict[str, bytes]:
    """Return the files that can change a run or a forecast, by their paths under the folder."""
    paths = {path.relative_to(root).as_posix(): path for pattern in FILES for path in root.glob(pattern)}
    apart = (*(f"sql/{folder}/" for folder in sql_files.NOT_IN_A_RUN - {"forecast"}), *CHANGES_NO_ROW)
    return {name: path.read_bytes() for name, path in paths.items() if not name.startswith(apart)}


def name_of(path: str) -> str:
    """Return the name of what a file makes: a table, a check, a view or a function."""
    stem = Path(path).stem
    return stem if "." in stem else f"{Path(path).parent.name}.{stem}"


def filled_by(tables: set[str]) -> set[str]:
    """Return the names of tables with those of the tasks that write them beside their own."""
    return tables | {WRITTEN_WITH[table] for table in tables & WRITTEN_WITH.keys()}


class Edit:
    """What differs between the files of two folders."""

    def __init__(self, base: Path, edited: Path) -> None:
        """Read both folders; a name in either counts."""
        ours, theirs = files_of(base), files_of(edited)
        self.paths = sorted(path for path in ours | theirs if ours.get(path) != theirs.get(path))
        self.views = {name_of(path) for path in ours | theirs if path.startswith("sql/definitions/views/")}
        self.functions = {name_of(path) for path in ours | theirs if path.startswith("sql/definitions/functions/")}
        # Checks and tables that the edit takes away; no task of the edited DAG is called so any more.
        self.gone = {name_of(path) for path in ours if path not in theirs and not path.startswith(NO_TASK)}
        self.reads: dict[str, set[str]] = {}
        self.mentions: dict[str, set[str]] = {}
        for root, files in ((base, ours), (edited, theirs)):
            for path in files:
                mentioned = set(NAME.findall(PROSE.sub("", files[path].decode()))) - {name_of(path)}
                self.mentions.setdefault(name_of(path), set()).update(mentioned)
                # A check and a function have no Reads line: they may read what they name.
                self.reads.setdefault(name_of(path), set()).update(header(root / path).reads or mentioned)

    @property
    def is_behind_everything(self) -> bool:
        """Whether kept tables, or what is declared of the files, are edited."""
        return any(re.match(r"sql/(migrations|definitions)/[^/]*$", path) for path in self.paths)

    @cached_property
    def code(self) -> set[str]:
        """The functions and views that work otherwise than before: edited ones, and those that call them."""
        found = {name_of(path) for path in self.paths} & (self.views | self.functions)
        while more := {name for name in self.views | self.functions if self.mentions[name] & found} - found:
            found |= more
        return found

    def tables(self, name: str) -> set[str]:
        """Return the tables that a file reads, in its own statements, or behind the views and functions it calls."""
        found, waiting = set[str](), {name}
        while waiting:
            reads = self.reads.get(waiting.pop(), set())
            # Behind the verdict there are the run's books, and no rows.
            waiting |= (reads - found - {"audit.verdict"}) & (self.views | self.functions)
            found |= reads
        # A check reads the table that it is named after.
        return found | ({name.partition("__")[0]} if "__" in name else set())

    def tasks(self, order: Iterable[str]) -> list[str]:
        """Return those of the tasks, given in the order in which a run does them, that have to run twice."""
        order = [task for task in order if task not in {"begin", "end"}]
        for name in sorted(self.gone - set(order)):
            # At the end of its layer: what it read comes before that, and what read it after.
            schema = name.partition(".")[0]
            layer = [place for place, task in enumerate(order, start=1) if task.startswith(f"{schema}.")]
            order.insert(max(layer, default=0), name)
        edited = {name_of(path) for path in self.paths}
        if self.is_behind_everything:
            return order
        found = {task for task in order if task in edited or self.mentions.get(task, set()) & self.code}
        while True:
            more = set()
            for place, task in enumerate(order):
                tables = filled_by(self.tables(task))
                if task not in found and tables & found & set(order[:place]):
                    more.add(task)
                if task in found:
                    # It must see what stood there before: who writes that later on has to wait for it.
                    more |= tables & set(order[place + 1 :]) - found
            if not more:
                return [task for task in order if task in found]
            found |= more

    def shown(self, tasks: list[str]) -> list[str]:
        """Return the views of marts that may show something else when these tasks do."""
        marts = {view for view in self.views if view.startswith("marts.")}
        # The day and the run that are published are the same on both sides.
        return sorted(
            view
            for view in marts
            if view in self.code or filled_by(self.tables(view) - {"marts.freshness"}) & set(tasks)
        )
