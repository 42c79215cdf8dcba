"""The pages of production: their commands, settings and values are ones that Airflow and this package know."""

from __future__ import annotations

import re

import pytest
import yaml
from airflow.sdk import Connection
from places import ROOT

from airflow_provider_kling.client import KlingSettings

PAGES = {path.name: path.read_text() for path in (ROOT / "docs/production").glob("*.md")}
VALUES = (ROOT / "docker/helm/values.yaml").read_text()
EVERYTHING = {**{f"docs/production/{name}": text for name, text in PAGES.items()}, "docker/helm/values.yaml": VALUES}


@pytest.fixture(scope="module")
def options() -> set[str]:
    """All settings of Airflow, its providers and this package, as environment variables."""
    from airflow.configuration import conf
    from airflow.providers_manager import ProvidersManager

    sections = dict(conf.configuration_description)
    for _, section in ProvidersManager().provider_configs:
        sections.update(section)
    return {f"AIRFLOW__{section}__{option}".upper() for section, body in sections.items() for option in body["options"]}


def test_every_setting_that_they_name_exists(options):
    for name, text in EVERYTHING.items():
        assert set(re.findall(r"AIRFLOW__\w+__\w+", text)) <= options, name
        for section, option in re.findall(r"`\[(\w+)\] (\w+)`", text):
            assert f"AIRFLOW__{section}__{option}".upper() in options, f"{name}: [{section}] {option}"


def test_the_page_shows_the_values_as_they_are():
    assert f"```yaml\n{VALUES}```" in PAGES["helm.md"]


def test_the_values_name_metrics_as_the_compose_file_does():
    values = yaml.safe_load(VALUES)
    compose = yaml.safe_load((ROOT / "docker/metrics/statsd-mapping.yaml").read_text())
    assert values["statsd"]["extraMappings"] == compose["mappings"]


def test_no_value_holds_a_key():
    values = yaml.safe_load(VALUES)
    assert not [entry for entry in values["env"] if entry["name"].startswith("AIRFLOW_CONN")]
    assert {entry["envName"] for entry in values["secret"]} == {"AIRFLOW_CONN_KLING_DEFAULT"}


def test_each_connection_is_one_that_this_package_accepts():
    found = 0
    for name, text in PAGES.items():
        for written in re.findall(r'\{"conn_type": ?"kling"[^\n`]*\}', text):
            connection = Connection.from_json(written.replace("…", "x").replace("<API key>", "key"), conn_id="kling_default")
            assert connection.password, name
            KlingSettings.of(connection)
            found += 1
    assert found > 5
