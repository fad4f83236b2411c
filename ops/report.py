"""Write the director's page, `report/index.html`, from what the warehouse holds: `make report`.

REPORT, a folder or the URL of an object store's, takes the place of `report/`.
"""

import os
import sys
from pathlib import Path

import airflow_home
import migrate
import psycopg
import server

sys.path.append(str(server.ROOT / "dags"))


def main() -> None:
    """Write the page and say where it is; raise SystemExit with a sentence where that cannot be."""
    url, _ = migrate.warehouse()
    folder = os.environ.get("REPORT") or str(server.ROOT / "report")
    for name, value in airflow_home.settings(url, airflow_home.RUN_HOME).items():
        os.environ.setdefault(name, value)
    # Airflow writes into its home as soon as it is imported.
    from report_page import ReportError, page, write
    from stores import BadFileError

    try:
        with psycopg.connect(url, client_encoding="UTF8") as connection:
            made = page(connection)
        written = write(folder if "://" in folder else str(Path(folder).resolve()), made)
    except (ReportError, psycopg.Error, OSError, BadFileError) as error:
        raise SystemExit(f"make report: {error}") from None
    print(f"The page is in {written}: open it in a browser.")


if __name__ == "__main__":
    main()
