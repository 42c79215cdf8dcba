"""Create a task as soon as the account has a slot and the API works, until a deadline."""

from __future__ import annotations

from airflow_provider_kling.api import Product, Task
from airflow_provider_kling.client.flows.create import KnownIds, create, failing_as_unknown
from airflow_provider_kling.client.flows.describe import describe_adopted, describe_refusal
from airflow_provider_kling.client.flows.lookup import find
from airflow_provider_kling.client.flows.pauses import (
    LONGEST_TROUBLE_PAUSE,
    asked_pause,
    jittered,
)
from airflow_provider_kling.client.flows.spans import format_seconds
from airflow_provider_kling.client.flows.steps import Count, Flow, Log, Sleep
from airflow_provider_kling.client.flows.submission import MOST_FAILED, Submission
from airflow_provider_kling.errors import KlingBusyError, KlingError, KlingSlotsFullError, KlingTimeoutError
from airflow_provider_kling.metrics import ADOPTED, CREATED
from airflow_provider_kling.values import replace

SLOT_PAUSE = 1.0  # seconds before the first new attempt for a slot: the vendor advises at least 1
SLOT_PAUSE_GROWTH = 1.5
LONGEST_SLOT_PAUSE = 15.0
LOG_INTERVAL = 300.0  # seconds between two log lines that say nothing new


def create_when_free(product: Product, submission: Submission, *, deadline: float, once: bool = False) -> Flow[Task]:
    """The one task of this submission, created as soon as the account has a slot and the API works.

    At `deadline`, on the driver's clock, the flow creates nothing more. It looks the submission up once more, and returns its
    task or raises KlingTimeoutError, which says what is known. What no waiting can mend is raised at once.
    With `once`, the flow does not wait: it raises what its first attempt has raised, unless the deadline has come.
    """
    now = started = yield Sleep(0)
    delay, logged_at = SLOT_PAUSE, -LOG_INTERVAL
    known = KnownIds()
    attempt, last = submission, None
    while now < deadline:
        try:
            return (yield from create(product, attempt, deadline=deadline, known=known))
        except KlingError as error:
            if not error.retryable:
                raise
            last = error
        # A refusal for want of a slot is the response to a create, so the lookup before it has found nothing.
        full = isinstance(last, KlingSlotsFullError)
        may_exist = last.outcome_unknown or bool(known.uncertain) or (attempt.adopt_existing and not full)
        attempt = replace(submission, adopt_existing=may_exist)
        now = yield Sleep(0)
        if now >= deadline:
            break
        if once:
            raise last
        if now - logged_at >= LOG_INTERVAL:
            logged_at = now
            waited, left = format_seconds(now - started), format_seconds(deadline - now)
            yield Log(f"{describe_refusal(last)}: waiting, {waited} so far, at most {left} more.")
        longest = LONGEST_SLOT_PAUSE if isinstance(last, KlingBusyError) else LONGEST_TROUBLE_PAUSE
        seconds = min(asked_pause(last, jittered(delay)), deadline - now)
        delay = min(delay * SLOT_PAUSE_GROWTH, longest)
        now = yield Sleep(seconds, for_slot=full)
    return (yield from _at_deadline(product, submission, known, last, waited=now - started))


def _at_deadline(
    product: Product, submission: Submission, known: KnownIds, last: KlingError | None, *, waited: float
) -> Flow[Task]:
    """The task that exists by now; KlingTimeoutError without one, since the time is over."""
    looked_up = True
    try:
        task = yield from _existing_task(product, submission, known)
    except KlingError as error:
        task, looked_up, last = None, False, last or error
    if task:
        yield Count(CREATED if known.uncertain else ADOPTED, submission.scene)
        yield Log(describe_adopted(task.external_task_id or submission.external_id, task))
        return task
    over = (
        f"No Kling task could be created in {format_seconds(waited)}."
        if last
        else "The timeout came before the Kling task was created."
    )
    answer = f" Last answer: {last}" if last else ""
    raise KlingTimeoutError(f"{over} {_what_is_known(submission, known, looked_up=looked_up)}{answer}") from last


def _existing_task(product: Product, submission: Submission, known: KnownIds) -> Flow[Task | None]:
    """The task of this submission that has not failed, if there is one; or the failed one of its last external id."""
    task = None
    for external_id in submission.external_ids():
        if external_id not in known.failed:
            task = yield from failing_as_unknown(find(product, external_id))
            if task is None or not task.failed:
                return task
    return task if submission.max_attempts < MOST_FAILED else None


def _what_is_known(submission: Submission, known: KnownIds, *, looked_up: bool) -> str:
    """Whether something may have been paid, after the last lookup has shown no task or has failed."""
    if known.unseen:
        return (
            f"Kling says that a task with external id {', '.join(sorted(known.unseen))} exists, but does not show it: it may be "
            "running, and charged. Run this again to adopt it."
        )
    if known.uncertain or (submission.adopt_existing and not looked_up):
        return f"A task may exist all the same: run this again to adopt it, or look up external id {submission.external_id}."
    if submission.adopt_existing:
        return f"This start created nothing, and Kling shows no task of an earlier one (external id {submission.external_id})."
    if not looked_up:
        return "Nothing was made, nothing was paid by this attempt; Kling could not be asked whether an earlier one has a task."
    return "Nothing was made, nothing was paid."
