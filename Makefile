# Every command of this project. The first one shows them all.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/run.txt
DEV := $(VENV)/dev.txt
BENCH := $(VENV)/bench/bench.txt
STORES := $(VENV)/stores/stores.txt
ORACLE := $(VENV)/oracle/oracle.txt
DOCS := $(VENV)/docs/docs.txt
export DATA AS_OF UI_PORT REPORT N TIMES PARTS BASE FAIL_OVER FILE CASE
# Airflow takes seven seconds to compile; once is enough.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run diff try test test-compose faults fuzz bench docs report screenshots lint format psql ui doctor migrate stop clean secrets s3 azure gcs openlineage

help: ## show these lines
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

run: $(RUN) ## run the pipeline once on data/ (DATA=<folder or URL> AS_OF=<YYYY-MM-DD> DATABASE_URL=postgresql://…)
	@$(VENV)/bin/python ops/run.py

diff: $(RUN) ## show what the edited SQL does: rows, ltv, checks, cost (BASE=<git revision> DATA=… FAIL_OVER=<rows or share>)
	@$(VENV)/bin/python ops/diff.py

try: $(RUN) ## run one SQL file on one case, expected against got (FILE=sql/staging/orders.sql CASE=<folder>)
	@$(VENV)/bin/python ops/try_case.py

test: $(if $(K),$(DEV),lint $(STORES) $(ORACLE) $(DOCS)) ## run lint and every test (K=<part of a name>: just those tests)
	@$(VENV)/bin/python -m pytest $(if $(K),-vv --tb=short -k '$(K)',-q --numprocesses=auto --maxprocesses=4 --dist=loadfile)

test-compose: $(DEV) ## start docker-compose.yaml on an engine of the test's own, with both executors and monitoring, and kill parts of it (Debian, as root)
	@$(VENV)/bin/python -m pytest -q -s -r fE -m compose tests/test_compose.py

faults: $(DEV) $(STORES) ## run every test of faults: each fault against each task (make test runs each once per kind of task)
	@$(VENV)/bin/python -m pytest -q -m '' --numprocesses=auto --maxprocesses=4 tests/test_faults.py tests/test_failover.py tests/test_object_storage.py

fuzz: $(DEV) ## run 10,000 generated deliveries through the pipeline, on every core (SEED=<1 to 10>: 1,000 of them)
	@printf '%s\n' $(or $(SEED),1 2 3 4 5 6 7 8 9 10) | xargs -P $$(getconf _NPROCESSORS_ONLN) -I '{}' \
		env FUZZ_SEED='{}' FUZZ_DELIVERIES=1000 $(VENV)/bin/python -m pytest -q -s -p no:cacheprovider tests/test_fuzz.py

bench: $(RUN) $(BENCH) $(ORACLE) ## measure the pipeline against COPY, other tools and itself (N=<orders> TIMES=3 PARTS="loads growth …")
	@$(VENV)/bin/python bench/bench.py

docs: $(RUN) $(DOCS) ## build site/ from the warehouse, sql/, the DAGs and the guides: open site/index.html, no network needed
	@$(VENV)/bin/python ops/facts.py .local/docs.json
	@$(VENV)/docs/bin/python docs/make/build.py .local/docs.json site
	@echo 'Built: site/index.html'

lint: $(DEV) ## check SQL, Python, types, migrations, the compose file and the Dockerfile
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/sqlfluff lint --processes 0 sql tests
	@$(VENV)/bin/squawk sql/migrations/*.sql sql/distributed/migrations/*.sql
	@$(VENV)/bin/docker-compose --profile '*' config --quiet --no-interpolate
	@$(VENV)/bin/hadolint Dockerfile tests/stand_ins/*/Dockerfile

format: $(DEV) ## put SQL and Python into the project's style
	@$(VENV)/bin/ruff check --fix . ; $(VENV)/bin/ruff format .
	@$(VENV)/bin/sqlfluff fix --processes 0 sql tests

s3: $(VENV)/s3.txt ## install what reads deliveries from S3 (DATA=s3://connection@bucket/folder)
azure: $(VENV)/azure.txt ## install what reads deliveries from Azure Blob Storage (DATA=abfs://connection@container/folder)
gcs: $(VENV)/gcs.txt ## install what reads deliveries from Google Cloud Storage (DATA=gs://connection@bucket/folder)

openlineage: $(VENV)/openlineage.txt ## install what tells OpenLineage which tables each task reads and writes

report: $(VENV)/report.txt ## write the director's page, report/index.html, from what the warehouse holds
	@$(VENV)/bin/python ops/report.py

screenshots: $(DEV) ## make the pictures of the README anew, docs/img/*.png, from the sample
	@$(VENV)/bin/python -m pytest -q -m screenshots tests/test_report.py

psql: $(RUN) ## open psql on the warehouse; SQL from standard input prints just the result
	@$(VENV)/bin/python ops/psql.py

ui: $(RUN) ## start Airflow's web page on 127.0.0.1:8080 (UI_PORT=…), with the daily schedule on
	@$(VENV)/bin/python ops/ui.py

