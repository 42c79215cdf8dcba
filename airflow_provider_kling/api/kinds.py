"""What an error is about, in one word: the same word in results, summary, metrics, report and retries.

The table goes by class. Where a class stands for several things, a code's message or the text of a failed task decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from airflow_provider_kling.api.codes import INPUT_FAULTS, is_moderation
from airflow_provider_kling.errors import (
    KlingAccountError,
    KlingAnswerError,
    KlingApiError,
    KlingAuthError,
    KlingBusyError,
    KlingCappedError,
    KlingConnectionError,
    KlingDownloadError,
    KlingError,
    KlingInputError,
    KlingManifestError,
    KlingModerationError,
    KlingRequestError,
    KlingServerError,
    KlingSettingsError,
    KlingStorageError,
    KlingTaskFailed,
    KlingTimeoutError,
)

ErrorKind = Literal[
    "moderation",  # Kling's content control refuses the input
    "image",  # an image cannot work, or cannot be read
    "scene",  # the scene is unknown, discontinued or not offered
    "request",  # another part of the row, the manifest or the call
    "account",  # a person must pay or grant a permission
    "credentials",  # the keys, the clock or the Airflow connection
    "busy",  # no free slot, or too many requests
    "server",  # Kling or the network between has a fault
    "storage",  # a video could not be loaded or a file not be written; nothing is paid again
    "timeout",  # the deadline passed
    "capped",  # a cap of the run or the account
    "unknown",
]
ERROR_KINDS: tuple[ErrorKind, ...] = get_args(ErrorKind)

# The nearest class of an error's method resolution order decides.
KIND_OF_CLASS: Mapping[type[BaseException], ErrorKind] = {
    KlingError: "unknown",
    KlingInputError: "request",
    KlingManifestError: "request",
    KlingSettingsError: "credentials",
    KlingConnectionError: "server",
    KlingAnswerError: "server",
    KlingModerationError: "moderation",
    KlingApiError: "unknown",
    KlingAuthError: "credentials",
    KlingAccountError: "account",
    KlingRequestError: "request",
    KlingBusyError: "busy",
    KlingServerError: "server",
    KlingTaskFailed: "unknown",
    KlingCappedError: "capped",
    KlingTimeoutError: "timeout",
    KlingDownloadError: "storage",
    KlingStorageError: "storage",
    TimeoutError: "timeout",
    ConnectionError: "server",
    OSError: "storage",
}

_SERVER = ("internal error", "server error", "server timeout", "system error", "service unavailable")


def error_kind(error: BaseException) -> ErrorKind:
    """What an error is about. One that is not of this package counts as its cause, if that is a KlingError."""
    if not isinstance(error, KlingError):
        error = kling_error_of(error) or error
    kind: ErrorKind = next((KIND_OF_CLASS[cls] for cls in type(error).__mro__ if cls in KIND_OF_CLASS), "unknown")
    if isinstance(error, KlingError) and error.kind in ERROR_KINDS:
        return error.kind
    if isinstance(error, KlingTaskFailed) and kind == "unknown":
        return failure_kind(error.message)
    if isinstance(error, KlingApiError) and kind == "request":
        return _parameter_kind(error.message) or kind
    return kind


def known_kind(kind: object) -> ErrorKind:
    """The word, where it is one of ERROR_KINDS; a newer version may have others."""
    return next((known for known in ERROR_KINDS if known == kind), "unknown")


def failure_kind(message: str) -> ErrorKind:
    """What the `task_status_msg` of a failed task is about."""
    lowered = message.lower()
    if is_moderation(lowered):
        return "moderation"
    if any(fault in lowered for fault in INPUT_FAULTS):
        return "image"
    if any(fault in lowered for fault in _SERVER):
        return "server"
    return _parameter_kind(lowered) or "unknown"


def _parameter_kind(message: str) -> ErrorKind | None:
    """The parameter that a message blames, where that is the scene or an image."""
    lowered = message.lower()
    if "already exist" in lowered or "not found" in lowered or "redirected" in lowered:
        return None
    if "effect_scene" in lowered or "effect scene" in lowered:
        return "scene"
    return "image" if "image" in lowered else None


def kling_error_of(error: BaseException) -> KlingError | None:
    """The error itself, or the first KlingError among its causes: AirflowFailException has one."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        if isinstance(cause, KlingError):
            return cause
        seen.add(id(cause))
        cause = cause.__cause__
    return None
