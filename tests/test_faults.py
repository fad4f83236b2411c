"""Every fault against every task: after a retry, or the run begun again, all is as if nothing had happened.

`make test` runs each fault once for each kind of task, `make faults` the whole matrix.
"""

import json
import multiprocessing
import os
import shutil
import signal
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from subprocess import run as run_program

import migrate
import psycopg
import pytest
import server
from conftest import ROOT, database_url, janitor
from pipeline import run_pipeline, run_task, tasks
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from sql_files import SQL
from support import customer, deliver, execute, fetch

LAYERS = ["raw", "staging", "core", "intermediate", "marts"]
SOURCES = ["raw.customer_data", "raw.order_data", "raw.payment_data"]
FILES = [f"{layer}.{path.stem}" for layer in LAYERS for path in sorted((SQL / layer).glob("*.sql"))]
TASKS = ["begin", *SOURCES, *FILES, "end"]
# One task of each operator.
KINDS = {"begin", "raw.order_data", "staging.orders__reconciles", "core.orders"}
# Tables that a crash of the server empties.
UNLOGGED = ("raw", "staging")
NIGHT = "night-2"
FIRST_DAY, DAY = "2026-01-30", "2026-01-31"
RESTARTED = "is empty, though this run has filled it: the server has restarted since. Clear the run from its first task"
CLEAR = "Clear the run from its first task (begin), or start a new one."
MOUNT = Path(shutil.which("mount") or "/bin/mount")
LOCK_RUNS = "SELECT FROM audit.runs FOR UPDATE"
SPAWN = multiprocessing.get_context("forkserver")


# Two nights with some of everything

# Half a file has to be more than libpq gathers before it sends.
BLANKS = " " * 60


def first_night(folder: Path) -> Path:
    return deliver(
        folder,
        customer_data=[*map(customer, range(1, 301)), customer(900, email="nobody"), customer("x1")],
        order_data=[
            *([n, n % 300 + 1, f"2025-{n % 12 + 1:02}-11", "Phone", f"{n}.50{BLANKS}"] for n in range(1, 401)),
            [901, 7, "2025-03-01", "Phone", "-1"],
            # Its customer comes tomorrow, and its day.
            [902, 305, "2025-03-01", "Phone", "20.00"],
            [903, 8, DAY, "Phone", "30.00"],
        ],
        payment_data=[
            *([n, n % 300 + 1, n, "2025-12-20", f"{n}.50{BLANKS}"] for n in range(1, 401)),
            [901, 305, 902, "2025-03-02", "20.00"],
            [902, 9, 8, "2025-12-21", "1.234"],
        ],
    )


def second_night(folder: Path) -> Path:
    moved = [5, 299, "2025-06-11", "Phone", "5.50"]
    return deliver(
        folder,
        customer_data=[
            *(customer(n, first_name="Eve" if n % 10 == 0 else "Ann") for n in range(1, 311)),
            customer(310, first_name="The last wins"),
            customer("", first_name="No key"),
        ],
        order_data=[
            *([n, n % 300 + 1, "2025-06-11", "Phone" if n % 7 else "Radio", f"{n}.50{BLANKS}"] for n in range(10, 421)),
            moved,
            [904, 999, "2025-07-01", "Phone", "40.00"],
            [905, 9, "tomorrow", "Phone", "40.00"],
        ],
        payment_data=[
            *([n, n % 300 + 1, n, "2025-12-20", f"{n}.50{BLANKS}"] for n in range(10, 421)),
            [5, 299, 5, "2025-12-20", "5.50"],
            [950, 12, 11, "2026-01-02", "-11.50"],
            [951, 13, 12, "2026-01-02", "-2.00"],
            [952, 999, 904, "2026-01-02", "40.00"],
            [953, 14, 12, "2026-01-02", "40.00"],
        ],
    )


# A task in a process of its own


@dataclass
class Ended:
    """How a try of a task has ended: with an error and what the retry policy makes of it, or without."""

    exit_code: int | None
    error: str = ""
    sentence: str = ""
    action: str = ""


