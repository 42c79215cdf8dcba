"""A review: what is asked, what an answer decides, and what becomes of each row."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk import timezone
from batch_manifests import results_of
from hostile import mp4

from airflow_provider_kling.errors import KlingInputError, KlingStorageError
from airflow_provider_kling.manifests import RESULT_COLUMNS, ManifestFile
from airflow_provider_kling.reviewing import (
    Review,
    ask,
    decision_of,
    publish_reviewed,
    question,
    reviewed,
    write_rejected,
)

NOW = timezone.datetime(2026, 11, 26, 12)
USER = {"id": "7", "name": "Ada"}


def results(folder: Path, rows: dict[str, str], *, suffix: str = "") -> str:
    """Results in this folder: row ids and their statuses. Rows that succeeded have a video."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for row_id, status in rows.items():
        line = {
            "id": row_id,
            "effect_scene": "squish",
            **dict.fromkeys(RESULT_COLUMNS),
            "status": status,
            "kling_task_id": f"k-{row_id}{suffix}",
        }
        if status == "succeed":
            path = folder / f"{row_id}{suffix}.mp4"
            path.write_bytes(mp4())
            line["videos"] = [{"id": "v", "url": "https://example.com/v.mp4", "path": str(path)}]
        else:
            line["error"] = "It failed."
        lines.append(json.dumps(line) + "\n")
    (folder / "results.jsonl").write_text("".join(lines))
    return str(folder / "results.jsonl")


def answer(option: str = "Approve", **params) -> dict:
    """The XCom of a HITLOperator."""
    return {"chosen_options": [option], "params_input": params, "responded_at": NOW, "responded_by_user": USER}


ROWS = {"a": "succeed", "b": "succeed", "c": "failed", "d": "succeed"}


# --- The question


def question_of(summary: dict, **kwargs) -> SimpleNamespace:
    task = SimpleNamespace()
    run = SimpleNamespace(dag_id="my dag", run_id="manual__2026-11-26T03:00:00+00:00")
    ask({"task": task, "dag_run": run}, summary, **{"may_ask_again": True, "wait": "3 days", **kwargs})
    return task


def summary_of(place: str, **changes) -> dict:
    return {"rows": 4, "succeed": 3, "videos": 3, "units": "7.5", "results": place, "report": "/out/report.html", **changes}


def test_the_question_has_a_link_the_rows_and_what_each_answer_does(tmp_path):
    task = question_of(summary_of(results(tmp_path, ROWS)))
    assert "**3 videos** for 7.5 units; 1 row of 4 without a video." in task.body
    assert "/dags/my%20dag/runs/manual__2026-11-26T03%3A00%3A00%2B00%3A00/plugin/kling-videos)" in task.body
    assert "Without an answer within 3 days, nothing is published." in task.body
    assert task.params.get_param("rejected").serialize()["schema"]["examples"] == ["a", "b", "d"]
    assert task.params.dump() == {"rejected": [], "ask_again": False}
    assert list(question_of(summary_of(results(tmp_path, ROWS)), may_ask_again=False).params) == ["rejected"]


def test_names_are_data_in_the_questions_markdown(tmp_path):
    report = "/out/`` ` [x](javascript:alert(1)) <img src=x>\n# big/report.html"
    body = question_of(summary_of(results(tmp_path, ROWS), report=report)).body
    assert "report ``` /out/`` ` [x](javascript:alert(1)) <img src=x>" in body
    assert "\n# big" not in body


def test_more_rows_than_a_form_can_offer_are_typed():
    assert "examples" not in question([str(number) for number in range(1001)], may_ask_again=True)["rejected"].serialize()["schema"]


def test_without_a_video_nobody_is_asked(tmp_path):
    from airflow.providers.common.compat.sdk import AirflowSkipException

    with pytest.raises(AirflowSkipException, match="There is no video to review"):
        question_of(summary_of(results(tmp_path, {"c": "failed"})))


# --- The answer


