"""A batch against an account that shares nothing with the package, and over files that others edit."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from batch_runs import lines, operator, row, statuses, write
from hostile import HostileKling, hang, reset
from task_runs import FakeAirflow

from airflow_provider_kling.errors import KlingTimeoutError

pytestmark = pytest.mark.usefixtures("polled_early")


def edit_after(account: HostileKling, creates: int, edit: Callable[[], object]) -> threading.Thread:
    """Edit a file as soon as so many tasks were created, in a thread."""

    def wait_and_edit() -> None:
        account.wait_for("create", creates)
        edit()

    thread = threading.Thread(target=wait_and_edit)
    thread.start()
    return thread


def has_its_own_video(account: HostileKling, line: dict) -> bool:
    (made,) = [made for made in account.ledger if made.task_id == line["kling_task_id"]]
    return made.request["input"]["image"] == line["image"]


# --- The manifest is edited


@pytest.mark.parametrize("where", ["at the top", "in place", "cut off"])
def test_each_row_gets_its_own_video_though_the_manifest_is_edited(airflow, hostile, tmp_path, where):
    hostile.slots, hostile.seconds = 3, 0.3
    rows = [row(number) for number in range(9)]
    manifest = write(tmp_path, rows)

    def edit() -> None:
        if where == "cut off":
            Path(manifest).write_text("")
        elif where == "in place":
            write(tmp_path, [row("new"), *rows])
        else:
            write(tmp_path, [row("new"), *rows], "other.jsonl")
            (tmp_path / "other.jsonl").replace(manifest)

    thread = edit_after(hostile, 2, edit)
    assert airflow.finish(operator(manifest, tmp_path / "out")).state == "success"
    thread.join()
    written = lines(tmp_path / "out")
    assert [line["id"] for line in written] == [line["id"] for line in rows]
    assert all(has_its_own_video(hostile, line) for line in written)


# --- Absence needs proof


@pytest.mark.parametrize("world", [{"list_lag": 3600}, {"page_cap": 3}, {}], ids=["late list", "capped list", "honest list"])
def test_a_row_is_paid_in_one_account_though_their_order_has_changed(monkeypatch, tmp_path, world):
    with HostileKling(seconds=3600, **world) as one, HostileKling(seconds=3600, **world) as two:
        monkeypatch.setenv("AIRFLOW_CONN_ONE", one.connection())
        monkeypatch.setenv("AIRFLOW_CONN_TWO", two.connection())
        manifest = write(tmp_path, [row(number) for number in range(12)])
        first = FakeAirflow(max_tries=1).finish(operator(manifest, tmp_path / "out", kling_conn_id="one,two", timeout=2))
        assert isinstance(first.error, KlingTimeoutError)
        for made in [*one.ledger, *two.ledger]:
            made.ends_at = time.time()
        one.seconds = two.seconds = 0
        assert FakeAirflow(try_number=2).finish(operator(manifest, tmp_path / "out", kling_conn_id="two,one")).state == "success"
        ids = [made.external_id for made in [*one.ledger, *two.ledger]]
        assert (len(ids), len(set(ids))) == (12, 12)
        assert set(statuses(tmp_path / "out").values()) == {"succeed"}


def test_a_list_that_leaves_the_videos_out_costs_a_query_and_no_row(hostile, tmp_path):
    hostile.omit_results, hostile.order = True, "newest"
    manifest = write(tmp_path, [row(number) for number in range(8)])
    assert FakeAirflow().finish(operator(manifest, tmp_path / "out")).state == "success"
    (tmp_path / "out" / "results.jsonl").unlink()
    assert FakeAirflow(try_number=2).finish(operator(manifest, tmp_path / "out")).state == "success"
    assert {line["status"] for line in lines(tmp_path / "out")} == {"succeed"}
    assert all(line["units"] == "2.5" for line in lines(tmp_path / "out"))
    assert len(hostile.ledger) == 8


# --- The deadline


@pytest.mark.parametrize("kind", ["list", "get"])
def test_an_account_that_answers_no_lookup_does_not_hold_the_batch_past_its_deadline(hostile, tmp_path, kind):
    hostile.answer(kind, hang)
    manifest = write(tmp_path, [row(number) for number in range(300)])
    started = time.monotonic()
    ended = FakeAirflow(try_number=2).finish(operator(manifest, tmp_path / "out", timeout=2))
    assert time.monotonic() - started < 60
    assert ended.state == "failed"
    assert len(lines(tmp_path / "out")) == 300


def test_a_fault_that_may_pass_fails_the_airflow_task_while_it_has_tries(hostile, tmp_path):
    hostile.answer("video", reset)
    manifest = write(tmp_path, [row(1)])
    first = FakeAirflow(max_tries=1).finish(operator(manifest, tmp_path / "out", timeout=20, max_failures=5))
    assert first.patch["state"] == "up_for_retry" or first.state == "up_for_retry"
    hostile.be_honest()
    assert FakeAirflow(try_number=2, max_tries=1).finish(operator(manifest, tmp_path / "out")).state == "success"
    assert len(hostile.ledger) == 1


# --- Results that somebody has damaged or forged

FIELDS = [
    ("units", "abc"), ("units", {"a": 1}), ("units", "1e999999999"), ("units", float("nan")), ("units", [1]), ("units", 2.5),
    ("videos", "x"), ("videos", [1]), ("videos", {"a": 1}), ("videos", []), ("videos", [{"path": 5}]),
    ("videos", [{"url": "https://example.com/v.mp4", "path": "s3://bucket/1.mp4"}]),
    ("status", ["succeed"]), ("status", "done"), ("external_task_id", 7), ("message", {"x": 1}), ("kling_task_id", None),
    ("created_at", 5), ("error", "x"), ("id", None), ("title", [[]]),
]  # fmt: skip
PATHS = ["s3://bucket/1.mp4", "\0", "a::b", "/etc/passwd", "{out}/videos", "{out}/videos/..", "{out}/videos/1.mp4", "", None]
LINES = [b"\xff{]", b"[1", b"[" * 100_000, b'{"external_task_id": "airflow-"}', b"", b"null", b'{"a":' * 500 + b"1" + b"}" * 500]


def damage(folder: Path, change: Callable[[dict], object]) -> None:
    """Change the first line of the results."""
    first, *others = lines(folder)
    change(first)
    (folder / "results.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in [first, *others]))


@pytest.fixture
def done(hostile, tmp_path):
    """Two rows that succeeded; the folder of their results."""
    assert FakeAirflow().finish(operator(write(tmp_path, [row(1), row(2)]), tmp_path / "out")).state == "success"
    return tmp_path / "out"


def again(hostile, folder: Path) -> None:
    """The next try makes the table whole, and pays for nothing again."""
    manifest = str(folder.parent / "manifest.jsonl")
    assert FakeAirflow(try_number=2).finish(operator(manifest, folder)).state == "success"
    assert statuses(folder) == {"r1": "succeed", "r2": "succeed"}
    assert all(Path(line["videos"][0]["path"]).is_file() for line in lines(folder))
    assert len(hostile.ledger) == 2


@pytest.mark.parametrize(("field", "value"), FIELDS, ids=[f"{field}-{str(value)[:12]}" for field, value in FIELDS])
def test_a_field_that_results_never_have_does_not_break_the_next_try(hostile, done, caplog, field, value):
    damage(done, lambda line: line.update({field: value}))
    again(hostile, done)
    assert ("results.jsonl, line 1 is damaged" in caplog.text) == (field != "title" and "s3:" not in str(value))


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_this_row_cannot_have_is_not_its_saved_video(hostile, done, path):
    damage(done, lambda line: line["videos"][0].update(path=path and path.replace("{out}", str(done))))
    again(hostile, done)


def test_damaged_lines_are_named_and_skipped(hostile, done, caplog):
    with (done / "results.jsonl").open("ab") as file:
        file.write(b"\n".join(LINES) + b"\n")
    again(hostile, done)
    assert [f"line {number} is damaged" in caplog.text for number in range(1, 10)] == [False] * 2 + [True] * 4 + [False] + [
        True
    ] * 2
