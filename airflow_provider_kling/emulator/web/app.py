"""The routes of the emulator."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from airflow_provider_kling.api import COSTS_PATH, EFFECTS_PATH
from airflow_provider_kling.emulator.core import Emulator
from airflow_provider_kling.emulator.model import Entry
from airflow_provider_kling.emulator.web.api import Api
from airflow_provider_kling.emulator.web.steering import Steering

MAX_BODY = 64 * 2**20  # bytes: two images of 10 MB in base64, and much more to be refused


def make_app(emulator: Emulator, *, log: Callable[[Entry], None] | None = None) -> web.Application:
    """The emulator as a web application; `log` is told of every request that was answered."""
    api = Api(emulator, log=log)
    app = web.Application(client_max_size=MAX_BODY)
    app.router.add_routes(
        [
            web.route("POST", EFFECTS_PATH, api.handler("create")),
            web.route("GET", EFFECTS_PATH, api.handler("list")),
            web.route("GET", f"{EFFECTS_PATH}/{{id}}", api.handler("get")),
            web.route("GET", COSTS_PATH, api.handler("costs")),
            web.route("*", EFFECTS_PATH, api.handler("wrong_method")),
            web.route("*", f"{EFFECTS_PATH}/{{id}}", api.handler("wrong_method")),
            web.route("*", COSTS_PATH, api.handler("wrong_method")),
            web.get("/videos/{id}", api.handler("video")),
            *Steering(emulator).routes(),
            web.route("*", "/{path:.*}", api.handler("nowhere")),
        ]
    )
    return app