@pytest.mark.parametrize(
    ("response", "approved", "rejected", "ask_again"),
    [
        (answer(), True, [], False),
        (answer(rejected=None, ask_again=False), True, [], False),
        (answer(rejected=["a", "a", " b "], ask_again=True), True, ["a", "b"], True),
        (answer(rejected="a\nb\n\n"), True, ["a", "b"], False),
        (answer("Reject", ask_again=True), False, [], True),
    ],
)
def test_an_answer_decides(tmp_path, response, approved, rejected, ask_again):
    assert decision_of(response, results(tmp_path, ROWS)) == {
        "approved": approved,
        "rejected": rejected,
        "ask_again": ask_again,
        "answered": True,
        "by": "Ada",
        "at": "2026-11-26T12:00:00+00:00",
    }


@pytest.mark.parametrize(
    "response", [None, {**answer("Reject"), "responded_by_user": None}, {**answer(), "responded_by_user": None}]
)
def test_nobodys_answer_approves_and_rejects_nothing(tmp_path, response):
    decision = decision_of(response, results(tmp_path, ROWS))
    assert (decision["approved"], decision["answered"], decision["ask_again"], decision["by"]) == (False, False, False, None)
    assert write_rejected(manifest(tmp_path), str(tmp_path), decision, str(tmp_path / "again")) is None


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (answer(rejected=["a", "c", "x"]), "There is no video of 2 rows that the review rejects: 'c', 'x'. Nothing was published."),
        (answer(rejected={"a": 1}), "rejected is \"{'a': 1}\"; wanted is a list of row ids."),
        (answer(rejected=[True]), "wanted is a list of row ids"),
        (answer(ask_again="yes"), "ask_again is 'yes'; wanted is true or false."),
        ({**answer(), "chosen_options": []}, "wanted is Approve or Reject"),
        ({**answer(), "chosen_options": ["Approve", "Reject"]}, "wanted is Approve or Reject"),
    ],
)
def test_a_wrong_answer_decides_nothing(tmp_path, response, error):
    with pytest.raises(KlingInputError) as raised:
        decision_of(response, results(tmp_path, ROWS))
    assert error in str(raised.value)
    assert str(raised.value).endswith("Clear the review to answer again.")


# --- Asking again


def manifest(folder: Path) -> str:
    rows = [
        {"id": "a", "effect_scene": "squish", "image": "photos/a.jpg", "title": "A {{ conn.x.password }}"},
        {"id": "b", "effect_scene": "hug_pro", "images": ["left.jpg", "https://example.com/right.jpg"], "title": None},
        {"id": "c", "effect_scene": "squish", "image": "https://example.com/c.jpg"},
        {"id": "d", "effect_scene": "squish", "image": "https://example.com/d.jpg"},
        {"id": "bad"},
    ]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder / "manifest.jsonl")


def rows_of(place: str) -> list:
    with ManifestFile(place) as file:
        return list(file.rows())


def test_rejected_rows_become_a_manifest_with_the_same_requests(tmp_path):
    place, whole = results(tmp_path, ROWS), manifest(tmp_path)
    decision = decision_of(answer(rejected=["b", "a"], ask_again=True), place)
    rejected = write_rejected(whole, place, decision, str(tmp_path / "again"))
    before = {row.id: row for row in rows_of(whole)}
    after = rows_of(rejected)
    assert [row.id for row in after] == ["a", "b"]
    for row in after:
        assert (row.effect_scene, row.images) == (before[row.id].effect_scene, before[row.id].images)
        assert row.columns["title"] == before[row.id].columns["title"]


def test_with_reject_all_videos_are_asked_for_again(tmp_path):
    place, whole = results(tmp_path, ROWS), manifest(tmp_path)
    rejected = write_rejected(whole, place, decision_of(answer("Reject", ask_again=True), place), str(tmp_path / "again"))
    assert [row.id for row in rows_of(rejected)] == ["a", "b", "d"]


@pytest.mark.parametrize("response", [None, answer(ask_again=True), answer(rejected=["a"]), answer("Reject")])
def test_otherwise_nothing_is_asked_for(tmp_path, response):
    place, whole = results(tmp_path, ROWS), manifest(tmp_path)
    assert write_rejected(whole, place, decision_of(response, place), str(tmp_path / "again")) is None
    assert not (tmp_path / "again").exists()


