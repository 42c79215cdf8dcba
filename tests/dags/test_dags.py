"""Runs the DAGs as a user does, with `airflow dags test` against the emulator, and checks their output."""

from __future__ import annotations

import contextlib
import io
import json
import re
import runpy
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from airflow_home import Airflow, migrated, warm
from hostile import HostileKling
from places import PHOTOS, ROOT
from task_runs import FakeAirflow


@pytest.fixture(scope="module")
def warm_airflow(tmp_path_factory):
    with warm(tmp_path_factory.mktemp("airflow")) as process:
        yield process


@pytest.fixture
def airflow(tmp_path_factory, warm_airflow):
    return Airflow(tmp_path_factory.mktemp("airflow"), migrated(tmp_path_factory), warm=warm_airflow)


def results(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text(encoding="utf-8").splitlines()]


@contextlib.contextmanager
def ends_when_a_create_is_refused(kling, rows: int) -> Iterator[None]:
    """Tasks run until a further create finds no slot; the last ones until all rows have theirs."""
    over = threading.Event()

    def end_tasks() -> None:
        refused = 0
        while not over.wait(0.05):
            answers = kling.state["answers"]
            if answers.get("create 1303", 0) > refused or answers.get("create 0", 0) == rows:
                refused = answers.get("create 1303", 0)
                kling.finish()

    thread = threading.Thread(target=end_tasks)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.kling_emulator(slots=5, duration=3600, videos="clip")
