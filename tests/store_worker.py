"""What the tests of object storage run where the stores' providers are installed, each call in a process of its own.

As on a worker of Airflow: what is slow to import is there before the fork, what belongs to a store is not.
"""

import os
import resource
import sys
from collections.abc import Callable
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.connection import Client, Connection

import one_task
import psycopg
import stores
from copy_csv import CopyCsvOperator
from pipeline import run_pipeline

FORK = get_context("fork")


def make_bucket(url: str) -> None:
    path = stores.folder_at(url)
    path.fs.mkdir(path.bucket)


def put(url: str, files: dict[str, bytes]) -> None:
    """Store files under a URL, by the same connection that reads them."""
    for name, data in files.items():
        path = stores.folder_at(url) / name
        path.fs.pipe_file(path.path, data)


def put_in_pieces(url: str, name: str, header: bytes, block: bytes, times: int) -> None:
    path = stores.folder_at(url) / name
    with path.fs.open(path.path, "wb", block_size=8 << 20) as file:
        file.write(header)
        for _ in range(times):
            file.write(block)


def sizes_before_and_after(url: str, by_another: str, files: dict[str, bytes]) -> list[dict[str, int]]:
    """What a store says of a folder's files before and after somebody else has put others there."""

    def sizes() -> dict[str, int]:
        return {path.name: stores.state_of(path)["size"] for path in stores.files_in(stores.folder_at(url))}

    before = sizes()
    put(by_another, files)
    return [before, sizes()]


def try_task(task_id: str, run_id: str, as_of: str, warehouse: str, folder: str, log: str) -> tuple[str, str, str]:
    """Run a task once; return its error, its sentence, and what the retry policy makes of it."""
    stores.BLOCK_BYTES = 1 << 15
    here, there = FORK.Pipe()
    one_task.run(task_id, run_id, as_of, warehouse, folder, "", 1, there, log)
    said: tuple[str, str, str] = here.recv()
    return said


def load(warehouse: str, source: str, folder: str, run_id: str) -> tuple[int, int]:
    """Load a source as its task does; return the memory at rest and at the peak, in bytes."""
    with psycopg.connect(warehouse) as connection:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        CopyCsvOperator(task_id=f"raw.{source}", source=source, folder=folder).load(connection, run_id)
    return before * 1024, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


CALLS: dict[str, Callable[..., object]] = {
    function.__name__: function
    for function in (make_bucket, put, put_in_pieces, sizes_before_and_after, try_task, load, run_pipeline)
}


def answer(connection: Connection, name: str, arguments: tuple[object, ...], log: str) -> None:
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    try:
        said = (True, CALLS[name](*arguments))
    except Exception as error:
        said = (False, f"{type(error).__name__}: {error}")
    connection.send(said)


def main(address: str, log: str) -> None:
    """Answer calls until the other side hangs up."""
    with Client(address) as connection:
        while True:
            try:
                name, arguments = connection.recv()
            except EOFError:
                return
            if name == "import":
                for module in arguments:
                    import_module(module)
                connection.send((True, None))
                continue
            process = FORK.Process(target=answer, args=(connection, name, arguments, log))
            process.start()
            process.join()
            if process.exitcode:
                connection.send((False, f"{name} has ended with {process.exitcode}"))


if __name__ == "__main__":
    main(*sys.argv[1:])
