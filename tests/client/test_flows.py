"""The flows alone, driven step by step without a socket or a clock: what is asked, in which order, and how long apart."""

from __future__ import annotations

import pytest

from airflow_provider_kling import errors
from airflow_provider_kling.api import EffectRequest, Task, Video
from airflow_provider_kling.client import Pause, Room, Save, Submission, flows

WISH = Submission(request=EffectRequest("squish", ["https://example.com/a.jpg"]), external_id="submission")


class Driver:
    """Does the steps of a flow by a script: a value is sent back, an error thrown in; time passes in pauses only."""

    def __init__(self, *script) -> None:
        self.script = list(script)
        self.now = 1000.0
        self.asked: list[str] = []
        self.pauses: list[float] = []
        self.said: list[str] = []
        self.room: Exception | None = None  # what comes instead of room for one more task

    def run(self, steps):
        step = next(steps)
        try:
            while True:
                if isinstance(step, Pause):
                    self.now += step.seconds
                    self.pauses.append(step.seconds)
                    step = steps.send(self.now)
                    continue
                if isinstance(step, Room):
                    step = steps.send(None) if self.room is None else steps.throw(self.room)
                    continue
                self.asked.append(step.name if isinstance(step, Save) else f"{step.method} {step.path.rpartition('/')[2]}")
                answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
                step = steps.throw(answer) if isinstance(answer, Exception) else steps.send(answer)
        except StopIteration as end:
            return end.value


def task(status="submitted", **facts) -> Task:
    return Task(kling_task_id="7", status=status, **facts)


FULL = errors.KlingSlotsFullError("full", code=1303)
SLOW_DOWN = errors.KlingBusyError("slow down", code=1302, retry_after=40.0)
GONE = errors.KlingTaskNotFound("gone", code=1201)
EXISTS = errors.KlingTaskExists("External_task_id submission already exists", code=1201, http_status=400)
REFUSED = errors.KlingConnectionError("refused", sent=False)
CUT = errors.KlingConnectionError("cut", sent=True)
AWAY = errors.KlingServerError("away", code=5001)


def create(driver, **options):
    return driver.run(flows.create(WISH, **{"adopt_existing": False, "say": driver.said.append, **options}))


def create_when_free(driver, **options):
    return driver.run(
        flows.create_when_free(WISH, **{"adopt_existing": False, "deadline": 1500.0, "say": driver.said.append, **options})
    )


def wait(driver, **options):
    return driver.run(flows.wait("7", **{"deadline": 1500.0, "poll_interval": 10.0, "say": driver.said.append, **options}))


def test_between_two_creates_there_is_always_a_look():
    driver = Driver(CUT, GONE, AWAY, GONE, task())
    assert create(driver) == task()
    assert driver.asked == ["POST effects", "GET submission", "POST effects", "GET submission", "POST effects"]


def test_a_create_that_never_left_is_sent_again_without_a_look():
    driver = Driver(REFUSED, task())
    create(driver)
    assert driver.asked == ["POST effects", "POST effects"]


def test_a_create_is_sent_four_times_at_most():
    with pytest.raises(errors.KlingConnectionError):
        create(driver := Driver(REFUSED))
    assert driver.asked == ["POST effects"] * 4


def test_a_task_made_in_this_attempt_is_returned_even_if_it_failed_meanwhile():
    driver = Driver(CUT, task("failed"))
    assert create(driver).failed
    assert driver.asked == ["POST effects", "GET submission"]


def test_a_refusal_for_a_taken_id_after_a_cut_off_create_is_this_attempts_own_task():
    driver = Driver(CUT, GONE, EXISTS, task("failed"))
    assert create(driver).failed
    assert driver.asked == ["POST effects", "GET submission", "POST effects", "GET submission"]


def test_an_id_that_another_product_uses_is_told():
    with pytest.raises(errors.KlingRequestError, match="Another Kling product may use this id"):
        create(Driver(EXISTS, GONE))


def test_a_wish_whose_tasks_all_fail_comes_to_an_end():
    with pytest.raises(errors.KlingRequestError, match="100 tasks of external id submission have failed"):
        create(driver := Driver(task("failed")), adopt_existing=True)
    assert driver.asked[:3] == ["GET submission", "GET submission-2", "GET submission-3"]
    assert len(driver.asked) == 100


def test_a_create_that_is_done_at_once_is_read_again():
    done = task("succeed", videos=(Video(id="v", url="https://a/v.mp4"),))
    assert create(Driver(task("succeed"), done)) == done


def test_waiting_for_a_slot_backs_off_from_a_second_to_a_quarter_of_a_minute():
    driver = Driver(*[FULL] * 20, task())
    create_when_free(driver)
    pauses = driver.pauses[1:]
    assert 0.85 <= pauses[0] <= 1.15
    assert max(pauses) <= 15 * 1.15
    assert driver.asked == ["POST effects"] * 21
    assert len(driver.said) == 1


