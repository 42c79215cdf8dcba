"""What a serialized DAG tells of its Kling tasks, from DAGs as Airflow serializes them."""

from __future__ import annotations

import json

import pytest

from airflow_provider_kling import testing
from airflow_provider_kling.plugin.dag_shape import KlingTask, kling_tasks


def shape(dag):
    return kling_tasks(json.loads(json.dumps(testing._serialize(dag), default=str)))


@pytest.fixture(scope="module")
def dags():
    from plugin_dags import dags

    return dags()


def test_a_mapped_task_group(dags):
    assert shape(dags["kling_mapped"]) == {
        "video.create": KlingTask(task_id="video.create", kind="create", rows_from="read"),
        "video.wait": KlingTask(task_id="video.wait", kind="wait", rows_from="read", waits_for="video.create"),
    }


def test_a_mapped_operator_of_the_users_own_class(dags):
    assert shape(dags["kling_whole"]) == {"make": KlingTask(task_id="make", kind="create", rows_from="read_rows")}


def test_a_sensor_and_the_task_it_waits_for(dags):
    assert shape(dags["kling_pair"])["wait"] == KlingTask(task_id="wait", kind="wait", waits_for="create")


def test_a_batch_and_a_dag_without_kling(dags):
    assert shape(dags["kling_batch_dag"]) == {"batch": KlingTask(task_id="batch", kind="batch")}
    assert shape(dags["no_kling"]) == {}


@pytest.mark.parametrize("data", [None, [], {}, {"dag": 1}, {"dag": {"tasks": [1, {"__var": {"task_id": 3}}], "task_group": []}}])
def test_whatever_else_stands_there(data):
    assert kling_tasks(data) == {}
