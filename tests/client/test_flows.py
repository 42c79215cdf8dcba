"""The flows alone, run step by step without a socket or a clock: their calls, the order of these, and the pauses."""

from __future__ import annotations

import copy
import logging
from dataclasses import replace

import pytest

from airflow_provider_kling import errors
from airflow_provider_kling.api import EFFECTS, EffectRequest, Task, Video
from airflow_provider_kling.client import Submission, flows
from airflow_provider_kling.client.flows import CheckCapacity, Count, GiveBack, Log, Reserve, Reserved, Saved, SaveVideo, Sleep

SUBMISSION = Submission(request=EffectRequest("squish", ["https://example.com/a.jpg"]), external_id="submission")
DERIVED = f"airflow-{'0123456789' * 4}"


class Driver:
    """Runs a flow with a script: sends its values into the flow, or throws its errors. Time passes only in pauses."""

    def __init__(self, *script) -> None:
        self.script = list(script)
        self.now = 1000.0
        self.calls: list[str] = []
        self.pauses: list[float] = []
        self.logged: list[str] = []
        self.counted: list[str] = []
        self.levels: list[int] = []
        self.capacity: Exception | None = None  # the error of a capacity check

    def run(self, steps):
        step = next(steps)
        try:
            while True:
                if isinstance(step, Sleep):
                    self.now += step.seconds
                    self.pauses += [step.seconds] * bool(step.seconds)
                    step = steps.send(self.now)
                    continue
                if isinstance(step, Log):
                    self.logged.append(step.message)
                    self.levels.append(step.level)
                    step = steps.send(None)
                    continue
                if isinstance(step, Count):
                    self.counted.append(step.metric.name)
                    step = steps.send(None)
                    continue
                if isinstance(step, Reserve | GiveBack):
                    step = steps.send(Reserved.HAD)
                    continue
                if isinstance(step, CheckCapacity):
                    step = steps.send(None) if self.capacity is None else steps.throw(self.capacity)
                    continue
                self.calls.append(step.name if isinstance(step, SaveVideo) else f"{step.method} {step.path.rpartition('/')[2]}")
                response = self.script.pop(0) if len(self.script) > 1 else self.script[0]
                step = steps.throw(copy.copy(response)) if isinstance(response, Exception) else steps.send(response)
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


def create(driver, **submission):
    return driver.run(flows.create(EFFECTS, replace(SUBMISSION, **submission)))


def create_when_free(driver, *, deadline=1500.0, **submission):
    return driver.run(flows.create_when_free(EFFECTS, replace(SUBMISSION, **submission), deadline=deadline))


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
    with pytest.raises(errors.KlingRequestError, match="Another Kling product may use this id") as error:
        create(driver := Driver(EXISTS, NOT_FOUND))
    assert not error.value.retryable
    assert "nobody knows which" in str(error.value)
    assert 30 < sum(driver.pauses) < 120  # before that, the task may only not be shown yet


@pytest.mark.parametrize("adopt_existing", [False, True])
def test_a_derived_id_that_exists_and_is_not_shown_is_a_fault_that_passes(adopt_existing):
    earlier = [NOT_FOUND] * adopt_existing
    driver = Driver(*earlier, EXISTS, *[NOT_FOUND] * 30, task("processing"))
    assert create_when_free(driver, adopt_existing=adopt_existing, external_id=DERIVED).status == "processing"
    assert driver.calls.count("POST effects") == 1
    with pytest.raises(errors.KlingTaskExists, match="yet a query of it finds no task") as error:
        create(Driver(*earlier, EXISTS, NOT_FOUND), adopt_existing=adopt_existing, external_id=DERIVED)
    assert error.value.retryable
    assert error.value.outcome_unknown


def test_an_id_of_the_users_own_that_a_lost_create_may_have_used_is_such_a_fault_too():
    driver = Driver(CUT, NOT_FOUND, EXISTS, *[NOT_FOUND] * 30, task("processing"))
    assert create_when_free(driver).status == "processing"
    assert driver.calls.count("POST effects") == 2


def test_a_task_that_exists_and_is_never_shown_is_reported_at_the_deadline():
    with pytest.raises(errors.KlingTimeoutError, match=rf"Kling says that a task with external id {DERIVED} exists") as error:
        create_when_free(driver := Driver(EXISTS, NOT_FOUND), external_id=DERIVED)
    assert driver.now >= 1500.0
    assert "Nothing was made" not in str(error.value)


def test_a_try_uses_as_many_ids_as_its_number():
    driver = Driver(task("failed"))
    assert create(driver, adopt_existing=True, max_attempts=2).failed
    assert driver.calls == ["GET submission", "GET submission-2"]
    driver = Driver(task("failed"), NOT_FOUND, task())
    assert create(driver, adopt_existing=True, max_attempts=2) == task()
    assert driver.calls == ["GET submission", "GET submission-2", "POST effects"]


