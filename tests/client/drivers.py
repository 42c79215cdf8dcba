"""Both clients, called in the same way: over requests, or over aiohttp in an event loop of its own."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from airflow_provider_kling.api import EFFECTS, EffectRequest, create_call, get_call
from airflow_provider_kling.client import AsyncClient, Attempts, Client, KlingSettings
from airflow_provider_kling.client.flows import SaveVideo

GET = get_call(EFFECTS, "1")
CREATE = create_call(EFFECTS, EffectRequest("squish", ["https://example.com/a.jpg"]), external_task_id="x")


def settings_of(connection: str) -> KlingSettings:
    fields = {"conn_id": "c", "login": None, "schema": None, "port": None, **json.loads(connection)}
    return KlingSettings.of(SimpleNamespace(**fields, extra_dejson=fields.get("extra", {})))


def use(mode: str, connection: str, step: Callable[[Any, float], Any], *, retry_wait: float = 0.0) -> Any:
    """What `step` brings, which gets a client and the time now on its clock."""
    attempts = Attempts(settings_of(connection), retry_wait=retry_wait, hide=lambda _: None)
    if mode == "sync":
        client = Client(attempts, log=print)
        try:
            return step(client, time.monotonic())
        finally:
            client.close()

    async def run() -> Any:
        client = AsyncClient(attempts, log=print)
        try:
            return await step(client, asyncio.get_running_loop().time())
        finally:
            await client.close()

    return asyncio.run(run())


def send(mode: str, connection: str, call: Any = GET, *, seconds: float | None = None, tries: int = 1) -> Any:
    """Send one call, with so many seconds until its deadline."""
    return use(mode, connection, lambda client, now: client.send(call, tries=tries, deadline=seconds and now + seconds))


def save(mode: str, connection: str, url: str, folder: Any, *, seconds: float | None = None) -> str:
    """Save the video of one link; returns its path."""

    def flow():
        return (yield SaveVideo(url, str(folder), "1.mp4"))

    return use(mode, connection, lambda client, now: client.run(flow(), deadline=seconds and now + seconds)).path