doctor: $(RUN) ## look at everything that a night needs, a line each, and say what to do (DATA=… DATABASE_URL=…)
	@$(VENV)/bin/python ops/doctor.py

migrate: $(RUN) ## bring the warehouse to the version of sql/
	@$(VENV)/bin/python ops/migrate.py

stop: ## stop the embedded database
	@if [ -x $(VENV)/bin/python ]; then $(VENV)/bin/python ops/server.py stop; fi
	@echo 'The embedded database is stopped.'

clean: ## stop the embedded database and remove .local/ with everything in it
	@if [ -x $(VENV)/bin/python ]; then $(VENV)/bin/python ops/server.py remove; fi
	@rm -rf .local
	@echo 'The embedded database and .local/ are gone.'

# uv comes first, by pip and its hash; everything else comes by uv and the lock's hashes.
$(VENV)/bin/uv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13) and "Python 3.11, 3.12 or 3.13 is needed: make PYTHON=python3.12 …")'
	@$(PYTHON) -m venv $(VENV) || { echo 'python3 -m venv does not work here: on Debian and Ubuntu, install python3-venv'; exit 1; }
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/uv.txt
	@touch $@

$(RUN): requirements/run.txt $(VENV)/bin/uv
	@echo 'Installing what a run needs into $(VENV) …' >&2
	@$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --require-hashes --requirement requirements/run.txt
	@cp $< $@

$(DEV): requirements/dev.txt requirements/fixtures.txt $(RUN)
	@echo 'Installing what the tests need into $(VENV) …' >&2
	@$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --require-hashes --requirement requirements/dev.txt
	@$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --require-hashes --no-deps --requirement requirements/fixtures.txt
	@cp $< $@

# --no-deps: each lock is whole, but for most of what Google's provider asks for (requirements/gcs.excludes).
$(addprefix $(VENV)/,s3.txt azure.txt gcs.txt openlineage.txt report.txt): $(VENV)/%.txt: requirements/%.txt $(RUN)
	@echo 'Installing what is needed for $* into $(VENV) …' >&2
	@$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --no-deps --require-hashes --requirement $<
	@cp $< $@

# A laptop has none of these providers, and so has the environment that everything else is tested in.
$(STORES): requirements/stores.txt requirements/s3.txt requirements/azure.txt requirements/gcs.txt requirements/openlineage.txt requirements/report.txt requirements/azurite/package-lock.json $(RUN)
	@echo 'Installing object stores, and what reads from them, into $(VENV)/stores …' >&2
	@$(VENV)/bin/uv venv --quiet --allow-existing --python $(VENV)/bin/python $(VENV)/stores
	@$(VENV)/bin/uv pip install --quiet --python $(VENV)/stores/bin/python --no-deps --require-hashes $(addprefix --requirement requirements/,run.txt s3.txt azure.txt gcs.txt openlineage.txt report.txt stores.txt)
	@mkdir -p $(VENV)/stores/azurite && cp requirements/azurite/*.json $(VENV)/stores/azurite
	@PATH=$(CURDIR)/$(VENV)/stores/bin:$$PATH npm ci --prefix $(VENV)/stores/azurite --silent --ignore-scripts --no-audit --no-fund
	@cp $< $@

# dbt and Airflow pin different things: the benchmarks' peers live in an environment of their own.
$(BENCH): requirements/bench.txt $(VENV)/bin/uv
	@echo 'Installing what the benchmarks compare with into $(VENV)/bench …' >&2
	@$(VENV)/bin/uv venv --quiet --allow-existing --python $(VENV)/bin/python $(VENV)/bench
	@$(VENV)/bin/uv pip install --quiet --compile-bytecode --python $(VENV)/bench/bin/python --require-hashes --requirement requirements/bench.txt
	@cp $< $@

# What the forecast is compared with pins its own pandas and numpy.
$(ORACLE): requirements/oracle.txt $(VENV)/bin/uv
	@echo 'Installing what the forecast is compared with into $(VENV)/oracle …' >&2
	@$(VENV)/bin/uv venv --quiet --allow-existing --python $(VENV)/bin/python $(VENV)/oracle
	@$(VENV)/bin/uv pip install --quiet --python $(VENV)/oracle/bin/python --require-hashes --requirement requirements/oracle.txt
	@cp $< $@

# Sphinx and Airflow pin different things; npm brings what is written in JavaScript.
$(DOCS): requirements/docs.txt requirements/docs/package-lock.json $(VENV)/bin/uv
	@echo 'Installing what the documentation is built with into $(VENV)/docs …' >&2
	@$(VENV)/bin/uv venv --quiet --allow-existing --python $(VENV)/bin/python $(VENV)/docs
	@$(VENV)/bin/uv pip install --quiet --python $(VENV)/docs/bin/python --require-hashes --requirement requirements/docs.txt
	@cp requirements/docs/*.json $(VENV)/docs
	@PATH=$(CURDIR)/$(VENV)/docs/bin:$$PATH npm ci --prefix $(VENV)/docs --silent --ignore-scripts --no-audit --no-fund
	@cp $< $@

secrets: ## write .env: random passwords for docker compose (one that is there stays)
	@$(PYTHON) ops/env_file.py
