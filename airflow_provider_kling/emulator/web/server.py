"""The running server: one event loop, in the command's process or in a thread of a test."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence

from aiohttp import web

from airflow_provider_kling.api import EFFECTS, Product
from airflow_provider_kling.emulator.core import Emulator
from airflow_provider_kling.emulator.model import Entry, Settings
from airflow_provider_kling.emulator.web.app import make_app
from airflow_provider_kling.emulator.web.callbacks import Callbacks

START_TIMEOUT = 30.0  # seconds
SHUTDOWN_TIMEOUT = 0.2  # seconds for open requests at the end; a `slow` fault does not delay it longer


async def serve(
    settings: Settings,
    *,
    stop: asyncio.Event,
    ready: Callable[[str], None],
    products: Sequence[Product] = (EFFECTS,),
    log: Callable[[Entry], None] | None = None,
) -> None:
    """Serve these products until `stop` is set.

    It calls `ready` with the URL, and `log` with the entry of each request that was answered. Raises OSError if it cannot
    listen, and ValueError if it cannot sign callbacks.
    """
    core = Emulator(settings, products)
    runner = web.AppRunner(make_app(core, log=log), access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_TIMEOUT)
    await runner.setup()
    callbacks = asyncio.create_task(Callbacks(core).run())
    try:
        await web.TCPSite(runner, settings.host, settings.port, backlog=1024).start()
        ready(_url(settings.host, runner.addresses[0][1]))
        await stop.wait()
    finally:
        callbacks.cancel()
        await asyncio.gather(callbacks, return_exceptions=True)
        await runner.cleanup()
        await asyncio.to_thread(core.videos.close)


class ServerThread:
    """An emulator in a thread of this process."""

    def __init__(self, settings: Settings, products: Sequence[Product] = (EFFECTS,)) -> None:
        self._settings = settings
        self._products = tuple(products)
        self._thread = threading.Thread(target=self._run, name="kling-emulator", daemon=True)
        self._started = threading.Event()
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._url = ""

    def start(self) -> str:
        """Start it, and return its URL as soon as it answers. Raises what `serve` raises."""
        self._thread.start()
        if not self._started.wait(START_TIMEOUT):
            raise TimeoutError("The emulator did not start.")
        if self._error:
            raise self._error
        return self._url

    def stop(self) -> None:
        """Stop it, and wait until it has ended."""
        if self._loop and self._stop:
            with contextlib.suppress(RuntimeError):  # the loop has already ended
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - `start` raises it
            self._error = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await serve(self._settings, stop=self._stop, ready=self._ready, products=self._products)

    def _ready(self, url: str) -> None:
        self._url = url
        self._started.set()


def _url(host: str, port: int) -> str:
    """The server's URL on this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{host}:{port}"
