"""The README as a package index shows it, and the links of the package's metadata."""

from __future__ import annotations

import re
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


def test_metadata_has_the_four_links():
    assert set(PROJECT["urls"]) == {"Documentation", "Source", "Changelog", "Issues"}
    assert all(url.startswith(PROJECT["urls"]["Source"]) for url in PROJECT["urls"].values())


@pytest.mark.parametrize("link", LINKS)
def test_links_of_the_readme_resolve_on_a_package_index(link):
    """An index knows no files beside the README."""
    assert link.startswith("https://")
    files = f"{PROJECT['urls']['Source']}/blob/main/"
    assert not link.startswith(files) or (ROOT / link.removeprefix(files)).is_file()


def test_readme_says_what_a_fresh_environment_needs():
    for needed in ("constraints-$AIRFLOW", "airflow db migrate", "DAGS_FOLDER", "example_dags", "environment variables only"):
        assert needed in README
