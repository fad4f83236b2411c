"""What the header of a SQL file says: its title, its grain, what it reads, how it is written."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "dags"))
import sql_files


@dataclass(frozen=True)
class Header:
    """A SQL file's header. A check and a function have a title alone: the rest is empty.

    :param title: what the file is, without its name.
    :param grain: what one row stands for.
    :param reads: tables and views, each with its schema; empty for "nothing".
    :param write: how the table is written.
    """

    title: str
    grain: str
    reads: list[str]
    write: str


def header(path: Path) -> Header:
    """Return what the header of a SQL file says; a line that is missing is empty."""
    said = {"Title": "", "Grain": "", "Reads": "", "Write": ""}
    part = "Title"
    for line in sql_files.header(path).splitlines():
        named = re.match(r"(Grain|Reads|Write): +(.*)", line)
        part, text = (named[1], named[2]) if named else (part, line)
        # A title of a line is whole; what follows it in a check says why, not what.
        if not (part == "Title" and said[part].endswith(".")):
            said[part] = f"{said[part]} {text}".strip()
    title = said["Title"].partition(": ")[2]
    return Header(title, said["Grain"].removesuffix("."), sql_files.qualified(said["Reads"]), said["Write"])
