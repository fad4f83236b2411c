"""What a monitor sees, and whom it wakes: metrics, postgres-exporter, Prometheus' rules, and all of it at once."""

import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import migrate
import psycopg
import pytest
import server
from conftest import ROOT, database_url
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from pipeline import begin, run_pipeline
from receivers import listening
from support import (
    AIRFLOW,
    airflow_settings,
    distributed,
    execute,
    fetch,
    free_port,
    new_airflow_home,
    warehouse_of,
)

MONITORING = ROOT / "deploy" / "monitoring"
AS_OF = "2026-01-31"
Program = tuple[str, dict[str, str]]
METRICS = "SELECT metric, subject, value FROM audit.warehouse_metrics ORDER BY 1, 2"
EXPORTER_LOGIN = "CREATE ROLE exporter LOGIN PASSWORD 'exporter' IN ROLE ltv_monitor, pg_monitor"
DEFAULT_TEMPLATES = Path("/usr/share/prometheus/alertmanager")
# Debian's Alertmanager reads its templates from where it would be installed: unpacked, it sees them there, alone.
WITH_TEMPLATES = 'mount -t overlay -o "lowerdir=$0:/usr/share" overlay /usr/share && exec "$@"'


@pytest.fixture(scope="module")
def published(cluster: server.Server, template: str) -> Iterator[str]:
    """The URL of a warehouse that has published the sample. Tests leave it as it is."""
    with warehouse_of(cluster, template, "ltv_monitored") as url:
        run_pipeline(url, ROOT / "data", AS_OF, "sample")
        yield url


@pytest.fixture
def exporter_url(cluster: server.Server, published: str) -> Iterator[str]:
    """The URL of a login that is a monitor and nothing else."""
    admin = database_url(cluster, "postgres", admin=True)
    database = published.rsplit("/", 1)[1]
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(EXPORTER_LOGIN)
        yield f"postgresql://exporter:exporter@127.0.0.1:{cluster.port}/{database}?sslmode=disable"
        connection.execute("DROP ROLE exporter")


def metrics(url: str) -> dict[tuple[str, str], float]:
    return {(metric, subject): value for metric, subject, value in fetch(url, METRICS)}


def test_an_empty_warehouse_has_no_age(warehouse: str) -> None:
    entities = ("customer_data", "order_data", "payment_data")
    assert metrics(warehouse) == {("rows_waiting", source): 0 for source in entities}


def test_a_run_is_measured(published: str) -> None:
    seen = metrics(published)
    files = {
        (kind, source.removesuffix("_data")): seen[f"file_{kind}", source]
        for kind in ("records", "loaded", "good", "superseded", "rejected", "waiting", "forgotten")
        for source in ("customer_data", "order_data", "payment_data")
    }
    assert [files[kind, "order"] for kind in ("records", "good", "rejected", "waiting", "superseded")] == [
        *(3000, 2995, 3, 2, 0),
    ]
    assert [files["superseded", source] for source in ("customer", "payment")] == [2, 0]
    assert [files["forgotten", source] for source in ("customer", "order", "payment")] == [0, 0, 0]
    assert [seen["rows_waiting", source] for source in ("customer_data", "order_data", "payment_data")] == [0, 2, 1]
    checks = dict(fetch(published, "SELECT verdict, count(*) FROM audit.check_results GROUP BY verdict"))
    assert {verdict: seen["checks", verdict] for verdict in ("passed", "warned", "failed", "overridden")} == {
        **dict.fromkeys(("warned", "failed", "overridden"), 0),
        **checks,
    }
    assert seen["step_rows", "marts.customer_ltv"] == 500
    assert seen["step_seconds", "marts.customer_ltv"] > 0
    assert 0 < seen["run_seconds", "published"] < 3600
    known = fetch(published, "SELECT extract(EPOCH FROM now() - '2026-02-01 00:00+02'::timestamptz)")[0][0]
    assert seen["data_age_seconds", ""] == pytest.approx(float(known), abs=60)


