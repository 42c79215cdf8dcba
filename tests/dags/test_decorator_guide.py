"""The DAGs of docs/guides/decorator.md: those with the decorator and those with the operator ask Kling for the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from airflow_home import Airflow, migrated, warm
from places import ROOT

GUIDE = (ROOT / "docs/guides/decorator.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", GUIDE, flags=re.DOTALL))
SHOP = """
def order_of(number):
    return {"id": number, "pet": "cat", "photo": f"https://example.com/{number}.jpg"}

def products_of(run_id):
    return [{"sku": f"p{n}", "price": n, "photo": f"https://example.com/p{n}.jpg"} for n in range(3)]

def photos():
    return ["a", "b"]

def signed_link(key):
    return f"https://example.com/{key}.jpg"
"""


# The videos that each DAG makes.
DAGS = {"product_video": 1, "new_products": 3, "private_photos": 2}


@pytest.fixture
def dags(tmp_path, monkeypatch) -> Path:
    """A folder with the DAGs of the guide, which write below `tmp_path`."""
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "shop.py").write_text(SHOP)
    for name, text in FILES.items():
        (folder / name).write_text(text.replace("/tmp/kling", str(tmp_path / "out")))  # noqa: S108
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.fixture(scope="module")
def warm_airflow(tmp_path_factory):
    with warm(tmp_path_factory.mktemp("airflow")) as process:
        yield process


def test_the_guide_has_each_dag_both_ways():
    assert sorted(FILES) == sorted(f"{name}{way}.py" for name in DAGS for way in ("", "_by_operator"))


@pytest.mark.parametrize("name", DAGS)
def test_both_ways_ask_for_the_same_videos_and_save_them(hostile, dags, tmp_path, tmp_path_factory, warm_airflow, name):
    airflow = Airflow(tmp_path_factory.mktemp("airflow"), migrated(tmp_path_factory), warm=warm_airflow)
    airflow.dags = dags
    asked = []
    for dag_id in (name, f"{name}_by_operator"):
        start = len(hostile.ledger)
        airflow("dags", "test", dag_id)
        requests = [made.request for made in hostile.ledger[start:]]
        asked.append(sorted(json.dumps([one["effect_scene"], one["input"]]) for one in requests))
        saved = list((tmp_path / "out").rglob("*.mp4"))
        assert len(saved) == DAGS[name]
        for path in saved:
            path.unlink()
    assert len(asked[0]) == DAGS[name]
    assert asked[0] == asked[1]
