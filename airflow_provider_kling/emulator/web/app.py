"""The routes of the emulator."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from airflow_provider_kling.api import COSTS_PATH, MONEY_CHARGES_PATH, UNIT_CHARGES_PATH, PaidWith, Product
from airflow_provider_kling.emulator.core import Emulator
from airflow_provider_kling.emulator.model import Entry
from airflow_provider_kling.emulator.web.api import Api
from airflow_provider_kling.emulator.web.endpoints import Charges, Costs, Create, Get, List, Nowhere, VideoFile, WrongMethod
from airflow_provider_kling.emulator.web.steering import Steering

MAX_BODY = 64 * 2**20  # bytes: two images of 10 MB in base64, and larger ones, which are to be refused


def make_app(core: Emulator, *, log: Callable[[Entry], None] | None = None) -> web.Application:
    """The emulator as a web application. It calls `log` with the entry of each request that was answered."""
    api = Api(core, log=log)
    app = web.Application(client_max_size=MAX_BODY)
    for product in core.products:
        app.router.add_routes(_product_routes(core, api, product))
    app.router.add_routes(
        [
            web.route("GET", COSTS_PATH, api.handler(Costs(core))),
            web.route("*", COSTS_PATH, api.handler(WrongMethod(core))),
            *_billing_routes(core, api),
            web.get("/videos/{id}", api.handler(VideoFile(core))),
            *Steering(core).routes(),
            web.route("*", "/{path:.*}", api.handler(Nowhere(core))),
        ]
    )
    return app


def _billing_routes(core: Emulator, api: Api) -> list[web.RouteDef]:
    paths: dict[str, PaidWith] = {UNIT_CHARGES_PATH: "units", MONEY_CHARGES_PATH: "money"}
    return [
        route
        for path, paid_with in paths.items()
        for route in (
            web.route("POST", path, api.handler(Charges(core, paid_with))),
            web.route("*", path, api.handler(WrongMethod(core))),
        )
    ]


def _product_routes(core: Emulator, api: Api, product: Product) -> list[web.RouteDef]:
    task = f"{product.path}/{{id}}"
    return [
        web.route("POST", product.path, api.handler(Create(core, product))),
        web.route("GET", product.path, api.handler(List(core, product))),
        web.route("*", product.path, api.handler(WrongMethod(core))),
        web.route("GET", task, api.handler(Get(core, product))),
        web.route("*", task, api.handler(WrongMethod(core))),
    ]
