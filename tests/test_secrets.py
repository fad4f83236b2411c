"""A password goes to the server and nowhere else; TLS carries it to no other server than the one that was meant."""

import json
import os
import re
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import migrate
import psycopg
import pytest
import server
from conftest import ROOT, database_url
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pipeline import begin, run_pipeline, run_task, tasks
from support import (
    airflow_settings,
    command_lines,
    customer,
    deliver,
    distributed,
    fetch,
    free_port,
    new_airflow_home,
    rows_of,
    warehouse_of,
)

AS_OF = "2026-01-31"
# Whatever the signs around it are turned into on their way, this part of a password stays as it is.
KNOWN, WRONG = secrets.token_hex(12), secrets.token_hex(12)
PASSWORD = "{} @:/?#%'\"é"

RUN_EACH = """
import json, os, sys
from unittest.mock import patch
from customer_ltv import dag
for task in dag.tasks:
    task.retries = 0
for url in json.loads(os.environ.pop("WAREHOUSES")):
    os.environ["AIRFLOW_CONN_WAREHOUSE"] = url
    # dag.test() sleeps a second for every step by which a failure passes on
    with patch("time.sleep"):
        print("ended as", dag.test(run_conf={"as_of": sys.argv[1], "ltv_source": "/nowhere"}).state)
"""


# Where a password may show


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """All that the commands, a good run and failed ones say and leave behind, by the place where it lies."""
    folder = Path(tempfile.mkdtemp(prefix="ltv-secrets-"))
    made = server.create(folder)
    home = new_airflow_home(tmp_path_factory)
    try:
        with psycopg.connect(made.admin_url, autocommit=True) as admin:
            admin.execute("ALTER SYSTEM SET log_statement = 'all'")
            admin.execute("SELECT pg_reload_conf()")

        def url(token: str, port: int = made.port) -> str:
            password = quote(PASSWORD.format(token), safe="")
            return f"postgresql://ltv_pipeline:{password}@127.0.0.1:{port}/warehouse"

        refused = [url(WRONG), url(KNOWN, free_port())]
        no_url = url(KNOWN).replace("%40%3A%2F%3F", "@:/?")
        found = {"output": "", "processes": ""}

        def watch(*command: str, until: str = "", held: psycopg.Connection | None = None, **environment: str) -> None:
            """Run a command; what it waits for, its input or what somebody holds, it gets when a process was seen."""
            with (
                tempfile.TemporaryFile("w+") as output,
                subprocess.Popen(
                    [sys.executable, *command],
                    cwd=ROOT,
                    env=airflow_settings(home, "") | {"PYTHONPATH": str(ROOT / "dags")} | environment,
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                ) as process,
            ):
                lines: set[str] = set()
                while process.poll() is None:
                    own = command_lines(process.pid).values()
                    lines.update(command_lines().values())
                    if any(until in line for line in own):
                        process.stdin.close()
                        if held:
                            held.rollback()
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(0.05)
                output.seek(0)
                found["output"] += output.read()
                found["processes"] += "\n".join(lines)

        watch("ops/migrate.py", DATABASE_URL=url(KNOWN), ADMIN_DATABASE_URL=made.admin_url)
        # dbmate and psql have to last until they are seen.
        with psycopg.connect(made.admin_url) as held:
            held.execute("LOCK TABLE audit.schema_migrations")
            asked = {"DATABASE_URL": url(KNOWN), "ADMIN_DATABASE_URL": made.admin_url}
            watch("ops/migrate.py", until="dbmate", held=held, **asked)
        watch("ops/psql.py", until="psql --set=ON_ERROR_STOP=1", DATABASE_URL=url(KNOWN))
        for bad in [*refused, no_url]:
            watch("ops/migrate.py", DATABASE_URL=bad)
            watch("ops/psql.py", DATABASE_URL=bad)
        watch("-c", RUN_EACH, AS_OF, WAREHOUSES=json.dumps([url(KNOWN), *refused]))

        found["server log"] = (Path(made.folder) / "server.log").read_text()
        found["airflow files"] = "\n".join(
            path.read_text(errors="replace") for path in home.rglob("*") if path.is_file() and path.suffix != ".db"
        )
        with sqlite3.connect(home / "airflow.db") as metadata:
            found["rendered fields"] = str(metadata.execute("SELECT * FROM rendered_task_instance_fields").fetchall())
        found["metadata"] = b"".join(path.read_bytes() for path in home.glob("airflow.db*")).decode(errors="replace")
        found["warehouse"] = str(rows_of(url(KNOWN), "audit", "raw", "staging", "core", "intermediate", "marts"))
        yield found
    finally:
        made.remove()
        shutil.rmtree(folder)


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="there is no /proc here")
@pytest.mark.parametrize(
    ("place", "marks"),
    [
        (
            "output",
            [
                "The warehouse is at the version of sql/.",
                'make migrate: connection failed: connection to server at "127.0.0.1"',
                'psql: error: connection to server at "127.0.0.1"',
                "DATABASE_URL is no postgresql://user:password@host:port/database",
                'password authentication failed for user "ltv_pipeline"',
                "Connection refused",
                "order_data.csv: 3000 records in ",
                "ended as success",
                "ended as failed",
            ],
        ),
        ("processes", ["dbmate", "ops/migrate.py", "psql --set=ON_ERROR_STOP=1", AS_OF]),
        ("server log", ["SELECT audit.begin_run(", "ALTER ROLE", 'password authentication failed for user "ltv_pipel']),
        ("airflow files", ["simple_auth_manager"]),
        ("rendered fields", ["audit.begin_run"]),
        ("metadata", ["audit.begin_run", "customer_ltv"]),
        ("warehouse", ["published", "order_data.csv"]),
    ],
)
def test_no_password_is_in(place: str, marks: list[str], traces: dict[str, str]) -> None:
    assert [mark for mark in marks if mark not in traces[place]] == [], "this test would not see it"
    for token in (KNOWN, WRONG):
        assert token not in traces[place]


