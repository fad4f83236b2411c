"""Bring a warehouse to the version of sql/: roles, then migrations, then definitions.

DATABASE_URL names the warehouse by the login that runs the pipeline; without it, it is the embedded server's.
ADMIN_DATABASE_URL (optional) is an administrator's login on it, which makes the roles. DISTRIBUTED=yes distributes core
over the workers of a database with the extension citus, once and for good: sql/distributed.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

import psycopg
import server
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.json import Jsonb

sys.path.append(str(server.ROOT / "dags"))
from sql_files import SQL, deployed_fingerprint

# What libpq would take from whoever calls, over the head of the login's own settings.
NOT_OURS = ("PGDATESTYLE", "PGTZ", "PGOPTIONS", "PGCLIENTENCODING", "PGGEQO")
DROP_FIRST = "a view that loses or renames a column, or changes its type, is dropped by a migration first"
DROP_FUNCTION_FIRST = "a function that returns other columns than before is dropped by a migration first"
LOCKED = "another session holds a lock on what it changes; try again when that has ended (pg_stat_activity shows it)"
ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended('make migrate', 0))"


def in_full(url: str) -> str:
    """Return a connection URL or string as a URL that dbmate and Airflow read as libpq does.

    Raises SystemExit for what is neither, without repeating it: there may be a password in it.
    """
    try:
        parts = {name: str(value) for name, value in conninfo_to_dict(url).items()}
        # What stands behind a bare @ or / is taken for the host or the port, which an error would repeat.
        if "@" in parts.get("host", "") + parts.get("dbname", "") or parts.get("port", "").strip(",0123456789"):
            raise ValueError
    except (psycopg.ProgrammingError, ValueError):
        raise SystemExit(
            "DATABASE_URL is no postgresql://user:password@host:port/database; in the password, "
            "write @ as %40, : as %3A, / as %2F, # as %23, % as %25 and a blank as %20"
        ) from None
    user, password, host, port, dbname = (
        quote(parts.pop(name, ""), safe="") for name in ("user", "password", "host", "port", "dbname")
    )
    if host.startswith("%2F") or "%2C" in host:
        # A socket's folder, or several hosts: for Airflow a port before the / is one number.
        parts["host"], parts["port"], host, port = unquote(host), unquote(port) or "5432", "", ""
    login = f"{user}:{password}@" if password else f"{user}@" if user else ""
    query = f"?{urlencode(parts)}" if parts else ""
    return f"postgresql://{login}{host}{':' + port if port else ''}/{dbname}{query}"


def warehouse() -> tuple[str, str | None]:
    """Return the URLs of the pipeline's login and of the administrator's, starting the embedded server if need be.

    From here on, sessions have the settings of their logins and none of this process's environment.
    """
    for name in NOT_OURS:
        os.environ.pop(name, None)
    if url := os.environ.get("DATABASE_URL"):
        admin_url = os.environ.get("ADMIN_DATABASE_URL")
        return in_full(url), in_full(admin_url) if admin_url else None
    embedded = server.start()
    return embedded.url, embedded.admin_url


def make_roles(admin_url: str, url: str) -> None:
    """Make the roles, and give the pipeline's login the password that its URL has."""
    login = conninfo_to_dict(url)
    with psycopg.connect(admin_url, client_encoding="UTF8") as connection:
        connection.execute(ONE_AT_A_TIME)
        connection.execute((SQL / "admin" / "roles.sql").read_text(encoding="utf-8"))
        # A verifier, not the password: a statement may end up in the server's log.
        verifier = connection.pgconn.encrypt_password(
            str(login["password"]).encode(), str(login["user"]).encode(), b"scram-sha-256"
        )
        connection.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                sql.Identifier(str(login["user"])), sql.Literal(verifier.decode())
            )
        )


