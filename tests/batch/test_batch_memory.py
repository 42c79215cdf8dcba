"""A batch reads its rows as a stream, and keeps neither rows nor images longer than it needs them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import time

import pytest
from batch_runs import row, write
from places import PHOTOS

from airflow_provider_kling import batch
from airflow_provider_kling.batch import BatchJob, Spool
from airflow_provider_kling.batch.engine import CHUNK
from airflow_provider_kling.manifests import ManifestFile, Row, parse_rows


def test_rows_are_read_as_they_are_started(kling):
    """However long the manifest, only so many rows are read ahead."""
    read = 0

    def counted():
        nonlocal read
        for number in range(3000):
            read += 1
            yield b'{"effect_scene": "squish", "image": "https://example.com/%d.jpg"}\n' % number

    kling.configure(slots=2, duration=60)
    rows = parse_rows(counted(), name="m.jsonl")
    job = BatchJob(
        manifest="m.jsonl",
        results="none",
        dag_id="d",
        run_id="r",
        task_id="t",
        kling_conn_id="kling_default",
        deadline=time.time() + 60,
    )

    async def run_for_two_seconds():
        with Spool() as outcomes:
            work = batch.run(job, rows, count=3000, outcomes=outcomes, adopt_existing=False, log=print)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(work, 2)

    asyncio.run(run_for_two_seconds())
    assert len(kling.ledger) == 2
    assert read <= 2 + batch.QUEUED + 2 * CHUNK


@pytest.mark.kling_emulator(slots=30, duration=60)
def test_images_in_the_manifest_are_not_held_while_their_tasks_run(kling, tmp_path):
    image = base64.b64encode((PHOTOS / "china.jpg").read_bytes()).decode()
    manifest = write(tmp_path, [row(number, image=image) for number in range(24)])
    job = BatchJob(
        manifest=manifest,
        results=str(tmp_path / "out"),
        dag_id="d",
        run_id="r",
        task_id="t",
        kling_conn_id="kling_default",
        deadline=time.time() + 60,
    )

    async def until_all_run(rows, outcomes):
        work = asyncio.create_task(batch.run(job, rows, count=24, outcomes=outcomes, adopt_existing=False, log=print))
        while len(await asyncio.to_thread(lambda: kling.ledger)) < 24:
            assert not work.done()
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.3)
        gc.collect()
        held = [held for held in gc.get_objects() if type(held) is Row and any(len(text) > 1000 for text in held.images)]
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        return len(held)

    with ManifestFile(manifest) as file, Spool() as outcomes:
        assert asyncio.run(until_all_run(file.rows(), outcomes)) <= 5  # those of the last chunk that was read
