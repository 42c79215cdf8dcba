"""Callbacks from Kling. Their signature is verified before their content is used."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_kling.api import Task, callback_task
from airflow_provider_kling.client import KlingSettings, check_signature
from airflow_provider_kling.errors import KlingSettingsError


def check_callback(settings: KlingSettings, body: bytes, headers: Mapping[str, str]) -> None:
    """Raise KlingAnswerError unless Kling has sent this callback, as far as the connection asks for a proof of it.

    A signature that is there must be right; none will do only if the connection accepts unsigned callbacks. Raises
    KlingSettingsError where the connection has no secret to check it with.
    """
    signed = any(name.lower() == "webhook-signature" for name in headers)
    if settings.webhook_secrets and (signed or not settings.accept_unsigned_callbacks):
        check_signature(settings.webhook_secrets, body, headers)
    elif not settings.accept_unsigned_callbacks:
        raise KlingSettingsError(
            f"Connection {settings.conn_id!r} has no webhook_secret; wanted is the one that Kling signs callbacks with."
        )


def verified_task(settings: KlingSettings, body: bytes, headers: Mapping[str, str]) -> Task:
    """The task in a callback (Standard Webhooks). `KlingHook.read_callback` lists the errors."""
    check_callback(settings, body, headers)
    return callback_task(body)
