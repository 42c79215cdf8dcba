"""Pictures and videos that the emulator makes.

May import `errors`, `api` and the model.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
