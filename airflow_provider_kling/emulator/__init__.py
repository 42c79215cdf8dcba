"""A Kling account on your own machine: the video-effects API with its errors, slots, prices and delays.

    python -m airflow_provider_kling.emulator --port 8900

or, in a test, the fixture `kling_emulator`, or

    with KlingEmulator(slots=2, duration=0.2) as kling:
        kling.fault(1303, times=2)
        ...

It imitates: create, query and list of tasks, `/account/costs`, both kinds of credentials, all error codes, slots,
external ids, the checks of input images (some at once, some only at the task's end), signed callbacks, links that
expire, and videos that play. You steer what goes wrong, and when, over HTTP under `/_emulator/` (see `web.steering`),
or with the methods of `KlingEmulator`.

It does not imitate:
- The effects. A video moves and tints the input image and shows the scene's name.
- Loading image URLs, unless `--fetch-images` is set: it shows a drawing instead.
- The balance's delay of 12 hours, several resource packs, invoices.
- Limits on requests per second, except for `/account/costs`; set a fault with 1302 for them.
- TLS. Point the connection's host to `http://…`.

It serves the video effects; other products of the API are values that you can add (`KlingEmulator(products=…)`).
Where the vendor documents nothing, it does what is stricter for a client, or an option decides. It keeps everything in
memory, and loses it at its end. Anyone who reaches its port can steer it: keep it on this machine, or in a network of
its own.

Rooms: `model` is the account as pure state, `videos` the input images and videos, `core` puts them together, `web` is the
server. The modules beside them start an emulator and hold on to it. All may import `errors`, `redaction` and `api`, never Airflow.
"""

from typing import Any

__all__ = ["KlingEmulator", "Settings"]


def __getattr__(name: str) -> Any:
    # Every pytest run imports this package for its plugin. So it imports nothing before it is used.
    if name == "KlingEmulator":
        from airflow_provider_kling.emulator.handle import KlingEmulator

        return KlingEmulator
    if name == "Settings":
        from airflow_provider_kling.emulator.model import Settings

        return Settings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
