"""A Kling account on one's own machine: the video-effects API with its errors, slots, prices and slowness.

    python -m airflow_provider_kling.emulator --port 8900

or, in a test, the fixture `kling_emulator`, or

    with KlingEmulator(slots=2, duration=0.2) as kling:
        kling.fault(1303, times=2)
        ...

What it imitates: create, query and list of effect tasks, `/account/costs`, both kinds of credentials, all error
codes, slots, external ids, checks of input images (some at once, some only at the task's end), callbacks with
signatures, result links that die, and videos one can play. What goes wrong, and when, is steered over HTTP under
`/_emulator/` (see `steering`), or with the methods of `KlingEmulator`.

What it does not imitate:
- The effects. A video moves and tints the input image and bears the scene's name; that is all.
- The loading of image URLs, unless told to (`--fetch-images`): it shows a drawn picture instead.
- The balance's delay of 12 hours, several resource packs, other products of the API, invoices.
- Limits on requests per second, except for `/account/costs`; inject 1302 with a fault.
- TLS. Point the connection's host to `http://…`.

Where the vendor documents nothing, it takes the choice that is stricter to a client, or an option says which.
It keeps everything in memory, and forgets it at its end. Whoever reaches its port can steer it, so leave it on
this machine, or in a network of its own.
"""

from lazy_loader import attach_stub

# Every pytest run imports this package for its plugin, so nothing is loaded before it is used.
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
