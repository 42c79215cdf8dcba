"""`file_name`, `watermark` and `sidecar` of a batch: checked before anything is paid, and the same in each attempt."""

from __future__ import annotations

import json

import pytest
from batch_runs import lines, operator, row, statuses, write
from task_runs import FakeAirflow

from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.storage import storage_path

NAME = "{date}/{row_id}-{title}-{kling_task_id}.mp4"


def rows(*titles):
    return [row(number, title=title) for number, title in enumerate(titles)]


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("mode", [{}, {"deferrable": True}], ids=["worker", "triggerer"])
def test_a_batch_names_its_videos_and_finds_them_again(kling, tmp_path, monkeypatch, mode):
    monkeypatch.setenv("AIRFLOW__KLING__SHARED_FOLDERS", str(tmp_path))
    manifest = write(tmp_path, rows("one", "two/2"))
    asked = {"file_name": NAME, "watermark": True, "sidecar": True, **mode}
    for number in (1, 2):
        assert FakeAirflow(try_number=number).finish(operator(manifest, tmp_path / "out", **asked)).state == "success"
    assert len(kling.ledger) == 2
    assert len(kling.requests("video")) == 4
    stems = [
        f"2026-01-01/{line['id']}-{title}-{line['kling_task_id']}"
        for line, title in zip(lines(tmp_path / "out"), ("one", "two_2"), strict=True)
    ]
    wanted = [f"{stem}{end}" for stem in stems for end in ("-watermark.mp4", ".mp4", ".mp4.json")]
    assert names(tmp_path / "out" / "videos") == sorted(wanted)
    for line, stem in zip(lines(tmp_path / "out"), stems, strict=True):
        (video,) = line["videos"]
        assert video["path"] == str(tmp_path / "out" / "videos" / f"{stem}.mp4")
        assert video["watermark_path"] == str(tmp_path / "out" / "videos" / f"{stem}-watermark.mp4")
        sidecar = json.loads((tmp_path / "out" / "videos" / f"{stem}.mp4.json").read_text())
        assert (sidecar["row_id"], sidecar["videos"]) == (line["id"], line["videos"])


def test_in_a_store_the_names_and_files_are_the_same(kling, tmp_path, store):
    manifest = write(tmp_path, rows("one"))
    asked = {"save_to": f"{store}/videos", "file_name": NAME, "watermark": True, "sidecar": True}
    for number in (1, 2):
        assert FakeAirflow(try_number=number).finish(operator(manifest, tmp_path / "out", **asked)).state == "success"
    (line,) = lines(tmp_path / "out")
    stem = f"r0-one-{line['kling_task_id']}"
    saved = (storage_path(store) / "videos" / "2026-01-01").iterdir()
    assert sorted(path.name for path in saved) == [f"{stem}-watermark.mp4", f"{stem}.mp4", f"{stem}.mp4.json"]
    assert len(kling.requests("video")) == 2


def test_what_is_missing_beside_a_video_is_written_again(kling, tmp_path):
    manifest = write(tmp_path, rows("one"))
    asked = {"file_name": "{title}.mp4", "watermark": True, "sidecar": True}
    for missing in ("one.mp4.json", "one-watermark.mp4", "one.mp4", None):
        assert FakeAirflow(try_number=2).finish(operator(manifest, tmp_path / "out", **asked)).state == "success"
        assert names(tmp_path / "out" / "videos") == ["one-watermark.mp4", "one.mp4", "one.mp4.json"]
        if missing:
            (tmp_path / "out" / "videos" / missing).unlink()
    assert len(kling.ledger) == 1
    assert len(kling.requests("video")) == 4


@pytest.mark.parametrize("shard", [None, "1/2"])
def test_names_that_are_not_unique_are_an_error_before_anything_is_paid(kling, tmp_path, shard):
    manifest = write(tmp_path, rows("a:b", "other", "A/B"))
    run = FakeAirflow().finish(operator(manifest, tmp_path / "out", file_name="{title}.mp4", shard=shard))
    assert run.state == "failed"
    assert "line 3, id 'r2': its video would have the name of that of line 1, 'A_B.mp4'" in str(run.error)
    assert not kling.journal


def test_a_column_that_no_row_has_is_an_error_before_anything_is_paid(kling, tmp_path):
    run = FakeAirflow().finish(operator(write(tmp_path, rows("a")), tmp_path / "out", file_name="{titel}.mp4"))
    assert "unknown field {titel}" in str(run.error)
    assert not kling.journal


def test_a_wrong_template_is_an_error_when_the_dag_is_parsed():
    for wrong in (
        {"file_name": "{row_id}.mov"},
        {"file_name": "{row_id.x}.mp4"},
        {"sidecar": True, "save_to": None},
        {"watermark": 1},
    ):
        with pytest.raises(KlingInputError, match=r"file_name|sidecar|watermark"):
            operator("m.csv", "out", **wrong)


def test_what_an_earlier_version_saved_is_not_loaded_again(kling, tmp_path):
    manifest = write(tmp_path, rows("a", "b"))
    assert FakeAirflow().finish(operator(manifest, tmp_path / "out", file_name="{kling_task_id}.mp4")).state == "success"
    assert FakeAirflow(try_number=2).finish(operator(manifest, tmp_path / "out")).state == "success"
    (tmp_path / "out" / "results.jsonl").unlink()
    assert FakeAirflow(try_number=2).finish(operator(manifest, tmp_path / "out")).state == "success"
    assert set(statuses(tmp_path / "out").values()) == {"succeed"}
    assert names(tmp_path / "out" / "videos") == sorted(f"{task['kling_task_id']}.mp4" for task in kling.ledger)
    assert len(kling.requests("video")) == 2


def test_the_next_run_into_the_same_folder_takes_no_video_of_the_first(kling, tmp_path):
    manifest = write(tmp_path, rows("a", "b"))
    for run_id in ("one", "two"):
        asked = operator(manifest, tmp_path / run_id, save_to=str(tmp_path / "videos"), file_name="{title}.mp4")
        assert FakeAirflow(run_id=run_id).finish(asked).state == "success"
    second = [f"{line['title']}-{line['kling_task_id']}.mp4" for line in lines(tmp_path / "two")]
    assert names(tmp_path / "videos") == sorted(["a.mp4", "b.mp4", *second])
    assert [line["videos"][0]["path"] for line in lines(tmp_path / "one")] == [
        str(tmp_path / "videos" / f"{name}.mp4") for name in "ab"
    ]
