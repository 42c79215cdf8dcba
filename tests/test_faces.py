"""The faces of rooms: what a stub names is what its room hands out."""

from __future__ import annotations

import ast
import importlib

import pytest
from places import ROOT

from airflow_provider_kling import client
from airflow_provider_kling.faces import homes_of

STUBS = sorted((ROOT / "airflow_provider_kling").rglob("__init__.pyi"))


@pytest.mark.parametrize("stub", STUBS, ids=lambda stub: stub.parent.relative_to(ROOT).as_posix())
def test_a_stub_is_read_as_python_reads_it(stub):
    expected = {}
    for node in ast.parse(stub.read_text(encoding="utf-8")).body:
        assert isinstance(node, ast.ImportFrom)
        assert node.level == 1
        expected |= {name.asname: node.module or "" for name in node.names}
    assert homes_of(str(stub)) == expected


def test_a_function_with_the_name_of_its_module_stays_a_function():
    module = importlib.import_module("airflow_provider_kling.client.flows.create")
    client.flows.create = module  # as Python does after the import of a submodule
    assert client.flows.create is module.create


def test_a_face_without_the_name_says_so():
    with pytest.raises(AttributeError, match=r"'airflow_provider_kling.client' has no attribute 'nothing'"):
        _ = client.nothing
    assert "flows" in dir(client)
