"""What customers will be worth: two models, fitted once a week and scored after every publish of customer_ltv.

A DAG of its own, outside of any run: it begins when `marts.customer_ltv` has been published, reads what is there, and
writes to the schema `forecast` alone. Whatever becomes of it, the nightly number is out. A task is a file of
`sql/forecast/`; a name with a double underscore is a check. Until those have passed readers see the last forecast.

When a task is red: its log says why in one sentence. Mend that and clear the task, or wait for the next publish.
"""

from datetime import UTC, datetime

from airflow.sdk import DAG, Asset, BaseOperator, chain_linear
from in_run import TASKS, LastRowCheckOperator, PlainSqlOperator
from sql_files import SQL, header

PUBLISHED = {"customer_forecast": [Asset("marts.customer_forecast")]}


def task(name: str) -> BaseOperator:
    """Return the task that runs a file of sql/forecast/: it fills a table, or holds a claim against the data."""
    task_id, file, doc = f"forecast.{name}", f"forecast/{name}.sql", header(SQL / "forecast" / f"{name}.sql")
    if "__" in name:
        return LastRowCheckOperator(task_id=task_id, sql=file, doc_md=doc, retry_on_failure=False)
    return PlainSqlOperator(task_id=task_id, sql=file, doc_md=doc, outlets=PUBLISHED.get(name, []))


def checks(table: str) -> list[BaseOperator]:
    """Return the tasks of every check on a table."""
    return [task(path.stem) for path in sorted((SQL / "forecast").glob(f"{table}__*.sql"))]


with DAG(
    dag_id="customer_forecast",
    doc_md=__doc__,
    schedule=[Asset("marts.customer_ltv")],
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    template_searchpath=str(SQL),
    default_args=TASKS,
) as dag:
    scores, customer_forecast = task("scores"), task("customer_forecast")
    counted = [task("cohorts"), task("repeat_buyers")]
    chain_linear(task("customer_rfm"), checks("customer_rfm"), counted, task("clv_model"), task("expectations"), scores)
    chain_linear(scores, checks("scores"), customer_forecast, checks("customer_forecast"))