def apply_migrations(url: str, is_encrypted: bool, distributed: bool = False) -> None:
    """Apply the migrations that are new; each file is a transaction, the ledger is audit.schema_migrations.

    With `distributed` it is those of sql/distributed, whose ledger is audit.distributed_migrations.
    """
    if "sslmode=" not in url:
        url += ("&" if urlsplit(url).query else "?") + f"sslmode={'require' if is_encrypted else 'disable'}"
    done = subprocess.run(  # noqa: S603 - a program of ours, no shell
        [
            Path(sys.executable).with_name("dbmate"),
            "--migrations-dir",
            SQL / "distributed" / "migrations" if distributed else SQL / "migrations",
            "--migrations-table",
            "audit.distributed_migrations" if distributed else "audit.schema_migrations",
            "--no-dump-schema",
            "--migration-lock",
            "migrate",
        ],
        env={"DATABASE_URL": url, "PATH": os.environ.get("PATH", "")},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise SystemExit("make migrate: " + " ".join([*done.stdout.splitlines()[-1:], done.stderr.strip()]))


def is_distributed(connection: psycopg.Connection, wanted: bool) -> bool:
    """Return whether core is distributed over workers, or is to be: once it is, every `make migrate` has to know.

    Raises SystemExit where it is wanted and the database has not what it takes.
    """
    known = connection.execute(
        """SELECT
            to_regclass('audit.distributed_migrations') IS NOT NULL,
            EXISTS (SELECT FROM pg_catalog.pg_extension WHERE pg_extension.extname = 'citus')"""
    ).fetchone()
    is_already, has_extension = known or (False, False)
    if wanted and not has_extension:
        raise SystemExit("make migrate: DISTRIBUTED=yes needs a database with the extension citus and its workers")
    return wanted or is_already


def check_migrations(connection: psycopg.Connection) -> None:
    """Raise SystemExit if a migration was edited after it was applied: it would not be applied again."""
    noted = connection.execute(
        "SELECT FROM pg_catalog.pg_attribute"
        " WHERE attrelid = to_regclass('audit.deployments') AND attname = 'migrations'"
    )
    if not noted.fetchall():
        return
    last = connection.execute(
        "SELECT deployments.migrations FROM audit.deployments ORDER BY deployments.deployed_at DESC LIMIT 1"
    ).fetchone()
    for name, digest in (last[0] if last else {}).items():
        if migrations().get(name) != digest:
            raise SystemExit(f"make migrate: sql/migrations/{name} was edited after it ran here: write the next one")


def migrations(folder: Path | None = None) -> dict[str, str]:
    """Return the sha256 of every migration, by its file's name: of sql/, or of another folder."""
    files = sorted((folder or SQL / "migrations").glob("*.sql"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def drop_undefined_functions(connection: psycopg.Connection) -> None:
    """Drop the functions of our schemas that this transaction has not defined: no file of sql/definitions has them."""
    left_over = connection.execute(
        """SELECT pg_proc.oid::regprocedure::text
        FROM pg_catalog.pg_proc
        WHERE pg_proc.pronamespace::regnamespace::text IN ('audit', 'core', 'forecast', 'marts')
            AND pg_proc.xmin <> pg_current_xact_id()::xid"""
    )
    for (signature,) in left_over.fetchall():
        connection.execute(sql.SQL("DROP FUNCTION {}").format(sql.SQL(signature)))


def apply_definitions(connection: psycopg.Connection, distributed: bool = False) -> None:
    """Apply every file of sql/definitions in one transaction, and note their fingerprint.

    Where core is distributed what sql/distributed has takes the place of the functions and views of the same name.
    """
    folder, instead = SQL / "definitions", SQL / "distributed"
    with connection.transaction():
        # Functions may name each other in any order.
        connection.execute("SET LOCAL check_function_bodies = off")
        connection.execute(ONE_AT_A_TIME)
        apply_files(connection, [*sorted(folder.glob("functions/*")), *sorted(folder.glob("views/*"))])
        if distributed:
            layers = ("functions/*", "views/*", "*.sql")
            apply_files(connection, [path for layer in layers for path in sorted(instead.glob(layer))])
        drop_undefined_functions(connection)
        apply_files(connection, sorted(folder.glob("*.sql")))
        connection.execute(
            "INSERT INTO audit.deployments (fingerprint, migrations) VALUES (%s, %s)",
            [deployed_fingerprint(), Jsonb(migrations())],
        )


def apply_files(connection: psycopg.Connection, paths: list[Path]) -> None:
    """Run SQL files; raise SystemExit with the name of the one that fails."""
    for path in paths:
        try:
            connection.execute(path.read_text(encoding="utf-8"))
        except psycopg.errors.LockNotAvailable:
            raise SystemExit(f"make migrate: {path.relative_to(SQL.parent)}: {LOCKED}") from None
        except psycopg.errors.InvalidTableDefinition as error:
            raise SystemExit(f"make migrate: {path.relative_to(SQL.parent)}: {error}\n{DROP_FIRST}") from None
        except psycopg.errors.InvalidFunctionDefinition as error:
            raise SystemExit(f"make migrate: {path.relative_to(SQL.parent)}: {error}\n{DROP_FUNCTION_FIRST}") from None
        except psycopg.Error as error:
            raise SystemExit(f"make migrate: {path.relative_to(SQL.parent)}: {error}") from None


def migrate(url: str, admin_url: str | None = None) -> None:
    """Bring the warehouse of `url` to the version of sql/; a second time changes nothing but audit.deployments.

    Raises SystemExit with a sentence for a server that is too old, and for a file that does not apply.
    """
    if admin_url:
        make_roles(admin_url, url)
    with psycopg.connect(url, autocommit=True, client_encoding="UTF8") as connection:
        if connection.info.server_version < 180000:
            raise SystemExit(
                f"make migrate: PostgreSQL 18 or later is needed; this is {connection.info.server_version}"
            )
        # Of several hosts the one that was found fit: dbmate takes no more than one port, and knows no keepalives.
        # What libpq has found elsewhere (PGPASSWORD, a password file), dbmate has to be told.
        info = connection.info
        found: dict[str, Any] = {"host": info.host, "port": info.port, "user": info.user, "dbname": info.dbname}
        if info.password:
            found["password"] = info.password
        known = {name: value for name, value in conninfo_to_dict(url).items() if not name.startswith("keepalives")}
        own, is_encrypted = in_full(make_conninfo(**(known | found))), connection.pgconn.ssl_in_use
        distributed = is_distributed(connection, os.environ.get("DISTRIBUTED") == "yes")
        # Before a new one is applied on top of it.
        check_migrations(connection)
        apply_migrations(own, is_encrypted)
        if distributed:
            apply_migrations(own, is_encrypted, distributed=True)
        apply_definitions(connection, distributed)


if __name__ == "__main__":
    try:
        migrate(*warehouse())
    except psycopg.Error as error:
        raise SystemExit(f"make migrate: {error}") from None
    print("The warehouse is at the version of sql/.")
