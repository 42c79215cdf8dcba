"""The wire of the Kling video-effects API, without I/O, for both of its ends.

A client builds a `Call`, sends it somehow, and gives the `Answer` to `call.read`, which returns a value or raises
one of `errors`. A server reads requests with `read_create`, `read_page` and `authorize`, which raise `Refusal`, and
answers with `envelope` and `Task.to_json`. Nothing here opens a socket or looks at a clock.

Sources: the vendor's page on video effects, its pages on authentication, error codes, concurrency and callbacks.
"""

from __future__ import annotations

import contextlib
import json
import math
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timezone
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import pendulum

from airflow_provider_kling.effects import EffectRequest
from airflow_provider_kling.errors import (
    KlingAccountError,
    KlingAnswerError,
    KlingApiError,
    KlingAuthError,
    KlingBusyError,
    KlingInputError,
    KlingPolicyError,
    KlingRequestError,
    KlingServerError,
    KlingSlotsFullError,
    KlingTaskExists,
    KlingTaskNotFound,
    KlingTokenTimeError,
)

T = TypeVar("T")

DEFAULT_BASE_URL = "https://api-singapore.klingai.com"
EFFECTS_PATH = "/v1/videos/effects"
COSTS_PATH = "/account/costs"
MAX_PAGE_NUM = 1000
MAX_PAGE_SIZE = 500
DEFAULT_PAGE_SIZE = 30
LINK_LIFETIME = pendulum.duration(days=30)  # "generated images/videos will be cleared after 30 days"

SUBMITTED, PROCESSING, SUCCEED, FAILED = "submitted", "processing", "succeed", "failed"
STATUSES = (SUBMITTED, PROCESSING, SUCCEED, FAILED)


# --- Error codes -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Code:
    """An error code: the HTTP status it comes with, what it means, and what to do about it."""

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

# Decide by the code, never by the HTTP status: 429 stands for five different things.
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

NOT_FOUND = "Task not found by id/external id: {id}"
EXISTS = "External_task_id {id} already exists"

# Reasons of a failed task that lie in its images: the same request would fail again.
INPUT_FAULTS = ("image pixel is invalid", "resolution or aspect ratio", "risk control")


def is_input_fault(message: str) -> bool:
    """Whether a failed task's `task_status_msg` blames its input."""
    return any(fault in message.lower() for fault in INPUT_FAULTS)


def _code_for(number: int, http_status: int) -> Code:
    """The known code, or what an unknown one means by its HTTP status."""
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


# --- Tasks -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Video:
    """A video that a task made. `duration` is in seconds, where Kling tells it."""

    id: str | None
    url: str
    watermark_url: str | None = None
    duration: float | None = None

    @classmethod
    def from_json(cls, data: Any) -> Video:
        data = _object(data, "a video")
        return cls(
            id=_text(data, "id"),
            url=_text(data, "url", required=True) or "",
            watermark_url=_text(data, "watermark_url"),
            duration=_number(data, "duration"),
        )

    def to_json(self) -> dict[str, Any]:
        shown = {"id": self.id, "url": self.url, "watermark_url": self.watermark_url}
        return shown if self.duration is None else {**shown, "duration": f"{self.duration:g}"}


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task at Kling. `units` is what it cost, a decimal text as Kling gives it, None until it is known."""

    kling_task_id: str
    status: str
    message: str = ""
    external_task_id: str | None = None
    videos: tuple[Video, ...] = ()
    units: str | None = None
    created_at: pendulum.DateTime | None = None
    updated_at: pendulum.DateTime | None = None

    @property
    def succeeded(self) -> bool:
        return self.status == SUCCEED

    @property
    def failed(self) -> bool:
        return self.status == FAILED

    @property
    def done(self) -> bool:
        return self.succeeded or self.failed

    @property
    def known_status(self) -> bool:
        """Whether this version knows the status; one it does not know is neither an end nor a success."""
        return self.status in STATUSES

    @property
    def links_expire_at(self) -> pendulum.DateTime | None:
        """When the links of its videos die, as far as its last change tells."""
        return self.updated_at + LINK_LIFETIME if self.succeeded and self.updated_at else None

    @classmethod
    def from_json(cls, data: Any) -> Task:
        """A task from `data` of an answer, or from a callback's body. Raises KlingAnswerError for another shape."""
        data = _object(data, "a task")
        info = _object(data.get("task_info") or {}, "task_info")
        result = _object(data.get("task_result") or {}, "task_result")
        videos = result.get("videos") or ()
        if not isinstance(videos, list | tuple):
            raise KlingAnswerError(f"videos of a task is {_shown(videos)}, not a list.")
        status = _text(data, "task_status", required=True) or ""
        if status == SUCCEED and not videos and "task_result" in data:
            raise KlingAnswerError(f"Task {_shown(data.get('task_id'))} has succeeded, but its answer holds no video.")
        return cls(
            kling_task_id=_text(data, "task_id", required=True) or "",
            status=status,
            message=_text(data, "task_status_msg") or "",
            external_task_id=_text(info, "external_task_id"),
            videos=tuple(Video.from_json(video) for video in videos),
            units=_units(data),
            created_at=_time(data, "created_at"),
            updated_at=_time(data, "updated_at"),
        )

    def to_json(self) -> dict[str, Any]:
        """The `data` of a query's answer, without `watermark_info`."""
        shown: dict[str, Any] = {
            "task_id": self.kling_task_id,
            "task_status": self.status,
            "task_status_msg": self.message,
            "task_info": {"external_task_id": self.external_task_id},
            "task_result": {"videos": [video.to_json() for video in self.videos]},
            "created_at": _milliseconds(self.created_at),
            "updated_at": _milliseconds(self.updated_at),
        }
        return shown if self.units is None else {**shown, "final_unit_deduction": self.units}


