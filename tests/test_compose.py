"""docker-compose.yaml, really started: both executors, monitoring, a worker and the database killed in a run.

No registry can be reached where this runs, so the images that the project names are stand-ins (tests/stand_ins): what
is proven are this project's files, not the public images. `make test` runs only the tests that need no engine.
"""

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import engine as docker
import httpx
import psycopg
import pytest
import server
from conftest import ROOT
from pipeline import run_pipeline
from receivers import listening
from support import command_lines, fetch, free_port, warehouse_of

DAYS = ["2026-01-31", "2026-02-28"]
RUNS = "/api/v2/dags/customer_ltv/dagRuns"
NUMBERS = """SELECT customer_id, total_orders, total_amount, avg_order_value, ltv, first_order_date, last_order_date,
    orders_per_year, avg_lifespan_years FROM marts.customer_ltv ORDER BY customer_id"""
NAMES = {
    "POSTGRES_PASSWORD",
    "AIRFLOW_DB_PASSWORD",
    "LTV_PIPELINE_PASSWORD",
    "LTV_EXPORTER_PASSWORD",
    "AIRFLOW_ADMIN_PASSWORD",
    "REDIS_PASSWORD",
    "AIRFLOW_SECRET_KEY",
    "AIRFLOW_JWT_SECRET",
    "AIRFLOW_FERNET_KEY",
}


