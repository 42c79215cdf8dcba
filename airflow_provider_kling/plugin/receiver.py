"""Judges callbacks: which connection they are for, whether Kling has sent them, and whether they are news.

What a callback says is a hint: its ids and its status make an asset event, and nothing else is done here.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping
from typing import NamedTuple

from airflow_provider_kling.api import Task, callback_task
from airflow_provider_kling.callbacks import CALLBACK, asset_uri, end_of
from airflow_provider_kling.client import KlingSettings
from airflow_provider_kling.errors import KlingAnswerError, KlingError
from airflow_provider_kling.hooks import check_callback
from airflow_provider_kling.plugin.callback_tally import Tally
from airflow_provider_kling.plugin.connections import Connections, NotNowError
from airflow_provider_kling.plugin.end_events import UNHEARD, is_late
from airflow_provider_kling.plugin.end_writer import BusyError, EndWriter

CONN_ID = re.compile(r"[A-Za-z0-9_.-]{1,200}")
ANY = "?"  # stands for connections that do not exist, so that nobody can fill the log with their ids


class Reply(NamedTuple):
    """What a request is answered with: an HTTP status and a word."""

    status: int
    word: str


UNKNOWN, REFUSED, NO_TASK, TOO_LARGE = Reply(404, "unknown"), Reply(401, "refused"), Reply(400, "no-task"), Reply(413, "too-large")
BUSY, NO_END, LATE = Reply(503, "busy"), Reply(200, "no-end"), Reply(200, "late")


class Receiver:
    """Receives callbacks. For one event loop."""

    def __init__(self) -> None:
        self._connections = Connections()
        self._lookups: dict[str, asyncio.Future[KlingSettings]] = {}
        self._writer = EndWriter()
        self._tally = Tally()

    async def receive(self, kling_conn_id: str, headers: Mapping[str, str], body: bytes | None) -> Reply:
        """What a callback is answered with, after it is stored. `body` is None if it was too large to be read."""
        if not CONN_ID.fullmatch(kling_conn_id):
            return self._counted(ANY, UNKNOWN)
        try:
            settings = await self._settings(kling_conn_id)
        except KlingError as error:
            return self._counted(ANY, UNKNOWN, str(error))
        except NotNowError as error:
            return self._counted(ANY, BUSY, str(error))
        if body is None:
            return self._counted(kling_conn_id, TOO_LARGE)
        return await self._judge(settings, kling_conn_id, headers, body)

    async def _settings(self, kling_conn_id: str) -> KlingSettings:
        """The settings. All who ask for those of one connection at the same time share one lookup."""
        if (fresh := self._connections.fresh(kling_conn_id)) is not None:
            return fresh
        lookup = self._lookups.get(kling_conn_id)
        if lookup is None:
            lookup = asyncio.ensure_future(asyncio.to_thread(self._connections.settings, kling_conn_id))
            self._lookups[kling_conn_id] = lookup
            lookup.add_done_callback(lambda _: self._lookups.pop(kling_conn_id, None))
        return await asyncio.shield(lookup)

    async def _judge(self, settings: KlingSettings, kling_conn_id: str, headers: Mapping[str, str], body: bytes) -> Reply:
        try:
            check_callback(settings, body, headers)
        except KlingError as error:
            return self._counted(kling_conn_id, REFUSED, str(error))
        try:
            task = callback_task(body)
        except KlingAnswerError as error:
            return self._counted(kling_conn_id, NO_TASK, str(error))
        if not task.done:
            return self._counted(kling_conn_id, NO_END, level=logging.DEBUG)
        if is_late(task.updated_at):
            return self._counted(kling_conn_id, LATE, f"Task {task.kling_task_id} ended {task.updated_at}.")
        return await self._register(kling_conn_id, task)

    async def _register(self, kling_conn_id: str, task: Task) -> Reply:
        try:
            word = await self._writer.register(kling_conn_id, end_of(task, kling_conn_id, CALLBACK))
        except BusyError as error:
            return self._counted(kling_conn_id, BUSY, str(error))
        except Exception as error:  # noqa: BLE001 - each database has errors of its own
            return self._counted(kling_conn_id, BUSY, f"Airflow's database: {type(error).__name__}.")
        why = f"No DAG is scheduled on the asset {asset_uri(kling_conn_id)}." if word == UNHEARD else ""
        return self._counted(kling_conn_id, Reply(200, word), why)

    def _counted(self, kling_conn_id: str, reply: Reply, why: str = "", *, level: int | None = None) -> Reply:
        usual = logging.INFO if reply.status == 200 and reply.word != UNHEARD else logging.WARNING
        self._tally.count(kling_conn_id, reply.word, why, level=usual if level is None else level)
        return reply
