"""What takes several calls: create without paying twice, wait until done, save. Decided here, done elsewhere.

A flow is a generator of steps. Whoever drives it (`KlingHook`, sync or async) does each step, sends back what came of
it or throws in the KlingError that came instead, and ends with the flow's return value:

- a `Call` is sent to the API; a driver repeats reads over passing faults, and never repeats a create;
- a `Sleep` waits for so many seconds, and brings the time (Unix seconds) at which it ended; one that is `for_slot` may
  end sooner, or later, as soon as there is a slot;
- a `CheckCapacity` sees whether there is room for one more task: whether the connection's `max_concurrency` leaves it or, where
  several submissions are dispatched together, whether it is this one's turn;
- a `LoadRequest` brings the request of a submission whose images are only held while they are sent;
- a `SaveVideo` stores a video, unless it is there already, and brings the path.

So each rule stands here once, for the worker and for the triggerer, and can be tested without a socket or a clock.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from airflow_provider_kling.api import NOT_FOUND_ADVICE, Call, EffectRequest, Task, create_call, get_call
from airflow_provider_kling.errors import (
    KlingAnswerError,
    KlingBusyError,
    KlingConnectionError,
    KlingDownloadError,
    KlingError,
    KlingRequestError,
    KlingSlotsFullError,
    KlingTaskExists,
    KlingTaskNotFound,
    KlingTimeoutError,
)

T = TypeVar("T")
Log = Callable[[str], None]  # takes a sentence for the log

RETRY_WAIT = 1.0  # seconds before a create whose answer was lost is sent again, doubling from there
CREATE_TRIES = 4  # sends of one create in one go, with a look-up between any two
MOST_FAILED = 100  # failed tasks that one submission may leave behind
SLOT_PAUSE = 1.0  # seconds before the first new try for a slot: the vendor advises at least 1
LONGEST_SLOT_PAUSE = 15.0
LOST_LOOKS = 3  # looks in a row that do not find a task, before it counts as lost
LONGEST_TROUBLE_PAUSE = 60.0
SAID_EVERY = 300.0  # seconds between two sentences that say nothing new


@dataclass(frozen=True)
class Sleep:
    """Wait. Brings the time at which it ended, in Unix seconds."""

    seconds: float
    for_slot: bool = False


@dataclass(frozen=True)
class LoadRequest:
    """Bring the request that this reads. It may block."""

    read: Callable[[], EffectRequest]


@dataclass(frozen=True)
class SaveVideo:
    """Store the video of this link under this name, unless it is there. Brings its path."""

    url: str
    name: str


@dataclass(frozen=True)
class CheckCapacity:
    """See whether the user lets one more task run. Brings nothing; KlingSlotsFullError if not."""


Step = Call[Any] | Sleep | LoadRequest | SaveVideo | CheckCapacity
Flow = Generator[Step, Any, T]


@dataclass(frozen=True, kw_only=True)
class Submission:
    """One submission for one video: what is asked for, and the external id it is known by, come what may.

    `request` may be what reads it, so that images of many waiting submissions need not be held in memory.
    """

    request: EffectRequest | Callable[[], EffectRequest]
    external_id: str
    callback_url: str | None = None

    def external_ids(self) -> Iterator[str]:
        """The id itself, and those that follow when the tasks of the earlier ones have failed."""
        yield self.external_id
        for number in range(2, MOST_FAILED + 1):
            yield f"{self.external_id}-{number}"


def external_id_of(
    request: EffectRequest, *, dag_id: str, run_id: str, task_id: str, place: str | int, fresh: str | None = None
) -> str:
    """The external id of one submission: the same after a retry, a clear, a crash; another one for a changed request.

    `place` is the manifest's row id or, without one, the map index. Another `fresh` makes another submission of the same.
    """
    identity = json.dumps([dag_id, run_id, task_id, str(place), request.fingerprint, fresh or ""], ensure_ascii=False)
    return f"airflow-{hashlib.sha256(identity.encode()).hexdigest()[:40]}"


def find(any_id: str) -> Flow[Task | None]:
    """The task with this Kling task id or external id, if there is one."""
    try:
        task: Task = yield get_call(any_id)
    except KlingTaskNotFound:
        return None
    return task


def create(
    submission: Submission, *, adopt_existing: bool, say: Log, retry_wait: float = RETRY_WAIT, spent: set[str] | None = None
) -> Flow[Task]:
    """The one task of this submission: found, or made. Never two, as long as an earlier one has not failed.

    `adopt_existing` is to be true whenever an earlier attempt may have come as far as a create. Raises KlingBusyError
    while no slot is free; any error with `outcome_unknown` means that a task may exist under one of the submission's ids.
    `spent` are those of its ids whose tasks have failed, as far as that is known; those that are found are added.
    """
    spent = set() if spent is None else spent
    for external_id in submission.external_ids():
        if external_id in spent:
            continue
        task, is_new = yield from _create_as(submission, external_id, adopt_existing=adopt_existing, say=say, retry_wait=retry_wait)
        if is_new or not task.failed:
            return task
        reason = task.message or "no reason given"
        say(
            f"Kling task {task.kling_task_id} of an earlier attempt failed ({reason}); asking once more under the next external id."
        )
        spent.add(external_id)
        adopt_existing = True
    raise KlingRequestError(
        f"{MOST_FAILED} tasks of external id {submission.external_id} have failed",
        http_status=400,
        advice="Change the image or the scene.",
    )


def _create_as(
    submission: Submission, external_id: str, *, adopt_existing: bool, say: Log, retry_wait: float
) -> Flow[tuple[Task, bool]]:
    """The task of this id, and whether this very attempt made it."""
    if adopt_existing and (found := (yield from _sure(find(external_id)))):
        say(describe_adopted(external_id, found))
        return found, False
    sent = False
    for number in range(1, CREATE_TRIES + 1):
        yield from _room(sent=sent)
        try:
            request = (
                submission.request if isinstance(submission.request, EffectRequest) else (yield LoadRequest(submission.request))
            )
            made: Task = yield create_call(request, external_task_id=external_id, callback_url=submission.callback_url)
        except KlingTaskExists as refused:
            return (yield from _adopt(external_id, refused, say=say)), sent
        except KlingError as error:
            if error.outcome_unknown:
                sent = True
                say(f"The answer to the create is lost: {error} Looking for external id {external_id} before anything else.")
                if found := (yield from _sure(find(external_id))):
                    say(f"It was made all the same: Kling task {found.kling_task_id} ({found.status}).")
                    return found, True
            elif not isinstance(error, KlingConnectionError):
                raise
            if number == CREATE_TRIES:
                raise
            yield Sleep(_jittered(retry_wait * 2.0 ** (number - 1)))
        else:
            # An answer to a create never says how a task ended, only whether.
            return ((yield from _sure(look_up(made.kling_task_id))) if made.done else made), True
    raise AssertionError("unreachable")


def _room(*, sent: bool) -> Flow[None]:
    """A fault of this look leaves the fate of the submission as it was."""
    try:
        yield CheckCapacity()
    except KlingError as error:
        error.outcome_unknown = sent
        raise


def _sure(looking: Flow[T]) -> Flow[T]:
    """Where this look itself fails, whatever for, the error says that a task may exist."""
    try:
        return (yield from looking)
    except KlingError as error:
        error.outcome_unknown = True
        raise


def _adopt(external_id: str, refused: KlingTaskExists, *, say: Log) -> Flow[Task]:
    """The task that Kling says exists, though a look may be too early to see it."""
    try:
        found = yield from _sure(look_up(external_id))
    except KlingTaskNotFound:
        raise KlingRequestError(
            f"{refused.message}, yet no effect task has it",
            code=refused.code,
            http_status=refused.http_status,
            request_id=refused.request_id,
            advice="Another Kling product may use this id: choose another external_task_id.",
        ) from None
    say(describe_adopted(external_id, found))
    return found


def create_when_free(submission: Submission, *, adopt_existing: bool, deadline: float, say: Log) -> Flow[Task]:
    """The one task of this submission, made as soon as the account has a slot and the API is well.

    Raises KlingTimeoutError when `deadline` (Unix seconds) comes first; what cannot pass by waiting, at once.
    """
    now = started = yield Sleep(0)
    pause, said = SLOT_PAUSE, -SAID_EVERY
    spent: set[str] = set()
    while True:
        try:
            if now > deadline:
                return (yield from _made_in_time(submission, adopt_existing=adopt_existing, say=say))
            return (yield from create(submission, adopt_existing=adopt_existing, say=say, spent=spent))
        except KlingError as error:
            if not error.retryable:
                raise
            # A refusal for want of a slot answers a create, so the look before it has found nothing.
            full = isinstance(error, KlingSlotsFullError)
            adopt_existing = error.outcome_unknown or (adopt_existing and not full)
            if now >= deadline:
                raise _no_slot(submission, error, waited=now - started, unknown=adopt_existing) from error
            if now - said >= SAID_EVERY:
                said = now
                why = "All slots of the account are taken" if full else str(error).rstrip(".")
                say(f"{why}: waiting, {format_seconds(now - started)} so far, at most {format_seconds(deadline - now)} more.")
            longest = LONGEST_SLOT_PAUSE if isinstance(error, KlingBusyError) else LONGEST_TROUBLE_PAUSE
            seconds = max(_jittered(pause), getattr(error, "retry_after", None) or 0.0)
        pause = min(pause * 1.5, longest)
        now = yield Sleep(min(seconds, max(0.0, deadline - now)), for_slot=full)


def _made_in_time(submission: Submission, *, adopt_existing: bool, say: Log) -> Flow[Task]:
    """The task of a submission whose time is over: one that an earlier attempt has made, or KlingTimeoutError."""
    if adopt_existing and (task := (yield from _sure(find(submission.external_id)))) and not task.failed:
        say(describe_adopted(submission.external_id, task))
        return task
    raise KlingTimeoutError("The timeout came before the Kling task was asked for. Nothing was made, nothing was paid.")


def _no_slot(submission: Submission, error: KlingError, *, waited: float, unknown: bool) -> KlingTimeoutError:
    fate = "Nothing was made, nothing was paid."
    if unknown:
        fate = f"A task may exist all the same: run this again to take it, or look for external id {submission.external_id}."
    return KlingTimeoutError(f"No Kling task could be created in {format_seconds(waited)}. {fate} Last answer: {error}")


def look_up(any_id: str) -> Flow[Task]:
    """The task of this id as it is now. Raises KlingTaskNotFound only after several looks in a row."""
    for number in range(LOST_LOOKS):
        if number:
            yield Sleep(_jittered(1.0))
        if task := (yield from find(any_id)):
            return task
    raise _lost(any_id)


class Watch:
    """One task that is waited for: what each look at it means for whoever waits.

    `status` is the last one that was told; each other one is said. `deadline` and all times are Unix seconds.
    """

    def __init__(self, kling_task_id: str, *, started: float, deadline: float, status: str = "", say: Log) -> None:
        self.kling_task_id = kling_task_id
        self.deadline = deadline
        self._started = started
        self._status = status
        self._say = say
        self._lost = 0
        self._last = "nothing"
        self.trouble = 0  # looks in a row that failed

    def saw(self, task: Task) -> bool:
        """A look has shown the task; whether it is done."""
        if self.trouble:
            self._say("Kling answers again.")
        if task.status != self._status:
            self._say(describe(task))
        self._lost, self.trouble, self._status, self._last = 0, 0, task.status, task.status
        return task.done

    def missed(self, error: KlingError) -> None:
        """A look has failed. Raises what cannot pass by waiting; a task counts as lost after several looks in a row."""
        if isinstance(error, KlingTaskNotFound):
            self._lost += 1
            if self._lost >= LOST_LOOKS:
                raise _lost(self.kling_task_id) from None
            return
        if not error.retryable:
            self._say(f"Kling task {self.kling_task_id} goes on; once the trouble is mended, run this again to take its result.")
            raise error
        self.trouble, self._last = self.trouble + 1, str(error)
        if self.trouble == 1:
            self._say(f"Kling cannot be asked at the moment: {error} The task goes on; asking again.")

    def expired(self, now: float) -> KlingTimeoutError:
        """The error for a deadline that has come before the end."""
        return KlingTimeoutError(
            f"Kling task {self.kling_task_id} is not done after {format_seconds(now - self._started)}; last seen: {self._last}. "
            "It goes on at Kling and will be charged: run this again to take its result without paying twice."
        )


def wait(
    kling_task_id: str, *, deadline: float, poll_interval: float, say: Log, first_look: float = 0.0, status: str = ""
) -> Flow[Task]:
    """The task, once it is done: succeeded or failed. The first look is not before `first_look` (Unix seconds).

    `status` is the last one that was told; each other one is said.

    Passing faults are waited out. Raises KlingTimeoutError at `deadline` (Unix seconds), credentials and account
    errors at once, KlingTaskNotFound after several looks in a row.
    """
    now = yield Sleep(0)
    watch = Watch(kling_task_id, started=now, deadline=deadline, status=status, say=say)
    if first_look > now:
        now = yield Sleep(first_look - now)
    while True:
        try:
            task: Task = yield get_call(kling_task_id)
        except KlingError as error:
            watch.missed(error)
        else:
            if watch.saw(task):
                return task
        if now >= deadline:
            raise watch.expired(now)
        longest = max(poll_interval, LONGEST_TROUBLE_PAUSE)
        seconds = _jittered(min(poll_interval * 2.0 ** max(0, watch.trouble - 1), longest))
        now = yield Sleep(min(seconds, max(0.0, deadline - now)))


def save(task: Task, *, say: Log) -> Flow[list[str]]:
    """The paths of the task's videos, in their order. A dead link is renewed once by asking for the task again."""
    paths: list[str] = []
    for index, name in enumerate(file_names(task)):
        try:
            paths.append((yield from _save_one(task, index, name, say=say)))
        except KlingDownloadError as error:
            raise KlingDownloadError(
                f"{name} could not be loaded: {error} Kling task {task.kling_task_id} is paid for: run this again to load it.",
                expired=error.expired,
                retryable=True,
            ) from error
    return paths


