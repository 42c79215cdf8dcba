"""One API server for the tests of a module, an account that it can ask, and runs in its database."""

from __future__ import annotations

import os
from pathlib import Path

import plugin_server
import pytest
from airflow.sdk import DAG, task, task_group
from places import PHOTOS

from airflow_provider_kling.emulator.handle import KlingEmulator
from airflow_provider_kling.operators import KlingEffectBatchOperator, KlingEffectOperator
from airflow_provider_kling.sensors import KlingTaskSensor


class OurOperator(KlingEffectOperator):
    """An operator as users derive them."""


def dags() -> dict[str, DAG]:
    with DAG("kling_mapped", schedule=None) as mapped:

        @task
        def read():
            return []

        @task_group
        def video(row):
            create = KlingEffectOperator(task_id="create", row=row)
            KlingTaskSensor(task_id="wait", row=row, kling_task_id=create.output, save_to="/tmp/x")  # noqa: S108

        @task
        def collect():
            return {}

        video.expand(row=read()) >> collect()
    with DAG("kling_whole", schedule=None) as whole:
        OurOperator.partial(task_id="make", wait_for_completion=True).expand(row=read())
    with DAG("kling_pair", schedule=None) as pair:
        made = KlingEffectOperator(task_id="create", effect_scene="squish", image="https://example.com/a.jpg")
        KlingTaskSensor(task_id="wait", kling_task_id=made.output)
    with DAG("kling_batch_dag", schedule=None) as batch:
        KlingEffectBatchOperator(task_id="batch", manifest="/m.csv", results="/r")
    with DAG("no_kling", schedule=None) as other:
        read()
    return {dag.dag_id: dag for dag in (mapped, whole, pair, batch, other)}


@pytest.fixture(scope="module")
def stored_dags() -> dict[str, DAG]:
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
def server(stored_dags, account, tmp_path_factory):
    """The API server. Its folder of DAGs is empty: what it knows of DAGs stands in the database."""
    environment = {"AIRFLOW_CONN_KLING_DEFAULT": account.connection()}
    with plugin_server.serving(tmp_path_factory.mktemp("api-server"), **environment) as found:
        yield found


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
