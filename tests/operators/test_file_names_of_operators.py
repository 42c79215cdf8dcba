"""`file_name`, `watermark` and `sidecar` of operator, sensor and hook, on a worker and in the triggerer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from airflow.sdk import DAG
from task_runs import URL, FakeAirflow, operator

from airflow_provider_kling.api import EffectRequest
from airflow_provider_kling.errors import KlingInputError, KlingManifestError
from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.mapping import read_manifest
from airflow_provider_kling.sensors import KlingTaskSensor

ROW = {"row_id": "a/1", "effect_scene": "squish", "image": URL, "images": None, "columns": {"title": "Anna: a cat"}}
NAME = "{date}/{row_id}-{title}-{effect_scene}-{kling_task_id}.mp4"
MODES = pytest.mark.parametrize("mode", [{}, {"deferrable": True}], ids=["worker", "deferred"])


@pytest.fixture
def kling(kling):
    kling.configure(videos="clip")
    return kling


def of_row(**kwargs):
    return operator(effect_scene=None, image=None, row=ROW, wait_for_completion=True, **kwargs)


def sensor(**kwargs):
    with DAG("d", schedule=None):
        return KlingTaskSensor(task_id="wait", **{"poke_interval": 0.05, **kwargs})


@MODES
def test_operator_and_sensor_give_the_same_names(kling, tmp_path, mode):
    airflow = FakeAirflow()
    run = airflow.finish(of_row(save_to=str(tmp_path), file_name=NAME, **mode))
    assert run.state == "success", run.error
    (video,) = airflow.result["videos"]
    assert video["path"] == str(tmp_path / "2026-01-01" / f"a_1-Anna_ a cat-squish-{airflow.result['kling_task_id']}.mp4")
    assert "watermark_path" not in video
    waits = FakeAirflow()
    wait = sensor(kling_task_id=airflow.result["kling_task_id"], row=ROW, save_to=str(tmp_path), file_name=NAME, **mode)
    assert waits.finish(wait).state == "success"
    assert waits.result["videos"] == [video]
    assert len(kling.requests("video")) == 1


@MODES
def test_the_default_has_the_row_id(kling, tmp_path, mode):
    airflow = FakeAirflow()
    assert airflow.finish(of_row(save_to=str(tmp_path), **mode)).state == "success"
    assert [path.name for path in tmp_path.iterdir()] == [f"a_1-{airflow.result['kling_task_id']}.mp4"]


@MODES
def test_watermark_and_sidecar_are_saved_beside_the_video(kling, tmp_path, mode):
    airflow = FakeAirflow()
    asked = {"save_to": str(tmp_path), "file_name": "{row_id}.mp4", "watermark": True, "sidecar": True}
    assert airflow.finish(of_row(**asked, **mode)).state == "success"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a_1-watermark.mp4", "a_1.mp4", "a_1.mp4.json"]
    (video,) = airflow.result["videos"]
    assert (video["path"], video["watermark_path"]) == (str(tmp_path / "a_1.mp4"), str(tmp_path / "a_1-watermark.mp4"))
    sidecar = tmp_path / "a_1.mp4.json"
    assert json.loads(sidecar.read_text()) == airflow.result
    assert airflow.result["row_id"] == "a/1"
    sidecar.unlink()
    again = FakeAirflow(try_number=2)
    assert again.finish(of_row(**asked, **mode)).state == "success"
    assert json.loads(sidecar.read_text())["kling_task_id"] == airflow.result["kling_task_id"]
    assert len(kling.requests("video")) == 2


@MODES
def test_the_video_of_another_run_is_not_taken(kling, tmp_path, mode):
    made = [FakeAirflow(run_id=run_id) for run_id in ("one", "two")]
    for airflow in made:
        assert airflow.finish(of_row(save_to=str(tmp_path), file_name="{row_id}.mp4", **mode)).state == "success"
    one, two = (airflow.result for airflow in made)
    assert [result["videos"][0]["path"] for result in (one, two)] == [
        str(tmp_path / "a_1.mp4"),
        str(tmp_path / f"a_1-{two['kling_task_id']}.mp4"),
    ]
    assert one["kling_task_id"].encode() in (tmp_path / "a_1.mp4").read_bytes()


def test_the_triggers_row_holds_only_what_the_name_needs(kling, tmp_path):
    _, kwargs = FakeAirflow().run(of_row(save_to=str(tmp_path), file_name="{row_id}-{kling_task_id}.mp4", deferrable=True)).trigger
    assert kwargs["save_as"] == {
        "file_name": "{row_id}-{kling_task_id}.mp4",
        "fields": {"row_id": "a/1"},
        "watermark": False,
        "sidecar": False,
    }


def test_a_column_that_the_row_does_not_have_is_an_error_before_anything_is_paid(kling, tmp_path):
    run = FakeAirflow().run(of_row(save_to=str(tmp_path), file_name="{titel}-{row_id}.mp4"))
    assert run.state == "failed"
    assert "unknown field {titel}" in str(run.error)
    assert "the columns title" in str(run.error)
    assert not kling.ledger


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"file_name": "{title}.mp4"}, r"unknown field \{title\}"),
        ({"file_name": "{row_id}"}, "does not end with .mp4"),
        ({"file_name": "{{ ds }}.mp4"}, "template of Jinja"),
        ({"file_name": "{row_id}.mp4", "save_to": None}, "file_name is given, but save_to is not"),
        ({"sidecar": True, "save_to": None}, "sidecar is given, but save_to is not"),
        ({"watermark": "also"}, "watermark is 'also'; wanted is True or False"),
    ],
)
def test_a_wrong_argument_is_an_error_when_the_dag_is_parsed(wrong, sentence):
    with pytest.raises(KlingInputError, match=sentence):
        operator(wait_for_completion=True, **{"save_to": "/videos", **wrong})
    with pytest.raises(KlingInputError, match=sentence):
        sensor(kling_task_id="1", **{"save_to": "/videos", **wrong})


def test_the_hook_takes_the_fields_of_a_name(kling, tmp_path):
    with KlingHook() as hook:
        task = hook.create_task(EffectRequest("squish", [URL]))
        task = hook.wait_for_task(task.kling_task_id, timeout=30, poll_interval=0.05)
        fields = {"row_id": "r1", "customer": "anna"}
        (path,) = hook.save_videos(task, tmp_path, file_name="{customer}-{row_id}.mp4", fields=fields)
        assert Path(path).name == "anna-r1.mp4"
        (path,) = hook.save_videos(task, tmp_path / "b", fields=fields)
        assert Path(path).name == f"r1-{task.kling_task_id}.mp4"
        with pytest.raises(KlingInputError, match=r"unknown field \{customer\}"):
            hook.save_videos(task, tmp_path, file_name="{customer}.mp4")


# --- read_manifest

HEAD = "id,effect_scene,image,title,customer\n"


def manifest(folder, *rows):
    (folder / "m.csv").write_text(HEAD + "".join(f"r{number},squish,{URL},{row}\n" for number, row in enumerate(rows)))
    return str(folder / "m.csv")


def test_rows_hand_out_the_columns_that_the_name_needs(tmp_path):
    path = manifest(tmp_path, f"{'x' * 300},anna", "b,otto")
    assert [row["columns"] for row in read_manifest(path)] == [
        {"title": "x" * 200, "customer": "anna"},
        {"title": "b", "customer": "otto"},
    ]
    rows = read_manifest(path, file_name="{customer}-{row_id}.mp4")
    assert [row["columns"] for row in rows] == [{"customer": "anna"}, {"customer": "otto"}]
    assert all("columns" not in row for row in read_manifest(path, file_name="{row_id}.mp4"))


def test_names_that_are_not_unique_are_an_error_of_read_manifest(tmp_path):
    path = manifest(tmp_path, "a,anna", "b,Anna")
    with pytest.raises(KlingManifestError, match=r"line 3, id 'r1': its video would have the name of that of line 2, 'Anna.mp4'"):
        read_manifest(path, file_name="{customer}.mp4")
    with pytest.raises(KlingInputError, match=r"unknown field \{customr\}.*customer"):
        read_manifest(path, file_name="{customr}.mp4")
    assert len(read_manifest(path, file_name="{customer}-{title}.mp4")) == 2
