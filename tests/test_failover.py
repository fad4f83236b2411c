"""A failover: the whole primary is killed while a run is at work, and on the other node all ends as if nothing were.

Two PostgreSQL nodes under Patroni with an etcd, each commit on both before it counts; the pipeline knows them by one
URL with two hosts. The case of the COPY runs with `make faults`.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path

import migrate
import psycopg
import pytest
import server
from conftest import ROOT
from pipeline import run_pipeline
from support import distributed, execute, fetch, free_port
from test_faults import (
    FIRST_DAY,
    LOST,
    REPEATED,
    Night,
    at_work_in,
    clear_from_begin,
    execute_alone,
    first_night,
    kept,
    ready_for_tasks,
    second_night,
    wait_for,
    without,
)

# How long a primary that no longer speaks keeps its place: no Patroni takes less.
TTL_SECONDS = 20
# What a URL of two hosts should say where a host may vanish without a word.
PATIENCE = (
    "target_session_attrs=read-write&connect_timeout=5"
    "&keepalives_idle=30&keepalives_interval=10&keepalives_count=3&tcp_user_timeout=60000"
)
WRITES = "SELECT pg_current_xact_id()"


@dataclass
class Node:
    """A PostgreSQL server and the Patroni that keeps it, in a folder of their own."""

    folder: Path
    port: int = field(default_factory=free_port)
    api_port: int = field(default_factory=free_port)
    patroni: subprocess.Popen | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def is_synchronous_standby(self) -> bool:
        """Whether Patroni would make it the primary: it has every commit."""
        with suppress(OSError), closing(HTTPConnection("127.0.0.1", self.api_port)) as api:
            api.request("GET", "/sync")
            return api.getresponse().status == HTTPStatus.OK
        return False

    @contextmanager
    def halted(self) -> Iterator[None]:
        """Its Patroni does nothing, and its server goes on, for as long as the block lasts."""
        os.kill(self.patroni.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.patroni.pid, signal.SIGCONT)

    def kill(self) -> None:
        """Kill all of it at once, as a machine that loses its power does: nobody says farewell."""
        self.end(signal.SIGKILL)

    def stop(self) -> None:
        """End all of it; unlike one that is killed, the server takes its memory's segments along."""
        self.end(signal.SIGQUIT)

    def end(self, number: signal.Signals) -> None:
        if self.patroni is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self.patroni.pid, signal.SIGKILL)
        self.patroni.wait()
        if at_work := at_work_in(self.data):
            postmaster = int((self.data / "postmaster.pid").read_text().split()[0])
            for pid in [postmaster, *(at_work if number == signal.SIGKILL else [])]:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
        wait_for("the end of every process of the node", lambda: not at_work_in(self.data))


