"""For rows that one DAG asks for and another one saves, as their tasks end. For use within tasks.

    remember_rows("manifest.csv", "output", outcomes_of(ti, "create"), folder)    # in the last task of the DAG that asks
    save_ended(ends_since(context, asset), folder)                                # in the DAG that is scheduled on the asset
    join_ended(folder)                                                            # after that: results and report of each manifest

`folder` (a path or URI) is common to both DAGs: `asked` lies in it, with a file for each manifest that has rows without an end,
`ended`, with a file for each task, and `videos`. So it does not matter which of the two comes first: a task that ends at once is
saved before its row is remembered. Rows and tasks belong together by their external id.
`dags/kling_effects_ask.py` and `dags/kling_effects_on_callback.py` are whole DAGs.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_provider_kling.errors import KlingAnswerError, KlingError, KlingInputError, KlingSettingsError, KlingTaskNotFound
from airflow_provider_kling.redaction import show_place

if TYPE_CHECKING:
    from airflow.sdk import Asset, Context, ObjectStoragePath

    from airflow_provider_kling.api import Task
    from airflow_provider_kling.arguments import Place
    from airflow_provider_kling.hooks import KlingHook

AT_ONCE = 8  # ends that are asked for and saved at the same time
LONGEST_NAME = 200  # characters of a file name
MARGIN = timedelta(minutes=10)  # by which events are read again that an earlier run may have read

log = logging.getLogger(__name__)


def ends_since(context: Context, asset: Asset) -> list[dict[str, Any]]:
    """The ends that were heard on this asset since the last run of this DAG that succeeded, each task once.

    The task needs the asset as an inlet. More than `triggering_asset_events` holds: of a burst of events, Airflow (3.3.2) hands a
    run those that came before it was queued, and keeps the others for the run after the next event. A first run gets what is
    remembered of three days. `callbacks.end_of` describes an end.
    """
    from airflow_provider_kling.callbacks import KEPT, ended_tasks_of

    last = context.get("prev_start_date_success")
    since = (last - MARGIN) if last else datetime.now().astimezone() - KEPT
    events: Any = context["inlet_events"][asset]
    if hasattr(events, "after"):  # since Airflow 3.2
        events = events.after(since)
    return ended_tasks_of(event for event in events if event.timestamp >= since)


def remember_rows(
    manifest: Place | None, output: Place, outcomes: Iterable[Mapping[str, Any]], folder: Place, *, name: str
) -> None:
    """Remember the rows of a manifest and their tasks, until all have ended: what `mapping.outcomes_of` found of them.

    `manifest` and `output` are what `mapping.write_results` takes. `name` is that of this run, unique in the folder.
    """
    asked = {"manifest": None if manifest is None else str(manifest), "output": str(output), "outcomes": list(outcomes)}
    _write(_asked(folder) / f"{quote(name, safe='')}.json", asked)


def save_ended(ends: Iterable[Mapping[str, Any]], folder: Place) -> dict[str, int]:
    """Ask Kling for each of these tasks, and save the videos of those that have succeeded. Returns how many came to what.

    An end is a hint: a task that Kling does not know is left out, one that still runs is a KlingAnswerError. Tasks that are saved
    already are not asked for again. Raises the first KlingError, after all others are saved: another try, or the next run, goes
    on with what is left.
    """
    counts, errors = asyncio.run(_save_all(list(ends), folder))
    log.info("Ends: %s.", ", ".join(f"{number:,} {what}" for what, number in counts.items()) or "none")
    if errors:
        raise errors[0]
    return counts


def join_ended(folder: Place) -> list[dict[str, Any]]:
    """Write the results and the report of each manifest that has rows without an end, as far as they are known.

    Returns the summaries of `mapping.write_results`, each with `waiting`, the number of rows whose task has not ended. A manifest
    whose rows have all ended is forgotten after that.
    """
    return [_joined(path, folder) for path in _files(_asked(folder))]


def _joined(path: ObjectStoragePath, folder: Place) -> dict[str, Any]:
    from airflow_provider_kling.mapping import write_results
    from airflow_provider_kling.storage import remove

    asked = json.loads(path.read_text(encoding="utf-8"))
    outcomes = [_with_end(outcome, folder) for outcome in asked["outcomes"]]
    waiting = sum(1 for outcome in outcomes if _is_open(outcome))
    summary = {**write_results(asked["manifest"], asked["output"], outcomes), "waiting": waiting}
    log.info("%s: %d of %d rows wait for their task to end.", show_place(asked["output"]), waiting, len(outcomes))
    if not waiting:
        remove(path)
    return summary


def _is_open(outcome: Mapping[str, Any]) -> bool:
    return not outcome.get("error") and not outcome.get("videos")


def _with_end(outcome: dict[str, Any], folder: Place) -> dict[str, Any]:
    """What is known of a row: what was saved of its task, or what was known when it was asked for."""
    if not _is_open(outcome):
        return outcome
    path = _ended(folder, outcome.get("external_task_id"), outcome.get("kling_task_id"))
    if path is None or not path.exists():
        return outcome
    end = json.loads(path.read_text(encoding="utf-8"))
    return {**end, "row_id": outcome.get("row_id"), "effect_scene": outcome.get("effect_scene") or end.get("effect_scene")}


async def _save_all(ends: list[Mapping[str, Any]], folder: Place) -> tuple[dict[str, int], list[KlingError]]:
    from airflow_provider_kling.hooks import KlingHook

    counts: dict[str, int] = {}
    errors: list[KlingError] = []
    turns = asyncio.Semaphore(AT_ONCE)

    async def save(hook: KlingHook, end: Mapping[str, Any]) -> None:
        async with turns:
            try:
                what = await _save(hook, end, folder)
            except KlingError as error:
                log.error("Kling task %s: %s", end["kling_task_id"], error)
                errors.append(error)
                what = "not saved"
        counts[what] = counts.get(what, 0) + 1

    for conn_id in sorted({end["kling_conn_id"] for end in ends}):
        async with KlingHook(conn_id) as hook:
            await hook.settings_in_time()
            await asyncio.gather(*(save(hook, end) for end in ends if end["kling_conn_id"] == conn_id))
    return counts, errors


async def _save(hook: KlingHook, end: Mapping[str, Any], folder: Place) -> str:
    """Save the end of one task, and return the word for what became of it."""
    path = _ended(folder, end.get("external_task_id"), end["kling_task_id"])
    if path is None or await asyncio.to_thread(path.exists):
        return "known"
    try:
        task = await hook.aget_task(end["kling_task_id"])
    except KlingSettingsError:
        raise
    except (KlingTaskNotFound, KlingInputError):  # the latter for what is no id at all
        log.warning("Kling knows no task %s: this event is left out.", end["kling_task_id"])
        return "not confirmed"
    if not task.done:
        raise KlingAnswerError(f"Kling says that task {task.kling_task_id} still runs, though somebody told its end.")
    result = await _result(hook, task, folder)
    target = _ended(folder, task.external_task_id, task.kling_task_id) or path
    await asyncio.to_thread(_write, target, result)
    return "saved" if task.succeeded else "failed"


async def _result(hook: KlingHook, task: Task, folder: Place) -> dict[str, Any]:
    from airflow_provider_kling.api import task_failure
    from airflow_provider_kling.object_paths import location_of, storage_path
    from airflow_provider_kling.results import error_result, result_of

    if task.failed:
        return error_result(task_failure(task.kling_task_id, task.message), row_id=None, task=task)
    return result_of(task, paths=await hook.asave_videos(task, location_of(storage_path(folder) / "videos")))


def _asked(folder: Place) -> ObjectStoragePath:
    from airflow_provider_kling.object_paths import storage_path

    return storage_path(folder) / "asked"


def _ended(folder: Place, external_task_id: str | None, kling_task_id: str | None) -> ObjectStoragePath | None:
    """Where the result of a task is: under its external id, or its own where it has none."""
    from airflow_provider_kling.object_paths import storage_path

    name = quote(external_task_id or kling_task_id or "", safe="")
    if len(name) > LONGEST_NAME:
        name = hashlib.sha256(name.encode()).hexdigest()
    return storage_path(folder) / "ended" / f"{name}.json" if name else None


def _files(folder: ObjectStoragePath) -> Iterator[ObjectStoragePath]:
    if folder.exists():
        yield from sorted((path for path in folder.iterdir() if path.name.endswith(".json")), key=lambda path: path.name)


def _write(path: ObjectStoragePath, value: object) -> None:
    from airflow_provider_kling.storage import write_text

    write_text(path, [json.dumps(value, ensure_ascii=False)])
