"""Create a task without paying twice: adopt the one that exists, or create one."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TypeVar

from airflow_provider_kling.api import Product, Task, create_call
from airflow_provider_kling.client.flows.describe import describe_adopted
from airflow_provider_kling.client.flows.earlier import listed
from airflow_provider_kling.client.flows.lookup import LOST_AFTER, OWN_ID_LOOKUPS, find, look_up
from airflow_provider_kling.client.flows.pauses import jittered, pause
from airflow_provider_kling.client.flows.spans import RETRY_WAIT
from airflow_provider_kling.client.flows.steps import (
    CheckCapacity,
    Count,
    Flow,
    GiveBack,
    LoadRequest,
    Log,
    Reserve,
    Reserved,
    Sleep,
)
from airflow_provider_kling.client.flows.submission import MOST_FAILED, Submission
from airflow_provider_kling.errors import (
    KlingBusyError,
    KlingConnectionError,
    KlingError,
    KlingRequestError,
    KlingTaskExists,
    KlingTaskNotFound,
)
from airflow_provider_kling.metrics import ADOPTED, CREATED, REFUSED

T = TypeVar("T")

CREATE_TRIES = 4  # sends of one create in one attempt, with a lookup between any two


@dataclass
class KnownIds:
    """What a flow has learnt about the external ids of its submission."""

    failed: set[str] = field(default_factory=set)  # their tasks have failed
    uncertain: set[str] = field(default_factory=set)  # a create was sent, and nothing tells what became of it
    unseen: set[str] = field(default_factory=set)  # Kling says that they exist, and no lookup shows a task


def create(
    product: Product,
    submission: Submission,
    *,
    retry_wait: float = RETRY_WAIT,
    deadline: float | None = None,
    known: KnownIds | None = None,
) -> Flow[Task]:
    """The one task of this submission, adopted or created. Never two, as long as an earlier one has not failed.

    Raises KlingBusyError while no slot is free. Any error with `outcome_unknown` means that a task may exist under one
    of the submission's external ids. No pause ends after `deadline` (on the driver's clock), and none is followed by a create
    there. The flow adds to `known` what it learns.
    """
    known = known or KnownIds()
    adopt_existing = submission.adopt_existing
    for number, external_id in enumerate(submission.external_ids(), submission.first_attempt):
        if external_id in known.failed:
            continue
        is_last = number >= submission.max_attempts and number < MOST_FAILED
        attempt = _Attempt(product, submission, external_id, retry_wait, deadline, known, is_last)
        task, is_new = yield from attempt.run(adopt_existing=adopt_existing)
        if is_new or not task.failed or is_last:
            return task
        reason = task.message or "no reason given"
        yield Log(f"Kling task {task.kling_task_id} of an earlier attempt failed ({reason}). Continuing with the next external id.")
        known.failed.add(external_id)
        adopt_existing = True
    raise KlingRequestError(
        f"{MOST_FAILED} tasks of external id {submission.external_id} have failed",
        http_status=400,
        advice="Change the image or the scene.",
    )


@dataclass
class _Attempt:
    """The task with one external id of a submission."""

    product: Product
    submission: Submission
    external_id: str
    retry_wait: float
    deadline: float | None
    known: KnownIds
    is_last: bool  # no other external id follows, if the task of this one has failed

    def run(self, *, adopt_existing: bool) -> Flow[tuple[Task, bool]]:
        """The task with this external id, and whether this attempt created it."""
        if self.external_id in self.known.unseen:
            return (yield from self._adopt(self._unseen())), False
        if adopt_existing and (found := (yield from failing_as_unknown(find(self.product, self.external_id)))):
            yield from self._adopted(found)
            return found, False
        sent = False
        for number in range(1, CREATE_TRIES + 1):
            yield from self._check_capacity(sent=sent)
            is_new = yield from self._reserve(sent=sent)
            try:
                task = yield from self._send()
            except KlingTaskExists as refused:
                return (yield from self._adopt(refused)), sent
            except KlingError as error:
                failure = error
            else:
                self.submission.created.add(task.kling_task_id)
                yield Count(CREATED, self.submission.scene)
                self.known.uncertain.discard(self.external_id)
                # The response to a create never says how a task ended, only whether.
                done = failing_as_unknown(look_up(self.product, task.kling_task_id))
                return ((yield from done) if task.done else task), True
            if is_new and not failure.outcome_unknown:
                yield GiveBack(self.submission.external_id)
            if failure.outcome_unknown:
                sent = True
                if found := (yield from self._look_up_lost(failure)):
                    return found, True
            elif not isinstance(failure, KlingConnectionError):
                raise failure
            if number == CREATE_TRIES:
                raise failure
            now = yield from pause(jittered(self.retry_wait * 2.0 ** (number - 1)), self.deadline)
            if self.deadline is not None and now >= self.deadline:
                raise failure
        raise AssertionError("unreachable")

    def _send(self) -> Flow[Task]:
        request = self.submission.request
        if callable(request):
            request = yield LoadRequest(request)
        call = create_call(self.product, request, external_task_id=self.external_id, callback_url=self.submission.callback_url)
        try:
            task: Task = yield call
        except KlingBusyError as refused:
            yield Count(REFUSED, self.submission.scene, refused.code)
            raise
        return task

    def _look_up_lost(self, failure: KlingError) -> Flow[Task | None]:
        """The task of a create whose response is lost, if a lookup shows it."""
        self.known.uncertain.add(self.external_id)
        yield Log(f"The response to the create is lost: {failure} Looking up external id {self.external_id} first.")
        found = yield from failing_as_unknown(find(self.product, self.external_id))
        if found:
            self.known.uncertain.discard(self.external_id)
            yield Count(CREATED, self.submission.scene)
            yield Log(f"The create had worked: Kling task {found.kling_task_id} ({found.status}).")
        return found

    def _check_capacity(self, *, sent: bool) -> Flow[None]:
        """A fault of this check does not change what is known of the submission."""
        try:
            yield CheckCapacity(self.product)
        except KlingError as error:
            error.outcome_unknown = sent
            raise

    def _reserve(self, *, sent: bool) -> Flow[bool]:
        """Take a place within the caps of the account. Returns whether it is to be given back if the create is refused."""
        submission = self.submission
        try:
            reserved = yield Reserve(submission.external_id, submission.scene)
            if reserved is Reserved.LIST_FIRST:
                tasks, pages = yield from listed(self.product)
                reserved = yield Reserve(submission.external_id, submission.scene, listed=tuple(tasks), pages=pages)
        except KlingError as error:
            error.outcome_unknown = sent
            raise
        return reserved is Reserved.NEW

    # --- Adopting

    def _adopt(self, refused: KlingTaskExists) -> Flow[Task]:
        """The task that exists according to Kling, even if a lookup does not show it yet."""
        ours = self.submission.derived or self.external_id in self.known.uncertain | self.known.unseen
        lookups = LOST_AFTER if ours else OWN_ID_LOOKUPS
        try:
            found = yield from failing_as_unknown(look_up(self.product, self.external_id, lookups=lookups, deadline=self.deadline))
        except KlingTaskNotFound:
            if ours or (yield from self._is_over()):
                self.known.unseen.add(self.external_id)
                raise self._unseen() from None
            raise self._not_ours(refused) from None
        self.known.unseen.discard(self.external_id)
        yield from self._adopted(found)
        return found

    def _adopted(self, found: Task) -> Flow[None]:
        """Log that a task is adopted: as a warning if it may be the task of another request.

        A failed one is not, where another external id follows.
        """
        submission, sent = self.submission, self.external_id in self.known.uncertain
        self.known.uncertain.discard(self.external_id)
        later_try = submission.adopt_existing and submission.max_attempts > 1
        if sent:
            yield Count(CREATED, submission.scene)
        if found.failed and not self.is_last:
            return
        if not sent:
            yield Count(ADOPTED, submission.scene)
        if submission.derived or later_try or sent:
            yield Log(describe_adopted(self.external_id, found))
        else:
            certain = not submission.adopt_existing
            yield Log(describe_adopted(self.external_id, found, certain=certain), level=logging.WARNING)

    def _is_over(self) -> Flow[bool]:
        """Whether the deadline has come, so that there were fewer lookups than planned."""
        return self.deadline is not None and (yield Sleep(0)) >= self.deadline

    def _unseen(self) -> KlingTaskExists:
        """The error for a task of ours that exists according to Kling, while no lookup shows it: that may pass."""
        error = KlingTaskExists(
            f"External_task_id {self.external_id} already exists, yet a query of it finds no task",
            code=1201,
            http_status=400,
            advice="The task may be shown later. It may be running, and charged; nothing is created in its place.",
        )
        error.retryable = error.outcome_unknown = True
        return error

    def _not_ours(self, refused: KlingTaskExists) -> KlingRequestError:
        """The error for an id of the user's own that exists according to Kling, and that no query finds."""
        return KlingRequestError(
            f"{refused.message}, yet none of the {self.product.name} tasks has it",
            code=refused.code,
            http_status=refused.http_status,
            request_id=refused.request_id,
            advice="Another Kling product may use this id, or Kling does not show the task yet; nobody knows which. Run this "
            "again later: a task that is shown by then is adopted. Choose another external_task_id only if no task of yours "
            "has this one, since another one is paid for.",
        )


def failing_as_unknown(lookup: Flow[T]) -> Flow[T]:
    """The result of a lookup. Where it fails, for whatever reason, the error says that a task may exist."""
    try:
        return (yield from lookup)
    except KlingError as error:
        error.outcome_unknown = True
        raise
