"""Arguments: what cannot work is refused when the DAG is parsed, or as soon as it is rendered; paths of any kind are taken."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG, ObjectStoragePath, task
from airflow.sdk.execution_time.xcom import XCom
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem
from places import ROOT
from task_runs import URL, FakeAirflow, operator

from airflow_provider_kling.arguments import is_known, place_text
from airflow_provider_kling.errors import KlingInputError, KlingStorageError
from airflow_provider_kling.mapping import read_manifest
from airflow_provider_kling.operators import KlingEffectBatchOperator, KlingEffectOperator
from airflow_provider_kling.sensors import KlingTaskSensor
from airflow_provider_kling.writable import check_writable


@task
def before():
    """What it leaves is what the test puts into the XComs."""


# --- When the DAG is parsed


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"effect_scene": None}, "effect_scene is missing"),
        ({"effect_scene": ""}, "effect_scene is ''"),
        ({"effect_scene": ["squish"]}, "effect_scene is a list; wanted is the name of a scene"),
        ({"image": None}, "There is no image; wanted is image with one image"),
        ({"image": ""}, "There is no image"),
        ({"images": [URL, URL]}, "Both image and images are given; wanted is image for one, images for two."),
        ({"image": None, "images": URL}, "images is a text; wanted is a list of two images."),
        ({"image": None, "images": {URL}}, "images is a set; wanted is a list of two images."),
        ({"image": None, "images": [URL, None]}, "images[1] is None; wanted is one image"),
        (
            {"image": [URL]},
            "image is a list; wanted is one image: a URL, a path, or base64 as text. Two images are a list in images.",
        ),
        ({"image": b"\xff\xd8"}, "image is a bytes; wanted is one image"),
        ({"timeout": 0}, "timeout is 0; wanted is a positive number of seconds, or a timedelta."),
        ({"timeout": "1h"}, "timeout is '1h'"),
        ({"poll_interval": timedelta(0)}, "poll_interval is 0.0"),
        ({"save_to": "/videos"}, "save_to is given, but this operator only creates the task"),
        ({"save_to": "{{ params.folder }}"}, "set wait_for_completion=True"),
        ({"save_to": 7, "wait_for_completion": True}, "save_to is a int; wanted is a folder or URI."),
        ({"end_from_trigger": True, "deferrable": False}, "end_from_trigger=True needs deferrable=True"),
    ],
)
def test_what_cannot_work_is_refused_when_the_dag_is_parsed(arguments, sentence):
    with pytest.raises(KlingInputError) as caught:
        operator(**arguments)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"manifest": None}, "manifest is None; wanted is the path or URI of a manifest."),
        ({"manifest": ["a.csv"]}, "manifest is a list"),
        ({"results": " "}, "results is ' '; wanted is a folder or URI."),
        ({"save_to": 3}, "save_to is a int"),
        ({"downloads": 0}, "downloads is 0; wanted is a whole number from 1 on."),
        ({"max_concurrency": 2.5}, "max_concurrency is 2.5"),
        ({"format": "xlsx"}, "format is 'xlsx'; wanted is one of csv, jsonl, json."),
        ({"shard": "11/10"}, "shard is '11/10'"),
        ({"max_failures": "5 of 10"}, "max_failures is '5 of 10'"),
        ({"timeout": -1}, "timeout is -1"),
        ({"poll_interval": True}, "poll_interval is True"),
    ],
)
def test_a_batch_that_cannot_work_is_refused_when_the_dag_is_parsed(arguments, sentence):
    with DAG("d", schedule=None), pytest.raises(KlingInputError) as caught:
        KlingEffectBatchOperator(task_id="batch", **{"manifest": "m.csv", "results": "out", **arguments})
    assert sentence in str(caught.value)


def test_templates_and_xcoms_are_not_judged_before_they_are_known():
    with DAG("d", schedule=None):
        left = before()
        KlingEffectOperator(task_id="a", effect_scene="{{ params.scene }}", image=left)
        KlingEffectOperator(task_id="b", effect_scene=left, images="{{ params.images }}")
        KlingEffectOperator(task_id="c", effect_scene="hug_pro", images=[left, "{{ ds }}.jpg"])
        KlingEffectOperator(task_id="d", effect_scene="hug_pro", image="{{ params.one }}", images="{{ params.two }}")
        KlingEffectBatchOperator(task_id="e", manifest=left, results="{{ ds }}", shard="{{ 1 }}/2", max_failures=left)
    assert is_known(["a", {"b": 1}, None])
    assert not is_known({"b": ["{% if 1 %}"]})
    assert not is_known([left])
    assert is_known(Path("a"))


# --- As soon as it is rendered


LOST = "the task before left no value"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"image": "{{ None }}"}, f"image rendered to 'None': {LOST}"),
        ({"image": "{{ params.get('gone', '') }}"}, f"image rendered to '': {LOST}"),
        ({"effect_scene": "{{ None }}"}, f"effect_scene rendered to 'None': {LOST}"),
        ({"external_task_id": "{{ None }}"}, f"external_task_id rendered to 'None': {LOST}"),
        ({"callback_url": "{{ None }}"}, f"callback_url rendered to 'None': {LOST}"),
        ({"save_to": "{{ None }}", "wait_for_completion": True}, f"save_to rendered to 'None': {LOST}"),
        (
            {"image": None, "images": "{{ ['a.jpg', 'b.jpg'] }}"},
            "images rendered to a text that looks like a list: set render_template_as_native_obj=True in the DAG, or pass a list",
        ),
        ({"image": "{{ ['a.jpg'] }}"}, "image rendered to a text that looks like a list"),
        ({"image": None, "images": "{{ None }}"}, f"images rendered to 'None': {LOST}"),
        ({"images": "{{ ['a.jpg', 'b.jpg'] }}"}, "Both image and images are given"),
    ],
)
def test_what_a_template_rendered_to_is_checked_before_anything_is_sent(airflow, kling, arguments, sentence):
    run = airflow.run(operator(**arguments))
    assert isinstance(run.error, AirflowFailException)
    assert sentence in str(run.error)
    assert airflow.xcoms["failed_result"]["status"] == "invalid"
    assert kling.journal == []


@pytest.mark.parametrize(
    ("left", "sentence"),
    [(None, f"image rendered to None: {LOST}"), (["a.jpg"], "image is a list; wanted is one image"), (7, "image is a int")],
)
def test_what_a_task_left_is_checked_too(kling, left, sentence):
    with DAG("d", schedule=None):
        video = KlingEffectOperator(task_id="video", effect_scene="squish", image=before())
    run = FakeAirflow(xcoms={"return_value": left}).run(video)
    assert isinstance(run.error, AirflowFailException)
    assert sentence in str(run.error)
    assert kling.journal == []


def test_the_output_of_a_mapped_task_is_to_be_mapped_over(kling, airflow):
    text = "LazyXComSequence(xcom_arg=PlainXComArg(<Task(_PythonDecoratedOperator): read>), ti=…)"
    run = airflow.run(operator(image=f"{{{{ {text!r} }}}}"))
    assert "image: this is the output of a mapped task: use `KlingEffectOperator.partial(…).expand(image=…)`" in str(run.error)


def test_what_a_mapped_task_gets_is_checked_on_the_worker_without_a_retry(kling):
    with DAG("d", schedule=None):
        video = KlingEffectOperator.partial(task_id="video", effect_scene="squish").expand(image=before())
    airflow = FakeAirflow(map_index=0, max_tries=3, xcoms={"return_value": [["a.jpg"]]})
    run = airflow.run(video)
    assert isinstance(run.error, AirflowFailException)
    assert "image is a list" in str(run.error)
    assert airflow.xcoms["failed_result"]["status"] == "invalid"


# --- Paths


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (Path("/a/b.jpg"), "/a/b.jpg"),
        (ObjectStoragePath("file:///a/b#1?.jpg"), "/a/b#1?.jpg"),
        (ObjectStoragePath("/a/b"), "/a/b"),
        (ObjectStoragePath("memory://bucket/key", conn_id="c"), "memory://c@/bucket/key"),
        ("s3://c@bucket/key", "s3://c@bucket/key"),
        (None, None),
        (7, 7),
    ],
)
def test_a_path_of_any_kind_becomes_text(place, text):
    assert place_text(place) == text


def test_storage_options_that_a_text_cannot_hold_are_refused():
    with pytest.raises(KlingInputError, match="storage options"):
        place_text(ObjectStoragePath("memory://bucket/key", endpoint_url="http://localhost"))


@pytest.mark.parametrize("kind", [Path, lambda path: ObjectStoragePath(f"file://{path}")], ids=["Path", "ObjectStoragePath"])
def test_operators_sensor_and_helpers_take_paths(kling, photo, tmp_path, kind):
    airflow = FakeAirflow()
    run = airflow.finish(operator(image=kind(photo), wait_for_completion=True, save_to=kind(tmp_path / "a")))
    assert run.state == "success", run.error
    assert len(list((tmp_path / "a").glob("*.mp4"))) == 1
    with DAG("d", schedule=None):
        wait = KlingTaskSensor(
            task_id="wait", kling_task_id=airflow.result["kling_task_id"], save_to=kind(tmp_path / "b"), poke_interval=0.1
        )
    assert FakeAirflow().finish(wait).state == "success"
    assert len(list((tmp_path / "b").glob("*.mp4"))) == 1
    (tmp_path / "m.csv").write_text(f"id,effect_scene,image\na,squish,{URL}\n")
    with DAG("d", schedule=None):
        batch = KlingEffectBatchOperator(
            task_id="batch", manifest=kind(tmp_path / "m.csv"), results=kind(tmp_path / "out"), poll_interval=0.1
        )
    assert FakeAirflow().finish(batch).state == "success"
    assert len(list((tmp_path / "out" / "videos").glob("*.mp4"))) == 1
    assert [row["row_id"] for row in read_manifest(kind(tmp_path / "m.csv"))] == ["a"]


def test_a_path_with_a_template_is_rendered(kling, tmp_path):
    airflow = FakeAirflow()
    airflow.finish(operator(wait_for_completion=True, save_to=tmp_path / "{{ run_id }}"))
    assert Path(airflow.result["videos"][0]["path"]).parent == tmp_path / "scheduled__2026-01-01"


# --- Places that cannot be written


def test_videos_that_cannot_be_saved_are_not_made(airflow, kling, tmp_path):
    (tmp_path / "file").write_text("")
    place = str(tmp_path / "file" / "videos")
    run = airflow.run(operator(wait_for_completion=True, save_to=place))
    assert isinstance(run.error, KlingStorageError)  # with Airflow's retries: somebody may make room
    assert "save_to: nothing can be written to" in str(run.error)
    assert "file is a file" in str(run.error)
    (tmp_path / "m.csv").write_text(f"id,effect_scene,image\na,squish,{URL}\n")
    for places in ({"results": place}, {"results": str(tmp_path / "out"), "save_to": place}):
        with DAG("d", schedule=None):
            batch = KlingEffectBatchOperator(task_id="batch", manifest=str(tmp_path / "m.csv"), **places)
        assert "nothing can be written to" in str(FakeAirflow().run(batch).error)
    with DAG("d", schedule=None):
        wait = KlingTaskSensor(task_id="wait", kling_task_id="17", save_to=place, deferrable=True)
    assert "nothing can be written to" in str(FakeAirflow().run(wait).error)
    assert kling.journal == []


def test_a_folder_that_does_not_exist_yet_is_no_fault_and_is_not_made(tmp_path):
    check_writable(str(tmp_path / "a" / "b"), "save_to")
    assert list(tmp_path.iterdir()) == []


def test_a_bucket_that_does_not_exist_is_refused():
    store = MemoryFileSystem(skip_instance_cache=True)
    store.pseudo_dirs, store.store = ["", "/there"], {}
    attach("s3", conn_id="c", fs=store)
    check_writable("s3://c@there/videos", "save_to")
    with pytest.raises(KlingStorageError, match="there is no bucket 'gone'"):
        check_writable("s3://c@gone/videos", "save_to")


def test_a_folder_without_permission_is_refused():
    code = (
        "import os, sys; from pathlib import Path; from airflow_provider_kling.writable import _why_not_local\n"
        "os.chmod(sys.argv[1], 0o555); os.geteuid() or os.setuid(65534)\n"
        "print(_why_not_local(Path(sys.argv[1])), '|', _why_not_local(Path(sys.argv[1], 'x')))"
    )
    with tempfile.TemporaryDirectory() as folder:  # pytest's own can be entered by nobody else
        done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=False)
    assert "may not write into it | this process may not write into its parent" in done.stdout, done.stderr


# --- Files that may still come


def test_an_image_or_manifest_that_may_still_come_uses_retries(kling, photo, tmp_path):
    airflow = FakeAirflow(max_tries=1)
    late = tmp_path / "late.jpg"
    task = operator(image=str(late), retries=1)
    run = airflow.run(task)
    assert run.state == "up_for_retry"
    assert "no such file on this machine" in str(run.error)
    late.write_bytes(Path(photo).read_bytes())
    airflow.try_number = 2
    assert airflow.run(task).state == "success"
    with DAG("d", schedule=None):
        batch = KlingEffectBatchOperator(task_id="b", manifest=str(tmp_path / "m.csv"), results=str(tmp_path / "out"), retries=1)
    run = FakeAirflow(max_tries=1).run(batch)
    assert run.state == "up_for_retry"
    assert "does not exist" in str(run.error)


# --- Rows of a manifest, in the DAG file itself


def test_rows_that_are_read_when_the_dag_is_parsed_can_be_mapped_over(kling, tmp_path):
    (tmp_path / "m.csv").write_text(f"id,effect_scene,image\na,squish,{URL}\nb,squish,{URL}?{{{{ds}}}}\n")
    with DAG("d", schedule=None):
        video = KlingEffectOperator.partial(task_id="video").expand(row=read_manifest(tmp_path / "m.csv"))
    airflow = FakeAirflow(map_index=1)
    assert airflow.run(video).state == "success"
    assert airflow.xcoms["kling_task"]["row_id"] == "b"


# --- What a rescheduled task logs


@pytest.mark.kling_emulator(slots=1, duration=600)
def test_a_local_image_that_waits_for_hours_logs_now_and_then(kling, photo, capfd):
    FakeAirflow(run_id="other").run(operator())
    capfd.readouterr()
    lines = []
    for reschedules in (0, 1, 2, 20):
        airflow = FakeAirflow(reschedules=reschedules)
        task = operator(image=photo, deferrable=True, timeout=timedelta(days=36500))
        assert airflow.run(task).state == "up_for_reschedule"
        out, error = capfd.readouterr()
        lines.append([line for line in (out + error).splitlines() if "asking Kling" in line or "Trying again" in line])
    assert list(map(len, lines)) == [2, 0, 0, 2]
    assert "Connection kling_default: All slots" in lines[0][1]


# --- Types


TYPED = """
from pathlib import Path

