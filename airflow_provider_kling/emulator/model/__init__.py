"""What a Kling account is, as pure state: tasks, slots, faults, the journal. Reads no clock and opens nothing.

May import `errors` and `api`.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
