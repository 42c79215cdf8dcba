"""What the project says of Airflow and Python versions in six places is the same in all of them."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from places import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
PAGE = (ROOT / "docs" / "reference" / "versions.md").read_text(encoding="utf-8")


def load_versions() -> Any:
    """The table of `make matrix`, which is no package."""
    spec = importlib.util.spec_from_file_location("kling_matrix_versions", ROOT / ".ci" / "matrix" / "versions.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


VERSIONS = load_versions()
AIRFLOWS, PYTHONS = VERSIONS.AIRFLOWS, VERSIONS.PYTHONS


def locked(lock: Path, name: str) -> list[str]:
    return re.findall(rf"^{re.escape(name)}==([^ \\;]+)", lock.read_text(encoding="utf-8"), re.MULTILINE)


def test_each_airflow_has_its_lock_and_no_other_has_one():
    assert sorted(ROOT.glob(".ci/airflow-*.lock")) == sorted(airflow.lock for airflow in AIRFLOWS)


@pytest.mark.parametrize("airflow", AIRFLOWS, ids=lambda airflow: airflow.version)
def test_a_lock_holds_one_patch_of_its_airflow(airflow):
    (version,) = locked(airflow.lock, "apache-airflow")
    assert re.fullmatch(rf"{re.escape(airflow.version)}\.\d+((a|b|rc)\d+)?", version)
    for constraint in map(Requirement, airflow.constraints):
        assert all(constraint.specifier.contains(found) for found in locked(airflow.lock, constraint.name))


def test_the_page_lists_the_cells():
    rows = re.findall(r"^\| (3\.\d+) \| ((?:3\.\d+(?:, )?)+) \|$", PAGE, re.MULTILINE)
    assert rows == [(airflow.version, ", ".join(airflow.pythons)) for airflow in AIRFLOWS]


def test_the_outcomes_on_the_page_are_those_of_all_cells():
    table = PAGE.partition("<!-- make matrix: begin -->")[2].partition("<!-- make matrix: end -->")[0]
    rows = re.findall(r"^\| (3\.\d+)\S* \| (3\.\d+)\S* \|", table, re.MULTILINE)
    assert rows == [(cell.airflow.version, cell.python) for cell in VERSIONS.CELLS]


def test_the_classifiers_list_the_pythons():
    found = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if line.startswith("Programming Language :: Python :: 3.")]
    assert found == list(PYTHONS)


def test_the_installer_refuses_what_is_older():
    python = SpecifierSet(PROJECT["requires-python"])
    assert [minor for minor in range(6, 15) if python.contains(f"3.{minor}")] == [int(name.split(".")[1]) for name in PYTHONS]
    (airflow,) = (Requirement(line) for line in PROJECT["dependencies"] if Requirement(line).name == "apache-airflow")
    oldest = next(minor for minor in range(9) if airflow.specifier.contains(f"3.{minor}.0"))
    assert f"3.{oldest}" == AIRFLOWS[0].version


def test_the_readme_names_the_oldest_and_the_newest():
    said = f"Airflow {AIRFLOWS[0].version} to {AIRFLOWS[-1].version} on Python {PYTHONS[0]} to {PYTHONS[-1]}"
    assert said in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.skipif(not WORKFLOW.exists(), reason="there is no workflow")
def test_the_workflow_runs_the_cells():
    matrix = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]["matrix"]["strategy"]["matrix"]
    left_out = [(cell["airflow"], cell["python"]) for cell in matrix["exclude"]]
    cells = [(airflow, python) for airflow in matrix["airflow"] for python in matrix["python"]]
    assert [cell for cell in cells if cell not in left_out] == [(cell.airflow.version, cell.python) for cell in VERSIONS.CELLS]


def test_each_test_runs_on_each_python():
    """Those that do not use Airflow are left out on all but one Airflow of each Python, and are files that exist."""
    assert all((ROOT / "tests" / path).exists() for path in VERSIONS.WITHOUT_AIRFLOW)
    for python in PYTHONS:
        whole = [cell for cell in VERSIONS.CELLS if cell.python == python and "--ignore=tests/api" not in cell.pytest_options()]
        assert len(whole) == 1
        assert not whole[0].airflow.excluded
