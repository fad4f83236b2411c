"""A delivery's folder, local or an object store's: what lies in it, its files in blocks, and errors in plain words.

Every request to a store goes through here. What a store said a minute ago is asked again, not remembered: a listing
that the library keeps would hide that a file has changed.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import IO, Any, cast

from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import has_fs

# A file is read in requests of this size, one after the other, whatever its own is. Left to themselves the libraries
# take 50 MiB at a time (s3fs, adlfs), or fetch several pieces ahead (gcsfs).
BLOCK_BYTES = 8 << 20
LOCAL = {"", "file", "local"}
# Whose errors are no OSError, though each is one of reading a file.
LIBRARIES = {"aiobotocore", "aiohttp", "azure", "botocore", "gcsfs", "google", "requests"}
# What Azure counts when a file is read: no change of the file.
COUNTED = {"last_accessed_on"}


class BadFileError(Exception):
    """A file that cannot be loaded; the message names the file and says what is wrong."""


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status that a store has answered with, where its library's error says so."""
    for name in ("status_code", "code", "status"):
        if str(found := getattr(error, name, None)).isdecimal():
            return int(str(found))
    return 403 if str(error).startswith("Forbidden") else None


def sentence_of(error: BaseException) -> str:
    """Return the first line of an error, without what follows the `?` of an address: a signature may stand there."""
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    return re.sub(r"\?[^\s'\"]+", "?…", said)[:300]


def in_plain_words(error: Exception, path: ObjectStoragePath) -> OSError:
    """Return a store's error as FileNotFoundError, PermissionError or, where a retry may help, OSError."""
    status, said = status_of(error), sentence_of(error)
    if isinstance(error, FileNotFoundError) or status == 404:
        return FileNotFoundError(f"{path} is not there: {said}")
    if isinstance(error, PermissionError) or status in (401, 403) or re.search("Credential|Auth", type(error).__name__):
        named = f"look at the Airflow connection {path.conn_id}" if path.conn_id else "its URL names no connection"
        return PermissionError(f"{path}: access is refused: {said}; {named}")
    return OSError(f"{path}: the store cannot be read: {said}")


@contextmanager
def plain_errors(path: ObjectStoragePath) -> Iterator[None]:
    """Raise what goes wrong in a store as an OSError that says so; what is local says so by itself."""
    try:
        yield
    except Exception as error:
        is_its_own = isinstance(error, OSError) or type(error).__module__.partition(".")[0] in LIBRARIES
        if path.protocol in LOCAL or not is_its_own:
            raise
        raise in_plain_words(error, path) from None


def folder_at(url: str) -> ObjectStoragePath:
    """Return the folder; raises BadFileError when nothing that is installed reads such a URL."""
    scheme, is_url, _ = url.partition("://")
    if is_url and not has_fs(scheme):
        raise BadFileError(f"{url}: no provider of Airflow for {scheme}:// is installed (README, In the cloud)")
    return ObjectStoragePath(url)


def files_in(folder: ObjectStoragePath) -> list[ObjectStoragePath]:
    """Return what lies in a folder. Raises FileNotFoundError or NotADirectoryError when there is no such folder."""
    with plain_errors(folder):
        folder.fs.invalidate_cache()
        names = [name.rstrip("/") for name in folder.fs.ls(folder.path, detail=False)]
    if names == [folder.path.rstrip("/")]:
        raise NotADirectoryError(str(folder))
    return [folder / name.rpartition("/")[2] for name in names]


def state_of(path: ObjectStoragePath) -> dict[str, Any]:
    """Return what the store says of a file: size, time, identity."""
    with plain_errors(path):
        path.fs.invalidate_cache()
        return {name: value for name, value in path.fs.info(path.path).items() if name not in COUNTED}


def changed_at(path: ObjectStoragePath) -> datetime:
    """Return when a file was written last, with its time zone."""
    with plain_errors(path):
        return cast("datetime", path.fs.modified(path.path))


def is_file(path: ObjectStoragePath) -> bool:
    """Whether there is such a file, and no folder, pipe or the like of its name."""
    try:
        return bool(state_of(path)["type"] == "file")
    except FileNotFoundError:
        return False


@contextmanager
def stored_bytes(path: ObjectStoragePath) -> Iterator[IO[bytes]]:
    """Open a file as it is stored; no more of it than two blocks is held at a time."""
    with plain_errors(path):
        stored = path.fs.open(path.path, "rb", block_size=BLOCK_BYTES, cache_type="readahead")
    with stored:
        yield cast("IO[bytes]", stored)
