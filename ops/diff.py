"""Show what an edit of the SQL does before it goes live: `make diff`.

The files of BASE (a git revision; default: main) and those of this folder run on the same delivery, in two databases
of the warehouse's server that are dropped at the end; the warehouse itself is only read, by pg_dump. What the edit
cannot affect is run once. The report is Markdown: what the files of sql/admin/diff/sections/ select.

DATA and AS_OF name another delivery than the last one. FAIL_OVER (a number of rows, or a share: 0.05 or 5%) is how
much of marts.customer_ltv may differ: the exit code is 1 where more does. ADMIN_DATABASE_URL is a login that may make
databases, for a server where that of DATABASE_URL may not.
"""

import fcntl
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import migrate
import psql
import psycopg
import server
from affected import Edit
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

sys.path.append(str(server.ROOT / "dags"))
from sql_files import ROOT, SQL, header

HERE = SQL / "admin" / "diff"
SCHEMAS = ("audit", "raw", "staging", "core", "intermediate", "marts", "forecast")
BEHIND_THE_SECTIONS = (
    "marts.customer_ltv",
    "audit.check_results",
    "forecast.check_results",
    "forecast.clv_model",
    "forecast.publishes",
    "diff.measures",
)


def run(*command: str | Path, send: str | bytes = b"", env: dict[str, str] | None = None) -> bytes:
    """Run a program and return what it printed; raise SystemExit with what it said where it fails."""
    done = subprocess.run(  # noqa: S603 - git, tar and programs of ours, no shell
        command,
        input=send.encode() if isinstance(send, str) else send,
        capture_output=True,
        env=os.environ | (env or {}),
        check=False,
        close_fds=False,
    )
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode:
        raise SystemExit(f"make diff: {said or f'{command[0]} has failed'}")
    if said:
        print(said, file=sys.stderr)
    return done.stdout


def git(*arguments: str) -> bytes:
    """Ask git about this folder; raise SystemExit with what it said where it cannot tell."""
    return run(shutil.which("git") or "git", "-C", str(ROOT), *arguments)


def revision() -> str:
    """Return the commit that BASE names, or else main; raise SystemExit with a sentence where there is none."""
    git("rev-parse", "--git-dir")
    asked = [os.environ["BASE"]] if os.environ.get("BASE") else ["main", "origin/main"]
    for name in asked:
        try:
            return git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}").decode().strip()
        except SystemExit:
            continue
    raise SystemExit(
        f"make diff: git knows no revision {' or '.join(asked)} here: name a branch, a tag or a commit with BASE="
    )


def check_out(commit: str, folder: Path) -> None:
    """Put the SQL and the DAGs as a commit has them into the folder, and around them what runs them now."""
    for name in ("ops", "dags"):
        shutil.copytree(ROOT / name, folder / name)
    then = git("archive", "--format=tar", commit, "sql", "dags/customer_ltv.py", "dags/customer_forecast.py")
    run(shutil.which("tar") or "tar", "-x", "-C", folder, send=then)
    shutil.copytree(HERE, folder / "sql" / "admin" / "diff", dirs_exist_ok=True)


def warehouse() -> tuple[str, str]:
    """Return the URLs of the pipeline's login and of one that makes databases; a new embedded server gets its roles."""
    url, admin_url = migrate.warehouse()
    if admin_url and "DATABASE_URL" not in os.environ:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            migrate.make_roles(admin_url, url)
    return url, admin_url or url


