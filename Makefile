# `make demo` and `make test` need python3 (3.10 or newer) and make; all else is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
LOCK := requirements.lock

.PHONY: help demo test stack bench env compose-test month lint types format lock clean
help:
	@echo "make demo   a manifest of photographs becomes videos, against a Kling account on this machine"
	@echo "make test   the tests, with branch coverage"
	@echo "make stack  a whole Airflow on PostgreSQL is killed in every way (needs Debian's postgresql)"
	@echo "make bench  what it costs and how full the slots are: ten minutes; ARGS=full for all"
	@echo "make env    write .env, with new passwords, for docker compose up"
	@echo "make compose-test  the services of docker-compose.yaml without Docker (needs root, postgresql and redis-server)"
	@echo "make month  the same: a backfill of 30 dates, killed on the way, and half of it again"
	@echo "make lint   ruff: style and mistakes          make format  mend what can be mended"
	@echo "make types  mypy, strict"
	@echo "make lock   resolve the dependencies anew     make clean   remove all that these commands made"

# Everything that runs here uses the versions of the lock.
$(VENV)/installed: $(LOCK) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.10 or newer is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 10) else 0'
	@$(PYTHON) -m venv $(VENV) || { echo "The venv module of Python is needed (on Debian: apt-get install python3-venv)."; exit 1; }
	@echo "Installing Airflow and the provider into $(VENV) …"
	$(BIN)/python -m pip install --quiet "$$(sed -n 's/^\(uv==[^ ]*\).*/\1/p' $(LOCK))"
	$(UV) pip sync --quiet --python $(BIN)/python --compile-bytecode $(LOCK)
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(VENV)/installed
	$(BIN)/python demo/run.py

test: $(VENV)/installed
	./tests/run.sh $(BIN)/python

stack: $(VENV)/installed
	$(BIN)/python -m pytest tests/stack $(ARGS)

bench: $(VENV)/installed
	$(BIN)/python benchmarks/run.py $(ARGS)

# Needs nothing but Python: whoever runs Docker needs no .venv.
env:
	@$(PYTHON) docker/make_env.py

compose-test: $(VENV)/installed
	$(BIN)/python -m pytest tests/compose -p no:cacheprovider $(ARGS)

month: $(VENV)/installed
	$(BIN)/python -m pytest tests/compose/test_month.py -p no:cacheprovider -p no:xdist -s \
	  --dates 30 --rows 40 --slots 10 --seconds 5 --workers 2 $(ARGS)

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/installed
	$(BIN)/mypy

COMPILE = $(UV) pip compile pyproject.toml --extra emulator --group dev --universal --python-version 3.10 \
  --generate-hashes --no-annotate --no-header --quiet --upgrade

lock: $(VENV)/installed
	$(COMPILE) --output-file $(LOCK)
	for version in 3.1 3.2; do \
	  echo "apache-airflow==$$version.*" | $(COMPILE) --constraint - --output-file .ci/airflow-$$version.lock; \
	done

clean:
	rm -rf $(VENV) build dist .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis
