"""Which Airflow and Python versions the package supports: the one table that locks, tests, classifiers and docs agree with.

The Pythons of an Airflow are those in the metadata of `apache-airflow-core` (`Requires-Python` and classifiers) of its newest
patch. Each cell compares this table with the metadata of the Airflow that is installed in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

CI = Path(__file__).resolve().parent.parent
ROOT = CI.parent


@dataclass(frozen=True)
class Excluded:
    """Tests that do not run on one Airflow."""

    options: tuple[str, ...]  # of pytest
    reason: str


@dataclass(frozen=True)
class Airflow:
    """A minor version of Airflow."""

    version: str
    pythons: tuple[str, ...]  # oldest first
    constraints: tuple[str, ...] = ()  # of its lock, beyond what its own metadata demands
    excluded: tuple[Excluded, ...] = ()

    @property
    def lock(self) -> Path:
        return CI / f"airflow-{self.version}.lock"


AIRFLOWS = (
    Airflow(
        "3.1",
        ("3.10", "3.11", "3.12", "3.13"),
        excluded=(
            Excluded(("--ignore=tests/batch", "-k", "not forty_rows"), "dag.test of 3.1 is so slow that the slots are never full"),
            Excluded(("--ignore=tests/plugin/test_pages_in_airflow.py",), "the pages of 3.1 write errors into the console"),
        ),
    ),
    # The API server of 3.2.2 does not start with a newer FastAPI ("needs a discriminator field"); 3.3 itself demands this one.
    # `dags test` of 3.2.2 forgets the lifespan of its API, and svcs 26 takes the registry away with it ("no attribute
    # 'svcs_registry'").
    Airflow("3.2", ("3.10", "3.11", "3.12", "3.13", "3.14"), constraints=("fastapi<0.137", "svcs<26")),
    Airflow("3.3", ("3.10", "3.11", "3.12", "3.13", "3.14")),
    Airflow("3.4", ("3.11", "3.12", "3.13", "3.14")),
)

# Tests that do not use Airflow: they run once for each Python, in the cell of the newest Airflow that supports it.
WITHOUT_AIRFLOW = (
    *("api", "commands", "client", "dispatch", "emulator", "naming", "results"),
    *("batch/test_killed_batch.py", "plugin/test_pages.py", "prices/test_price_book.py"),
    *("test_rooms.py", "test_second_product.py", "test_redaction.py", "test_harmless_texts.py", "test_shown_places.py"),
    *("project", "test_docs.py", "test_reference_pages.py", "test_day.py", "test_production_pages.py", "test_watch_list.py"),
    *("test_compose_file.py", "test_fuzz.py", "test_bad_inputs.py", "test_by_date.py", "test_readme.py", "test_versions.py"),
)


class Pair(NamedTuple):
    """A cell of the matrix: an Airflow on a Python."""

    airflow: Airflow
    python: str

    @property
    def name(self) -> str:
        return f"airflow-{self.airflow.version}-python-{self.python}"

    def pytest_options(self) -> list[str]:
        """Which tests run in this cell."""
        newest = [airflow for airflow in AIRFLOWS if self.python in airflow.pythons][-1]
        ignored = [] if self.airflow == newest else [f"--ignore=tests/{path}" for path in WITHOUT_AIRFLOW]
        return [*ignored, *(option for excluded in self.airflow.excluded for option in excluded.options)]


CELLS = tuple(Pair(airflow, python) for airflow in AIRFLOWS for python in airflow.pythons)
PYTHONS = tuple(sorted({cell.python for cell in CELLS}, key=lambda python: int(python.split(".")[1])))
