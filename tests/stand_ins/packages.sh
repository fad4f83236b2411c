#!/usr/bin/env bash
# Run once inside the base image, as root: what apache/airflow:slim-3.3.2 has of users, folders and Python packages.
# $1 is Airflow's version; /uv, /cache and /lock.txt are the project's uv, its cache and its lock.
set -euo pipefail
useradd --uid 50000 --gid 0 --create-home --shell /bin/bash airflow
install --directory --owner airflow --group 0 --mode 775 /opt/airflow /opt/airflow/dags /opt/airflow/logs
python3 -m venv /home/airflow/.local
UV_CACHE_DIR=/cache /uv pip install --quiet --python /home/airflow/.local/bin/python --link-mode copy \
    --compile-bytecode --constraint /lock.txt "apache-airflow==$1"
chown -R airflow:0 /home/airflow
chmod -R g=u /home/airflow
