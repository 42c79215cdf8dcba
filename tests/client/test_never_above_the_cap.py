"""The caps of an account under the worst conditions: never one video more, whatever is lost or dies when, and none less.

The state machine of `test_never_pay_twice`, with a cap that processes on one machine hold together by their real file.
"""

from __future__ import annotations

import shutil
import tempfile
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

from examples import examples
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import initialize, invariant, rule, run_state_machine_as_test
from kling_model import Account, fail_after, fail_before
from process_model import Process
from test_never_pay_twice import MAX_STEPS, World

from airflow_provider_kling import errors
from airflow_provider_kling.api import Call, EffectRequest, Page
from airflow_provider_kling.caps import AccountCap
from airflow_provider_kling.client import Spending, Submission
from airflow_provider_kling.client.flows import GiveBack, Reserve, Step

NOW = datetime(2026, 11, 3, tzinfo=timezone.utc)
PRICE = Decimal("2.5")
CREATE_FATES = st.sampled_from(["fine", "fine", "lost, later done", "killed, later done", "killed after", "lost before", "no slot"])


class CappedWorld(World):
    """Submissions of any number of processes, which have one cap. Every second process has read the file before."""

    @initialize(
        slots=st.integers(1, 3),
        submissions=st.integers(1, 4),
        lag=st.sampled_from([0, 1, 2]),
        cap=st.integers(0, 4),
        units=st.booleans(),
    )
    def begin(self, slots: int, submissions: int, lag: int, cap: int = 1, units: bool = False) -> None:
        self.account = Account(self.id_policy, slots, lag)
        request = EffectRequest("squish", ["https://example.com/a.jpg"])
        self.submissions = [Submission(request=request, external_id=f"airflow-{number:040x}") for number in range(submissions)]
        self.cap, self.folder = cap, Path(tempfile.mkdtemp())
        self.caps = AccountCap(max_units_per_month=cap * PRICE) if units else AccountCap(max_videos_per_day=cap)
        self.counts = [self.count(), self.count()]

    def count(self) -> Spending:
        return Spending(self.folder, "c", self.caps, price=lambda _: PRICE, now=lambda: NOW)

    @rule(which=st.integers(0, 3), deferrable=st.booleans())
    def start_any(self, which: int, deferrable: bool) -> None:
        submission = self.submissions[which % len(self.submissions)]
        if self.may_start(submission):
            number = self.tries.get(submission.external_id, 0) + 1
            self.start(submission, adopt_existing=number > 1, timeout=1e6, deferrable=deferrable, try_number=number)

    @rule(which=st.integers(0, 3), fates=st.lists(CREATE_FATES, min_size=1, max_size=8))
    def advance_creates(self, which: int, fates: list[str]) -> None:
        """The fates that matter here, more often."""
        self.advance_process(which, fates)

    @rule(which=st.integers(0, 3))
    def kill(self, which: int) -> None:
        """A process dies between any two steps, also between its place and its create."""
        if self.alive:
            self.alive[which % len(self.alive)].step = None

    @rule(which=st.integers(0, 1), cut=st.integers(1, 20))
    def begin_a_process_anew(self, which: int, cut: int) -> None:
        """A process knows nothing of the file yet; the last one to write into it was killed before its line was whole."""
        self.counts[which] = self.count()
        for path in self.folder.iterdir():
            with path.open("ab") as file:
                file.write(b'{"id": "airflow-cut off"'[:cut])

    def keep_cap(self, step: Reserve | GiveBack) -> Any:
        count = self.counts[len(self.processes) % 2]
        return count.reserve(step) if isinstance(step, Reserve) else count.give_back(step.external_id)

    def take(self, step: Step, process: Process, *, fate: str) -> Any:
        if not isinstance(step, Call) or "pageNum" not in step.params:
            return super().take(step, process, fate=fate)
        fail_before(fate)
        shown = [self.account.to_task(task) for task in self.account.tasks if not task.hidden]
        page = Page(tasks=shown if step.params["pageNum"] == "1" else [], length=len(shown))
        fail_after(fate)
        return page

    @invariant()
    def no_more_is_made_than_the_cap_permits(self) -> None:
        if self.submissions:
            assert sum(task.paid for task in self.account.tasks) <= self.cap

    @invariant()
    def no_try_ends_because_of_a_passing_fault(self) -> None:
        capped = [process for process in self.processes if isinstance(process.error, errors.KlingCappedError)]
        for process in capped:
            assert not any(task.creator is process and task.paid for task in self.account.tasks)
        self.processes, processes = [process for process in self.processes if process not in capped], self.processes
        super().no_try_ends_because_of_a_passing_fault()
        self.processes = processes

    def teardown(self) -> None:
        """Without faults, as many of the submissions get their video as the cap permits; the others are capped."""
        if not self.submissions:
            return
        self.account.used_by_others = 0
        while self.account.delayed:
            self.account.apply_delayed(0)
        for _ in range(MAX_STEPS):
            for process in self.alive:
                self.advance_without_faults(process)
        for submission in self.submissions:
            number = self.tries.get(submission.external_id, 0) + 1
            last = self.start(submission, adopt_existing=True, timeout=1e6, deferrable=False, try_number=number)
            for _ in range(MAX_STEPS):
                self.advance_without_faults(last)
            assert last.task or isinstance(last.error, errors.KlingCappedError), repr(last.error)
        assert sum(task.paid for task in self.account.tasks) == min(self.cap, len(self.submissions))
        shutil.rmtree(self.folder)


