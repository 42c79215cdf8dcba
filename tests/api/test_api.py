"""The protocol: documented messages are read and written as documented; anything else raises one clear error."""

from __future__ import annotations

import contextlib
import json
import warnings

import jwt
import pendulum
import pytest
from hypothesis import given, strategies as st
from vendor import QUERY_ANSWER

from airflow_provider_kling import api, errors
from airflow_provider_kling.api import CODES, EFFECTS, AccessKey, ApiKey, EffectRequest, Response, Task, Video

URL = "https://example.com/a.jpg"
SECRET = "s" * 32


def response(document, status=200, **headers):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Response(status=status, body=body, headers=headers)


def read(document, status=200, **headers):
    return api.get_call(EFFECTS, "831922345719271433").read(response(document, status, **headers))


def test_the_documented_response_is_read_completely():
    task = read(QUERY_ANSWER.encode())
    assert task.kling_task_id == "831922345719271433"
    assert task.succeeded
    assert task.done
    assert task.external_task_id == "mine-1"
    assert task.units == "2.5"
    assert task.videos == (
        Video(
            id="v1",
            url="https://p1.a.kwimgs.com/bs2/upload-ylab-stunt/output.mp4",
            watermark_url="https://p1.a.kwimgs.com/bs2/upload-ylab-stunt/marked.mp4",
        ),
    )
    assert task.created_at == pendulum.datetime(2024, 8, 4, 11, 5, 57, 708000)
    assert task.links_expire_at == pendulum.datetime(2024, 9, 3, 11, 6, 57, 708000)


def test_a_task_is_equal_after_writing_and_reading():
    task = read(QUERY_ANSWER.encode())
    assert Task.from_json(json.loads(json.dumps(task.to_json()))) == task


def test_unknown_keys_and_a_duration_are_accepted():
    document = json.loads(QUERY_ANSWER)
    document["data"]["task_result"]["videos"][0] |= {"duration": "5.041", "new": {"deep": [1]}}
    document["data"]["final_balance_deduction"] = {"quota": "1", "list_price": "2"}
    assert read(document).videos[0].duration == 5.041


def test_a_numeric_task_id_keeps_all_its_digits():
    document = QUERY_ANSWER.replace('"831922345719271433"', "831922345719271433")
    assert read(document.encode()).kling_task_id == "831922345719271433"


def test_an_unknown_status_is_neither_done_nor_a_success():
    document = json.loads(QUERY_ANSWER)
    document["data"]["task_status"] = "succeeded"
    task = read(document)
    assert (task.done, task.succeeded, task.failed, task.known_status) == (False, False, False, False)


def test_the_create_is_as_documented():
    single = api.create_call(EFFECTS, EffectRequest("pet_lion", [URL]), external_task_id="x", callback_url="https://me/cb")
    assert (single.method, single.path, single.safe) == ("POST", "/v1/videos/effects", False)
    assert single.body == {
        "effect_scene": "pet_lion",
        "input": {"image": URL},
        "external_task_id": "x",
        "callback_url": "https://me/cb",
    }
    dual = api.create_call(EFFECTS, EffectRequest("hug_pro", [URL, URL]), external_task_id="x")
    assert dual.body == {"effect_scene": "hug_pro", "input": {"images": [URL, URL]}, "external_task_id": "x"}


def test_the_number_of_images_decides_the_input_of_an_unknown_scene():
    assert EffectRequest("brand_new", [URL]).input == {"image": URL}
    assert EffectRequest("brand_new", [URL, URL]).input == {"images": [URL, URL]}


def test_an_id_that_native_templates_turned_into_a_number_is_accepted():
    assert api.get_call(EFFECTS, 831922345719271433).path == "/v1/videos/effects/831922345719271433"


def test_ids_are_quoted_in_the_path():
    assert api.get_call(EFFECTS, "a/b?c d").path == "/v1/videos/effects/a%2Fb%3Fc%20d"


# --- Error codes


@pytest.mark.parametrize("code", CODES.values(), ids=lambda code: str(code.number))
def test_each_code_raises_its_error_with_advice(code):
    with pytest.raises(errors.KlingApiError) as caught:
        read({"code": code.number, "message": code.meaning, "request_id": "r-1"}, code.http_status)
    error = caught.value
    assert type(error) is code.error
    assert (error.code, error.request_id, error.http_status) == (code.number, "r-1", code.http_status)
    assert error.advice
    assert error.advice in str(error)
    assert code.meaning in str(error)


def test_the_code_decides_not_the_http_status():
    with pytest.raises(errors.KlingAccountError):
        read({"code": 1102, "message": "Account balance not enough", "request_id": "r"}, 429)
    with pytest.raises(errors.KlingSlotsFullError):
        read({"code": 1303, "message": "parallel task over resource pack limit", "request_id": "r"}, 200)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, errors.KlingRequestError),
        (401, errors.KlingAuthError),
        (403, errors.KlingAuthError),
        (429, errors.KlingBusyError),
        (500, errors.KlingServerError),
        (418, errors.KlingRequestError),
    ],
)
def test_the_http_status_decides_for_an_unknown_code(status, error):
    with pytest.raises(error) as caught:
        read({"code": 7777, "message": "new", "request_id": "r"}, status)
    assert type(caught.value) is error


