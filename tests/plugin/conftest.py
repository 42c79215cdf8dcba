"""One API server for the tests of a module, an account that it can ask, and runs in its database."""

from __future__ import annotations

import os
from pathlib import Path

import plugin_server
import pytest
from places import PHOTOS
from plugin_dags import dags

from airflow_provider_kling.emulator.handle import KlingEmulator


@pytest.fixture(scope="module")
def stored_dags():
    plugin_server.create_tables()
    found = dags()
    for dag in found.values():
        plugin_server.store_dag(dag)
    return found


@pytest.fixture(scope="module")
def account():
    with KlingEmulator(duration=0.05, videos="clip") as emulator:
        yield emulator


@pytest.fixture(scope="module")
def api_server(stored_dags, account, tmp_path_factory):
    """The API server. Its folder of DAGs is empty: what it knows of DAGs stands in the database."""
    environment = {"AIRFLOW_CONN_KLING_DEFAULT": account.connection()}
    with plugin_server.serving(tmp_path_factory.mktemp("api-server"), **environment) as found:
        yield found


@pytest.fixture(scope="module")
def server(api_server):
    return api_server


@pytest.fixture(scope="module")
def clip() -> bytes:
    """The bytes of a whole MP4."""
    import airflow_provider_kling.emulator.videos as videos

    folder = Path(os.path.dirname(videos.__file__))
    (found,) = folder.glob("*.mp4")
    return found.read_bytes()


@pytest.fixture(scope="session")
def photo_path() -> str:
    return str(PHOTOS / "grace_hopper.jpg")