def test_never_more_than_the_cap_and_never_less_whatever_happens() -> None:
    run_state_machine_as_test(
        CappedWorld,
        settings=settings(
            max_examples=examples(150),
            stateful_step_count=40,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


def two_submissions(cap: int = 1) -> CappedWorld:
    world = CappedWorld()
    world.begin(slots=2, submissions=2, lag=0, cap=cap)
    return world


def run(world: CappedWorld, which: int, fates: list[str]) -> Process:
    """One try of a submission, whose calls have these fates, and no faults from then on."""
    world.start_any(which, deferrable=False)
    process = world.processes[-1]
    for fate in fates:
        while process.alive and not isinstance(process.step, Call):
            world.advance(process, "fine")
        world.advance(process, fate)
    for _ in range(MAX_STEPS if "killed, later done" not in fates else 0):
        world.advance_without_faults(process)
    return process


def test_a_create_that_was_refused_gives_its_place_back() -> None:
    world = two_submissions()
    assert isinstance(run(world, 0, ["fine", "in arrears"]).error, errors.KlingAccountError)
    assert run(world, 1, []).task


def test_a_create_that_may_take_effect_later_keeps_its_place_though_the_next_one_is_refused() -> None:
    world = two_submissions()
    run(world, 0, ["fine", "killed, later done"])
    assert isinstance(run(world, 0, ["fine", "in arrears"]).error, errors.KlingAccountError)
    assert isinstance(run(world, 1, []).error, errors.KlingCappedError)
    world.apply_delayed_create(0)
    world.no_more_is_made_than_the_cap_permits()
    assert run(world, 0, []).task


def test_a_place_that_two_processes_rely_on_is_not_given_back_by_one_of_them() -> None:
    world = two_submissions()
    world.start_any(0, deferrable=False)
    world.start_any(0, deferrable=False)
    first, second = world.processes
    world.advance_process(0, ["fine"])  # reads the list, and takes the place
    while not isinstance(second.step, Call) or second.step.safe:
        world.advance(second, "fine")
    world.advance(first, "no slot")
    for _ in range(MAX_STEPS):
        world.advance_without_faults(first)
    assert isinstance(run(world, 1, []).error, errors.KlingCappedError)
    world.advance(second, "fine")
    world.no_more_is_made_than_the_cap_permits()
