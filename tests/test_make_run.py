"""`make run` as a person runs it: what it prints, what it publishes, and its exit code."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import run
from conftest import ROOT
from object_stores import PROGRAMS, s3
from pipeline import begin
from rich.console import Console
from support import execute, fetch


def make_run(url: str, **variables: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DATABASE_URL": url} | {name: str(value) for name, value in variables.items()}
    return subprocess.run(
        [shutil.which("make") or "make", "-s", "run"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
    )


def test_it_shows_each_task_and_what_was_published(warehouse: str) -> None:
    done = make_run(warehouse, AS_OF="2026-01-31")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith("raw.order_data  ") and line.endswith("3,000 rows") for line in lines)
    assert any(line.startswith("marts.customer_ltv__equals_candidate") and line.endswith("passed") for line in lines)
    assert "order_data.csv       3,000   2,995         3          0        2" in done.stdout
    assert "Published: marts.customer_ltv as of 2026-01-31" in done.stdout
    assert sum(line.startswith("  make ") or "| make" in line for line in lines) == 4
    assert "[info" not in done.stdout
    ((highest,),) = fetch(warehouse, "SELECT max(ltv)::text FROM marts.customer_ltv")
    assert any(line.strip().startswith("223 ") and line.strip().endswith(highest) for line in lines)


def test_a_failing_check_is_shown_with_its_file_and_ends_in_an_error(warehouse: str, tmp_path: Path) -> None:
    for name in ("customer_data.csv", "order_data.csv", "payment_data.csv"):
        (tmp_path / name).write_bytes((ROOT / "data" / name).read_bytes())
    orders = (tmp_path / "order_data.csv").read_text().splitlines(keepends=True)
    (tmp_path / "order_data.csv").write_text(
        "".join([orders[0], *(line.replace(",20", ",30", 1) for line in orders[1:])])
    )
    done = make_run(warehouse, DATA=tmp_path, AS_OF="2026-01-31")
    assert done.returncode != 0
    assert "\nstaging." in done.stdout
    assert " failed: " in done.stdout
    # Which of the checks comes first is left to the scheduler.
    assert "It ran sql/staging/" in done.stdout
    assert "Not published: see above. What to do: README, When a check fails." in done.stdout
    # What became of every record is wanted all the more.
    _, _, summary = done.stdout.partition("\nRecords per file ")
    assert "order_data.csv       3,000 " in summary
    _, _, checks = summary.partition("\nChecks ")
    assert " failed " in checks
    assert "The ten highest ltv" not in summary
    assert fetch(warehouse, "SELECT count(*) FROM marts.customer_ltv") == [(0,)]
    assert fetch(warehouse, "SELECT state, reason IS NOT NULL FROM audit.runs") == [("failed", True)]


def test_it_reads_from_an_object_store(warehouse: str, tmp_path: Path) -> None:
    with s3(tmp_path) as store:
        store.put("2026-01-31", **{path.stem: path.read_bytes() for path in (ROOT / "data").glob("*.csv")})

        def run_here(program: str, folder: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [PROGRAMS / "python", program],
                cwd=ROOT,
                env={
                    **os.environ,
                    "AIRFLOW_CONN_AWS_DEFAULT": store.worker.environment["AIRFLOW_CONN_AWS_DEFAULT"],
                    "DATABASE_URL": warehouse,
                    "DATA": f"s3://aws_default@deliveries/{folder}/",
                    "AS_OF": "2026-01-31",
                },
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=900,
                check=False,
            )

        done = run_here("ops/run.py", "{as_of}")
        assert done.returncode == 0, done.stdout + done.stderr
        looked = run_here("ops/doctor.py", "2026-01-31")
        assert (looked.returncode, looked.stderr) == (0, "")
        assert "ok    order_data     s3://aws_default@deliveries/2026-01-31/order_data.csv, of 20" in looked.stdout
        assert "order_data.csv       3,000   2,995         3          0        2" in done.stdout
        assert "Published: marts.customer_ltv as of 2026-01-31" in done.stdout
        said = done.stdout + done.stderr + run.LOG.read_text(encoding="utf-8")
        assert not [secret for secret in store.secrets if secret in said]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("output", ["/dev/full", "a reader that has gone", "closed"])
def test_what_cannot_be_printed_does_not_end_a_run(output: str, warehouse: str) -> None:
    command = [sys.executable, "ops/run.py"]
    read, write = os.pipe()
    os.close(read)
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123 - no file
        done = subprocess.run(
            ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *command] if output == "closed" else command,
            cwd=ROOT,
            # An encoding that has no word for some of what is printed.
            env={**os.environ, "DATABASE_URL": warehouse, "AS_OF": "2026-01-31", "PYTHONIOENCODING": "ascii"},
            stdin=subprocess.DEVNULL,
            stdout=full if output == "/dev/full" else write,
            stderr=subprocess.PIPE,
            text=True,
            timeout=900,
            check=False,
        )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")
    assert fetch(warehouse, "SELECT state FROM audit.runs") == [("published",)]
    assert "Published: marts.customer_ltv as of 2026-01-31" in run.LOG.read_text(encoding="utf-8")


def test_an_airflow_that_the_environment_knows_is_left_alone(warehouse: str, tmp_path: Path) -> None:
    (tmp_path / "airflow.cfg").write_text(f"[database]\nsql_alchemy_conn = sqlite:///{tmp_path}/configured.db\n")
    done = make_run(
        warehouse,
        AS_OF="2026-01-31",
        AIRFLOW_CONFIG=tmp_path / "airflow.cfg",
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{tmp_path}/theirs.db",
        AIRFLOW__SECRETS__BACKEND="their.Vault",
        AIRFLOW__CORE__EXECUTOR="their.Executor",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["airflow.cfg"]


def test_a_long_example_is_cut_and_nothing_else_is(warehouse: str) -> None:
    begin(warehouse, "2026-01-31", "night")
    execute(
        warehouse,
        """SELECT audit.enter_run('night'), audit.verdict(
            'intermediate.customer_ltv__total_near_the_published', 12345678, 123456789,
            example => repeat('one [b]row ', 99)
        )""",
    )
    console = Console(file=io.StringIO(), width=130)
    with psycopg.connect(warehouse) as connection:
        run.show(console, connection, "night")
    (line,) = [line for line in console.file.getvalue().splitlines() if line.startswith("intermediate.")]
    assert line.split()[:4] == [
        *("intermediate.customer_ltv__total_near_the_published", "failed", "12345678", "123456789")
    ]
    assert line.endswith("…")
    assert "one [b]row" in line


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"AS_OF": "banana"}, "AS_OF=banana is no day: write it YYYY-MM-DD"),
        ({"AS_OF": "2026-02-30"}, "AS_OF=2026-02-30 is no day"),
        ({"DATA": "/caf\udce9"}, "DATA='/caf\\udce9' is no UTF-8"),
        ({"DATABASE_URL": "postgresql://a:S3cr%t@127.0.0.1/x"}, "DATABASE_URL is no postgresql://"),
        ({"DATABASE_URL": "postgresql://a:S3cr@127.0.0.1:1/x"}, "The warehouse cannot be used: "),
    ],
)
def test_what_cannot_run_is_said_in_a_sentence(variables: dict[str, str], said: str, warehouse: str) -> None:
    done = make_run(warehouse, **variables)
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert "S3cr" not in done.stderr + done.stdout


def test_it_tells_openlineage_what_it_is_told_to(warehouse: str, tmp_path: Path) -> None:
    """Its Airflow is its own, and this is what may be said to it all the same."""
    if not PROGRAMS.exists():
        pytest.skip("OpenLineage's provider is not installed: make test, without K, brings it")
    file = tmp_path / "events.jsonl"
    transport = json.dumps({"type": "file", "log_file_path": str(file), "append": True})
    done = subprocess.run(
        [PROGRAMS / "python", ROOT / "ops" / "run.py"],
        env=os.environ
        | {"DATABASE_URL": warehouse, "AS_OF": "2026-01-31", "AIRFLOW__OPENLINEAGE__TRANSPORT": transport},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    told = [json.loads(line) for line in file.read_text().splitlines()]
    assert "customer_ltv.marts.customer_ltv" in {event["job"]["name"] for event in told}
