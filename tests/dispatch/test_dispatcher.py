"""The dispatcher against the emulator: which request creates when, how often it polls, and what its waiters get."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from airflow_provider_kling import errors
from airflow_provider_kling.api import EFFECTS, MAX_PAGE_SIZE, EffectRequest
from airflow_provider_kling.client import Submission
from airflow_provider_kling.client.flows.lookup import LOST_AFTER
from airflow_provider_kling.client.retrying import READ_TRIES
from airflow_provider_kling.dispatch import dispatcher
from airflow_provider_kling.hooks import KlingHook


@pytest.fixture(autouse=True)
def _connection(kling, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", kling.connection())


def submission(name: str, *, adopt_existing: bool = False) -> Submission:
    request = EffectRequest("squish", [f"https://example.com/{name}.jpg"])
    return Submission(request=request, external_id=name, adopt_existing=adopt_existing)


async def connected(**options) -> dispatcher.Dispatcher:
    """A dispatcher that is not shared, like that of another process."""
    return dispatcher.Dispatcher(await KlingHook(**options).aget_conn(), EFFECTS)


def discard(_: str) -> None:
    """A log that nobody reads."""


async def video(
    account, name: str, *, group: str = "", adopt_existing: bool = False, timeout: float = 60, lines: list | None = None
):
    """One submission from its create to its end."""
    log = (lines if lines is not None else []).append
    deadline = time.time() + timeout
    task = await account.create(submission(name, adopt_existing=adopt_existing), deadline=deadline, group=group, log=log)
    return await account.wait(task.kling_task_id, deadline=deadline, poll_interval=1, status=task.status, log=log)


async def until(happens) -> None:
    """Wait until the emulator, in its own thread, has seen this."""
    while not happens():  # noqa: ASYNC110
        await asyncio.sleep(0.05)


def names(kling) -> list[str]:
    return [task["external_task_id"] for task in kling.ledger]


@pytest.mark.kling_emulator(slots=4, duration=1, videos="clip")
async def test_a_quota_is_learned_from_one_refusal_and_kept_full(kling):
    async with KlingHook.dispatched() as account:
        done = await asyncio.gather(*(video(account, f"w{number}") for number in range(20)))
    assert all(task.succeeded for task in done)
    assert sorted(names(kling)) == sorted(f"w{number}" for number in range(20))
    assert max(used for _, used in kling.slot_use) == 4
    assert kling.state["answers"]["create 1303"] <= 2


@pytest.mark.kling_emulator(slots=2000, duration=600, videos="clip")
async def test_a_task_that_two_pages_do_not_show_is_looked_up_and_not_taken_for_absent(kling):
    count = 2 * MAX_PAGE_SIZE + 1
    at_once = asyncio.Semaphore(16)
    async with KlingHook() as hook:

        async def make(number: int) -> None:
            async with at_once:
                await hook.acreate_task(EffectRequest("squish", ["https://example.com/a.jpg"]), external_task_id=f"w{number}")

        await make(0)
        await asyncio.gather(*map(make, range(1, count)))
    async with KlingHook.dispatched() as account:
        task = await account.create(submission("w0", adopt_existing=True), deadline=time.time() + 60, log=discard)
    assert task.kling_task_id == kling.ledger[0]["kling_task_id"]
    assert len(kling.requests("create")) == count


@pytest.mark.kling_emulator(duration=0.3, videos="clip")
async def test_polls_that_are_refused_like_creates_end_nothing(kling):
    """A gateway may answer anything with code 1303, a lookup too."""
    kling.fault(1303, on="list", times=2)
    kling.fault(1303, on="get", times=READ_TRIES * 3)
    account = await connected(retry_wait=0.01)
    assert (await video(account, "w", adopt_existing=True)).succeeded
    await account.close()
    assert len(kling.ledger) == 1


@pytest.mark.kling_emulator(slots=4, duration=1, videos="clip")
async def test_two_processes_on_one_account_both_get_on_and_end(kling):
    first, second = await connected(), await connected()
    begun = [asyncio.create_task(video(first, f"a{number}")) for number in range(16)]
    await until(lambda: len(kling.ledger) >= 4)
    await asyncio.gather(*begun, *(video(second, f"b{number}") for number in range(16)))
    for account in (first, second):
        await account.close()
    order = names(kling)
    assert len(order) == 32
    half = max(order.index(name) for name in ("a7", "b7"))
    for letter in "ab":  # when one has created half of its tasks, the other one has created many, too
        assert sum(name[0] == letter for name in order[: half + 1]) >= 4


@pytest.mark.kling_emulator(slots=4, duration=1, videos="clip")
async def test_the_last_task_of_many_does_not_hide_that_others_have_gone(kling):
    """With one task of its own, a process still sees that slots of others are free."""
    kling.plan(duration=600, times=3)
    others = await connected()
    theirs = [asyncio.create_task(video(others, f"b{number}", timeout=600)) for number in range(3)]
    await until(lambda: len(kling.ledger) == 3)
    kling.plan(duration=600, times=1)
    ours = await connected()
    mine = [asyncio.create_task(video(ours, f"a{number}", timeout=600)) for number in range(5)]
    await until(lambda: kling.state["answers"].get("create 1303"))
    sweeps = kling.state["requests"]["list"]
    await until(lambda: kling.state["requests"]["list"] > sweeps + 1)
    for task in kling.ledger[:3]:
        kling.finish(task["kling_task_id"])
    await until(lambda: len(kling.ledger) == 8)
    kling.finish()
    await asyncio.gather(*theirs, *mine)
    for account in (others, ours):
        await account.close()


@pytest.mark.kling_emulator(slots=1, duration=0.3, videos="clip")
async def test_groups_take_turns_and_each_keeps_its_order(kling):
    async with KlingHook.dispatched() as account:
        first = [asyncio.create_task(video(account, f"a{number}", group="a")) for number in range(4)]
        await asyncio.sleep(0)
        second = [asyncio.create_task(video(account, f"b{number}", group="b")) for number in range(2)]
        await asyncio.gather(*first, *second)
    order = names(kling)
    assert [name for name in order if name[0] == "a"] == ["a0", "a1", "a2", "a3"]
    assert [name for name in order if name[0] == "b"] == ["b0", "b1"]
    assert order.index("b1") < order.index("a3")


@pytest.mark.kling_emulator(slots=100, duration=2, videos="clip")
async def test_one_sweep_of_the_list_answers_for_all(kling):
    async with KlingHook.dispatched() as account:
        await asyncio.gather(*(video(account, f"w{number}") for number in range(60)))
    requests = kling.state["requests"]
    assert requests["create"] == 60
    assert requests["list"] < 20
    assert requests.get("get", 0) < 20


@pytest.mark.kling_emulator(slots=100, duration=0, videos="clip", list_order="shuffled")
async def test_tasks_that_the_list_does_not_show_are_queried_singly(kling):
    async with KlingHook() as hook:
        for number in range(80):
            await hook.acreate_task(submission(f"old{number}").request, external_task_id=f"old{number}")
    kling.configure(duration=1)
    async with KlingHook.dispatched() as account:
        done = await asyncio.gather(*(video(account, f"w{number}") for number in range(5)))
    assert all(task.succeeded for task in done)


@pytest.mark.integration
@pytest.mark.kling_emulator(slots=100, duration=0, videos="clip", list_order="oldest")
async def test_in_a_long_list_with_the_newest_last_the_waiters_are_found(kling):
    async with KlingHook() as hook:
        await asyncio.gather(*(hook.acreate_task(submission(f"old{n}").request, external_task_id=f"old{n}") for n in range(1100)))
    kling.configure(duration=3)
    before = kling.state["requests"]
    async with KlingHook.dispatched() as account:
        done = await asyncio.gather(*(video(account, f"w{number}") for number in range(40)))
    assert all(task.succeeded for task in done)
    after = kling.state["requests"]
    assert after["get"] - before.get("get", 0) < 200
    assert after["list"] < 40


@pytest.mark.kling_emulator(slots=2000, duration=600, videos="clip")
async def test_waiters_that_come_one_by_one_are_polled_together(kling):
    """As after the restart of a triggerer, for tasks that stand far back in the list."""
    async with KlingHook() as hook:
        made = [hook.acreate_task(submission(f"w{n}").request, external_task_id=f"w{n}") for n in range(1000)]
        ids = [task.kling_task_id for task in await asyncio.gather(*made)][:300]
    async with KlingHook.dispatched() as account:
        deadline = time.time() + 60
        waiting = []
        for kling_task_id in ids:
            waiting.append(asyncio.create_task(account.wait(kling_task_id, deadline=deadline, poll_interval=10, log=discard)))
            await asyncio.sleep(0.005)  # as fast as a triggerer starts them
        kling.finish()
        assert all(task.succeeded for task in await asyncio.gather(*waiting))
    requests = kling.state["requests"]
    assert requests.get("get", 0) + requests["list"] < len(ids) * 2 / 3  # half of them, where a busy machine lets them come late


async def test_submissions_whose_tasks_may_exist_are_looked_up_together(kling):
    async with KlingHook() as hook:
        made = await hook.acreate_task(submission("w3").request, external_task_id="w3")
    async with KlingHook.dispatched() as account:
        tasks = await asyncio.gather(
            *(
                account.create(submission(f"w{n}", adopt_existing=True), deadline=time.time() + 30, log=discard)
                for n in range(5)  # the account's slots
                if n != 4
            )
        )
    assert tasks[3].kling_task_id == made.kling_task_id
    assert sorted(names(kling)) == ["w0", "w1", "w2", "w3"]
    assert kling.state["requests"]["get"] == 1
    assert kling.state["requests"]["list"] == 2  # the second page shows that nothing is behind the first


@pytest.mark.kling_emulator(slots=3, duration=1, videos="clip")
async def test_slots_that_another_program_uses_are_let_go_and_used_again(kling):
    kling.occupy(2)
    async with KlingHook.dispatched() as account:
        waiting = [asyncio.create_task(video(account, f"w{number}")) for number in range(6)]
        await until(lambda: kling.state["tasks"]["made"] >= 2)
        assert account.slots.limit == 1
        kling.occupy(0)
        await asyncio.gather(*waiting)
    assert kling.state["answers"]["create 1303"] <= 4


@pytest.mark.kling_emulator(slots=2, duration=40, manual_clock=True, videos="clip")
async def test_how_long_earlier_tasks_took_is_learned_from_the_sweep_after_a_refusal(kling):
    async with KlingHook() as hook:
        for number in range(2):
            await hook.acreate_task(EffectRequest("squish", ["https://example.com/a.jpg"]), external_task_id=f"early{number}")
    kling.advance(40)
    async with KlingHook.dispatched() as account:
        waiting = [asyncio.create_task(video(account, f"w{number}", timeout=60)) for number in range(3)]
        await until(lambda: account.durations.expected is not None)
        assert account.durations.expected == 40
        assert account.durations.typical is None
        kling.advance(40)
        await until(lambda: len(kling.ledger) == 5)
        kling.advance(40)
        assert all(task.succeeded for task in await asyncio.gather(*waiting))


@pytest.mark.kling_emulator(slots=1, manual_clock=True, videos="clip")
async def test_a_request_that_waits_for_a_slot_until_its_deadline_has_paid_nothing(kling):
    async with KlingHook.dispatched() as account:
        await account.create(submission("first"), deadline=time.time() + 30, log=discard)
        with pytest.raises(errors.KlingTimeoutError, match="Nothing was made, nothing was paid"):
            await account.create(submission("second"), deadline=time.time() + 1, log=discard)
    assert names(kling) == ["first"]


@pytest.mark.kling_emulator(manual_clock=True)
async def test_a_task_that_does_not_end_in_time_is_named_with_its_last_status(kling):
    async with KlingHook.dispatched() as account:
        with pytest.raises(errors.KlingTimeoutError, match=r"Kling task \d+ is not done after .*last seen: submitted"):
            await video(account, "w", timeout=1.5)


@pytest.mark.kling_emulator(manual_clock=True)
async def test_what_the_create_has_shown_counts_as_seen_where_no_poll_comes_to_an_end(kling):
    async with KlingHook.dispatched() as account:
        task = await account.create(submission("w"), deadline=time.time() + 30, log=discard)
        kling.fault("slow", on="any", seconds=60, times=None)
        options = {"deadline": time.time() + 0.2, "poll_interval": 0.1, "status": task.status, "log": discard}
        with pytest.raises(errors.KlingTimeoutError, match="last seen: submitted"):
            await account.wait(task.kling_task_id, **options)


@pytest.mark.kling_emulator(duration=1, videos="clip")
async def test_passing_faults_of_polls_are_waited_out(kling, monkeypatch):
    async with KlingHook.dispatched() as account:
        lines: list[str] = []
        waiting = [asyncio.create_task(video(account, name, lines=lines)) for name in ("a", "b")]
        await until(lambda: kling.state["tasks"]["made"] >= 2)
        kling.fault(502, on="list", times=4)
        kling.fault(5001, on="get", times=4)
        done = await asyncio.gather(*waiting)
    assert all(task.succeeded for task in done)
    assert sum("Kling cannot be asked at the moment" in line for line in lines) == 2
    assert sum("Kling answers again" in line for line in lines) == 2


@pytest.mark.kling_emulator(duration=1, videos="clip")
async def test_lines_about_the_account_name_its_connection_and_a_refusal_is_no_silence(kling, caplog):
    async with KlingHook.dispatched() as account:
        waiting = asyncio.create_task(video(account, "a"))
        await until(lambda: kling.ledger)
        kling.fault("token", on="any", code=1002, times=None)
        with pytest.raises(errors.KlingAuthError):
            await waiting
        kling.clear_faults()
        assert (await video(account, "b")).succeeded
    lines = [record.getMessage() for record in caplog.records if "airflow_provider_kling.dispatch" in record.name]
    assert [line.partition(" error: ")[0] for line in lines] == ["Connection kling_default: all waits end, because of this"]


@pytest.mark.kling_emulator(slots=1, manual_clock=True)
async def test_a_refused_key_ends_all_waits_for_tasks_and_slots(kling):
    async with KlingHook.dispatched() as account:
        holder = asyncio.create_task(video(account, "holder"))
        await until(lambda: kling.ledger)
        queued = asyncio.create_task(video(account, "queued"))
        await until(lambda: kling.state["answers"].get("create 1303"))
        kling.fault("token", on="any", code=1002, times=None)
        for task in (holder, queued):
            with pytest.raises(errors.KlingAuthError):
                await task
    assert names(kling) == ["holder"]


@pytest.mark.kling_emulator(manual_clock=True)
async def test_a_task_that_has_vanished_is_lost_after_three_polls(kling):
    async with KlingHook.dispatched() as account:
        waiting = asyncio.create_task(video(account, "w"))
        await until(lambda: kling.ledger)
        kling.forget("w")
        with pytest.raises(errors.KlingTaskNotFound):
            await waiting
    assert kling.state["answers"]["get 1201"] == LOST_AFTER


async def test_the_connection_is_looked_up_once_and_the_last_user_ends_it_all(kling):
    before = asyncio.all_tasks()
    async with KlingHook.dispatched() as first, KlingHook.dispatched() as second:
        assert first is second
        await asyncio.gather(*(video(first, f"w{number}") for number in range(3)), return_exceptions=True)
    async with KlingHook.dispatched() as third:
        assert third is not first
    assert asyncio.all_tasks() == before


async def test_a_request_that_gives_up_leaves_the_queue_to_the_others(kling):
    kling.configure(slots=1, duration=1)
    async with KlingHook.dispatched() as account:
        first = asyncio.create_task(video(account, "first"))
        await until(lambda: kling.ledger)
        second = asyncio.create_task(video(account, "second"))
        third = asyncio.create_task(video(account, "third"))
        await until(lambda: kling.state["answers"].get("create 1303"))
        second.cancel()
        await asyncio.gather(first, third)
    assert names(kling) == ["first", "third"]


@pytest.mark.kling_emulator(slots=10, duration=1, videos="clip")
async def test_the_users_own_limit_is_kept(kling, monkeypatch):

    connection = json.loads(kling.connection())
    monkeypatch.setenv("AIRFLOW_CONN_KLING_DEFAULT", json.dumps({**connection, "extra": {"max_concurrency": 2}}))
    async with KlingHook.dispatched() as account:
        await asyncio.gather(*(video(account, f"w{number}") for number in range(5)))
    assert max(used for _, used in kling.slot_use) == 2
    assert "create 1303" not in kling.state["answers"]


async def test_a_fault_in_the_poller_leaves_nobody_waiting_forever(kling):
    async with KlingHook.dispatched() as account:
        waiting = asyncio.create_task(video(account, "w"))
        await until(lambda: kling.ledger)
        account.state.plan = None  # no code of ours does that
        account.changed()
        with pytest.raises((errors.KlingError, AttributeError)):
            await waiting


def test_each_event_loop_has_an_account_of_its_own(kling):
    async def mine():
        async with KlingHook.dispatched() as account:
            return account

    assert asyncio.run(mine()) is not asyncio.run(mine())
    assert not any(len(accounts) for accounts in dispatcher._shared.values())


@pytest.mark.kling_emulator(slots=10, duration=1, videos="clip")
async def test_a_page_of_which_one_task_cannot_be_read_shows_the_others():
    from airflow_provider_kling.api import Response, page_call

    good = {"task_id": "7", "task_status": "submitted"}
    body = json.dumps({"code": 0, "data": [good, {"task_id": {"a": 1}}, "what?"]}).encode()
    page = page_call(EFFECTS, page_num=1, page_size=30).read(Response(status=200, body=body, headers={}))
    assert [task.kling_task_id for task in page.tasks] == ["7"]
    assert page.length == 3