@dataclass
class Attempt:
    """A try of a task that is at work."""

    process: BaseProcess
    pipe: Connection

    def go_on(self) -> None:
        """Let a stalled store give the rest; a process that no longer listens is none of our business."""
        with suppress(BrokenPipeError):
            self.pipe.send("go on")

    def ended(self) -> Ended:
        said = ("", "", "")
        assert self.pipe.poll(300), "the task has not ended"
        with suppress(EOFError, ConnectionResetError):
            said = self.pipe.recv()
        self.process.join(300)
        return Ended(self.process.exitcode, *said)


def wait_for(what: str, probe: Callable[[], object]) -> object:
    """The first true answer; how long a busy machine takes for it is no test's claim."""
    seconds = 300
    deadline = time.monotonic() + seconds
    while not (answer := probe()):
        assert time.monotonic() < deadline, f"{what} took longer than {seconds} s"
        time.sleep(0.02)
    return answer


@dataclass
class Site:
    """A server of the faults' own: what they do to it is felt by no other test."""

    server: server.Server
    folder: Path
    deliveries: Path
    reference: dict[str, list[str]] = field(default_factory=dict)

    @property
    def admin(self) -> str:
        return database_url(self.server, "postgres", admin=True)

    @property
    def small_disk(self) -> Path:
        """Where a disk is mounted that fills up: in a folder that the server reaches."""
        return Path(self.server.folder) / "small"

    def is_up(self) -> bool:
        with suppress(psycopg.OperationalError):
            return bool(fetch(self.admin, "SELECT 1"))
        return False

    @contextmanager
    def warehouse(self, template: str, name: str, tablespace: str = "pg_default") -> Iterator[str]:
        """A warehouse made from a template, for as long as the block lasts; yields its URL."""
        named = {"name": sql.Identifier(name), "made_from": sql.Identifier(template), "at": sql.Identifier(tablespace)}
        with psycopg.connect(self.admin, autocommit=True) as connection:
            create = "CREATE DATABASE {name} TEMPLATE {made_from} OWNER ltv_pipeline TABLESPACE {at}"
            connection.execute(sql.SQL(create).format(**named))
        url = database_url(self.server, name)
        # A template does not hand these on.
        execute(url, (SQL / "definitions" / "login_defaults.sql").read_text())
        try:
            yield url
        finally:
            if not self.is_up():
                self.server.start()
            with psycopg.connect(self.admin, autocommit=True) as connection:
                connection.execute(sql.SQL("DROP DATABASE {name} WITH (FORCE)").format(**named))

    @contextmanager
    def before(self, task_id: str, tablespace: str = "pg_default") -> Iterator["Night"]:
        """The second night, up to a task."""
        with self.warehouse("ltv_first_night", "ltv_faults", tablespace) as url:
            night = Night(self, url, task_id)
            night.walk(*night.order[: night.order.index(task_id)])
            try:
                yield night
            finally:
                for process in night.started:
                    process.kill()


