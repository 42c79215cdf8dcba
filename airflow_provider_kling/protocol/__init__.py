"""The wire of the Kling video-effects API, without I/O, for both of its ends.

A client builds a `Call`, sends it somehow, and gives the `Answer` to `call.read`, which returns a value or raises
one of `errors`. A server reads requests with `read_create`, `read_page` and `authorize`, which raise `Refusal`, and
answers with `envelope` and `Task.to_json`. Nothing here opens a socket or looks at a clock.

Sources: the vendor's page on video effects, its pages on authentication, error codes, concurrency and callbacks.
"""

from airflow_provider_kling.protocol.answers import Answer
from airflow_provider_kling.protocol.calls import Call, Page, check_id, costs_call, create_call, get_call, list_call, page_call
from airflow_provider_kling.protocol.codes import CODES, EXISTS, NOT_FOUND, NOT_FOUND_ADVICE, is_input_fault
from airflow_provider_kling.protocol.credentials import AccessKey, ApiKey, Credentials, issuer_of, sign
from airflow_provider_kling.protocol.paths import (
    COSTS_PATH,
    DEFAULT_BASE_URL,
    DEFAULT_PAGE_SIZE,
    EFFECTS_PATH,
    MAX_PAGE_NUM,
    MAX_PAGE_SIZE,
)
from airflow_provider_kling.protocol.reading import seen
from airflow_provider_kling.protocol.serving import CreateBody, Refusal, authorize, envelope, read_create, read_page
from airflow_provider_kling.protocol.tasks import FAILED, PROCESSING, SUBMITTED, SUCCEED, ResourcePack, Task, Video, callback_task

__all__ = [
    "CODES",
    "COSTS_PATH",
    "DEFAULT_BASE_URL",
    "DEFAULT_PAGE_SIZE",
    "EFFECTS_PATH",
    "EXISTS",
    "FAILED",
    "MAX_PAGE_NUM",
    "MAX_PAGE_SIZE",
    "NOT_FOUND",
    "NOT_FOUND_ADVICE",
    "PROCESSING",
    "SUBMITTED",
    "SUCCEED",
    "AccessKey",
    "Answer",
    "ApiKey",
    "Call",
    "CreateBody",
    "Credentials",
    "Page",
    "Refusal",
    "ResourcePack",
    "Task",
    "Video",
    "authorize",
    "callback_task",
    "check_id",
    "costs_call",
    "create_call",
    "envelope",
    "get_call",
    "is_input_fault",
    "issuer_of",
    "list_call",
    "page_call",
    "read_create",
    "read_page",
    "seen",
    "sign",
]