@pytest.mark.parametrize(
    ("statement", "logged"),
    [
        ("SELECT 1 / 0 AS failed, 'zebulon@example.com' AS email", "division by zero"),
        ("INSERT INTO people VALUES ('zebulon@example.com'), ('zebulon@example.com')", 'constraint "people_pkey"'),
        ("COPY people FROM STDIN (FORMAT csv)", "extra data after last expected column"),
    ],
    ids=["statement", "detail", "context"],
)
def test_the_servers_log_quotes_no_statement_and_no_row(
    statement: str, logged: str, cluster: server.Server, warehouse: str
) -> None:
    log = Path(cluster.folder) / "server.log"
    before = log.stat().st_size

    def fail(cursor: psycopg.Cursor) -> None:
        if statement.startswith("COPY"):
            with cursor.copy(statement) as copy:
                copy.write("zebulon@example.com,1\n")
        else:
            cursor.execute(statement)

    with psycopg.connect(warehouse) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE people (email text PRIMARY KEY)")
        with pytest.raises(psycopg.DatabaseError, match=logged):
            fail(cursor)
        connection.rollback()
    said = log.read_bytes()[before:].decode()
    assert logged in said, "this test would not see it"
    assert "zebulon" not in said


LITERAL = re.compile(
    r"""
    \w+://[^\s:/@{}$<>'"]+:[^\s:/@{}$<>'"…%]{3,}@                        # a login in a URL
    | (?i:password|passwd|secret|token|api_?key)\w*['"]?\s*[:=]\s*f?['"]?[^\s'"(){}\[\]$<>.,:%]{8,}(?![\w.(\[])
    | -----BEGIN[ ]\w*[ ]?PRIVATE[ ]KEY | AKIA[0-9A-Z]{16} | gh[pousr]_\w{30} | xox[abp]-\w
    """,
    re.VERBOSE,
)


@pytest.mark.parametrize(
    ("text", "is_secret"),
    [
        ("postgresql://ltv_pipeline:" + "hunter2@host/warehouse", True),
        ("LTV_PIPELINE_PASSWORD=" + "correcthorsebattery", True),
        ('{"api_key": "' + '0123456789abcdef"}', True),
        ("-----BEGIN " + "PRIVATE KEY-----", True),
        ("postgresql://ltv_pipeline:…@host/warehouse", False),
        ("postgresql://airflow:${AIRFLOW_DB_PASSWORD:?run make secrets first}@postgres/airflow", False),
        ("password=cluster.admin_password,", False),
    ],
)
def test_what_looks_like_a_password(text: str, is_secret: bool) -> None:
    assert bool(LITERAL.search(text)) is is_secret


