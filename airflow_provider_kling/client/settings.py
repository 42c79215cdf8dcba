"""The settings of an Airflow connection of type `kling`, checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Protocol
from urllib.parse import urlsplit

from airflow_provider_kling.api import DEFAULT_BASE_URL, AccessKey, ApiKey, Credentials
from airflow_provider_kling.caps import AccountCap
from airflow_provider_kling.errors import KlingInputError, KlingSettingsError
from airflow_provider_kling.redaction import show_place
from airflow_provider_kling.values import value

CONN_TYPE = "kling"
DEFAULT_TIMEOUT = 60.0  # seconds without a byte from the server
CONNECT_TIMEOUT = 10.0  # seconds to establish a connection

_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class AirflowConnection(Protocol):
    """The part of Airflow's Connection that this module reads."""

    conn_id: Any
    conn_type: Any
    login: Any
    password: Any
    host: Any
    schema: Any
    port: Any

    @property
    def extra_dejson(self) -> Any: ...


@value(kw_only=True)
class KlingSettings:
    """The base URL of the API, the credentials, and how to connect.

    `timeout` is in seconds. `verify` is whether to check TLS certificates, or the path of a CA bundle. `proxies` maps
    `http` and `https` to proxy URLs, or to an empty text for no proxy; if it is empty, the environment's proxies count.
    `max_concurrency` is the user's own limit of running tasks, if it is lower than the number of the account's slots.
    `cap` is the most that may be made with it in a day or month.
    `webhook_secrets` are those that Kling signs callbacks with; all of them count. With `accept_unsigned_callbacks`, a callback
    without a signature counts as well. With `allow_private_links`, videos are also loaded from addresses that are not public.
    """

    base_url: str
    credentials: Credentials = field(repr=False)
    conn_id: str = ""
    timeout: float = DEFAULT_TIMEOUT
    verify: bool | str = True
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    max_concurrency: int | None = None
    webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    accept_unsigned_callbacks: bool = False
    allow_private_links: bool = False
    cap: AccountCap = field(default_factory=AccountCap)

    @classmethod
    def of(cls, connection: AirflowConnection) -> KlingSettings:
        """The settings of this connection. Raises KlingSettingsError, which names the wrong field and what it expects."""
        where = f"Connection {connection.conn_id!r}"
        if connection.conn_type != CONN_TYPE:  # else the token of another service would be sent to Kling
            raise KlingSettingsError(f"{where}: its type is {connection.conn_type!r}; wanted is {CONN_TYPE!r}.")
        extra = connection.extra_dejson
        if not isinstance(extra, Mapping):
            raise KlingSettingsError(f"{where}: extra is {type(extra).__name__}; wanted is a JSON object.")
        try:
            credentials = _credentials(connection)
        except KlingInputError as error:
            raise KlingSettingsError(f"{where}: {error}") from None
        return cls(
            conn_id=str(connection.conn_id),
            base_url=_base_url(connection, where),
            credentials=credentials,
            timeout=_timeout(extra.get("timeout"), where),
            verify=_verify(extra.get("verify"), where),
            proxies=_proxies(extra.get("proxies"), where),
            max_concurrency=_max_concurrency(extra.get("max_concurrency"), where),
            webhook_secrets=_secrets(extra.get("webhook_secret"), where),
            accept_unsigned_callbacks=_flag(extra, "accept_unsigned_callbacks", where),
            allow_private_links=_flag(extra, "allow_private_links", where),
            cap=_cap(extra, where),
        )


def _credentials(connection: AirflowConnection) -> Credentials:
    if not connection.password:
        expected = (
            "the secret key of its access key"
            if connection.login
            else "an API key, or login and password for access and secret key"
        )
        raise KlingInputError(f"password is empty; wanted is {expected}.")
    if connection.login:
        return AccessKey(connection.login, connection.password)
    return ApiKey(connection.password)


