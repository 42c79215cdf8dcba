"""Task loops: each iteration asks for a video of its own, and pays for it once. Outside loops, external ids stay as they are."""

from __future__ import annotations

import importlib.util
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from batch_manifests import results_of, write_rows
from task_runs import FakeAirflow, fire, operator

from airflow_provider_kling.api import EffectRequest
from airflow_provider_kling.caps import RunCap
from airflow_provider_kling.client import external_id_of
from airflow_provider_kling.operators import KlingEffectBatchOperator

IMAGE = "https://example.com/a.jpg"

needs_loops = pytest.mark.skipif(
    importlib.util.find_spec("airflow.sdk.execution_time.loop") is None, reason="Task loops came with Airflow 3.4."
)


def in_loop(iteration: int, **kwargs: Any) -> FakeAirflow:
    """A task instance of an iteration."""
    return FakeAirflow(iteration=iteration, **kwargs)


def made(kling) -> list[str]:
    return [task["external_task_id"] for task in kling.ledger]


# --- External ids


@pytest.mark.parametrize(
    ("place", "scene", "images", "external_id"),
    [
        ({"task_id": "video", "place": -1}, "pet_lion_pro", [IMAGE], "e0c7b371a3b949b70a3695249a747afe41eda52e"),
        ({"task_id": "video", "place": 0}, "pet_lion_pro", [IMAGE], "e0c7b371a3fb85189a37aed41976258984d81501"),
        ({"task_id": "group.video", "place": 17}, "pet_lion_pro", [IMAGE], "a63bb81add8d702b6b69af70b92798fe84a9b251"),
        (
            {"task_id": "batch", "place": "zeile-ä"},
            "squish",
            [f"{IMAGE}?X-Amz-Signature=1"],
            "7f99899eefd72bed0000d31ad8a3faa27236d9d1",
        ),
        (
            {"task_id": "batch", "place": "1", "fresh": "again"},
            "hug",
            [IMAGE, IMAGE],
            "7f99899eef22b8b3468584ec52495077e1740268",
        ),
    ],
)
def test_outside_loops_an_external_id_is_what_it_has_always_been(place, scene, images, external_id):
    """Recorded before there were loops: another id after an upgrade would pay again for all that is under way."""
    request = EffectRequest(scene, images)
    assert external_id_of(request, dag_id="d", run_id="scheduled__2026-01-01", **place) == f"airflow-{external_id}"


def test_an_iteration_belongs_to_the_place_of_a_request_and_is_no_row():
    request = EffectRequest("squish", [IMAGE])

    def ids(**kwargs: Any) -> str:
        return external_id_of(request, **{"dag_id": "d", "run_id": "r", "task_id": "t", "place": 0, **kwargs})

    found = [
        ids(),
        ids(iteration=0),
        ids(iteration=1),
        ids(iteration=1, place=1),
        ids(place=1),
        ids(place="0,1"),
        ids(task_id="t,1"),
    ]
    assert len(set(found)) == len(found)
    runs, rows = [one[:18] for one in found[:4]], [one[:28] for one in found]
    assert runs[2] == runs[3]  # the rows of an iteration begin alike
    assert len(set(runs)) == 3
    assert len(set(rows)) == len(rows)


# --- One video for each iteration


@needs_loops
@pytest.mark.parametrize("options", [{}, {"deferrable": True}, {"wait_for_completion": True, "deferrable": True}])
@pytest.mark.parametrize("map_index", [-1, 0])
def test_each_iteration_makes_a_video_and_a_second_try_adopts_it(kling, polled_early, options, map_index):
    for iteration in range(3):
        for tries in (1, 2):
            airflow = in_loop(iteration, map_index=map_index, try_number=tries)
            assert airflow.finish(operator(**options)).state == "success"
        assert len(kling.ledger) == iteration + 1
    assert len(set(made(kling))) == 3


@needs_loops
def test_mapped_instances_of_an_iteration_make_one_each(kling):
    for iteration in range(2):
        for map_index in range(3):
            in_loop(iteration, map_index=map_index).finish(operator())
    ids = made(kling)
    assert len(set(ids)) == 6
    assert len({one[:18] for one in ids}) == 2


