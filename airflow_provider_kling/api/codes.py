"""The API's error codes as a table, the texts that are more specific than their code, and the error for each of them."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_kling.errors import (
    KlingAccountError,
    KlingApiError,
    KlingAuthError,
    KlingBusyError,
    KlingPolicyError,
    KlingRequestError,
    KlingServerError,
    KlingSlotsFullError,
    KlingTaskExists,
    KlingTaskNotFound,
    KlingTokenTimeError,
)
from airflow_provider_kling.values import value


@value
class Code:
    """An error code: its HTTP status, what it means, the error that it raises, and what the user can do."""

    number: int
    http_status: int
    meaning: str
    error: type[KlingApiError]
    advice: str = ""

    @property
    def retryable(self) -> bool:
        return self.error.retryable


_KEYS = "Check the keys of the Airflow connection: an API key alone, or an access key (login) with its secret key (password)."
_CLOCK = "Check this machine's clock against real time (NTP), then the access and secret key."

# The code decides, not the HTTP status: 429 stands for five different conditions.
CODES: Mapping[int, Code] = {
    code.number: code
    for code in (
        Code(1000, 401, "Authentication failed", KlingAuthError, _KEYS),
        Code(1001, 401, "Authorization is empty", KlingAuthError, _KEYS),
        Code(1002, 401, "Authorization is invalid", KlingAuthError, _KEYS),
        Code(1003, 401, "Authorization is not yet valid", KlingTokenTimeError, _CLOCK),
        Code(1004, 401, "Authorization has expired", KlingTokenTimeError, _CLOCK),
        Code(1100, 429, "Account exception", KlingAccountError, "Look at the account in the Kling console."),
        Code(1101, 429, "Account in arrears", KlingAccountError, "Pay the open amount in the Kling console."),
        Code(1102, 429, "Account balance not enough", KlingAccountError, "Buy or renew a resource pack in the Kling console."),
        Code(
            1103, 403, "No permission for this resource", KlingAccountError, "Ask Kling to enable video effects for this account."
        ),
        Code(1200, 400, "Invalid request parameters", KlingRequestError, "Correct the parameter that the message names."),
        Code(1201, 400, "Invalid parameters", KlingRequestError, "Correct the parameter that the message names."),
        Code(1202, 404, "The requested method is invalid", KlingRequestError, "Check the host (base URL) of the connection."),
        Code(1203, 404, "The requested resource does not exist", KlingRequestError, "Check the host (base URL) of the connection."),
        Code(1300, 400, "Triggered the strategy of the platform", KlingPolicyError, "Use another image or scene."),
        Code(1301, 400, "Triggered the content security policy of the platform", KlingPolicyError, "Use another image or scene."),
        Code(1302, 429, "Too many requests", KlingBusyError, "Wait, then ask again."),
        Code(1303, 429, "parallel task over resource pack limit", KlingSlotsFullError, "Wait until a task of the account ends."),
        Code(
            1304,
            429,
            "IP is not on the allow list",
            KlingAccountError,
            "Add this machine's address to the allow list in the Kling console.",
        ),
        Code(5000, 500, "Internal server error", KlingServerError, "Try again later."),
        Code(5001, 503, "Server temporarily unavailable", KlingServerError, "Try again later: maintenance."),
        Code(5002, 504, "Server timeout", KlingServerError, "Try again later: the server has a backlog."),
    )
}


class Refusal(Exception):
    """The server refuses a request with this error code."""

    def __init__(self, number: int, message: str | None = None) -> None:
        self.code = CODES[number]
        self.message = message or self.code.meaning
        super().__init__(self.message)


NOT_FOUND = "Task not found by id/external id: {id}"
EXISTS = "External_task_id {id} already exists"
NOT_FOUND_ADVICE = "Check the id, and that the connection belongs to the account that made the task."
EXISTS_ADVICE = "Look that task up by its external id, or choose another one."

# Reasons of a failed task that lie in its input: the same request would fail again. Those of the content control are of a
# class of their own; the last two are what codes 1300 and 1301 say at a create.
MODERATION = ("risk control", "strategy of the platform", "content security policy")
INPUT_FAULTS = ("image pixel is invalid", "resolution or aspect ratio", *MODERATION)


def is_input_fault(message: str) -> bool:
    """Whether a failed task's `task_status_msg` blames its input."""
    return any(fault in message.lower() for fault in INPUT_FAULTS)


def is_moderation(message: str) -> bool:
    """Whether a failed task's `task_status_msg` says that the content control has refused it."""
    return any(reason in message.lower() for reason in MODERATION)


def find_code(number: int, http_status: int) -> Code:
    """The code of this number. The HTTP status decides what an unknown number means."""
    if number in CODES:
        return CODES[number]
    unknown = "This code is unknown to this version of the provider."
    if http_status in (401, 403):
        return Code(number, http_status, "", KlingAuthError, f"{unknown} {_KEYS}")
    if http_status == 429:
        return Code(number, http_status, "", KlingBusyError, unknown)
    if http_status >= 500:
        return Code(number, http_status, "", KlingServerError, unknown)
    return Code(number, http_status, "", KlingRequestError, unknown)


def error_and_advice(code: Code, message: str) -> tuple[type[KlingApiError], str]:
    """The class of the error, and the advice. 1200 and 1201 stand for several errors that only the message tells apart."""
    if code.number in (1200, 1201):
        lowered = message.lower()
        if "already exist" in lowered and "external_task_id" in lowered:
            return KlingTaskExists, EXISTS_ADVICE
        if "not found" in lowered and "task" in lowered:
            return KlingTaskNotFound, NOT_FOUND_ADVICE
    return code.error, code.advice