def test_the_message_decides_what_1201_means():
    with pytest.raises(errors.KlingTaskNotFound):
        read({"code": 1201, "message": "Task not found by id/external id: 7", "request_id": "r"}, 400)
    with pytest.raises(errors.KlingTaskExists):
        read({"code": 1201, "message": "External_task_id 7 already exists", "request_id": "r"}, 400)
    with pytest.raises(errors.KlingRequestError) as caught:
        read({"code": 1201, "message": "image must not be empty", "request_id": "r"}, 400)
    assert type(caught.value) is errors.KlingRequestError


def test_a_code_as_text_is_accepted():
    with pytest.raises(errors.KlingSlotsFullError):
        read({"code": "1303", "message": "full"}, 429)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "Sun, 22 Nov 2026 10:00:30 GMT", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 30.0),
        ({"retry-after": "Sun, 22 Nov 2026 10:00:30 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "9" * 40}, None),
        ({}, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(headers, seconds):
    with pytest.raises(errors.KlingBusyError) as caught:
        read({"code": 1302, "message": "slow down"}, 429, **headers)
    assert caught.value.retry_after == seconds


# --- Invalid responses


@given(st.binary(max_size=300), st.sampled_from([200, 302, 400, 404, 500, 502]))
def test_any_bytes_raise_a_kling_error(body, status):
    with pytest.raises(errors.KlingError):
        api.list_call(EFFECTS).read(Response(status=status, body=body))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
TASK_KEYS = ["task_id", "task_status", "task_info", "task_result", "created_at", "updated_at", "final_unit_deduction"]


@given(st.dictionaries(st.sampled_from(TASK_KEYS), json_values))
def test_any_data_is_a_task_or_raises_a_kling_error(data):
    try:
        task = read({"code": 0, "message": "SUCCEED", "data": data})
    except errors.KlingError:
        return
    assert task.kling_task_id
    assert task.status


@given(st.dictionaries(st.sampled_from([*TASK_KEYS, "code", "message", "data"]), json_values), st.integers(100, 599))
def test_any_object_is_read_or_raises_a_kling_error(document, status):
    with contextlib.suppress(errors.KlingError):
        api.costs_call(start=pendulum.datetime(2026, 1, 1), end=pendulum.datetime(2026, 2, 1)).read(response(document, status))


def test_deep_nesting_raises_a_kling_error():
    with pytest.raises(errors.KlingAnswerError):
        read(b'{"data":' + b"[" * 200_000)


def test_a_redirect_is_an_error_that_names_its_target():
    with pytest.raises(errors.KlingRequestError, match="redirected to https://elsewhere"):
        read(b"<html>", 302, location="https://elsewhere/")


# --- Credentials


def test_an_api_key_is_sent_unchanged():
    assert ApiKey("key").token(0) == "key"
    assert ApiKey("key").forget() is False


def test_a_jwt_has_the_documented_claims():
    token = AccessKey("ak", SECRET).token(1_000_000.7)
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}
    claims = jwt.decode(token, SECRET, algorithms=["HS256"], options={"verify_exp": False, "verify_nbf": False})
    assert claims == {"iss": "ak", "exp": 1_001_800, "nbf": 999_995}


def test_a_jwt_is_reused_until_two_minutes_before_it_expires():
    key = AccessKey("ak", SECRET)
    first = key.token(1000)
    assert key.token(1000 + 1800 - 121) == first
    assert key.token(1000 + 1800 - 120) != first


def test_a_jwt_is_renewed_after_the_clock_was_set_back():
    key = AccessKey("ak", SECRET)
    assert key.token(10_000) != key.token(1000)


def test_forget_makes_the_next_jwt_a_new_one():
    key = AccessKey("ak", SECRET)
    first = key.token(1000)
    assert key.forget() is True
    assert key.token(1001) != first


def test_a_short_secret_key_causes_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        token = AccessKey("ak", "short").token(1000)
        assert api.authorize(f"Bearer {token}", api_keys=(), secrets={"ak": "short"}, now=1000) == 2800


def test_credentials_show_no_key():
    assert "topsecret" not in repr(ApiKey("topsecret")) + repr(AccessKey("ak", "topsecret"))


# --- The server's half


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, 1001),
        ("", 1001),
        ("Basic abc", 1000),
        ("Bearer", 1000),
        ("Bearer nothing-known", 1002),
        ("Bearer a.b.c", 1002),
        (f"Bearer {api.sign('other', SECRET, 1000)}", 1002),
        (f"Bearer {api.sign('ak', 'x' * 32, 1000)}", 1002),
        (f"Bearer {api.sign('ak', SECRET, 2000)}", 1003),
        (f"Bearer {api.sign('ak', SECRET, -1000)}", 1004),
    ],
)
def test_a_server_refuses_what_the_api_refuses(header, code):
    with pytest.raises(api.Refusal) as caught:
        api.authorize(header, api_keys={"key"}, secrets={"ak": SECRET}, now=1000)
    assert caught.value.code.number == code


def test_a_malformed_key_is_refused_with_the_apis_own_message():
    with pytest.raises(api.Refusal, match="The token was expected to have 3 parts, but got 0"):
        api.authorize("Bearer nothing", api_keys=(), secrets={}, now=0)


def test_a_server_accepts_both_kinds_of_credentials():
    token = api.sign("ak", SECRET, 1000)
    assert api.authorize(f"Bearer {token}", api_keys=(), secrets={"ak": SECRET}, now=1000) == 2800
    assert api.authorize("Bearer key", api_keys={"key"}, secrets={}, now=1000) > 1e12
