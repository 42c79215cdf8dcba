"""Sweeps of lists of any order: each end is found once, whatever else happens to the account meanwhile."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import timedelta

import pendulum
import pytest
from examples import examples
from hypothesis import example, given, settings, strategies as st

from airflow_provider_kling.api import Task
from airflow_provider_kling.callbacks import Shown, Sweeps

START = pendulum.datetime(2026, 11, 26)
PAGE = 5
ORDERS = ["newest first", "oldest first", "none"]


@dataclass
class Account:
    """Tasks that are created and end, and a list of them."""

    order: str
    now: pendulum.DateTime = START
    tasks: dict[str, Task] = field(default_factory=dict)
    requests: int = 0

    def create(self) -> str:
        self.now += timedelta(seconds=1)
        task = Task(kling_task_id=str(len(self.tasks)), status="processing", created_at=self.now, updated_at=self.now)
        self.tasks[task.kling_task_id] = task
        return task.kling_task_id

    def end(self, task_id: str) -> None:
        self.now += timedelta(seconds=1)
        created = self.tasks[task_id].created_at
        self.tasks[task_id] = Task(kling_task_id=task_id, status="failed", created_at=created, updated_at=self.now)

    def page(self, number: int) -> Shown:
        self.requests += 1
        tasks = list(self.tasks.values())
        if self.order == "newest first":
            tasks.reverse()
        elif self.order == "none":
            random.Random(7).shuffle(tasks)
        shown = tasks[(number - 1) * PAGE : number * PAGE]
        return Shown(shown, len(shown))


def sweep(sweeps: Sweeps, account: Account, grace: float = 0) -> list[str]:
    """One sweep as the trigger does it; returns the ids of the ends that it reports."""
    started, pages = account.now, sweeps.pages()
    number = next(pages)
    while True:
        try:
            number = pages.send(account.page(number))
        except StopIteration:
            break
    for task_id in sweeps.to_query():
        sweeps.queried(task_id, account.tasks[task_id])
    ends = sweeps.ends(account.now, timedelta(seconds=grace))
    sweeps.report(ends, account.now)
    sweeps.finish(started)
    return [task.kling_task_id for task in ends]


@pytest.mark.parametrize("order", ORDERS)
@settings(max_examples=examples(60), deadline=None)
@given(steps=st.lists(st.sampled_from(["create", "create", "end", "end", "sweep"]), max_size=150), seed=st.integers(0, 1000))
@example(steps=[*["create"] * 2, "sweep", *["create"] * 9, "sweep", "create", "end"], seed=0)  # two that look sorted
def test_each_end_is_found_once(order, steps, seed):
    account, chance = Account(order), random.Random(seed)
    sweeps, found, running, ended = Sweeps(START, page_size=PAGE), [], [], []
    for step in steps:
        if step == "create":
            running.append(account.create())
        elif step == "end" and running:
            ended.append(running.pop(chance.randrange(len(running))))
            account.end(ended[-1])
        elif step == "sweep":
            found += sweep(sweeps, account)
    for _ in range(2 + len(account.tasks) // 20):  # twenty queries a sweep
        found += sweep(sweeps, account)
    assert sorted(found) == sorted(ended)


@pytest.mark.parametrize("order", ["newest first", "oldest first"])
def test_a_sweep_of_a_long_list_reads_a_page_or_two(order):
    account = Account(order)
    for _ in range(150):
        account.end(account.create())
    sweeps = Sweeps(account.now, page_size=PAGE)
    sweep(sweeps, account)
    account.requests = 0
    ended = account.create()
    account.end(ended)
    assert sweep(sweeps, account) == [ended]
    assert account.requests <= 2


def test_ends_before_the_first_sweep_are_no_news():
    account = Account("newest first")
    account.end(account.create())
    sweeps = Sweeps(account.now + timedelta(seconds=1), page_size=PAGE)
    assert sweep(sweeps, account) == []


def test_an_end_waits_until_it_is_old_enough():
    account = Account("newest first")
    sweeps = Sweeps(START, page_size=PAGE)
    task_id = account.create()
    account.end(task_id)
    assert sweep(sweeps, account, grace=120) == []
    account.now += timedelta(seconds=121)
    assert sweep(sweeps, account, grace=120) == [task_id]
    account.now += timedelta(days=1)
    assert sweep(sweeps, account, grace=120) == []
