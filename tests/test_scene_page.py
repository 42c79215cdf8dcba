"""docs/reference/scenes.md, which is written from the data, and the scenes that Airflow's form suggests.

`REWRITE_DOCS=1 .venv/bin/python -m pytest tests/test_scene_page.py -p no:xdist` writes the page.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from collections import Counter

import pytest
from airflow.sdk import Param
from places import ROOT
from task_runs import FakeAirflow

from airflow_provider_kling.api import STATES, Scene, scene_names, scenes

PAGE = ROOT / "docs" / "reference" / "scenes.md"
HEAD = """# Scenes

The {all} effect scenes that this version knows: {single} take [one image](#one-image), {dual} take [two images](#two-images).
Kling adds and removes scenes without notice. A scene that is not here gets a warning, and is tried; with `strict=True` it
is an error.

```bash
python -m airflow_provider_kling scenes            # all of them, as a table
python -m airflow_provider_kling scenes lion       # those with a word in their names; also with a typo
python -m airflow_provider_kling scenes hug --images 2 --json
```

The command needs no Airflow. It ends with code 1 if it finds nothing.

In a DAG file, `airflow_provider_kling.api.scenes()` returns the same data, and `scene_names(images=1)` the names of the current
scenes with one image. Airflow's form suggests what `examples` holds, as in `dags/kling_effect.py` and `dags/kling_effect_dual.py`:

```python
from airflow.sdk import Param
from airflow_provider_kling.api import scene_names

params = {{"effect_scene": Param("pet_lion_pro", type="string", examples=scene_names(images=1))}}
```

The form shows the suggestions that contain what the field holds: empty the field to see all. Any other text is accepted, too; with
`enum` in the place of `examples`, nothing else is. `values_display` has no effect beside `examples`. The names cost a DAG file a
few milliseconds.

| State | Meaning | Scenes |
|---|---|---|
{states}
*Region* is that of the accounts whose list has the scene. Both lists are the vendor's for Singapore: an earlier one, and that of
September 2026, with 219 scenes. Beijing's list of that time, with 206, is not at hand: a scene may be missing there, or be there
alone. Nor is there a list of prices; `units` in a [result](results.md#the-result) is what a video was charged.

This page is written by `tests/test_scene_page.py` from `api/effects.json`.
"""
TABLE = """
## {title}

| Scene | State | Region |
|---|---|---|
"""


def line_of(scene: Scene) -> str:
    state = f"{scene.state}, {scene.discontinued}" if scene.discontinued else scene.state
    return f"| `{scene.name}` | {state} | {', '.join(scene.regions) or 'unknown'} |\n"


def page() -> str:
    known = sorted(scenes().values(), key=lambda scene: scene.name)
    count = Counter(scene.state for scene in known)
    states = "".join(f"| {state} | {meaning} | {count[state]} |\n" for state, meaning in STATES.items())
    tables = [(TABLE.format(title=title), images) for title, images in (("Two images", 2), ("One image", 1))]
    number = Counter(scene.images for scene in known)
    return HEAD.format(all=len(known), single=number[1], dual=number[2], states=states) + "".join(
        head + "".join(line_of(scene) for scene in known if scene.images == images) for head, images in tables
    )


def test_the_page_is_what_the_data_say():
    if "REWRITE_DOCS" in os.environ:
        PAGE.write_text(page(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page()


def test_the_page_has_each_scene_once():
    names = re.findall(
        r"^\| `(.*?)` \| (?:current|discontinued, \d{4}-\d\d-\d\d|unknown) \|", PAGE.read_text("utf-8"), re.MULTILINE
    )
    assert len(names) == len(set(names)) == 327
    assert set(names) == set(scenes())


def test_states_follow_from_lists_and_announced_ends():
    data = json.loads((ROOT / "airflow_provider_kling" / "api" / "effects.json").read_text(encoding="utf-8"))
    for name, facts in data["scenes"].items():
        scene = scenes()[name]
        assert (scene.state == "discontinued") == (facts.get("discontinued") is not None)
        assert (scene.state == "current") == ("2026-09" in facts["listed"] and "discontinued" not in facts)
        assert scene.regions == (("Singapore",) if facts["listed"] else ())


@pytest.mark.parametrize(("dag_id", "images"), [("kling_effect", 1), ("kling_effect_dual", 2)])
def test_the_sample_dags_suggest_the_scenes_that_they_can_make(dag_id, images):
    dag = runpy.run_path(str(ROOT / "dags" / f"{dag_id}.py"))[dag_id]()
    param = dag.params.get_param("effect_scene")
    assert param.schema["examples"] == scene_names(images=images)
    assert param.value in param.schema["examples"]
    assert param.resolve("a_scene_of_tomorrow") == "a_scene_of_tomorrow"
    assert {scenes()[name].images for name in param.schema["examples"]} == {images}
    assert {scenes()[name].state for name in param.schema["examples"]} == {"current"}


@pytest.mark.kling_emulator(duration=0, videos="clip")
def test_the_sample_dag_for_two_images_makes_its_video(kling, tmp_path):
    dag = runpy.run_path(str(ROOT / "dags" / "kling_effect_dual.py"))["kling_effect_dual"]()
    video = dag.get_task("video")
    for params in (dag.params, video.params):
        params["save_to"] = Param(str(tmp_path))
    run = FakeAirflow().finish(video)
    assert run.state == "success", run.error
    [made] = kling.ledger
    assert len(list(tmp_path.glob("*.mp4"))) == 1
    assert made["effect_scene"] == "hug_pro"


@pytest.mark.integration
def test_a_dag_file_pays_little_for_the_names():
    """No module but the lists' own, and what makes a scene a value, is loaded for them, beside Python's: no other package."""
    code = "import airflow.sdk, sys, airflow_provider_kling.api; before = set(sys.modules);"
    code += "from airflow_provider_kling.api import scene_names; scene_names(images=1);"
    code += "own = [name for name in sys.modules if name.startswith('airflow_provider_kling.api.')];"
    code += "others = {name for name in sys.modules if name.split('.')[0] not in sys.stdlib_module_names} - before;"
    code += "print(*own, *(others - set(own)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.splitlines()[-1].split() == ["airflow_provider_kling.api.known_scenes", "airflow_provider_kling.values"]
