"""`@task.kling_effect` with a list of requests: a batch, with all that a batch holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from decorated_tasks import REQUEST, Video
from task_runs import URL, FakeAirflow, fire

TWO = [{**REQUEST, "row_id": "a", "columns": {"shop": "Oslo"}}, {"image": URL, "row_id": "b"}]
OTHER = [{**TWO[0], "effect_scene": "squish"}, TWO[1]]
SIGNED = "https://example.com/a.jpg?X-Amz-Algorithm=A&X-Amz-Credential=C&X-Amz-Date=D&X-Amz-Expires=9&X-Amz-SignedHeaders=h"


def scenes(kling) -> list[str]:
    return sorted(row["effect_scene"] for row in kling.ledger)


def test_a_list_of_requests_returns_the_list_of_results_in_its_order(airflow, kling, tmp_path):
    options = {"effect_scene": "squish", "results": tmp_path, "save_to": "{results}/videos", "file_name": "{shop}-{row_id}.mp4"}
    two = [TWO[0], {**TWO[1], "columns": {"shop": "Rome"}}]
    assert airflow.finish(Video(two).operator(**options)).state == "success"
    assert [(one["id"], one["effect_scene"], one["status"]) for one in airflow.result] == [
        ("a", "pet_lion_pro", "succeed"),
        ("b", "squish", "succeed"),
    ]
    assert [Path(one["videos"][0]["path"]).name for one in airflow.result] == ["Oslo-a.mp4", "Rome-b.mp4"]
    assert airflow.result == [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert airflow.xcoms["kling_batch"]["rows"] == 2  # by which the tab "Videos" knows of them
    assert {key for key in airflow.xcoms if key.startswith("_link_")} == {"_link_KlingReportLink", "_link_KlingResultsLink"}


def test_one_request_that_cannot_work_leaves_the_others(airflow, kling, tmp_path):
    three = [REQUEST, {"effect_scene": "hug_pro", "image": URL}, {"image": "photos/none.jpg", "effect_scene": "squish"}]
    assert airflow.finish(Video(three).operator(results=str(tmp_path))).state == "success"
    assert [one["status"] for one in airflow.result] == ["succeed", "invalid", "invalid"]
    assert f"{Path.cwd()}/photos/none.jpg" in airflow.result[2]["error"]  # not below the results
    strict = FakeAirflow(run_id="strict")
    run = strict.finish(Video(three).operator(results=str(tmp_path), max_failures=1))
    assert "2 of 3 rows have no video" in str(run.error)


def test_deferred_the_function_is_not_called_again(airflow, kling, polled_early, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__KLING__SHARED_FOLDERS", str(tmp_path))
    options = {"effect_scene": "squish", "results": str(tmp_path / "out"), "deferrable": True}
    video, resumed = Video(TWO), Video(OTHER)
    run = airflow.run(video.operator(**options))
    assert run.trigger[0] == "airflow_provider_kling.batch_trigger.KlingBatchTrigger"
    assert airflow.run(resumed.operator(**options), event=fire(run)).state == "success"
    assert (video.calls, resumed.calls) == (1, 0)
    assert [one["status"] for one in airflow.result] == ["succeed", "succeed"]
    assert scenes(kling) == ["pet_lion_pro", "squish"]


@pytest.mark.parametrize("returned", [TWO, OTHER], ids=["the same", "others"])
def test_a_retry_makes_what_the_first_try_has_asked_for(airflow, kling, tmp_path, capsys, returned):
    options = {"effect_scene": "squish", "results": str(tmp_path)}
    airflow.run(Video(TWO).operator(**options))
    again = FakeAirflow(try_number=2)
    assert again.finish(Video(returned).operator(**options)).state == "success"
    assert scenes(kling) == ["pet_lion_pro", "squish"]  # each paid for once
    assert [one["kling_task_id"] for one in again.result] == [one["kling_task_id"] for one in airflow.result]
    warning = "video() returned other requests than in an earlier try, which may have paid for them: the 2 of that try are made."
    assert (warning in capsys.readouterr().out) == (returned is OTHER)


def test_after_a_clear_the_new_list_counts(airflow, kling, tmp_path):
    options = {"effect_scene": "squish", "results": str(tmp_path)}
    airflow.run(Video(TWO).operator(**options))
    assert FakeAirflow(try_number=2, max_tries=1).run(Video(OTHER).operator(**options)).state == "success"
    assert scenes(kling) == ["pet_lion_pro", "squish", "squish"]


def test_a_retry_takes_the_new_signatures_of_the_same_images(airflow, kling, tmp_path):
    first, second = ([{**REQUEST, "image": f"{SIGNED}&X-Amz-Signature={name}"}] for name in ("old", "new"))
    airflow.run(Video(first).operator(results=str(tmp_path)))
    FakeAirflow(try_number=2).run(Video(second).operator(results=str(tmp_path)))
    (requests,) = tmp_path.glob("requests-*.jsonl")
    assert "Signature=new" in requests.read_text()
    assert len(kling.ledger) == 1


def test_an_empty_list_makes_nothing(airflow, kling):
    assert airflow.finish(Video([]).operator(deferrable=True)).state == "success"
    assert airflow.result == []
    assert kling.journal == []


def returned_a_list(rest: str) -> str:
    return f"video() returned a list of requests{rest}"


def one_of(rest: str, number: int = 1) -> str:
    return f"Request {number} that video() returned{rest}"


@pytest.mark.parametrize(
    ("returned", "options", "sentence"),
    [
        (TWO, {}, returned_a_list("; wanted is also results=…, a folder or URI for results.jsonl and report.html.")),
        (
            TWO,
            {"results": "x", "wait_for_completion": False},
            returned_a_list(", whose results are known when all are done; wait_for_completion=False is for one request."),
        ),
        (
            TWO,
            {"results": "x", "row_id": "a"},
            returned_a_list(", and the decorator has row_id, which is for a single request."),
        ),
        (
            [REQUEST, {**REQUEST, "fresh": "1"}],
            {"results": "x"},
            one_of(" has fresh, which is for a single request. Give it to the decorator.", 2),
        ),
        (
            [{**REQUEST, "columns": {"image": 1}}],
            {"results": "x"},
            one_of(": columns has 'image', which a request has itself; give that column another name."),
        ),
        (
            [REQUEST] * 1025,
            {"results": "x"},
            "video() returned 1,025 requests, which are more than one task should return ([core] max_map_length = 1,024).",
        ),
    ],
)
def test_what_a_list_cannot_have_costs_nothing(airflow, kling, returned, options, sentence):
    run = airflow.run(Video(returned).operator(**options))
    assert run.state == "failed"
    assert sentence in str(run.error)
    assert kling.journal == []


def test_a_mapped_task_returns_one_request(kling):
    run = FakeAirflow(map_index=0).run(Video(TWO).operator(results="x"))
    assert str(run.error) == returned_a_list(" in a mapped task; wanted is one request: map the task over all of them.")
    assert kling.journal == []
