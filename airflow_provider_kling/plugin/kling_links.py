"""Links to videos at Kling. They end after 30 days; asking for the task brings new ones."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from airflow_provider_kling.errors import KlingError
from airflow_provider_kling.plugin.cache import Cache
from airflow_provider_kling.plugin.run_row import RunRow, text_of
from airflow_provider_kling.redaction import is_link, show_error

if TYPE_CHECKING:
    from airflow_provider_kling.api import Task

ENDS_SOON = timedelta(hours=1)
ANSWER_WITHIN = 20.0  # seconds for the answer of the API, while somebody waits for a page
KEPT = 600.0  # seconds for which a link that was renewed is handed out again
MOST_KEPT = 1000

_renewed: Cache[tuple[str, str, int], tuple[float, str]] = Cache(MOST_KEPT)


class NoLinkError(Exception):
    """There is no link to the video. Its text is one sentence without secrets."""


def link_of(row: RunRow, index: int) -> str:
    """A link that works, renewed by asking for the task where the known one is about to end. Raises NoLinkError."""
    from airflow_provider_kling.hooks import KlingHook

    conn_ids = row.conn_ids or KlingHook.default_conn_name
    video = row.videos[index]
    url = video.get("url")
    if not is_link(url) or _ends_soon(text_of(video.get("expires_at"))):
        if not row.kling_task_id:
            raise NoLinkError("The link to this video has ended, and the id of its Kling task is not known.")
        url = _renewed_link(conn_ids, row.kling_task_id, index)
    _check(str(url), conn_ids)
    return str(url)


def _ends_soon(expires_at: str | None) -> bool:
    """Whether a link ends within the hour, has ended, or does not say."""
    try:
        end = datetime.fromisoformat((expires_at or "").replace("Z", "+00:00"))
    except ValueError:
        return True
    end = end if end.tzinfo else end.replace(tzinfo=timezone.utc)
    return end - datetime.now(timezone.utc) < ENDS_SOON


def _renewed_link(conn_ids: str, kling_task_id: str, index: int) -> str:
    key, now = (conn_ids, kling_task_id, index), time.monotonic()
    made, known = _renewed.get(key) or (0.0, "")
    if known and now - made < KEPT:
        return known
    try:
        task = _ask(conn_ids, kling_task_id)
    except KlingError as error:
        raise NoLinkError(f"Kling does not tell a link to this video: {show_error(error)}") from None
    except Exception as error:  # noqa: BLE001 - a backend of secrets has errors of its own
        raise NoLinkError(f"The connection {conn_ids} cannot be used here: {show_error(error)}.") from None
    url = task.videos[index].url if index < len(task.videos) else None
    if not is_link(url):
        raise NoLinkError(f"Kling task {kling_task_id} has no link to this video: its status is {task.status[:60]}.")
    return _renewed.put(key, (now, str(url)))[1]


def _ask(conn_ids: str, kling_task_id: str) -> Task:
    from airflow_provider_kling.api import get_call
    from airflow_provider_kling.client import monotonic_now
    from airflow_provider_kling.hooks import hook_of

    with hook_of(kling_task_id, conn_ids) as hook:
        call = get_call(hook.product, kling_task_id)
        return hook.get_conn().send(call, deadline=monotonic_now() + ANSWER_WITHIN)


def _check(url: str, conn_ids: str) -> None:
    """Raise NoLinkError for a link to an address that is not public, unless a connection allows those or has its origin."""
    from airflow_provider_kling.arguments import conn_ids as each
    from airflow_provider_kling.client import check_host, same_origin
    from airflow_provider_kling.hooks import KlingHook

    try:
        check_host(url)
    except KlingError as error:
        for conn_id in each(conn_ids):
            try:
                settings = KlingHook(conn_id).settings
            except Exception:  # noqa: BLE001, S112 - a connection that does not exist here allows nothing
                continue
            if settings.allow_private_links or same_origin(url, settings.base_url):
                return
        raise NoLinkError(show_error(error)) from None
