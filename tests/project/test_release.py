"""`make release`: each of its checks can fail, and says why. Each test has a clone of its own, of a project of five files."""

from __future__ import annotations

import datetime as dt
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from places import ROOT

sys.path.insert(0, str(ROOT / ".ci"))
import green
import release

TODAY = dt.datetime.now(dt.timezone.utc).date()
FILES = {
    "airflow_provider_kling/__init__.py": '__version__ = "0.2.0"\n',
    "CHANGELOG.md": f"""
# Changelog

## [Unreleased]

[Unreleased]: https://example.com

## [0.2.0] - {TODAY}

### Added

- More.

## [0.1.0] - 2026-01-02

- All.
""",
    "README.md": "# A project\n\n![A picture](https://example.com/a.png) and [a link](https://example.com)\n",
    "requirements.lock": """
pytest==8.4.2 \\
    --hash=sha256:00
requests==2.32.5 ; python_version > '3' \\
    --hash=sha256:00
""",
    "pyproject.toml": """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "airflow-provider-kling"
dynamic = ["version"]
requires-python = ">=3.10"
dependencies = ["requests>=2.32"]
[dependency-groups]
dev = ["pytest>=8.3"]
[tool.hatch.version]
path = "airflow_provider_kling/__init__.py"
""",
    "Makefile": "COMPILE = compile --group dev\n.PHONY: docs\ndocs:\n\tmkdir -p build/docs\n\techo . > build/docs/index.html\n",
    ".gitignore": "/build/\n__pycache__/\n",
}


