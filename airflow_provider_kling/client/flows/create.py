"""Create a task without paying twice: adopt the one that exists, or create one, as soon as the account has a slot."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from airflow_provider_kling.api import Product, Task, create_call
from airflow_provider_kling.client.flows.describe import describe_adopted
from airflow_provider_kling.client.flows.lookup import find, look_up
from airflow_provider_kling.client.flows.pauses import LONGEST_TROUBLE_PAUSE, format_seconds, jittered
from airflow_provider_kling.client.flows.steps import CheckCapacity, Flow, LoadRequest, Log, Sleep
from airflow_provider_kling.client.flows.submission import MOST_FAILED, Submission
from airflow_provider_kling.errors import (
    KlingBusyError,
    KlingConnectionError,
    KlingError,
    KlingRequestError,
    KlingSlotsFullError,
    KlingTaskExists,
    KlingTaskNotFound,
    KlingTimeoutError,
)

T = TypeVar("T")

RETRY_WAIT = 1.0  # seconds before a create whose response was lost is sent again, doubling from there
CREATE_TRIES = 4  # sends of one create in one attempt, with a lookup between any two
SLOT_PAUSE = 1.0  # seconds before the first new attempt for a slot: the vendor advises at least 1
SLOT_PAUSE_GROWTH = 1.5
LONGEST_SLOT_PAUSE = 15.0
LOG_INTERVAL = 300.0  # seconds between two log lines that say nothing new


def create(
    product: Product, submission: Submission, *, retry_wait: float = RETRY_WAIT, failed_ids: set[str] | None = None
) -> Flow[Task]:
    """The one task of this submission, adopted or created. Never two, as long as an earlier one has not failed.

    Raises KlingBusyError while no slot is free. Any error with `outcome_unknown` means that a task may exist under one
    of the submission's external ids. `failed_ids` are those external ids whose tasks are known to have failed; the flow
    adds those that it finds.
    """
    failed_ids = set() if failed_ids is None else failed_ids
    adopt_existing = submission.adopt_existing
    for external_id in submission.external_ids():
        if external_id in failed_ids:
            continue
        task, is_new = yield from _create_as(product, submission, external_id, adopt_existing=adopt_existing, retry_wait=retry_wait)
        if is_new or not task.failed:
            return task
        reason = task.message or "no reason given"
        yield Log(f"Kling task {task.kling_task_id} of an earlier attempt failed ({reason}). Continuing with the next external id.")
        failed_ids.add(external_id)
        adopt_existing = True
    raise KlingRequestError(
        f"{MOST_FAILED} tasks of external id {submission.external_id} have failed",
        http_status=400,
        advice="Change the image or the scene.",
    )


def _create_as(
    product: Product, submission: Submission, external_id: str, *, adopt_existing: bool, retry_wait: float
) -> Flow[tuple[Task, bool]]:
    """The task with this external id, and whether this attempt created it."""
    if adopt_existing and (found := (yield from _existing(find(product, external_id)))):
        yield Log(describe_adopted(external_id, found))
        return found, False
    sent = False
    for number in range(1, CREATE_TRIES + 1):
        yield from _check_capacity(product, sent=sent)
        try:
            task = yield from _send(product, submission, external_id)
        except KlingTaskExists as refused:
            return (yield from _adopt(product, external_id, refused)), sent
        except KlingError as error:
            if error.outcome_unknown:
                sent = True
                yield Log(f"The response to the create is lost: {error} Looking up external id {external_id} first.")
                if found := (yield from _existing(find(product, external_id))):
                    yield Log(f"The create had worked: Kling task {found.kling_task_id} ({found.status}).")
                    return found, True
            elif not isinstance(error, KlingConnectionError):
                raise
            if number == CREATE_TRIES:
                raise
            yield Sleep(jittered(retry_wait * 2.0 ** (number - 1)))
        else:
            # The response to a create never says how a task ended, only whether.
            return ((yield from _existing(look_up(product, task.kling_task_id))) if task.done else task), True
    raise AssertionError("unreachable")


def _send(product: Product, submission: Submission, external_id: str) -> Flow[Task]:
    request = submission.request
    if callable(request):
        request = yield LoadRequest(request)
    task: Task = yield create_call(product, request, external_task_id=external_id, callback_url=submission.callback_url)
    return task


def _check_capacity(product: Product, *, sent: bool) -> Flow[None]:
    """A fault of this check does not change what is known of the submission."""
    try:
        yield CheckCapacity(product)
    except KlingError as error:
        error.outcome_unknown = sent
        raise


def _existing(lookup: Flow[T]) -> Flow[T]:
    """The result of a lookup. Where it fails, for whatever reason, the error says that a task may exist."""
    try:
        return (yield from lookup)
    except KlingError as error:
        error.outcome_unknown = True
        raise


def _adopt(product: Product, external_id: str, refused: KlingTaskExists) -> Flow[Task]:
    """The task that exists according to Kling, even if a lookup does not show it yet."""
    try:
        found = yield from _existing(look_up(product, external_id))
    except KlingTaskNotFound:
        raise KlingRequestError(
            f"{refused.message}, yet none of the {product.name} tasks has it",
            code=refused.code,
            http_status=refused.http_status,
            request_id=refused.request_id,
            advice="Another Kling product may use this id: choose another external_task_id.",
        ) from None
    yield Log(describe_adopted(external_id, found))
    return found


def create_when_free(product: Product, submission: Submission, *, deadline: float) -> Flow[Task]:
    """The one task of this submission, created as soon as the account has a slot and the API works.

    Raises KlingTimeoutError when `deadline` (Unix seconds) comes first, and at once what no waiting can mend.
    """
    now = started = yield Sleep(0)
    pause, logged_at = SLOT_PAUSE, -LOG_INTERVAL
    failed_ids: set[str] = set()
    while True:
        try:
            if now > deadline:
                return (yield from _adopt_only(product, submission))
            return (yield from create(product, submission, failed_ids=failed_ids))
        except KlingError as error:
            if not error.retryable:
                raise
            # A refusal for want of a slot is the response to a create, so the lookup before it has found nothing.
            full = isinstance(error, KlingSlotsFullError)
            may_exist = error.outcome_unknown or (submission.adopt_existing and not full)
            submission = replace(submission, adopt_existing=may_exist)
            if now >= deadline:
                raise _timed_out(submission, error, waited=now - started) from error
            if now - logged_at >= LOG_INTERVAL:
                logged_at = now
                why = "All slots of the account are taken" if full else str(error).rstrip(".")
                waited, left = format_seconds(now - started), format_seconds(deadline - now)
                yield Log(f"{why}: waiting, {waited} so far, at most {left} more.")
            longest = LONGEST_SLOT_PAUSE if isinstance(error, KlingBusyError) else LONGEST_TROUBLE_PAUSE
            seconds = max(jittered(pause), getattr(error, "retry_after", None) or 0.0)
        pause = min(pause * SLOT_PAUSE_GROWTH, longest)
        now = yield Sleep(min(seconds, max(0.0, deadline - now)), for_slot=full)


def _adopt_only(product: Product, submission: Submission) -> Flow[Task]:
    """The task that an earlier attempt created; KlingTimeoutError without one, since the time is over."""
    if submission.adopt_existing:
        task = yield from _existing(find(product, submission.external_id))
        if task and not task.failed:
            yield Log(describe_adopted(submission.external_id, task))
            return task
    raise KlingTimeoutError("The timeout came before the Kling task was created. Nothing was made, nothing was paid.")


def _timed_out(submission: Submission, error: KlingError, *, waited: float) -> KlingTimeoutError:
    outcome = "Nothing was made, nothing was paid."
    if submission.adopt_existing:
        outcome = f"A task may exist all the same: run this again to adopt it, or look up external id {submission.external_id}."
    return KlingTimeoutError(f"No Kling task could be created in {format_seconds(waited)}. {outcome} Last answer: {error}")
