"""Trigger rows that an older or a newer version of the package has written."""

from __future__ import annotations

import asyncio
import importlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from task_runs import FakeAirflow, operator

from airflow_provider_kling.api import EffectRequest
from airflow_provider_kling.errors import KlingError
from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.outcomes import task_of
from airflow_provider_kling.triggers import VERSION

# Rows as workers of those versions wrote them into Airflow's database. The tests replace times, ids and paths.
STORED = [row for path in sorted((Path(__file__).parent.parent / "rows").glob("*.json")) for row in json.loads(path.read_text())]
LATEST = [row for row in STORED if row["version"] == VERSION]


def run(row: dict[str, Any], **now: Any) -> dict[str, Any]:
    module, _, name = row["path"].rpartition(".")
    kwargs = {**row["kwargs"], "deadline": time.time() + 60, **now}
    trigger = getattr(importlib.import_module(module), name)(**kwargs)

    async def events() -> list[dict[str, Any]]:
        return [event.payload async for event in trigger.run()]

    (event,) = asyncio.run(events())
    return event


def arguments(row: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The arguments that a stored row cannot contain: the id of a task, or the path of a manifest."""
    if "kling_task_id" in row["kwargs"]:
        with KlingHook() as hook:
            return {"kling_task_id": hook.create_task(EffectRequest("squish", ["https://example.com/a.jpg"])).kling_task_id}
    if "manifest" in row["kwargs"]:
        (folder / "m.csv").write_text("effect_scene,image\nsquish,https://example.com/a.jpg\n")
        return {"manifest": str(folder / "m.csv"), "results": str(folder / "out")}
    return {}


@pytest.mark.usefixtures("polled_early")
@pytest.mark.parametrize("row", STORED, ids=lambda row: f"form {row['version']} of {row['path'].rpartition('.')[2]}")
def test_stored_rows_still_run(kling, tmp_path, row):
    event = run(row, **arguments(row, tmp_path))
    assert event.get("task", {}).get("task_status") == "succeed" or event.get("batch", {}).get("succeed") == 1, event
    assert len(kling.ledger) == 1


def test_there_is_a_stored_row_of_each_form_and_trigger():
    assert {row["version"] for row in STORED} == set(range(1, VERSION + 1))
    assert len({(row["version"], row["path"]) for row in STORED}) == 3 * VERSION


@pytest.mark.parametrize(
    "row", [row for row in STORED if row["version"] == VERSION], ids=lambda row: row["path"].rpartition(".")[2]
)
def test_a_row_of_a_newer_version_is_refused_and_written_back_unchanged(kling, tmp_path, row):
    newer = {"version": VERSION + 1, "of_a_later_version": 1}
    event = run(row, **newer)
    with pytest.raises(KlingError, match="older version of airflow-provider-kling than the worker that deferred") as error:
        task_of(event)
    assert error.value.retryable
    assert not kling.journal
    module, _, name = row["path"].rpartition(".")
    kwargs = {**row["kwargs"], **newer}
    assert getattr(importlib.import_module(module), name)(**kwargs).serialize() == (row["path"], kwargs)


@pytest.mark.parametrize("row", STORED, ids=lambda row: f"form {row['version']} of {row['path'].rpartition('.')[2]}")
def test_an_argument_that_no_version_has_is_an_error(row):
    with pytest.raises(TypeError, match="misspelt"):
        run(row, misspelt=1)


def test_new_rows_have_the_latest_form(kling):
    for task in (operator(deferrable=True), operator(deferrable=True, wait_for_completion=True)):
        _, kwargs = FakeAirflow().run(task).trigger
        stored = next(row["kwargs"] for row in LATEST if row["path"].endswith("EffectTrigger"))
        assert kwargs.keys() == stored.keys()
        assert kwargs["version"] == VERSION
