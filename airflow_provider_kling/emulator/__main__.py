"""The command `python -m airflow_provider_kling.emulator`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import warnings

from airflow_provider_kling.emulator.connection import connection
from airflow_provider_kling.emulator.model import Entry, Settings
from airflow_provider_kling.emulator.options import parse
from airflow_provider_kling.emulator.web import serve
from airflow_provider_kling.redaction import harmless


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    settings = parse(sys.argv[1:], os.environ)
    # A short secret is the user's own choice for a test.
    warnings.filterwarnings("ignore", message="The HMAC key is", module="jwt")
    try:
        asyncio.run(_serve(settings))
    except OSError as error:
        sys.exit(f"Kling emulator: cannot listen on {settings.host} port {settings.port}: {error.strerror or error}")
    except ValueError as error:
        sys.exit(f"Kling emulator: {error}")


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    def ready(url: str) -> None:
        value = connection(settings, url, auth="api_key" if settings.api_key else "access_key")
        sys.stdout.write(f"Kling emulator on {url}; AIRFLOW_CONN_KLING_DEFAULT='{value}'\n")
        sys.stdout.flush()

    await serve(settings, stop=stop, ready=ready, log=_log if settings.log else None)


def _log(entry: Entry) -> None:
    task = " ".join(part for part in (entry.effect_scene, entry.external_task_id, entry.kling_task_id) if part)
    code = "" if entry.code is None else f" code {entry.code}"
    fault = f" (fault: {entry.fault})" if entry.fault else ""
    # Not to stdout: other programs read its first line, and perhaps nothing after it.
    line = f"{entry.n} {entry.method} {entry.path} → {entry.status or 'no answer'}{code} {task}{fault}"
    sys.stderr.write(f"{harmless(line)}\n")


if __name__ == "__main__":
    main()
