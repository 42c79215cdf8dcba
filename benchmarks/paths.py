"""Importing this module makes the tests' modules importable, such as the complete Airflow of tests/stack."""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[1:1] = [str(ROOT / "tests"), str(ROOT / "tests" / "stack")]