def locked(folder: Path) -> int | None:
    """Return the open file by which we hold the lock of a folder of ours; None where it is gone or somebody has it."""
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        if os.fstat(opened).st_uid == os.getuid():
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if folder.exists():
                # Who runs for us holds it with us, and longer where we are killed.
                os.set_inheritable(opened, True)
                return opened
    except BlockingIOError:
        pass
    os.close(opened)
    return None


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Give a folder that is deleted when the block ends.

    So are those that killed ones have left behind: the lock of a folder says that somebody is still at work with it.
    """
    for left in Path(tempfile.gettempdir()).glob("ltv-diff-*"):
        if (opened := locked(left)) is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(opened)
    # Another one may have taken it for left behind before it was locked.
    while (opened := locked(folder := Path(tempfile.mkdtemp(prefix="ltv-diff-")))) is None:
        continue
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(opened)


@contextmanager
def databases(admin_url: str) -> Iterator[tuple[psycopg.Connection, str]]:
    """Give a connection that makes databases, and what their names begin with; they are dropped when the block ends.

    So is what a killed one has left behind: a lock says who is still at work. It is looked for in every database: the
    lock of one belongs to the database that it is connected to, the databases to the whole server.
    """
    with psycopg.connect(admin_url, autocommit=True) as connection:
        named = "SELECT datname FROM pg_catalog.pg_database WHERE datname ~ %s"
        left_behind = f"""{named} AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_locks
            WHERE locktype = 'advisory' AND objid = (hashtext(split_part(datname, '_', 3)) & 4294967295)::oid
        )"""
        drop(connection, left_behind, "^ltv_diff_[0-9a-f]{8}_")
        mine = secrets.token_hex(4)
        connection.execute("SELECT pg_advisory_lock(hashtext(%s))", [mine])
        try:
            yield connection, f"ltv_diff_{mine}"
        finally:
            drop(connection, named, f"^ltv_diff_{mine}_")


def drop(connection: psycopg.Connection, query: str, name: str) -> None:
    """Drop the databases that a query names, whoever is connected."""
    for (database,) in connection.execute(query, [name]).fetchall():
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))


def make(connection: psycopg.Connection, url: str, name: str, template: str = "template1") -> str:
    """Make a database that only the owner of `url` enters; return its URL."""
    names = [name, template, str(conninfo_to_dict(url)["user"])]
    try:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(*(sql.Identifier(each) for each in names))
        )
    except psycopg.errors.InsufficientPrivilege:
        raise SystemExit(
            "make diff makes two databases and drops them again, which this login may not: "
            "name one that may with ADMIN_DATABASE_URL="
        ) from None
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
    return make_conninfo(url, dbname=name)


def copy_warehouse(url: str, copy: str) -> None:
    """Copy the warehouse: what readers and a run may do meanwhile they do."""
    with psycopg.connect(url) as connection:
        # Of the server's version, unless it asks for TLS.
        dump_program, restore_program = (
            psql.program(name, own=connection.pgconn.ssl_in_use) for name in ("pg_dump", "pg_restore")
        )
    schemas = [f"--schema={schema}" for schema in SCHEMAS]
    dumping = [dump_program, "--format=custom", "--compress=0", "--lock-wait-timeout=30s", *schemas]
    with subprocess.Popen(  # noqa: S603 - a program of PostgreSQL's, no shell
        dumping, stdout=subprocess.PIPE, env=os.environ | psql.login(url)
    ) as dump:
        restored = subprocess.run(  # noqa: S603 - a program of PostgreSQL's, no shell
            [restore_program, "--no-owner", "--no-privileges", "--exit-on-error", "--dbname", ""],
            stdin=dump.stdout,
            env=os.environ | psql.login(copy),
            check=False,
        )
    if dump.returncode or restored.returncode:
        raise SystemExit("make diff: the warehouse could not be copied")
    with psycopg.connect(copy, autocommit=True) as connection:
        connection.execute("ANALYZE")


def applied_migrations(url: str) -> dict[str, str] | None:
    """Return the migrations that the warehouse has, by name; None where it is new."""
    with psycopg.connect(url) as connection:
        if connection.execute("SELECT to_regclass('audit.deployments')").fetchone() == (None,):
            return None
        found = connection.execute("SELECT migrations FROM audit.deployments ORDER BY deployed_at DESC LIMIT 1")
        return dict(*(found.fetchone() or ({},)))


def is_copied(url: str, *folders: Path) -> bool:
    """Whether both sides begin with a copy of the warehouse: it is there, and neither side lacks a migration of it.

    Raises SystemExit where nothing else holds a delivery.
    """
    applied = applied_migrations(url)
    if applied is None:
        return False
    for folder in folders:
        known = migrate.migrations(folder / "sql" / "migrations")
        if lacking := sorted(name for name, digest in applied.items() if known.get(name) != digest):
            if not os.environ.get("DATA"):
                raise SystemExit(
                    f"make diff: the warehouse has had {lacking[0]}, which one of the two sides has not, or otherwise: "
                    "name the files with DATA=<folder or URL>; both sides then begin with an empty warehouse"
                )
            return False
    return True


def side(root: Path, url: str, home: Path, **asked: Any) -> None:
    """Run tasks in a copy, by the SQL under a root (ops/shadow.py)."""
    environment = {"DATABASE_URL": url, "AIRFLOW_HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    run(sys.executable, root / "ops" / "shadow.py", send=json.dumps(asked), env=environment)


def bring_over(ours: psycopg.Connection, theirs: psycopg.Connection, table: str) -> None:
    """Copy a table or view of the other side beside ours, in the schema "edited"; one that is not there is left out."""
    columns = theirs.execute(
        """SELECT string_agg(format('%%I %%s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum)
        FROM pg_catalog.pg_attribute
        WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped""",
        [table],
    ).fetchone()
    if not columns or columns[0] is None:
        return
    copy = sql.Identifier("edited", table.replace(".", "__"))
    ours.execute(sql.SQL("CREATE UNLOGGED TABLE {} ({})").format(copy, sql.SQL(columns[0])))
    reading = sql.SQL("COPY (SELECT * FROM {}) TO STDOUT (FORMAT binary)").format(sql.Identifier(*table.split(".")))
    writing = sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(copy)
    with theirs.cursor().copy(reading) as source, ours.cursor().copy(writing) as target:
        for block in source:
            target.write(block)


def compare(ours: psycopg.Connection, theirs: psycopg.Connection, tables: list[str]) -> None:
    """Have the tables of both sides compared, in the database of ours."""
    ours.execute((HERE / "compare.sql").read_bytes())
    for table in sorted({*tables, *BEHIND_THE_SECTIONS}):
        bring_over(ours, theirs, table)
    for table in tables:
        ours.execute("SELECT diff.compare(%s)", [table])


def cell(value: object) -> str:
    """Return a value as it stands in a table."""
    return "" if value is None else f"{value:,}" if isinstance(value, int | Decimal) else str(value).replace("|", "\\|")


def markdown(cursor: psycopg.Cursor[Any]) -> str:
    """Return a result as a table of Markdown that is one in a terminal too; "none" where it is empty."""
    columns = cursor.description or []
    rows = [[column.name for column in columns], *(list(map(cell, row)) for row in cursor.fetchall())]
    if not rows[1:]:
        return "none"
    is_text = [column.type_display == "text" for column in columns]
    # What stands last may be long, and pushes nothing aside.
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths[-1] = 3 if is_text[-1] else widths[-1]
    rule = ["-" * width if left else "-" * (width - 1) + ":" for width, left in zip(widths, is_text, strict=True)]
    rows.insert(1, rule)
    shape = " | ".join(f"{{:{'<' if left else '>'}{width}}}" for width, left in zip(widths, is_text, strict=True))
    return "\n".join(f"| {shape.format(*row)} |" for row in rows)


def show(connection: psycopg.Connection) -> None:
    """Print what each file of the report selects, under its title."""
    for path in sorted((HERE / "sections").glob("*.sql")):
        title, _, sentence = header(path).partition(": ")
        print(f"\n## {title}\n\n{sentence}\n\n{markdown(connection.execute(path.read_bytes()))}", flush=True)


def is_over(connection: psycopg.Connection, limit: str) -> bool:
    """Whether more of marts.customer_ltv differs than FAIL_OVER allows."""
    is_share = "." in limit or limit.endswith("%")
    allowed = float(limit.rstrip("%")) / (100 if limit.endswith("%") else 1)
    found = connection.execute(
        """SELECT
            (only_in_base + only_in_edited + changed)
            > %s::numeric * CASE WHEN %s THEN greatest(base_rows, edited_rows) ELSE 1 END
        FROM diff.tables WHERE table_name = 'marts.customer_ltv'""",
        [allowed, is_share],
    ).fetchone()
    return bool(found and found[0])


def main() -> int:
    """Run both sides, print the report, return the exit code."""
    limit = os.environ.get("FAIL_OVER", "")
    if not re.fullmatch(r"|[0-9]+|[0-9]*\.[0-9]+|[0-9]+(\.[0-9]+)?%", limit):
        raise SystemExit(f"make diff: FAIL_OVER={limit} is no number of rows (20) and no share of them (0.05 or 5%)")
    commit = revision()
    # Whoever ends this, with Ctrl-C or otherwise: what it has made is dropped.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda got, _: sys.exit(128 + got))
    with temporary_folder() as temporary:
        base, home = temporary / "base", temporary / "airflow"
        base.mkdir()
        check_out(commit, base)
        edit = Edit(base, ROOT)
        named = git("log", "-1", "--format=%h %s", commit).decode().strip()
        print(f"# What the edit does\n\nBASE is {named}.")
        if not edit.paths:
            print("\nNo file that a run or a forecast is made of differs from it.")
            return 0
        os.environ["AIRFLOW_HOME"] = str(home)
        import pipeline

        twice = edit.tasks(task.task_id for task in [*pipeline.tasks(), *pipeline.forecast_tasks()])
        shown = edit.shown(twice)
        print("\nEdited: " + ", ".join(edit.paths) + ".")
        if not twice + shown:
            print(
                "\nNo file of a run or of the forecast, and no view of marts, asks for it. "
                "What only Python, a trigger or somebody by hand calls is not tried here: `make test` tries it."
            )
            return 0
        print("\nRun twice: " + (", ".join(twice) or "nothing") + ".")
        url, admin_url = warehouse()
        with databases(admin_url) as (connection, name):
            copied = is_copied(url, base, ROOT)
            data = os.environ.get("DATA") or (None if copied else str(ROOT / "data"))
            folder = data if data is None or "://" in data else str(Path(data).resolve())
            print(f"\nDelivery: {folder or 'the last one, as the warehouse holds it'}.")
            asked = {"tasks": twice, "folder": folder, "as_of": os.environ.get("AS_OF", "")}
            ours = make(connection, url, f"{name}_base")
            if copied:
                copy_warehouse(url, ours)
            # A migration may write core, which an open run lets nobody do: each side begins a run of its own after it.
            before, after = ("take back", "all") if edit.is_behind_everything else ("once", "twice")
            side(base, ours, home, part=before, **asked)
            theirs = make(connection, url, f"{name}_edited", f"{name}_base")
            side(base, ours, home, part=after, **asked)
            side(ROOT, theirs, home, part=after, **asked)
            with psycopg.connect(ours) as left, psycopg.connect(theirs) as right:
                compare(left, right, [task for task in twice if "__" not in task] + shown)
                left.execute("SELECT set_config('diff.twice', %s, true)", [",".join(twice)])
                show(left)
                if limit and is_over(left, limit):
                    print(f"\nMore of marts.customer_ltv differs than FAIL_OVER={limit} allows.")
                    return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except psycopg.Error as error:
        raise SystemExit(f"make diff: {error}") from None
