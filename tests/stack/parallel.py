"""Tests that are played all at once: what they wait for takes its time, and needs no processor.

A test with `@at_once` runs in a thread of its own from the moment when the first test of its file is due; pytest then
waits for one after the other. It gets a Kling account, and no other fixtures but the session's `wished`.
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

Story = Callable[..., None]


def at_once(**options: Any) -> Callable[[Story], Callable[..., None]]:
    """Play this test along with the others of its file; the options are those of `open_account`."""

    def mark(story: Story) -> Callable[..., None]:
        def wait(playing: Mapping[Story, Future[None]]) -> None:
            playing[story].result()

        wait.__name__, wait.__doc__ = story.__name__, story.__doc__
        wait.story, wait.options = story, options  # type: ignore[attr-defined]
        return wait

    return mark


def play(items: list[pytest.Item], module: ModuleType, *, open_account: Callable[..., Any], **offered: Any) -> Any:
    """Start the chosen stories of a file; brings the threads' pool, and what becomes of each story."""
    tests = [item.function for item in items if item.module is module and hasattr(item.function, "story")]  # type: ignore[attr-defined]
    pool = ThreadPoolExecutor(max(1, len(tests)))

    def tell(test: Any) -> None:
        account = open_account(test.__name__.removeprefix("test_")[:40], **test.options)
        wanted = inspect.signature(test.story).parameters
        test.story(**{name: value for name, value in {"account": account, **offered}.items() if name in wanted})

    return pool, {test.story: pool.submit(tell, test) for test in tests}


def during(seconds: float) -> None:
    """For so long a fault lasts, whatever happens."""
    end = time.monotonic() + seconds
    until(f"{seconds:.0f} s are over", lambda: time.monotonic() >= end, timeout=seconds + 10)
