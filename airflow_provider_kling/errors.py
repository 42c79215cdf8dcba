"""What can go wrong, as one small tree.

```
KlingError
├── KlingInputError             what the user gave cannot work; nothing was sent
│   ├── KlingManifestError      … one or several rows of a manifest
│   └── KlingSettingsError      … the Airflow connection
├── KlingConnectionError        no whole answer came
├── KlingAnswerError            something came, but it is not an answer of the API
├── KlingApiError               the API answered with an error code
│   ├── KlingAuthError          credentials (1000-1002)
│   │   └── KlingTokenTimeError   token not yet valid, or expired (1003, 1004)
│   ├── KlingAccountError       a person must pay for it or permit it (1100-1103, 1304)
│   ├── KlingRequestError       a wrong parameter or path (1200-1203)
│   │   ├── KlingTaskNotFound     no task has this id
│   │   └── KlingTaskExists       this external id is taken
│   ├── KlingPolicyError        the input is against a policy (1300, 1301)
│   ├── KlingBusyError          too many requests (1302)
│   │   └── KlingSlotsFullError   all slots of the account are taken (1303)
│   └── KlingServerError        the server's own trouble (5000-5002)
├── KlingTaskFailed             the task ended as `failed`
├── KlingTimeoutError           the deadline passed; the task goes on at Kling
├── KlingDownloadError          a video could not be loaded
└── KlingStorageError           a file could not be written
```

A caller asks `.retryable` (may the same call work later, with nobody doing anything?), `.outcome_unknown`
(after a create: may a task exist all the same?), `.code` and `.request_id`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pendulum import DateTime

    from airflow_provider_kling.api import Task


MOST_SHOWN = 50  # problems in the text of one error


class KlingError(Exception):
    """Any error of this package. Its text is one sentence for a person."""

    retryable: bool = False
    outcome_unknown: bool = False
    code: int | None = None
    request_id: str | None = None

    def __reduce__(self) -> Any:
        """Errors travel between processes as they are, whatever their constructors take."""
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(kind: type[KlingError], args: tuple[Any, ...], state: dict[str, Any]) -> KlingError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class KlingInputError(KlingError, ValueError):
    """What the user gave cannot work. Nothing was sent, nothing was spent."""


class KlingManifestError(KlingInputError):
    """Rows of a manifest that cannot work, all of them at once.

    `problems` holds one sentence for each, with the line it stands in; the text shows the first 50.
    """

    def __init__(self, name: str, problems: Sequence[str]) -> None:
        self.name = name
        self.problems = tuple(problems)
        shown = self.problems[:MOST_SHOWN]
        if len(self.problems) == 1:
            super().__init__(f"{name}: {self.problems[0]}")
            return
        more = [f"and {len(self.problems) - MOST_SHOWN:,} more"] if len(self.problems) > MOST_SHOWN else []
        super().__init__("\n  - ".join([f"{name}: {len(self.problems):,} problems", *shown, *more]))


class KlingSettingsError(KlingInputError):
    """The Airflow connection cannot work, whatever the row."""


class KlingConnectionError(KlingError):
    """No whole answer came: refused, timed out, or cut off.

    `sent` is false only when it is certain that the request never left this machine.
    """

    retryable = True

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent
        self.outcome_unknown = sent


class KlingAnswerError(KlingError):
    """Something answered, but not with what the API documents: HTML, half a JSON, an unknown shape."""

    retryable = True
    outcome_unknown = True

    def __init__(self, message: str, *, http_status: int | None = None) -> None:
        super().__init__(message)
        self.http_status = http_status


class KlingApiError(KlingError):
    """The API answered with an error code.

    `message` is the API's own text, `advice` says what to do about it, `retry_after` is the number of seconds
    that the server asked to wait, if it did, `server_time` what the server's clock said.
    """

    def __init__(
        self,
        message: str,
        *,
        code: int | None = None,
        http_status: int | None = None,
        request_id: str | None = None,
        advice: str = "",
        retry_after: float | None = None,
        server_time: DateTime | None = None,
        speaker: str = "Kling",
    ) -> None:
        self.message = message
        self.code = code
        self.http_status = http_status
        self.request_id = request_id
        self.advice = advice
        self.retry_after = retry_after
        self.server_time = server_time
        what = f"code {code}" if code is not None else f"HTTP {http_status}, without a code"
        where = f", request {request_id}" if request_id else ""
        super().__init__(f"{speaker} says: {message} ({what}{where})." + (f" {advice}" if advice else ""))


class KlingAuthError(KlingApiError):
    """The credentials are not accepted."""


class KlingTokenTimeError(KlingAuthError):
    """The token is not valid yet, or not any more: the clock or the credentials."""


class KlingAccountError(KlingApiError):
    """The account cannot do this until a person pays for it or permits it."""


class KlingRequestError(KlingApiError):
    """A parameter or path that the API does not take."""


class KlingTaskNotFound(KlingRequestError):
    """The account has no task with this id."""


class KlingTaskExists(KlingRequestError):
    """A task of this external id exists already. No second one was made."""


class KlingPolicyError(KlingApiError):
    """The input is against the platform's policy."""


class KlingBusyError(KlingApiError):
    """Too many requests at the moment. Nothing was made; wait and ask again."""

    retryable = True


class KlingSlotsFullError(KlingBusyError):
    """All slots of the account are taken. Nothing was made; wait for one."""


class KlingServerError(KlingApiError):
    """The server's own trouble. After a create, a task may exist all the same."""

    retryable = True
    outcome_unknown = True


class KlingTaskFailed(KlingError):
    """The task ended as `failed`. `task` says more; `advice` what to do about it.

    `input_fault` is true when the reason lies in the images or the scene, so that the same request fails again.
    """

    def __init__(self, task: Task, *, advice: str = "", input_fault: bool = False) -> None:
        self.task = task
        self.input_fault = input_fault
        reason = task.message or "no reason was given"
        super().__init__(f"Kling task {task.kling_task_id} failed: {reason}." + (f" {advice}" if advice else ""))


class KlingTimeoutError(KlingError):
    """The deadline passed. What was created goes on at Kling, and its result can still be fetched."""


class KlingDownloadError(KlingError):
    """A video could not be loaded. The task is paid for and its result is still at Kling.

    `expired` is true when its link is dead, so that the task is to be asked for a current one.
    """

    def __init__(self, message: str, *, expired: bool = False, retryable: bool = False) -> None:
        super().__init__(message)
        self.expired = expired
        self.retryable = retryable


class KlingStorageError(KlingError):
    """A file could not be written: no space, no permission, no such bucket."""
