"""The running server: one event loop, in a program of its own or in a thread of a test."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable

from aiohttp import web

from airflow_provider_kling.emulator.core import Emulator
from airflow_provider_kling.emulator.model import Entry, Settings
from airflow_provider_kling.emulator.web.app import make_app

START_TIMEOUT = 30.0
SHUTDOWN_TIMEOUT = 0.2  # seconds that open requests have left; nobody is to wait for a `slow` fault


async def serve(
    settings: Settings, *, stop: asyncio.Event, ready: Callable[[str], None], log: Callable[[Entry], None] | None = None
) -> None:
    """Serve until `stop` is set; `ready` is told the URL."""
    emulator = Emulator(settings)
    runner = web.AppRunner(make_app(emulator, log=log), access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_TIMEOUT)
    await runner.setup()
    callbacks = asyncio.create_task(emulator.callbacks.run())
    try:
        await web.TCPSite(runner, settings.host, settings.port, backlog=1024).start()
        ready(_url(settings.host, runner.addresses[0][1]))
        await stop.wait()
    finally:
        callbacks.cancel()
        await asyncio.gather(callbacks, return_exceptions=True)
        await runner.cleanup()
        await asyncio.to_thread(emulator.videos.close)


class ServerThread:
    """An emulator in a thread of this process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._thread = threading.Thread(target=self._run, name="kling-emulator", daemon=True)
        self._started = threading.Event()
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._url = ""

    def start(self) -> str:
        """Start it, and return its URL once it answers."""
        self._thread.start()
        if not self._started.wait(START_TIMEOUT):
            raise TimeoutError("The emulator did not start.")
        if self._error:
            raise self._error
        return self._url

    def stop(self) -> None:
        """End it, and wait for its end."""
        if self._loop and self._stop:
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that waits for the start
            self._error = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await serve(self._settings, stop=self._stop, ready=self._ready)

    def _ready(self, url: str) -> None:
        self._url = url
        self._started.set()


def _url(host: str, port: int) -> str:
    """A URL that leads to it from this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{host}:{port}"
