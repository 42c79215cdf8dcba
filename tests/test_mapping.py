"""From a manifest to mapped arguments, and from what mapped tasks left to results."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from places import PHOTOS

from airflow_provider_kling.errors import KlingInputError, KlingManifestError
from airflow_provider_kling.mapping import outcomes_of, read_manifest, write_results

HEAD = "id,effect_scene,image,image_1,image_2,note\n"


def write(folder: Path, text: str, name: str = "manifest.csv") -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


class LeftByTasks:
    """What a task instance can pull: values by task id and key, as Airflow brings them."""

    def __init__(self, values):
        self.values = values

    def xcom_pull(self, *, task_ids, key):
        return self.values.get((task_ids, key))


def test_rows_become_arguments_with_paths_from_the_manifests_folder(tmp_path):
    path = write(tmp_path, HEAD + "a,squish,one.jpg,,,hi\nb,hug_pro,,https://example.com/l.jpg,/r.jpg,\n")
    assert read_manifest(path) == [
        {"row_id": "a", "effect_scene": "squish", "image": str(tmp_path / "one.jpg"), "images": None, "columns": {"note": "hi"}},
        {
            "row_id": "b",
            "effect_scene": "hug_pro",
            "image": None,
            "images": ["https://example.com/l.jpg", "/r.jpg"],
            "columns": {"note": ""},
        },
    ]


def test_all_bad_rows_are_raised_together_or_skipped(tmp_path):
    path = write(tmp_path, HEAD + "a,squish,,,,\nb,squish,one.jpg,,,\nc,hug_pro,one.jpg,,,\n")
    with pytest.raises(KlingManifestError) as caught:
        read_manifest(path)
    assert len(caught.value.problems) == 2
    assert "line 2" in str(caught.value)
    assert "line 4" in str(caught.value)
    assert [row["row_id"] for row in read_manifest(path, on_bad_rows="skip")] == ["b"]


def test_more_rows_than_airflow_maps_point_to_the_batch_operator(tmp_path):
    path = write(tmp_path, HEAD + "".join(f"r{number},squish,one.jpg,,,\n" for number in range(1025)))
    with pytest.raises(KlingManifestError, match=r"1,025 rows are more than Airflow maps.*1,024.*KlingEffectBatchOperator"):
        read_manifest(path)


def test_an_image_in_base64_is_not_mapped_and_is_reported(tmp_path):
    image = base64.b64encode((PHOTOS / "china.jpg").read_bytes()).decode()
    path = write(tmp_path, json.dumps({"id": "a", "effect_scene": "squish", "image": image}), "manifest.jsonl")
    with pytest.raises(KlingManifestError, match="as base64"):
        read_manifest(path)
    assert read_manifest(path, on_bad_rows="skip") == []
    summary = write_results(path, str(tmp_path / "out"), [])
    assert summary["invalid"] == 1
    written = (tmp_path / "out" / "results.jsonl").read_text() + (tmp_path / "out" / "report.html").read_text()
    assert image[:60] not in written


def test_results_are_joined_by_row_id_even_if_some_are_missing(tmp_path):
    path = write(tmp_path, HEAD + "a,squish,one.jpg,,,first\nb,squish,one.jpg,,,\nc,squish,one.jpg,,,\nd,squish,,,,\n")
    done = {"row_id": "c", "kling_task_id": "3", "status": "succeed", "units": "2.5", "videos": [{"path": "/x.mp4"}]}
    left = LeftByTasks(
        {
            ("v.wait", "return_value"): [done],
            ("v.wait", "failed_result"): None,
            ("v.create", "return_value"): ["1", "3"],
            ("v.create", "failed_result"): [{"row_id": "b", "status": "invalid", "error": "not an image"}],
            ("v.create", "kling_task"): [{"row_id": "a", "kling_task_id": "1"}, {"row_id": "c", "kling_task_id": "3"}],
        }
    )
    summary = write_results(path, str(tmp_path / "out"), outcomes_of(left, "v.create", "v.wait"))
    lines = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert [(line["id"], line["status"], line["kling_task_id"]) for line in lines] == [
        ("a", "error", "1"),
        ("b", "invalid", None),
        ("c", "succeed", "3"),
        ("d", "invalid", None),
    ]
    assert lines[0]["note"] == "first"
    assert "1" in lines[0]["error"]
    assert lines[1]["error"] == "not an image"
    assert (summary["rows"], summary["succeed"], summary["units"], summary["videos"]) == (4, 1, "2.5", 1)
    assert Path(summary["report"]).exists()


def test_create_and_wait_leave_one_entry_for_each_row_with_and_without_a_manifest(tmp_path):
    def left(a, b, c):
        return LeftByTasks(
            {
                ("wait", "return_value"): [{"row_id": a, "kling_task_id": "1", "status": "succeed", "videos": [{}]}],
                ("wait", "failed_result"): [{"row_id": b, "kling_task_id": "2", "status": "failed", "error": "no face"}],
                ("create", "return_value"): ["1", "2"],
                ("create", "failed_result"): [{"row_id": c, "kling_task_id": None, "status": "invalid", "error": "no image"}],
                ("create", "kling_task"): [{"row_id": a, "kling_task_id": "1"}, {"row_id": b, "kling_task_id": "2"}],
            }
        )

    for row_ids in ("abc", (None, None, None)):
        entries = outcomes_of(left(*row_ids), "create", "wait")
        assert sorted(entry["status"] for entry in entries) == ["failed", "invalid", "succeed"]
        folder = tmp_path / str(row_ids[0])
        summary = write_results(None, folder, entries)
        assert (summary["rows"], summary["succeed"], summary["failed"], summary["invalid"]) == (3, 1, 1, 1)
        lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
        assert {line["id"] for line in lines} == ({"a", "b", "c"} if row_ids[0] else {"1", "2", None})


def test_a_sensor_without_its_row_is_joined_by_the_task_and_rows_that_share_a_task_stay_apart():
    done = {"kling_task_id": "1", "status": "succeed", "videos": [{}]}
    left = {("create", "kling_task"): [{"row_id": "a", "kling_task_id": "1"}], ("wait", "return_value"): [done]}
    assert outcomes_of(LeftByTasks(left), "create", "wait") == [{**done, "row_id": "a"}]
    left = {("create", "kling_task"): [{"row_id": row, "kling_task_id": "1"} for row in "ab"]}
    assert [entry["row_id"] for entry in outcomes_of(LeftByTasks(left), "create")] == ["a", "b"]


def test_a_single_unmapped_task_leaves_one_value():
    left = LeftByTasks({("wait", "return_value"): {"row_id": "a", "status": "succeed"}})
    assert [outcome["row_id"] for outcome in outcomes_of(left, "wait")] == ["a"]


def test_a_manifest_that_does_not_exist_is_reported(tmp_path):
    with pytest.raises(KlingInputError, match=r"gone\.csv does not exist"):
        read_manifest(str(tmp_path / "gone.csv"))
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(KlingInputError, match="is a folder"):
        read_manifest(str(tmp_path / "folder.csv"))
