"""The values of XComs as the API server reads them."""

from __future__ import annotations

import json

import pytest
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.execution_time import xcom

from airflow_provider_kling.plugin.xcoms import decode

VALUES = [{"kling_task_id": "179562958053400444"}, ["a"], "179562958053400444", "text", None, 7]


@pytest.mark.parametrize("stored", [lambda value: value, json.dumps], ids=["as objects", "as texts"])
def test_values_are_the_same_however_airflow_has_stored_them(stored):
    assert decode(map(stored, VALUES[:4])) == VALUES[:4]


def test_nothing_becomes_an_object_of_a_class_that_an_xcom_names():
    (value,) = decode([{"__classname__": "airflow.models.connection.Connection", "__version__": 1, "__data__": {}}])
    assert isinstance(value, dict)


def test_values_in_an_object_store_are_read_through(tmp_path, monkeypatch):
    backend = pytest.importorskip("airflow.providers.common.io.xcom.backend")
    monkeypatch.setenv("AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH", f"file://{tmp_path}")
    monkeypatch.setenv("AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD", "10")
    for cached in (backend._get_base_path, backend._get_threshold, backend._get_compression):
        cached.cache_clear()
    monkeypatch.setattr(xcom, "XCom", backend.XComObjectStorageBackend)
    large = {"kling_task_id": "1" * 100}
    raw = backend.XComObjectStorageBackend.serialize_value(large, key="k", task_id="t", dag_id="d", run_id="r", map_index=0)
    assert str(tmp_path) in str(raw)
    assert decode([raw, "small", {"a": 1}]) == [large, "small", {"a": 1}]
    assert decode([str(raw).replace("file:", "s3:")]) != [large]
    for cached in (backend._get_base_path, backend._get_threshold, backend._get_compression):
        cached.cache_clear()
    assert issubclass(backend.XComObjectStorageBackend, BaseXCom)
