"""Callbacks: at every change of its status a task's bare object is sent to its `callback_url`."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Mapping
from datetime import datetime, timezone

import aiohttp

from airflow_provider_kling.emulator.core import Emulator, Notice
from airflow_provider_kling.emulator.model import to_bytes
from airflow_provider_kling.redaction import show_url

RETRY_DELAYS = (0.1, 0.5, 2.0)  # seconds; the vendor documents neither retries nor time limits
TIMEOUT = 5.0  # seconds
MOST_AT_ONCE = 20


def sign(secret: str, *, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of the Standard Webhooks scheme."""
    from standardwebhooks import Webhook

    moment = datetime.fromtimestamp(timestamp, timezone.utc)
    signature = Webhook(secret).sign(message_id, moment, body.decode())
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp), "webhook-signature": signature}


class Callbacks:
    """Sends the callbacks of an emulator as they become due, and writes each attempt into its journal."""

    def __init__(self, core: Emulator) -> None:
        self._core = core
        self._changed = asyncio.Event()
        self._at_once = asyncio.Semaphore(MOST_AT_ONCE)
        self._sending: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        core.listen(self._changed.set)

    async def run(self) -> None:
        """Send until cancelled."""
        try:
            while True:
                self._changed.clear()
                for notice in self._core.due_notices():
                    task = asyncio.create_task(self._send(notice))
                    self._sending.add(task)
                    task.add_done_callback(self._sending.discard)
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), self._core.next_notice_in())
        finally:
            await self._close()

    async def _send(self, notice: Notice) -> None:
        body, message_id = to_bytes(notice.task), f"msg_{uuid.uuid4().hex}"
        async with self._at_once:
            for delay in (*RETRY_DELAYS, None):
                headers = {"Content-Type": "application/json", "User-Agent": "kling-emulator"}
                if secret := self._core.settings.webhook_secret:
                    headers |= sign(secret, message_id=message_id, timestamp=int(time.time()), body=body)
                status = await self._post(notice.url, body, headers)
                self._record(notice, status)
                if 200 <= status < 300 or delay is None:
                    return
                await asyncio.sleep(delay)

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """The HTTP status of the answer; 0 if there is none."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT))
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                return response.status
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError):
            return 0

    def _record(self, notice: Notice, status: int) -> None:
        journal = self._core.journal
        entry = journal.open(time=self._core.now(), kind="callback", method="POST", path=show_url(notice.url))
        entry.kling_task_id = notice.task["task_id"]
        entry.external_task_id = notice.task["task_info"]["external_task_id"]
        journal.close(entry, status=status, code=None)

    async def _close(self) -> None:
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
