"""Calls a KlingHook in both modes: its methods directly, or their async twins in an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_kling.api import EffectRequest
from airflow_provider_kling.emulator import KlingEmulator
from airflow_provider_kling.hooks import KlingHook

URL = "https://example.com/portrait.jpg"
REQUEST = EffectRequest("pet_lion_pro", [URL])


class Caller:
    """A hook whose methods, or their async twins, are called as blocking functions. It does not pause between tries."""

    def __init__(self, mode: str, **options: Any) -> None:
        self.mode = mode
        self.hook = KlingHook(retry_wait=0, **options)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if self.mode == "sync":
            return getattr(self.hook, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            async def run() -> Any:
                async with self.hook:
                    return await getattr(self.hook, f"a{name}")(*args, **kwargs)

            return asyncio.run(run())

        return call


@pytest.fixture(params=["sync", "async"])
def hook(request: pytest.FixtureRequest, kling: KlingEmulator) -> Iterator[Caller]:
    """The hook of `kling_default`, in each mode."""
    caller = Caller(request.param)
    yield caller
    caller.hook.close()
