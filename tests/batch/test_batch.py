"""KlingEffectBatchOperator through Airflow's real task runner, against the emulator: a manifest in, its results out."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from batch_runs import lines, operator, row, statuses, write
from places import PHOTOS
from task_runs import FakeAirflow

from airflow_provider_kling.batch import shard_of
from airflow_provider_kling.errors import KlingInputError


def test_a_manifest_becomes_videos_results_and_a_report(airflow, kling, tmp_path):
    manifest = write(tmp_path, [row(number, note=f"n{number}") for number in range(20)])
    run = airflow.finish(operator(manifest, tmp_path / "out"))
    assert run.state == "success", run.error
    assert [line["id"] for line in lines(tmp_path / "out")] == [f"r{number}" for number in range(20)]
    assert statuses(tmp_path / "out") == {f"r{number}": "succeed" for number in range(20)}
    assert lines(tmp_path / "out")[3]["note"] == "n3"
    assert airflow.result == {
        "rows": 20, "succeed": 20, "failed": 0, "invalid": 0, "capped": 0, "error": 0, "units": "50.0", "videos": 20,
        "results": str(tmp_path / "out" / "results.jsonl"), "report": str(tmp_path / "out" / "report.html"),
        "error_kinds": {}, "unfinished": None,
    }  # fmt: skip
    report = (tmp_path / "out" / "report.html").read_text()
    assert report.count('<tr class="row succeed"') == 20
    assert f"<span>DAG <b>d</b></span>\n<span>run <b>{airflow.run_id}</b></span>\n<span>manifest <b>{manifest}</b></span>" in report
    for line in lines(tmp_path / "out"):
        (video,) = line["videos"]
        assert Path(video["path"]).parent == tmp_path / "out" / "videos"
        assert Path(video["path"]).read_bytes()[4:8] == b"ftyp"
    assert len(kling.ledger) == 20
    assert airflow.xcoms["summary"] == airflow.result


def test_every_kind_of_image_and_of_row(airflow, kling, photo, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(Path(photo).read_bytes())
    (tmp_path / "text.jpg").write_text("no image")
    inline = base64.b64encode((PHOTOS / "china.jpg").read_bytes()).decode()
    rows = [
        row("url"),
        row("file", image="photos/a.jpg"),
        row("inline", image=inline),
        row("dual", effect_scene="hug_pro", image=None, image_1="photos/a.jpg", image_2="https://example.com/b.jpg"),
        row("text", image="text.jpg"),
        row("gone", image="gone.jpg"),
        row("few", effect_scene="hug_pro"),
        row("risky", image="https://example.com/risk.jpg"),
        row("empty", image=""),
    ]
    run = airflow.finish(operator(write(tmp_path, rows), tmp_path / "out"))
    assert run.state == "success", run.error
    assert statuses(tmp_path / "out") == {
        "rurl": "succeed", "rfile": "succeed", "rinline": "succeed", "rdual": "succeed", "rtext": "invalid",
        "rgone": "invalid", "rfew": "invalid", "rrisky": "failed", "rempty": "invalid",
    }  # fmt: skip
    assert len(kling.ledger) == 5
    written = (tmp_path / "out" / "results.jsonl").read_text() + (tmp_path / "out" / "report.html").read_text()
    assert inline[:100] not in written
    assert inline[:100] not in json.dumps(airflow.xcoms)


def test_save_to_none_saves_no_video(airflow, kling, tmp_path):
    airflow.finish(operator(write(tmp_path, [row(1)]), tmp_path / "out", save_to=None))
    (line,) = lines(tmp_path / "out")
    assert line["status"] == "succeed"
    assert line["videos"][0]["path"] is None
    assert kling.requests("video") == []


def test_videos_go_where_save_to_says(airflow, kling, tmp_path):
    airflow.finish(operator(write(tmp_path, [row(1)]), tmp_path / "out", save_to=str(tmp_path / "films")))
    assert len(list((tmp_path / "films").glob("*.mp4"))) == 1


def test_a_shard_has_its_rows_and_all_shards_have_all(airflow, kling, tmp_path):
    manifest = write(tmp_path, [row(number) for number in range(10)])
    seen = []
    for shard in ("1/3", (2, 3), "3/3"):
        out = tmp_path / f"out-{shard[0]}"
        assert airflow.finish(operator(manifest, out, shard=shard)).state == "success"
        seen += list(statuses(out))
    assert sorted(seen) == [f"r{number}" for number in range(10)]
    assert len(kling.ledger) == 10
    assert shard_of("3/3") == shard_of((0, 3))
    with pytest.raises(KlingInputError, match="shard is '4/3'"):
        shard_of("4/3")


def test_a_manifest_that_is_broken_at_its_end_spends_nothing(airflow, kling, tmp_path):
    path = tmp_path / "m.csv"
    path.write_bytes(b"id,effect_scene,image\na,squish,https://example.com/a.jpg\nb,squish,\xe9\n")
    run = airflow.finish(operator(str(path), tmp_path / "out"))
    assert isinstance(run.error, AirflowFailException)
    assert "not UTF-8" in str(run.error)
    assert kling.ledger == []


def test_bad_parameters_spend_nothing(kling, tmp_path):
    manifest = write(tmp_path, [row(1)])
    for wrong in ({"shard": "x"}, {"max_failures": -1}, {"downloads": 0}, {"max_concurrency": 0}, {"timeout": 0}):
        with pytest.raises(KlingInputError, match=next(iter(wrong))):  # when the DAG is parsed
            operator(manifest, tmp_path / "out", **wrong)
    for wrong in ({"shard": "{{ 'x' }}"}, {"max_failures": "{{ -1 }}"}, {"save_to": "{{ None }}"}):
        run = FakeAirflow().finish(operator(manifest, tmp_path / "out", **wrong))
        assert isinstance(run.error, AirflowFailException), wrong
        assert next(iter(wrong)) in str(run.error)
    assert kling.ledger == []