class Clone:
    """A git repository with one commit of these files, on main, ready to be released."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name, text in FILES.items():
            self.write(name, text)
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit()
        self.git("tag", "v0.1.0")
        green.begin(root)
        green.end(root)

    @property
    def project(self) -> release.Project:
        return release.Project(root=self.root, today=TODAY)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def replace(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text(encoding="utf-8")
        assert old in text
        self.write(name, text.replace(old, new))

    def git(self, *arguments: str) -> str:
        return green.git(self.root, *arguments)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "A step")


@pytest.fixture
def clone(tmp_path, monkeypatch) -> Clone:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Somebody")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "somebody@example.com")
    return Clone(tmp_path / "clone")


def days(number: int) -> str:
    return (TODAY + dt.timedelta(days=number)).isoformat()


def change(name: str, old: str, new: str) -> Callable[[Clone], object]:
    return lambda clone: clone.replace(name, old, new)


def dated(text: str) -> Callable[[Clone], object]:
    return change("CHANGELOG.md", f"{TODAY}", text)


def no_metadata(clone: Clone) -> None:
    clone.replace("pyproject.toml", "[project]", "[projects]")
    clone.commit()


def other_files(clone: Clone) -> None:
    clone.write("README.md", "other")
    clone.commit()


INIT = "airflow_provider_kling/__init__.py"
# What is broken: the check that must notice it, how it is broken, and the sentence.
BREAKS = {
    "a file is changed": (release.tree_is_clean, lambda c: c.write("README.md", "other"), "1 files are not .*README.md"),
    "a file is new": (release.tree_is_clean, lambda c: c.write("new.py", ""), "new.py"),
    "another branch": (release.branch_is_main, lambda c: c.git("checkout", "-qb", "fix"), "from main, this is fix"),
    "no branch": (release.branch_is_main, lambda c: c.git("checkout", "-q", "--detach"), "from main"),
    "released already": (release.version_is_new, lambda c: c.git("tag", "v0.2.0"), "0.2.0 is released already"),
    "an older version": (release.version_is_new, lambda c: c.git("tag", "v0.10.0"), "0.2.0, and 0.10.0 is released"),
    "no version": (release.version_is_new, change(INIT, "0.2.0", "0.2.0.dev1"), "'0.2.0.dev1', not MAJOR"),
    "no heading": (release.changelog_has_it, change(INIT, "0.2.0", "0.3.0"), r"no heading `## \[0.3.0\] - "),
    "no date": (release.changelog_has_it, change("CHANGELOG.md", f" - {TODAY}", ""), "has no date"),
    "an old date": (release.changelog_has_it, dated(days(-8)), f"dates 0.2.0 {days(-8)}"),
    "a date to come": (release.changelog_has_it, dated(days(1)), f"dates 0.2.0 {days(1)}"),
    "no entry": (release.changelog_has_it, change("CHANGELOG.md", "- More.", ""), "says nothing of 0.2.0"),
    "not released": (release.nothing_is_unreleased, change("CHANGELOG.md", "[Unreleased]:", "- [A]:"), "move them under 0.2.0"),
    "to do": (release.nothing_is_left_to_do, lambda c: c.write(INIT, "# TODO: this\n"), "__init__.py:1:# TODO: this"),
    "true before it only": (
        release.nothing_is_left_to_do,
        change("README.md", "# A", "<!-- before the release -->"),
        "README.md:1:",
    ),
    "not locked": (release.lock_fits_pyproject, change("pyproject.toml", '"pytest', '"ruff", "pytest'), "ruff of pyproject"),
    "an older lock": (
        release.lock_fits_pyproject,
        change("pyproject.toml", ">=2.32", ">=2.33"),
        ">=2.33, and requirements.lock has 2.32.5",
    ),
    "no run of CI": (release.ci_was_green, lambda c: (c.root / green.MARKER).unlink(), "run .ci/run"),
    "a run that has not ended": (release.ci_was_green, lambda c: green.begin(c.root), "to its end"),
    "a run of other files": (release.ci_was_green, other_files, "with other files: run it again"),
    "no address": (
        release.readme_renders,
        change("README.md", "https://example.com/a.png", "docs/a.png"),
        "docs/a.png, which is no file",
    ),
    "docs that do not build": (release.docs_build, change("Makefile", "echo .", "no-such-command"), "make docs fails: "),
    "no docs": (release.docs_build, change("Makefile", "index.html", "other.html"), "has made no build/docs/index.html"),
    "no build": (release.wheel_is_reproducible, no_metadata, "cannot be built: "),
}


@pytest.mark.parametrize(("check", "broken", "sentence"), BREAKS.values(), ids=BREAKS)
def test_each_check_can_fail(clone, check, broken, sentence):
    broken(clone)
    problems = list(check(clone.project))
    assert len(problems) == 1
    assert re.search(sentence, problems[0]), problems


def test_each_check_is_tested():
    assert {check for check, _, _ in BREAKS.values()} == set(release.CHECKS)


def test_a_wheel_that_is_another_one_each_time(clone):
    """As with a hook that writes the time of the build."""
    clone.write("pyproject.toml", FILES["pyproject.toml"] + "[tool.hatch.build.hooks.custom]\n")
    clone.write(
        "hatch_build.py",
        "import uuid\nfrom hatchling.builders.hooks.plugin.interface import BuildHookInterface\n"
        "class Hook(BuildHookInterface):\n"
        "    def initialize(self, version, build_data):\n"
        "        open(f'{self.root}/airflow_provider_kling/built.txt', 'w').write(uuid.uuid4().hex)\n",
    )
    clone.commit()
    problems = list(release.wheel_is_reproducible(clone.project))
    assert "airflow_provider_kling-0.2.0-py3-none-any.whl is another file each time it is built" in problems


def run(clone: Clone, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-B", str(clone.root / ".ci/release.py"), *arguments]  # -B: it leaves no file
    return subprocess.run(command, cwd=clone.root.parent, capture_output=True, text=True, check=False)


@pytest.fixture
def with_script(clone) -> Clone:
    """The same, with the script in it."""
    for name in ("release.py", "green.py"):
        clone.write(f".ci/{name}", (ROOT / ".ci" / name).read_text(encoding="utf-8"))
    clone.commit()
    return clone


def test_what_is_ready_gets_the_commands_and_nothing_is_done(with_script):
    for when in ("begin", "end"):
        subprocess.run([sys.executable, ".ci/green.py", when], cwd=with_script.root, check=True)
    before = with_script.git("for-each-ref"), with_script.git("status", "--porcelain", "--ignored")
    ready = run(with_script)
    assert ready.returncode == 0, ready.stdout + ready.stderr
    commit = with_script.git("rev-parse", "HEAD")
    assert f'git tag --annotate --message "airflow-provider-kling 0.2.0" v0.2.0 {commit}' in ready.stdout
    assert ready.stdout.count("ok ") == len(release.CHECKS)
    assert (with_script.git("for-each-ref"), with_script.git("status", "--porcelain", "--ignored")) == before


def test_what_is_not_ready_gets_no_command(with_script):
    with_script.replace(INIT, "0.2.0", "0.1.0")
    with_script.write("Makefile", "COMPILE = compile --group dev\ndocs:\n\tfalse\n")
    refused = run(with_script)
    assert refused.returncode == 1
    assert "NO   tree is clean" in refused.stdout
    assert "NO   docs build" in refused.stdout
    assert "git tag" not in refused.stdout


def test_the_tag_of_the_workflow_is_the_version(with_script):
    notes = with_script.root.parent / "notes.md"
    assert run(with_script, "--tag", "v0.2.0", "--notes", str(notes)).returncode == 0
    assert notes.read_text(encoding="utf-8") == "### Added\n\n- More.\n"
    for wrong in ("v0.2.1", "0.2.0"):
        refused = run(with_script, "--tag", wrong)
        assert (refused.returncode, refused.stdout) == (1, f"NO   the tag is {wrong}, and __version__ is 0.2.0\n")


def test_ci_speaks_of_the_files_as_they_were_from_its_start_to_its_end(clone, capsys):
    green.begin(clone.root)
    clone.write("README.md", "changed meanwhile")
    green.end(clone.root)
    assert "changed while .ci/run was at work" in capsys.readouterr().out
    assert not (clone.root / green.MARKER).exists()


def test_ci_may_run_before_the_commit(clone):
    """Its tree is that of the files, so a commit of these very files has been tested."""
    clone.write("README.md", "better")
    green.begin(clone.root)
    green.end(clone.root)
    clone.commit()
    assert list(release.ci_was_green(clone.project)) == []


def test_ci_runs_without_git(clone):
    shutil.rmtree(clone.root / ".git")
    clone.write(".ci/green.py", (ROOT / ".ci" / "green.py").read_text(encoding="utf-8"))
    begun = subprocess.run([sys.executable, ".ci/green.py", "begin"], cwd=clone.root, capture_output=True, text=True, check=False)
    assert begun.returncode == 0
    assert "Not remembered for `make release`" in begun.stdout
    ended = subprocess.run([sys.executable, ".ci/green.py", "end"], cwd=clone.root, capture_output=True, text=True, check=False)
    assert ended.returncode == 0


def test_the_real_run_of_ci_writes_the_marker_at_its_end():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert script.index("green.py begin") < script.index("\nstep ") < script.index("green.py end") < script.index("All green")