def test_a_row_that_the_manifest_has_no_more_is_an_error(tmp_path):
    place, whole = results(tmp_path, {**ROWS, "gone": "succeed"}), manifest(tmp_path)
    with pytest.raises(KlingInputError, match="does not have the rejected rows 'gone' any more"):
        write_rejected(whole, place, decision_of(answer(rejected=["gone"], ask_again=True), place), str(tmp_path / "again"))


# --- What became of the rows


def outcome(tmp_path: Path, *reviews: Review) -> tuple[dict[str, str], set[str]]:
    """What became of each row, and the files in the folder."""
    summary = publish_reviewed(reviewed(*reviews), tmp_path / "shop", str(tmp_path / "reviewed"), title="t")
    lines = results_of(tmp_path / "reviewed")
    states = {line["id"]: line["review"] for line in lines}
    assert sum(summary["review"].values()) == summary["rows"] == len(states)
    for line in lines:
        assert bool(line["published"]) == (line["review"] == "published")
    shop = tmp_path / "shop"
    return states, {path.name for path in shop.iterdir()} if shop.exists() else set()


def test_only_approved_videos_are_published(tmp_path):
    place = results(tmp_path / "made", ROWS)
    first = Review(place, decision_of(answer(rejected=["b"]), place))
    states, files = outcome(tmp_path, first)
    assert states == {"a": "published", "b": "rejected", "c": "no video", "d": "published"}
    assert files == {"a.mp4", "d.mp4"}
    assert {line["reviewed_by"] for line in results_of(tmp_path / "reviewed")} == {"Ada"}
    assert (tmp_path / "reviewed" / "report.html").exists()


@pytest.mark.parametrize(("response", "state"), [(None, "unanswered"), (answer("Reject"), "rejected")])
def test_without_approval_nothing_is_published(tmp_path, response, state):
    place = results(tmp_path / "made", ROWS)
    states, files = outcome(tmp_path, Review(place, decision_of(response, place)))
    assert states == {"a": state, "b": state, "c": "no video", "d": state}
    assert files == set()


def test_a_second_video_takes_the_place_of_a_rejected_one(tmp_path):
    rows = dict.fromkeys("abcdef", "succeed")
    place = results(tmp_path / "made", rows)
    first = Review(place, decision_of(answer(rejected=["a", "b", "c", "d"], ask_again=True), place))
    states, files = outcome(tmp_path, first)
    assert states == {**dict.fromkeys("abcd", "asked again"), "e": "published", "f": "published"}

    again = results(tmp_path / "again", {"a": "succeed", "b": "failed", "c": "succeed"}, suffix="2")  # none of d yet
    second = Review(again, decision_of(answer(rejected=["c"]), again))
    states, files = outcome(tmp_path, first, second)
    assert states == {"a": "published", "b": "no video", "c": "rejected", "d": "asked again", "e": "published", "f": "published"}
    assert files == {"a2.mp4", "e.mp4", "f.mp4"}
    lines = {line["id"]: line for line in results_of(tmp_path / "reviewed")}
    assert (lines["a"]["kling_task_id"], lines["a"]["rejected_kling_task_id"]) == ("k-a2", "k-a")
    assert (lines["b"]["status"], lines["b"]["rejected_kling_task_id"]) == ("failed", "k-b")
    assert lines["e"]["rejected_kling_task_id"] is None

    unanswered = Review(again, decision_of(None, again))
    states, files = outcome(tmp_path, first, unanswered)
    assert (states["a"], states["b"], states["c"], states["e"]) == ("unanswered", "no video", "unanswered", "published")


def test_what_cannot_be_published_is_in_the_results_and_fails_the_task(tmp_path):
    place = results(tmp_path / "made", ROWS)
    (tmp_path / "made" / "a.mp4").unlink()
    with pytest.raises(
        KlingStorageError, match=r"1 approved rows could not be published\. The first: .*a\.mp4 does not exist any more"
    ):
        outcome(tmp_path, Review(place, decision_of(answer(), place)))
    lines = {line["id"]: line for line in results_of(tmp_path / "reviewed")}
    assert {row: line["review"] for row, line in lines.items()} == {
        "a": "not published",
        "b": "published",
        "c": "no video",
        "d": "published",
    }
    assert "does not exist any more" in lines["a"]["publish_error"]