def test_while_a_run_is_open_the_verdicts_are_those_of_the_last(warehouse: str) -> None:
    run_pipeline(warehouse, ROOT / "data", AS_OF, "first")
    before = metrics(warehouse)
    begin(warehouse, AS_OF, "second")
    now = metrics(warehouse)
    assert {key for key in now if key[0] == "run_seconds"} == {("run_seconds", "open")}
    moving = ("run_seconds", "data_age_seconds")
    assert {key: value for key, value in now.items() if key[0] not in moving} == {
        key: value for key, value in before.items() if key[0] not in moving
    }
    execute(warehouse, "SELECT audit.fail_run('second', 'begin', 'no more')")
    assert {key for key in metrics(warehouse) if key[0] == "run_seconds"} == {("run_seconds", "failed")}


@pytest.mark.parametrize("table", ["audit.runs", "audit.rejected_rows", "core.customers", "marts.customer_ltv"])
def test_a_monitor_reads_the_metrics_and_nothing_else(table: str, exporter_url: str) -> None:
    # pg_monitor reads statistics, not tables.
    assert metrics(exporter_url)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        fetch(exporter_url, f"SELECT FROM {table}")


def test_every_metric_is_scraped(published: str) -> None:
    """What the exporter asks for has, all in all, a row's value for each kind of metric of the view."""
    named = (MONITORING / "queries.yaml").read_text()
    known = fetch(published, "SELECT col_description('audit.warehouse_metrics'::regclass, 1)")[0][0]
    kinds = {kind for kind in re.findall(r"[a-z_]+", known) if "_" in kind and kind != "pg_monitor"} | {"checks"}
    assert {metric for metric, _ in metrics(published)} <= kinds
    assert {kind for kind in kinds if f"'{kind}'" not in named and not kind.startswith("file_")} == set()


# The programs


@pytest.fixture(scope="module")
def programs() -> Iterator[dict[str, Program]]:
    """Prometheus, Alertmanager, their tools and postgres-exporter: the distribution's."""
    folder = Path(tempfile.mkdtemp(prefix="ltv-monitoring-"))
    packages = {
        "promtool": "prometheus",
        "prometheus": "prometheus",
        "amtool": "prometheus-alertmanager",
        "prometheus-alertmanager": "prometheus-alertmanager",
        "prometheus-postgres-exporter": "prometheus-postgres-exporter",
    }
    try:
        yield {program: distributed(program, folder, package) for program, package in packages.items()}
    finally:
        shutil.rmtree(folder)


@contextmanager
def running(program: Program, *arguments: str, **environment: str) -> Iterator[None]:
    """A program for as long as the block lasts."""
    path, own = program
    command = [path, *arguments]
    if path.endswith("/prometheus-alertmanager") and not DEFAULT_TEMPLATES.exists():
        if os.geteuid() != 0:
            pytest.skip("Alertmanager is not installed, and only root can show it its templates where they would be")
        unpacked = Path(path).parents[1] / "share"
        command = ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", WITH_TEMPLATES, str(unpacked), *command]
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(command, env=own | environment, stdout=log, stderr=log) as process,
    ):
        try:
            yield
        finally:
            process.terminate()


def wait_for(address: str, *parts: str) -> str:
    """Return the page, once each of these regular expressions finds something in its text."""
    deadline = time.monotonic() + 300
    while True:
        try:
            page = httpx.get(address, trust_env=False).text
        except httpx.HTTPError as error:
            page = repr(error)
        text = re.sub(r"\s*</?\w[^>]*>\s*", " ", page.partition("<body>")[2] or page)
        missing = [part for part in parts if not re.search(part, text)]
        if not missing:
            return page
        assert time.monotonic() < deadline, f"{address} has no {missing}: {text[-2000:]}"
        time.sleep(0.2)


def exporter(programs: dict[str, Program], port: int, url: str) -> object:
    return running(
        programs["prometheus-postgres-exporter"],
        f"--web.listen-address=127.0.0.1:{port}",
        f"--extend.query-path={MONITORING / 'queries.yaml'}",
        DATA_SOURCE_NAME=url,
    )


