"""One cell of the matrix: a clean environment from the lock of an Airflow, and all that is tried in it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from pythons import MissingPython, find_python
from versions import CI, ROOT, Pair

BUILD = ROOT / "build" / "matrix"
PHOTO = ROOT / "demo" / "images" / "china.jpg"
CHECKS = ("imports", "providers", "dag")
LIMIT = 2 * 3600  # seconds, for one step


@dataclass
class Outcome:
    """What became of a cell."""

    cell: str
    airflow: str = ""  # the exact versions
    python: str = ""
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    checks: dict[str, str] = field(default_factory=dict)  # what a check has found
    faults: list[str] = field(default_factory=list)  # a sentence for each check or step that failed
    missing: str = ""  # why the cell could not be tried
    seconds: int = 0
    date: str = ""
    quick: bool = False  # without the tests of make integration

    @property
    def good(self) -> bool:
        return not self.missing and not self.failed and not self.faults and self.passed > 0


class StepFailed(Exception):
    """A step after which the cell cannot go on."""


class Cell:
    def __init__(self, pair: Pair, *, uv: str, wheel: Path, processes: int, quick: bool = False) -> None:
        self.pair = pair
        self.uv = uv
        self.wheel = wheel
        self.processes = processes
        self.selection = ["-m", "not integration"] if quick else []
        self.environment = BUILD / "environments" / pair.name
        self.log = BUILD / f"{pair.name}.log"
        self.outcome = Outcome(
            cell=pair.name, airflow=pair.airflow.version, python=pair.python, date=time.strftime("%Y-%m-%d"), quick=quick
        )

    def run(self) -> Outcome:
        """Try all of it; the outcome says what failed."""
        started = time.monotonic()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.write_text("", encoding="utf-8")
        try:
            self._install(find_python(self.uv, self.pair.python))
            self._compare_versions()
            for check in CHECKS:
                self._try(check)
            self._test()
        except MissingPython as error:
            self.outcome.missing = str(error)
        except StepFailed as error:
            self.outcome.faults.append(str(error))
        finally:
            shutil.rmtree(self.environment, ignore_errors=True)
        self.outcome.seconds = round(time.monotonic() - started)
        (BUILD / f"{self.pair.name}.json").write_text(json.dumps(asdict(self.outcome), indent=2), encoding="utf-8")
        return self.outcome

    def _install(self, python: Path) -> None:
        lock, pip = str(self.pair.airflow.lock), [self.uv, "pip", "install", "--python", str(self._bin("python"))]
        self._step("venv", [self.uv, "venv", "--clear", "--python", str(python), str(self.environment)])
        self._step("the lock", [*pip, "--compile-bytecode", "--require-hashes", "-r", lock])
        self._step("the wheel", [*pip, "--no-deps", str(self.wheel)])
        self._step("what the wheel requires", [self.uv, "pip", "check", "--python", str(self._bin("python"))])

    def _compare_versions(self) -> None:
        found = json.loads(self._inside("versions"))
        self.outcome.airflow, self.outcome.python = found["airflow"], found["python"]
        if tuple(found["pythons"]) != self.pair.airflow.pythons:
            self.outcome.faults.append(
                f"Airflow {found['airflow']} says it supports Python {', '.join(found['pythons'])}: versions.py differs"
            )

    def _try(self, check: str) -> None:
        try:
            self.outcome.checks[check] = self._inside(check)
        except StepFailed as error:
            self.outcome.faults.append(str(error))

    def _inside(self, check: str) -> str:
        """The last line that a check of inside.py prints, in a folder of its own and without the checkout on the path."""
        with tempfile.TemporaryDirectory(prefix="kling-matrix-") as folder:
            command = [str(self._bin("python")), "-I", str(CI / "matrix" / "inside.py"), check, folder, str(PHOTO)]
            return self._step(check, command, folder=Path(folder), AIRFLOW_HOME=folder).strip().rpartition("\n")[2]

    def _test(self) -> None:
        report = BUILD / f"{self.pair.name}.xml"
        report.unlink(missing_ok=True)
        # Not `python -m pytest`, which would import the checkout instead of the wheel.
        command = [str(self._bin("pytest")), "tests", "-v", "-p", "no:cacheprovider", f"--junitxml={report}"]
        command += ["-n", str(self.processes), "--dist", "worksteal", *self.selection, *self.pair.pytest_options()]
        try:
            self._step("tests", command)
        except StepFailed as error:
            self.outcome.faults.append(str(error))
        if report.exists():
            self._count(report)

    def _count(self, report: Path) -> None:
        suite = ElementTree.parse(report).getroot()[0]  # noqa: S314 – pytest has written it
        tests, skipped = int(suite.attrib["tests"]), int(suite.attrib["skipped"])
        failed = int(suite.attrib["failures"]) + int(suite.attrib["errors"])
        self.outcome.passed, self.outcome.failed, self.outcome.skipped = tests - skipped - failed, failed, skipped

    def _step(self, name: str, command: list[str], *, folder: Path = ROOT, **environment: str) -> str:
        """Run a command, write its output to the log and return it. Raises StepFailed."""
        inherited = {name: value for name, value in os.environ.items() if not _is_foreign(name)}
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"\n=== {name}: {' '.join(command)}\n")
            log.flush()
            start = log.tell()
            try:
                code = subprocess.run(
                    command,
                    cwd=folder,
                    env=inherited | environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    timeout=LIMIT,
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired:
                code = -1
        with self.log.open(encoding="utf-8", errors="replace") as log:
            log.seek(start)
            output = log.read()
        if code:
            raise StepFailed(f"{name}: {'two hours were not enough' if code == -1 else _last_line(output)}")
        return output

    def _bin(self, program: str) -> Path:
        return self.environment / "bin" / program


def _is_foreign(name: str) -> bool:
    """Whether a variable would change what is tried: where it is set, every process compiles all modules anew, for example."""
    return name in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "VIRTUAL_ENV") or name.startswith(("AIRFLOW", "COVERAGE_"))


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    ends = [line for line in lines if re.search(r"\d+ (failed|error)", line)]  # pytest's own, before what a plugin adds
    return (ends or lines or ["no output"])[-1]
