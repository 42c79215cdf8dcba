"""DAGs whose tasks have outlets, and one that is scheduled on the events: it writes what it was triggered by."""

import json
from pathlib import Path

from airflow.sdk import Asset, AssetAlias, Param, dag, get_current_context, task

from airflow_provider_kling.mapping import read_manifest
from airflow_provider_kling.operators import KlingEffectBatchOperator, KlingEffectOperator

PARAMS = {"manifest": "", "output": "", "kling_conn_id": "kling_default"}


@dag(schedule=None, params=PARAMS, max_active_tasks=100)
def with_outlets():
    KlingEffectOperator.partial(
        task_id="video",
        kling_conn_id="{{ params.kling_conn_id }}",
        wait_for_completion=True,
        save_to="{{ params.output }}/videos",
        poll_interval=1,
        deferrable=True,
        outlets=[Asset("kling_videos_of_stack"), AssetAlias("kling_each_video")],
    ).expand(row=task(read_manifest)("{{ params.manifest }}"))


@dag(schedule=None, params={**PARAMS, "max_failures": Param(None, type=["null", "number"])})
def batch_with_outlets():
    KlingEffectBatchOperator(
        task_id="video",
        manifest="{{ params.manifest }}",
        results="{{ params.output }}",
        kling_conn_id="{{ params.kling_conn_id }}",
        poll_interval=1,
        outlets=[Asset("kling_videos_of_stack"), AssetAlias("kling_each_video")],
    )


@dag(schedule=AssetAlias("kling_each_video"), max_active_runs=1)
def triggered_by_each_video():
    @task
    def write():
        """Append each event to a file beside the videos."""
        events = get_current_context()["triggering_asset_events"]
        for asset in events:
            for event in events[asset]:
                seen = {"key": type(asset).__name__, "uri": event.asset.uri, "run_id": event.source_run_id, "extra": event.extra}
                with (Path(event.extra["path"]).parent / "events.jsonl").open("a") as file:
                    file.write(json.dumps(seen) + "\n")

    write()


with_outlets()
batch_with_outlets()
triggered_by_each_video()
