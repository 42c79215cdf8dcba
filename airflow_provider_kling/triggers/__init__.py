"""The triggers, which wait in the triggerer.

May import everything below the operators, including `outcomes` and `links`; never operators or sensors.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
