"""Whether a callback comes from Kling: the secrets of a connection, and the check of a signature (Standard Webhooks)."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

from airflow_provider_kling.errors import KlingAnswerError, KlingSettingsError

PREFIX = "whsec_"
MOST_SIGNATURES = 10  # of one request; Kling sends one for each secret that is valid


def read_secrets(value: Any, where: str) -> tuple[str, ...]:
    """The secrets in the extra `webhook_secret`: one, or several of which a rotation lets all count, as a list or as a text
    that separates them with blanks, commas or line ends."""
    if value is None or value == "":
        return ()
    texts = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(map(_is_secret, texts)):
        raise KlingSettingsError(
            f"{where}: extra webhook_secret is not as wanted: whsec_ and base64, as Kling's console shows it, or several of them."
        )
    return tuple(dict.fromkeys(texts))


def check_signature(secrets: Iterable[str], body: bytes, headers: Mapping[str, str]) -> None:
    """Raise KlingAnswerError unless the body is signed with one of the secrets, at most five minutes ago.

    Raises KlingSettingsError where the library for it is not installed. Source of the scheme: the vendor's page on webhooks.
    """
    try:
        from standardwebhooks import Webhook, WebhookVerificationError
    except ImportError as error:
        raise KlingSettingsError("Reading callbacks needs standardwebhooks: install airflow-provider-kling[webhooks].") from error
    problem: Exception | None = None
    for given in _one_signature_each(headers):
        for secret in secrets:
            try:
                Webhook(secret).verify(body, given, json_parse=False)
                return
            except (WebhookVerificationError, ValueError) as error:
                problem = error
    invalid = KlingAnswerError(f"A callback is not signed as it should be: {problem}.")
    invalid.retryable = False
    raise invalid from problem


def _one_signature_each(headers: Mapping[str, str]) -> list[dict[str, str]]:
    """The headers once for each of their signatures: one that cannot be read must not hide one that is right."""
    named = {name.lower(): value for name, value in headers.items()}
    signatures = named.get("webhook-signature", "").split()[:MOST_SIGNATURES]
    return [{**named, "webhook-signature": signature} for signature in signatures] or [named]


def _is_secret(text: Any) -> bool:
    try:
        return text.startswith(PREFIX) and bool(base64.b64decode(text.removeprefix(PREFIX), validate=True))
    except (AttributeError, TypeError, ValueError):
        return False