@pytest.mark.parametrize("sign", ["@", "%99", "%", "/", "/?", "/@", "%zz", " ", "@:", "%00"])
@pytest.mark.parametrize("user", ["ltv_pipeline", "a@b"])
def test_a_url_with_a_bare_sign_in_its_password_is_refused_and_not_repeated(sign: str, user: str) -> None:
    with pytest.raises(SystemExit) as refused:
        migrate.in_full(f"postgresql://{user}:S3{sign}cr@127.0.0.1:5/warehouse")
    assert str(refused.value).startswith("DATABASE_URL is no postgresql://user:password@host:port/database")
    assert "cr@" not in str(refused.value)
    assert "S3" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "full"),
    [
        ("postgresql://a:S3%40cr%25@h:5/w", "postgresql://a:S3%40cr%25@h:5/w"),
        ("postgresql://a:S3:c#r?@h/w", "postgresql://a:S3%3Ac%23r%3F@h/w"),
        ("host=h port=5 user=a password='p @/%' dbname=w", "postgresql://a:p%20%40%2F%25@h:5/w"),
        ("postgresql://a@/w?host=/run", "postgresql://a@/w?host=%2Frun&port=5432"),
        ("postgresql://h1:5,h2:6/w", "postgresql:///w?host=h1%2Ch2&port=5%2C6"),
        ("postgresql://a@h1,h2/w?sslmode=require", "postgresql://a@/w?sslmode=require&host=h1%2Ch2&port=%2C"),
    ],
)
def test_a_url_that_is_one_is_taken(url: str, full: str) -> None:
    assert migrate.in_full(url) == full


# What looks like one and is none; whoever adds another has looked at it.
NO_SECRETS = {
    "PASSWORD :'password",
    "postgresql://user:password@",
    'password": "PGPASSWORD',
    "postgresql://a:S3cr@",
    # Names of secrets, not what is in them.
    "SecretKeySecretName: airflow-api-secret-key",
    "SecretName: airflow-fernet-key",
    "SecretName: airflow-jwt-secret",
    "SecretName: airflow-metadata",
    "secretKey: AIRFLOW_CONN_ALERTS_SMTP",
    "secretKey: AIRFLOW_CONN_ALERTS_WEBHOOK",
    "secretKey: api-secret-key",
    "secretKey: connection",
    "secretKey: fernet-key",
    "secretKey: jwt-secret",
    "secretKey: password",
    "secretName: warehouse",
    'password": SECRET_PATH',
    'password": password',
    # The README's and the tests' own: they open nothing but what a test has made.
    'password": "services/T0/B0/…',
    'SECRET_PATH = "services/T0/B0/a-secret-of-the-webhook',
    "postgresql://exporter:exporter@",
    "postgresql://nobody:hunter2@",
    "postgresql://somebody:somebody@",
}


