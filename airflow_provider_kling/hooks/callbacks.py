"""Callbacks from Kling. Their signature is verified before their content is used."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_kling.api import Task, callback_task
from airflow_provider_kling.client import KlingSettings
from airflow_provider_kling.errors import KlingAnswerError, KlingSettingsError


def verified_task(settings: KlingSettings, body: bytes, headers: Mapping[str, str]) -> Task:
    """The task in a signed callback (Standard Webhooks). `KlingHook.read_callback` lists the errors."""
    if not settings.webhook_secret:
        raise KlingSettingsError(
            f"Connection {settings.conn_id!r} has no webhook_secret; wanted is the one that Kling signs callbacks with."
        )
    try:
        from standardwebhooks import Webhook, WebhookVerificationError
    except ImportError as error:
        raise KlingSettingsError("Reading callbacks needs standardwebhooks: install airflow-provider-kling[webhooks].") from error
    try:
        Webhook(settings.webhook_secret).verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError) as error:
        invalid = KlingAnswerError(f"A callback is not signed as it should be: {error}.")
        invalid.retryable = False
        raise invalid from error
    return callback_task(body)
