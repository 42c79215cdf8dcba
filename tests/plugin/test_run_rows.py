"""Which task instances are one row of a run, and how it stands: values in, values out."""

from __future__ import annotations

from itertools import permutations

import pytest

from airflow_provider_kling.plugin.dag_shape import KlingTask
from airflow_provider_kling.plugin.database import Instance
from airflow_provider_kling.plugin.rows import rows_of_instances, with_lines
from airflow_provider_kling.plugin.run_row import reason_of_row, row_of_line

CREATE = KlingTask(task_id="create", kind="create", rows_from="read")
WAIT = KlingTask(task_id="wait", kind="wait", rows_from="read", waits_for="create")
WHOLE = KlingTask(task_id="make", kind="create")
VIDEO = {"url": "https://example.com/v.mp4", "path": "/v.mp4"}
ROWS = {"read": [{"row_id": name, "effect_scene": "squish", "image": f"/{name}.jpg", "images": None} for name in "abc"]}


def ids(task_id, row_id=None):
    return {"row_id": row_id, "kling_task_id": task_id, "external_task_id": f"e{task_id}", "effect_scene": "squish"}


def done(task_id, row_id=None, **changes):
    return {**ids(task_id, row_id), "status": "succeed", "videos": [VIDEO], "units": "2.5", "error": None, **changes}


def instance(task, map_index=-1, state="success", rendered=None, **xcoms):
    return Instance(task=task, map_index=map_index, state=state, xcoms=xcoms, rendered=rendered or {})


def rows(*instances, rows_of=None, run_over=False):
    return rows_of_instances(instances, rows_of or {}, run_over=run_over)


def test_creator_and_sensor_of_a_row_are_one_row_in_any_order():
    found = [
        instance(CREATE, 0, return_value="1", kling_task=ids("1", "a")),
        instance(WAIT, 0, return_value=done("1", "a")),
        instance(CREATE, 1, return_value="2", kling_task=ids("2", "b")),
        instance(WAIT, 1, state="deferred"),
        instance(CREATE, 2, state=None),
        instance(WAIT, 2, state=None),
    ]
    expected = [("a", "succeed", "wait", "1"), ("b", "running", "wait", "2"), ("c", "waiting", "create", None)]
    for order in list(permutations(found))[::37]:
        made = rows(*order, rows_of=ROWS)
        assert [(row.row_id, row.state, row.task_id, row.kling_task_id) for row in made] == expected
        assert len({row.key for row in made}) == 3


def test_a_key_stays_while_a_row_goes_on():
    (waiting,) = rows(instance(CREATE, 0, state=None), rows_of=ROWS)
    (over,) = rows(instance(WAIT, 0, return_value=done("1", "a")), rows_of=ROWS, run_over=True)
    (line,) = with_lines([], [{"id": "a", **done("1")}])
    assert waiting.key == over.key == line.key


def test_images_come_from_what_is_mapped_over_until_the_task_has_its_own():
    (planned,) = rows(instance(CREATE, 1, state=None), rows_of=ROWS)
    (rendered,) = rows(instance(CREATE, 1, rendered={"image": None, "images": ["/x.png", "/y.png"]}), rows_of=ROWS)
    assert planned.images == ("/b.jpg",)
    assert rendered.images == ("/x.png", "/y.png")


def test_before_airflow_knows_how_many_there_are_there_is_no_row():
    assert rows(instance(CREATE, -1, state=None), instance(WAIT, -1, state=None)) == []


@pytest.mark.parametrize(
    ("state", "run_over", "xcoms", "expected", "error"),
    [
        ("running", False, {}, "waiting", None),
        ("deferred", False, {"kling_task": ids("1")}, "running", None),
        ("success", True, {"return_value": done("1")}, "succeed", None),
        ("failed", True, {"failed_result": {**ids("1"), "status": "failed", "error": "No."}}, "failed", "No."),
        ("failed", True, {"failed_result": {"row_id": "a", "status": "invalid", "error": "Bad."}}, "invalid", "Bad."),
        ("up_for_retry", False, {"failed_result": {"row_id": "a", "status": "error", "error": "Cut."}}, "waiting", "Cut."),
        ("up_for_retry", False, {"failed_result": {**ids("1"), "status": "error", "error": "Cut."}}, "running", "Cut."),
        ("failed", True, {}, "error", "Nothing is known of this row"),
        ("skipped", True, {}, "error", "Nothing is known of this row"),
        ("upstream_failed", True, {}, "error", "Nothing is known of this row"),
        (None, True, {}, "error", "Nothing is known of this row"),
        ("success", True, {"return_value": "1"}, "error", "under the id 1"),
        ("success", False, {"return_value": "1"}, "running", None),
        ("success", True, {"return_value": {**done("1"), "videos": []}}, "error", "holds no video"),
        ("success", True, {"return_value": {**done("1"), "status": ["x"]}}, "error", "which is no end"),
        ("success", True, {"return_value": 7, "kling_task": "x", "failed_result": [1]}, "error", "Nothing is known"),
    ],
)
def test_the_state_of_a_row(state, run_over, xcoms, expected, error):
    (row,) = rows(instance(WHOLE, state=state, **xcoms), run_over=run_over)
    assert row.state == expected
    assert (row.error is None) if error is None else (error in row.error)