@dataclass(frozen=True, kw_only=True)
class ResourcePack:
    """A resource pack of the account. `remaining` is up to 12 hours late."""

    id: str
    name: str
    type: str
    status: str
    total: float | None
    remaining: float | None
    effective_at: pendulum.DateTime | None
    invalid_at: pendulum.DateTime | None

    @classmethod
    def from_json(cls, data: Any) -> ResourcePack:
        data = _object(data, "a resource pack")
        return cls(
            id=_text(data, "resource_pack_id") or "",
            name=_text(data, "resource_pack_name") or "",
            type=_text(data, "resource_pack_type") or "",
            status=_text(data, "status") or "",
            total=_number(data, "total_quantity"),
            remaining=_number(data, "remaining_quantity"),
            effective_at=_time(data, "effective_time"),
            invalid_at=_time(data, "invalid_time"),
        )


# --- The client's end: calls and their answers -----------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An HTTP answer as it came. The names of `headers` are lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Call(Generic[T]):
    """One request to the API, and how to read its answer."""

    method: str
    path: str
    parse: Callable[[Any], T]
    params: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def safe(self) -> bool:
        """Whether it may be sent again without a thought."""
        return self.method == "GET"

    def read(self, answer: Answer) -> T:
        """The value in the answer; one of KlingApiError, KlingAnswerError for all else."""
        try:
            return self.parse(data_of(answer))
        except KlingAnswerError as error:
            if error.http_status is None:
                error.http_status = answer.status
            raise


def create_call(request: EffectRequest, *, external_task_id: str, callback_url: str | None = None) -> Call[Task]:
    """Make a task. It costs money; whether it may be repeated is decided in `flows`."""
    body: dict[str, Any] = {
        "effect_scene": request.effect_scene,
        "input": request.input,
        "external_task_id": check_id(external_task_id),
    }
    if callback_url:
        body["callback_url"] = callback_url
    return Call(method="POST", path=EFFECTS_PATH, body=body, parse=Task.from_json)


def get_call(any_id: str) -> Call[Task]:
    """The task with this Kling task id or external id."""
    return Call(method="GET", path=f"{EFFECTS_PATH}/{quote(check_id(any_id), safe='')}", parse=Task.from_json)


def list_call(*, page_num: int = 1, page_size: int = DEFAULT_PAGE_SIZE) -> Call[list[Task]]:
    """One page of the account's tasks, in no order that may be relied on."""
    _within("page_num", page_num, MAX_PAGE_NUM)
    _within("page_size", page_size, MAX_PAGE_SIZE)
    params = {"pageNum": str(page_num), "pageSize": str(page_size)}
    return Call(method="GET", path=EFFECTS_PATH, params=params, parse=_tasks)


def costs_call(*, start: pendulum.DateTime, end: pendulum.DateTime, name: str | None = None) -> Call[list[ResourcePack]]:
    """The account's resource packs. Free, at most one call per second."""
    if start >= end:
        raise KlingInputError(f"The span of resource packs starts at {start}, which is not before its end {end}.")
    params = {"start_time": str(_milliseconds(start)), "end_time": str(_milliseconds(end))}
    if name:
        params["resource_pack_name"] = name
    return Call(method="GET", path=COSTS_PATH, params=params, parse=_packs)