@dataclass
class Night:
    """The second night's run, in a warehouse of its own, which has come as far as a task."""

    site: Site
    url: str
    task_id: str
    run_id: str = NIGHT
    # Which begin of the run its tasks belong to.
    begun: int = 1
    started: list[BaseProcess] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.order = [task.task_id for task in tasks()]
        second = self.site.deliveries / "second"
        self.folder = shutil.copytree(second, self.site.folder / "delivery", dirs_exist_ok=True)

    @property
    def file(self) -> Path:
        """The file that the task reads."""
        return Path(self.folder) / f"{self.task_id.removeprefix('raw.')}.csv"

    @property
    def reads_a_file(self) -> bool:
        return self.task_id in SOURCES

    @property
    def built_something(self) -> bool:
        """Whether a crash of the server takes away what this run has built."""
        earlier = self.order[1 : self.order.index(self.task_id)]
        return self.task_id != "end" and any(task.startswith(UNLOGGED) and "__" not in task for task in earlier)

    def walk(self, *task_ids: str) -> None:
        """Run tasks to their good end."""
        with psycopg.connect(self.url) as connection:
            for task in tasks():
                if task.task_id in task_ids and task.task_id == "begin":
                    (self.begun,) = connection.execute(task.sql, self.start_parameters(task)).fetchone()
                    connection.commit()
                elif task.task_id in task_ids:
                    with connection.transaction():
                        assert run_task(connection, task, self.folder, self.run_id), task.task_id

    def start_parameters(self, task: object) -> dict[str, str]:
        due = "2026-02-01 00:30:00+00:00"
        return {**task.parameters, "run": self.run_id, "as_of": DAY, "due": due, "started": due}

    def start(self, **how: str) -> Attempt:
        """Start a task, by default this night's, in a process of its own."""
        import one_task

        here, there = SPAWN.Pipe()
        usual = {"task_id": self.task_id, "run_id": self.run_id, "as_of": DAY, "url": self.url, "trouble": ""}
        fixed = {"folder": str(self.folder), "pipe": there, "log": str(self.site.folder / "tasks.log")}
        fixed["attempt"] = None if self.task_id == "begin" else self.begun
        process = SPAWN.Process(target=one_task.run, kwargs={**usual, **how, **fixed})
        process.start()
        self.started.append(process)
        there.close()
        return Attempt(process, here)

    def attempt(self, **how: str) -> Ended:
        return self.start(**how).ended()

    def backends(self, condition: str = "true") -> list[int]:
        """The server processes of the tasks, and not of this test."""
        return [
            pid
            for (pid,) in fetch(
                self.site.admin,
                "SELECT pid FROM pg_stat_activity LEFT JOIN pg_stat_progress_copy AS copying USING (pid) "
                "WHERE pg_stat_activity.datname = %s AND backend_type = 'client backend' "
                f"AND application_name <> 'holder' AND {condition}",
                [conninfo_to_dict(self.url)["dbname"]],
            )
        ]

    @contextmanager
    def holding(self, lock: str) -> Iterator[psycopg.Connection]:
        """A session that holds a lock, until the block or the server ends."""
        holder = psycopg.connect(self.url, application_name="holder")
        try:
            holder.execute(lock)
            yield holder
        finally:
            holder.close()

    def holding_up(self) -> str:
        """The lock at which the task stops when its work is done and nothing of it is committed."""
        stops = {"begin": "LOCK TABLE audit.runs IN SHARE MODE", "end": LOCK_RUNS}
        return stops.get(self.task_id, "LOCK TABLE audit.steps IN SHARE MODE")

    @contextmanager
    def in_the_middle(self, url: str | None = None) -> Iterator[tuple[Attempt, int]]:
        """The task, stopped within its statement; yields it and its server process."""
        if self.reads_a_file:
            attempt = self.start(url=url or self.url, trouble="stalls")
            (backend,) = wait_for("the COPY", lambda: self.backends("copying.bytes_processed > 0"))
            yield attempt, backend
            attempt.go_on()
        else:
            with self.holding(self.holding_up()):
                attempt = self.start(url=url or self.url)
                (backend,) = wait_for("the lock", lambda: self.backends("wait_event_type = 'Lock'"))
                yield attempt, backend

    def wait_until_gone(self, backend: int) -> None:
        wait_for("the end of the server process", lambda: backend not in self.backends())

    def kept(self) -> dict[str, list[str]]:
        return kept(self.url)


def kept(url: str) -> dict[str, list[str]]:
    """Every row of audit, core and marts, without times and without numbers that a failed try uses up."""
    with psycopg.connect(url) as connection:
        runs = dict(connection.execute("SELECT run_no, dag_run_id FROM audit.runs").fetchall())
        columns: dict[tuple[str, str], list[tuple]] = {}
        for schema, table, *column in connection.execute(
            """
            SELECT n.nspname, c.relname, a.attname,
                a.atttypid = 'timestamptz'::regtype OR a.attidentity <> ''
                    OR a.attname IN ('seconds', 'attempt', 'filenode')
            FROM pg_class AS c
            INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
            INNER JOIN pg_attribute AS a ON c.oid = a.attrelid AND a.attnum > 0 AND NOT a.attisdropped
            WHERE n.nspname IN ('audit', 'core', 'marts') AND c.relkind = 'r'
            """
        ):
            columns.setdefault((schema, table), []).append(tuple(column))
        found = {}
        for table, known in columns.items():
            rows = []
            select = sql.SQL("SELECT to_jsonb(kept) FROM {} AS kept").format(sql.Identifier(*table))
            for (row,) in connection.execute(select):
                for name, passes in known:
                    if passes:
                        del row[name]
                    elif name.endswith("run_no"):
                        row[name] = runs.get(row[name])
                rows.append(json.dumps(row, sort_keys=True))
            found[".".join(table)] = sorted(rows)
        return found


