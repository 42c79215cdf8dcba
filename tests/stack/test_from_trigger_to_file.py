"""From trigger to published file: the sample DAGs that publish, and what DAGs scheduled on asset events see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from account import Account
from airflow_api import Run

PATIENCE = 300  # seconds
HITL = "taskInstances/{task_id}/-1/hitlDetails"


def test_the_videos_of_a_batch_are_published_once(stack, open_account, tmp_path):
    account = open_account("published", duration=2)
    folder = tmp_path / "published"
    stack.request("POST", "variables", json={"key": "kling_published", "value": str(folder)})
    try:
        for repeated in (False, True):
            if repeated:
                run.clear()  # noqa: F821 - of the first time
            else:
                run = account.run_dag("kling_effects_batch", 4)
            assert run.until_done(timeout=PATIENCE) == "success"
            summary = published_by(run, 2 if repeated else 1)
            assert (summary["published"], summary["already_there"]) == ((0, 4) if repeated else (4, 0))
    finally:
        stack.request("DELETE", "variables/kling_published")
    videos = {path.name: path.read_bytes() for path in (account.output / "videos").iterdir()}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == videos
    account.check("published by an asset's event")


def published_by(run: Run, count: int) -> dict[str, Any]:
    """The summary of the run of `kling_effects_published` that the last event of this run has triggered."""

    def triggered() -> list[Run]:
        events = run.stack.request("GET", "assets/events", params={"source_dag_id": run.dag_id, "order_by": "-timestamp"})
        of_run = [event for event in events["asset_events"] if event["source_run_id"] == run.run_id]
        if len(of_run) < count:
            return []
        return [Run(run.stack, made["dag_id"], made["run_id"]) for made in of_run[0]["created_dagruns"]]

    (consumer,) = run.until("the event has triggered a run", triggered, timeout=PATIENCE)
    assert consumer.until_done(timeout=PATIENCE) == "success"
    return dict(
        run.stack.request("GET", f"{consumer.path}/taskInstances/publish/xcomEntries/return_value?deserialize=true")["value"]
    )


def test_only_what_a_person_approves_is_published(stack, open_account, tmp_path):
    account = open_account("reviewed", duration=2)
    folder = tmp_path / "published"
    account.kling.fail_next(times=1)
    run = account.run_dag("kling_effects_reviewed", 5, params={"folder": str(folder)})
    question = asked(run, "review")
    rows = question["params"]["rejected"]["schema"]["examples"]
    assert len(rows) == 4
    assert "**4 videos**" in question["body"]
    assert f"/dags/{run.dag_id}/runs/" in question["body"]

    again, never = rows[:2]
    answer(run, "review", "Approve", rejected=[again, never], ask_again=True)
    assert asked(run, "review_again")["params"]["rejected"]["schema"]["examples"] == [again, never]
    before = reviewed(account)
    assert [before[row]["review"] for row in rows] == ["asked again", "asked again", "published", "published"]
    answer(run, "review_again", "Approve", rejected=[never])
    assert run.until_done(timeout=PATIENCE) == "success"
    check_reviewed(account, folder, again=again, never=never)

    run.clear("review")  # asks again; the answer is the same, so nothing is paid for or published twice
    answer(run, "review", "Approve", rejected=[again, never], ask_again=True)
    answer(run, "review_again", "Approve", rejected=[never])
    assert run.until_done(timeout=PATIENCE) == "success"
    check_reviewed(account, folder, again=again, never=never)


def check_reviewed(account: Account, folder: Path, *, again: str, never: str) -> None:
    """One row was published at the second attempt, one never, one failed, two at once; seven tasks were made in all."""
    lines = reviewed(account)
    assert list(lines) == account.rows
    assert sorted(line["review"] for line in lines.values()) == ["no video", "published", "published", "published", "rejected"]
    assert (lines[again]["review"], lines[never]["review"]) == ("published", "rejected")
    first = {line["id"]: line["kling_task_id"] for line in account.results}
    for row in (again, never):
        assert lines[row]["rejected_kling_task_id"] == first[row] != lines[row]["kling_task_id"]
    places = [Path(place) for line in lines.values() for place in line["published"] or ()]
    assert sorted(places) == sorted(folder.iterdir())
    assert len(places) == 3
    paid = [task["kling_task_id"] for task in account.kling.ledger]
    assert len(paid) == len(set(paid)) == 7
    assert {line["kling_task_id"] for line in lines.values()} | set(first.values()) == set(paid)


def test_an_answer_that_names_no_row_publishes_nothing_until_it_is_given_anew(stack, open_account, tmp_path):
    account = open_account("mistyped", duration=2)
    run = account.run_dag("kling_effects_reviewed", 2, params={"folder": str(tmp_path / "published")})
    asked(run, "review")
    answer(run, "review", "Approve", rejected=["r7"], ask_again=True)
    assert run.until_done(timeout=PATIENCE) == "failed"
    log = stack.request("GET", f"{run.path}/taskInstances/decide/logs/1", params={"map_index": -1, "full_content": True})
    assert "There is no video of 1 row that the review rejects: 'r7'." in json.dumps(log)
    assert not (tmp_path / "published").exists()
    assert len(account.kling.ledger) == 2

    run.clear("review")
    asked(run, "review")
    answer(run, "review", "Reject")
    assert run.until_done(timeout=PATIENCE) == "success"
    assert [line["review"] for line in reviewed(account).values()] == ["rejected", "rejected"]
    assert not (tmp_path / "published").exists()
    assert len(account.kling.ledger) == 2


def asked(run: Run, task_id: str) -> dict[str, Any]:
    """The question of this task, as soon as it waits for an answer.

    Airflow (3.3.2) fails a task that resumes before the scheduler has seen its first process end: see `test_fast_ends`.
    A person is never that quick.
    """

    def waits() -> bool:
        (instance,) = run.instances(task_id)
        if instance["state"] not in ("awaiting_input", "deferred"):
            return False
        key = f"dag_id='{run.dag_id}', task_id='{task_id}', run_id='{run.run_id}', try_number={instance['try_number']},"
        return f"executor event with state success for task instance TaskInstanceKey({key}" in run.stack.scheduler.log.read_text()

    run.until(f"{task_id} asks", waits, timeout=PATIENCE)
    return dict(run.stack.request("GET", f"{run.path}/{HITL.format(task_id=task_id)}"))


def answer(run: Run, task_id: str, option: str, **params: Any) -> None:
    asked(run, task_id)
    body = {"chosen_options": [option], "params_input": params}
    run.stack.request("PATCH", f"{run.path}/{HITL.format(task_id=task_id)}", json=body)


def reviewed(account: Account) -> dict[str, dict[str, Any]]:
    lines = (account.output / "reviewed" / "results.jsonl").read_text().splitlines()
    return {line["id"]: line for line in map(json.loads, lines)}


def test_a_dag_that_is_scheduled_on_them_sees_what_was_made(stack, open_account):
    for dag_id in ("with_outlets", "batch_with_outlets"):
        account = open_account(dag_id, duration=2)
        run = account.run_dag(dag_id, 3)
        assert run.until_done(timeout=PATIENCE) == "success"
        path = account.output / "videos" / "events.jsonl"
        lines = lambda path=path: path.read_text().splitlines() if path.exists() else []  # noqa: E731
        run.until("each video has triggered", lambda lines=lines: len(lines()) >= 2 * 3, timeout=PATIENCE)
        seen = [json.loads(line) for line in lines()]
        made = {task["kling_task_id"]: task for task in account.kling.ledger}
        for event in seen:
            extra = event["extra"]
            assert event["uri"] == f"file://{extra['path']}"
            assert event["run_id"] == run.run_id
            assert extra["path"].startswith(f"{account.output}/videos/")
            assert extra["row_id"] in account.rows
            assert extra["effect_scene"] == "squish"
            assert extra["url"].startswith("http")
            assert extra["expires_at"]
            assert extra["units"]
        assert sorted(event["extra"]["kling_task_id"] for event in seen) == sorted([*made, *made])
        assert {event["key"] for event in seen} == {"Asset", "AssetAlias"}
        events = run.stack.request("GET", "assets/events", params={"source_dag_id": dag_id, "limit": 100})["asset_events"]
        of_asset = [
            event["extra"]
            for event in events
            if event["uri"] == "kling_videos_of_stack" or event.get("name") == "kling_videos_of_stack"
        ]
        if dag_id == "with_outlets":
            assert sorted(extra["kling_task_id"] for extra in of_asset) == sorted(made)
            assert all(extra["paths"] == [extra["path"]] for extra in of_asset)
        else:
            assert [(extra["rows"], extra["succeed"], extra["results"]) for extra in of_asset] == [
                (3, 3, str(account.output / "results.jsonl"))
            ]


def test_what_nobody_looks_at_is_not_published(stack, open_account, tmp_path):
    account = open_account("nobody", duration=2)
    run = account.run_dag("impatient_review", 2, params={"folder": str(tmp_path / "published")})
    assert run.until_done(timeout=PATIENCE) == "success"
    assert [(line["review"], line["reviewed_by"]) for line in reviewed(account).values()] == [("unanswered", None)] * 2
    assert not (tmp_path / "published").exists()
    assert len(account.kling.ledger) == 2


def test_a_person_approves_a_plan_before_anything_is_paid(stack, open_account):
    account = open_account("approved", duration=2)
    scenes = ["squish", "squish", "squish", ""]
    run = account.run_dag("kling_effects_approved", 4, effect_scene=scenes)
    question = asked(run, "approve")
    assert "**3 videos** of 4 rows" in question["body"]
    assert "1 row will have no new video" in question["body"]
    assert account.kling.ledger == []
    answer(run, "approve", "Approve")
    assert run.until_done(timeout=PATIENCE) == "success"
    account.check("a plan that a person has approved", rows_without_video=["r3"])

    rejected = open_account("rejected", duration=2)
    run = rejected.run_dag("kling_effects_approved", 2)
    answer(run, "approve", "Reject")
    assert run.until_done(timeout=PATIENCE) == "success"
    assert run.instances("batch", state="skipped")
    assert rejected.kling.ledger == []
