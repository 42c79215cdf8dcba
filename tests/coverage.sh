#!/usr/bin/env bash
# The tests of `make test` with branch coverage, in this process and in those they start: tests/coverage.sh PYTHON [pytest's arguments]
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1
shift
unset PYTHONDONTWRITEBYTECODE # where it is set, every process compiles all modules anew
rm -f .coverage .coverage.*
"$python" -m coverage run -m pytest -m "not integration" -n "${TEST_PROCESSES:-3}" --dist worksteal --durations 10 "$@"
"$python" -m coverage combine --quiet
"$python" -m coverage report
