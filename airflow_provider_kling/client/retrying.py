"""How often a call is sent, and with which pauses: one policy for both clients."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import tenacity

from airflow_provider_kling.client.deadlines import monotonic_now
from airflow_provider_kling.client.settings import KlingSettings
from airflow_provider_kling.errors import KlingAuthError, KlingError, KlingTokenTimeError

READ_TRIES = 5
LONGEST_READ_PAUSE = 30.0  # seconds
LONGEST_RETRY_AFTER = 60.0  # seconds that a server may ask to wait; for longer no call waits


class Attempts:
    """What a client needs to send calls: the settings, the token and the retry policy.

    `hide` is called with each new token, so that logs mask it.
    """

    def __init__(self, settings: KlingSettings, *, retry_wait: float, hide: Callable[[str], object]) -> None:
        self.settings = settings
        self.retry_wait = retry_wait
        self._hide = hide
        self._last_token = ""

    def token(self) -> str:
        """The token of the Authorization header, after `Bearer`."""
        token = self.settings.credentials.token(time.time())
        if token != self._last_token:
            self._hide(token)
            self._last_token = token
        return token

    def policy(self, tries: int, *, deadline: float | None = None) -> dict[str, Any]:
        """Arguments of tenacity for this many tries. One more try follows when an invalid token has been renewed, once.

        No try begins at or after the `deadline` (monotonic seconds; see `monotonic_now`), nor after a pause that the server
        wants longer than `LONGEST_RETRY_AFTER`: then the error ends the call at once, and the caller decides what to do meanwhile.
        """
        renewed = False
        pause = 0.0

        def try_again(state: tenacity.RetryCallState) -> bool:
            nonlocal renewed, pause
            error = state.outcome.exception() if state.outcome else None
            if isinstance(error, KlingTokenTimeError):
                before, renewed = renewed, True
                pause = 0.0
                again = not before and self.settings.credentials.forget()
            else:
                asked = getattr(error, "retry_after", None) or 0.0
                pause = max(asked, backoff(state))
                retryable = isinstance(error, KlingError) and error.retryable and state.attempt_number < tries
                again = retryable and asked <= LONGEST_RETRY_AFTER
            return again and (deadline is None or monotonic_now() + pause < deadline)

        backoff = tenacity.wait_random_exponential(multiplier=self.retry_wait, max=LONGEST_READ_PAUSE)
        return {"retry": try_again, "wait": lambda _: pause, "reraise": True}

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """If a new token is refused too, raise KlingAuthError with the difference between the clocks, where it is known."""
        try:
            yield
        except KlingTokenTimeError as error:
            advice = error.advice
            if error.server_time is not None and self.settings.credentials.forget():
                ahead = time.time() - error.server_time.timestamp()
                side = "ahead of" if ahead > 0 else "behind"
                clock = f"this machine's clock is {abs(ahead):.0f} s {side} the server's"
                advice = f"A newly signed token was refused as well; {clock}. {advice}"
            raise KlingAuthError(
                error.message, code=error.code, http_status=error.http_status, request_id=error.request_id, advice=advice
            ) from error
