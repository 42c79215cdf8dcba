#!/usr/bin/env bash
# The tests with branch coverage, in this process and in those they start: tests/run.sh PYTHON [pytest's arguments]
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1
shift
unset PYTHONDONTWRITEBYTECODE # where it is set, every process compiles all modules anew
rm -f .coverage .coverage.*
# Many tests wait for a pause to pass, so more processes than cores are of use.
"$python" -m coverage run -m pytest -n "${TEST_PROCESSES:-4}" --dist worksteal --durations 10 "$@"
"$python" -m coverage combine --quiet
"$python" -m coverage report
