"""The rows of a loop's iterations: those of one row id or place are not one row. tests/dags/test_task_loops.py reads a real run."""

from __future__ import annotations

from typing import Any

from airflow_provider_kling.links import task_url
from airflow_provider_kling.plugin.dag_shape import KlingTask
from airflow_provider_kling.plugin.database import Instance
from airflow_provider_kling.plugin.rows import rows_of_instances, with_lines

CREATE = KlingTask(task_id="g.video", kind="create", rows_from="g.rows")
WAIT = KlingTask(task_id="g.wait", kind="wait", rows_from="g.rows", waits_for="g.video")


def pair(iteration: int, *, map_index: int = 0) -> list[Instance]:
    """Operator and sensor of the same row in an iteration."""
    number = f"{iteration}{map_index}"
    at: dict[str, Any] = {
        "map_index": map_index,
        "iteration": iteration,
        "region": (f"region-{iteration}", map_index),
        "state": "success",
    }
    result = {"row_id": "r", "kling_task_id": number, "status": "succeed", "videos": [{"url": f"https://x/{number}.mp4"}]}
    return [
        Instance(task=CREATE, xcoms={"return_value": number, "kling_task": {"row_id": "r", "kling_task_id": number}}, **at),
        Instance(task=WAIT, xcoms={"return_value": result}, **at),
    ]


def test_each_iteration_has_its_own_row():
    rows = rows_of_instances([*pair(1), *pair(0)], {}, run_over=True)
    assert [(row.iteration, row.kling_task_id) for row in rows] == [(0, "00"), (1, "10")]
    assert len({row.key for row in rows}) == 2
    assert [row.region for row in rows] == [("region-0", 0), ("region-1", 0)]


def test_a_line_of_results_is_joined_to_the_iteration_that_made_it():
    rows = rows_of_instances([*pair(0), *pair(1)], {}, run_over=True)
    line = {"id": "r", "status": "succeed", "kling_task_id": "10", "videos": [{"url": "https://x/10.mp4"}]}
    first, *others = with_lines(rows, [line])
    assert (first.iteration, first.kling_task_id) == (1, "10")
    assert [(row.iteration, row.kling_task_id) for row in others] == [(0, "00")]


def test_the_address_of_a_task_instance_names_its_iteration():
    assert (
        task_url("d", "r", "g.video", 0, region=("a-b", 0)) == "/dags/d/runs/r/tasks/g.video/mapped/0?region_id=a-b&region_index=0"
    )
    assert task_url("d", "r", "g.video", -1, "/plugin/x") == "/dags/d/runs/r/tasks/g.video/plugin/x"
