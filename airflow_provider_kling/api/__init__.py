"""The wire of the Kling video-effects API, without I/O, for both of its ends.

A client builds a `Call`, sends it somehow, and gives the `Response` to `call.read`, which returns a value or raises
one of `errors`. A server reads requests with `read_create`, `read_page` and `authorize`, which raise `Refusal`, and
answers with `envelope` and `Task.to_json`. Nothing here opens a socket or looks at a clock.

Sources: the vendor's page on video effects, its pages on authentication, error codes, concurrency and callbacks.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
