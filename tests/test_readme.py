"""The README as a package index shows it, and the links of the package's metadata."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from places import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINKS = [inline or defined for inline, defined in re.findall(r"\]\(([^)]+)\)|^\[.+?\]: (\S+)$", README, re.MULTILINE)]
SHELL = re.findall(r"```shell\n(.*?)```", README, re.DOTALL)
RAW = "https://raw.githubusercontent.com/airflow-provider-kling/airflow-provider-kling/main/"


def test_metadata_has_the_four_links():
    assert set(PROJECT["urls"]) == {"Documentation", "Source", "Changelog", "Issues"}
    assert all(url.startswith(PROJECT["urls"]["Source"]) for url in PROJECT["urls"].values())


@pytest.mark.parametrize("link", ["".join(link) for link in LINKS])
def test_links_of_the_readme_resolve_on_a_package_index(link):
    """An index knows no files beside the README."""
    assert link.startswith("https://")
    for files in (f"{PROJECT['urls']['Source']}/blob/main/", RAW):
        assert not link.startswith(files) or (ROOT / link.removeprefix(files)).is_file()


def test_each_name_of_a_link_has_its_address():
    """One that has none is shown as it is written, with its brackets."""
    names = re.findall(r"\[[^\]]+\]\[([^\]]+)\]", README)
    assert set(names) == set(re.findall(r"^\[([^\]]+)\]: ", README, re.MULTILINE))


def test_the_first_screen():
    """What it is, the report, the two commands, a DAG of a dozen lines."""
    first = README.partition("\n## ")[0]
    assert re.search(r"^!\[[^\]]+\]\[report\]$", first, re.MULTILINE)
    assert re.findall(r"^make (\w+)", first, re.MULTILINE) == ["demo", "test"]
    (code,) = re.findall(r"```python\n(.*?)```", first, re.DOTALL)
    assert sum(1 for line in code.splitlines() if line) <= 13
    assert max(map(len, code.splitlines())) <= 90  # none is cut off on PyPI
    assert first.index("[report]") < first.index("make demo") < first.index("```python")


@pytest.mark.parametrize("block", SHELL, ids=range(len(SHELL)))
def test_bash_understands_each_block(block):
    subprocess.run(["bash", "-n"], input=block, text=True, check=True)


def test_the_connections_are_ones(monkeypatch):
    """As bash hands them to Airflow. The first stands alone, the second takes its place."""
    from airflow_provider_kling.hooks import KlingHook

    (block,) = [block for block in SHELL if "AIRFLOW_CONN" in block]
    for place, base in ((1, "https://api-singapore.klingai.com"), (2, "https://api-beijing.klingai.com")):
        lines = "export AIRFLOW_CONN".join(block.split("export AIRFLOW_CONN")[: place + 1])
        script = f'{lines}\nprintf %s "$AIRFLOW_CONN_KLING_DEFAULT"'
        value = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout
        monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", re.sub(r"<[^>]*>", "a-key", value))
        assert KlingHook().settings.base_url == base


def test_the_manifest_dag_is_asked_for_what_it_knows():
    (command,) = re.findall(r"airflow dags test (\w+) --conf '(.*)'", README)
    assert (ROOT / "dags" / f"{command[0]}.py").is_file()
    conf = json.loads(command[1])
    assert (ROOT / conf["manifest"]).is_file()
    code = (ROOT / "dags" / f"{command[0]}.py").read_text(encoding="utf-8")
    assert all(f'"{name}"' in code for name in conf)


def test_names_that_it_lists_can_be_imported():
    import airflow_provider_kling

    for name in re.findall(r"`((?:operators|sensors|hooks|testing)\.\w+)`", README):
        module, _, attribute = name.partition(".")
        assert hasattr(__import__(f"{airflow_provider_kling.__name__}.{module}", fromlist=[attribute]), attribute), name
    dags = re.findall(r"`(kling_[a-z_]+)`", README)
    assert all((ROOT / "dags" / f"{dag}.py").is_file() for dag in dags if dag not in ("kling_default", "kling_emulator"))


def test_the_test_of_a_dag_is_the_one_that_is_run():
    from test_run_dag import TESTS

    (code,) = re.findall(r"```py\n(.*?)  #", README, re.DOTALL)
    assert code in TESTS


def test_readme_says_what_a_fresh_environment_needs():
    for needed in ("constraints-$AIRFLOW", "airflow db migrate", "DAGS_FOLDER", "example_dags", "environment variables only"):
        assert needed in README
