"""`make release`: checks what must be true before a version is tagged, and prints the commands that tag it. It changes nothing.

With `--tag`, as the workflow of the release has it: whether the tag is the version, and `--notes` writes its part of CHANGELOG.md.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import importlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from green import MARKER, git

PACKAGE = "airflow_provider_kling"
SITE = "build/docs"
# Only the first days of a date are the day of the release.
OLDEST_DATE = dt.timedelta(days=7)
# Where users read. The tests and this file may speak of such marks.
READ_BY_USERS = (PACKAGE, "dags", "docs", "demo", "*.md", "pyproject.toml")
OPEN = r"\b(TODO|FIXME|XXX)\b|<!-- before the release"


@dataclass(frozen=True)
class Project:
    """A clone, and the day on which it shall be released."""

    root: Path
    today: dt.date

    @property
    def version(self) -> str:
        text = (self.root / PACKAGE / "__init__.py").read_text(encoding="utf-8")
        found = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
        return found[1] if found else ""

    @property
    def changelog(self) -> dict[str, tuple[str, str]]:
        """The date and the text of each version in CHANGELOG.md."""
        text = (self.root / "CHANGELOG.md").read_text(encoding="utf-8")
        parts = re.split(r"^## \[?([^\]\s]+)\]?(?: - (\S+))?.*$", text, flags=re.MULTILINE)[1:]
        return {version: (date or "", body) for version, date, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True)}


def numbers(version: str) -> tuple[int, ...]:
    """1.2.3 as (1, 2, 3); nothing for what is not three numbers."""
    return tuple(map(int, version.split("."))) if re.fullmatch(r"\d+\.\d+\.\d+", version) else ()


def entries(body: str) -> list[str]:
    """The entries of a version in CHANGELOG.md, without headings and the targets of links."""
    return [line for line in body.splitlines() if line.strip() and not re.match(r"#|\[[^\]]+\]: ", line)]


def tree_is_clean(project: Project) -> Iterator[str]:
    changed = git(project.root, "status", "--porcelain").splitlines()
    if changed:
        yield f"{len(changed)} files are not committed, the first is {changed[0][3:]}"


def branch_is_main(project: Project) -> Iterator[str]:
    branch = git(project.root, "rev-parse", "--abbrev-ref", "HEAD")
    if branch != "main":
        yield f"a release is made from main, this is {branch}"


def version_is_new(project: Project) -> Iterator[str]:
    version = project.version
    if not numbers(version):
        yield f"__version__ in {PACKAGE}/__init__.py is {version!r}, not MAJOR.MINOR.PATCH"
        return
    released = [tag[1:] for tag in git(project.root, "tag", "--list", "v*").split() if numbers(tag[1:])]
    newest = max(released, key=numbers, default="")
    if newest and numbers(version) <= numbers(newest):
        yield f"__version__ is {version}, and {newest} is released already: count it up"


def changelog_has_it(project: Project) -> Iterator[str]:
    wanted = f"## [{project.version}] - {project.today.isoformat()}"
    date, body = project.changelog.get(project.version, ("", ""))
    if project.version not in project.changelog:
        yield f"CHANGELOG.md has no heading `{wanted}`"
        return
    try:
        age = project.today - dt.date.fromisoformat(date)
    except ValueError:
        yield f"the heading of {project.version} in CHANGELOG.md has no date, it should be `{wanted}`"
        return
    if not dt.timedelta() <= age <= OLDEST_DATE:
        yield f"CHANGELOG.md dates {project.version} {date}, today is {project.today.isoformat()}"
    if not entries(body):
        yield f"CHANGELOG.md says nothing of {project.version}"


def nothing_is_unreleased(project: Project) -> Iterator[str]:
    _, body = project.changelog.get("Unreleased", ("", ""))
    if entries(body):
        yield f"CHANGELOG.md has entries under Unreleased: move them under {project.version}"


def nothing_is_left_to_do(project: Project) -> Iterator[str]:
    command = ["git", "grep", "-nIP", "-e", OPEN, "--", *READ_BY_USERS]
    found = subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=False)
    yield from (f"still to do: {line.strip()}" for line in found.stdout.splitlines())


def requirements_of(project: Project) -> list[str]:
    """What `make lock` hands to uv: the requirements of pyproject.toml, with the extras and groups that the Makefile names."""
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    pyproject = toml.loads((project.root / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = set(pyproject["project"]["dependencies"])
    for kind, name in re.findall(r"--(extra|group) (\S+)", (project.root / "Makefile").read_text(encoding="utf-8")):
        table = pyproject["dependency-groups"] if kind == "group" else pyproject["project"]["optional-dependencies"]
        wanted |= {entry for entry in table[name] if isinstance(entry, str)}
    return sorted(wanted)


def lock_fits_pyproject(project: Project) -> Iterator[str]:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    locked: dict[str, list[str]] = {}
    lock = (project.root / "requirements.lock").read_text(encoding="utf-8")
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", lock, re.MULTILINE):
        locked.setdefault(canonicalize_name(name), []).append(version)
    for requirement in map(Requirement, requirements_of(project)):
        versions = locked.get(canonicalize_name(requirement.name), [])
        if not versions:
            yield f"{requirement.name} of pyproject.toml is not in requirements.lock: make lock"
        elif not all(requirement.specifier.contains(version, prereleases=True) for version in versions):
            yield f"pyproject.toml asks for {requirement}, and requirements.lock has {' and '.join(versions)}: make lock"


def ci_was_green(project: Project) -> Iterator[str]:
    try:
        green = json.loads((project.root / MARKER).read_text(encoding="utf-8"))
        commit, tree = green["commit"], green["tree"]
    except (OSError, ValueError, KeyError):
        yield "run .ci/run, the whole of it, to its end"
        return
    if tree != git(project.root, "rev-parse", "HEAD^{tree}"):
        yield f"the last green .ci/run was of commit {commit[:10]} with other files: run it again"


def readme_renders(project: Project) -> Iterator[str]:
    """On a package index, as PyPI's own renderer has it, where no other file of the project is."""
    from readme_renderer.markdown import render

    html = render((project.root / "README.md").read_text(encoding="utf-8"))
    if html is None:
        yield "PyPI's renderer makes nothing of README.md"
        return
    for place in re.findall(r'(?:src|href)="([^"]*)"', html):
        if not place.startswith(("https://", "#")):
            yield f"README.md leads to {place}, which is no file on a package index: write the whole address"


