"""dbt: the files into text tables by COPY, everything else by `dbt build`, the tests among it."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import kept
from psycopg.conninfo import conninfo_to_dict

PROJECT = Path(__file__).with_name("dbt")
CHUNK = 1 << 18


def load(path: Path) -> None:
    """COPY a file into a table of its own, its lines numbered."""
    table = f"peer_raw.{path.stem}"
    with kept.connect() as connection, path.open("rb") as file:
        columns = file.readline().decode().strip().split(",")
        declared = ", ".join(f"{column} text" for column in columns)
        connection.execute(f"DROP TABLE IF EXISTS {table}")
        connection.execute(
            f"CREATE UNLOGGED TABLE {table} (line_no bigint NOT NULL GENERATED ALWAYS AS IDENTITY, {declared})"
        )
        kept.copy_in(connection, f"{table} ({', '.join(columns)})", iter(lambda: file.read(CHUNK), b""))
        connection.execute(f"ANALYZE {table}")


def build(folder: Path, as_of: str, *options: str) -> None:
    """Load the files, and have dbt build and test what comes of them."""
    with kept.connect() as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS peer_raw")
    with ThreadPoolExecutor(len(kept.FILES)) as pool:
        list(pool.map(load, [folder / file for file in kept.FILES.values()]))
    where = conninfo_to_dict(os.environ["DATABASE_URL"])
    environment = {
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "LTV_AS_OF": as_of,
        "LTV_HOST": str(where["host"]),
        "LTV_PORT": str(where.get("port", 5432)),
        "LTV_USER": str(where["user"]),
        "DBT_ENV_SECRET_LTV_PASSWORD": str(where["password"]),
        "LTV_DATABASE": str(where["dbname"]),
    }
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("dbt"), "build", "--no-use-colors"),
            *("--project-dir", PROJECT, "--profiles-dir", PROJECT),
            *options,
        ],
        env=os.environ | environment,
        check=False,
    )
    if done.returncode:
        raise SystemExit("dbt build failed")


def full(folder: Path, as_of: str) -> None:
    """Build everything from the files."""
    build(folder, as_of, "--full-refresh")


def delta(folder: Path, as_of: str) -> None:
    """Merge the files into the incremental models."""
    build(folder, as_of)


if __name__ == "__main__":
    kept.main(full=full, delta=delta)
