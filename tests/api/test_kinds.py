"""What an error is about: every class, every code, the texts of failed tasks, and which image a refusal means."""

from __future__ import annotations

import inspect
import json

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from hypothesis import given, strategies as st

from airflow_provider_kling import api, errors
from airflow_provider_kling.api import CODES, EFFECTS, ERROR_KINDS, EffectRequest, Response, error_kind, failure_kind, refused_image
from airflow_provider_kling.api.kinds import KIND_OF_CLASS
from airflow_provider_kling.manifests import load_image

OF_CLASS = {
    errors.KlingError("x"): "unknown",
    errors.KlingInputError("x"): "request",
    errors.KlingManifestError("m.csv", ["x"]): "request",
    errors.KlingSettingsError("x"): "credentials",
    errors.KlingConnectionError("x", sent=True): "server",
    errors.KlingAnswerError("x"): "server",
    errors.KlingModerationError("x"): "moderation",
    errors.KlingApiError("x"): "unknown",
    errors.KlingAuthError("x"): "credentials",
    errors.KlingTokenTimeError("x"): "credentials",
    errors.KlingAccountError("x"): "account",
    errors.KlingRequestError("x"): "request",
    errors.KlingTaskNotFound("x"): "request",
    errors.KlingTaskExists("x"): "request",
    errors.KlingPolicyError("x"): "moderation",
    errors.KlingBusyError("x"): "busy",
    errors.KlingSlotsFullError("x"): "busy",
    errors.KlingServerError("x"): "server",
    errors.KlingTaskFailed("1", "x"): "unknown",
    errors.KlingTaskModerated("1", "x"): "moderation",
    errors.KlingCappedError("x"): "capped",
    errors.KlingTimeoutError("x"): "timeout",
    errors.KlingDownloadError("x"): "storage",
    errors.KlingStorageError("x"): "storage",
}
OF_CODE = {
    **dict.fromkeys([1000, 1001, 1002, 1003, 1004], "credentials"),
    **dict.fromkeys([1100, 1101, 1102, 1103, 1304], "account"),
    **dict.fromkeys([1200, 1201, 1202, 1203], "request"),
    **dict.fromkeys([1300, 1301], "moderation"),
    **dict.fromkeys([1302, 1303], "busy"),
    **dict.fromkeys([5000, 5001, 5002], "server"),
}
CREATES = {
    1: api.create_call(EFFECTS, EffectRequest("squish", ["https://example.com/a.jpg"]), external_task_id="x"),
    2: api.create_call(EFFECTS, EffectRequest("kiss_pro", ["https://example.com/a.jpg"] * 2), external_task_id="x"),
}


def refusal(code: int, message: str, *, images: int = 1, status: int = 400) -> errors.KlingApiError:
    """The error that a create of so many images ends with."""
    body = json.dumps({"code": code, "message": message, "request_id": "r"}).encode()
    with pytest.raises(errors.KlingApiError) as caught:
        CREATES[images].read(Response(status=status, body=body))
    return caught.value


@pytest.mark.parametrize(("error", "kind"), OF_CLASS.items(), ids=lambda value: type(value).__name__)
def test_the_kind_of_each_class(error, kind):
    assert error_kind(error) == kind


def test_no_class_no_code_and_no_kind_is_missing():
    classes = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.KlingError)}
    assert classes == {type(error) for error in OF_CLASS}
    assert set(OF_CODE) == set(CODES)
    assert set(KIND_OF_CLASS.values()) | {"image", "scene"} == set(ERROR_KINDS)


@pytest.mark.parametrize(("code", "kind"), OF_CODE.items())
def test_the_kind_of_each_code(code, kind):
    assert error_kind(refusal(code, CODES[code].meaning, status=CODES[code].http_status)) == kind


