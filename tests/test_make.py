"""The commands of the Makefile that need no whole run, and the embedded server that stands behind them."""

import dataclasses
import os
import re
import runpy
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import migrate
import psycopg
import pytest
import server
from conftest import ROOT
from support import command_lines

TARGETS = {
    "run",
    "diff",
    "try",
    "test",
    "test-compose",
    "secrets",
    "fuzz",
    "lint",
    "psql",
    "ui",
    "migrate",
    "stop",
    "clean",
    "help",
}


def start_make(*arguments: str, **environment: str) -> subprocess.Popen:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.Popen(
        [shutil.which("make"), *arguments],
        cwd=ROOT,
        env={**inherited, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def make(*arguments: str, send: str = "", **environment: str) -> tuple[int, str, str]:
    with start_make(*arguments, **environment) as process:
        out, err = process.communicate(send, timeout=900)
    return process.returncode, out, err


@pytest.mark.parametrize("arguments", [[], ["help"]], ids=["default", "help"])
def test_help_lists_the_targets(arguments: list[str]) -> None:
    code, out, err = make(*arguments)
    assert (code, err) == (0, "")
    listed = re.findall(r"^  make (\S+) +\S", out, re.MULTILINE)
    assert set(listed) >= TARGETS
    assert len(listed) == len(set(listed)) == len(out.splitlines())


def test_every_target_is_listed_and_phony() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = set(re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[1].split())
    assert phony == set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))
    assert phony == set(re.findall(r"^([a-z0-9-]+):.*## ", makefile, re.MULTILINE))


def test_what_is_printed_holds_no_word_of_an_installation(tmp_path: Path) -> None:
    """`make -s diff > diff.md` is the first command of a new checkout in CI, and the file is read by people."""
    for program, lines in {"uv": "exit 0", "python": "echo the report"}.items():
        path = tmp_path / "bin" / program
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{lines}\n")
        path.chmod(0o755)
    code, out, err = make("-s", f"VENV={tmp_path}", "diff")
    assert (code, out) == (0, "the report\n")
    assert err == f"Installing what a run needs into {tmp_path} …\n"
    installs = re.findall(r"echo 'Installing .*", (ROOT / "Makefile").read_text())
    assert [line for line in installs if not line.endswith("' >&2")] == []


@pytest.mark.parametrize(
    ("send", "printed"),
    [
        ("select 1+1", "2\n"),
        ("select 1 as a, null as b, 'x|y';\nselect current_user;\n", "1||x|y\nltv_pipeline\n"),
        ("create table core.mine (a int);\ninsert into core.mine values (1), (2);\ntable core.mine", "1\n2\n"),
        ("select tableowner from pg_tables where tablename = 'orders'", "ltv_pipeline\n"),
        ("show statement_timeout", "10min\n"),
    ],
    ids=["sum", "several", "changes", "owner", "defaults"],
)
def test_psql_prints_just_the_result(send: str, printed: str, warehouse: str) -> None:
    # A role's defaults in a database do not come with its template.
    with psycopg.connect(warehouse, autocommit=True) as connection:
        migrate.apply_definitions(connection)
    assert make("-s", "psql", send=send, DATABASE_URL=warehouse) == (0, printed, "")


