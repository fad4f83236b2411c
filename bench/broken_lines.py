"""What a broken line costs: COPY of a million lines that are whole, and of a million with a thousand broken ones.

Prints the seconds of each try and the ratio of their medians. It makes a server of its own and removes it.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "dags"), str(ROOT / "ops")]

import migrate
import psycopg
import server
from copy_csv import CopyCsvOperator
from sql_files import SQL, deployed_fingerprint, fingerprint

LINES, BROKEN, TRIES = 1_000_000, 1_000, 5
FLAWS = ("{0},7\n", '{0},"7,3,2026-01-01,5\n', "\n", "{0},1,2,3,4,5,6\n")


def write(folder: Path, broken: int) -> Path:
    """Write payment_data.csv with so many broken lines among its good ones; return the folder."""
    folder.mkdir()
    with (folder / "payment_data.csv").open("w", encoding="utf-8") as file:
        file.write("payment_id,customer_id,order_id,payment_date,amount\n")
        for number in range(LINES):
            if broken and number % (LINES // broken) == 0:
                file.write(FLAWS[number // (LINES // broken) % len(FLAWS)].format(number))
            file.write(f"{number},{number % 90_000},{number * 3},2026-01-{number % 28 + 1:02},{number % 500}.50\n")
    return folder


def seconds(url: str, folder: Path, run_id: str) -> float:
    """Load the folder's file in a run of its own; return how long it took."""
    with psycopg.connect(url) as connection:
        opening = "SELECT audit.begin_run(%s, '2026-01-31', now(), %s, %s)"
        connection.execute(opening, [run_id, deployed_fingerprint(), fingerprint([SQL])])
        connection.commit()
        operator = CopyCsvOperator(task_id="raw.payment_data", source="payment_data", folder=str(folder))
        started = time.monotonic()
        operator.load(connection, run_id)
        connection.commit()
        return time.monotonic() - started


def main() -> None:
    """Measure in turns, so that a busy moment hits both."""
    with tempfile.TemporaryDirectory() as place:
        made = server.create(Path(place) / "server")
        try:
            migrate.migrate(made.url, made.admin_url)
            folders = {"whole": write(Path(place) / "whole", 0), "broken": write(Path(place) / "broken", BROKEN)}
            taken: dict[str, list[float]] = {name: [] for name in folders}
            for number in range(TRIES):
                for name, folder in folders.items():
                    taken[name].append(seconds(made.url, folder, f"{name} {number}"))
        finally:
            made.remove()
    for name, tries in taken.items():
        print(f"{name:<7}", *(f"{one:6.2f} s" for one in tries))
    ratio = statistics.median(taken["broken"]) / statistics.median(taken["whole"])
    print(f"{LINES:,} lines with {BROKEN:,} broken ones take {ratio:.1f} x the time of as many whole ones")


if __name__ == "__main__":
    main()
