"""Every request ends by its deadline, whatever bytes arrive, and however long a server asks to wait."""

from __future__ import annotations

import asyncio
import faulthandler
import threading

import pytest
from drivers import CREATE, GET, save, send, use
from hostile import HostileKling, Made, hang, status, trickle

from airflow_provider_kling import errors
from airflow_provider_kling.api import EFFECTS, Task, Video
from airflow_provider_kling.client import Downloads

SOON = 0.5  # seconds until a deadline
MODES = pytest.mark.parametrize("mode", ["sync", "async"])


@pytest.fixture
def account():
    with HostileKling() as server:
        yield server


@pytest.fixture(autouse=True)
def in_time():
    """Fails a test that still waits long after its deadline: the threads of its server go on for ever."""
    faulthandler.dump_traceback_later(60, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@MODES
@pytest.mark.parametrize("answer", [trickle(0.05), trickle(0.05, head=True), hang], ids=["body", "head", "nothing"])
@pytest.mark.parametrize("call", [GET, CREATE], ids=["get", "create"])
def test_a_request_ends_at_its_deadline_whatever_trickles_in(account, mode, answer, call):
    for kind in ("get", "create"):
        account.answer(kind, answer)
    with pytest.raises(errors.KlingConnectionError, match="timed out") as caught:
        send(mode, account.connection(timeout=30), call, seconds=SOON)
    assert caught.value.sent


@MODES
def test_without_a_deadline_a_request_that_brings_nothing_ends_after_the_timeout(account, mode):
    account.answer("get", hang)
    with pytest.raises(errors.KlingConnectionError, match="timed out"):
        send(mode, account.connection(timeout=0.3))


@MODES
def test_nothing_is_sent_when_no_time_is_left(account, mode):
    with pytest.raises(errors.KlingConnectionError, match="No time is left") as caught:
        send(mode, account.connection(), CREATE, seconds=-1.0)
    assert not caught.value.sent
    assert account.requests == []


@MODES
@pytest.mark.parametrize("asked", ["86400", "Fri, 31 Dec 9999 23:59:59 GMT", "61"])
@pytest.mark.parametrize("seconds", [None, 600.0])
def test_nobody_waits_as_long_as_a_server_asks_if_that_is_too_long(account, mode, asked, seconds):
    account.answer("get", status(429, 1302, "Too many requests", Retry_After=asked, Date="Wed, 25 Nov 2026 00:00:00 GMT"))
    with pytest.raises(errors.KlingBusyError):
        send(mode, account.connection(), seconds=seconds, tries=5)
    assert account.count("get") == 1


@MODES
def test_a_pause_that_would_pass_the_deadline_is_not_made(account, mode):
    account.answer("get", status(503, 5001, "maintenance", Retry_After=20))
    with pytest.raises(errors.KlingServerError):
        send(mode, account.connection(), seconds=10.0, tries=5)
    assert account.count("get") == 1


@MODES
def test_a_large_answer_that_comes_slowly_but_in_time_is_read(account, mode):
    account.answer("get", trickle(0.0002, head=True))
    account.add(made := Made("1", None, {}, 0.0, 0.0))
    assert send(mode, account.connection(timeout=1), seconds=30).kling_task_id == made.task_id


# --- Downloads


@MODES
@pytest.mark.parametrize("answer", [trickle(0.05), trickle(0.05, head=True), hang], ids=["body", "head", "nothing"])
def test_a_download_ends_at_its_deadline(account, mode, answer, tmp_path):
    account.answer("video", answer)
    with pytest.raises(errors.KlingDownloadError, match="timed out"):
        save(mode, account.connection(timeout=30), f"{account.url}/video/1", tmp_path, seconds=SOON)
    assert list(tmp_path.iterdir()) == []


def test_downloads_that_wait_for_their_turn_end_at_their_deadline(account, tmp_path):
    account.answer("video", hang)
    task = Task(kling_task_id="1", status="succeed", videos=(Video(id="v", url=f"{account.url}/video/1"),))

    async def both(client, now):
        downloads = Downloads(1)
        saves = [downloads.save(client, EFFECTS, task, str(tmp_path), log=print, deadline=now + left) for left in (20.0, SOON)]
        first = asyncio.create_task(saves[0])
        await asyncio.to_thread(account.wait_for, "video")
        with pytest.raises(errors.KlingDownloadError, match="No time was left"):
            await saves[1]
        first.cancel()
        await asyncio.wait([first])

    use("async", account.connection(timeout=30), both)


def test_threads_that_watch_requests_end_with_them(account):
    account.add(Made("1", None, {}, 0.0, 0.0))
    send("sync", account.connection(), seconds=30)
    assert not [thread for thread in threading.enumerate() if thread.name == "kling-watchdog"]
