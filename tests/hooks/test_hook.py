"""KlingHook against the emulator: its methods and their async twins, the connection test, and what is hidden in logs."""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import time
from pathlib import Path

import pytest
from hook_calls import REQUEST, Caller

from airflow_provider_kling import errors
from airflow_provider_kling.api import EffectRequest
from airflow_provider_kling.hooks import KlingHook
from airflow_provider_kling.manifests import load_image


def test_every_public_method_has_its_async_twin_with_the_same_arguments():
    names = [
        "create_task",
        "create_task_when_free",
        "get_task",
        "find_task",
        "list_tasks",
        "wait_for_task",
        "save_videos",
        "get_resource_packs",
        "get_charges",
        "get_balance",
        "read_callback",
        "test_connection",
    ]
    for name in names:
        sync, twin = getattr(KlingHook, name), getattr(KlingHook, f"a{name}")
        assert inspect.iscoroutinefunction(twin)
        assert inspect.signature(sync) == inspect.signature(twin)


# --- Tasks and account


@pytest.mark.kling_emulator(videos="made")
def test_a_task_is_created_awaited_and_saved(hook, kling, photo, tmp_path):
    task = hook.create_task(EffectRequest("pet_lion_pro", [load_image(photo)]), external_task_id="mine")
    assert task.status == "submitted"
    assert task.external_task_id == "mine"
    done = hook.wait_for_task(task.kling_task_id, timeout=30, poll_interval=0.1)
    assert done.succeeded
    (path,) = hook.save_videos(done, str(tmp_path / "new" / "folder"))
    assert Path(path) == tmp_path / "new" / "folder" / f"{task.kling_task_id}.mp4"
    assert Path(path).read_bytes()[4:8] == b"ftyp"
    assert hook.find_task("mine") == done
    assert hook.get_task(task.kling_task_id) == done
    assert hook.list_tasks() == [done]
    assert [row["external_task_id"] for row in kling.ledger] == ["mine"]


def test_without_an_external_id_a_random_one_is_used(hook, kling):
    hook.create_task(REQUEST)
    hook.create_task(REQUEST)
    assert len({row["external_task_id"] for row in kling.ledger} - {None}) == 2


def test_a_missing_task_is_none_or_an_error(hook, kling):
    assert hook.find_task("nothing") is None
    with pytest.raises(errors.KlingTaskNotFound, match="Task not found by id/external id: nothing"):
        hook.get_task("nothing")


def test_an_external_id_with_special_characters_is_found(hook, kling):
    for external_id in ("a/b", "50% off?", "ünï#côdé", "a b+c"):
        task = hook.create_task(REQUEST, external_task_id=external_id)
        assert hook.find_task(external_id).kling_task_id == task.kling_task_id


def test_resource_packs_are_read_through_their_double_envelope(hook, kling):
    packs = hook.get_resource_packs()
    assert packs
    assert all(pack.id and pack.type and pack.remaining is not None for pack in packs)


@pytest.mark.kling_emulator(slots=50)
def test_the_list_has_pages(hook, kling):
    created = {hook.create_task(REQUEST).kling_task_id for _ in range(7)}
    pages = [hook.list_tasks(page_num=number, page_size=3) for number in (1, 2, 3, 4)]
    assert [len(page) for page in pages] == [3, 3, 1, 0]
    assert {task.kling_task_id for page in pages for task in page} == created


# --- The connection test


@pytest.mark.parametrize("auth", ["api_key", "access_key"])
def test_the_connection_test_checks_the_credentials_without_cost(kling, monkeypatch, auth):
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", kling.connection(auth))
    for mode in ("sync", "async"):
        ok, text = Caller(mode).test_connection()
        assert ok, text
        assert kling.url in text
    assert {row["kind"] for row in kling.journal} == {"list"}
    assert kling.journal[0]["query"] == "pageNum=1&pageSize=1"
    assert kling.ledger == []


def test_the_connection_test_explains_what_is_wrong(hook, kling, monkeypatch):
    wrong = json.loads(kling.connection()) | {"password": "wrong"}
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", json.dumps(wrong))
    ok, text = hook.test_connection()
    assert not ok
    assert "The token was expected to have 3 parts, but got 0" in text
    assert "Check the keys" in text


def test_the_connection_test_reports_settings_that_cannot_work(hook, kling, monkeypatch):
    wrong = json.loads(kling.connection()) | {"extra": {"verify": "/no/such/bundle.pem"}}
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", json.dumps(wrong))
    ok, text = hook.test_connection()
    assert not ok
    assert "verify is '/no/such/bundle.pem', which does not exist here" in text


def test_an_undefined_connection_is_reported(monkeypatch):
    from airflow.providers.common.compat.sdk import AirflowNotFoundException

    class Unconnected(KlingHook):
        """A hook in an Airflow without connections."""

        @classmethod
        def get_connection(cls, conn_id):
            raise AirflowNotFoundException(f"The conn_id `{conn_id}` isn't defined")

        @classmethod
        async def aget_connection(cls, conn_id):
            return cls.get_connection(conn_id)

    for result in (Unconnected("other").test_connection(), asyncio.run(Unconnected("other").atest_connection())):
        assert result == (False, "Connection 'other' is not defined; wanted is one of type kling.")


# --- Secrets


def test_no_key_token_or_image_is_in_a_log_or_an_error(kling, monkeypatch, photo, caplog):
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", kling.connection("access_key"))
    image = base64.b64encode(Path(photo).read_bytes()).decode()
    caplog.set_level("DEBUG")
    with KlingHook(retry_wait=0) as hook:
        kling.fault("drop", on="create", after=True, times=1)
        request = EffectRequest("pet_lion_pro", [image])
        hook.create_task(request)
        kling.fault(1201, on="create", times=1)
        with pytest.raises(errors.KlingRequestError) as caught:
            hook.create_task(request, external_task_id="x")
        token = hook.settings.credentials.token(time.time())
    logged = caplog.text + str(caught.value) + repr(request) + repr(hook.settings)
    for secret in (kling.secret_key, token, image[:60]):
        assert secret not in logged