def test_forty_rows_over_five_slots_give_forty_results_without_a_failed_try(airflow, kling, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", kling.connection("access_key"))
    rows = [
        json.dumps({"id": f"r{number}", "effect_scene": "squish", "image": f"https://example.com/{number}.jpg"})
        for number in range(40)
    ]
    (tmp_path / "forty.jsonl").write_text("\n".join(rows))
    conf = {"manifest": str(tmp_path / "forty.jsonl"), "output": str(tmp_path / "out")}
    with ends_when_a_create_is_refused(kling, 40):
        log = airflow("dags", "test", "kling_effects_mapped", "--conf", json.dumps(conf))

    assert [line["id"] for line in results(tmp_path / "out")] == [f"r{number}" for number in range(40)]
    assert {line["status"] for line in results(tmp_path / "out")} == {"succeed"}
    assert len(list((tmp_path / "out" / "videos").glob("*.mp4"))) == 40
    assert len(kling.ledger) == 40
    assert kling.state["answers"]["create 1303"] > 0
    assert max(used for _, used in kling.slot_use) == 5
    tries = airflow.tries("kling_effects_mapped")
    assert len(tries) == 82
    assert {(state, number) for _, state, number in tries} == {("success", 1)}
    assert kling.secret_key not in log


@pytest.mark.kling_emulator(videos="made")
def test_the_demo_manifest_with_its_photographs_and_its_invalid_row(airflow, kling, tmp_path):
    kling.configure(slots=30)
    conf = {"manifest": str(ROOT / "demo" / "manifest.csv"), "output": str(tmp_path)}
    airflow("dags", "test", "kling_effects_mapped", "--conf", json.dumps(conf))
    lines = results(tmp_path)
    assert {line["status"] for line in lines} == {"succeed", "invalid"}
    (invalid,) = [line for line in lines if line["status"] == "invalid"]
    assert "takes two images, the first stands left; found one image" in invalid["error"]
    assert invalid["title"] == "A hug needs two: this row is refused"
    for line in lines:
        for video in line["videos"] or ():
            with av.open(io.BytesIO(Path(video["path"]).read_bytes())) as film:
                assert sum(1 for _ in film.decode(video=0)) > 0
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert report.count("<video") == len(lines) - 1
    assert "found one image" in report


def test_a_failing_row_fails_alone_and_is_reported(airflow, kling, tmp_path):
    import PIL.Image

    PIL.Image.new("RGB", (200, 200)).save(tmp_path / "small.png")
    (tmp_path / "text.jpg").write_text("no image")
    manifest = [
        {"id": "good", "effect_scene": "squish", "image": str(PHOTOS / "china.jpg")},
        {"id": "risky", "effect_scene": "squish", "image": "https://example.com/risk.jpg"},
        {"id": "small", "effect_scene": "squish", "image": "small.png"},
        {"id": "text", "effect_scene": "squish", "image": "text.jpg"},
        {"id": "gone", "effect_scene": "squish", "image": "gone.jpg"},
        {"id": "few", "effect_scene": "hug_pro", "image": "small.png"},
    ]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    conf = {"manifest": str(tmp_path / "manifest.json"), "output": str(tmp_path / "out")}
    airflow("dags", "test", "kling_effects_mapped", "--conf", json.dumps(conf))
    outcomes = {line["id"]: (line["status"], line["error"]) for line in results(tmp_path / "out")}
    assert {row_id: status for row_id, (status, _) in outcomes.items()} == {
        "good": "succeed",
        "risky": "failed",
        "small": "invalid",
        "text": "invalid",
        "gone": "invalid",
        "few": "invalid",
    }
    assert "Failure to pass the risk control system" in outcomes["risky"][1]
    assert "small.png" in outcomes["small"][1]
    assert len(kling.ledger) == 2


@pytest.mark.kling_emulator(videos="clip")
def test_a_manifest_in_one_task_and_in_shards(airflow, kling, tmp_path):
    manifest = [
        {"id": f"r{number}", "effect_scene": "squish", "image": f"https://example.com/{number}.jpg"} for number in range(12)
    ]
    manifest += [{"id": "risky", "effect_scene": "squish", "image": "https://example.com/risk.jpg"}, {"id": "bad"}]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    conf = {"manifest": str(tmp_path / "manifest.json"), "output": str(tmp_path / "out")}
    airflow("dags", "test", "kling_effects_batch", "--conf", json.dumps(conf))
    statuses = {line["id"]: line["status"] for line in results(tmp_path / "out")}
    assert statuses == {**{f"r{number}": "succeed" for number in range(12)}, "risky": "failed", "bad": "invalid"}
    assert len(list((tmp_path / "out" / "videos").glob("*.mp4"))) == 12
    assert '<tr class="row ' in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert airflow.tries("kling_effects_batch") == [("batch", "success", 1)]
    assert len(kling.ledger) == 13

    airflow("dags", "test", "kling_effects_sharded", "--conf", json.dumps({**conf, "shards": 3}))
    shards = [results(tmp_path / "out" / f"shard-{number}-of-3") for number in (1, 2, 3)]
    assert [len(lines) for lines in shards] == [5, 5, 4]
    assert {line["id"]: line["status"] for lines in shards for line in lines} == statuses
    assert [line["id"] for line in results(tmp_path / "out")] == [row["id"] for row in manifest]
    assert len(kling.ledger) == 26


@pytest.mark.kling_emulator(videos="clip")
def test_a_manifest_for_a_date(airflow, kling, tmp_path):
    rows = [{"id": f"r{number}", "effect_scene": "squish", "image": f"https://example.com/{number}.jpg"} for number in range(3)]
    (tmp_path / "2026-11-20.json").write_text(json.dumps(rows))
    out = tmp_path / "out"
    conf = json.dumps({"manifests": str(tmp_path), "output": str(out)})
    airflow("dags", "test", "kling_effects_backfill", "2026-11-20", "--conf", conf)
    assert [line["status"] for line in results(out / "2026-11-20")] == ["succeed"] * 3
    assert [(line["run"], line["id"]) for line in results(out)] == [("2026-11-20", row["id"]) for row in rows]
    assert {(task, state) for task, state, _ in airflow.tries("kling_effects_backfill")} == {
        ("find", "success"), ("batch", "success"), ("collect", "success"), ("done", "success")
    }  # fmt: skip

    log = airflow("dags", "test", "kling_effects_backfill", "2026-11-21", "--conf", conf)
    assert f"No manifest for 2026-11-21 in {tmp_path}: this date is skipped." in log
    states = [state for _, state, _ in airflow.tries("kling_effects_backfill")]
    assert states.count("skipped") == 4
    assert len(kling.ledger) == 3


@pytest.mark.kling_emulator(videos="clip")
@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York"])
def test_the_day_that_is_named_is_that_of_airflows_time_zone(airflow, kling, tmp_path, monkeypatch, zone):
    for day in (20, 21, 22, 23):
        row = {"id": "r", "effect_scene": "squish", "image": f"https://example.com/{day}.jpg"}
        (tmp_path / f"2026-11-{day}.json").write_text(json.dumps([row]))
    monkeypatch.setenv("AIRFLOW__CORE__DEFAULT_TIMEZONE", zone)
    conf = {"manifests": str(tmp_path), "output": str(tmp_path / "out")}
    airflow("dags", "test", "kling_effects_backfill", "2026-11-22", "--conf", json.dumps(conf))
    assert [(line["run"], line["status"]) for line in results(tmp_path / "out")] == [("2026-11-22", "succeed")]


@pytest.mark.parametrize(
    ("manifests", "output", "error", "text"),
    [
        ("", "out", "AirflowFailException", "There is no folder: set the Airflow Variable kling_manifests or the param manifests."),
        (".", "", "AirflowFailException", "There is no folder: set the Airflow Variable kling_results or the param output."),
        ("nowhere", "out", "KlingStorageError", "/nowhere does not exist; wanted is the folder with the manifests of all dates."),
        (".", "out", "NoneType", "None"),
    ],
)
def test_a_wrong_or_missing_folder_is_no_day_without_a_manifest(tmp_path, monkeypatch, manifests, output, error, text):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIRFLOW_VAR_KLING_MANIFESTS", manifests)
    monkeypatch.setenv("AIRFLOW_VAR_KLING_RESULTS", output)
    dag = runpy.run_path(str(ROOT / "dags" / "kling_effects_backfill.py"))["kling_effects_backfill"]()
    run = FakeAirflow().run(dag.get_task("find"))
    assert run.state == ("skipped" if run.error is None else "failed")
    assert type(run.error).__name__ == error  # Airflow tries again, unless it is an AirflowFailException
    assert text in str(run.error)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "dag_id",
    [
        "kling_effect",
        "kling_effect_dual",
        "kling_effects_mapped",
        "kling_effects_batch",
        "kling_effects_sharded",
        "kling_effects_reviewed",
        "kling_effects_ask",
    ],
)
def test_no_dag_has_a_place_for_its_results_unless_it_is_named(dag_id):
    dag = runpy.run_path(str(ROOT / "dags" / f"{dag_id}.py"))[dag_id]()
    name = "output" if dag_id.startswith("kling_effects_") else "save_to"
    with pytest.raises(Exception, match="No value passed"):
        dag.params.get_param(name).resolve()
    for nothing in ("", None):
        with pytest.raises(Exception, match="non-empty" if nothing == "" else "not of type 'string'"):
            dag.params.get_param(name).resolve(nothing)


