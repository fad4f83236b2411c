"""OpenLineage: what a whole run tells, into a file, of the tables that its tasks read and write."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import server
from conftest import ROOT
from object_stores import PROGRAMS
from support import airflow_settings, new_airflow_home, warehouse_of

RUN = """
from customer_ltv import dag
print(dag.test(run_conf={"as_of": "2026-01-31"}).state)
"""


@pytest.fixture(scope="module")
def told(cluster: server.Server, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The file of events that a run has written, where the provider is installed."""
    if not PROGRAMS.exists():
        pytest.skip("OpenLineage's provider is not installed: make test, without K, brings it")
    home, file = new_airflow_home(tmp_path_factory), tmp_path_factory.mktemp("events") / "events.jsonl"
    with warehouse_of(cluster, template, "ltv_lineage") as url:
        settings = {
            "PYTHONPATH": str(ROOT / "dags"),
            "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps({"type": "file", "log_file_path": str(file), "append": True}),
            # All tasks run in this one process: each would tell the statements of those before it once more.
            "AIRFLOW__OPENLINEAGE__EMISSION_POLICY": '[{"scope": {}, "controls": {"hook_lineage": false}}]',
        }
        done = subprocess.run(
            [PROGRAMS / "python", "-c", RUN],
            env=airflow_settings(home, url) | settings,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "success" in done.stdout.splitlines(), done.stderr[-3000:]
        text = file.read_text()
        assert re.search(r":([^:@]+)@", url)[1] not in text
        yield text


@pytest.fixture(scope="module")
def tables(told: str) -> dict[str, tuple[set[str], set[str]]]:
    """By task: the tables that it has read and written, as the events of its end say."""
    found = {}
    for event in map(json.loads, told.splitlines()):
        if event["eventType"] == "COMPLETE":
            names = [
                {table["name"].removeprefix("ltv_lineage.") for table in event[way]} for way in ("inputs", "outputs")
            ]
            found[event["job"]["name"].removeprefix("customer_ltv.")] = tuple(names)
    return found


def test_the_publish_is_told(tables: dict[str, tuple[set[str], set[str]]]) -> None:
    read, written = tables["marts.customer_ltv"]
    assert "intermediate.customer_ltv" in read
    assert written == {"marts.customer_ltv", "marts.customer_ltv_history", "marts.freshness"}


def test_every_table_leads_back_to_the_files(tables: dict[str, tuple[set[str], set[str]]]) -> None:
    seen, new = set(), {"marts.customer_ltv"}
    while new:
        seen |= new
        # A table is a task.
        new = {table for name in new if name in tables for table in tables[name][0]} - seen
    assert {f"raw.{path.stem}" for path in Path(ROOT / "data").glob("*.csv")} <= seen
    for layer in ("staging", "core", "intermediate", "marts"):
        for path in (ROOT / "sql" / layer).glob("*.sql"):
            if "__" not in path.stem:
                assert f"{layer}.{path.stem}" in tables[f"{layer}.{path.stem}"][1]


def test_a_check_tells_what_it_has_looked_at(tables: dict[str, tuple[set[str], set[str]]]) -> None:
    assert tables["staging.orders__price_not_negative"] == ({"staging.orders"}, set())


def test_no_person_is_told(told: str) -> None:
    assert len(told) > 10_000
    assert "@example" not in told
