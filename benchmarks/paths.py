"""Importing this lets the benchmarks use the whole Airflow of the tests."""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[1:1] = [str(ROOT / "tests"), str(ROOT / "tests" / "stack")]