@pytest.mark.parametrize(
    ("external_id", "script", "options", "level"),
    [
        ("submission", [EXISTS, task()], {}, logging.WARNING),
        ("submission", [EXISTS, task()], {"max_attempts": 1}, logging.WARNING),
        ("submission", [task()], {"adopt_existing": True, "max_attempts": 1}, logging.WARNING),
        ("submission", [task()], {"adopt_existing": True, "max_attempts": 2}, logging.INFO),
        ("submission", [CUT, NOT_FOUND, EXISTS, task()], {}, logging.INFO),
        (DERIVED, [EXISTS, task()], {"max_attempts": 1}, logging.INFO),
        (DERIVED, [task()], {"adopt_existing": True, "max_attempts": 1}, logging.INFO),
    ],
)
def test_adopting_the_task_of_another_request_is_a_warning(external_id, script, options, level):
    create(driver := Driver(*script), external_id=external_id, **options)
    assert driver.levels[-1] == level
    assert ("may be those of another request" in driver.logged[-1]) == (level == logging.WARNING)


def test_only_a_derived_id_or_the_response_to_a_create_proves_that_a_task_was_made_of_the_request():
    for external_id, script, proven in [
        ("submission", [task()], True),
        ("submission", [EXISTS, task()], False),
        ("submission", [CUT, task()], False),
        (DERIVED, [EXISTS, task()], True),
    ]:
        submission = replace(SUBMISSION, external_id=external_id, created=set())
        found = Driver(*script).run(flows.create(EFFECTS, submission))
        assert submission.surely_made(found) == proven


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
    pauses = driver.pauses
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
    assert driver.pauses == [40.0]


def test_after_an_unknown_outcome_every_further_attempt_starts_with_a_lookup():
    driver = Driver(CUT, UNAVAILABLE, NOT_FOUND, FULL, NOT_FOUND, task())
    create_when_free(driver)
    assert driver.calls == [
        "POST effects",
        *["GET submission", "GET submission", "POST effects"][:3],
        "GET submission",
        "POST effects",
    ]


def test_past_the_deadline_nothing_is_created():
    driver = Driver(NOT_FOUND)
    with pytest.raises(errors.KlingTimeoutError, match="Nothing was made, nothing was paid"):
        create_when_free(driver, deadline=999.0)
    assert driver.calls == ["GET submission"]


def test_past_the_deadline_a_task_that_exists_is_adopted():
    driver = Driver(task())
    assert create_when_free(driver, deadline=999.0, adopt_existing=True).kling_task_id == "7"
    assert driver.calls == ["GET submission"]
    for found, lookups in ([NOT_FOUND], ["GET submission"]), ([task("failed"), NOT_FOUND], ["GET submission", "GET submission-2"]):
        with pytest.raises(errors.KlingTimeoutError):
            create_when_free(driver := Driver(*found), deadline=999.0, adopt_existing=True)
        assert driver.calls == lookups


def test_past_the_deadline_the_task_of_a_later_id_is_adopted():
    driver = Driver(task("failed"), task("processing"))
    assert create_when_free(driver, deadline=999.0, adopt_existing=True).status == "processing"
    assert driver.calls == ["GET submission", "GET submission-2"]


def test_a_deadline_without_a_slot_says_whether_something_may_have_been_paid():
    with pytest.raises(errors.KlingTimeoutError, match="Nothing was made, nothing was paid"):
        create_when_free(Driver(FULL))
    with pytest.raises(errors.KlingTimeoutError, match=r"A task may exist all the same.*look up external id submission"):
        create_when_free(Driver(CUT, UNAVAILABLE))


def test_a_lost_create_stays_unknown_when_later_creates_find_no_slot():
    """Kling may show the task late, and may refuse for want of a slot before it looks at the id."""
    with pytest.raises(errors.KlingTimeoutError, match="A task may exist all the same"):
        create_when_free(Driver(CUT, NOT_FOUND, FULL, *[NOT_FOUND, FULL] * 200, NOT_FOUND))


def test_that_nothing_was_paid_is_said_only_after_a_lookup():
    driver = Driver(FULL, NOT_FOUND)
    with pytest.raises(errors.KlingTimeoutError, match=r"Nothing was made, nothing was paid\. Last answer"):
        create_when_free(driver, deadline=1000.5)
    assert driver.calls == ["POST effects", "GET submission"]
    with pytest.raises(errors.KlingTimeoutError, match="could not be asked whether an earlier one has a task"):
        create_when_free(Driver(FULL))


