"""How to talk to Kling: the settings of a connection, two HTTP transports, the flows, and the clients that drive them.

May import `errors`, `redaction`, `storage` and `api`. Only this folder imports requests and aiohttp.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
