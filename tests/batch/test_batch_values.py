"""The parts of a batch that need no account: shards, limits, decisions, the spool and the line about the progress."""

from __future__ import annotations

from decimal import Decimal

import pytest

from airflow_provider_kling.api import Task
from airflow_provider_kling.batch import Spool, describe_limit, in_shard, limit_of
from airflow_provider_kling.batch.decision import Adopt, Attempt, Create, Fail, Reuse, decide
from airflow_provider_kling.batch.progress import RUNNING, WAITING, Progress
from airflow_provider_kling.errors import KlingAccountError, KlingInputError, KlingTimeoutError
from airflow_provider_kling.manifests import parse_rows


def test_rows_of_all_shards_are_all_rows():
    rows = list(parse_rows((b'{"effect_scene": "squish", "image": "a.jpg"}\n' for _ in range(100)), name="m.jsonl"))
    parts = [list(in_shard(rows, f"{index}/7")) for index in range(7)]
    assert sorted(row.number for part in parts for row in part) == list(range(1, 101))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_limits_are_numbers_or_fractions():
    assert [limit_of(value, 200) for value in (None, "", "None", 7, "7", 0.05, "0.05", "5%", 0, 1.0)] == [
        None, None, None, 7, 7, 10, 10, 10, 0, 200
    ]  # fmt: skip
    assert [limit_of(value, 100) for value in ("29%", 0.29, "0.29", "7e-2", "29.9%", "100%")] == [29, 29, 29, 7, 29, 100]
    for wrong in ("many", -1, 1.5, True, "150%", "nan%", float("nan"), float("inf"), "-0.1", "1e"):
        with pytest.raises(KlingInputError, match="max_failures is"):
            limit_of(wrong, 200)


def test_a_spool_keeps_the_last_value_of_each_key():
    with Spool() as spool:
        for number in range(1000):
            spool.put(number % 100, {"n": number})
        assert len(spool) == 100
        assert spool.get(7) == {"n": 907}
        assert spool.get("none") is None


def test_progress_is_one_line():
    now = 0.0
    progress = Progress(rows=1000, clock=lambda: now)
    for place in [WAITING] * 10 + [RUNNING] * 12:
        progress.move(None, place)
    for _ in range(95):
        progress.end("succeed", units=Decimal("2.5"))
    for status in ("failed", "invalid", "error"):
        progress.end(status)
    now = 180.0
    assert progress.next_line() == (
        "120 of 1,000 rows: 95 succeeded, 1 failed, 1 invalid, 1 error, 12 running, 10 waiting; 237.5 units; "
        "32 videos a minute, about 28 min left."
    )
    assert progress.next_line() == ""
    assert progress.pause == 10
    now = 7200.0
    assert progress.pause == 60


def test_the_rate_counts_only_rows_whose_tasks_this_batch_has_waited_for():
    now = 0.0
    progress = Progress(rows=1000, clock=lambda: now)
    for _ in range(800):
        progress.end("succeed", worked=False)  # done by an earlier attempt
    now = 60.0
    assert progress.next_line() == "800 of 1,000 rows: 800 succeeded; 0 units."
    for _ in range(20):
        progress.end("succeed")
    now = 120.0
    assert progress.next_line() == "820 of 1,000 rows: 820 succeeded; 0 units; 10 videos a minute, about 18 min left."


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("5%", "max_failures=5%, 10 of 200 rows"),
        (0.05, "max_failures=0.05, 10 of 200 rows"),
        (10, "max_failures=10"),
        ("10", "max_failures=10"),
    ],
)
def test_a_limit_is_shown_as_it_was_written_with_what_it_means(written, shown):
    assert describe_limit(written, limit_of(written, 200), 200) == shown


def attempt(number: int, status: str, message: str = "") -> Attempt:
    data = {"task_id": f"t{number}", "task_status": status, "task_status_msg": message, "created_at": 1_700_000_000_000}
    return Attempt(number, Task.from_json(data))


def decision(line=None, last=None, *, tries=1, stopped=None, expired=False):
    return decide(line=line, last=last, tries=tries, stopped=stopped, expired=expired)


@pytest.mark.parametrize("blocked", [{}, {"expired": True}, {"stopped": KlingAccountError("no more", code=1102)}])
def test_what_earlier_attempts_left_is_used_even_where_nothing_may_be_created(blocked):
    assert decision({"status": "succeed"}, **blocked) == Reuse({"status": "succeed"})
    for last in (attempt(1, "succeed"), attempt(1, "processing"), attempt(1, "failed", "Internal trouble")):
        assert decision(None, last, **blocked) == Adopt(last.task)


def test_each_try_creates_one_more_task_for_a_row_whose_tasks_failed_unless_its_input_is_at_fault():
    assert decision() == Create(1)
    failed = attempt(1, "failed", "Internal trouble")
    assert [decision(None, failed, tries=tries) for tries in (1, 2, 3)] == [Adopt(failed.task), Create(2), Create(2)]
    refused = attempt(1, "failed", "Failure to pass the risk control system")
    assert decision(None, refused, tries=3) == Adopt(refused.task)


def test_nothing_is_created_past_the_deadline_or_in_a_stopped_account():
    stopped = KlingAccountError("no more", code=1102)
    for last in (None, attempt(1, "failed", "Internal trouble")):
        match decision(None, last, tries=2, stopped=stopped, expired=True):
            case Fail(KlingAccountError() as error):
                assert str(error) == str(stopped)
                assert error is not stopped
            case other:
                pytest.fail(str(other))
        match decision(None, last, tries=2, expired=True):
            case Fail(error):
                assert isinstance(error, KlingTimeoutError)
            case other:
                pytest.fail(str(other))
