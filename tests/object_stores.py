"""Object stores on this machine, for the tests: real servers, and the processes that read from them."""

import json
import os
import secrets
import signal
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from store_proxy import Proxy, proxy_of
from support import airflow_settings, free_port

# Where the providers and the servers are installed: not where everything else is tested without them.
PROGRAMS = ROOT / ".venv" / "stores" / "bin"
BUCKET = "deliveries"


def listens(port: int) -> bool:
    with closing(socket.socket()) as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


class Worker:
    """A process that runs tasks where the providers are installed, with Airflow's connections in its environment."""

    def __init__(self, folder: Path, connections: dict[str, dict[str, Any]]) -> None:
        self.log = folder / "worker.log"
        self.environment = {
            **airflow_settings(folder, ""),
            **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(connection) for name, connection in connections.items()},
            # gcsfs would ask Google by gRPC what kind of bucket it reads.
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
            "PYTHONPATH": os.pathsep.join(str(ROOT / name) for name in ("dags", "ops", "tests")),
        }
        address = str(folder / "worker")
        with Listener(address) as listener, self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [PROGRAMS / "python", ROOT / "tests" / "store_worker.py", address, self.log],
                env=self.environment,
                stdout=log,
                stderr=log,
            )
            self.connection: Connection = listener.accept()

    def __call__(self, name: str, *arguments: object) -> Any:
        """Call a function of store_worker; return what it does."""
        self.connection.send((name, arguments))
        assert self.connection.poll(900), f"{name} has not ended; {self.log.read_text()[-2000:]}"
        done, said = self.connection.recv()
        assert done, f"{said}\n{self.log.read_text()[-2000:]}"
        return said

    def stop(self) -> None:
        self.connection.close()
        self.process.wait(300)


@dataclass
class Store:
    """An object store, the process that reads from it, and a proxy that stands before it for one of the connections."""

    scheme: str
    connection: str
    worker: Worker
    proxy: Proxy
    secrets: list[str]
    # What its library and its provider are called.
    modules: tuple[str, str]
    # Where SeaweedFS takes files without any signature.
    back_door: str = ""
    is_warm: bool = False

    def url(self, folder: str, connection: str = "", bucket: str = BUCKET) -> str:
        return f"{self.scheme}://{connection or self.connection}@{bucket}/{folder}"

    def warm_up(self) -> None:
        """Have the library imported once, and not by every try."""
        if not self.is_warm:
            self.worker("import", *self.modules)
            self.is_warm = True

    def put(self, folder: str, **files: bytes) -> None:
        """Store files in a folder; their names without their `.csv`."""
        self.worker("put", self.url(folder), {f"{name}.csv": data for name, data in files.items()})


@contextmanager
def working(folder: Path, connections: dict[str, dict[str, Any]]) -> Iterator[Worker]:
    worker = Worker(folder, connections)
    try:
        yield worker
    finally:
        worker.stop()


def ready(store: Store) -> Store:
    """The store, with a bucket in it."""
    store.worker("make_bucket", store.url(""))
    return store


@contextmanager
def started(folder: Path, command: list[object], port: int, **environment: str) -> Iterator[None]:
    """A server for as long as the block lasts."""
    if not PROGRAMS.exists():
        pytest.skip("the object stores are not installed: make test, without K, brings them")
    log = folder / "server.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=folder,
            env={**os.environ, **environment},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 300
        while not listens(port):
            has_time = process.poll() is None and time.monotonic() < deadline
            assert has_time, log.read_text()[-2000:]
            time.sleep(0.05)
        yield
    finally:
        # With what it has started: node's is a program that starts node. What it holds is thrown away.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(300)