def copy_project(folder: Path) -> Path:
    """A copy of what git knows of the project, without anybody's .env."""
    listing = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run([shutil.which("git"), *listing], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in names.stdout.split("\0")[:-1]:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def make_secrets(folder: Path) -> dict[str, str]:
    """What .env holds after `make secrets`."""
    make = [shutil.which("make"), "-s", "secrets", f"PYTHON={sys.executable}"]
    done = subprocess.run(make, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    values = dict(line.split("=", 1) for line in (folder / ".env").read_text().splitlines())
    assert not [name for name, value in values.items() if value in done.stdout]
    return values


# Without an engine


def test_make_secrets_writes_a_file_for_its_owner_alone(tmp_path: Path) -> None:
    values = make_secrets(copy_project(tmp_path))
    assert set(values) == NAMES
    assert len(set(values.values())) == len(NAMES)
    assert min(map(len, values.values())) >= 32
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600


def test_make_secrets_keeps_what_is_there_and_adds_what_is_missing(tmp_path: Path) -> None:
    copy_project(tmp_path)
    (tmp_path / ".env").write_text("UI_PORT=8081\nPOSTGRES_PASSWORD=mine")
    first, second = make_secrets(tmp_path), make_secrets(tmp_path)
    assert first == second
    assert (first.pop("UI_PORT"), first["POSTGRES_PASSWORD"], set(first)) == ("8081", "mine", NAMES)
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600


@pytest.mark.parametrize("missing", sorted(NAMES))
def test_compose_refuses_to_start_without(missing: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / "docker-compose.yaml", tmp_path)
    (tmp_path / ".env").write_text("".join(f"{name}=x\n" for name in NAMES - {missing}))
    compose = [Path(sys.executable).with_name("docker-compose"), "config", "--quiet"]
    path = {"PATH": os.environ["PATH"]}
    done = subprocess.run(compose, cwd=tmp_path, env=path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert f"required variable {missing} is missing a value: run make secrets first" in done.stderr
    (tmp_path / ".env").write_text("".join(f"{name}=x\n" for name in NAMES))
    subprocess.run(compose, cwd=tmp_path, env=path, check=True)


def test_the_warehouse_can_be_elsewhere_by_the_file_that_the_guide_shows(tmp_path: Path) -> None:
    shutil.copy(ROOT / "docker-compose.yaml", tmp_path)
    shown = (ROOT / "docs" / "deployment.md").read_text().partition("**Beside compose**")[2]
    (tmp_path / "docker-compose.override.yaml").write_text(shown.partition("```yaml\n")[2].partition("```")[0])
    url = "postgresql://ltv_pipeline:a%40$b@db.example.com/warehouse?sslrootcert=/opt/airflow/ca.pem"
    (tmp_path / ".env").write_text("".join(f"{name}=x\n" for name in NAMES) + f"WAREHOUSE_URL='{url}'\n")
    compose = [Path(sys.executable).with_name("docker-compose"), "--profile", "celery", "config", "--format", "json"]
    done = subprocess.run(compose, cwd=tmp_path, env={"PATH": os.environ["PATH"]}, capture_output=True, check=True)
    services = json.loads(done.stdout)["services"]
    init = services["init"]["environment"]
    # A dollar that a container gets stands there twice.
    assert (init["DATABASE_URL"].replace("$$", "$"), init["ADMIN_DATABASE_URL"]) == (url, "")
    mounting = {
        name
        for name, service in services.items()
        if any(volume["target"] == "/opt/airflow/ca.pem" for volume in service.get("volumes", []))
    }
    # The web page alone asks nothing of the warehouse.
    ours = {name for name, service in services.items() if service["image"] == "customer-ltv:local"}
    assert mounting == ours - {"api-server"}
    assert not [name for name, service in services.items() if "@postgres:5432/warehouse" in json.dumps(service)]


# On an engine

# By itself httpx gives up after five seconds, which a busy machine may need.
ASKING = {"timeout": 60, "trust_env": False}


@dataclass
class Stack:
    """What docker compose has started: engine, copy of the project, profile, what .env holds, the process lists."""

    engine: docker.Engine
    folder: Path
    profile: tuple[str, ...]
    values: dict[str, str]
    seen: set[str]

    def compose(self, *arguments: str) -> str:
        files = ["--file", f"{self.folder}/docker-compose.yaml", "--file", f"{self.folder}/quick.json"]
        return self.engine.docker("compose", "--project-directory", self.folder, *files, *self.profile, *arguments)

    def containers(self, *services: str) -> list[dict]:
        """What the engine knows of the containers of these services, or of all but those that have done their work."""
        found = self.engine.inspect(*self.compose("ps", "--all", "--quiet", *services).split())
        return found if services else [each for each in found if each["HostConfig"]["RestartPolicy"]["Name"] != "no"]

    @property
    def secrets(self) -> set[str]:
        return {self.values[name] for name in NAMES}

    def url(self, database: str, user: str = "postgres", name: str = "POSTGRES_PASSWORD") -> str:
        """The URL of a database by a login whose password has this name in .env."""
        return f"postgresql://{user}:{self.values[name]}@127.0.0.1:{self.values['POSTGRES_PORT']}/{database}"

    def ask(self, method: str, path: str, **arguments: object) -> dict:
        """What the REST API answers to whoever has logged in."""
        address = f"http://127.0.0.1:{self.values['UI_PORT']}"
        with httpx.Client(base_url=address, **ASKING) as client:
            login = {"username": "admin", "password": self.values["AIRFLOW_ADMIN_PASSWORD"]}
            token = client.post("/auth/token", json=login).raise_for_status().json()["access_token"]
            client.headers["Authorization"] = f"Bearer {token}"
            return client.request(method, path, **arguments).raise_for_status().json()


def is_confined(container: dict) -> None:
    """Healthy, and without a right, a folder or memory that it does not need."""
    limits = container["HostConfig"]
    assert limits["Memory"] > 0, container["Name"]
    assert (limits["ReadonlyRootfs"], limits["CapDrop"], limits["CapAdd"]) == (True, ["ALL"], None)
    assert limits["SecurityOpt"] == ["no-new-privileges:true"]
    assert limits["RestartPolicy"]["Name"] == "unless-stopped"
    status = Path(f"/proc/{main_process(container)}/status").read_text()
    assert "Uid:\t0" not in status, f"{container['Name']} runs as root"
    assert "CapEff:\t0000000000000000" in status
    assert container["State"]["Health"]["Status"] == "healthy"


def bound_ports(containers: list[dict]) -> set[tuple[str, str, str]]:
    """The service, address and port of every port that these containers have on this machine."""
    return {
        (service_of(each), binding["HostIp"], binding["HostPort"])
        for each in containers
        for bindings in each["NetworkSettings"]["Ports"].values()
        for binding in bindings or []
    }


def service_of(container: dict) -> str:
    return container["Config"]["Labels"]["com.docker.compose.service"]


def wait_until(holds: Callable[[], object], what: str, seconds: int = 900) -> None:
    """Wait for something to be so; what fails while services come up is not so yet."""
    limit = time.monotonic() + seconds
    while True:
        with suppress(httpx.HTTPError, psycopg.Error, KeyError, AssertionError):
            if holds():
                return
        if time.monotonic() > limit:
            pytest.fail(f"waited {seconds} s in vain: {what}")
        time.sleep(1)


@pytest.fixture(scope="module")
def seen() -> Iterator[set[str]]:
    """How every process was called that ran while these tests did, in containers too."""
    lines: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.2):
            lines.update(command_lines().values())

    thread = threading.Thread(target=look)
    thread.start()
    yield lines
    over.set()
    thread.join()


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.Engine]:
    """An engine that has the images which docker-compose.yaml names."""
    with docker.running_engine() as made:
        docker.build_stand_ins(made)
        docker.say("The project's image, from Dockerfile …")
        made.docker("build", "--quiet", f"--tag={docker.PROJECT_IMAGE}", ROOT)
        yield made


@pytest.fixture(scope="module")
def expected(cluster: server.Server, template: str) -> dict[str, list[tuple]]:
    """The mart's numbers on each day, as the same files give them without Docker and Airflow."""
    with warehouse_of(cluster, template, "ltv_compose") as url:
        numbers = {}
        for day in DAYS:
            run_pipeline(url, ROOT / "data", day, day)
            numbers[day] = fetch(url, NUMBERS)
        assert numbers[DAYS[0]] != numbers[DAYS[1]], "a second day must not be right by what the first has left"
        return numbers


@pytest.fixture(scope="class")
def stack(request: pytest.FixtureRequest, engine: docker.Engine, seen: set[str]) -> Iterator[Stack]:
    folder = copy_project(engine.folder / request.cls.__name__)
    make_secrets(folder)
    with (folder / ".env").open("a") as file:
        file.writelines(f"{name}_PORT={free_port()}\n" for name in ("POSTGRES", "UI", "PROMETHEUS", "ALERTMANAGER"))
    # No run but the tests' own; a task whose process is gone, and a database that is, are noticed in seconds.
    quick = {
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    }
    rules = folder / "deploy" / "monitoring" / "alerts.yaml"
    rules.write_text(rules.read_text().replace("for: 2m", "for: 5s"))
    (folder / "quick.json").write_text(json.dumps({"services": {"scheduler": {"environment": quick}}}))
    made = Stack(engine, folder, request.cls.PROFILE, make_secrets(folder), seen)
    docker.say(f"docker compose {' '.join([*made.profile, 'up', '-d', '--wait'])} …")
    try:
        made.compose("up", "-d", "--wait")
        docker.say("Everything is healthy; memory: " + memory(made))
        yield made
    finally:
        if request.session.testsfailed:
            said = made.compose("logs", "--timestamps").splitlines()
            print(
                made.compose("ps", "--all"),
                *(line[:400] for line in said if "rror" in line or "FATAL" in line),
                sep="\n",
            )
        made.compose("down", "--volumes", "--timeout", "5")


def memory(stack: Stack) -> str:
    shown = stack.engine.docker("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}").splitlines()
    return ", ".join(line.removeprefix("customer-ltv-").partition(" / ")[0] for line in sorted(shown))


@contextmanager
def held(stack: Stack, table: str) -> Iterator[Callable[[], object]]:
    """Hold a table so that the task that writes it waits; yields what tells whether one does."""
    with suppress(psycopg.OperationalError), psycopg.connect(stack.url("warehouse")) as connection:
        connection.execute(f"LOCK TABLE {table} IN SHARE MODE")
        waiting = "SELECT pid FROM pg_locks WHERE relation = %s::regclass AND NOT granted"
        yield lambda: fetch(stack.url("warehouse"), waiting, [table])


def processes(container: dict) -> dict[int, int]:
    """A container's processes: by their numbers on this machine, those that they have in the container."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if container["Id"] in (path / "cgroup").read_text():
                status = (path / "status").read_text()
                found[int(path.name)] = int(re.search(r"^NSpid:.*\t(\d+)$", status, re.MULTILINE)[1])
    return found


def main_process(container: dict) -> int:
    """The number, on this machine, of a container's first process."""
    found = [number for number, inside in processes(container).items() if inside == 1]
    assert found, f"{container['Name']} does not run"
    return found[0]


def send(number: signal.Signals, numbers: list[int]) -> None:
    """Send a signal to processes; one that has ended by itself, such as a check of a container's health, needs none."""
    for process in numbers:
        with suppress(ProcessLookupError):
            os.kill(process, number)


def kill(*containers: dict) -> None:
    """End containers as a crash does; docker kill would count as a stop, after which nothing is started again."""
    # All are looked for first: some end by themselves when another one is gone.
    send(signal.SIGKILL, [main_process(each) for each in containers])


def start_run(stack: Stack, day: str) -> str:
    # The DAG is known once the DAG processor has read it.
    wait_until(lambda: stack.ask("GET", "/api/v2/dags/customer_ltv"), "the DAG is known")
    return stack.ask("POST", RUNS, json={"logical_date": None, "conf": {"as_of": day}})["dag_run_id"]


def state_of(stack: Stack, run_id: str) -> str:
    return stack.ask("GET", f"{RUNS}/{run_id}")["state"]


def wait_for_end(stack: Stack, run_id: str) -> str:
    """The state in which a run ends."""
    states = []

    def has_ended() -> bool:
        states.append(state_of(stack, run_id))
        return states[-1] in ("success", "failed")

    wait_until(has_ended, f"{run_id} ends")
    return states[-1]


def last_run(stack: Stack) -> tuple:
    return fetch(
        stack.url("warehouse"), "SELECT as_of::text, state, reason FROM audit.runs ORDER BY run_no DESC LIMIT 1"
    )[0]


def health(stack: Stack, *services: str) -> list[str]:
    """What the checks of these services, or of all, have found; for one that does not run, how it is."""
    states = [each["State"] for each in stack.containers(*services)]
    return [state["Health"]["Status"] if state["Status"] == "running" else state["Status"] for state in states]


def wait_until_healthy(stack: Stack) -> None:
    wait_until(lambda: set(health(stack)) == {"healthy"}, "every service is healthy")


def publishes_a_first_day(stack: Stack, expected: dict[str, list[tuple]]) -> None:
    run_id = start_run(stack, DAYS[0])
    assert (wait_for_end(stack, run_id), last_run(stack)) == ("success", (DAYS[0], "published", None))
    assert fetch(stack.url("warehouse"), NUMBERS) == expected[DAYS[0]]


def no_password_shows(stack: Stack) -> None:
    """Where a person looks, or any user of the machine can; an engine's root can read the environment of services."""
    found = stack.containers()
    for each in found:
        del each["Config"]["Env"]
    places = {
        "process lists": "\n".join(stack.seen),
        "inspect": json.dumps(found),
        "ps": stack.compose("ps", "--all", "--no-trunc", "--format", "json"),
        "top": stack.compose("top"),
        "logs": stack.compose("logs"),
        "config": stack.compose("config", "--no-interpolate"),
        "history": stack.engine.docker("history", "--no-trunc", docker.PROJECT_IMAGE),
        "task logs": stack.compose("exec", "scheduler", "grep", "-rh", "", "/opt/airflow/logs"),
    }
    marks = {
        "process lists": "airflow scheduler",
        "logs": "Imported connection warehouse",
        "task logs": "order_data.csv",
    }
    assert [place for place, mark in marks.items() if mark not in places[place]] == [], "this test would not see it"
    assert [place for place, text in places.items() if any(secret in text for secret in stack.secrets)] == []


def down_leaves_nothing_behind(stack: Stack) -> None:
    stack.compose("down", "--volumes", "--timeout", "10")
    listings = (
        ["ps", "--all", "--quiet"],
        ["volume", "ls", "--quiet"],
        ["network", "ls", "--quiet", "--filter=type=custom"],
    )
    assert [stack.engine.docker(*listing) for listing in listings] == ["", "", ""]


@pytest.mark.compose
class TestLocalExecutor:
    PROFILE = ()

    def test_each_service_is_one_of_its_own_and_confined(self, stack: Stack) -> None:
        found = stack.containers()
        assert {service_of(each) for each in found} == {
            *("postgres", "api-server", "scheduler", "dag-processor", "triggerer"),
        }
        for each in found:
            is_confined(each)

    def test_a_service_that_stands_still_is_not_healthy(self, stack: Stack) -> None:
        """It still runs: only a check of its own sees that it does nothing."""
        docker.say("Scheduler, DAG processor and triggerer are halted …")
        services = ("scheduler", "dag-processor", "triggerer")
        halted = [process for each in stack.containers(*services) for process in processes(each)]
        try:
            send(signal.SIGSTOP, halted)
            wait_until(lambda: set(health(stack, *services)) == {"unhealthy"}, "all three are unhealthy")
        finally:
            send(signal.SIGCONT, halted)
        wait_until_healthy(stack)

    def test_ports_are_this_machines_own(self, stack: Stack) -> None:
        assert bound_ports(stack.containers()) == {
            ("postgres", "127.0.0.1", stack.values["POSTGRES_PORT"]),
            ("api-server", "127.0.0.1", stack.values["UI_PORT"]),
        }

    def test_databases_are_two_and_their_logins_apart(self, stack: Stack) -> None:
        listing = """SELECT datname, pg_encoding_to_char(encoding), datdba::regrole::text FROM pg_database
            WHERE datname IN ('airflow', 'warehouse') ORDER BY 1"""
        owners = [("airflow", "UTF8", "airflow"), ("warehouse", "UTF8", "ltv_pipeline")]
        assert fetch(stack.url("postgres"), listing) == owners
        assert fetch(stack.url("postgres"), "SHOW server_version_num")[0][0].startswith("18")
        for database, login in {
            "airflow": ("ltv_pipeline", "LTV_PIPELINE_PASSWORD"),
            "warehouse": ("airflow", "AIRFLOW_DB_PASSWORD"),
        }.items():
            with pytest.raises(psycopg.OperationalError, match=f'permission denied for database "{database}"'):
                psycopg.connect(stack.url(database, *login))

    def test_the_web_page_wants_the_password(self, stack: Stack) -> None:
        address = f"http://127.0.0.1:{stack.values['UI_PORT']}"
        wrong = {"username": "admin", "password": "admin"}
        assert httpx.post(f"{address}/auth/token", json=wrong, **ASKING).status_code == 401
        assert httpx.get(address + RUNS, **ASKING).status_code == 401

    def test_a_run_publishes(self, stack: Stack, expected: dict[str, list[tuple]]) -> None:
        docker.say(f"LocalExecutor: a run as of {DAYS[0]} …")
        publishes_a_first_day(stack, expected)

    def test_every_service_that_dies_is_started_again(self, stack: Stack) -> None:
        docker.say("Every service is killed …")
        kill(*stack.containers())
        names = {each["Name"] for each in stack.containers()}
        wait_until(lambda: all(each["RestartCount"] for each in stack.containers()), f"{names} are started again")
        wait_until_healthy(stack)

    def test_a_run_outlives_the_database(self, stack: Stack, expected: dict[str, list[tuple]]) -> None:
        """What was built in UNLOGGED tables is gone: the run says so, and is right once it is cleared from begin."""
        docker.say(f"A run as of {DAYS[1]}, in the middle of which the database is killed …")
        run_id = start_run(stack, DAYS[1])
        with held(stack, "core.payments") as waits:
            wait_until(waits, "core.payments waits")
            kill(stack.containers("postgres")[0])
        assert wait_for_end(stack, run_id) == "failed"
        day, state, reason = last_run(stack)
        assert (day, state) == (DAYS[1], "failed")
        assert "is empty, though this run has filled it: the server has restarted since" in reason
        docker.say("It has failed, as it must; cleared from begin …")
        cleared = {"dag_run_id": run_id, "task_ids": ["begin"], "include_downstream": True}
        flags = {"dry_run": False, "only_failed": False, "reset_dag_runs": True}
        stack.ask("POST", "/api/v2/dags/customer_ltv/clearTaskInstances", json=cleared | flags)
        assert (wait_for_end(stack, run_id), last_run(stack)) == ("success", (DAYS[1], "published", None))
        assert fetch(stack.url("warehouse"), NUMBERS) == expected[DAYS[1]]

    def test_no_password_shows(self, stack: Stack) -> None:
        no_password_shows(stack)

    def test_down_leaves_nothing_behind(self, stack: Stack) -> None:
        down_leaves_nothing_behind(stack)


@pytest.mark.compose
class TestCeleryExecutor:
    PROFILE = ("--profile", "celery")

    def test_redis_and_two_workers_come_too(self, stack: Stack) -> None:
        found = [service_of(each) for each in stack.containers()]
        assert (found.count("redis"), found.count("worker")) == (1, 2)
        for each in stack.containers("redis", "worker"):
            is_confined(each)
            assert not any(each["NetworkSettings"]["Ports"].values()), "nobody but Airflow needs it"

    def test_redis_wants_the_password(self, stack: Stack) -> None:
        said = stack.compose("exec", "--env", "REDISCLI_AUTH=", "redis", "redis-cli", "ping")
        assert "NOAUTH" in said

    def test_a_run_publishes(self, stack: Stack, expected: dict[str, list[tuple]]) -> None:
        docker.say(f"CeleryExecutor: a run as of {DAYS[0]} …")
        publishes_a_first_day(stack, expected)
        hosts = {name for (name,) in fetch(stack.url("airflow"), "SELECT DISTINCT hostname FROM task_instance")}
        assert hosts <= {each["Config"]["Hostname"] for each in stack.containers("worker")}, "tasks ran elsewhere"

    def test_a_run_outlives_a_worker(self, stack: Stack, expected: dict[str, list[tuple]]) -> None:
        """Nobody is told of the kill: the scheduler misses the task's heartbeats and has it tried again."""
        docker.say(f"A run as of {DAYS[1]}, in the middle of which a worker is killed …")
        run_id = start_run(stack, DAYS[1])
        with held(stack, "core.payments") as waits:
            wait_until(waits, "core.payments waits")
            task = stack.ask("GET", f"{RUNS}/{run_id}/taskInstances/core.payments")
            [killed] = [each for each in stack.containers("worker") if each["Config"]["Hostname"] == task["hostname"]]
            kill(killed)
        assert (wait_for_end(stack, run_id), last_run(stack)) == ("success", (DAYS[1], "published", None))
        assert fetch(stack.url("warehouse"), NUMBERS) == expected[DAYS[1]]
        tries = stack.ask("GET", f"{RUNS}/{run_id}/taskInstances", params={"limit": 100})["task_instances"]
        assert {each["task_id"]: each["try_number"] for each in tries}["core.payments"] > 1
        wait_until_healthy(stack)
        assert stack.engine.inspect(killed["Id"])[0]["RestartCount"] == 1

    def test_no_password_shows(self, stack: Stack) -> None:
        no_password_shows(stack)

    def test_down_leaves_nothing_behind(self, stack: Stack) -> None:
        down_leaves_nothing_behind(stack)


@pytest.mark.compose
class TestMonitoring:
    PROFILE = ("--profile", "monitoring")

    def prometheus(self, stack: Stack, path: str, **parameters: str) -> dict:
        """What Prometheus' API answers."""
        address = f"http://127.0.0.1:{stack.values['PROMETHEUS_PORT']}/api/v1/{path}"
        return httpx.get(address, params=parameters, **ASKING).raise_for_status().json()["data"]

    def value(self, stack: Stack, expression: str) -> float:
        """The one number that Prometheus finds for an expression."""
        found = self.prometheus(stack, "query", query=expression)["result"]
        assert len(found) == 1, (expression, found)
        return float(found[0]["value"][1])

    def test_three_services_come_too(self, stack: Stack) -> None:
        found = {service_of(each): each for each in stack.containers()}
        added = {name: found[name] for name in ("postgres-exporter", "prometheus", "alertmanager")}
        assert len(found) == 5 + len(added)
        for each in added.values():
            is_confined(each)
        assert bound_ports(list(added.values())) == {
            ("prometheus", "127.0.0.1", stack.values["PROMETHEUS_PORT"]),
            ("alertmanager", "127.0.0.1", stack.values["ALERTMANAGER_PORT"]),
        }

    def test_prometheus_knows_what_to_ask_and_when_to_call(self, stack: Stack) -> None:
        def asked() -> dict[str, str]:
            targets = self.prometheus(stack, "targets")["activeTargets"]
            return {each["labels"]["job"]: each["health"] for each in targets}

        def told() -> list[str]:
            return [each["url"] for each in self.prometheus(stack, "alertmanagers")["activeAlertmanagers"]]

        # Each is asked for the first time at a moment of its own within the first fifteen seconds.
        wait_until(lambda: asked() == {"warehouse": "up", "alertmanager": "up"}, "everything answers")
        wait_until(lambda: self.value(stack, "pg_up") == 1, "the warehouse answers the exporter")
        wait_until(lambda: told() == ["http://alertmanager:9093/api/v2/alerts"], "Alertmanager is found")
        known = [rule["name"] for group in self.prometheus(stack, "rules")["groups"] for rule in group["rules"]]
        assert known == re.findall(r"- alert: (\w+)", (ROOT / "deploy/monitoring/alerts.yaml").read_text())

    def test_the_exporter_reads_the_metrics_and_nothing_else(self, stack: Stack) -> None:
        login = ("ltv_exporter", "LTV_EXPORTER_PASSWORD")
        assert fetch(stack.url("warehouse", *login), "SELECT FROM audit.warehouse_metrics")
        for table in ("core.customers", "marts.customer_ltv", "audit.rejected_rows", "raw.customer_data"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                fetch(stack.url("warehouse", *login), f"SELECT FROM {table}")
        with pytest.raises(psycopg.OperationalError, match='permission denied for database "airflow"'):
            psycopg.connect(stack.url("airflow", *login))

    def test_a_run_is_seen(self, stack: Stack, expected: dict[str, list[tuple]]) -> None:
        docker.say(f"Monitoring: a run as of {DAYS[0]} …")
        publishes_a_first_day(stack, expected)
        page = f"http://127.0.0.1:{stack.values['PROMETHEUS_PORT']}/consoles/customer_ltv.html"
        # What Prometheus asked last may be from the middle of the run, or may have come too late for it to count.
        wait_until(lambda: self.value(stack, "customer_ltv_run_seconds{state='published'}") > 0, "the run is measured")
        for expression, number in {
            "customer_ltv_step_rows{task='marts.customer_ltv'}": len(expected[DAYS[0]]),
            "customer_ltv_file_rows{source='order_data',kind='records'}": 3000,
        }.items():
            wait_until(lambda asked=expression, known=number: self.value(stack, asked) == known, expression)
        for line in ("<li>The warehouse answers.</li>", "<td>order_data</td><td>3000</td>"):
            wait_until(lambda shown=line: shown in httpx.get(page, **ASKING).text, f"the page has {line}")

    def test_whom_the_operator_names_is_told(self, stack: Stack) -> None:
        address = f"http://127.0.0.1:{stack.values['ALERTMANAGER_PORT']}/api/v2/alerts"
        alarm = {"filter": "alertname=CustomerLtvWarehouseDown"}

        def alerts() -> list[tuple[str, list[str]]]:
            found = httpx.get(address, params=alarm, **ASKING).raise_for_status().json()
            return [(each["labels"]["severity"], [told["name"] for told in each["receivers"]]) for each in found]

        assert alerts() == [], "nobody has been told of anything yet"
        docker.say("The database is killed, and stays down …")
        stack.compose("kill", "postgres")
        wait_until(lambda: alerts() == [("page", ["nobody-yet"])], "the alert is at Alertmanager")
        # Where its containers find this machine, and nobody else does.
        bridge = stack.containers("alertmanager")[0]["NetworkSettings"]["Networks"]["customer-ltv_default"]["Gateway"]
        with listening(bridge) as receivers:
            (stack.folder / "own.yaml").write_text(receivers.alertmanager(bridge))
            with (stack.folder / ".env").open("a") as file:
                file.write("ALERTMANAGER_CONFIG=./own.yaml\n")
            stack.compose("up", "-d", "--wait", "--no-deps", "--force-recreate", "alertmanager")
            receivers.wait_for_alert("CustomerLtvWarehouseDown", "The warehouse does not answer.")
            docker.say("Somebody was told; the database is started again …")
            stack.compose("start", "postgres")
            receivers.wait_for_alert("CustomerLtvWarehouseDown", "The warehouse does not answer.", "resolved")
        wait_until_healthy(stack)

    def test_no_password_shows(self, stack: Stack) -> None:
        no_password_shows(stack)

    def test_down_leaves_nothing_behind(self, stack: Stack) -> None:
        down_leaves_nothing_behind(stack)
