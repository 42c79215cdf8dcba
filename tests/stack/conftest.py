"""One Airflow for all tests of a session, and for each test a Kling account with a connection of its own."""

from __future__ import annotations

import itertools
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))  # for `places`

from account import Account
from parallel import TestBody, start
from places import ROOT
from stack import Stack
from tally import Tally

_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rows", type=int, default=20, help="rows of the manifest that a fault hits")
    parser.addoption("--build-folder", type=Path, default=ROOT / "build" / "stack", help="folder for logs, results and counts")
    parser.addoption("--airflow-option", action="append", default=[], help="an environment variable for Airflow, as NAME=value")


@pytest.fixture(scope="session")
def build(request: pytest.FixtureRequest) -> Path:
    """The folder for all files of this session."""
    folder = request.config.getoption("--build-folder").absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="session")
def tally(build: Path) -> Tally:
    """The counts of this session, printed at its end."""
    return Tally(build / "tally.json")


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest, build: Path) -> Iterator[Stack]:
    """A running Airflow. Its logs are kept in the build folder."""
    options = dict(option.split("=", 1) for option in request.config.getoption("--airflow-option"))
    with Stack(build / "home", options=options) as stack:
        yield stack


@pytest.fixture
def breakable_stack(stack: Stack) -> Iterator[Stack]:
    """The running Airflow for a test that kills parts of it; they are started again afterwards."""
    yield stack
    stack.repair()


@pytest.fixture(scope="session")
def rows(request: pytest.FixtureRequest) -> int:
    """The number of rows of the manifest that a fault hits."""
    return int(request.config.getoption("--rows"))


@pytest.fixture(scope="session")
def open_account(stack: Stack, tally: Tally, build: Path) -> Iterator[Callable[..., Account]]:
    """Opens Kling accounts, each with a connection. The options are the emulator's; `extra` is the connection's."""
    opened: list[Account] = []

    def open_one(name: str, *, extra: dict[str, object] | None = None, auth: str = "api_key", **options: object) -> Account:
        options = {"slots": 1000, "duration": 4, "videos": "clip", **options}
        account = Account(f"{name}_{next(_numbers)}", stack=stack, tally=tally, folder=build / "output", **options)
        stack.connect(account.conn_id, account.kling.connection(auth), **(extra or {}))
        opened.append(account)
        return account

    yield open_one
    for account in opened:
        account.kling.stop()


@pytest.fixture(scope="module")
def parallel_tests(
    request: pytest.FixtureRequest, stack: Stack, open_account: Callable[..., Account], rows: int
) -> Iterator[Mapping[TestBody, Future[None]]]:
    """The running tests of a file that have `@in_parallel`.

    Too many processes on two cores delay the scheduler's heartbeats. It is then considered dead, and tasks that still run
    are started again.
    """
    with stack.limit_tasks(6):
        pool, futures = start(request.session.items, request.module, open_account=open_account, rows=rows)
        yield futures
        pool.shutdown(cancel_futures=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    path = terminalreporter.config.getoption("--build-folder") / "tally.json"
    if path.exists():
        for line in json.loads(path.read_text())["lines"]:
            terminalreporter.write_line(line)