def test_the_exporter_scrapes_what_the_queries_say(programs: dict[str, Program], exporter_url: str) -> None:
    port = free_port()
    with exporter(programs, port, exporter_url):
        page = wait_for(f"http://127.0.0.1:{port}/metrics", "customer_ltv_data_age_seconds")
    labels = 'server="127.0.0.1:'
    found = {}
    for line in page.splitlines():
        if line.startswith("customer_ltv_"):
            name, _, value = line.rpartition(" ")
            found[name] = float(value)
    assert all(labels in name for name in found)

    def of(name: str, **wanted: str) -> list[float]:
        return [
            value
            for series, value in found.items()
            if series.startswith(f"{name}{{") and all(f'{key}="{text}"' in series for key, text in wanted.items())
        ]

    assert of("customer_ltv_file_rows", kind="records", source="order_data") == [3000]
    assert of("customer_ltv_file_rows", kind="rejected", source="order_data") == [3]
    assert of("customer_ltv_step_rows", task="marts.customer_ltv") == [500]
    assert of("customer_ltv_waiting_rows", source="order_data") == [2]
    assert of("customer_ltv_check_claims", verdict="failed") == [0]
    assert len(of("customer_ltv_run_seconds", state="published")) == 1
    assert len(of("customer_ltv_data_age_seconds")) == 1
    assert "customer_ltv_step_seconds" in page


