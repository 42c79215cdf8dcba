"""Runs the tests of a file in parallel: they spend most of their time waiting, and need little CPU.

A test with `@in_parallel` runs in a thread of its own. All threads of a file start with its first test; pytest then waits
for one after the other. Such a test gets a Kling account, and of the fixtures only the session's `rows`.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import ModuleType
from typing import Any

import pytest
from processes import until

TestBody = Callable[..., None]


def in_parallel(**options: Any) -> Callable[[TestBody], Callable[..., None]]:
    """Run this test in parallel with the others of its file; the options are those of `open_account`."""

    def mark(body: TestBody) -> Callable[..., None]:
        def wait(parallel_tests: Mapping[TestBody, Future[None]]) -> None:
            parallel_tests[body].result()

        wait.__name__, wait.__doc__ = body.__name__, body.__doc__
        wait.body, wait.options = body, options  # type: ignore[attr-defined]
        return wait

    return mark


def start(items: list[pytest.Item], module: ModuleType, *, open_account: Callable[..., Any], **fixtures: Any) -> Any:
    """Start the selected parallel tests of a file. Returns the thread pool, and the future of each test body."""
    tests = [item.function for item in items if item.module is module and hasattr(item.function, "body")]  # type: ignore[attr-defined]
    pool = ThreadPoolExecutor(max(1, len(tests)))

    def run(test: Any) -> None:
        account = open_account(test.__name__.removeprefix("test_")[:40], **test.options)
        parameters = inspect.signature(test.body).parameters
        test.body(**{name: value for name, value in {"account": account, **fixtures}.items() if name in parameters})

    return pool, {test.body: pool.submit(run, test) for test in tests}


def wait_seconds(seconds: float) -> None:
    """Wait for the duration of a fault."""
    end = time.monotonic() + seconds
    until(f"{seconds:.0f} s have passed", lambda: time.monotonic() >= end, timeout=seconds + 10)
