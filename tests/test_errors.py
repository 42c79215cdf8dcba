"""What each error means to those who handle it: one table, which rows, batch, retries and triggers read."""

from __future__ import annotations

import inspect

import pytest

from airflow_provider_kling import errors

# Error → status of its row, whether it stops the account, whether another try of the Airflow task may do better.
MEANING = {
    errors.KlingError("x"): ("error", False, False),
    errors.KlingInputError("x"): ("invalid", False, False),
    errors.KlingManifestError("m.csv", ["x"]): ("invalid", False, False),
    errors.KlingSettingsError("x"): ("error", True, False),
    errors.KlingConnectionError("x", sent=True): ("error", False, True),
    errors.KlingAnswerError("x"): ("error", False, True),
    errors.KlingApiError("x"): ("error", False, False),
    errors.KlingAuthError("x"): ("error", True, False),
    errors.KlingTokenTimeError("x"): ("error", True, False),
    errors.KlingAccountError("x"): ("error", True, False),
    errors.KlingRequestError("x"): ("error", False, False),
    errors.KlingTaskNotFound("x"): ("error", False, False),
    errors.KlingTaskExists("x"): ("error", False, False),
    errors.KlingModerationError("x"): ("error", False, False),
    errors.KlingPolicyError("x"): ("error", False, False),
    errors.KlingBusyError("x"): ("error", False, True),
    errors.KlingSlotsFullError("x"): ("error", False, True),
    errors.KlingServerError("x"): ("error", False, True),
    errors.KlingTaskFailed("1", "x"): ("failed", False, True),
    errors.KlingTaskFailed("1", "x", input_fault=True): ("failed", False, False),
    errors.KlingTaskModerated("1", "x"): ("failed", False, False),
    errors.KlingCappedError("x"): ("capped", False, False),
    errors.KlingTimeoutError("x"): ("error", False, True),
    errors.KlingDownloadError("x"): ("error", False, False),
    errors.KlingDownloadError("x", retryable=True): ("error", False, True),
    errors.KlingStorageError("x"): ("error", False, True),
}


@pytest.mark.parametrize(("error", "meaning"), MEANING.items(), ids=lambda value: type(value).__name__)
def test_the_meaning_of_each_error(error, meaning):
    assert (error.row_status, error.stops_account, error.may_pass) == meaning


def test_no_error_is_missing_in_the_table_or_in_the_tree():
    classes = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.KlingError)}
    assert classes == {type(error) for error in MEANING}
    for kind in classes:
        assert f" {kind.__name__}" in f" {errors.__doc__}".replace("\n", " ")