def callback_task(body: bytes) -> Task:
    """The task in a callback's body, which has no envelope; KlingAnswerError for anything else."""
    try:
        return Task.from_json(json.loads(body))
    except (ValueError, RecursionError):
        raise KlingAnswerError(f"A callback holds {_excerpt(body)} instead of JSON.") from None


def check_id(any_id: str | int) -> str:
    """The id as text, when it can stand in a path; KlingInputError otherwise.

    A whole number is taken too: native templates make one of the digits of a Kling task id.
    """
    if isinstance(any_id, int) and not isinstance(any_id, bool):
        any_id = str(any_id)
    if not isinstance(any_id, str):
        raise KlingInputError(f"A task id is {any_id!r}; wanted is a text: other numbers lose digits on the way.")
    if not any_id or any_id != any_id.strip() or any_id in (".", "..") or not any_id.isprintable():
        raise KlingInputError(f"A task id is {any_id!r}; wanted is the id of a Kling task, or an external id.")
    if len(any_id) > 256:
        raise KlingInputError(f"A task id has {len(any_id)} characters; wanted are at most 256.")
    return any_id


def data_of(answer: Answer) -> Any:
    """`data` of a good answer; KlingApiError for an error code, KlingAnswerError for no answer of this API."""
    if 300 <= answer.status < 400:
        where = answer.headers.get("location", "nowhere")[:200]
        advice = "API calls follow no redirect: set the host (base URL) of the connection to where the API is."
        raise KlingRequestError(f"redirected to {where}", http_status=answer.status, advice=advice)
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        raise KlingAnswerError(
            f"HTTP {answer.status} brought {_excerpt(answer.body)} instead of JSON; "
            "a gateway in between, or a host (base URL) that is not Kling's API.",
            http_status=answer.status,
        ) from None
    if not isinstance(document, dict):
        raise KlingAnswerError(f"HTTP {answer.status} brought {_shown(document)} instead of an object.", http_status=answer.status)
    code = document.get("code")
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) < 10:
        code = int(code)
    if not isinstance(code, int) or isinstance(code, bool):
        raise _answer_without_code(answer.status, document)
    if code == 0:
        return document.get("data")
    known = _code_for(code, answer.status)
    message = str(document.get("message") or known.meaning or "no message")[:1000]
    kind, advice = _kind_of(known, message)
    raise kind(
        message,
        code=code,
        http_status=answer.status,
        request_id=str(document["request_id"])[:200] if document.get("request_id") else None,
        advice=advice,
        retry_after=_retry_after(answer.headers),
        server_time=_http_date(answer.headers.get("date", "")),
    )


def _answer_without_code(status: int, document: Mapping[str, Any]) -> KlingApiError | KlingAnswerError:
    if status == 404:
        path = str(document.get("path", "?"))[:200]
        advice = "The path does not exist there; check the host (base URL) of the connection."
        return KlingRequestError(f"{str(document.get('error', 'Not Found'))[:200]}: {path}", http_status=status, advice=advice)
    return KlingAnswerError(
        f"HTTP {status} brought an object without a code, with the keys {_shown(sorted(document))}.", http_status=status
    )


NOT_FOUND_ADVICE = "Check the id, and that the connection belongs to the account that made the task."
EXISTS_ADVICE = "Look that task up by its external id, or choose another one."


def _kind_of(code: Code, message: str) -> tuple[type[KlingApiError], str]:
    """The error and its advice. 1201 says several things; only its text tells them apart."""
    if code.number in (1200, 1201):
        lowered = message.lower()
        if "already exist" in lowered and "external_task_id" in lowered:
            return KlingTaskExists, EXISTS_ADVICE
        if "not found" in lowered and "task" in lowered:
            return KlingTaskNotFound, NOT_FOUND_ADVICE
    return code.error, code.advice


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from Retry-After, which is a number or a date; a date counts from the answer's own Date."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    until, now = _http_date(text), _http_date(headers.get("date", ""))
    return max(0.0, (until - now).total_seconds()) if until and now else None


def _http_date(text: str) -> pendulum.DateTime | None:
    try:
        return pendulum.instance(parsedate_to_datetime(text)).in_timezone("UTC")
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _tasks(data: Any) -> list[Task]:
    if not isinstance(data, list):
        raise KlingAnswerError(f"A list of tasks is {_shown(data)}, not a list.")
    return [Task.from_json(task) for task in data]


def _packs(data: Any) -> list[ResourcePack]:
    data = _object(data, "the account's costs")
    inner = data.get("code", 0)
    if inner != 0:
        raise KlingAnswerError(f"The account's costs answer code {_shown(inner)}: {_shown(data.get('msg'))}.")
    packs = data.get("resource_pack_subscribe_infos") or []
    if not isinstance(packs, list):
        raise KlingAnswerError(f"The resource packs are {_shown(packs)}, not a list.")
    return [ResourcePack.from_json(pack) for pack in packs]


