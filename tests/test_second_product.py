"""A made-up product of Kling, one module beside `effects`: all that is above the API takes it as a value."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from places import ROOT

from airflow_provider_kling.api import EFFECTS, EffectRequest, Product, ReceivedRequest, Refusal
from airflow_provider_kling.batch import BatchJob, Spool, run
from airflow_provider_kling.client import Submission, flows
from airflow_provider_kling.emulator import KlingEmulator
from airflow_provider_kling.errors import KlingRequestError, KlingTaskNotFound
from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.manifests import ManifestFile


@dataclass(frozen=True)
class PromptRequest:
    """A video made of a text alone."""

    prompt: str

    @property
    def body(self) -> dict[str, Any]:
        return {"prompt": self.prompt, "model_name": "made-up-v1"}

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.prompt.encode()).hexdigest()

    @property
    def portable(self) -> bool:
        return True


def request_of(scene: str, images: Sequence[str]) -> PromptRequest:
    return PromptRequest(scene)


def read_body(document: Mapping[str, Any]) -> ReceivedRequest:
    if not document.get("prompt"):
        raise Refusal(1201, "prompt must not be empty")
    return ReceivedRequest(title=document["prompt"])


PROMPTS = Product(name="text to video", path="/v1/videos/text2video", request_of=request_of, read_body=read_body)


@pytest.fixture
def kling(monkeypatch):
    with KlingEmulator(products=(EFFECTS, PROMPTS), duration=0.2, slots=2, videos="clip") as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", emulator.connection())
        yield emulator


def paths(kling: KlingEmulator) -> set[str]:
    """The paths of all requests for tasks, without ids."""
    kinds = ("create", "list", "get")
    return {entry["path"][: len(PROMPTS.path)] for kind in kinds for entry in kling.requests(kind)}


def test_a_worker_creates_waits_and_saves(kling, tmp_path):
    with KlingHook(product=PROMPTS) as hook:
        task = hook.create_task(PromptRequest("a red boat"), external_task_id="mine")
        done = hook.wait_for_task(task.kling_task_id, poll_interval=0.05)
        (path,) = hook.save_videos(done, str(tmp_path))
        assert hook.find_task("mine") == done
        assert hook.list_tasks() == [done]
    assert Path(path).read_bytes()[4:8] == b"ftyp"
    assert paths(kling) == {PROMPTS.path}


def test_a_lost_response_is_paid_for_once(kling):
    kling.fault("drop", on="create", after=True)
    with KlingHook(product=PROMPTS, retry_wait=0) as hook:
        task = hook.create_task(PromptRequest("a red boat"), external_task_id="mine")
    assert [row["kling_task_id"] for row in kling.ledger] == [task.kling_task_id]


async def test_the_dispatcher_creates_waits_and_saves(kling, tmp_path):
    lines: list[str] = []
    deadline = time.time() + 60
    async with KlingHook.dispatched(product=PROMPTS) as account:
        for name in ("one", "two", "three"):
            submission = Submission(request=PromptRequest(name), external_id=name, adopt_existing=True)
            task = await account.create(submission, deadline=deadline, log=lines.append)
            done = await account.wait(task.kling_task_id, deadline=deadline, poll_interval=0.1, log=lines.append)
            assert done.succeeded
            await account.save(done, str(tmp_path), log=lines.append)
    assert len(kling.ledger) == 3
    assert all(path.stat().st_size > 0 for path in tmp_path.glob("*.mp4"))
    assert len(list(tmp_path.glob("*.mp4"))) == 3
    assert paths(kling) == {PROMPTS.path}


def job(tmp_path: Path) -> BatchJob:
    (tmp_path / "m.csv").write_text("effect_scene,image\n" + "".join(f"boat {n},https://example.com/{n}.jpg\n" for n in range(5)))
    return BatchJob(
        manifest=str(tmp_path / "m.csv"),
        results=str(tmp_path),
        save_to=str(tmp_path / "videos"),
        dag_id="d",
        run_id="r",
        task_id="t",
        kling_conn_id="kling_default",
        deadline=time.time() + 60,
        poll_interval=0.1,
    )


async def test_a_batch_makes_its_rows_and_adopts_them_the_second_time(kling, tmp_path):
    work = job(tmp_path)
    for adopt_existing in (False, True):
        with ManifestFile(work.manifest) as manifest, Spool() as outcomes:
            ended = await run(
                replace(work, deadline=time.time() + 60),
                manifest.rows(),
                product=PROMPTS,
                count=5,
                outcomes=outcomes,
                adopt_existing=adopt_existing,
                log=lambda line: None,
            )
        assert ended.counts == {"succeed": 5}
    assert len(kling.ledger) == 5
    assert len(list((tmp_path / "videos").glob("*.mp4"))) == 5
    assert paths(kling) == {PROMPTS.path}


@pytest.mark.usefixtures("looked_up_early")
def test_two_products_share_external_ids_and_nothing_else(kling):
    effect = EffectRequest("squish", ["https://example.com/a.jpg"])
    with KlingHook(retry_wait=0) as effects, KlingHook(product=PROMPTS, retry_wait=0) as prompts:
        task = effects.create_task(effect, external_task_id="mine")
        with pytest.raises(KlingRequestError, match=r"none of the text to video tasks has it.*Another Kling product"):
            prompts.create_task(PromptRequest("a red boat"), external_task_id="mine")
        with pytest.raises(KlingTaskNotFound):
            prompts.get_task(task.kling_task_id)
        assert prompts.list_tasks() == []
    assert len(kling.ledger) == 1


def test_only_the_products_module_names_its_path():
    named = [path for path in (ROOT / "airflow_provider_kling").rglob("*.py") if EFFECTS.path in path.read_text(encoding="utf-8")]
    assert [path.relative_to(ROOT).as_posix() for path in named] == ["airflow_provider_kling/api/effects.py"]


def test_a_flow_asks_for_the_product_it_was_given():
    submission = Submission(request=PromptRequest("a red boat"), external_id="mine")
    flow = flows.create(PROMPTS, submission)
    next(flow)  # the check of the capacity
    flow.send(None)  # a place within the caps
    assert flow.send(flows.Reserved.HAD).path == PROMPTS.path
