"""Rows are checked ahead, but only so far; and the progress is logged."""

from __future__ import annotations

from threading import Lock
from typing import Any

import pytest
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_kling.manifests import Row
from airflow_provider_kling.planning import checking, planner
from airflow_provider_kling.planning.checking import AHEAD, Check, checked_rows


def row(number: int, image: str = "https://example.com/a.jpg") -> Row:
    return Row(line=number, number=number, id=str(number), columns={}, effect_scene="squish", images=(image,))


def test_rows_come_in_their_order_and_are_not_read_far_ahead():
    read, lock, used = 0, Lock(), 0

    def rows() -> Any:
        nonlocal read
        for number in range(500):
            with lock:
                read += 1
            yield row(number)

    for expected, checked in enumerate(checked_rows(rows(), Check())):
        assert checked.row.number == expected
        used += 1
        assert read - used <= AHEAD
    assert used == 500


def test_rows_that_hold_their_images_are_not_held_by_the_dozen(monkeypatch):
    monkeypatch.setattr(checking, "AHEAD_CHARACTERS", 1000)
    read = 0

    def rows() -> Any:
        nonlocal read
        for number in range(20):
            read += 1
            yield row(number, "A" * 600)

    for used, checked in enumerate(checked_rows(rows(), Check()), 1):
        assert checked.state == "invalid"
        assert read - used <= 2


def test_the_progress_is_logged_while_images_are_read(monkeypatch, tmp_path):
    monkeypatch.setattr(planner, "PAUSE", 0.0)
    (tmp_path / "m.csv").write_text("effect_scene,image\n" + "squish,gone.jpg\n" * 3)
    lines: list[str] = []
    planner.make_plan(planner.PlanJob(manifest=str(tmp_path / "m.csv")), log=lines.append)
    assert lines == ["0 of 3 rows checked.", "1 of 3 rows checked.", "2 of 3 rows checked."]


class _DeadStore(MemoryFileSystem):
    def _open(self, *args: Any, **kwargs: Any) -> Any:
        raise TimeoutError("the store does not answer")


def test_an_error_of_a_store_is_not_the_rows_fault():
    attach("memory", conn_id="dead", fs=_DeadStore())
    (checked,) = checked_rows(iter([row(1, "memory://dead@bucket/a.jpg")]), Check())
    assert (checked.state, checked.kind) == ("error", "timeout")
    assert "the store does not answer" in str(checked.reason)


@pytest.mark.parametrize("check", [Check(images=False), Check()])
def test_a_link_needs_no_opening(check):
    assert next(checked_rows(iter([row(1)]), check)).state is None
