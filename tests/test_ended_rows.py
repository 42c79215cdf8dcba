"""Rows that one DAG asks for and another one saves: whichever of both knows of a task first."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset

from airflow_provider_kling.api import Task
from airflow_provider_kling.callbacks import CALLBACK, asset_uri, end_of
from airflow_provider_kling.ended_rows import ends_since, join_ended, remember_rows, save_ended
from airflow_provider_kling.errors import KlingAnswerError, KlingError, KlingSettingsError
from airflow_provider_kling.hooks import KlingHook

NOW = datetime(2026, 11, 26, 12, tzinfo=timezone.utc)
ENDED = Asset(asset_uri("kling_default"))

pytestmark = pytest.mark.kling_emulator(slots=50, duration=3600, videos="clip")


@pytest.fixture
def asked(kling, tmp_path) -> Asked:
    return Asked(kling, tmp_path)


class Asked:
    """A manifest of three rows whose tasks run, and the folder of the two DAGs."""

    def __init__(self, kling: Any, tmp_path: Path) -> None:
        self.kling, self.folder, self.output = kling, tmp_path / "ended", tmp_path / "out"
        self.manifest = tmp_path / "m.jsonl"
        rows = [{"id": name, "effect_scene": "squish", "image": f"https://example.com/{name}.jpg"} for name in "abc"]
        self.manifest.write_text("\n".join(map(json.dumps, rows)))
        with KlingHook() as hook:
            self.tasks = [
                hook.create_task(effect_scene=row["effect_scene"], image=row["image"], external_task_id=f"row-{row['id']}")
                for row in rows
            ]

    def remember(self) -> None:
        outcomes = [{"row_id": name, "effect_scene": "squish", **known(task)} for name, task in zip("abc", self.tasks, strict=True)]
        remember_rows(self.manifest, self.output, outcomes, self.folder, name="ask.manual__2026-11-26T12:00:00+00:00")

    def save(self, *tasks: Task, **changed: Any) -> Mapping[str, int]:
        return save_ended([{**end_of(task, "kling_default", CALLBACK), **changed} for task in tasks], self.folder)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.output / "results.jsonl").read_text().splitlines()]


def known(task: Task) -> dict[str, Any]:
    return {"kling_task_id": task.kling_task_id, "external_task_id": task.external_task_id, "status": task.status}


@pytest.mark.parametrize("saved_first", [True, False])
def test_a_row_gets_its_video_whichever_dag_knows_of_its_task_first(asked, kling, saved_first):
    kling.fail(asked.tasks[2].kling_task_id, "Internal error")
    kling.finish()
    if saved_first:
        assert asked.save(*asked.tasks[:2]) == {"saved": 2}
        assert join_ended(asked.folder) == []
        asked.remember()
    else:
        asked.remember()
        assert [summary["waiting"] for summary in join_ended(asked.folder)] == [3]
        assert asked.save(*asked.tasks[:2]) == {"saved": 2}
    assert [summary["waiting"] for summary in join_ended(asked.folder)] == [1]
    assert [(line["id"], line["status"]) for line in asked.lines] == [("a", "succeed"), ("b", "succeed"), ("c", "error")]
    assert "'submitted', which is no end" in asked.lines[2]["error"]
    assert asked.save(*asked.tasks) == {"known": 2, "failed": 1}
    (summary,) = join_ended(asked.folder)
    assert (summary["succeed"], summary["failed"], summary["waiting"]) == (2, 1, 0)
    assert [line["videos"] and Path(line["videos"][0]["path"]).is_file() for line in asked.lines] == [True, True, None]
    assert "Internal error" in asked.lines[2]["error"]
    assert join_ended(asked.folder) == []  # all rows have an end: it is forgotten
    assert len(kling.ledger) == 3


def test_what_kling_does_not_confirm_is_not_saved(asked, kling):
    unknown = Task(kling_task_id="999", external_task_id="row-x", status="succeed")
    assert asked.save(unknown) == {"not confirmed": 1}
    with pytest.raises(KlingAnswerError, match="still runs, though somebody told its end"):
        asked.save(asked.tasks[0], status="succeed")  # another try may find that it has ended
    assert not (asked.folder / "ended").exists()
    assert not (asked.folder / "videos").exists()


def test_a_connection_that_cannot_work_leaves_out_nothing(asked, kling, monkeypatch):
    kling.finish()
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", json.dumps({"conn_type": "kling", "host": "ftp://example.com"}))
    with pytest.raises(KlingSettingsError):
        asked.save(*asked.tasks)


def test_an_id_of_any_kind_stays_in_its_folder(asked, kling):
    kling.finish()
    for name in ("../../evil", "/etc/evil", "..", "a\0b", "x" * 5_000):
        evil = Task(kling_task_id=name, external_task_id=name, status="succeed")
        assert asked.save(evil) == {"not confirmed": 1}
    assert [path.name for path in asked.folder.parent.rglob("*") if "evil" in path.name] == []


def test_one_that_cannot_be_saved_keeps_back_no_other_and_is_saved_by_another_try(asked, kling):
    kling.finish()
    with KlingHook() as hook:
        (link,) = [video.url for video in hook.get_task(asked.tasks[0].kling_task_id).videos]
    kling.fault(404, on="video", match=asked.tasks[0].kling_task_id, times=None)
    assert link
    with pytest.raises(KlingError):
        asked.save(*asked.tasks)
    assert len(list((asked.folder / "ended").iterdir())) == 2
    kling.clear_faults()
    assert asked.save(*asked.tasks) == {"known": 2, "saved": 1}


def test_rows_that_were_refused_wait_for_nothing(asked):
    refused = {"row_id": "a", "status": "error", "error": "The account has no units.", "error_kind": "account"}
    remember_rows(asked.manifest, asked.output, [refused], asked.folder, name="ask.1")
    (summary,) = join_ended(asked.folder)
    assert (summary["waiting"], asked.lines[0]["status"]) == (0, "error")


class Inlets:
    """The one asset of a task's inlets. No dict: before Airflow 3.2, assets cannot be its keys."""

    def __init__(self, events: list[Any]) -> None:
        self._events = events

    def __getitem__(self, asset: Asset) -> list[Any]:
        assert asset == ENDED
        return self._events


class Events(list):  # type: ignore[type-arg]
    """The events of an inlet, as Airflow 3.2 and later has them."""

    def after(self, moment: datetime) -> list[Any]:
        self.asked_after = moment
        return [event for event in self if event.timestamp >= moment]


@pytest.mark.parametrize("kind", [list, Events])
@pytest.mark.parametrize(("last_run", "found"), [(NOW, ["1", "2"]), (NOW + timedelta(hours=1), ["2"])])
def test_the_ends_since_the_last_run_are_read_with_a_margin(kind, last_run, found):
    def event(kling_task_id: str, moment: datetime) -> Any:
        task = Task(kling_task_id=kling_task_id, status="succeed")
        return SimpleNamespace(timestamp=moment, extra=end_of(task, "kling_default", CALLBACK))

    events = kind([event("0", NOW - timedelta(hours=1)), event("1", NOW), event("2", NOW + timedelta(hours=1)), event("2", NOW)])
    context: Any = {"prev_start_date_success": last_run, "inlet_events": Inlets(events)}
    assert sorted(end["kling_task_id"] for end in ends_since(context, ENDED)) == found
