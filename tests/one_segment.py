"""One segment: what one process of a worker does with a task, from the DAG file until the task defers or ends.

`python tests/one_segment.py SEGMENT FOLDER [EVENT] [--preload]` runs one of SEGMENTS and prints, as JSON, the `state` of the task
and the modules that were loaded for it alone: `dag_file` until the DAG is there, `execute` from then on. What each task loads in
any case counts for nothing: before, a task of another operator that asks for a connection, defers and resumes has run in the same
process. Neither does what the product preloads, with `--preload`. Lines `SEGMENT …` on stderr divide the output of `-X importtime`.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, BaseHook, BaseOperator, Param, dag, task  # noqa: F401 - what DAG files import
from airflow.triggers.base import BaseTrigger
from task_runs import FakeAirflow

SEGMENTS = ("operator defers", "operator saves", "operator resumes", "sensor defers", "sensor saves", "sensor resumes")
"""`resumes`: without save_to, so that no file is loaded."""

ROW = {"row_id": "a", "effect_scene": "squish", "image": "https://example.com/a.jpg", "images": None}


def done_event() -> str:
    """What a trigger sends to the worker once the task is done: one that is made at `kling_default`."""
    from airflow_provider_kling.hooks import KlingHook

    with KlingHook() as hook:
        made = hook.create_task(effect_scene=ROW["effect_scene"], image=ROW["image"])
        done = hook.wait_for_task(made.kling_task_id, poll_interval=0.05, timeout=60)
    return json.dumps({"task": done.to_json(), "kling_conn_id": "kling_default", "effect_scene": ROW["effect_scene"]})


def run_segment(
    segment: str, folder: Path, event: str, *more: str, options: tuple[str, ...] = (), env: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], str]:
    """Run a segment in a process of its own. Returns what it prints, and its stderr. `event` is for those that resume; `options`
    are Python's, `more` those of this script."""
    command = [sys.executable, *options, __file__, segment, str(folder), *([] if segment.endswith("defers") else [event]), *more]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if done.returncode:
        raise AssertionError(done.stderr[-5000:])
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


class SomeTrigger(BaseTrigger):
    """A trigger that nobody runs."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "one_segment.SomeTrigger", {}

    async def run(self) -> Any:
        raise AssertionError("not in a worker")
        yield


class SomeOperator(BaseOperator):
    """Another operator, which does what each one does that waits for a service."""

    def execute(self, context: Any) -> None:
        self.log.info("Connection: %s", BaseHook.get_connection("kling_default").conn_id)
        self.defer(trigger=SomeTrigger(), method_name="execute_complete")

    def execute_complete(self, context: Any, event: Any) -> Any:
        context["ti"].xcom_push(key="found", value=event)
        return event


def load_airflow() -> None:
    """Load what Airflow itself needs to run a task that defers and resumes, with a retry policy where it has them."""
    with suppress(ImportError):
        from airflow.sdk import RetryPolicy  # noqa: F401 - since Airflow 3.3
    with DAG("d", schedule=None):
        other = SomeOperator(task_id="other")
    airflow = FakeAirflow()
    if airflow.run(other).state != "deferred" or airflow.run(other, event={"found": 1}).state != "success":
        raise AssertionError("the other operator has not worked")


def in_dag_file(segment: str, save_to: str | None) -> BaseOperator:
    """The task of a DAG file as `kling_effects_mapped` is one: operator, sensor and the functions for manifests are imported."""
    from airflow_provider_kling.mapping import outcomes_of, read_manifest, write_results  # noqa: F401
    from airflow_provider_kling.operators import KlingEffectOperator

    with DAG("d", schedule=None):
        if segment.startswith("operator"):
            return KlingEffectOperator(task_id="t", row=ROW, wait_for_completion=True, save_to=save_to, deferrable=True)
        from airflow_provider_kling.sensors import KlingTaskSensor

        created = {"kling_task_id": "1", "external_task_id": "e", "effect_scene": "squish", "row_id": "a"}
        return KlingTaskSensor(task_id="t", kling_task_id=created, save_to=save_to, deferrable=True)


def main(segment: str, folder: str, event: str = "", *, preload: bool = False) -> None:
    """Run this segment, and print what it has loaded."""
    loaded: dict[str, Any] = {}

    @contextmanager
    def part(name: str) -> Iterator[None]:
        before = set(sys.modules)
        sys.stderr.write(f"SEGMENT {name}\n")
        yield
        sys.stderr.write("SEGMENT -\n")
        loaded[name] = sorted(set(sys.modules) - before)

    load_airflow()
    if preload:
        from airflow_provider_kling.preload import import_modules

        import_modules()
    gc.collect()
    gc.freeze()  # a collection of all that Airflow has loaded would be measured as part of some module
    with part("dag_file"):
        operator = in_dag_file(segment, None if segment.endswith("resumes") else folder)
    airflow = FakeAirflow(map_index=0)
    with part("execute"):
        run = airflow.run(operator, event=json.loads(event) if event else None)
    sys.stdout.write(json.dumps({"state": run.state, "error": str(run.error or ""), **loaded}) + "\n")


if __name__ == "__main__":
    main(*(each for each in sys.argv[1:] if each != "--preload"), preload="--preload" in sys.argv)
