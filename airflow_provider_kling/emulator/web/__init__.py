"""How an emulator is spoken to: the API, steering, callbacks, the server.

May import everything of the emulator but its command and its handle.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