def _save_one(task: Task, index: int, name: str, *, say: Log) -> Flow[str]:
    try:
        path: str = yield SaveVideo(url=task.videos[index].url, name=name)
    except KlingDownloadError as error:
        if not error.expired:
            raise
        say(f"The link of {name} is dead; asking Kling for a current one.")
        renewed = yield from look_up(task.kling_task_id)
        if len(renewed.videos) <= index:
            raise KlingAnswerError(f"Kling task {task.kling_task_id} no longer names video {index + 1}.") from error
        path = yield SaveVideo(url=renewed.videos[index].url, name=name)
    return path


def file_names(task: Task) -> list[str]:
    """What the files of a task's videos are called: the same each time, so that nothing is loaded twice."""
    return [f"{task.kling_task_id}{f'_{number}' if number > 1 else ''}.mp4" for number in range(1, len(task.videos) + 1)]


def describe(task: Task) -> str:
    """The state of a task as a sentence for the log."""
    took = (
        f" after {format_seconds((task.updated_at - task.created_at).total_seconds())}"
        if task.updated_at and task.created_at
        else ""
    )
    if task.succeeded:
        cost = f"; it cost {task.units} units" if task.units else ""
        return f"Kling task {task.kling_task_id} succeeded{took}{cost}."
    if task.failed:
        return f"Kling task {task.kling_task_id} failed{took}: {task.message or 'no reason given'}."
    strange = "" if task.known_status else ", a status this version does not know; waiting on"
    return f"Kling task {task.kling_task_id}: {task.status}{strange}."


def describe_adopted(external_id: str, task: Task) -> str:
    """That a task of this id was there already, as a sentence for the log."""
    return (
        f"External id {external_id} is Kling task {task.kling_task_id} already ({task.status}): taking it, nothing is paid again."
    )


def _lost(any_id: str) -> KlingTaskNotFound:
    return KlingTaskNotFound(
        f"no task has the id {any_id}",
        code=1201,
        http_status=400,
        advice=NOT_FOUND_ADVICE,
    )


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.85, 1.15)  # noqa: S311 - it only keeps many waiters apart


def format_seconds(seconds: float) -> str:
    """A span of time for a person: 42 s, 7 min, 3.5 h."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