def test_after_an_earlier_attempt_a_timeout_says_what_this_one_did_and_what_kling_shows():
    with pytest.raises(errors.KlingTimeoutError, match=r"This start created nothing, and Kling shows no task of an earlier one"):
        create_when_free(Driver(NOT_FOUND, FULL, NOT_FOUND), deadline=1000.5, adopt_existing=True)
    with pytest.raises(errors.KlingTimeoutError, match=r"A task may exist all the same"):
        create_when_free(Driver(UNAVAILABLE), deadline=1300.0, adopt_existing=True)


def test_no_pause_is_longer_than_a_minute_whatever_the_server_asks_for():
    for asked in (86400.0, 1e12, -5.0):
        driver = Driver(errors.KlingBusyError("slow down", code=1302, retry_after=asked), task())
        create_when_free(driver)
        assert sum(driver.pauses) <= 60.0


def test_a_poll_that_takes_until_the_deadline_is_the_last_one():
    class Slow(Driver):
        def run(self, steps):
            self.steps = steps
            return super().run(self._slowly(steps))

        def _slowly(self, steps):
            step = next(steps)
            while True:
                try:
                    brought = yield step
                except errors.KlingError as error:
                    self.now += 600.0
                    step = steps.throw(error)
                else:
                    step = steps.send(brought)

    with pytest.raises(errors.KlingTimeoutError):
        wait(driver := Slow(CUT))
    assert driver.calls == ["GET 7"]


def test_an_error_that_cannot_pass_ends_the_wait_for_a_slot_at_once():
    with pytest.raises(errors.KlingAccountError):
        create_when_free(driver := Driver(errors.KlingAccountError("pay", code=1102)))
    assert len(driver.calls) == 1


def test_the_first_poll_is_at_the_given_time():
    driver = Driver(task("processing"), task("succeed"))
    wait(driver, first_poll=1030.0)
    assert driver.pauses[0] == 30.0
    assert len(driver.calls) == 2


def test_pauses_between_polls_are_the_poll_interval_and_grow_after_failures():
    driver = Driver(task(), UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, task("succeed"))
    wait(driver)
    for pause, expected in zip(driver.pauses, [10, 10, 20, 40], strict=True):
        assert 0.85 * expected <= pause <= 1.15 * expected
    assert [text.split(":")[0] for text in driver.logged] == [
        "Kling task 7",
        "Kling cannot be asked at the moment",
        "Kling answers again.",
        "Kling task 7 succeeded.",
    ]


def test_lines_about_polls_name_the_connection_and_kling_answers_again_only_after_silence():
    wait(driver := Driver(UNAVAILABLE, task("succeed")), conn_id="eu", status="succeed")
    assert driver.logged[0].startswith("Connection eu: Kling cannot be asked at the moment: ")
    assert driver.logged[1] == "Connection eu: Kling answers again."
    with pytest.raises(errors.KlingAuthError):
        wait(driver := Driver(errors.KlingAuthError("no such key", code=1002)), conn_id="eu")
    assert len(driver.logged) == 1
    assert driver.logged[0].startswith("Connection eu: no more polls, because of this error: Kling says: no such key")


def test_a_failed_task_that_another_one_follows_is_not_called_adopted():
    failed = task("failed", message="Internal trouble")
    create(driver := Driver(failed, NOT_FOUND, task()), adopt_existing=True, max_attempts=2, external_id=DERIVED)
    assert driver.logged == ["Kling task 7 of an earlier attempt failed (Internal trouble). Continuing with the next external id."]
    create(driver := Driver(failed), adopt_existing=True, max_attempts=1, external_id=DERIVED)
    assert driver.logged == [
        f"External id {DERIVED} already has Kling task 7, which failed (Internal trouble): no other one is created in this try."
    ]


def test_a_wait_for_the_limit_of_the_connection_is_not_called_one_for_the_account():
    driver = Driver(NOT_FOUND)
    driver.capacity = errors.KlingSlotsFullError("max_concurrency is 2, and 2 tasks are running", code=1303, speaker="Connection c")
    driver.capacity.own_limit = True
    with pytest.raises(errors.KlingTimeoutError):
        create_when_free(driver)
    assert driver.logged[0].startswith("The connection's max_concurrency is 2, and 2 tasks are running: waiting, 0 s so far")


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
    assert flows.file_names(task("succeed", videos=videos)) == ["7-1.mp4", "7-2.mp4", "7-3.mp4"]


def test_a_fault_of_the_capacity_check_does_not_make_a_create_uncertain():
    driver = Driver(NOT_FOUND)
    driver.capacity = errors.KlingServerError("unavailable", code=5001)
    with pytest.raises(errors.KlingTimeoutError, match="Nothing was made, nothing was paid"):
        create_when_free(driver)
    assert driver.calls == ["GET submission"]
