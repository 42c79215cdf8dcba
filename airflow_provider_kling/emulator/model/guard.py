"""Who sends a request: the check of the Authorization header, with a cache of accepted headers."""

from __future__ import annotations

from email.utils import formatdate

from airflow_provider_kling.api import authorize, issuer_of
from airflow_provider_kling.emulator.model.settings import Settings

MOST_CACHED = 10_000


class Guard:
    """Accepts headers. It names a credential by its kind and its name, never by the token."""

    def __init__(self) -> None:
        self._accepted: dict[str, tuple[float, float, str]] = {}

    def forget(self) -> None:
        """Check every header again, because the accepted keys have changed."""
        self._accepted.clear()

    def check(self, header: str | None, settings: Settings, *, now: float) -> str:
        """The credential's kind and name. Raises Refusal 1000-1004 if it is not accepted at this (real) time."""
        now += settings.skew
        if header and header in self._accepted:
            since, until, name = self._accepted[header]
            if since <= now < until:
                return name
        until = authorize(header, api_keys=settings.api_key, secrets=settings.secrets, now=now)
        name = _name(header or "", settings)
        if len(self._accepted) >= MOST_CACHED:
            self._accepted.clear()
        self._accepted[header or ""] = (now, until, name)
        return name


def skewed_date(settings: Settings, *, now: float) -> str:
    """The Date header of a server whose clock runs ahead, so that a client can notice it."""
    return formatdate(now + settings.skew, usegmt=True)


def _name(header: str, settings: Settings) -> str:
    token = header.partition(" ")[2].strip()
    if token in settings.api_key:
        return f"API key {settings.api_key.index(token) + 1}"
    return f"access key {issuer_of(token)}"
