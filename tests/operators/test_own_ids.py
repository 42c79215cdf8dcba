"""External ids of the user's own: a task that another request has made may have one, too."""

from __future__ import annotations

import pytest
from hostile import HostileKling
from task_runs import FakeAirflow, operator

MODES = pytest.mark.parametrize("deferrable", [False, True])
WARNING = "its scene and its images may be those of another request"
pytestmark = pytest.mark.usefixtures("polled_early")


@pytest.fixture
def account(monkeypatch):
    with HostileKling() as account:
        monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", account.connection(timeout=10))
        yield account


def video(number: int, **kwargs):
    return operator(image=f"https://example.com/{number}.jpg", wait_for_completion=True, **kwargs)


@MODES
def test_mapped_tasks_that_share_an_id_of_their_own_are_warned_about(account, deferrable, capfd):
    instances = [FakeAirflow(map_index=number) for number in range(3)]
    logs = []
    for number, airflow in enumerate(instances):
        assert airflow.finish(video(number, external_task_id="x-{{ run_id }}", deferrable=deferrable)).state == "success"
        logs.append(capfd.readouterr().out)
    assert len(account.ledger) == 1
    assert [WARNING in log for log in logs] == [False, True, True]
    assert all("warning" in line for log in logs for line in log.splitlines() if WARNING in line)
    # The others cannot know with which scene the task was made.
    assert [airflow.result["effect_scene"] for airflow in instances] == ["pet_lion_pro", None, None]


@MODES
def test_a_derived_id_gives_each_mapped_task_its_own_video_without_a_warning(account, deferrable, capfd):
    instances = [FakeAirflow(map_index=number) for number in range(3)]
    for number, airflow in enumerate(instances):
        assert airflow.finish(video(number, deferrable=deferrable)).state == "success"
        assert airflow.result["effect_scene"] == "pet_lion_pro"
    assert len(account.ledger) == 3
    assert WARNING not in capfd.readouterr().out


@MODES
def test_a_result_of_a_failed_task_that_another_request_made_claims_no_scene(account, deferrable):
    account.fails = "Image pixel is invalid"
    FakeAirflow(run_id="other").finish(video(1, external_task_id="mine"))
    airflow = FakeAirflow()
    assert airflow.finish(video(2, external_task_id="mine", deferrable=deferrable)).state == "failed"
    assert len(account.ledger) == 1
    assert airflow.xcoms["failed_result"]["kling_task_id"] == account.ledger[0].task_id
    assert airflow.xcoms["failed_result"]["effect_scene"] is None


@MODES
def test_a_failed_task_is_asked_for_again_by_a_further_try(account, deferrable):
    account.fails = "Try later"
    tries = [FakeAirflow(try_number=number, max_tries=5).finish(video(1, deferrable=deferrable)) for number in (1, 2)]
    account.fails = ""
    tries.append(FakeAirflow(try_number=3, max_tries=5).finish(video(1, deferrable=deferrable)))
    assert [run.state for run in tries] == ["up_for_retry", "up_for_retry", "success"]
    first = account.ledger[0].external_id
    assert [made.external_id for made in account.ledger] == [first, f"{first}-2", f"{first}-3"]


def test_a_rescheduled_task_does_not_ask_again_within_its_try(account, photo):
    account.fails = "Try later"
    for reschedules in (0, 1, 2):
        airflow = FakeAirflow(reschedules=reschedules, max_tries=5)
        task = operator(image=photo, wait_for_completion=True, deferrable=True, timeout=10**9)
        assert airflow.finish(task).state == "up_for_retry"
    assert len(account.ledger) == 1


def test_a_success_whose_event_holds_no_video_costs_one_more_query(account):
    task = video(1, deferrable=True)
    airflow = FakeAirflow()
    made = FakeAirflow(run_id="other")
    assert made.finish(video(2)).state == "success"
    event = {"task": {"task_id": account.ledger[0].task_id, "task_status": "succeed"}, "kling_conn_id": "kling_default"}
    assert airflow.run(task, event=event).state == "success"
    assert airflow.result["videos"][0]["url"].endswith(account.ledger[0].task_id)
