"""Credentials and their tokens. The only module that uses PyJWT: the client signs tokens, the server checks them."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from airflow_provider_kling.errors import KlingInputError

TOKEN_LIFETIME = 1800  # seconds
TOKEN_NOT_BEFORE = 5  # seconds before now, in case this clock is ahead of the server's
TOKEN_RENEWAL = 120  # seconds before a token expires


class ApiKey:
    """An API key. It is sent unchanged."""

    def __init__(self, key: str) -> None:
        self._key = _header_text(key, "API key (the connection's password)")

    def token(self, now: float) -> str:
        """The token of the Authorization header, after `Bearer`."""
        return self._key

    def forget(self) -> bool:
        """Return whether the next token is another one: never."""
        return False


class AccessKey:
    """An access key with its secret key. It signs a JWT, and signs a new one two minutes before the old one expires."""

    def __init__(self, access_key: str, secret_key: str) -> None:
        self._access_key = _header_text(access_key, "access key (the connection's login)")
        self._secret_key = _header_text(secret_key, "secret key (the connection's password)")
        self._token = ""
        self._renew_at = -math.inf

    def token(self, now: float) -> str:
        """The token of the Authorization header, after `Bearer`. `now` is a Unix time in seconds."""
        if not self._token or not self._renew_at - TOKEN_LIFETIME <= now < self._renew_at:
            self._token = sign(self._access_key, self._secret_key, now)
            self._renew_at = now + TOKEN_LIFETIME - TOKEN_RENEWAL
        return self._token

    def forget(self) -> bool:
        """Drop the token, so that `token` signs a new one. Return whether the next token is another one: always."""
        self._token = ""
        return True


Credentials = ApiKey | AccessKey


def sign(access_key: str, secret_key: str, now: float) -> str:
    """A JWT as the API expects it: HS256, with `iss`, and with `exp` and `nbf` in whole seconds."""
    import jwt

    claims = {"iss": access_key, "exp": int(now) + TOKEN_LIFETIME, "nbf": int(now) - TOKEN_NOT_BEFORE}
    with _any_key_length():
        return jwt.encode(claims, secret_key, algorithm="HS256", headers={"typ": "JWT"})


def issuer_of(token: str) -> str | None:
    """The access key that a JWT names. Its signature is not checked."""
    import jwt

    try:
        return str(jwt.decode(token, options={"verify_signature": False})["iss"])
    except (jwt.PyJWTError, KeyError):
        return None


def lifetime_of(token: str, secrets: Mapping[str, str]) -> tuple[int, int] | None:
    """The start and the end (Unix times) of a JWT's validity; None if a claim is missing or no key of `secrets` signed it."""
    import jwt

    options: Any = {"verify_signature": False}
    try:
        issuer = jwt.decode(token, options=options).get("iss")
        if not isinstance(issuer, str) or issuer not in secrets:
            return None
        options = {"require": ["iss", "exp", "nbf"], "verify_exp": False, "verify_nbf": False}
        with _any_key_length():
            claims = jwt.decode(token, secrets[issuer], algorithms=["HS256"], options=options)
        return int(claims["nbf"]), int(claims["exp"])
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
        return None


@contextlib.contextmanager
def _any_key_length() -> Iterator[None]:
    """Suppress PyJWT's warning of short HMAC keys: Kling chooses the length of a secret key, not its owner."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The HMAC key is")
        yield


def _header_text(text: str, what: str) -> str:
    if not text or text != text.strip() or not text.isascii() or not text.isprintable():
        raise KlingInputError(
            f"The {what} is {'empty' if not text else 'not a plain word'}: check for lost or stray characters, like a line end."
        )
    return text
