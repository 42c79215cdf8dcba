"""`unfinished.jsonl`: what is left of a manifest, as a manifest that the batch takes as it is, without paying twice."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from batch_runs import lines, operator, paid, row, statuses, write
from places import PHOTOS
from task_runs import FakeAirflow

from airflow_provider_kling.by_date import join_shards
from airflow_provider_kling.manifests import ManifestFile
from airflow_provider_kling.mapping import write_results
from airflow_provider_kling.results import UNFINISHED, error_result

RISKY = "https://example.com/risk.jpg"


def left(folder: Path) -> dict[str, dict]:
    read = [json.loads(line) for line in (folder / UNFINISHED).read_text().splitlines()]
    return {line["id"]: line for line in read}


def test_what_is_left_is_made_from_the_file_of_what_is_left(airflow, kling, tmp_path):
    (tmp_path / "in").mkdir()
    inline = base64.b64encode((PHOTOS / "flower.jpg").read_bytes()).decode()
    no_id = {**row("x", image=RISKY, note=["kept", 1]), "id": None}
    pair = row("pair", image=None, image_1="l.jpg", image_2="r.jpg", effect_scene="hug_pro")
    bad = row("bad", image="ok.jpg", effect_scene="")
    rows = [row(1), no_id, pair, bad, row("inline", image=inline, effect_scene="hug_pro"), row(6, image="")]
    run = airflow.finish(operator(write(tmp_path / "in", rows), tmp_path / "out"))
    assert airflow.result["unfinished"] == str(tmp_path / "out" / UNFINISHED), run.error
    found = left(tmp_path / "out")
    assert {name: (line["status"], line["error_kind"]) for name, line in found.items()} == {
        "2": ("failed", "moderation"), "rpair": ("invalid", "image"), "rbad": ("invalid", "scene"),
        "rinline": ("invalid", "request"), "r6": ("invalid", "image"),
    }  # fmt: skip
    assert (found["2"]["image"], found["2"]["note"], found["2"]["refused_image"]) == (RISKY, ["kept", 1], 1)
    assert found["rpair"]["images"] == [str(tmp_path / "in" / name) for name in ("l.jpg", "r.jpg")]
    assert (found["rbad"]["image"], found["rinline"]["image"]) == (str(tmp_path / "in" / "ok.jpg"), inline)
    assert all(line["error"] for line in found.values())

    for name in ("l.jpg", "r.jpg"):
        (tmp_path / "in" / name).write_bytes((PHOTOS / "china.jpg").read_bytes())
    again = FakeAirflow(run_id="another")
    run = again.finish(operator(str(tmp_path / "out" / UNFINISHED), tmp_path / "rest"))
    assert statuses(tmp_path / "rest") == {
        "2": "failed",
        "rpair": "succeed",
        "rbad": "invalid",
        "rinline": "invalid",
        "r6": "invalid",
    }
    assert lines(tmp_path / "rest")[0]["note"] == ["kept", 1]
    assert "unfinished_request" not in lines(tmp_path / "rest")[0]
    assert left(tmp_path / "rest").keys() == {"2", "rbad", "rinline", "r6"}
    assert left(tmp_path / "rest")["rinline"]["image"] == inline


@pytest.mark.kling_emulator(duration=600)
@pytest.mark.parametrize("deferrable", [False, True])
def test_tasks_that_still_ran_are_adopted_by_another_run(kling, tmp_path, deferrable):
    manifest = write(tmp_path, [row(number) for number in range(3)])
    assert FakeAirflow().finish(operator(manifest, tmp_path / "out", timeout=2)).state == "failed"
    found = left(tmp_path / "out")
    assert {line["error_kind"] for line in found.values()} == {"timeout"}
    assert all(line["kling_task_id"] for line in found.values())
    kling.configure(duration=0.2)
    kling.fail(found["r0"]["kling_task_id"], "Internal trouble")
    kling.finish()
    changed = [dict(line) for line in found.values()]
    changed[2]["image"] = "https://example.com/other.jpg"  # another request: the task of the old one is not its own
    again = FakeAirflow(run_id="another")
    folder = tmp_path / "b"
    folder.mkdir()
    run = again.finish(operator(write(folder, changed), tmp_path / "rest", deferrable=deferrable))
    assert run.state == "success", run.error
    made = {line["id"]: line for line in lines(tmp_path / "rest")}
    assert {line["status"] for line in made.values()} == {"succeed"}
    assert made["r1"]["kling_task_id"] == found["r1"]["kling_task_id"]
    assert made["r0"]["kling_task_id"] != found["r0"]["kling_task_id"]  # it has failed
    assert made["r2"]["kling_task_id"] != found["r2"]["kling_task_id"]
    assert len(kling.ledger) == 5
    assert set(paid(kling).values()) == {1}
    assert again.result["unfinished"] is None


def test_a_create_whose_answer_was_lost_is_not_paid_for_again_by_another_run(kling, tmp_path):
    kling.fault("drop", on="create", after=True, times=1)
    kling.fault(5000, on="get", times=None)
    kling.fault(5000, on="list", times=None)
    run = FakeAirflow().finish(operator(write(tmp_path, [row(1)]), tmp_path / "out", timeout=3))
    assert run.state == "failed"
    found = left(tmp_path / "out")["r1"]
    assert "kling_task_id" not in found
    kling.clear_faults()
    FakeAirflow(run_id="another").finish(operator(str(tmp_path / "out" / UNFINISHED), tmp_path / "rest"))
    assert statuses(tmp_path / "rest") == {"r1": "succeed"}
    assert len(kling.ledger) == 1


def test_nothing_left_leaves_no_file(airflow, kling, tmp_path):
    kling.fail_next(times=1)
    manifest = write(tmp_path, [row(1)])
    airflow.finish(operator(manifest, tmp_path / "out"))
    assert left(tmp_path / "out").keys() == {"r1"}
    airflow.try_number = 2
    airflow.finish(operator(manifest, tmp_path / "out"))
    assert statuses(tmp_path / "out") == {"r1": "succeed"}
    assert not (tmp_path / "out" / UNFINISHED).exists()


def test_the_file_of_its_own_results_is_refused_before_anything_is_paid(airflow, kling, tmp_path):
    (tmp_path / "out").mkdir()
    manifest = write(tmp_path / "out", [row(1)], UNFINISHED)
    run = airflow.finish(operator(manifest, f"{tmp_path}/out/"))
    assert "whose files this run would replace" in str(run.error)
    assert kling.ledger == []


def test_a_shared_store_has_absolute_places_too(airflow, kling, store, tmp_path):
    from airflow.sdk import ObjectStoragePath

    folder = ObjectStoragePath(store)
    (folder / "in.jsonl").write_text(json.dumps(row(1, image="photos/gone.jpg")))
    airflow.finish(operator(f"{store}/in.jsonl", f"{store}/out"))
    (line,) = map(json.loads, (folder / "out" / UNFINISHED).read_text().splitlines())
    assert line["image"] == f"{store}/photos/gone.jpg"


def test_a_mapped_dag_and_shards_leave_it_as_well(tmp_path):
    manifest = write(tmp_path, [row(1), row(2, image="b.jpg"), row(3)])
    made = {"row_id": "r1", "kling_task_id": "1", "status": "succeed", "videos": [{"url": "u"}]}
    summary = write_results(manifest, tmp_path / "mapped", [made, error_result(TimeoutError("Late."), row_id="r2")])
    assert summary["unfinished"] == str(tmp_path / "mapped" / UNFINISHED)
    found = left(tmp_path / "mapped")
    assert found.keys() == {"r2", "r3"}
    assert (found["r2"]["image"], found["r2"]["error_kind"]) == (str(tmp_path / "b.jpg"), "timeout")
    join_shards([str(tmp_path / "mapped")], str(tmp_path / "all"), title="t", manifest=manifest)
    assert left(tmp_path / "all") == found
    with ManifestFile(tmp_path / "mapped" / UNFINISHED) as file:
        assert [(one.id, one.images) for one in file.rows()] == [  # type: ignore[union-attr]
            ("r2", (str(tmp_path / "b.jpg"),)),
            ("r3", ("https://example.com/3.jpg",)),
        ]


def test_a_row_that_only_looks_like_one_that_is_left_keeps_its_problem(tmp_path):
    manifest = write(tmp_path, [row(1, error="mine"), row(2, status="ok", error_kind="mine"), row(3, unfinished_request="mine")])
    with ManifestFile(manifest) as file:
        first, second, third = file.rows()
    assert "rename it" in first.text  # type: ignore[union-attr]
    assert "rename it" in second.text  # type: ignore[union-attr]
    assert third.columns["unfinished_request"] == "mine"
