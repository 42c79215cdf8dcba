"""The provider's metadata, the cost of its imports, and errors that cross process boundaries."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from airflow.models import Connection

from airflow_provider_kling import __version__
from airflow_provider_kling.client import KlingSettings
from airflow_provider_kling.get_provider_info import get_provider_info
from airflow_provider_kling.hooks import KlingHook


def test_airflow_finds_the_provider_and_its_connection_type():
    from airflow.providers_manager import ProvidersManager

    assert ProvidersManager().providers["airflow-provider-kling"].version == __version__
    try:
        from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime as Hooks
    except ImportError:  # before Airflow 3.2
        Hooks = ProvidersManager  # noqa: N806
    hook = Hooks().hooks["kling"]
    assert hook is not None
    assert (hook.hook_name, hook.connection_id_attribute_name) == ("Kling AI", "kling_conn_id")
    assert hook.connection_testable


def test_the_connection_form_masks_secrets_and_has_all_fields():
    (kling,) = get_provider_info()["connection-types"]
    assert kling["conn-fields"]["webhook_secret"]["schema"]["format"] == "password"
    assert set(kling["conn-fields"]) == {
        *("max_concurrency", "timeout", "verify", "proxies", "webhook_secret"),
        *("accept_unsigned_callbacks", "allow_private_links"),
    }
    assert kling["ui-field-behaviour"] == KlingHook.get_ui_field_behaviour()
    assert kling["ui-field-behaviour"]["hidden-fields"] == ["schema"]


def test_the_form_shows_the_port_which_the_test_button_needs():
    """Airflow 3.3.2 sends port 0 for a port that is empty, and refuses it as another destination."""
    (kling,) = get_provider_info()["connection-types"]
    assert kling["ui-field-behaviour"]["placeholders"]["port"] == "443"


def test_the_form_takes_proxies_as_one_line_of_text():
    """An editor for an object fills the form."""
    (kling,) = get_provider_info()["connection-types"]
    assert kling["conn-fields"]["proxies"]["schema"] == {"type": ["string", "null"]}
    for text, proxies in {
        "http://p:3128": {"http": "http://p:3128", "https": "http://p:3128"},
        '{"https": "http://p:3128"}': {"https": "http://p:3128"},  # what earlier forms stored, typed into the line
    }.items():
        connection = Connection(conn_id="kling_default", conn_type="kling", password="k", extra=json.dumps({"proxies": text}))
        assert KlingSettings.of(connection).proxies == proxies


@pytest.mark.parametrize("host", ["", "api-singapore.klingai.com", "https://api-singapore.klingai.com"])
def test_port_443_changes_nothing(host):
    connection = Connection(conn_id="kling_default", conn_type="kling", password="k", host=host, port=443)
    assert KlingSettings.of(connection).base_url == "https://api-singapore.klingai.com"


def loaded(libraries: str, **names: str) -> set[str]:
    """The libraries among these that a process imports with these names (room → names), beyond what Airflow imports for a DAG."""
    imports = "; ".join(f"from airflow_provider_kling.{room} import {imported}" for room, imported in names.items())
    code = f"import sys; from airflow.sdk import DAG; before = set(sys.modules); {imports}; print(*(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(run.stdout.splitlines()[-1].split())
    assert {f"airflow_provider_kling.{room}" for room in names} <= modules
    return set(libraries.split()) & modules


@pytest.mark.integration
def test_a_dag_file_imports_no_library_for_http_images_or_tokens():
    libraries = "requests aiohttp PIL jwt pendulum tenacity jinja2"
    operators, sensors = "KlingEffectOperator, KlingEffectBatchOperator", "KlingTaskSensor, KlingBalanceSensor"
    assert loaded(libraries, operators=operators, sensors=sensors, decorators="kling_effect", mapping="read_manifest") == set()


@pytest.mark.integration
def test_a_worker_that_only_defers_imports_no_library_for_http():
    """Each mapped task starts one, and these libraries take longer to import than all of this package."""
    triggers = "KlingEffectTrigger, KlingTaskTrigger, defer"
    assert loaded("requests aiohttp PIL jwt", hooks="KlingHook, account_of", triggers=triggers, manifests="load_image") == set()


def test_errors_can_be_pickled():
    import pickle

    from airflow_provider_kling import errors

    originals = [
        errors.KlingManifestError("m.csv", ["line 2: no.", "line 3: no."]),
        errors.KlingSlotsFullError("full", code=1303, http_status=429, request_id="r", advice="Wait.", retry_after=2.0),
        errors.KlingConnectionError("cut", sent=True),
        errors.KlingTaskFailed("1", "no", input_fault=True),
        errors.KlingDownloadError("dead", expired=True),
    ]
    for original in originals:
        copy = pickle.loads(pickle.dumps(original))  # noqa: S301
        assert type(copy) is type(original)
        assert str(copy) == str(original)
        assert copy.__dict__ == original.__dict__


def test_the_scenes_are_those_that_kling_published():
    from airflow_provider_kling.api import scenes

    assert len(scenes()) == 327
    assert sum(scene.images == 2 for scene in scenes().values()) == 18
    assert scenes()["pet_lion"].discontinued == "2026-01-30"
    assert "let’s_ride" in scenes()
