"""The plugin as Airflow loads it: a field that its schema does not know would make it vanish without a word."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest
from airflow import plugins_manager
from airflow.api_fastapi.core_api.datamodels.plugins import PluginResponse

from airflow_provider_kling.plugin import KlingPlugin
from airflow_provider_kling.plugin.registration import _views


def test_airflow_loads_the_plugin_by_its_entry_point():
    (entry,) = [one for one in importlib.metadata.entry_points(group="airflow.plugins") if one.name == "kling"]
    assert entry.load() is KlingPlugin
    (info,) = [one for one in plugins_manager.get_plugin_info() if one["name"] == "kling"]
    response = PluginResponse.model_validate({"macros": [], "listeners": [], "timetables": [], **info})
    assert [app.url_prefix for app in response.fastapi_apps] == ["/kling"]
    assert {view.url_route: view.destination for view in response.external_views} == {
        "kling": "nav",
        "kling-videos": "dag_run",
        "kling-task-videos": "task_instance",
    }


@pytest.mark.integration
def test_other_processes_than_the_api_server_pay_next_to_nothing():
    """Airflow imports plugins in each of them. What it imports itself counts as there."""
    code = (
        "import sys, airflow.plugins_manager, airflow.providers.common.compat.sdk as sdk; sdk.AirflowPlugin, sdk.conf; "
        "before = set(sys.modules); from airflow_provider_kling.plugin import KlingPlugin; "
        "print(*(set(sys.modules) - before))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name for name in run.stdout.splitlines()[-1].split() if not name.startswith("airflow.sdk")}
    costly = {"fastapi", "starlette", "requests", "aiohttp", "PIL", "jwt", "jinja2"}
    assert costly.isdisjoint(name.partition(".")[0] for name in loaded)
    assert {name for name in loaded if name.startswith("airflow_provider_kling.")} == {
        "airflow_provider_kling.faces",
        "airflow_provider_kling.links",
        "airflow_provider_kling.plugin",
        "airflow_provider_kling.plugin.registration",
    }


def test_views_lie_below_the_path_of_airflows_own_address(monkeypatch):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://example.com/air/flow/")
    assert [view["href"].partition("?")[0] for view in _views()] == [
        "/air/flow/kling/runs",
        "/air/flow/kling/videos",
        "/air/flow/kling/videos",
    ]
