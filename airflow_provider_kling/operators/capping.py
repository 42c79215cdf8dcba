"""The caps of a run, held before a mapped task instance creates its task; and the prices that they count with."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.arguments import conn_ids
from airflow_provider_kling.caps import RunCap
from airflow_provider_kling.errors import KlingInputError
from airflow_provider_kling.instances import instance_key

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kling.api import Task
    from airflow_provider_kling.client import Submission
    from airflow_provider_kling.client.flows import MadeInRun
    from airflow_provider_kling.hooks import KlingHook
    from airflow_provider_kling.prices import PriceBook


def task_within(context: Context, hook: KlingHook, submission: Submission, cap: RunCap, *, log: Any) -> Task | None:
    """None if a mapped task instance may create its task; the task that it has, where the caps permit no other.

    Raises KlingCappedError where they do and there is none; KlingInputError if `max_units` cannot be held.
    """
    if not cap:
        return None
    key = instance_key(context)
    if key.is_mapped:
        place, cap = key.map_index, left_of(cap, context, hook.kling_conn_id, log=log)
    else:
        place = key.iteration or 0  # one video for each iteration of a loop
    price = _highest_price(cap, submission.scene or "")
    allowance = cap.allowance((number, price) for number in range(place + 1))
    refusal = allowance.refusal(place)
    if not submission.adopt_existing and refusal is None:
        return None
    if submission.adopt_existing and (task := _made(hook, submission)):
        return _adopted(submission, task, log)
    if refusal is None and context["ti"].try_number > 1:
        made = _made_in_run(context, hook)
        rows = max(place + 1, _instances(context))
        allowance = cap.allowance((number, price) for number in range(rows))
        refusal = allowance.refusal(place, paid_before=made.before(submission), others=made.others(submission))
    if refusal is not None:
        raise refusal
    return None


def left_of(cap: RunCap, context: Context, kling_conn_id: str | Iterable[str], *, log: Any) -> RunCap:
    """What the iterations of a loop before this one have left of a cap; the cap itself for a task in no loop.

    They have ended, so the account's list shows what they have made; their number alone would not tell, since each may have had
    another number of rows.
    """
    from airflow_provider_kling.client import flows
    from airflow_provider_kling.hooks import KlingHook

    key = instance_key(context)
    if not cap or not key.iteration:
        return cap
    run_keys = [flows.run_key(key.dag_id, key.run_id, key.task_id, number) for number in range(key.iteration)]
    videos, units = 0, Decimal(0)
    for conn_id in conn_ids(kling_conn_id):
        with KlingHook(conn_id) as hook:
            made, cost = hook.run(flows.spent(hook.product, run_keys))
        videos, units = videos + made, units + cost
    text = "The iterations of this loop before this one have made %s videos for %s units, which count for the caps of the run."
    log.info(text, f"{videos:,}", f"{units:f}")
    return cap.after(videos, units)


def book_for(cap: RunCap, results: str | None = None) -> PriceBook | None:
    """The price book that `max_units` counts with; None where there is no such cap.

    Raises KlingInputError if no place is known for it, or for a file that is no price book.
    """
    from airflow_provider_kling.prices import price_book_location, read_prices

    if cap.max_units is None:
        return None
    location = price_book_location(results)
    if location is None:
        raise KlingInputError(
            f"max_units={cap.max_units:f} needs prices: set [kling] price_book to the place of the price book, or give max_videos."
        )
    return read_prices(location)


def _highest_price(cap: RunCap, scene: str) -> Decimal | None:
    """The highest price of all scenes that are known, where prices matter: an instance knows no scenes of those before it."""
    book = book_for(cap)
    price = book.price(scene) if book else None
    known = [] if price is None else [units for units in (price.units, price.high) if units is not None]
    return max(known, default=None)


def _made(hook: KlingHook, submission: Submission) -> Task | None:
    """The task that an earlier attempt has made, if it has not failed."""
    for external_id in submission.external_ids():
        task = hook.find_task(external_id)
        if task is None or not task.failed:
            return task
    return None


def _adopted(submission: Submission, task: Task, log: Any) -> Task:
    from airflow_provider_kling.client import flows

    log.info("%s", flows.describe_adopted(task.external_task_id or submission.external_id, task))
    return task


def _made_in_run(context: Context, hook: KlingHook) -> MadeInRun:
    from airflow_provider_kling.client import flows

    key = instance_key(context)
    return hook.run(flows.made_in_run(hook.product, flows.run_key(key.dag_id, key.run_id, key.task_id, key.iteration)))


def _instances(context: Context) -> int:
    """How many instances the mapped task has in this run; 1 for a task that is not mapped."""
    ti = context["ti"]
    return int(ti.get_ti_count(dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id]))
