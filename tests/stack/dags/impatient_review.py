"""The sample DAG kling_effects_reviewed, with seconds to answer instead of days."""

import os
from pathlib import Path

import airflow_provider_kling

ROOT = Path(airflow_provider_kling.__file__).parent.parent
source = (ROOT / "dags" / "kling_effects_reviewed.py").read_text(encoding="utf-8")
for old, new in {"timedelta(days=3)": "timedelta(seconds=5)", "def kling_effects_reviewed": "def impatient_review"}.items():
    if old not in source:
        raise AssertionError(old)
    source = source.replace(old, new)
source = source.replace("\nkling_effects_reviewed()", "\nimpatient_review()")
exec(compile(source, os.path.abspath(__file__), "exec"))  # noqa: S102 - Airflow finds the DAG under this file's name
