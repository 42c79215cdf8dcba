"""Callbacks: a task's bare object, sent to its `callback_url` at every change of its status."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from airflow_provider_kling.emulator.model import to_bytes

RETRY_DELAYS = (0.1, 0.5, 2.0)  # seconds; the vendor documents neither retries nor time limits
TIMEOUT = 5.0
AT_ONCE = 20


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One message: where it goes, and the task as it stands in it."""

    url: str = field(repr=False)
    task: Mapping[str, Any]


def sign(secret: str, *, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of the Standard Webhooks scheme."""
    from standardwebhooks import Webhook

    moment = datetime.fromtimestamp(timestamp, timezone.utc)
    signature = Webhook(secret).sign(message_id, moment, body.decode())
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp), "webhook-signature": signature}


def shown_url(url: str) -> str:
    """The URL without a query and without credentials, fit for a journal."""
    try:
        parts = urlsplit(url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:
        return "(not a URL)"


class Callbacks:
    """Sends what is due, now and then when the account's time has come.

    `due` gives the notices that have become due, `delay` the seconds until the next one (None: none is to be
    expected), `record` is told of every attempt: the notice, and the HTTP status or 0.
    """

    def __init__(
        self,
        *,
        due: Callable[[], Iterable[Notice]],
        delay: Callable[[], float | None],
        record: Callable[[Notice, int], None],
        real_time: Callable[[], float],
    ) -> None:
        self._due, self._delay, self._record, self._real_time = due, delay, record, real_time
        self._secret = ""
        self._news = asyncio.Event()
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._sending: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    def sign_with(self, secret: str) -> None:
        """Sign with this secret from now on, or not at all. ValueError when the means for it are missing."""
        if secret and importlib.util.find_spec("standardwebhooks") is None:
            raise ValueError("Signed callbacks need the package standardwebhooks: airflow-provider-kling[emulator].")
        self._secret = secret

    def wake(self) -> None:
        """Something changed: look again at what is due."""
        self._news.set()

    async def run(self) -> None:
        """Send until cancelled."""
        try:
            while True:
                self._news.clear()
                for notice in self._due():
                    task = asyncio.create_task(self._send(notice))
                    self._sending.add(task)
                    task.add_done_callback(self._sending.discard)
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._news.wait(), self._delay())
        finally:
            await self._close()

    async def _send(self, notice: Notice) -> None:
        body, message_id = to_bytes(notice.task), f"msg_{uuid.uuid4().hex}"
        async with self._at_once:
            for delay in (*RETRY_DELAYS, None):
                headers = {"Content-Type": "application/json", "User-Agent": "kling-emulator"}
                if self._secret:
                    headers |= sign(self._secret, message_id=message_id, timestamp=int(self._real_time()), body=body)
                status = await self._post(notice.url, body, headers)
                self._record(notice, status)
                if 200 <= status < 300 or delay is None:
                    return
                await asyncio.sleep(delay)

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT))
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                return response.status
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError):
            return 0

    async def _close(self) -> None:
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
