"""The twenty likeliest mistakes of a DAG author. Each is really made; docs/guides/mistakes.md shows the sentence for it.

After a change of a sentence: `REWRITE_DOCS=1 .venv/bin/python -m pytest tests/test_mistakes.py -p no:xdist` writes the page.
"""

from __future__ import annotations

import json
import os
import re
import textwrap
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator
from places import ROOT
from task_runs import FakeAirflow

from airflow_provider_kling.mapping import read_manifest
from airflow_provider_kling.operators import KlingEffectBatchOperator, KlingEffectOperator
from airflow_provider_kling.sensors import KlingTaskSensor

PAGE = ROOT / "docs" / "guides" / "mistakes.md"
HEAD = """# The twenty likeliest mistakes

What a DAG author may get wrong, and the sentence that says so. Nothing is created at Kling, and nothing is paid, by any of them.
*Parsed*: the DAG is refused when Airflow reads its file. *Run*: the task fails.

`URL` stands for the URL of an image; `task_id` is left out. This page is written by `tests/test_mistakes.py`, which makes
each mistake.
"""

NAMES = {
    "KlingEffectOperator": KlingEffectOperator,
    "KlingEffectBatchOperator": KlingEffectBatchOperator,
    "KlingTaskSensor": KlingTaskSensor,
    "URL": "https://example.com/a.jpg",
    "read_manifest": read_manifest,
}

# The mistakes, as they stand in a DAG file.
MISTAKES = [
    'KlingEffectOperator(effect_scene="pet_lion_pro")',
    'KlingEffectOperator(effect_scene="hug_pro", image=URL, images=[URL, URL])',
    'KlingEffectOperator(effect_scene="hug_pro", images="left.jpg,right.jpg")',
    'KlingEffectOperator(effect_scene="pet_lion_pro", image=[URL])',
    'KlingEffectOperator(effect_scene="hug_pro", image=URL)',
    'KlingEffectOperator(effect_scene="pet_lion_prp", image=URL)',
    'KlingEffectOperator(effect_scene="pet_lion_pro", image=URL, save_to="videos")',
    'KlingEffectOperator(effect_scene="pet_lion_pro", image=URL, end_from_trigger=True)',
    'KlingEffectOperator(effect_scene="pet_lion_pro", image=URL, timeout="2h")',
    'KlingEffectOperator(effect_scene="pet_lion_pro", image=URL, poll_interval=0)',
    'KlingEffectOperator(effect_scene="pet_lion_pro", image="missing.jpg")',
    'KlingEffectOperator(effect_scene="pet_lion_pro", image="notes.txt")',
    """KlingEffectOperator(effect_scene="pet_lion_pro", image="{{ ti.xcom_pull('before', map_indexes=-1) }}")""",
    'KlingEffectOperator(effect_scene="pet_lion_pro", image=URL, kling_conn_id="kling_prod")',
    'KlingEffectOperator(effect_scene="pet_lion_pro", image=URL, kling_conn_id="wrong_key")',
    """KlingTaskSensor(kling_task_id="{{ ti.xcom_pull('before', map_indexes=-1) }}")""",
    'KlingTaskSensor(kling_task_id=["1", "2"])',
    'KlingTaskSensor(kling_task_id="unknown-id")',
    'read_manifest("missing.csv")',
    'read_manifest("no_scene.csv")',
]


@pytest.fixture
def world(kling, tmp_path, monkeypatch):
    """The files and connections that the mistakes name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "no_scene.csv").write_text("id,image\n1,a.jpg\n")
    wrong_key = {**json.loads(kling.connection()), "password": "another-key"}
    monkeypatch.setenv("AIRFLOW_CONN_WRONG_KEY", json.dumps(wrong_key))
    return kling


def sentence_of(mistake: str) -> tuple[str, str]:
    """When Airflow notices the mistake, and what it says."""
    code = mistake.replace("(", '(task_id="video", ', 1) if mistake.startswith("Kling") else mistake
    function = mistake.startswith("read_manifest")
    try:
        with DAG("d", schedule=None):
            made: Any = eval(code, dict(NAMES))  # noqa: S307
    except Exception as error:  # noqa: BLE001
        return "Run" if function else "Parsed", str(error)
    assert isinstance(made, BaseOperator)
    run = FakeAirflow().finish(made)
    assert run.state == "failed", f"{mistake} is no mistake: {run.state}"
    return "Run", str(run.error)


def line_of(mistake: str, world: Any, folder: str) -> str:
    when, sentence = sentence_of(mistake)
    assert world.ledger == []
    sentence = re.sub(r"request [\w-]{8,}", "request …", sentence)
    for real, shown in ((world.url, "https://api-singapore.klingai.com"), (f"{folder}/", ""), ("\n", " ")):
        sentence = sentence.replace(real, shown)
    lines = textwrap.fill(sentence.strip(), 130, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
    return f"\n- `{mistake}` · {when}\n\n{lines}\n"


@pytest.mark.skipif("REWRITE_DOCS" in os.environ, reason="the page is written")
@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_page_has_the_mistake_with_its_sentence(mistake, world, tmp_path):
    assert line_of(mistake, world, str(tmp_path)) in PAGE.read_text(encoding="utf-8")


def test_the_page_has_these_mistakes_and_no_others(world, tmp_path):
    if "REWRITE_DOCS" in os.environ:
        PAGE.write_text(HEAD + "".join(line_of(mistake, world, str(tmp_path)) for mistake in MISTAKES), encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    assert page.startswith(HEAD)
    assert re.findall(r"^- `(.*?)` · (?:Parsed|Run)$", page, re.MULTILINE) == MISTAKES
