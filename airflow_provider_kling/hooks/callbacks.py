"""Callbacks from Kling. Their signature is verified before their content is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from airflow.providers.common.compat.sdk import conf

from airflow_provider_kling import api, client
from airflow_provider_kling.errors import KlingSettingsError
from airflow_provider_kling.links import URL_PREFIX
from airflow_provider_kling.redaction import show_place

if TYPE_CHECKING:
    from airflow_provider_kling.api import Task
    from airflow_provider_kling.client import KlingSettings

AUTO = "auto"


def callback_address(callback_url: str | None, kling_conn_id: str) -> str | None:
    """The URL that Kling is to call: as given, or for "auto" that of the receiver in Airflow's API server, for this connection.

    Raises KlingSettingsError for "auto" where `[kling] callback_base_url` does not say how Kling reaches the API server.
    """
    if callback_url != AUTO:
        return callback_url
    base = conf.get("kling", "callback_base_url", fallback="").strip().rstrip("/")
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise KlingSettingsError(
            f"callback_url is 'auto', and [kling] callback_base_url is {show_place(base)!r}; wanted is the URL at which Kling "
            "reaches Airflow's API server, like https://airflow.example.com."
        )
    return f"{base}{URL_PREFIX}/callbacks/{quote(kling_conn_id, safe='')}"


def check_callback(settings: KlingSettings, body: bytes, headers: Mapping[str, str]) -> None:
    """Raise KlingAnswerError unless Kling has sent this callback, as far as the connection asks for a proof of it.

    A signature that is there must be right; none will do only if the connection accepts unsigned callbacks. Raises
    KlingSettingsError where the connection has no secret to check it with.
    """
    signed = any(name.lower() == "webhook-signature" for name in headers)
    if settings.webhook_secrets and (signed or not settings.accept_unsigned_callbacks):
        client.check_signature(settings.webhook_secrets, body, headers)
    elif not settings.accept_unsigned_callbacks:
        raise KlingSettingsError(
            f"Connection {settings.conn_id!r} has no webhook_secret; wanted is the one that Kling signs callbacks with."
        )


def verified_task(settings: KlingSettings, body: bytes, headers: Mapping[str, str]) -> Task:
    """The task in a callback (Standard Webhooks). `KlingHook.read_callback` lists the errors."""
    check_callback(settings, body, headers)
    return api.callback_task(body)
