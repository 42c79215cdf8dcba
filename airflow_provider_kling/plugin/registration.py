"""The plugin as Airflow registers it: three views, and the application that serves them.

A field that Airflow's schema does not know makes the whole plugin vanish from the UI without a word (3.3.2), so views hold what
3.1, 3.2 and 3.3 know.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from airflow.providers.common.compat.sdk import AirflowPlugin

from airflow_provider_kling.links import RUNS_VIEW, TASK_VIEW, URL_PREFIX, VIDEOS_VIEW, base_path

Message = MutableMapping[str, Any]


class LazyApp:
    """An ASGI application that is built for the first request: no other process pays for it, and an error in it is its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._app: Any = None

    def build(self) -> Any:
        """The FastAPI application."""
        with self._lock:
            if self._app is None:
                from airflow_provider_kling.plugin.app import build_app

                self._app = build_app()
            return self._app

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        await self.build()(scope, receive, send)


def _views() -> list[dict[str, Any]]:
    pages = f"{base_path()}{URL_PREFIX}"
    icon = f"{pages}/static/icon.svg"
    dark = f"{pages}/static/icon-dark.svg"
    # Airflow 3.1 puts ids into the address as they are: a page reads a `+` in them as one, not as a blank.
    run = f"{pages}/videos?dag_id={{DAG_ID}}&run_id={{RUN_ID}}"
    task = f"{run}&task_id={{TASK_ID}}&map_index={{MAP_INDEX}}"
    icons = {"icon": icon, "icon_dark_mode": dark}
    return [
        {"name": "Kling", "href": f"{pages}/runs", "destination": "nav", "url_route": RUNS_VIEW, "nav_top_level": True, **icons},
        {"name": "Videos", "href": run, "destination": "dag_run", "url_route": VIDEOS_VIEW, **icons},
        {"name": "Videos", "href": task, "destination": "task_instance", "url_route": TASK_VIEW, **icons},
    ]


class KlingPlugin(AirflowPlugin):  # type: ignore[misc,unused-ignore]
    """The page "Kling", and the tab "Videos" of DAG runs and task instances."""

    name = "kling"
    fastapi_apps = [{"name": "Kling", "app": LazyApp(), "url_prefix": URL_PREFIX}]
    external_views = _views()
