"""The Airflow connection to an emulator."""

from __future__ import annotations

import json
from typing import Any

from airflow_provider_kling.emulator.model import Settings


def connection(settings: Settings, url: str, *, auth: str = "api_key") -> str:
    """The value for AIRFLOW_CONN_KLING_DEFAULT. `auth` is the kind of credential: api_key or access_key."""
    fields: dict[str, Any] = {"conn_type": "kling", "host": url}
    if auth == "api_key":
        fields["password"] = settings.api_key[0]
    elif auth == "access_key":
        fields["login"], fields["password"] = settings.access_key[0].split(":", 1)
    else:
        raise ValueError(f"auth is {auth!r}; expected 'api_key' or 'access_key'.")
    # It is on your own machine or network: so are its videos, and no proxy leads there.
    fields["extra"] = {"allow_private_links": True, "proxies": False}
    if settings.webhook_secret:
        fields["extra"]["webhook_secret"] = settings.webhook_secret
    return json.dumps(fields)