@dataclass
class Pair:
    """Two nodes, of which one is the primary and the other has every commit of it."""

    folder: Path
    binaries: str
    nodes: list[Node]
    etcd_port: int
    passwords: dict[str, str]
    deliveries: Path
    # What the second night leaves when nothing happens.
    reference: dict[str, list[str]] = field(default_factory=dict)

    def url(self, user: str = "ltv_pipeline", name: str = "warehouse", nodes: list[Node] | None = None) -> str:
        """The URL of a database on both nodes, or on those given, wherever it can be written."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in nodes or self.nodes)
        goes_on = "" if nodes else "?target_session_attrs=read-write"
        return f"postgresql://{user}:{self.passwords[user]}@{hosts}/{name}{goes_on}"

    @property
    def admin(self) -> str:
        return self.url("postgres", "postgres")

    def settings(self, node: Node) -> dict[str, object]:
        """Patroni's, of a node."""
        logins = {"superuser": "postgres", "replication": "replicator"}
        api, listens = f"127.0.0.1:{node.api_port}", f"127.0.0.1:{node.port}"
        return {
            "scope": "warehouse",
            "name": node.folder.name,
            "restapi": {"listen": api, "connect_address": api},
            "etcd3": {"host": f"127.0.0.1:{self.etcd_port}"},
            "bootstrap": {
                "dcs": {
                    "ttl": TTL_SECONDS,
                    "loop_wait": 1,
                    # A primary whose etcd is silent for longer steps down; no more than this fits into the TTL.
                    "retry_timeout": 9,
                    "synchronous_mode": True,
                    "postgresql": {"use_pg_rewind": True},
                },
                "initdb": [
                    {"auth": "scram-sha-256"},
                    {"encoding": "UTF8"},
                    {"locale-provider": "builtin"},
                    {"builtin-locale": "C.UTF-8"},
                ],
            },
            "postgresql": {
                "listen": listens,
                "connect_address": listens,
                "bin_dir": self.binaries,
                "data_dir": str(node.data),
                "pgpass": str(node.folder / "pgpass"),
                "authentication": {
                    role: {"username": name, "password": self.passwords[name]} for role, name in logins.items()
                },
                "basebackup": [{"checkpoint": "fast"}],
                "parameters": {
                    "unix_socket_directories": str(node.folder),
                    # A standby that comes too early need not wait five seconds.
                    "wal_retrieve_retry_interval": "500ms",
                },
                "pg_hba": [f"host {which} all 127.0.0.1/32 scram-sha-256" for which in ("all", "replication")],
            },
        }

    def start(self, node: Node) -> None:
        """Start a node: with a new cluster, with a copy of the other's, or with what its last life has left."""
        file = node.folder / "patroni.yml"
        # YAML is more than JSON; there are passwords in it.
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as settings:
            json.dump(self.settings(node), settings)
        if os.geteuid() == 0:
            os.chown(file, server.NOBODY, server.NOBODY)
        node.patroni = started(self.folder / "patroni" / "bin" / "patroni", file, log=self.folder / "patroni.log")

    @property
    def standby(self) -> Node | None:
        return next((node for node in self.nodes if node.is_synchronous_standby()), None)

    def make_whole(self) -> tuple[Node, Node]:
        """Start what has been killed, and wait until it has every commit; give the primary and the standby."""
        for node in self.nodes:
            if node.patroni is None or node.patroni.poll() is not None:
                self.start(node)
        standby = wait_for("the synchronous standby", lambda: self.standby)
        # Whoever looks for the primary finds the other one first.
        self.nodes.sort(key=lambda node: node is not standby)
        return self.nodes[1], self.nodes[0]

    def make_warehouse(self, name: str, template: str = "first_night") -> str:
        """Make a database anew from a template; return its URL."""
        execute_alone(self.admin, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        execute_alone(self.admin, f"CREATE DATABASE {name} TEMPLATE {template}")
        return migrate.in_full(self.url(name=name))

    def is_writable(self) -> bool:
        with suppress(psycopg.OperationalError):
            execute(self.url(), WRITES)
            return True
        return False


def started(*command: str | Path, log: Path, **environment: str) -> subprocess.Popen:
    """A program at work as a user whom PostgreSQL accepts."""
    known = {"PATH": os.environ["PATH"], "HOME": str(log.parent), "LANG": "C.UTF-8", **environment}
    with log.open("a") as output:
        return subprocess.Popen(
            command,
            cwd="/",
            env=known,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            **server.as_nobody(),
        )


def install_patroni(folder: Path) -> None:
    """Install what requirements/failover.txt pins into an environment that the user of the servers can enter."""
    # Whoever is root may have a Python that nobody else can reach.
    python = shutil.which("python3", path="/usr/bin") or sys.executable
    uv = Path(sys.executable).with_name("uv")
    lock = ROOT / "requirements" / "failover.txt"
    pinned = ["--require-hashes", "--requirement", lock, "--build-constraints", lock]
    for command in (["venv", "--python", python, folder], ["pip", "install", "--python", folder, *pinned]):
        done = subprocess.run([uv, "--quiet", *command], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"Patroni cannot be installed here: {' '.join(done.stderr.split())[:300]}")


@pytest.fixture(scope="module")
def pair(cluster: server.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    if not Path("/proc/self/cwd").exists():
        pytest.skip("whether every process of a server has ended is read from /proc, which is not here")
    folder = Path(tempfile.mkdtemp(prefix="ltv-failover-"))
    etcd = None
    made = Pair(
        folder,
        cluster.binaries,
        [Node(folder / name) for name in ("a", "b")],
        free_port(),
        {name: secrets.token_urlsafe(24) for name in ("postgres", "replicator", "ltv_pipeline")},
        tmp_path_factory.mktemp("deliveries"),
    )
    try:
        for name in ("a", "b", "etcd"):
            (folder / name).mkdir()
        program, environment = distributed("etcd", folder / "etcd", "etcd-server")
        install_patroni(folder / "patroni")
        if os.geteuid() == 0:
            for path in (folder, *(node.folder for node in made.nodes)):
                os.chown(path, server.NOBODY, server.NOBODY)
        etcd = started(*etcd_command(program, made), log=folder / "etcd.log", **environment)
        yield made
    finally:
        for node in made.nodes:
            node.stop()
        if etcd:
            etcd.terminate()
            etcd.wait(30)
        shutil.rmtree(folder)


def etcd_command(program: str, pair: Pair) -> list[str]:
    clients, peers = f"http://127.0.0.1:{pair.etcd_port}", f"http://127.0.0.1:{free_port()}"
    return [
        program,
        f"--data-dir={pair.folder}/state",
        f"--listen-client-urls={clients}",
        f"--advertise-client-urls={clients}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=default={peers}",
    ]


# What knows the warehouse by a URL


def said_by_each(url: str, query: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The one value of a query, by each of those that connect to the warehouse."""
    from airflow.providers.postgres.hooks.postgres import PostgresHook
    from in_run import CONN_ID

    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", migrate.in_full(url))
    psql = subprocess.run(
        [sys.executable, "ops/psql.py"],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": url},
        input=query,
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "psycopg": fetch(migrate.in_full(url), query)[0][0],
        "Airflow": PostgresHook(CONN_ID).get_first(query)[0],
        "psql": psql.stdout.strip() or psql.stderr,
    }


def test_a_host_that_is_dead_is_passed_over(
    cluster: server.Server, new_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    alive = f"127.0.0.1:{cluster.port}"
    url = f"{new_database().replace(alive, f'127.0.0.1:{free_port()},{alive}')}?{PATIENCE}"
    done = subprocess.run(
        [sys.executable, "ops/migrate.py"],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    said = said_by_each(
        url, "SELECT (max(deployed_at) > now() - interval '1 hour')::text FROM audit.deployments", monkeypatch
    )
    assert said == {"psycopg": "true", "Airflow": "true", "psql": "true"}


def test_the_primary_is_found_behind_the_standby(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.make_whole()
    query = "SELECT CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE 'primary' END"
    for attributes, found in (("read-write", "primary"), ("any", "standby")):
        said = said_by_each(pair.admin.replace("read-write", attributes), query, monkeypatch)
        assert said == dict.fromkeys(("psycopg", "Airflow", "psql"), found)


# The failover


@pytest.fixture(scope="module")
def nights(pair: Pair) -> Pair:
    """The pair, on which the first night has been published, and what the second leaves when nothing happens."""
    first_night(pair.deliveries / "first")
    second_night(pair.deliveries / "second")
    ready_for_tasks()
    pair.make_whole()
    url = pair.make_warehouse("first_night", template="template1")
    migrate.migrate(url, migrate.in_full(pair.url("postgres", "first_night")))
    run_pipeline(url, pair.deliveries / "first", FIRST_DAY, "night-1")
    undisturbed = Night(pair, pair.make_warehouse("undisturbed"), "begin")
    undisturbed.walk(*undisturbed.order)
    pair.reference = undisturbed.kept()
    return pair


@pytest.mark.parametrize("task_id", [pytest.param("raw.order_data", marks=pytest.mark.faults), "marts.customer_ltv"])
def test_a_run_outlives_the_primary(task_id: str, nights: Pair) -> None:
    """Killed in the middle of a COPY, or of the publish."""
    pair, (primary, standby) = nights, nights.make_whole()
    url = pair.make_warehouse("warehouse")
    night = Night(pair, url, task_id)
    try:
        night.walk(*night.order[: night.order.index(task_id)])
        committed = night.kept()
        refused = night.attempt(url=pair.url(nodes=[standby]))
        assert (refused.error, refused.action) == ("ReadOnlySqlTransaction", "RETRY"), "it may be the primary by then"
        with night.in_the_middle() as (attempt, _):
            wait_for("the synchronous standby", standby.is_synchronous_standby)
            began = time.monotonic()
            primary.kill()
        # However slow this machine is: nobody takes over before it has been seen that nothing can be written.
        with standby.halted():
            ended = attempt.ended()
            assert ended.error in LOST, ended
            assert ended.action == "RETRY", ended
            meanwhile = night.attempt()
            assert (meanwhile.error, meanwhile.action) == ("OperationalError", "RETRY"), "nothing can be written yet"

        wait_for("the new primary", pair.is_writable)
        print(f"seconds to a primary that takes writes: {time.monotonic() - began:.1f}")
        assert night.kept() == committed, "what was committed is there, and nothing of what was not"
        clear_from_begin(night)
        print(f"seconds to the published run: {time.monotonic() - began:.1f}")
        found = night.kept()
        assert without(found, REPEATED) == without(pair.reference, REPEATED)
    finally:
        for process in night.started:
            process.kill()

    assert pair.make_whole() == (standby, primary), "the old primary comes back as the standby"
    execute(url, WRITES)
    wait_for("the same rows on both", lambda: kept(pair.url(nodes=[primary])) == found)