def test_every_alert_sounds_when_it_should_and_not_before(programs: dict[str, Program]) -> None:
    path, environment = programs["promtool"]
    for arguments in (["check", "rules", "alerts.yaml"], ["test", "rules", "alerts_test.yaml"]):
        done = subprocess.run(
            [path, *arguments], cwd=MONITORING, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    rules, tried = ((MONITORING / name).read_text() for name in ("alerts.yaml", "alerts_test.yaml"))
    alerts = [line.split()[-1] for line in rules.splitlines() if "- alert:" in line]
    assert alerts
    for alert in alerts:
        assert f"alertname: {alert}\n        exp_alerts:" in tried, f"no test in which {alert} sounds"


def test_nobody_is_told_until_somebody_is_named(programs: dict[str, Program], tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    with listening() as receivers:
        own.write_text(receivers.alertmanager())
    path, environment = programs["amtool"]

    def amtool(*arguments: object) -> str:
        done = subprocess.run([path, *arguments], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    for file, told in {MONITORING / "alertmanager.yaml": "nobody-yet", own: "on-call"}.items():
        assert "SUCCESS" in amtool("check-config", file)
        for severity in re.findall(r"severity: (\w+)", (MONITORING / "alerts.yaml").read_text()):
            assert amtool("config", "routes", "test", f"--config.file={file}", f"severity={severity}") == told


@contextmanager
def watched(programs: dict[str, Program], folder: Path, url: str, alertmanager: str = "") -> Iterator[str]:
    """Exporter, Prometheus and, if it has a configuration, Alertmanager; yields Prometheus' address.

    All is as in deploy/monitoring, but for the addresses and for the minutes that a rule waits.
    """
    ports = {name: free_port() for name in ("postgres-exporter", "prometheus", "alertmanager")}
    shutil.copytree(MONITORING, folder, dirs_exist_ok=True)
    settings = (MONITORING / "prometheus.yaml").read_text().replace("15s", "2s")
    settings = re.sub(r"([a-z-]+):[0-9]{4}", lambda found: f"127.0.0.1:{ports[found[1]]}", settings)
    (folder / "prometheus.yaml").write_text(settings)
    (folder / "alerts.yaml").write_text((MONITORING / "alerts.yaml").read_text().replace("for: 2m", "for: 5s"))
    (folder / "alertmanager.yaml").write_text(alertmanager)
    usual = {
        name: [f"--config.file={folder / name}.yaml", f"--web.listen-address=127.0.0.1:{ports[name]}"]
        for name in ("prometheus", "alertmanager")
    }
    kept = [f"--storage.tsdb.path={folder / 'metrics'}", f"--web.console.templates={folder / 'consoles'}"]
    with ExitStack() as stack:
        stack.enter_context(exporter(programs, ports["postgres-exporter"], url))
        stack.enter_context(running(programs["prometheus"], *usual["prometheus"], *kept))
        if alertmanager:
            own = [f"--storage.path={folder / 'silences'}", "--cluster.listen-address="]
            stack.enter_context(running(programs["prometheus-alertmanager"], *usual["alertmanager"], *own))
        yield f"http://127.0.0.1:{ports['prometheus']}"


def test_the_dashboard_shows_what_the_exporter_scrapes(
    programs: dict[str, Program], exporter_url: str, tmp_path: Path
) -> None:
    with watched(programs, tmp_path, exporter_url) as address:
        # What Prometheus asks for comes when it comes, and is gone again after an answer that came too late for it.
        page = wait_for(
            f"{address}/consoles/customer_ltv.html",
            r"Is it there\? +The warehouse answers\. +alertmanager: 127\.0\.0\.1:\d+ does not answer\. +The last run",
            r"The last run +published, [\d.]+[\d.dhms ]* +The numbers' last day ended \d+d [^.]+ ago\.",
            r"order_data +3000 +2995 +0 +3 +2 +0 +",
            r"customer_data +505 +500 +2 +3 +0 +0 +",
            r"passed: [1-9]\d+ +",
            r"Its slowest steps +task +seconds +rows +[a-z]+\.[a-z_]+ +\d+\.\d +\d+ +",
            r"order_data: 2 +",
        )
        links = re.findall(r'href="(/graph[^"]*)"', page)
        assert links
        for link in links:
            (expression,) = parse_qs(urlsplit(unescape(link)).query)["g0.expr"]
            found = r'"result":\[' if expression == "ALERTS" else r'"value":\['
            wait_for(f"{address}/api/v1/query?query={quote(expression)}", '"status":"success"', found)


def test_a_killed_server_wakes_somebody(programs: dict[str, Program], tmp_path: Path) -> None:
    place = Path(tempfile.mkdtemp(prefix="ltv-killed-"))
    killed = server.create(place)
    try:
        migrate.migrate(killed.url, killed.admin_url)
        execute(killed.admin_url, EXPORTER_LOGIN)
        url = f"postgresql://exporter:exporter@127.0.0.1:{killed.port}/warehouse?sslmode=disable"
        with listening() as receivers, watched(programs, tmp_path, url, receivers.alertmanager()) as address:
            # Before the first scrape there is no server to be seen.
            wait_for(f"{address}/api/v1/query?query=pg_up", '"1"]')
            wait_for(f"{address}/api/v1/query?query=ALERTS{{alertname='CustomerLtvWarehouseDown'}}", r'"result":\[\]')
            receivers.forget()
            killed.command("pg_ctl", "kill", "KILL", (killed.data / "postmaster.pid").read_text().split()[0])
            receivers.wait_for_alert("CustomerLtvWarehouseDown", "The warehouse does not answer.")
            wait_for(f"{address}/consoles/customer_ltv.html", "CustomerLtvWarehouseDown: page")
    finally:
        # Not by the file that it has left.
        (killed.data / "postmaster.pid").unlink(missing_ok=True)
        killed.remove()
        shutil.rmtree(place)


# What Airflow tells of itself


def test_airflows_own_metrics_go_out_by_opentelemetry(tmp_path_factory: pytest.TempPathFactory) -> None:
    """By the two settings of docs/deployment.md a scheduler tells that it lives, to whoever takes OTLP."""
    names = set()

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told = ExportMetricsServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
            for resource in told.resource_metrics:
                names.update(metric.name for scope in resource.scope_metrics for metric in scope.metrics)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    documented = (ROOT / "docs" / "deployment.md").read_text()
    settings = dict(re.findall(r"^(AIRFLOW__METRICS__\w+|OTEL_\w+)=(.*)$", documented, re.MULTILINE))
    assert len(settings) == 2
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{collector.server_port}"
        settings = {name: value.replace("http://collector:4318", address) for name, value in settings.items()}
        done = subprocess.run(
            [AIRFLOW, "scheduler", "--num-runs", "2"],
            env=airflow_settings(new_airflow_home(tmp_path_factory), "") | settings,
            capture_output=True,
            text=True,
            check=False,
        )
        collector.shutdown()
    assert done.returncode == 0, done.stderr[-2000:]
    assert {"airflow.scheduler.scheduler_loop_duration", "airflow.executor.open_slots.localexecutor"} <= names
