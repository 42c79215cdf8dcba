"""Results out: what became of each row."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from typing import Any

import pendulum
import pytest

from airflow_provider_kling.api import Task, Video
from airflow_provider_kling.errors import (
    KlingAnswerError,
    KlingConnectionError,
    KlingDownloadError,
    KlingInputError,
    KlingTaskFailed,
    KlingTimeoutError,
)
from airflow_provider_kling.manifests import RESULT_COLUMNS, Manifest, read_rows
from airflow_provider_kling.redaction import show_error
from airflow_provider_kling.results import describe_counts, error_result, join, result_of
from airflow_provider_kling.results.lines import to_jsonl
from airflow_provider_kling.results.summary import summarize

START = pendulum.datetime(2026, 1, 1)
VIDEO = {"id": "v1", "url": "https://cdn.example/v1.mp4", "watermark_url": None}


def task(status: str = "succeed", **facts: Any) -> Task:
    if status == "succeed":
        facts.setdefault("videos", (Video(id="v1", url="https://cdn.example/v1.mp4", duration=5.1),))
    return Task(kling_task_id="831", external_task_id="mine", status=status, created_at=START, **facts)


def manifest(rows: int = 3) -> Manifest:
    lines = "".join(f"{'abcdefgh'[number]},squish,{number}.jpg,T{number}\n" for number in range(rows))
    return read_rows(io.BytesIO(f"id,effect_scene,image,title\n{lines}".encode()), name="m.csv")


def lines_of(*outcomes: Any, rows: int = 1) -> list[dict[str, Any]]:
    return list(join(manifest(rows).all_rows, outcomes))


# --- One task --------------------------------------------------------------------------------------------------


def test_a_task_that_succeeded_gives_a_plain_result() -> None:
    done = task(units="3.5", updated_at=START.add(minutes=3).in_timezone("Asia/Tokyo"))
    assert result_of(done, effect_scene="squish", paths=["videos/a.mp4"]) == {
        "kling_task_id": "831",
        "external_task_id": "mine",
        "effect_scene": "squish",
        "status": "succeed",
        "message": "",
        "videos": [
            {
                "id": "v1",
                "url": "https://cdn.example/v1.mp4",
                "watermark_url": None,
                "duration": 5.1,
                "expires_at": "2026-01-31T00:03:00Z",
                "path": "videos/a.mp4",
            }
        ],
        "units": "3.5",
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:03:00Z",
    }


@pytest.mark.parametrize("paths", [["a"], ("a", "b"), {0: "a"}, {"0": "a"}, {"v1": "a"}])
def test_paths_may_be_given_in_order_or_by_place_or_by_id(paths: Any) -> None:
    assert result_of(task(), paths=paths)["videos"][0]["path"] == "a"


@pytest.mark.parametrize("paths", [(), [None], {}, {1: "b"}, {"v2": "b"}])
def test_a_video_that_was_not_saved_has_no_path(paths: Any) -> None:
    assert result_of(task(), paths=paths)["videos"][0]["path"] is None


def test_a_failed_task_is_an_error_that_tells_whose_fault_it_is() -> None:
    with pytest.raises(KlingTaskFailed) as caught:
        result_of(task("failed", message="Image pixel is invalid"))
    assert caught.value.input_fault
    assert str(caught.value) == (
        "Kling task 831 failed: Image pixel is invalid. Use another image or scene: the same request would fail again."
    )
    with pytest.raises(
        KlingTaskFailed, match=r"^Kling task 831 failed: busy\. The same request may work another time\.$"
    ) as caught:
        result_of(task("failed", message="busy"))
    assert not caught.value.input_fault


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ("processing", "Kling task 831 has the status 'processing', which is not its end; wanted is 'succeed'."),
        (
            "succeeded",
            "Kling task 831 has the status 'succeeded', which this version of the provider does not know; wanted is 'succeed'.",
        ),
    ],
)
def test_a_task_without_an_end_is_no_result(status: str, sentence: str) -> None:
    with pytest.raises(KlingAnswerError) as caught:
        result_of(task(status))
    assert str(caught.value) == sentence


def test_success_without_a_video_is_no_result() -> None:
    with pytest.raises(KlingAnswerError, match=r"^Kling task 831 has succeeded, but its answer holds no video\.$"):
        result_of(task(videos=()))


# --- Errors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (KlingTaskFailed("831", "risk control"), "failed", "Kling task 831 failed: risk control."),
        (KlingInputError("a.jpg: found GIF; wanted JPEG or PNG."), "invalid", "a.jpg: found GIF; wanted JPEG or PNG."),
        (KlingConnectionError("No answer.", sent=True), "error", "No answer."),
        (ValueError("two\n  lines"), "error", "ValueError: two lines"),
        (TimeoutError(), "error", "TimeoutError"),
        (RuntimeError("/9j/" + "A" * 5000), "error", "RuntimeError: [5,004 characters of base64]"),
        (RuntimeError("Authorization: Bearer eyJh.eyJp.c2ln-_x"), "error", "RuntimeError: Authorization: Bearer …"),
    ],
)
def test_an_error_becomes_a_status_and_one_line(error: BaseException, status: str, text: str) -> None:
    outcome = error_result(error, row_id="a")
    assert (outcome["row_id"], outcome["status"], outcome["error"]) == ("a", status, text)
    assert set(outcome) == {"row_id", "effect_scene", *RESULT_COLUMNS}


def test_a_long_error_is_cut() -> None:
    assert len(show_error(ValueError("long text " * 1000))) == 2000


def test_a_failed_task_is_in_its_error_result() -> None:
    done = task("failed", message="x")
    outcome = error_result(KlingTaskFailed("831", "x"), row_id="a", task=done, effect_scene="squish")
    assert (outcome["kling_task_id"], outcome["effect_scene"], outcome["message"], outcome["videos"]) == (
        "831",
        "squish",
        "x",
        None,
    )


def test_a_video_that_was_paid_for_stays_in_an_error_result() -> None:
    [line] = lines_of(error_result(KlingDownloadError("The disk is full."), row_id="a", task=task(units="2")))
    assert (line["status"], line["error"], line["units"]) == ("error", "The disk is full.", "2")
    assert line["videos"][0]["url"] == "https://cdn.example/v1.mp4"


# --- A manifest's results --------------------------------------------------------------------------------------


def test_there_is_one_line_for_each_row_in_the_order_of_the_manifest() -> None:
    outcomes = [
        {"row_id": "c", **result_of(task())},
        None,
        error_result(KlingInputError("no image"), row_id="a"),
        {"row_id": "of no row", **result_of(task())},
    ]
    lines = lines_of(*outcomes, rows=3)
    assert [(line["id"], line["title"], line["status"]) for line in lines] == [
        ("a", "T0", "invalid"),
        ("b", "T1", "error"),
        ("c", "T2", "succeed"),
    ]
    assert list(lines[2]) == ["id", "effect_scene", "image", "title", *RESULT_COLUMNS]
    assert lines[2]["error"] is None
    assert lines[1]["error"].startswith("Nothing is known of this row: its task did not run")


def test_a_bad_row_is_invalid_with_all_its_problems() -> None:
    rows = read_rows(io.BytesIO(b"id,effect_scene,image,title\na,,,T\n"), name="m.csv").all_rows
    [line] = join(rows, [{"row_id": "a", **result_of(task())}])
    assert (line["id"], line["title"], line["status"], line["videos"]) == ("a", "T", "invalid", None)
    assert line["error"].startswith("line 2, id 'a': image is empty;")
    assert "effect_scene is empty;" in line["error"]


def test_of_two_rows_with_one_id_only_the_first_gets_the_outcome() -> None:
    rows = read_rows(io.BytesIO(b"id,effect_scene,image\na,squish,1.jpg\na,squish,2.jpg\n"), name="m.csv").all_rows
    assert [line["status"] for line in join(rows, [{"row_id": "a", **result_of(task())}])] == ["succeed", "invalid"]


def test_of_several_outcomes_the_best_counts() -> None:
    worst = error_result(ValueError("x"), row_id="a")
    knows_its_task = error_result(ValueError("y"), row_id="a", task=task("processing"))
    failed = error_result(KlingTaskFailed("831", ""), row_id="a", task=task("failed"))
    best = {"row_id": "a", **result_of(task())}
    for outcomes, status in [([worst, failed, worst], "failed"), ([best, failed], "succeed"), ([failed, best, worst], "succeed")]:
        assert lines_of(*outcomes)[0]["status"] == status
    assert lines_of(knows_its_task, worst)[0]["error"].startswith("ValueError: y")


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (
            error_result(KlingConnectionError("No answer.", sent=True), row_id="a", task=task("processing")),
            "No answer. Its task still is at Kling, under the id 831.",
        ),
        (
            error_result(KlingTimeoutError("Kling task 831 goes on at Kling."), row_id="a", task=task("processing")),
            "Kling task 831 goes on at Kling.",
        ),
        (
            {"row_id": "a", "kling_task_id": "831", "status": "submitted"},
            "Its outcome has the status 'submitted', which is no end. Its task still is at Kling, under the id 831.",
        ),
        (
            {"row_id": "a", "kling_task_id": "831"},
            "Its end was not awaited, or was not recorded. Its task still is at Kling, under the id 831.",
        ),
        ({"row_id": "a", "status": ["succeed"]}, "Its outcome has the status \"['succeed']\", which is no end."),
        (
            {"row_id": "a", "status": "succeed", "kling_task_id": "831", "videos": []},
            "Its outcome says succeed, but holds no video. Its task still is at Kling, under the id 831.",
        ),
    ],
)
def test_an_outcome_without_an_end_is_an_error_that_names_the_task(outcome: dict[str, Any], text: str) -> None:
    [line] = lines_of(outcome)
    assert (line["status"], line["error"]) == ("error", text)


def test_an_outcome_without_a_row_is_refused() -> None:
    with pytest.raises(KlingInputError, match=r"^An outcome has no row_id; it holds kling_task_id, status\.$"):
        lines_of({"status": "succeed", "kling_task_id": "1"})


def test_a_row_id_that_xcom_made_a_number_still_finds_its_row() -> None:
    rows = read_rows(io.BytesIO(b"effect_scene,image\nsquish,1.jpg\n"), name="m.csv").all_rows
    assert next(join(rows, [{"row_id": 1, **result_of(task())}]))["status"] == "succeed"


# --- Lines and sums --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["Zoë 北京", "a\nb\r\u2028\u2029\x85\x7f\x0b\x1c", "half a pair: \ud800", '"\\'])
def test_a_line_of_json_is_one_line_with_the_same_text(text: str) -> None:
    line = to_jsonl({"text": text})
    assert len(line.splitlines()) == 1
    assert json.loads(line.encode()) == {"text": text}


def test_counts_have_the_words_of_the_log() -> None:
    assert describe_counts({"succeed": 1200, "failed": 0, "running": 3}) == "1,200 succeeded, 3 running"
    assert describe_counts({}) == "none"


def test_text_beyond_ascii_stays_readable() -> None:
    assert to_jsonl({"a": "Zoë"}) == '{"a": "Zoë"}'


def test_a_summary_counts_rows_units_and_videos() -> None:
    lines = [{"status": "succeed", "units": "2.5", "videos": [VIDEO]} for _ in range(14)]
    summary = summarize([*lines, {"status": "invalid", "units": None, "videos": None}])
    assert (summary.rows, summary.units, summary.videos) == (15, Decimal("35.0"), 14)
    assert summary.text == "15 rows: 14 succeeded, 1 invalid; 35 units, 14 videos"


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ([], "0 rows; 0 units, 0 videos"),
        ([{"status": "succeed", "units": "1", "videos": [VIDEO]}], "1 row: 1 succeeded; 1 unit, 1 video"),
        ([{"status": "new", "units": "NaN"}, {"units": "many"}, {"units": "1e9999999"}], "3 rows: 3 error; 0 units, 0 videos"),
        ([{"status": "failed", "units": "1.10"}] * 2000, "2,000 rows: 2,000 failed; 2,200 units, 0 videos"),
    ],
)
def test_a_summary_is_one_readable_line(lines: list[dict[str, Any]], text: str) -> None:
    assert summarize(lines).text == text
