"""Which certificates are trusted: those of the connection, of the environment or of certifi."""

from __future__ import annotations

import functools
import os
import ssl

import certifi

from airflow_provider_kling.errors import KlingSettingsError
from airflow_provider_kling.redaction import show_place


def tls_context(verify: bool | str) -> ssl.SSLContext:
    """What to speak TLS with: shared by all who trust the same. `verify` is that of the connection.

    Raises KlingSettingsError for a file or folder of certificates that does not exist.
    """
    path = ca_bundle(verify)
    return _trusting(path, os.stat(path).st_mtime_ns if path else 0)


def ca_bundle(verify: bool | str) -> str | None:
    """The file or folder of CA certificates: the connection's, the environment's, or certifi's. None to check nothing."""
    path = verify if isinstance(verify, str) else None
    if path and not os.path.exists(path):
        raise KlingSettingsError(
            f"The connection's verify is {show_place(path)!r}, which does not exist here; wanted is true, false, or a CA bundle."
        )
    if path or not verify:
        return path
    for variable in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        if named := os.environ.get(variable):
            if not os.path.exists(named):
                raise KlingSettingsError(f"The environment's {variable} is {show_place(named)!r}, which does not exist here.")
            return named
    return certifi.where()


@functools.lru_cache(maxsize=8)
def _trusting(path: str | None, changed_at: int) -> ssl.SSLContext:
    """A context for all of this process until the file changes: reading certifi's takes 20 ms of a processor."""
    if path is None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
    folder = os.path.isdir(path)
    return ssl.create_default_context(cafile=None if folder else path, capath=path if folder else None)