@needs_loops
def test_a_killed_iteration_is_paid_for_once(kling):
    """The create has reached Kling, its answer never came back; the next try is that of a new process."""
    in_loop(0).finish(operator())
    kling.fault("drop", on="create", after=True)
    kling.fault(500, on="get", times=None)
    kling.fault(500, on="list", times=None)
    assert in_loop(1, max_tries=1).run(operator(timeout=0.5)).state == "up_for_retry"
    kling.clear_faults()
    airflow = in_loop(1, try_number=2, max_tries=1)
    assert airflow.finish(operator()).state == "success"
    assert len(kling.ledger) == 2
    assert airflow.result == kling.ledger[1]["kling_task_id"]


@needs_loops
@pytest.mark.parametrize("deferrable", [False, True])
def test_a_new_task_instance_of_the_same_iteration_looks_up_before_it_creates(kling, deferrable):
    """Clearing a gate replaces the later iterations by task instances that begin with their first try."""
    in_loop(1).finish(operator())
    assert in_loop(1).finish(operator(deferrable=deferrable)).state == "success"
    assert len(kling.ledger) == 1
    assert len(kling.requests("create")) == 1  # it does not bet on Kling's refusal of the second one


@needs_loops
def test_an_id_of_the_users_own_in_a_loop_is_warned_of(kling, caplog):
    for iteration in range(2):
        in_loop(iteration).finish(operator(external_task_id="order-1"))
    assert len(kling.ledger) == 1
    kling.reset()
    for iteration in range(2):
        in_loop(iteration).finish(operator(external_task_id="order-1-{{ loop.index }}"))
    assert made(kling) == ["order-1-0", "order-1-1"]


# --- Caps


@needs_loops
def test_the_caps_of_a_run_count_all_iterations(kling):
    states = [in_loop(iteration).finish(operator(max_videos=2)).state for iteration in range(3)]
    assert states == ["success", "success", "skipped"]
    assert len(kling.ledger) == 2


@needs_loops
def test_mapped_iterations_share_the_caps_whatever_their_sizes(kling):
    rows_of = [3, 1, 4]
    states = [
        [in_loop(iteration, map_index=index, instances=rows).finish(operator(max_videos=6)).state for index in range(rows)]
        for iteration, rows in enumerate(rows_of)
    ]
    assert [one.count("success") for one in states] == [3, 1, 2]
    assert len(kling.ledger) == 6


def test_what_is_left_of_a_cap():
    cap = RunCap.of(5, "10")
    assert cap.after(2, Decimal("3.5")) == RunCap.of(3, "6.5")
    assert cap.after(9, Decimal(11)) == RunCap.of(0, "0")
    assert RunCap.of(None, None).after(2, Decimal(1)) == RunCap()


# --- Batches


def batch_of(folder: Path, manifest: str, **options: Any) -> KlingEffectBatchOperator:
    with DAG("d", schedule=None):
        return KlingEffectBatchOperator(task_id="batch", manifest=manifest, results=str(folder / "{{ loop.index }}"), **options)


@needs_loops
@pytest.mark.kling_emulator(duration=0.2, videos="clip")
def test_a_batch_makes_all_its_rows_in_each_iteration(kling, polled_early, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__KLING__SHARED_FOLDERS", str(tmp_path))
    manifest = write_rows(tmp_path, 2)
    for iteration in range(2):
        for tries in (1, 2):
            airflow = in_loop(iteration, try_number=tries)
            assert airflow.finish(batch_of(tmp_path, manifest, deferrable=iteration == 1)).state == "success"
        assert len(kling.ledger) == 2 * (iteration + 1)
    ids = [{line["external_task_id"] for line in results_of(tmp_path / str(iteration))} for iteration in range(2)]
    assert not ids[0] & ids[1]


@needs_loops
@pytest.mark.kling_emulator(duration=0.2, videos="clip")
def test_the_caps_of_a_batch_count_the_iterations_before(kling, polled_early, tmp_path):
    manifest = write_rows(tmp_path, 2)
    for iteration in range(2):
        in_loop(iteration).finish(batch_of(tmp_path, manifest, max_videos=3))
    assert [line["status"] for line in results_of(tmp_path / "1")] == ["succeed", "capped"]
    assert len(kling.ledger) == 3


@needs_loops
def test_the_row_of_a_batch_in_the_triggerer_holds_its_iteration(kling, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__KLING__SHARED_FOLDERS", str(tmp_path))
    run = in_loop(4).run(batch_of(tmp_path, write_rows(tmp_path, 1), deferrable=True))
    assert run.trigger[1]["iteration"] == 4
    assert "batch" in fire(run)