@pytest.mark.parametrize(("status", "kind"), [(401, "credentials"), (429, "busy"), (503, "server"), (400, "request")])
def test_an_unknown_code_follows_its_http_status(status, kind):
    assert error_kind(refusal(1999, "new", status=status)) == kind


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("effect_scene value 'pet_lion' is invalid", "scene"),
        ("Image url can not be loaded", "image"),
        ("images size must be 2", "image"),
        ("callback_url must be a string", "request"),
        ("External_task_id image-1 already exists", "request"),
        ("Task not found by id/external id: image-1", "request"),
    ],
)
def test_a_wrong_parameter_is_told_by_the_message(message, kind):
    assert error_kind(refusal(1201, message)) == kind


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Failure to pass the risk control system", "moderation"),
        ("Triggered the content security policy of the platform", "moderation"),
        ("Image pixel is invalid", "image"),
        ("The resolution or aspect ratio of the input image is invalid. Please ensure …", "image"),
        ("Internal error, please try again", "server"),
        ("", "unknown"),
        ("Task failed", "unknown"),
    ],
)
def test_the_kind_of_a_failed_task_is_that_of_its_message(message, kind):
    error = api.task_failure("7", message)
    assert (failure_kind(message), error_kind(error)) == (kind, kind)
    assert isinstance(error, errors.KlingModerationError) == (kind == "moderation")
    assert error.input_fault == api.is_input_fault(message)
    assert error.may_pass != error.input_fault


def test_an_image_that_cannot_be_read_and_a_scene_that_is_unknown():
    with pytest.raises(errors.KlingInputError) as image:
        load_image("/no/such/file.jpg")
    with pytest.raises(errors.KlingInputError) as scene:
        EffectRequest("no_such_scene", ["https://example.com/a.jpg"]).check_scene(strict=True)
    assert (error_kind(image.value), error_kind(scene.value)) == ("image", "scene")
    assert image.value.may_pass  # the file may still come


def test_an_error_of_airflow_or_python_has_a_kind():
    wrapped = AirflowFailException("x")
    wrapped.__cause__ = errors.KlingBusyError("x")
    circle = ValueError("x")
    circle.__cause__ = circle
    assert [error_kind(error) for error in (wrapped, TimeoutError(), PermissionError(), ConnectionResetError(), circle)] == [
        "busy",
        "timeout",
        "storage",
        "server",
        "unknown",
    ]


# --- Refusals


@pytest.mark.parametrize("code", [1300, 1301])
def test_a_refused_create_is_a_moderation_error_that_names_the_only_image(code):
    error = refusal(code, CODES[code].meaning)
    assert isinstance(error, errors.KlingModerationError)
    assert isinstance(error, errors.KlingPolicyError)
    assert (error.code, error.refused_image) == (code, 1)
    assert "Refused is" not in str(error)


@pytest.mark.parametrize(
    ("message", "number"),
    [
        ("Triggered the content security policy of the platform", None),
        ("input.images[1] triggered the content security policy", 2),
        ("images[0]: sensitive", 1),
        ("image_2 is not allowed", 2),
        ("Image 1: refused", 1),
        ("the second image is sensitive", 2),
        ("the left-hand image is sensitive", 1),
        ("the 2nd image is sensitive", 2),
        ("image 1 and image 2 are sensitive", None),
        ("image 3 is sensitive", None),
        ("images[7] is sensitive", None),
        ("image 300px is small", None),
    ],
)
def test_the_message_tells_which_of_two_images_was_refused(message, number):
    error = refusal(1301, message, images=2)
    assert error.refused_image == number
    assert (f"Refused is image {number} of 2." in str(error)) == (number is not None)
    assert refused_image(message, None) is None


def test_a_single_image_is_not_blamed_for_something_else():
    assert refused_image("the prompt is sensitive", 1) is None
    assert refused_image("scene squish is not allowed", 1) is None
    assert api.task_failure("7", "Failure to pass the risk control system", images=1).refused_image == 1
    assert api.task_failure("7", "Failure to pass the risk control system", images=2).refused_image is None


@given(st.text(max_size=200), st.sampled_from([None, 1, 2]))
def test_no_message_makes_it_claim_an_image_that_there_is_not(message, images):
    number = refused_image(message, images)
    assert number is None or 1 <= number <= (images or 0)
    assert failure_kind(message) in ERROR_KINDS
