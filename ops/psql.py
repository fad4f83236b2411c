"""Open psql on the warehouse as the login that runs the pipeline, so that what it makes belongs to that login."""

import os
import shutil

import migrate
import psycopg
import server
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

if __name__ == "__main__":
    url, _ = migrate.warehouse()
    if "DATABASE_URL" not in os.environ:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            raise SystemExit("The warehouse is new and empty: make run, or make migrate, comes first.") from None
    # The wheel's psql has no TLS; for a server elsewhere the machine's own is the better one.
    own = shutil.which("psql") if "DATABASE_URL" in os.environ else None
    program = own or str(server.wheel_folder() / "pginstall" / "bin" / "psql")
    # By the environment: a password must not show in the process list.
    variables = {option.keyword.decode(): (option.envvar or b"").decode() for option in Conninfo.get_defaults()}
    os.environ |= {variables[name]: str(value) for name, value in conninfo_to_dict(url).items() if variables[name]}
    reads_input = [] if os.isatty(0) else ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"]
    os.execv(program, ["psql", "--set=ON_ERROR_STOP=1", *reads_input])  # noqa: S606 - no shell
