"""The sub-application below `/kling` of the API server. No route but that of callbacks answers anyone who is not logged in."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.core_api.security import requires_authenticated
from fastapi import Depends, FastAPI
from starlette.datastructures import MutableHeaders

from airflow_provider_kling.plugin import api, callbacks, pages

_HEADERS = {
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class _WithHeaders:
    """Adds the headers that every answer has, errors included."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def build_app() -> FastAPI:
    """The application. Its routes need a login, and those with data the right to read the DAG's XComs; that of callbacks needs a
    signature of Kling's."""
    app = FastAPI(title="Kling", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(_WithHeaders)
    # The first route, and none of FastAPI's, which would double its time: hundreds of callbacks may come in a second.
    app.add_route(callbacks.PATH, callbacks.callback, methods=["POST"])
    for router in (pages.router, api.router):
        app.include_router(router, dependencies=[Depends(requires_authenticated())])
    return app
