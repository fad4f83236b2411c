"""The director's page, written anew after every publish, and again when the forecast of that day is there.

Off until the Variable `ltv_report` names a folder, or the URL of an object store's as in `ltv_source`. A DAG of its
own, outside of any run: a chart that cannot be drawn is red here, and holds back neither the number nor the forecast.
Whoever may see this DAG finds it in the menu, or here: [the report](/customer-report/).

When the task is red: its log names the file of `sql/report/` that is at fault. Mend it and clear the task.
"""

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import DAG, Asset, task
from in_run import CONN_ID, TASKS

with DAG(
    dag_id="customer_report",
    doc_md=__doc__,
    schedule=Asset("marts.customer_ltv") | Asset("marts.customer_forecast"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args=TASKS,
) as dag:

    @task(doc_md="Runs the charts of `sql/report/` in one read-only transaction and writes index.html.")
    def page(folder: str) -> Any:
        """Write the page into the folder, or skip where there is none; raise what report_page does."""
        import report_page
        from airflow.providers.postgres.hooks.postgres import PostgresHook
        from airflow.sdk.exceptions import AirflowSkipException

        if not folder:
            raise AirflowSkipException("There is no Variable ltv_report: no page is written")
        with PostgresHook(CONN_ID).get_conn() as connection:
            made = report_page.page(connection)
        return report_page.write(folder, made)

    page("{{ var.value.get('ltv_report', '') }}")
