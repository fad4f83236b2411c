"""The director's page in Airflow's web page, for whoever is logged in and may see the DAG that writes it.

Every process of Airflow loads the plugins, each task's too: what only the web page needs is imported by its first
request.
"""

import errno
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

from airflow.plugins_manager import AirflowPlugin

PAGE = "/customer-report"
# It is one file with all that it needs: nothing else is served, loaded or run.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; "
    # For these two the first one does not stand in.
    "form-action 'none'; base-uri 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


def whole(path: str) -> bytes:
    """Return a local file; raise OSError where it is a link: whoever may write beside the page shows no other file."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        return file.read()


@cache
def application() -> Any:
    """Return what answers requests: the page, or 404 with a sentence where there is none."""
    from airflow.api_fastapi.core_api.security import requires_access_dag
    from airflow.sdk import Variable
    from fastapi import Depends, FastAPI, HTTPException, Response

    sys.path.append(str(Path(__file__).resolve().parents[1] / "dags"))
    from stores import LOCAL, folder_at, plain_errors

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/", dependencies=[Depends(requires_access_dag("GET", param_dag_id="customer_report"))])
    def page() -> Response:
        folder = Variable.get("ltv_report", default="")
        if not folder:
            raise HTTPException(404, "The report is off: set the Variable ltv_report to a folder (README, The report)")
        path = folder_at(folder) / "index.html"
        try:
            with plain_errors(path):
                text = whole(path.path) if path.protocol in LOCAL else path.read_bytes()
        except FileNotFoundError:
            raise HTTPException(404, "The report has not been written yet: run the DAG customer_report") from None
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise HTTPException(404, "index.html is a link, which is not followed: run customer_report") from None
        return Response(text, media_type="text/html; charset=utf-8", headers=HEADERS)

    return app


async def serve(scope: Any, receive: Any, send: Any) -> None:
    """Answer a request, as ASGI has it."""
    await application()(scope, receive, send)


class CustomerReport(AirflowPlugin):
    """A place in the menu, which shows the page, and what serves it."""

    name = "customer_report"
    fastapi_apps = [{"app": serve, "url_prefix": PAGE, "name": "customer_report"}]  # noqa: RUF012
    external_views = [  # noqa: RUF012
        {"name": "Report", "href": f"{PAGE}/", "url_route": "customer-report", "destination": "nav"}
    ]
