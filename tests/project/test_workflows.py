"""What the files for the public host rely on: commands that exist, actions that cannot change, rights that are asked for."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from places import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
# Where people and machines read which command to run.
NAMING = [
    *sorted((ROOT / ".github").rglob("*.*")),
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
VERSIONS = ROOT / ".ci" / "matrix" / "versions.py"
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")


def targets_in(text: str) -> set[str]:
    """The targets of each `make` in shell commands, code blocks and code spans: `make lint types` names two."""
    commands = re.findall(r"(?:^|[`&;\"] *|: )make ([a-z][a-z-]*(?: [a-z][a-z-]*)*)", text, re.MULTILINE)
    return {target for command in commands for target in command.split()}


def uses_of(text: str) -> Iterator[tuple[str, str]]:
    """The actions that a workflow uses, and the comments beside them."""
    for line in text.splitlines():
        if match := re.match(r"\s*(?:- )?uses: (\S+)\s*(?:# (.*))?$", line):
            yield match[1], match[2] or ""


def test_make_is_understood():
    text = '- run: PATH="x" make lint types\n`make demo` runs\nmake test\ncd a && make matrix ARGS=3\nto make videos'
    assert targets_in(text) == {"lint", "types", "demo", "test", "matrix"}


@pytest.mark.parametrize("path", NAMING, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_each_target_that_is_named_exists(path):
    assert targets_in(path.read_text(encoding="utf-8")) <= TARGETS


def test_the_workflows_run_what_the_project_runs():
    named = {target for path in WORKFLOWS for target in targets_in(path.read_text(encoding="utf-8"))}
    assert {"lint", "types", "matrix", "docs", "lock", "properties", "dist"} <= named


def test_ci_runs_each_cell_of_the_matrix():
    spec = importlib.util.spec_from_file_location("versions_of_the_matrix", VERSIONS)
    assert spec is not None
    assert spec.loader is not None
    versions = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(versions)
    table = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]["matrix"]["strategy"]["matrix"]
    left_out = {(cell["airflow"], cell["python"]) for cell in table["exclude"]}
    cells = {(airflow, python) for airflow in table["airflow"] for python in table["python"]} - left_out
    assert cells == {(cell.airflow.version, cell.python) for cell in versions.CELLS}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_with_their_version(path):
    for action, comment in uses_of(path.read_text(encoding="utf-8")):
        if not action.startswith("./"):
            assert PINNED.fullmatch(action), action
            assert re.fullmatch(r"v\d+\.\d+\.\d+", comment), action


def test_an_action_has_one_version():
    pins = {pin for path in WORKFLOWS for pin in uses_of(path.read_text(encoding="utf-8")) if not pin[0].startswith("./")}
    assert len({action.partition("@")[0] for action, _ in pins}) == len(pins)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_has_no_rights_and_a_job_the_fewest(path):
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        rights = {right for right, access in job["permissions"].items() if access == "write"}
        assert not rights or name in {"deploy", "publish", "report", "announce"}
        assert "timeout-minutes" in job or "uses" in job
        # Whoever writes or proves who it is runs nothing of the checkout.
        assert not (rights and any("checkout" in step.get("uses", "") or "make" in step.get("run", "") for step in steps(job)))


def steps(job: dict[str, Any]) -> list[dict[str, Any]]:
    return job.get("steps", [])


def test_nothing_is_uploaded_before_everything_is_green():
    jobs = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8"))["jobs"]
    assert jobs["ci"]["uses"] == "./.github/workflows/ci.yml"
    assert jobs["publish"]["needs"] == ["ci", "build"]
    assert jobs["publish"]["environment"]["name"] == "pypi"
    assert any("release.py --tag" in step.get("run", "") for step in steps(jobs["build"]))


def test_hooks_run_the_locked_tools():
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert repo["repo"] == "local"
    lint = (ROOT / "Makefile").read_text(encoding="utf-8")
    for hook in repo["hooks"]:
        assert hook["language"] == "system"
        tool, _, _ = hook["entry"].partition(" ")
        assert tool.startswith(".venv/bin/")
        # What git checks, `make lint types` checks as well.
        assert f"$(BIN)/{tool.removeprefix('.venv/bin/')}" in lint
    assert {"ruff check", "ruff format", "mypy"} <= {hook["name"] for hook in repo["hooks"]}


def test_paths_of_contributing_exist():
    """Those of commands, code spans and links; a room of the package may stand without the package's name."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    spans = set(re.findall(r"(?<=[` (])((?:tests|docs|demo|\.ci|\.github)/[\w./-]*\w|[a-z_]+/(?:\w+\.py)?)(?=[` ),])", text))
    links = set(re.findall(r"\]\((?!https:)([^)#]+)", text))
    assert {"tests/api", "client/settings.py", "api/"} <= spans
    assert "CODE_OF_CONDUCT.md" in links
    for path in spans | links:
        assert (ROOT / path).exists() or (ROOT / "airflow_provider_kling" / path).exists(), path
