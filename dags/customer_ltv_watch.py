"""At six in the morning: has customer_ltv published yesterday? If not, this is red and whoever is on call is told.

A DAG of its own, and no deadline of customer_ltv's: it notices a night that has no DAG run too, because customer_ltv
is paused, broken or stuck, and for it a backfill of the past is not late. It writes nothing.
"""

from datetime import timedelta

from airflow.providers.common.sql.operators.sql import SQLCheckOperator
from airflow.sdk import DAG, CronTriggerTimetable
from alerts import tell_of_lateness
from in_run import CONN_ID, RETRY_WHAT_CAN_PASS

with DAG(
    dag_id="customer_ltv_watch",
    doc_md=__doc__,
    # Without a start_date: on a new Airflow it waits for the next morning, and does not judge the last one.
    schedule=CronTriggerTimetable("0 6 * * *", timezone="Africa/Kigali", run_immediately=False),
    catchup=False,
) as dag:
    SQLCheckOperator(
        task_id="published",
        conn_id=CONN_ID,
        sql="SELECT NOT EXISTS (SELECT FROM audit.late('{{ dag_run.logical_date or dag_run.run_after }}'))",
        retries=2,
        retry_delay=timedelta(minutes=1),
        retry_policy=RETRY_WHAT_CAN_PASS,
        # A night that is late is late at the next try too.
        retry_on_failure=False,
        on_failure_callback=tell_of_lateness,
        doc_md="Red when the day before has not been published; its log has the sentence.",
    )