def test_no_tracked_file_holds_a_password() -> None:
    tracked = subprocess.run(
        [shutil.which("git"), "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")[:-1]
    assert {"Makefile", "docker-compose.yaml", "ops/server.py"} <= set(tracked)
    assert not [name for name in tracked if name.endswith((".env", ".pem", ".key"))]
    found = {
        match[0]: name
        for name in tracked
        if (ROOT / name).is_file()
        for match in LITERAL.finditer((ROOT / name).read_text(errors="replace"))
    }
    left = [f"{name}: {match}" for match, name in found.items() if match not in NO_SECRETS]
    assert not left, "\n".join(left)


# TLS


def certificate(
    name: str, issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A certificate for a host by an issuer, or an issuer's own."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    unsigned = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    )
    return unsigned.sign(issuer[1] if issuer else key, hashes.SHA256()), key


SETTINGS = """
[databases]
* = host=127.0.0.1 port={server_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/logins
pool_mode = {mode}
log_connections = 0
log_disconnections = 0
client_tls_sslmode = require
client_tls_cert_file = {folder}/server.pem
client_tls_key_file = {folder}/server.key
"""


@pytest.fixture(scope="module", params=["transaction", "session"])
def tls(request: pytest.FixtureRequest, cluster: server.Server, template: str) -> Iterator[str]:
    """The URL of a warehouse behind a PgBouncer that takes nothing but TLS; other.pem beside its CA knows it not."""
    folder, port = Path(tempfile.mkdtemp(prefix="ltv-tls-")), free_port()
    try:
        program, environment = distributed("pgbouncer", folder)
        authority = certificate("the tests' own authority")
        known, key = certificate("localhost", authority)
        for name, made in {"ca": authority[0], "other": certificate("another authority")[0], "server": known}.items():
            (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        (folder / "server.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        (folder / "logins").write_text(f'"ltv_pipeline" "{cluster.pipeline_password}"\n')
        (folder / "pgbouncer.ini").write_text(
            SETTINGS.format(folder=folder, port=port, server_port=cluster.port, mode=request.param)
        )
        if os.geteuid() == 0:
            for path in [folder, *folder.iterdir()]:
                os.chown(path, server.NOBODY, server.NOBODY)
        with (
            warehouse_of(cluster, template, "ltv_tls"),
            subprocess.Popen(
                [program, folder / "pgbouncer.ini"],
                env=environment,
                stderr=subprocess.PIPE,
                text=True,
                **server.as_nobody(),
            ) as bouncer,
        ):
            try:
                log = ""
                while "process up" not in log:
                    line = bouncer.stderr.readline()
                    assert line, log
                    log += line
                base = database_url(cluster, "ltv_tls").replace(f"127.0.0.1:{cluster.port}", f"localhost:{port}")
                yield f"{base}?sslmode=verify-full&sslrootcert={folder}/ca.pem"
            finally:
                bouncer.terminate()
    finally:
        shutil.rmtree(folder)


def test_verify_full_carries_a_whole_run(tls: str) -> None:
    done = subprocess.run(
        [sys.executable, "ops/migrate.py"],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": tls},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    run_pipeline(tls, ROOT / "data", AS_OF, "by TLS")
    assert fetch(tls, "SELECT state FROM audit.runs WHERE dag_run_id = 'by TLS'") == [("published",)]


def test_a_logins_defaults_and_a_files_settings_act_through_a_pool(tls: str) -> None:
    with psycopg.connect(tls) as connection:
        shown = connection.execute("SHOW statement_timeout").fetchone()
        connection.execute("SET LOCAL statement_timeout = '7s'")
        set_here = connection.execute("SHOW statement_timeout").fetchone()
        connection.rollback()
        assert (shown, set_here, connection.execute("SHOW statement_timeout").fetchone()) == (
            ("10min",),
            ("7s",),
            ("10min",),
        )


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (("", ""), None),
        (("@localhost:", "@127.0.0.1:"), 'certificate for "localhost".* does not match host name "127.0.0.1"'),
        (("/ca.pem", "/other.pem"), "certificate verify failed"),
        (("/ca.pem", "/none.pem"), r"root certificate file .* does not exist"),
        (("verify-full", "disable"), "SSL required"),
    ],
    ids=["right", "another-host", "unknown-authority", "no-authority", "no-tls"],
)
def test_the_pipelines_connection_verifies_whom_it_talks_to(
    change: tuple[str, str], refusal: str | None, tls: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.providers.postgres.hooks.postgres import PostgresHook
    from in_run import CONN_ID

    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", tls.replace(*change))
    if refusal is None:
        with PostgresHook(CONN_ID).get_conn() as connection:
            assert connection.pgconn.ssl_in_use
    else:
        with pytest.raises(psycopg.OperationalError, match=refusal):
            PostgresHook(CONN_ID).get_conn()


def test_many_parts_go_through_a_pool_of_connections(tls: str, tmp_path: Path) -> None:
    """psycopg prepares what it repeats, under a name that the pool's next client would find taken."""
    for part in range(8):
        deliver(tmp_path, customer_data=[customer(part + 1)], order_data=[[part + 1, part + 1, "2025-03-01", "P", 5]])
        for source in ("customer_data", "order_data"):
            (tmp_path / f"{source}.csv").rename(tmp_path / f"{source}_{part}.csv")
    begin(tls, AS_OF, "many parts")
    for task in tasks():
        if task.task_id in ("raw.customer_data", "raw.order_data"):
            with psycopg.connect(tls) as connection:
                run_task(connection, task, tmp_path, "many parts")
    loads = "SELECT source, count(*) FROM audit.loads WHERE run_no = (SELECT max(run_no) FROM audit.runs) GROUP BY 1"
    assert sorted(fetch(tls, loads)) == [("customer_data", 8), ("order_data", 8)]
