"""Airflow's connection `warehouse`, and DATABASE_URL with it, from a secrets backend, and from nowhere else."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import server
from conftest import ROOT
from object_stores import PROGRAMS
from support import airflow_settings, fetch, new_airflow_home, warehouse_of

PAGE = (ROOT / "docs" / "deployment.md").read_text()
AS_URL = re.search(r"^DATABASE_URL=\"\$\(python -c '(.*)'\)\" make migrate$", PAGE, re.MULTILINE)[1]
# The class, and what it is given.
BACKENDS = re.findall(r"^\| .* \| `(airflow\.\S+)` \| `(\{.*\})` \|$", PAGE, re.MULTILINE)
TAKES = """
import importlib, inspect, json, sys
module, _, name = sys.argv[1].rpartition(".")
inspect.signature(getattr(importlib.import_module(module), name)).bind(**json.loads(sys.argv[2]))
"""
RUN = """
from customer_ltv import dag
print(dag.test(run_conf={"as_of": "2026-01-31"}).state)
"""


@pytest.fixture
def backend(cluster: server.Server, template: str, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A warehouse, and the environment of an Airflow that finds it in a file alone."""
    home, file = new_airflow_home(tmp_path_factory), tmp_path_factory.mktemp("secrets") / "connections.json"
    file.touch(0o600)
    with warehouse_of(cluster, template, "ltv_secret") as url:
        file.write_text(json.dumps({"warehouse": url}))
        (name, _), *_ = BACKENDS
        settings = airflow_settings(home, "") | {
            "PYTHONPATH": str(ROOT / "dags"),
            "AIRFLOW__SECRETS__BACKEND": name,
            "AIRFLOW__SECRETS__BACKEND_KWARGS": json.dumps({"connections_file_path": str(file)}),
        }
        del settings["AIRFLOW_CONN_WAREHOUSE"]
        yield SimpleNamespace(url=url, settings=settings, file=file)


def run(code: str, settings: dict[str, str]) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], env=settings, capture_output=True, text=True, check=False)


def test_a_whole_run_publishes(backend: SimpleNamespace) -> None:
    done = run(RUN, backend.settings)
    assert done.stdout.splitlines()[-1:] == ["success"], done.stderr[-3000:]
    assert fetch(backend.url, "SELECT as_of::text, state FROM audit.runs") == [("2026-01-31", "published")]
    assert re.search(r":([^:@]+)@", backend.url)[1] not in done.stdout + done.stderr


def test_the_warehouse_is_migrated_by_it(backend: SimpleNamespace) -> None:
    found = run(AS_URL, backend.settings)
    assert found.returncode == 0, found.stderr[-3000:]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    done = subprocess.run(
        [sys.executable, ROOT / "ops" / "migrate.py"],
        env=environment | {"DATABASE_URL": found.stdout.strip()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "The warehouse is at the version of sql/.\n"), done.stderr
    assert fetch(backend.url, "SELECT count(*) FROM audit.deployments") == [(2,)]


def test_without_it_there_is_no_warehouse(backend: SimpleNamespace) -> None:
    backend.file.write_text("{}")
    done = run(AS_URL, backend.settings)
    assert done.returncode == 1
    assert "warehouse" in done.stderr.splitlines()[-1]


def test_the_page_names_the_laptops_and_four_others() -> None:
    assert len(BACKENDS) == 5


@pytest.mark.parametrize(("name", "given"), [backend for backend in BACKENDS if "hashicorp" not in backend[0]])
def test_a_backend_takes_what_the_page_gives_it(name: str, given: str) -> None:
    python = Path(sys.executable)
    if ".providers." in name:
        if not PROGRAMS.exists():
            pytest.skip("the clouds' providers are not installed: make test, without K, brings them")
        python = PROGRAMS / "python"
    subprocess.run([python, "-c", TAKES, name, given], check=True)
