# slim: the image's other providers would keep their packages at versions that the lock replaces.
FROM apache/airflow:slim-3.3.2

COPY requirements/image.txt /tmp/image.txt
# The lock names the image's own Airflow, so that stays; --no-deps: what is not in the lock is not installed.
# An empty airflow.cfg: Airflow would write one, with its passwords, where compose lets nobody write.
RUN pip install --no-cache-dir --no-deps --require-hashes --requirement /tmp/image.txt \
    && touch /opt/airflow/airflow.cfg

# Owned by root: no task can change what the next one runs.
COPY dags /opt/airflow/dags
COPY sql /opt/airflow/sql
COPY plugins /opt/airflow/plugins
COPY ops /opt/airflow/ops
COPY data /opt/airflow/data