from airflow.sdk import DAG, ObjectStoragePath, task

from airflow_provider_kling.mapping import outcomes_of, read_manifest, write_results
from airflow_provider_kling.operators import KlingEffectBatchOperator, KlingEffectOperator
from airflow_provider_kling.sensors import KlingTaskSensor


@task
def other_task() -> str:
    return "https://example.com/a.jpg"


with DAG("typed") as dag:
    create = KlingEffectOperator(task_id="create", effect_scene="squish", image=other_task())
    KlingTaskSensor(task_id="wait", kling_task_id=create.output, save_to=Path("/videos"))
    KlingEffectOperator(task_id="two", effect_scene="hug_pro", images=[other_task(), Path("b.jpg")], row_id=create.output)
    KlingEffectBatchOperator(task_id="batch", manifest=other_task(), results=ObjectStoragePath("s3://bucket/out"))
    KlingEffectOperator.partial(task_id="mapped").expand(row=read_manifest(Path("m.csv")))
"""


@pytest.mark.integration
@pytest.mark.skipif(not hasattr(XCom, "aset"), reason="the types are those of Airflow 3.3")
def test_a_typed_dag_passes_mypy(tmp_path):
    (tmp_path / "typed_dag.py").write_text(TYPED)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache"), str(tmp_path / "typed_dag.py")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