def test_a_long_wait_for_a_slot_is_told_every_five_minutes():
    driver = Driver(*[FULL] * 100, task())
    create_when_free(driver, deadline=1e9)
    assert 3 <= len(driver.said) <= 6
    assert "All slots of the account are taken: waiting, 0 s so far" in driver.said[0]


def test_the_server_is_given_the_time_it_asks_for():
    driver = Driver(SLOW_DOWN, task())
    create_when_free(driver)
    assert driver.pauses[1:] == [40.0]


def test_after_an_unknown_outcome_every_further_attempt_looks_first():
    driver = Driver(CUT, AWAY, GONE, FULL, task())
    create_when_free(driver)
    assert driver.asked == ["POST effects", "GET submission", "GET submission", "POST effects", "POST effects"]


def test_past_the_deadline_nothing_is_asked_for_any_more():
    driver = Driver(task())
    with pytest.raises(errors.KlingTimeoutError, match="Nothing was made, nothing was paid"):
        create_when_free(driver, deadline=999.0)
    assert driver.asked == []


def test_past_the_deadline_a_task_that_was_made_is_taken():
    driver = Driver(task())
    assert create_when_free(driver, deadline=999.0, adopt_existing=True).kling_task_id == "7"
    assert driver.asked == ["GET submission"]
    for found in (GONE, task("failed")):
        with pytest.raises(errors.KlingTimeoutError):
            create_when_free(driver := Driver(found), deadline=999.0, adopt_existing=True)
        assert driver.asked == ["GET submission"]


def test_a_deadline_without_a_slot_says_whether_something_may_have_been_paid():
    with pytest.raises(errors.KlingTimeoutError, match="Nothing was made, nothing was paid"):
        create_when_free(Driver(FULL))
    with pytest.raises(errors.KlingTimeoutError, match=r"A task may exist all the same.*look for external id submission"):
        create_when_free(Driver(CUT, AWAY))


def test_what_waiting_cannot_mend_ends_the_wait_for_a_slot_at_once():
    with pytest.raises(errors.KlingAccountError):
        create_when_free(driver := Driver(errors.KlingAccountError("pay", code=1102)))
    assert len(driver.asked) == 1


def test_the_first_look_is_not_before_its_time():
    driver = Driver(task("processing"), task("succeed"))
    wait(driver, first_look=1030.0)
    assert driver.pauses[1] == 30.0
    assert len(driver.asked) == 2


def test_looks_are_a_poll_interval_apart_and_further_in_trouble():
    driver = Driver(task(), AWAY, AWAY, AWAY, task("succeed"))
    wait(driver)
    for pause, wanted in zip(driver.pauses[1:], [10, 10, 20, 40], strict=True):
        assert 0.85 * wanted <= pause <= 1.15 * wanted
    assert [text.split(":")[0] for text in driver.said] == [
        "Kling task 7",
        "Kling cannot be asked at the moment",
        "Kling answers again.",
        "Kling task 7 succeeded.",
    ]


def test_the_last_look_is_at_the_deadline():
    with pytest.raises(errors.KlingTimeoutError, match="not done after 8 min; last seen: submitted"):
        wait(driver := Driver(task()))
    assert driver.now == 1500.0


def test_a_task_is_lost_only_after_three_looks_in_a_row():
    assert wait(Driver(GONE, GONE, task(), GONE, GONE, task("succeed"))).succeeded
    with pytest.raises(errors.KlingTaskNotFound):
        wait(Driver(GONE))


def test_a_dead_link_is_renewed_once_and_then_given_up():
    old, new = (task("succeed", videos=(Video(id="v", url=f"https://a/{name}.mp4"),)) for name in ("old", "new"))
    dead = errors.KlingDownloadError("dead", expired=True)
    driver = Driver(dead, new, "/there/7.mp4")
    assert driver.run(flows.save(old, say=driver.said.append)) == ["/there/7.mp4"]
    assert driver.asked == ["7.mp4", "GET 7", "7.mp4"]
    with pytest.raises(errors.KlingDownloadError):
        (again := Driver(dead, new, dead)).run(flows.save(old, say=again.said.append))


def test_a_task_whose_videos_are_gone_is_told():
    old = task("succeed", videos=(Video(id="v", url="https://a/v.mp4"),))
    driver = Driver(errors.KlingDownloadError("dead", expired=True), task("succeed"))
    with pytest.raises(errors.KlingAnswerError, match="no longer names video 1"):
        driver.run(flows.save(old, say=driver.said.append))


def test_several_videos_have_names_of_their_own():
    videos = tuple(Video(id=str(number), url=f"https://a/{number}.mp4") for number in range(3))
    assert flows.file_names(task("succeed", videos=videos)) == ["7.mp4", "7_2.mp4", "7_3.mp4"]


def test_a_fault_of_the_look_for_room_does_not_make_a_create_uncertain():
    driver = Driver(task())
    driver.room = errors.KlingServerError("away", code=5001)
    with pytest.raises(errors.KlingTimeoutError, match="Nothing was made, nothing was paid"):
        create_when_free(driver)
    assert driver.asked == []