def test_psql_on_a_server_without_a_warehouse_says_what_comes_first(
    cluster: server.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    new = dataclasses.replace(cluster, pipeline_password="not set yet")
    monkeypatch.setattr(migrate.server, "start", lambda: new)
    with pytest.raises(SystemExit, match="The warehouse is new and empty: make run, or make migrate, comes first"):
        runpy.run_path(str(ROOT / "ops" / "psql.py"), run_name="__main__")


FOREIGN = {
    "PGDATESTYLE": "German",
    "PGCLIENTENCODING": "LATIN1",
    "PGOPTIONS": "-c datestyle=SQL,DMY -c statement_timeout=1ms",
    "PGTZ": "Asia/Tokyo",
}


def test_settings_of_whoever_calls_are_not_the_sessions(warehouse: str) -> None:
    shown = "show datestyle; show client_encoding; show timezone; select date '2026-01-31'"
    with psycopg.connect(warehouse, autocommit=True) as connection:
        migrate.apply_definitions(connection)
    code, out, err = make("-s", "psql", send=shown, DATABASE_URL=warehouse, **FOREIGN)
    assert (code, err) == (0, "")
    assert out.splitlines()[::3] == ["ISO, YMD", "2026-01-31"]
    assert not {"LATIN1", "Asia/Tokyo"} & set(out.splitlines())
    code, _, err = make("-s", "migrate", DATABASE_URL=warehouse, **FOREIGN)
    assert (code, err) == (0, "")


def test_migrations_are_sent_as_what_they_are_written_in(warehouse: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in FOREIGN.items():
        if name != "PGOPTIONS":
            monkeypatch.setenv(name, value)
    migrate.migrate(warehouse)


@pytest.mark.parametrize("port", ["abc", "0", "70000", "-1", "8080; id"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    code, _, err = make("ui", UI_PORT=port)
    assert code != 0
    assert f"UI_PORT={port} is no port: a number from 1 to 65535" in err


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err = make("ui", UI_PORT=str(port))
    assert code != 0
    assert f"Port {port} is taken on this machine" in err


def test_psql_stops_at_the_first_error(warehouse: str) -> None:
    code, out, err = make("-s", "psql", send="select 1;\nselect nothing;\nselect 2;", DATABASE_URL=warehouse)
    assert (code != 0, out) == (True, "1\n")
    assert 'column "nothing" does not exist' in err


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="there is no /proc here")
def test_the_password_is_not_in_the_process_list(warehouse: str) -> None:
    password = urlsplit(warehouse).password
    assert len(password) > 20
    seen: dict[int, str] = {}
    with start_make("-s", "psql", DATABASE_URL=warehouse) as process:
        # It lasts until it has been seen.
        own: dict[int, str] = {}
        while process.poll() is None and not any("psql --set=ON_ERROR_STOP=1" in line for line in own.values()):
            own = command_lines(process.pid)
            for pid, line in command_lines().items():
                seen[pid] = seen.get(pid, "") + line
            time.sleep(0.02)
        assert process.communicate("select 'seen'") == ("seen\n", "")
    assert process.returncode == 0
    assert any("psql --set=ON_ERROR_STOP=1" in line for line in seen.values()), "psql was not seen at work"
    assert any(re.search(r"python\S* ops/psql.py", line) for line in seen.values())
    assert not [line for line in seen.values() if password in line]


def permissions(path: Path) -> dict[Path, tuple[int, int, int]]:
    """Mode and owners of a folder and of everything above it."""
    return {
        folder: (stat.S_IMODE(folder.stat().st_mode), folder.stat().st_uid, folder.stat().st_gid)
        for folder in [path, *path.parents, ROOT, *ROOT.parents, server.wheel_folder()]
    }


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder under /tmp, which everybody can enter, and in it one that only its owner can."""
    made = Path(tempfile.mkdtemp(prefix="ltv-make-"))
    made.chmod(0o755)
    (made / "closed").mkdir(mode=0o700)
    yield made
    shutil.rmtree(made)


def check_server(created: server.Server, local: Path) -> None:
    """What a new cluster is: it works for its pipeline's database, and its secrets are its owner's."""
    with psycopg.connect(created.admin_url) as connection:
        assert connection.execute("SHOW server_version_num").fetchone()[0] >= "180000"
        assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)
    assert stat.S_IMODE((local / "postgres.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(created.data.stat().st_mode) == 0o700
    assert server.find(local) == created
    again = server.start(local)
    assert (again, again.is_running()) == (created, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only for root do the server's user and the project's owner differ")
@pytest.mark.parametrize("place", ["closed/project/.local", "open/.local"])
def test_the_server_works_for_root_and_leaves_permissions_alone(place: str, folder: Path) -> None:
    local = folder / place
    local.parent.mkdir(parents=True)
    before = permissions(local.parent)
    created = server.create(local)
    try:
        check_server(created, local)
        assert created.data.stat().st_uid == server.NOBODY
        is_near = place.startswith("open") and server.is_reachable(server.wheel_folder())
        assert Path(created.folder).is_relative_to(local if is_near else "/var/tmp")  # noqa: S108 - where it goes
        assert permissions(local.parent) == before
        created.stop()
        assert not created.is_running()
        assert server.start(local).is_running()
    finally:
        created.remove()
    assert not Path(created.folder).exists()
    assert not (local / "postgres.json").exists()
    assert permissions(local.parent) == before


AS_AN_ORDINARY_USER = """
import os, sys
from pathlib import Path
import encodings.idna, psycopg, server, test_make
local = Path(sys.argv[1])
try:
    psycopg.connect("postgresql://nobody@127.0.0.1:1/x", connect_timeout=1)
except psycopg.OperationalError:
    pass  # what a connection needs is imported now: the interpreter may lie where the user cannot go
if os.geteuid() == 0:
    os.setgroups([]), os.setgid(server.NOBODY), os.setuid(server.NOBODY)
created = server.create(local)
try:
    test_make.check_server(created, local)
    assert created.folder == str(local / "postgres"), created.folder
    assert created.data.stat().st_uid == os.geteuid() != 0
finally:
    created.remove()
assert not (local / "postgres").exists()
print("made, looked at, removed")
"""


def test_the_server_works_for_an_ordinary_user(folder: Path) -> None:
    project = folder / "project"
    project.mkdir(mode=0o700)
    if os.geteuid() == 0:
        if not server.is_reachable(server.wheel_folder() / "pginstall" / "bin"):
            pytest.skip("the project lies where an ordinary user cannot go, so there is no such user to be")
        os.chown(project, server.NOBODY, server.NOBODY)
    before = permissions(project)
    done = subprocess.run(
        [sys.executable, "-c", AS_AN_ORDINARY_USER, project / ".local"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("ops", "dags", "tests"))},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "made, looked at, removed\n"), done.stderr
    assert permissions(project) == before


def test_a_damaged_note_of_the_cluster_is_said_to_be_damaged(tmp_path: Path) -> None:
    for damaged in ("", "{", "[]", '{"state": ""}'):
        (tmp_path / "postgres.json").write_text(damaged)
        with pytest.raises(SystemExit, match=r"postgres.json is damaged: put it back, or remove"):
            server.find(tmp_path)


def test_a_lock_that_another_session_holds_is_named(warehouse: str) -> None:
    with psycopg.connect(warehouse) as connection:
        connection.execute("LOCK audit.runs")
        with pytest.raises(SystemExit, match=r"^make migrate: sql/definitions/.*another session holds a lock"):
            migrate.migrate(f"{warehouse}?options=-c%20lock_timeout%3D100ms")


def test_a_cluster_that_has_gone_is_said_to_be_gone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert server.find(tmp_path) is None
    (tmp_path / "postgres.json").write_text(
        '{"state": "", "folder": "/nowhere", "binaries": "", "port": 1, "admin_password": "", "pipeline_password": ""}'
    )
    assert server.find(tmp_path) is None
    assert capsys.readouterr().err == "The database in /nowhere is gone; a new one is made.\n"


def pins(lock: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    return dict(re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==([^ \\]+)", text, re.MULTILINE))


@pytest.mark.parametrize("lock", ["dev", "image", "s3", "azure", "gcs", "openlineage", "stores"])
def test_what_is_installed_together_is_locked_in_the_same_versions(lock: str) -> None:
    run = pins("run")
    assert len(run) > 100
    assert {name: version for name, version in pins(lock).items() if run.get(name, version) != version} == {}


@pytest.mark.parametrize("lock", ["dev", "image"])
def test_what_stands_for_run_has_all_of_it(lock: str) -> None:
    assert pins("run").keys() <= pins(lock).keys()
