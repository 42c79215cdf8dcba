# `make demo` and `make test` need python3 (3.10 or newer) and make; everything else is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
LOCK := requirements.lock

.PHONY: help demo pictures test integration tutorial properties matrix stack bench day day-check env compose-test docs docs-links month lint types format lock clean dist hooks release
help:
	@echo "make demo   make videos from a manifest of photographs, with an emulated Kling account"
	@echo "make test   run the tests but for those of make integration, in two minutes; ARGS=\"-k retry\", COVERAGE=yes"
	@echo "make integration  the tests that take seconds: whole DAGs, API servers, browsers, processes that are killed, many rows"
	@echo "make tutorial  paste the commands of the tutorial and the guides into a shell; ARGS=--pictures takes its pictures"
	@echo "make properties  the property tests alone, with twenty times as many inputs and worlds"
	@echo "make matrix  the wheel on every Airflow and Python that is supported; ARGS=\"--airflow 3.4 --python 3.13\", ARGS=--help"
	@echo "make stack  kill parts of a complete Airflow on PostgreSQL (needs Debian's postgresql); ARGS=\"--rows 40\""
	@echo "make bench  measure costs and slot use in ten minutes; ARGS=full for all measurements"
	@echo "make day    a day of 1,000, 100,000 and 1,000,000 videos in virtual time: docs/production/capacity.md; ARGS=100000"
	@echo "make day-check  a day of ten minutes in a complete Airflow, compared with the simulation (needs postgresql)"
	@echo "make env    write .env with new passwords for docker compose up"
	@echo "make compose-test  test docker-compose.yaml without Docker (needs root, postgresql, redis-server and prometheus)"
	@echo "make docs   build the site into build/docs; every warning is an error   make docs-links  also ask for links to other hosts"
	@echo "make pictures  take the screenshots of the docs again (needs chromium)"
	@echo "make month  the same with a backfill of 30 dates: kill parts of it, then clear half of it"
	@echo "make lint   check style and errors with ruff   make format  fix what ruff can fix"
	@echo "make types  check types with mypy --strict"
	@echo "make hooks  let git check style and types before each commit"
	@echo "make dist   build wheel and source archive   make release  check what must be true before a version is tagged"
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

# All pages are read anew: Sphinx repeats no warning of a page that has not changed.
SPHINX = $(BIN)/python -m sphinx --fail-on-warning --keep-going --fresh-env --quiet docs

docs: $(VENV)/installed
	rm -rf build/docs
	$(SPHINX) -b html -d build/docs-read build/docs
	@echo "Open build/docs/index.html; no server is needed."

docs-links: $(VENV)/installed
	$(SPHINX) -b linkcheck -d build/docs-read build/docs-links

# Many tests of `make test` wait for a pause to pass, so more processes than cores are of use: on two cores, three take four minutes.
PARALLEL = --dist worksteal --durations 10

test: $(VENV)/installed
	@$(if $(COVERAGE),./tests/coverage.sh $(BIN)/python,env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -m "not integration" -n "$${TEST_PROCESSES:-8}" $(PARALLEL)) $(ARGS)

integration: $(VENV)/installed
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -m integration -n "$${TEST_PROCESSES:-3}" $(PARALLEL) $(ARGS)

tutorial: $(VENV)/installed
	$(BIN)/python -m pytest tests/tutorial -s -p no:cacheprovider -p no:xdist $(ARGS)

properties: $(VENV)/installed
	$(BIN)/python -m pytest -m hypothesis --hypothesis-profile long -n "$${TEST_PROCESSES:-3}" --dist worksteal --durations 10 $(ARGS)

# The built wheel on every Airflow and every Python; ARGS="--airflow 3.4 --python 3.13", ARGS=--help.
matrix: $(VENV)/installed
	$(BIN)/python .ci/matrix $(ARGS)

stack: $(VENV)/installed
	$(BIN)/python -m pytest tests/stack $(ARGS)

bench: $(VENV)/installed
	$(BIN)/python benchmarks/run.py $(ARGS)

day: $(VENV)/installed
	$(BIN)/python benchmarks/day.py $(ARGS)
	$(BIN)/python benchmarks/day_picture.py

day-check: $(VENV)/installed
	$(BIN)/python benchmarks/day_check.py $(ARGS)

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
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/feature.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(BIN)/pre-commit validate-config
	$(BIN)/zizmor --offline --quiet --strict-collection .github .pre-commit-config.yaml
	@if command -v actionlint >/dev/null; then actionlint; else echo "actionlint is not installed here: the workflow CI runs it."; fi

format: $(VENV)/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/installed
	$(BIN)/mypy
	cd .ci && ../$(BIN)/mypy --strict release.py green.py
	$(BIN)/mypy tests/decorators/typed_functions.py
	MYPYPATH=.ci/matrix $(BIN)/mypy .ci/matrix/*.py

# The same hooks as `make lint types`, with the tools of .venv.
hooks: $(VENV)/installed
	$(BIN)/pre-commit install

dist: $(VENV)/installed
	rm -rf dist
	$(UV) build --quiet --wheel --sdist --no-build-isolation --out-dir dist

release: $(VENV)/installed
	$(BIN)/python .ci/release.py $(ARGS)

COMPILE = $(UV) pip compile pyproject.toml --extra emulator --group dev --group docs --universal \
  --generate-hashes --no-annotate --no-header --quiet --upgrade

lock: $(VENV)/installed
	$(COMPILE) --python-version 3.10 --output-file $(LOCK)
	$(BIN)/python .ci/matrix/lock.py $(COMPILE)
	$(UV) pip compile pyproject.toml .ci/tutorial.in --extra emulator --extra s3 --universal --python-version 3.10 \
	  --no-annotate --no-header --quiet --upgrade --output-file .ci/tutorial.lock

clean:
	rm -rf $(VENV) build dist .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis
