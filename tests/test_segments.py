"""What a start of a worker loads of this package, and because of it: each row of a mapped task pays for two of them.

The benchmark `benchmarks/segments.py` says what each module takes.
"""

from __future__ import annotations

import functools
from typing import Any

import pytest
from one_segment import SEGMENTS, done_event, run_segment

# Libraries that no worker needs for a row or, of urllib3, before it talks to Kling; and modules for a name that is not known.
NEVER = ["requests", "charset_normalizer", "aiohttp", "jwt", "PIL", "difflib", "http.cookies", "statistics", "socks"]
LIBRARIES = ["urllib3", *NEVER]

# Rooms of this package that are for other work than that of a single row, or for the triggerer.
OTHER_WORK = ["batch", "batch_trigger", "by_date", "callbacks", "commands", "decorators", "dispatch", "emulator", "ended_rows"]
OTHER_WORK += ["planning", "prices", "publishing", "reconciling", "reviewing", "testing"]
OTHER_WORK += ["operators.batch", "operators.capping", "operators.charges", "sensors.balance", "triggers.balance"]
OTHER_WORK += ["triggers.batch", "triggers.finished", "hooks.balance", "hooks.turns"]
OTHER_WORK += ["api.balance", "api.charges", "api.server", "api.server_billing"]
OTHER_WORK += ["client.async_client", "client.aiohttp_transport", "client.webhooks"]
OTHER_WORK += ["client.flows.create", "client.flows.wait", "client.flows.earlier", "client.flows.charges"]
OTHER_WORK += ["manifests.loading", "manifests.rows", "manifests.parsing", "manifests.images", "manifests.image_files"]
OTHER_WORK += ["manifests.formats", "results.lines", "results.summary", "results.report", "results.reading", "results.writing"]

# What is for a video that is saved, or for a call to Kling.
SAVING = ["saved_videos", "storage", "mp4", "client.sync_client", "client.urllib3_transport", "client.retrying"]
SAVING += [
    "client.flows.save",
    "client.flows.steps",
    "client.spending",
    "api.calls",
    "api.effects",
    "api.products",
    "api.responses",
]
SAVING += ["naming.templates", "naming.video_names", "results.sidecars", "hooks.saving"]

# What is for the end of a task, which a worker that defers does not see.
ENDING = ["api.codes", "api.kinds", "api.parsing", "api.tasks", "asset_events", "hooks.telemetry", "operators.reschedule"]
ENDING += ["operators.waits", "results", "task_end"]

# What is for the start of a task.
STARTING = ["api.effect_request", "api.signatures", "manifests.sources", "object_paths", "triggers", "writable"]

MUST_NOT = {
    "operator defers": [*LIBRARIES, *OTHER_WORK, *SAVING, *ENDING],
    "sensor defers": [*LIBRARIES, *OTHER_WORK, *SAVING, *ENDING, "api.effect_request"],
    "operator resumes": [*LIBRARIES, *OTHER_WORK, *SAVING, *STARTING],
    "sensor resumes": [*LIBRARIES, *OTHER_WORK, *SAVING, *STARTING],
    "operator saves": [*NEVER, *OTHER_WORK, "triggers", "writable"],
    "sensor saves": [*NEVER, *OTHER_WORK, "triggers", "writable"],
}


@pytest.fixture
def loaded(kling, tmp_path) -> Any:
    """The modules that a segment loads, by its name."""

    @functools.cache
    def run(segment: str, *options: str) -> set[str]:
        report, _ = run_segment(segment, tmp_path / "videos", "" if segment.endswith("defers") else done_event(), *options)
        assert report["state"] == ("deferred" if segment.endswith("defers") else "success"), report["error"]
        assert segment.endswith("saves") == any((tmp_path / "videos").glob("*.mp4"))
        return {*report["dag_file"], *report["execute"]}

    return run


@pytest.mark.parametrize("segment", SEGMENTS)
def test_a_start_of_a_worker_loads_what_it_uses(loaded, segment):
    names = loaded(segment)
    own = {name.removeprefix("airflow_provider_kling.") for name in names}
    found = [name for name in MUST_NOT[segment] if any(one == name or one.startswith(f"{name}.") for one in own)]
    assert not found, f"{segment}: loads {', '.join(found)}"
    assert ("urllib3" in names) == segment.endswith("saves")


@pytest.mark.parametrize("segment", ["operator defers", "operator saves", "sensor defers", "sensor saves"])
def test_after_preloading_a_start_of_a_worker_loads_nothing_more_of_ours(loaded, segment):
    """Nor what this package brings. What Airflow loads late differs by version."""
    ours = ("airflow_provider_kling", *LIBRARIES)
    assert [name for name in loaded(segment, "--preload") if any(name == one or name.startswith(f"{one}.") for one in ours)] == []
