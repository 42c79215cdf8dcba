# `make demo` and `make test` need python3 (3.10 or newer) and make; everything else is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
LOCK := requirements.lock

.PHONY: help demo pictures test integration coverage properties stack bench env compose-test month lint types format lock clean
help:
	@echo "make demo   make videos from a manifest of photographs, with an emulated Kling account"
	@echo "make test   run the tests but for those of make integration, in two minutes; ARGS=\"-k retry\""
	@echo "make integration  the tests that take seconds: whole DAGs, API servers, browsers, processes that are killed, many rows"
	@echo "make coverage  the tests of make test with branch coverage; fails below 90 %"
	@echo "make properties  the property tests alone, with twenty times as many inputs and worlds"
	@echo "make stack  kill parts of a complete Airflow on PostgreSQL (needs Debian's postgresql); ARGS=\"--rows 40\""
	@echo "make bench  measure costs and slot use in ten minutes; ARGS=full for all measurements"
	@echo "make env    write .env with new passwords for docker compose up"
	@echo "make compose-test  test docker-compose.yaml without Docker (needs root, postgresql, redis-server and prometheus)"
	@echo "make pictures  take the screenshots of the docs again (needs chromium)"
	@echo "make month  the same with a backfill of 30 dates: kill parts of it, then clear half of it"
	@echo "make lint   check style and errors with ruff   make format  fix what ruff can fix"
	@echo "make types  check types with mypy --strict"
	@echo "make lock   update the locked dependencies     make clean   remove all files that these commands created"

# All commands use the locked versions.
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

# Needs Debian's package chromium.
pictures: $(VENV)/installed
	$(BIN)/python docs/pictures/take.py $(ARGS)

# Many tests wait for a pause to pass, so more processes than cores are of use.
PARALLEL = -n "$${TEST_PROCESSES:-3}" --dist worksteal --durations 10

test: $(VENV)/installed
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -m "not integration" $(PARALLEL) $(ARGS)

integration: $(VENV)/installed
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -m integration $(PARALLEL) $(ARGS)

coverage: $(VENV)/installed
	./tests/coverage.sh $(BIN)/python $(ARGS)

properties: $(VENV)/installed
	$(BIN)/python -m pytest -m hypothesis --hypothesis-profile long -n "$${TEST_PROCESSES:-3}" --dist worksteal --durations 10 $(ARGS)

stack: $(VENV)/installed
	$(BIN)/python -m pytest tests/stack $(ARGS)

bench: $(VENV)/installed
	$(BIN)/python benchmarks/run.py $(ARGS)

# Needs only Python: with Docker you need no .venv.
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
