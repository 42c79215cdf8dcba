"""Who asks: the check of the Authorization header, remembered for as long as the header is good."""

from __future__ import annotations

from email.utils import formatdate

from airflow_provider_kling.api import authorize, issuer_of
from airflow_provider_kling.emulator.model.settings import Settings

REMEMBERED = 10_000


class Guard:
    """Accepts headers, and tells whose they are by the kind and the name of the credential, never by the token."""

    def __init__(self) -> None:
        self._until: dict[str, tuple[float, float, str]] = {}

    def forget(self) -> None:
        """Look at every header anew, as the accepted keys have changed."""
        self._until.clear()

    def check(self, header: str | None, settings: Settings, *, now: float) -> str:
        """The credential's kind and name; Refusal 1000-1004 when it is not accepted at this (real) time."""
        now += settings.skew
        if header and header in self._until:
            since, until, name = self._until[header]
            if since <= now < until:
                return name
        until = authorize(header, api_keys=settings.api_key, secrets=settings.secrets, now=now)
        name = _name(header or "", settings)
        if len(self._until) >= REMEMBERED:
            self._until.clear()
        self._until[header or ""] = (now, until, name)
        return name


def skewed_date(settings: Settings, *, now: float) -> str:
    """The Date header of a server whose clock runs ahead, so that a client can see it."""
    return formatdate(now + settings.skew, usegmt=True)


def _name(header: str, settings: Settings) -> str:
    token = header.partition(" ")[2].strip()
    if token in settings.api_key:
        return f"API key {settings.api_key.index(token) + 1}"
    return f"access key {issuer_of(token)}"
