"""One external id for each submission, and at most one paid task under it."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from task_runs import URL, FakeAirflow, operator

# --- External ids


def external_id(kling, airflow=None, **kwargs) -> str:
    """The external id of the task that an operator with these arguments creates."""
    kling.reset()
    assert (airflow or FakeAirflow()).finish(operator(**kwargs)).state == "success"
    return kling.ledger[0]["external_task_id"]


def test_equal_requests_have_the_same_id_and_changed_ones_another(kling, photo, tmp_path):
    first = external_id(kling)
    assert external_id(kling) == first
    assert external_id(kling, FakeAirflow(try_number=3)) == first
    others = [
        external_id(kling, effect_scene="squish"),
        external_id(kling, image="https://example.com/other.jpg"),
        external_id(kling, FakeAirflow(run_id="another")),
        external_id(kling, FakeAirflow(map_index=4)),
        external_id(kling, row_id="a"),
        external_id(kling, task_id="other"),
        external_id(kling, fresh="2"),
        external_id(kling, image=photo),
    ]
    assert len({first, *others}) == 9


def test_a_new_signature_of_a_presigned_url_is_the_same_submission(kling):
    signed = [f"{URL}?version=3&Key-Pair-Id=k&Signature={number}&Expires=2026{number}" for number in (1, 2)]
    assert external_id(kling, image=signed[0]) == external_id(kling, image=signed[1])
    assert external_id(kling, image=signed[0]) != external_id(kling, image=signed[0].replace("version=3", "version=4"))


def test_the_same_bytes_elsewhere_are_the_same_submission(kling, photo, tmp_path):
    copy = tmp_path / "copy.jpg"
    copy.write_bytes(Path(photo).read_bytes())
    inline = base64.b64encode(copy.read_bytes()).decode()
    ids = [external_id(kling, image=image) for image in (photo, f"file://{copy}", inline, f"data:image/jpeg;base64,{inline}")]
    assert len(set(ids)) == 1


def test_a_row_id_replaces_the_map_index(kling):
    assert external_id(kling, FakeAirflow(map_index=1), row_id="a") == external_id(kling, FakeAirflow(map_index=2), row_id="a")


def test_the_users_own_external_id_is_used(kling):
    assert external_id(kling, external_task_id="order-{{ 40 + 2 }}") == "order-42"


# --- Never pay twice


def test_a_retry_adopts_the_task_of_the_first_try(airflow, kling):
    kling.fault("drop", on="create", after=True, times=1)
    kling.fault(1002, on="get", times=1)
    assert airflow.run(operator()).state == "failed"
    airflow.try_number = 2
    assert airflow.run(operator()).state == "success"
    assert len(kling.ledger) == 1
    assert airflow.result == kling.ledger[0]["kling_task_id"]
    assert [row["kind"] for row in kling.journal] == ["create", "get", "get"]


def test_the_first_try_sends_only_the_create(airflow, kling):
    airflow.run(operator())
    assert [row["kind"] for row in kling.journal] == ["create"]


def test_a_run_that_was_deleted_and_created_again_pays_nothing(kling):
    for _ in range(2):
        again = FakeAirflow()
        assert again.run(operator()).state == "success"
    assert len(kling.ledger) == 1


@pytest.mark.kling_emulator(duration=0)
def test_after_a_failed_task_a_retry_requests_another_one_under_the_next_id(airflow, kling):
    kling.fail_next("Internal failure")
    first = airflow.run(operator(wait_for_completion=True))
    assert first.state in ("failed", "up_for_retry")
    assert airflow.xcoms["failed_result"]["status"] == "failed"
    airflow.try_number = 2
    assert airflow.run(operator(wait_for_completion=True)).state == "success"
    assert [row["status"] for row in kling.ledger] == ["failed", "succeed"]
    assert kling.ledger[1]["external_task_id"] == kling.ledger[0]["external_task_id"] + "-2"
