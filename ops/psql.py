"""Open psql on the warehouse as the login that runs the pipeline, so that what it makes belongs to that login."""

import os
import shutil

import migrate
import psycopg
import server
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo


def program(name: str, own: bool) -> str:
    """Return the path of one of PostgreSQL's programs: the wheel's, which have no TLS, or the machine's own."""
    return (own and shutil.which(name)) or str(server.wheel_folder() / "pginstall" / "bin" / name)


def login(url: str) -> dict[str, str]:
    """Return a URL as the environment of such a program: a password must not show in the process list."""
    variables = {option.keyword.decode(): (option.envvar or b"").decode() for option in Conninfo.get_defaults()}
    return {variables[name]: str(value) for name, value in conninfo_to_dict(url).items() if variables[name]}


if __name__ == "__main__":
    url, _ = migrate.warehouse()
    if "DATABASE_URL" not in os.environ:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            raise SystemExit("The warehouse is new and empty: make run, or make migrate, comes first.") from None
    os.environ |= login(url)
    reads_input = [] if os.isatty(0) else ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"]
    # For a server elsewhere the machine's own is the better one.
    path = program("psql", own="DATABASE_URL" in os.environ)
    os.execv(path, ["psql", "--set=ON_ERROR_STOP=1", *reads_input])  # noqa: S606 - no shell
