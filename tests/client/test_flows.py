"""The flows alone, run step by step without a socket or a clock: their calls, the order of these, and the pauses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_kling import errors
from airflow_provider_kling.api import EFFECTS, EffectRequest, Task, Video
from airflow_provider_kling.client import Submission, flows
from airflow_provider_kling.client.flows import CheckCapacity, Log, Saved, SaveVideo, Sleep

SUBMISSION = Submission(request=EffectRequest("squish", ["https://example.com/a.jpg"]), external_id="submission")


class Driver:
    """Runs a flow with a script: sends its values into the flow, or throws its errors. Time passes only in pauses."""

    def __init__(self, *script) -> None:
        self.script = list(script)
        self.now = 1000.0
        self.calls: list[str] = []
        self.pauses: list[float] = []
        self.logged: list[str] = []
        self.capacity: Exception | None = None  # the error of a capacity check

    def run(self, steps):
        step = next(steps)
        try:
            while True:
                if isinstance(step, Sleep):
                    self.now += step.seconds
                    self.pauses.append(step.seconds)
                    step = steps.send(self.now)
                    continue
                if isinstance(step, Log):
                    self.logged.append(step.message)
                    step = steps.send(None)
                    continue
                if isinstance(step, CheckCapacity):
                    step = steps.send(None) if self.capacity is None else steps.throw(self.capacity)
                    continue
                self.calls.append(step.name if isinstance(step, SaveVideo) else f"{step.method} {step.path.rpartition('/')[2]}")
                response = self.script.pop(0) if len(self.script) > 1 else self.script[0]
                step = steps.throw(response) if isinstance(response, Exception) else steps.send(response)
        except StopIteration as end:
            return end.value


def task(status="submitted", **facts) -> Task:
    return Task(kling_task_id="7", status=status, **facts)


FULL = errors.KlingSlotsFullError("full", code=1303)
SLOW_DOWN = errors.KlingBusyError("slow down", code=1302, retry_after=40.0)
NOT_FOUND = errors.KlingTaskNotFound("not found", code=1201)
EXISTS = errors.KlingTaskExists("External_task_id submission already exists", code=1201, http_status=400)
REFUSED = errors.KlingConnectionError("refused", sent=False)
CUT = errors.KlingConnectionError("cut", sent=True)
UNAVAILABLE = errors.KlingServerError("unavailable", code=5001)


def create(driver, *, adopt_existing=False, **options):
    return driver.run(flows.create(EFFECTS, replace(SUBMISSION, adopt_existing=adopt_existing), **options))


def create_when_free(driver, *, adopt_existing=False, **options):
    submission = replace(SUBMISSION, adopt_existing=adopt_existing)
    return driver.run(flows.create_when_free(EFFECTS, submission, **{"deadline": 1500.0, **options}))


def wait(driver, **options):
    return driver.run(flows.wait(EFFECTS, "7", **{"deadline": 1500.0, "poll_interval": 10.0, **options}))


def test_between_two_creates_there_is_always_a_lookup():
    driver = Driver(CUT, NOT_FOUND, UNAVAILABLE, NOT_FOUND, task())
    assert create(driver) == task()
    assert driver.calls == ["POST effects", "GET submission", "POST effects", "GET submission", "POST effects"]


def test_a_create_that_was_never_sent_is_sent_again_without_a_lookup():
    driver = Driver(REFUSED, task())
    create(driver)
    assert driver.calls == ["POST effects", "POST effects"]


def test_a_create_is_sent_four_times_at_most():
    with pytest.raises(errors.KlingConnectionError):
        create(driver := Driver(REFUSED))
    assert driver.calls == ["POST effects"] * 4


def test_a_task_created_in_this_attempt_is_returned_even_if_it_failed_meanwhile():
    driver = Driver(CUT, task("failed"))
    assert create(driver).failed
    assert driver.calls == ["POST effects", "GET submission"]


def test_an_id_that_exists_after_a_cut_off_create_is_this_attempts_own_task():
    driver = Driver(CUT, NOT_FOUND, EXISTS, task("failed"))
    assert create(driver).failed
    assert driver.calls == ["POST effects", "GET submission", "POST effects", "GET submission"]


def test_an_id_that_another_product_uses_is_reported():
    with pytest.raises(errors.KlingRequestError, match="Another Kling product may use this id"):
        create(Driver(EXISTS, NOT_FOUND))


def test_a_submission_whose_tasks_all_fail_ends():
    with pytest.raises(errors.KlingRequestError, match="100 tasks of external id submission have failed"):
        create(driver := Driver(task("failed")), adopt_existing=True)
    assert driver.calls[:3] == ["GET submission", "GET submission-2", "GET submission-3"]
    assert len(driver.calls) == 100


def test_a_task_that_is_done_at_once_is_queried_again():
    done = task("succeed", videos=(Video(id="v", url="https://a/v.mp4"),))
    assert create(Driver(task("succeed"), done)) == done


def test_waiting_for_a_slot_backs_off_from_1_to_15_seconds():
    driver = Driver(*[FULL] * 20, task())
    create_when_free(driver)
    pauses = driver.pauses[1:]
    assert 0.85 <= pauses[0] <= 1.15
    assert max(pauses) <= 15 * 1.15
    assert driver.calls == ["POST effects"] * 21
    assert len(driver.logged) == 1


def test_a_long_wait_for_a_slot_is_logged_every_five_minutes():
    driver = Driver(*[FULL] * 100, task())
    create_when_free(driver, deadline=1e9)
    assert 3 <= len(driver.logged) <= 6
    assert "All slots of the account are taken: waiting, 0 s so far" in driver.logged[0]


def test_a_pause_is_as_long_as_the_server_asks():
    driver = Driver(SLOW_DOWN, task())
    create_when_free(driver)
    assert driver.pauses[1:] == [40.0]


def test_after_an_unknown_outcome_every_further_attempt_starts_with_a_lookup():
    driver = Driver(CUT, UNAVAILABLE, NOT_FOUND, FULL, task())
    create_when_free(driver)
    assert driver.calls == ["POST effects", "GET submission", "GET submission", "POST effects", "POST effects"]


def test_past_the_deadline_nothing_is_created():
    driver = Driver(task())
    with pytest.raises(errors.KlingTimeoutError, match="Nothing was made, nothing was paid"):
        create_when_free(driver, deadline=999.0)
    assert driver.calls == []


def test_past_the_deadline_a_task_that_exists_is_adopted():
    driver = Driver(task())
    assert create_when_free(driver, deadline=999.0, adopt_existing=True).kling_task_id == "7"
    assert driver.calls == ["GET submission"]
    for found in (NOT_FOUND, task("failed")):
        with pytest.raises(errors.KlingTimeoutError):
            create_when_free(driver := Driver(found), deadline=999.0, adopt_existing=True)
        assert driver.calls == ["GET submission"]


def test_a_deadline_without_a_slot_says_whether_something_may_have_been_paid():
    with pytest.raises(errors.KlingTimeoutError, match="Nothing was made, nothing was paid"):
        create_when_free(Driver(FULL))
    with pytest.raises(errors.KlingTimeoutError, match=r"A task may exist all the same.*look up external id submission"):
        create_when_free(Driver(CUT, UNAVAILABLE))


def test_an_error_that_cannot_pass_ends_the_wait_for_a_slot_at_once():
    with pytest.raises(errors.KlingAccountError):
        create_when_free(driver := Driver(errors.KlingAccountError("pay", code=1102)))
    assert len(driver.calls) == 1


def test_the_first_poll_is_at_the_given_time():
    driver = Driver(task("processing"), task("succeed"))
    wait(driver, first_poll=1030.0)
    assert driver.pauses[1] == 30.0
    assert len(driver.calls) == 2


def test_pauses_between_polls_are_the_poll_interval_and_grow_after_failures():
    driver = Driver(task(), UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, task("succeed"))
    wait(driver)
    for pause, expected in zip(driver.pauses[1:], [10, 10, 20, 40], strict=True):
        assert 0.85 * expected <= pause <= 1.15 * expected
    assert [text.split(":")[0] for text in driver.logged] == [
        "Kling task 7",
        "Kling cannot be asked at the moment",
        "Kling answers again.",
        "Kling task 7 succeeded.",
    ]


def test_the_last_poll_is_at_the_deadline():
    with pytest.raises(errors.KlingTimeoutError, match="not done after 8 min; last seen: submitted"):
        wait(driver := Driver(task()))
    assert driver.now == 1500.0


def test_a_task_is_missing_only_after_three_polls_in_a_row():
    assert wait(Driver(NOT_FOUND, NOT_FOUND, task(), NOT_FOUND, NOT_FOUND, task("succeed"))).succeeded
    with pytest.raises(errors.KlingTaskNotFound):
        wait(Driver(NOT_FOUND))


def test_a_dead_link_is_renewed_only_once():
    old, new = (task("succeed", videos=(Video(id="v", url=f"https://a/{name}.mp4"),)) for name in ("old", "new"))
    dead = errors.KlingDownloadError("dead", expired=True)
    driver = Driver(dead, new, Saved("/there/7.mp4", new=True))
    assert driver.run(flows.save(EFFECTS, old, "/there")) == ["/there/7.mp4"]
    assert driver.calls == ["7.mp4", "GET 7", "7.mp4"]
    with pytest.raises(errors.KlingDownloadError):
        Driver(dead, new, dead).run(flows.save(EFFECTS, old, "/there"))


def test_a_task_whose_videos_are_gone_is_reported():
    old = task("succeed", videos=(Video(id="v", url="https://a/v.mp4"),))
    driver = Driver(errors.KlingDownloadError("dead", expired=True), task("succeed"))
    with pytest.raises(errors.KlingAnswerError, match="no longer names video 1"):
        driver.run(flows.save(EFFECTS, old, "/there"))


def test_each_of_several_videos_has_its_own_name():
    videos = tuple(Video(id=str(number), url=f"https://a/{number}.mp4") for number in range(3))
    assert flows.file_names(task("succeed", videos=videos)) == ["7.mp4", "7_2.mp4", "7_3.mp4"]


def test_a_fault_of_the_capacity_check_does_not_make_a_create_uncertain():
    driver = Driver(task())
    driver.capacity = errors.KlingServerError("unavailable", code=5001)
    with pytest.raises(errors.KlingTimeoutError, match="Nothing was made, nothing was paid"):
        create_when_free(driver)
    assert driver.calls == []
