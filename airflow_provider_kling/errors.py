"""The exceptions of this package, in one tree.

```
KlingError
├── KlingInputError             the input cannot work; nothing was sent
│   ├── KlingManifestError      … one or more rows of a manifest
│   └── KlingSettingsError      … the Airflow connection
├── KlingConnectionError        no complete response arrived
├── KlingAnswerError            a response arrived that the API does not document
├── KlingModerationError        Kling's content control refuses the input: one of the two below marked with *
├── KlingApiError               the API returned an error code
│   ├── KlingAuthError          credentials (1000-1002)
│   │   └── KlingTokenTimeError   token not yet valid, or expired (1003, 1004)
│   ├── KlingAccountError       a person must pay or grant a permission (1100-1103, 1304)
│   ├── KlingRequestError       a wrong parameter or path (1200-1203)
│   │   ├── KlingTaskNotFound     no task has this id
│   │   └── KlingTaskExists       a task with this external id already exists
│   ├── KlingPolicyError *      the input violates a policy (1300, 1301)
│   ├── KlingBusyError          too many requests (1302)
│   │   └── KlingSlotsFullError   the account has no free slot (1303)
│   └── KlingServerError        a fault of the server (5000-5002)
├── KlingTaskFailed             the task ended as `failed`
│   └── KlingTaskModerated *    … because of the risk control
├── KlingCappedError            a cap of the run or the account is reached; nothing was sent
├── KlingTimeoutError           the deadline passed; the task continues at Kling
├── KlingDownloadError          a video could not be downloaded
└── KlingStorageError           a file could not be written, or a folder not be read
```

Attributes of all of them: `.retryable` (whether the same call may succeed later without anyone's intervention),
`.outcome_unknown` (whether a task may exist although the create failed), `.may_pass` (whether another try of the Airflow task
may do better), `.code`, `.request_id`, and `.kind`, which `api.error_kind` reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pendulum import DateTime


MAX_SHOWN = 50  # problems in the message of one error


class KlingError(Exception):
    """The base class. Its message is one sentence for the user.

    What an error means stands here, once; each subclass sets what differs. `retryable`: the same call may succeed later,
    with nobody doing anything. `outcome_unknown`: a task may exist although the create failed. `row_status`: the status of
    a row that ends with this error. `stops_account`: no other row of the account can work either. `needs_new_try`: waiting
    is over, but a new try of the Airflow task may do better. `kind` is what the error is about, where that is known more
    exactly than from the class and the code; `api.error_kind` has the words, and answers for every error.
    """

    retryable: bool = False
    outcome_unknown: bool = False
    row_status: str = "error"
    stops_account: bool = False
    needs_new_try: bool = False
    code: int | None = None
    request_id: str | None = None
    kind: str | None = None

    @property
    def may_pass(self) -> bool:
        """Whether another try of the Airflow task may do better, with nobody doing anything."""
        return self.retryable or self.needs_new_try

    def __reduce__(self) -> Any:
        """Pickle without calling the constructor, whose parameters differ from class to class."""
        return _restore, (type(self), self.args, self.__dict__)


def _restore(error_class: type[KlingError], args: tuple[Any, ...], state: dict[str, Any]) -> KlingError:
    error = error_class.__new__(error_class, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class KlingInputError(KlingError, ValueError):
    """The input cannot work. Nothing was sent, nothing was paid."""

    row_status = "invalid"


def may_still_come(message: str) -> KlingInputError:
    """The error for an image or manifest that does not exist: it may come later, so another try may do better."""
    error = KlingInputError(message)
    error.needs_new_try = True
    return error


class KlingManifestError(KlingInputError):
    """Rows of a manifest that cannot work, all of them in one error.

    `problems` holds one sentence for each row, with its line number. The message shows the first 50 of them.
    """

    def __init__(self, name: str, problems: Sequence[str]) -> None:
        self.name = name
        self.problems = tuple(problems)
        shown = self.problems[:MAX_SHOWN]
        if len(self.problems) == 1:
            super().__init__(f"{name}: {self.problems[0]}")
            return
        more = [f"and {len(self.problems) - MAX_SHOWN:,} more"] if len(self.problems) > MAX_SHOWN else []
        super().__init__("\n  - ".join([f"{name}: {len(self.problems):,} problems", *shown, *more]))


class KlingSettingsError(KlingInputError):
    """The Airflow connection cannot work, for any row. `not_found`: none was found, or what holds them did not respond."""

    not_found: bool = False
    row_status = "error"
    stops_account = True


class KlingConnectionError(KlingError):
    """No complete response arrived: the connection was refused, timed out or was cut off.

    `sent` is false only if the request certainly did not leave this machine.
    """

    retryable = True

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent
        self.outcome_unknown = sent


class KlingAnswerError(KlingError):
    """A response that the API does not document: HTML, truncated JSON, an unknown shape."""

    retryable = True
    outcome_unknown = True

    def __init__(self, message: str, *, http_status: int | None = None) -> None:
        super().__init__(message)
        self.http_status = http_status


class KlingModerationError(KlingError):
    """Kling's content control refuses the input. The same request would be refused again; other requests are not concerned.

    Either the API refused the create (KlingPolicyError), or the task failed for it (KlingTaskModerated).
    `refused_image` is the number of the refused image, 1 or 2 from the left; None where Kling does not tell, and several can
    be meant.
    """

    refused_image: int | None = None

    def name_image(self, number: int, *, of: int) -> None:
        """Record which of the request's images was refused. With several, the message says it, too."""
        self.refused_image = number
        if of > 1:
            self.args = (f"{self} Refused is image {number} of {of}.", *self.args[1:])