def without(found: dict[str, list[str]], columns: dict[str, set[str]]) -> dict[str, list[str]]:
    """What was found, less some columns of some tables."""
    left = dict(found)
    for table, names in columns.items():
        rows = [json.loads(row) for row in found[table]]
        left[table] = sorted(
            json.dumps({name: value for name, value in row.items() if name not in names}, sort_keys=True)
            for row in rows
        )
    return left


def ready_for_tasks() -> None:
    """Start the process from which the tasks' processes are forked, with Airflow and the DAG in it."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", os.pathsep.join(str(ROOT / name) for name in ("dags", "ops", "tests")))
        patched.setenv("PYTHONWARNINGS", "ignore")
        SPAWN.set_forkserver_preload(["one_task"])
        multiprocessing.forkserver.ensure_running()


@pytest.fixture(scope="module")
def own_server() -> Iterator[server.Server]:
    folder = Path(tempfile.mkdtemp(prefix="ltv-faults-"))
    made = server.create(folder)
    yield made
    made.remove()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def site(own_server: server.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server on which the first night has been published, and what the second leaves when nothing happens."""
    made, folder = own_server, tmp_path_factory.mktemp("faults")
    admin = database_url(made, "postgres", admin=True)
    with psycopg.connect(admin, autocommit=True) as connection:
        # A killed server loses nothing that the kernel has; and nothing but the test is to move its files.
        for setting in ("fsync = off", "autovacuum = off"):
            connection.execute(f"ALTER SYSTEM SET {setting}")
        connection.execute("SELECT pg_reload_conf()")
    site = Site(made, folder, folder / "deliveries")
    first_night(site.deliveries / "first")
    second_night(site.deliveries / "second")
    ready_for_tasks()
    with janitor(made, "ltv_first_night", as_template=True):
        url = database_url(made, "ltv_first_night")
        migrate.migrate(url, database_url(made, "ltv_first_night", admin=True))
        run_pipeline(url, site.deliveries / "first", FIRST_DAY, "night-1")
        with site.before("begin") as night:
            night.walk(*night.order)
            site.reference = night.kept()
        yield site


def test_the_nights_have_some_of_everything(site: Site) -> None:
    found = {table: [json.loads(row) for row in rows] for table, rows in site.reference.items()}
    aside = found["audit.rejected_rows"]
    for column, run_id in (("first_run_no", "night-1"), ("first_run_no", NIGHT), ("released_run_no", NIGHT)):
        assert [row for row in aside if row[column] == run_id], f"{column} {run_id}"
    assert {row["is_waiting"] for row in aside if row["released_run_no"] is None} == {True, False}
    assert sum(row["superseded"] for row in found["audit.loads"]) == 1
    (moved,) = [row for row in found["core.orders"] if row["order_id"] == 5]
    assert moved["customer_id"] == 299
    assert min(row["amount"] for row in found["core.payments"]) < 0
    actions = {(row["run_no"], row["action"]) for row in found["marts.customer_ltv_history"]}
    assert actions == {("night-1", "INSERT"), (NIGHT, "INSERT"), (NIGHT, "UPDATE")}
    assert {row["run_no"] for row in found["core.customers"]} == {"night-1", NIGHT}
    assert {row["state"] for row in found["audit.runs"]} == {"published"}


# The faults


class Proxy:
    """A TCP proxy before the server, which can drop what goes through it."""

    def __init__(self, port: int, *, at_commit: bool = False) -> None:
        self.port, self.at_commit = port, at_commit
        self.sockets: list[socket.socket] = []
        self.listening = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.serve, daemon=True).start()

    def url(self, url: str) -> str:
        return url.replace(f":{self.port}/", f":{self.listening.getsockname()[1]}/")

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listening.accept()
                upstream = socket.create_connection(("127.0.0.1", self.port))
                self.sockets += [client, upstream]
                committing = threading.Event()
                for pair in ((client, upstream), (upstream, client)):
                    threading.Thread(target=self.pump, args=(*pair, committing), daemon=True).start()

    def pump(self, source: socket.socket, sink: socket.socket, committing: threading.Event) -> None:
        is_reply = source.getpeername()[1] == self.port
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if self.at_commit and is_reply and committing.is_set():
                    # The server has committed, and nobody will hear of it.
                    self.drop()
                    return
                if b"Q\x00\x00\x00\x0bCOMMIT\x00" in data:
                    committing.set()
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def drop(self) -> None:
        """End every connection without a farewell."""
        for one in self.sockets:
            with suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                # A thread that reads from it would keep it open.
                one.shutdown(socket.SHUT_RD)
            one.close()

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, *error: object) -> None:
        self.listening.close()
        self.drop()