@contextmanager
def s3(folder: Path) -> Iterator[Store]:
    """SeaweedFS, which speaks S3."""
    key, secret = secrets.token_hex(10), secrets.token_hex(20)
    known = {"name": "tests", "credentials": [{"accessKey": key, "secretKey": secret}], "actions": ["Admin"]}
    (folder / "s3.json").touch(0o600)
    (folder / "s3.json").write_text(json.dumps({"identities": [known]}))
    parts = ("master", "volume", "filer", "s3")
    port_of = {name: free_port() for part in parts for name in (part, f"{part}.grpc")}
    port = port_of["s3"]
    command = [
        *(PROGRAMS / "weed", "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}", "-volume.max=100"),
        *(f"-{name.replace('.', '.port.') if '.' in name else name + '.port'}={at}" for name, at in port_of.items()),
        *("-filer", "-s3", f"-s3.config={folder / 's3.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0"),
    ]

    def connection(port: int, login: str = key, password: str = secret, **config: object) -> dict[str, Any]:
        extra = {"endpoint_url": f"http://127.0.0.1:{port}", "region_name": "us-east-1", "config_kwargs": config}
        return {"conn_type": "aws", "login": login, "password": password, "extra": extra}

    with started(folder, command, port), proxy_of(f"http://127.0.0.1:{port}") as proxy:
        connections = {
            "aws_default": connection(port),
            "wrong_key": connection(port, secrets.token_hex(10)),
            "wrong_secret": connection(port, password=secret[::-1]),
            # By itself boto tries for up to a minute.
            "through_proxy": connection(proxy.server_port, retries={"total_max_attempts": 1}),
            "gone": connection(free_port(), retries={"total_max_attempts": 1}),
        }
        with working(folder, connections) as worker:
            back_door = f"http://127.0.0.1:{port_of['filer']}/buckets"
            yield ready(
                Store(
                    "s3",
                    "aws_default",
                    worker,
                    proxy,
                    [secret, secret[::-1]],
                    ("s3fs", "airflow.providers.amazon.aws.fs.s3"),
                    back_door,
                )
            )


@contextmanager
def azure(folder: Path) -> Iterator[Store]:
    """Azurite, which speaks as Azure Blob Storage does."""
    account, key = "tests", b64encode(secrets.token_bytes(64)).decode()
    port = free_port()
    command = [
        *(PROGRAMS / "node", PROGRAMS.parent / "azurite/node_modules/azurite/dist/src/blob/main.js"),
        *("--silent", "--skipApiVersionCheck", "--disableTelemetry", "--location", folder),
        *("--blobHost", "127.0.0.1", "--blobPort", port),
    ]

    def connection(port: int, key: str = key) -> dict[str, Any]:
        parts = {
            "DefaultEndpointsProtocol": "http",
            "AccountName": account,
            "AccountKey": key,
            "BlobEndpoint": f"http://127.0.0.1:{port}/{account}",
        }
        said = ";".join(f"{name}={value}" for name, value in parts.items())
        return {"conn_type": "wasb", "extra": {"connection_string": said}}

    wrong = b64encode(secrets.token_bytes(64)).decode()
    with (
        started(folder, command, port, AZURITE_ACCOUNTS=f"{account}:{key}"),
        proxy_of(f"http://127.0.0.1:{port}") as proxy,
    ):
        connections = {
            "wasb_default": connection(port),
            "wrong_key": connection(port, wrong),
            "through_proxy": connection(proxy.server_port),
            "gone": connection(free_port()),
        }
        with working(folder, connections) as worker:
            yield ready(
                Store(
                    "abfs",
                    "wasb_default",
                    worker,
                    proxy,
                    [key, wrong],
                    ("adlfs", "airflow.providers.microsoft.azure.fs.adls"),
                )
            )


@contextmanager
def gcs(folder: Path) -> Iterator[Store]:
    """An emulator of Google Cloud Storage, which lets everybody in."""
    port = free_port()
    command = [PROGRAMS / "gcp-storage-emulator", "start", "--host=127.0.0.1", f"--port={port}", "--in-memory"]

    def connection(port: int) -> dict[str, Any]:
        extra = {"is_anonymous": True, "gcs.endpoint": f"http://127.0.0.1:{port}", "project": "tests"}
        return {"conn_type": "google_cloud_platform", "extra": extra}

    with started(folder, command, port), proxy_of(f"http://127.0.0.1:{port}") as proxy:
        connections = {
            "google_cloud_default": connection(port),
            "through_proxy": connection(proxy.server_port),
            "gone": connection(free_port()),
        }
        with working(folder, connections) as worker:
            yield ready(
                Store(
                    "gs", "google_cloud_default", worker, proxy, [], ("gcsfs", "airflow.providers.google.cloud.fs.gcs")
                )
            )