# --- Credentials -----------------------------------------------------------------------------------------------

TOKEN_LIFETIME = 1800  # seconds
TOKEN_NOT_BEFORE = 5  # seconds before now, for clocks that run ahead
TOKEN_RENEWAL = 120  # seconds before its end


class ApiKey:
    """An API key, sent as it is."""

    def __init__(self, key: str) -> None:
        self._key = _header_text(key, "API key (the connection's password)")

    def token(self, now: float) -> str:
        """What stands behind `Bearer`."""
        return self._key

    def forget(self) -> bool:
        """Whether another token can be had: never."""
        return False


class AccessKey:
    """An access key with its secret key: signs a JWT, and signs another one two minutes before that ends."""

    def __init__(self, access_key: str, secret_key: str) -> None:
        self._access_key = _header_text(access_key, "access key (the connection's login)")
        self._secret_key = _header_text(secret_key, "secret key (the connection's password)")
        self._token = ""
        self._renew_at = -math.inf

    def token(self, now: float) -> str:
        """What stands behind `Bearer`. `now` is Unix time in seconds."""
        if not self._token or not self._renew_at - TOKEN_LIFETIME <= now < self._renew_at:
            self._token = sign(self._access_key, self._secret_key, now)
            self._renew_at = now + TOKEN_LIFETIME - TOKEN_RENEWAL
        return self._token

    def forget(self) -> bool:
        """Drop the token, so that the next one is new. Whether another token can be had: always."""
        self._token = ""
        return True


Credentials = ApiKey | AccessKey


def sign(access_key: str, secret_key: str, now: float) -> str:
    """A JWT as the API wants it: HS256, `iss`, `exp` and `nbf` in whole seconds."""
    import jwt

    claims = {"iss": access_key, "exp": int(now) + TOKEN_LIFETIME, "nbf": int(now) - TOKEN_NOT_BEFORE}
    with _any_key_length():
        return jwt.encode(claims, secret_key, algorithm="HS256", headers={"typ": "JWT"})


@contextlib.contextmanager
def _any_key_length() -> Iterator[None]:
    """PyJWT warns of short HMAC keys; the length of a secret key is Kling's choice, not its owner's."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The HMAC key is")
        yield


def _header_text(text: str, what: str) -> str:
    if not text or text != text.strip() or not text.isascii() or not text.isprintable():
        raise KlingInputError(
            f"The {what} is {'empty' if not text else 'not a plain word'}: check for lost or stray characters, like a line end."
        )
    return text


def issuer_of(token: str) -> str | None:
    """The access key that a JWT names, unproved."""
    import jwt

    try:
        return str(jwt.decode(token, options={"verify_signature": False})["iss"])
    except (jwt.PyJWTError, KeyError):
        return None


# --- The server's end: requests and refusals -------------------------------------------------------------------


class Refusal(Exception):
    """A request that is answered with an error code."""

    def __init__(self, number: int, message: str | None = None) -> None:
        self.code = CODES[number]
        self.message = message or self.code.meaning
        super().__init__(self.message)


@dataclass(frozen=True, kw_only=True)
class CreateBody:
    """The body of a create as a server reads it; `images` has one or two values."""

    effect_scene: str
    images: tuple[str, ...] = field(repr=False)
    external_task_id: str | None
    callback_url: str | None


def envelope(data: Any = None, *, request_id: str, code: int = 0, message: str = "SUCCEED") -> dict[str, Any]:
    """The object around every answer; an error has no `data`."""
    head: dict[str, Any] = {"code": code, "message": message, "request_id": request_id}
    return {**head, "data": data} if code == 0 else head


def read_create(body: bytes) -> CreateBody:
    """The body of a create; Refusal 1200 or 1201 with the parameter's name."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(1200, "Request body is not valid JSON") from None
    if not isinstance(document, dict):
        raise Refusal(1200, "Request body must be an object")
    scene = document.get("effect_scene")
    if not isinstance(scene, str) or not scene:
        raise Refusal(1201, "effect_scene must not be empty")
    given = document.get("input")
    if not isinstance(given, dict):
        raise Refusal(1201, "input must not be empty")
    image, images = given.get("image"), given.get("images")
    if images is None:
        images = [image] if image is not None else []
    if not isinstance(images, list) or not all(isinstance(one, str) and one for one in images) or not images:
        raise Refusal(1201, "image must not be empty")
    if given.get("images") is not None and len(images) != 2:
        raise Refusal(1201, "images size must be 2")
    optional = {}
    for name in ("external_task_id", "callback_url"):
        value = document.get(name)
        if value is not None and not isinstance(value, str):
            raise Refusal(1201, f"{name} must be a string")
        optional[name] = value or None
    return CreateBody(effect_scene=scene, images=tuple(images), **optional)