def docs_build(project: Project) -> Iterator[str]:
    shutil.rmtree(project.root / SITE, ignore_errors=True)
    run = subprocess.run(["make", "docs"], cwd=project.root, capture_output=True, text=True, check=False)  # noqa: S607
    if run.returncode:
        yield f"make docs fails: {(run.stdout + run.stderr).strip()[-400:]}"
    elif not (project.root / SITE / "index.html").is_file():
        yield f"make docs has made no {SITE}/index.html"


def build(project: Project, folder: Path) -> dict[str, str]:
    """The hashes of wheel and source archive, made from nothing but what is committed."""
    source = folder / "source"
    source.mkdir(parents=True)
    git(project.root, "archive", "--format=tar", f"--output={folder / 'source.tar'}", "HEAD")
    for command in (
        ["tar", "-xf", str(folder / "source.tar")],
        [sys.executable, "-m", "hatchling", "build", "-d", str(folder / "dist")],
    ):
        run = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
        if run.returncode:
            raise RuntimeError((run.stdout + run.stderr).strip()[-400:])
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted((folder / "dist").iterdir())}


def wheel_is_reproducible(project: Project) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            first, second = (build(project, Path(folder) / name) for name in ("first", "another-path"))
        except RuntimeError as error:
            yield f"it cannot be built: {error}"
            return
    if f"{PACKAGE}-{project.version}-py3-none-any.whl" not in first:
        yield f"no wheel of {project.version} was built, but {', '.join(first)}"
    yield from (f"{name} is another file each time it is built" for name in first if first[name] != second.get(name))
    for name, digest in first.items():
        print(f"     sha256 {digest}  {name}")


Check = Callable[[Project], Iterator[str]]
CHECKS: tuple[Check, ...] = (
    tree_is_clean,
    branch_is_main,
    version_is_new,
    changelog_has_it,
    nothing_is_unreleased,
    nothing_is_left_to_do,
    lock_fits_pyproject,
    ci_was_green,
    readme_renders,
    docs_build,
    wheel_is_reproducible,
)


def failures(project: Project, checks: tuple[Check, ...] = CHECKS) -> list[str]:
    """Runs the checks, all of them, and says how each has ended."""
    found: list[str] = []
    for check in checks:
        title = check.__name__.replace("_", " ")
        problems = list(check(project))
        print(f"{'NO ' if problems else 'ok '}  {title}", *(f"     {problem}" for problem in problems), sep="\n", flush=True)
        found += [f"{title}: {problem}" for problem in problems]
    return found


def wrong_tag(project: Project, tag: str) -> Iterator[str]:
    if tag != f"v{project.version}":
        yield f"the tag is {tag}, and __version__ is {project.version}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tag", help="only check that this tag is the version, and that CHANGELOG.md has it")
    parser.add_argument("--notes", type=Path, help="with --tag: where to write what CHANGELOG.md says of the version")
    arguments = parser.parse_args()
    project = Project(root=Path(__file__).resolve().parent.parent, today=dt.datetime.now(dt.timezone.utc).date())
    if arguments.tag:
        problems = [*wrong_tag(project, arguments.tag), *changelog_has_it(project)]
        print(*(f"NO   {problem}" for problem in problems), sep="\n")
        if not problems and arguments.notes:
            arguments.notes.write_text(project.changelog[project.version][1].strip() + "\n", encoding="utf-8")
        return bool(problems)
    found = failures(project)
    if found:
        print(f"\nNot ready: {len(found)} problems.")
        return 1
    version, commit = project.version, git(project.root, "rev-parse", "HEAD")
    print(f"\n{version} is ready. Nothing has been tagged or pushed; these commands do it:")
    print(f'  git push origin main\n  git tag --annotate --message "{PACKAGE.replace("_", "-")} {version}" v{version} {commit}')
    print(f"  git push origin v{version}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
