"""One Airflow for all tests of a session, and a Kling account with a connection of its own for each test."""

from __future__ import annotations

import itertools
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))  # for `places`, as tests/conftest.py has it

from places import ROOT
from stack import Stack
from submissions import Account, Tally
from together import Story, play

_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--submissions", type=int, default=20, help="how many submissions a fault hits")
    parser.addoption("--build-folder", type=Path, default=ROOT / "build" / "stack", help="where logs, results and counts go")
    parser.addoption("--airflow-option", action="append", default=[], help="an environment variable for Airflow, as NAME=value")


@pytest.fixture(scope="session")
def build(request: pytest.FixtureRequest) -> Path:
    """The folder for all that this session leaves."""
    folder = request.config.getoption("--build-folder").absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="session")
def tally(build: Path) -> Tally:
    """What became of all submissions of this session; it is printed at its end."""
    return Tally(build / "tally.json")


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest, build: Path) -> Iterator[Stack]:
    """A running Airflow; its logs stay in the folder."""
    options = dict(option.split("=", 1) for option in request.config.getoption("--airflow-option"))
    with Stack(build / "home", options=options) as stack:
        yield stack


@pytest.fixture
def whole(stack: Stack) -> Iterator[Stack]:
    """The same for a test that breaks it: mended afterwards."""
    yield stack
    stack.heal()


@pytest.fixture(scope="session")
def wished(request: pytest.FixtureRequest) -> int:
    """How many submissions a fault is to hit."""
    return int(request.config.getoption("--submissions"))


@pytest.fixture(scope="session")
def open_account(stack: Stack, tally: Tally, build: Path) -> Iterator[Callable[..., Account]]:
    """Opens Kling accounts, each with a connection; the options are the emulator's, `extra` the connection's."""
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
def playing(
    request: pytest.FixtureRequest, stack: Stack, open_account: Callable[..., Account], wished: int
) -> Iterator[Mapping[Story, Future[None]]]:
    """All tests of a file with `@at_once`, under way.

    More processes than two processors can serve make the scheduler late; then it takes itself for dead, and starts
    again what is still running.
    """
    with stack.at_most(6):
        pool, stories = play(request.session.items, request.module, open_account=open_account, wished=wished)
        yield stories
        pool.shutdown(cancel_futures=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    path = terminalreporter.config.getoption("--build-folder") / "tally.json"
    if path.exists():
        for line in json.loads(path.read_text())["lines"]:
            terminalreporter.write_line(line)