class KlingApiError(KlingError):
    """The API returned an error code.

    `message` is the API's own text and `advice` says what to do about it. `retry_after` is the number of seconds that the
    server asked to wait, or None. `server_time` is the time of the response by the server's clock, or None.
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
    """The API does not accept the credentials."""

    stops_account = True


class KlingTokenTimeError(KlingAuthError):
    """The token is not yet valid, or has expired: the clock or the credentials are wrong."""


class KlingAccountError(KlingApiError):
    """The account cannot do this until a person pays or grants a permission."""

    stops_account = True


class KlingRequestError(KlingApiError):
    """The API rejects a parameter or the path."""


class KlingTaskNotFound(KlingRequestError):
    """The account has no task with this id."""


class KlingTaskExists(KlingRequestError):
    """A task with this external id already exists. No second one was created."""


class KlingPolicyError(KlingModerationError, KlingApiError):
    """The input violates a policy of the platform (codes 1300 and 1301). Nothing was created."""


class KlingBusyError(KlingApiError):
    """Too many requests at the moment. Nothing was created; wait and send the request again."""

    retryable = True


class KlingSlotsFullError(KlingBusyError):
    """The account has no free slot. Nothing was created; wait for one.

    `own_limit`: it is the connection's `max_concurrency` that is reached, not the account's number of slots.
    """

    own_limit = False


class KlingServerError(KlingApiError):
    """A fault of the server. After a create, a task may exist nevertheless."""

    retryable = True
    outcome_unknown = True


class KlingTaskFailed(KlingError):
    """The task ended as `failed`. `message` is Kling's reason, `advice` what to do about it.

    `input_fault` is true if the images or the scene are the reason, so that the same request would fail again.
    """

    row_status = "failed"

    def __init__(self, kling_task_id: str, message: str, *, advice: str = "", input_fault: bool = False) -> None:
        self.kling_task_id = kling_task_id
        self.message = message
        self.input_fault = input_fault
        self.needs_new_try = not input_fault
        reason = message or "no reason was given"
        super().__init__(f"Kling task {kling_task_id} failed: {reason}." + (f" {advice}" if advice else ""))


class KlingTaskModerated(KlingModerationError, KlingTaskFailed):
    """The task failed in Kling's risk control."""

    def __init__(self, kling_task_id: str, message: str, *, advice: str = "", input_fault: bool = True) -> None:
        super().__init__(kling_task_id, message, advice=advice, input_fault=input_fault)


class KlingCappedError(KlingError):
    """A cap of the run or of the account is reached. Nothing was sent, nothing was paid; with a higher cap it can go on."""

    row_status = "capped"


class KlingTimeoutError(KlingError):
    """The deadline passed. A task that was created continues at Kling, and its result can still be fetched."""

    needs_new_try = True


class KlingDownloadError(KlingError):
    """A video could not be downloaded. The task is paid for, and its result is still at Kling.

    `expired` is true if the link is dead. A query of the task returns a current one.
    """

    def __init__(self, message: str, *, expired: bool = False, retryable: bool = False) -> None:
        super().__init__(message)
        self.expired = expired
        self.retryable = retryable


class KlingStorageError(KlingError):
    """A file could not be written, or a folder not be read: no space, no permission, no such bucket or folder."""

    needs_new_try = True
