"""Gives Airflow an empty home directory. Airflow reads its configuration at import, so this runs before any other import."""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Generator, Iterator
from typing import Any

os.environ.update(
    AIRFLOW_HOME=tempfile.mkdtemp(prefix="airflow-home-"),
    AIRFLOW__CORE__UNIT_TEST_MODE="True",
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__DAGS_FOLDER=tempfile.mkdtemp(prefix="airflow-dags-"),
    AIRFLOW__USAGE_DATA_COLLECTION__ENABLED="False",
)
for name in [name for name in os.environ if name.startswith(("AIRFLOW_CONN_", "KLING_EMULATOR_"))]:
    del os.environ[name]

import pytest  # noqa: E402
from browser import chromium  # noqa: E402
from examples import MORE  # noqa: E402
from hostile import HostileKling  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402
from places import PHOTOS  # noqa: E402

# How fast a machine is at the moment, no test asks.
settings.register_profile("short", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", settings.get_profile("short"), max_examples=100 * MORE)
settings.load_profile("short")

# What these fixtures start takes seconds of a processor: a browser, an API server, a process for `airflow` commands.
WHOLE = {"browser", "api_server", "servers", "warm_airflow"}


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Nothing that is made while Airflow and the tests are imported is garbage: to look for some costs a fifth of it."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)  # before pytest selects by marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that use such a fixture are of `make integration`, without a mark of their own. Emulators send their clip.

    To make a video takes a third of a second of a processor: it is made where a test says `videos="made"`.
    """
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        if WHOLE & names:
            item.add_marker("integration")
        if "kling_emulator" in names:
            own = item.get_closest_marker("kling_emulator")
            item.add_marker(pytest.mark.kling_emulator(**{"videos": "clip", **(own.kwargs if own else {})}), append=False)


@pytest.fixture
def photo() -> str:
    """The path of a photograph that Kling accepts."""
    return str(PHOTOS / "grace_hopper.jpg")


@pytest.fixture
def kling(kling_emulator):
    """An emulated Kling account, to which the connection `kling_default` leads."""
    return kling_emulator


@pytest.fixture
def polled_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks are polled soon after their creation."""
    from airflow_provider_kling.dispatch import schedule

    monkeypatch.setattr(schedule, "FIRST_POLL", 0.2)


@pytest.fixture
def looked_up_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that a query does not show is looked up again soon."""
    from airflow_provider_kling.client.flows import lookup

    monkeypatch.setattr(lookup, "LOOKUP_PAUSE", 0.02)


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostileKling]:
    """An account that shares nothing with the package and lists its tasks in any order; `kling_default` leads to it."""
    with HostileKling(order="random") as account:
        monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", account.connection(timeout=10))
        yield account


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A running Chromium, for modules with the mark `needs_chromium`."""
    with chromium() as started:
        yield started
