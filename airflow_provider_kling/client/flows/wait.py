"""Wait until a task is done."""

from __future__ import annotations

from airflow_provider_kling.api import Product, Task, get_call
from airflow_provider_kling.client.flows.describe import describe
from airflow_provider_kling.client.flows.lookup import LOST_AFTER, lost
from airflow_provider_kling.client.flows.pauses import LONGEST_TROUBLE_PAUSE, jittered
from airflow_provider_kling.client.flows.spans import format_seconds
from airflow_provider_kling.client.flows.steps import Flow, Log, Sleep
from airflow_provider_kling.errors import KlingError, KlingTaskNotFound, KlingTimeoutError


class Watch:
    """One task that somebody waits for: what each poll of it means.

    `status` is the last status that was logged. After each `observe`, `task` is the task once it is done, and `error`
    what ends the wait. `conn_id` names the connection in these lines. All times are on one monotonic clock.
    """

    def __init__(self, kling_task_id: str, *, started: float, status: str = "", conn_id: str = "") -> None:
        self.kling_task_id = kling_task_id
        self.task: Task | None = None
        self.error: KlingError | None = None
        self.failures = 0  # polls in a row that failed
        self._where = f"Connection {conn_id}: " if conn_id else ""
        self._started = started
        self._status = status
        self._not_found = 0  # polls in a row
        self._last_seen = status or "nothing"  # polls that bring nothing new are not told

    def observe(self, news: Task | KlingError) -> list[str]:
        """Take note of what a poll has brought: the task, or its error. Returns what is new, as lines for the log."""
        return self._seen(news) if isinstance(news, Task) else self._missed(news)

    def _seen(self, task: Task) -> list[str]:
        messages = [f"{self._where}Kling answers again."] if self.failures else []
        if task.status != self._status:
            messages.append(describe(task))
        self._not_found, self.failures, self._status, self._last_seen = 0, 0, task.status, task.status
        self.task = task if task.done else None
        return messages

    def _missed(self, error: KlingError) -> list[str]:
        if isinstance(error, KlingTaskNotFound):
            self._not_found += 1
            self.error = lost(self.kling_task_id) if self._not_found >= LOST_AFTER else None
            return []
        if not error.retryable:
            self.error = error
            self.failures = 0
            after = (
                f"Kling task {self.kling_task_id} is not cancelled. Once the problem is solved, run this again to adopt its result."
            )
            return [f"{self._where}no more polls, because of this error: {error} {after}"]
        self.failures, self._last_seen = self.failures + 1, str(error)
        if self.failures > 1:
            return []
        return [f"{self._where}Kling cannot be asked at the moment: {error} The task is not cancelled; asking again."]

    def expired(self, now: float) -> KlingTimeoutError:
        """The error for a deadline that has come before the end."""
        return KlingTimeoutError(
            f"Kling task {self.kling_task_id} is not done after {format_seconds(now - self._started)}; "
            f"last seen: {self._last_seen}. "
            "It goes on at Kling and will be charged: run this again to adopt its result without paying twice."
        )


def wait(
    product: Product,
    kling_task_id: str,
    *,
    deadline: float,
    poll_interval: float,
    first_poll: float = 0.0,
    status: str = "",
    conn_id: str = "",
) -> Flow[Task]:
    """The task, once it is done: succeeded or failed. Times are on the driver's clock, the interval is in seconds.

    The first poll is not before `first_poll`; `status` is the last status that was logged; the lines name `conn_id`.
    Faults that may pass are waited out. Raises KlingTimeoutError at `deadline`, errors of credentials and account at once,
    KlingTaskNotFound after several polls in a row.
    """
    now = yield Sleep(0)
    watch = Watch(kling_task_id, started=now, status=status, conn_id=conn_id)
    if first_poll > now:
        now = yield Sleep(max(0.0, min(first_poll, deadline) - now))
    while True:
        news: Task | KlingError
        try:
            news = yield get_call(product, kling_task_id)
        except KlingError as error:
            news = error
        now = yield Sleep(0)  # a poll may have taken long
        for message in watch.observe(news):
            yield Log(message)
        if watch.error:
            raise watch.error
        if watch.task:
            return watch.task
        if now >= deadline:
            raise watch.expired(now)
        longest = max(poll_interval, LONGEST_TROUBLE_PAUSE)
        seconds = jittered(min(poll_interval * 2.0 ** max(0, watch.failures - 1), longest))
        now = yield Sleep(min(seconds, max(0.0, deadline - now)))
