"""The provider's metadata: it matches Airflow's schemas, and lists what the package has, no more and no less."""

from __future__ import annotations

import ast
import functools
import importlib
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import airflow
import jsonschema
import pytest
import yaml
from airflow.sdk import Asset, BaseHook
from places import ROOT

from airflow_provider_kling.asset_uris import sanitize_uri
from airflow_provider_kling.get_provider_info import GUIDES, LOGO, PAGES, get_provider_info
from airflow_provider_kling.retry_policy import HAS_POLICIES

INFO = get_provider_info()
REGISTRY = yaml.safe_load((ROOT / ".airflow-registry.yaml").read_text(encoding="utf-8"))
HERE = "https://github.com/airflow-provider-kling/airflow-provider-kling"

# Of which others are made; nobody puts them into a DAG, a trigger's row or a plugin.
BASES = {"KlingOperator", "BillingHook", "ConnectionHook", "OneEventTrigger", "TaskWaitTrigger"}
BEHIND = {"KlingEffectDecoratedOperator"}  # what stands behind a decorator is no operator of its own

# Airflow's classes of each kind, by their names. A sensor is an operator, too, so it comes first.
KINDS = {
    "sensors": {"BaseSensorOperator"},
    "operators": {"BaseOperator", "DecoratedOperator"},
    "hooks": {"BaseHook"},
    "triggers": {"BaseTrigger", "BaseEventTrigger"},
    "extra-links": {"BaseOperatorLink"},
    "notifications": {"BaseNotifier"},
    "plugins": {"AirflowPlugin"},
    "retry-policies": {"RetryPolicy"},
    "secrets-backends": {"BaseSecretsBackend"},
    "executors": {"BaseExecutor"},
}


def schema_of(name: str) -> dict[str, Any]:
    """A schema of the Airflow that is installed: each Airflow with which the tests run has its own."""
    return json.loads((Path(airflow.__file__).parent / name).read_text())


@functools.cache
def classes() -> dict[str, str]:
    """All public classes of the package that Airflow, or the author of a DAG, uses by name: name → kind."""
    bases: dict[str, set[str]] = {}
    for path in (ROOT / "airflow_provider_kling").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                bases[node.name] = {ast.unparse(base).rpartition(".")[2] for base in node.bases}

    def all_bases(name: str) -> set[str]:
        return bases.get(name, set()).union(*map(all_bases, bases.get(name, ())))

    kinds = {name: next((kind for kind, roots in KINDS.items() if roots & all_bases(name)), None) for name in bases}
    return {name: kind for name, kind in kinds.items() if kind and name not in BASES | BEHIND and not name.startswith("_")}


def listed(kind: str) -> set[str]:
    """The names of the classes that the metadata lists of a kind; each of them can be imported."""
    entries = INFO.get(kind, [])
    paths = [entry.get("plugin-class") if isinstance(entry, dict) else entry for entry in entries]
    modules = [module for entry in entries if isinstance(entry, dict) for module in entry.get("python-modules", ())]
    known = {name for name, its_kind in classes().items() if its_kind == kind}
    paths += [f"{module}.{name}" for module in modules for name in known & set(dir(importlib.import_module(module)))]
    return {named(path).__name__ for path in paths if path}


def named(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def test_the_metadata_matches_the_schema_of_what_airflow_loads():
    schema = schema_of("provider_info.schema.json")
    jsonschema.validate(INFO, schema)
    newer = {"retry-policies", "versions"}  # what this Airflow's schema need not know yet, and takes all the same
    assert INFO.keys() - schema["properties"].keys() <= newer


@pytest.mark.skipif(not HAS_POLICIES, reason="before Airflow 3.3 it allows one tag for an integration")
def test_the_metadata_matches_the_stricter_schema_of_airflows_own_providers():
    """It has rules that the other one lacks: for tags, fields of connections, decorators."""
    schema = schema_of("provider.yaml.schema.json")
    known = {key: value for key, value in INFO.items() if key in schema["properties"]}
    assert INFO.keys() - known.keys() <= {"retry-policies"}  # a key since Airflow 3.4
    jsonschema.validate({**known, "state": "ready", "source-date-epoch": 0}, schema)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_listed_is_what_exists(kind):
    there = {name for name, its_kind in classes().items() if its_kind == kind}
    if kind == "retry-policies" and not HAS_POLICIES:
        there = set()
    assert listed(kind) == there


def test_every_path_can_be_imported_and_airflow_has_registered_it():
    from airflow.sdk import task

    (decorator,) = INFO["task-decorators"]
    assert getattr(task, decorator["name"]) is named(decorator["class-name"])
    (uris,) = INFO["asset-uris"]
    assert named(uris["handler"]) is sanitize_uri
    (connection,) = INFO["connection-types"]
    assert issubclass(named(connection["hook-class-name"]), BaseHook)


def test_the_settings_are_those_that_the_package_reads():
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "airflow_provider_kling").rglob("*.py")]
    read = set(re.findall(r"""conf\.get\w*\(\s*"kling",\s*f?"([a-z_{}]+)\"""", " ".join(texts)))
    options = set(INFO["config"]["kling"]["options"])
    assert {name for name in read if "{" not in name} <= options
    for name in options - read:
        assert any(f'"{name}"' in text or name.startswith(("max_videos_per", "max_units_per")) for text in texts), name


# --- Assets


@pytest.mark.parametrize(
    "uri", ["kling://kling_default", "kling://kling_default/", "KLING://kling_default", "kling://kling_default#x"]
)
def test_an_asset_of_an_account_has_one_uri(uri):
    assert Asset(uri).uri == "kling://kling_default"


@pytest.mark.parametrize("uri", ["kling:///task", "kling://", "kling://a b", "kling://kling_default/task/1", "kling://x?y=1"])
def test_an_asset_uri_that_names_no_account_is_refused(uri):
    with pytest.raises(ValueError, match=r"The asset URI kling://.*; wanted is kling://"):
        Asset(name="a", uri=uri)


# --- Pages and pictures


def test_the_logo_is_a_picture_in_this_repository():
    path = ROOT / LOGO.partition("/main/")[2]
    assert ElementTree.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 - our own file


def test_the_guides_are_pages_of_this_repository():
    assert f"{HERE}/blob/main/docs/" == PAGES
    for guide in GUIDES:
        assert (ROOT / "docs" / "guides" / f"{guide}.md").is_file(), guide


# --- .airflow-registry.yaml


def test_the_registry_file_says_what_the_metadata_says():
    assert REGISTRY["package-name"] == INFO["package-name"]
    assert REGISTRY["logo"] == LOGO
    assert REGISTRY["source-url"] == HERE
    assert REGISTRY["description"].rstrip(".") in INFO["description"]


@pytest.mark.parametrize("kind", ["operators", "sensors", "hooks", "triggers"])
def test_the_registry_file_lists_what_exists(kind):
    assert {named(entry["module"]).__name__ for entry in REGISTRY[kind]} == listed(kind)
    assert all(entry["description"] for entry in REGISTRY[kind])


def test_the_registry_file_lists_the_decorators():
    assert [entry["module"] for entry in REGISTRY["decorators"]] == [entry["class-name"] for entry in INFO["task-decorators"]]
