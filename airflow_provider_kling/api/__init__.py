"""The protocol of the Kling API without I/O, for its client and for its server.

A client builds a `Call`, sends it, and passes the `Response` to `call.read`, which returns a value or raises one of
`errors`. A server reads requests with `read_create`, `read_page` and `authorize`, which raise `Refusal`, and responds with
`envelope` and `Task.to_json`. Nothing here opens a socket or reads a clock. May import `errors` and `redaction`.

Sources: the vendor's page on video effects, its pages on authentication, error codes, concurrency and callbacks.
"""

from airflow_provider_kling.faces import face

__getattr__, __dir__, __all__ = face(__name__, __file__)