def with_setting(url: str, setting: str) -> str:
    return f"{url}?options=-c%20{setting.replace('=', '%3D')}"


def is_there(pid: int) -> bool:
    """Whether the kernel still knows the process; to pg_ctl one that nobody has taken note of seems to run."""
    return Path(f"/proc/{pid}").exists()


def at_work_in(folder: Path) -> list[int]:
    """The processes whose working directory is the folder: a server's own, whoever their parent is."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if link.readlink() == folder:
                found.append(int(link.parent.name))
    return found


def task_killed(night: Night) -> Ended:
    with night.in_the_middle() as (attempt, backend):
        attempt.process.kill()
        ended = attempt.ended()
        # The lock is still held: it is not by chance that the server process ends.
        night.wait_until_gone(backend)
    return ended


def server_killed(night: Night) -> Ended:
    if not Path("/proc/self/cwd").exists():
        pytest.skip("whether every process of a server has ended is read from /proc, which is not here")
    with night.in_the_middle() as (attempt, _):
        data = night.site.server.data.resolve()
        postmaster = int((data / "postmaster.pid").read_text().split()[0])
        assert postmaster in at_work_in(data)
        os.kill(postmaster, signal.SIGKILL)
        wait_for("the end of every process of the server", lambda: not is_there(postmaster) and not at_work_in(data))
    ended = attempt.ended()
    meanwhile = night.attempt()
    assert (meanwhile.error, meanwhile.action) == ("OperationalError", "RETRY"), "the server is still down"
    night.site.server.start()
    return ended


def backend_killed(night: Night) -> Ended:
    """As the kernel does when memory is short: the server then restarts by itself."""
    with night.in_the_middle() as (attempt, backend):
        os.kill(backend, signal.SIGKILL)
        wait_for("the end of the server process", lambda: not is_there(backend))
    ended = attempt.ended()
    wait_for("the server", night.site.is_up)
    return ended


def connection_terminated(night: Night) -> Ended:
    with night.in_the_middle() as (attempt, backend):
        execute(night.site.admin, "SELECT pg_terminate_backend(%s)", [backend])
        night.wait_until_gone(backend)
    return attempt.ended()


def connection_dropped(night: Night) -> Ended:
    with Proxy(night.site.server.port) as proxy, night.in_the_middle(proxy.url(night.url)) as (attempt, backend):
        proxy.drop()
        night.wait_until_gone(backend)
        attempt.go_on()
        return attempt.ended()


def commit_unheard(night: Night) -> Ended:
    """The connection is dropped between the server's commit and its saying so."""
    with Proxy(night.site.server.port, at_commit=True) as proxy:
        return night.attempt(url=proxy.url(night.url))


def locked_out(night: Night) -> Ended:
    with night.holding(night.holding_up()):
        return night.attempt(url=with_setting(night.url, "lock_timeout=300ms"))


def timed_out(night: Night) -> Ended:
    # A COPY has hours; what comes before it has not.
    lock = LOCK_RUNS if night.reads_a_file else night.holding_up()
    with night.holding(lock):
        return night.attempt(url=with_setting(night.url, "statement_timeout=300ms"))


def disk_filled(night: Night) -> Ended:
    # The next row needs a page of its own, whatever space there is in the others.
    execute(night.url, "ALTER TABLE audit.steps SET (fillfactor = 10)")
    filler = night.site.small_disk / "filler"
    file = os.open(filler, os.O_WRONLY | os.O_CREAT)
    try:
        with suppress(OSError):
            while True:
                os.write(file, bytes(1 << 20))
        return night.attempt()
    finally:
        os.close(file)
        filler.unlink()


