"""The caps of mapped task instances: each knows from its map index alone whether it may be paid for."""

from __future__ import annotations

import pytest
from task_runs import FakeAirflow, fire, operator

from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.mapping import outcomes_of
from airflow_provider_kling.prices import fix_price

ROWS = 6


def instance(index: int, *, tries: int = 1, **kwargs) -> tuple[FakeAirflow, object]:
    """One instance of a mapped task with `ROWS` of them: Airflow as it sees it, and how its run ended."""
    airflow = FakeAirflow(map_index=index, try_number=tries, instances=ROWS)
    arguments = {"image": f"https://example.com/{index}.jpg", "row_id": f"r{index}", "max_videos": 2, **kwargs}
    return airflow, airflow.finish(operator(**arguments))


def states(**kwargs) -> list[str]:
    return [instance(index, **kwargs)[1].state for index in range(ROWS)]


@pytest.mark.parametrize("deferrable", [False, True])
def test_instances_beyond_the_cap_are_skipped_and_say_so(kling, deferrable):
    assert states(deferrable=deferrable) == ["success", "success", *["skipped"] * 4]
    assert len(kling.ledger) == 2
    airflow, _ = instance(3, deferrable=deferrable)
    failed = airflow.xcoms["failed_result"]
    assert (failed["row_id"], failed["status"], failed["kling_task_id"]) == ("r3", "capped", None)
    assert "max_videos=2 permits the first 2 rows" in failed["error"]
    assert "With a higher cap" in failed["error"]


def test_a_higher_cap_makes_the_rest(kling):
    states()
    assert states(tries=2, max_videos="{{ 5 }}") == [*["success"] * 5, "skipped"]
    assert len(kling.ledger) == 5


def test_a_lower_cap_adopts_what_is_paid_for(kling):
    states(max_videos=None)
    assert states(tries=2) == ["success"] * ROWS
    assert len(kling.ledger) == ROWS


def test_a_task_that_failed_at_kling_uses_up_nothing(kling):
    kling.fail_next(times=1)
    _, run = instance(1, wait_for_completion=True)
    assert run.state == "failed"
    assert instance(1, tries=2, wait_for_completion=True)[1].state == "success"
    assert [task["status"] for task in kling.ledger] == ["failed", "succeed"]


def test_a_changed_image_is_not_paid_for_again(kling):
    states()
    airflow, run = instance(0, tries=2, image="https://example.com/other.jpg")
    assert run.state == "skipped"
    assert "max_videos=2, and so many were made in this run" in airflow.xcoms["failed_result"]["error"]
    assert len(kling.ledger) == 2
    assert instance(0, tries=3, image="https://example.com/other.jpg", max_videos=2 * ROWS)[1].state == "success"
    assert len(kling.ledger) == 3


def test_what_other_programs_make_does_not_count(kling):
    for number in range(4):
        KlingHook().create_task(effect_scene="squish", image="https://example.com/x.jpg", external_task_id=f"another-{number}")
    states()
    assert instance(1, tries=2)[1].state == "success"
    assert len(kling.ledger) == 6


def test_an_author_may_wish_for_a_failure(kling):
    _, run = instance(2, fail_if_capped=True)
    assert run.state == "failed"


def test_units_count_with_the_highest_known_price(kling, tmp_path, monkeypatch):
    book = str(tmp_path / "prices.json")
    monkeypatch.setenv("AIRFLOW__KLING__PRICE_BOOK", book)
    fix_price(book, "pet_lion_pro", "2.5")
    fix_price(book, "squish", "4")
    assert states(max_videos=None, max_units=12) == [*["success"] * 3, *["skipped"] * 3]


def test_units_without_a_price_book_are_an_error(kling):
    _, run = instance(0, max_videos=None, max_units=12)
    assert run.state == "failed"
    assert "set [kling] price_book" in str(run.error)
    assert len(kling.ledger) == 0


@pytest.mark.parametrize("name", ["max_videos", "max_units"])
def test_what_is_no_cap_is_refused_when_the_dag_is_parsed(name):
    with pytest.raises(ValueError, match=f"{name} is 'many'"):
        operator(**{name: "many"})


def test_a_capped_row_has_a_line_in_the_results():
    class Instance:
        def xcom_pull(self, *, task_ids, key):
            return [{"row_id": "a", "status": "capped", "error": "Capped."}] if key == "failed_result" else None

    assert outcomes_of(Instance(), "video") == [{"row_id": "a", "status": "capped", "error": "Capped."}]


def test_a_deferred_row_that_meets_the_accounts_cap_is_skipped(kling):
    airflow = FakeAirflow()
    waiting = airflow.run(operator(deferrable=True))
    event = {
        "error": "Capped.", "retryable": False, "invalid": False, "class": "KlingCappedError", "fields": {}
    }  # fmt: skip
    assert fire(waiting)["task"]
    assert airflow.run(operator(deferrable=True), event=event).state == "skipped"