def _base_url(connection: AirflowConnection, where: str) -> str:
    """The base URL, without a slash at its end. `host` is a whole URL, or a name to which Airflow's schema and port belong."""
    host = (connection.host or "").strip()
    if not host:
        return DEFAULT_BASE_URL
    url = host if "://" in host else f"{connection.schema or 'https'}://{host}"
    try:
        parts = urlsplit(url)
        port, name = parts.port, parts.hostname
    except ValueError:
        port, name = None, None
    if not name or any(character.isspace() for character in url):
        raise KlingSettingsError(f"{where}: host is {show_place(host)!r}; wanted is a base URL like {DEFAULT_BASE_URL}.")
    if parts.scheme not in ("http", "https"):
        raise KlingSettingsError(f"{where}: host has the scheme {parts.scheme!r}; wanted is http or https.")
    if parts.query or parts.fragment or "@" in parts.netloc or "%" in name or show_place(url) != url:
        raise KlingSettingsError(
            f"{where}: host holds more than scheme, name, port and path; wanted is a base URL like {DEFAULT_BASE_URL}."
        )
    from airflow_provider_kling.client.addresses import DEFAULT_PORTS

    authority = f"[{name}]" if ":" in name else name
    port = port or connection.port
    if port and port != DEFAULT_PORTS[parts.scheme]:  # with or without it, it is the same account
        authority = f"{authority}:{port}"
    return f"{parts.scheme}://{authority}{parts.path.rstrip('/')}"


def _timeout(value: Any, where: str) -> float:
    if value is None or value == "":
        return DEFAULT_TIMEOUT
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = -1.0
    if isinstance(value, bool) or not 0 < seconds < 86400:
        raise KlingSettingsError(f"{where}: extra timeout is {value!r}; wanted is a number of seconds, like 60.")
    return seconds


def _verify(value: Any, where: str) -> bool | str:
    if value is None or value == "":
        return True
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _WORDS.get(value.strip().lower(), value)
    raise KlingSettingsError(f"{where}: extra verify is {value!r}; wanted is true, false, or the path of a CA bundle.")


def _flag(extra: Mapping[str, Any], name: str, where: str) -> bool:
    value = extra.get(name)
    if value is None or value == "":
        return False
    flag = _WORDS.get(value.strip().lower()) if isinstance(value, str) else value
    if not isinstance(flag, bool):
        raise KlingSettingsError(f"{where}: extra {name} is {value!r}; wanted is true or false.")
    return flag


def _secrets(value: Any, where: str) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    from airflow_provider_kling.client.webhooks import read_secrets

    return read_secrets(value, where)


def _proxies(value: Any, where: str) -> dict[str, str]:
    if value is None or value == "":
        return {}
    from airflow_provider_kling.client.proxies import NO_PROXY, checked_proxy  # few connections have any

    if value is False or (isinstance(value, str) and value.strip().lower() in ("none", "false")):
        return dict(NO_PROXY)
    if isinstance(value, str):
        value = _proxies_of_text(value)
    if not isinstance(value, Mapping) or not all(isinstance(url, str) for url in value.values()):
        raise KlingSettingsError(
            f'{where}: extra proxies is not as wanted: a URL, none, or an object like {{"https": "http://proxy:3128"}}.'
        )
    if other := [str(name) for name in value if name not in NO_PROXY]:
        raise KlingSettingsError(f"{where}: extra proxies has {show_place(other[0])!r}; wanted are the schemes http and https.")
    return {scheme: url and checked_proxy(url, f"{where}: extra proxies") for scheme, url in value.items()}


def _proxies_of_text(text: str) -> Any:
    """What one line of text means: a URL for both schemes, or an object as JSON."""
    if not text.lstrip().startswith("{"):
        return {"http": text.strip(), "https": text.strip()}
    try:
        return json.loads(text)
    except ValueError:
        return None


def _max_concurrency(value: Any, where: str) -> int | None:
    if value is None or value == "":
        return None
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = 0
    if isinstance(value, bool) or number < 1 or number != float(value):
        raise KlingSettingsError(f"{where}: extra max_concurrency is {value!r}; wanted is a whole number from 1.")
    return number


def _cap(extra: Mapping[str, Any], where: str) -> AccountCap:
    try:
        return AccountCap.of(extra)
    except KlingInputError as error:
        raise KlingSettingsError(f"{where}: extra {error}") from None