def store_unavailable(night: Night) -> Ended:
    return night.attempt(trouble="is unavailable")


def store_fails(night: Night) -> Ended:
    return night.attempt(trouble="fails")


def store_closes(night: Night) -> Ended:
    return night.attempt(trouble="closes")


def store_closes_within_a_line(night: Night) -> Ended:
    return night.attempt(trouble="closes within a line")


def file_truncated(night: Night) -> Ended:
    whole = night.file.read_bytes()
    with night.in_the_middle() as (attempt, _):
        os.truncate(night.file, whole.index(b"\n", len(whole) * 3 // 4) + 1)
    ended = attempt.ended()
    night.file.write_bytes(whole)
    return ended


def file_grown(night: Night) -> Ended:
    """It was still being written when the task began to read it."""
    whole = night.file.read_bytes()
    with night.in_the_middle() as (attempt, _), night.file.open("ab") as file:
        file.write(whole.splitlines(keepends=True)[-1])
    ended = attempt.ended()
    night.file.write_bytes(whole)
    return ended


def file_replaced(night: Night) -> Ended:
    whole = night.file.read_bytes()
    with night.in_the_middle() as (attempt, _):
        other = night.file.with_suffix(".new")
        other.write_bytes(b"".join(whole.splitlines(keepends=True)[:-50]))
        other.rename(night.file)
    ended = attempt.ended()
    night.file.write_bytes(whole)
    return ended


# What is heard of it depends on who notices first; every one of them is an OperationalError.
LOST = ("OperationalError", "AdminShutdown", "CrashShutdown", "ConnectionFailure")
CHANGED = ("FileChangedError",)
# What the task says; nothing where it has been killed.
FAULTS: dict[Callable[[Night], Ended], tuple[str, ...]] = {
    task_killed: (),
    server_killed: LOST,
    backend_killed: LOST,
    connection_terminated: ("AdminShutdown",),
    connection_dropped: LOST,
    commit_unheard: LOST,
    locked_out: ("LockNotAvailable",),
    timed_out: ("QueryCanceled",),
    disk_filled: ("DiskFull",),
}
FILE_FAULTS: dict[Callable[[Night], Ended], tuple[str, ...]] = {
    store_unavailable: ("OSError",),
    store_fails: ("OSError",),
    store_closes: CHANGED,
    store_closes_within_a_line: CHANGED,
    file_truncated: CHANGED,
    file_grown: CHANGED,
    file_replaced: CHANGED,
}
CRASHES = (server_killed, backend_killed)
# Who repeats a step finds its work done, and what waited merged: it writes, and judges, fewer rows.
REPEATED = {
    "audit.steps": {"rows_written"},
    "audit.check_results": {"checked_rows", "bad_rows", "observed_share", "said", "example"},
}


def each(task_ids: list[str], faults: list | None = None) -> list:
    """Each task, or each fault and task; the quick ones are those of one task of each kind."""
    return [
        pytest.param(
            *[task_id, *([fault] if fault else [])],
            id="-".join([*([fault.__name__] if fault else []), task_id]),
            marks=[] if task_id in KINDS else [pytest.mark.faults],
        )
        for fault in faults or [None]
        for task_id in task_ids
    ]


@pytest.fixture
def tablespace(site: Site, request: pytest.FixtureRequest) -> Iterator[str]:
    """Where the warehouse lies: for a disk that fills up, a small one of its own."""
    if request.getfixturevalue("fault") is not disk_filled:
        yield "pg_default"
        return
    disk = site.small_disk
    disk.mkdir()
    size = f"size=64m,mode=0700,uid={server.NOBODY},gid={server.NOBODY}"
    mount = [MOUNT, "-t", "tmpfs", "-o", size, "tmpfs", disk]
    done = run_program(mount, capture_output=True, text=True, check=False)
    try:
        if done.returncode:
            pytest.skip(f"a disk that fills up needs the right to mount one: {done.stderr.strip()}")
        execute_alone(site.admin, f"CREATE TABLESPACE small LOCATION '{disk}'")
        yield "small"
        execute_alone(site.admin, "DROP TABLESPACE small")
    finally:
        if not done.returncode:
            run_program([MOUNT.with_name("umount"), disk], check=True)
        disk.rmdir()


def execute_alone(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def clear_from_begin(night: Night) -> None:
    """Retry the task after a crash of the server; since no retry brings its tables back, begin the run again."""
    again = night.attempt()
    if night.reads_a_file:
        assert again == Ended(0), "it reads nothing of what the crash has emptied"
        rest = night.order[night.order.index(night.task_id) + 1 :]
        night.walk(*(task for task in rest if task in SOURCES))
        night.task_id = next(task for task in rest if task not in SOURCES)
        again = night.attempt()
    assert RESTARTED in again.sentence
    assert again.action == "FAIL", "no retry brings the tables back"
    assert fetch(night.url, "SELECT state FROM audit.runs WHERE dag_run_id = %s", [NIGHT]) == [("failed",)]
    night.walk(*night.order)


@pytest.mark.parametrize(("task_id", "fault"), [*each(TASKS, [*FAULTS]), *each(SOURCES, [*FILE_FAULTS])])
def test_a_fault_leaves_no_trace(task_id: str, fault: Callable[[Night], Ended], tablespace: str, site: Site) -> None:
    with site.before(task_id, tablespace) as night:
        before = night.kept()
        ended = fault(night)
        wait_for("the end of the server processes", lambda: not night.backends())
        if fault is task_killed:
            assert ended == Ended(-signal.SIGKILL)
        elif fault is disk_filled and task_id in ("begin", "end"):
            assert ended == Ended(0), "one row, in a page that is there: nothing to be had from the disk"
        else:
            assert ended.error in (FAULTS | FILE_FAULTS)[fault], ended
            assert ended.action == "RETRY", ended
        has_committed = fault is commit_unheard or ended == Ended(0)
        assert (night.kept() != before) == has_committed, "a try leaves all of its work, or nothing"

        differs = {}
        if fault in CRASHES and night.built_something:
            clear_from_begin(night)
            differs = REPEATED
        else:
            assert night.attempt() == Ended(0)
            if fault is commit_unheard:
                differs = {"audit.steps": {"rows_written"}}
            night.walk(*night.order[night.order.index(task_id) + 1 :])
        assert without(night.kept(), differs) == without(site.reference, differs)


# What must not be run


@pytest.mark.parametrize("task_id", each(TASKS))
def test_a_task_of_an_old_run_is_refused(task_id: str, site: Site) -> None:
    with site.before(task_id) as night:
        before = night.kept()
        ended = night.attempt(run_id="night-1", as_of=FIRST_DAY)
        if task_id == "begin":
            assert ended.sentence == "run night-1 is published: it cannot begin again. Start a new run."
        else:
            assert ended.sentence == f"run night-1 is not open. {CLEAR}"
        assert ended.action == "FAIL"
        assert night.kept() == before
        night.walk(*night.order[night.order.index(task_id) :])
        assert night.kept() == site.reference


@pytest.mark.parametrize("task_id", each(TASKS))
def test_a_second_run_waits_for_the_task_of_the_first_and_shuts_it_out(task_id: str, site: Site) -> None:
    with site.before(task_id) as night:
        with night.in_the_middle() as (first, backend):
            second = night.start(task_id="begin", run_id="the second")
            wait_for("the second run", lambda: night.backends(f"{backend} = ANY (pg_blocking_pids(pid))"))
        assert first.ended() == Ended(0)
        assert second.ended() == Ended(0)
        for task in night.order[night.order.index(task_id) + 1 :][:1]:
            refused = night.attempt(task_id=task)
            assert (refused.sentence, refused.action) == (f"run {NIGHT} is not open. {CLEAR}", "FAIL")
        night.run_id = "the second"
        night.walk(*night.order[1:])
        tables = {table: {"run_no"} for table in site.reference if not table.startswith("audit.")}
        found, expected = without(night.kept(), tables), without(site.reference, tables)
        assert {table: found[table] for table in tables} == {table: expected[table] for table in tables}
        assert fetch(night.url, "SELECT dag_run_id, state FROM audit.runs ORDER BY run_no") == [
            ("night-1", "published"),
            (NIGHT, "published" if task_id == "end" else "abandoned"),
            ("the second", "published"),
        ]