def test_the_smallest_dag(airflow, kling, tmp_path):
    conf = {"image": "https://example.com/a.jpg", "save_to": str(tmp_path)}
    airflow("dags", "test", "kling_effect", "--conf", json.dumps(conf))
    assert len(list(tmp_path.glob("*.mp4"))) == 1


@pytest.mark.kling_emulator(duration=0)
def test_the_dag_of_the_readme(airflow, kling, tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)[:1]
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "readme.py").write_text(code)
    monkeypatch.setattr(airflow, "dags", tmp_path / "dags")
    (dag_id,) = re.findall(r"def (\w+)\(\):", code)
    airflow("dags", "test", dag_id, "--conf", json.dumps({"save_to": str(tmp_path / "videos")}))
    assert len(list((tmp_path / "videos").glob("*.mp4"))) == 1


def test_a_cell_of_a_manifest_is_no_template(airflow, tmp_path, monkeypatch):
    """In the DAG of the docs and in all that map over a manifest or a run's configuration."""
    page = (ROOT / "docs" / "guides" / "manifests.md").read_text(encoding="utf-8")
    (docs,) = re.findall(r"```python\n([^`]*?def catalogue_videos.*?)```", page, re.DOTALL)
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "docs.py").write_text(docs)
    for name in ("kling_effects_mapped.py", "kling_effects_sharded.py"):
        shutil.copy(ROOT / "dags" / name, tmp_path / "dags")
    monkeypatch.setattr(airflow, "dags", tmp_path / "dags")
    password = "{{ conn.kling_default.password }}"
    row = {"id": f"one-{password}", "effect_scene": "squish", "image": f"https://example.com/{password.replace(' ', '')}.jpg"}
    (tmp_path / "m.jsonl").write_text(json.dumps(row))
    for number, dag in enumerate(("catalogue_videos", "kling_effects_mapped", "kling_effects_sharded")):
        with HostileKling() as kling:
            monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", kling.connection())
            output = tmp_path / f"{number}" / password
            conf = {"manifest": str(tmp_path / "m.jsonl"), "output": str(output)}
            log = airflow("dags", "test", dag, "--conf", json.dumps(conf))
            assert [made.request["input"]["image"] for made in kling.ledger] == [row["image"]]
        assert [(line["id"], line["status"]) for line in results(output)] == [(row["id"], "succeed")]
        assert "sk-hostile-key" not in log + str([*(tmp_path / f"{number}").rglob("*")])
