"""Errors on their way from a trigger to a worker: they keep their class and what it says."""

from __future__ import annotations

import json

import pytest

from airflow_provider_kling import errors
from airflow_provider_kling.api import error_kind
from airflow_provider_kling.errors import KlingApiError, KlingError, KlingInputError, KlingManifestError
from airflow_provider_kling.outcomes import error_event, task_of


def classes(parent=KlingError):
    return [parent, *(each for child in parent.__subclasses__() for each in classes(child) if each.__module__ == errors.__name__)]


def example(cls) -> KlingError:
    if issubclass(cls, KlingApiError):
        return cls("no", code=1002, http_status=401, request_id="r", advice="Check the keys.", retry_after=1.0)
    if issubclass(cls, KlingManifestError):
        return cls("m.csv", ["line 2: no image", "line 3: no image"])
    if issubclass(cls, errors.KlingTaskFailed):
        return cls("17", "risk control", advice="Take another image.", input_fault=True)
    if cls is errors.KlingConnectionError:
        return cls("cut off", sent=False)
    return cls("it went wrong")


@pytest.mark.parametrize("cls", classes(), ids=lambda cls: cls.__name__)
def test_an_error_arrives_as_it_was(cls):
    sent = example(cls)
    with pytest.raises(KlingError) as caught:
        task_of(json.loads(json.dumps(error_event(sent))))
    got = caught.value
    assert type(got) is cls
    assert str(got) == str(sent)
    for name in ("retryable", "outcome_unknown", "may_pass", "row_status", "stops_account", "code", "request_id"):
        assert getattr(got, name) == getattr(sent, name), name
    assert vars(got).keys() >= vars(sent).keys()  # no attribute of the class is missing
    for name in ("message", "advice", "kling_task_id", "input_fault", "sent", "http_status"):
        assert getattr(got, name, None) == getattr(sent, name, None), name


def test_which_image_was_refused_and_the_kind_arrive_too():
    refused, unreadable = errors.KlingPolicyError("no", code=1301), KlingInputError("a.jpg is no image")
    refused.name_image(2, of=2)
    unreadable.kind = "image"
    for sent in (refused, unreadable):
        with pytest.raises(KlingError) as caught:
            task_of(json.loads(json.dumps(error_event(sent))))
        got = caught.value
        assert (str(got), got.kind, getattr(got, "refused_image", 0)) == (str(sent), sent.kind, getattr(sent, "refused_image", 0))
        assert error_kind(got) == error_kind(sent) != "unknown"


@pytest.mark.parametrize(
    ("more", "cls"),
    [
        ({}, KlingError),
        ({"invalid": True}, KlingInputError),
        ({"class": "OfALaterVersion", "fields": {"code": 7}}, KlingError),
        ({"class": "Exception"}, KlingError),
        ({"class": ["KlingError"], "fields": "none"}, KlingError),
    ],
)
def test_an_event_of_another_version_is_still_an_error(more, cls):
    """Triggerers of an older version send neither class nor fields."""
    with pytest.raises(KlingError) as caught:
        task_of({"error": "text", "retryable": True, "invalid": False, **more})
    assert type(caught.value) is cls
    assert caught.value.retryable
    assert str(caught.value) == "text"


def test_an_event_cannot_set_anything_else():
    fields = {"args": ["x"], "__class__": "y", "code": "not a number", "row_status": "succeed"}
    with pytest.raises(KlingError) as caught:
        task_of({"error": "text", "retryable": False, "invalid": False, "class": "KlingAuthError", "fields": fields})
    assert caught.value.args == ("text",)
    assert (caught.value.code, caught.value.row_status) == (None, "error")