def read_page(params: Mapping[str, str]) -> tuple[int, int]:
    """`pageNum` and `pageSize` of a list; Refusal 1201 outside their limits."""
    numbers = []
    for name, default, most in (("pageNum", 1, MAX_PAGE_NUM), ("pageSize", DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)):
        text = params.get(name, str(default))
        if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= most:
            raise Refusal(1201, f"{name} must be between 1 and {most}")
        numbers.append(int(text))
    return numbers[0], numbers[1]


def authorize(header: str | None, *, api_keys: Collection[str], secrets: Mapping[str, str], now: float) -> float:
    """Accept an Authorization header, or raise Refusal 1000-1004 with the API's own words.

    `secrets` maps access keys to secret keys. Returns until when (Unix time) the same header may be accepted
    without another look.
    """
    import jwt

    if not header:
        raise Refusal(1001)
    kind, _, token = header.partition(" ")
    token = token.strip()
    if kind.lower() != "bearer" or not token:
        raise Refusal(1000)
    if token in api_keys:
        return math.inf
    dots = token.count(".")
    if dots != 2:
        raise Refusal(1002, f"The token was expected to have 3 parts, but got {dots + 1 if dots else 0}")
    options: Any = {"verify_signature": False}
    try:
        issuer = jwt.decode(token, options=options).get("iss")
        if not isinstance(issuer, str) or issuer not in secrets:
            raise Refusal(1002)
        options = {"require": ["iss", "exp", "nbf"], "verify_exp": False, "verify_nbf": False}
        with _any_key_length():
            claims = jwt.decode(token, secrets[issuer], algorithms=["HS256"], options=options)
        not_before, expires = int(claims["nbf"]), int(claims["exp"])
    except (jwt.PyJWTError, ValueError, TypeError):
        raise Refusal(1002) from None
    if now < not_before:
        raise Refusal(1003)
    if now >= expires:
        raise Refusal(1004)
    return float(expires)


# --- Reading JSON, fail closed ---------------------------------------------------------------------------------


def _object(data: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(data, dict):
        raise KlingAnswerError(f"An answer holds {_shown(data)} where {what} is expected.")
    return data


def _text(data: Mapping[str, Any], key: str, *, required: bool = False) -> str | None:
    value = data.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is not None and not isinstance(value, str):
        raise KlingAnswerError(f"{key} is {_shown(value)}, not a text.")
    if required and not value:
        raise KlingAnswerError(f"An answer has no {key}; it holds {_shown(sorted(map(str, data)))}.")
    return value or None


def _number(data: Mapping[str, Any], key: str) -> float | None:
    value = data.get(key)
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise KlingAnswerError(f"{key} is {_shown(value)}, not a number.")
    return number


def _units(data: Mapping[str, Any]) -> str | None:
    value = data.get("final_unit_deduction")
    if value is None or value == "":
        return None
    try:
        if isinstance(value, bool) or not Decimal(str(value)).is_finite():
            raise InvalidOperation
    except InvalidOperation:
        raise KlingAnswerError(f"final_unit_deduction is {_shown(value)}, not a decimal number.") from None
    return str(value)


def _time(data: Mapping[str, Any], key: str) -> pendulum.DateTime | None:
    value = _number(data, key)
    if value is None:
        return None
    try:
        return pendulum.from_timestamp(value / 1000)
    except (ValueError, OverflowError, OSError):
        raise KlingAnswerError(f"{key} is {_shown(value)}, not a time in milliseconds.") from None


def _milliseconds(time: pendulum.DateTime | None) -> int | None:
    return None if time is None else round(time.astimezone(timezone.utc).timestamp() * 1000)


def _within(name: str, value: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise KlingInputError(f"{name} is {value!r}; the API takes 1 to {most}.")


def _shown(value: Any) -> str:
    text = repr(value) if not isinstance(value, list | dict) or len(value) < 20 else f"{type(value).__name__} of {len(value)}"
    return text if len(text) <= 120 else f"{text[:120]}…"


def _excerpt(body: bytes) -> str:
    text = " ".join(body[:200].decode("utf-8", "replace").split())
    return f"{text[:80]!r}" if text else "an empty body"
