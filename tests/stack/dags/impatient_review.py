"""The sample DAG kling_effects_reviewed, with seconds to answer instead of days."""

import linecache
from pathlib import Path

import airflow_provider_kling

ROOT = Path(airflow_provider_kling.__file__).parent.parent
NAME = f"{__file__}.source"
source = (ROOT / "dags" / "kling_effects_reviewed.py").read_text(encoding="utf-8")
changes = {
    "timedelta(days=3)": "timedelta(seconds=5)",
    "def kling_effects_reviewed(": "def impatient_review(",
    "\nkling_effects_reviewed()": "\nimpatient_review()",
}
for old, new in changes.items():
    if old not in source:
        raise AssertionError(old)
    source = source.replace(old, new)
linecache.cache[NAME] = (len(source), None, source.splitlines(keepends=True), NAME)  # Airflow stores the source of tasks
exec(compile(source, NAME, "exec"))  # noqa: S102 - so that Airflow finds the DAG in this file