def test_a_failed_create_is_no_second_row_of_its_sensor():
    failed = {"row_id": "a", "status": "invalid", "error": "Bad image."}
    found = rows(
        instance(CREATE, 0, state="failed", failed_result=failed),
        instance(WAIT, 0, state="upstream_failed"),
        rows_of=ROWS,
        run_over=True,
    )
    assert [(row.row_id, row.state, row.task_id) for row in found] == [("a", "invalid", "create")]


def test_a_sensor_that_waits_for_another_task_is_a_row_with_it():
    create, wait = KlingTask(task_id="create", kind="create"), KlingTask(task_id="wait", kind="wait", waits_for="create")
    (before,) = rows(instance(create, state=None), instance(wait, state=None))
    assert (before.state, before.task_id) == ("waiting", "create")
    (after,) = rows(instance(create, return_value="1"), instance(wait, return_value=done("1")), run_over=True)
    assert (after.state, after.task_id, after.kling_task_id) == ("succeed", "wait", "1")


def test_two_rows_that_share_a_task_stay_two():
    found = rows(instance(WHOLE, 0, return_value=done("1", "a")), instance(WHOLE, 1, return_value=done("1", "b")), run_over=True)
    assert [row.row_id for row in found] == ["a", "b"]


def test_written_results_add_the_rows_that_had_no_task_and_keep_what_tasks_know():
    known = rows(
        instance(WAIT, 1, return_value=done("2", "b"), rendered={"kling_conn_id": ["x", "y"]}), rows_of=ROWS, run_over=True
    )
    lines = [
        {"id": "bad", "status": "invalid", "error": "No scene.", "title": "T"},
        {"id": "b", "image": "b.jpg", **done("2"), "title": "U"},
    ]
    bad, good = with_lines(known, lines)
    assert (bad.row_id, bad.state, bad.columns) == ("bad", "invalid", {"title": "T"})
    assert (good.task_id, good.map_index, good.conn_ids) == ("wait", 1, "x,y")
    assert (good.images, good.columns) == (("/b.jpg",), {"title": "U"})


def test_what_an_author_writes_is_made_harmless():
    hostile = done(
        "1", "a", status="failed", videos="x", units=["1"], error="Bearer abcdefghijkl and https://u:p@h/x?sig=1", message=[1]
    )
    (row,) = rows(instance(WHOLE, failed_result=hostile), run_over=True)
    assert "abcdefghijkl" not in row.error
    assert "sig=1" not in row.error
    assert (row.videos, row.units) == ((), None)


def test_two_tasks_over_the_same_rows_are_two_rows_each_with_its_own_sensor():
    """Another scene for each row of a manifest, in the same DAG."""
    other = KlingTask(task_id="create2", kind="create", rows_from="read")
    waits = KlingTask(task_id="wait2", kind="wait", rows_from="read", waits_for="create2")
    found = rows(
        instance(CREATE, 0, return_value="1", kling_task=ids("1", "a")),
        instance(other, 0, return_value="2", kling_task=ids("2", "a")),
        instance(WAIT, 0, state="deferred"),
        instance(waits, 0, return_value=done("2", "a")),
        rows_of=ROWS,
    )
    assert [(row.row_id, row.kling_task_id, row.state, row.task_id) for row in found] == [
        ("a", "1", "running", "wait"),
        ("a", "2", "succeed", "wait2"),
    ]
    assert len({row.key for row in found}) == 2
    joined = with_lines(found, [{"id": "a", **done("2")}])
    assert len(joined) == 2


def test_the_server_says_which_failures_have_one_reason_and_what_they_are_about():
    def row_with(row_id: str, **facts):
        line = {"id": row_id, "effect_scene": "squish", "image": f"/in/{row_id}.jpg", "status": "failed", **facts}
        return row_of_line(line, task_id="t", map_index=-1, task_state=None, conn_ids="", scope="")

    about = {"error_kind": "moderation", "refused_image": 2}
    rows = [
        row_with(name, kling_task_id=f"17{name}", error=f"Kling task 17{name} failed: {name}.jpg", **about) for name in ("r1", "r2")
    ]
    assert {reason_of_row(row) for row in rows} == {"Kling task … failed: …"}
    assert {(row.error_kind, row.refused_image) for row in rows} == {("moderation", 2)}
    old = row_with("r3", message="Failure to pass the risk control system", error="x", refused_image="2")
    assert (old.error_kind, old.refused_image) == ("moderation", None)
    assert reason_of_row(row_with("r4", status="succeed", videos=[VIDEO])) is None
    assert reason_of_row(row_with("r5", status="running", error="x")) is None
